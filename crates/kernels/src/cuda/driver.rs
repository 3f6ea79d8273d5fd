//! A GPU: libcuda, NVRTC and cuBLAS, loaded when first asked for.

mod blas;
mod compile;
mod turns;

use std::collections::HashMap;
use std::ffi::{CString, c_void};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use cudarc::driver::{result, sys};

use super::device::{Address, Computed, Memory};
use super::{Argument, Device, Error, Pass, Precision, Product, Result, Selection, Storage, sources};
use blas::Blas;
pub use compile::compile;
use compile::program;
pub(super) use turns::{Kind, Turns};

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
    pub(super) algorithms: super::cudnn::Algorithms,
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

/// A queue (stream) of a GPU.
pub struct Queue {
    gpu: Arc<Gpu>,
    blas: Blas,
    #[cfg(feature = "cudnn")]
    dnn: super::cudnn::Cudnn,
    recordings: Mutex<Recordings>,
    /// Whether what is asked for is recorded.
    is_recording: AtomicBool,
    /// Last: the libraries' handles are destroyed before it.
    stream: Stream,
}

struct Stream(sys::CUstream);

#[derive(Default)]
struct Recordings {
    kept: HashMap<u64, sys::CUgraphExec>,
    next: u64,
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
        let stream = Stream(stream.map_err(failed("cuStreamCreate"))?);
        let blas = Blas::new(gpu, stream.0)?;
        #[cfg(feature = "cudnn")]
        let dnn = super::cudnn::Cudnn::new(gpu, stream.0, selection)?;
        #[cfg(not(feature = "cudnn"))]
        let _ = selection; // our own kernels have one order only
        Ok(Arc::new(Self {
            gpu: Arc::clone(gpu),
            blas,
            #[cfg(feature = "cudnn")]
            dnn,
            recordings: Mutex::default(),
            is_recording: AtomicBool::new(false),
            stream,
        }))
    }
}

impl Device for Queue {
    fn description(&self) -> String {
        self.gpu.description.clone()
    }

    fn place(&self) -> usize {
        Arc::as_ptr(&self.gpu) as usize
    }

    fn allocate(&self, bytes: usize) -> Result<Option<Address>> {
        self.gpu.enter()?;
        // SAFETY: the stream lives as long as this queue.
        match unsafe { result::malloc_async(self.stream.0, bytes) } {
            Ok(address) => Ok(Some(address)),
            Err(result::DriverError(sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY)) => Ok(None),
            Err(error) => Err(failed("cuMemAllocAsync")(error)),
        }
    }

    unsafe fn release(&self, address: Address) {
        if self.gpu.enter().is_ok() {
            // SAFETY: the caller's word. After a lost device there is nothing to give back to.
            let _ = unsafe { result::free_async(address, self.stream.0) };
        }
    }

    fn memory(&self) -> Memory {
        let found = self.gpu.enter().ok().and_then(|()| result::mem_get_info().ok());
        let (free, total) = found.unwrap_or((0, 0));
        Memory { free, total }
    }

    unsafe fn upload(&self, from: &[u8], to: Address) -> Result<()> {
        self.gpu.enter()?;
        // SAFETY: the caller's word; pageable memory is staged before the call returns, or waited for below.
        unsafe { result::memcpy_htod_async(to, from, self.stream.0) }.map_err(failed("cuMemcpyHtoDAsync"))?;
        if self.gpu.reads_host_memory { self.synchronize() } else { Ok(()) }
    }

    unsafe fn download(&self, from: Address, to: &mut [u8]) -> Result<()> {
        self.gpu.enter()?;
        // SAFETY: the caller's word; the memory is not touched before the stream is through.
        unsafe { result::memcpy_dtoh_async(to, from, self.stream.0) }.map_err(failed("cuMemcpyDtoHAsync"))?;
        self.synchronize()
    }

    unsafe fn copy(&self, from: Address, to: Address, bytes: usize) -> Result<()> {
        self.gpu.enter()?;
        // SAFETY: the caller's word.
        unsafe { result::memcpy_dtod_async(to, from, bytes, self.stream.0) }
            .map_err(failed("cuMemcpyDtoDAsync"))
    }

