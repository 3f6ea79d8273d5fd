//! A device that fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use robin_cuda::kernels::device::{Address, Computed, Memory};
use robin_cuda::kernels::host::Host;
use robin_cuda::kernels::{Argument, Device, Error as DeviceError, Pass, Precision, Product, Storage};

/// A device that is lost after some launches.
#[derive(Debug)]
pub(super) struct Failing {
    host: Arc<Host>,
    launches: AtomicUsize,
}

impl Failing {
    pub(super) fn after(launches: usize, host: Arc<Host>) -> Self {
        Self { host, launches: AtomicUsize::new(launches) }
    }
}

impl Device for Failing {
    fn description(&self) -> String {
        self.host.description()
    }

    fn place(&self) -> usize {
        self.host.place()
    }

    fn allocate(&self, bytes: usize) -> Result<Option<Address>, DeviceError> {
        self.host.allocate(bytes)
    }

    unsafe fn release(&self, address: Address) {
        // SAFETY: the caller's word; so for all functions here.
        unsafe { self.host.release(address) }
    }

    fn memory(&self) -> Memory {
        self.host.memory()
    }

    unsafe fn upload(&self, from: &[u8], to: Address) -> Result<(), DeviceError> {
        // SAFETY: as above.
        unsafe { self.host.upload(from, to) }
    }

    unsafe fn download(&self, from: Address, to: &mut [u8]) -> Result<(), DeviceError> {
        if self.launches.load(Ordering::Relaxed) == 0 {
            return Err(lost());
        }
        // SAFETY: as above.
        unsafe { self.host.download(from, to) }
    }

    unsafe fn copy(&self, from: Address, to: Address, bytes: usize) -> Result<(), DeviceError> {
        // SAFETY: as above.
        unsafe { self.host.copy(from, to, bytes) }
    }

    unsafe fn clear(&self, at: Address, bytes: usize) -> Result<(), DeviceError> {
        // SAFETY: as above.
        unsafe { self.host.clear(at, bytes) }
    }

    unsafe fn launch(
        &self,
        name: &'static str,
        storage: Storage,
        threads: usize,
        arguments: &[Argument],
    ) -> Result<(), DeviceError> {
        let left = self.launches.load(Ordering::Relaxed).checked_sub(1).ok_or_else(lost)?;
        self.launches.store(left, Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { self.host.launch(name, storage, threads, arguments) }
    }

    unsafe fn product(
        &self,
        pass: Pass,
        product: &Product,
        precision: Precision,
        operands: [Address; 3],
    ) -> Result<Computed, DeviceError> {
        // SAFETY: as above.
        unsafe { self.host.product(pass, product, precision, operands) }
    }

    fn synchronize(&self) -> Result<(), DeviceError> {
        self.host.synchronize()
    }

    /// Cannot record, as some device may not: every step is asked for anew.
    fn begin_recording(&self) -> Result<bool, DeviceError> {
        Ok(false)
    }

    fn end_recording(&self) -> Result<u64, DeviceError> {
        self.host.end_recording()
    }

    unsafe fn replay(&self, recording: u64) -> Result<(), DeviceError> {
        // SAFETY: as above.
        unsafe { self.host.replay(recording) }
    }

    fn forget(&self, recording: u64) {
        self.host.forget(recording);
    }
}

fn lost() -> DeviceError {
    let reason = "the device is lost".to_owned();
    DeviceError::Call { library: "the driver", call: "cuLaunchKernel", reason, in_use: 0 }
}
