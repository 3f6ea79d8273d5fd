//! How files are read that anybody may have written: no more of them than is known to be there, and no name in them
//! twice.
//!
//! ```
//! use robin_files::json::parse;
//! use serde_json::Value;
//!
//! assert!(parse::<Value>(r#"{"clean": 0.9, "robust": 0.5}"#).is_ok());
//! // Two programs may read two numbers here.
//! assert!(parse::<Value>(r#"{"robust": 0.5, "robust": 0.9}"#).is_err());
//! ```
//!
//! Reading order: [`read()`] (a file's bytes), [`checksum`] (what they are known by), [`json`] (text with names), [`tensors`]
//! (safetensors, whose header is such a text).
//!
//! Invariant: what a file says about itself allocates nothing before it is compared with what is known of it.

pub mod checksum;
pub mod json;
pub mod read;
pub mod tensors;

pub use read::read;
