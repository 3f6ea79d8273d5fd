//! Kernels against PyTorch's layers.

use robin_kernels::conv2d::{self, implicit_gemm, weight_gradient};
use robin_kernels::linear::{self, packed::Packed};
use robin_kernels::{max_pool2d, relu};
use robin_testkit::{Golden, assert_close, golden};

/// PyTorch's `[n, c, h, w]` as images `[h, w, c]`.
fn channels_last(golden: &Golden, name: &str) -> (Vec<Vec<f32>>, [usize; 3]) {
    let [_, c, h, w] = golden.shape(name).try_into().expect("images have four dimensions");
    let images = golden.f32(name);
    let turn = |image: &[f32]| (0..c * h * w).map(|at| image[at % c * h * w + at / c]).collect();
    (images.chunks_exact(c * h * w).map(turn).collect(), [c, h, w])
}

#[test]
fn convolutions_agree_with_pytorch() {
    let golden = golden("layers");
    for case in ["conv5x5-first", "conv5x5", "conv4x4-first", "conv4x4-even", "conv4x4-odd", "conv3x3"] {
        let name = |part: &str| format!("{case}.{part}");
        let (x, [in_channels, height, width]) = channels_last(&golden, &name("x"));
        let settings = golden.integers(&name("geometry"));
        let shape = golden.shape(&name("w"));
        let geometry = conv2d::Geometry {
            input: [height, width],
            in_channels,
            out_channels: shape[0],
            kernel: shape[2],
            stride: settings[0] as usize,
            padding: settings[1] as usize,
        };
        let weights = geometry.weights_from_torch(&golden.f32(&name("w")));
        let layer = implicit_gemm::Packed::new(geometry, &weights, &golden.f32(&name("b")));
        let [ys, dys, dxs] = ["y", "dy", "dx"].map(|part| channels_last(&golden, &name(part)).0);
        let (mut dw, mut db) = (vec![0.0; weights.len()], vec![0.0; geometry.out_channels]);
        let mut scratch = implicit_gemm::Scratch::default();
        for (image, x) in x.iter().enumerate() {
            let (mut y, mut dx) =
                (vec![f32::NAN; geometry.output_len()], vec![f32::NAN; geometry.input_len()]);
            layer.forward(x, &mut y, &mut scratch);
            layer.input_gradient(&dys[image], &mut dx, &mut scratch);
            assert_close(&y, &ys[image], 2e-6);
            assert_close(&dx, &dxs[image], 2e-6);
            weight_gradient::add(&geometry, x, &dys[image], &mut dw, &mut db, &mut Default::default());
        }
        assert_close(&geometry.weights_to_torch(&dw), &golden.f32(&name("dw")), 2e-6);
        assert_close(&db, &golden.f32(&name("db")), 2e-6);
    }
}

#[test]
fn pooling_agrees_with_pytorch_also_at_ties() {
    let golden = golden("layers");
    for case in ["max-pool2-even", "max-pool2-odd", "max-pool2-ties"] {
        let (x, [channels, height, width]) = channels_last(&golden, &format!("{case}.x"));
        let [ys, dys, dxs] =
            ["y", "dy", "dx"].map(|part| channels_last(&golden, &format!("{case}.{part}")).0);
        let geometry = max_pool2d::Geometry { input: [height, width], channels, window: 2 };
        for (image, x) in x.iter().enumerate() {
            let (mut y, mut places) = (vec![f32::NAN; ys[image].len()], vec![0; ys[image].len()]);
            let mut dx = vec![f32::NAN; x.len()];
            max_pool2d::direct::forward(&geometry, x, &mut y, &mut places);
            max_pool2d::direct::input_gradient(&geometry, &places, &dys[image], &mut dx);
            assert_eq!((y, dx), (ys[image].clone(), dxs[image].clone()), "{case}");
        }
    }
}

#[test]
fn linear_layers_and_rectifiers_agree_with_pytorch() {
    let golden = golden("layers");
    let shape = golden.shape("linear.w");
    let geometry = linear::Geometry { inputs: shape[1], outputs: shape[0] };
    let layer = Packed::new(geometry, &golden.f32("linear.w"), &golden.f32("linear.b"));
    let (x, dy) = (golden.f32("linear.x"), golden.f32("linear.dy"));
    let (mut y, mut dx) = (vec![f32::NAN; dy.len()], vec![f32::NAN; x.len()]);
    let mut dw = vec![f32::NAN; geometry.inputs * geometry.outputs];
    layer.forward(&x, &mut y);
    layer.input_gradient(&dy, &mut dx);
    linear::weight_gradient::rows(&geometry, &x, &dy, 0, &mut dw);
    for (found, part) in [(&y, "y"), (&dx, "dx"), (&dw, "dw")] {
        assert_close(found, &golden.f32(&format!("linear.{part}")), 2e-6);
    }

    let mut y = golden.f32("relu.x");
    relu::forward(&mut y);
    assert_eq!(y, golden.f32("relu.y"));
    let mut dx = golden.f32("relu.dy");
    relu::input_gradient(&y.iter().map(|&y| y > 0.0).collect::<Vec<_>>(), &mut dx);
    assert_eq!(dx, golden.f32("relu.dx"));
}
