//! The binary format of CIFAR-10 and CIFAR-100: records of one label byte, or two, and three 32 x 32 planes, red,
//! green, blue (<https://www.cs.toronto.edu/~kriz/cifar.html>).

use crate::{Error, Result};

/// Pixels of one image.
pub(crate) const IMAGE: usize = 3 * 32 * 32;
/// Bytes of one record of CIFAR-10.
pub(crate) const RECORD: usize = Records::Cifar10.bytes();

/// What stands before an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Records {
    /// The label.
    Cifar10,
    /// The coarse label, which is passed over, then the fine one.
    Cifar100,
}

impl Records {
    /// Number of (fine) classes.
    pub(crate) const fn classes(self) -> usize {
        match self {
            Self::Cifar10 => 10,
            Self::Cifar100 => 100,
        }
    }

    const fn label_bytes(self) -> usize {
        match self {
            Self::Cifar10 => 1,
            Self::Cifar100 => 2,
        }
    }

    const fn bytes(self) -> usize {
        self.label_bytes() + IMAGE
    }
}

/// Appends the records of a file to `pixels` (`[n, 3, 32, 32]`) and `labels`; `file` is for messages.
/// Checks everything first: on an error neither has changed.
///
/// # Errors
/// [`Error::Format`] for a file that is empty or ends inside a record, and for a label that is too large.
pub(crate) fn append(
    file: &str,
    bytes: &[u8],
    format: Records,
    pixels: &mut Vec<u8>,
    labels: &mut Vec<u8>,
) -> Result<()> {
    let (classes, record, label) = (format.classes(), format.bytes(), format.label_bytes() - 1);
    let format_error = |offset: usize, expected: String, found: String| {
        Err(Error::Format { file: file.to_owned(), offset: offset as u64, expected, found })
    };
    if bytes.is_empty() || !bytes.len().is_multiple_of(record) {
        let expected = format!(
            "a positive multiple of {record} bytes ({} of labels and 3 x 32 x 32 pixels)",
            format.label_bytes()
        );
        return format_error(
            bytes.len(),
            expected,
            format!("the end of the file after {} bytes", bytes.len()),
        );
    }
    let records = bytes.chunks_exact(record);
    if let Some(at) = records.clone().position(|record| usize::from(record[label]) >= classes) {
        let offset = at * record + label;
        return format_error(offset, format!("a label below {classes}"), bytes[offset].to_string());
    }
    pixels.reserve_exact(records.len() * IMAGE);
    for record in records {
        labels.push(record[label]);
        pixels.extend_from_slice(&record[label + 1..]);
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
        let outcome = append("f", bytes, Records::Cifar10, &mut pixels, &mut labels);
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
    #[test]
    fn fine_labels_of_cifar100_are_read_and_checked() {
        let record = |coarse: u8, fine: u8| [vec![coarse, fine], vec![5; IMAGE]].concat();
        let read = |bytes: &[u8]| {
            let (mut pixels, mut labels) = (Vec::new(), Vec::new());
            append("f", bytes, Records::Cifar100, &mut pixels, &mut labels).map(|()| (pixels, labels))
        };
        let (pixels, labels) = read(&[record(19, 99), record(0, 7)].concat()).unwrap();
        assert_eq!((labels, pixels), (vec![99, 7], vec![5; 2 * IMAGE]));
        let wrong = read(&[record(1, 2), record(3, 100)].concat());
        assert!(matches!(wrong, Err(Error::Format { offset, .. }) if offset as usize == IMAGE + 3));
        // CIFAR-10's own files have one label byte.
        assert!(matches!(read(&vec![0; 2 * RECORD]), Err(Error::Format { .. })));
    }
}
