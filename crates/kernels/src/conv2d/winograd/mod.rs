//! Convolutions of stride 1 by Winograd's minimal filtering: for 16 outputs of a 3x3 kernel 36 products (144 done
//! directly), of a 5x5 kernel 64 (400).
//!
//! For each tile of 6x6 or 8x8 inputs, `Y = A^T [sum over channels of (G g G^T) * (B^T d B)] A`, `*` element by element
//! (`transforms`). So a layer is: transform some tiles (`V`), 36 or 64 matrix products with weights that were transformed
//! and packed once (`M`), transform back and finish while in registers. The gradient on the input is the same
//! convolution with the kernel turned and its channels exchanged; that on the weights has a file of its own,
//! [`weight_gradient`].
//!
//! What is transformed may be rounded to bf16 as it is stored, inputs and weights, for products in pairs of channels; transforms and sums
//! are f32 (`scheme`). Errors then are about 1% of a layer's outputs or gradients.

mod input;
mod output;
mod rounded;
mod scheme;
mod transforms;
pub mod weight_gradient;
mod weights;

pub use output::Ending;

use super::Geometry;
use crate::aligned::Aligned;
use crate::epilogue::Source;
use crate::factors::Factors;
use crate::isa::Isa;
use crate::layout::Layout;
use crate::panels::{Panels, Rows, Store, multiply_by};
use crate::vector::LANES;
use scheme::Scheme;
use transforms::{OUTPUTS, points};
use weights::Weights;

/// Words of `V` and `M` that a block of tiles may have: they are to stay in a second-level cache of 1 MB, beside the
/// weights that stream through it.
const BLOCK_WORDS: usize = 200_000;

/// Tiles of a block: at least so many that reading the weights costs little beside using them.
const TILES: std::ops::RangeInclusive<usize> = 42..=84;

/// A convolution of stride 1 with its weights transformed and packed.
#[derive(Debug)]
pub struct Winograd {
    isa: Isa,
    geometry: Geometry,
    factors: Factors,
    weights: Weights,
}

/// Room for one block of tiles; kept by a thread from call to call.
#[derive(Debug, Default)]
pub struct Scratch {
    v: Aligned,
    m: Aligned,
    /// Weights that are transformed when they are needed.
    products: Option<Panels>,
    starts: Vec<usize>,
}

/// Whether this folder can compute a convolution (channels are whole vectors).
pub fn supports(g: &Geometry) -> bool {
    g.stride == 1
        && matches!(g.kernel, 3 | 5)
        && g.padding < g.kernel
        && g.in_channels.is_multiple_of(LANES)
        && g.out_channels.is_multiple_of(LANES)
}

impl Winograd {
    /// Packs weights in the folder's order (`[kernel, kernel, in, out]`). Kernels of 5 are multiplied in f32 whatever `factors` says:
    /// with the eight points that they need, rounded factors cost 3.5% of a layer's outputs.
    ///
    /// # Panics
    /// If [`supports`] says no, or the weights do not fit; for [`Factors::Bf16Amx`], which have no such products.
    pub fn new(isa: Isa, geometry: Geometry, weights: &[f32], factors: Factors) -> Self {
        geometry.check_weights(weights.len());
        assert!(
            supports(&geometry) && factors != Factors::Bf16Amx,
            "{factors:?} not by Winograd's filtering: {geometry:?}"
        );
        let factors = if geometry.kernel == 3 { factors } else { Factors::F32 };
        let weights = if factors.are_pairs() {
            Weights::new::<u32>(isa, &geometry, weights)
        } else {
            Weights::new::<f32>(isa, &geometry, weights)
        };
        Self { isa, geometry, factors, weights }
    }

    /// The sizes.
    pub fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// Convolves `images` images of `source`, which lie as `from` says, and finishes each output at its place of `to`
    /// (the output's layout before pooling).
    ///
    /// # Panics
    /// If a layout or a slice does not fit.
    pub fn convolve(
        &self,
        source: Source<'_>,
        from: &Layout,
        images: usize,
        to: &Layout,
        ending: &mut Ending<'_>,
        scratch: &mut Scratch,
    ) {
        if self.factors.are_pairs() {
            self.convolve_words::<u32>(source, from, images, to, ending, scratch);
        } else {
            self.convolve_words::<f32>(source, from, images, to, ending, scratch);
        }
    }

