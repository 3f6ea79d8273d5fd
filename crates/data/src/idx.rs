//! The IDX format of MNIST: a big-endian header, then bytes (<http://yann.lecun.com/exdb/mnist/>).

use crate::{Error, Result};

const IMAGES_MAGIC: u32 = 0x0000_0803; // u8, three dimensions
const LABELS_MAGIC: u32 = 0x0000_0801; // u8, one dimension

/// Images `[count, rows, columns]`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Images {
    pub(crate) count: usize,
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) pixels: Vec<u8>,
}

/// Reads an image file; `file` is for messages.
///
/// # Errors
/// [`Error::Format`] for a wrong magic number, a truncated or oversized file, or sizes beyond any memory.
pub(crate) fn images(file: &str, mut bytes: Vec<u8>) -> Result<Images> {
    check_magic(file, &bytes, IMAGES_MAGIC, "images")?;
    let [count, rows, columns] = [4, 8, 12].map(|offset| word(file, &bytes, offset));
    let (count, rows, columns) = (count? as usize, rows? as usize, columns? as usize);
    let size = count.checked_mul(rows).and_then(|size| size.checked_mul(columns));
    check_end(file, &bytes, 16, size, &format!("{count} images of {rows} x {columns}"))?;
    bytes.drain(..16);
    Ok(Images { count, rows, columns, pixels: bytes })
}

/// Reads a label file whose labels must be below `classes`.
///
/// # Errors
/// [`Error::Format`] as for images, and for the first label that is too large.
pub(crate) fn labels(file: &str, mut bytes: Vec<u8>, classes: usize) -> Result<Vec<u8>> {
    check_magic(file, &bytes, LABELS_MAGIC, "labels")?;
    let count = word(file, &bytes, 4)? as usize;
    check_end(file, &bytes, 8, Some(count), &format!("{count} labels"))?;
    bytes.drain(..8);
    match bytes.iter().position(|&label| usize::from(label) >= classes) {
        None => Ok(bytes),
        Some(at) => Err(Error::Format {
            file: file.to_owned(),
            offset: at as u64 + 8,
            expected: format!("a label below {classes}"),
            found: bytes[at].to_string(),
        }),
    }
}

/// Bytes of the header of an image file, the longer one.
pub(crate) const HEADER: u64 = 16;

/// What the header of a file says, in examples and in bytes of the whole file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Declared {
    pub(crate) count: usize,
    pub(crate) size: u64,
    /// Rows and columns of an image; of labels nothing.
    pub(crate) sides: [usize; 2],
}

/// What the image file says that begins with `start`, its first [`HEADER`] bytes or all of them.
///
/// # Errors
/// [`Error::Format`] for no images, none at all, or sizes beyond any memory.
pub(crate) fn declared_images(file: &str, start: &[u8]) -> Result<Declared> {
    check_magic(file, start, IMAGES_MAGIC, "images")?;
    let [count, rows, columns] = [4, 8, 12].map(|offset| word(file, start, offset));
    let (count, rows, columns) = (count?, rows?, columns?);
    let refuse = |offset, expected: &str, found: String| {
        Err(Error::Format { file: file.to_owned(), offset, expected: expected.to_owned(), found })
    };
    if count == 0 {
        return refuse(4, "at least one image", "0".to_owned());
    }
    if rows == 0 || columns == 0 {
        return refuse(8, "at least one row and column", format!("{rows} x {columns}"));
    }
    let size = (u64::from(count) * u64::from(rows)).checked_mul(columns.into());
    match size.and_then(|size| size.checked_add(HEADER)).filter(|&size| usize::try_from(size).is_ok()) {
        Some(size) => Ok(Declared { count: count as usize, size, sides: [rows as usize, columns as usize] }),
        None => {
            let sizes = format!("{count} images of {rows} x {columns}");
            refuse(4, &format!("sizes that fit in memory, not {sizes}"), sizes)
        }
    }
}

/// What the label file says that begins with `start`.
///
/// # Errors
/// [`Error::Format`] for no labels.
pub(crate) fn declared_labels(file: &str, start: &[u8]) -> Result<Declared> {
    check_magic(file, start, LABELS_MAGIC, "labels")?;
    let count = word(file, start, 4)?;
    Ok(Declared { count: count as usize, size: 8 + u64::from(count), sides: [0, 0] })
}

/// An image file with these contents.
pub(crate) fn write_images(count: usize, rows: usize, columns: usize, pixels: &[u8]) -> Vec<u8> {
    let mut bytes = header(IMAGES_MAGIC, &[count, rows, columns]);
    bytes.extend_from_slice(pixels);
    bytes
}

/// A label file with these contents.
pub(crate) fn write_labels(labels: &[u8]) -> Vec<u8> {
    let mut bytes = header(LABELS_MAGIC, &[labels.len()]);
    bytes.extend_from_slice(labels);
    bytes
}

