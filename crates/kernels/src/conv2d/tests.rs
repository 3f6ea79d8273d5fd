//! Every implementation against the reference on every instruction set, the reference against finite differences.

mod rounded;

use super::few_channels::{self, FewChannels};
use super::implicit_gemm::{self, ImplicitGemm};
use super::winograd::weight_gradient::WeightGradient;
use super::winograd::{self, Ending, Winograd};
use super::{Geometry, reference, sparse, turn, weight_gradient};
use crate::aligned::Aligned;
use crate::epilogue::{Add, Epilogue, Gate, PooledEpilogue, Source};
use crate::factors::Factors;
use crate::isa::Isa;
use crate::layout::Layout;
use crate::vector::LANES;

fn geometry(
    input: [usize; 2],
    in_channels: usize,
    out_channels: usize,
    [kernel, stride, padding]: [usize; 3],
) -> Geometry {
    Geometry { input, in_channels, out_channels, kernel, stride, padding }
}

/// Awkward sizes: sides that no tile divides, strides, no padding, kernel as large as the image, few channels in.
fn geometries() -> Vec<Geometry> {
    vec![
        geometry([28, 28], 1, 16, [5, 1, 2]),
        geometry([28, 28], 1, 16, [4, 2, 1]),
        geometry([9, 7], 3, 48, [3, 1, 1]),
        geometry([8, 9], 2, 16, [4, 2, 1]),
        geometry([14, 14], 16, 32, [5, 1, 2]),
        geometry([14, 14], 16, 32, [4, 2, 1]),
        geometry([7, 8], 16, 32, [3, 2, 1]),
        geometry([8, 8], 32, 16, [3, 2, 1]),
        geometry([6, 5], 16, 48, [3, 1, 0]),
        geometry([5, 5], 32, 32, [1, 1, 0]),
        geometry([5, 4], 16, 16, [1, 2, 0]),
        geometry([3, 3], 16, 16, [3, 1, 0]),
        geometry([2, 2], 16, 16, [5, 1, 2]),
        geometry([7, 6], 16, 16, [2, 3, 1]),
        geometry([9, 10], 32, 16, [3, 1, 1]),
        geometry([4, 4], 16, 80, [3, 1, 1]),
        geometry([5, 13], 16, 16, [3, 1, 2]),
        geometry([9, 6], 16, 16, [5, 1, 4]),
        // One tile, and weights that are transformed when they are needed.
        geometry([4, 3], 160, 208, [3, 1, 1]),
    ]
}

/// Irregular numbers in (-1, 1), the same on every run.
fn noise(count: usize, salt: usize) -> Vec<f32> {
    (0..count).map(|i| (((i * 7919 + salt * 104_729) % 2003) as f32 / 1001.5) - 1.0).collect()
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&v| f64::from(v)).collect()
}

/// Each value within `bound` of the largest expected one.
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

/// A plain sum of up to a few hundred products in f32.
const DIRECT: f64 = 2e-6;
/// Winograd's transforms add and subtract up to eightfold values first, with eight points more of them: see
/// `winograd::transforms`. Networks as a whole are held to bounds that know nothing of it (`crates/models/tests/accuracy.rs`).
fn winograd_bound(g: &Geometry) -> f64 {
    if g.kernel == 3 { 1e-5 } else { 2e-5 }
}

const IMAGES: usize = 3;

/// Layouts of input and output with room for every implementation.
fn layouts(g: &Geometry) -> [Layout; 2] {
    let [height, width] = g.output();
    let halo = 4;
    [
        Layout { height: g.input[0], width: g.input[1], channels: g.in_channels, halo },
        Layout { height, width, channels: g.out_channels, halo },
    ]
}

/// `IMAGES` images in a layout, the halo zero.
fn place(layout: &Layout, images: &[Vec<f32>]) -> Vec<f32> {
    let mut buffer = vec![0.0; images.len() * layout.image()];
    for (image, buffer) in images.iter().zip(buffer.chunks_exact_mut(layout.image())) {
        layout.fill(image, layout.channels, buffer);
    }
    buffer
}

fn images(layout: &Layout, salt: usize) -> Vec<Vec<f32>> {
    (0..IMAGES).map(|image| noise(layout.pixels() * layout.channels, salt + 10 * image)).collect()
}

