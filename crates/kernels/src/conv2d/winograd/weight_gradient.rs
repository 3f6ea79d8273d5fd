//! Gradient on the weights of a convolution of stride 1, in the domain of the transforms:
//! `dW = G^T [sum over tiles of (B^T d B) * (A dY A^T)] G`, `*` element by element and an outer product of channels each:
//! 36 products for a tile of a 3x3 kernel (144 done directly), 64 for one of a 5x5 kernel (400).
//!
//! In phases, for as many images at a time as [`WeightGradient::images`] says: transform (images apart), accumulate
//! (products apart), and at the end of a step [`WeightGradient::finish`].
//!
//! Errors: within 1e-5 of the largest value for sums over 128 images (tested), about ten times those of the plain sum.

use std::ops::Range;

use super::transforms::{OUTPUTS, filter_matrix, output_adjoint};
use super::weights::weighted;
use super::{Geometry, Tiling, input, odd_lines, supports};
use crate::aligned::Aligned;
use crate::epilogue::{Source, check_values};
use crate::isa::Isa;
use crate::layout::{Layout, Places};
use crate::outer::{self, Operand};
use crate::sizes::{self, product};
use crate::vector::{Kernel, LANES, Vector, run};

/// Bytes that the transforms of the images of one phase may have together.
const BYTES: usize = 16 << 20;

/// Tiles that a phase should have, if there is room: enough for the products, and more only leave the cache.
const TILES: usize = 256;

/// The sums of one layer, one for each product.
#[derive(Debug)]
pub struct WeightGradient {
    plan: Plan,
    products: Vec<Product>,
}

/// How the transforms of an image lie.
#[derive(Debug, Clone, Copy)]
struct Plan {
    isa: Isa,
    geometry: Geometry,
    tiling: Tiling,
    /// Values from one product to the next in the transforms of an image's inputs and of its gradients.
    strides: [usize; 2],
}

/// The sum of one product, a matrix `[in, out]`.
#[derive(Debug)]
pub struct Product {
    plan: Plan,
    number: usize,
    sums: Aligned,
}

/// Room for the rows of one call; kept by a thread from call to call.
#[derive(Debug, Default)]
pub struct Scratch {
    v: Vec<usize>,
    z: Vec<usize>,
}

impl WeightGradient {
    /// Sums of 0, in the memory of an earlier one unless that is far too large.
    ///
    /// # Panics
    /// If [`supports`] says no.
    pub fn new(isa: Isa, geometry: Geometry, earlier: Option<Self>) -> Self {
        geometry.check();
        assert!(supports(&geometry), "not by Winograd's filtering: {geometry:?}");
        let tiling = Tiling::new(&geometry);
        // As in the forward pass, products should not meet in one set of a cache.
        let strides = [geometry.in_channels, geometry.out_channels]
            .map(|channels| odd_lines(tiling.per_image() * channels));
        for stride in strides {
            sizes::values("transforms of an image", &[tiling.products(), stride]);
        }
        let plan = Plan { isa, geometry, tiling, strides };
        let len = geometry.in_channels * geometry.out_channels;
        let mut earlier = earlier.into_iter().flat_map(|earlier| earlier.products);
        let product = |number| {
            let earlier = earlier.next().map(|product| product.sums);
            let mut sums = earlier.filter(|sums| sums.len() <= 4 * len).unwrap_or_default();
            sums.grow(len);
            sums[..len].fill(0.0);
            Product { plan, number, sums }
        };
        Self { plan, products: (0..tiling.products()).map(product).collect() }
    }

    /// Values of the transforms of one image: of its inputs, and of its gradients.
    pub fn transformed(&self) -> [usize; 2] {
        self.plan.strides.map(|stride| self.plan.tiling.products() * stride)
    }

    /// Images of one phase: enough for 256 tiles, as far as their transforms have room in 16 MB, and at least one. Follows
    /// from the geometry alone, so that sums that are made of such blocks do so too.
    pub fn images(&self) -> usize {
        let most = BYTES / size_of::<f32>() / self.transformed().iter().sum::<usize>();
        TILES.div_ceil(self.plan.tiling.per_image().max(1)).min(most).max(1)
    }

