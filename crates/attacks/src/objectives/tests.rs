//! Known answers and finite differences, also where a careless formula loses everything.

use approx::assert_abs_diff_eq;
use robin_core::{Columns, Error, Objective, Scores};
use robin_testkit::{assert_close, golden};

use super::*;
use crate::Loss;

fn scores(rows: &[&[f32]]) -> Scores {
    Scores::from_vec(rows.concat(), rows.len(), rows[0].len()).unwrap()
}

fn evaluate(objective: &dyn Objective, rows: &[&[f32]]) -> (Vec<f32>, Vec<f32>) {
    let evaluation = objective.evaluate(&scores(rows)).unwrap();
    (evaluation.values, evaluation.score_gradient.flatten_all().unwrap().to_vec1().unwrap())
}

fn assert_relative(found: &[f32], expected: &[f64], tolerance: f64) {
    for (f, e) in found.iter().zip(expected) {
        assert!(
            (f64::from(*f) - e).abs() <= tolerance * e.abs().max(f64::MIN_POSITIVE),
            "{found:?} {expected:?}"
        );
    }
    assert_eq!(found.len(), expected.len());
}

/// The formulas as they stand in the docs, in f64 and in the plainest way.
fn plain(loss: Loss, row: &[f64], label: usize) -> f64 {
    match loss {
        Loss::Ce => row.iter().map(|z| z.exp()).sum::<f64>().ln() - row[label],
        Loss::Margin => {
            let wrong = row.iter().enumerate().filter(|(j, _)| *j != label).map(|(_, z)| *z);
            wrong.fold(f64::NEG_INFINITY, f64::max) - row[label]
        }
        Loss::Dlr => {
            let sorted = descending(row);
            plain(Loss::Margin, row, label) / (sorted[0] - sorted[2] + 1e-12)
        }
        Loss::MarginT(_) | Loss::DlrT(_) => panic!("a targeted loss has more than a label"),
    }
}

fn descending(row: &[f64]) -> Vec<f64> {
    let mut sorted = row.to_vec();
    sorted.sort_by(|a, b| b.total_cmp(a));
    sorted
}

#[test]
fn values_and_gradients_agree_with_finite_differences_of_the_formula() {
    let rows: [&[f32]; 4] = [
        &[0.3, -1.2, 2.0, 0.7],
        &[-5.0, -3.5, -4.0, -9.0],
        &[8.0, 1.0, -6.0, 2.5],
        &[-0.1, -0.2, -0.3, -0.4],
    ];
    for loss in [Loss::Ce, Loss::Margin, Loss::Dlr] {
        for label in 0..4 {
            let objective = loss.against(vec![label; 4]);
            assert_eq!(objective.columns(), Columns::All);
            let (values, gradients) = evaluate(&*objective, &rows);
            for (at, row) in rows.iter().enumerate() {
                let row: Vec<f64> = row.iter().map(|&z| f64::from(z)).collect();
                let exact = plain(loss, &row, label as usize);
                assert!((f64::from(values[at]) - exact).abs() < 1e-6 * exact.abs().max(1.0));
                for column in 0..4 {
                    let moved = |by: f64| {
                        let mut row = row.clone();
                        row[column] += by;
                        plain(loss, &row, label as usize)
                    };
                    let difference = (moved(1e-5) - moved(-1e-5)) / 2e-5;
                    let gradient = f64::from(gradients[at * 4 + column]);
                    assert_abs_diff_eq!(gradient, difference, epsilon = 1e-6);
                }
            }
        }
    }
}

#[test]
fn saturated_cross_entropy_loses_nothing_that_f32_can_hold() {
    // Correct by 50: the value is exp(-50), where log(sum exp) - z_y would round to 0.
    let tiny = (-50.0_f64).exp();
    let (values, gradient) = evaluate(&CrossEntropy::new(vec![0]), &[&[30.0, -20.0]]);
    assert_relative(&values, &[tiny], 1e-6);
    assert_relative(&gradient, &[-tiny, tiny], 1e-6);
    // Wrong by 400 and more: linear, with a full gradient.
    let (values, gradient) =
        evaluate(&CrossEntropy::new(vec![1, 2]), &[&[200.0, -200.0, 0.0], &[-1e4, 1e4, -2e4]]);
    assert_eq!(values, [400.0, 3e4]);
    assert_relative(&gradient[..2], &[1.0, -1.0], 1e-7);
    assert_relative(&gradient[3..], &[0.0, 1.0, -1.0], 1e-7);
    // Correct by 400: below the smallest f32, and so exactly 0 rather than NaN.
    let (values, gradient) = evaluate(&CrossEntropy::new(vec![0]), &[&[200.0, -200.0]]);
    assert_eq!((values, gradient), (vec![0.0], vec![-0.0, 0.0]));
}

#[test]
fn the_margin_masks_the_right_score_by_minus_infinity() {
    // A mask of 0 would make the first value 0 + 7 and its gradient vanish.
    let (values, gradient) =
        evaluate(&Margin::new(vec![2, 0]), &[&[-9.0, -8.0, -7.0], &[-200.0, -500.0, -300.0]]);
    assert_eq!(values, [-1.0, -100.0]);
    assert_eq!(gradient, [0.0, 1.0, -1.0, -1.0, 0.0, 1.0]);
}

