//! A convolution, its bias, a sum and a rectifier in one call of cuDNN, or in one of cuDNN and one of ours: whichever is quicker.

use std::ffi::c_void;
use std::time::Instant;

use cudarc::cudnn::{result, sys};

use super::super::algorithms::{AlgorithmCache, Selection, Trial};
use super::super::device::{Address, Rectified};
use super::super::driver::Queue;
use super::super::{Device, Error, Pass, Precision, Product, Result, Storage};
use super::{Cudnn, Key, Ready, failed, not_while_recording, trials};

/// What was chosen on one GPU, by the convolution and whether there is a sum.
pub(in super::super) type Ways = AlgorithmCache<(Key, bool), Way>;

/// How it is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Way {
    /// First the convolution, then our kernel.
    Apart,
    /// In one call.
    Together,
}

/// A convolution with its rectifier.
pub(in super::super) struct Rectifying<'a> {
    pub(in super::super) product: &'a Product,
    pub(in super::super) precision: Precision,
    pub(in super::super) operands: [Address; 3],
    pub(in super::super) rectified: Rectified,
}

/// Calls of each way before those that count, and that count.
const CALLS: [usize; 2] = [2, 10];

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
        let together = || unsafe { self.together(both, queue.is_recording()) };
        let way = match self.gpu.ways.known(&key) {
            Some(known) => known.algorithm,
            None if queue.is_recording() => return Err(not_while_recording("a way would be chosen")),
            None => {
                // Chooses the algorithm, which is not measured while ways are.
                apart()?;
                let _turn = self.gpu.turns.disturb();
                let trials = || ways(&|| queue.synchronize(), apart, &together);
                self.gpu.ways.choose(&key, self.selection, 0, trials)?.algorithm
            }
        };
        match way {
            Way::Apart => apart(),
            Way::Together => together(),
        }
    }

    /// # Safety
    /// As [`Cudnn::rectified`].
    unsafe fn together(&self, both: &Rectifying<'_>, is_recording: bool) -> Result<()> {
        let Rectifying { product, precision, operands, rectified } = *both;
        // SAFETY: the caller's word.
        let ready = unsafe { self.prepare(Pass::Forward, product, precision, operands, is_recording) }?;
        let Ready { state, descriptors: d, algorithm, workspace } = &ready;
        let after = After::new(product.geometry.out_channels)?;
        let [x, w, y] = operands.map(|operand| operand as *mut c_void);
        let (one, none) = (1.0_f32, 0.0_f32);
        // Without a summand the output stands for it, times 0, which cuDNN does not read then.
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
                rectified.bias as *const c_void,
                after.rectifier,
                d.y,
                y,
            )
        }
        .map_err(failed("cudnnConvolutionBiasActivationForward"))
    }
}

/// Both ways, and what they took. Where cuDNN refuses the one call, it is no way; anything else that fails is an error.
fn ways(
    synchronize: &dyn Fn() -> Result<()>,
    apart: &dyn Fn() -> Result<()>,
    together: &dyn Fn() -> Result<()>,
) -> Result<Vec<Trial<Way>>> {
    let measured = |call: &dyn Fn() -> Result<()>| -> Result<f32> {
        let [before, counting] = CALLS;
        (0..before).try_for_each(|_| call())?;
        synchronize()?;
        let start = Instant::now();
        (0..counting).try_for_each(|_| call())?;
        synchronize()?;
        Ok(start.elapsed().as_secs_f32() * 1e3 / counting as f32)
    };
    let trial = |algorithm, time| Trial { algorithm, time, workspace: 0, repeatable: true };
    let together = match together() {
        Ok(()) => Ok(measured(together)?),
        Err(Error::Call { library: "cuDNN", reason, .. }) => Err(reason),
        Err(error) => return Err(error),
    };
    // The first wins where both take as long.
    Ok(vec![trial(Way::Apart, Ok(measured(apart)?)), trial(Way::Together, together)])
}

/// Descriptors of what follows a convolution.
struct After {
    bias: sys::cudnnTensorDescriptor_t,
    rectifier: sys::cudnnActivationDescriptor_t,
}

impl After {
    fn new(channels: usize) -> Result<Self> {
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
            // What is no number stays none, as in our kernel.
            let nan = sys::cudnnNanPropagation_t::CUDNN_PROPAGATE_NAN;
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

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::thread::sleep;
    use std::time::Duration;

    use super::*;

    fn chosen(apart: u64, together: Result<u64, &'static str>) -> Result<Way> {
        let takes = |ms| sleep(Duration::from_millis(ms));
        let apart = || {
            takes(apart);
            Ok(())
        };
        let refusal = |reason: &str| Error::Call {
            library: "cuDNN",
            call: "cudnnConvolutionBiasActivationForward",
            reason: reason.to_owned(),
            in_use: 0,
        };
        let together = || together.map(takes).map_err(refusal);
        let cache: AlgorithmCache<u8, Way> = AlgorithmCache::default();
        let trials = || ways(&|| Ok(()), &apart, &together);
        Ok(cache.choose(&0, Selection::Fastest, 0, trials)?.algorithm)
    }

    #[test]
    fn the_quicker_way_is_taken_and_what_cudnn_refuses_is_none() {
        assert_eq!(chosen(8, Ok(1)).unwrap(), Way::Together);
        assert_eq!(chosen(1, Ok(8)).unwrap(), Way::Apart);
        assert_eq!(chosen(1, Err("CUDNN_STATUS_NOT_SUPPORTED")).unwrap(), Way::Apart);
    }

    #[test]
    fn what_was_asked_for_is_waited_for_and_a_lost_device_is_no_refusal() {
        let waited = Cell::new(0);
        let synchronize = || {
            waited.set(waited.get() + 1);
            Ok(())
        };
        ways(&synchronize, &|| Ok(()), &|| Ok(())).unwrap();
        assert_eq!(waited.get(), 4, "before and after each way");
        let lost = || {
            let reason = "CUDA_ERROR_ILLEGAL_ADDRESS".to_owned();
            Err(Error::Call { library: "the driver", call: "cuStreamSynchronize", reason, in_use: 0 })
        };
        assert!(ways(&lost, &|| Ok(()), &|| Ok(())).is_err());
        assert!(ways(&|| Ok(()), &|| Ok(()), &lost).is_err());
    }
}
