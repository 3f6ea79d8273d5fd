//! Cross-entropies of k questions "is it class j?", one for each score column.

use robin_core::{Columns, Objective, ObjectiveValues, Result, Scores};

use super::evaluate_rows;

/// `log(1 + exp(-z_y)) + sum_{j != y} log(1 + exp(z_j))` (natural logarithm), where column `j` is the log-odds of
/// "is class j": the sum of what the k arms of one-vs-all lower each for itself, for a network that has them as its
/// outputs. Larger is closer to misclassified.
///
/// Exact where it saturates, like [`super::CrossEntropy`].
#[derive(Debug, Clone)]
pub struct OneVsAllCrossEntropy {
    labels: Vec<u32>,
}

impl OneVsAllCrossEntropy {
    /// Against `labels` `[n]`.
    pub fn new(labels: Vec<u32>) -> Self {
        Self { labels }
    }
}

impl Objective for OneVsAllCrossEntropy {
    fn columns(&self) -> Columns {
        Columns::All
    }

    fn evaluate(&self, scores: &Scores) -> Result<ObjectiveValues> {
        evaluate_rows(scores, &self.labels, |scores, label, gradient| {
            let answers = scores.iter().zip(gradient).enumerate();
            answers
                .map(|(column, (&score, slot))| {
                    let sign = if column == label { -1.0 } else { 1.0 };
                    let wrong = sign * f64::from(score);
                    // The probability of the wrong answer, without overflow on either side.
                    let small = (-wrong.abs()).exp();
                    let probability = if wrong > 0.0 { 1.0 } else { small } / (1.0 + small);
                    *slot = (sign * probability) as f32;
                    wrong.max(0.0) + small.ln_1p()
                })
                .sum()
        })
    }

    fn select(&self, rows: &[usize]) -> Box<dyn Objective> {
        Box::new(Self::new(rows.iter().map(|&row| self.labels[row]).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objectives::CrossEntropy;
    use approx::assert_abs_diff_eq;

    fn evaluate(objective: &dyn Objective, row: &[f32]) -> (f64, Vec<f32>) {
        let found = objective.evaluate(&Scores::from_vec(row.to_vec(), 1, row.len()).unwrap()).unwrap();
        (f64::from(found.values[0]), found.score_gradient.flatten_all().unwrap().to_vec1().unwrap())
    }

    /// An arm has two logits, whose difference is the log-odds.
    #[test]
    fn it_is_the_sum_of_what_the_arms_lower() {
        let row = [0.5, -1.25, 3.0, 0.0];
        for label in 0..4 {
            let (value, gradient) = evaluate(&OneVsAllCrossEntropy::new(vec![label]), &row);
            let arms: Vec<_> = (0..4)
                .map(|arm| {
                    let objective = CrossEntropy::new(vec![u32::from(arm as u32 == label)]);
                    evaluate(&objective, &[0.0, row[arm]])
                })
                .collect();
            let sum: f64 = arms.iter().map(|(value, _)| value).sum();
            assert_abs_diff_eq!(value, sum, epsilon = 1e-6);
            for (slope, (_, arm)) in gradient.iter().zip(&arms) {
                assert_abs_diff_eq!(*slope, arm[1], epsilon = 1e-6);
            }
        }
    }

    #[test]
    fn nothing_is_lost_where_it_saturates() {
        let (value, gradient) = evaluate(&OneVsAllCrossEntropy::new(vec![0]), &[60.0, -50.0]);
        let exact = (-60f64).exp() + (-50f64).exp();
        assert_abs_diff_eq!(value / exact, 1.0, epsilon = 1e-6);
        assert_abs_diff_eq!(f64::from(gradient[0]) / -(-60f64).exp(), 1.0, epsilon = 1e-6);
        assert_abs_diff_eq!(f64::from(gradient[1]) / (-50f64).exp(), 1.0, epsilon = 1e-6);
        assert_eq!(
            evaluate(&OneVsAllCrossEntropy::new(vec![0]), &[-500.0, 500.0]),
            (1000.0, vec![-1.0, 1.0])
        );
    }

    #[test]
    fn a_selection_keeps_its_own_labels() {
        let whole = OneVsAllCrossEntropy::new(vec![0, 1, 1]);
        let scores = Scores::from_vec([0.5, 0.25].repeat(2), 2, 2).unwrap();
        let picked = whole.select(&[2, 0]).evaluate(&scores).unwrap().values;
        let [one, zero] =
            [1, 0].map(|label| evaluate(&OneVsAllCrossEntropy::new(vec![label]), &[0.5, 0.25]).0);
        assert_eq!(picked.iter().map(|&v| f64::from(v)).collect::<Vec<_>>(), [one, zero]);
    }
}
