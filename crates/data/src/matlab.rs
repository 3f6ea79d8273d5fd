//! SVHN's files: MATLAB's format of level 5, of which only what they hold is read, unsigned bytes `X` `[32, 32, 3, n]` and
//! labels `y` `[n, 1]` from 1 to 10, column by column ("MAT-File Format", The MathWorks).

use std::io::Read;

use flate2::read::ZlibDecoder;

use crate::{Error, Result};

/// Rows, columns and colours of an image.
const SHAPE: [usize; 3] = [32, 32, 3];

/// Length of the text and version at the beginning.
const HEADER: usize = 128;

/// How many times its length a compressed variable may unpack to: photographs are packed to four fifths, labels to a fiftieth.
const RATIO: u64 = 200;

/// Types of elements.
const INT8: u32 = 1;
const UINT8: u32 = 2;
const INT32: u32 = 5;
const UINT32: u32 = 6;
const MATRIX: u32 = 14;
const COMPRESSED: u32 = 15;

/// Pixels `[n, 3, 32, 32]`, and labels from 0 to 9: the file's 10 is the digit 0. `file` is for messages.
///
/// # Errors
/// [`Error::Format`] with the offset, inside a compressed variable that of the variable, for whatever is not as SVHN's files are.
pub(crate) fn digits(file: &str, bytes: &[u8]) -> Result<(Vec<u8>, Vec<u8>)> {
    let fault = |offset: usize, expected: &str, found: String| Error::Format {
        file: file.to_owned(),
        offset: offset as u64,
        expected: expected.to_owned(),
        found,
    };
    // Version 1.0, and "MI" as a machine with the lower byte first writes it.
    if bytes.get(HEADER - 4..HEADER) != Some(b"\x00\x01IM") {
        return Err(fault(HEADER - 4, "the header of a MATLAB file of level 5", "something else".to_owned()));
    }
    let (mut pixels, mut labels, mut offset) = (None, None, HEADER);
    while offset < bytes.len() {
        let said = |reason: String| fault(offset, "a variable of bytes, as SVHN has them", reason);
        let (element, next) = element(bytes, offset).map_err(said)?;
        let unpacked;
        let contents = match element.kind {
            MATRIX => element.contents,
            COMPRESSED => {
                unpacked = unpack(element.contents).map_err(said)?;
                let (inner, end) = self::element(&unpacked, 0).map_err(said)?;
                if inner.kind != MATRIX || end != unpacked.len() {
                    return Err(said("something else than one variable".to_owned()));
                }
                &unpacked[8..]
            }
            kind => return Err(said(format!("an element of type {kind}"))),
        };
        let matrix = Matrix::read(contents).map_err(said)?;
        let place = match matrix.name {
            b"X" => &mut pixels,
            b"y" => &mut labels,
            name => return Err(said(format!("a variable called {}", String::from_utf8_lossy(name)))),
        };
        // What is not images of this size is found below.
        let values = match matrix.name {
            b"X" => images(matrix.bytes),
            _ => matrix.bytes.to_vec(),
        };
        if place.replace((offset, matrix.sizes, values)).is_some() {
            return Err(said("a second variable of this name".to_owned()));
        }
        offset = next;
    }
    let (Some((at, sizes, pixels)), Some((labels_at, label_sizes, labels))) = (pixels, labels) else {
        return Err(fault(bytes.len(), "variables X and y", "the end of the file".to_owned()));
    };
    let n = labels.len();
    if n == 0 || sizes != [SHAPE[0], SHAPE[1], SHAPE[2], n] {
        return Err(fault(
            at,
            "an image of [32, 32, 3] for each label",
            format!("sizes {sizes:?} for {n} labels"),
        ));
    }
    if label_sizes != [n, 1] {
        return Err(fault(labels_at, "a column of labels", format!("sizes {label_sizes:?}")));
    }
    if let Some(label) = labels.iter().find(|label| !(1..=10).contains(*label)) {
        return Err(fault(labels_at, "labels from 1 to 10", label.to_string()));
    }
    Ok((pixels, labels.into_iter().map(|label| label % 10).collect()))
}

