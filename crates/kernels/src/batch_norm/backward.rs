//! The gradients on `gamma`, `beta` and the values before normalisation.

use super::statistics::{Slopes, Statistics, Sums};
use super::{TOGETHER, check};
use crate::epilogue::{Epilogue, Source};
use crate::gradient::{Dense, Gradient, Pooled, check_source};
use crate::isa::Isa;
use crate::layout::{Layout, Places};
use crate::vector::{Kernel, LANES, Vector, run};

/// The sums of `g` and `g * yhat` over `images` images, for the gradient `g` on the normalised values (already through
/// what came after them; its layout is beside it) and the values `y` before.
///
/// # Panics
/// If a layout or a slice does not fit.
pub fn reduce(
    isa: Isa,
    (gradient, gradient_layout): (Source<'_>, &Layout),
    y: &[f32],
    layout: &Layout,
    images: usize,
    statistics: &Statistics,
) -> Sums {
    let (layout, gradient_layout) = (&layout.places(images), &gradient_layout.places(images));
    check(y, layout);
    statistics.check(layout);
    check_source(gradient, gradient_layout, layout);
    let mut all = Sums::none(layout.channels);
    let (mut sums, mut products) = (vec![0.0; layout.channels], vec![0.0; layout.channels]);
    for image in 0..images {
        let of = Image { y, layout, image, statistics };
        let (sums, products) = (&mut sums[..], &mut products[..]);
        match gradient {
            Source::Dense(values) => {
                run(isa, Reduce { of, gradient: Dense { values, layout: gradient_layout }, sums, products });
            }
            Source::Pooled(values, bits) => {
                let gradient = Pooled { values, bits, layout: gradient_layout };
                run(isa, Reduce { of, gradient, sums, products });
            }
        }
        all.count += layout.pixels();
        for channel in 0..layout.channels {
            all.gradient[channel] += f64::from(sums[channel]);
            all.product[channel] += f64::from(products[channel]);
        }
    }
    all
}

/// Hands the gradient on `y` to `epilogue` (layout `layout`), for the gradient `g` on the normalised values (its layout is
/// beside it). Without `y`, `epilogue` holds it where it writes.
///
/// # Panics
/// If a layout or a slice does not fit.
pub fn input_gradient(
    isa: Isa,
    (gradient, gradient_layout): (Source<'_>, &Layout),
    y: Option<&[f32]>,
    layout: &Layout,
    images: usize,
    (statistics, slopes): (&Statistics, &Slopes),
    epilogue: &mut Epilogue<'_>,
) {
    let (layout, gradient_layout) = (&layout.places(images), &gradient_layout.places(images));
    check(y.unwrap_or(epilogue.output), layout);
    statistics.check(layout);
    slopes.check(layout);
    check_source(gradient, gradient_layout, layout);
    epilogue.check(layout);
    match gradient {
        Source::Dense(values) => {
            let gradient = Dense { values, layout: gradient_layout };
            run(isa, InputGradient { y, layout, images, statistics, gradient, slopes, epilogue });
        }
        Source::Pooled(values, bits) => {
            let gradient = Pooled { values, bits, layout: gradient_layout };
            run(isa, InputGradient { y, layout, images, statistics, gradient, slopes, epilogue });
        }
    }
}

/// One image before normalisation.
#[derive(Clone, Copy)]
struct Image<'a> {
    y: &'a [f32],
    layout: &'a Places,
    image: usize,
    statistics: &'a Statistics,
}

/// Writes the sums of one image.
struct Reduce<'a, G> {
    of: Image<'a>,
    gradient: G,
    sums: &'a mut [f32],
    products: &'a mut [f32],
}

impl<G: Gradient> Kernel for Reduce<'_, G> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Vector>(mut self) {
        let mut channel = 0;
        while channel < self.of.layout.channels {
            // SAFETY: the instruction set by this function's contract; `reduce` checked the slices.
            unsafe {
                if self.of.layout.channels - channel >= TOGETHER * LANES {
                    self.channels::<V, TOGETHER>(channel);
                    channel += TOGETHER * LANES;
                } else {
                    self.channels::<V, 1>(channel);
                    channel += LANES;
                }
            }
        }
    }
}

impl<G: Gradient> Reduce<'_, G> {
    /// # Safety
    /// The processor has the instruction set of `V`; the channels exist.
    #[inline(always)]
    unsafe fn channels<V: Vector, const N: usize>(&mut self, channel: usize) {
        let Image { y, layout, image, statistics } = self.of;
        // SAFETY: as this function's.
        unsafe {
            let mut mean = [V::zero(); N];
            for (v, mean) in mean.iter_mut().enumerate() {
                *mean = V::load(&statistics.mean, channel + v * LANES);
            }
            let (mut sums, mut products) = ([V::zero(); N], [V::zero(); N]);
            for row in 0..layout.height {
                let mut at = image * layout.image() + layout.pixel(row, 0) + channel;
                let (mut row_sums, mut row_products) = ([V::zero(); N], [V::zero(); N]);
                for column in 0..layout.width {
                    let pixel = self.gradient.pixel(image, row, column);
                    for v in 0..N {
                        let g: V = self.gradient.load(pixel, channel + v * LANES);
                        let apart = V::load(y, at + v * LANES).sub(mean[v]);
                        row_sums[v] = row_sums[v].add(g);
                        row_products[v] = g.mul_add(apart, row_products[v]);
                    }
                    at += layout.channels;
                }
                for v in 0..N {
                    sums[v] = sums[v].add(row_sums[v]);
                    products[v] = products[v].add(row_products[v]);
                }
            }
            for v in 0..N {
                let at = channel + v * LANES;
                sums[v].store(self.sums, at);
                // The scale of `yhat` comes last: it is the same for all.
                products[v].mul(V::load(&statistics.inverse_std, at)).store(self.products, at);
            }
        }
    }
}

struct InputGradient<'a, 'b, G> {
    y: Option<&'a [f32]>,
    layout: &'a Places,
    images: usize,
    statistics: &'a Statistics,
    gradient: G,
    slopes: &'a Slopes,
    epilogue: &'a mut Epilogue<'b>,
}

impl<G: Gradient> Kernel for InputGradient<'_, '_, G> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let Self { y, layout, images, statistics, gradient, slopes, epilogue } = self;
        for image in 0..images {
            for row in 0..layout.height {
                let mut at = image * layout.image() + layout.pixel(row, 0);
                for column in 0..layout.width {
                    let pixel = gradient.pixel(image, row, column);
                    for channel in (0..layout.channels).step_by(LANES) {
                        // SAFETY: the instruction set by this function's contract; `input_gradient` checked the
                        // slices.
                        unsafe {
                            let g: V = gradient.load(pixel, channel);
                            let y = V::load(y.unwrap_or(epilogue.output), at + channel);
                            let apart = y.sub(V::load(&statistics.mean, channel));
                            let centred = g.sub(V::load(&slopes.mean, channel));
                            let straight = V::load(&slopes.slope, channel).mul_add(apart, centred);
                            epilogue.put(
                                at + channel,
                                channel,
                                V::load(&statistics.scale, channel).mul(straight),
                            );
                        }
                    }
                    at += layout.channels;
                }
            }
        }
    }
}
