//! Convolution with a backward pass of our own.
//!
//! candle 0.11.1 takes the input gradient by a transposed convolution, on CUDA a naive kernel in the hot path of every
//! attack; it has none for strided convolutions of images that are not square; and it computes the gradient on weights that
//! nobody tracks. Here the input gradient is a convolution of the output gradient, spread out by the stride, with the kernel
//! turned around, and what is not tracked is not computed.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CudaStorage, CustomOp3, Layout, Result, Shape, Tensor};
use candle_nn::{Conv2d, Conv2dConfig};

/// `conv` of `x` `[n, c, h, w]`, with its bias.
pub(super) fn conv2d(x: &Tensor, conv: &Conv2d) -> Result<Tensor> {
    let &Conv2dConfig { padding, stride, .. } = conv.config();
    let (x, weight) = (x.contiguous()?, conv.weight());
    let y = x.detach().conv2d(&weight.detach(), padding, stride, 1, 1)?.contiguous()?;
    let y = x.apply_op3(weight, &y, Gradients { padding, stride })?;
    match conv.bias() {
        Some(bias) => y.broadcast_add(&bias.reshape((1, (), 1, 1))?),
        None => Ok(y),
    }
}

/// Passes its third argument on, the convolution of the first with the second, and knows the gradients on those.
struct Gradients {
    padding: usize,
    stride: usize,
}

