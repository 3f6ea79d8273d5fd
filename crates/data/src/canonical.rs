//! The published files, byte for byte: names, sizes, SHA-256.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use robin_files::checksum::sha256;

pub use crate::entry::CanonicalFile;
use crate::{DatasetName, Error, Result, Split, gzip};

/// The files of `split`, in their order.
pub fn split_files(dataset: DatasetName, split: Split) -> &'static [CanonicalFile] {
    dataset.entry().files[split.index()]
}

/// All files of a data set, train before test.
pub fn files(dataset: DatasetName) -> Vec<CanonicalFile> {
    dataset.entry().files.concat()
}

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
