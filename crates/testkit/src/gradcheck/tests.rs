//! The checker is right if it passes right gradients and catches wrong ones.

use approx::assert_abs_diff_eq;
use candle_core::Device;
use robin_core::{Columns, Error, ObjectiveValues, Pass, Scores};

use super::*;
use crate::{Cut, Linear};

/// Weighted outputs of an operation with known derivative: `y_i = x_i^3`.
fn cubes(x: &[f64], weights: &[f32]) -> f64 {
    x.iter().zip(weights).map(|(x, &w)| f64::from(w) * x * x * x).sum()
}

fn cube_agreement(change: impl FnOnce(&mut [f64])) -> Agreement {
    let point: Vec<f64> = (0..60).map(|i| 0.3 + 0.02 * f64::from(i)).collect();
    let weights = output_weights(point.len(), Seed::new(1));
    let mut gradient: Vec<f64> =
        point.iter().zip(&weights).map(|(x, &w)| f64::from(w) * 3.0 * x * x).collect();
    change(&mut gradient);
    gradcheck(&point, &gradient, Probe::F64, |x| cubes(x, &weights))
}

#[test]
fn a_right_gradient_passes_and_each_wrong_one_is_caught() {
    cube_agreement(|_| ()).assert_all_within(1e-6);
    let caught = |change: fn(&mut [f64])| cube_agreement(change).median() > 1e-3;
    assert!(caught(|g| g.iter_mut().for_each(|g| *g *= 1.01)), "scale");
    assert!(caught(|g| g.swap(10, 50)), "two elements exchanged");
    assert!(caught(|g| g.rotate_right(1)), "placement");
    assert!(caught(|g| g[59] = 0.0), "one element missing");
    assert!(caught(|g| g.fill(0.0)), "vanished");
    assert!(caught(|g| g[3] = f64::NAN), "not a number");
}

#[test]
fn a_function_that_does_not_move_proves_nothing() {
    let flat = gradcheck(&[0.1_f64, 0.2], &[0.0, 0.0], Probe::F64, |_| 1.0);
    assert_eq!((flat.flat, flat.median(), flat.largest()), (8, f64::INFINITY, f64::INFINITY));
    let assertion = || flat.assert_median_within(1.0);
    assert!(std::panic::catch_unwind(assertion).is_err());
}

#[test]
fn functions_of_f32_are_probed_at_their_rounded_points() {
    let point = [0.25_f32, 0.5, 0.75, 1.0];
    let gradient = [2.0_f32, -1.0, 0.5, 4.0];
    let linear = |x: &[f32]| x.iter().zip(&gradient).map(|(&x, &g)| f64::from(x) * f64::from(g)).sum();
    // Exact but for f64 rounding, although the displacements were rounded to f32.
    gradcheck(&point, &gradient, Probe::F32, linear).assert_all_within(1e-11);
}

/// A network with kinks: the linear model's logits through a leaky rectifier, and a possible flaw of its
/// gradient.
struct Kinked {
    linear: Linear,
    flaw: fn(Tensor) -> Result<Tensor>,
}

struct KinkedPass<'a> {
    inner: Box<dyn Pass + 'a>,
    scores: Scores,
    flaw: fn(Tensor) -> Result<Tensor>,
}

fn leaky(value: f32) -> f32 {
    if value > 0.0 { value } else { 0.1 * value }
}

fn map(tensor: &Tensor, change: impl Fn(f32) -> f32) -> Result<Tensor> {
    let values = host::to_vec(tensor)?.into_iter().map(change).collect();
    Ok(Tensor::from_vec(values, tensor.dims(), &Device::Cpu)?)
}

impl Classifier for Kinked {
    fn num_classes(&self) -> usize {
        self.linear.num_classes()
    }

    fn scores(&self, images: &Tensor, columns: &Columns) -> Result<Scores> {
        Scores::new(map(self.linear.scores(images, columns)?.tensor(), leaky)?)
    }

    fn forward<'a>(&'a self, images: &Tensor, columns: &Columns) -> Result<Box<dyn Pass + 'a>> {
        let inner = self.linear.forward(images, columns)?;
        let scores = Scores::new(map(inner.scores().tensor(), leaky)?)?;
        Ok(Box::new(KinkedPass { inner, scores, flaw: self.flaw }))
    }
}

impl Pass for KinkedPass<'_> {
    fn scores(&self) -> &Scores {
        &self.scores
    }

    fn input_gradient(self: Box<Self>, score_gradient: &Tensor) -> Result<Tensor> {
        let slopes = map(self.scores.tensor(), |y| if y > 0.0 { 1.0 } else { 0.1 })?;
        (self.flaw)(self.inner.input_gradient(&(score_gradient * slopes)?)?)
    }
}

/// Sum of squares of the scores.
struct Squares;

impl Objective for Squares {
    fn columns(&self) -> Columns {
        Columns::All
    }

    fn evaluate(&self, scores: &Scores) -> Result<ObjectiveValues> {
        let values = scores.to_vec()?;
        let values = values.chunks_exact(scores.columns()).map(|row| row.iter().map(|s| s * s).sum());
        Ok(ObjectiveValues { values: values.collect(), score_gradient: (scores.tensor() * 2.0)? })
    }

    fn select(&self, _rows: &[usize]) -> Box<dyn Objective> {
        Box::new(Squares)
    }
}

fn kinked_agreement(flaw: fn(Tensor) -> Result<Tensor>) -> Agreement {
    let linear = Linear::seeded(5, [1, 6, 6], Seed::new(2));
    let images = linear.batch(4, Seed::new(3)).images;
    check_input_gradient(&Kinked { linear, flaw }, &Squares, &images, Probe::F32).unwrap()
}

#[test]
fn an_input_gradient_through_kinks_passes_and_wrong_ones_are_caught() {
    kinked_agreement(Ok).assert_median_within(1e-3);
    assert_eq!(kinked_agreement(Ok).relative_errors.len(), 4 * Probe::F32.directions);
    // What candle's max-pool does to a gradient; the images of neighbours; and a gradient that vanishes.
    let quarter = kinked_agreement(|g| Ok((g * 0.25)?));
    assert_abs_diff_eq!(quarter.median(), 0.75, epsilon = 0.02);
    assert!(kinked_agreement(|g| host::select(&g, &[1, 2, 3, 0])).median() > 0.2);
    assert!(kinked_agreement(|g| Ok(g.zeros_like()?)).median() > 0.9);
}

#[test]
fn a_cut_graph_is_reported_as_such() {
    let linear = Linear::seeded(3, [1, 2, 2], Seed::new(4));
    let images = linear.batch(2, Seed::new(5)).images;
    let found = check_input_gradient(&Cut(linear), &Squares, &images, Probe::F32);
    assert!(matches!(found, Err(Error::GraphCut)));
}
