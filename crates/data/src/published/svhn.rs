//! SVHN (Netzer et al. 2011), cropped digits.
//!
//! The checksums are those that several programs publish for the official files.

use crate::entry::{CanonicalFile, DatasetEntry, Format, Host};

pub(crate) const ENTRY: DatasetEntry = DatasetEntry {
    name: "svhn",
    summary: "house numbers, one digit each (Netzer et al. 2011)",
    shape: [3, 32, 32],
    class_names: &["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"],
    examples: [73_257, 26_032],
    folder: "svhn",
    files: [
        &[CanonicalFile {
            name: "train_32x32.mat",
            size: 182_040_794,
            sha256: "435e94d69a87fde4fd4d7f3dd208dfc32cb6ae8af2240d066de1df7508d083b8",
        }],
        &[CanonicalFile {
            name: "test_32x32.mat",
            size: 64_275_384,
            sha256: "cdce80dfb2a2c4c6160906d0bd7c68ec5a99d7ca4831afa54f09182025b6a75b",
        }],
    ],
    normalization: Some(([0.4377, 0.4438, 0.4728], [0.1980, 0.2010, 0.1970])),
    may_be_mirrored: false,
    format: Format::Matlab,
    hosts: &[Host::Files { base: "https://ufldl.stanford.edu/housenumbers" }],
    package: None,
    embedded: [&[], &[]],
    per_class: [0, 0],
};