impl CustomOp3 for Gradients {
    fn name(&self) -> &'static str {
        "robin-conv2d"
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
        y: &CpuStorage,
        layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        Ok((y.try_clone(layout)?, layout.shape().clone()))
    }

    fn cuda_fwd(
        &self,
        _: &CudaStorage,
        _: &Layout,
        _: &CudaStorage,
        _: &Layout,
        y: &CudaStorage,
        layout: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        Ok((y.try_clone(layout)?, layout.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        _: &Tensor,
        _: &Tensor,
        dy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let dy = dy.contiguous()?;
        let dx = x.track_op().then(|| self.on_input(x.dims(), weight, &dy)).transpose()?;
        let dw = weight.track_op().then(|| self.on_weight(x, weight.dims(), &dy)).transpose()?;
        Ok((dx, dw, None))
    }
}

impl Gradients {
    /// Each input is in the windows whose outputs it reaches, with the weights in the other order.
    fn on_input(&self, input: &[usize], weight: &Tensor, dy: &Tensor) -> Result<Tensor> {
        let kernel = weight.flip(&[2, 3])?.transpose(0, 1)?.contiguous()?;
        let mut spread = dy.clone();
        for axis in [2, 3] {
            let (side, window) = (input[axis], weight.dims()[axis]);
            spread = self.spread(&spread, axis, side, window)?;
        }
        spread.contiguous()?.conv2d(&kernel, 0, 1, 1, 1)
    }

    /// `dy` with zeros between its values along `axis`, and as many around them as make `side` windows.
    fn spread(&self, dy: &Tensor, axis: usize, side: usize, window: usize) -> Result<Tensor> {
        let outputs = dy.dims()[axis];
        let mut spread = dy.clone();
        if self.stride > 1 {
            // Each value with the zeros behind it; the last one needs none.
            spread = spread
                .unsqueeze(axis + 1)?
                .pad_with_zeros(axis + 1, 0, self.stride - 1)?
                .flatten(axis, axis + 1)?;
            spread = spread.narrow(axis, 0, (outputs - 1) * self.stride + 1)?;
        }
        // Inputs that no window reaches, where the last stride does not fit.
        let beyond = (side + 2 * self.padding - window) % self.stride;
        let around = window - 1;
        let [before, behind] =
            [around.checked_sub(self.padding), (around + beyond).checked_sub(self.padding)];
        match (before, behind) {
            (Some(before), Some(behind)) => spread.pad_with_zeros(axis, before, behind),
            // Padding beyond the kernel: outputs that see zeros only give no gradient.
            _ => {
                let wide = spread.pad_with_zeros(axis, around, around + beyond)?;
                wide.narrow(axis, self.padding, side + around)
            }
        }
    }

    fn on_weight(&self, x: &Tensor, weight: &[usize], dy: &Tensor) -> Result<Tensor> {
        let (x, dy) = (x.transpose(0, 1)?.contiguous()?, dy.transpose(0, 1)?.contiguous()?);
        // Stride and dilation change places.
        let dw = x.conv2d(&dy, self.padding, 1, self.stride, 1)?.transpose(0, 1)?;
        dw.narrow(2, 0, weight[2])?.narrow(3, 0, weight[3])
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device, Var};

    use super::*;

    /// Values without a pattern that sums could hide.
    fn values(shape: &[usize], start: f64) -> Var {
        let count: usize = shape.iter().product();
        let values: Vec<f64> = (0..count).map(|at| ((at as f64 * 0.7 + start) * 1.3).sin()).collect();
        Var::from_tensor(&Tensor::from_vec(values, shape, &Device::Cpu).unwrap()).unwrap()
    }

    #[test]
    fn both_gradients_are_those_of_the_definition_at_every_stride_padding_and_shape() {
        for (side, window, stride, padding) in [
            ([5, 5], 3, 1, 1),
            ([6, 5], 3, 2, 1),
            ([8, 9], 3, 2, 1),
            ([7, 4], 1, 2, 0),
            ([7, 7], 5, 3, 2),
            ([4, 6], 2, 1, 0),
            ([5, 4], 1, 1, 1),
            ([6, 6], 2, 4, 1),
        ] {
            let x = values(&[2, 3, side[0], side[1]], 0.1);
            let weight = values(&[4, 3, window, window], 0.6);
            let config = Conv2dConfig { padding, stride, ..Conv2dConfig::default() };
            let run =
                |x: &Tensor, weight: &Tensor| conv2d(x, &Conv2d::new(weight.clone(), None, config)).unwrap();
            let y = run(x.as_tensor(), weight.as_tensor());
            let given = values(y.dims(), 0.9).as_detached_tensor();
            let loss = |x: &Tensor, weight: &Tensor| {
                (run(x, weight) * &given).unwrap().sum_all().unwrap().to_scalar::<f64>().unwrap()
            };
            let gradients = (y * &given).unwrap().sum_all().unwrap().backward().unwrap();
            for (which, variable) in [&x, &weight].into_iter().enumerate() {
                let gradient = gradients.get(variable).unwrap();
                assert_eq!((gradient.dims(), gradient.dtype()), (variable.dims(), DType::F64));
                let gradient = gradient.flatten_all().unwrap().to_vec1::<f64>().unwrap();
                let at = variable.flatten_all().unwrap().to_vec1::<f64>().unwrap();
                for (place, found) in gradient.iter().enumerate() {
                    let moved = |by: f64| {
                        let mut values = at.clone();
                        values[place] += by;
                        let moved = Tensor::from_vec(values, variable.shape(), &Device::Cpu).unwrap();
                        let (x, weight) = (x.as_detached_tensor(), weight.as_detached_tensor());
                        if which == 0 { loss(&moved, &weight) } else { loss(&x, &moved) }
                    };
                    let expected = (moved(1e-3) - moved(-1e-3)) / 2e-3;
                    let what = format!("{side:?} {window} {stride} {padding}, argument {which} at {place}");
                    assert!((found - expected).abs() < 1e-8, "{what}: {found} {expected}");
                }
            }
        }
    }

    #[test]
    fn what_is_not_tracked_has_no_gradient() {
        let (x, weight) = (values(&[1, 1, 3, 3], 0.0), values(&[1, 1, 2, 2], 0.5));
        let conv = Conv2d::new(weight.as_detached_tensor(), None, Conv2dConfig::default());
        let gradients = conv2d(x.as_tensor(), &conv).unwrap().sum_all().unwrap().backward().unwrap();
        assert!(gradients.get(&x).is_some() && gradients.get(conv.weight()).is_none());
    }
}
