//! Which arms are the highest: on the clean image once, or at every step anew.

use std::sync::Arc;

use candle_core::{Device, Tensor};
use robin_core::scores::ranked;
use robin_core::{ColumnTable, Columns, Error, Objective, ObjectiveValues, Result, Scores};
use serde::{Deserialize, Serialize};

/// When the arms are ranked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rank {
    /// Once, on the clean image; only the arms that were chosen run.
    #[default]
    Clean,
    /// At every step, on the image as it is then; all arms run.
    Current,
}

/// Builds an objective on the columns of a table.
type Build = dyn Fn(ColumnTable) -> Box<dyn Objective> + Send + Sync;

/// The objective that `build` makes for the `width` highest columns of each example.
pub(super) fn ranked_objective(
    rank: Rank,
    width: usize,
    clean: &Scores,
    build: impl Fn(ColumnTable) -> Box<dyn Objective> + Send + Sync + 'static,
) -> Result<Box<dyn Objective>> {
    match rank {
        Rank::Clean => Ok(build(highest(width, clean)?)),
        Rank::Current => Ok(Box::new(RankedNow { n: clean.len(), width, build: Arc::new(build) })),
    }
}

/// The `width` highest columns of each example, highest first, the lower class first on a tie.
fn highest(width: usize, scores: &Scores) -> Result<ColumnTable> {
    let values = scores.to_vec()?;
    let rows = values.chunks_exact(scores.columns());
    Ok(ColumnTable { width, indices: rows.flat_map(|row| ranked(row).into_iter().take(width)).collect() })
}

/// An objective on the columns that are highest where it is evaluated. All columns run.
struct RankedNow {
    n: usize,
    width: usize,
    build: Arc<Build>,
}

impl Objective for RankedNow {
    fn columns(&self) -> Columns {
        Columns::All
    }

    fn evaluate(&self, scores: &Scores) -> Result<ObjectiveValues> {
        let (n, classes) = (scores.len(), scores.columns());
        if n != self.n || classes < self.width {
            return Err(Error::Shape {
                what: "scores",
                found: scores.tensor().dims().to_vec(),
                expected: format!("[{}, k] with k >= {}", self.n, self.width),
            });
        }
        let table = highest(self.width, scores)?;
        let values = scores.to_vec()?;
        let cells: Vec<usize> = table
            .indices
            .iter()
            .enumerate()
            .map(|(at, &column)| at / self.width * classes + column as usize)
            .collect();
        let seen = Scores::from_vec(cells.iter().map(|&cell| values[cell]).collect(), n, self.width)?;
        let found = (self.build)(table).evaluate(&seen)?;
        let mut gradient = vec![0.0; n * classes];
        for (cell, slope) in cells.into_iter().zip(robin_core::host::to_vec(&found.score_gradient)?) {
            gradient[cell] += slope;
        }
        let score_gradient = Tensor::from_vec(gradient, (n, classes), &Device::Cpu)?;
        Ok(ObjectiveValues { values: found.values, score_gradient })
    }

    fn select(&self, rows: &[usize]) -> Box<dyn Objective> {
        Box::new(Self { n: rows.len(), width: self.width, build: self.build.clone() })
    }
}
