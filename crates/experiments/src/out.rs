//! A folder that results are written into: one run's at a time, tried before any work, and nothing beyond it.
//!
//! Whatever may have been put there from elsewhere, nothing is written through a link: files are made beside their target
//! and renamed ([`robin_data::temporary_file`]), and folders below the one that was named must be folders. What killed runs have
//! left under construction is swept.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use robin_data::temporary_file::{self, Aside};
use serde_json::Value;

use crate::{Error, Result};

/// The right to write into a folder, until dropped.
#[derive(Debug)]
pub struct Out {
    path: PathBuf,
    _lock: File,
}

/// A setting in which two runs differ: its path, what it was, what it is now.
pub type Difference = (String, String, String);

impl Out {
    /// Makes, locks and sweeps `path`, and proves before any work that a file can be written there and that `needed`
    /// bytes are free.
    ///
    /// # Errors
    /// [`Error::Locked`], [`Error::NoSpace`], [`Error::Link`], or [`Error::Io`] naming the folder.
    pub fn open(path: &Path, needed: u64) -> Result<Self> {
        fs::create_dir_all(path).map_err(Error::io(path, "create the result folder"))?;
        let lock = lock(path)?;
        prove(path)?;
        space(path, needed)?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// As [`Out::open`] for the folder `name` in the result folder `path`, which may not be a link.
    ///
    /// # Errors
    /// As [`Out::open`].
    pub fn open_in(path: &Path, name: &str, needed: u64) -> Result<Self> {
        let path = path.join(name);
        refuse_link(&path)?;
        Self::open(&path, needed)
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A folder in it, made, swept and proved in the same way; what it lies in comes first.
    ///
    /// # Errors
    /// As [`Out::open`].
    pub fn folder(&self, name: impl AsRef<Path>) -> Result<PathBuf> {
        let path = self.path.join(name);
        match fs::create_dir(&path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            made => made.map_err(Error::io(&path, "create the folder"))?,
        }
        refuse_link(&path)?;
        prove(&path)?;
        Ok(path)
    }

    /// Makes the folder that of a run with these settings: writes `whole` as the file `name`, or compares with what is
    /// there. `results` are what only such a run may have put there: the first that is found without the settings is
    /// refused.
    ///
    /// # Errors
    /// What `other` makes of the first difference; [`Error::Occupied`]; [`Error::Damaged`] if the file is no JSON;
    /// [`Error::Io`].
    pub(crate) fn claim(
        &self,
        name: &'static str,
        whole: &Value,
        results: impl FnOnce(&Path) -> Result<Option<String>>,
        other: impl FnOnce(Difference) -> Error,
    ) -> Result<()> {
        let path = self.path.join(name);
        let found = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice::<Value>(&bytes).map_err(|error| Error::Damaged {
                path: path.clone(),
                what: "content",
                expected: "JSON".to_owned(),
                found: error.to_string(),
            })?,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                if let Some(found) = results(&self.path)? {
                    return Err(Error::Occupied { folder: self.path.clone(), found, settings: name });
                }
                let text = serde_json::to_string_pretty(whole)
                    .map_err(|source| Error::Json { what: "the settings", source })?;
                return write(&path, (text + "\n").as_bytes());
            }
            Err(error) => return Err(Error::io(&path, "read")(error)),
        };
        difference("", &found, whole).map_or(Ok(()), |difference| Err(other(difference)))
    }
}

/// The first entry of `folder` that is not hidden.
pub(crate) fn anything(folder: &Path) -> Result<Option<String>> {
    let fault = || Error::io(folder, "list the result folder");
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        entries => entries.map_err(fault())?,
    };
    for entry in entries {
        let found = entry.map_err(fault())?.file_name().to_string_lossy().into_owned();
        if !found.starts_with('.') {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// All of `bytes` at `path`, or what was there before.
///
/// # Errors
/// [`Error::Io`] naming the file.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    temporary_file::write(path, bytes).map(drop).map_err(Error::io(path, "write"))
}

/// As [`write`] in a folder that several nodes write into: under construction the file has a name that no other has, because
/// the locks of a shared file system may not tell who is alive.
///
/// # Errors
/// [`Error::Io`] naming the file.
pub(crate) fn write_shared(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    builder.prefix(".tmp-shared-");
    // A temporary file is private; a result is for everybody whom the folder and the umask let in.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let written = builder.tempfile_in(folder).and_then(|mut file| {
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        File::open(folder)?.sync_all()
    });
    written.map_err(Error::io(path, "write"))
}

