//! CIFAR-10's binary format: records of a label byte and three 32 x 32 planes, red, green, blue
//! (<https://www.cs.toronto.edu/~kriz/cifar.html>).

use crate::{Error, Result};

/// Pixels of one image.
pub(crate) const IMAGE: usize = 3 * 32 * 32;
/// Bytes of one record.
pub(crate) const RECORD: usize = 1 + IMAGE;

/// Appends the records of a file to `pixels` (`[n, 3, 32, 32]`) and `labels`; `file` is for messages.
/// Checks everything first: on an error neither has changed.
///
/// # Errors
/// [`Error::Format`] for a file that is empty or ends inside a record, and for a label not below `classes`.
pub(crate) fn append(
    file: &str,
    bytes: &[u8],
    classes: usize,
    pixels: &mut Vec<u8>,
    labels: &mut Vec<u8>,
) -> Result<()> {
    let format_error = |offset: usize, expected: String, found: String| {
        Err(Error::Format { file: file.to_owned(), offset: offset as u64, expected, found })
    };
    if bytes.is_empty() || !bytes.len().is_multiple_of(RECORD) {
        let expected = format!("a positive multiple of {RECORD} bytes (label and 3 x 32 x 32 pixels)");
        return format_error(
            bytes.len(),
            expected,
            format!("the end of the file after {} bytes", bytes.len()),
        );
    }
    let records = bytes.chunks_exact(RECORD);
    if let Some(at) = records.clone().position(|record| usize::from(record[0]) >= classes) {
        let offset = at * RECORD;
        return format_error(offset, format!("a label below {classes}"), bytes[offset].to_string());
    }
    pixels.reserve_exact(records.len() * IMAGE);
    for record in records {
        labels.push(record[0]);
        pixels.extend_from_slice(&record[1..]);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(label: u8, first: u8) -> Vec<u8> {
        let mut bytes = vec![first; RECORD];
        bytes[0] = label;
        bytes
    }

    fn parse(bytes: &[u8]) -> Result<(Vec<u8>, Vec<u8>)> {
        let (mut pixels, mut labels) = (vec![42], vec![7]);
        let outcome = append("f", bytes, 10, &mut pixels, &mut labels);
        if outcome.is_err() {
            assert_eq!((&pixels[..], &labels[..]), (&[42][..], &[7][..]), "half-loaded");
        }
        outcome.map(|()| (pixels, labels))
    }

    #[test]
    fn records_become_images_and_labels() {
        let (pixels, labels) = parse(&[record(3, 1), record(9, 2)].concat()).unwrap();
        assert_eq!(labels, [7, 3, 9]);
        assert_eq!(pixels, [vec![42], vec![1; IMAGE], vec![2; IMAGE]].concat());
    }

    #[test]
    fn hostile_files_are_refused_at_their_offset() {
        let two = [record(3, 1), record(9, 2)].concat();
        let offset = |bytes: &[u8]| match parse(bytes) {
            Err(Error::Format { offset, .. }) => offset as usize,
            other => panic!("{other:?}"),
        };
        for length in [0, 1, RECORD - 1, RECORD + 1, 2 * RECORD - 1] {
            assert_eq!(offset(&two[..length]), length);
        }
        let longer = [two.clone(), vec![0]].concat();
        assert_eq!(offset(&longer), longer.len());
        assert_eq!(offset(&[record(3, 1), record(10, 2)].concat()), RECORD);
    }
}
