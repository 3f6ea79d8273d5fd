//! The formula as loops, in f64: the judge of every other implementation.

use super::Geometry;
use crate::sizes::{filled, reserved};

/// Output `[h', w', out]` of one image `[h, w, in]`.
pub fn forward(geometry: &Geometry, weights: &[f64], bias: &[f64], x: &[f64]) -> Vec<f64> {
    check(geometry, Some(weights), Some(x), None);
    assert!(bias.len() == geometry.out_channels, "a bias of {} values for {geometry:?}", bias.len());
    let mut y = reserved(geometry.output_len());
    (0..geometry.positions()).for_each(|_| y.extend_from_slice(bias));
    for_each_product(geometry, |at_y, at_x, at_w| y[at_y] += weights[at_w] * x[at_x]);
    y
}

/// Gradient on the image for the gradient `dy` on the output.
pub fn input_gradient(geometry: &Geometry, weights: &[f64], dy: &[f64]) -> Vec<f64> {
    check(geometry, Some(weights), None, Some(dy));
    let mut dx = filled(0.0, geometry.input_len());
    for_each_product(geometry, |at_y, at_x, at_w| dx[at_x] += weights[at_w] * dy[at_y]);
    dx
}

/// Gradient on the weights for the gradient `dy` on the output.
pub fn weight_gradient(geometry: &Geometry, x: &[f64], dy: &[f64]) -> Vec<f64> {
    check(geometry, None, Some(x), Some(dy));
    let mut dw = vec![0.0; geometry.taps() * geometry.out_channels];
    for_each_product(geometry, |at_y, at_x, at_w| dw[at_w] += x[at_x] * dy[at_y]);
    dw
}

fn check(g: &Geometry, weights: Option<&[f64]>, x: Option<&[f64]>, y: Option<&[f64]>) {
    g.check();
    let sizes = [(weights, g.taps() * g.out_channels), (x, g.input_len()), (y, g.output_len())];
    for (values, wanted) in sizes {
        let given = values.map_or(wanted, <[f64]>::len);
        assert!(given == wanted, "{given} values, not {wanted}, for {g:?}");
    }
}

/// Calls `visit(output, input, weight)` for every product of the sum.
fn for_each_product(g: &Geometry, mut visit: impl FnMut(usize, usize, usize)) {
    let ([height, width], [out_height, out_width]) = (g.input, g.output());
    for i in 0..out_height {
        for j in 0..out_width {
            for u in 0..g.kernel {
                for v in 0..g.kernel {
                    let (row, column) = (i * g.stride + u, j * g.stride + v);
                    if row < g.padding || column < g.padding {
                        continue;
                    }
                    let (row, column) = (row - g.padding, column - g.padding);
                    if row >= height || column >= width {
                        continue;
                    }
                    for c in 0..g.in_channels {
                        for o in 0..g.out_channels {
                            visit(
                                (i * out_width + j) * g.out_channels + o,
                                (row * width + column) * g.in_channels + c,
                                ((u * g.kernel + v) * g.in_channels + c) * g.out_channels + o,
                            );
                        }
                    }
                }
            }
        }
    }
}
