//! A plan on many machines: what a batch system runs, and what the result folder says about it.
//!
//! Reading order: [`claim`] (who may write a cell), [`mod@run`] (one task), [`pack`] (cells into arrays of tasks), [`settings`]
//! and [`script`] (what a batch system is told), [`submission`] (the files of a plan), [`draft`] (how they are made), [`queue`] and
//! [`status`] (how far it is).
//!
//! The result folder is the only shared state, and a cell's record the only proof that it is done: what a batch
//! system says of a job serves people. Nothing here starts another program; the command line does.

pub mod claim;
pub mod draft;
pub mod pack;
pub mod queue;
pub mod run;
pub mod script;
pub mod settings;
pub mod status;
pub mod submission;
