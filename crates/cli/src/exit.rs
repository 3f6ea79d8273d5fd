//! Exit codes: 0 done, 1 failed, 2 wrong usage (also clap's), 3 done and not let through by a gate ([`Unmet`]), 130
//! interrupted, 141 nobody reads the result; a batch system's task says more ([`Stopped`]).

use std::fmt;
use std::process::ExitCode;

use crate::terminal::{Lost, arrived, say};

/// What a shell reports of a program whose reader has left, which the system ends by SIGPIPE (128 + 13).
const UNREAD: u8 = 141;

/// Of work that was done, and whose result is not what was asked of it.
const UNMET: u8 = 3;

/// Prints an error with its causes, and says what the process returns.
pub fn code(result: anyhow::Result<()>) -> ExitCode {
    let Err(error) = result else { return ExitCode::SUCCESS };
    let number = number(&error);
    if number != UNREAD {
        say!("error: {error:#}");
    }
    ExitCode::from(number)
}

/// Prints what clap has to say, which may be the help that was asked for.
pub fn usage(error: &clap::Error) -> ExitCode {
    let printed = error.print();
    if error.use_stderr() {
        return ExitCode::from(error.exit_code().try_into().unwrap_or(2));
    }
    code(arrived(printed).map_err(Into::into))
}

/// The exit code for `error`.
pub fn number(error: &anyhow::Error) -> u8 {
    let cancelled = |cause: &(dyn std::error::Error + 'static)| {
        let experiments = cause.downcast_ref::<robin_experiments::Error>();
        let data = cause.downcast_ref::<robin_data::Error>();
        experiments.is_some_and(robin_experiments::Error::is_cancelled)
            || matches!(data, Some(robin_data::Error::Cancelled))
            || cause.is::<Interrupted>()
    };
    let usage = |cause: &(dyn std::error::Error + 'static)| {
        cause.downcast_ref().is_some_and(robin_experiments::Error::is_usage)
    };
    if let Some(Stopped { code, .. }) = error.chain().find_map(|cause| cause.downcast_ref()) {
        return *code;
    }
    match error {
        error if error.chain().any(|cause| matches!(cause.downcast_ref(), Some(Lost::Closed))) => UNREAD,
        error if error.chain().any(cancelled) => 130,
        error if error.chain().any(usage) => 2,
        error if error.chain().any(|cause| cause.is::<Unmet>()) => UNMET,
        _ => 1,
    }
}

/// Work that was stopped by Ctrl-C or SIGTERM, and can be continued.
#[derive(Debug)]
pub struct Interrupted;

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("interrupted; give the same command again to continue")
    }
}

impl std::error::Error for Interrupted {}

/// A task of a batch system that was told to stop before its end.
#[derive(Debug)]
pub struct Stopped {
    /// What the process says.
    pub code: u8,
    /// Cells that have no record yet.
    pub cells: usize,
}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stopped by a signal with {} cells unfinished, what can be continued is saved", self.cells)
    }
}

impl std::error::Error for Stopped {}

/// A result that was computed, and that a gate of `audit` or `evaluate` does not let through.
#[derive(Debug)]
pub struct Unmet {
    /// What each of the gates says.
    pub gates: Vec<String>,
}

impl fmt::Display for Unmet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not let through: {}", self.gates.join("; "))
    }
}

impl std::error::Error for Unmet {}
