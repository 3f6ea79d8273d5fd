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
        g([28, 28], 32, 2),
        g([7, 9], 16, 2),
        g([7, 7], 48, 3),
        g([3, 2], 16, 1),
        g([9, 6], 80, 3),
        g([4, 5], 32, 4),
        g([16, 17], 16, 16),
        g([1, 1], 16, 2),
    ]
}

/// Layouts of input and output.
fn layouts(g: &Geometry) -> [Layout; 2] {
    let [height, width] = g.output();
    [
        Layout { height: g.input[0], width: g.input[1], channels: g.channels, halo: 1 },
        Layout { height, width, channels: g.channels, halo: 2 },
    ]
}

const IMAGES: usize = 3;

/// Images in a buffer whose halo must not be read.
fn place(layout: &Layout, pixels: &[f32]) -> Vec<f32> {
    let mut buffer = vec![f32::NAN; IMAGES * layout.image()];
    let len = layout.pixels() * layout.channels;
    for (image, buffer) in buffer.chunks_exact_mut(layout.image()).enumerate() {
        layout.fill(&pixels[image * len..][..len], layout.channels, buffer);
    }
    buffer
}

#[test]
fn direct_agrees_with_the_reference_also_at_ties() {
    for g in geometries() {
        let [input, output] = layouts(&g);
        // Few distinct values, so that most windows have ties.
        let xs: Vec<f32> = (0..IMAGES * g.input_len()).map(|i| ((i * 7919) % 5) as f32 - 2.0).collect();
        let dys: Vec<f32> = (0..IMAGES * g.output_len()).map(|i| i as f32 + 1.0).collect();
        let (x, dy) = (place(&input, &xs), place(&output, &dys));
        for isa in Isa::available() {
            let (mut y, mut places) = (vec![0.0; dy.len()], vec![0; dy.len()]);
            direct::forward(isa, &g, &x, &input, IMAGES, &output, &mut y, Some(&mut places));
            let mut dx = vec![0.0; x.len()];
            let mut finish = Finish { output: &mut dx, bias: None, add: Add::Nothing, gate: Gate::Open };
            direct::input_gradient(isa, &g, &dy, &output, &places, IMAGES, &input, &mut finish);
            for image in 0..IMAGES {
                let wide = |v: &[f32]| v.iter().map(|&v| f64::from(v)).collect::<Vec<_>>();
                let (of_x, of_y) = (image * g.input_len(), image * g.output_len());
                let (expected_y, expected_places) =
                    reference::forward(&g, &wide(&xs[of_x..][..g.input_len()]));
                let expected_dx =
                    reference::input_gradient(&g, &expected_places, &wide(&dys[of_y..][..g.output_len()]));
                let (mut found_y, mut found_dx) = (vec![0.0; g.output_len()], vec![0.0; g.input_len()]);
                output.read(&y[image * output.image()..], g.channels, &mut found_y);
                input.read(&dx[image * input.image()..], g.channels, &mut found_dx);
                assert_eq!(wide(&found_y), expected_y, "{isa:?} {g:?}");
                assert_eq!(wide(&found_dx), expected_dx, "{isa:?} {g:?}");
            }
            let mut again = vec![0.0; y.len()];
            direct::forward(isa, &g, &x, &input, IMAGES, &output, &mut again, None);
            assert_eq!(again, y);
        }
    }
}

/// One window of 2x2 in every channel: its maximum, the place, and who gets a gradient of 1.
fn window(isa: Isa, x: [f32; 4]) -> (f32, u8, [f32; 4]) {
    let g = Geometry { input: [2, 2], channels: LANES, window: 2 };
    let input = Layout { height: 2, width: 2, channels: LANES, halo: 0 };
    let output = Layout { height: 1, width: 1, ..input };
    let x: Vec<f32> = x.into_iter().flat_map(|x| [x; LANES]).collect();
    let (mut y, mut places, mut dx) = (vec![0.0; LANES], vec![0; LANES], vec![f32::NAN; 4 * LANES]);
    direct::forward(isa, &g, &x, &input, 1, &output, &mut y, Some(&mut places));
    let mut finish = Finish { output: &mut dx, bias: None, add: Add::Nothing, gate: Gate::Open };
    direct::input_gradient(isa, &g, &[1.0; LANES], &output, &places, 1, &input, &mut finish);
    (y[3], places[3], [0, 1, 2, 3].map(|p| dx[p * LANES + 3]))
}

#[test]
fn the_first_largest_value_takes_the_whole_gradient() {
    for isa in Isa::available() {
        assert_eq!(window(isa, [1.0, 2.0, 3.0, 4.0]).2, [0.0, 0.0, 0.0, 1.0]);
        assert_eq!(window(isa, [1.0, 1.0, 1.0, 1.0]).2, [1.0, 0.0, 0.0, 0.0]);
        assert_eq!(window(isa, [0.0, 2.0, 2.0, 1.0]).2, [0.0, 1.0, 0.0, 0.0]);
    }
}

#[test]
fn nan_wins_wherever_it_stands() {
    for isa in Isa::available() {
        for at in 0..4 {
            let mut x = [1.0, 2.0, 3.0, 4.0];
            x[at] = f32::NAN;
            let (y, place, _) = window(isa, x);
            assert!(y.is_nan() && usize::from(place) == at, "{isa:?} {x:?}");
        }
    }
}

/// What the end of the layer adds reaches pixels in no window too.
#[test]
fn every_input_pixel_is_finished() {
    let g = Geometry { input: [5, 3], channels: LANES, window: 2 };
    let [input, output] = layouts(&g);
    let (dy, places) = (vec![1.0; output.image()], vec![0; output.image()]);
    let mut dx = vec![10.0; input.image()];
    let mut finish = Finish { output: &mut dx, bias: None, add: Add::Output, gate: Gate::Open };
    direct::input_gradient(Isa::detect(), &g, &dy, &output, &places, 1, &input, &mut finish);
    let mut pixels = vec![0.0; g.input_len()];
    input.read(&dx, LANES, &mut pixels);
    let first: Vec<f32> = pixels.iter().step_by(LANES).copied().collect();
    assert_eq!(
        first,
        [11.0, 10.0, 10.0, 10.0, 10.0, 10.0, 11.0, 10.0, 10.0, 10.0, 10.0, 10.0, 10.0, 10.0, 10.0]
    );
}
