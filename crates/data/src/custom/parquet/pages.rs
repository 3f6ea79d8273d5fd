//! A look at pages before they are unpacked: the reader reserves as much memory as their headers say.
//!
//! Headers are structures of Thrift's compact protocol
//! (<https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md>); of each only the two sizes matter.

use std::io::{BufReader, Read};

use parquet::file::metadata::RowGroupMetaData;
use parquet::file::reader::ChunkReader;

/// Bytes of the largest page: 256 MB.
const LARGEST: u64 = 1 << 28;
/// How many bytes a byte of a page may become: what deflate packs into one, which is most.
const MOST_PACKED: u64 = 1032;
/// Structures within structures.
const DEEPEST: usize = 16;

/// Checks the pages of some `columns` of a row group.
///
/// # Errors
/// What is wrong with them, in words.
pub(super) fn check(
    file: &impl ChunkReader,
    group: &RowGroupMetaData,
    columns: [usize; 2],
) -> Result<(), String> {
    for column in columns {
        let chunk = group.column(column);
        let first = chunk.dictionary_page_offset().unwrap_or_else(|| chunk.data_page_offset());
        let first = first.min(chunk.data_page_offset());
        let (Ok(mut at), Ok(length)) = (u64::try_from(first), u64::try_from(chunk.compressed_size())) else {
            return Err("a column that begins or ends before the file".to_owned());
        };
        let end = at
            .checked_add(length)
            .filter(|&end| end <= file.len())
            .ok_or("a column beyond the file's end")?;
        while at < end {
            let source = file.get_read(at).map_err(|error| error.to_string())?;
            let mut header = Header { source: BufReader::with_capacity(256, source), read: 0 };
            let Sizes { unpacked, packed, dictionary } = header.sizes()?;
            let allowed = LARGEST.min(packed.saturating_mul(MOST_PACKED).saturating_add(1 << 10));
            if unpacked > allowed {
                return Err(format!("a page of {packed} bytes that unpacks to {unpacked}"));
            }
            // Room is made for all of them, and each is a byte at least.
            if dictionary > unpacked {
                return Err(format!("a dictionary of {dictionary} values in {unpacked} bytes"));
            }
            at = at.saturating_add(header.read).saturating_add(packed);
        }
    }
    Ok(())
}

/// What a header says.
struct Sizes {
    /// Bytes of the page unpacked, and as it lies there.
    unpacked: u64,
    packed: u64,
    /// Values of a dictionary; 0 of other pages.
    dictionary: u64,
}

/// A header, of which so many bytes were read.
struct Header<R> {
    source: R,
    read: u64,
}

impl<R: Read> Header<R> {
    fn sizes(&mut self) -> Result<Sizes, String> {
        let (mut sizes, mut dictionary, mut id) = ([None, None], Some(0), 0);
        while let Some(kind) = self.field(&mut id)? {
            match (id, kind) {
                (2 | 3, 4..=6) => sizes[id as usize - 2] = u64::try_from(self.number()?).ok(),
                // The structure of a dictionary begins with the number of its values.
                (7, 12) => {
                    let mut id = 0;
                    while let Some(kind) = self.field(&mut id)? {
                        match (id, kind) {
                            (1, 4..=6) => dictionary = u64::try_from(self.number()?).ok(),
                            _ => self.skip(kind, 1)?,
                        }
                    }
                }
                _ => self.skip(kind, 0)?,
            }
        }
        match (sizes, dictionary) {
            ([Some(unpacked), Some(packed)], Some(dictionary)) => Ok(Sizes { unpacked, packed, dictionary }),
            _ => Err("a page without sizes".to_owned()),
        }
    }

    fn byte(&mut self) -> Result<u8, String> {
        let mut byte = [0];
        self.source.read_exact(&mut byte).map_err(|error| error.to_string())?;
        self.read += 1;
        Ok(byte[0])
    }

    fn varint(&mut self) -> Result<u64, String> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err("a number of more than 64 bits".to_owned())
    }

    /// A number as zigzag.
    fn number(&mut self) -> Result<i64, String> {
        let value = self.varint()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// The kind of the next field, with its number after the last one's; none at the structure's end.
    fn field(&mut self, id: &mut i64) -> Result<Option<u8>, String> {
        let byte = self.byte()?;
        if byte == 0 {
            return Ok(None);
        }
        *id = match byte >> 4 {
            0 => self.number()?,
            step => id.saturating_add(i64::from(step)),
        };
        Ok(Some(byte & 15))
    }

    fn skip(&mut self, kind: u8, depth: usize) -> Result<(), String> {
        if depth > DEEPEST {
            return Err("a header of too many structures".to_owned());
        }
        match kind {
            // True and false are kinds of their own.
            1 | 2 => Ok(()),
            3 => self.byte().map(drop),
            4..=6 => self.varint().map(drop),
            7 => self.pass(8),
            8 => self.varint().and_then(|length| self.pass(length)),
            9 | 10 => {
                let byte = self.byte()?;
                let count = if byte >> 4 == 15 { self.varint()? } else { u64::from(byte >> 4) };
                let one = byte & 15;
                // Of a list each truth value is a byte.
                (0..count).try_for_each(|_| {
                    if one <= 2 { self.byte().map(drop) } else { self.skip(one, depth + 1) }
                })
            }
            12 => {
                let mut id = 0;
                while let Some(kind) = self.field(&mut id)? {
                    self.skip(kind, depth + 1)?;
                }
                Ok(())
            }
            _ => Err(format!("a field of kind {kind}")),
        }
    }

    fn pass(&mut self, length: u64) -> Result<(), String> {
        let passed = std::io::copy(&mut self.source.by_ref().take(length), &mut std::io::sink());
        let passed = passed.map_err(|error| error.to_string())?;
        self.read += passed;
        if passed == length { Ok(()) } else { Err("a header that ends early".to_owned()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One of ten million damaged files: a dictionary that said 146 million values in a page of 100 bytes.
    #[test]
    fn a_dictionary_says_how_many_values_it_has() {
        // Type 2, 100 bytes unpacked and packed, and a dictionary of 146,000,000 values in plain encoding.
        let header = [
            0x15, 0x04, 0x15, 0xC8, 0x01, 0x15, 0xC8, 0x01, 0x4C, 0x15, 0x80, 0xA2, 0x9E, 0x8B, 0x01, 0x15,
            0x00, 0x00, 0x00,
        ];
        let mut read = Header { source: &header[..], read: 0 };
        let Sizes { unpacked, packed, dictionary } = read.sizes().unwrap();
        assert_eq!((unpacked, packed, dictionary), (100, 100, 146_000_000));
        assert_eq!(read.read, header.len() as u64);
    }
}