fn image(layout: &Layout, buffer: &[f32], image: usize) -> Vec<f32> {
    let mut pixels = vec![f32::NAN; layout.pixels() * layout.channels];
    layout.read(&buffer[image * layout.image()..][..layout.image()], layout.channels, &mut pixels);
    pixels
}

fn winograd(isa: Isa, g: &Geometry, weights: &[f32], x: &[f32], from: &Layout, to: &Layout) -> Vec<f32> {
    let mut y = vec![0.0; IMAGES * to.image()];
    let mut scratch = winograd::Scratch::default();
    let layer = Winograd::new(isa, *g, weights, Factors::F32);
    layer.convolve(
        Source::Dense(x),
        from,
        IMAGES,
        to,
        &mut Ending::Pixels(Epilogue::open(&mut y)),
        &mut scratch,
    );
    y
}

/// Outputs (`backward`: gradients on the input) of every implementation that can compute them.
fn all(
    isa: Isa,
    g: &Geometry,
    weights: &[f32],
    given: &[f32],
    backward: bool,
) -> Vec<(&'static str, Vec<f32>)> {
    let [x, y] = layouts(g);
    let (from, to) = if backward { (&y, &x) } else { (&x, &y) };
    let mut found = Vec::new();
    let whole = g.in_channels.is_multiple_of(LANES);
    if whole || !backward {
        let layer = if backward { ImplicitGemm::backward } else { ImplicitGemm::forward }(isa, g, weights);
        let mut output = vec![0.0; IMAGES * to.image()];
        let mut scratch = implicit_gemm::Scratch::default();
        layer.run(Source::Dense(given), from, IMAGES, to, &mut Epilogue::open(&mut output), &mut scratch);
        found.push(("implicit_gemm", output));
    }
    if winograd::supports(g) {
        let (g, weights) = if backward { turn(g, weights) } else { (*g, Aligned::from(weights)) };
        found.push(("winograd", winograd(isa, &g, &weights, given, from, to)));
    }
    if backward {
        let mut dx = vec![f32::NAN; IMAGES * to.image()];
        let (layer, mut scratch) = (FewChannels::new(isa, *g, weights), few_channels::Scratch::default());
        layer.run(Source::Dense(given), from, IMAGES, to, &mut dx, few_channels::Mode::Write, &mut scratch);
        found.push(("few_channels", dx));
    }
    found
}

#[test]
fn every_implementation_agrees_with_the_reference_on_every_instruction_set() {
    for g in geometries() {
        let weights = noise(g.taps() * g.out_channels, 2);
        let [x_layout, y_layout] = layouts(&g);
        let (xs, dys) = (images(&x_layout, 1), images(&y_layout, 4));
        for isa in Isa::available() {
            for (name, y) in all(isa, &g, &weights, &place(&x_layout, &xs), false) {
                let bound = if name == "winograd" { winograd_bound(&g) } else { DIRECT };
                for (at, x) in xs.iter().enumerate() {
                    let expected =
                        reference::forward(&g, &wide(&weights), &vec![0.0; g.out_channels], &wide(x));
                    assert_close(
                        &image(&y_layout, &y, at),
                        &expected,
                        bound,
                        &format!("{name} y {isa:?} {g:?}"),
                    );
                }
            }
            for (name, dx) in all(isa, &g, &weights, &place(&y_layout, &dys), true) {
                let bound = if name == "winograd" { winograd_bound(&g) } else { DIRECT };
                for (at, dy) in dys.iter().enumerate() {
                    let expected = reference::input_gradient(&g, &wide(&weights), &wide(dy));
                    assert_close(
                        &image(&x_layout, &dx, at),
                        &expected,
                        bound,
                        &format!("{name} dx {isa:?} {g:?}"),
                    );
                }
            }
        }
    }
}

/// The gradient on the weights from all images, task by task.
fn weight_gradient(isa: Isa, g: &Geometry, x: &[f32], dy: &[f32], images: usize, dw: &mut [f32]) {
    let [from, to] = layouts(g);
    let mut scratch = weight_gradient::Scratch::default();
    let mut tasks = weight_gradient::tasks(g);
    // In any order.
    tasks.reverse();
    for rows in tasks {
        let slice = &mut dw[rows.start * g.out_channels..rows.end * g.out_channels];
        weight_gradient::accumulate(isa, g, x, &from, dy, &to, images, rows, slice, &mut scratch);
    }
}

