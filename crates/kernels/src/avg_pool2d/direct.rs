//! Pooling window by window, sixteen channels side by side.

use super::Geometry;
use crate::epilogue::{Epilogue, check_values};
use crate::isa::Isa;
use crate::layout::{Layout, Places};
use crate::vector::{Kernel, LANES, Vector, run};

/// Writes the means of `images` images `x` (layout `from`) to `y` (layout `to`).
///
/// # Panics
/// If a layout or a slice does not fit `g`.
pub fn forward(isa: Isa, g: &Geometry, x: &[f32], from: &Layout, images: usize, to: &Layout, y: &mut [f32]) {
    check(g, from, to);
    let (from, to) = (&from.places(images), &to.places(images));
    from.assert_whole_vectors();
    check_values(x, from);
    check_values(y, to);
    run(isa, Forward { g, x, from, images, to, y });
}

/// Hands the gradient on every input pixel to `epilogue` (layout `to`), for the gradients `dy` (layout `from`) on the means.
///
/// # Panics
/// If a layout or a slice does not fit `g`.
pub fn input_gradient(
    isa: Isa,
    g: &Geometry,
    dy: &[f32],
    from: &Layout,
    images: usize,
    to: &Layout,
    epilogue: &mut Epilogue<'_>,
) {
    check(g, to, from);
    let (from, to) = (&from.places(images), &to.places(images));
    check_values(dy, from);
    epilogue.check(to);
    run(isa, Backward { g, dy, from, images, to, epilogue });
}

fn check(g: &Geometry, input: &Layout, output: &Layout) {
    assert!(
        [input.height, input.width] == g.input && input.channels == g.channels,
        "{input:?} is no input of {g:?}"
    );
    assert!(
        [output.height, output.width] == g.output() && output.channels == g.channels,
        "{output:?} is no output of {g:?}"
    );
    super::check(g);
}

struct Forward<'a> {
    g: &'a Geometry,
    x: &'a [f32],
    from: &'a Places,
    images: usize,
    to: &'a Places,
    y: &'a mut [f32],
}

impl Kernel for Forward<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let Self { g, x, from, images, to, y } = self;
        let part = 1.0 / g.area() as f32;
        for image in 0..images {
            for row in 0..to.height {
                for column in 0..to.width {
                    let start = image * from.image() + from.pixel(row * g.window, column * g.window);
                    let at = image * to.image() + to.pixel(row, column);
                    for channel in (0..to.channels).step_by(LANES) {
                        // SAFETY: the instruction set by this function's contract; `forward` checked every slice.
                        unsafe {
                            let mut sum = V::zero();
                            for place in 0..g.area() {
                                let (row, column) = (place / g.window, place % g.window);
                                let from = start + row * from.row() + column * from.channels + channel;
                                sum = sum.add(V::load(x, from));
                            }
                            sum.mul(V::splat(part)).store(y, at + channel);
                        }
                    }
                }
            }
        }
    }
}

struct Backward<'a, 'b> {
    g: &'a Geometry,
    dy: &'a [f32],
    from: &'a Places,
    images: usize,
    to: &'a Places,
    epilogue: &'a mut Epilogue<'b>,
}

impl Kernel for Backward<'_, '_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let Self { g, dy, from, images, to, epilogue } = self;
        let part = 1.0 / g.area() as f32;
        for image in 0..images {
            for row in 0..to.height {
                for column in 0..to.width {
                    let at = image * to.image() + to.pixel(row, column);
                    let from = image * from.image() + from.pixel(row / g.window, column / g.window);
                    for channel in (0..to.channels).step_by(LANES) {
                        // SAFETY: the instruction set by this function's contract; `input_gradient` checked every
                        // slice.
                        unsafe {
                            let value = V::load(dy, from + channel).mul(V::splat(part));
                            epilogue.put(at + channel, channel, value);
                        }
                    }
                }
            }
        }
    }
}
