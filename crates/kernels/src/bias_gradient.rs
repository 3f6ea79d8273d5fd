//! Gradient on a layer's bias: the sum of the gradient on its outputs over images and pixels, `db[c] += sum of dy[., c]`.

use crate::epilogue::check_values;
use crate::isa::Isa;
use crate::layout::{Layout, Places};
use crate::vector::{Kernel, LANES, Vector, run};

/// Vectors of channels that are summed together: some cache lines of each pixel.
const TOGETHER: usize = 4;

/// Adds the sum over all pixels of `images` images `dy` to `db`, one value a channel. An image is summed row by row, a
/// row from zero; images are added in their order.
///
/// # Panics
/// If a slice does not fit, or the channels are no whole vectors.
pub fn accumulate(isa: Isa, dy: &[f32], layout: &Layout, images: usize, db: &mut [f32]) {
    let layout = &layout.places(images);
    layout.assert_whole_vectors();
    check_values(dy, layout);
    assert_eq!(db.len(), layout.channels, "one sum for each channel of {:?}", **layout);
    run(isa, Accumulate { dy, layout, images, db });
}

struct Accumulate<'a> {
    dy: &'a [f32],
    layout: &'a Places,
    images: usize,
    db: &'a mut [f32],
}

impl Kernel for Accumulate<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Vector>(mut self) {
        for image in 0..self.images {
            let mut channel = 0;
            while channel < self.layout.channels {
                // SAFETY: the instruction set by this function's contract; `accumulate` checked the slices.
                unsafe {
                    if self.layout.channels - channel >= TOGETHER * LANES {
                        self.image::<V, TOGETHER>(image, channel);
                        channel += TOGETHER * LANES;
                    } else {
                        self.image::<V, 1>(image, channel);
                        channel += LANES;
                    }
                }
            }
        }
    }
}

impl Accumulate<'_> {
    /// Adds `N` vectors of channels of one image.
    ///
    /// # Safety
    /// The processor has the instruction set of `V`; image and channels exist.
    #[inline(always)]
    unsafe fn image<V: Vector, const N: usize>(&mut self, image: usize, channel: usize) {
        // SAFETY: as this function's.
        unsafe {
            let mut total = [V::zero(); N];
            for row in 0..self.layout.height {
                let mut at = image * self.layout.image() + self.layout.pixel(row, 0) + channel;
                let mut sums = [V::zero(); N];
                for _ in 0..self.layout.width {
                    for (v, sum) in sums.iter_mut().enumerate() {
                        *sum = sum.add(V::load(self.dy, at + v * LANES));
                    }
                    at += self.layout.channels;
                }
                for (total, sum) in total.iter_mut().zip(sums) {
                    *total = total.add(sum);
                }
            }
            for (v, total) in total.into_iter().enumerate() {
                let at = channel + v * LANES;
                V::load(self.db, at).add(total).store(self.db, at);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_integers_are_summed_exactly_without_the_halo() {
        for (height, width, channels, halo) in [(1, 1, 16, 0), (3, 5, 80, 1), (7, 2, 48, 3), (4, 4, 144, 0)] {
            let layout = Layout { height, width, channels, halo };
            let mut dy = vec![1e9; 3 * layout.image()];
            let mut expected: Vec<f32> = (0..channels).map(|c| c as f32).collect();
            for (image, dy) in dy.chunks_exact_mut(layout.image()).enumerate() {
                let pixels: Vec<f32> = (0..layout.pixels() * channels)
                    .map(|at| ((at * 31 + image * 7) % 19) as f32 - 9.0)
                    .collect();
                layout.fill(&pixels, channels, dy);
                pixels.iter().enumerate().for_each(|(at, value)| expected[at % channels] += value);
            }
            for isa in Isa::available() {
                let mut db: Vec<f32> = (0..channels).map(|c| c as f32).collect();
                accumulate(isa, &dy, &layout, 2, &mut db);
                accumulate(isa, &dy[2 * layout.image()..], &layout, 1, &mut db);
                assert_eq!(db, expected, "{isa:?} {layout:?}");
            }
        }
    }
}
