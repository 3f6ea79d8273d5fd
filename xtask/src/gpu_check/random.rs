//! Random numbers and the batches made of them.

use robin_core::{Batch, Budget, ExampleId, Norm, Purpose, Seed, host};
use robin_cuda::kernels::attack::{Ball, start};
use robin_cuda::kernels::batches::{Cut, Images, Outside};
use robin_data::{Augmentation, Dataset, DatasetName, Flip, LabelMap, Padding, Source, Split};

use super::model_under_test::ModelUnderTest;
use super::report::Finding;

/// Radii, and how far a pixel may be from the host's: draws are the same, Gaussians are made of them by the device's
/// logarithm and cosine.
const STARTS: [(Norm, &str, f64); 2] = [(Norm::Linf, "8/255", 0.0), (Norm::L2, "0.5", 1e-6)];

pub(super) fn check(subject: &ModelUnderTest) -> anyhow::Result<Vec<Finding>> {
    let data = Dataset::load(DatasetName::Cifar10, Split::Train, &Source::Embedded)?.take(300)?;
    // Copies of an example differ.
    let ids: Vec<ExampleId> =
        (0..64).map(|at| ExampleId { index: at * 37 % 300, occurrence: at % 3 }).collect();
    let batch = data.batch(&ids, &LabelMap::Identity)?;
    let mut findings = Vec::new();
    for (precision, cuda) in subject.executors() {
        let context = cuda.context()?;
        let images = Images { values: context.upload(&data.pixels()?)?, shape: data.shape() };
        let words: Vec<u32> = ids.iter().flat_map(|id| [id.index, id.occurrence]).collect();
        for (padding, outside) in [(Padding::Zeros, Outside::Zeros), (Padding::Reflect, Outside::Reflected)] {
            let augmentation = Augmentation { crop_padding: 4, padding, flip: Flip::Horizontal };
            let seed = Seed::new(11);
            let expected = host::to_vec(&augmentation.apply(&batch, seed)?.images)?;
            let (crop, flip) = (seed.derive(Purpose::Crop, 0).key(), seed.derive(Purpose::Flip, 0).key());
            let cut = Cut { padding: 4, outside, crop, flip: Some(flip) };
            let (found, on_ids) = images.batch(&context, &words, &cut)?;
            let what = format!("crops and flips, {padding:?}, {precision}: pixels that differ");
            findings.push(differing(what, &found.to_vec()?, &expected));
            if padding == Padding::Zeros {
                let seed = seed.derive(Purpose::AttackStart, 0);
                for (norm, radius, allowed) in STARTS {
                    let budget = Budget { norm, epsilon: radius.parse()? };
                    let (epsilon, step) = (budget.epsilon.get(), 0.0);
                    let ball = match norm {
                        Norm::Linf => Ball::Linf { epsilon, step },
                        Norm::L2 => Ball::L2 { epsilon, step },
                    };
                    let points = context.buffer(found.len())?;
                    start(&context, ball, &found, &on_ids, seed.key(), &points)?;
                    let what =
                        format!("uniform starts in {norm}, {precision}: largest difference of a pixel");
                    let expected = uniform(budget, &batch, &expected, seed);
                    findings.push(Finding { what, found: distance(&points.to_vec()?, &expected), allowed });
                }
            }
        }
    }
    Ok(findings)
}

/// Uniform in the ball, as `robin_attacks::start` has it.
fn uniform(budget: Budget, batch: &Batch, clean: &[f32], seed: Seed) -> Vec<f32> {
    let (epsilon, length) = (budget.epsilon.get(), clean.len() / batch.len());
    let mut points = clean.to_vec();
    for ((point, clean), &id) in points.chunks_mut(length).zip(clean.chunks(length)).zip(&batch.ids) {
        let mut stream = seed.stream(id);
        let mut moves: Vec<f64> = match budget.norm {
            Norm::Linf => (0..length).map(|_| epsilon * f64::from(stream.symmetric())).collect(),
            Norm::L2 => (0..length).map(|_| stream.gaussian()).collect(),
        };
        if budget.norm == Norm::L2 {
            let size = moves.iter().map(|d| d * d).sum::<f64>().sqrt();
            let scale = epsilon * f64::from(stream.uniform()).powf(1.0 / length as f64) / size;
            moves.iter_mut().for_each(|d| *d *= scale);
        }
        for ((pixel, &c), d) in point.iter_mut().zip(clean).zip(moves) {
            *pixel = (f64::from(c) + d) as f32;
        }
        budget.project_image(clean, point);
    }
    points
}

fn distance(found: &[f32], expected: &[f32]) -> f64 {
    let pairs = found.iter().zip(expected);
    pairs
        .map(|(a, b)| f64::from((a - b).abs()))
        .fold(0.0, |most, d| if d > most || d.is_nan() { d } else { most })
}

fn differing(what: String, found: &[f32], expected: &[f32]) -> Finding {
    let pairs = found.iter().zip(expected);
    let count = pairs.filter(|(a, b)| a.to_bits() != b.to_bits() && **a != **b).count();
    Finding { what, found: (count + found.len().abs_diff(expected.len())) as f64, allowed: 0.0 }
}