fn header(magic: u32, sizes: &[usize]) -> Vec<u8> {
    let sizes = sizes.iter().map(|&size| u32::try_from(size).expect("IDX sizes fit in 32 bits"));
    std::iter::once(magic).chain(sizes).flat_map(u32::to_be_bytes).collect()
}

fn check_magic(file: &str, bytes: &[u8], magic: u32, what: &str) -> Result<()> {
    let found = word(file, bytes, 0)?;
    if found == magic {
        return Ok(());
    }
    Err(Error::Format {
        file: file.to_owned(),
        offset: 0,
        expected: format!("magic number {magic:#010x} (IDX {what})"),
        found: format!("{found:#010x}"),
    })
}

fn word(file: &str, bytes: &[u8], offset: usize) -> Result<u32> {
    match bytes.get(offset..offset + 4).and_then(|word| word.try_into().ok()) {
        Some(word) => Ok(u32::from_be_bytes(word)),
        None => Err(Error::Format {
            file: file.to_owned(),
            offset: bytes.len() as u64,
            expected: format!("a header word at byte {offset}"),
            found: "the end of the file".to_owned(),
        }),
    }
}

/// Checks that `size` bytes follow the header and nothing else.
fn check_end(file: &str, bytes: &[u8], header: usize, size: Option<usize>, what: &str) -> Result<()> {
    let end = size.and_then(|size| size.checked_add(header));
    if end == Some(bytes.len()) {
        return Ok(());
    }
    let (offset, expected) = match end {
        // The sizes in the header are the lie when no memory could hold them.
        None => (4, format!("sizes that fit in memory, not {what}")),
        Some(end) => (end.min(bytes.len()), format!("{end} bytes in all ({what})")),
    };
    let found = format!("{} bytes", bytes.len());
    Err(Error::Format { file: file.to_owned(), offset: offset as u64, expected, found })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offset<T: std::fmt::Debug>(outcome: Result<T>) -> u64 {
        match outcome {
            Err(Error::Format { offset, file, .. }) if file == "f" => offset,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let pixels: Vec<u8> = (0..12).collect();
        let read = images("f", write_images(2, 3, 2, &pixels)).unwrap();
        assert_eq!(read, Images { count: 2, rows: 3, columns: 2, pixels });
        assert_eq!(labels("f", write_labels(&[3, 0, 9]), 10).unwrap(), [3, 0, 9]);
    }

    #[test]
    fn the_header_says_how_many_and_how_long() {
        let file = write_images(2, 3, 4, &[1; 24]);
        let declared = Declared { count: 2, size: file.len() as u64, sides: [3, 4] };
        assert_eq!(declared_images("f", &file[..HEADER as usize]).unwrap(), declared);
        let file = write_labels(&[1, 2, 3]);
        assert_eq!(declared_labels("f", &file[..8]).unwrap(), Declared { count: 3, size: 11, sides: [0, 0] });
        assert_eq!(offset(declared_images("f", &file)), 0);
        assert_eq!(offset(declared_images("f", &[0, 0, 8, 3, 0, 0])), 6);
        let huge = [&[0, 0, 8, 3][..], &[0xFF; 12]].concat();
        assert_eq!(offset(declared_images("f", &huge)), 4);
    }

    #[test]
    fn the_header_is_that_of_the_published_files() {
        let published = [0, 0, 8, 3, 0, 0, 0xEA, 0x60, 0, 0, 0, 28, 0, 0, 0, 28];
        assert_eq!(write_images(60_000, 28, 28, &[]), published);
        assert_eq!(write_labels(&[5]), [0, 0, 8, 1, 0, 0, 0, 1, 5]);
    }

    #[test]
    fn hostile_images_are_refused_at_their_offset() {
        let good = write_images(2, 2, 2, &[1; 8]);
        for cut in 0..good.len() {
            assert_eq!(offset(images("f", good[..cut].to_vec())), cut as u64, "cut at {cut}");
        }
        let mut longer = good.clone();
        longer.push(0);
        assert_eq!(offset(images("f", longer)), 24);
        let mut relabelled = good.clone();
        relabelled[3] = 1;
        assert_eq!(offset(images("f", relabelled)), 0);
        let mut huge = good;
        huge[4..16].fill(0xFF);
        assert_eq!(offset(images("f", huge)), 4);
    }

    #[test]
    fn hostile_labels_are_refused_at_their_offset() {
        let good = write_labels(&[0, 9, 5]);
        for cut in 0..good.len() {
            assert_eq!(offset(labels("f", good[..cut].to_vec(), 10)), cut as u64, "cut at {cut}");
        }
        assert_eq!(offset(labels("f", good.clone(), 9)), 9);
        let mut longer = good;
        longer.extend_from_slice(&[1, 2]);
        assert_eq!(offset(labels("f", longer, 10)), 11);
        assert_eq!(offset(labels("f", write_images(1, 1, 1, &[0]), 10)), 0);
    }
}
