//! Images of a file that is too large for memory: read where they lie, one by one.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use super::arrange::{Arrangement, FLOATS, from_floats, planes};
use crate::pixels::{ImageStore, Pixels};
use crate::{Error, Result};

/// What a file's values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value {
    U8,
    F32,
    F64,
}

impl Value {
    /// Bytes of one.
    pub(super) fn size(self) -> usize {
        match self {
            Self::U8 => 1,
            Self::F32 => 4,
            Self::F64 => 8,
        }
    }

    /// As bytes from 0 to 255.
    ///
    /// # Errors
    /// The place of the first value that is none, and the value.
    pub(super) fn bytes(self, values: Vec<u8>) -> Result<Vec<u8>, (usize, f32)> {
        fn word<const N: usize>(bytes: &[u8]) -> [u8; N] {
            bytes.try_into().expect("chunks have the size of their type")
        }
        match self {
            Self::U8 => Ok(values),
            Self::F32 => from_floats(values.chunks_exact(4).map(|b| f32::from_le_bytes(word(b)))),
            Self::F64 => from_floats(values.chunks_exact(8).map(|b| f64::from_le_bytes(word(b)) as f32)),
        }
    }
}

/// Images that lie one after another in a file.
#[derive(Debug)]
struct Raw {
    /// For messages.
    name: String,
    file: Mutex<File>,
    /// Offset of the first value.
    start: u64,
    value: Value,
    arrangement: Arrangement,
}

/// The images of `path` that begin at `start`, which are checked to lie in the file.
///
/// # Errors
/// [`Error::Format`] if it is too short, [`Error::Io`].
pub(super) fn images(path: &Path, start: u64, value: Value, arrangement: Arrangement) -> Result<Pixels> {
    let file = File::open(path).map_err(Error::io("open", path))?;
    let length = file.metadata().map_err(Error::io("look at", path))?.len();
    let [n, c, height, width] = arrangement.shape;
    let sizes = [n, c, height, width, value.size()].map(|size| size as u64);
    let end = sizes.iter().try_fold(1_u64, |size, &side| size.checked_mul(side));
    let end = end.and_then(|size| size.checked_add(start)).filter(|&end| end <= length);
    let (Some(_), Ok(count)) = (end, u32::try_from(n)) else {
        let expected = format!("{n} images of {c} x {height} x {width}, {value:?}, from byte {start}");
        let found = format!("{length} bytes in all");
        return Err(Error::Format { file: path.display().to_string(), offset: length, expected, found });
    };
    let name = path.display().to_string();
    Ok(Pixels::stored(Raw { name, file: Mutex::new(file), start, value, arrangement }, count))
}

impl ImageStore for Raw {
    fn read(&self, at: usize, image: &mut [u8]) -> Result<()> {
        let size = image.len() * self.value.size();
        let offset = self.start + at as u64 * size as u64;
        let mut values = vec![0; size];
        let mut read = || {
            // A panic while it was held leaves nothing half done: every read looks for its place first.
            let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
            file.seek(SeekFrom::Start(offset))?;
            file.read_exact(&mut values)
        };
        read().map_err(Error::io("read", Path::new(&self.name)))?;
        let bytes = self.value.bytes(values).map_err(|(place, value)| Error::Format {
            file: self.name.clone(),
            offset: offset + (place * self.value.size()) as u64,
            expected: FLOATS.to_owned(),
            found: value.to_string(),
        })?;
        match self.arrangement.channels_last {
            true => planes(&bytes, self.arrangement.shape[1], image),
            false => image.copy_from_slice(&bytes),
        }
        Ok(())
    }
}
