//! Pooling window by window, sixteen channels side by side.

use std::ops::Range;

use super::Geometry;
use crate::epilogue::{Bits, Epilogue, check_values};
use crate::isa::Isa;
use crate::layout::{Layout, Places};
use crate::sizes::product;
use crate::vector::{Kernel, LANES, Vector, run};

/// Writes the maxima of `images` images `x` (layout `from`) to `y` (layout `to`), and where they came from: `window^2` bits
/// for each vector of `y`, place by place in row order.
///
/// # Panics
/// If a layout or a slice does not fit `g`.
#[allow(clippy::too_many_arguments, reason = "two images with their layouts")]
pub fn forward(
    isa: Isa,
    g: &Geometry,
    x: &[f32],
    from: &Layout,
    images: usize,
    to: &Layout,
    y: &mut [f32],
    indices: Option<&mut [Bits]>,
) {
    check(g, from, to);
    let (from, to) = (&from.places(images), &to.places(images));
    from.assert_whole_vectors();
    check_values(x, from);
    check_values(y, to);
    if let Some(indices) = &indices {
        check_indices(g, indices, to);
    }
    run(isa, Forward { g, x, from, images, to, y, indices });
}

/// Hands the gradient on every input pixel to `epilogue` (layout `to`), for the gradients `dy` (layout `from`) on the maxima: 0
/// where a pixel is not its window's maximum, or in no window.
///
/// # Panics
/// If a layout or a slice does not fit `g`.
#[allow(clippy::too_many_arguments, reason = "two images with their layouts")]
pub fn input_gradient(
    isa: Isa,
    g: &Geometry,
    dy: &[f32],
    from: &Layout,
    indices: &[Bits],
    images: usize,
    to: &Layout,
    epilogue: &mut Epilogue<'_>,
) {
    check(g, to, from);
    let (from, to) = (&from.places(images), &to.places(images));
    check_values(dy, from);
    check_indices(g, indices, from);
    epilogue.check(to);
    run(isa, Backward { g, dy, from, indices, images, to, epilogue });
}

fn check(g: &Geometry, input: &Layout, output: &Layout) {
    assert!(g.padding <= g.window / 2, "padding is at most half a window: {g:?}");
    assert!(
        [input.height, input.width] == g.input && input.channels == g.channels,
        "{input:?} is no input of {g:?}"
    );
    assert!(
        [output.height, output.width] == g.output() && output.channels == g.channels,
        "{output:?} is no output of {g:?}"
    );
}

fn check_indices(g: &Geometry, indices: &[Bits], output: &Places) {
    let wanted = product(&[output.len() / LANES, g.area()]);
    let (given, windows) = (indices.len(), output.len() / LANES);
    assert!(wanted.is_some_and(|wanted| wanted <= given), "{given} indices for {windows} vectors of {g:?}");
}

struct Forward<'a> {
    g: &'a Geometry,
    x: &'a [f32],
    from: &'a Places,
    images: usize,
    to: &'a Places,
    y: &'a mut [f32],
    indices: Option<&'a mut [Bits]>,
}

impl Kernel for Forward<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Vector>(mut self) {
        let Self { g, from, to, .. } = self;
        for image in 0..self.images {
            for row in 0..to.height {
                let rows = g.inside(row, from.height);
                for column in 0..to.width {
                    let columns = g.inside(column, from.width);
                    let corner = [row * g.stride + rows.start, column * g.stride + columns.start];
                    let [top, left] = corner.map(|at| at - g.padding);
                    let start = image * from.image() + from.pixel(top, left);
                    let at = image * to.image() + to.pixel(row, column);
                    for channel in (0..to.channels).step_by(LANES) {
                        // SAFETY: the instruction set by this function's contract; `forward` checked every slice.
                        unsafe { self.window::<V>([&rows, &columns], start + channel, at + channel) }
                    }
                }
            }
        }
    }
}

impl Forward<'_> {
    /// The maxima of sixteen windows, which go to `at`: of the rows and columns of each that lie in the image, the first
    /// of which are at `start`.
    ///
    /// # Safety
    /// The processor has the instruction set of `V`; the places are those of vectors.
    #[inline(always)]
    unsafe fn window<V: Vector>(&mut self, [rows, columns]: [&Range<usize>; 2], start: usize, at: usize) {
        let (area, window) = (self.g.area(), self.g.window);
        // SAFETY: as this function's.
        unsafe {
            let mut largest = V::load(self.x, start);
            let first = rows.start * window + columns.start;
            if let Some(indices) = &mut self.indices {
                let indices = &mut indices[at / LANES * area..][..area];
                indices.fill(0);
                indices[first] = u16::MAX;
            }
            for row in rows.clone() {
                for column in columns.clone() {
                    let place = row * window + column;
                    if place == first {
                        continue;
                    }
                    let [down, right] = [row - rows.start, column - columns.start];
                    let value = V::load(self.x, start + down * self.from.row() + right * self.from.channels);
                    // NaN wins, as in PyTorch: a broken network must not look like a quiet one.
                    let kept = largest.nan();
                    let larger = value.above(largest) | value.nan() & !kept;
                    if let Some(indices) = &mut self.indices {
                        let indices = &mut indices[at / LANES * area..][..=place];
                        indices[..place].iter_mut().for_each(|earlier| *earlier &= !larger);
                        indices[place] = larger;
                    }
                    largest = largest.keep(!larger).add(value.keep(larger));
                }
            }
            largest.store(self.y, at);
        }
    }
}

struct Backward<'a, 'b> {
    g: &'a Geometry,
    dy: &'a [f32],
    from: &'a Places,
    indices: &'a [Bits],
    images: usize,
    to: &'a Places,
    epilogue: &'a mut Epilogue<'b>,
}

impl Kernel for Backward<'_, '_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let Self { g, dy, from, indices, images, to, epilogue } = self;
        for image in 0..images {
            for row in 0..to.height {
                let rows = g.around(row, from.height);
                for column in 0..to.width {
                    let at = image * to.image() + to.pixel(row, column);
                    let columns = g.around(column, from.width);
                    for channel in (0..to.channels).step_by(LANES) {
                        let mut sum: Option<V> = None;
                        for window_row in rows.clone() {
                            for window_column in columns.clone() {
                                let [down, right] = [(row, window_row), (column, window_column)]
                                    .map(|(at, window)| at + g.padding - window * g.stride);
                                let place = down * g.window + right;
                                let from =
                                    image * from.image() + from.pixel(window_row, window_column) + channel;
                                // SAFETY: the instruction set by this function's contract; `input_gradient`
                                // checked every slice.
                                sum = unsafe {
                                    let value =
                                        V::load(dy, from).keep(indices[from / LANES * g.area() + place]);
                                    Some(match sum {
                                        Some(sum) => sum.add(value),
                                        None => value,
                                    })
                                };
                            }
                        }
                        // SAFETY: as above.
                        unsafe {
                            let value = match sum {
                                Some(sum) => sum,
                                None => V::zero(),
                            };
                            epilogue.put(at + channel, channel, value);
                        }
                    }
                }
            }
        }
    }
}
