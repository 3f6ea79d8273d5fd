//! The seal: SHA-256 over every byte of the file but its own digits.

use robin_files::checksum::sha256;

/// Before the digits.
const MARK: &[u8] = b"seal:";
const DIGITS: usize = 64;

/// The mark with room for the digits, to be put once into what is sealed, before anything that may look like it.
pub(super) fn room() -> String {
    format!("seal:{}", "0".repeat(DIGITS))
}

/// Writes the seal of `bytes` into the room that was left for it.
///
/// # Panics
/// If there is none.
pub(super) fn close(bytes: &mut [u8]) {
    let at = place(bytes).expect("room was left for the seal");
    let digits = sha256(bytes);
    bytes[at..at + DIGITS].copy_from_slice(digits.as_bytes());
}

/// Leaves room for a seal where one is; whether there is one.
pub(super) fn reset(bytes: &mut [u8]) -> bool {
    let Some(at) = place(bytes) else { return false };
    bytes[at..at + DIGITS].fill(b'0');
    true
}

/// Whether `bytes` are what was sealed, and if not, why.
pub(super) fn verify(bytes: &[u8]) -> Result<(), String> {
    let at = place(bytes).ok_or_else(|| format!("no seal in its {} bytes", bytes.len()))?;
    let mut open = bytes.to_vec();
    open[at..at + DIGITS].fill(b'0');
    let (found, expected) = (sha256(&open), &bytes[at..at + DIGITS]);
    if found.as_bytes() == expected {
        Ok(())
    } else {
        Err(format!("SHA-256 {found}, sealed as {}", String::from_utf8_lossy(expected)))
    }
}

/// Where the digits begin.
fn place(bytes: &[u8]) -> Option<usize> {
    let at = bytes.windows(MARK.len()).position(|window| window == MARK)? + MARK.len();
    (at + DIGITS <= bytes.len()).then_some(at)
}
