//! Blocks against the reference, and the promise that rows do not see each other.

use super::{BLOCK, Geometry, blocked, reference};

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

#[test]
fn blocks_agree_with_the_reference() {
    for g in geometries() {
        let (w, b) = (noise(g.inputs * g.outputs, 1), noise(g.outputs, 2));
        let (x, dy) = (noise(BLOCK * g.inputs, 3), noise(BLOCK * g.outputs, 4));
        let (mut y, mut dx) = (vec![f32::NAN; dy.len()], vec![f32::NAN; x.len()]);
        blocked::forward(&g, &w, &b, &x, &mut y);
        blocked::input_gradient(&g, &w, &dy, &mut dx);
        let mut expected_dw = vec![0.0; w.len()];
        for row in 0..BLOCK {
            let (x, dy) = (wide(&x[row * g.inputs..][..g.inputs]), wide(&dy[row * g.outputs..][..g.outputs]));
            let what = format!("{g:?} row {row}");
            assert_close(
                &y[row * g.outputs..][..g.outputs],
                &reference::forward(&g, &wide(&w), &wide(&b), &x),
                &what,
            );
            assert_close(
                &dx[row * g.inputs..][..g.inputs],
                &reference::input_gradient(&g, &wide(&w), &dy),
                &what,
            );
            for (sum, part) in expected_dw.iter_mut().zip(reference::weight_gradient(&g, &x, &dy)) {
                *sum += part;
            }
        }
        let mut dw = vec![f32::NAN; w.len()];
        let (top, bottom) = dw.split_at_mut(g.outputs / 2 * g.inputs);
        blocked::weight_gradient_rows(&g, &x, &dy, 0, top);
        blocked::weight_gradient_rows(&g, &x, &dy, g.outputs / 2, bottom);
        assert_close(&dw, &expected_dw, &format!("dw {g:?}"));
    }
}

#[test]
fn a_row_is_the_same_wherever_it_stands_and_whatever_stands_beside_it() {
    for g in geometries() {
        let (w, b) = (noise(g.inputs * g.outputs, 1), noise(g.outputs, 2));
        let row = noise(g.inputs, 5);
        let dy_row = noise(g.outputs, 6);
        let results = |at: usize, salt: usize| {
            let (mut x, mut dy) = (noise(BLOCK * g.inputs, salt), noise(BLOCK * g.outputs, salt + 1));
            x[at * g.inputs..][..g.inputs].copy_from_slice(&row);
            dy[at * g.outputs..][..g.outputs].copy_from_slice(&dy_row);
            let (mut y, mut dx) = (vec![f32::NAN; dy.len()], vec![f32::NAN; x.len()]);
            blocked::forward(&g, &w, &b, &x, &mut y);
            blocked::input_gradient(&g, &w, &dy, &mut dx);
            (y[at * g.outputs..][..g.outputs].to_vec(), dx[at * g.inputs..][..g.inputs].to_vec())
        };
        let first = results(0, 10);
        for at in 0..BLOCK {
            assert_eq!(results(at, 20 + at), first, "{g:?} at row {at}");
        }
    }
}
