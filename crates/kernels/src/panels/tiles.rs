//! What products in blocks multiply: copied rows, sixteen to a tile.

use crate::factors::{BLOCK_WORDS, TILE_ROWS};

/// Words of a copied block of a tile: of one row after the other.
pub(super) const BLOCK: usize = TILE_ROWS * BLOCK_WORDS;

/// The products of copied rows with panels.
pub(super) struct Tiles<'a, S> {
    pub(super) copied: &'a [u32],
    /// Number of the first row, to the sink.
    pub(super) first: usize,
    pub(super) count: usize,
    /// Words of a row, whole blocks.
    pub(super) k: usize,
    pub(super) vectors: usize,
    pub(super) weights: &'a [u32],
    pub(super) sink: &'a mut S,
}
