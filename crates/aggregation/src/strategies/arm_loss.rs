//! Arms' own binary losses as an objective.

use candle_core::{Device, Tensor};
use robin_attacks::Loss;
use robin_core::{
    ColumnTable, Columns, Error, Objective, ObjectiveSpec, ObjectiveValues, Result, Scores, Terms,
};

/// The weighted sum over an example's columns of `b_i(t)`, arm i's loss against the target t in {0, 1}; the
/// mean unless told otherwise.
///
/// Loss `ce`: `b_i(1) = softplus(-s_i)`, `b_i(0) = softplus(s_i)`. Loss `margin`: `b_i(1) = -s_i`,
/// `b_i(0) = s_i`. In f64, rounded to f32 at the end.
#[derive(Debug, Clone)]
pub(super) struct ArmLoss {
    loss: Loss,
    columns: Columns,
    /// Weight of each column, `[width]`.
    shares: Vec<f64>,
    /// `[n * width]`.
    targets: Vec<bool>,
}

impl ArmLoss {
    /// The mean. `targets` has one entry per example and column: as many columns as `columns` has for `n`
    /// examples.
    pub(super) fn new(loss: Loss, columns: Columns, n: usize, targets: Vec<bool>) -> Self {
        let width = targets.len().checked_div(n).unwrap_or(1).max(1);
        Self { loss, columns, shares: vec![1.0 / width as f64; width], targets }
    }

    /// The sum weighted by `shares` `[width]`.
    pub(super) fn weighted(self, shares: Vec<f64>) -> Self {
        debug_assert_eq!(shares.len(), self.shares.len(), "one weight per column");
        Self { shares, ..self }
    }

    /// Weight of each column.
    pub(super) fn shares(&self) -> &[f64] {
        &self.shares
    }

    /// The same for the examples at `rows`.
    pub(super) fn select_rows(&self, rows: &[usize]) -> Self {
        let width = self.shares.len();
        let targets = rows.iter().flat_map(|&row| &self.targets[row * width..(row + 1) * width]).copied();
        Self {
            loss: self.loss,
            columns: self.columns.select(rows),
            shares: self.shares.clone(),
            targets: targets.collect(),
        }
    }

    /// Each column as an objective of its own, unweighted.
    pub(super) fn terms(&self) -> Vec<Box<dyn Objective>> {
        let width = self.shares.len();
        let n = self.targets.len() / width;
        let term = |at: usize| {
            let columns = match &self.columns {
                Columns::All => Columns::One(at),
                Columns::One(column) => Columns::One(*column),
                Columns::PerExample(table) => Columns::PerExample(ColumnTable {
                    width: 1,
                    indices: (0..n).map(|row| table.row(row)[at]).collect(),
                }),
            };
            let targets = self.targets.iter().skip(at).step_by(width).copied().collect();
            Box::new(Self::new(self.loss, columns, n, targets)) as Box<dyn Objective>
        };
        (0..width).map(term).collect()
    }
}

impl Objective for ArmLoss {
    fn columns(&self) -> Columns {
        self.columns.clone()
    }

    fn evaluate(&self, scores: &Scores) -> Result<ObjectiveValues> {
        let width = self.shares.len();
        let n = self.targets.len() / width;
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
        let row_value = |row: &[(f64, f64)]| {
            row.iter().zip(&self.shares).map(|((value, _), share)| share * value).sum::<f64>() as f32
        };
        let values = terms.chunks_exact(width).map(row_value).collect();
        let shares = self.shares.iter().cycle();
        let gradient: Vec<f32> =
            terms.iter().zip(shares).map(|((_, slope), share)| (share * slope) as f32).collect();
        Ok(ObjectiveValues { values, score_gradient: Tensor::from_vec(gradient, (n, width), &Device::Cpu)? })
    }

    fn spec(&self) -> Option<ObjectiveSpec> {
        let terms = Terms::Arms { targets: self.targets.clone(), shares: self.shares.clone() };
        (self.loss == Loss::Ce).then(|| ObjectiveSpec { columns: self.columns.clone(), terms })
    }

    /// A single arm's margin is 0 on that arm's border, and the mean of two opposite ones where they are equal. No other sum is
    /// 0 on a border.
    fn is_signed(&self) -> bool {
        let opposite = || self.targets.chunks_exact(2).all(|pair| *pair == [true, false]);
        self.loss == Loss::Margin
            && match self.shares[..] {
                [_] => true,
                [one, other] => one == other && opposite(),
                _ => false,
            }
    }

    fn select(&self, rows: &[usize]) -> Box<dyn Objective> {
        Box::new(self.select_rows(rows))
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
