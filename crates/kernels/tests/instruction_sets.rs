//! Every kernel on every instruction set of the machine: with fused multiply-add the results are the same bit for
//! bit, without it they are near.

use robin_kernels::affine::{self, Affine};
use robin_kernels::batch_norm::{self, Slopes, Statistics};
use robin_kernels::conv2d::packed::{Directions, Gradients, Packed, Scratch};
use robin_kernels::conv2d::winograd::weight_gradient::WeightGradient;
use robin_kernels::conv2d::{Geometry, weight_gradient};
use robin_kernels::epilogue::{Add, Bits, Epilogue, Gate, PooledEpilogue, Source};
use robin_kernels::factors::Factors;
use robin_kernels::isa::Isa;
use robin_kernels::layout::Layout;
use robin_kernels::{LANES, avg_pool2d, bias_gradient, flatten, linear, max_pool2d};
use robin_testkit::assert_close;

const IMAGES: usize = 2;

/// Whole vectors, more than one, and sides that no tile divides.
const X: Layout = Layout { height: 9, width: 6, channels: 32, halo: 2 };
/// After 2x2 pooling.
const HALVES: Layout = Layout { height: 4, width: 3, ..X };
/// After a stride of 2.
const STRIDED: Layout = Layout { height: 5, ..HALVES };
/// What a network begins with.
const FEW: Layout = Layout { channels: 3, ..X };

/// Irregular numbers in (-1, 1) at the pixels of a layout.
fn images(layout: &Layout, salt: usize) -> Vec<f32> {
    let mut buffer = vec![0.0; IMAGES * layout.image()];
    for (at, image) in buffer.chunks_exact_mut(layout.image()).enumerate() {
        layout.fill(&noise(layout.pixels() * layout.channels, salt + 10 * at), layout.channels, image);
    }
    buffer
}

fn noise(count: usize, salt: usize) -> Vec<f32> {
    (0..count).map(|i| (((i * 7919 + salt * 104_729) % 2003) as f32 / 1001.5) - 1.0).collect()
}

fn geometry(in_channels: usize, kernel: usize, stride: usize) -> Geometry {
    let input = [X.height, X.width];
    Geometry { input, in_channels, out_channels: 32, kernel, stride, padding: kernel / 2 }
}

/// An instruction set, and what products multiply.
type How = (Isa, Factors);

fn packed((isa, factors): How, g: &Geometry, gradients: Gradients) -> Packed {
    Packed::new(isa, *g, &noise(g.taps() * g.out_channels, 2), gradients, Directions::Both, factors)
}

fn forward(how: How, g: &Geometry, from: &Layout, to: &Layout) -> Vec<f32> {
    let (bias, summand, mut y) = (noise(32, 3), images(to, 4), vec![0.0; IMAGES * to.image()]);
    let epilogue =
        Epilogue { output: &mut y, bias: Some(&bias), add: Add::Values(&summand), gate: Gate::Rectify };
    packed(how, g, Gradients::Dense).forward(
        &images(from, 1),
        from,
        IMAGES,
        to,
        epilogue,
        &mut Scratch::default(),
    );
    y
}

fn backward(how: How, g: &Geometry, from: &Layout, to: &Layout) -> Vec<f32> {
    backward_of(&images(to, 5), how, g, from, to)
}

fn backward_of(dy: &[f32], how: How, g: &Geometry, from: &Layout, to: &Layout) -> Vec<f32> {
    let mut dx = vec![0.0; IMAGES * from.image()];
    let (epilogue, mut scratch) = (Epilogue::open(&mut dx), Scratch::default());
    packed(how, g, Gradients::Dense).input_gradient(
        Source::Dense(dy),
        to,
        IMAGES,
        from,
        epilogue,
        &mut scratch,
    );
    dx
}

