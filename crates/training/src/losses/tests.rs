use approx::assert_abs_diff_eq;
use robin_core::{Objective, host};
use robin_testkit::{Probe, assert_close, golden, gradcheck};

use super::*;

/// Every loss by the name of its golden numbers: value of one example, with gradients.
type Row = dyn Fn(&LogSoftmax, &LogSoftmax, usize, &mut [f64], &mut [f64]) -> f64;

fn rows() -> Vec<(&'static str, Box<Row>)> {
    vec![
        ("smoothed", Box::new(|p, _, label, gradient, _| cross_entropy::row(p, label, 0.1, gradient))),
        (
            "trades",
            Box::new(|p, q, label, on_p, on_q| {
                cross_entropy::row(p, label, 0.0, on_p) + 6.0 * divergence::row(p, q, 6.0, on_p, on_q)
            }),
        ),
        ("mart", Box::new(|p, q, label, on_p, on_q| mart::row(p, q, label, 5.0, on_p, on_q))),
    ]
}

fn losses(name: &str, clean: &Scores, perturbed: &Scores, labels: &[u32]) -> Losses {
    match name {
        "smoothed" => {
            let mut losses = cross_entropy(clean, labels, 0.1).unwrap();
            losses.gradients.push(clean.tensor().zeros_like().unwrap());
            losses
        }
        "trades" => trades(clean, perturbed, labels, 6.0, 0.0).unwrap(),
        _ => mart(clean, perturbed, labels, 5.0).unwrap(),
    }
}

#[test]
fn values_and_gradients_are_pytorchs_in_float64_also_saturated() {
    let golden = golden("losses");
    for classes in ["two", "ten"] {
        let logits = |side: &str| Scores::new(golden.tensor(&format!("{classes}.{side}"))).unwrap();
        let (clean, perturbed) = (logits("clean"), logits("perturbed"));
        let labels = golden.integers(&format!("{classes}.labels"));
        for (name, _) in rows() {
            let found = losses(name, &clean, &perturbed, &labels);
            let key = |part: &str| format!("{classes}.{name}{part}.float64");
            for (at, (found, expected)) in found.values.iter().zip(golden.f64(&key(""))).enumerate() {
                let error = (found - expected).abs() / expected.abs().max(1e-12);
                assert!(error < 1e-9, "{classes} {name} example {at}: {found} against {expected}");
            }
            for (side, gradient) in ["clean", "perturbed"].iter().zip(&found.gradients) {
                let expected = golden.f64(&key(&format!("_gradient.{side}")));
                for (at, (found, expected)) in
                    host::to_vec(gradient).unwrap().iter().zip(expected).enumerate()
                {
                    let error = (f64::from(*found) - expected).abs();
                    // The reference loses digits where it subtracts numbers near 1.
                    assert!(
                        error <= 2e-7 * expected.abs() + 1e-14,
                        "{classes} {name} {side} {at}: {found} {expected}"
                    );
                }
            }
        }
    }
}

#[test]
fn gradients_agree_with_differences_in_f64() {
    for k in [2, 10] {
        let point: Vec<f64> = (0..2 * k).map(|i| 3.0 * (1.7 * i as f64).sin() + 0.1 * i as f64).collect();
        for (name, row) in rows() {
            for label in [0, k - 1] {
                let value = |z: &[f64], gradient: &mut [f64]| {
                    let (on_p, on_q) = gradient.split_at_mut(k);
                    row(&LogSoftmax::of(&z[..k]), &LogSoftmax::of(&z[k..]), label, on_p, on_q)
                };
                let mut gradient = vec![0.0; 2 * k];
                value(&point, &mut gradient);
                assert!(gradient.iter().any(|&g| g.abs() > 1e-3), "{name}");
                let agreement = gradcheck(&point, &gradient, Probe::F64, |z| value(z, &mut vec![0.0; 2 * k]));
                agreement.assert_all_within(1e-6);
            }
        }
    }
}

