//! Memory of one queue of a device, typed and counted, and launches on it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::device::Address;
use super::{Argument, Buffer, Device, Element, Error, Plain, Precision, Result};

/// One queue of a device, its precision, and the memory that its buffers use. Clones are the same context.
#[derive(Debug, Clone)]
pub struct Context(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    device: Arc<dyn Device>,
    precision: Precision,
    records: bool,
    pool: Mutex<Pool>,
}

/// Buffers that nobody uses, by their size; a released one may be used again at once, because work is done in order.
#[derive(Debug, Default)]
struct Pool {
    free: HashMap<usize, Vec<Address>>,
    in_use: usize,
    /// Whether work is being recorded, which must find its buffers here.
    recording: bool,
    /// Recordings, which write to what is free.
    recordings: usize,
}

/// Work that was recorded once, and can be asked for again: the same kernels on the same buffers. It keeps its context, whose
/// free buffers it writes to: a context that records is used for nothing else.
#[derive(Debug)]
pub struct Recording {
    context: Context,
    number: u64,
}

impl Recording {
    /// Asks for it once more.
    ///
    /// # Safety
    /// Every buffer that the work was given from outside is still there, and nobody else uses the context meanwhile.
    ///
    /// # Errors
    /// If the device fails.
    pub unsafe fn replay(&self) -> Result<()> {
        // SAFETY: the caller's word.
        unsafe { self.context.device().replay(self.number) }.map_err(|error| self.context.with_memory(error))
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        self.context.device().forget(self.number);
        self.context.pool().recordings -= 1;
    }
}

/// A recording that goes on: ended in any case, also by a panic, because the device must not stay as it is.
struct Open<'a>(&'a Context);

impl Open<'_> {
    fn end(self) -> Result<u64> {
        let context = self.0;
        std::mem::forget(self);
        context.pool().recording = false;
        context.device().end_recording()
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.pool().recording = false;
        if let Ok(number) = self.0.device().end_recording() {
            self.0.device().forget(number);
        }
    }
}

impl Context {
    /// A context on `device`.
    pub fn new(device: Arc<dyn Device>, precision: Precision) -> Self {
        Self(Arc::new(Inner { device, precision, records: true, pool: Mutex::default() }))
    }

    /// A context on `device` that records nothing: all work is asked for anew, which recorded work is compared with.
    pub fn unrecorded(device: Arc<dyn Device>, precision: Precision) -> Self {
        Self(Arc::new(Inner { device, precision, records: false, pool: Mutex::default() }))
    }

    /// What it computes in.
    pub fn precision(&self) -> Precision {
        self.0.precision
    }

    /// The device.
    pub fn device(&self) -> &dyn Device {
        &*self.0.device
    }

    /// Room for `len` values, which may be anything.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] if there is no room.
    pub fn buffer<T: Element>(&self, len: usize) -> Result<Buffer<T>> {
        let bytes = (len * T::bytes(self.precision().storage())).next_multiple_of(256).max(256);
        let address = self.allocate(bytes)?;
        Ok(Buffer::new(self.clone(), address, len, bytes))
    }

    /// `len` zeros.
    ///
    /// # Errors
    /// As [`Context::buffer`].
    pub fn zeros<T: Element>(&self, len: usize) -> Result<Buffer<T>> {
        let buffer = self.buffer(len)?;
        buffer.clear()?;
        Ok(buffer)
    }

    /// `values` on the device.
    ///
    /// # Errors
    /// As [`Context::buffer`].
    pub fn upload<T: Plain>(&self, values: &[T]) -> Result<Buffer<T>> {
        let buffer = self.buffer(values.len())?;
        buffer.fill_from(values)?;
        Ok(buffer)
    }

    /// A context of its own memory on the same queue.
    pub fn beside(&self) -> Self {
        let Inner { device, precision, records, .. } = &*self.0;
        let pool = Mutex::default();
        Self(Arc::new(Inner { device: Arc::clone(device), precision: *precision, records: *records, pool }))
    }

