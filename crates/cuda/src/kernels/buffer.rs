//! Values on a device, typed.

use std::marker::PhantomData;

use super::context::Context;
use super::device::Address;
use super::{Argument, Result, Storage};

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
    /// Of `bytes` bytes of `context` at `address`.
    pub(super) fn new(context: Context, address: Address, len: usize, bytes: usize) -> Self {
        Self { context, address, len, bytes, of: PhantomData }
    }

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
        self.context.take_back(self.address, self.bytes);
    }
}
