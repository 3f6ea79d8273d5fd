//! Networks that somebody else trained, or that stand alone: attacked, evaluated, asked, and their witnesses
//! checked.
//!
//! Reading order: [`description`] (which classifier), [`model_under_test`] (weights become a classifier; `roles` sorts them, [`mod@normalize`] says what
//! becomes of pixels), [`images`] (what it is shown), [`attack_setup`] (an
//! attack by its names), [`found`] (what came of it), then one file per command: [`mod@attack`], [`mod@evaluate`], [`mod@predict`],
//! [`mod@coherence`], [`mod@verify`]; [`verdict`] is what an evaluation comes to.
//!
//! Every mistake in the request is found before any work, and says which option it is about.

pub mod attack;
pub mod attack_setup;
pub mod coherence;
pub mod description;
pub mod evaluate;
mod external;
pub mod found;
pub mod images;
mod joined;
pub mod model_under_test;
pub mod normalize;
mod output;
mod precise;
pub mod predict;
mod roles;
mod target;
pub mod verdict;
pub mod verify;

pub use attack::{AttackReport, AttackRequest, StageReport, attack, attack_each};
pub use attack_setup::{APPLICABLE, AttackSetupRequest};
pub use coherence::{CoherenceReport, CoherenceRequest, coherence};
pub use description::{Description, ModelRequest};
pub use evaluate::{EvaluateReport, EvaluateRequest, evaluate, evaluate_and};
pub use found::{Example, OfClass, TargetReport};
pub use images::{Images, ImagesRequest};
pub use model_under_test::ModelUnderTest;
pub use normalize::{Normalize, Numbers};
pub use predict::{PredictReport, predict};
pub use verdict::{Gates, Verdict};
pub use verify::verify;

use robin_core::CancelToken;

/// How the work is done; nothing here can change its result.
pub struct RunOptions<'a> {
    /// Examples per batch.
    pub batch_size: usize,
    /// Looked at between batches and between an attack's steps.
    pub cancel: &'a CancelToken,
    /// Called with what is being done, and after every batch how far it is.
    pub on_event: &'a (dyn Fn(&Event<'_>) + Sync),
}

/// What happens while the work is done.
#[derive(Debug, Clone, Copy)]
pub enum Event<'a> {
    /// A piece of work begins.
    Begins(&'a str),
    /// How far it is.
    Progress(robin_evaluation::Progress),
    /// Something that was decided for him.
    Note(&'a str),
    /// Something that he should know.
    Warning(&'a str),
}

/// Passes progress on.
pub(crate) struct ObserverAdapter<'a>(pub(crate) &'a (dyn Fn(&Event<'_>) + Sync));

impl robin_evaluation::Observer for ObserverAdapter<'_> {
    fn progress(&mut self, progress: &robin_evaluation::Progress) {
        self.0(&Event::Progress(*progress));
    }
}
