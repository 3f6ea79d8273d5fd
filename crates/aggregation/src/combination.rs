//! What most aggregates share: some networks, and scores computed from their outputs, example by example.

use candle_core::{Device, Tensor};
use rayon::prelude::*;
use robin_core::scores::ranked;
use robin_core::{Classifier, Columns, Error as CoreError, Pass, Result as CoreResult, Scores, host};

use crate::{Error, Result};

/// How one example's scores come from its networks' outputs. In f64, rounded to f32 once, at the end.
pub(crate) trait Combination: Send + Sync {
    /// Number of classes.
    fn num_classes(&self) -> usize;

    /// Number of columns that can be asked for, at least [`Combination::num_classes`]. Those beyond the
    /// classes are what single networks say, for attacks on parts.
    fn num_columns(&self) -> usize {
        self.num_classes()
    }

    /// Networks behind `column`, ascending.
    fn networks(&self, column: usize) -> Vec<usize>;

    /// The score of `column`; `outputs[network]` is empty where a network has not run.
    fn score(&self, column: usize, outputs: &[&[f32]]) -> f64;

    /// Adds `upstream` times the score's derivative to `gradient[network]`, of the outputs' lengths.
    fn pull_back(&self, column: usize, upstream: f64, outputs: &[&[f32]], gradient: &mut [Vec<f64>]);

    /// Whether the decision is the arg max of the scores. If not, [`Combination::decide`] makes it.
    fn decides_by_scores(&self) -> bool {
        true
    }

    /// The decision on one example, from the outputs of all networks.
    fn decide(&self, outputs: &[&[f32]]) -> u32 {
        let scores: Vec<f32> =
            (0..self.num_classes()).map(|class| self.score(class, outputs) as f32).collect();
        ranked(&scores)[0]
    }
}

/// Number of classes of networks that all have the same.
///
/// # Errors
/// [`Error::Members`] without networks, or if their numbers of outputs differ or are below 2.
pub(crate) fn common_classes(networks: &[Box<dyn Classifier>]) -> Result<usize> {
    let outputs: Vec<usize> = networks.iter().map(|network| network.num_classes()).collect();
    match outputs.first() {
        Some(&classes) if classes >= 2 && outputs.iter().all(|&found| found == classes) => Ok(classes),
        _ => Err(Error::Members { outputs }),
    }
}

/// Networks and the [`Combination`] of their outputs, as one classifier.
///
/// Only the networks behind the wanted columns run, each on the examples that want it, side by side on the
/// ambient rayon pool; gradients are added in network order, so results do not depend on the number of
/// threads.
pub(crate) struct Combined<C> {
    pub(crate) networks: Vec<Box<dyn Classifier>>,
    pub(crate) combination: C,
}

impl<C: Combination> Combined<C> {
    /// Columns of each example, `[n * width]`; all are those of the classes, though there may be others to choose.
    fn cells(&self, columns: &Columns, n: usize) -> CoreResult<Vec<u32>> {
        let there = match columns {
            Columns::All => self.combination.num_classes(),
            _ => self.combination.num_columns(),
        };
        columns.of_each(n, there)
    }

    /// The examples that each network runs on, ascending.
    fn rows(&self, cells: &[u32], n: usize) -> Vec<Vec<usize>> {
        let behind: Vec<Vec<usize>> =
            (0..self.combination.num_columns()).map(|column| self.combination.networks(column)).collect();
        let mut rows = vec![Vec::new(); self.networks.len()];
        for (example, cells) in cells.chunks_exact(cells.len().checked_div(n).unwrap_or(1).max(1)).enumerate()
        {
            for &network in cells.iter().flat_map(|&column| &behind[column as usize]) {
                let rows: &mut Vec<usize> = &mut rows[network];
                if rows.last() != Some(&example) {
                    rows.push(example);
                }
            }
        }
        rows
    }

    /// Runs `work` for every network that has examples, side by side; in network order.
    fn each<'a, T: Send>(
        &'a self,
        images: &Tensor,
        rows: Vec<Vec<usize>>,
        work: impl Fn(&'a dyn Classifier, &Tensor) -> CoreResult<T> + Sync,
    ) -> CoreResult<Vec<Ran<T>>> {
        let n = images.dims()[0];
        let jobs: Vec<(usize, Vec<usize>)> =
            rows.into_iter().enumerate().filter(|(_, rows)| !rows.is_empty()).collect();
        let results: Vec<CoreResult<Ran<T>>> = jobs
            .into_par_iter()
            .map(|(network, rows)| {
                let classifier = self.networks[network].as_ref();
                let done = match rows.len() {
                    all if all == n => work(classifier, images)?,
                    _ => work(classifier, &host::select(images, &rows)?)?,
                };
                Ok(Ran { network, rows, done })
            })
            .collect();
        results.into_iter().collect()
    }

