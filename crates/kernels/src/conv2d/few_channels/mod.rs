//! A network's first layer, whose images have too few channels for a vector.
//!
//! Forward ([`forward`]) the layer takes the rectifier and 2x2 max pooling after it along: its outputs are many and quickly
//! made, so that writing and reading them would cost as much as making them. Backward ([`backward`]) panels of so few
//! columns would stay empty, so each output pixel's gradient is multiplied with all taps at once, and the products are
//! added where they belong (`taps`).

pub mod backward;
pub mod forward;
mod taps;
#[cfg(test)]
mod tests;

pub use backward::{FewChannels, Mode, Scratch};

use super::Geometry;
use crate::vector::LANES;

/// Whether `forward::run_pooled` can compute a convolution.
pub fn pools(g: &Geometry) -> bool {
    g.stride == 1 && !g.in_channels.is_multiple_of(LANES) && g.out_channels.is_multiple_of(LANES)
}
