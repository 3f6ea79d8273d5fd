//! Images and labels in a safetensors file.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use safetensors::tensor::{Metadata, TensorInfo};
use safetensors::{Dtype, SafeTensorError};

use super::arrange::{Arrangement, FLOATS};
use super::raw::{self, Value};
use super::{Images, MOST_CLASSES, Reading, contents, count_classes, is_large};
use crate::pixels::Pixels;
use crate::{Error, Result};

/// Bytes before the header: its length.
const LENGTH: usize = 8;

/// Reads the file `path`.
///
/// # Errors
/// As [`read`]; [`Error::Io`].
pub(super) fn read_file(path: &Path, reading: &Reading<'_>) -> Result<Images> {
    let length = std::fs::metadata(path).map_err(Error::io("look at", path))?;
    let name = path.display().to_string();
    if !(is_large(length.len(), reading) && length.is_file()) {
        return read(&name, &contents(path)?, reading);
    }
    let mut file = File::open(path).map_err(Error::io("open", path))?;
    let (header, metadata) = robin_files::tensors::header_of(&mut file).map_err(unread(&name, 0))?;
    let tensors = Tensors { file: &name, metadata: &metadata, start: LENGTH + header };
    let (value, arrangement, info) = tensors.images(reading)?;
    let start = tensors.start + info.data_offsets.0;
    let pixels = raw::images(path, start as u64, value, arrangement)?;
    let labels = tensors.find("labels", "[n]")?;
    let mut bytes = vec![0; tensors.size(labels)?];
    let offset = (tensors.start + labels.data_offsets.0) as u64;
    let mut fill = || file.seek(SeekFrom::Start(offset)).and_then(|_| file.read_exact(&mut bytes));
    fill().map_err(Error::io("read", path))?;
    tensors.together(arrangement, pixels, &bytes, reading)
}

/// Reads `images` (u8 or f32 `[n, c, h, w]`) and `labels` (`[n]`) from the contents of `file`. The number of classes is
/// that of the file's metadata, else the reading's, else one more than the largest label.
///
/// # Errors
/// [`Error::Format`] with the offset: of the header (8) for a tensor that is missing, of another type or shape, of
/// the label for one that is no class. [`Error::Counts`] if the numbers of images and labels differ.
pub(super) fn read(file: &str, bytes: &[u8], reading: &Reading<'_>) -> Result<Images> {
    let (header, metadata) = robin_files::tensors::header(bytes).map_err(unread(file, bytes.len()))?;
    let tensors = Tensors { file, metadata: &metadata, start: LENGTH + header };
    let contents = |info: &TensorInfo| &bytes[tensors.start..][info.data_offsets.0..info.data_offsets.1];
    let (value, arrangement, info) = tensors.images(reading)?;
    let start = tensors.start + info.data_offsets.0;
    let pixels = value.bytes(contents(info).to_vec());
    let pixels =
        pixels.map_err(|(at, found)| fault(file, start + at * value.size(), FLOATS, found.to_string()))?;
    let pixels = Pixels::Memory(arrangement.apply(pixels).into());
    tensors.together(arrangement, pixels, contents(tensors.find("labels", "[n]")?), reading)
}

/// For a header that is none, in a file of which `length` bytes were read.
fn unread(file: &str, length: usize) -> impl FnOnce(SafeTensorError) -> Error {
    let file = file.to_owned();
    move |error| {
        let offset = match error {
            SafeTensorError::HeaderTooSmall
            | SafeTensorError::InvalidHeaderLength
            | SafeTensorError::MetadataIncompleteBuffer => length,
            SafeTensorError::HeaderTooLarge => 0,
            _ => LENGTH,
        };
        fault(&file, offset, "a safetensors file", error.to_string())
    }
}

struct Tensors<'a> {
    file: &'a str,
    metadata: &'a Metadata,
    /// Where the contents begin in the file.
    start: usize,
}

