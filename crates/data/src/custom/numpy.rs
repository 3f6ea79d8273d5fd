//! NumPy's arrays: `.npy` files and `.npz` archives of them
//! (<https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>).

use std::fs::File;
use std::io::{Cursor, Read};
use std::path::Path;

use flate2::read::DeflateDecoder;
use zip::{CompressionMethod, ZipArchive};

use super::arrange::{Arrangement, FLOATS};
use super::raw::{self, Value};
use super::{Images, Preparation, Reading, contents, count_classes, is_large};
use crate::pixels::Pixels;
use crate::{Error, Result, Split, gzip};

/// Names of images and of labels in archives, with those of one split first.
fn names(split: Split) -> [Vec<String>; 2] {
    let with = |plain: &[&str]| {
        let of_split = plain.iter().flat_map(|name| [format!("{name}_{split}"), format!("{split}_{name}")]);
        of_split.chain(plain.iter().map(|&name| name.to_owned())).collect()
    };
    [with(&["images", "x", "X", "data"]), with(&["labels", "y", "Y", "label"])]
}

/// Reads the archive `path`.
///
/// # Errors
/// [`Error::Format`] for an array that is missing, of another type or shape, or damaged.
pub(super) fn read_archive(path: &Path, reading: &Reading<'_>) -> Result<Images> {
    archive(&path.display().to_string(), &contents(path)?, reading)
}

/// As [`read_archive`], from the file's `bytes`.
pub(super) fn archive(file: &str, bytes: &[u8], reading: &Reading<'_>) -> Result<Images> {
    let damaged =
        |error: zip::result::ZipError| fault(file, 0, "a zip archive of arrays (.npz)", error.to_string());
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(damaged)?;
    let there = archive.file_names().filter_map(|name| Some(name.ok()?.trim_end_matches(".npy").to_owned()));
    let there: Vec<String> = there.collect();
    let mut arrays = Vec::new();
    for names in names(reading.split) {
        let Some(name) = names.iter().find(|name| there.contains(name)) else {
            let expected = format!("one of the arrays {}", names.join(", "));
            return Err(fault(file, 0, &expected, format!("arrays [{}]", there.join(", "))));
        };
        // As it lies there: what is deflated is inflated by the crate that does so elsewhere here.
        let entry = archive.by_name_raw(format!("{name}.npy").as_bytes()).map_err(damaged)?;
        let place = format!("{file}, {name}");
        // What lies there as it is cannot be more than the archive; what is deflated may become a thousand times as much.
        let most = gzip::most(bytes.len() as u64);
        arrays.push(match entry.compression() {
            CompressionMethod::STORE => Array::read(&place, entry, most)?,
            CompressionMethod::DEFLATE => Array::read(&place, DeflateDecoder::new(entry), most)?,
            other => return Err(fault(&place, 0, "an array, stored or deflated", format!("{other:?}"))),
        });
    }
    let [images, labels] = <[Array; 2]>::try_from(arrays).expect("an array for each list of names");
    let arrangement = images.header.arrangement(reading.preparation)?;
    let pixels = Pixels::Memory(arrangement.apply(images.pixels()?).into());
    together(&images.header, arrangement, pixels, &labels, reading)
}

/// Reads images from `path` and labels from the file of labels beside it.
///
/// # Errors
/// As [`read_archive`].
pub(super) fn read_pair(path: &Path, labels: &Path, reading: &Reading<'_>) -> Result<Images> {
    let read = |path: &Path| array(&path.display().to_string(), &contents(path)?);
    let length = std::fs::metadata(path).map_err(Error::io("look at", path))?;
    let (header, arrangement, pixels) = match is_large(length.len(), reading) && length.is_file() {
        true => {
            let mut file = File::open(path).map_err(Error::io("open", path))?;
            let header = Header::read(&path.display().to_string(), &mut file)?;
            let arrangement = header.arrangement(reading.preparation)?;
            let pixels = raw::images(path, header.start as u64, header.value()?, arrangement)?;
            (header, arrangement, pixels)
        }
        false => {
            let images = read(path)?;
            let arrangement = images.header.arrangement(reading.preparation)?;
            let pixels = Pixels::Memory(arrangement.apply(images.pixels()?).into());
            (images.header, arrangement, pixels)
        }
    };
    together(&header, arrangement, pixels, &read(labels)?, reading)
}