/// Images that lie column by column, row by row; their colours stay planes.
fn images(columns_first: &[u8]) -> Vec<u8> {
    let [rows, columns, _] = SHAPE;
    let mut images = Vec::with_capacity(columns_first.len());
    for plane in columns_first.chunks_exact(rows * columns) {
        images.extend((0..rows * columns).map(|at| plane[at % columns * rows + at / columns]));
    }
    images
}

struct Element<'a> {
    kind: u32,
    contents: &'a [u8],
}

/// The element at `offset`, and where the next one begins.
fn element(bytes: &[u8], offset: usize) -> Result<(Element<'_>, usize), String> {
    let ends = || "the end of the file inside it".to_owned();
    let tag = bytes.get(offset..).and_then(|rest| rest.get(..8)).ok_or_else(ends)?;
    let word = |at: usize| u32::from_le_bytes(tag[at..at + 4].try_into().expect("four bytes"));
    let (kind, length) = (word(0), word(4));
    // A small one has its length in the upper half of the first word, and its contents in the second.
    if kind >> 16 != 0 {
        let contents = tag[4..].get(..(kind >> 16) as usize).ok_or_else(|| "more than fits".to_owned())?;
        return Ok((Element { kind: kind & 0xFFFF, contents }, offset + 8));
    }
    let contents = bytes[offset + 8..].get(..length as usize).ok_or_else(ends)?;
    // All but compressed ones are filled up to eight bytes.
    let padding = if kind == COMPRESSED { 0 } else { contents.len().wrapping_neg() % 8 };
    let next = offset + 8 + contents.len() + padding;
    if next > bytes.len() {
        return Err(ends());
    }
    Ok((Element { kind, contents }, next))
}

/// A compressed variable, no longer than photographs and labels become.
fn unpack(packed: &[u8]) -> Result<Vec<u8>, String> {
    let most = (packed.len() as u64).saturating_mul(RATIO);
    let mut contents = Vec::new();
    let decoder = ZlibDecoder::new(packed);
    decoder.take(most + 1).read_to_end(&mut contents).map_err(|error| error.to_string())?;
    match contents.len() as u64 > most {
        true => Err(format!("more than {RATIO} times its compressed length")),
        false => Ok(contents),
    }
}

/// A variable of unsigned bytes.
struct Matrix<'a> {
    name: &'a [u8],
    sizes: Vec<usize>,
    bytes: &'a [u8],
}

