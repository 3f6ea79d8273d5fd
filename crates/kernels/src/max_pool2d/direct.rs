//! Pooling window by window, sixteen channels side by side, some images at a time.

use super::Geometry;
use crate::finish::{Finish, nan_only};
use crate::isa::Isa;
use crate::layout::Layout;
use crate::vector::{Kernel, LANES, Vector, run};

/// Writes the outputs `y` (layout `to`) of `images` images `x` (layout `from`) and, if asked for, the places of the
/// maxima in their windows (row order): a byte for each value of `y`, at its place. NaN wins, as in PyTorch: a broken
/// network must not look like a quiet one.
///
/// # Panics
/// If a layout or a slice does not fit.
#[allow(clippy::too_many_arguments, reason = "two images with their layouts")]
pub fn forward(
    isa: Isa,
    g: &Geometry,
    x: &[f32],
    from: &Layout,
    images: usize,
    to: &Layout,
    y: &mut [f32],
    places: Option<&mut [u8]>,
) {
    g.check(from, to);
    assert!(x.len() >= images * from.image(), "{images} images of {from:?}");
    assert!(y.len() >= images * to.image(), "{images} images of {to:?}");
    assert!(places.as_ref().is_none_or(|places| places.len() >= images * to.image()), "places of {to:?}");
    run(isa, Forward { g, x, from, images, to, y, places });
}

/// Hands the gradient on every input pixel (layout `to`) to `finish`, for the gradient `dy` on the output (layout
/// `from`) and the places of [`forward`]: 0 where it is not its window's maximum, or in no window.
///
/// # Panics
/// If a layout or a slice does not fit.
#[allow(clippy::too_many_arguments, reason = "two images with their layouts")]
pub fn input_gradient(
    isa: Isa,
    g: &Geometry,
    dy: &[f32],
    from: &Layout,
    places: &[u8],
    images: usize,
    to: &Layout,
    finish: &mut Finish<'_>,
) {
    g.check(to, from);
    assert!(dy.len() >= images * from.image(), "{images} images of {from:?}");
    assert!(places.len() >= images * from.image(), "places of {from:?}");
    finish.check(to, images);
    run(isa, InputGradient { g, dy, from, places, images, to, finish });
}

struct Forward<'a> {
    g: &'a Geometry,
    x: &'a [f32],
    from: &'a Layout,
    images: usize,
    to: &'a Layout,
    y: &'a mut [f32],
    places: Option<&'a mut [u8]>,
}

impl Kernel for Forward<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let Self { g, x, from, images, to, y, mut places } = self;
        for image in 0..images {
            for row in 0..to.height {
                for column in 0..to.width {
                    let first = image * from.image() + from.pixel(row * g.window, column * g.window);
                    let at = image * to.image() + to.pixel(row, column);
                    for channel in (0..to.channels).step_by(LANES) {
                        // SAFETY: the instruction set by this function's contract; `forward` checked the slices, and
                        // windows lie in the image.
                        unsafe {
                            let mut largest = V::load(x, first + channel);
                            let mut place = V::zero();
                            for p in 1..g.window * g.window {
                                let pixel = p / g.window * from.row() + p % g.window * from.channels;
                                let value = V::load(x, first + pixel + channel);
                                // As numbers, which have lanes as wide as the values.
                                let larger = value.above(largest) | value.nan();
                                place = V::splat(p as f32).keep(larger).add(place.keep(!larger));
                                largest = largest.max(value).add(nan_only(largest));
                            }
                            largest.store(y, at + channel);
                            if let Some(places) = &mut places {
                                let mut numbers = [0.0; LANES];
                                place.store(&mut numbers, 0);
                                for (place, number) in places[at + channel..][..LANES].iter_mut().zip(numbers)
                                {
                                    *place = number as u8;
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

struct InputGradient<'a, 'b> {
    g: &'a Geometry,
    dy: &'a [f32],
    from: &'a Layout,
    places: &'a [u8],
    images: usize,
    to: &'a Layout,
    finish: &'a mut Finish<'b>,
}

impl Kernel for InputGradient<'_, '_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Vector>(mut self) {
        let [height, width] = [self.from.height, self.from.width].map(|side| side * self.g.window);
        for image in 0..self.images {
            for row in 0..self.from.height {
                for column in 0..self.from.width {
                    // SAFETY: as this function's; the window exists.
                    unsafe { self.window::<V>(image, row, column) }
                }
            }
            // SAFETY: as this function's; the pixels exist.
            unsafe {
                self.zeros::<V>(image, 0, height, width);
                self.zeros::<V>(image, height, self.to.height, 0);
            }
        }
    }
}

impl InputGradient<'_, '_> {
    /// Finishes the pixels of one window.
    ///
    /// # Safety
    /// The processor has the instruction set of `V`; image and window exist.
    #[inline(always)]
    unsafe fn window<V: Vector>(&mut self, image: usize, row: usize, column: usize) {
        let (from, to, window) = (self.from, self.to, self.g.window);
        let at = image * from.image() + from.pixel(row, column);
        let first = image * to.image() + to.pixel(row * window, column * window);
        for channel in (0..from.channels).step_by(LANES) {
            let mut numbers = [0.0; LANES];
            for (number, place) in numbers.iter_mut().zip(&self.places[at + channel..][..LANES]) {
                *number = f32::from(*place);
            }
            // SAFETY: as this function's; `input_gradient` checked the slices.
            unsafe {
                let (dy, places) = (V::load(self.dy, at + channel), V::load(&numbers, 0));
                for p in 0..window * window {
                    let this = V::splat(p as f32);
                    let here = !(places.above(this) | this.above(places));
                    let pixel = p / window * to.row() + p % window * to.channels;
                    self.finish.put(first + pixel + channel, channel, dy.keep(here));
                }
            }
        }
    }

    /// Finishes the pixels of rows `top..bottom` from column `left` on, which are in no window.
    ///
    /// # Safety
    /// As [`InputGradient::window`].
    #[inline(always)]
    unsafe fn zeros<V: Vector>(&mut self, image: usize, top: usize, bottom: usize, left: usize) {
        for row in top..bottom {
            for column in left..self.to.width {
                let at = image * self.to.image() + self.to.pixel(row, column);
                for channel in (0..self.to.channels).step_by(LANES) {
                    // SAFETY: as this function's.
                    unsafe { self.finish.put(at + channel, channel, V::zero()) }
                }
            }
        }
    }
}
