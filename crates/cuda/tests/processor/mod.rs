//! This processor in the place of a GPU.
#![allow(clippy::print_stdout, reason = "says what is not tested on this machine")]

use std::sync::Arc;

use robin_cuda::kernels::host::Host;

/// The device; none, and says so, where no C++ compiler is.
pub(crate) fn as_device() -> Option<Arc<Host>> {
    let host = Host::new().unwrap();
    if host.is_none() {
        println!("not tested: no C++ compiler (CXX, c++, g++, clang++) on this machine");
    }
    host
}
