//! The reference by hand, the fast implementation against it.

use super::{Geometry, reference, vectors};
use crate::finish::{Add, Finish, Gate};
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
fn vectors_agree_with_the_reference() {
    const IMAGES: usize = 2;
    for (input, channels, window) in
        [([4, 4], 16, 4), ([6, 3], 48, 3), ([8, 8], 80, 2), ([3, 5], 32, 1), ([8, 8], 16, 8)]
    {
        let g = Geometry { input, channels, window };
        let layout = |[height, width]: [usize; 2], halo| Layout { height, width, channels, halo };
        let (from, to) = (layout(input, 1), layout(g.output(), 2));
        // The halo must not be read.
        let (mut x, mut dy) = (vec![f32::NAN; IMAGES * from.image()], vec![f32::NAN; IMAGES * to.image()]);
        let draw =
            |count: usize, salt: usize| (0..count).map(|i| ((i * 7919 + salt) % 97) as f32 - 48.0).collect();
        let xs: Vec<Vec<f32>> = (0..IMAGES).map(|image| draw(g.input_len(), image)).collect();
        let dys: Vec<Vec<f32>> = (0..IMAGES).map(|image| draw(g.output_len(), 10 + image)).collect();
        for image in 0..IMAGES {
            from.fill(&xs[image], channels, &mut x[image * from.image()..]);
            to.fill(&dys[image], channels, &mut dy[image * to.image()..]);
        }
        for isa in Isa::available() {
            let (mut y, mut dx) = (vec![0.0; dy.len()], vec![0.0; x.len()]);
            vectors::forward(isa, &g, &x, &from, IMAGES, &to, &mut y);
            let mut finish = Finish { output: &mut dx, bias: None, add: Add::Nothing, gate: Gate::Open };
            vectors::input_gradient(isa, &g, &dy, &to, IMAGES, &from, &mut finish);
            for image in 0..IMAGES {
                let wide = |values: &[f32]| values.iter().map(|&v| f64::from(v)).collect::<Vec<_>>();
                let (mut found_y, mut found_dx) = (vec![0.0; g.output_len()], vec![0.0; g.input_len()]);
                to.read(&y[image * to.image()..], channels, &mut found_y);
                from.read(&dx[image * from.image()..], channels, &mut found_dx);
                let pairs = [
                    (found_y, reference::forward(&g, &wide(&xs[image]))),
                    (found_dx, reference::input_gradient(&g, &wide(&dys[image]))),
                ];
                for (found, expected) in pairs {
                    let close = |(f, e): (&f32, &f64)| (f64::from(*f) - e).abs() < 1e-5;
                    assert!(found.iter().zip(&expected).all(close), "{isa:?} {g:?}");
                }
            }
        }
    }
}
