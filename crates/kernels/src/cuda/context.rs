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
    pool: Mutex<Pool>,
}

/// Buffers that nobody uses, by their size; a released one may be used again at once, because work is done in order.
#[derive(Debug, Default)]
struct Pool {
    free: HashMap<usize, Vec<Address>>,
    in_use: usize,
    peak: usize,
}

impl Context {
    /// A context on `device`.
    pub fn new(device: Arc<dyn Device>, precision: Precision) -> Self {
        Self(Arc::new(Inner { device, precision, pool: Mutex::default() }))
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

    /// Waits for everything asked for so far.
    ///
    /// # Errors
    /// If any of it failed.
    pub fn synchronize(&self) -> Result<()> {
        self.device().synchronize()
    }

    /// Gives the memory that no buffer uses back to the device.
    pub fn trim(&self) {
        let free = std::mem::take(&mut self.pool().free);
        for address in free.into_values().flatten() {
            // SAFETY: it came from this device, and no buffer has it.
            unsafe { self.device().release(address) };
        }
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
        // SAFETY: the caller's word.
        unsafe { self.device().launch(name, self.precision().storage(), threads, arguments) }
    }

    fn pool(&self) -> MutexGuard<'_, Pool> {
        self.0.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn allocate(&self, bytes: usize) -> Result<Address> {
        let kept = self.pool().free.get_mut(&bytes).and_then(Vec::pop);
        let address = match kept {
            Some(address) => address,
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
    }

    /// Waits, and returns the values.
    ///
    /// # Errors
    /// If the device fails.
    pub fn to_vec(&self) -> Result<Vec<T>> {
        let mut values = vec![T::default(); self.len];
        // SAFETY: the buffer is that long.
        unsafe { self.context.device().download(self.address, T::as_bytes_mut(&mut values)) }?;
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

impl<T: Element> From<&Buffer<T>> for Argument {
    fn from(buffer: &Buffer<T>) -> Self {
        buffer.argument()
    }
}

impl<T: Element> From<Option<&Buffer<T>>> for Argument {
    fn from(buffer: Option<&Buffer<T>>) -> Self {
        Argument::Address(buffer.map_or(0, Buffer::address))
    }
}

macro_rules! from {
    ($($of:ty => $to:ident),*) => {$(
        impl From<$of> for Argument {
            fn from(value: $of) -> Self {
                Argument::$to(value)
            }
        }
    )*};
}

from!(i32 => Int, u32 => Word, i64 => Long, f32 => Float, f64 => Double);

/// `launch!(context, "kernel", threads; argument, ...)`: [`Context::launch`] with its arguments converted.
macro_rules! launch {
    ($context:expr, $name:literal, $threads:expr; $($argument:expr),* $(,)?) => {
        $context.launch($name, $threads, &[$($crate::cuda::Argument::from($argument)),*])
    };
}
pub(super) use launch;
