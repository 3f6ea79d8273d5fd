//! What is known of a data set that has a name.

use crate::cifar::Records;

/// A data set that is known by name. Each has a file of its own in `published`.
#[derive(Debug, Clone, Copy)]
pub struct DatasetEntry {
    /// Its name in specs and on the command line.
    pub name: &'static str,
    /// One line on what it is, with its source.
    pub summary: &'static str,
    /// Image shape `[c, h, w]`.
    pub shape: [usize; 3],
    /// What the classes are called, by label.
    pub class_names: &'static [&'static str],
    /// Training and test images.
    pub examples: [usize; 2],
    /// The folder of its files inside a data folder.
    pub folder: &'static str,
    /// Training and test files, in their order.
    pub files: [&'static [CanonicalFile]; 2],
    /// Mean and deviation of each channel that are usually subtracted and divided by; none where networks are trained on
    /// images as they are.
    pub normalization: Option<([f32; 3], [f32; 3])>,
    /// Whether a mirror leaves its images what they are, as it does not digits.
    pub may_be_mirrored: bool,
    pub(crate) format: Format,
    /// Who has its files, in the order in which they are asked.
    pub(crate) hosts: &'static [Host],
    /// A package that has them too, for machines that reach only a package registry.
    pub(crate) package: Option<Package>,
    /// Training and test files of the subset inside the program; empty where there is none.
    pub(crate) embedded: [&'static [EmbeddedFile]; 2],
    /// How many examples of each class that has.
    pub(crate) per_class: [usize; 2],
}

/// One published file, as it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CanonicalFile {
    /// File name, without folder.
    pub name: &'static str,
    /// Size in bytes.
    pub size: u64,
    /// SHA-256 of its contents, hex.
    pub sha256: &'static str,
}

/// How its files are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// A file of images and one of labels for each split.
    Idx,
    Cifar(Records),
    /// A file with the variables `X` and `y` for each split.
    Matlab,
}

/// How a host offers the files.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Host {
    /// `BASE/NAME.gz` for each file; no slash at the end.
    GzipFiles { base: &'static str },
    /// `BASE/NAME` for each file; no slash at the end.
    Files { base: &'static str },
    /// One archive with all files in `folder`.
    TarGz { url: &'static str, folder: &'static str },
}

/// A package of npm's registry.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Package {
    /// `NAME@VERSION`.
    pub(crate) name: &'static str,
    pub(crate) contents: Contents,
}

/// What a package holds.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Contents {
    /// The files themselves, in `data/`.
    Idx,
    /// `data_batch_N.png` and `test_batch.png`, one image per row of pixels, and labels in JSON.
    CifarPng {
        /// Images per file.
        batch: usize,
    },
}

/// A file of the subset: gzip of IDX, or of CIFAR-10 records.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EmbeddedFile {
    /// Inside `subset/`.
    pub(crate) path: &'static str,
    /// Empty where it is not compiled in.
    pub(crate) bytes: &'static [u8],
    /// Size after decompression.
    pub(crate) size: u64,
    /// Of the decompressed contents: compressors differ between versions, the data must not.
    pub(crate) sha256: &'static str,
}

/// A file of the subset, compiled in.
macro_rules! embedded {
    ($path:literal, $size:expr, $sha256:literal) => {
        embedded!(
            $path,
            include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/subset/", $path)),
            $size,
            $sha256
        )
    };
    ($path:literal, $bytes:expr, $size:expr, $sha256:literal) => {
        EmbeddedFile { path: $path, bytes: $bytes, size: $size, sha256: $sha256 }
    };
}
pub(crate) use embedded;
