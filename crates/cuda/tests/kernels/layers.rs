use robin_cuda::kernels::layers::{self, Rectifier, Shape};
use robin_cuda::kernels::{Buffer, Context, Real, learning, norms};
use robin_kernels::{avg_pool2d, batch_norm, max_pool2d};

use super::{assert_close, channels_last, contexts, download, numbers, stored, upload};

pub(super) fn shape([height, width]: [usize; 2], channels: usize) -> Shape {
    Shape { height, width, channels }
}

fn last(values: &[f32], shape: &Shape) -> Vec<f64> {
    channels_last(values, [shape.channels, shape.pixels()])
}

fn found(context: &Context, shape: &Shape, values: &Buffer<Real>) -> Vec<f32> {
    last(&download(context, shape, values), shape).into_iter().map(|v| v as f32).collect()
}

/// Per channel, filled up by zeros.
fn packed(context: &Context, shape: &Shape, values: &[f32]) -> Buffer<f32> {
    let mut values = values.to_vec();
    values.resize(shape.packed(), 0.0);
    context.upload(&values).unwrap()
}

#[test]
fn images_are_normalised_and_come_back() {
    for context in contexts() {
        let shape = shape([3, 5], 3);
        let images = numbers(2 * 45, 1);
        let [mean, deviation] = [[0.25, 0.5, -0.5], [0.5, 2.0, 4.0]];
        let (m, d) = (context.upload(&mean).unwrap(), context.upload(&deviation).unwrap());
        let given = context.upload(&images).unwrap();
        let to = context.buffer(2 * shape.len()).unwrap();
        layers::read_images(&context, &shape, &given, Some([&m, &d]), &to).unwrap();
        let channel = |at: usize| at / 15 % 3;
        let expected: Vec<f64> = images
            .iter()
            .enumerate()
            .map(|(at, x)| f64::from((x - mean[channel(at)]) / deviation[channel(at)]))
            .collect();
        assert_close(&context, &download(&context, &shape, &to), &expected, "normalised");
        let back = context.buffer(images.len()).unwrap();
        layers::write_image_gradient(&context, &shape, &to, Some(&d), &back).unwrap();
        let expected: Vec<f64> =
            expected.iter().enumerate().map(|(at, x)| x / f64::from(deviation[channel(at)])).collect();
        assert_close(&context, &back.to_vec().unwrap(), &expected, "gradient on images");
    }
}

#[test]
fn pooling_is_that_of_the_reference_with_ties_and_what_fills_no_window() {
    for context in contexts() {
        let tiles = [([6, 7], 2), ([7, 7], 3), ([4, 4], 4), ([3, 2], 1)];
        let tiles = tiles.map(|(side, window)| max_pool2d::Geometry::tiles(side, 5, window));
        let lapped = [([8, 7], [3, 2, 1]), ([6, 5], [3, 1, 1]), ([7, 9], [2, 3, 0]), ([9, 8], [5, 2, 2])];
        let lapped = lapped.map(|(input, [window, stride, padding])| max_pool2d::Geometry {
            input,
            channels: 5,
            window,
            stride,
            padding,
        });
        for g in tiles.into_iter().chain(lapped) {
            let side = g.input;
            let inside = shape(side, 5);
            let mut x = stored(&context, &numbers(2 * 5 * inside.pixels(), 4));
            x.iter_mut().step_by(3).for_each(|v| *v = 0.5); // ties
            let outside = shape(g.output(), 5);
            let dy = stored(&context, &numbers(2 * 5 * outside.pixels(), 5));
            let (dx_x, dx_y) = (upload(&context, &inside, &x), upload(&context, &outside, &dy));
            let (y, dx) = (context.buffer(dx_y.len()).unwrap(), context.buffer(dx_x.len()).unwrap());
            let places = context.buffer(dx_y.len()).unwrap();
            layers::max_pool_forward(&context, &g, &dx_x, &y, &places).unwrap();
            layers::max_pool_backward(&context, &g, &dx_y, &places, &dx).unwrap();
            let (images, gradients) = (last(&x, &inside), last(&dy, &outside));
            let pairs = images.chunks(g.input_len()).zip(gradients.chunks(g.output_len()));
            let (mut outputs, mut back) = (Vec::new(), Vec::new());
            for (x, dy) in pairs {
                let (y, places) = max_pool2d::reference::forward(&g, x);
                back.extend(max_pool2d::reference::input_gradient(&g, &places, dy));
                outputs.extend(y);
            }
            assert_close(&context, &found(&context, &outside, &y), &outputs, "max pool");
            assert_close(&context, &found(&context, &inside, &dx), &back, "max pool's gradient");
        }
        let (side, window) = ([6, 4], 2);
        let (inside, g) = (shape(side, 3), avg_pool2d::Geometry { input: side, channels: 3, window });
        let outside = shape(g.output(), 3);
        let (x, dy) = (stored(&context, &numbers(72, 6)), stored(&context, &numbers(18, 7)));
        let (dx_x, dx_y) = (upload(&context, &inside, &x), upload(&context, &outside, &dy));
        let (y, dx) = (context.buffer(dx_y.len()).unwrap(), context.buffer(dx_x.len()).unwrap());
        layers::avg_pool_forward(&context, &inside, window, &dx_x, &y).unwrap();
        layers::avg_pool_backward(&context, &inside, window, &dx_y, &dx).unwrap();
        let expected = avg_pool2d::reference::forward(&g, &last(&x, &inside));
        assert_close(&context, &found(&context, &outside, &y), &expected, "avg pool");
        let expected = avg_pool2d::reference::input_gradient(&g, &last(&dy, &outside));
        assert_close(&context, &found(&context, &inside, &dx), &expected, "avg pool's gradient");
    }
}

