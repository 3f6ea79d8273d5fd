//! Memory of one queue of a device, typed and counted, and launches on it.

use std::collections::HashMap;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::device::Address;
use super::{Argument, Device, Error, Precision, Result, Storage};

/// A stored activation: 4 or 2 bytes, as the context's precision has it.
#[derive(Debug, Clone, Copy)]
pub enum Real {}

/// What buffers hold.
pub trait Element {
    /// Bytes of one.
    fn bytes(storage: Storage) -> usize;
}

/// An element that is the same on the host.
pub trait Plain: Element + Copy + Default {
    /// As bytes in memory.
    fn as_bytes(values: &[Self]) -> &[u8];
    /// As bytes to be written.
    fn as_bytes_mut(values: &mut [Self]) -> &mut [u8];
}

impl Element for Real {
    fn bytes(storage: Storage) -> usize {
        storage.bytes()
    }
}

macro_rules! plain {
    ($($of:ty),*) => {$(
        impl Element for $of {
            fn bytes(_storage: Storage) -> usize {
                size_of::<$of>()
            }
        }

        impl Plain for $of {
            fn as_bytes(values: &[Self]) -> &[u8] {
                // SAFETY: a number has no padding, and every byte is one.
                unsafe { std::slice::from_raw_parts(values.as_ptr().cast(), size_of_val(values)) }
            }

            fn as_bytes_mut(values: &mut [Self]) -> &mut [u8] {
                // SAFETY: as above, and every pattern of bits is a number.
                unsafe { std::slice::from_raw_parts_mut(values.as_mut_ptr().cast(), size_of_val(values)) }
            }
        }
    )*};
}

plain!(u8, u32, i32, f32, f64);

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
    peak: usize,
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

    /// The most bytes that buffers held at one time.
    pub fn peak_bytes(&self) -> usize {
        self.pool().peak
    }

    /// Room for `len` values, which may be anything.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] if there is no room.
    pub fn buffer<T: Element>(&self, len: usize) -> Result<Buffer<T>> {
        let bytes = (len * T::bytes(self.precision().storage())).next_multiple_of(256).max(256);
        let address = self.allocate(bytes)?;
        Ok(Buffer { context: self.clone(), address, len, bytes, of: PhantomData })
    }

    /// `len` zeros.
    ///
    /// # Errors
    /// As [`Context::buffer`].
    pub fn zeros<T: Element>(&self, len: usize) -> Result<Buffer<T>> {
        let buffer = self.buffer(len)?;
        // SAFETY: the buffer is that long.
        unsafe { self.device().clear(buffer.address, buffer.bytes) }?;
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
        let mut pool = self.pool();
        pool.in_use += bytes;
        pool.peak = pool.peak.max(pool.in_use);
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

/// Values on a device. Dropping it gives its room to the next one of its size.
#[derive(Debug)]
pub struct Buffer<T: Element> {
    context: Context,
    address: Address,
    len: usize,
    bytes: usize,
    of: PhantomData<T>,
}

// SAFETY: a buffer is an address and a context, which is `Send` and `Sync`; its values are reached through the device only.
unsafe impl<T: Element> Send for Buffer<T> {}
// SAFETY: as above.
unsafe impl<T: Element> Sync for Buffer<T> {}

impl<T: Element> Buffer<T> {
    /// Number of values.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn argument(&self) -> Argument {
        Argument::Address(self.address)
    }

    pub(super) fn address(&self) -> Address {
        self.address
    }

    /// Copies the values of another buffer of this length.
    ///
    /// # Errors
    /// If the device fails.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn copy_from(&self, other: &Self) -> Result<()> {
        assert_eq!(self.len, other.len, "lengths of buffers");
        // SAFETY: both are that long.
        unsafe { self.context.device().copy(other.address, self.address, self.bytes.min(other.bytes)) }
            .map_err(|error| self.context.with_memory(error))
    }

    /// A copy of the first `len` values.
    ///
    /// # Errors
    /// If the device fails.
    ///
    /// # Panics
    /// If there are fewer.
    pub fn first(&self, len: usize) -> Result<Self> {
        self.part(0, len)
    }

    /// A copy of the last `len` values.
    ///
    /// # Errors
    /// If the device fails.
    ///
    /// # Panics
    /// If there are fewer.
    pub fn last(&self, len: usize) -> Result<Self> {
        self.part(self.len.checked_sub(len).expect("as many values"), len)
    }

    fn part(&self, from: usize, len: usize) -> Result<Self> {
        assert!(from + len <= self.len, "{from}..{} of {} values", from + len, self.len);
        let part = self.context.buffer(len)?;
        let size = T::bytes(self.context.precision().storage());
        // SAFETY: both are that long.
        unsafe { self.context.device().copy(self.address + (from * size) as u64, part.address, len * size) }?;
        Ok(part)
    }

    /// Writes zeros.
    ///
    /// # Errors
    /// If the device fails.
    pub fn clear(&self) -> Result<()> {
        // SAFETY: the buffer is that long.
        unsafe { self.context.device().clear(self.address, self.bytes) }
    }
}

impl<T: Plain> Buffer<T> {
    /// Copies `values` to the device.
    ///
    /// # Errors
    /// If the device fails.
    ///
    /// # Panics
    /// If there are not as many.
    pub fn fill_from(&self, values: &[T]) -> Result<()> {
        assert_eq!(values.len(), self.len, "values for a buffer");
        // SAFETY: the buffer is that long.
        unsafe { self.context.device().upload(T::as_bytes(values), self.address) }
            .map_err(|error| self.context.with_memory(error))
    }

    /// Waits, and returns the values.
    ///
    /// # Errors
    /// If the device fails.
    pub fn to_vec(&self) -> Result<Vec<T>> {
        let mut values = vec![T::default(); self.len];
        // SAFETY: the buffer is that long.
        unsafe { self.context.device().download(self.address, T::as_bytes_mut(&mut values)) }
            .map_err(|error| self.context.with_memory(error))?;
        Ok(values)
    }
}

impl<T: Element> Drop for Buffer<T> {
    fn drop(&mut self) {
        let mut pool = self.context.pool();
        pool.in_use -= self.bytes;
        pool.free.entry(self.bytes).or_default().push(self.address);
    }
}
