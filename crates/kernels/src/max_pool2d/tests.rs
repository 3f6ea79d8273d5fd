//! The fast implementation against the reference, and the conventions by hand.

use super::{Geometry, direct, reference};
use crate::finish::{Add, Finish, Gate};
use crate::isa::Isa;
use crate::layout::Layout;
use crate::vector::LANES;

fn geometries() -> Vec<Geometry> {
    let g = |input, channels, window| Geometry { input, channels, window };
    vec![
        g([4, 4], 16, 2),
        g([28, 28], 16, 2),
        g([7, 9], 48, 2),
        g([7, 7], 16, 3),
        g([3, 2], 32, 1),
        g([9, 6], 16, 3),
        g([4, 4], 32, 4),
        g([1, 1], 16, 2),
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
    let mut places = vec![0; dy.len() / LANES * g.area()];
    direct::forward(isa, g, &x, &from, images, &to, &mut y, Some(&mut places));
    let mut finish = Finish { output: &mut dx, bias: None, add: Add::Nothing, gate: Gate::Open };
    direct::input_gradient(isa, g, &dy, &to, &places, images, &from, &mut finish);
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
        let (expected_y, places) = reference::forward(&g, &wide(&x));
        let expected_dx = reference::input_gradient(&g, &places, &wide(&dy));
        for isa in Isa::available() {
            let [dx, y] = pool(isa, &g, &x, &dy, 3);
            assert_eq!(wide(&y), expected_y, "{isa:?} {g:?}");
            assert_eq!(wide(&dx), expected_dx, "{isa:?} {g:?}");
        }
    }
}

/// One channel of a 2x2 image, in all channels.
fn window(isa: Isa, x: [f32; 4]) -> ([f32; 4], f32) {
    let g = Geometry { input: [2, 2], channels: 16, window: 2 };
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
