//! What tests of rounded products are given, and how far off they are.

/// Numbers in (-1, 1) that have nothing to do with each other: sums of regular ones cancel, and what rounding loses is then a
/// larger share of them.
pub(crate) fn independent(count: usize, salt: usize) -> Vec<f32> {
    let mut state = salt as u64;
    let mut next = || {
        // SplitMix64 (Steele, Lea and Flood 2014).
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ mixed >> 31) >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

/// Relative to the length of what is expected.
pub(crate) fn relative_error(found: &[f32], expected: &[f64]) -> f64 {
    let square: f64 = found.iter().zip(expected).map(|(f, e)| (f64::from(*f) - e).powi(2)).sum();
    (square / expected.iter().map(|e| e * e).sum::<f64>()).sqrt()
}
