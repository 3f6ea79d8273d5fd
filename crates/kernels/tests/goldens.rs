//! Kernels against PyTorch's layers, on every instruction set of the machine.

use robin_kernels::conv2d::packed::{self, Directions, Gradients};
use robin_kernels::conv2d::winograd::{self, weight_gradient::WeightGradient};
use robin_kernels::conv2d::{self, weight_gradient};
use robin_kernels::epilogue::{Add, Epilogue, Gate, Source};
use robin_kernels::factors::Factors;
use robin_kernels::isa::Isa;
use robin_kernels::layout::Layout;
use robin_kernels::{LANES, affine, bias_gradient, linear, max_pool2d};
use robin_testkit::{Golden, assert_close, golden};

/// A plain sum in f32.
const DIRECT: f64 = 2e-6;
/// Winograd's transforms add and subtract up to eightfold values first.
const WINOGRAD: f64 = 1e-5;

/// Wide enough for every layer here.
const HALO: usize = 4;

/// PyTorch's `[n, c, h, w]` with `channels` values a pixel, zeros after those given: `n`, the layout, the buffer.
fn channels_last(golden: &Golden, name: &str, channels: usize) -> (usize, Layout, Vec<f32>) {
    let [n, given, height, width] = golden.shape(name).try_into().expect("images have four dimensions");
    let layout = Layout { height, width, channels, halo: HALO };
    let mut buffer = vec![0.0; n * layout.image()];
    let (images, length) = (golden.f32(name), given * height * width);
    for (image, to) in images.chunks_exact(length).zip(buffer.chunks_exact_mut(layout.image())) {
        let turn = |at: usize| image[at % given * height * width + at / given];
        layout.fill(&(0..length).map(turn).collect::<Vec<f32>>(), given, to);
    }
    (n, layout, buffer)
}

/// The first `given` channels of all images, pixel after pixel.
fn pixels(layout: &Layout, buffer: &[f32], given: usize) -> Vec<f32> {
    let mut all = Vec::new();
    for image in buffer.chunks_exact(layout.image()) {
        let mut pixels = vec![f32::NAN; layout.pixels() * given];
        layout.read(image, given, &mut pixels);
        all.extend(pixels);
    }
    all
}

/// A golden's values, pixel after pixel.
fn golden_pixels(golden: &Golden, name: &str) -> Vec<f32> {
    let given = golden.shape(name)[1];
    let (_, layout, buffer) = channels_last(golden, name, given);
    pixels(&layout, &buffer, given)
}

/// `values` with zeros behind them.
fn filled_up(values: &[f32], len: usize) -> Vec<f32> {
    [values, &vec![0.0; len - values.len()]].concat()
}

/// Weights `[kernel, kernel, in, out]` with channels filled up by zeros.
fn filled_weights(g: &conv2d::Geometry, given: &conv2d::Geometry, weights: &[f32]) -> Vec<f32> {
    let taps = weights.chunks_exact(given.in_channels * given.out_channels);
    let rows = |tap: &[f32]| -> Vec<f32> {
        tap.chunks_exact(given.out_channels).flat_map(|row| filled_up(row, g.out_channels)).collect()
    };
    taps.flat_map(|tap| filled_up(&rows(tap), g.in_channels * g.out_channels)).collect()
}

/// The inverse of [`filled_weights`].
fn given_weights(g: &conv2d::Geometry, given: &conv2d::Geometry, filled: &[f32]) -> Vec<f32> {
    let rows = (0..given.taps()).map(|row| row / given.in_channels * g.in_channels + row % given.in_channels);
    rows.flat_map(|row| filled[row * g.out_channels..][..given.out_channels].to_vec()).collect()
}

/// PyTorch's weights `[out, in, kernel, kernel]` in the kernels' order `[kernel, kernel, in, out]`.
fn from_torch(g: &conv2d::Geometry, torch: &[f32]) -> Vec<f32> {
    let (area, rows) = (g.kernel * g.kernel, g.taps());
    let place =
        |row: usize, out: usize| (out * g.in_channels + row % g.in_channels) * area + row / g.in_channels;
    (0..rows).flat_map(|row| (0..g.out_channels).map(move |out| torch[place(row, out)])).collect()
}

/// The inverse of [`from_torch`].
fn to_torch(g: &conv2d::Geometry, ours: &[f32]) -> Vec<f32> {
    let (area, taps) = (g.kernel * g.kernel, g.taps());
    let place =
        |at: usize| (at % area * g.in_channels + at / area % g.in_channels) * g.out_channels + at / taps;
    (0..ours.len()).map(|at| ours[place(at)]).collect()
}

