//! Every pass against the reference on every instruction set, the reference against finite differences.

use super::*;
use crate::affine::Affine;
use crate::epilogue::{Add, Epilogue, Gate, PooledEpilogue, Source};
use crate::isa::Isa;
use crate::layout::Layout;
use crate::vector::LANES;

fn noise(count: usize, salt: usize) -> Vec<f32> {
    (0..count).map(|i| (((i * 7919 + salt * 104_729) % 2003) as f32 / 1001.5) - 1.0).collect()
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&v| f64::from(v)).collect()
}

#[track_caller]
fn assert_close(found: &[f32], expected: &[f64], bound: f64, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let scale = expected.iter().fold(1e-30_f64, |m, v| m.max(v.abs()));
    for (at, (f, e)) in found.iter().zip(expected).enumerate() {
        assert!(
            (f64::from(*f) - e).abs() <= bound * scale,
            "{what}[{at}]: {f} instead of {e} (scale {scale})"
        );
    }
}

fn narrow(values: &[f64]) -> Vec<f32> {
    values.iter().map(|&v| v as f32).collect()
}

const IMAGES: usize = 5;

/// Odd sides, one pixel, channels of every grouping.
fn layouts() -> Vec<Layout> {
    [(1, 1, 16, 0), (5, 4, 80, 1), (7, 3, 48, 2), (4, 6, 64, 0), (2, 2, 144, 1)]
        .map(|(height, width, channels, halo)| Layout { height, width, channels, halo })
        .to_vec()
}

/// Pixels of all images in a buffer whose halo must not be read.
fn place(layout: &Layout, pixels: &[f32]) -> Vec<f32> {
    let mut buffer = vec![f32::NAN; IMAGES * layout.image()];
    let len = layout.pixels() * layout.channels;
    for (pixels, image) in pixels.chunks_exact(len).zip(buffer.chunks_exact_mut(layout.image())) {
        layout.fill(pixels, layout.channels, image);
    }
    buffer
}

fn read(layout: &Layout, buffer: &[f32]) -> Vec<f32> {
    let len = layout.pixels() * layout.channels;
    let mut pixels = vec![f32::NAN; IMAGES * len];
    for (pixels, image) in pixels.chunks_exact_mut(len).zip(buffer.chunks_exact(layout.image())) {
        layout.read(image, layout.channels, pixels);
    }
    pixels
}

/// A batch before normalisation: each channel with a mean and a spread of its own.
fn batch(layout: &Layout) -> Vec<f32> {
    let noise = noise(IMAGES * layout.pixels() * layout.channels, 1);
    let c = layout.channels;
    noise.iter().enumerate().map(|(at, y)| y * (1 + at % c % 5) as f32 + (at % c % 7) as f32 - 3.0).collect()
}

fn parameters(channels: usize) -> (Vec<f32>, Vec<f32>) {
    (noise(channels, 2).iter().map(|v| v + 0.5).collect(), noise(channels, 3))
}

/// Moments of groups of images, joined in order.
fn joined(isa: Isa, y: &[f32], layout: &Layout) -> Moments {
    let mut all = Moments::none(layout.channels);
    for (first, images) in [(0, 2), (2, 1), (3, 2)] {
        all.join(&moments(isa, &y[first * layout.image()..], layout, images));
    }
    all
}

