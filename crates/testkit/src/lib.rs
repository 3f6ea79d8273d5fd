//! For tests only: golden files, tolerances, gradient checks, toy classifiers with known answers, parsers
//! under changed files.
//!
//! Everything here panics instead of returning errors: its caller is a test, and a panic is how a test speaks.
//!
//! Invariant: a dev-dependency of everybody and a dependency of nobody.

pub mod close;
pub mod fuzz;
pub mod golden;
pub mod gradcheck;
pub mod toy;

pub use close::{Difference, assert_close, difference};
pub use golden::{Golden, golden};
pub use gradcheck::{Agreement, Probe, check_input_gradient, gradcheck, output_weights};
pub use toy::{Cut, Linear};
