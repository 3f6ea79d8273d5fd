//! Pooling sixteen channels side by side, some images at a time.

use super::Geometry;
use crate::finish::Finish;
use crate::isa::Isa;
use crate::layout::Layout;
use crate::vector::{Kernel, LANES, Vector, run};

/// Writes the means `y` (layout `to`) of the windows of `images` images `x` (layout `from`).
///
/// # Panics
/// If a layout or a slice does not fit.
pub fn forward(isa: Isa, g: &Geometry, x: &[f32], from: &Layout, images: usize, to: &Layout, y: &mut [f32]) {
    check(g, from, to);
    assert!(x.len() >= images * from.image(), "{images} images of {from:?}");
    assert!(y.len() >= images * to.image(), "{images} images of {to:?}");
    run(isa, Forward { g, x, from, images, to, y });
}

/// Hands the gradient on every input pixel (layout `to`) to `finish`, for the gradient `dy` on the output (layout `from`).
///
/// # Panics
/// If a layout or a slice does not fit.
pub fn input_gradient(
    isa: Isa,
    g: &Geometry,
    dy: &[f32],
    from: &Layout,
    images: usize,
    to: &Layout,
    finish: &mut Finish<'_>,
) {
    check(g, to, from);
    assert!(dy.len() >= images * from.image(), "{images} images of {from:?}");
    finish.check(to, images);
    run(isa, InputGradient { g, dy, from, images, to, finish });
}

/// Panics if the layouts of the input and the output do not fit.
fn check(g: &Geometry, input: &Layout, output: &Layout) {
    assert!(g.input.iter().all(|side| side.is_multiple_of(g.window)), "{g:?}");
    assert!([input.height, input.width] == g.input && input.channels == g.channels, "{input:?} for {g:?}");
    assert!(
        [output.height, output.width] == g.output() && output.channels == g.channels,
        "{output:?} for {g:?}"
    );
    assert!(g.channels.is_multiple_of(LANES), "{g:?}");
}

struct Forward<'a> {
    g: &'a Geometry,
    x: &'a [f32],
    from: &'a Layout,
    images: usize,
    to: &'a Layout,
    y: &'a mut [f32],
}

impl Kernel for Forward<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let Self { g, x, from, images, to, y } = self;
        let share = 1.0 / g.area() as f32;
        for image in 0..images {
            for row in 0..to.height {
                for column in 0..to.width {
                    let first = image * from.image() + from.pixel(row * g.window, column * g.window);
                    let at = image * to.image() + to.pixel(row, column);
                    for channel in (0..to.channels).step_by(LANES) {
                        // SAFETY: the instruction set by this function's contract; `forward` checked the slices, and
                        // windows lie in the image.
                        unsafe {
                            let mut sum = V::zero();
                            for r in 0..g.window {
                                let mut row = V::zero();
                                for c in 0..g.window {
                                    let pixel = r * from.row() + c * from.channels;
                                    row = row.add(V::load(x, first + pixel + channel));
                                }
                                sum = sum.add(row);
                            }
                            sum.mul(V::splat(share)).store(y, at + channel);
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
    images: usize,
    to: &'a Layout,
    finish: &'a mut Finish<'b>,
}

impl Kernel for InputGradient<'_, '_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let Self { g, dy, from, images, to, finish } = self;
        let share = 1.0 / g.area() as f32;
        for image in 0..images {
            for row in 0..to.height {
                for column in 0..to.width {
                    let at = image * from.image() + from.pixel(row / g.window, column / g.window);
                    let place = image * to.image() + to.pixel(row, column);
                    for channel in (0..to.channels).step_by(LANES) {
                        // SAFETY: the instruction set by this function's contract; `input_gradient` checked the slices.
                        unsafe {
                            let value = V::load(dy, at + channel).mul(V::splat(share));
                            finish.put(place + channel, channel, value);
                        }
                    }
                }
            }
        }
    }
}