/// Pooled values of a 3x3 convolution, and where each came from.
fn pooled(how: How) -> (Vec<f32>, Vec<[Bits; 4]>) {
    let (bias, len) = (noise(32, 3), IMAGES * HALVES.image());
    let (mut y, mut bits) = (vec![0.0; len], vec![[0; 4]; len / LANES]);
    let epilogue = PooledEpilogue { output: &mut y, bias: Some(&bias), bits: Some(&mut bits) };
    let (layer, x) = (packed(how, &geometry(32, 3, 1), Gradients::Dense), images(&X, 1));
    layer.forward_pooled(&x, &X, IMAGES, &X, &HALVES, epilogue, &mut Scratch::default());
    (y, bits)
}

/// Gradient through that pooling and its convolution, for few gradients that are not 0.
fn below_pooling(how: How, gradients: Gradients) -> Vec<f32> {
    let (bits, dy) = (pooled(how).1, few_gradients());
    let (source, mut dx) = (Source::Pooled(&dy, &bits), vec![0.0; IMAGES * X.image()]);
    let (epilogue, mut scratch) = (Epilogue::open(&mut dx), Scratch::default());
    packed(how, &geometry(32, 3, 1), gradients).input_gradient(
        source,
        &HALVES,
        IMAGES,
        &X,
        epilogue,
        &mut scratch,
    );
    dx
}

fn few_gradients() -> Vec<f32> {
    let few = |(at, value): (usize, f32)| if at % 37 == 0 { value } else { 0.0 };
    images(&HALVES, 5).into_iter().enumerate().map(few).collect()
}

fn unpooled(how: How) -> Vec<f32> {
    let (bits, dy, mut dense) = (pooled(how).1, few_gradients(), vec![0.0; IMAGES * X.image()]);
    affine::unpool(how.0, (&dy, &bits), &HALVES, IMAGES, &X, &mut dense);
    dense
}

fn weight_sums(isa: Isa, g: &Geometry, from: &Layout, to: &Layout) -> Vec<f32> {
    let mut dw = vec![0.0; g.taps() * g.out_channels];
    for rows in weight_gradient::tasks(g) {
        let (dw, scratch) = (&mut dw[rows.start * 32..rows.end * 32], &mut Default::default());
        let (x, dy) = (images(from, 1), images(to, 5));
        weight_gradient::accumulate(isa, g, &x, from, &dy, to, IMAGES, rows, dw, scratch);
    }
    dw
}

fn winograd_weight_sums(isa: Isa, g: &Geometry) -> Vec<f32> {
    let mut sums = WeightGradient::new(isa, *g, None);
    let [mut v, mut z] = sums.transformed().map(|len| vec![0.0; IMAGES * len]);
    sums.transform(&images(&X, 1), &X, &images(&X, 5), &X, 0..IMAGES, &mut v, &mut z);
    for product in sums.products_mut() {
        product.accumulate(&v, &z, IMAGES, &mut Default::default());
    }
    sums.finish().to_vec()
}

fn fully_connected((isa, factors): How) -> Vec<f32> {
    let inputs = X.pixels() * X.channels;
    let layer = linear::packed::Packed::new(isa, X, LANES, &noise(inputs * LANES, 2));
    let layer = layer.rounded(factors);
    let (x, dy, mut scratch) = (images(&X, 1), noise(IMAGES * LANES, 5), Default::default());
    let (mut y, mut dx) = (vec![0.0; dy.len()], vec![0.0; x.len()]);
    let mut dw = vec![0.0; inputs * LANES];
    layer.forward(&x, IMAGES, &mut Epilogue::open(&mut y), &mut scratch);
    layer.backward(&dy, IMAGES, &mut Epilogue::open(&mut dx), &mut scratch);
    for rows in linear::weight_gradient::tasks(&X) {
        let (dw, scratch) = (&mut dw[rows.start * LANES..rows.end * LANES], &mut Default::default());
        linear::weight_gradient::accumulate(isa, &x, &X, &dy, LANES, IMAGES, rows, dw, scratch);
    }
    [y, dx, dw].concat()
}