#[test]
fn a_training_step_agrees_with_the_reference() {
    for layout in layouts() {
        let (c, to) = (layout.channels, Layout { halo: layout.halo + 1, ..layout });
        let (pixels, (gamma, beta)) = (batch(&layout), parameters(c));
        let (y, gradient) = (place(&layout, &pixels), noise(pixels.len(), 9));
        let (mean, variance) = reference::moments(&wide(&pixels), c);
        let (dy, dgamma, dbeta) = reference::backward(&wide(&pixels), &wide(&gamma), &wide(&gradient));
        let mut fused = Vec::new();
        for isa in Isa::available() {
            let what = format!("{isa:?} {layout:?}");
            let all = joined(isa, &y, &layout);
            assert_eq!(all.count, IMAGES * layout.pixels());
            assert_close(&narrow(&all.mean), &mean, 1e-6, &what);
            let found: Vec<f64> = all.square.iter().map(|square| square / all.count as f64).collect();
            assert_close(&narrow(&found), &variance, 1e-6, &what);

            let statistics = Statistics::of(&all, &gamma, &beta);
            let mut z = vec![0.0; y.len()];
            normalize(isa, &y, &layout, IMAGES, &statistics, &mut Epilogue::open(&mut z));
            let expected = reference::forward(&wide(&pixels), &wide(&gamma), &wide(&beta));
            assert_close(&read(&layout, &z), &expected, 1e-6, &what);

            let g = place(&to, &gradient);
            let mut sums = Sums::none(c);
            for (first, images) in [(0, 3), (3, 2)] {
                let (g, y) = (&g[first * to.image()..], &y[first * layout.image()..]);
                sums.join(&reduce(isa, (Source::Dense(g), &to), y, &layout, images, &statistics));
            }
            assert_close(&narrow(&sums.product), &dgamma, 2e-6, &what);
            assert_close(&narrow(&sums.gradient), &dbeta, 2e-6, &what);

            let slopes = Slopes::of(&sums, &statistics);
            let mut found = vec![7.0; IMAGES * layout.image()];
            let (source, norm) = ((Source::Dense(&g[..]), &to), (&statistics, &slopes));
            input_gradient(isa, source, Some(&y), &layout, IMAGES, norm, &mut Epilogue::open(&mut found));
            assert_close(&read(&layout, &found), &dy, 3e-6, &what);
            let written = IMAGES * layout.pixels() * c;
            assert_eq!(
                found.iter().filter(|v| **v == 7.0).count(),
                found.len() - written,
                "the halo is left alone"
            );
            let mut in_place = y.clone();
            input_gradient(isa, source, None, &layout, IMAGES, norm, &mut Epilogue::open(&mut in_place));
            assert_eq!(read(&layout, &in_place), read(&layout, &found), "{what}");
            if isa.is_fused() {
                fused.push((z, found));
            }
        }
        assert!(fused.windows(2).all(|pair| pair[0] == pair[1]), "{layout:?}");
    }
}

#[test]
fn pooled_values_and_gradients_are_those_done_apart() {
    for layout in layouts().into_iter().filter(|layout| layout.height > 1) {
        let (c, pixels) = (layout.channels, batch(&layout));
        let pooled = Layout { height: layout.height / 2, width: layout.width / 2, halo: 1, ..layout };
        let y = place(&layout, &pixels);
        let (gamma, beta) = parameters(c);
        for isa in Isa::available() {
            let statistics = Statistics::of(&joined(isa, &y, &layout), &gamma, &beta);
            let mut z = vec![0.0; y.len()];
            normalize(isa, &y, &layout, IMAGES, &statistics, &mut Epilogue::open(&mut z));
            let len = IMAGES * pooled.image();
            let (mut found, mut bits) = (vec![0.0; len], vec![[0; 4]; len / LANES]);
            let mut epilogue = PooledEpilogue { output: &mut found, bias: None, bits: Some(&mut bits) };
            normalize_pooled(isa, &y, &layout, IMAGES, &statistics, &pooled, &mut epilogue);

            let g = place(&pooled, &noise(IMAGES * pooled.pixels() * c, 11));
            let mut unpooled = vec![0.0; y.len()];
            for image in 0..IMAGES {
                for window in 0..pooled.pixels() {
                    let (row, column) = (window / pooled.width, window % pooled.width);
                    for channel in 0..c {
                        let place = |p: usize| {
                            image * layout.image()
                                + layout.pixel(2 * row + p / 2, 2 * column + p % 2)
                                + channel
                        };
                        let at = image * pooled.image() + pooled.pixel(row, column) + channel;
                        let values = [0, 1, 2, 3].map(|p| z[place(p)].max(0.0));
                        let largest = values.iter().fold(0.0_f32, |m, v| m.max(*v));
                        assert_eq!(found[at], largest, "{isa:?} {layout:?}");
                        if largest > 0.0 {
                            unpooled[place(values.iter().position(|v| *v == largest).unwrap())] = g[at];
                        }
                    }
                }
            }
            let sources = [(Source::Pooled(&g, &bits), &pooled), (Source::Dense(&unpooled), &layout)];
            let results = sources.map(|source| {
                let sums = reduce(isa, source, &y, &layout, IMAGES, &statistics);
                let mut dy = vec![0.0; y.len()];
                let slopes = Slopes::of(&sums, &statistics);
                let norm = (&statistics, &slopes);
                input_gradient(isa, source, Some(&y), &layout, IMAGES, norm, &mut Epilogue::open(&mut dy));
                (sums, dy)
            });
            assert_eq!(results[0], results[1], "{isa:?} {layout:?}");
        }
    }
}