    /// Records what `work` asks for, in place of doing it; none if the device cannot, or this context does not. The same work must have been done once
    /// before, so that its buffers are there.
    ///
    /// # Errors
    /// As `work`; [`Error::Call`] if it needs more memory, or waits for something.
    pub fn record<E: From<Error>>(
        &self,
        work: impl FnOnce() -> Result<(), E>,
    ) -> Result<Option<Recording>, E> {
        if !self.0.records || !self.device().begin_recording()? {
            return Ok(None);
        }
        self.pool().recording = true;
        let open = Open(self);
        let done = work();
        let ended = open.end();
        let number = match (done, ended) {
            (Ok(()), ended) => ended?,
            (Err(error), Ok(number)) => {
                self.device().forget(number);
                return Err(error);
            }
            (Err(error), Err(_)) => return Err(error),
        };
        self.pool().recordings += 1;
        Ok(Some(Recording { context: self.clone(), number }))
    }

    /// Waits for everything asked for so far.
    ///
    /// # Errors
    /// If any of it failed.
    pub fn synchronize(&self) -> Result<()> {
        self.device().synchronize().map_err(|error| self.with_memory(error))
    }

    /// The error, with the bytes in use here where its origin does not know them.
    pub(super) fn with_memory(&self, error: Error) -> Error {
        error.with_memory(self.pool().in_use)
    }

    /// Gives the memory that no buffer uses back to the device, and says whether there was any; none while there is a
    /// recording, or one is made, which uses it.
    pub fn trim(&self) -> bool {
        let free = {
            let mut pool = self.pool();
            if pool.recording || pool.recordings > 0 {
                return false;
            }
            std::mem::take(&mut pool.free)
        };
        let any = !free.is_empty();
        for address in free.into_values().flatten() {
            // SAFETY: it came from this device, and no buffer has it.
            unsafe { self.device().release(address) };
        }
        any
    }

    /// Runs a kernel with a thread for each of `threads`.
    ///
    /// # Safety
    /// The arguments are what the kernel declares, and buffers are as long as it reads and writes.
    pub(super) unsafe fn launch(
        &self,
        name: &'static str,
        threads: usize,
        arguments: &[Argument],
    ) -> Result<()> {
        if threads == 0 {
            return Ok(());
        }
        let limit = i32::MAX as usize;
        if threads > limit {
            return Err(Error::TooLarge { what: name, found: threads, limit });
        }
        // SAFETY: the caller's word.
        unsafe { self.device().launch(name, self.precision().storage(), threads, arguments) }
            .map_err(|error| self.with_memory(error))
    }

    fn pool(&self) -> MutexGuard<'_, Pool> {
        self.0.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes `bytes` bytes back from a buffer, for the next one of its size.
    pub(super) fn take_back(&self, address: Address, bytes: usize) {
        let mut pool = self.pool();
        pool.in_use -= bytes;
        pool.free.entry(bytes).or_default().push(address);
    }

    fn allocate(&self, bytes: usize) -> Result<Address> {
        let (kept, recording) = {
            let mut pool = self.pool();
            (pool.free.get_mut(&bytes).and_then(Vec::pop), pool.recording)
        };
        let address = match kept {
            Some(address) => address,
            None if recording => {
                let reason = format!("{bytes} bytes were asked for while work is recorded");
                return Err(Error::Call { library: "the driver", call: "recording", reason, in_use: 0 });
            }
            None => match self.device().allocate(bytes)? {
                Some(address) => address,
                None => {
                    // What is kept for later may be what is lacking.
                    self.trim();
                    self.device().synchronize()?;
                    self.device().allocate(bytes)?.ok_or_else(|| {
                        let memory = self.device().memory();
                        let in_use = self.pool().in_use;
                        Error::OutOfMemory { needed: bytes, in_use, free: memory.free, total: memory.total }
                    })?
                }
            },
        };
        self.pool().in_use += bytes;
        Ok(address)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let pool = self.pool.get_mut().unwrap_or_else(PoisonError::into_inner);
        for address in std::mem::take(&mut pool.free).into_values().flatten() {
            // SAFETY: it came from this device, and every buffer is gone.
            unsafe { self.device.release(address) };
        }
    }
}
