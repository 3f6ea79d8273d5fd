//! Gradient on the input of a convolution where hardly any output has a gradient: below a global max pooling one of 64
//! has, say. Each adds its kernel's weights, scaled, where it was read from: `dx[i s + u - p, c] += w[u, v, c, o] dy[i, o]`.

use super::Geometry;
use crate::aligned::Aligned;
use crate::epilogue::{Bits, Epilogue, check_pooled};
use crate::isa::Isa;
use crate::layout::{Layout, Places};
use crate::vector::{Kernel, LANES, Vector, run};

/// Input channels that are added up together: an image's sums over them stay in the first-level cache.
const CHANNELS: usize = 32;

/// A convolution with its weights laid out for this gradient.
#[derive(Debug)]
pub struct Sparse {
    isa: Isa,
    geometry: Geometry,
    /// `[in / CHANNELS, out, kernel, kernel, CHANNELS]`.
    weights: Aligned,
}

/// Room for one image; kept by a thread from call to call.
#[derive(Debug, Default)]
pub struct Scratch {
    /// The gradients that are not 0: output channel, place of its output in the sums, value.
    entries: Vec<(u32, u32, f32)>,
    sums: Aligned,
}

/// Whether this can compute the gradient of a convolution.
pub fn supports(g: &Geometry) -> bool {
    g.stride == 1 && g.in_channels.is_multiple_of(CHANNELS) && g.out_channels.is_multiple_of(LANES)
}

impl Sparse {
    /// Lays out weights in this folder's order (`[kernel, kernel, in, out]`).
    ///
    /// # Panics
    /// If [`supports`] says no, or the weights do not fit.
    pub fn new(isa: Isa, geometry: Geometry, weights: &[f32]) -> Self {
        let g = &geometry;
        g.check_weights(weights.len());
        assert!(
            supports(g),
            "a sparse gradient needs stride 1, {CHANNELS} input channels and whole vectors: {g:?}"
        );
        // What an entry says of its output and its channel has 32 bits.
        let [height, width] = g.input.map(|side| side + 2 * g.padding);
        let most = (height * width).max(g.out_channels);
        assert!(
            u32::try_from(most).is_ok(),
            "{most} places or channels are too many for a sparse gradient: {g:?}"
        );
        let area = g.kernel * g.kernel;
        let mut ours = Aligned::zeros(weights.len());
        for (row, outputs) in weights.chunks_exact(g.out_channels).enumerate() {
            let (tap, c) = (row / g.in_channels, row % g.in_channels);
            let (block, within) = (c / CHANNELS, c % CHANNELS);
            for (o, weight) in outputs.iter().enumerate() {
                ours[((block * g.out_channels + o) * area + tap) * CHANNELS + within] = *weight;
            }
        }
        Self { isa, geometry, weights: ours }
    }

    /// Finishes the gradient on `images` images (layout `to`), for gradients on their outputs after 2x2 pooling (layout
    /// `from`) and the bits of [`crate::epilogue::PooledEpilogue`].
    ///
    /// # Panics
    /// If a layout or a slice does not fit.
    pub fn run(
        &self,
        (pooled, bits): (&[f32], &[[Bits; 4]]),
        from: &Layout,
        images: usize,
        to: &Layout,
        epilogue: &mut Epilogue<'_>,
        scratch: &mut Scratch,
    ) {
        let g = &self.geometry;
        g.check_pooled(from);
        g.check_input(to);
        let (from, to) = (&from.places(images), &to.places(images));
        check_pooled(pooled, bits, from);
        epilogue.check(to);
        // Sums of the padded image: every output's taps have a place.
        let padded = g.input.map(|side| side + 2 * g.padding);
        scratch.sums.grow(padded[0] * padded[1] * CHANNELS);
        for image in 0..images {
            scratch.find((pooled, bits), from, image, padded[1]);
            for block in 0..g.in_channels / CHANNELS {
                run(self.isa, Add { layer: self, block, padded, scratch, image, to, epilogue });
            }
        }
    }
}

impl Scratch {
    /// Collects the gradients of one image that are not 0, in the order of windows, channels and places.
    fn find(
        &mut self,
        (pooled, bits): (&[f32], &[[Bits; 4]]),
        from: &Places,
        image: usize,
        padded_width: usize,
    ) {
        self.entries.clear();
        for row in 0..from.height {
            for column in 0..from.width {
                let at = image * from.image() + from.pixel(row, column);
                for (channel, value) in pooled[at..at + from.channels].iter().enumerate() {
                    if *value == 0.0 {
                        continue;
                    }
                    let places = &bits[(at + channel) / LANES];
                    for (place, bits) in places.iter().enumerate() {
                        if bits >> (channel % LANES) & 1 == 1 {
                            let output = (2 * row + place / 2) * padded_width + 2 * column + place % 2;
                            self.entries.push((channel as u32, output as u32, *value));
                        }
                    }
                }
            }
        }
    }
}

/// One image's gradient on [`CHANNELS`] channels.
struct Add<'a, 'b> {
    layer: &'a Sparse,
    block: usize,
    /// Height and width of the input with its padding.
    padded: [usize; 2],
    scratch: &'a mut Scratch,
    image: usize,
    to: &'a Places,
    epilogue: &'a mut Epilogue<'b>,
}

impl Kernel for Add<'_, '_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        const VECTORS: usize = CHANNELS / LANES;
        let Self { layer: Sparse { geometry: g, weights, .. }, block, padded, scratch, image, to, epilogue } =
            self;
        let Scratch { entries, sums } = scratch;
        let (kernel, row) = (g.kernel, padded[1] * CHANNELS);
        sums[..padded[0] * row].fill(0.0);
        let weights = &weights[block * g.out_channels * kernel * kernel * CHANNELS..];
        // SAFETY: the instruction set by this function's contract; every entry's output lies in the image, so its taps
        // lie in the padded one, and `run` compared the finish with its layout.
        unsafe {
            for &(channel, output, value) in entries.iter() {
                let value = V::splat(value);
                let mut from = channel as usize * kernel * kernel * CHANNELS;
                for u in 0..kernel {
                    let mut at = output as usize * CHANNELS + u * row;
                    for _ in 0..kernel * VECTORS {
                        value.mul_add(V::load(weights, from), V::load(sums, at)).store(sums, at);
                        from += LANES;
                        at += LANES;
                    }
                }
            }
            for i in 0..to.height {
                for j in 0..to.width {
                    let at = ((i + g.padding) * padded[1] + j + g.padding) * CHANNELS;
                    let place = image * to.image() + to.pixel(i, j);
                    for vector in 0..VECTORS {
                        let channel = block * CHANNELS + vector * LANES;
                        epilogue.put(place + channel, channel, V::load(sums, at + vector * LANES));
                    }
                }
            }
        }
    }
}
