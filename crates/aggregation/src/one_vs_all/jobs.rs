//! Which arm runs on which examples.

use candle_core::{Device, Tensor};
use robin_core::{Columns, Error, Result};

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
    columns.validate(arms)?;
    let everyone = |arm, width: usize, column| Job {
        arm,
        rows: (0..n).collect(),
        places: (0..n).map(|row| Place { row, cell: row * width + column }).collect(),
    };
    match columns {
        Columns::All => Ok((0..arms).map(|arm| everyone(arm, arms, arm)).collect()),
        Columns::One(arm) => Ok(vec![everyone(*arm, 1, 0)]),
        Columns::PerExample(table) => {
            if table.width == 0 || table.indices.len() != n * table.width {
                return Err(Error::Shape {
                    what: "table of columns",
                    found: vec![table.indices.len() / table.width.max(1), table.width],
                    expected: format!("[{n}, m] with m >= 1"),
                });
            }
            let mut jobs: Vec<Job> =
                (0..arms).map(|arm| Job { arm, rows: Vec::new(), places: Vec::new() }).collect();
            for (cell, &arm) in table.indices.iter().enumerate() {
                let (job, example) = (&mut jobs[arm as usize], cell / table.width);
                if job.rows.last() != Some(&example) {
                    job.rows.push(example);
                }
                job.places.push(Place { row: job.rows.len() - 1, cell });
            }
            jobs.retain(|job| !job.rows.is_empty());
            Ok(jobs)
        }
    }
}
