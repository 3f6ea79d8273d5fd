//! The reference by hand.

use super::{Geometry, reference};

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
