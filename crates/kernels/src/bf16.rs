//! Rounding to bf16, the upper half of an f32.
//!
//! It goes to the nearest, ties to the even one, and what is nearer to 0 than 2^-56 becomes 0 of its sign: [`crate::factors`] says why. NaN
//! stays NaN.

/// What is nearer to 0 than this, 2^-56, is rounded to 0: the bits of an f32.
pub(crate) const SMALLEST: u32 = (127 - 56) << 23;

/// The bits of `value` rounded to bf16.
#[inline(always)]
pub(crate) fn round(value: f32) -> u16 {
    let bits = value.to_bits();
    let rounded = if value.is_nan() {
        // Quiet, and with a bit left that says so.
        bits | 0x0040_0000
    } else if bits & 0x7fff_ffff < SMALLEST {
        bits & 0x8000_0000
    } else {
        bits + 0x7fff + (bits >> 16 & 1)
    };
    (rounded >> 16) as u16
}
