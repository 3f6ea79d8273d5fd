//! Convolutions by cuDNN, channels last (feature `cudnn`).

mod descriptors;
mod trials;

use std::ffi::c_void;
use std::sync::{Mutex, PoisonError};

use cudarc::cudnn::{result, sys};
use cudarc::driver;

use super::algorithms::{AlgorithmCache, Trial};
use super::device::Address;
use super::driver::failed as driver_failed;
use super::{Error, Pass, Precision, Product, Result, Selection};
use crate::conv2d::Geometry;
use descriptors::Descriptors;

/// The most bytes of scratch memory that an algorithm may use.
const WORKSPACE: usize = 512 << 20;

/// What decides which algorithm is best.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    pass: Pass,
    sizes: [usize; 7],
    images: usize,
    precision: Precision,
}

/// An algorithm of any of the passes, by its number, and the arithmetic that it was measured with.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Algorithm {
    number: u32,
    math: sys::cudnnMathType_t,
}

/// cuDNN on one queue.
pub(super) struct Cudnn {
    selection: Selection,
    cache: AlgorithmCache<Key, Algorithm>,
    state: Mutex<State>,
}

struct State {
    handle: sys::cudnnHandle_t,
    workspace: Address,
    bytes: usize,
}

pub(super) fn failed(call: &'static str) -> impl FnOnce(result::CudnnError) -> Error {
    move |result::CudnnError(code)| Error::Call {
        library: "cuDNN",
        call,
        reason: format!("{code:?}"),
        in_use: 0,
    }
}

impl Key {
    fn of(pass: Pass, product: &Product, precision: Precision) -> Self {
        let Geometry { input: [height, width], in_channels, out_channels, kernel, stride, padding } =
            product.geometry;
        let sizes = [height, width, in_channels, out_channels, kernel, stride, padding];
        Self { pass, sizes, images: product.images, precision }
    }
}

impl Cudnn {
    /// On `stream` of the current context.
    pub(super) fn new(stream: driver::sys::CUstream, selection: Selection) -> Result<Self> {
        // SAFETY: looking for a library runs what it runs when it is loaded.
        if !unsafe { sys::is_culib_present() } {
            return Err(Error::MissingLibrary {
                library: "libcudnn.so.9",
                purpose: "this build computes convolutions with cuDNN",
                hint: "it comes with cuDNN 9 and with PyTorch (nvidia-cudnn); put its folder on LD_LIBRARY_PATH",
            });
        }
        let handle = result::create_handle().map_err(failed("cudnnCreate"))?;
        // SAFETY: both are alive.
        unsafe { result::set_stream(handle, stream.cast()) }.map_err(failed("cudnnSetStream"))?;
        let state = Mutex::new(State { handle, workspace: 0, bytes: 0 });
        Ok(Self { selection, cache: AlgorithmCache::default(), state })
    }

    /// Computes a pass of a convolution.
    ///
    /// # Safety
    /// The operands are as long as the product says.
    pub(super) unsafe fn convolution(
        &self,
        pass: Pass,
        product: &Product,
        precision: Precision,
        operands: [Address; 3],
    ) -> Result<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let key = Key::of(pass, product, precision);
        let math = trials::math(precision);
        let mut descriptors = Descriptors::new(product, precision)?;
        descriptors.set_math(math)?;
        let selection = self.selection;
        let Trial { algorithm, workspace, .. } = self.cache.choose(&key, selection, WORKSPACE, || {
            if selection == Selection::Fastest {
                state.make_room(WORKSPACE)?;
            }
            // SAFETY: the caller's word, and the scratch memory is that long.
            unsafe { trials::run(&state, &descriptors, pass, selection, operands) }
        })?;
        state.make_room(workspace)?;
        descriptors.set_math(algorithm.math)?;
        // SAFETY: the caller's word.
        unsafe { state.run(&descriptors, pass, algorithm, workspace, operands) }
    }
}

impl State {
    /// Sees to it that there are `bytes` of scratch memory.
    fn make_room(&mut self, bytes: usize) -> Result<()> {
        if bytes <= self.bytes {
            return Ok(());
        }
        // SAFETY: freeing waits for what still uses it.
        unsafe {
            if self.workspace != 0 {
                driver::result::free_sync(self.workspace).map_err(driver_failed("cuMemFree"))?;
                (self.workspace, self.bytes) = (0, 0);
            }
            self.workspace = match driver::result::malloc_sync(bytes) {
                Ok(address) => address,
                Err(driver::result::DriverError(driver::sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY)) => {
                    let (free, total) = driver::result::mem_get_info().unwrap_or((0, 0));
                    return Err(Error::OutOfMemory { needed: bytes, in_use: 0, free, total });
                }
                Err(error) => return Err(driver_failed("cuMemAlloc")(error)),
            };
        }
        self.bytes = bytes;
        Ok(())
    }

    /// # Safety
    /// The operands are as long as the descriptors say, and there is scratch memory.
    unsafe fn run(
        &self,
        d: &Descriptors,
        pass: Pass,
        algorithm: Algorithm,
        bytes: usize,
        operands: [Address; 3],
    ) -> Result<()> {
        let (one, zero) = (1.0_f32, 0.0_f32);
        let (one, zero): (*const c_void, *const c_void) = ((&raw const one).cast(), (&raw const zero).cast());
        let [a, b, c] = operands.map(|operand| operand as *mut c_void);
        let (handle, scratch) = (self.handle, self.workspace as *mut c_void);
        // SAFETY: the caller's word. Numbers of algorithms came from cuDNN.
        unsafe {
            match pass {
                Pass::Forward => sys::cudnnConvolutionForward(
                    handle,
                    one,
                    d.x,
                    a,
                    d.w,
                    b,
                    d.convolution,
                    trials::forward(algorithm.number),
                    scratch,
                    bytes,
                    zero,
                    d.y,
                    c,
                ),
                Pass::BackwardData => sys::cudnnConvolutionBackwardData(
                    handle,
                    one,
                    d.w,
                    b,
                    d.y,
                    a,
                    d.convolution,
                    trials::backward_data(algorithm.number),
                    scratch,
                    bytes,
                    zero,
                    d.x,
                    c,
                ),
                Pass::BackwardFilter => sys::cudnnConvolutionBackwardFilter(
                    handle,
                    one,
                    d.x,
                    a,
                    d.y,
                    b,
                    d.convolution,
                    trials::backward_filter(algorithm.number),
                    scratch,
                    bytes,
                    zero,
                    d.w,
                    c,
                ),
            }
        }
        .result()
        .map_err(failed("cudnnConvolution"))
    }
}

impl Drop for State {
    fn drop(&mut self) {
        // SAFETY: nobody has the handle any more.
        unsafe {
            let _ = result::destroy_handle(self.handle);
            if self.workspace != 0 {
                let _ = driver::result::free_sync(self.workspace);
            }
        }
    }
}
