//! The receiving end of a fetch: write aside, check, then rename.

use std::io::{Read, Write};
use std::path::Path;

use robin_core::CancelToken;
use sha2::{Digest, Sha256};

use super::FetchObserver;
use crate::canonical::CanonicalFile;
use crate::temporary_file::Aside;
use crate::{Error, FileState, Result, inspect};
use robin_files::checksum::hex;

const CHUNK: usize = 1 << 16;

/// The folder that files are put into.
pub(super) struct Store<'a> {
    pub(super) folder: &'a Path,
    pub(super) cancel: &'a CancelToken,
}

impl Store<'_> {
    /// Writes the contents of `reader` (from `origin`, for messages) as `file`, if that is what they are.
    pub(super) fn put(&self, file: &CanonicalFile, origin: &str, reader: &mut dyn Read) -> Result<()> {
        let path = self.folder.join(file.name);
        let mut aside = Aside::create(&path).map_err(Error::io("write", &path))?;
        let mut digest = Sha256::new();
        let mut size = 0u64;
        let mut chunk = vec![0; CHUNK];
        loop {
            self.cancel.check()?;
            let count = match reader.read(&mut chunk) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                outcome => outcome.map_err(Error::transfer(format!("reading {origin}")))?,
            };
            if count == 0 {
                break;
            }
            size += count as u64;
            if size > file.size {
                break; // Too long already; the rest may have no end.
            }
            digest.update(&chunk[..count]);
            aside.write_all(&chunk[..count]).map_err(Error::io("write", &path))?;
        }
        let file_name = || format!("{} from {origin}", file.name);
        if size != file.size {
            return Err(Error::Format {
                file: file_name(),
                offset: size.min(file.size),
                expected: format!("{} bytes in all", file.size),
                found: if size > file.size { "more".to_owned() } else { size.to_string() },
            });
        }
        let found = hex(&digest.finalize());
        if found != file.sha256 {
            let expected = file.sha256.to_owned();
            return Err(Error::Checksum { file: file_name(), size, expected, found });
        }
        match aside.persist_new() {
            Ok(_) => Ok(()),
            // Somebody else put one there meanwhile: another fetch of the same bytes does no harm.
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                match inspect::status(file, self.folder)?.state {
                    FileState::Verified => Ok(()),
                    state => Err(Error::Occupied { path, reason: state.to_string() }),
                }
            }
            Err(error) => Err(Error::io("write", &path)(error)),
        }
    }
}

/// Reports the bytes that pass through it, and stops when asked to.
pub(super) struct Metered<'a, R> {
    inner: R,
    doing: String,
    done: u64,
    total: Option<u64>,
    observer: &'a mut dyn FetchObserver,
    cancel: &'a CancelToken,
}

impl<'a, R: Read> Metered<'a, R> {
    pub(super) fn new(
        inner: R,
        doing: impl Into<String>,
        total: Option<u64>,
        observer: &'a mut dyn FetchObserver,
        cancel: &'a CancelToken,
    ) -> Self {
        let doing = doing.into();
        observer.progress(&doing, 0, total);
        Self { inner, doing, done: 0, total, observer, cancel }
    }
}

impl<R: Read> Read for Metered<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        // Not `ErrorKind::Interrupted`, which readers take as a request to try again.
        self.cancel.check().map_err(std::io::Error::other)?;
        let count = self.inner.read(buffer)?;
        self.done += count as u64;
        if count > 0 {
            self.observer.progress(&self.doing, self.done, self.total);
        }
        Ok(count)
    }
}
