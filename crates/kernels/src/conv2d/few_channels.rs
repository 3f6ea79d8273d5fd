//! Gradient on images of few channels (a network's first layer): panels of so few columns would stay empty, so each
//! output pixel's gradient is multiplied with all taps at once, and the products are added where they belong.

use super::Geometry;
use crate::aligned::Aligned;
use crate::isa::Isa;
use crate::layout::Layout;
use crate::panels::{Panels, Rows, Store, multiply};
use crate::vector::{Kernel, LANES, Vector, run};

/// A convolution with its weights packed for this gradient.
#[derive(Debug)]
pub struct FewChannels {
    isa: Isa,
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
        Self { isa, geometry, panels: Panels::pack(isa, &transposed, outputs, taps) }
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
        // The last pixel's last taps are read as a whole vector.
        scratch.taps.grow(from.width * columns + LANES);
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
                run(self.isa, AddTaps { g, taps: &scratch.taps, columns, to, origin, dx });
            }
            // What fell there is the padding's.
            to.clear_halo(dx);
        }
    }
}

/// Adds the taps of one row of output pixels, whose first reads at `origin` (counted in the halo), to one image.
struct AddTaps<'a> {
    g: &'a Geometry,
    taps: &'a [f32],
    /// Values from one pixel's taps to the next's.
    columns: usize,
    to: &'a Layout,
    origin: [usize; 2],
    dx: &'a mut [f32],
}

impl Kernel for AddTaps<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Vector>(mut self) {
        let Self { g, to, origin, .. } = self;
        let length = (g.output()[1] - 1) * g.stride * to.channels + g.kernel * to.channels;
        for u in 0..g.kernel {
            let start = (origin[0] + u) * to.row() + origin[1] * to.channels;
            let short = g.stride == 1 && g.kernel * to.channels <= LANES && length + LANES <= ROW;
            // SAFETY: as this function's; an output's taps lie in the image and its halo.
            unsafe {
                match to.channels {
                    1 if short => self.sliding::<V, 1>(u, start, length),
                    3 if short => self.sliding::<V, 3>(u, start, length),
                    _ => self.one_by_one(u, start),
                }
            }
        }
    }
}

/// Values of a row that sums may slide along.
const ROW: usize = 512;

impl AddTaps<'_> {
    /// Kernel row `u` for pixels of `C` channels side by side: sixteen sums slide along the row that begins at `start`, and
    /// each output adds its taps to those at its place. The same sums in the same order as [`AddTaps::one_by_one`].
    ///
    /// # Safety
    /// The processor has the instruction set of `V`; the row has `length` values, less than [`ROW`] with a vector more.
    #[inline(always)]
    unsafe fn sliding<V: Vector, const C: i32>(&mut self, u: usize, start: usize, length: usize) {
        let (run, step) = (self.g.kernel * C as usize, C as usize);
        let row = &mut self.dx[start..start + length];
        // What stands there, and where the sums go: a vector of either may reach beyond the row.
        let (mut before, mut after) = ([0.0; ROW], [0.0; ROW]);
        before[..length].copy_from_slice(row);
        // SAFETY: as this function's; a pixel's taps are at least a vector, or followed by those of the next or by the
        // buffer's end, which is a whole vector away.
        unsafe {
            let (taps_of_row, newest) = (((1_u32 << run) - 1) as u16, !(u16::MAX >> step));
            let mut sums = V::load(&before, 0);
            for j in 0..self.g.output()[1] {
                let at = j * step;
                if j > 0 {
                    sums = sums.shift::<C>().add(V::load(&before, at).keep(newest));
                }
                let taps = V::load(self.taps, j * self.columns + u * run).keep(taps_of_row);
                sums = sums.add(taps);
                sums.store(&mut after, at);
            }
        }
        row.copy_from_slice(&after[..length]);
    }

    /// Kernel row `u`, tap by tap, for pixels of any channels and any stride.
    #[inline(always)]
    fn one_by_one(&mut self, u: usize, start: usize) {
        let run = self.g.kernel * self.g.in_channels;
        let row = &mut self.dx[start..];
        for (j, taps) in self.taps.chunks_exact(self.columns).take(self.g.output()[1]).enumerate() {
            let sums = &mut row[j * self.g.stride * self.to.channels..][..run];
            for (sum, tap) in sums.iter_mut().zip(&taps[u * run..][..run]) {
                *sum += tap;
            }
        }
    }
}
