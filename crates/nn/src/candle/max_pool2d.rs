//! Max pooling out of candle operations with a true gradient, on any device (candle 0.11.1's own divides the gradient by the
//! window's area and gives it to every tie, and has none for windows that overlap).

use candle_core::{DType, Result, Tensor};
use robin_kernels::max_pool2d::Geometry;

/// Pools `x` `[n, c, h, w]`. The gradient goes to the first largest value of a window in row order; a window with NaN is NaN.
pub(super) fn max_pool2d(x: &Tensor, geometry: &Geometry) -> Result<Tensor> {
    let n = x.dims()[0];
    let ([height, width], channels) = (geometry.output(), geometry.channels);
    let windows = windows(x, geometry)?;
    let first = first_largest(&windows)?;
    windows.gather(&first, 2)?.reshape((n, channels, height, width))
}

/// `[n * c, outputs, area]`.
fn windows(x: &Tensor, g: &Geometry) -> Result<Tensor> {
    let (n, [height, width]) = (x.dims()[0], g.output());
    let area = g.window * g.window;
    if g.is_tiling() {
        let x = x.narrow(2, 0, height * g.window)?.narrow(3, 0, width * g.window)?.contiguous()?;
        let tiles = x.reshape(&[n * g.channels, height, g.window, width, g.window][..])?;
        return tiles.permute((0, 1, 3, 2, 4))?.contiguous()?.reshape((n * g.channels, height * width, area));
    }
    // A value smaller than any stands behind each image, for places beyond its border.
    let pixels = g.input[0] * g.input[1];
    let rows = x.contiguous()?.reshape((n * g.channels, pixels))?;
    let beyond = Tensor::full(f32::NEG_INFINITY, (n * g.channels, 1), x.device())?.to_dtype(x.dtype())?;
    let of_one = Geometry { channels: 1, ..*g };
    let place = |at: usize| of_one.source(at / area, at % area).unwrap_or(pixels) as u32;
    let places: Vec<u32> = (0..height * width * area).map(place).collect();
    let places = Tensor::new(places, x.device())?;
    Tensor::cat(&[&rows, &beyond], 1)?.index_select(&places, 1)?.reshape((
        n * g.channels,
        height * width,
        area,
    ))
}

/// The place of the first largest value in each row of the last dimension, which it keeps; of NaN where there is one.
fn first_largest(windows: &Tensor) -> Result<Tensor> {
    let windows = windows.detach();
    let area = windows.dims()[2];
    let is_nan = windows.ne(&windows)?;
    let largest = windows.max_keepdim(2)?;
    // Where there is NaN, nothing else counts; a device's maximum may be anything there.
    let has_nan = is_nan.to_dtype(DType::F32)?.max_keepdim(2)?;
    let is_largest = windows.broadcast_eq(&largest)?.to_dtype(DType::F32)?;
    let nan_free = has_nan.affine(-1.0, 1.0)?;
    let chosen = (is_largest.broadcast_mul(&nan_free)? + is_nan.to_dtype(DType::F32)?)?;
    // Earlier places weigh more, so ties have one largest weight on every device.
    let weights: Vec<f32> = (0..area).map(|place| (area - place) as f32).collect();
    let weights = Tensor::from_vec(weights, (1, 1, area), windows.device())?;
    chosen.broadcast_mul(&weights)?.argmax_keepdim(2)?.contiguous()
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;

    fn pooled(values: &[f32], side: [usize; 2], geometry: &Geometry) -> (Vec<f32>, Vec<f32>) {
        let x = Tensor::from_slice(values, (1, geometry.channels, side[0], side[1]), &Device::Cpu).unwrap();
        let x = Var::from_tensor(&x).unwrap();
        let y = max_pool2d(x.as_tensor(), geometry).unwrap();
        let flat = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        // Each output has another gradient.
        let given = Tensor::arange(1.0_f32, 1.0 + y.elem_count() as f32, &Device::Cpu).unwrap();
        let loss = (&y * given.reshape(y.shape()).unwrap()).unwrap().sum_all().unwrap();
        (flat(&y), flat(loss.backward().unwrap().get(&x).unwrap()))
    }

    #[test]
    fn ties_give_the_gradient_to_the_first_and_the_rest_is_dropped() {
        let tiles = Geometry::tiles([2, 5], 1, 2);
        let (y, dx) = pooled(&[1.0, 3.0, 7.0, 7.0, 9.0, 3.0, 2.0, 7.0, 7.0, 9.0], [2, 5], &tiles);
        assert_eq!((y, dx), (vec![3.0, 7.0], vec![0.0, 1.0, 2.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]));
    }

    #[test]
    fn windows_overlap_and_reach_over_the_border() {
        let g = Geometry { input: [3, 3], channels: 1, window: 3, stride: 2, padding: 1 };
        let (y, dx) = pooled(&[-5.0, -2.0, -4.0, -9.0, -1.0, -8.0, -3.0, -7.0, -6.0], [3, 3], &g);
        assert_eq!((y, dx), (vec![-1.0; 4], vec![0.0, 0.0, 0.0, 0.0, 10.0, 0.0, 0.0, 0.0, 0.0]));
    }

    #[test]
    fn a_window_with_nan_is_nan() {
        let tiles = Geometry::tiles([2, 4], 1, 2);
        let (y, dx) = pooled(&[9.0, f32::NAN, 1.0, 2.0, 3.0, 4.0, 0.0, 1.0], [2, 4], &tiles);
        assert!(y[0].is_nan() && y[1] == 2.0, "{y:?}");
        assert_eq!(dx, [0.0, 1.0, 0.0, 2.0, 0.0, 0.0, 0.0, 0.0]);
    }
}