    /// Transforms the inputs `x` (layout `from`) and the gradients `dy` (layout `to`) of `images` into `v` and `z`, which
    /// have [`WeightGradient::transformed`] values for each image of the range.
    ///
    /// # Panics
    /// If a layout or a slice does not fit.
    #[allow(clippy::too_many_arguments, reason = "two images with their layouts and transforms")]
    pub fn transform(
        &self,
        x: &[f32],
        from: &Layout,
        dy: &[f32],
        to: &Layout,
        images: Range<usize>,
        v: &mut [f32],
        z: &mut [f32],
    ) {
        let Plan { isa, geometry: g, tiling, strides } = &self.plan;
        g.check_images(from, to);
        let (from, to) = (&from.places(images.end), &to.places(images.end));
        input::check(g, Source::Dense(x), from);
        check_values(dy, to);
        let [v_image, z_image] = self.transformed();
        let room = [v_image, z_image].map(|image| product(&[images.len(), image]));
        assert_eq!(
            [Some(v.len()), Some(z.len())],
            room,
            "room for {images:?}, {v_image} and {z_image} values each"
        );
        for ((image, v), z) in images.zip(v.chunks_exact_mut(v_image)).zip(z.chunks_exact_mut(z_image)) {
            let tiles = image * tiling.per_image()..(image + 1) * tiling.per_image();
            input::transform(*isa, tiling, Source::Dense(x), from, tiles.clone(), v, strides[0]);
            run(*isa, Gradient { tiling, dy, to, tiles, z, stride: strides[1] });
        }
    }

    /// The sums, to accumulate into each.
    pub fn products_mut(&mut self) -> &mut [Product] {
        &mut self.products
    }

    /// The gradient on the weights, `[kernel, kernel, in, out]`.
    ///
    /// # Panics
    /// If its products were exchanged.
    pub fn finish(&self) -> Aligned {
        let g = &self.plan.geometry;
        // Products can be exchanged for those of another layer, or among each other.
        for (number, product) in self.products.iter().enumerate() {
            let theirs = &product.plan.geometry;
            assert!(
                theirs == g && product.number == number,
                "product {number} of {g:?} was exchanged for {} of {theirs:?}",
                product.number
            );
        }
        let mut dw = Aligned::zeros(g.taps() * g.out_channels);
        let filter = filter_matrix(g.kernel);
        let matrix: Vec<Vec<f32>> =
            (0..g.kernel).map(|tap| filter.iter().map(|row| row[tap]).collect()).collect();
        run(self.plan.isa, Epilogue { g, matrix: &matrix, products: &self.products, dw: &mut dw });
        dw
    }
}

impl Product {
    /// Adds the sum over the tiles of `images` images that were transformed into `v` and `z`.
    ///
    /// # Panics
    /// If the transforms are not of so many images.
    pub fn accumulate(&mut self, v: &[f32], z: &[f32], images: usize, scratch: &mut Scratch) {
        let Plan { isa, geometry: g, tiling, strides } = &self.plan;
        let [v_image, z_image] = strides.map(|stride| tiling.products() * stride);
        for (values, image) in [(v.len(), v_image), (z.len(), z_image)] {
            let fits = product(&[images, image]).is_some_and(|len| len <= values);
            assert!(fits, "{values} values for the transforms of {images} images of {image}");
        }
        scratch.v.clear();
        scratch.z.clear();
        for image in 0..images {
            let (v, z) =
                (image * v_image + self.number * strides[0], image * z_image + self.number * strides[1]);
            scratch.v.extend((0..tiling.per_image()).map(|tile| v + tile * g.in_channels));
            scratch.z.extend((0..tiling.per_image()).map(|tile| z + tile * g.out_channels));
        }
        let v = Operand { values: v, starts: &scratch.v, length: g.in_channels };
        let z = Operand { values: z, starts: &scratch.z, length: g.out_channels };
        outer::add(*isa, v, z, &mut self.sums, g.out_channels);
    }
}

