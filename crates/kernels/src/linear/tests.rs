//! Packed products against the reference, and the promise that rows do not see each other.

use super::{Geometry, packed::Packed, reference, weight_gradient};

fn noise(count: usize, salt: usize) -> Vec<f32> {
    (0..count).map(|i| (((i * 7919 + salt * 104_729) % 2003) as f32 / 1001.5) - 1.0).collect()
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&v| f64::from(v)).collect()
}

#[track_caller]
fn assert_close(found: &[f32], expected: &[f64], what: &str) {
    let scale = expected.iter().fold(1e-30_f64, |m, v| m.max(v.abs()));
    for (f, e) in found.iter().zip(expected) {
        assert!((f64::from(*f) - e).abs() <= 1e-5 * scale, "{what}: {f} instead of {e}");
    }
}

/// The shapes of both MNIST networks at their usual widths among them.
fn geometries() -> Vec<Geometry> {
    [(1, 1), (3, 2), (100, 10), (1568, 100), (100, 2), (392, 25), (512, 2), (1568, 512), (65, 33)]
        .map(|(inputs, outputs)| Geometry { inputs, outputs })
        .to_vec()
}

const ROWS: usize = 13;

#[test]
fn packed_products_agree_with_the_reference() {
    for g in geometries() {
        let (w, b) = (noise(g.inputs * g.outputs, 1), noise(g.outputs, 2));
        let (x, dy) = (noise(ROWS * g.inputs, 3), noise(ROWS * g.outputs, 4));
        let (mut y, mut dx) = (vec![f32::NAN; dy.len()], vec![f32::NAN; x.len()]);
        let layer = Packed::new(g, &w, &b);
        layer.forward(&x, &mut y);
        layer.input_gradient(&dy, &mut dx);
        let (w, b) = (wide(&w), wide(&b));
        let mut expected_dw = vec![0.0; w.len()];
        for row in 0..ROWS {
            let (inputs, outputs) =
                (row * g.inputs..(row + 1) * g.inputs, row * g.outputs..(row + 1) * g.outputs);
            let (row_x, row_dy) = (wide(&x[inputs.clone()]), wide(&dy[outputs.clone()]));
            assert_close(&y[outputs], &reference::forward(&g, &w, &b, &row_x), &format!("y {g:?} row {row}"));
            assert_close(
                &dx[inputs],
                &reference::input_gradient(&g, &w, &row_dy),
                &format!("dx {g:?} row {row}"),
            );
            for (sum, part) in expected_dw.iter_mut().zip(reference::weight_gradient(&g, &row_x, &row_dy)) {
                *sum += part;
            }
        }
        let mut dw = vec![f32::NAN; w.len()];
        let (top, bottom) = dw.split_at_mut(g.outputs / 2 * g.inputs);
        weight_gradient::rows(&g, &x, &dy, 0, top);
        weight_gradient::rows(&g, &x, &dy, g.outputs / 2, bottom);
        assert_close(&dw, &expected_dw, &format!("dw {g:?}"));
    }
}

/// The formula is linear in `x` and in `w`, so the differences are exact up to rounding.
#[test]
fn the_reference_has_true_gradients() {
    for g in geometries() {
        let (x, w, b) =
            (wide(&noise(g.inputs, 1)), wide(&noise(g.inputs * g.outputs, 2)), vec![0.5; g.outputs]);
        let dy = wide(&noise(g.outputs, 4));
        let value = |x: &[f64], w: &[f64]| -> f64 {
            reference::forward(&g, w, &b, x).iter().zip(&dy).map(|(y, d)| y * d).sum()
        };
        let check = |claimed: f64, slope: f64, what: &str| {
            assert!(
                (slope - claimed).abs() <= 1e-9 * claimed.abs().max(1.0),
                "{what} {g:?}: {claimed} {slope}"
            );
        };
        let dot = |a: &[f64], b: &[f64]| -> f64 { a.iter().zip(b).map(|(a, b)| a * b).sum() };
        let along = wide(&noise(x.len(), 5));
        let moved: Vec<f64> = x.iter().zip(&along).map(|(x, d)| x + d).collect();
        let claimed = dot(&reference::input_gradient(&g, &w, &dy), &along);
        check(claimed, value(&moved, &w) - value(&x, &w), "dx");
        let along = wide(&noise(w.len(), 6));
        let moved: Vec<f64> = w.iter().zip(&along).map(|(w, d)| w + d).collect();
        check(dot(&reference::weight_gradient(&g, &x, &dy), &along), value(&x, &moved) - value(&x, &w), "dw");
    }
}

#[test]
fn a_row_is_the_same_wherever_it_stands_and_whatever_stands_beside_it() {
    for g in geometries() {
        let layer = Packed::new(g, &noise(g.inputs * g.outputs, 1), &noise(g.outputs, 2));
        let (row, dy_row) = (noise(g.inputs, 5), noise(g.outputs, 6));
        let results = |rows: usize, at: usize| {
            let (mut x, mut dy) = (noise(rows * g.inputs, 10 + at), noise(rows * g.outputs, 20 + at));
            x[at * g.inputs..][..g.inputs].copy_from_slice(&row);
            dy[at * g.outputs..][..g.outputs].copy_from_slice(&dy_row);
            let (mut y, mut dx) = (vec![f32::NAN; dy.len()], vec![f32::NAN; x.len()]);
            layer.forward(&x, &mut y);
            layer.input_gradient(&dy, &mut dx);
            (y[at * g.outputs..][..g.outputs].to_vec(), dx[at * g.inputs..][..g.inputs].to_vec())
        };
        let alone = results(1, 0);
        for rows in [2, 5, 6, 7, 13, 32] {
            for at in [0, rows / 2, rows - 1] {
                assert_eq!(results(rows, at), alone, "{g:?} at row {at} of {rows}");
            }
        }
    }
}