impl<'a> Tensors<'a> {
    /// What the images' values are, how they lie, and where.
    fn images(&self, reading: &Reading<'_>) -> Result<(Value, Arrangement, &'a TensorInfo)> {
        let info = self.find("images", "u8 or f32 [n, c, h, w]")?;
        let found = || format!("{:?} {:?}", info.dtype, info.shape);
        let value = match (info.dtype, info.shape.len()) {
            (Dtype::U8, 4) => Value::U8,
            (Dtype::F32, 4) => Value::F32,
            _ => return Err(fault(self.file, LENGTH, "`images` of U8 or F32 [n, c, h, w]", found())),
        };
        let arrangement =
            Arrangement::of(&info.shape, reading.preparation).map_err(|(expected, found)| {
                fault(self.file, LENGTH, &expected, format!("{:?} {found}", info.dtype))
            })?;
        self.size(info)?;
        Ok((value, arrangement, info))
    }

    /// Bytes of a tensor, which must be as many as its shape has.
    fn size(&self, info: &TensorInfo) -> Result<usize> {
        let values =
            info.shape.iter().try_fold(info.dtype.bitsize() / 8, |size, &side| size.checked_mul(side));
        let (from, to) = info.data_offsets;
        match to.checked_sub(from) {
            Some(size) if Some(size) == values => Ok(size),
            _ => {
                let expected = format!("offsets of {:?} {:?}", info.dtype, info.shape);
                Err(fault(self.file, LENGTH, &expected, format!("{from} to {to}")))
            }
        }
    }

    fn together(
        &self,
        arrangement: Arrangement,
        pixels: Pixels,
        labels: &[u8],
        reading: &Reading<'_>,
    ) -> Result<Images> {
        let [n, channels, height, width] = arrangement.shape;
        let classes = self.classes()?.or(reading.classes);
        let labels = self.labels(labels, classes)?;
        if labels.len() != n {
            return Err(Error::Counts {
                first: format!("`images` of {}", self.file),
                first_count: n,
                second: "its `labels`".to_owned(),
                second_count: labels.len(),
            });
        }
        let classes = count_classes(&labels, classes);
        Ok(Images { shape: [channels, height, width], pixels, labels, classes })
    }

    fn find(&self, name: &str, what: &str) -> Result<&'a TensorInfo> {
        self.metadata.info(name).ok_or_else(|| {
            let mut names = self.metadata.offset_keys();
            names.sort_unstable();
            fault(
                self.file,
                LENGTH,
                &format!("a tensor `{name}` ({what})"),
                format!("tensors [{}]", names.join(", ")),
            )
        })
    }

    /// `classes` of the file's metadata.
    fn classes(&self) -> Result<Option<usize>> {
        let Some(text) = self.metadata.metadata().as_ref().and_then(|entries| entries.get("classes")) else {
            return Ok(None);
        };
        match text.parse() {
            Ok(classes) if (1..=MOST_CLASSES).contains(&classes) => Ok(Some(classes)),
            _ => Err(fault(self.file, LENGTH, "metadata `classes` of 1 to 65536", format!("{text:?}"))),
        }
    }

    /// `labels` of these `bytes`, checked to be below `classes`.
    fn labels(&self, bytes: &[u8], classes: Option<usize>) -> Result<Vec<u16>> {
        let info = self.find("labels", "[n]")?;
        let offset = self.start + info.data_offsets.0;
        let found = || format!("{:?} {:?}", info.dtype, info.shape);
        let (size, decode): (usize, fn(&[u8]) -> i64) = match info.dtype {
            Dtype::U8 => (1, |bytes| bytes[0].into()),
            Dtype::I32 => (4, |bytes| i32::from_le_bytes(word(bytes)).into()),
            Dtype::U32 => (4, |bytes| u32::from_le_bytes(word(bytes)).into()),
            // What PyTorch calls `long`, its own type for labels.
            Dtype::I64 => (8, |bytes| i64::from_le_bytes(word(bytes))),
            _ => return Err(fault(self.file, LENGTH, "`labels` of U8, I32, U32 or I64 [n]", found())),
        };
        if info.shape.len() != 1 {
            return Err(fault(self.file, LENGTH, "`labels` of shape [n]", found()));
        }
        super::labels(self.file, offset, size, bytes.chunks_exact(size).map(decode), classes)
    }
}

fn word<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().expect("chunks have the size of their type")
}

fn fault(file: &str, offset: usize, expected: &str, found: String) -> Error {
    Error::Format { file: file.to_owned(), offset: offset as u64, expected: expected.to_owned(), found }
}