fn max_pooling(isa: Isa) -> Vec<f32> {
    let g = max_pool2d::Geometry::tiles([X.height, X.width], 32, 2);
    let (mut y, mut dx) = (vec![0.0; IMAGES * HALVES.image()], vec![0.0; IMAGES * X.image()]);
    let mut places = vec![0; y.len() / LANES * g.area()];
    max_pool2d::direct::forward(isa, &g, &images(&X, 1), &X, IMAGES, &HALVES, &mut y, Some(&mut places));
    let (dy, mut epilogue) = (images(&HALVES, 5), Epilogue::open(&mut dx));
    max_pool2d::direct::input_gradient(isa, &g, &dy, &HALVES, &places, IMAGES, &X, &mut epilogue);
    [y, dx].concat()
}

fn avg_pooling(isa: Isa) -> Vec<f32> {
    let g = avg_pool2d::Geometry { input: [X.height, X.width], channels: 32, window: 3 };
    let thirds = Layout { height: 3, width: 2, ..X };
    let (mut y, mut dx) = (vec![0.0; IMAGES * thirds.image()], vec![0.0; IMAGES * X.image()]);
    avg_pool2d::direct::forward(isa, &g, &images(&X, 1), &X, IMAGES, &thirds, &mut y);
    let (dy, mut epilogue) = (images(&thirds, 5), Epilogue::open(&mut dx));
    avg_pool2d::direct::input_gradient(isa, &g, &dy, &thirds, IMAGES, &X, &mut epilogue);
    [y, dx].concat()
}

fn normalization(isa: Isa) -> Vec<f32> {
    let (x, dy) = (images(&X, 1), images(&X, 5));
    let statistics = Statistics::of(&batch_norm::moments(isa, &x, &X, IMAGES), &noise(32, 6), &noise(32, 7));
    let (mut y, mut dx) = (vec![0.0; x.len()], vec![0.0; x.len()]);
    batch_norm::normalize(isa, &x, &X, IMAGES, &statistics, &mut Epilogue::open(&mut y));
    let gradient = (Source::Dense(&dy), &X);
    let slopes = Slopes::of(&batch_norm::reduce(isa, gradient, &x, &X, IMAGES, &statistics), &statistics);
    let (norm, mut epilogue) = ((&statistics, &slopes), Epilogue::open(&mut dx));
    batch_norm::input_gradient(isa, gradient, Some(&x), &X, IMAGES, norm, &mut epilogue);
    let mut halves = vec![0.0; IMAGES * HALVES.image()];
    let mut epilogue = PooledEpilogue { output: &mut halves, bias: None, bits: None };
    batch_norm::normalize_pooled(isa, &x, &X, IMAGES, &statistics, &HALVES, &mut epilogue);
    [y, dx, halves].concat()
}

fn per_channel(isa: Isa) -> Vec<f32> {
    let layer = Affine::new(&noise(32, 6), &noise(32, 7));
    let (x, mut masks) = (images(&X, 1), vec![0; IMAGES * X.image() / LANES]);
    let [mut y, mut dx, mut copy] = [(); 3].map(|()| vec![0.0; x.len()]);
    let mut epilogue = Epilogue { gate: Gate::RectifyAndMask(&mut masks), ..Epilogue::open(&mut y) };
    layer.apply(isa, &x, &X, IMAGES, &mut epilogue);
    let mut epilogue = Epilogue { gate: Gate::Masked(&masks), ..Epilogue::open(&mut dx) };
    layer.input_gradient(isa, &x, &X, IMAGES, &mut epilogue);
    affine::copy(isa, &x, &X, IMAGES, &mut Epilogue::open(&mut copy));
    let mut db = vec![0.0; 32];
    bias_gradient::accumulate(isa, &x, &X, IMAGES, &mut db);
    [y, dx, copy, db].concat()
}

