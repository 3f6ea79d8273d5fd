//! The list of executors: ways to run any graph, chosen by name at run time.

use crate::candle::Candle;
use crate::cpu::Cpu;
use crate::{Error, Executor, Result};

/// Every executor. The first is the judge of the others.
pub static EXECUTORS: &[&dyn Executor] = &[&Candle::CPU, &Cpu::F32];

/// The executor called `name`.
///
/// # Errors
/// [`Error::UnknownExecutor`] lists the valid names.
pub fn executor(name: &str) -> Result<&'static dyn Executor> {
    EXECUTORS.iter().copied().find(|executor| executor.name() == name).ok_or_else(|| Error::UnknownExecutor {
        name: name.to_owned(),
        valid: EXECUTORS.iter().map(|executor| executor.name()).collect(),
    })
}
