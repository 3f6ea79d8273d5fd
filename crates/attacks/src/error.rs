//! Settings that no attack can run with.

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can be wrong with an attack's settings. (A running attack fails with `robin_core::Error`.)
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting outside what is allowed.
    #[error("attack {attack}: {field} is {value}, allowed is {allowed}")]
    Setting {
        /// The attack's name.
        attack: &'static str,
        /// The setting's name.
        field: &'static str,
        /// What was given.
        value: String,
        /// What would have been right, in words.
        allowed: String,
    },
    /// A budget in a norm that the attack does not exist in.
    #[error("attack {attack} measures in {allowed}, not in {norm}")]
    Norm {
        /// The attack's name.
        attack: &'static str,
        /// The budget's norm.
        norm: robin_core::Norm,
        /// The attack's norm.
        allowed: robin_core::Norm,
    },
    /// An attack that cannot go without a budget.
    #[error("attack {attack} needs a budget: it does not look for the smallest perturbation")]
    NotMinimal {
        /// The attack's name.
        attack: &'static str,
    },
    /// Text that names no attack.
    #[error("attack {name:?} is unknown (one of: {valid})")]
    Unknown {
        /// What was given.
        name: String,
        /// All names.
        valid: String,
    },
    /// A setting that the attack does not have.
    #[error("attack {attack} has no setting {setting} (it has: {has})")]
    NoSetting {
        /// The attack's name.
        attack: &'static str,
        /// What was given.
        setting: String,
        /// Those that there are.
        has: String,
    },
    /// A setting of another type than it has.
    #[error("a setting of attack {attack}")]
    Written {
        /// The attack's name.
        attack: &'static str,
        /// What was expected.
        #[source]
        source: serde_json::Error,
    },
    /// Text that names no loss.
    #[error(
        "loss {text:?} is unknown (one of: ce, margin, dlr, margin-t:T, dlr-t:T with 1 to 1000 targets T)"
    )]
    Loss {
        /// What was given.
        text: String,
    },
}