    fn outputs(&self, ran: &[Ran<Scores>], n: usize) -> CoreResult<Outputs> {
        let mut outputs = Outputs { of: vec![vec![Vec::new(); n]; self.networks.len()] };
        for Ran { network, rows, done } in ran {
            let values = done.to_vec()?;
            let width = self.networks[*network].num_classes();
            if done.columns() != width || done.len() != rows.len() {
                return Err(CoreError::Shape {
                    what: "outputs of a network",
                    found: done.tensor().dims().to_vec(),
                    expected: format!("[{}, {width}]", rows.len()),
                });
            }
            for (&row, values) in rows.iter().zip(values.chunks_exact(width)) {
                outputs.of[*network][row] = values.to_vec();
            }
        }
        Ok(outputs)
    }

    fn scored(&self, cells: &[u32], outputs: &Outputs, n: usize, width: usize) -> CoreResult<Scores> {
        let mut values = Vec::with_capacity(cells.len());
        for (example, columns) in cells.chunks_exact(width).enumerate() {
            let outputs = outputs.example(example);
            values.extend(
                columns.iter().map(|&column| self.combination.score(column as usize, &outputs) as f32),
            );
        }
        Scores::from_vec(values, n, width)
    }
}

/// One network's share of the work.
struct Ran<T> {
    network: usize,
    rows: Vec<usize>,
    done: T,
}

/// Outputs by network and example; empty where a network has not run.
struct Outputs {
    of: Vec<Vec<Vec<f32>>>,
}

impl Outputs {
    fn example(&self, example: usize) -> Vec<&[f32]> {
        self.of.iter().map(|network| network[example].as_slice()).collect()
    }
}

impl<C: Combination> Classifier for Combined<C> {
    fn num_classes(&self) -> usize {
        self.combination.num_classes()
    }

    fn scores(&self, images: &Tensor, columns: &Columns) -> CoreResult<Scores> {
        let (n, _) = host::image_rows("images", images)?;
        let cells = self.cells(columns, n)?;
        let ran =
            self.each(images, self.rows(&cells, n), |network, images| network.scores(images, &Columns::All))?;
        let width = columns.width(self.num_classes());
        self.scored(&cells, &self.outputs(&ran, n)?, n, width)
    }

    fn forward<'a>(&'a self, images: &Tensor, columns: &Columns) -> CoreResult<Box<dyn Pass + 'a>> {
        let (n, _) = host::image_rows("images", images)?;
        let cells = self.cells(columns, n)?;
        let passes = self
            .each(images, self.rows(&cells, n), |network, images| network.forward(images, &Columns::All))?;
        let ran: Vec<Ran<Scores>> = passes
            .iter()
            .map(|ran| Ran { network: ran.network, rows: ran.rows.clone(), done: ran.done.scores().clone() })
            .collect();
        let outputs = self.outputs(&ran, n)?;
        let scores = self.scored(&cells, &outputs, n, columns.width(self.num_classes()))?;
        Ok(Box::new(CombinedPass {
            model: self,
            dims: images.dims().to_vec(),
            cells,
            outputs,
            scores,
            passes,
        }))
    }

    fn decide(&self, scores: &Scores) -> CoreResult<Vec<u32>> {
        match self.combination.decides_by_scores() {
            true => scores.arg_max(),
            false => Err(CoreError::Classifier(Box::new(crate::Error::Decision))),
        }
    }

    fn predict(&self, images: &Tensor) -> CoreResult<Vec<u32>> {
        let (n, _) = host::image_rows("images", images)?;
        let everyone = vec![(0..n).collect(); self.networks.len()];
        let ran = self.each(images, everyone, |network, images| network.scores(images, &Columns::All))?;
        let outputs = self.outputs(&ran, n)?;
        Ok((0..n).map(|example| self.combination.decide(&outputs.example(example))).collect())
    }

    /// The most networks that one of the examples takes.
    fn networks(&self, columns: &Columns) -> u32 {
        let classes = self.num_classes();
        let count = |cells: &mut dyn Iterator<Item = usize>| {
            let mut behind: Vec<usize> = cells.flat_map(|column| self.combination.networks(column)).collect();
            behind.sort_unstable();
            behind.dedup();
            behind.len() as u32
        };
        match columns {
            Columns::All => count(&mut (0..classes)),
            Columns::One(column) => count(&mut std::iter::once(*column)),
            Columns::PerExample(table) => (0..table.len())
                .map(|row| count(&mut table.row(row).iter().map(|&column| column as usize)))
                .max()
                .unwrap_or(0),
        }
    }
}