#[test]
fn weight_gradients_agree_with_the_reference_and_add_up() {
    for g in geometries() {
        let [from, to] = layouts(&g);
        let (xs, dys) = (images(&from, 1), images(&to, 4));
        let (x, dy) = (place(&from, &xs), place(&to, &dys));
        let mut expected = vec![0.0; g.taps() * g.out_channels];
        for (x, dy) in xs.iter().zip(&dys) {
            let part = reference::weight_gradient(&g, &wide(x), &wide(dy));
            expected.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
        }
        let mut fused = Vec::new();
        for isa in Isa::available() {
            let mut dw = vec![0.0; expected.len()];
            weight_gradient(isa, &g, &x, &dy, IMAGES, &mut dw);
            assert_close(&dw, &expected, DIRECT, &format!("dw {isa:?} {g:?}"));
            if isa.is_fused() {
                fused.push(dw);
            }
            let mut dw = vec![0.0; expected.len()];
            weight_gradient(isa, &g, &x, &dy, 1, &mut dw);
            weight_gradient(isa, &g, &x[from.image()..], &dy[to.image()..], IMAGES - 1, &mut dw);
            assert_close(&dw, &expected, DIRECT, &format!("dw in parts {isa:?} {g:?}"));
        }
        assert!(fused.windows(2).all(|pair| pair[0] == pair[1]), "{g:?}");
    }
}

#[test]
fn tasks_are_the_rows_of_a_weight_gradient_in_order() {
    for g in geometries() {
        let tasks = weight_gradient::tasks(&g);
        assert!(tasks.iter().all(|rows| !rows.is_empty() && rows.len() <= 56));
        assert_eq!(tasks.into_iter().flatten().collect::<Vec<_>>(), (0..g.taps()).collect::<Vec<_>>());
    }
}

/// The gradient on the weights by Winograd's transforms, `step` images at a time.
fn winograd_weight_gradient(
    isa: Isa,
    g: &Geometry,
    x: &[f32],
    dy: &[f32],
    images: usize,
    step: usize,
) -> Vec<f32> {
    let [from, to] = layouts(g);
    let mut sums = WeightGradient::new(isa, *g, None);
    let mut scratch = winograd::weight_gradient::Scratch::default();
    let [v_image, z_image] = sums.transformed();
    for first in (0..images).step_by(step) {
        let end = images.min(first + step);
        let (mut v, mut z) =
            (vec![f32::NAN; (end - first) * v_image], vec![f32::NAN; (end - first) * z_image]);
        // Image by image, as threads would.
        for ((image, v), z) in (first..end).zip(v.chunks_exact_mut(v_image)).zip(z.chunks_exact_mut(z_image))
        {
            sums.transform(x, &from, dy, &to, image..image + 1, v, z);
        }
        for product in sums.products_mut().iter_mut().rev() {
            product.accumulate(&v, &z, end - first, &mut scratch);
        }
    }
    let dw = sums.finish();
    let sums = WeightGradient::new(isa, *g, Some(sums));
    assert!(sums.finish().iter().all(|dw| *dw == 0.0));
    dw.to_vec()
}

#[test]
fn winograd_weight_gradients_agree_with_the_reference() {
    let cases = geometries().into_iter().filter(winograd::supports).map(|g| (g, IMAGES));
    // Errors do not grow with the number of images.
    let many = [geometry([8, 8], 16, 16, [3, 1, 1]), geometry([7, 6], 16, 16, [5, 1, 2])].map(|g| (g, 128));
    for (g, count) in cases.chain(many) {
        let [from, to] = layouts(&g);
        let draw = |layout: &Layout, salt: usize| -> Vec<Vec<f32>> {
            (0..count).map(|image| noise(layout.pixels() * layout.channels, salt + 10 * image)).collect()
        };
        let (xs, dys) = (draw(&from, 1), draw(&to, 4));
        let (x, dy) = (place(&from, &xs), place(&to, &dys));
        let mut expected = vec![0.0; g.taps() * g.out_channels];
        for (x, dy) in xs.iter().zip(&dys) {
            let part = reference::weight_gradient(&g, &wide(x), &wide(dy));
            expected.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
        }
        let mut fused = Vec::new();
        for isa in Isa::available() {
            for step in [1, 2, 50] {
                let dw = winograd_weight_gradient(isa, &g, &x, &dy, count, step);
                assert_close(&dw, &expected, winograd_bound(&g), &format!("dw by {step} {isa:?} {g:?}"));
                if isa.is_fused() && step == 2 {
                    fused.push(dw);
                }
            }
        }
        assert!(fused.windows(2).all(|pair| pair[0] == pair[1]), "{g:?}");
    }
}

