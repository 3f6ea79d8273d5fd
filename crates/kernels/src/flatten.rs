//! Images as rows, in PyTorch's order: `y[c * height * width + i * width + j] = x[i, j, c]`.
//!
//! Linear layers need none of this, since they read images where they lie; a sum of a flattened image and of a
//! linear layer's outputs does.

use crate::epilogue::{Epilogue, check_values};
use crate::isa::Isa;
use crate::layout::{Layout, Places};
use crate::vector::{Kernel, LANES, Vector, run};

/// How the rows of `channels` channels of images of `from` lie.
///
/// # Panics
/// If there are no such channels.
pub fn rows(from: &Layout, channels: usize) -> Layout {
    assert!((1..=from.channels).contains(&channels), "{channels} channels of {from:?}");
    // Fewer than an image has values.
    let features = from.pixels() * channels;
    Layout { height: 1, width: 1, channels: features.next_multiple_of(LANES), halo: 0 }
}

/// Hands the rows of the first `channels` channels of `images` images `x` (layout `from`) to `epilogue`, which writes
/// [`rows`].
///
/// # Panics
/// If a slice does not fit.
pub fn forward(
    isa: Isa,
    x: &[f32],
    from: &Layout,
    channels: usize,
    images: usize,
    epilogue: &mut Epilogue<'_>,
) {
    let (from, to) = (&from.places(images), &rows(from, channels).places(images));
    check_values(x, from);
    epilogue.check(to);
    run(isa, Forward { x, from, channels, images, to, epilogue });
}

/// Hands the gradient on every pixel of `images` images to `epilogue` (layout `to`), for the gradients `dy` on their
/// [`rows`]: 0 for the channels after the first `channels`.
///
/// # Panics
/// If a slice does not fit, or the pixels of `to` are no whole vectors.
pub fn input_gradient(
    isa: Isa,
    dy: &[f32],
    channels: usize,
    images: usize,
    to: &Layout,
    epilogue: &mut Epilogue<'_>,
) {
    let (from, to) = (&rows(to, channels).places(images), &to.places(images));
    check_values(dy, from);
    epilogue.check(to);
    run(isa, Backward { dy, from, channels, images, to, epilogue });
}

struct Forward<'a, 'b> {
    x: &'a [f32],
    from: &'a Places,
    channels: usize,
    images: usize,
    to: &'a Places,
    epilogue: &'a mut Epilogue<'b>,
}

impl Kernel for Forward<'_, '_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let Self { x, from, channels, images, to, epilogue } = self;
        let (pixels, features) = (from.pixels(), from.pixels() * channels);
        for image in 0..images {
            for feature in (0..to.channels).step_by(LANES) {
                let mut values = [0.0; LANES];
                for (value, at) in values.iter_mut().zip(feature..features) {
                    let (channel, pixel) = (at / pixels, at % pixels);
                    let place = from.pixel(pixel / from.width, pixel % from.width) + channel;
                    *value = x[image * from.image() + place];
                }
                // SAFETY: the instruction set by this function's contract; `forward` checked the finish.
                unsafe { epilogue.put(image * to.image() + feature, feature, V::load(&values, 0)) }
            }
        }
    }
}

struct Backward<'a, 'b> {
    dy: &'a [f32],
    from: &'a Places,
    channels: usize,
    images: usize,
    to: &'a Places,
    epilogue: &'a mut Epilogue<'b>,
}

impl Kernel for Backward<'_, '_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let Self { dy, from, channels, images, to, epilogue } = self;
        for image in 0..images {
            for pixel in 0..to.pixels() {
                let place = image * to.image() + to.pixel(pixel / to.width, pixel % to.width);
                for first in (0..to.channels).step_by(LANES) {
                    let mut values = [0.0; LANES];
                    for (value, channel) in values.iter_mut().zip(first..channels) {
                        *value = dy[image * from.image() + channel * to.pixels() + pixel];
                    }
                    // SAFETY: the instruction set by this function's contract; `input_gradient` checked the finish.
                    unsafe { epilogue.put(place + first, first, V::load(&values, 0)) }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_are_in_pytorchs_order_and_go_back_where_they_came_from() {
        for (height, width, given, halo) in [(2, 3, 5, 1), (1, 1, 16, 2), (3, 2, 20, 0), (1, 1, 3, 0)] {
            let layout = Layout { height, width, channels: given, halo }.whole_vectors();
            let flat = rows(&layout, given);
            let mut x = vec![0.0; 2 * layout.image()];
            let (pixels, features) = (height * width, height * width * given);
            for (image, x) in x.chunks_exact_mut(layout.image()).enumerate() {
                let values: Vec<f32> = (0..features).map(|at| (image * 1000 + at + 1) as f32).collect();
                layout.fill(&values, given, x);
            }
            for isa in Isa::available() {
                let mut y = vec![f32::NAN; 2 * flat.image()];
                forward(isa, &x, &layout, given, 2, &mut Epilogue::open(&mut y));
                for (at, value) in y.iter().enumerate() {
                    let (image, feature) = (at / flat.image(), at % flat.image());
                    if feature >= flat.channels {
                        continue;
                    }
                    let from = feature % pixels * given + feature / pixels;
                    let expected = if feature < features { (image * 1000 + from + 1) as f32 } else { 0.0 };
                    assert_eq!(*value, expected, "{isa:?} {layout:?} feature {feature}");
                }
                let mut back = vec![0.0; x.len()];
                input_gradient(isa, &y, given, 2, &layout, &mut Epilogue::open(&mut back));
                assert_eq!(back, x, "{isa:?} {layout:?}");
            }
        }
    }
}
