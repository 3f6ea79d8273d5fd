//! A frozen network: scores, and gradients on the images only.

use std::sync::Arc;

use candle_core::{Device, Tensor};
use rayon::prelude::*;
use robin_core::{Classifier, Columns, Pass, Result, Scores, host};
use robin_kernels::conv2d::implicit_gemm::Scratch;

use super::block::{self, BLOCK, Keep, Trace};
use super::stage::{Order, Program, reorder_rows};

pub(super) struct CpuClassifier {
    program: Arc<Program>,
}

impl CpuClassifier {
    pub(super) fn new(program: Arc<Program>) -> Self {
        Self { program }
    }

    fn run(&self, images: &Tensor, columns: &Columns, keep: Keep) -> Result<(Scores, Trace)> {
        let classes = self.num_classes();
        columns.validate(classes)?;
        let n = self.program.graph.image_count(images.dims()).map_err(robin_core::Error::from)?;
        let (outputs, trace) = block::forward(&self.program, images, n, keep)?;
        let chosen = match columns {
            Columns::All => outputs,
            _ => (0..n)
                .flat_map(|row| chosen(columns, row).map(move |c| (row, c)))
                .map(|(row, c)| outputs[row * classes + c])
                .collect(),
        };
        Ok((Scores::from_vec(chosen, n, columns.width(classes))?, trace))
    }
}

/// The columns chosen for one example; only for choices other than all.
fn chosen(columns: &Columns, row: usize) -> impl Iterator<Item = usize> + '_ {
    let (one, table) = match columns {
        Columns::All => (None, &[][..]),
        Columns::One(column) => (Some(*column), &[][..]),
        Columns::PerExample(table) => (None, table.row(row)),
    };
    one.into_iter().chain(table.iter().map(|&column| column as usize))
}

impl Classifier for CpuClassifier {
    fn num_classes(&self) -> usize {
        self.program.graph.num_outputs()
    }

    fn scores(&self, images: &Tensor, columns: &Columns) -> Result<Scores> {
        Ok(self.run(images, columns, Keep::Nothing)?.0)
    }

    fn forward<'a>(&'a self, images: &Tensor, columns: &Columns) -> Result<Box<dyn Pass + 'a>> {
        let (scores, trace) = self.run(images, columns, Keep::ForImages)?;
        Ok(Box::new(CpuPass { program: &self.program, columns: columns.clone(), scores, trace }))
    }
}

struct CpuPass<'a> {
    program: &'a Program,
    columns: Columns,
    scores: Scores,
    trace: Trace,
}

impl Pass for CpuPass<'_> {
    fn scores(&self) -> &Scores {
        &self.scores
    }

    fn input_gradient(self: Box<Self>, score_gradient: &Tensor) -> Result<Tensor> {
        let (n, classes) = (self.scores.len(), self.program.graph.num_outputs());
        let given = host::to_vec(score_gradient)?;
        let dy = match &self.columns {
            Columns::All => given,
            columns => {
                let mut dy = vec![0.0; n * classes];
                let width = columns.width(classes);
                for row in 0..n {
                    for (at, column) in chosen(columns, row).enumerate() {
                        dy[row * classes + column] += given[row * width + at];
                    }
                }
                dy
            }
        };
        let program = self.program;
        let blocks: Vec<Vec<f32>> = self
            .trace
            .into_par_iter()
            .enumerate()
            .map(|(block, trace)| {
                let rows = block * BLOCK * classes;
                let mut gradient = dy[rows..rows + trace.images * classes].to_vec();
                let mut scratch = Scratch::default();
                for (stage, saved) in program.stages.iter().zip(&trace.saved).rev() {
                    gradient = block::input_gradient(stage, saved, trace.images, gradient, &mut scratch);
                }
                gradient
            })
            .collect();
        let shape @ [c, h, w] = program.graph.input_shape();
        let values = reorder_rows(&blocks.concat(), shape, Order::ChannelsFirst);
        Ok(Tensor::from_vec(values, (n, c, h, w), &Device::Cpu)?)
    }
}
