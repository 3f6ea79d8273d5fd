//! MNIST, CIFAR-10 and the user's own images: reading, fetching with checksums, label maps, seeded batches,
//! augmentation.
//!
//! ```
//! use robin_core::ExampleId;
//! use robin_data::{Dataset, DatasetName, LabelMap, Source, Split};
//!
//! # fn main() -> robin_data::Result<()> {
//! let digits = Dataset::load(DatasetName::Mnist, Split::Test, &Source::Embedded)?.take(100)?;
//! let batch = digits.batch(&[ExampleId::first(3)], &LabelMap::OneVsAll { class: 0 })?;
//! assert_eq!(batch.images.dims(), [1, 1, 28, 28]);
//! // The fourth test image is a 0.
//! assert_eq!(batch.labels, [1]);
//! # Ok(())
//! # }
//! ```
//!
//! Reading order: [`dataset`] (what everybody uses), [`sampling`] (how an epoch is cut into batches), [`balance`] (whether a
//! part stands for the whole),
//! [`canonical`] (what the published files are), [`custom`] (other files), [`fetch`](mod@fetch) (how they get here);
//! [`temporary_file`] is how every crate writes a file.
//!
//! A data folder holds the full sets: MNIST as `mnist/train-images-idx3-ubyte` and its three companions
//! (each plain or with `.gz`), CIFAR-10 as `cifar-10-batches-bin/data_batch_1.bin` to `test_batch.bin`.
//! Without one, [`Source::Embedded`] is a small real subset compiled into the program.
//!
//! Invariants: nothing is half-loaded; nothing existing is overwritten; no published file is believed
//! without its SHA-256; images are u8 `[c, h, w]` here and become f32 in `[0, 1]` per batch.

pub mod augment;
pub mod balance;
pub mod canonical;
mod cifar;
pub mod custom;
pub mod dataset;
pub mod embedded;
pub mod entry;
pub mod error;
pub mod fetch;
pub mod folder;
#[doc(hidden)]
pub mod fuzz;
mod gzip;
mod idx;
pub mod inspect;
pub mod labels;
mod matlab;
pub mod name;
mod pixels;
mod published;
pub mod sampling;
pub mod temporary_file;

pub use augment::{Augmentation, Flip, Padding};
pub use balance::{Skew, skew};
pub use custom::{Choice, Preparation};
pub use dataset::{Dataset, Source};
pub use entry::DatasetEntry;
pub use error::{Error, Result, SourceFailure};
pub use fetch::{FetchObserver, fetch};
pub use folder::default_dir;
pub use inspect::{DatasetInfo, FileState, FileStatus, SplitInfo, info, verify};
pub use labels::{Groups, LabelMap, class_order};
pub use name::{DatasetName, Split};
pub use sampling::{Sampling, epoch};

/// Raised by any change in this crate that can move a reported number; part of every record's key.
pub const NUMERICS: u32 = 1;
