//! Which arm runs on which examples.

use candle_core::{Device, Tensor};
use robin_core::{Columns, Result};

/// One arm's share of the work.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Job {
    pub(super) arm: usize,
    /// Examples of the batch that this arm runs on, ascending.
    pub(super) rows: Vec<usize>,
    /// Where its scores belong.
    pub(super) places: Vec<Place>,
}

/// A score of `rows[row]` belongs into `cell` of the row-major score table.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) row: usize,
    pub(super) cell: usize,
}

impl Job {
    /// Gradient on the arm's outputs `[rows, outputs]`, from the gradient on the whole score table.
    pub(super) fn output_gradient(&self, score_gradient: &[f32], outputs: usize) -> Result<Tensor> {
        let mut gradient = vec![0.0; self.rows.len() * outputs];
        for place in &self.places {
            // s = z_1 - z_0, or the only output.
            gradient[place.row * outputs + outputs - 1] += score_gradient[place.cell];
            if outputs == 2 {
                gradient[place.row * outputs] -= score_gradient[place.cell];
            }
        }
        Ok(Tensor::from_vec(gradient, (self.rows.len(), outputs), &Device::Cpu)?)
    }
}

/// The arms behind `columns` for `n` examples, ascending; arms that nobody asked for have no job.
pub(super) fn plan(columns: &Columns, n: usize, arms: usize) -> Result<Vec<Job>> {
    let cells = columns.of_each(n, arms)?;
    let width = columns.width(arms);
    let mut jobs: Vec<Job> = (0..arms).map(|arm| Job { arm, rows: Vec::new(), places: Vec::new() }).collect();
    for (cell, &arm) in cells.iter().enumerate() {
        let (job, example) = (&mut jobs[arm as usize], cell / width);
        if job.rows.last() != Some(&example) {
            job.rows.push(example);
        }
        job.places.push(Place { row: job.rows.len() - 1, cell });
    }
    jobs.retain(|job| !job.rows.is_empty());
    Ok(jobs)
}