#[test]
fn the_margin_of_equal_wrong_scores_takes_the_first() {
    let (values, gradient) = evaluate(&Margin::new(vec![0]), &[&[1.0, 3.0, 3.0]]);
    assert_eq!((values, gradient), (vec![2.0], vec![-1.0, 1.0, 0.0]));
}

#[test]
fn a_selection_keeps_its_own_labels() {
    let rows: [&[f32]; 3] = [&[1.0, 2.0], &[0.0, 4.0], &[-1.0, 3.0]];
    for loss in [Loss::Ce, Loss::Margin] {
        let whole = loss.against(vec![0, 1, 0]);
        let (values, _) = evaluate(&*whole, &rows);
        let (chosen, _) = evaluate(&*whole.select(&[2, 1]), &[rows[2], rows[1]]);
        assert_eq!(chosen, [values[2], values[1]]);
    }
}

#[test]
fn scores_that_do_not_fit_are_refused() {
    let objective = CrossEntropy::new(vec![0, 2]);
    let refused = |rows: &[&[f32]]| objective.evaluate(&scores(rows)).unwrap_err();
    assert!(matches!(refused(&[&[1.0, 2.0]]), Error::Shape { .. }));
    assert!(matches!(refused(&[&[1.0], &[1.0]]), Error::Shape { .. }));
    assert!(matches!(
        refused(&[&[1.0, 2.0], &[1.0, 2.0]]),
        Error::Label { example: 1, label: 2, classes: 2 }
    ));
    assert!(matches!(
        refused(&[&[1.0, 2.0, 0.0], &[0.0, 0.0, f32::NAN]]),
        Error::NotFinite { example: 1, .. }
    ));
}

#[test]
fn values_and_gradients_are_pytorchs() {
    let golden = golden("objectives");
    for case in ["ten", "two"] {
        let logits = golden.f32(&format!("{case}.logits"));
        let labels = golden.integers(&format!("{case}.labels"));
        let rows: Vec<&[f32]> = logits.chunks_exact(logits.len() / labels.len()).collect();
        for (loss, quantity) in [(Loss::Ce, "cross_entropy"), (Loss::Margin, "margin")] {
            let (values, gradient) = evaluate(&*loss.against(labels.clone()), &rows);
            assert_close(&values, &golden.f64(&format!("{case}.{quantity}.float64")), 1e-7);
            assert_close(&gradient, &golden.f64(&format!("{case}.{quantity}_gradient.float64")), 1e-7);
        }
    }
}

#[test]
fn targeted_objectives_agree_with_finite_differences_of_their_formulas() {
    let rows: [&[f32]; 3] =
        [&[0.3, -1.2, 2.0, 0.7, 0.1], &[-5.0, -3.5, -4.0, -9.0, -4.5], &[8.0, 1.0, -6.0, 2.5, 7.0]];
    type Formula = fn(&[f64], usize, usize) -> f64;
    let margin: Formula = |row, label, target| row[target] - row[label];
    let ratio: Formula = |row, label, target| {
        let sorted = descending(row);
        (row[target] - row[label]) / (sorted[0] - 0.5 * (sorted[2] + sorted[3]) + 1e-12)
    };
    let toward: Formula = |row, _, target| row[target] - row.iter().map(|z| z.exp()).sum::<f64>().ln();
    for label in 0..5 {
        for target in (0..5).filter(|&target| target != label) {
            let (labels, targets) = (vec![label; 3], vec![target; 3]);
            let objectives: [(Box<dyn Objective>, Formula); 3] = [
                (Box::new(TargetedMargin::new(labels.clone(), targets.clone())), margin),
                (Box::new(TargetedDlr::new(labels.clone(), targets.clone())), ratio),
                (Box::new(TargetedCrossEntropy::new(targets.clone())), toward),
            ];
            for (which, (objective, formula)) in objectives.iter().enumerate() {
                let (values, gradients) = evaluate(&**objective, &rows);
                for (at, row) in rows.iter().enumerate() {
                    let row: Vec<f64> = row.iter().map(|&z| f64::from(z)).collect();
                    let value = |row: &[f64]| formula(row, label as usize, target as usize);
                    assert!((f64::from(values[at]) - value(&row)).abs() < 1e-6 * value(&row).abs().max(1.0));
                    for column in 0..5 {
                        let moved = |by: f64| {
                            let mut row = row.clone();
                            row[column] += by;
                            value(&row)
                        };
                        let difference = (moved(1e-5) - moved(-1e-5)) / 2e-5;
                        let gradient = f64::from(gradients[at * 5 + column]);
                        assert!(
                            (gradient - difference).abs() < 1e-6,
                            "{which} {label} {target} {at} {column}"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn the_ratio_does_not_see_scale_and_stays_finite_where_scores_are_equal() {
    let row = [0.5_f32, -1.0, 2.0, 0.25];
    let scaled = row.map(|z| 1024.0 * z);
    let (values, gradient) = evaluate(&Dlr::new(vec![0, 0]), &[&row, &scaled]);
    assert_eq!(values[0], values[1]);
    assert_relative(
        &gradient[4..],
        &gradient[..4].iter().map(|&g| f64::from(g) / 1024.0).collect::<Vec<_>>(),
        1e-6,
    );
    let (values, gradient) = evaluate(&Dlr::new(vec![1]), &[&[3.0, 3.0, 3.0]]);
    assert_eq!(values, [0.0]);
    assert!(gradient.iter().all(|slope| slope.is_finite()));
}
