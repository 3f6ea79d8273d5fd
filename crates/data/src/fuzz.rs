//! Every parser of this crate as a function of any bytes: for tests that feed them what nobody would write, and for
//! `cargo fuzz`. No part of the interface.
//!
//! A parser behind a checksum is fed twice: with the bytes as they are, and behind a checksum that is made right.

#![allow(missing_docs, reason = "each is named after what it reads")]

use std::io::Write;

use flate2::{Compression, Crc, write::GzEncoder};

use crate::idx::{self, HEADER};
use crate::{LabelMap, cifar, custom, fetch, gzip, matlab};

pub fn idx_images(bytes: &[u8]) {
    let _ = idx::declared_images("f", &bytes[..bytes.len().min(HEADER as usize)]);
    let _ = idx::images("f", bytes.to_vec());
}

pub fn idx_labels(bytes: &[u8]) {
    let _ = idx::declared_labels("f", bytes);
    let _ = idx::labels("f", bytes.to_vec(), 10);
}

/// As a file of one's own is read.
pub fn idx_gzip(bytes: &[u8]) {
    let Ok(start) = gzip::start("f", bytes, HEADER) else { return };
    let Ok(declared) = idx::declared_images("f", &start) else { return };
    if gzip::check_size("f", bytes.len() as u64, declared.size).is_ok()
        && let Ok(contents) = gzip::unpack("f", bytes, declared.size)
    {
        let _ = idx::images("f", contents);
    }
}

pub fn idx_packed(bytes: &[u8]) {
    idx_gzip(&packed(bytes));
}

pub fn cifar10(bytes: &[u8]) {
    let _ = cifar::append("f", bytes, cifar::Records::Cifar10, &mut Vec::new(), &mut Vec::new());
}

pub fn cifar100(bytes: &[u8]) {
    let _ = cifar::append("f", bytes, cifar::Records::Cifar100, &mut Vec::new(), &mut Vec::new());
}

pub fn own_tensors(bytes: &[u8]) {
    custom::fuzz_tensors(bytes);
}

/// An array of NumPy.
pub fn npy(bytes: &[u8]) {
    custom::fuzz_npy(bytes);
}

/// An archive of such arrays.
pub fn npz(bytes: &[u8]) {
    custom::fuzz_npz(bytes);
}

/// SVHN's file.
pub fn matlab(bytes: &[u8]) {
    let _ = matlab::digits("f", bytes);
}

/// A Parquet file.
pub fn parquet(bytes: &[u8]) {
    custom::fuzz_parquet(bytes);
}

/// An image in a folder of one's own.
pub fn picture(bytes: &[u8]) {
    custom::fuzz_picture(bytes);
}

/// Two images of a package.
pub fn png(bytes: &[u8]) {
    fetch::fuzz_png(bytes);
}

pub fn png_repaired(bytes: &[u8]) {
    let mut bytes = bytes.to_vec();
    let mut at = 8;
    // A chunk is its length, four letters, the contents, and the CRC of letters and contents.
    while let Some(length) =
        bytes.get(at..at + 4).and_then(|word| word.try_into().ok()).map(u32::from_be_bytes)
    {
        let Some(end) = at.checked_add(8).and_then(|start| start.checked_add(length as usize)) else { break };
        if bytes.len() < end.saturating_add(4) {
            break;
        }
        let mut crc = Crc::new();
        crc.update(&bytes[at + 4..end]);
        bytes[end..end + 4].copy_from_slice(&crc.sum().to_be_bytes());
        at = end + 4;
    }
    png(&bytes);
}

/// A gzipped tar archive.
pub fn archive(bytes: &[u8]) {
    fetch::fuzz_archive(bytes);
}

/// A tar archive, its headers' sums made right where they are looked for.
pub fn archive_packed(bytes: &[u8]) {
    let mut bytes = bytes.to_vec();
    for header in bytes.chunks_exact_mut(512).filter(|block| block[257..262] == *b"ustar") {
        header[148..156].fill(b' ');
        let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
    archive(&packed(&bytes));
}

pub fn label_list(bytes: &[u8]) {
    fetch::fuzz_labels(bytes);
}

pub fn label_map(bytes: &[u8]) {
    let Ok(map) = serde_json::from_slice::<LabelMap>(bytes) else { return };
    for classes in [0, 1, 2, 10, 256] {
        if map.validate(classes).is_ok() {
            let _ = map.num_classes(classes);
            let labels: Vec<u16> = (0..classes).map(|label| label as u16).collect();
            let _ = map.apply_all(&labels);
        }
    }
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("writing to memory does not fail")
}
