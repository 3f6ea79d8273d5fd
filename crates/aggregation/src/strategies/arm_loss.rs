//! Arms' own binary losses as an objective.

use candle_core::{Device, Tensor};
use robin_attacks::Loss;
use robin_core::{Columns, Error, Evaluation, Objective, Result, Scores};

/// The mean over an example's columns of `b_i(t)`, arm i's loss against the target t in {0, 1}.
///
/// Loss `ce`: `b_i(1) = softplus(-s_i)`, `b_i(0) = softplus(s_i)`. Loss `margin`: `b_i(1) = -s_i`,
/// `b_i(0) = s_i`. In f64, rounded to f32 at the end.
#[derive(Debug, Clone)]
pub(super) struct ArmLoss {
    loss: Loss,
    columns: Columns,
    width: usize,
    /// `[n * width]`.
    targets: Vec<bool>,
}

impl ArmLoss {
    /// `columns` is `One` or `PerExample`; `targets` has one entry per example and column.
    pub(super) fn new(loss: Loss, columns: Columns, targets: Vec<bool>) -> Self {
        let width = match &columns {
            Columns::PerExample(table) => table.width,
            Columns::One(_) | Columns::All => 1,
        };
        Self { loss, columns, width, targets }
    }
}

impl Objective for ArmLoss {
    fn columns(&self) -> Columns {
        self.columns.clone()
    }

    fn evaluate(&self, scores: &Scores) -> Result<Evaluation> {
        let (n, width) = (self.targets.len() / self.width, self.width);
        if scores.len() != n || scores.columns() != width {
            return Err(Error::Shape {
                what: "scores",
                found: scores.tensor().dims().to_vec(),
                expected: format!("[{n}, {width}]"),
            });
        }
        if !matches!(self.loss, Loss::Ce | Loss::Margin) {
            return Err(Error::Unsuited {
                what: format!("loss {}", self.loss),
                with: "an arm by itself".to_owned(),
                allowed: "ce and margin do",
            });
        }
        let terms: Vec<(f64, f64)> = scores
            .to_vec()?
            .into_iter()
            .zip(&self.targets)
            .map(|(score, &target)| arm_loss(self.loss, f64::from(score), target))
            .collect();
        let share = 1.0 / width as f64;
        let values = terms
            .chunks_exact(width)
            .map(|row| (share * row.iter().map(|(value, _)| value).sum::<f64>()) as f32)
            .collect();
        let gradient: Vec<f32> = terms.iter().map(|(_, slope)| (share * slope) as f32).collect();
        Ok(Evaluation { values, score_gradient: Tensor::from_vec(gradient, (n, width), &Device::Cpu)? })
    }

    fn select(&self, rows: &[usize]) -> Box<dyn Objective> {
        let width = self.width;
        let targets = rows.iter().flat_map(|&row| &self.targets[row * width..(row + 1) * width]).copied();
        Box::new(Self {
            loss: self.loss,
            columns: self.columns.select(rows),
            width,
            targets: targets.collect(),
        })
    }
}

/// `b(target)` at `score`, and its derivative there.
fn arm_loss(loss: Loss, score: f64, target: bool) -> (f64, f64) {
    let sign = if target { -1.0 } else { 1.0 };
    let wrongness = sign * score;
    match loss {
        Loss::Margin => (wrongness, sign),
        Loss::Ce => {
            // softplus and its derivative, the sigmoid, without overflow or cancellation.
            let decay = (-wrongness.abs()).exp();
            let sigmoid = if wrongness >= 0.0 { 1.0 / (1.0 + decay) } else { decay / (1.0 + decay) };
            (wrongness.max(0.0) + decay.ln_1p(), sign * sigmoid)
        }
        Loss::Dlr | Loss::MarginT(_) | Loss::DlrT(_) => unreachable!("refused before any score is looked at"),
    }
}

#[cfg(test)]
mod tests {
    use robin_testkit::{assert_close, golden};

    use super::*;

    #[test]
    fn the_derivative_is_that_of_the_value() {
        for loss in [Loss::Ce, Loss::Margin] {
            for target in [false, true] {
                for score in [-30.0, -2.0, -0.1, 0.0, 0.7, 3.0, 30.0] {
                    let value = |by: f64| arm_loss(loss, score + by, target).0;
                    let difference = (value(1e-4) - value(-1e-4)) / 2e-4;
                    let (_, slope) = arm_loss(loss, score, target);
                    assert!(
                        (slope - difference).abs() < 1e-7 * slope.abs() + 1e-10,
                        "{loss} {target} {score}"
                    );
                }
            }
        }
    }

    #[test]
    fn saturated_scores_lose_nothing() {
        for size in [40.0, 200.0, 1e4] {
            assert_eq!(arm_loss(Loss::Ce, size, false), (size, 1.0));
            assert_eq!(arm_loss(Loss::Ce, -size, true), (size, -1.0));
            let (value, slope) = arm_loss(Loss::Ce, size, true);
            assert!((value - (-size).exp()).abs() <= 1e-12 * value && (slope + value).abs() <= 1e-12 * value);
        }
        assert_eq!(arm_loss(Loss::Ce, 0.0, true), (std::f64::consts::LN_2, -0.5));
    }

    #[test]
    fn values_and_slopes_are_pytorchs() {
        let golden = golden("objectives");
        for (name, target) in [("positive", true), ("negative", false)] {
            let scores = golden.f32("binary.score");
            let (values, slopes): (Vec<f64>, Vec<f64>) =
                scores.iter().map(|&score| arm_loss(Loss::Ce, f64::from(score), target)).unzip();
            assert_close(&values, &golden.f64(&format!("binary.{name}.float64")), 1e-15);
            assert_close(&slopes, &golden.f64(&format!("binary.{name}_gradient.float64")), 1e-15);
        }
    }
}