#[test]
fn blocks_of_images_follow_from_the_geometry_and_fit_16_megabytes() {
    for (side, channels, images) in [(32, [64, 128], 4), (8, [256, 512], 37), (224, [64, 64], 1)] {
        for isa in Isa::available() {
            let g = geometry([side, side], channels[0], channels[1], [3, 1, 1]);
            let sums = WeightGradient::new(isa, g, None);
            assert_eq!(sums.images(), images);
            assert!(images == 1 || images * sums.transformed().iter().sum::<usize>() * 4 <= 16 << 20);
        }
    }
}

/// Machines with fused multiply-add agree bit for bit, and so does an image alone with one among others.
#[test]
fn results_depend_on_nothing_but_the_image() {
    for g in geometries() {
        let weights = noise(g.taps() * g.out_channels, 2);
        let [from, to] = layouts(&g);
        let xs = images(&from, 1);
        let fused: Vec<Isa> = Isa::available().into_iter().filter(|isa| isa.is_fused()).collect();
        let Some(&isa) = fused.first() else { return };
        let judge = all(isa, &g, &weights, &place(&from, &xs), false);
        for &other in &fused[1..] {
            for ((name, expected), (_, found)) in
                judge.iter().zip(all(other, &g, &weights, &place(&from, &xs), false))
            {
                assert!(*expected == found, "{name} {other:?} {g:?}");
            }
        }
        let turned: Vec<Vec<f32>> = xs.iter().rev().cloned().collect();
        for ((name, expected), (_, found)) in
            judge.iter().zip(all(isa, &g, &weights, &place(&from, &turned), false))
        {
            for at in 0..IMAGES {
                assert_eq!(image(&to, &found, IMAGES - 1 - at), image(&to, expected, at), "{name} {g:?}");
            }
        }
    }
}

/// Bias, summand, rectifier and pooling done on the way are what they are done apart.
#[test]
fn endings_are_what_they_are_done_apart() {
    let g = geometry([10, 9], 16, 32, [3, 1, 1]);
    let weights = noise(g.taps() * g.out_channels, 2);
    let [from, to] = layouts(&g);
    let (xs, bias, summand) = (images(&from, 1), noise(32, 7), place(&to, &images(&to, 8)));
    let x = place(&from, &xs);
    for isa in Isa::available() {
        let layer = Winograd::new(isa, g, &weights, Factors::F32);
        let mut scratch = winograd::Scratch::default();
        let plain = winograd(isa, &g, &weights, &x, &from, &to);
        let mut expected = plain.clone();
        let mut bits = vec![0; expected.len() / LANES];
        for image in 0..IMAGES {
            for pixel in 0..to.pixels() {
                let at = image * to.image() + to.pixel(pixel / to.width, pixel % to.width);
                for channel in 0..32 {
                    let value = plain[at + channel] + bias[channel] + summand[at + channel];
                    expected[at + channel] = value.max(0.0);
                    bits[(at + channel) / LANES] |= u16::from(value > 0.0) << (channel % LANES);
                }
            }
        }
        let (mut found, mut masks) = (vec![0.0; plain.len()], vec![0; bits.len()]);
        let epilogue = Epilogue {
            output: &mut found,
            bias: Some(&bias),
            add: Add::Values(&summand),
            gate: Gate::RectifyAndMask(&mut masks),
        };
        layer.convolve(Source::Dense(&x), &from, IMAGES, &to, &mut Ending::Pixels(epilogue), &mut scratch);
        assert_eq!(found, expected, "{isa:?}");
        assert_eq!(masks, bits, "{isa:?}");

        // Once more onto what stands there, through the masks.
        let epilogue =
            Epilogue { output: &mut found, bias: None, add: Add::Output, gate: Gate::Masked(&masks) };
        layer.convolve(Source::Dense(&x), &from, IMAGES, &to, &mut Ending::Pixels(epilogue), &mut scratch);
        for (at, value) in found.iter().enumerate() {
            let marked = bits[at / LANES] >> (at % LANES) & 1 == 1;
            assert_eq!(*value, if marked { plain[at] + expected[at] } else { 0.0 }, "{isa:?}");
        }
    }
}

