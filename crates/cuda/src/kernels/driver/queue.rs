//! A queue of work on a GPU.

use std::collections::HashMap;
use std::ffi::c_void;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use cudarc::driver::{result, sys};

use super::super::device::{Address, Computed, Memory};
use super::super::{Argument, Device, Error, Pass, Precision, Product, Result, Selection, Storage};
use super::blas::Blas;
use super::turns::Kind;
use super::{BLOCK, Gpu, failed};

/// A queue (stream) of a GPU.
pub struct Queue {
    gpu: Arc<Gpu>,
    blas: Blas,
    #[cfg(feature = "cudnn")]
    dnn: super::super::cudnn::Cudnn,
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
        let dnn = super::super::cudnn::Cudnn::new(gpu, stream.0, selection)?;
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

    #[cfg(feature = "cudnn")]
    unsafe fn rectified_product(
        &self,
        product: &Product,
        precision: Precision,
        operands: [Address; 3],
        rectified: super::super::device::Rectified,
        apart: &dyn Fn() -> Result<()>,
    ) -> Result<()> {
        if product.is_linear() {
            return apart();
        }
        self.gpu.enter()?;
        let both = super::super::cudnn::Rectifying { product, precision, operands, rectified };
        // SAFETY: the caller's word.
        unsafe { self.dnn.rectified(&both, self, apart) }
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
    pub(in super::super) fn is_recording(&self) -> bool {
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
