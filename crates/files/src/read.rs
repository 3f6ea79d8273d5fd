//! A whole file in memory, if it is not too long for what it should be.

use std::fs::File;
use std::io::{Error, ErrorKind, Read, Result};
use std::path::Path;

/// The bytes of the file at `path`, at most `most`.
///
/// # Errors
/// Those of the file system; [`ErrorKind::InvalidInput`] for what is no file (a device has no end, a pipe may never
/// begin), [`ErrorKind::FileTooLarge`] for more than `most` bytes, before any is read.
pub fn read(path: &Path, most: u64) -> Result<Vec<u8>> {
    // Asked by name, because opening a pipe waits for somebody to write into it.
    let found = std::fs::metadata(path)?;
    if !found.is_file() {
        return Err(Error::new(ErrorKind::InvalidInput, "this is no regular file"));
    }
    let too_long = |length: String| {
        Error::new(ErrorKind::FileTooLarge, format!("it has {length} bytes, allowed are at most {most}"))
    };
    if found.len() > most {
        return Err(too_long(found.len().to_string()));
    }
    let mut bytes = Vec::new();
    // A refusal instead of an abort, where the memory is not there.
    bytes.try_reserve_exact(usize::try_from(found.len()).unwrap_or(usize::MAX))?;
    // Somebody may be writing to it.
    File::open(path)?.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > most {
        true => Err(too_long("more".to_owned())),
        false => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_up_to_its_bound() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, [7; 100]).unwrap();
        assert_eq!(read(&path, 100).unwrap(), [7; 100]);
        let error = read(&path, 99).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::FileTooLarge);
        assert!(error.to_string().contains("100 bytes, allowed are at most 99"), "{error}");
        assert_eq!(read(&folder.path().join("none"), 9).unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(read(folder.path(), 9).unwrap_err().kind(), ErrorKind::InvalidInput);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_has_no_end_is_not_read_and_what_is_mostly_a_hole_is_not_allocated() {
        let error = read(Path::new("/dev/zero"), u64::MAX).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sparse");
        File::create(&path).unwrap().set_len(1 << 40).unwrap();
        assert_eq!(read(&path, 1 << 30).unwrap_err().kind(), ErrorKind::FileTooLarge);
    }
}
