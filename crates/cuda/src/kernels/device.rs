//! What a device can do: keep bytes, and run kernels in the order in which they are asked for.

use std::fmt;

use super::{Pass, Precision, Product, Result, Storage};

/// An address on a device. 0 is nothing.
pub type Address = u64;

/// One argument of a kernel, as C has it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Argument {
    /// A buffer, or none.
    Address(Address),
    /// `int`.
    Int(i32),
    /// `u32`.
    Word(u32),
    /// `i64`.
    Long(i64),
    /// `float`.
    Float(f32),
    /// `double`.
    Double(f64),
    /// `struct sizes` of `sources/products.cu`.
    Sizes([i32; 9]),
}

/// Free and all bytes of a device, as its driver says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// That nobody holds.
    pub free: usize,
    /// That there are.
    pub total: usize,
}

/// Who computed a product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Computed {
    /// The device's library.
    ByLibrary,
    /// Nobody: the device has no library for it, and the caller takes the kernels of `sources/products.cu`.
    NotYet,
}

/// What a convolution's output becomes: `max(0, y + bias + add)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rectified {
    /// f32, one for each packed channel.
    pub bias: Address,
    /// As long as the output, or none.
    pub add: Option<Address>,
}

/// A device, or a queue of one: what is asked for is done in order, later than asked, but before a download returns.
///
/// # Safety
/// Addresses come from [`Device::allocate`] of the same device and are not released; lengths stay inside of what was
/// allocated; a kernel's arguments are those that it declares. [`super::Context`] and the modules beside it see to that.
pub trait Device: Send + Sync + fmt::Debug {
    /// Its name for records.
    fn description(&self) -> String;

    /// Devices of the same place reach each other's memory.
    fn place(&self) -> usize;

    /// At least `bytes` bytes, aligned to 256; `None` if there is no room.
    ///
    /// # Errors
    /// If the device fails otherwise.
    fn allocate(&self, bytes: usize) -> Result<Option<Address>>;

    /// Gives back what was allocated. What was asked for before is still done.
    ///
    /// # Safety
    /// As the trait says.
    unsafe fn release(&self, address: Address);

    /// How much room there is.
    fn memory(&self) -> Memory;

    /// Copies `from` to the device.
    ///
    /// # Safety
    /// As the trait says.
    ///
    /// # Errors
    /// If the device fails.
    unsafe fn upload(&self, from: &[u8], to: Address) -> Result<()>;

    /// Waits for everything asked for so far, and copies from the device.
    ///
    /// # Safety
    /// As the trait says.
    ///
    /// # Errors
    /// If the device fails.
    unsafe fn download(&self, from: Address, to: &mut [u8]) -> Result<()>;

    /// Copies on the device.
    ///
    /// # Safety
    /// As the trait says.
    ///
    /// # Errors
    /// If the device fails.
    unsafe fn copy(&self, from: Address, to: Address, bytes: usize) -> Result<()>;

    /// Writes zeros.
    ///
    /// # Safety
    /// As the trait says.
    ///
    /// # Errors
    /// If the device fails.
    unsafe fn clear(&self, at: Address, bytes: usize) -> Result<()>;

    /// Runs the kernel called `name`, compiled for `storage`, with at least `threads` threads.
    ///
    /// # Safety
    /// As the trait says.
    ///
    /// # Errors
    /// If the device fails.
    unsafe fn launch(
        &self,
        name: &'static str,
        storage: Storage,
        threads: usize,
        arguments: &[Argument],
    ) -> Result<()>;

    /// Computes a product with the device's library, if it has one: `operands` are those of [`Pass`].
    ///
    /// # Safety
    /// As the trait says.
    ///
    /// # Errors
    /// If the library fails.
    unsafe fn product(
        &self,
        pass: Pass,
        product: &Product,
        precision: Precision,
        operands: [Address; 3],
    ) -> Result<Computed>;

    /// Computes a forward product and its rectifier: `apart` asks for one after the other. A device whose library does both in
    /// one call may do that instead.
    ///
    /// # Safety
    /// As the trait says.
    ///
    /// # Errors
    /// As `apart`, and if the library fails.
    unsafe fn rectified_product(
        &self,
        _product: &Product,
        _precision: Precision,
        _operands: [Address; 3],
        _rectified: Rectified,
        apart: &dyn Fn() -> Result<()>,
    ) -> Result<()> {
        apart()
    }

    /// Waits for everything asked for so far.
    ///
    /// # Errors
    /// If any of it failed.
    fn synchronize(&self) -> Result<()>;

    /// Begins to record: what is asked for from now on is kept, and not done. `false` if the device cannot do so. Until the
    /// end of it nothing may be allocated, uploaded, downloaded or waited for, and one thread alone asks.
    ///
    /// # Errors
    /// If the device fails.
    fn begin_recording(&self) -> Result<bool>;

    /// Ends recording, and keeps what was recorded under a number.
    ///
    /// # Errors
    /// If something was asked for that cannot be recorded.
    fn end_recording(&self) -> Result<u64>;

    /// Asks for everything recorded under a number once more.
    ///
    /// # Safety
    /// What was recorded is as safe as when it was: all its buffers are still there.
    ///
    /// # Errors
    /// If the device fails.
    unsafe fn replay(&self, recording: u64) -> Result<()>;

    /// Lets a recording go.
    fn forget(&self, recording: u64);
}

impl Argument {
    /// Where its value lies, as a launch wants it.
    pub(super) fn as_mut_ptr(&mut self) -> *mut std::ffi::c_void {
        match self {
            Self::Address(value) => std::ptr::from_mut(value).cast(),
            Self::Int(value) => std::ptr::from_mut(value).cast(),
            Self::Word(value) => std::ptr::from_mut(value).cast(),
            Self::Long(value) => std::ptr::from_mut(value).cast(),
            Self::Float(value) => std::ptr::from_mut(value).cast(),
            Self::Double(value) => std::ptr::from_mut(value).cast(),
            Self::Sizes(value) => std::ptr::from_mut(value).cast(),
        }
    }
}
