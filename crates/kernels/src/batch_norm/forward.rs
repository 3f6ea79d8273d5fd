//! Normalised values, handed to the end of the layer.

use super::check;
use super::statistics::Statistics;
use crate::affine;
use crate::epilogue::{Epilogue, PooledEpilogue};
use crate::isa::Isa;
use crate::layout::{Layout, Places, assert_halves};
use crate::vector::{Kernel, LANES, Vector, run};

/// Hands `a * y + b` of `images` images `y` to `epilogue`, pixel by pixel.
///
/// # Panics
/// If a slice does not fit the layout.
pub fn normalize(
    isa: Isa,
    y: &[f32],
    layout: &Layout,
    images: usize,
    statistics: &Statistics,
    epilogue: &mut Epilogue<'_>,
) {
    statistics.check(layout);
    affine::each(isa, y, Some(&statistics.scale), Some(&statistics.shift), layout, images, epilogue);
}

/// Hands the 2x2 windows of `a * y + b` of `images` images `y` (layout `from`) to `epilogue`, at the pixels of the layout
/// `pooled`; an odd row or column is dropped.
///
/// # Panics
/// If a layout or a slice does not fit.
pub fn normalize_pooled(
    isa: Isa,
    y: &[f32],
    from: &Layout,
    images: usize,
    statistics: &Statistics,
    pooled: &Layout,
    epilogue: &mut PooledEpilogue<'_>,
) {
    assert_halves(from, pooled);
    let (from, pooled) = (&from.places(images), &pooled.places(images));
    check(y, from);
    statistics.check(from);
    epilogue.check(pooled);
    run(isa, Windows { y, from, images, statistics, pooled, epilogue });
}

struct Windows<'a, 'b> {
    y: &'a [f32],
    from: &'a Places,
    images: usize,
    statistics: &'a Statistics,
    pooled: &'a Places,
    epilogue: &'a mut PooledEpilogue<'b>,
}

impl Kernel for Windows<'_, '_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let Self { y, from, images, statistics: Statistics { scale, shift, .. }, pooled, epilogue } = self;
        for image in 0..images {
            for row in 0..pooled.height {
                for column in 0..pooled.width {
                    let at = image * from.image() + from.pixel(2 * row, 2 * column);
                    let place = image * pooled.image() + pooled.pixel(row, column);
                    for channel in (0..from.channels).step_by(LANES) {
                        // SAFETY: the instruction set by this function's contract; `normalize_pooled` checked the
                        // slices.
                        unsafe {
                            let (scale, shift) = (V::load(scale, channel), V::load(shift, channel));
                            let mut window = [V::zero(); 4];
                            for (p, value) in window.iter_mut().enumerate() {
                                let y = V::load(y, at + p / 2 * from.row() + p % 2 * from.channels + channel);
                                *value = scale.mul_add(y, shift);
                            }
                            epilogue.put(place + channel, channel, window);
                        }
                    }
                }
            }
        }
    }
}
