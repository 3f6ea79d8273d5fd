//! Multiplication and addition per channel, and plain copies, that finish like any other layer: a batch norm with fixed
//! statistics that no convolution can take into its weights, a sum of two branches, a rectifier alone.

use crate::aligned::Aligned;
use crate::epilogue::{Bits, Epilogue, Source, check_values};
use crate::gradient::{Gradient, Pooled, check_source};
use crate::isa::Isa;
use crate::layout::{Layout, Places};
use crate::vector::{Kernel, LANES, Vector, run};

/// `scale * x + shift` per channel.
#[derive(Debug, Clone)]
pub struct Affine {
    channels: usize,
    scale: Aligned,
    shift: Aligned,
}

impl Affine {
    /// One factor and one summand for each channel; those that fill up a vector are 0.
    ///
    /// # Panics
    /// If there are not as many factors as summands.
    pub fn new(scale: &[f32], shift: &[f32]) -> Self {
        assert_eq!(scale.len(), shift.len(), "factors and summands");
        Self { channels: scale.len(), scale: Aligned::from(scale), shift: Aligned::from(shift) }
    }

    /// The factors.
    pub fn scale(&self) -> &[f32] {
        &self.scale[..self.channels]
    }

    /// The summands.
    pub fn shift(&self) -> &[f32] {
        &self.shift[..self.channels]
    }

    /// Hands `scale * x + shift` to `epilogue` for every pixel of `images` images.
    ///
    /// # Panics
    /// If a slice does not fit the layout.
    pub fn apply(&self, isa: Isa, x: &[f32], layout: &Layout, images: usize, epilogue: &mut Epilogue<'_>) {
        each(isa, x, Some(&self.scale), Some(&self.shift), layout, images, epilogue);
    }

    /// Hands `scale * dy`, the gradient on `x`, to `epilogue` for every pixel of `images` images.
    ///
    /// # Panics
    /// If a slice does not fit the layout.
    pub fn input_gradient(
        &self,
        isa: Isa,
        dy: &[f32],
        layout: &Layout,
        images: usize,
        epilogue: &mut Epilogue<'_>,
    ) {
        each(isa, dy, Some(&self.scale), None, layout, images, epilogue);
    }
}

/// Hands `x` itself to `epilogue` for every pixel of `images` images.
///
/// # Panics
/// If a slice does not fit the layout.
pub fn copy(isa: Isa, x: &[f32], layout: &Layout, images: usize, epilogue: &mut Epilogue<'_>) {
    each(isa, x, None, None, layout, images, epilogue);
}

/// Writes the gradients of a pooling that was taken along ([`crate::epilogue::PooledEpilogue`]) to their places: `pooled`
/// (layout `from`) to `dense` (layout `to`), 0 elsewhere.
///
/// # Panics
/// If a slice does not fit its layout, or the layouts each other.
pub fn unpool(
    isa: Isa,
    (pooled, bits): (&[f32], &[[Bits; 4]]),
    from: &Layout,
    images: usize,
    to: &Layout,
    dense: &mut [f32],
) {
    let (layout, to) = (&from.places(images), &to.places(images));
    check_source(Source::Pooled(pooled, bits), layout, to);
    check_values(dense, to);
    run(isa, Unpool { gradient: Pooled { values: pooled, bits, layout }, images, to, dense });
}

struct Unpool<'a> {
    gradient: Pooled<'a>,
    images: usize,
    to: &'a Places,
    dense: &'a mut [f32],
}

impl Kernel for Unpool<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let Self { gradient, images, to, dense } = self;
        for image in 0..images {
            for row in 0..to.height {
                for column in 0..to.width {
                    let (from, at) =
                        (gradient.pixel(image, row, column), image * to.image() + to.pixel(row, column));
                    for channel in (0..to.channels).step_by(LANES) {
                        // SAFETY: the instruction set by this function's contract; `unpool` checked every slice.
                        unsafe { gradient.load::<V>(from, channel).store(dense, at + channel) }
                    }
                }
            }
        }
    }
}

/// Hands `scale * x + shift` (1 and 0 where there is none) to `epilogue` for every pixel of `images` images.
///
/// # Panics
/// If a slice does not fit the layout.
pub(crate) fn each(
    isa: Isa,
    x: &[f32],
    scale: Option<&[f32]>,
    shift: Option<&[f32]>,
    layout: &Layout,
    images: usize,
    epilogue: &mut Epilogue<'_>,
) {
    let layout = &layout.places(images);
    layout.assert_whole_vectors();
    check_values(x, layout);
    for factors in [scale, shift].into_iter().flatten() {
        assert!(factors.len() >= layout.channels, "{} factors for {:?}", factors.len(), **layout);
    }
    epilogue.check(layout);
    run(isa, Each { x, scale, shift, layout, images, epilogue });
}

struct Each<'a, 'b> {
    x: &'a [f32],
    scale: Option<&'a [f32]>,
    shift: Option<&'a [f32]>,
    layout: &'a Places,
    images: usize,
    epilogue: &'a mut Epilogue<'b>,
}

impl Kernel for Each<'_, '_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let Self { x, scale, shift, layout, images, epilogue } = self;
        for image in 0..images {
            for row in 0..layout.height {
                let start = image * layout.image() + layout.pixel(row, 0);
                for pixel in 0..layout.width {
                    let start = start + pixel * layout.channels;
                    for channel in (0..layout.channels).step_by(LANES) {
                        // SAFETY: the instruction set by this function's contract; `each` checked every slice.
                        unsafe {
                            let mut value = V::load(x, start + channel);
                            if let Some(scale) = scale {
                                let shift = match shift {
                                    Some(shift) => V::load(shift, channel),
                                    None => V::zero(),
                                };
                                value = V::load(scale, channel).mul_add(value, shift);
                            }
                            epilogue.put(start + channel, channel, value);
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::epilogue::{Add, Gate};

    #[test]
    fn every_pixel_is_scaled_and_the_halo_left() {
        let layout = Layout { height: 2, width: 3, channels: 32, halo: 1 };
        let x: Vec<f32> = (0..2 * layout.image()).map(|i| (i % 97) as f32 - 40.0).collect();
        let (scale, shift): (Vec<f32>, Vec<f32>) = (0..20).map(|c| (c as f32 - 7.0, 0.5 * c as f32)).unzip();
        let affine = Affine::new(&scale, &shift);
        assert_eq!((affine.scale(), affine.shift()), (&*scale, &*shift));
        let inner: Vec<usize> =
            (0..6).flat_map(|p| (0..32).map(move |c| layout.pixel(p / 3, p % 3) + c)).collect();
        for isa in Isa::available() {
            let [mut forward, mut back, mut copied] = [(); 3].map(|()| vec![7.0; x.len()]);
            let epilogue = |output| Epilogue { output, bias: None, add: Add::Nothing, gate: Gate::Open };
            affine.apply(isa, &x, &layout, 2, &mut epilogue(&mut forward));
            affine.input_gradient(isa, &x, &layout, 2, &mut epilogue(&mut back));
            copy(isa, &x, &layout, 2, &mut epilogue(&mut copied));
            for at in 0..x.len() {
                let within = at % layout.image();
                if !inner.contains(&within) {
                    assert_eq!([forward[at], back[at], copied[at]], [7.0; 3], "halo {isa:?}");
                    continue;
                }
                let channel = within % 32;
                let (a, b) = (scale.get(channel).unwrap_or(&0.0), shift.get(channel).unwrap_or(&0.0));
                assert_eq!([forward[at], back[at], copied[at]], [a * x[at] + b, a * x[at], x[at]], "{isa:?}");
            }
        }
    }
}