fn as_rows(isa: Isa) -> Vec<f32> {
    let (x, rows) = (images(&X, 1), flatten::rows(&X, 32));
    let (mut y, mut dx) = (vec![0.0; IMAGES * rows.image()], vec![0.0; x.len()]);
    flatten::forward(isa, &x, &X, 32, IMAGES, &mut Epilogue::open(&mut y));
    flatten::input_gradient(isa, &y, 32, IMAGES, &X, &mut Epilogue::open(&mut dx));
    [y, dx].concat()
}

const F32: Factors = Factors::F32;
const BF16: Factors = Factors::Bf16;
const AMX: Factors = Factors::Bf16Amx;

/// A kernel by name.
type Case = (&'static str, fn(Isa) -> Vec<f32>);

const KERNELS: &[Case] = &[
    ("3x3", |isa| forward((isa, F32), &geometry(32, 3, 1), &X, &X)),
    ("3x3 back", |isa| backward((isa, F32), &geometry(32, 3, 1), &X, &X)),
    ("3x3 pooled", |isa| pooled((isa, F32)).0),
    ("3x3 pooled back", |isa| below_pooling((isa, F32), Gradients::Dense)),
    ("3x3 pooled back, few gradients", |isa| below_pooling((isa, F32), Gradients::Sparse)),
    ("3x3 weights by Winograd", |isa| winograd_weight_sums(isa, &geometry(32, 3, 1))),
    ("5x5", |isa| forward((isa, F32), &geometry(32, 5, 1), &X, &X)),
    ("5x5 back", |isa| backward((isa, F32), &geometry(32, 5, 1), &X, &X)),
    ("5x5 weights by Winograd", |isa| winograd_weight_sums(isa, &geometry(32, 5, 1))),
    ("stride 2", |isa| forward((isa, F32), &geometry(32, 3, 2), &X, &STRIDED)),
    ("stride 2 back", |isa| backward((isa, F32), &geometry(32, 3, 2), &X, &STRIDED)),
    ("stride 2 weights", |isa| weight_sums(isa, &geometry(32, 3, 2), &X, &STRIDED)),
    ("first layer", |isa| forward((isa, F32), &geometry(3, 3, 1), &FEW, &X)),
    ("first layer back", |isa| backward((isa, F32), &geometry(3, 3, 1), &FEW, &X)),
    ("first layer weights", |isa| weight_sums(isa, &geometry(3, 3, 1), &FEW, &X)),
    ("unpool", |isa| unpooled((isa, F32))),
    ("linear", |isa| fully_connected((isa, F32))),
    ("max pool", max_pooling),
    ("average pool", avg_pooling),
    ("batch norm", normalization),
    ("affine and bias", per_channel),
    ("flatten", as_rows),
    ("3x3 in pairs", |isa| forward((isa, BF16), &geometry(32, 3, 1), &X, &X)),
    ("3x3 in pairs back", |isa| backward((isa, BF16), &geometry(32, 3, 1), &X, &X)),
    ("3x3 in pairs pooled", |isa| pooled((isa, BF16)).0),
    ("3x3 in pairs pooled back", |isa| below_pooling((isa, BF16), Gradients::Dense)),
    ("stride 2 in pairs", |isa| forward((isa, BF16), &geometry(32, 3, 2), &X, &STRIDED)),
    ("stride 2 in pairs back", |isa| backward((isa, BF16), &geometry(32, 3, 2), &X, &STRIDED)),
    ("1x1 in pairs", |isa| forward((isa, BF16), &geometry(32, 1, 1), &X, &X)),
    ("1x1 in pairs back", |isa| backward((isa, BF16), &geometry(32, 1, 1), &X, &X)),
    ("linear in pairs", |isa| fully_connected((isa, BF16))),
    ("3x3 in blocks of pairs", |isa| forward((isa, AMX), &geometry(32, 3, 1), &X, &X)),
    ("3x3 in blocks of pairs back", |isa| backward((isa, AMX), &geometry(32, 3, 1), &X, &X)),
    ("3x3 in blocks of pairs pooled", |isa| pooled((isa, AMX)).0),
    ("3x3 in blocks of pairs pooled back", |isa| below_pooling((isa, AMX), Gradients::Dense)),
    ("5x5 in blocks of pairs", |isa| forward((isa, AMX), &geometry(32, 5, 1), &X, &X)),
    ("stride 2 in blocks of pairs back", |isa| backward((isa, AMX), &geometry(32, 3, 2), &X, &STRIDED)),
    ("1x1 in blocks of pairs", |isa| forward((isa, AMX), &geometry(32, 1, 1), &X, &X)),
    ("linear in blocks of pairs", |isa| fully_connected((isa, AMX))),
];

/// Whether multiply-adds round once.
fn is_fused(isa: Isa) -> bool {
    isa != Isa::PORTABLE || !cfg!(target_arch = "x86_64")
}

#[test]
fn every_kernel_gives_the_same_on_every_instruction_set() {
    for (name, kernel) in KERNELS {
        let all: Vec<(Isa, Vec<f32>)> = Isa::available().into_iter().map(|isa| (isa, kernel(isa))).collect();
        let (best, expected) = &all[0];
        assert!(expected.iter().any(|value| *value != 0.0), "{name} gives nothing");
        for (isa, found) in &all[1..] {
            if is_fused(*isa) == is_fused(*best) {
                assert!(found == expected, "{name}: {isa:?} and {best:?} differ");
            } else {
                // What lies between two bf16 may go to either.
                assert_close(found, expected, if name.contains("pairs") { 1e-3 } else { 1e-5 });
            }
        }
    }
}

#[test]
fn a_gradient_through_pooling_is_that_of_the_unpooled_gradient() {
    for isa in Isa::available() {
        for how in [(isa, F32), (isa, BF16), (isa, AMX)] {
            let dx = backward_of(&unpooled(how), how, &geometry(32, 3, 1), &X, &X);
            assert!(below_pooling(how, Gradients::Dense) == dx, "{how:?}");
            let sparse = below_pooling(how, Gradients::Sparse);
            match how.1 {
                F32 => assert_close(&sparse, &dx, 1e-5),
                AMX => assert!(sparse == dx, "{how:?}"),
                _ => {}
            }
        }
    }
}

/// Gradients that vanish in rounding, at the border of it, that overflow in it or in the sums: denormals and infinities are where
/// instruction sets could differ.
#[test]
fn products_in_pairs_agree_bit_for_bit_for_gradients_of_any_size() {
    for (kernel, stride, to) in [(3, 1, X), (3, 2, STRIDED), (1, 1, X)] {
        let sizes = [1e-44, 1e-38, 1e-20, 3e-17, 1e-12, 1.0, 1e30, 3e38];
        for (size, factors) in sizes.into_iter().flat_map(|size| [(size, BF16), (size, AMX)]) {
            let dy: Vec<f32> = images(&to, 5).iter().map(|value| value * size).collect();
            let run = |isa| backward_of(&dy, (isa, factors), &geometry(32, kernel, stride), &X, &to);
            let all: Vec<(Isa, Vec<f32>)> = Isa::available()
                .into_iter()
                .filter(|isa| is_fused(*isa))
                .map(|isa| (isa, run(isa)))
                .collect();
            let Some(((best, expected), others)) = all.split_first() else { continue };
            let vanishes = size < 1e-19;
            assert_eq!(
                expected.iter().all(|value| *value == 0.0),
                vanishes,
                "{best:?} {factors:?} {kernel} {stride} {size:e}"
            );
            for (isa, found) in others {
                let same = found
                    .iter()
                    .zip(expected)
                    .all(|(f, e)| f.to_bits() == e.to_bits() || f.is_nan() && e.is_nan());
                assert!(
                    same,
                    "{isa:?} and {best:?} differ: {factors:?}, kernel {kernel}, stride {stride}, gradients of {size:e}"
                );
            }
        }
    }
}
