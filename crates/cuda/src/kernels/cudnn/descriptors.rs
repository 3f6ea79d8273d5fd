//! What cuDNN is told of a convolution.

use cudarc::cudnn::{result, sys};

use super::super::{Precision, Product, Result, Storage};
use super::failed;

/// Descriptors of input, weights, output, and of how they are joined.
pub(super) struct Descriptors {
    pub(super) x: sys::cudnnTensorDescriptor_t,
    pub(super) w: sys::cudnnFilterDescriptor_t,
    pub(super) y: sys::cudnnTensorDescriptor_t,
    pub(super) convolution: sys::cudnnConvolutionDescriptor_t,
}

const LAYOUT: sys::cudnnTensorFormat_t = sys::cudnnTensorFormat_t::CUDNN_TENSOR_NHWC;

impl Descriptors {
    pub(super) fn new(product: &Product, precision: Precision) -> Result<Self> {
        let (g, images) = (&product.geometry, product.images as i32);
        let kind = match precision.storage() {
            Storage::F32 => sys::cudnnDataType_t::CUDNN_DATA_FLOAT,
            Storage::Bf16 => sys::cudnnDataType_t::CUDNN_DATA_BFLOAT16,
        };
        let sides = |[height, width]: [usize; 2]| [height as i32, width as i32];
        let [channels, outputs] = [g.in_channels, g.out_channels].map(|c| c as i32);
        let image = |channels, [height, width]: [i32; 2]| -> Result<_> {
            let made = result::create_tensor_descriptor().map_err(failed("cudnnCreateTensorDescriptor"))?;
            // SAFETY: it was just made.
            unsafe {
                result::set_tensor4d_descriptor(made, LAYOUT, kind, [images, channels, height, width])
                    .map_err(failed("cudnnSetTensor4dDescriptor"))?;
            }
            Ok(made)
        };
        let w = result::create_filter_descriptor().map_err(failed("cudnnCreateFilterDescriptor"))?;
        let convolution =
            result::create_convolution_descriptor().map_err(failed("cudnnCreateConvolutionDescriptor"))?;
        let kernel = g.kernel as i32;
        // SAFETY: both were just made.
        unsafe {
            result::set_filter4d_descriptor(w, kind, LAYOUT, [outputs, channels, kernel, kernel])
                .map_err(failed("cudnnSetFilter4dDescriptor"))?;
            let [padding, stride] = [g.padding, g.stride].map(|size| size as i32);
            // Sums are f32 whatever is stored.
            result::set_convolution2d_descriptor(
                convolution,
                padding,
                padding,
                stride,
                stride,
                1,
                1,
                sys::cudnnConvolutionMode_t::CUDNN_CROSS_CORRELATION,
                sys::cudnnDataType_t::CUDNN_DATA_FLOAT,
            )
            .map_err(failed("cudnnSetConvolution2dDescriptor"))?;
        }
        Ok(Self {
            x: image(channels, sides(g.input))?,
            w,
            y: image(outputs, sides(g.output()))?,
            convolution,
        })
    }

    pub(super) fn set_math(&mut self, math: sys::cudnnMathType_t) -> Result<()> {
        // SAFETY: the descriptor is alive.
        unsafe { result::set_convolution_math_type(self.convolution, math) }
            .map_err(failed("cudnnSetConvolutionMathType"))
    }
}

impl Drop for Descriptors {
    fn drop(&mut self) {
        // SAFETY: nobody has them any more.
        unsafe {
            let _ = result::destroy_tensor_descriptor(self.x);
            let _ = result::destroy_filter_descriptor(self.w);
            let _ = result::destroy_tensor_descriptor(self.y);
            let _ = result::destroy_convolution_descriptor(self.convolution);
        }
    }
}
