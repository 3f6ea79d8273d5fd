//! Why there is no number.

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong in an evaluation.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An attack returned an image that its budget does not allow, so nothing that it says counts.
    #[error("the attack returned an illegal image for example {index} of the data set")]
    Illegal {
        /// Position in the data set.
        index: u32,
        /// What is wrong with it; its `example` is the position in the batch.
        #[source]
        source: robin_core::Error,
    },
    /// An attack returned results for another number of examples than it was given.
    #[error("the attack was given {given} examples and returned {returned} {what}")]
    Returned {
        /// Which part of its answer.
        what: &'static str,
        /// Examples given.
        given: usize,
        /// Results returned.
        returned: usize,
    },
    /// Results of different sets of examples, which cannot be joined.
    #[error("{what} has {found} examples, expected {expected}")]
    Examples {
        /// Which one differs.
        what: &'static str,
        /// Its number of examples.
        found: usize,
        /// The number of the others.
        expected: usize,
    },
    /// No examples, so no accuracy.
    #[error("the data set is empty: there is nothing to evaluate")]
    Empty,
    /// Attacks whose distances cannot be compared.
    #[error("distances are found by one or more attacks of one norm, not by attacks in {norms:?}")]
    Attacks {
        /// Of each attack.
        norms: Vec<robin_core::Norm>,
    },
    /// A batch of no examples, or of more than fit.
    #[error("batch_size is {asked}, allowed is 1 to {}", crate::MOST_BATCH)]
    BatchSize {
        /// What was asked for.
        asked: usize,
    },
    /// Text that is no ledger, or a ledger that JSON cannot hold.
    #[error("cannot read or write {what} as JSON")]
    Json {
        /// Which.
        what: &'static str,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A ledger of another version of this program.
    #[error("the ledger has format {found}, this program reads {expected}")]
    Format {
        /// Its format.
        found: u32,
        /// The one that is read.
        expected: u32,
    },
    /// Results that belong to other examples.
    #[error("{what}: made for other examples, of SHA-256 {expected}; these have {found}")]
    OtherData {
        /// Ledger or witnesses.
        what: &'static str,
        /// Of its examples.
        expected: String,
        /// Of those given.
        found: String,
    },
    /// A witness from an attack that may do more than the others.
    #[error("a witness within {found} was offered to witnesses within {expected}")]
    OtherBudget {
        /// The attack's.
        found: robin_core::Budget,
        /// The file's.
        expected: robin_core::Budget,
    },
    /// A file that is no safetensors file.
    #[error("{file}: not a readable safetensors file")]
    Safetensors {
        /// The file.
        file: String,
        /// The parser's word.
        #[source]
        source: safetensors::SafeTensorError,
    },
    /// A safetensors file that holds no witnesses.
    #[error("{file}: no file of witnesses: {reason}")]
    Witness {
        /// The file.
        file: String,
        /// What is missing or does not fit.
        reason: String,
    },
    /// Probabilities where scores belong.
    #[error(
        "the classifier returns probabilities: all {rows} rows lie in [0, 1] and sum to 1; \
         return the logits before the softmax, because saturated probabilities have no gradient"
    )]
    Probabilities {
        /// Rows looked at.
        rows: usize,
    },
    /// A gradient that is not the scores'.
    #[error(
        "the classifier's gradient is not that of its scores: median disagreement {:.3} of {} probes at step {:e} \
         (allowed {}), {} of {} images off by more than half; candle's own max_pool2d and softmax_last_dim do this, and \
         layers that round. An attack would fail and look like robustness; --allow-bad-gradients attacks all the same and \
         marks the result",
        report.median_error, report.moved, report.step, report.tolerance, report.images_off, report.images
    )]
    BadGradient {
        /// The probe's numbers.
        report: crate::external_model::GradientReport,
    },
    /// A self-test in which a control did not do what it must.
    #[error("the battery cannot be trusted: it is wrong about {}", wrong.join(", "))]
    Control {
        /// The controls.
        wrong: Vec<String>,
    },
    /// The data set failed.
    #[error(transparent)]
    Data(#[from] robin_data::Error),
    /// An attack's settings.
    #[error(transparent)]
    Attack(#[from] robin_attacks::Error),
    /// A strategy's settings, or an aggregate.
    #[error(transparent)]
    Aggregation(#[from] robin_aggregation::Error),
    /// A tensor operation failed.
    #[error("tensor operation failed")]
    Tensor(#[from] candle_core::Error),
    /// The classifier, the strategy or the attack failed, or somebody asked to stop.
    #[error(transparent)]
    Core(#[from] robin_core::Error),
}

impl Error {
    /// Whether this is only somebody's wish to stop.
    pub fn is_cancelled(&self) -> bool {
        matches!(self, Error::Core(robin_core::Error::Cancelled))
    }
}
