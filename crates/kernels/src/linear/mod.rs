//! Fully connected layer: `y = x w^T + b` with `w` `[out, in]` as in PyTorch.
//!
//! Rows are processed in blocks of exactly [`BLOCK`]; callers pad with zeros. A matrix product of another
//! height may sum in another order, and then an example's result would depend on its companions.

pub mod blocked;
pub mod reference;
#[cfg(test)]
mod tests;

/// Rows (examples) of one product.
pub const BLOCK: usize = 32;

/// Sizes of one layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// Values of one input row.
    pub inputs: usize,
    /// Values of one output row.
    pub outputs: usize,
}