    unsafe fn clear(&self, at: Address, bytes: usize) -> Result<()> {
        self.gpu.enter()?;
        // SAFETY: the caller's word.
        unsafe { result::memset_d8_async(at, 0, bytes, self.stream.0) }.map_err(failed("cuMemsetD8Async"))
    }

    unsafe fn launch(
        &self,
        name: &'static str,
        storage: Storage,
        threads: usize,
        arguments: &[Argument],
    ) -> Result<()> {
        self.gpu.enter()?;
        let function = *self
            .gpu
            .functions(storage, self.is_recording())?
            .get(name)
            .ok_or(Error::UnknownKernel { name })?;
        let mut arguments = arguments.to_vec();
        let mut pointers: Vec<*mut c_void> = arguments.iter_mut().map(Argument::as_mut_ptr).collect();
        let blocks = threads.div_ceil(BLOCK) as u32;
        let (grid, block) = ((blocks, 1, 1), (BLOCK as u32, 1, 1));
        // SAFETY: the caller's word.
        unsafe { result::launch_kernel(function, grid, block, 0, self.stream.0, &mut pointers) }
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
            unsafe { self.dnn.convolution(pass, product, precision, operands, self.is_recording()) }?;
            Ok(Computed::ByLibrary)
        }
        #[cfg(not(feature = "cudnn"))]
        Ok(Computed::NotYet)
    }

    fn synchronize(&self) -> Result<()> {
        self.gpu.enter()?;
        // SAFETY: the stream lives as long as this queue.
        unsafe { result::stream::synchronize(self.stream.0) }.map_err(failed("cuStreamSynchronize"))
    }

    fn begin_recording(&self) -> Result<bool> {
        self.gpu.enter()?;
        let mode = sys::CUstreamCaptureMode_enum::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
        self.gpu.turns.begin(Kind::Recording);
        // SAFETY: the stream lives as long as this queue.
        let begun = unsafe { result::stream::begin_capture(self.stream.0, mode) };
        if let Err(error) = begun {
            self.gpu.turns.end(Kind::Recording);
            return Err(failed("cuStreamBeginCapture")(error));
        }
        self.is_recording.store(true, Ordering::Relaxed);
        Ok(true)
    }

    fn end_recording(&self) -> Result<u64> {
        self.is_recording.store(false, Ordering::Relaxed);
        let launchable = self.end_capture();
        self.gpu.turns.end(Kind::Recording);
        let launchable = launchable?;
        let mut recordings = self.recordings.lock().unwrap_or_else(PoisonError::into_inner);
        recordings.next += 1;
        let number = recordings.next;
        recordings.kept.insert(number, launchable);
        Ok(number)
    }

    unsafe fn replay(&self, recording: u64) -> Result<()> {
        self.gpu.enter()?;
        let recordings = self.recordings.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(&launchable) = recordings.kept.get(&recording) else { return Ok(()) };
        // SAFETY: the caller's word.
        unsafe { result::graph::launch(launchable, self.stream.0) }.map_err(failed("cuGraphLaunch"))
    }

    fn forget(&self, recording: u64) {
        let mut recordings = self.recordings.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some(launchable), Ok(())) = (recordings.kept.remove(&recording), self.gpu.enter()) {
            // SAFETY: nobody can launch it any more; what runs of it goes on.
            let _ = unsafe { result::graph::exec_destroy(launchable) };
        }
    }
}

impl Queue {
    fn is_recording(&self) -> bool {
        self.is_recording.load(Ordering::Relaxed)
    }

    /// What was captured, as something that can be launched.
    fn end_capture(&self) -> Result<sys::CUgraphExec> {
        self.gpu.enter()?;
        // SAFETY: the stream is being captured; the graph is not needed once it can be launched.
        unsafe {
            let graph = result::stream::end_capture(self.stream.0).map_err(failed("cuStreamEndCapture"))?;
            let mut launchable = std::ptr::null_mut();
            let made = sys::cuGraphInstantiateWithFlags(&mut launchable, graph, 0).result();
            result::graph::destroy(graph).map_err(failed("cuGraphDestroy"))?;
            made.map_err(failed("cuGraphInstantiate"))?;
            Ok(launchable)
        }
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // What it was asked for is waited for; then its handles are destroyed in this context. After a lost device nothing
        // can be done about a failure.
        let _ = self.synchronize();
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // SAFETY: nobody has the stream any more.
        let _ = unsafe { result::stream::destroy(self.0) };
    }
}