#[test]
fn frozen_statistics_are_an_affine_map() {
    let layout = Layout { height: 3, width: 5, channels: 48, halo: 1 };
    let (pixels, (gamma, beta)) = (batch(&layout), parameters(48));
    let (mean, variance) = (noise(48, 20), noise(48, 21).iter().map(|v| v + 1.5).collect::<Vec<_>>());
    let statistics = Statistics::running(&gamma, &beta, &mean, &variance);
    let value = |at: usize, y: f64, centre: bool| {
        let (channel, wide) = (at % 48, f64::from);
        let a = wide(gamma[channel]) / (wide(variance[channel]) + EPS).sqrt();
        if centre { a * (y - wide(mean[channel])) + wide(beta[channel]) } else { a * y }
    };
    for isa in Isa::available() {
        let y = place(&layout, &pixels);
        let mut z = vec![0.0; y.len()];
        let mut masks = vec![0; y.len() / LANES];
        let gate = Gate::RectifyAndMask(&mut masks);
        let mut epilogue = Epilogue { output: &mut z, bias: None, add: Add::Nothing, gate };
        normalize(isa, &y, &layout, IMAGES, &statistics, &mut epilogue);
        let expected: Vec<f64> =
            wide(&pixels).iter().enumerate().map(|(at, y)| value(at, *y, true).max(0.0)).collect();
        assert_close(&read(&layout, &z), &expected, 1e-6, "z");
        let mut dy = vec![0.0; y.len()];
        let affine = Affine::new(&statistics.scale, &statistics.shift);
        affine.input_gradient(isa, &y, &layout, IMAGES, &mut Epilogue::open(&mut dy));
        let expected: Vec<f64> =
            wide(&pixels).iter().enumerate().map(|(at, y)| value(at, *y, false)).collect();
        assert_close(&read(&layout, &dy), &expected, 1e-6, "dy");
    }
}

/// A mean a thousand times the spread, where sums of squares would lose everything.
#[test]
fn the_spread_is_found_beside_a_large_mean() {
    let layout = Layout { height: 32, width: 32, channels: 16, halo: 1 };
    let pixels: Vec<f32> =
        noise(IMAGES * layout.pixels() * 16, 1).iter().map(|v| 1000.0 + v * 3.0_f32.sqrt()).collect();
    let (mean, variance) = reference::moments(&wide(&pixels), 16);
    for isa in Isa::available() {
        let all = joined(isa, &place(&layout, &pixels), &layout);
        for channel in 0..16 {
            let std = (all.square[channel] / all.count as f64).sqrt();
            assert!((std / variance[channel].sqrt() - 1.0).abs() < 1e-5, "{isa:?}: {std}");
            assert!((all.mean[channel] / mean[channel] - 1.0).abs() < 1e-9, "{isa:?}");
        }
    }
}

#[test]
fn running_statistics_move_as_in_pytorch() {
    // Two pixels -1 and 3: mean 1, unbiased variance 8.
    let all = Moments { count: 2, mean: vec![1.0], square: vec![8.0] };
    let (mut mean, mut variance) = ([0.0], [1.0]);
    all.update_running(&mut mean, &mut variance);
    assert_eq!((mean, variance), ([0.1], [1.7]));
}

#[test]
fn the_reference_has_true_gradients() {
    let (c, n) = (3, 7);
    let (y, g) = (wide(&noise(n * c, 1)), wide(&noise(n * c, 2)));
    let (gamma, beta) = (wide(&noise(c, 3)), wide(&noise(c, 4)));
    let value = |y: &[f64], gamma: &[f64], beta: &[f64]| -> f64 {
        reference::forward(y, gamma, beta).iter().zip(&g).map(|(z, g)| z * g).sum()
    };
    let (dy, dgamma, dbeta) = reference::backward(&y, &gamma, &g);
    let h = 1e-5;
    let slope = |values: &[f64], at: usize, value: &dyn Fn(&[f64]) -> f64| {
        let (mut above, mut below) = (values.to_vec(), values.to_vec());
        above[at] += h;
        below[at] -= h;
        (value(&above) - value(&below)) / (2.0 * h)
    };
    let check = |claimed: f64, slope: f64, what: &str| {
        assert!((claimed - slope).abs() < 1e-7 * claimed.abs().max(1.0), "{what}: {claimed} {slope}");
    };
    (0..n * c).for_each(|at| check(dy[at], slope(&y, at, &|y| value(y, &gamma, &beta)), "dy"));
    (0..c).for_each(|at| check(dgamma[at], slope(&gamma, at, &|gamma| value(&y, gamma, &beta)), "dgamma"));
    (0..c).for_each(|at| check(dbeta[at], slope(&beta, at, &|beta| value(&y, &gamma, beta)), "dbeta"));
}
