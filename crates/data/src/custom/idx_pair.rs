//! An IDX pair of any size, plain or gzip.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::arrange::Arrangement;
use super::find::is_gz;
use super::raw::{self, Value};
use super::{Images, LARGEST, Reading, count_classes, is_large};
use crate::idx::{Declared, HEADER};
use crate::pixels::Pixels;
use crate::{Error, Result, gzip, idx};

/// Largest number of labels that a byte tells apart.
const BYTE: usize = 256;

/// Reads grey images and their labels.
///
/// # Errors
/// [`Error::Format`] with file and offset, [`Error::Counts`], [`Error::Io`].
pub(super) fn read(images: &Path, labels: &Path, reading: &Reading<'_>) -> Result<Images> {
    let Reading { classes, .. } = *reading;
    // Both headers before either's contents: counts that do not agree cost no memory.
    let images = Idx::open(images, idx::declared_images)?;
    let labels = Idx::open(labels, idx::declared_labels)?;
    let (first_count, second_count) = (images.declared.count, labels.declared.count);
    if first_count != second_count {
        return Err(Error::Counts { first: images.name, first_count, second: labels.name, second_count });
    }
    let (shape, pixels) = match is_large(images.declared.size, reading) && !is_gz(images.path) {
        true => {
            let [height, width] = images.declared.sides;
            let arrangement = Arrangement { shape: [first_count, 1, height, width], channels_last: false };
            ([1, height, width], raw::images(images.path, HEADER, Value::U8, arrangement)?)
        }
        false => {
            let found = idx::images(&images.name, images.contents()?)?;
            ([1, found.rows, found.columns], Pixels::Memory(found.pixels.into()))
        }
    };
    let most = classes.map_or(BYTE, |classes| classes.min(BYTE));
    let labels = idx::labels(&labels.name, labels.contents()?, most)?;
    let labels: Vec<u16> = labels.into_iter().map(u16::from).collect();
    let classes = count_classes(&labels, classes);
    Ok(Images { shape, pixels, labels, classes })
}

/// A file of which the header was read.
struct Idx<'a> {
    path: &'a Path,
    /// For messages.
    name: String,
    declared: Declared,
}

impl<'a> Idx<'a> {
    /// Reads the header and compares it with the file's length.
    fn open(path: &'a Path, declared: fn(&str, &[u8]) -> Result<Declared>) -> Result<Self> {
        let name = path.display().to_string();
        let found = std::fs::metadata(path).map_err(Error::io("look at", path))?;
        if !found.is_file() {
            let source = std::io::Error::new(std::io::ErrorKind::InvalidInput, "this is no regular file");
            return Err(Error::io("read", path)(source));
        }
        let length = found.len();
        let mut file = File::open(path).map_err(Error::io("open", path))?;
        let start = match is_gz(path) {
            true => gzip::start(&name, &mut file, HEADER)?,
            false => {
                let mut start = Vec::new();
                file.take(HEADER).read_to_end(&mut start).map_err(Error::io("read", path))?;
                start
            }
        };
        let declared = declared(&name, &start)?;
        match is_gz(path) {
            true => gzip::check_size(&name, length, declared.size)?,
            false if length == declared.size => {}
            false => {
                return Err(Error::Format {
                    file: name,
                    offset: length.min(declared.size),
                    expected: format!("{} bytes in all ({} examples)", declared.size, declared.count),
                    found: format!("{length} bytes"),
                });
            }
        }
        if is_gz(path) && declared.size > LARGEST {
            let expected = format!("sizes of at most {LARGEST} bytes");
            return Err(Error::Format { file: name, offset: 4, expected, found: declared.size.to_string() });
        }
        Ok(Self { path, name, declared })
    }

    fn contents(&self) -> Result<Vec<u8>> {
        if !is_gz(self.path) {
            return super::contents(self.path);
        }
        let file = File::open(self.path).map_err(Error::io("open", self.path))?;
        gzip::unpack(&self.name, file, self.declared.size)
    }
}
