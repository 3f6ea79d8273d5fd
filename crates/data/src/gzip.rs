//! Gzip in memory: bounded when reading, on both sides of the decoder, and reproducible when writing.
//!
//! A gzip file may unpack to a thousand times its length, and may be of any length for nothing at all.

use std::io::{Read, Write};

use flate2::{Compression, GzBuilder, bufread::MultiGzDecoder};

use crate::{Error, Result};

/// Bytes that any gzip file may unpack to.
const FREE: u64 = 1 << 26;
/// How many times its length a longer one may: images are packed to a fifth, drawings to a fiftieth.
const RATIO: u64 = 100;

/// The decoder of `packed`, which is to hold `size` bytes, and perhaps one more than that. No more of `packed` is read than
/// so many bytes need, however badly they are packed.
pub(crate) fn decoder(packed: impl Read, size: u64) -> impl Read {
    let longest = size.saturating_add(size / 4).saturating_add(1 << 20);
    let packed = std::io::BufReader::new(packed.take(longest));
    MultiGzDecoder::new(packed).take(size.saturating_add(1))
}

/// Bytes that images of `packed` bytes may unpack to.
pub(crate) fn most(packed: u64) -> u64 {
    FREE.max(packed.saturating_mul(RATIO))
}

/// Refuses what a file of `packed` bytes says about itself if images are never packed so well.
///
/// # Errors
/// [`Error::Format`].
pub(crate) fn check_size(file: &str, packed: u64, size: u64) -> Result<()> {
    let most = most(packed);
    if size <= most {
        return Ok(());
    }
    Err(Error::Format {
        file: file.to_owned(),
        offset: 4,
        expected: format!(
            "at most {most} bytes, {RATIO} times the {packed} of the file (unpack it with gunzip if it is right)"
        ),
        found: format!("sizes of {size} bytes in its header"),
    })
}

/// Decompresses all of `packed`, which must hold exactly `size` bytes. `file` is for messages.
///
/// # Errors
/// [`Error::Format`] with the offset in the decompressed contents if the stream is broken, followed by
/// something else, or of another length. No more than `size + 1` bytes are ever produced.
pub(crate) fn unpack(file: &str, packed: impl Read, size: u64) -> Result<Vec<u8>> {
    let mut contents = Vec::new();
    let outcome = decoder(packed, size).read_to_end(&mut contents);
    let offset = contents.len() as u64;
    if let Err(error) = outcome {
        let expected = format!("a gzip stream of {size} bytes");
        return Err(Error::Format { file: file.to_owned(), offset, expected, found: error.to_string() });
    }
    if offset != size {
        return Err(Error::Format {
            file: file.to_owned(),
            offset: offset.min(size),
            expected: format!("{size} bytes after decompression"),
            found: if offset > size { format!("more than {size}") } else { offset.to_string() },
        });
    }
    Ok(contents)
}

/// The first `count` bytes of what `packed` holds, or all of it if there are fewer.
///
/// # Errors
/// [`Error::Format`] if the stream is broken before them.
pub(crate) fn start(file: &str, packed: impl Read, count: u64) -> Result<Vec<u8>> {
    let mut contents = Vec::new();
    match decoder(packed, count).take(count).read_to_end(&mut contents) {
        Ok(_) => Ok(contents),
        Err(error) => Err(Error::Format {
            file: file.to_owned(),
            offset: contents.len() as u64,
            expected: "a gzip stream".to_owned(),
            found: error.to_string(),
        }),
    }
}

/// Compresses as small as possible, with no time and no name in the header, so that the same contents give
/// the same file.
pub(crate) fn pack(contents: &[u8]) -> Vec<u8> {
    // 255 = "unknown operating system": the header must not tell who made the file.
    let builder = GzBuilder::new().mtime(0).operating_system(255);
    let mut encoder = builder.write(Vec::new(), Compression::best());
    encoder.write_all(contents).and_then(|()| encoder.finish()).expect("writing to memory does not fail")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packing_is_reproducible_and_undone_by_unpacking() {
        let contents: Vec<u8> = (0..1000u32).map(|i| (i * i % 251) as u8).collect();
        let packed = pack(&contents);
        assert_eq!(packed, pack(&contents));
        assert_eq!(packed[4..8], [0; 4], "modification time");
        assert_eq!(unpack("x.gz", &packed[..], 1000).unwrap(), contents);
    }

    #[test]
    fn broken_streams_are_refused_with_their_place() {
        let packed = pack(&[7; 100]);
        let cut = &packed[..packed.len() - 3];
        assert!(matches!(unpack("x.gz", cut, 100), Err(Error::Format { offset: 100, .. })));
        let mut damaged = packed.clone();
        let crc = damaged.len() - 8;
        damaged[crc] ^= 1;
        assert!(matches!(unpack("x.gz", &damaged[..], 100), Err(Error::Format { .. })));
        let mut followed = packed.clone();
        followed.extend_from_slice(b"and more");
        assert!(matches!(unpack("x.gz", &followed[..], 100), Err(Error::Format { .. })));
        assert!(matches!(unpack("x.gz", &packed[..], 99), Err(Error::Format { offset: 99, .. })));
        assert!(matches!(unpack("x.gz", &packed[..], 101), Err(Error::Format { offset: 100, .. })));
        assert!(matches!(unpack("x.gz", &b"not gzip"[..], 8), Err(Error::Format { offset: 0, .. })));
        // Three thousand million bytes said of three million.
        let message = check_size("x.gz", 3_000_000, 3_100_000_000).unwrap_err().to_string();
        assert!(message.contains("at most 300000000 bytes") && message.contains("gunzip"), "{message}");
        check_size("x.gz", 9_912_422, 47_040_016).unwrap();
        check_size("x.gz", 40, 1 << 26).unwrap();
        // A megabyte of zeros behind a kilobyte of file: nothing beyond the expected size is produced.
        let bomb = pack(&vec![0; 1 << 20]);
        assert!(matches!(unpack("x.gz", &bomb[..], 10), Err(Error::Format { offset: 10, .. })));
        // Members without contents, without end.
        struct Endless<'a>(std::iter::Cycle<std::slice::Iter<'a, u8>>, u64);
        impl Read for Endless<'_> {
            fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
                buffer.iter_mut().zip(&mut self.0).for_each(|(to, from)| *to = *from);
                self.1 += buffer.len() as u64;
                Ok(buffer.len())
            }
        }
        let empty = pack(&[]);
        let mut endless = Endless(empty.iter().cycle(), 0);
        assert!(matches!(unpack("x.gz", &mut endless, 10), Err(Error::Format { offset: 0, .. })));
        assert!(endless.1 < 1 << 21, "{}", endless.1);
    }
}
