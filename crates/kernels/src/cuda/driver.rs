//! A GPU: libcuda, NVRTC and cuBLAS, loaded when first asked for.

mod blas;
mod compile;

use std::collections::HashMap;
use std::ffi::{CString, c_void};
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use cudarc::driver::{result, sys};

use super::device::{Address, Computed, Memory};
use super::{Argument, Device, Error, Pass, Precision, Product, Result, Selection, Storage, sources};
use blas::Blas;
pub use compile::compile;

/// Threads of a block.
const BLOCK: usize = 256;

/// A GPU of this machine, with our kernels compiled for it once asked for.
pub struct Gpu {
    context: sys::CUcontext,
    description: String,
    /// Compute capability, as in `compute_90`.
    capability: usize,
    modules: [OnceLock<Functions>; 2],
    compiling: Mutex<()>,
}

type Functions = HashMap<&'static str, sys::CUfunction>;

// SAFETY: a context may be made current by any thread, and its handles used by any thread that did so.
unsafe impl Send for Gpu {}
// SAFETY: as above; what changes is behind locks.
unsafe impl Sync for Gpu {}

impl fmt::Debug for Gpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Gpu({})", self.description)
    }
}

/// A failed call of the driver.
pub(super) fn failed(call: &'static str) -> impl FnOnce(result::DriverError) -> Error {
    move |error| {
        let text = |found: Result<&std::ffi::CStr, result::DriverError>| {
            found.map_or("unknown".to_owned(), |text| text.to_string_lossy().into_owned())
        };
        let reason = format!("{} ({})", text(error.error_name()), text(error.error_string()));
        Error::Call { library: "the driver", call, reason, in_use: 0 }
    }
}

impl Gpu {
    /// GPU number `ordinal` of this machine.
    ///
    /// # Errors
    /// [`Error::MissingLibrary`] without a driver, [`Error::NoDevice`] without such a GPU.
    pub fn open(ordinal: usize) -> Result<Arc<Self>> {
        // SAFETY: looking for a library runs what the driver runs when it is loaded.
        if !unsafe { sys::is_culib_present() } {
            return Err(Error::MissingLibrary {
                library: "libcuda.so.1",
                purpose: "CUDA devices are reached through NVIDIA's driver",
                hint: "it comes with the driver, of version 580 or newer for CUDA 13, on a machine with an NVIDIA GPU",
            });
        }
        match result::init() {
            Ok(()) => {}
            Err(result::DriverError(sys::CUresult::CUDA_ERROR_NO_DEVICE)) => {
                return Err(Error::NoDevice { ordinal, found: 0 });
            }
            Err(error) => return Err(failed("cuInit")(error)),
        }
        let found = result::device::get_count().map_err(failed("cuDeviceGetCount"))?.max(0) as usize;
        if ordinal >= found {
            return Err(Error::NoDevice { ordinal, found });
        }
        let device = result::device::get(ordinal as i32).map_err(failed("cuDeviceGet"))?;
        let name = result::device::get_name(device).map_err(failed("cuDeviceGetName"))?;
        let attribute = |attribute| {
            // SAFETY: the device is one.
            unsafe { result::device::get_attribute(device, attribute) }
                .map_err(failed("cuDeviceGetAttribute"))
        };
        let major = attribute(sys::CUdevice_attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?;
        let minor = attribute(sys::CUdevice_attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?;
        // SAFETY: the device is one; the context is kept until the process ends.
        let context = unsafe { result::primary_ctx::retain(device) };
        let context = context.map_err(failed("cuDevicePrimaryCtxRetain"))?;
        let description = format!("{name}, compute capability {major}.{minor}");
        let capability = (10 * major + minor) as usize;
        let modules = [OnceLock::new(), OnceLock::new()];
        Ok(Arc::new(Self { context, description, capability, modules, compiling: Mutex::default() }))
    }

    fn enter(&self) -> Result<()> {
        // SAFETY: the context is kept until the process ends.
        unsafe { result::ctx::set_current(self.context) }.map_err(failed("cuCtxSetCurrent"))
    }

    fn functions(&self, storage: Storage) -> Result<&Functions> {
        let module = &self.modules[storage as usize];
        let _one_at_a_time = self.compiling.lock().unwrap_or_else(PoisonError::into_inner);
        if module.get().is_none() {
            let text = compile(storage, self.capability)?;
            // SAFETY: NVRTC wrote the text, and ended it with 0.
            let loaded = unsafe { result::module::load_data(text.as_ptr().cast()) };
            let loaded = loaded.map_err(failed("cuModuleLoadData"))?;
            let mut functions = Functions::new();
            for name in sources::names() {
                let c_name = CString::new(name).map_err(|_| Error::UnknownKernel { name })?;
                // SAFETY: the module stays loaded.
                let function = unsafe { result::module::get_function(loaded, c_name) };
                functions.insert(name, function.map_err(failed("cuModuleGetFunction"))?);
            }
            // Another thread cannot have been faster.
            let _ = module.set(functions);
        }
        Ok(module.get().expect("it was loaded"))
    }
}

/// A queue (stream) of a GPU.
pub struct Queue {
    gpu: Arc<Gpu>,
    stream: sys::CUstream,
    blas: Blas,
    #[cfg(feature = "cudnn")]
    dnn: super::cudnn::Cudnn,
}

// SAFETY: handles are used by one thread at a time, behind locks, or by calls that threads may make side by side.
unsafe impl Send for Queue {}
// SAFETY: as above.
unsafe impl Sync for Queue {}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Queue({})", self.gpu.description)
    }
}

