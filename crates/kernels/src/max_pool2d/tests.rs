//! The fast implementation against the reference, and the conventions by hand.

use super::{Geometry, direct, reference};
use crate::epilogue::{Add, Epilogue, Gate};
use crate::isa::Isa;
use crate::layout::Layout;
use crate::vector::LANES;

fn geometries() -> Vec<Geometry> {
    let g = Geometry::tiles;
    let lapped = |input, channels, [window, stride, padding]: [usize; 3]| Geometry {
        stride,
        padding,
        ..Geometry::tiles(input, channels, window)
    };
    vec![
        g([4, 4], 16, 2),
        g([28, 28], 16, 2),
        g([7, 9], 48, 2),
        g([7, 7], 16, 3),
        g([3, 2], 32, 1),
        g([9, 6], 16, 3),
        g([4, 4], 32, 4),
        g([1, 1], 16, 2),
        // The stem of ImageNet's residual networks, and others that overlap, reach over the border or leave gaps.
        lapped([8, 8], 16, [3, 2, 1]),
        lapped([7, 10], 32, [3, 2, 1]),
        lapped([6, 5], 16, [3, 1, 1]),
        lapped([9, 7], 16, [3, 2, 0]),
        lapped([9, 8], 48, [5, 2, 2]),
        lapped([8, 9], 16, [2, 3, 0]),
        lapped([4, 4], 16, [2, 1, 1]),
        lapped([1, 2], 16, [3, 2, 1]),
    ]
}

fn layouts(g: &Geometry) -> [Layout; 2] {
    let [height, width] = g.output();
    [
        Layout { height: g.input[0], width: g.input[1], channels: g.channels, halo: 1 },
        Layout { height, width, channels: g.channels, halo: 2 },
    ]
}

/// Maxima and gradient of one image, `images` of which are pooled together.
fn pool(isa: Isa, g: &Geometry, x: &[f32], dy: &[f32], images: usize) -> [Vec<f32>; 2] {
    let [from, to] = layouts(g);
    let place = |layout: &Layout, pixels: &[f32]| {
        let mut buffer = vec![0.0; images * layout.image()];
        for image in buffer.chunks_exact_mut(layout.image().max(1)) {
            layout.fill(pixels, g.channels, image);
        }
        buffer
    };
    let (x, dy) = (place(&from, x), place(&to, dy));
    let (mut y, mut dx) = (vec![f32::NAN; dy.len()], vec![f32::NAN; x.len()]);
    let mut indices = vec![0; dy.len() / LANES * g.area()];
    direct::forward(isa, g, &x, &from, images, &to, &mut y, Some(&mut indices));
    let mut epilogue = Epilogue { output: &mut dx, bias: None, add: Add::Nothing, gate: Gate::Open };
    direct::input_gradient(isa, g, &dy, &to, &indices, images, &from, &mut epilogue);
    [(&from, dx), (&to, y)].map(|(layout, buffer)| {
        let image = &buffer[(images - 1) * layout.image()..];
        let mut pixels = vec![0.0; layout.pixels() * g.channels];
        layout.read(image, g.channels, &mut pixels);
        pixels
    })
}

#[test]
fn direct_agrees_with_the_reference_also_at_ties() {
    for g in geometries() {
        // Few distinct values, so that most windows have ties.
        let x: Vec<f32> = (0..g.input_len()).map(|i| ((i * 7919) % 5) as f32 - 2.0).collect();
        let dy: Vec<f32> = (0..g.output_len()).map(|i| i as f32 + 1.0).collect();
        let wide = |v: &[f32]| v.iter().map(|&v| f64::from(v)).collect::<Vec<_>>();
        let (expected_y, indices) = reference::forward(&g, &wide(&x));
        let expected_dx = reference::input_gradient(&g, &indices, &wide(&dy));
        for isa in Isa::available() {
            let [dx, y] = pool(isa, &g, &x, &dy, 3);
            assert_eq!(wide(&y), expected_y, "{isa:?} {g:?}");
            assert_eq!(wide(&dx), expected_dx, "{isa:?} {g:?}");
        }
    }
}

/// One channel of a 2x2 image, in all channels.
fn window(isa: Isa, x: [f32; 4]) -> ([f32; 4], f32) {
    let g = Geometry::tiles([2, 2], 16, 2);
    let x: Vec<f32> = x.iter().flat_map(|&value| [value; 16]).collect();
    let [dx, y] = pool(isa, &g, &x, &[1.0; 16], 1);
    assert!(dx.chunks_exact(16).all(|pixel| pixel.iter().all(|d| *d == pixel[0])));
    ([dx[0], dx[16], dx[32], dx[48]], y[5])
}

#[test]
fn the_first_largest_value_takes_the_whole_gradient() {
    for isa in Isa::available() {
        assert_eq!(window(isa, [1.0, 2.0, 3.0, 4.0]).0, [0.0, 0.0, 0.0, 1.0]);
        assert_eq!(window(isa, [1.0, 1.0, 1.0, 1.0]).0, [1.0, 0.0, 0.0, 0.0]);
        assert_eq!(window(isa, [0.0, 2.0, 2.0, 1.0]).0, [0.0, 1.0, 0.0, 0.0]);
        assert_eq!(window(isa, [f32::NEG_INFINITY; 4]), ([1.0, 0.0, 0.0, 0.0], f32::NEG_INFINITY));
    }
}

#[test]
fn nan_wins_wherever_it_stands() {
    for isa in Isa::available() {
        for at in 0..4 {
            let (mut x, mut expected) = ([1.0, 2.0, 3.0, 4.0], [0.0; 4]);
            (x[at], expected[at]) = (f32::NAN, 1.0);
            let (dx, y) = window(isa, x);
            assert!(y.is_nan(), "{isa:?} {x:?}");
            assert_eq!(dx, expected, "{isa:?} {x:?}");
        }
    }
}

#[test]
fn the_reference_has_the_gradient_of_its_own_values() {
    for g in geometries().into_iter().filter(|g| g.output_len() > 0) {
        // No two values are near each other, so that no maximum changes within a step.
        let x: Vec<f64> = (0..g.input_len()).map(|i| ((i * 7919) % 10_007) as f64 / 100.0).collect();
        let dy: Vec<f64> = (0..g.output_len()).map(|i| (i as f64 * 0.7).sin()).collect();
        let dx = reference::input_gradient(&g, &reference::forward(&g, &x).1, &dy);
        let value = |x: &[f64]| reference::forward(&g, x).0.iter().zip(&dy).map(|(y, d)| y * d).sum::<f64>();
        for at in (0..x.len()).step_by(x.len().div_ceil(40)) {
            let moved = |by: f64| {
                let mut x = x.clone();
                x[at] += by;
                value(&x)
            };
            let slope = (moved(1e-3) - moved(-1e-3)) / 2e-3;
            assert!((slope - dx[at]).abs() < 1e-8, "{g:?} at {at}: {slope}, not {}", dx[at]);
        }
    }
}
