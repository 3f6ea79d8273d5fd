//! How files are read that anybody may have written: no more of them than is known to be there, and no name in them
//! twice.
//!
//! Reading order: [`read`] (a file's bytes), [`json`] (text with names), [`tensors`] (safetensors, whose header is such a
//! text).
//!
//! Invariant: what a file says about itself allocates nothing before it is compared with what is known of it.

pub mod json;
pub mod read;
pub mod tensors;

pub use read::read;
