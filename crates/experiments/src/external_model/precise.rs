//! The same networks in f64, to look at close calls.

use candle_core::{DType, Tensor};
use robin_aggregation::Aggregation;
use robin_evaluation::battery;
use robin_nn::candle::{Mode, Weights, forward};
use robin_nn::{Graph, Parameters};

/// Networks of which the scores can be computed in f64.
pub(super) struct Precise {
    networks: Vec<(Graph, Parameters)>,
    arms: bool,
}

impl Precise {
    /// `None` for aggregates whose scores are more than arms side by side.
    pub(super) fn new(networks: Vec<(Graph, Parameters)>, aggregate: Option<Aggregation>) -> Option<Self> {
        match aggregate {
            None => Some(Self { networks, arms: false }),
            Some(Aggregation::OneVsAll) => Some(Self { networks, arms: true }),
            Some(_) => None,
        }
    }
}

impl battery::Precise for Precise {
    fn scores(&self, images: &Tensor) -> robin_evaluation::Result<Vec<f64>> {
        let n = images.dims()[0];
        let mut columns: Vec<Vec<f64>> = Vec::new();
        for (graph, parameters) in &self.networks {
            let weights = Weights::constant(parameters, DType::F64).map_err(robin_core::Error::from)?;
            let outputs = forward(graph, &weights, &images.to_dtype(DType::F64)?, Mode::Evaluation)
                .map_err(robin_core::Error::from)?;
            let rows = outputs.to_vec2::<f64>()?;
            if self.arms {
                // z1 - z0, or the only output.
                let log_odds =
                    |row: &Vec<f64>| row[row.len() - 1] - if row.len() == 2 { row[0] } else { 0.0 };
                columns.push(rows.iter().map(log_odds).collect());
            } else {
                columns.extend(
                    (0..graph.num_outputs()).map(|c| rows.iter().map(|row| row[c]).collect::<Vec<_>>()),
                );
            }
        }
        Ok((0..n).flat_map(|row| columns.iter().map(move |column| column[row])).collect())
    }
}
