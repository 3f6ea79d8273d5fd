//! Gradient on images of few channels (a network's first layer): panels of so few columns would stay empty, so each
//! output pixel's gradient is multiplied with all taps at once, and the products are added where they belong.

use super::Geometry;
use crate::aligned::Aligned;
use crate::isa::Isa;
use crate::layout::Layout;
use crate::panels::{Panels, Rows, Store, multiply};

/// A convolution with its weights packed for this gradient.
#[derive(Debug)]
pub struct FewChannels {
    geometry: Geometry,
    panels: Panels,
}

/// What happens with the values that stand in the destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// They are overwritten.
    Write,
    /// The gradient is added to them.
    Add,
}

/// Room for one image; kept by a thread from call to call.
#[derive(Debug, Default)]
pub struct Scratch {
    taps: Aligned,
    starts: Vec<usize>,
}

impl FewChannels {
    /// Packs weights in this folder's order (`[kernel, kernel, in, out]`).
    ///
    /// # Panics
    /// If the weights do not fit `geometry`.
    pub fn new(isa: Isa, geometry: Geometry, weights: &[f32]) -> Self {
        let (taps, outputs) = (geometry.taps(), geometry.out_channels);
        assert_eq!(weights.len(), taps * outputs, "weights of {geometry:?}");
        let transposed: Vec<f32> =
            (0..outputs * taps).map(|at| weights[at % taps * outputs + at / taps]).collect();
        Self { geometry, panels: Panels::pack(isa, &transposed, outputs, taps) }
    }

    /// Writes the gradient on `images` images (layout `to`) for the gradient `dy` on the output (layout `from`), or adds it to
    /// what stands there.
    ///
    /// # Panics
    /// If a layout or a slice does not fit.
    #[allow(clippy::too_many_arguments, reason = "two images with their layouts")]
    pub fn run(
        &self,
        dy: &[f32],
        from: &Layout,
        images: usize,
        to: &Layout,
        dx: &mut [f32],
        mode: Mode,
        scratch: &mut Scratch,
    ) {
        let g = &self.geometry;
        assert!(
            [from.height, from.width] == g.output() && from.channels == g.out_channels,
            "{from:?} for {g:?}"
        );
        assert!([to.height, to.width] == g.input && to.channels == g.in_channels, "{to:?} for {g:?}");
        assert!(to.halo >= g.padding && dx.len() >= images * to.image(), "{images} images of {to:?}");
        let columns = self.panels.columns();
        scratch.taps.grow(from.width * columns);
        for image in 0..images {
            let dx = &mut dx[image * to.image()..][..to.image()];
            if mode == Mode::Write {
                dx.fill(0.0);
            }
            for row in 0..from.height {
                scratch.starts.clear();
                let start = image * from.image() + from.pixel(row, 0);
                scratch.starts.extend((0..from.width).map(|column| start + column * from.channels));
                let rows = Rows::plain(dy, &scratch.starts, from.channels);
                multiply(rows, &self.panels, &mut Store { values: &mut scratch.taps, stride: columns });
                let origin = [row * g.stride + to.halo - g.padding, to.halo - g.padding];
                // Runs as short as a first layer's want their length known to the compiler.
                match g.kernel * g.in_channels {
                    3 => self.add::<3>(&scratch.taps, to, origin, dx),
                    4 => self.add::<4>(&scratch.taps, to, origin, dx),
                    5 => self.add::<5>(&scratch.taps, to, origin, dx),
                    9 => self.add::<9>(&scratch.taps, to, origin, dx),
                    _ => self.add::<0>(&scratch.taps, to, origin, dx),
                }
            }
            // What fell there is the padding's.
            to.clear_halo(dx);
        }
    }

    /// Adds the taps of one row of output pixels, whose first reads at `origin` (counted in the halo). `RUN` is the
    /// number of values of a kernel row, or 0 for any number.
    fn add<const RUN: usize>(&self, taps: &[f32], to: &Layout, origin: [usize; 2], dx: &mut [f32]) {
        let g = &self.geometry;
        let run = if RUN > 0 { RUN } else { g.kernel * g.in_channels };
        let columns = self.panels.columns();
        for u in 0..g.kernel {
            let row = &mut dx[(origin[0] + u) * to.row() + origin[1] * to.channels..];
            for (j, taps) in taps.chunks_exact(columns).take(g.output()[1]).enumerate() {
                let sums = &mut row[j * g.stride * to.channels..][..run];
                for (sum, tap) in sums.iter_mut().zip(&taps[u * run..][..run]) {
                    *sum += tap;
                }
            }
        }
    }
}
