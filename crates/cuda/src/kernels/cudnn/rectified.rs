//! A convolution, its bias, a sum and a rectifier in one call of cuDNN, or in one of cuDNN and one of ours: whichever is quicker.

use std::ffi::c_void;

use cudarc::cudnn::{result, sys};

use super::super::algorithms::Selection;
use super::super::device::{Address, Rectified};
use super::super::driver::Queue;
use super::super::{Pass, Precision, Product, Result, Storage};
use super::ways::{Rehearsal, Way};
use super::{Cudnn, Key, Ready, failed, not_while_recording, trials};

/// A convolution with its rectifier.
pub(in super::super) struct Rectifying<'a> {
    pub(in super::super) product: &'a Product,
    pub(in super::super) precision: Precision,
    pub(in super::super) operands: [Address; 3],
    pub(in super::super) rectified: Rectified,
}

impl Cudnn {
    /// Computes both, `apart` or together; while work is recorded, what was computed before.
    ///
    /// # Safety
    /// Operands, bias and summand are as long as the product says.
    pub(in super::super) unsafe fn rectified(
        &self,
        both: &Rectifying<'_>,
        queue: &Queue,
        apart: &dyn Fn() -> Result<()>,
    ) -> Result<()> {
        // cuDNN takes a bias of bf16 only beside bf16, which would round it; and no clock decides on repeatable results.
        if both.precision.storage() != Storage::F32 || self.selection == Selection::Repeatable {
            return apart();
        }
        let key = Key::of(self.selection, Pass::Forward, both.product, both.precision);
        let key = (key, both.rectified.add.is_some());
        // SAFETY: the caller's word.
        let together =
            |bias, keeps_nan| unsafe { self.together(both, (bias, keeps_nan), queue.is_recording()) };
        let way = match self.gpu.ways.known(&key) {
            Some(known) => known.algorithm,
            None if queue.is_recording() => return Err(not_while_recording("a way would be chosen")),
            None => {
                // Chooses the algorithm, which is not measured while ways are.
                apart()?;
                let _turn = self.gpu.turns.disturb();
                let rehearsal = Rehearsal {
                    device: queue,
                    precision: both.precision,
                    output: (both.operands[2], both.product.lens()[2]),
                    bias: (both.rectified.bias, both.product.geometry.out_channels),
                    apart,
                    together: &together,
                };
                self.gpu.ways.choose(&key, self.selection, 0, || rehearsal.trials())?.algorithm
            }
        };
        match way {
            Way::Apart => apart(),
            Way::Together { keeps_nan } => together(both.rectified.bias, keeps_nan),
        }
    }

    /// With the bias at `bias`, told to keep what is no number or not.
    ///
    /// # Safety
    /// As [`Cudnn::rectified`].
    unsafe fn together(
        &self,
        both: &Rectifying<'_>,
        (bias, keeps_nan): (Address, bool),
        is_recording: bool,
    ) -> Result<()> {
        let Rectifying { product, precision, operands, rectified } = *both;
        // SAFETY: the caller's word.
        let ready = unsafe { self.prepare(Pass::Forward, product, precision, operands, is_recording) }?;
        let Ready { state, descriptors: d, algorithm, workspace } = &ready;
        let after = After::new(product.geometry.out_channels, keeps_nan)?;
        let [x, w, y] = operands.map(|operand| operand as *mut c_void);
        let (one, none) = (1.0_f32, 0.0_f32);
        // cuDNN wants a summand in any case: without one it is the output, times 0. Whether it is read then is seen when ways are tried.
        let (add, share) = match rectified.add {
            Some(add) => (add as *mut c_void, &one),
            None => (y, &none),
        };
        // SAFETY: the caller's word. The algorithm's number came from cuDNN.
        unsafe {
            result::convolution_bias_activation_forward(
                state.handle,
                (&raw const one).cast(),
                d.x,
                x,
                d.w,
                w,
                d.convolution,
                trials::forward(algorithm.number),
                state.workspace as *mut c_void,
                *workspace,
                std::ptr::from_ref(share).cast(),
                d.y,
                add,
                after.bias,
                bias as *const c_void,
                after.rectifier,
                d.y,
                y,
            )
        }
        .map_err(failed("cudnnConvolutionBiasActivationForward"))
    }
}

/// Descriptors of what follows a convolution.
struct After {
    bias: sys::cudnnTensorDescriptor_t,
    rectifier: sys::cudnnActivationDescriptor_t,
}

impl After {
    fn new(channels: usize, keeps_nan: bool) -> Result<Self> {
        let bias = result::create_tensor_descriptor().map_err(failed("cudnnCreateTensorDescriptor"))?;
        let rectifier = result::create_activation_descriptor()
            .map_err(failed("cudnnCreateActivationDescriptor"))
            .inspect_err(|_| {
                // SAFETY: it was just made.
                let _ = unsafe { result::destroy_tensor_descriptor(bias) };
            })?;
        let after = Self { bias, rectifier };
        let (layout, kind) =
            (sys::cudnnTensorFormat_t::CUDNN_TENSOR_NHWC, sys::cudnnDataType_t::CUDNN_DATA_FLOAT);
        // SAFETY: both were just made.
        unsafe {
            result::set_tensor4d_descriptor(bias, layout, kind, [1, channels as i32, 1, 1])
                .map_err(failed("cudnnSetTensor4dDescriptor"))?;
            let nan = match keeps_nan {
                true => sys::cudnnNanPropagation_t::CUDNN_PROPAGATE_NAN,
                false => sys::cudnnNanPropagation_t::CUDNN_NOT_PROPAGATE_NAN,
            };
            let relu = sys::cudnnActivationMode_t::CUDNN_ACTIVATION_RELU;
            result::set_activation_descriptor(rectifier, relu, nan, 0.0)
                .map_err(failed("cudnnSetActivationDescriptor"))?;
        }
        Ok(after)
    }
}

impl Drop for After {
    fn drop(&mut self) {
        // SAFETY: nobody has them any more.
        unsafe {
            let _ = result::destroy_tensor_descriptor(self.bias);
            let _ = sys::cudnnDestroyActivationDescriptor(self.rectifier).result();
        }
    }
}