#[test]
fn pooling_on_the_way_gives_the_gradient_to_the_first_largest() {
    for (side, kernel) in [([10, 9], 3), ([10, 9], 5), ([8, 12], 3), ([7, 6], 5)] {
        let g = geometry(side, 16, 16, [kernel, 1, kernel / 2]);
        // Few different values, so that there are ties.
        let coarse = |values: Vec<f32>| values.into_iter().map(|v| (v * 2.0).round()).collect::<Vec<f32>>();
        let weights = coarse(noise(g.taps() * 16, 2));
        let [from, to] = layouts(&g);
        let xs: Vec<Vec<f32>> = images(&from, 1).into_iter().map(coarse).collect();
        let (x, bias) = (place(&from, &xs), coarse(noise(16, 7)));
        let pooled = Layout { height: g.output()[0] / 2, width: g.output()[1] / 2, ..to };
        for isa in Isa::available() {
            let plain = winograd(isa, &g, &weights, &x, &from, &to);
            let (mut found, mut bits) =
                (vec![0.0; IMAGES * pooled.image()], vec![[0; 4]; IMAGES * pooled.image() / LANES]);
            let epilogue = PooledEpilogue { output: &mut found, bias: Some(&bias), bits: Some(&mut bits) };
            let layer = Winograd::new(isa, g, &weights, Factors::F32);
            let mut scratch = winograd::Scratch::default();
            let mut ending = Ending::Pooled(epilogue, pooled);
            layer.convolve(Source::Dense(&x), &from, IMAGES, &to, &mut ending, &mut scratch);
            // Gradient 1, 2, 3, ... on the pooled values, unpooled here and read through the bits there.
            let dys: Vec<Vec<f32>> = images(&pooled, 30);
            let dy = place(&pooled, &dys);
            let mut unpooled = vec![0.0; IMAGES * to.image()];
            for image in 0..IMAGES {
                for window in 0..pooled.pixels() {
                    let (row, column) = (window / pooled.width, window % pooled.width);
                    let at = image * pooled.image() + pooled.pixel(row, column);
                    for channel in 0..16 {
                        let place = |p: usize| {
                            image * to.image() + to.pixel(2 * row + p / 2, 2 * column + p % 2) + channel
                        };
                        let values = [0, 1, 2, 3].map(|p| (plain[place(p)] + bias[channel]).max(0.0));
                        let largest = values.iter().fold(0.0_f32, |m, v| m.max(*v));
                        assert_eq!(found[at + channel], largest, "{isa:?} {g:?}");
                        if largest > 0.0 {
                            let first = values.iter().position(|v| *v == largest).unwrap();
                            unpooled[place(first)] = dy[at + channel];
                        }
                    }
                }
            }
            let (turned, back) = turn(&g, &weights);
            let layer = Winograd::new(isa, turned, &back, Factors::F32);
            let expected = winograd(isa, &turned, &back, &unpooled, &to, &from);
            let mut dx = vec![0.0; IMAGES * from.image()];
            let source = Source::Pooled(&dy, &bits);
            let mut ending = Ending::Pixels(Epilogue::open(&mut dx));
            layer.convolve(source, &pooled, IMAGES, &from, &mut ending, &mut scratch);
            assert_eq!(dx, expected, "{isa:?} {g:?}");
        }
    }
}

