//! Section 3's task: a classifier of many classes is asked whether an example is of one class.

use robin_core::{Columns, Objective, ObjectiveValues, Result, Scores};

use super::cross_entropy::cross_entropy;
use super::{evaluate_towards, highest_but};

/// Cross-entropy against the class: raised for its own examples, which shall leave it, and lowered for all others,
/// which shall enter it (paper 3.2: untargeted and targeted). `log(sum_j exp(z_j)) - z_c`, and minus that.
#[derive(Debug, Clone)]
pub struct OneClassCrossEntropy(Question);

/// `max_{j != c} z_j - z_c` for the class's own examples, and `z_c - max_{j != c} z_j` for all others: positive
/// exactly where the answer is wrong.
#[derive(Debug, Clone)]
pub struct OneClassMargin(Question);

/// The class that is asked for, and true labels `[n]`.
#[derive(Debug, Clone)]
struct Question {
    class: u32,
    labels: Vec<u32>,
}

impl Question {
    /// Evaluates `row(scores, class, gradient) -> value`, which rises as an example leaves the class, and turns it
    /// round for examples that are not of it.
    fn evaluate(
        &self,
        scores: &Scores,
        row: impl Fn(&[f32], usize, &mut [f32]) -> f64,
    ) -> Result<ObjectiveValues> {
        let class = vec![self.class; self.labels.len()];
        evaluate_towards(scores, &self.labels, &class, |scores, label, class, gradient| {
            let value = row(scores, class, gradient);
            if label == class {
                return value;
            }
            gradient.iter_mut().for_each(|slope| *slope = -*slope);
            -value
        })
    }

    fn select(&self, rows: &[usize]) -> Self {
        Self { class: self.class, labels: rows.iter().map(|&row| self.labels[row]).collect() }
    }
}

impl OneClassCrossEntropy {
    /// For `class`, of examples with `labels` `[n]`.
    pub fn new(class: u32, labels: Vec<u32>) -> Self {
        Self(Question { class, labels })
    }
}

impl Objective for OneClassCrossEntropy {
    fn columns(&self) -> Columns {
        Columns::All
    }

    fn evaluate(&self, scores: &Scores) -> Result<ObjectiveValues> {
        self.0.evaluate(scores, cross_entropy)
    }

    fn select(&self, rows: &[usize]) -> Box<dyn Objective> {
        Box::new(Self(self.0.select(rows)))
    }
}

impl OneClassMargin {
    /// For `class`, of examples with `labels` `[n]`.
    pub fn new(class: u32, labels: Vec<u32>) -> Self {
        Self(Question { class, labels })
    }
}

impl Objective for OneClassMargin {
    fn columns(&self) -> Columns {
        Columns::All
    }

    fn evaluate(&self, scores: &Scores) -> Result<ObjectiveValues> {
        self.0.evaluate(scores, |scores, class, gradient| {
            let (other, highest) = highest_but(scores, class);
            gradient[other] = 1.0;
            gradient[class] = -1.0;
            f64::from(highest) - f64::from(scores[class])
        })
    }

    fn select(&self, rows: &[usize]) -> Box<dyn Objective> {
        Box::new(Self(self.0.select(rows)))
    }

    fn is_signed(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use approx::assert_abs_diff_eq;
    use robin_core::{Error, OneClass, SuccessCriterion};

    use super::*;

    fn evaluate(objective: &dyn Objective, rows: &[&[f32]]) -> (Vec<f32>, Vec<Vec<f32>>) {
        let scores = Scores::from_vec(rows.concat(), rows.len(), rows[0].len()).unwrap();
        let found = objective.evaluate(&scores).unwrap();
        (found.values, found.score_gradient.to_vec2().unwrap())
    }

    /// Also of confusions among the others, which are right answers.
    #[test]
    fn the_margin_is_positive_exactly_where_the_criterion_says_misclassified() {
        let rows: [&[f32]; 4] = [&[2.0, 1.0, -1.0], &[-3.0, -1.0, -2.0], &[0.0, -0.5, 4.0], &[1.0, 3.0, 2.5]];
        for class in 0..3 {
            for label in 0..3 {
                let criterion = OneClass { class };
                let (values, _) = evaluate(&OneClassMargin::new(class, vec![label; 4]), &rows);
                for (row, value) in rows.iter().zip(values) {
                    let prediction = (0..3).max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap() as u32;
                    assert_eq!(
                        value > 0.0,
                        criterion.misclassified(prediction, label),
                        "{class} {label} {row:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn examples_leave_the_class_or_enter_it() {
        let row: &[f32] = &[0.5, 0.25, -2.0];
        let (values, gradients) = evaluate(&OneClassMargin::new(1, vec![1, 2]), &[row, row]);
        assert_eq!(values, [0.25, -0.25]);
        assert_eq!(gradients, [[1.0, -1.0, 0.0], [-1.0, 1.0, 0.0]]);

        let (values, gradients) = evaluate(&OneClassCrossEntropy::new(1, vec![1, 2]), &[row, row]);
        let sum: f64 = row.iter().map(|&z| f64::from(z).exp()).sum();
        let exact = sum.ln() - 0.25;
        assert!((f64::from(values[0]) - exact).abs() < 1e-6 && values[1] == -values[0], "{values:?}");
        for (column, &z) in row.iter().enumerate() {
            let slope = f64::from(z).exp() / sum - f64::from(u8::from(column == 1));
            assert_abs_diff_eq!(f64::from(gradients[0][column]), slope, epsilon = 1e-6);
            assert_eq!(gradients[1][column], -gradients[0][column]);
        }
    }

    #[test]
    fn a_selection_keeps_its_own_labels_and_a_class_that_there_is_not_is_refused() {
        let row: &[f32] = &[0.5, 0.25];
        let whole = OneClassMargin::new(0, vec![0, 1, 1]);
        let scores = Scores::from_vec(row.repeat(2), 2, 2).unwrap();
        assert_eq!(whole.select(&[2, 0]).evaluate(&scores).unwrap().values, [0.25, -0.25]);
        let refused = OneClassMargin::new(2, vec![0, 1]).evaluate(&scores).unwrap_err();
        assert!(matches!(refused, Error::Label { label: 2, classes: 2, .. }));
    }
}