    fn convolve_words<W: Scheme>(
        &self,
        source: Source<'_>,
        from: &Layout,
        images: usize,
        to: &Layout,
        ending: &mut Ending<'_>,
        scratch: &mut Scratch,
    ) {
        let (tiling, (c, k)) = (Tiling::new(&self.geometry), (from.channels, to.channels));
        let (from, to) = (&from.places(images), &to.places(images));
        input::check(&self.geometry, source, from);
        output::check(&self.geometry, ending, to, images);
        // From here on channels of the input are counted in words.
        let c = c / W::WIDE;
        let most = tiling.of_a_block(c, k);
        let count = images * tiling.per_image();
        // Odd numbers of cache lines from product to product, so that products do not meet in one set of a cache.
        let strides = [c, k].map(|channels| odd_lines(most.min(count) * channels));
        let [v_stride, m_stride] = strides;
        scratch.v.grow(tiling.products() * v_stride);
        scratch.m.grow(tiling.products() * m_stride);
        scratch.starts.clear();
        scratch.starts.extend((0..most.min(count)).map(|tile| tile * c));
        let blocks = count.div_ceil(most);
        for block in 0..blocks {
            let tiles = block * count / blocks..(block + 1) * count / blocks;
            let v = W::of_mut(&mut scratch.v);
            input::transform(self.isa, &tiling, source, from, tiles.clone(), v, v_stride);
            match &self.weights {
                Weights::Ready(products) => {
                    scratch.multiply::<W>(products, 0, &tiling, tiles.len(), [c, k], strides)
                }
                Weights::Given(weights) => {
                    let count = tiling.products();
                    let none = || Panels::stack::<W>(self.isa, count, 0, 0);
                    let mut products = scratch.products.take().unwrap_or_else(none);
                    let width = self.isa.panel_vectors() * LANES;
                    for first in (0..k).step_by(width) {
                        products.reshape::<W>(self.isa, count, c, width.min(k - first));
                        let vector = first / LANES;
                        weights::transform::<W>(self.isa, &self.geometry, weights, vector, &mut products);
                        scratch.multiply::<W>(&products, first, &tiling, tiles.len(), [c, k], strides);
                    }
                    scratch.products = Some(products);
                }
            }
            output::transform::<W>(self.isa, &tiling, &scratch.m, m_stride, tiles, to, ending);
        }
    }
}

impl Scratch {
    /// The products of `tiles` transformed tiles with the weights of the output channels from `first` on.
    fn multiply<W: Scheme>(
        &mut self,
        products: &Panels,
        first: usize,
        tiling: &Tiling,
        tiles: usize,
        [c, k]: [usize; 2],
        [v_stride, m_stride]: [usize; 2],
    ) {
        for product in 0..tiling.products() {
            let v = &W::of(&self.v)[product * v_stride..][..tiles * c];
            let m = &mut self.m[product * m_stride..][..tiles * k];
            let rows = Rows::plain(v, &self.starts[..tiles], c);
            multiply_by(rows, products, product, &mut Store { values: &mut m[first..], stride: k });
        }
    }
}

fn odd_lines(words: usize) -> usize {
    (words.div_ceil(LANES) | 1) * LANES
}

/// How an output image is cut into tiles.
#[derive(Debug, Clone, Copy)]
struct Tiling {
    /// Inputs of a tile in each dimension.
    points: usize,
    /// Zeros before the first input.
    padding: usize,
    tiles: [usize; 2],
    /// Height and width of the output.
    output: [usize; 2],
}

impl Tiling {
    fn new(g: &Geometry) -> Self {
        let output = g.output();
        let tiles = output.map(|length| length.div_ceil(OUTPUTS));
        Self { points: points(g.kernel), padding: g.padding, tiles, output }
    }

    /// Products of a tile.
    fn products(&self) -> usize {
        self.points * self.points
    }

    /// Tiles of a block, for inputs of `c` words and outputs of `k` channels.
    fn of_a_block(&self, c: usize, k: usize) -> usize {
        (BLOCK_WORDS / (self.products() * (c + k))).clamp(*TILES.start(), *TILES.end())
    }

    fn per_image(&self) -> usize {
        self.tiles[0] * self.tiles[1]
    }

    /// Image of a tile, and the row and column of its first output.
    #[inline(always)]
    fn locate(&self, tile: usize) -> (usize, usize, usize) {
        let (image, within) = (tile / self.per_image(), tile % self.per_image());
        (image, within / self.tiles[1] * OUTPUTS, within % self.tiles[1] * OUTPUTS)
    }
}