#[test]
fn the_attacks_objective_is_the_losses_divergence() {
    let clean = Scores::from_vec(vec![1.0, -2.0, 0.5, 60.0, -60.0, 0.0], 2, 3).unwrap();
    let perturbed = Scores::from_vec(vec![0.0, -1.0, 0.7, -60.0, 60.0, 3.0], 2, 3).unwrap();
    let objective = Divergence::from(&clean).unwrap();
    let found = objective.evaluate(&perturbed).unwrap();
    let both = trades(&clean, &perturbed, &[0, 0], 1.0, 0.0).unwrap();
    let plain = cross_entropy(&clean, &[0, 0], 0.0).unwrap();
    for row in 0..2 {
        let expected = both.values[row] - plain.values[row];
        assert_abs_diff_eq!(f64::from(found.values[row]), expected, epsilon = 1e-5 * expected);
    }
    let gradient = host::to_vec(&found.score_gradient).unwrap();
    assert_eq!(gradient, host::to_vec(&both.gradients[1]).unwrap());
    // Two rows in another order.
    let swapped = objective.select(&[1, 0]);
    let rows = Scores::new(host::select(perturbed.tensor(), &[1, 0]).unwrap()).unwrap();
    assert_eq!(swapped.evaluate(&rows).unwrap().values, [found.values[1], found.values[0]]);
    // Nothing to maximise at the clean image.
    let still = objective.evaluate(&clean).unwrap();
    assert_eq!(still.values, [0.0; 2]);
    assert_eq!(host::to_vec(&still.score_gradient).unwrap(), [0.0; 6]);
    assert!(objective.evaluate(&Scores::from_vec(vec![0.0; 4], 2, 2).unwrap()).is_err());
}

#[test]
fn no_logit_in_reach_of_f32_gives_a_nan() {
    let extremes = [0.0, 1e-30, -60.0, 60.0, 200.0, -200.0, 1e30, -3e38];
    for &a in &extremes {
        for &b in &extremes {
            let clean = Scores::from_vec(vec![a, b, 1.0], 1, 3).unwrap();
            let perturbed = Scores::from_vec(vec![b, a, -1.0], 1, 3).unwrap();
            for (name, _) in rows() {
                let found = losses(name, &clean, &perturbed, &[0]);
                assert!(found.values[0].is_finite(), "{name} {a} {b}: {found:?}");
                for gradient in &found.gradients {
                    assert!(host::to_vec(gradient).unwrap().iter().all(|g| !g.is_nan()), "{name} {a} {b}");
                }
            }
        }
    }
}

#[test]
fn without_smoothing_it_is_the_attacks_cross_entropy() {
    let logits = Scores::from_vec(vec![1.0, -2.0, 0.5, 60.0, -60.0, 0.0], 2, 3).unwrap();
    let plain = cross_entropy(&logits, &[1, 0], 0.0).unwrap();
    let slightly = cross_entropy(&logits, &[1, 0], 1e-12).unwrap();
    assert_close(&plain.values, &slightly.values, 1e-6);
    let gradients = [&plain, &slightly].map(|losses| host::to_vec(&losses.gradients[0]).unwrap());
    assert_close(&gradients[0], &gradients[1], 1e-6);
}

#[test]
fn logits_and_labels_that_do_not_fit_are_refused() {
    let (three, two) = (Scores::from_vec(vec![0.0; 6], 2, 3), Scores::from_vec(vec![0.0; 4], 2, 2));
    let (three, two) = (three.unwrap(), two.unwrap());
    assert!(matches!(trades(&three, &two, &[0, 1], 1.0, 0.0), Err(Error::Shape { .. })));
    assert!(matches!(mart(&two, &two, &[0, 2], 1.0), Err(Error::Label { example: 1, label: 2, classes: 2 })));
    assert!(matches!(cross_entropy(&two, &[0], 0.1), Err(Error::Shape { .. })));
    let nan = Scores::from_vec(vec![0.0, f32::NAN, 0.0, 0.0], 2, 2).unwrap();
    assert!(matches!(trades(&two, &nan, &[0, 1], 1.0, 0.0), Err(Error::NotFinite { example: 0, .. })));
}