/// `Z = A dY A^T`: product `e` of tile `t` begins at `e * stride + t * channels`.
struct Gradient<'a> {
    tiling: &'a Tiling,
    dy: &'a [f32],
    to: &'a Places,
    tiles: Range<usize>,
    z: &'a mut [f32],
    stride: usize,
}

impl Kernel for Gradient<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Vector>(mut self) {
        // SAFETY: as this function's.
        unsafe {
            match self.tiling.points {
                6 => self.tiles::<V, 6>(),
                _ => self.tiles::<V, 8>(),
            }
        }
    }
}

impl Gradient<'_> {
    /// # Safety
    /// The processor has the instruction set of `V`; `P` is the tiling's number of points.
    #[inline(always)]
    unsafe fn tiles<V: Vector, const P: usize>(&mut self) {
        let [height, width] = self.tiling.output;
        let first = self.tiles.start;
        for tile in self.tiles.clone() {
            let (image, row, column) = self.tiling.locate(tile);
            let from = image * self.to.image() + self.to.pixel(row, column);
            let to = (tile - first) * self.to.channels;
            for channel in (0..self.to.channels).step_by(LANES) {
                // SAFETY: as this function's; gradients outside the output are not read.
                unsafe {
                    let mut rows = [[V::zero(); OUTPUTS]; P];
                    for c in 0..OUTPUTS.min(width - column) {
                        let mut dy = [V::zero(); OUTPUTS];
                        for (r, dy) in dy.iter_mut().enumerate().take(height - row) {
                            let at = from + r * self.to.row() + c * self.to.channels + channel;
                            *dy = V::load(self.dy, at);
                            // The same place of the next tile: gradients come from memory, and their order is not one
                            // that the processor foresees.
                            V::prefetch(self.dy, at + OUTPUTS * self.to.channels);
                        }
                        let column: [V; P] = output_adjoint(dy);
                        for (row, value) in rows.iter_mut().zip(column) {
                            row[c] = value;
                        }
                    }
                    for (r, &row) in rows.iter().enumerate() {
                        let row: [V; P] = output_adjoint(row);
                        for (c, &value) in row.iter().enumerate() {
                            value.store(self.z, (r * P + c) * self.stride + to + channel);
                        }
                    }
                }
            }
        }
    }
}

/// `dW = G^T dU G`.
struct Epilogue<'a> {
    g: &'a Geometry,
    /// `G^T`.
    matrix: &'a [Vec<f32>],
    products: &'a [Product],
    dw: &'a mut [f32],
}

impl Kernel for Epilogue<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        // SAFETY: as this function's.
        unsafe {
            match self.g.kernel {
                3 => self.all::<V, 3, 6>(),
                _ => self.all::<V, 5, 8>(),
            }
        }
    }
}

impl Epilogue<'_> {
    /// # Safety
    /// The processor has the instruction set of `V`; `K` is the kernel's side, `P` its number of points.
    #[inline(always)]
    unsafe fn all<V: Vector, const K: usize, const P: usize>(self) {
        let plane = self.g.in_channels * self.g.out_channels;
        for at in (0..plane).step_by(LANES) {
            // SAFETY: as this function's; every product and every tap has `plane` values.
            unsafe {
                let mut rows = [[V::zero(); P]; K];
                for c in 0..P {
                    let mut column = [V::zero(); P];
                    for (r, value) in column.iter_mut().enumerate() {
                        *value = V::load(&self.products[r * P + c].sums, at);
                    }
                    for (row, factors) in rows.iter_mut().zip(self.matrix) {
                        row[c] = weighted(column, factors);
                    }
                }
                for (u, row) in rows.into_iter().enumerate() {
                    for (v, factors) in self.matrix.iter().enumerate() {
                        weighted(row, factors).store(self.dw, (u * K + v) * plane + at);
                    }
                }
            }
        }
    }
}
