//! A frozen network: scores, and gradients on the images only.

use std::sync::{Mutex, PoisonError};

use candle_core::{Device, Tensor};
use robin_core::{Classifier, Columns, Pass, Result, Scores, host};

use super::pass::{Frozen, Trace};

pub(super) struct CpuClassifier {
    frozen: Frozen,
    /// Traces of passes that are over, for the next one to use again.
    traces: Mutex<Vec<Trace>>,
}

impl CpuClassifier {
    pub(super) fn new(frozen: Frozen) -> Self {
        Self { frozen, traces: Mutex::default() }
    }

    fn run(&self, images: &Tensor, columns: &Columns, trace: Option<&mut Trace>) -> Result<Scores> {
        let classes = self.num_classes();
        columns.validate(classes)?;
        let n = self.frozen.program.graph.image_count(images.dims()).map_err(robin_core::Error::from)?;
        let outputs = host::with_values(images, |images| self.frozen.forward(images, trace))?;
        let chosen = match columns {
            Columns::All => outputs,
            _ => (0..n)
                .flat_map(|row| chosen(columns, row).map(move |c| (row, c)))
                .map(|(row, c)| outputs[row * classes + c])
                .collect(),
        };
        Scores::from_vec(chosen, n, columns.width(classes))
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
        self.frozen.program.graph.num_outputs()
    }

    fn scores(&self, images: &Tensor, columns: &Columns) -> Result<Scores> {
        self.run(images, columns, None)
    }

    fn forward<'a>(&'a self, images: &Tensor, columns: &Columns) -> Result<Box<dyn Pass + 'a>> {
        let spare = self.traces.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut trace = spare.unwrap_or_default();
        let scores = self.run(images, columns, Some(&mut trace))?;
        Ok(Box::new(CpuPass { classifier: self, columns: columns.clone(), scores, trace }))
    }
}

struct CpuPass<'a> {
    classifier: &'a CpuClassifier,
    columns: Columns,
    scores: Scores,
    trace: Trace,
}

impl Pass for CpuPass<'_> {
    fn scores(&self) -> &Scores {
        &self.scores
    }

    fn input_gradient(self: Box<Self>, score_gradient: &Tensor) -> Result<Tensor> {
        let frozen = &self.classifier.frozen;
        let (n, classes) = (self.scores.len(), frozen.program.graph.num_outputs());
        let gradient = host::with_values(score_gradient, |given| match &self.columns {
            Columns::All => frozen.backward(&self.trace, given),
            columns => {
                let mut dy = vec![0.0; n * classes];
                let width = columns.width(classes);
                for row in 0..n {
                    for (at, column) in chosen(columns, row).enumerate() {
                        dy[row * classes + column] += given[row * width + at];
                    }
                }
                frozen.backward(&self.trace, &dy)
            }
        })?;
        self.classifier.traces.lock().unwrap_or_else(PoisonError::into_inner).push(self.trace);
        let [c, h, w] = frozen.program.graph.input_shape();
        Ok(Tensor::from_vec(gradient, (n, c, h, w), &Device::Cpu)?)
    }
}