/// Makes `folders` in the folder `path` that several nodes share, and proves before any work that files can be written there
/// and that `needed` bytes are free.
///
/// # Errors
/// [`Error::NoSpace`], [`Error::Link`], or [`Error::Io`] naming the folder.
pub(crate) fn check_shared(path: &Path, folders: &[&str], needed: u64) -> Result<()> {
    for folder in folders.iter().map(|name| path.join(name)) {
        fs::create_dir_all(&folder).map_err(Error::io(&folder, "create the result folder"))?;
        refuse_link(&folder)?;
        tempfile::Builder::new()
            .prefix(".tmp-shared-")
            .tempfile_in(&folder)
            .and_then(|mut probe| probe.write_all(b"writable"))
            .map_err(Error::io(&folder, "write into the result folder"))?;
    }
    space(path, needed)
}

fn space(path: &Path, needed: u64) -> Result<()> {
    let free = fs4::available_space(path).map_err(Error::io(path, "ask for the free space"))?;
    match free < needed {
        true => Err(Error::NoSpace { folder: path.to_owned(), needed, free }),
        false => Ok(()),
    }
}

/// Refuses targets that cannot be written because a folder is in their place.
///
/// # Errors
/// [`Error::Io`] naming the first.
pub(crate) fn check_targets(targets: impl IntoIterator<Item = PathBuf>) -> Result<()> {
    match targets.into_iter().find(|path| fs::symlink_metadata(path).is_ok_and(|found| found.is_dir())) {
        Some(path) => Err(Error::io(&path, "write")(ErrorKind::IsADirectory.into())),
        None => Ok(()),
    }
}

/// Sweeps `folder`, and writes a file there that is gone at once.
fn prove(folder: &Path) -> Result<()> {
    temporary_file::sweep(folder);
    Aside::create(&folder.join("probe"))
        .and_then(|mut probe| probe.write_all(b"writable"))
        .map_err(Error::io(folder, "write into the result folder"))
}

/// Locks a result folder against a second run, until the file is dropped.
fn lock(folder: &Path) -> Result<File> {
    let path = folder.join(".lock");
    refuse_link(&path)?;
    let lock = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
    let lock = lock.map_err(Error::io(&path, "write into the result folder"))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(Error::Locked { folder: folder.to_owned(), lock: path }),
        Err(TryLockError::Error(source)) => Err(Error::Io { path, action: "lock", source }),
    }
}

fn refuse_link(path: &Path) -> Result<()> {
    match fs::symlink_metadata(path) {
        // Nor a pipe or device, which nobody may be listening to.
        Ok(found) if !found.is_file() && !found.is_dir() => Err(Error::Link { path: path.to_owned() }),
        _ => Ok(()),
    }
}

/// The first field in which two values differ: its path, what is found, what is expected.
fn difference(path: &str, found: &Value, expected: &Value) -> Option<Difference> {
    if let (Value::Object(found), Value::Object(expected)) = (found, expected) {
        let names = expected.keys().chain(found.keys().filter(|name| !expected.contains_key(*name)));
        return names.into_iter().find_map(|name| {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            let nothing = &Value::Null;
            difference(&path, found.get(name).unwrap_or(nothing), expected.get(name).unwrap_or(nothing))
        });
    }
    let text = |value: &Value| if value.is_null() { "nothing".to_owned() } else { value.to_string() };
    (found != expected).then(|| (path.to_owned(), text(found), text(expected)))
}

#[cfg(test)]
mod tests;