#[test]
fn convolutions_agree_with_pytorch() {
    let golden = golden("layers");
    for case in ["conv5x5-first", "conv5x5", "conv4x4-first", "conv4x4-even", "conv4x4-odd", "conv3x3"] {
        let channels = golden.shape(&format!("{case}.x"))[1];
        for isa in Isa::available() {
            // As the images that a network begins with, and as what another layer made.
            convolution_agrees_with_pytorch(&golden, case, isa, channels);
            convolution_agrees_with_pytorch(&golden, case, isa, LANES);
        }
    }
}

fn convolution_agrees_with_pytorch(golden: &Golden, case: &str, isa: Isa, in_channels: usize) {
    let name = |part: &str| format!("{case}.{part}");
    let (settings, shape) = (golden.integers(&name("geometry")), golden.shape(&name("w")));
    let (images, from, x) = channels_last(golden, &name("x"), in_channels);
    let (_, to, dy) = channels_last(golden, &name("dy"), LANES);
    let given = conv2d::Geometry {
        input: [from.height, from.width],
        in_channels: shape[1],
        out_channels: shape[0],
        kernel: shape[2],
        stride: settings[0] as usize,
        padding: settings[1] as usize,
    };
    let g = conv2d::Geometry { in_channels, out_channels: LANES, ..given };
    let weights = filled_weights(&g, &given, &from_torch(&given, &golden.f32(&name("w"))));
    let bias = filled_up(&golden.f32(&name("b")), LANES);
    let tolerance = if winograd::supports(&g) { WINOGRAD } else { DIRECT };

    let layer = packed::Packed::new(isa, g, &weights, Gradients::Dense, Directions::Both, Factors::F32);
    let mut scratch = packed::Scratch::default();
    let (mut y, mut dx) = (vec![0.0; dy.len()], vec![0.0; x.len()]);
    let epilogue = Epilogue { output: &mut y, bias: Some(&bias), add: Add::Nothing, gate: Gate::Open };
    layer.forward(&x, &from, images, &to, epilogue, &mut scratch);
    assert_close(&pixels(&to, &y, given.out_channels), &golden_pixels(golden, &name("y")), tolerance);
    layer.input_gradient(Source::Dense(&dy), &to, images, &from, Epilogue::open(&mut dx), &mut scratch);
    assert_close(&pixels(&from, &dx, given.in_channels), &golden_pixels(golden, &name("dx")), tolerance);

    let check = |dw: &[f32], tolerance| {
        let torch = to_torch(&given, &given_weights(&g, &given, dw));
        assert_close(&torch, &golden.f32(&name("dw")), tolerance);
    };
    let mut dw = vec![0.0; weights.len()];
    for rows in weight_gradient::tasks(&g) {
        let (dw, mut scratch) = (&mut dw[rows.start * LANES..rows.end * LANES], Default::default());
        weight_gradient::accumulate(isa, &g, &x, &from, &dy, &to, images, rows, dw, &mut scratch);
    }
    check(&dw, DIRECT);
    if winograd::supports(&g) {
        let mut gradient = WeightGradient::new(isa, g, None);
        let [mut v, mut z] = gradient.transformed().map(|len| vec![f32::NAN; images * len]);
        gradient.transform(&x, &from, &dy, &to, 0..images, &mut v, &mut z);
        for product in gradient.products_mut() {
            product.accumulate(&v, &z, images, &mut Default::default());
        }
        check(&gradient.finish(), WINOGRAD);
    }
    let mut db = vec![0.0; LANES];
    bias_gradient::accumulate(isa, &dy, &to, images, &mut db);
    assert_close(&db[..given.out_channels], &golden.f32(&name("db")), DIRECT);
}

#[test]
fn pooling_agrees_with_pytorch_also_at_ties() {
    let golden = golden("layers");
    for case in ["max-pool2-even", "max-pool2-odd", "max-pool2-ties"] {
        let name = |part: &str| format!("{case}.{part}");
        let channels = golden.shape(&name("x"))[1];
        let (images, from, x) = channels_last(&golden, &name("x"), LANES);
        let (_, to, dy) = channels_last(&golden, &name("dy"), LANES);
        let g = max_pool2d::Geometry::tiles([from.height, from.width], LANES, 2);
        for isa in Isa::available() {
            let (mut y, mut dx) = (vec![0.0; dy.len()], vec![0.0; x.len()]);
            let mut places = vec![0; dy.len() / LANES * g.area()];
            max_pool2d::direct::forward(isa, &g, &x, &from, images, &to, &mut y, Some(&mut places));
            let mut epilogue = Epilogue::open(&mut dx);
            max_pool2d::direct::input_gradient(isa, &g, &dy, &to, &places, images, &from, &mut epilogue);
            let found = (pixels(&to, &y, channels), pixels(&from, &dx, channels));
            let expected = (golden_pixels(&golden, &name("y")), golden_pixels(&golden, &name("dx")));
            assert_eq!(found, expected, "{isa:?} {case}");
        }
    }
}

