//! Random numbers and the batches made of them.

use robin_core::{Batch, Budget, ExampleId, Norm, Purpose, Seed, host};
use robin_data::{Augmentation, Dataset, DatasetName, Flip, LabelMap, Padding, Source, Split};
use robin_kernels::cuda::attack::start_linf;
use robin_kernels::cuda::batches::{Cut, Images, Outside};

use super::report::Finding;
use super::subject::Subject;

const EPSILON: &str = "8/255";

pub(super) fn check(subject: &Subject) -> anyhow::Result<Vec<Finding>> {
    let data = Dataset::load(DatasetName::Cifar10, Split::Train, &Source::Embedded)?.take(300)?;
    // Copies of an example differ.
    let ids: Vec<ExampleId> =
        (0..64).map(|at| ExampleId { index: at * 37 % 300, occurrence: at % 3 }).collect();
    let batch = data.batch(&ids, &LabelMap::Identity)?;
    let mut findings = Vec::new();
    for (precision, cuda) in subject.executors() {
        let context = cuda.context()?;
        let images = Images { values: context.upload(data.pixels())?, shape: data.shape() };
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
                let start = context.buffer(found.len())?;
                let epsilon: robin_core::Epsilon = EPSILON.parse()?;
                start_linf(&context, epsilon.get(), &found, &on_ids, seed.key(), &start)?;
                let expected = uniform(&batch, &expected, seed)?;
                let what = format!("uniform starts, {precision}: pixels that differ");
                findings.push(differing(what, &start.to_vec()?, &expected));
            }
        }
    }
    Ok(findings)
}

/// Uniform in the ball, as `robin_attacks::start` has it.
fn uniform(batch: &Batch, clean: &[f32], seed: Seed) -> anyhow::Result<Vec<f32>> {
    let budget = Budget { norm: Norm::Linf, epsilon: EPSILON.parse()? };
    let (epsilon, length) = (budget.epsilon.get(), clean.len() / batch.len());
    let mut points = clean.to_vec();
    for ((point, clean), &id) in points.chunks_mut(length).zip(clean.chunks(length)).zip(&batch.ids) {
        let mut stream = seed.stream(id);
        for (pixel, &c) in point.iter_mut().zip(clean) {
            *pixel = (f64::from(c) + epsilon * f64::from(stream.symmetric())) as f32;
        }
        budget.project_image(clean, point);
    }
    Ok(points)
}

fn differing(what: String, found: &[f32], expected: &[f32]) -> Finding {
    let pairs = found.iter().zip(expected);
    let count = pairs.filter(|(a, b)| a.to_bits() != b.to_bits() && **a != **b).count();
    Finding { what, found: (count + found.len().abs_diff(expected.len())) as f64, allowed: 0.0 }
}
