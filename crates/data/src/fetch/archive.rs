//! Members of a gzipped tar archive, as they pass by.

use std::io::{BufReader, Read};

use flate2::bufread::GzDecoder;

use crate::{Error, Result};

/// Bytes of an archive, unpacked, that are read: several times those of any that is fetched.
const LONGEST: u64 = 1 << 30;

/// Calls `take(i, contents)` for each member whose path is `paths[i]`, in the archive's order, and stops
/// reading once all have passed. `archive` is for messages.
///
/// Names longer than a header's own field, which would be read into memory whatever their length, are passed over: no path
/// that is looked for is so long.
///
/// # Errors
/// [`Error::Transfer`] for a broken archive, or one of more than [`LONGEST`] bytes; [`Error::NotInArchive`] if a path never comes, and whatever
/// `take` returns.
pub(super) fn members(
    archive: &str,
    reader: impl Read,
    paths: &[String],
    take: &mut dyn FnMut(usize, &mut dyn Read) -> Result<()>,
) -> Result<()> {
    let broken = || Error::transfer(format!("unpacking {archive}"));
    let mut missing: Vec<usize> = (0..paths.len()).collect();
    let unpacked = GzDecoder::new(BufReader::new(reader.take(LONGEST))).take(LONGEST);
    let mut tar = tar::Archive::new(unpacked);
    for entry in tar.entries().map_err(broken())?.raw(true) {
        if missing.is_empty() {
            return Ok(());
        }
        let mut entry = entry.map_err(broken())?;
        let path = entry.path().map_err(broken())?.to_string_lossy().into_owned();
        let path = path.trim_start_matches("./");
        let Some(at) = missing.iter().position(|&index| paths[index] == path) else { continue };
        take(missing.remove(at), &mut entry)?;
    }
    match missing.first() {
        None => Ok(()),
        Some(&index) => {
            Err(Error::NotInArchive { archive: archive.to_owned(), member: paths[index].clone() })
        }
    }
}
