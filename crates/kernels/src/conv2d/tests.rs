//! Every implementation against the reference, the reference against finite differences.

use super::{Geometry, implicit_gemm, reference, weight_gradient};

/// Awkward sizes: one channel, sides that do not divide, strides, no padding, kernel as large as the image.
fn geometries() -> Vec<Geometry> {
    let g = |input, in_channels, out_channels, kernel, stride, padding| Geometry {
        input,
        in_channels,
        out_channels,
        kernel,
        stride,
        padding,
    };
    vec![
        g([28, 28], 1, 4, 5, 1, 2),
        g([14, 14], 4, 8, 5, 1, 2),
        g([28, 28], 1, 4, 4, 2, 1),
        g([9, 7], 3, 5, 3, 1, 1),
        g([8, 9], 2, 3, 4, 2, 1),
        g([7, 8], 2, 3, 3, 2, 1),
        g([14, 14], 16, 32, 5, 1, 2),
        g([14, 14], 16, 32, 4, 2, 1),
        g([6, 5], 9, 3, 3, 1, 0),
        g([5, 5], 2, 2, 1, 1, 0),
        g([5, 4], 3, 2, 1, 2, 0),
        g([3, 3], 2, 2, 3, 1, 0),
        g([2, 2], 1, 1, 5, 1, 2),
    ]
}

/// Irregular numbers in (-1, 1), the same on every run.
fn noise(count: usize, salt: usize) -> Vec<f32> {
    (0..count).map(|i| (((i * 7919 + salt * 104_729) % 2003) as f32 / 1001.5) - 1.0).collect()
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&v| f64::from(v)).collect()
}

/// Each value within 1e-5 of the largest expected one: f32 rounding of sums of up to a few hundred products.
#[track_caller]
fn assert_close(found: &[f32], expected: &[f64], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let scale = expected.iter().fold(1e-30_f64, |m, v| m.max(v.abs()));
    for (at, (f, e)) in found.iter().zip(expected).enumerate() {
        assert!((f64::from(*f) - e).abs() <= 1e-5 * scale, "{what}[{at}]: {f} instead of {e}");
    }
}

#[test]
fn implicit_gemm_agrees_with_the_reference() {
    for g in geometries() {
        let (x, w) = (noise(g.input_len(), 1), noise(g.taps() * g.out_channels, 2));
        let (b, dy) = (noise(g.out_channels, 3), noise(g.output_len(), 4));
        let packed = implicit_gemm::Packed::new(g, &w, &b);
        let mut scratch = implicit_gemm::Scratch::default();
        // Twice, so that what an image leaves in the scratch cannot reach the next one.
        for _ in 0..2 {
            let mut y = vec![f32::NAN; g.output_len()];
            packed.forward(&x, &mut y, &mut scratch);
            assert_close(&y, &reference::forward(&g, &wide(&w), &wide(&b), &wide(&x)), &format!("y {g:?}"));

            let mut dx = vec![f32::NAN; g.input_len()];
            packed.input_gradient(&dy, &mut dx, &mut scratch);
            assert_close(&dx, &reference::input_gradient(&g, &wide(&w), &wide(&dy)), &format!("dx {g:?}"));
        }
    }
}

#[test]
fn the_weight_gradient_agrees_with_the_reference_and_adds() {
    for g in geometries() {
        let (x, dy) = (noise(g.input_len(), 1), noise(g.output_len(), 4));
        let (mut dw, mut db) = (vec![0.0; g.taps() * g.out_channels], vec![0.0; g.out_channels]);
        let mut scratch = weight_gradient::Scratch::default();
        // Two images alike: the sum is twice one of them.
        for _ in 0..2 {
            weight_gradient::add(&g, &x, &dy, &mut dw, &mut db, &mut scratch);
        }
        let halves = |sum: &[f32]| sum.iter().map(|v| v / 2.0).collect::<Vec<_>>();
        assert_close(
            &halves(&dw),
            &reference::weight_gradient(&g, &wide(&x), &wide(&dy)),
            &format!("dw {g:?}"),
        );
        let sums: Vec<f64> = (0..g.out_channels)
            .map(|o| dy.iter().skip(o).step_by(g.out_channels).map(|&d| f64::from(d)).sum())
            .collect();
        assert_close(&halves(&db), &sums, &format!("db {g:?}"));
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
        assert!((slope - claimed).abs() <= 1e-9 * claimed.abs().max(1.0), "dx {g:?}: {claimed} {slope}");

        let direction = wide(&noise(w.len(), 6));
        let slope = (value(&x, &moved(&w, &direction, 0.5)) - value(&x, &moved(&w, &direction, -0.5))) / 1.0;
        let claimed = dot(&reference::weight_gradient(&g, &x, &dy), &direction);
        assert!((slope - claimed).abs() <= 1e-9 * claimed.abs().max(1.0), "dw {g:?}: {claimed} {slope}");
    }
}

#[test]
fn weights_survive_the_way_from_torch_and_back() {
    for g in geometries() {
        let torch = noise(g.taps() * g.out_channels, 9);
        let ours = g.weights_from_torch(&torch);
        assert_eq!(g.weights_to_torch(&ours), torch);
        // w[out 0, in last, tap 1] by hand.
        if g.kernel > 1 {
            let area = g.kernel * g.kernel;
            let (channel, tap) = (g.in_channels - 1, 1);
            assert_eq!(ours[(tap * g.in_channels + channel) * g.out_channels], torch[channel * area + tap]);
        }
    }
}

#[test]
fn a_kernel_that_does_not_fit_has_no_output() {
    let g = Geometry { input: [2, 3], in_channels: 1, out_channels: 1, kernel: 4, stride: 1, padding: 0 };
    assert_eq!(g.output(), [0, 0]);
}