/// Of a pooled gradient of which hardly any value is not 0.
#[test]
fn sparse_gradients_agree_with_the_reference() {
    for (sides, channels, kernel) in [([8, 8], [64, 16], 3), ([6, 10], [32, 48], 3), ([4, 4], [32, 16], 5)] {
        let g = geometry(sides, channels[0], channels[1], [kernel, 1, kernel / 2]);
        let weights = noise(g.taps() * g.out_channels, 2);
        let [from, to] = layouts(&g);
        let pooled = Layout { height: sides[0] / 2, width: sides[1] / 2, ..to };
        let mut dys = vec![vec![0.0; pooled.pixels() * g.out_channels]; IMAGES];
        let mut bits = vec![[0_u16; 4]; IMAGES * pooled.image() / LANES];
        let mut dense = vec![vec![0.0; g.output_len()]; IMAGES];
        for image in 0..IMAGES {
            for channel in 0..g.out_channels {
                // One window and one place in it for each channel of each image; some channels have none.
                let (window, place) = ((channel * 7 + image) % pooled.pixels(), (channel + image) % 5);
                let value = noise(1, channel + 50 * image)[0];
                let (row, column) = (window / pooled.width, window % pooled.width);
                dys[image][window * g.out_channels + channel] = value;
                if place < 4 {
                    let at = image * pooled.image() + pooled.pixel(row, column) + channel;
                    bits[at / LANES][place] |= 1 << (at % LANES);
                    let pixel = (2 * row + place / 2) * sides[1] + 2 * column + place % 2;
                    dense[image][pixel * g.out_channels + channel] = value;
                }
            }
        }
        let dy = place(&pooled, &dys);
        let mut fused = Vec::new();
        for isa in Isa::available() {
            let layer = sparse::Sparse::new(isa, g, &weights);
            let mut dx = vec![0.0; IMAGES * from.image()];
            let mut scratch = sparse::Scratch::default();
            layer.run((&dy, &bits), &pooled, IMAGES, &from, &mut Epilogue::open(&mut dx), &mut scratch);
            for (at, dy) in dense.iter().enumerate() {
                let expected = reference::input_gradient(&g, &wide(&weights), &wide(dy));
                assert_close(&image(&from, &dx, at), &expected, DIRECT, &format!("{isa:?} {g:?}"));
            }
            if isa.is_fused() {
                fused.push(dx);
            }
        }
        assert!(fused.windows(2).all(|pair| pair[0] == pair[1]), "{g:?}");
    }
}

/// The convolution is linear in `x` and in `w`, so the differences are exact up to rounding.
#[test]
fn the_reference_has_true_gradients() {
    for g in geometries() {
        let (x, w) = (wide(&noise(g.input_len(), 1)), wide(&noise(g.taps() * g.out_channels, 2)));
        let (bias, dy) = (vec![0.5; g.out_channels], wide(&noise(g.output_len(), 4)));
        let value = |x: &[f64], w: &[f64]| -> f64 {
            reference::forward(&g, w, &bias, x).iter().zip(&dy).map(|(y, d)| y * d).sum()
        };
        let moved = |values: &[f64], direction: &[f64], h: f64| -> Vec<f64> {
            values.iter().zip(direction).map(|(v, d)| v + h * d).collect()
        };
        let dot = |a: &[f64], b: &[f64]| -> f64 { a.iter().zip(b).map(|(a, b)| a * b).sum() };

        let direction = wide(&noise(x.len(), 5));
        let slope = (value(&moved(&x, &direction, 0.5), &w) - value(&moved(&x, &direction, -0.5), &w)) / 1.0;
        let claimed = dot(&reference::input_gradient(&g, &w, &dy), &direction);
        assert!((slope - claimed).abs() <= 1e-8 * claimed.abs().max(1.0), "dx {g:?}: {claimed} {slope}");

        let direction = wide(&noise(w.len(), 6));
        let slope = (value(&x, &moved(&w, &direction, 0.5)) - value(&x, &moved(&w, &direction, -0.5))) / 1.0;
        let claimed = dot(&reference::weight_gradient(&g, &x, &dy), &direction);
        assert!((slope - claimed).abs() <= 1e-8 * claimed.abs().max(1.0), "dw {g:?}: {claimed} {slope}");
    }
}

#[test]
fn a_kernel_that_does_not_fit_has_no_output() {
    assert_eq!(geometry([2, 3], 1, 1, [4, 1, 0]).output(), [0, 0]);
}
