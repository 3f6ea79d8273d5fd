//! Where the gradient of a pixel is read: at its place, or at that of its window after pooling.

use crate::epilogue::{Bits, Source};
use crate::layout::{Layout, Places, assert_halves};
use crate::vector::{LANES, Vector};

/// Panics if a source does not fit the values of `layout`, whatever the halo.
pub(crate) fn check_source(source: Source<'_>, from: &Places, layout: &Layout) {
    match source {
        Source::Dense(_) => {
            let same = **from == Layout { halo: from.halo, ..*layout };
            assert!(same, "{:?} and {layout:?} differ in more than their halo", **from);
        }
        Source::Pooled(..) => assert_halves(layout, from),
    }
    source.check(from);
}

/// Where a pixel's gradient is. (Not a closure: those cannot be made to be inlined.)
pub(crate) trait Gradient {
    /// A pixel of an image, for [`Gradient::load`].
    type Pixel: Copy;

    fn pixel(&self, image: usize, row: usize, column: usize) -> Self::Pixel;

    /// Sixteen channels of a pixel.
    ///
    /// # Safety
    /// The processor has the instruction set of `V`; the pixel and its channels exist.
    unsafe fn load<V: Vector>(&self, pixel: Self::Pixel, channel: usize) -> V;
}

pub(crate) struct Dense<'a> {
    pub(crate) values: &'a [f32],
    pub(crate) layout: &'a Places,
}

impl Gradient for Dense<'_> {
    type Pixel = usize;

    #[inline(always)]
    fn pixel(&self, image: usize, row: usize, column: usize) -> usize {
        image * self.layout.image() + self.layout.pixel(row, column)
    }

    #[inline(always)]
    unsafe fn load<V: Vector>(&self, pixel: usize, channel: usize) -> V {
        // SAFETY: as this function's; `check_source` compared values and layout.
        unsafe { V::load(self.values, pixel + channel) }
    }
}

pub(crate) struct Pooled<'a> {
    pub(crate) values: &'a [f32],
    pub(crate) bits: &'a [[Bits; 4]],
    pub(crate) layout: &'a Places,
}

impl Gradient for Pooled<'_> {
    /// The place of the window, if the pixel is in one, and the pixel's place in it.
    type Pixel = (Option<usize>, usize);

    #[inline(always)]
    fn pixel(&self, image: usize, row: usize, column: usize) -> Self::Pixel {
        let exists = row / 2 < self.layout.height && column / 2 < self.layout.width;
        let window = image * self.layout.image() + self.layout.pixel(row / 2, column / 2);
        (exists.then_some(window), row % 2 * 2 + column % 2)
    }

    #[inline(always)]
    unsafe fn load<V: Vector>(&self, (window, place): Self::Pixel, channel: usize) -> V {
        // SAFETY: as this function's; `check_source` compared values, bits and layout.
        unsafe {
            match window {
                Some(window) => {
                    let at = window + channel;
                    V::load(self.values, at).keep(self.bits.get_unchecked(at / LANES)[place])
                }
                None => V::zero(),
            }
        }
    }
}
