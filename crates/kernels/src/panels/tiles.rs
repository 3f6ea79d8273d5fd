//! What products in blocks multiply: copied rows, sixteen to a tile.

use crate::factors::BLOCK_WORDS;

/// Rows of a tile: a copied block has one word after the other of each.
pub(crate) const ROWS: usize = 16;

/// Words of a block of a tile.
pub(super) const BLOCK: usize = ROWS * BLOCK_WORDS;

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
