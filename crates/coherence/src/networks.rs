//! Coherence of several networks for one task.

use candle_core::{Device, Tensor};
use robin_core::{Batch, Classifier, Columns, Error, Result, host};

use crate::Example;
use crate::term::{Term, example, sigmoid};

/// The largest cosine over all pairs of `networks` of every example of `batch`, where `L_i` is the cross-entropy of
/// network i against the label (the paper's Figure 6: 5 networks, 10 pairs).
///
/// # Errors
/// [`Error::Shape`] with less than two networks, [`Error::TooFewClasses`] for one with less than two classes,
/// [`Error::Label`] and others of [`Batch::validate`]; otherwise as the classifiers'.
pub fn networks(networks: &[&dyn Classifier], batch: &Batch) -> Result<Vec<Example>> {
    let count = networks.len();
    if count < 2 {
        return Err(Error::Shape {
            what: "networks",
            found: vec![count],
            expected: "[m], m >= 2".to_owned(),
        });
    }
    for network in networks {
        let classes = network.num_classes();
        if classes < 2 {
            return Err(Error::TooFewClasses { loss: "coherence", least: 2, classes });
        }
        batch.validate(classes)?;
    }
    let (n, length) = host::image_rows("images", &batch.images)?;
    let terms: Vec<Term> = networks.iter().map(|network| term(*network, batch)).collect::<Result<_>>()?;
    let pairs = || (0..count).flat_map(|a| (a + 1..count).map(move |b| [a, b]));
    Ok((0..n).map(|row| example(&terms, row, length, pairs())).collect())
}

/// The cross-entropy of one network.
fn term(network: &dyn Classifier, batch: &Batch) -> Result<Term> {
    let classes = network.num_classes();
    let pass = network.forward(&batch.images, &Columns::All)?;
    let scores = host::to_vec(pass.scores().tensor())?;
    let mut upstream = vec![0.0_f32; scores.len()];
    let rows = scores.chunks_exact(classes).zip(upstream.chunks_exact_mut(classes)).zip(&batch.labels);
    let factor =
        rows.map(|((scores, slope), &label)| margin(scores, label as usize, slope)).map(sigmoid).collect();
    let upstream = Tensor::from_vec(upstream, (batch.len(), classes), &Device::Cpu)?;
    Ok(Term { direction: host::to_vec(&pass.input_gradient(&upstream)?)?, factor })
}

/// `log sum_{j != y} exp(z_j) - z_y`, and its slope on the scores.
fn margin(scores: &[f32], label: usize, slope: &mut [f32]) -> f64 {
    let wrong = || scores.iter().enumerate().filter(|(class, _)| *class != label);
    let top = wrong().map(|(_, &z)| f64::from(z)).fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = wrong().map(|(_, &z)| (f64::from(z) - top).exp()).sum();
    for (class, &z) in wrong() {
        slope[class] = ((f64::from(z) - top).exp() / sum) as f32;
    }
    slope[label] = -1.0;
    top + sum.ln() - f64::from(scores[label])
}

#[cfg(test)]
mod tests {
    use approx::assert_abs_diff_eq;
    use robin_core::{ExampleId, Seed};
    use robin_testkit::toy::Linear;

    use super::*;
    use crate::Coherence;

    fn batch(labels: &[u32]) -> Batch {
        let images = Tensor::full(0.5_f32, (labels.len(), 1, 1, 2), &Device::Cpu).unwrap();
        let ids = (0..labels.len() as u32).map(ExampleId::first).collect();
        Batch::new(images, labels.to_vec(), ids).unwrap()
    }

    /// Two classes, the second of which rises at this angle, in degrees.
    fn at(angle: f64) -> Linear {
        let (sin, cos) = angle.to_radians().sin_cos();
        Linear::new(vec![0.0, 0.0, cos as f32, sin as f32], vec![0.0, -0.25], [1, 1, 2])
    }

    #[test]
    fn the_largest_of_all_pairs_is_found() {
        let [a, b, c] = [at(0.0), at(70.0), at(190.0)];
        // Of either label: both gradients turn round together.
        for example in networks(&[&a, &b, &c], &batch(&[0, 1])).unwrap() {
            let Coherence::Cosine { value, of } = example.coherence else { panic!("{example:?}") };
            assert_abs_diff_eq!(value, 70_f64.to_radians().cos(), epsilon = 1e-6);
            assert_eq!(of, [0, 1]);
        }
    }

    #[test]
    fn equal_networks_are_wholly_coherent_and_opposite_ones_not_at_all() {
        let model = Linear::seeded(4, [1, 1, 2], Seed::new(1));
        let same = networks(&[&model, &model.clone().scaled(3.0)], &batch(&[0, 3])).unwrap();
        let opposite = networks(&[&at(20.0), &at(200.0)], &batch(&[0])).unwrap();
        assert_abs_diff_eq!(opposite[0].coherence.value().unwrap(), -1.0, epsilon = 1e-6);
        // Other weights of the wrong classes, but the same directions between two classes.
        assert!(same.iter().all(|example| example.coherence.value().unwrap() > 0.0));
        let twice = networks(&[&model, &model], &batch(&[0, 3])).unwrap();
        assert!(twice.iter().all(|example| (example.coherence.value().unwrap() - 1.0).abs() < 1e-12));
    }

    /// The gradient of the cross-entropy is `softmax - one-hot`, pulled back through the weights.
    #[test]
    fn norms_are_those_of_the_cross_entropys_gradient() {
        let model = Linear::seeded(3, [1, 1, 2], Seed::new(2));
        let batch = batch(&[1]);
        let found = &networks(&[&model, &model], &batch).unwrap()[0];
        let scores = model.scores(&batch.images, &Columns::All).unwrap().to_vec().unwrap();
        let sum: f64 = scores.iter().map(|&z| f64::from(z).exp()).sum();
        let mut gradient = [0.0_f64; 2];
        for (class, &z) in scores.iter().enumerate() {
            let slope = f64::from(z).exp() / sum - f64::from(u8::from(class == 1));
            let (weights, _) = model.class(class as u32);
            gradient.iter_mut().zip(weights).for_each(|(g, &w)| *g += slope * f64::from(w));
        }
        let expected = gradient[0].hypot(gradient[1]);
        assert_abs_diff_eq!(found.norms[0] / expected, 1.0, epsilon = 1e-5);
    }

    #[test]
    fn a_network_alone_is_refused() {
        let error = networks(&[&at(0.0)], &batch(&[0])).unwrap_err();
        assert!(matches!(error, Error::Shape { what: "networks", .. }), "{error}");
    }
}
