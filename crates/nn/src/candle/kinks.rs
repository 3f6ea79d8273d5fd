//! How far a batch is from where its gradient jumps.
//!
//! Rectifiers and pooling make a network's gradient piecewise smooth. An image on the border of two pieces has two
//! right answers, and rounding decides between them; a test that compares gradients must know such images.

use candle_core::{DType, Tensor};
use robin_kernels::max_pool2d::Geometry;

use super::Activations;
use crate::graph::Layer;
use crate::{Graph, Result};

/// For each image the smallest distance to a kink, in the unit of the activations: over every rectifier the size of
/// its input, over every pooling window the gap between its largest two values. Infinite for a network without
/// kinks.
///
/// A window whose largest two values are both exactly 0 is left out: they come from a rectifier that is closed
/// for both, so no gradient passes whichever is chosen.
///
/// # Errors
/// [`crate::Error::Tensor`] if `pass` is not one of `graph`.
pub fn distances(graph: &Graph, pass: &Activations) -> Result<Vec<f64>> {
    let mut nearest = vec![f64::INFINITY; pass.outputs().dims()[0]];
    for node in graph.nodes() {
        let distance: &dyn Fn(&[f64]) -> f64 = match &node.layer {
            Layer::Relu => &|x| smallest(x.iter().map(|x| x.abs())),
            Layer::MaxPool2d(geometry) => &|x| smallest_gap(geometry, x),
            _ => continue,
        };
        for (nearest, x) in nearest.iter_mut().zip(rows(pass.at(node.inputs[0]))?) {
            *nearest = nearest.min(distance(&x));
        }
    }
    Ok(nearest)
}

fn rows(x: &Tensor) -> Result<Vec<Vec<f64>>> {
    Ok(x.flatten_from(1)?.to_dtype(DType::F64)?.to_vec2()?)
}

fn smallest(values: impl Iterator<Item = f64>) -> f64 {
    values.fold(f64::INFINITY, f64::min)
}

/// Smallest gap between the largest two values of a window, over all windows of one image `[c, h, w]`.
fn smallest_gap(g: &Geometry, x: &[f64]) -> f64 {
    let [height, width] = g.output();
    let windows = (0..g.channels * height * width).map(|at| {
        let (channel, at) = (at / (height * width), at % (height * width));
        let plane = &x[channel * g.input[0] * g.input[1]..];
        let of_one = Geometry { channels: 1, ..*g };
        let values = (0..g.area()).filter_map(|place| Some(plane[of_one.source(at, place)?]));
        let (mut best, mut second) = (f64::NEG_INFINITY, f64::NEG_INFINITY);
        for value in values {
            second = second.max(value.min(best));
            best = best.max(value);
        }
        if best == 0.0 && second == 0.0 { f64::INFINITY } else { best - second }
    });
    smallest(windows)
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;
    use crate::candle::{Mode, Weights, activations};

    #[test]
    fn the_nearest_kink_of_each_image_is_found_and_closed_windows_are_none() {
        let graph =
            Graph::builder("toy", [1, 2, 4]).relu().max_pool2d(2).flatten().linear("fc", 1).build().unwrap();
        let parameters = crate::Parameters::initialise(&graph, robin_core::Seed::new(1));
        let weights = Weights::constant(&parameters, DType::F64).unwrap();
        let images = [
            // A closed window, and a gap of 0.5.
            [-1.0, -2.0, 3.0, 3.5, -3.0, -4.0, 2.0, 1.0],
            // A rectifier's input near 0.
            [-1.0, 4.0, 3.0, 5.0, -0.25, -4.0, 2.0, 1.0],
        ];
        let images = Tensor::from_slice(&images.concat(), (2, 1, 2, 4), &Device::Cpu).unwrap();
        let pass = activations(&graph, &weights, &images, Mode::Evaluation).unwrap();
        assert_eq!(distances(&graph, &pass).unwrap(), [0.5, 0.25]);
    }
}
