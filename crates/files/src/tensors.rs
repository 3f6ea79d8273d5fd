//! Safetensors files, whose header is JSON that anybody may have written.
//!
//! The format's own reader checks that the tensors fill the file; of a name that stands there twice it takes the last
//! tensor, and a header may say a hundred times more than it is long. Both are refused here, before it.

use std::io::Read;

use safetensors::{SafeTensorError, SafeTensors, tensor::Metadata};

use crate::json;

/// Bytes of the longest header that is read: the largest here are those of checkpoints, with a report for each epoch.
pub const LONGEST_HEADER: usize = 1 << 26;
/// Most names, dimensions and offsets of a header: some hundred thousand tensors.
const MOST_ITEMS: usize = 1 << 20;
/// Bytes before the header: its length.
const LENGTH: usize = 8;

/// The tensors of a file's `bytes`.
///
/// # Errors
/// As [`SafeTensors::deserialize`]; [`SafeTensorError::InvalidHeaderDeserialization`] also for a name that stands there
/// twice, and [`SafeTensorError::HeaderTooLarge`] for one of more than [`LONGEST_HEADER`] bytes.
pub fn open(bytes: &[u8]) -> Result<SafeTensors<'_>, SafeTensorError> {
    check(bytes)?;
    SafeTensors::deserialize(bytes)
}

/// The header of a file's `bytes`, and its length.
///
/// # Errors
/// As [`open`].
pub fn header(bytes: &[u8]) -> Result<(usize, Metadata), SafeTensorError> {
    check(bytes)?;
    SafeTensors::read_metadata(bytes)
}

/// The header that `file` begins with, and its length, of a file too large to be read. That its tensors lie in the file is
/// the caller's to check.
///
/// # Errors
/// As [`open`], but for where tensors lie.
pub fn header_of(file: &mut impl Read) -> Result<(usize, Metadata), SafeTensorError> {
    let mut bytes = vec![0; LENGTH];
    file.read_exact(&mut bytes).map_err(|_| SafeTensorError::HeaderTooSmall)?;
    let length = u64::from_le_bytes(bytes[..].try_into().map_err(|_| SafeTensorError::HeaderTooSmall)?);
    if length > LONGEST_HEADER as u64 {
        return Err(SafeTensorError::HeaderTooLarge);
    }
    file.take(length).read_to_end(&mut bytes).map_err(|_| SafeTensorError::InvalidHeaderLength)?;
    let metadata = serde_json::from_str(check(&bytes)?);
    Ok((bytes.len() - LENGTH, metadata.map_err(SafeTensorError::InvalidHeaderDeserialization)?))
}

/// What the format's own reader does not look at; the header's text.
fn check(bytes: &[u8]) -> Result<&str, SafeTensorError> {
    let Some((length, rest)) = bytes.split_first_chunk::<LENGTH>() else {
        return Err(SafeTensorError::HeaderTooSmall);
    };
    let length = usize::try_from(u64::from_le_bytes(*length)).unwrap_or(usize::MAX);
    if length > LONGEST_HEADER {
        return Err(SafeTensorError::HeaderTooLarge);
    }
    let header = rest.get(..length).ok_or(SafeTensorError::InvalidHeaderLength)?;
    let text = std::str::from_utf8(header).map_err(SafeTensorError::InvalidHeader)?;
    json::check(text, MOST_ITEMS).map_err(SafeTensorError::InvalidHeaderDeserialization)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(header: &str, contents: &[u8]) -> Vec<u8> {
        [&(header.len() as u64).to_le_bytes(), header.as_bytes(), contents].concat()
    }

    #[test]
    fn a_tensor_twice_is_refused() {
        let one = r#""a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}"#;
        let good = file(&format!("{{{one}}}"), &[7]);
        assert_eq!(open(&good).unwrap().tensor("a").unwrap().data(), [7]);
        let twice = file(&format!("{{{one},{one}}}"), &[7]);
        SafeTensors::deserialize(&twice).expect("the format's own reader takes it");
        let message = open(&twice).unwrap_err().to_string();
        assert!(message.contains("\"a\" stands there twice"), "{message}");
        for inside in [
            r#"{"__metadata__":{"k":"1","k":"2"}}"#,
            r#"{"a":{"dtype":"U8","shape":[0],"shape":[0],"data_offsets":[0,0]}}"#,
        ] {
            assert!(header(&file(inside, &[])).unwrap_err().to_string().contains("twice"), "{inside}");
        }
    }

    #[test]
    fn a_header_says_no_more_than_its_items() {
        let zeros = "0,".repeat(MOST_ITEMS);
        let long = format!(r#"{{"a":{{"dtype":"U8","shape":[{zeros}0],"data_offsets":[0,0]}}}}"#);
        assert!(open(&file(&long, &[])).unwrap_err().to_string().contains("items"));
        let mut claimed = vec![0; 100];
        claimed[..8].copy_from_slice(&(LONGEST_HEADER as u64 + 1).to_le_bytes());
        assert!(matches!(open(&claimed), Err(SafeTensorError::HeaderTooLarge)));
        assert!(matches!(open(&claimed[..7]), Err(SafeTensorError::HeaderTooSmall)));
        claimed[..8].copy_from_slice(&93_u64.to_le_bytes());
        assert!(matches!(open(&claimed), Err(SafeTensorError::InvalidHeaderLength)));
    }
}
