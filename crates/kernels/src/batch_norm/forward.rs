//! Normalised values, handed to the end of the layer.

use super::statistics::Statistics;
use super::{assert_halves, assert_same, check};
use crate::finish::{Finish, PooledFinish};
use crate::isa::Isa;
use crate::layout::Layout;
use crate::vector::{Kernel, LANES, Vector, run};

/// Hands `a * y + b` of `images` images `y` (layout `from`) to `finish`, at the same pixels of the layout `to`.
///
/// # Panics
/// If a layout or a slice does not fit.
pub fn normalize(
    isa: Isa,
    y: &[f32],
    from: &Layout,
    images: usize,
    statistics: &Statistics,
    to: &Layout,
    finish: &mut Finish<'_>,
) {
    statistics.check(from);
    affine(isa, y, from, images, &statistics.scale, Some(&statistics.shift), to, finish);
}

/// Hands the 2x2 windows of `a * y + b` of `images` images `y` (layout `from`) to `finish`, at the pixels of the layout
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
    finish: &mut PooledFinish<'_>,
) {
    check(y, from, images);
    statistics.check(from);
    assert_halves(from, pooled);
    finish.check(pooled, images);
    run(isa, Windows { y, from, images, statistics, pooled, finish });
}

/// Hands `a * g` to `finish`: the gradient through [`normalize`] with frozen statistics of the scale `a`. `g` lies as
/// `from` says, the result as `to` says.
///
/// # Panics
/// If a layout or a slice does not fit.
pub fn affine_gradient(
    isa: Isa,
    g: &[f32],
    from: &Layout,
    images: usize,
    scale: &[f32],
    to: &Layout,
    finish: &mut Finish<'_>,
) {
    affine(isa, g, from, images, scale, None, to, finish);
}

#[allow(clippy::too_many_arguments, reason = "two images with their layouts")]
fn affine(
    isa: Isa,
    y: &[f32],
    from: &Layout,
    images: usize,
    scale: &[f32],
    shift: Option<&[f32]>,
    to: &Layout,
    finish: &mut Finish<'_>,
) {
    check(y, from, images);
    assert_same(from, to);
    assert_eq!(scale.len(), from.channels, "scale of {from:?}");
    finish.check(to, images);
    run(isa, Affine { y, from, images, scale, shift, to, finish });
}

struct Affine<'a, 'b> {
    y: &'a [f32],
    from: &'a Layout,
    images: usize,
    scale: &'a [f32],
    shift: Option<&'a [f32]>,
    to: &'a Layout,
    finish: &'a mut Finish<'b>,
}

impl Kernel for Affine<'_, '_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let Self { y, from, images, scale, shift, to, finish } = self;
        for image in 0..images {
            for row in 0..from.height {
                let (mut at, mut place) =
                    (image * from.image() + from.pixel(row, 0), image * to.image() + to.pixel(row, 0));
                for _ in 0..from.width {
                    for channel in (0..from.channels).step_by(LANES) {
                        // SAFETY: the instruction set by this function's contract; `affine` checked the slices.
                        unsafe {
                            let (y, scale) = (V::load(y, at + channel), V::load(scale, channel));
                            let value = match shift {
                                Some(shift) => scale.mul_add(y, V::load(shift, channel)),
                                None => scale.mul(y),
                            };
                            finish.put(place + channel, channel, value);
                        }
                    }
                    at += from.channels;
                    place += to.channels;
                }
            }
        }
    }
}

struct Windows<'a, 'b> {
    y: &'a [f32],
    from: &'a Layout,
    images: usize,
    statistics: &'a Statistics,
    pooled: &'a Layout,
    finish: &'a mut PooledFinish<'b>,
}

impl Kernel for Windows<'_, '_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let Self { y, from, images, statistics: Statistics { scale, shift, .. }, pooled, finish } = self;
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
                            finish.put(place + channel, channel, window);
                        }
                    }
                }
            }
        }
    }
}
