//! Files that are whole or not there: written beside their target under a name of ours, then renamed.
//!
//! A file under construction is called `.tmp-robin-NAME` and locked by its writer. The system takes the lock away when a
//! process dies, however it dies, so a file of such a name that nobody has locked is a leftover, and [`sweep`] removes it.
//! Nothing is written through a link: the file is a new one, and the renaming replaces a link at the target's place.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

const PREFIX: &str = ".tmp-robin-";

/// Writers of one target at the same time, at most.
const WRITERS: usize = 16;

/// A file under construction; gone when dropped.
#[derive(Debug)]
pub struct Aside {
    file: NamedTempFile,
    target: PathBuf,
}

/// All of `bytes` at `target`, or what was there before. The file that is returned is open for writing at its end.
///
/// # Errors
/// Those of the system.
pub fn write(target: &Path, bytes: &[u8]) -> io::Result<File> {
    let mut aside = Aside::create(target)?;
    aside.write_all(bytes)?;
    aside.persist()
}

/// Removes the files in `folder` that dead writers have left under construction, and says how many. Files that cannot be
/// removed, and a folder that is not there, are no fault: leftovers mean nothing.
pub fn sweep(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let ours = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX));
    ours.filter(|entry| remove_if_left(&entry.path())).count()
}

impl Aside {
    /// An empty file beside `target`, in whose place [`Aside::persist`] will put it.
    ///
    /// # Errors
    /// Those of the system; [`ErrorKind::AlreadyExists`] if many others write the same file just now.
    pub fn create(target: &Path) -> io::Result<Self> {
        let name = target.file_name().ok_or_else(|| io::Error::from(ErrorKind::InvalidFilename))?;
        // Names may be as long as the file system allows, and this one is longer.
        let name: String = name.to_string_lossy().chars().take(100).collect();
        for writer in 0..WRITERS {
            let number = if writer == 0 { String::new() } else { format!(".{writer}") };
            let prefix = format!("{PREFIX}{name}{number}");
            let mut builder = tempfile::Builder::new();
            builder.prefix(&prefix).rand_bytes(0);
            // A temporary file is private; a result is for everybody whom the folder and the umask let in.
            #[cfg(unix)]
            builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
            let path = folder_of(target).join(&prefix);
            let mut made = builder.tempfile_in(folder_of(target));
            if matches!(&made, Err(error) if error.kind() == ErrorKind::AlreadyExists)
                && remove_if_left(&path)
            {
                made = builder.tempfile_in(folder_of(target));
            }
            match made {
                Ok(file) if lock(file.as_file(), &path) => {
                    return Ok(Self { file, target: target.to_owned() });
                }
                // A sweep came between creation and lock; what is there now is not ours to remove.
                Ok(file) => drop(file.into_temp_path().keep()),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(ErrorKind::AlreadyExists.into())
    }

    /// Where it is now.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// What was written so far.
    ///
    /// # Errors
    /// Those of the system.
    pub fn contents(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let file = self.file.as_file_mut();
        file.rewind()?;
        file.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Waits until the disk has what was written.
    ///
    /// # Errors
    /// Those of the system.
    pub fn sync(&self) -> io::Result<()> {
        self.file.as_file().sync_all()
    }

    /// Puts the file in its target's place, whatever was there, and returns it.
    ///
    /// # Errors
    /// Those of the system; the target is what it was, unless only the folder could not be synced.
    pub fn persist(self) -> io::Result<File> {
        // On disk before it has its name, so that not even a power cut leaves half a file under that name.
        self.sync()?;
        let Self { file, target } = self;
        placed(file.persist(&target).map_err(|error| error.error)?, &target)
    }

    /// As [`Aside::persist`], where nothing may be in the target's place.
    ///
    /// # Errors
    /// As [`Aside::persist`]; [`ErrorKind::AlreadyExists`] if something is there.
    pub fn persist_new(self) -> io::Result<File> {
        self.sync()?;
        let Self { file, target } = self;
        placed(file.persist_noclobber(&target).map_err(|error| error.error)?, &target)
    }
}

impl Write for Aside {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.as_file_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.as_file_mut().flush()
    }
}

/// After the renaming.
fn placed(file: File, target: &Path) -> io::Result<File> {
    // Under its own name it is everybody's. A file system without locks never had one.
    let _ = file.unlock();
    // The renaming itself lives in the folder: without this a power cut may undo it.
    #[cfg(unix)]
    File::open(folder_of(target))?.sync_all()?;
    Ok(file)
}

fn folder_of(target: &Path) -> &Path {
    target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Locks a new file; `false` if a sweep was faster.
fn lock(file: &File, path: &Path) -> bool {
    match file.try_lock() {
        Err(fs::TryLockError::WouldBlock) => false,
        // Where nobody can lock, nobody sweeps.
        Ok(()) | Err(fs::TryLockError::Error(_)) => is_at(file, path),
    }
}

/// Removes a file under construction if its writer is dead.
fn remove_if_left(path: &Path) -> bool {
    // Neither a link nor a pipe is of our making, and opening them may do more than one thinks.
    if !fs::symlink_metadata(path).is_ok_and(|found| found.is_file()) {
        return false;
    }
    let Ok(file) = OpenOptions::new().read(true).write(true).open(path) else { return false };
    // Whoever has the lock of the file that has this name may remove the name, and nobody else does.
    file.try_lock().is_ok() && is_at(&file, path) && fs::remove_file(path).is_ok()
}

/// Whether `file` is what has the name `path`.
fn is_at(file: &File, path: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let place = |found: &fs::Metadata| (found.dev(), found.ino());
        matches!((file.metadata(), fs::symlink_metadata(path)), (Ok(one), Ok(two)) if place(&one) == place(&two))
    }
    #[cfg(not(unix))]
    {
        let _ = file;
        path.exists()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<String> = entries.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_there_when_it_is_whole_and_nothing_else_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("a.json");
        let mut aside = Aside::create(&target).unwrap();
        aside.write_all(b"whole").unwrap();
        assert_eq!(aside.contents().unwrap(), b"whole");
        assert_eq!(names(folder.path()), [".tmp-robin-a.json"]);
        let mut file = aside.persist().unwrap();
        file.write_all(b", and more").unwrap();
        assert_eq!(names(folder.path()), ["a.json"]);
        assert_eq!(fs::read(&target).unwrap(), b"whole, and more");
        drop(Aside::create(&target).unwrap());
        assert_eq!(names(folder.path()), ["a.json"]);
        let taken = Aside::create(&target).unwrap().persist_new().unwrap_err();
        assert_eq!(
            (taken.kind(), names(folder.path())),
            (ErrorKind::AlreadyExists, vec!["a.json".to_owned()])
        );
    }

    #[test]
    fn leftovers_are_swept_and_neither_living_files_nor_strangers() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let alive = Aside::create(&at("alive")).unwrap();
        let outside = tempfile::NamedTempFile::new().unwrap();
        for name in [".tmp-robin-dead", ".tmp-stranger", "tmp-robin-stranger"] {
            fs::write(at(name), "half").unwrap();
        }
        fs::create_dir(at(".tmp-robin-folder")).unwrap();
        #[cfg(unix)]
        std::os::unix::fs::symlink(outside.path(), at(".tmp-robin-link")).unwrap();
        let kept: Vec<String> =
            names(folder.path()).into_iter().filter(|name| name != ".tmp-robin-dead").collect();
        assert_eq!(sweep(folder.path()), 1);
        assert_eq!(names(folder.path()), kept);
        assert!(outside.path().exists());
        alive.persist().unwrap();
        assert!(at("alive").is_file());
        assert_eq!(sweep(&at("nowhere")), 0);
    }

    #[test]
    fn a_leftover_or_another_writer_of_the_same_file_is_in_nobodys_way() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("a");
        fs::write(folder.path().join(".tmp-robin-a"), "half of another").unwrap();
        let (mut one, mut two) = (Aside::create(&target).unwrap(), Aside::create(&target).unwrap());
        assert_ne!(one.path(), two.path());
        one.write_all(b"one").unwrap();
        two.write_all(b"two").unwrap();
        two.persist().unwrap();
        one.persist().unwrap();
        assert_eq!(
            (fs::read(&target).unwrap(), names(folder.path())),
            (b"one".to_vec(), vec!["a".to_owned()])
        );
    }

    #[cfg(unix)]
    #[test]
    fn nothing_is_written_through_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let outside = tempfile::NamedTempFile::new().unwrap();
        fs::write(outside.path(), "mine").unwrap();
        let target = folder.path().join("a");
        for name in ["a", ".tmp-robin-a"] {
            std::os::unix::fs::symlink(outside.path(), folder.path().join(name)).unwrap();
        }
        write(&target, b"ours").unwrap();
        assert_eq!(fs::read(outside.path()).unwrap(), b"mine");
        assert!(fs::symlink_metadata(&target).unwrap().is_file());
    }
}