impl Queue {
    /// A new queue, which runs beside others of the same GPU.
    ///
    /// # Errors
    /// If a library is missing or the GPU fails.
    pub fn new(gpu: &Arc<Gpu>, selection: Selection) -> Result<Arc<Self>> {
        gpu.enter()?;
        let stream = result::stream::create(result::stream::StreamKind::NonBlocking);
        let stream = stream.map_err(failed("cuStreamCreate"))?;
        let blas = Blas::new(stream)?;
        #[cfg(feature = "cudnn")]
        let dnn = super::cudnn::Cudnn::new(stream, selection)?;
        #[cfg(not(feature = "cudnn"))]
        let _ = selection; // our own kernels have one order only
        Ok(Arc::new(Self {
            gpu: Arc::clone(gpu),
            stream,
            blas,
            #[cfg(feature = "cudnn")]
            dnn,
        }))
    }
}

impl Device for Queue {
    fn description(&self) -> String {
        self.gpu.description.clone()
    }

    fn allocate(&self, bytes: usize) -> Result<Option<Address>> {
        self.gpu.enter()?;
        // SAFETY: the stream lives as long as this queue.
        match unsafe { result::malloc_async(self.stream, bytes) } {
            Ok(address) => Ok(Some(address)),
            Err(result::DriverError(sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY)) => Ok(None),
            Err(error) => Err(failed("cuMemAllocAsync")(error)),
        }
    }

    unsafe fn release(&self, address: Address) {
        if self.gpu.enter().is_ok() {
            // SAFETY: the caller's word. After a lost device there is nothing to give back to.
            let _ = unsafe { result::free_async(address, self.stream) };
        }
    }

    fn memory(&self) -> Memory {
        let found = self.gpu.enter().ok().and_then(|()| result::mem_get_info().ok());
        let (free, total) = found.unwrap_or((0, 0));
        Memory { free, total }
    }

    unsafe fn upload(&self, from: &[u8], to: Address) -> Result<()> {
        self.gpu.enter()?;
        // SAFETY: the caller's word; pageable memory has been read when the call returns.
        unsafe { result::memcpy_htod_async(to, from, self.stream) }.map_err(failed("cuMemcpyHtoDAsync"))
    }

    unsafe fn download(&self, from: Address, to: &mut [u8]) -> Result<()> {
        self.gpu.enter()?;
        // SAFETY: the caller's word; the memory is not touched before the stream is through.
        unsafe { result::memcpy_dtoh_async(to, from, self.stream) }.map_err(failed("cuMemcpyDtoHAsync"))?;
        self.synchronize()
    }

    unsafe fn copy(&self, from: Address, to: Address, bytes: usize) -> Result<()> {
        self.gpu.enter()?;
        // SAFETY: the caller's word.
        unsafe { result::memcpy_dtod_async(to, from, bytes, self.stream) }
            .map_err(failed("cuMemcpyDtoDAsync"))
    }

    unsafe fn clear(&self, at: Address, bytes: usize) -> Result<()> {
        self.gpu.enter()?;
        // SAFETY: the caller's word.
        unsafe { result::memset_d8_async(at, 0, bytes, self.stream) }.map_err(failed("cuMemsetD8Async"))
    }

    unsafe fn launch(
        &self,
        name: &'static str,
        storage: Storage,
        threads: usize,
        arguments: &[Argument],
    ) -> Result<()> {
        self.gpu.enter()?;
        let function = *self.gpu.functions(storage)?.get(name).ok_or(Error::UnknownKernel { name })?;
        let mut arguments = arguments.to_vec();
        let mut pointers: Vec<*mut c_void> = arguments.iter_mut().map(Argument::as_mut_ptr).collect();
        let blocks = threads.div_ceil(BLOCK) as u32;
        let (grid, block) = ((blocks, 1, 1), (BLOCK as u32, 1, 1));
        // SAFETY: the caller's word.
        unsafe { result::launch_kernel(function, grid, block, 0, self.stream, &mut pointers) }
            .map_err(failed("cuLaunchKernel"))
    }

    unsafe fn product(
        &self,
        pass: Pass,
        product: &Product,
        precision: Precision,
        operands: [Address; 3],
    ) -> Result<Computed> {
        self.gpu.enter()?;
        if product.is_linear() {
            // SAFETY: the caller's word.
            unsafe { self.blas.linear(pass, product, precision, operands) }?;
            return Ok(Computed::ByLibrary);
        }
        #[cfg(feature = "cudnn")]
        {
            // SAFETY: the caller's word.
            unsafe { self.dnn.convolution(pass, product, precision, operands) }?;
            Ok(Computed::ByLibrary)
        }
        #[cfg(not(feature = "cudnn"))]
        Ok(Computed::NotYet)
    }

    fn synchronize(&self) -> Result<()> {
        self.gpu.enter()?;
        // SAFETY: the stream lives as long as this queue.
        unsafe { result::stream::synchronize(self.stream) }.map_err(failed("cuStreamSynchronize"))
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        if self.gpu.enter().is_ok() {
            // SAFETY: nobody has the queue any more; what it was asked for is waited for first.
            unsafe {
                let _ = result::stream::synchronize(self.stream);
                let _ = result::stream::destroy(self.stream);
            }
        }
    }
}
