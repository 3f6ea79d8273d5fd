//! Coherence of the arms of a one-vs-all classifier.

use candle_core::{Device, Tensor};
use robin_core::{Batch, Classifier, Columns, Error, Result, host};

use crate::Example;
use crate::term::{Term, example, sigmoid};

/// `max_{j != y} cos(grad L_y, grad L_j)` of every example of `batch`, where `L_i = b_i(1[y = i])` is the binary
/// cross-entropy of arm i and the gradient is that on the clean image (paper, equation 1).
///
/// `model`'s score columns are its arms' log-odds `s_i`: one-vs-all, or a shared trunk.
///
/// # Errors
/// [`Error::TooFewClasses`] with less than two arms, [`Error::Label`] for a label without an arm and others of
/// [`Batch::validate`]; otherwise as the classifier's.
pub fn arms(model: &dyn Classifier, batch: &Batch) -> Result<Vec<Example>> {
    let count = model.num_classes();
    if count < 2 {
        return Err(Error::TooFewClasses { loss: "coherence", least: 2, classes: count });
    }
    batch.validate(count)?;
    let (n, length) = host::image_rows("images", &batch.images)?;
    let terms: Vec<Term> = (0..count).map(|arm| term(model, batch, arm)).collect::<Result<_>>()?;
    let of = |row: usize| {
        let label = batch.labels[row] as usize;
        let others = (0..count).filter(|&arm| arm != label);
        example(&terms, row, length, others.map(|arm| [label, arm]))
    };
    Ok((0..n).map(of).collect())
}

/// The loss of one arm.
fn term(model: &dyn Classifier, batch: &Batch, arm: usize) -> Result<Term> {
    let pass = model.forward(&batch.images, &Columns::One(arm))?;
    // Not `Scores::to_vec`, which refuses what is not finite: here such an example is counted.
    let scores = host::to_vec(pass.scores().tensor())?;
    let upstream = Tensor::ones((batch.len(), 1), candle_core::DType::F32, &Device::Cpu)?;
    let direction = host::to_vec(&pass.input_gradient(&upstream)?)?;
    let signed = |(&score, &label): (&f32, &u32)| match label as usize == arm {
        true => -sigmoid(-f64::from(score)),
        false => sigmoid(f64::from(score)),
    };
    Ok(Term { direction, factor: scores.iter().zip(&batch.labels).map(signed).collect() })
}

#[cfg(test)]
mod tests {
    use approx::assert_abs_diff_eq;
    use robin_core::ExampleId;
    use robin_testkit::toy::Linear;

    use super::*;
    use crate::Coherence;

    fn batch(labels: &[u32]) -> Batch {
        let images = Tensor::full(0.5_f32, (labels.len(), 1, 1, 2), &Device::Cpu).unwrap();
        let ids = (0..labels.len() as u32).map(ExampleId::first).collect();
        Batch::new(images, labels.to_vec(), ids).unwrap()
    }

    /// Arms in the plane whose scores rise at these angles, in degrees; `bias` on every score at (0.5, 0.5).
    fn at(angles: &[f64], lengths: &[f64], bias: f32) -> Linear {
        let slopes = angles.iter().zip(lengths).flat_map(|(angle, length)| {
            [angle.to_radians().cos() * length, angle.to_radians().sin() * length]
        });
        let weights: Vec<f32> = slopes.map(|slope| slope as f32).collect();
        let biases = weights.chunks(2).map(|w| bias - 0.5 * (w[0] + w[1])).collect();
        Linear::new(weights, biases, [1, 1, 2])
    }

    fn cosine(example: &Example) -> (f64, [usize; 2]) {
        match example.coherence {
            Coherence::Cosine { value, of } => (value, of),
            other => panic!("no cosine: {other:?}"),
        }
    }

    /// The right arm is lowered and the wrong ones are raised, so the cosine is minus that of the scores.
    #[test]
    fn linear_arms_have_the_cosine_of_their_angles_whatever_their_lengths() {
        let model = at(&[0.0, 60.0, 150.0], &[1.0, 7.0, 0.01], 0.0);
        let found = arms(&model, &batch(&[0, 1, 2])).unwrap();
        let cos = |degrees: f64| degrees.to_radians().cos();
        let expected = [(-cos(150.0), [0, 2]), (-cos(90.0), [1, 2]), (-cos(150.0), [2, 0])];
        for (example, (value, of)) in found.iter().zip(expected) {
            let (found, pair) = cosine(example);
            assert_abs_diff_eq!(found, value, epsilon = 1e-6);
            assert_eq!(pair, of);
        }
        // At score 0 a loss's slope is half the score's.
        for (norm, expected) in found[0].norms.iter().zip([0.5, 3.5, 0.005]) {
            assert_abs_diff_eq!(norm / expected, 1.0, epsilon = 1e-6);
        }
    }

    /// exp(-200) is no f32 number: a gradient computed in f32 would be zero, or noise.
    #[test]
    fn saturated_arms_keep_their_direction_and_say_how_small_they_are() {
        let model = at(&[0.0, 120.0], &[1.0, 1.0], 200.0);
        let found = &arms(&model, &batch(&[0])).unwrap()[0];
        let (value, _) = cosine(found);
        assert_abs_diff_eq!(value, 0.5, epsilon = 1e-6);
        let tiny = (-200.0_f64).exp();
        assert_abs_diff_eq!(found.norms[0] / tiny, 1.0, epsilon = 1e-4);
        assert_abs_diff_eq!(found.norms[1], 1.0, epsilon = 1e-6);
        // And beyond what f64 holds there is no gradient.
        let beyond = at(&[0.0, 120.0], &[1.0, 1.0], 800.0);
        let found = &arms(&beyond, &batch(&[0])).unwrap()[0];
        assert_eq!((found.coherence, found.norms[0]), (Coherence::Zero { of: 0 }, 0.0));
    }

    #[test]
    fn examples_without_a_direction_are_told_apart() {
        let model = at(&[0.0, 60.0, 0.0], &[1.0, 1.0, 0.0], 1.0);
        let found = arms(&model, &batch(&[0, 2])).unwrap();
        assert!(found.iter().all(|example| example.coherence == Coherence::Zero { of: 2 }), "{found:?}");
        let model = Linear::new(vec![1.0, 0.0, f32::INFINITY, 0.0], vec![0.0, 0.0], [1, 1, 2]);
        let found = arms(&model, &batch(&[0])).unwrap();
        assert_eq!(found[0].coherence, Coherence::NotFinite { of: 1 });
        assert_eq!(found[0].coherence.value(), None);
    }

    #[test]
    fn one_arm_and_foreign_labels_are_refused() {
        let one = Linear::new(vec![1.0, 0.0], vec![0.0], [1, 1, 2]);
        assert!(matches!(arms(&one, &batch(&[0])), Err(Error::TooFewClasses { least: 2, classes: 1, .. })));
        let two = at(&[0.0, 60.0], &[1.0, 1.0], 0.0);
        assert!(matches!(arms(&two, &batch(&[2])), Err(Error::Label { label: 2, classes: 2, .. })));
    }
}
