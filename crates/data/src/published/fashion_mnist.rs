//! Fashion-MNIST (Xiao et al. 2017): MNIST's shape and formats, with clothes.
//!
//! The checksums are those that others publish for the contents of the official archives; those of the labels were seen to
//! be the contents of the project's own files.

use crate::entry::{CanonicalFile, DatasetEntry, Format, Host};

pub(crate) const ENTRY: DatasetEntry = DatasetEntry {
    name: "fashion-mnist",
    summary: "clothes (Xiao et al. 2017)",
    shape: [1, 28, 28],
    class_names: &[
        "T-shirt/top",
        "trouser",
        "pullover",
        "dress",
        "coat",
        "sandal",
        "shirt",
        "sneaker",
        "bag",
        "ankle boot",
    ],
    examples: [60_000, 10_000],
    folder: "fashion-mnist",
    files: [FILES.split_at(2).0, FILES.split_at(2).1],
    normalization: None,
    may_be_mirrored: true,
    format: Format::Idx,
    hosts: &[
        Host::GzipFiles { base: "https://fashion-mnist.s3.eu-central-1.amazonaws.com" },
        Host::GzipFiles {
            base: "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion",
        },
    ],
    package: None,
    embedded: [&[], &[]],
    per_class: [0, 0],
};

const FILES: &[CanonicalFile] = &[
    CanonicalFile {
        name: "train-images-idx3-ubyte",
        size: 16 + 60_000 * 28 * 28,
        sha256: "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    },
    CanonicalFile {
        name: "train-labels-idx1-ubyte",
        size: 8 + 60_000,
        sha256: "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    },
    CanonicalFile {
        name: "t10k-images-idx3-ubyte",
        size: 16 + 10_000 * 28 * 28,
        sha256: "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    },
    CanonicalFile {
        name: "t10k-labels-idx1-ubyte",
        size: 8 + 10_000,
        sha256: "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    },
];
