//! Fully connected layer: `y = x w^T + b` with `w` `[out, in]` as in PyTorch.

pub mod order;
pub mod packed;
pub mod reference;
#[cfg(test)]
mod tests;
pub mod weight_gradient;

/// Sizes of one layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// Values of one input row.
    pub inputs: usize,
    /// Values of one output row.
    pub outputs: usize,
}
