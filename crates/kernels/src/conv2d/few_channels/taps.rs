//! Adds the taps of output pixels where they belong: `dx[i s + u, j s + v, c] += taps[i, j][u, v, c]`, output pixels in their
//! order.

use super::Geometry;
use crate::vector::{Kernel, LANES, Vector};

/// Values that must lie before and behind the taps: a vector of them may begin before the first and end behind the last.
pub(super) const SLACK: usize = LANES;

/// The taps of one row of output pixels, to be added to the rows of the padded image from the one on that the first tap
/// meets.
pub(super) struct AddTaps<'a> {
    pub(super) g: &'a Geometry,
    /// [`SLACK`], then `columns` values for each output pixel of which the first are its taps, then [`SLACK`].
    pub(super) taps: &'a [f32],
    pub(super) columns: usize,
    /// Output pixels.
    pub(super) count: usize,
    /// Rows of whole vectors.
    pub(super) sums: &'a mut [f32],
    /// Values of a row.
    pub(super) row: usize,
}

impl Kernel for AddTaps<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Vector>(mut self) {
        let taps = self.g.kernel * self.g.in_channels;
        for u in 0..self.g.kernel {
            if taps > LANES {
                self.one_by_one(u);
                continue;
            }
            for first in (0..self.row).step_by(LANES) {
                // SAFETY: the instruction set by this function's contract; whoever made `self` gave it whole rows and slack.
                unsafe { self.vector::<V>(u, first) }
            }
        }
    }
}

impl AddTaps<'_> {
    /// What kernel row `u` adds to sixteen sums: of each output that reaches them, the taps that do, by one load.
    ///
    /// # Safety
    /// The processor has the instruction set of `V`; the sums exist, and a kernel row is at most a vector.
    #[inline(always)]
    unsafe fn vector<V: Vector>(&mut self, u: usize, first: usize) {
        let (length, step) = (self.g.kernel * self.g.in_channels, self.g.stride * self.g.in_channels);
        let all = (1_u32 << length) - 1;
        // Output `j` reaches the sums from `j * step` on.
        let begin = (first + 1).saturating_sub(length).div_ceil(step);
        let end = (first + LANES).div_ceil(step).min(self.count);
        let at = u * self.row + first;
        // SAFETY: as this function's; a load begins less than a vector before an output's taps, or less than one behind.
        unsafe {
            let mut sums = V::load(self.sums, at);
            for j in begin..end {
                let taps = SLACK + j * self.columns + u * length;
                let (place, bits) = if j * step >= first {
                    (taps - (j * step - first), all << (j * step - first))
                } else {
                    (taps + (first - j * step), all >> (first - j * step))
                };
                sums = sums.add(V::load(self.taps, place).keep(bits as u16));
            }
            sums.store(self.sums, at);
        }
    }

    /// Kernel row `u`, tap by tap, for any number of them.
    #[inline(always)]
    fn one_by_one(&mut self, u: usize) {
        let (length, step) = (self.g.kernel * self.g.in_channels, self.g.stride * self.g.in_channels);
        let row = &mut self.sums[u * self.row..][..self.row];
        for (j, taps) in self.taps[SLACK..].chunks_exact(self.columns).take(self.count).enumerate() {
            let taps = &taps[u * length..][..length];
            row[j * step..].iter_mut().zip(taps).for_each(|(sum, tap)| *sum += tap);
        }
    }
}