#[test]
fn flattening_is_torchs_order_and_back() {
    for context in contexts() {
        let (inside, outside) = (shape([2, 3], 5), shape([1, 1], 30));
        let x = stored(&context, &numbers(60, 8));
        let on_device = upload(&context, &inside, &x);
        let flat = context.buffer(2 * outside.len()).unwrap();
        layers::flatten_forward(&context, &inside, &on_device, &flat).unwrap();
        assert_eq!(download(&context, &outside, &flat), x);
        let back = context.buffer(on_device.len()).unwrap();
        layers::flatten_backward(&context, &inside, &flat, &back).unwrap();
        assert_eq!(download(&context, &inside, &back), x);
    }
}

#[test]
fn what_follows_a_product_adds_and_rectifies() {
    for context in contexts() {
        let shape = shape([3, 3], 5);
        let [x, add] = [10, 11].map(|seed| stored(&context, &numbers(90, seed)));
        let bias = numbers(5, 12);
        let (y, other, b) =
            (upload(&context, &shape, &x), upload(&context, &shape, &add), packed(&context, &shape, &bias));
        layers::epilogue(&context, &shape, &y, Some(&b), Some(&other), Rectifier::Relu).unwrap();
        let sum = |at: usize| f64::from(x[at] + bias[at / 9 % 5] + add[at]);
        let expected: Vec<f64> = (0..90).map(|at| sum(at).max(0.0)).collect();
        assert_close(&context, &download(&context, &shape, &y), &expected, "finish");
        let joined = context.buffer(y.len()).unwrap();
        layers::join_gradients(&context, &other, Some(&other), Some(&y), &joined).unwrap();
        let passes = |at: usize| if sum(at) > 0.0 { 2.0 * f64::from(add[at]) } else { 0.0 };
        let expected: Vec<f64> = (0..90).map(passes).collect();
        assert_close(&context, &download(&context, &shape, &joined), &expected, "gradients");
    }
}

#[test]
fn no_layer_hides_what_is_no_number() {
    for context in contexts() {
        let shape = shape([2, 2], 1);
        let x = upload(&context, &shape, &[-1.0, f32::NAN, 2.0, 3.0]);
        let (y, places) = (context.buffer(8).unwrap(), context.buffer(8).unwrap());
        layers::max_pool_forward(&context, &max_pool2d::Geometry::tiles([2, 2], 1, 2), &x, &y, &places)
            .unwrap();
        assert!(layers::to_floats(&context, &y).unwrap().to_vec().unwrap()[0].is_nan());
        layers::epilogue(&context, &shape, &x, None, None, Rectifier::Relu).unwrap();
        let found = layers::to_floats(&context, &x).unwrap().to_vec().unwrap();
        assert!(found[0] == 0.0 && found[8].is_nan() && found[16] == 2.0, "{found:?}");
    }
}

