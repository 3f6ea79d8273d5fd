//! What was chosen on one GPU, and by what.

use cudarc::cudnn::sys;
use robin_kernels::conv2d::Geometry;

use super::super::algorithms::AlgorithmCache;
use super::super::{Pass, Precision, Product, Selection};
use super::ways::Way;

/// What was chosen on one GPU.
pub(in super::super) type Algorithms = AlgorithmCache<Key, Algorithm>;

/// What decides which algorithm is best.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in super::super) struct Key {
    pub(super) selection: Selection,
    pub(super) pass: Pass,
    pub(super) sizes: [usize; 7],
    pub(super) images: usize,
    pub(super) precision: Precision,
}

/// An algorithm of any of the passes, by its number, and the arithmetic that it was measured with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in super::super) struct Algorithm {
    pub(super) number: u32,
    pub(super) math: sys::cudnnMathType_t,
}

/// What was chosen for convolutions with a rectifier, by the convolution and whether there is a sum.
pub(in super::super) type Ways = AlgorithmCache<(Key, bool), Way>;

impl Key {
    pub(super) fn of(selection: Selection, pass: Pass, product: &Product, precision: Precision) -> Self {
        let Geometry { input: [height, width], in_channels, out_channels, kernel, stride, padding } =
            product.geometry;
        let sizes = [height, width, in_channels, out_channels, kernel, stride, padding];
        Self { selection, pass, sizes, images: product.images, precision }
    }
}
