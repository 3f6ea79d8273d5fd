//! Where an attack begins, and random perturbations.

use robin_core::{Batch, Budget, ExampleId, Norm, Purpose, Result, Seed, Stream};
use serde::{Deserialize, Serialize};

use crate::images::Images;

/// The first point of an attack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Start {
    /// The clean image.
    Clean,
    /// Uniform in the ball of radius epsilon around the clean image, then clipped to the box `[0, 1]`.
    UniformInBall,
    /// In l2 in a uniform direction, at a distance uniform in `[0, epsilon)`: nearer to the image than [`Start::UniformInBall`],
    /// whose points of many dimensions lie at its border. As torchattacks begins. In linf the same as
    /// [`Start::UniformInBall`].
    UniformDistance,
}

impl Start {
    /// Starting points of restart number `restart`. An example's point depends on its id, the seed and the
    /// restart alone.
    pub(crate) fn points(self, budget: Budget, batch: &Batch, seed: Seed, restart: usize) -> Result<Images> {
        let mut points = Images::new(&batch.images)?;
        let draw = match self {
            Self::Clean => return Ok(points),
            Self::UniformInBall => in_ball,
            Self::UniformDistance => at_uniform_distance,
        };
        let seed = seed.derive(Purpose::AttackStart, restart as u64);
        points.redraw(&batch.ids, |id, clean, point| draw(budget, &mut seed.stream(id), clean, point));
        Ok(points)
    }

    /// The steps from the images to the points that this draws for them, `[n * length]`, before those are brought back
    /// into the budget and the box; `None` where nothing is drawn. For those who keep images of `length` values elsewhere:
    /// image plus step in f64, rounded to f32 and projected, is the point.
    pub fn offsets(
        self,
        budget: Budget,
        ids: &[ExampleId],
        length: usize,
        seed: Seed,
        restart: usize,
    ) -> Option<Vec<f64>> {
        let offset = match self {
            Self::Clean => return None,
            Self::UniformInBall => ball_offset,
            Self::UniformDistance => distance_offset,
        };
        let seed = seed.derive(Purpose::AttackStart, restart as u64);
        Some(ids.iter().flat_map(|&id| offset(budget, &mut seed.stream(id), length)).collect())
    }
}

/// Writes a uniformly random point of the ball around `clean`, clipped to the box, into `point`.
///
/// linf: each pixel uniform in `[-epsilon, epsilon)`. l2: a Gaussian direction at distance
/// `epsilon * u^(1/d)` in `d` dimensions, which is uniform by volume (a distance `epsilon * u`, as some
/// published code has it, crowds the centre).
pub(crate) fn in_ball(budget: Budget, stream: &mut Stream, clean: &[f32], point: &mut [f32]) {
    let offset = ball_offset(budget, stream, clean.len());
    move_along(&offset, 1.0, clean, point);
    budget.project_image(clean, point);
}

fn ball_offset(budget: Budget, stream: &mut Stream, length: usize) -> Vec<f64> {
    let epsilon = budget.epsilon.get();
    match budget.norm {
        Norm::Linf => (0..length).map(|_| epsilon * f64::from(stream.symmetric())).collect(),
        Norm::L2 => l2_offset(epsilon, stream, length),
    }
}

/// Writes the point of [`Start::UniformDistance`] into `point`.
fn at_uniform_distance(budget: Budget, stream: &mut Stream, clean: &[f32], point: &mut [f32]) {
    let offset = distance_offset(budget, stream, clean.len());
    move_along(&offset, 1.0, clean, point);
    budget.project_image(clean, point);
}

fn distance_offset(budget: Budget, stream: &mut Stream, length: usize) -> Vec<f64> {
    if budget.norm == Norm::Linf {
        return ball_offset(budget, stream, length);
    }
    let mut offset = direction(stream, length);
    let distance = budget.epsilon.get() * f64::from(stream.uniform());
    offset.iter_mut().for_each(|d| *d *= distance);
    offset
}

/// The step from the centre of an l2 ball of radius `epsilon` in `length` dimensions to a uniformly random point of it.
fn l2_offset(epsilon: f64, stream: &mut Stream, length: usize) -> Vec<f64> {
    let mut offset = direction(stream, length);
    // `libm`, as in the stream's Gaussians: every platform gets the same bits.
    let radius = epsilon * libm::pow(f64::from(stream.uniform()), 1.0 / length as f64);
    offset.iter_mut().for_each(|d| *d *= radius);
    offset
}

