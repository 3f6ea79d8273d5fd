//! What may be asked of a result on the command line, and the exit code 3 if it is not so.

use clap::Args;
use robin_experiments::external_model::verdict::{Deny, Gates, Share, Verdict};

use crate::exit::Unmet;

/// Gates of `audit` and `evaluate`.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct GateArguments {
    /// Exit with 3 unless at least this share of the images withstands every attack (the union itself, not its interval).
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true)]
    min_union: Option<Share>,
    /// Exit with 3 if something speaks against the number: fail (a test failed), or warn (or warned).
    #[arg(long, value_name = "fail|warn")]
    deny: Option<Deny>,
}

impl GateArguments {
    pub(crate) fn gates(self) -> Gates {
        Gates { min_union: self.min_union, deny: self.deny }
    }

    /// Whether there is any.
    pub(crate) fn are_set(self) -> bool {
        self.gates() != Gates::default()
    }
}

/// Whether every gate lets `verdict` through.
///
/// # Errors
/// [`Unmet`] with those that do not.
pub(crate) fn pass(verdict: &Verdict) -> Result<(), Unmet> {
    if verdict.is_let_through() {
        return Ok(());
    }
    let unmet = verdict.gates.iter().filter(|gate| !gate.met);
    Err(Unmet { gates: unmet.map(ToString::to_string).collect() })
}
