//! PNG and JPEG images: decoded, resized, cropped.

use std::io::{BufRead, BufReader, Cursor, Read, Seek};
use std::panic::{AssertUnwindSafe, catch_unwind};

use image::{ColorType, DynamicImage, ImageDecoder, ImageReader, Limits, imageops::FilterType};

use super::Preparation;

/// Bytes of the largest image, as a file and in memory: 256 MB.
pub(super) const LARGEST: u64 = 1 << 28;

/// How many bytes of pixels a byte of a file may be: PNG's deflate packs 1032 into one; JPEG has at least one bit for each
/// block of 64 values, so at most 1366 where two of three channels have a sixteenth of the values.
const MOST_PACKED: u64 = 2048;

/// What an image's header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Picture {
    pub(super) is_grey: bool,
    /// Width and height.
    sides: [u32; 2],
}

impl Picture {
    /// Reads the header of `file`, of `length` bytes in all.
    pub(super) fn of(file: impl Read + Seek, length: u64) -> Result<Self, String> {
        guarded(|| {
            let decoder = reader(BufReader::new(file))?.into_decoder().map_err(|error| error.to_string())?;
            check_size(&decoder, length)?;
            let (width, height) = decoder.dimensions();
            let colour = decoder.color_type();
            let is_grey = matches!(colour, ColorType::L8 | ColorType::L16 | ColorType::La8 | ColorType::La16);
            Ok(Self { is_grey, sides: [width, height] })
        })
    }

    /// Height and width, once prepared.
    pub(super) fn prepared(&self, preparation: &Preparation) -> Result<[usize; 2], String> {
        let [width, height] = match preparation.center_crop {
            Some(side) => {
                preparation.cropped(preparation.resized(self.sides)?, side).map(|_| [side, side])?
            }
            None => preparation.resized(self.sides)?,
        };
        Ok([height as usize, width as usize])
    }
}

/// Writes the prepared image of a file's `bytes` into `image`, u8 `[c, h, w]`, which must be as large as it is.
pub(super) fn decode(
    bytes: Vec<u8>,
    preparation: &Preparation,
    channels: usize,
    image: &mut [u8],
) -> Result<(), String> {
    let found = preparation.apply(image_of(bytes)?)?;
    let (width, height) = (found.width(), found.height());
    let last = if channels == 1 { found.into_luma8().into_raw() } else { found.into_rgb8().into_raw() };
    if last.len() != image.len() {
        return Err(format!("{height} x {width} pixels, other than its header said"));
    }
    let planes = image.chunks_exact_mut(last.len() / channels);
    for (channel, plane) in planes.enumerate() {
        let values = last.iter().skip(channel).step_by(channels);
        plane.iter_mut().zip(values).for_each(|(pixel, value)| *pixel = *value);
    }
    Ok(())
}

fn reader<R: BufRead + Seek>(source: R) -> Result<ImageReader<R>, String> {
    let mut reader = ImageReader::new(source).with_guessed_format().map_err(|error| error.to_string())?;
    let mut limits = Limits::default();
    limits.max_alloc = Some(LARGEST);
    reader.limits(limits);
    Ok(reader)
}

/// What a decoder that is not ours says. Some of them panic on a file that nobody would write: the one for JPEG multiplies
/// without looking, which a build with overflow checks stops. Such a file cannot be read, and that is all.
pub(super) fn guarded<T>(work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err("a damaged one, on which the decoder gave up".to_owned()))
}

fn image_of(bytes: Vec<u8>) -> Result<DynamicImage, String> {
    let length = bytes.len() as u64;
    guarded(|| {
        let decoder = reader(Cursor::new(bytes))?.into_decoder().map_err(|error| error.to_string())?;
        check_size(&decoder, length)?;
        DynamicImage::from_decoder(decoder).map_err(|error| error.to_string())
    })
}

/// Before any pixel is decoded: a header may say anything.
fn check_size(decoder: &impl ImageDecoder, length: u64) -> Result<(), String> {
    let (width, height) = decoder.dimensions();
    match decoder.total_bytes() > LARGEST.min(length.saturating_mul(MOST_PACKED)) {
        true => Err(format!("{width} x {height} pixels in a file that is too short for them")),
        false => Ok(()),
    }
}

/// One image, resized and cropped.
pub(crate) fn fuzz(bytes: &[u8]) {
    let preparation = Preparation { resize: Some(8), center_crop: Some(6), ..Preparation::default() };
    let header = Picture::of(Cursor::new(bytes), bytes.len() as u64)
        .and_then(|picture| picture.prepared(&preparation));
    let decoded = decode(bytes.to_vec(), &preparation, 3, &mut [0; 3 * 36]);
    assert!(decoded.is_err() || header == Ok([6, 6]), "a header says what its image is");
}

impl Preparation {
    /// `[width, height]` once resized.
    fn resized(&self, sides: [u32; 2]) -> Result<[u32; 2], String> {
        let [width, height] = sides;
        let Some(side) = self.resize else { return Ok(sides) };
        let (short, long) = (width.min(height), width.max(height));
        let long = u64::from(side) * u64::from(long) / u64::from(short.max(1));
        let long = u32::try_from(long).ok().filter(|&long| long <= 1 << 15);
        let long = long.ok_or_else(|| format!("{width} x {height} pixels, to be resized to {side}"))?;
        Ok(if width <= height { [side, long] } else { [long, side] })
    }

    /// Where the middle square of `side` begins in `[width, height]`.
    fn cropped(&self, [width, height]: [u32; 2], side: u32) -> Result<[u32; 2], String> {
        if width < side || height < side {
            return Err(format!("{width} x {height} pixels, of which {side} x {side} are to be cropped"));
        }
        // Halves to the even side, as Python rounds.
        let start = |room: u32| if room % 4 == 3 { room.div_ceil(2) } else { room / 2 };
        Ok([start(width - side), start(height - side)])
    }

    /// Resizes, then crops.
    fn apply(&self, image: DynamicImage) -> Result<DynamicImage, String> {
        let mut image = image;
        if self.resize.is_some() {
            let [width, height] = self.resized([image.width(), image.height()])?;
            image = image.resize_exact(width, height, FilterType::Triangle);
        }
        if let Some(side) = self.center_crop {
            let [left, top] = self.cropped([image.width(), image.height()], side)?;
            image = image.crop_imm(left, top, side, side);
        }
        Ok(image)
    }
}