/// Writes a random point at distance epsilon from `clean`, clipped to the box, into `point`: l2 uniform on the
/// sphere; linf a uniform draw scaled up until its largest change is epsilon.
pub(crate) fn on_border(budget: Budget, stream: &mut Stream, clean: &[f32], point: &mut [f32]) {
    if budget.norm == Norm::L2 {
        return on_sphere(budget, stream, clean, point);
    }
    let changes: Vec<f64> = clean.iter().map(|_| f64::from(stream.symmetric())).collect();
    let largest = changes.iter().fold(0.0_f64, |largest, change| largest.max(change.abs()));
    let scale = if largest > 0.0 { budget.epsilon.get() / largest } else { 0.0 };
    move_along(&changes, scale, clean, point);
    budget.project_image(clean, point);
}

/// Writes a uniformly random point of the l2 sphere around `clean`, clipped to the box, into `point`.
pub(crate) fn on_sphere(budget: Budget, stream: &mut Stream, clean: &[f32], point: &mut [f32]) {
    let direction = direction(stream, clean.len());
    move_along(&direction, budget.epsilon.get(), clean, point);
    budget.project_image(clean, point);
}

/// Writes a random corner of the linf ball around `clean`, clipped to the box, into `point`.
pub(crate) fn at_corner(budget: Budget, stream: &mut Stream, clean: &[f32], point: &mut [f32]) {
    let epsilon = budget.epsilon.get() as f32;
    for (pixel, &c) in point.iter_mut().zip(clean) {
        *pixel = if stream.bits() >> 31 == 0 { c + epsilon } else { c - epsilon };
    }
    budget.project_image(clean, point);
}

/// A vector of uniformly random direction and unit length; zero if every draw was, which moves nothing.
fn direction(stream: &mut Stream, length: usize) -> Vec<f64> {
    let mut draws: Vec<f64> = (0..length).map(|_| stream.gaussian()).collect();
    let size = draws.iter().map(|d| d * d).sum::<f64>().sqrt();
    if size > 0.0 {
        draws.iter_mut().for_each(|d| *d /= size);
    }
    draws
}

fn move_along(direction: &[f64], distance: f64, clean: &[f32], point: &mut [f32]) {
    for ((pixel, &c), d) in point.iter_mut().zip(clean).zip(direction) {
        *pixel = (f64::from(c) + distance * d) as f32;
    }
}

#[cfg(test)]
mod tests {
    use approx::assert_abs_diff_eq;
    use robin_core::ExampleId;

    use super::*;

    const DIMENSIONS: usize = 20;
    const DRAWS: u32 = 4_000;

    /// Sizes over epsilon of many draws around a grey image, far from the box.
    fn sizes(norm: Norm, draw: fn(Budget, &mut Stream, &[f32], &mut [f32])) -> Vec<f64> {
        let budget = Budget { norm, epsilon: "0.4".parse().unwrap() };
        let clean = [0.5; DIMENSIONS];
        (0..DRAWS)
            .map(|index| {
                let mut point = clean;
                draw(budget, &mut Seed::new(3).stream(ExampleId::first(index)), &clean, &mut point);
                norm.distance(&clean, &point) / 0.4
            })
            .collect()
    }

    /// Uniform by volume: the share within radius r is r^d, so size^d is uniform with mean 1/2.
    #[test]
    fn the_ball_is_filled_uniformly_by_volume() {
        for norm in [Norm::L2, Norm::Linf] {
            let sizes = sizes(norm, in_ball);
            assert!(sizes.iter().all(|&size| size <= 1.0 + 1e-6));
            let mean = sizes.iter().map(|size| size.powi(DIMENSIONS as i32)).sum::<f64>() / f64::from(DRAWS);
            // Five standard errors of the mean of a uniform variable.
            assert_abs_diff_eq!(mean, 0.5, epsilon = 5.0 / (12.0 * f64::from(DRAWS)).sqrt());
        }
    }

    #[test]
    fn distances_are_uniform_in_l2() {
        let sizes = sizes(Norm::L2, at_uniform_distance);
        assert!(sizes.iter().all(|&size| size <= 1.0 + 1e-6));
        for moment in [1, 2] {
            let mean = sizes.iter().map(|size| size.powi(moment)).sum::<f64>() / f64::from(DRAWS);
            let expected = 1.0 / f64::from(moment + 1);
            // A power of a number in [0, 1] has a standard deviation below 0.3.
            assert_abs_diff_eq!(mean, expected, epsilon = 5.0 * 0.3 / f64::from(DRAWS).sqrt());
        }
    }

    #[test]
    fn sphere_and_corners_lie_at_epsilon() {
        for (norm, draw) in [
            (Norm::L2, on_sphere as fn(_, &mut _, &_, &mut _)),
            (Norm::Linf, at_corner),
            (Norm::Linf, on_border),
        ] {
            for size in sizes(norm, draw) {
                assert_abs_diff_eq!(size, 1.0, epsilon = 1e-6);
            }
        }
    }
}