#[test]
fn batch_norm_is_that_of_the_reference() {
    for context in contexts() {
        // Many rows, so that parts are joined more than once.
        for (sides, channels, images) in [([3, 4], 5, 2), ([16, 16], 16, 20)] {
            let shape = shape(sides, channels);
            let len = images * channels * shape.pixels();
            let x: Vec<f32> = numbers(len, 13).iter().map(|v| 3.0 * v + 0.7).collect();
            let (x, g) = (stored(&context, &x), stored(&context, &numbers(len, 14)));
            let (weight, bias) = (numbers(channels, 15), numbers(channels, 16));
            let (on_x, on_g) = (upload(&context, &shape, &x), upload(&context, &shape, &g));
            let (w, b) = (packed(&context, &shape, &weight), packed(&context, &shape, &bias));
            let sums = norms::moments(&context, &on_x, shape.packed()).unwrap();
            let statistics = sums.statistics(&context, &w, &b).unwrap();
            let y = context.buffer(on_x.len()).unwrap();
            let both = [&statistics.scale, &statistics.shift];
            layers::affine(&context, &shape, &on_x, both, (None, Rectifier::None), &y).unwrap();
            let (x64, g64) = (last(&x, &shape), last(&g, &shape));
            let wide = |v: &[f32]| v.iter().map(|&v| f64::from(v)).collect::<Vec<f64>>();
            let expected = batch_norm::reference::forward(&x64, &wide(&weight), &wide(&bias));
            assert_close(&context, &found(&context, &shape, &y), &expected, "batch norm");

            let slopes = norms::slopes(&context, &on_g, &on_x, &statistics).unwrap();
            let dx = context.buffer(on_x.len()).unwrap();
            norms::backward(&context, &on_g, &on_x, &statistics, &slopes, &dx).unwrap();
            let (dy, dgamma, dbeta) = batch_norm::reference::backward(&x64, &wide(&weight), &g64);
            assert_close(&context, &found(&context, &shape, &dx), &dy, "batch norm's gradient");
            let sums_of = slopes.gradients(&context).unwrap().to_vec().unwrap();
            // The sums themselves are f64 in both types of storage.
            let packed_channels = shape.packed();
            assert_close(&context, &sums_of[..channels], &dbeta, "bias");
            assert_close(&context, &sums_of[packed_channels..][..channels], &dgamma, "weight");

            let (mean, variance) = (
                packed(&context, &shape, &vec![0.5; channels]),
                packed(&context, &shape, &vec![2.0; channels]),
            );
            sums.move_running(&context, &mean, &variance).unwrap();
            let (m, v) = batch_norm::reference::moments(&x64, channels);
            let n = (images * shape.pixels()) as f64;
            let expected: Vec<f64> = m.iter().map(|m| 0.9 * 0.5 + 0.1 * m).collect();
            assert_close(&context, &mean.to_vec().unwrap()[..channels], &expected, "running mean");
            let expected: Vec<f64> = v.iter().map(|v| 0.9 * 2.0 + 0.1 * v * n / (n - 1.0)).collect();
            assert_close(&context, &variance.to_vec().unwrap()[..channels], &expected, "running variance");

            let before = packed(&context, &shape, &numbers(channels, 17));
            let running = norms::Running {
                trained: Some([&w, &b]),
                mean: &mean,
                variance: &variance,
                before: Some(&before),
            };
            let [scale, shift] = running.fold(&context).unwrap().map(|buffer| buffer.to_vec().unwrap());
            let (mean, variance, before) =
                (mean.to_vec().unwrap(), variance.to_vec().unwrap(), before.to_vec().unwrap());
            for c in 0..channels {
                let s = f64::from(weight[c]) / (f64::from(variance[c]) + 1e-5).sqrt();
                assert!((f64::from(scale[c]) - s).abs() <= 1e-6 * s.abs());
                let t = f64::from(bias[c]) + s * (f64::from(before[c]) - f64::from(mean[c]));
                assert!((f64::from(shift[c]) - t).abs() < 1e-5, "{} {t}", shift[c]);
            }
        }
    }
}

#[test]
fn losses_and_the_optimiser_are_those_of_the_formulas() {
    for context in contexts() {
        let (n, classes) = (4, 10);
        let shape = shape([1, 1], classes);
        let scores: Vec<f32> = numbers(n * classes, 18).iter().map(|v| 5.0 * v).collect();
        let scores = stored(&context, &scores);
        let rows = upload(&context, &shape, &scores);
        let labels = [3_u32, 0, 9, 5];
        let on_labels = context.upload(&labels).unwrap();
        let gradient = context.buffer(rows.len()).unwrap();
        let settings = learning::CrossEntropy { classes, smoothing: 0.1, weight: 0.25 };
        let losses = settings.losses(&context, &rows, &on_labels, &gradient).unwrap();
        let (mut expected, mut slopes, mut best) = (Vec::new(), Vec::new(), Vec::new());
        for (row, &label) in scores.chunks(classes).zip(&labels) {
            let row: Vec<f64> = row.iter().map(|&s| f64::from(s)).collect();
            let log_sum = row.iter().map(|s| s.exp()).sum::<f64>().ln();
            let target = |c: usize| if c == label as usize { 0.91 } else { 0.01 };
            expected.push(row.iter().enumerate().map(|(c, s)| target(c) * (log_sum - s)).sum::<f64>());
            slopes.extend(row.iter().enumerate().map(|(c, s)| 0.25 * ((s - log_sum).exp() - target(c))));
            best.push((0..classes).max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap() as u32);
        }
        let found = losses.values.to_vec().unwrap();
        assert!(found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-9), "{found:?} {expected:?}");
        assert_eq!(losses.predictions.to_vec().unwrap(), best);
        assert_close(&context, &download(&context, &shape, &gradient), &slopes, "gradient of the loss");

        let (w, v) = (context.upload(&[2.0_f32]).unwrap(), context.zeros::<f32>(1).unwrap());
        let sgd = learning::Sgd { rate: 0.1, momentum: 0.5, weight_decay: 0.25 };
        let one = learning::Gradient::Floats(context.upload(&[1.0_f32]).unwrap());
        // By hand, as in the tests of the host's optimiser.
        for expected in [1.85, 1.62875] {
            sgd.step(&context, &w, &one, &v).unwrap();
            assert!((w.to_vec().unwrap()[0] - expected).abs() < 1e-6);
        }
        let bad = learning::Gradient::Floats(context.upload(&[1.0_f32, f32::NAN, f32::INFINITY]).unwrap());
        let counter = context.zeros::<u32>(1).unwrap();
        bad.count_bad(&context, &counter).unwrap();
        one.count_bad(&context, &counter).unwrap();
        assert_eq!(counter.to_vec().unwrap(), [2]);
    }
}
