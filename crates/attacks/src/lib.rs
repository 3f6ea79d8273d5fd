//! Base attacks, one file each, and the list of them.
//!
//! To attack a network of your own, say how it scores; candle's autograd does the rest:
//!
//! ```
//! use candle_core::{Device, Tensor};
//! use robin_attacks::{Pgd, Start, objectives::CrossEntropy};
//! use robin_core::*;
//!
//! struct MyNetwork {
//!     weights: Tensor, // [c * h * w, classes]
//! }
//!
//! impl Classifier for MyNetwork {
//!     fn num_classes(&self) -> usize {
//!         self.weights.dims()[1]
//!     }
//!
//!     fn scores(&self, images: &Tensor, columns: &Columns) -> Result<Scores> {
//!         assert_eq!(columns, &Columns::All, "only aggregates are asked for less");
//!         Scores::new(images.flatten_from(1)?.matmul(&self.weights)?)
//!     }
//! }
//!
//! # fn main() -> Result<()> {
//! let model = MyNetwork { weights: Tensor::from_vec(vec![1.0_f32, -1.0, 0.5, 0.0], (2, 2), &Device::Cpu)? };
//! let images = Tensor::full(0.5_f32, (1, 1, 1, 2), &Device::Cpu)?;
//! let batch = Batch::new(images, vec![0], vec![ExampleId::first(0)])?;
//! let budget = Budget { norm: Norm::Linf, epsilon: "8/255".parse()? };
//! let pgd = Pgd { budget, steps: 10, step_size: 0.01, restarts: 1, start: Start::UniformInBall };
//! let target = Target { model: &model, criterion: &Misclassified, cancel: &CancelToken::new() };
//! let objective: Box<dyn Objective> = Box::new(CrossEntropy::new(batch.labels.clone()));
//! let found = pgd.perturb(&target, &[objective], &batch, Seed::new(0))?;
//! budget.verify(&batch.images, &found.worst.images)?;
//! # Ok(())
//! # }
//! ```
//!
//! Reading order: [`pgd`] (the attack of every table), [`list`] (every attack, and how it is written in a spec), [`start`]
//! (where it begins), [`objectives`] (what it maximises on a plain classifier). The other attacks are searches of
//! one example each, driven by `search`: [`apgd`], [`mi_fgsm`] and [`square`] within a budget, [`cw`], [`cw_linf`], [`ddn`],
//! [`fmn`] and [`fab`] for the smallest perturbation ([`minimal`]). [`bundle`] puts attacks in stages.
//!
//! Invariant: an attack sees a classifier through `robin_core::Classifier` only. One that knew an
//! architecture would be another threat model.

pub mod apgd;
pub mod bundle;
pub mod cw;
pub mod cw_linf;
pub mod ddn;
pub mod error;
pub mod fab;
pub mod fgsm;
pub mod fmn;
mod hyperplane;
mod images;
mod joined;
pub mod list;
pub mod loss;
pub mod mi_fgsm;
pub mod minimal;
pub mod objectives;
pub mod pgd;
pub mod random_noise;
mod search;
mod settings;
pub mod square;
pub mod start;
mod step;
mod tanh_box;
pub mod transfer;
mod vector;

pub use apgd::Apgd;
pub use bundle::{Stage, autoattack};
pub use cw::Cw;
pub use cw_linf::CwLinf;
pub use ddn::Ddn;
pub use error::{Error, Result};
pub use fab::Fab;
pub use fgsm::Fgsm;
pub use fmn::Fmn;
pub use list::{ATTACKS, Config, Entry};
pub use loss::Loss;
pub use mi_fgsm::MiFgsm;
pub use minimal::{MinimalAttack, Smallest, WithinBudget};
pub use pgd::Pgd;
pub use random_noise::RandomNoise;
pub use settings::{MOST_RUNS, StepSize};
pub use square::{Reach, Square};
pub use start::Start;
pub use transfer::{Aim, Transferred, transfer};

/// Raised by any change in this crate that can move a reported number; part of every record's key.
pub const NUMERICS: u32 = 2;
