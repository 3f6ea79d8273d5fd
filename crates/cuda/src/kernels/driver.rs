//! A GPU: libcuda, NVRTC and cuBLAS, loaded when first asked for.

mod blas;
mod compile;
mod queue;
mod turns;

use std::collections::HashMap;
use std::ffi::CString;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use cudarc::driver::{result, sys};

use super::device::Address;
use super::{Error, Result, Storage, sources};
pub use compile::compile;
use compile::program;
pub use queue::Queue;
pub(super) use turns::Turns;

/// Threads of a block.
const BLOCK: usize = 256;

/// A GPU of this machine, with our kernels compiled for it once asked for.
pub struct Gpu {
    context: sys::CUcontext,
    description: String,
    /// Compute capability, as in `compute_90`.
    capability: usize,
    /// Whether it reads the host's memory itself, and so perhaps later than a copy was asked for.
    reads_host_memory: bool,
    modules: [OnceLock<Functions>; 2],
    compiling: Mutex<()>,
    pub(super) turns: Turns,
    /// Of all queues: what one has measured, no other need measure.
    #[cfg(feature = "cudnn")]
    pub(super) algorithms: super::cudnn::chosen::Algorithms,
    #[cfg(feature = "cudnn")]
    pub(super) ways: super::cudnn::chosen::Ways,
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

/// Scratch memory for a library, of the driver itself and of no queue.
pub(super) fn scratch(bytes: usize) -> Result<Address> {
    // SAFETY: memory is asked for and nothing else.
    match unsafe { result::malloc_sync(bytes) } {
        Ok(address) => Ok(address),
        Err(result::DriverError(sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY)) => {
            let (free, total) = result::mem_get_info().unwrap_or((0, 0));
            Err(Error::OutOfMemory { needed: bytes, in_use: 0, free, total })
        }
        Err(error) => Err(failed("cuMemAlloc")(error)),
    }
}

/// What a library's code says of a call; where it found no memory, how much there is.
pub(super) fn refused(code: &dyn fmt::Debug) -> String {
    let code = format!("{code:?}");
    if !code.contains("ALLOC_FAILED") {
        return code;
    }
    let (free, total) = result::mem_get_info().unwrap_or((0, 0));
    format!(
        "{code}, the device's memory is full: {:.1} of {:.1} MB are free; a smaller batch or fewer networks side by side need less",
        free as f64 / 1e6,
        total as f64 / 1e6
    )
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
        let reads_host_memory =
            attribute(sys::CUdevice_attribute::CU_DEVICE_ATTRIBUTE_PAGEABLE_MEMORY_ACCESS)? != 0;
        // SAFETY: the device is one; the context is kept until the process ends.
        let context = unsafe { result::primary_ctx::retain(device) };
        let context = context.map_err(failed("cuDevicePrimaryCtxRetain"))?;
        let description = format!("{name}, compute capability {major}.{minor}");
        let capability = (10 * major + minor) as usize;
        Ok(Arc::new(Self {
            context,
            description,
            capability,
            reads_host_memory,
            modules: [OnceLock::new(), OnceLock::new()],
            compiling: Mutex::default(),
            turns: Turns::default(),
            #[cfg(feature = "cudnn")]
            algorithms: Default::default(),
            #[cfg(feature = "cudnn")]
            ways: Default::default(),
        }))
    }

    fn enter(&self) -> Result<()> {
        // SAFETY: the context is kept until the process ends.
        unsafe { result::ctx::set_current(self.context) }.map_err(failed("cuCtxSetCurrent"))
    }

    /// The kernels, compiled and loaded the first time, which `is_recording` forbids.
    fn functions(&self, storage: Storage, is_recording: bool) -> Result<&Functions> {
        let module = &self.modules[storage as usize];
        // Before any lock: who records must not wait for one who waits for it.
        if let Some(loaded) = module.get() {
            return Ok(loaded);
        }
        if is_recording {
            let reason = "the kernels are not loaded yet".to_owned();
            return Err(Error::Call { library: "the driver", call: "recording", reason, in_use: 0 });
        }
        let _one_at_a_time = self.compiling.lock().unwrap_or_else(PoisonError::into_inner);
        if module.get().is_none() {
            let program = program(storage, self.capability)?;
            let _turn = self.turns.disturb();
            // SAFETY: NVRTC wrote it, a program of this GPU or text that ends with 0.
            let loaded = unsafe { result::module::load_data(program.as_ptr().cast()) };
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
