//! What can go wrong with a device.

/// `Result` with this module's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Errors of finding, filling and using a device.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A shared library that is not on this machine.
    #[error("{library} cannot be loaded: {purpose} ({hint})")]
    MissingLibrary {
        /// Its name.
        library: &'static str,
        /// What it is needed for.
        purpose: &'static str,
        /// Where it comes from.
        hint: &'static str,
    },
    /// A device that this machine does not have.
    #[error("there is no CUDA device {ordinal}: this machine has {found} (numbers begin at 0)")]
    NoDevice {
        /// Its number.
        ordinal: usize,
        /// How many there are.
        found: usize,
    },
    /// No room left.
    #[error(
        "the device's memory is full: {} more were asked for, {} are in use here, {} of {} are free; a smaller batch, a \
         smaller width, fewer networks side by side or `--precision bf16` need less",
        megabytes(*needed),
        megabytes(*in_use),
        megabytes(*free),
        megabytes(*total)
    )]
    OutOfMemory {
        /// Bytes that were asked for.
        needed: usize,
        /// Bytes that this network holds.
        in_use: usize,
        /// Bytes that nobody holds, as the driver says.
        free: usize,
        /// Bytes of the device.
        total: usize,
    },
    /// A call that a library refused.
    #[error("{library}: {call} failed: {reason}; {} were in use here", megabytes(*in_use))]
    Call {
        /// Driver, NVRTC, cuBLAS or cuDNN.
        library: &'static str,
        /// What was tried.
        call: &'static str,
        /// The library's word.
        reason: String,
        /// Bytes that this network held, 0 if unknown.
        in_use: usize,
    },
    /// Kernels that do not compile.
    #[error("the kernels do not compile for {target}:\n{log}")]
    Compile {
        /// Architecture or compiler.
        target: String,
        /// What the compiler says.
        log: String,
    },
    /// A convolution that no algorithm computes.
    #[error("no algorithm of cuDNN computes {what} (tried: {tried})")]
    NoAlgorithm {
        /// Pass and sizes.
        what: String,
        /// Each algorithm and why not.
        tried: String,
    },
    /// A kernel that does not exist.
    #[error("there is no kernel {name:?}")]
    UnknownKernel {
        /// The name.
        name: &'static str,
    },
    /// A value larger than kernels can address.
    #[error("{what} has {found} values, kernels count to {limit}")]
    TooLarge {
        /// What it is.
        what: &'static str,
        /// Its size.
        found: usize,
        /// The most there may be.
        limit: usize,
    },
    /// A file or program that is needed to compile kernels for this processor.
    #[error("cannot {action}")]
    Host {
        /// What was tried.
        action: String,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
}

impl Error {
    /// The error of a device, with the bytes that its network holds where they are not known.
    #[must_use]
    pub(super) fn with_memory(mut self, held: usize) -> Self {
        if let Self::Call { in_use, .. } | Self::OutOfMemory { in_use, .. } = &mut self
            && *in_use == 0
        {
            *in_use = held;
        }
        self
    }
}

fn megabytes(bytes: usize) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_call_says_how_much_was_in_use() {
        let call = Error::Call { library: "cuDNN", call: "x", reason: "lost".to_owned(), in_use: 0 };
        let text = call.with_memory(3_000_000).with_memory(5).to_string();
        assert_eq!(text, "cuDNN: x failed: lost; 3.0 MB were in use here");
    }

    #[test]
    fn a_full_memory_says_how_much_was_needed_and_what_helps() {
        let error = Error::OutOfMemory {
            needed: 512_000_000,
            in_use: 7_000_000_000,
            free: 100_000_000,
            total: 8_000_000_000,
        };
        let text = error.to_string();
        for part in ["512.0 MB more", "7000.0 MB are in use", "100.0 MB of 8000.0 MB", "smaller batch"] {
            assert!(text.contains(part), "{text}");
        }
    }
}