/// The array in a file's `bytes`.
fn array(file: &str, bytes: &[u8]) -> Result<Array> {
    Array::read(file, bytes, bytes.len() as u64)
}

/// One array as images, and as labels.
pub(crate) fn fuzz(bytes: &[u8]) {
    if let Ok(array) = array("f", bytes) {
        let labels = array.labels(None);
        let arrangement = array.header.arrangement(&Preparation::default());
        let _ =
            (arrangement.map(|arrangement| array.pixels().map(|pixels| arrangement.apply(pixels))), labels);
    }
}

fn together(
    images: &Header,
    arrangement: Arrangement,
    pixels: Pixels,
    labels: &Array,
    reading: &Reading<'_>,
) -> Result<Images> {
    let [n, c, h, w] = arrangement.shape;
    let Reading { classes, .. } = *reading;
    let labels_read = labels.labels(classes)?;
    if labels_read.len() != n {
        let (first, second) = (images.file.clone(), labels.header.file.clone());
        return Err(Error::Counts { first, first_count: n, second, second_count: labels_read.len() });
    }
    let classes = count_classes(&labels_read, classes);
    Ok(Images { shape: [c, h, w], pixels, labels: labels_read, classes })
}

/// What an array in C order is.
#[derive(Debug)]
struct Header {
    /// For messages.
    file: String,
    /// Offset of its first value.
    start: usize,
    /// As NumPy writes it, without the order of bytes: `u1`, `f4`.
    kind: String,
    shape: Vec<usize>,
    /// Bytes of all its values.
    length: usize,
}

/// One array.
#[derive(Debug)]
struct Array {
    header: Header,
    bytes: Vec<u8>,
}

/// Bytes before the header: magic, version, length.
const FIRST: usize = 10;

impl Header {
    /// Reads what stands before the values.
    fn read(file: &str, mut source: impl Read) -> Result<Self> {
        let broken = |offset, found: String| fault(file, offset, "an array of NumPy", found);
        let mut take = |count: usize, offset: usize| {
            let mut bytes = vec![0; count];
            let read = source.read_exact(&mut bytes).map_err(|error| broken(offset, error.to_string()));
            read.map(|()| bytes)
        };
        let first = take(FIRST, 0)?;
        let (1..=3, true) = (first[6], first.starts_with(b"\x93NUMPY")) else {
            return Err(broken(0, format!("{:?}", &first[..8])));
        };
        let mut start = FIRST;
        let mut length = u32::from(u16::from_le_bytes([first[8], first[9]]));
        if first[6] > 1 {
            let more = take(2, FIRST)?;
            length |= u32::from(u16::from_le_bytes([more[0], more[1]])) << 16;
            start += 2;
        }
        if length > 1 << 16 {
            return Err(broken(8, format!("a header of {length} bytes")));
        }
        let header = take(length as usize, start)?;
        let header = String::from_utf8_lossy(&header).into_owned();
        let unread = || broken(start, format!("header {header:?}"));
        let after = |key: &str| header.split_once(key).map(|(_, rest)| rest.trim_start());
        let descr = after("'descr':").and_then(|rest| rest.split('\'').nth(1)).ok_or_else(unread)?;
        let order = after("'fortran_order':").ok_or_else(unread)?;
        let sides = after("'shape':").and_then(|rest| rest.strip_prefix('(')).ok_or_else(unread)?;
        let sides = sides.split(')').next().unwrap_or_default().split(',').map(str::trim);
        let shape = sides.filter(|side| !side.is_empty()).map(str::parse).collect::<Result<Vec<usize>, _>>();
        let shape = shape.map_err(|_| unread())?;
        let kind = descr.trim_start_matches(['<', '|', '=']).to_owned();
        let size: usize = kind.get(1..).and_then(|size| size.parse().ok()).unwrap_or(0);
        if order.starts_with("True") || descr.starts_with('>') && size != 1 || !(1..=8).contains(&size) {
            let expected = "numbers of up to 8 bytes, little-endian, in C order";
            return Err(fault(file, start, expected, format!("header {header:?}")));
        }
        let kind = kind.trim_start_matches('>').to_owned();
        let length = shape.iter().try_fold(size, |length, &side| length.checked_mul(side));
        let length = length.ok_or_else(unread)?;
        Ok(Self { file: file.to_owned(), start: start + header.len(), kind, shape, length })
    }