#[test]
fn linear_layers_agree_with_pytorch() {
    let golden = golden("layers");
    let (shape, images) = (golden.shape("linear.w"), golden.shape("linear.x")[0]);
    let (outputs, inputs) = (shape[0], shape[1]);
    let rows = |name: &str, given: usize| -> Vec<f32> {
        golden.f32(name).chunks_exact(given).flat_map(|row| filled_up(row, LANES)).collect()
    };
    let given = |values: &[f32], given: usize| -> Vec<f32> {
        values.chunks_exact(LANES).flat_map(|row| row[..given].to_vec()).collect()
    };
    // PyTorch's `[out, in]` as `[in, out]`, both filled up.
    let place = |torch: usize| torch % inputs * LANES + torch / inputs;
    let mut weights = vec![0.0; LANES * LANES];
    for (at, weight) in golden.f32("linear.w").into_iter().enumerate() {
        weights[place(at)] = weight;
    }
    let bias = filled_up(&golden.f32("linear.b"), LANES);
    let (x, dy) = (rows("linear.x", inputs), rows("linear.dy", outputs));
    let from = Layout { height: 1, width: 1, channels: LANES, halo: 0 };
    for isa in Isa::available() {
        let layer = linear::packed::Packed::new(isa, from, LANES, &weights);
        let mut scratch = linear::packed::Scratch::default();
        let (mut y, mut dx, mut dw) = (vec![0.0; dy.len()], vec![0.0; x.len()], vec![0.0; weights.len()]);
        let mut epilogue =
            Epilogue { output: &mut y, bias: Some(&bias), add: Add::Nothing, gate: Gate::Open };
        layer.forward(&x, images, &mut epilogue, &mut scratch);
        layer.backward(&dy, images, &mut Epilogue::open(&mut dx), &mut scratch);
        for rows in linear::weight_gradient::tasks(&from) {
            let (dw, mut scratch) = (&mut dw[rows.start * LANES..rows.end * LANES], Default::default());
            linear::weight_gradient::accumulate(isa, &x, &from, &dy, LANES, images, rows, dw, &mut scratch);
        }
        let mut db = vec![0.0; LANES];
        bias_gradient::accumulate(isa, &dy, &layer.to(), images, &mut db);
        let dw: Vec<f32> = (0..inputs * outputs).map(|at| dw[place(at)]).collect();
        assert_close(&given(&y, outputs), &golden.f32("linear.y"), DIRECT);
        assert_close(&given(&dx, inputs), &golden.f32("linear.dx"), DIRECT);
        assert_close(&dw, &golden.f32("linear.dw"), DIRECT);
        assert_close(&db[..outputs], &golden.f32("linear.db"), DIRECT);
    }
}

#[test]
fn rectifiers_agree_with_pytorch() {
    let golden = golden("layers");
    let channels = golden.shape("relu.x")[1];
    let (images, layout, x) = channels_last(&golden, "relu.x", LANES);
    let (_, _, dy) = channels_last(&golden, "relu.dy", LANES);
    for isa in Isa::available() {
        let (mut y, mut dx) = (vec![0.0; x.len()], vec![0.0; x.len()]);
        let mut masks = vec![0; x.len() / LANES];
        let mut epilogue = Epilogue { gate: Gate::RectifyAndMask(&mut masks), ..Epilogue::open(&mut y) };
        affine::copy(isa, &x, &layout, images, &mut epilogue);
        let mut epilogue = Epilogue { gate: Gate::Masked(&masks), ..Epilogue::open(&mut dx) };
        affine::copy(isa, &dy, &layout, images, &mut epilogue);
        assert_eq!(pixels(&layout, &y, channels), golden_pixels(&golden, "relu.y"), "{isa:?}");
        assert_eq!(pixels(&layout, &dx, channels), golden_pixels(&golden, "relu.dx"), "{isa:?}");
    }
}
