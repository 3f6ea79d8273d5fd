//! Random orders of the classes.

use robin_core::{Purpose, Seed};

/// A uniformly random order of `classes` classes: number `index` of those under `seed` (the paper's section 3.2
/// has 20). For [`super::LabelMap::Other`].
///
/// # Panics
/// If `classes` exceeds `u32::MAX`.
pub fn class_order(classes: usize, seed: Seed, index: u64) -> Vec<u32> {
    seed.derive(Purpose::ClassOrder, index).root_stream().permutation(classes)
}