/// The passes of all networks that ran.
struct CombinedPass<'a, C> {
    model: &'a Combined<C>,
    dims: Vec<usize>,
    cells: Vec<u32>,
    outputs: Outputs,
    scores: Scores,
    passes: Vec<Ran<Box<dyn Pass + 'a>>>,
}

impl<C: Combination> Pass for CombinedPass<'_, C> {
    fn scores(&self) -> &Scores {
        &self.scores
    }

    fn input_gradient(self: Box<Self>, score_gradient: &Tensor) -> CoreResult<Tensor> {
        if score_gradient.dims() != self.scores.tensor().dims() {
            return Err(CoreError::Shape {
                what: "score gradient",
                found: score_gradient.dims().to_vec(),
                expected: format!("{:?}", self.scores.tensor().dims()),
            });
        }
        let (n, width) = (self.scores.len(), self.scores.columns());
        let upstream = host::to_vec(score_gradient)?;
        let mut gradients: Vec<Vec<Vec<f64>>> = Vec::with_capacity(n);
        for (example, (columns, upstream)) in
            self.cells.chunks_exact(width).zip(upstream.chunks_exact(width)).enumerate()
        {
            let outputs = self.outputs.example(example);
            let mut gradient: Vec<Vec<f64>> =
                outputs.iter().map(|outputs| vec![0.0; outputs.len()]).collect();
            for (&column, &upstream) in columns.iter().zip(upstream) {
                let combination = &self.model.combination;
                combination.pull_back(column as usize, f64::from(upstream), &outputs, &mut gradient);
            }
            gradients.push(gradient);
        }
        let pulled_back: Vec<CoreResult<(Vec<usize>, Vec<f32>)>> = self
            .passes
            .into_par_iter()
            .map(|Ran { network, rows, done }| {
                let own = rows.iter().flat_map(|&row| &gradients[row][network]).map(|&g| g as f32);
                let own: Vec<f32> = own.collect();
                let outputs = own.len() / rows.len();
                let own = Tensor::from_vec(own, (rows.len(), outputs), &Device::Cpu)?;
                Ok((rows, host::to_vec(&done.input_gradient(&own)?)?))
            })
            .collect();
        let length: usize = self.dims[1..].iter().product();
        let mut sum = vec![0.0_f32; self.dims.iter().product()];
        // In network order, whichever was ready first: sums of f32 depend on their order.
        for result in pulled_back {
            let (rows, gradient) = result?;
            for (&row, own) in rows.iter().zip(gradient.chunks_exact(length.max(1))) {
                let whole = &mut sum[row * length..(row + 1) * length];
                whole.iter_mut().zip(own).for_each(|(sum, g)| *sum += g);
            }
        }
        Ok(Tensor::from_vec(sum, self.dims, &Device::Cpu)?)
    }
}

/// `log(softmax(logits))` at `class`.
pub(crate) fn log_softmax(logits: &[f32], class: usize) -> f64 {
    let top = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = logits.iter().map(|&z| (f64::from(z) - f64::from(top)).exp()).sum();
    f64::from(logits[class]) - f64::from(top) - sum.ln()
}

/// Adds `upstream` times the derivative of [`log_softmax`].
pub(crate) fn log_softmax_back(logits: &[f32], class: usize, upstream: f64, gradient: &mut [f64]) {
    let top = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let weight = |z: f32| (f64::from(z) - f64::from(top)).exp();
    let sum: f64 = logits.iter().map(|&z| weight(z)).sum();
    // The class's own part as the sum of the others: 1 - p would cancel where p is near 1.
    let others: f64 = logits.iter().enumerate().filter(|(at, _)| *at != class).map(|(_, &z)| weight(z)).sum();
    for (at, (slot, &z)) in gradient.iter_mut().zip(logits).enumerate() {
        *slot += upstream * if at == class { others / sum } else { -weight(z) / sum };
    }
}

/// An arm's score: `z1 - z0` of two outputs, or the only output.
pub(crate) fn log_odds(outputs: &[f32]) -> f64 {
    match outputs {
        [z] => f64::from(*z),
        [z0, z1] => f64::from(*z1) - f64::from(*z0),
        _ => unreachable!("arms were counted when the aggregate was built"),
    }
}

/// Adds `upstream` times the derivative of [`log_odds`].
pub(crate) fn log_odds_back(upstream: f64, gradient: &mut [f64]) {
    let last = gradient.len() - 1;
    gradient[last] += upstream;
    if last == 1 {
        gradient[0] -= upstream;
    }
}
