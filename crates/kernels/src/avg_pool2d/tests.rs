//! The reference by hand, the fast implementation against it.

use super::{Geometry, direct, reference};
use crate::epilogue::{Add, Epilogue, Gate};
use crate::isa::Isa;
use crate::layout::Layout;

#[test]
fn a_window_gives_its_mean_and_gets_equal_parts() {
    let g = Geometry { input: [2, 4], channels: 2, window: 2 };
    // Channel 0 counts upwards from 0, channel 1 is ten times that.
    let x: Vec<f64> = (0..8).flat_map(|i| [f64::from(i), 10.0 * f64::from(i)]).collect();
    assert_eq!(reference::forward(&g, &x), [2.5, 25.0, 4.5, 45.0]);
    let dx = reference::input_gradient(&g, &[4.0, 8.0, 12.0, 16.0]);
    let row = [1.0, 2.0, 1.0, 2.0, 3.0, 4.0, 3.0, 4.0];
    assert_eq!(dx, [row, row].concat());
}

#[test]
fn forward_and_gradient_are_transposes() {
    for (input, channels, window) in [([4, 4], 3, 4), ([6, 3], 1, 3), ([8, 8], 5, 2), ([3, 5], 2, 1)] {
        let g = Geometry { input, channels, window };
        let x: Vec<f64> = (0..g.input_len()).map(|i| f64::from((i * 7919 % 97) as u32) - 48.0).collect();
        let dy: Vec<f64> = (0..g.output_len()).map(|i| f64::from((i * 104_729 % 89) as u32) - 44.0).collect();
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let (there, back) =
            (dot(&reference::forward(&g, &x), &dy), dot(&x, &reference::input_gradient(&g, &dy)));
        assert!((there - back).abs() < 1e-9 * there.abs().max(1.0), "{g:?}: {there} {back}");
    }
}

#[test]
fn direct_agrees_with_the_reference() {
    for (input, channels, window) in [([4, 4], 16, 4), ([6, 3], 48, 3), ([8, 8], 32, 2), ([3, 5], 16, 1)] {
        let g = Geometry { input, channels, window };
        let from = Layout { height: input[0], width: input[1], channels, halo: 1 };
        let to = Layout { height: g.output()[0], width: g.output()[1], channels, halo: 2 };
        // Sums of small integers over a power of two, or over 9 with one rounding.
        let given = |len: usize| (0..len).map(|i| ((i * 7919) % 23) as f32 - 11.0).collect::<Vec<f32>>();
        let wide = |v: &[f32]| v.iter().map(|&v| f64::from(v)).collect::<Vec<_>>();
        let (x, dy) = (given(g.input_len()), given(g.output_len()));
        for isa in Isa::available() {
            let (mut image, mut gradient) = (vec![0.0; from.image()], vec![0.0; to.image()]);
            from.fill(&x, channels, &mut image);
            to.fill(&dy, channels, &mut gradient);
            let (mut y, mut dx) = (vec![0.0; to.image()], vec![0.0; from.image()]);
            direct::forward(isa, &g, &image, &from, 1, &to, &mut y);
            let mut epilogue = Epilogue { output: &mut dx, bias: None, add: Add::Nothing, gate: Gate::Open };
            direct::input_gradient(isa, &g, &gradient, &to, 1, &from, &mut epilogue);
            let expected = [reference::forward(&g, &wide(&x)), reference::input_gradient(&g, &wide(&dy))];
            for ((layout, found), expected) in [(to, &y), (from, &dx)].into_iter().zip(expected) {
                let mut pixels = vec![f32::NAN; expected.len()];
                layout.read(found, channels, &mut pixels);
                for (found, expected) in wide(&pixels).iter().zip(&expected) {
                    assert!((found - expected).abs() < 1e-5, "{isa:?} {g:?}: {found} {expected}");
                }
            }
        }
    }
}
