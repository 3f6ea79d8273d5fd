//! SHA-256, as text: what files are known by.

use std::io::{self, Read};

use sha2::{Digest, Sha256};

/// SHA-256 of `bytes`: 64 lower-case hexadecimal digits.
pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// SHA-256 and length of all that `reader` gives, which need not fit into memory.
///
/// # Errors
/// Those of `reader`.
pub fn sha256_of(mut reader: impl Read) -> io::Result<(String, u64)> {
    let (mut digest, mut chunk, mut length) = (Sha256::new(), vec![0; 1 << 16], 0);
    loop {
        match reader.read(&mut chunk)? {
            0 => return Ok((hex(&digest.finalize()), length)),
            count => {
                digest.update(&chunk[..count]);
                length += count as u64;
            }
        }
    }
}

/// `bytes` as lower-case hexadecimal digits, two for each.
pub fn hex(bytes: &[u8]) -> String {
    let digits =
        |byte: &u8| [byte >> 4, byte & 15].map(|digit| char::from(b"0123456789abcdef"[usize::from(digit)]));
    bytes.iter().flat_map(digits).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sha256_gives_the_published_answer() {
        // FIPS 180-2, appendix B.1.
        assert_eq!(sha256(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(sha256_of(&b"abc"[..]).unwrap(), (sha256(b"abc"), 3));
        assert_eq!(hex(&[0, 9, 160, 255]), "0009a0ff");
    }
}
