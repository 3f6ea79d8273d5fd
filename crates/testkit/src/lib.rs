//! For tests only: golden files, tolerances, gradient checks, toy classifiers with known answers, parsers
//! under changed files, graphs that executors must agree on.
//!
//! ```
//! use robin_core::{Classifier, Seed};
//! use robin_testkit::Linear;
//!
//! let model = Linear::seeded(3, [1, 2, 2], Seed::new(0));
//! let batch = model.batch(5, Seed::new(1));
//! assert_eq!(model.predict(&batch.images).unwrap(), batch.labels);
//! ```
//!
//! Everything here panics instead of returning errors: its caller is a test, and a panic is how a test speaks.
//!
//! Invariant: a dev-dependency of everybody and a dependency of nobody.

pub mod close;
pub mod fuzz;
pub mod golden;
pub mod gradcheck;
#[cfg(feature = "graphs")]
pub mod graphs;
pub mod toy;

pub use close::{Difference, assert_close, difference};
pub use golden::{Golden, golden};
pub use gradcheck::{Agreement, Probe, check_input_gradient, gradcheck, output_weights};
pub use toy::{Cut, Linear};
