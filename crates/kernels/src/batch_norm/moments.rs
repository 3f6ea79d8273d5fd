//! Mean and spread of some images.

use super::statistics::Moments;
use super::{TOGETHER, check};
use crate::isa::Isa;
use crate::layout::{Layout, Places};
use crate::vector::{Kernel, LANES, Vector, run};

/// The moments of `images` images `y`.
///
/// Robust where the mean is much larger than the spread: squares are those of distances from an image's mean.
///
/// # Panics
/// If the slice does not fit, or the channels are no whole vectors.
pub fn moments(isa: Isa, y: &[f32], layout: &Layout, images: usize) -> Moments {
    let layout = &layout.places(images);
    check(y, layout);
    let mut all = Moments::none(layout.channels);
    let mut image_sums = [vec![0.0; layout.channels], vec![0.0; layout.channels], vec![0.0; layout.channels]];
    let n = layout.pixels();
    // An image without pixels has no mean, and adds nothing.
    for image in 0..if n == 0 { 0 } else { images } {
        let [mean, rest, square] = &mut image_sums;
        run(isa, ImageMoments { y: &y[image * layout.image()..], layout, mean, rest, square });
        for channel in 0..layout.channels {
            // The first pass rounds, and what it missed is the mean of the distances.
            let rest = f64::from(rest[channel]) / n as f64;
            let square = f64::from(square[channel]) - rest * rest * n as f64;
            all.join_channel(channel, n, f64::from(mean[channel]) + rest, square.max(0.0));
        }
        all.count += n;
    }
    all
}

/// Mean of one image, then sums of the distances from it and of their squares.
struct ImageMoments<'a> {
    y: &'a [f32],
    layout: &'a Places,
    mean: &'a mut [f32],
    rest: &'a mut [f32],
    square: &'a mut [f32],
}

impl Kernel for ImageMoments<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Vector>(mut self) {
        let mut channel = 0;
        while channel < self.layout.channels {
            // SAFETY: the instruction set by this function's contract; `check` compared slice and layout.
            unsafe {
                if self.layout.channels - channel >= TOGETHER * LANES {
                    self.channels::<V, TOGETHER>(channel);
                    channel += TOGETHER * LANES;
                } else {
                    self.channels::<V, 1>(channel);
                    channel += LANES;
                }
            }
        }
    }
}

impl ImageMoments<'_> {
    /// # Safety
    /// The processor has the instruction set of `V`; the channels exist.
    #[inline(always)]
    unsafe fn channels<V: Vector, const N: usize>(&mut self, channel: usize) {
        // SAFETY: as this function's.
        unsafe {
            let nothing = [V::zero(); N];
            let (sums, _) = self.pass::<V, N>(channel, nothing);
            let mut mean = nothing;
            let share = V::splat(1.0 / self.layout.pixels() as f32);
            for v in 0..N {
                mean[v] = sums[v].mul(share);
            }
            let (rest, square) = self.pass::<V, N>(channel, mean);
            for v in 0..N {
                mean[v].store(self.mean, channel + v * LANES);
                rest[v].store(self.rest, channel + v * LANES);
                square[v].store(self.square, channel + v * LANES);
            }
        }
    }

    /// Sums of `y - from` and of its square.
    ///
    /// # Safety
    /// As [`ImageMoments::channels`].
    #[inline(always)]
    unsafe fn pass<V: Vector, const N: usize>(&self, channel: usize, from: [V; N]) -> ([V; N], [V; N]) {
        // SAFETY: as this function's.
        unsafe {
            let (mut sums, mut squares) = ([V::zero(); N], [V::zero(); N]);
            for row in 0..self.layout.height {
                let mut at = self.layout.pixel(row, 0) + channel;
                let (mut row_sums, mut row_squares) = ([V::zero(); N], [V::zero(); N]);
                for _ in 0..self.layout.width {
                    for v in 0..N {
                        let apart = V::load(self.y, at + v * LANES).sub(from[v]);
                        row_sums[v] = row_sums[v].add(apart);
                        row_squares[v] = apart.mul_add(apart, row_squares[v]);
                    }
                    at += self.layout.channels;
                }
                for v in 0..N {
                    sums[v] = sums[v].add(row_sums[v]);
                    squares[v] = squares[v].add(row_squares[v]);
                }
            }
            (sums, squares)
        }
    }
}