impl<'a> Matrix<'a> {
    fn read(contents: &'a [u8]) -> Result<Self, String> {
        let mut offset = 0;
        let mut part = |kinds: &[u32], what: &str| {
            let (element, next) = element(contents, offset)?;
            offset = next;
            match kinds.contains(&element.kind) {
                true => Ok(element.contents),
                false => Err(format!("{what} of type {}", element.kind)),
            }
        };
        part(&[UINT32], "flags")?;
        let sizes = part(&[INT32], "sizes")?;
        let name = part(&[INT8], "a name")?;
        let bytes = part(&[UINT8], "values")?;
        if offset != contents.len() {
            return Err("more than its values".to_owned());
        }
        let size = |word: &[u8]| i32::from_le_bytes(word.try_into().expect("four bytes")) as usize;
        let sizes: Vec<usize> = sizes.chunks_exact(4).map(size).collect();
        let count = sizes.iter().try_fold(1_usize, |count, &size| count.checked_mul(size));
        match count == Some(bytes.len()) {
            true => Ok(Self { name, sizes, bytes }),
            false => Err(format!("{} values for sizes {sizes:?}", bytes.len())),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use flate2::Compression;
    use flate2::write::ZlibEncoder;
    use std::io::Write;

    use super::*;

    const IMAGE: usize = SHAPE[0] * SHAPE[1] * SHAPE[2];

    fn tagged(kind: u32, contents: &[u8]) -> Vec<u8> {
        let mut bytes = [kind.to_le_bytes(), (contents.len() as u32).to_le_bytes()].concat();
        bytes.extend_from_slice(contents);
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        bytes
    }

    fn matrix(name: u8, sizes: &[i32], bytes: &[u8]) -> Vec<u8> {
        let sizes: Vec<u8> = sizes.iter().flat_map(|size| size.to_le_bytes()).collect();
        let name = [&[1, 0, 1, 0, name][..], &[0; 3]].concat();
        let flags = tagged(UINT32, &[9, 0, 0, 0, 0, 0, 0, 0]);
        tagged(MATRIX, &[flags, tagged(INT32, &sizes), name, tagged(UINT8, bytes)].concat())
    }

    fn file(variables: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = vec![b' '; HEADER - 4];
        bytes.extend_from_slice(b"\x00\x01IM");
        bytes.extend(variables.concat());
        bytes
    }

    fn packed(variable: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(variable).unwrap();
        let contents = encoder.finish().unwrap();
        [&COMPRESSED.to_le_bytes()[..], &(contents.len() as u32).to_le_bytes(), &contents].concat()
    }

    /// Images `[n, 3, 32, 32]` and labels from 0 as a file of SVHN, for tests of whoever reads it.
    pub(crate) fn written(pixels: &[u8], labels: &[u8]) -> Vec<u8> {
        let columns = pixels.chunks_exact(1024).flat_map(|plane| {
            (0..32).flat_map(move |column| (0..32).map(move |row| plane[row * 32 + column]))
        });
        let labels: Vec<u8> = labels.iter().map(|&label| if label == 0 { 10 } else { label }).collect();
        let n = labels.len() as i32;
        let images = matrix(b'X', &[32, 32, 3, n], &columns.collect::<Vec<u8>>());
        file(&[packed(&images), packed(&matrix(b'y', &[n, 1], &labels))])
    }

    #[test]
    fn what_scipy_has_written_is_read() {
        // scipy.io.savemat("two.mat", {"X": X, "y": y}, do_compression=True) with X[r, c, k, n] = (8 r + c + 64 k + 5 n) % 256.
        let (pixels, labels) = digits("two.mat", include_bytes!("matlab/two.mat")).unwrap();
        assert_eq!(labels, [3, 0]);
        let expected = (0..2 * IMAGE).map(|at| {
            let (n, k, r, c) = (at / IMAGE, at / 1024 % 3, at / 32 % 32, at % 32);
            (8 * r + c + 64 * k + 5 * n) as u8
        });
        assert_eq!(pixels, expected.collect::<Vec<_>>());
    }

    #[test]
    fn what_is_not_svhn_is_refused_with_its_place() {
        let (images, labels) = (matrix(b'X', &[32, 32, 3, 1], &[7; IMAGE]), matrix(b'y', &[1, 1], &[4]));
        let good = file(&[images.clone(), labels.clone()]);
        assert_eq!(digits("f", &good).unwrap(), (vec![7; IMAGE], vec![4]));
        let message = |bytes: &[u8]| digits("f", bytes).unwrap_err().to_string();
        for length in [0, 100, HEADER, HEADER + 3, HEADER + 60, good.len() - 1, good.len() - 60] {
            message(&good[..length]);
        }
        for (label, said) in [(0, "labels from 1 to 10"), (11, "labels from 1 to 10")] {
            let found = message(&file(&[images.clone(), matrix(b'y', &[1, 1], &[label])]));
            assert!(found.contains(said), "{found}");
        }
        assert!(message(&file(&[images.clone(), images.clone()])).contains("second variable"));
        assert!(message(&file(&[matrix(b'z', &[1, 1], &[1])])).contains("called z"));
        assert!(message(&file(&[matrix(b'X', &[-1, 2], &[])])).contains("values for sizes"));
        assert!(message(&file(&[images, matrix(b'y', &[2, 1], &[1, 2])])).contains("for 2 labels"));
        // A megabyte of zeros in a kilobyte.
        let bomb = packed(&matrix(b'y', &[1 << 20, 1], &vec![0; 1 << 20]));
        assert!(message(&file(&[bomb])).contains("200 times"));
        assert!(message(&file(&[packed(&labels[..20])])).contains("end of the file"));
    }
}
