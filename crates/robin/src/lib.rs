//! How robust is a network written with candle, and can the number be believed?
//!
//! ```
//! use robin::{Pgd, candle::{Device, Tensor}};
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let images = Tensor::rand(0_f32, 1_f32, (8, 1, 2, 2), &Device::Cpu)?;
//!     let module = |x: &Tensor| x.flatten_from(1);
//!     let found = robin::attack(&module, &images, &module(&images)?.argmax(1)?, Pgd::linf("8/255")?)?;
//!     println!("{:.2} of the images withstand it", found.accuracy());
//!     Ok(())
//! }
//! ```
//!
//! A module is any `candle_nn::Module`, so a closure too: `|x: &Tensor| net.forward_t(x, false)`. It takes images
//! `[n, c, h, w]`, f32 in `[0, 1]`, and returns logits `[n, classes]`, never probabilities; normalisation is inside it.
//! Gradients are candle's, so what its operations do wrong is wrong here too: [`audit`] looks before it attacks.
//!
//! - [`attack`] returns the images that an attack found, with predictions and flags; an [`Attack`] is made by [`Pgd`],
//!   [`Fgsm`], [`Apgd`], [`AutoAttack`], [`Square`], [`Cw`] and the others, in [`Loss`]es that are listed or one's own.
//! - [`evaluate`] runs several and joins them: accuracy is what no attack breaks, with its interval.
//! - [`audit`] asks first whether the gradients are true, and afterwards whether the number can be believed.
//!
//! # Where images are
//!
//! Images stay on the device that they come on, and what is found is there too. FGSM and PGD work on tensors: from the
//! first step to the last no image is copied to the host, only logits and one number per image. All other attacks search
//! image by image on the host, so each of their looks at the module takes the images there and back; the
//! questions of an audit are asked of a copy on the host.
//!
//! Reading order: [`attacks`] (what is run, as settings), `run` (one attack), `serve` (the module, on the caller's
//! thread), `on_device` (PGD in tensors), [`evaluation`], [`auditing`].
//!
//! Invariant: this crate decides no number. An attack here returns what `robin_attacks` returns, bit for bit on the
//! processor.

pub mod attacks;
pub mod auditing;
pub mod error;
pub mod evaluation;
pub mod found;
mod input;
pub mod loss;
mod on_device;
mod run;
mod serve;

pub use candle_core as candle;
pub use candle_nn;
pub use robin_core::{Budget, Epsilon, Norm};
pub use robin_evaluation::battery::{Finding, Status};
pub use robin_evaluation::external_model::{GradientReport, GradientVerdict};
pub use robin_evaluation::{Blind, CostTotals, Interval};

pub use attacks::{
    Apgd, Attack, AutoAttack, Config, Cw, CwLinf, Ddn, Fab, Fgsm, Fmn, MiFgsm, Pgd, RandomNoise, Square,
    Start, Targets,
};
pub use auditing::{Audit, audit};
pub use error::{Error, Result};
pub use evaluation::{Evaluation, evaluate};
pub use found::Found;
pub use loss::Loss;
pub use run::attack;
pub use serve::Step;
