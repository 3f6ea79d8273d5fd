//! Images that somebody keeps as PNG or JPEG: decoded now, or each when it is asked for.

use std::fmt::Debug;
use std::io::Cursor;

use rayon::prelude::*;

use super::picture::{self, Picture};
use super::{Preparation, Reading, is_large};
use crate::pixels::{ImageStore, Pixels};
use crate::{Error, Result};

/// PNG and JPEG images, wherever they are.
pub(super) trait Packed: Debug + Send + Sync {
    /// How many.
    fn len(&self) -> usize;

    /// What image `at` is called in messages.
    fn name(&self, at: usize) -> String;

    /// The contents of image `at`, as a file.
    fn bytes(&self, at: usize) -> Result<Vec<u8>>;

    /// What its header says, or why it has none.
    fn header(&self, at: usize) -> Result<Result<Picture, String>> {
        let bytes = self.bytes(at)?;
        let length = bytes.len() as u64;
        Ok(Picture::of(Cursor::new(bytes), length))
    }
}

/// Packed images with what was asked to be done to them.
#[derive(Debug)]
struct Prepared<P> {
    packed: P,
    preparation: Preparation,
    channels: usize,
}

/// Shape `[c, h, w]` and pixels of all of `packed`. They have one channel if all of them are grey, else three.
///
/// # Errors
/// [`Error::Format`] for what is no image, and for an image of another size than the first.
pub(super) fn images(packed: impl Packed + 'static, reading: &Reading<'_>) -> Result<([usize; 3], Pixels)> {
    let preparation = *reading.preparation;
    let unreadable = |at: usize, found: String| unreadable(packed.name(at), found);
    let headers = (0..packed.len()).into_par_iter().map(|at| {
        let picture = packed.header(at)?.map_err(|found| unreadable(at, found))?;
        let sides = picture.prepared(&preparation).map_err(|found| unreadable(at, found))?;
        Ok((picture.is_grey, sides))
    });
    // In their order, so that of several faults the first is told.
    let headers: Vec<(bool, [usize; 2])> = headers.collect::<Vec<_>>().into_iter().collect::<Result<_>>()?;
    let channels = if headers.iter().all(|(grey, _)| *grey) { 1 } else { 3 };
    let [height, width] = headers.first().map_or([0, 0], |(_, sides)| *sides);
    if let Some(at) = headers.iter().position(|(_, sides)| *sides != [height, width]) {
        let expected = format!(
            "{height} x {width} pixels, as {}; --resize and --center-crop make images of one size",
            packed.name(0)
        );
        let found = format!("{} x {}", headers[at].1[0], headers[at].1[1]);
        return Err(Error::Format { file: packed.name(at), offset: 0, expected, found });
    }
    let shape = [channels, height, width];
    let length: usize = shape.iter().product();
    let bytes = (length as u64).saturating_mul(packed.len() as u64);
    let images = Prepared { packed, preparation, channels };
    if is_large(bytes, reading) {
        let count = images.packed.len();
        let count =
            u32::try_from(count).map_err(|_| Error::Limit { asked: count, available: u32::MAX as usize })?;
        return Ok((shape, Pixels::stored(images, count)));
    }
    let mut pixels = vec![0; bytes as usize];
    let each = pixels.par_chunks_exact_mut(length.max(1)).enumerate();
    let decoded: Vec<Result<()>> = each.map(|(at, image)| images.read(at, image)).collect();
    decoded.into_iter().collect::<Result<()>>()?;
    Ok((shape, Pixels::Memory(pixels.into())))
}

impl<P: Packed> ImageStore for Prepared<P> {
    fn read(&self, at: usize, image: &mut [u8]) -> Result<()> {
        let decoded = picture::decode(self.packed.bytes(at)?, &self.preparation, self.channels, image);
        decoded.map_err(|found| unreadable(self.packed.name(at), found))
    }
}

fn unreadable(file: String, found: String) -> Error {
    Error::Format { file, offset: 0, expected: "a PNG or JPEG image".to_owned(), found }
}
