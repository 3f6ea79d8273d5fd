//! The published files, byte for byte: names, sizes, SHA-256.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use robin_files::checksum::sha256;

use crate::{DatasetName, Error, Result, Split, gzip};

/// One published file, uncompressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CanonicalFile {
    /// File name, without folder.
    pub name: &'static str,
    /// Size in bytes.
    pub size: u64,
    /// SHA-256 of its contents, hex.
    pub sha256: &'static str,
}

/// The files of `split`: MNIST images then labels; CIFAR-10 batches in order.
pub fn split_files(dataset: DatasetName, split: Split) -> &'static [CanonicalFile] {
    match (dataset, split) {
        (DatasetName::Mnist, Split::Train) => &MNIST[..2],
        (DatasetName::Mnist, Split::Test) => &MNIST[2..],
        (DatasetName::Cifar10, Split::Train) => &CIFAR10[..5],
        (DatasetName::Cifar10, Split::Test) => &CIFAR10[5..],
    }
}

/// All files of a data set, train before test.
pub fn files(dataset: DatasetName) -> &'static [CanonicalFile] {
    match dataset {
        DatasetName::Mnist => &MNIST,
        DatasetName::Cifar10 => &CIFAR10,
    }
}

const MNIST: [CanonicalFile; 4] = [
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

const CIFAR10_BATCH: u64 = 10_000 * 3_073;

const CIFAR10: [CanonicalFile; 6] = [
    CanonicalFile {
        name: "data_batch_1.bin",
        size: CIFAR10_BATCH,
        sha256: "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
    },
    CanonicalFile {
        name: "data_batch_2.bin",
        size: CIFAR10_BATCH,
        sha256: "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
    },
    CanonicalFile {
        name: "data_batch_3.bin",
        size: CIFAR10_BATCH,
        sha256: "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
    },
    CanonicalFile {
        name: "data_batch_4.bin",
        size: CIFAR10_BATCH,
        sha256: "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
    },
    CanonicalFile {
        name: "data_batch_5.bin",
        size: CIFAR10_BATCH,
        sha256: "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
    },
    CanonicalFile {
        name: "test_batch.bin",
        size: CIFAR10_BATCH,
        sha256: "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
    },
];

impl CanonicalFile {
    /// Reads this file from `folder` (plain, else `NAME.gz`) and checks size and SHA-256 of its contents.
    ///
    /// # Errors
    /// [`Error::Missing`] if there is neither; [`Error::Format`] for a wrong size or a broken gzip stream;
    /// [`Error::Checksum`] for other contents; [`Error::Io`] if it cannot be read.
    pub fn read(&self, dataset: DatasetName, folder: &Path) -> Result<Vec<u8>> {
        let plain = folder.join(self.name);
        let (path, bytes) = if let Some(found) = size_of(&plain)? {
            // Before reading: a file that is far too long must not fill the memory.
            self.check_size(&plain, found)?;
            let bytes = robin_files::read(&plain, self.size).map_err(Error::io("read", &plain))?;
            (plain, bytes)
        } else {
            let packed = self.gzip_path(folder);
            let file = match File::open(&packed) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    return Err(Error::Missing { path: plain, dataset });
                }
                Err(error) => return Err(Error::io("open", &packed)(error)),
            };
            let bytes = gzip::unpack(&packed.display().to_string(), file, self.size)?;
            (packed, bytes)
        };
        self.check(&path, &bytes)?;
        Ok(bytes)
    }

    /// Where a gzip of this file would be.
    pub(crate) fn gzip_path(&self, folder: &Path) -> PathBuf {
        folder.join(format!("{}.gz", self.name))
    }

    fn check_size(&self, path: &Path, found: u64) -> Result<()> {
        if found == self.size {
            return Ok(());
        }
        Err(Error::Format {
            file: path.display().to_string(),
            offset: found.min(self.size),
            expected: format!("{} bytes in all", self.size),
            found: format!("{found}"),
        })
    }

    fn check(&self, path: &Path, contents: &[u8]) -> Result<()> {
        self.check_size(path, contents.len() as u64)?;
        let found = sha256(contents);
        if found == self.sha256 {
            return Ok(());
        }
        Err(Error::Checksum {
            file: path.display().to_string(),
            size: self.size,
            expected: self.sha256.to_owned(),
            found,
        })
    }
}

/// Size of the file at `path`, if there is one.
pub(crate) fn size_of(path: &Path) -> Result<Option<u64>> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(Some(metadata.len())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("look at", path)(error)),
    }
}
