//! Single probes of a gradient, and what many of them say together.

use candle_core::{Device, Tensor};
use robin_core::{Classifier, ExampleId, Objective, Purpose, Seed, host};

use super::{GradientProbe, GradientReport, GradientVerdict};
use crate::Result;

/// How far pixels are moved into the box at most.
const INSIDE: f32 = 0.5 / 255.0;

/// An image's gradient is off where most of its probes disagree by more than this.
const OFF: f64 = 0.5;

/// The largest share of images that may be off: a gradient that is wrong for some images only is wrong.
const ALLOWED_OFF: f64 = 0.25;

/// How many roundings of the scores a change must exceed to be one. A network's own sums round several times.
const ROUNDINGS: f64 = 16.0;

/// All probes of one length.
pub(super) struct Seen {
    step: f64,
    /// Of each probe that moved anything: its image, and how far claim and measurement disagree.
    errors: Vec<(usize, f64)>,
    flat: usize,
}

impl Seen {
    pub(super) fn new(step: f64) -> Self {
        Self { step, errors: Vec::new(), flat: 0 }
    }

    /// Probes around `images`, of which the first is number `first` of all; `objective` is theirs.
    pub(super) fn look(
        &mut self,
        model: &dyn Classifier,
        objective: &dyn Objective,
        images: &Tensor,
        probe: GradientProbe,
        seed: Seed,
        first: usize,
    ) -> Result<()> {
        let (n, length) = host::image_rows("images", images)?;
        let columns = objective.columns();
        let pass = model.forward(images, &columns)?;
        let upstream = objective.evaluate(pass.scores())?.score_gradient;
        let gradient = host::to_vec(&pass.input_gradient(&upstream)?)?;
        let point = host::to_vec(images)?;
        let values = |pixels: &[f32]| -> Result<Vec<(f64, f64)>> {
            let scores = model.scores(&Tensor::from_slice(pixels, images.dims(), &Device::Cpu)?, &columns)?;
            let found = objective.evaluate(&scores)?;
            let (scores, slopes) = (scores.to_vec()?, host::to_vec(&found.score_gradient)?);
            let width = (scores.len() / n).max(1);
            let rounding = |(scores, slopes): (&[f32], &[f32])| {
                let sizes = scores.iter().zip(slopes).map(|(s, g)| (f64::from(*s) * f64::from(*g)).abs());
                f64::from(f32::EPSILON) * sizes.sum::<f64>()
            };
            let roundings = scores.chunks_exact(width).zip(slopes.chunks_exact(width)).map(rounding);
            Ok(found.values.iter().map(|&value| f64::from(value)).zip(roundings).collect())
        };
        for direction in 0..probe.directions as u64 {
            let seed = seed.derive(Purpose::GradientProbe, 1 + direction);
            let mut stream = seed.stream(ExampleId::first(first as u32));
            let (above, below): (Vec<f32>, Vec<f32>) = point
                .iter()
                .map(|&x| {
                    let change = self.step * stream.gaussian();
                    ((f64::from(x) + change) as f32, (f64::from(x) - change) as f32)
                })
                .unzip();
            let (up, down) = (values(&above)?, values(&below)?);
            for row in 0..n {
                let part = row * length..(row + 1) * length;
                let measured = up[row].0 - down[row].0;
                let rounding = ROUNDINGS * up[row].1.max(down[row].1);
                let (above, below) = (&above[part.clone()], &below[part.clone()]);
                match disagreement(&gradient[part], above, below, measured, rounding) {
                    Some(error) => self.errors.push((first + row, error)),
                    None => self.flat += 1,
                }
            }
        }
        Ok(())
    }

    /// Infinite where nothing moved.
    fn median(&self) -> f64 {
        median(self.errors.iter().map(|(_, error)| *error).collect())
    }

    /// Images most of whose probes are off, and images that have any probe.
    fn images_off(&self) -> (usize, usize) {
        let mut errors = self.errors.clone();
        errors.sort_by_key(|(image, _)| *image);
        let images = errors.chunk_by(|a, b| a.0 == b.0);
        let off = |own: &&[(usize, f64)]| median(own.iter().map(|(_, error)| *error).collect()) > OFF;
        (images.clone().filter(off).count(), images.count())
    }

    /// Whether these probes show the gradient to be true.
    fn agrees(&self, tolerance: f64) -> bool {
        let (off, of) = self.images_off();
        self.median() <= tolerance && off as f64 <= ALLOWED_OFF * of as f64
    }
}

/// The word of the displacement that agrees best, among those at which enough moved.
pub(super) fn summed_up(seen: &[Seen], probe: GradientProbe, images: usize) -> GradientReport {
    let (all, tolerance) = (images * probe.directions, probe.tolerance);
    let enough = |seen: &&Seen| seen.errors.len() >= probe.least.min(all).max(1);
    let order = |seen: &&Seen| (!seen.agrees(tolerance), seen.median());
    let best = seen.iter().filter(enough).min_by(|a, b| {
        let ((first, a), (second, b)) = (order(a), order(b));
        first.cmp(&second).then(a.total_cmp(&b))
    });
    let verdict = match best {
        None => GradientVerdict::Flat,
        Some(seen) if seen.agrees(tolerance) => GradientVerdict::True,
        Some(_) => GradientVerdict::False,
    };
    let most = seen.iter().max_by_key(|seen| seen.errors.len());
    // Where too few moved, the displacement that moved most says how few.
    let told = best.or(most);
    GradientReport {
        median_error: told.map_or(f64::INFINITY, Seen::median),
        step: told.map_or(0.0, |seen| seen.step),
        moved: told.map_or(0, |seen| seen.errors.len()),
        flat: told.map_or(0, |seen| seen.flat),
        flat_share: most.map_or(1.0, |seen| seen.flat as f64 / all.max(1) as f64),
        images,
        images_off: told.map_or(0, |seen| seen.images_off().0),
        tolerance,
        verdict,
    }
}

/// `images` with every pixel a little further inside the box.
pub(super) fn inside(images: &Tensor, seed: Seed, first: usize) -> Result<Tensor> {
    let mut stream = seed.derive(Purpose::GradientProbe, 0).stream(ExampleId::first(first as u32));
    let moved = |x: f32| {
        let by = INSIDE * stream.uniform();
        if x < 0.5 { x + by } else { x - by }
    };
    let values: Vec<f32> = host::to_vec(images)?.into_iter().map(moved).collect();
    Ok(Tensor::from_vec(values, images.dims(), &Device::Cpu)?)
}

/// The middle value, the upper one of two; infinite where there is none.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::INFINITY)
}

/// |claimed - measured| of one direction, relative; `None` if nothing moved by more than `rounding`.
fn disagreement(gradient: &[f32], above: &[f32], below: &[f32], measured: f64, rounding: f64) -> Option<f64> {
    let (mut claimed, mut gradient_square, mut moved_square) = (0.0, 0.0, 0.0);
    for ((&g, &a), &b) in gradient.iter().zip(above).zip(below) {
        // As it was rounded, so that f32 images cost no accuracy.
        let (g, moved) = (f64::from(g), f64::from(a) - f64::from(b));
        claimed += g * moved;
        gradient_square += g * g;
        moved_square += moved * moved;
    }
    let usual = (gradient_square * moved_square / gradient.len() as f64).sqrt();
    let scale = measured.abs().max(claimed.abs()).max(usual);
    let error = (claimed - measured).abs() / scale;
    (scale.is_nan() || scale > rounding).then_some(if error.is_nan() { f64::INFINITY } else { error })
}
