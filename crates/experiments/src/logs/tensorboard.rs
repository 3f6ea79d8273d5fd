//! TensorBoard's event files, of scalars alone.
//!
//! A file is a row of TFRecords (length as u64, its checksum, the bytes, their checksum, all little-endian;
//! the checksum is CRC-32C, rotated and moved as TFRecord has it), each an `Event` in protocol buffers'
//! encoding: `wall_time = 1` (double), `step = 2` (int64), `file_version = 3` (string), `summary = 5`, whose
//! `value = 1` has `tag = 1` (string) and `simple_value = 2` (float). The crates that write this need
//! `protoc` to be built, or images and another protobuf; these few lines need nothing.

use super::EpochRow;

/// The record that every file begins with; `time` in seconds since 1970.
pub(super) fn header(time: f64) -> Vec<u8> {
    record(&[double(1, time), bytes(3, b"brain.Event:2")].concat())
}

/// The records of one row, a step being an epoch that was over at `time`.
pub(super) fn events(row: &EpochRow, time: f64) -> Vec<u8> {
    let mut records = Vec::new();
    for (tag, value) in row.scalars() {
        let Some(value) = value else { continue };
        records.extend(record(&event(time, row.epoch as u64, tag, value)));
    }
    records
}

fn event(time: f64, step: u64, tag: &str, value: f64) -> Vec<u8> {
    let value = [bytes(1, tag.as_bytes()), float(2, value as f32)].concat();
    let step = [key(2, VARINT), varint(step)].concat();
    [double(1, time), step, bytes(5, &bytes(1, &value))].concat()
}

// Wire types of protocol buffers.
const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const LENGTH: u64 = 2;
const FIXED32: u64 = 5;

fn key(field: u64, wire: u64) -> Vec<u8> {
    varint(field << 3 | wire)
}

fn double(field: u64, value: f64) -> Vec<u8> {
    [key(field, FIXED64), value.to_le_bytes().to_vec()].concat()
}

fn float(field: u64, value: f32) -> Vec<u8> {
    [key(field, FIXED32), value.to_le_bytes().to_vec()].concat()
}

fn bytes(field: u64, content: &[u8]) -> Vec<u8> {
    [key(field, LENGTH), varint(content.len() as u64), content.to_vec()].concat()
}

/// Seven bits a byte, the lowest first; the eighth says that more follow.
fn varint(mut value: u64) -> Vec<u8> {
    let mut encoded = Vec::new();
    while value >= 0x80 {
        encoded.push(value as u8 | 0x80);
        value >>= 7;
    }
    encoded.push(value as u8);
    encoded
}

fn record(content: &[u8]) -> Vec<u8> {
    let length = (content.len() as u64).to_le_bytes();
    [&length[..], &masked(&length).to_le_bytes(), content, &masked(content).to_le_bytes()].concat()
}

/// TFRecord's checksum.
fn masked(content: &[u8]) -> u32 {
    crc32c(content).rotate_right(15).wrapping_add(0xA282_EAD8)
}

/// CRC-32C (Castagnoli), bit by bit: rows are few.
fn crc32c(content: &[u8]) -> u32 {
    !content.iter().fold(!0u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0x82F6_3B78 & (crc & 1).wrapping_neg()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_gives_the_published_answer() {
        // RFC 3720, appendix B.4: 32 bytes of zeros, and of ones.
        assert_eq!(crc32c(&[0; 32]), 0x8A91_36AA);
        assert_eq!(crc32c(&[0xFF; 32]), 0x62A8_AB43);
    }

    #[test]
    fn records_are_those_of_tensorboards_own_writer() {
        // tensorboard 2.21.0: `RecordWriter.write` of `Event(wall_time=1700000001.5, file_version="brain.Event:2")`, then
        // of `Event(wall_time=1700000001.5, step=300, summary=...)` with the value `tag="loss", simple_value=0.1`.
        let expected = "1800000000000000a37f4b220900006040fc54d9411a0d627261696e2e4576656e743a32dcbd8b4f\
                        1b000000000000001a0d9e130900006040fc54d94110ac022a0d0a0b0a046c6f737315cdcccc3d3fb4daca";
        let time = 1_700_000_001.5;
        let written = [header(time), record(&event(time, 300, "loss", 0.1))].concat();
        assert_eq!(written.iter().map(|byte| format!("{byte:02x}")).collect::<String>(), expected);
    }

    #[test]
    fn numbers_are_encoded_as_protocol_buffers_have_them() {
        // 300 and 150 are the examples of the encoding's own documentation.
        assert_eq!(varint(300), [0xAC, 0x02]);
        assert_eq!([key(1, VARINT), varint(150)].concat(), [0x08, 0x96, 0x01]);
        assert_eq!(bytes(2, b"testing"), *b"\x12\x07testing");
    }
}
