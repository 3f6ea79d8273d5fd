//! An IDX pair of any size, plain or gzip.

use std::path::Path;

use super::find::is_gz;
use super::{Images, contents, count_classes};
use crate::{Error, Result, gzip, idx};

/// Largest number of labels that a byte tells apart.
const BYTE: usize = 256;

/// Reads grey images and their labels; `classes` = `None`: one more than the largest label.
///
/// # Errors
/// [`Error::Format`] with file and offset, [`Error::Counts`], [`Error::Io`].
pub(super) fn read(images: &Path, labels: &Path, classes: Option<usize>) -> Result<Images> {
    let [images_file, labels_file] = [images, labels].map(|path| path.display().to_string());
    let read = idx::images(&images_file, unpacked(images, &images_file)?)?;
    let refuse = |offset, expected: &str, found: String| {
        Err(Error::Format { file: images_file.clone(), offset, expected: expected.to_owned(), found })
    };
    if read.count == 0 {
        return refuse(4, "at least one image", "0".to_owned());
    }
    if read.rows == 0 || read.columns == 0 {
        return refuse(8, "at least one row and column", format!("{} x {}", read.rows, read.columns));
    }
    let labels = idx::labels(
        &labels_file,
        unpacked(labels, &labels_file)?,
        classes.map_or(BYTE, |classes| classes.min(BYTE)),
    )?;
    if labels.len() != read.count {
        let (first_count, second_count) = (read.count, labels.len());
        return Err(Error::Counts { first: images_file, first_count, second: labels_file, second_count });
    }
    let labels: Vec<u16> = labels.into_iter().map(u16::from).collect();
    let classes = count_classes(&labels, classes);
    Ok(Images { shape: [1, read.rows, read.columns], pixels: read.pixels, labels, classes })
}

fn unpacked(path: &Path, file: &str) -> Result<Vec<u8>> {
    let bytes = contents(path)?;
    if !is_gz(path) {
        return Ok(bytes);
    }
    // The header says how much may come out, so that a small file cannot fill the memory.
    let start = gzip::start(file, &bytes[..], idx::HEADER as u64)?;
    gzip::unpack(file, &bytes[..], idx::size(file, &start)?)
}