    /// What its values are, if they can be pixels.
    fn value(&self) -> Result<Value> {
        match self.kind.as_str() {
            "u1" => Ok(Value::U8),
            "f4" => Ok(Value::F32),
            "f8" => Ok(Value::F64),
            other => Err(fault(&self.file, self.start, "images of u1, f4 or f8", other.to_owned())),
        }
    }

    fn arrangement(&self, preparation: &Preparation) -> Result<Arrangement> {
        Arrangement::of(&self.shape, preparation)
            .map_err(|(expected, found)| fault(&self.file, self.start, &expected, found))
    }
}

impl Array {
    /// Reads an array of at most `most` bytes.
    fn read(file: &str, mut source: impl Read, most: u64) -> Result<Self> {
        let header = Header::read(file, &mut source)?;
        let Header { start, length, kind, shape, .. } = &header;
        let (start, length) = (*start, *length);
        if length as u64 > most {
            let expected = format!("at most {most} bytes, as many as a file of this length may have");
            return Err(fault(file, start, &expected, format!("{kind} {shape:?} of its header")));
        }
        let mut bytes = Vec::new();
        let broken = |error: std::io::Error| fault(file, start, "an array of NumPy", error.to_string());
        source.take(length as u64 + 1).read_to_end(&mut bytes).map_err(broken)?;
        if bytes.len() != length {
            let expected = format!("{length} bytes of {kind} {shape:?}");
            let found = if bytes.len() > length { "more".to_owned() } else { bytes.len().to_string() };
            return Err(fault(file, start + bytes.len().min(length), &expected, found));
        }
        Ok(Self { header, bytes })
    }

    fn pixels(&self) -> Result<Vec<u8>> {
        let Header { file, start, .. } = &self.header;
        let value = self.header.value()?;
        value
            .bytes(self.bytes.clone())
            .map_err(|(at, found)| fault(file, start + at * value.size(), FLOATS, found.to_string()))
    }

    fn labels(&self, classes: Option<usize>) -> Result<Vec<u16>> {
        let Header { file, start, kind, shape, .. } = &self.header;
        let (size, decode): (usize, fn(&[u8]) -> i64) = match kind.as_str() {
            "u1" => (1, |b| b[0].into()),
            "i1" => (1, |b| i8::from_le_bytes(word(b)).into()),
            "u2" => (2, |b| u16::from_le_bytes(word(b)).into()),
            "i2" => (2, |b| i16::from_le_bytes(word(b)).into()),
            "u4" => (4, |b| u32::from_le_bytes(word(b)).into()),
            "i4" => (4, |b| i32::from_le_bytes(word(b)).into()),
            "i8" | "u8" => (8, |b| i64::from_le_bytes(word(b))),
            other => {
                return Err(fault(file, *start, "labels of integers", other.to_owned()));
            }
        };
        if !matches!(shape[..], [_] | [_, 1]) {
            return Err(fault(file, *start, "labels of shape [n]", format!("{shape:?}")));
        }
        super::labels(file, *start, size, self.bytes.chunks_exact(size).map(decode), classes)
    }
}

fn word<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().expect("chunks have the size of their type")
}

fn fault(file: &str, offset: usize, expected: &str, found: String) -> Error {
    Error::Format { file: file.to_owned(), offset: offset as u64, expected: expected.to_owned(), found }
}
