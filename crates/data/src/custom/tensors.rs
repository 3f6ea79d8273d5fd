//! Images and labels in a safetensors file.

use safetensors::tensor::{Metadata, TensorInfo};
use safetensors::{Dtype, SafeTensorError};

use super::arrange::{FLOATS, arrange, from_floats};
use super::{Images, MOST_CLASSES, Preparation, count_classes};
use crate::{Error, Result};

/// Bytes before the header: its length.
const LENGTH: usize = 8;

/// Reads `images` (u8 or f32 `[n, c, h, w]`) and `labels` (`[n]`) from the contents of `file`. The number of classes is
/// that of the file's metadata, else `classes`, else one more than the largest label.
///
/// # Errors
/// [`Error::Format`] with the offset: of the header (8) for a tensor that is missing, of another type or shape, of
/// the label for one that is no class. [`Error::Counts`] if the numbers of images and labels differ.
pub(super) fn read(
    file: &str,
    bytes: &[u8],
    classes: Option<usize>,
    preparation: &Preparation,
) -> Result<Images> {
    let (header, metadata) = robin_files::tensors::header(bytes).map_err(|error| {
        let offset = match error {
            SafeTensorError::HeaderTooSmall
            | SafeTensorError::InvalidHeaderLength
            | SafeTensorError::MetadataIncompleteBuffer => bytes.len(),
            SafeTensorError::HeaderTooLarge => 0,
            _ => LENGTH,
        };
        fault(file, offset, "a safetensors file", error.to_string())
    })?;
    let tensors =
        Tensors { file, metadata: &metadata, contents: &bytes[LENGTH + header..], start: LENGTH + header };
    let (info, bytes, offset) = tensors.find("images", "u8 or f32 [n, c, h, w]")?;
    let found = || format!("{:?} {:?}", info.dtype, info.shape);
    let pixels = match (info.dtype, info.shape.len()) {
        (Dtype::U8, 4) => bytes.to_vec(),
        (Dtype::F32, 4) => from_floats(bytes.chunks_exact(4).map(|bytes| f32::from_le_bytes(word(bytes))))
            .map_err(|(at, value)| fault(file, offset + 4 * at, FLOATS, value.to_string()))?,
        _ => return Err(fault(file, LENGTH, "`images` of U8 or F32 [n, c, h, w]", found())),
    };
    let arranged = arrange(&info.shape, pixels, preparation);
    let ([n, channels, height, width], pixels) = arranged
        .map_err(|(expected, found)| fault(file, LENGTH, &expected, format!("{:?} {found}", info.dtype)))?;
    let classes = tensors.classes()?.or(classes);
    let labels = tensors.labels(classes)?;
    if labels.len() != n {
        return Err(Error::Counts {
            first: format!("`images` of {file}"),
            first_count: n,
            second: "its `labels`".to_owned(),
            second_count: labels.len(),
        });
    }
    let classes = count_classes(&labels, classes);
    Ok(Images { shape: [channels, height, width], pixels, labels, classes })
}

struct Tensors<'a> {
    file: &'a str,
    metadata: &'a Metadata,
    /// Everything after the header.
    contents: &'a [u8],
    /// Where that begins in the file.
    start: usize,
}

impl<'a> Tensors<'a> {
    /// A tensor, its bytes, and their offset in the file.
    fn find(&self, name: &str, what: &str) -> Result<(&'a TensorInfo, &'a [u8], usize)> {
        let info = self.metadata.info(name).ok_or_else(|| {
            let mut names = self.metadata.offset_keys();
            names.sort_unstable();
            fault(
                self.file,
                LENGTH,
                &format!("a tensor `{name}` ({what})"),
                format!("tensors [{}]", names.join(", ")),
            )
        })?;
        let (from, to) = info.data_offsets;
        Ok((info, &self.contents[from..to], self.start + from))
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

    /// `labels`, checked to be below `classes`.
    fn labels(&self, classes: Option<usize>) -> Result<Vec<u16>> {
        let (info, bytes, offset) = self.find("labels", "[n]")?;
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
