//! Packed products against the reference, and the promise that rows do not see each other.

use super::{Geometry, packed, reference, weight_gradient};
use crate::epilogue::{Add, Epilogue, Gate};
use crate::factors::Factors;
use crate::isa::Isa;
use crate::layout::Layout;
use crate::sample::{independent, relative_error};

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

fn geometries() -> Vec<Geometry> {
    [(1, 1), (3, 2), (100, 10), (65, 33)].map(|(inputs, outputs)| Geometry { inputs, outputs }).to_vec()
}

/// Images with and without halo, tight and in whole vectors.
fn layouts() -> Vec<Layout> {
    [(1, 1, 100, 0), (7, 7, 32, 2), (2, 3, 16, 1), (5, 4, 3, 0), (1, 1, 512, 0)]
        .map(|(height, width, channels, halo)| Layout { height, width, channels, halo })
        .to_vec()
}

const ROWS: usize = 19;

fn place(layout: &Layout, rows: &[Vec<f32>]) -> Vec<f32> {
    let mut buffer = vec![0.0; rows.len() * layout.image()];
    for (row, buffer) in rows.iter().zip(buffer.chunks_exact_mut(layout.image())) {
        layout.fill(row, layout.channels, buffer);
    }
    buffer
}

#[test]
fn packed_products_agree_with_the_reference_wherever_the_row_stands() {
    for from in layouts() {
        for outputs in [16, 48, 112] {
            let g = Geometry { inputs: from.pixels() * from.channels, outputs };
            let weights = noise(g.inputs * g.outputs, 1);
            let torch: Vec<f64> = (0..weights.len())
                .map(|at| f64::from(weights[at % g.inputs * outputs + at / g.inputs]))
                .collect();
            let xs: Vec<Vec<f32>> = (0..ROWS).map(|row| noise(g.inputs, 3 + row)).collect();
            let dys: Vec<Vec<f32>> = (0..ROWS).map(|row| noise(outputs, 90 + row)).collect();
            for isa in Isa::available() {
                let layer = packed::Packed::new(isa, from, outputs, &weights);
                let to = layer.to();
                let run = |xs: &[Vec<f32>], dys: &[Vec<f32>]| {
                    let mut scratch = packed::Scratch::default();
                    let (mut y, mut dx) =
                        (vec![0.0; xs.len() * to.image()], vec![0.0; xs.len() * from.image()]);
                    let epilogue =
                        |output| Epilogue { output, bias: None, add: Add::Nothing, gate: Gate::Open };
                    layer.forward(&place(&from, xs), xs.len(), &mut epilogue(&mut y), &mut scratch);
                    layer.backward(&place(&to, dys), xs.len(), &mut epilogue(&mut dx), &mut scratch);
                    (y, dx)
                };
                let (y, dx) = run(&xs, &dys);
                for row in 0..ROWS {
                    let expected = reference::forward(&g, &torch, &vec![0.0; outputs], &wide(&xs[row]));
                    let found = &y[row * to.image()..][..to.image()];
                    assert_close(found, &expected, &format!("y {from:?} {outputs} {isa:?}"));
                    let expected = reference::input_gradient(&g, &torch, &wide(&dys[row]));
                    let image = &dx[row * from.image()..][..from.image()];
                    let mut found = vec![f32::NAN; g.inputs];
                    from.read(image, from.channels, &mut found);
                    assert_close(&found, &expected, &format!("dx {from:?} {outputs} {isa:?}"));
                    let (alone_y, alone_dx) = run(&xs[row..=row], &dys[row..=row]);
                    assert_eq!(alone_y, &y[row * to.image()..][..to.image()]);
                    assert_eq!(alone_dx, image);
                }
            }
        }
    }
}

#[test]
fn rounded_products_are_near_the_reference_the_same_everywhere_and_each_row_by_itself() {
    let factors = [Factors::Bf16, Factors::Bf16Amx];
    for (from, factors) in layouts().into_iter().flat_map(|from| factors.map(|factors| (from, factors))) {
        let (g, pairs) = (
            Geometry { inputs: from.pixels() * from.channels, outputs: 48 },
            from.channels.is_multiple_of(16),
        );
        let weights = independent(g.inputs * g.outputs, 1);
        let torch: Vec<f64> = (0..weights.len())
            .map(|at| f64::from(weights[at % g.inputs * g.outputs + at / g.inputs]))
            .collect();
        let xs: Vec<Vec<f32>> = (0..ROWS).map(|row| independent(g.inputs, 3 + row)).collect();
        let dys: Vec<Vec<f32>> = (0..ROWS).map(|row| independent(g.outputs, 90 + row)).collect();
        let mut fused = Vec::new();
        for isa in Isa::available() {
            let layer = packed::Packed::new(isa, from, g.outputs, &weights).rounded(factors);
            let to = layer.to();
            let run = |xs: &[Vec<f32>], dys: &[Vec<f32>]| {
                let mut scratch = packed::Scratch::default();
                let (mut y, mut dx) = (vec![0.0; xs.len() * to.image()], vec![0.0; xs.len() * from.image()]);
                layer.forward(&place(&from, xs), xs.len(), &mut Epilogue::open(&mut y), &mut scratch);
                layer.backward(&place(&to, dys), xs.len(), &mut Epilogue::open(&mut dx), &mut scratch);
                (y, dx)
            };
            let (y, dx) = run(&xs, &dys);
            for row in 0..ROWS {
                let expected = reference::forward(&g, &torch, &vec![0.0; g.outputs], &wide(&xs[row]));
                let forward = relative_error(&y[row * to.image()..][..to.image()], &expected);
                let expected = reference::input_gradient(&g, &torch, &wide(&dys[row]));
                let mut found = vec![f32::NAN; g.inputs];
                from.read(&dx[row * from.image()..][..from.image()], from.channels, &mut found);
                for error in [forward, relative_error(&found, &expected)] {
                    let allowed = if pairs { 5e-4..5e-3 } else { 0.0..1e-5 };
                    assert!(allowed.contains(&error), "{error:e} {factors:?} {isa:?} {from:?}");
                }
                let (alone_y, alone_dx) = run(&xs[row..=row], &dys[row..=row]);
                assert_eq!(alone_y, &y[row * to.image()..][..to.image()]);
                assert_eq!(alone_dx, &dx[row * from.image()..][..from.image()]);
            }
            if isa.is_fused() {
                fused.push((y, dx));
            }
        }
        assert!(fused.windows(2).all(|pair| pair[0] == pair[1]), "{from:?}");
    }
}

#[test]
fn weight_gradients_agree_with_the_reference_and_add_up() {
    for from in layouts() {
        for outputs in [16, 48, 112] {
            let g = Geometry { inputs: from.pixels() * from.channels, outputs };
            let xs: Vec<Vec<f32>> = (0..ROWS).map(|row| noise(g.inputs, 3 + row)).collect();
            let dys: Vec<Vec<f32>> = (0..ROWS).map(|row| noise(outputs, 90 + row)).collect();
            let (x, dy) = (place(&from, &xs), dys.concat());
            // The reference has weights `[out, in]`.
            let mut expected = vec![0.0; g.inputs * outputs];
            for (x, dy) in xs.iter().zip(&dys) {
                for (at, part) in reference::weight_gradient(&g, &wide(x), &wide(dy)).into_iter().enumerate()
                {
                    expected[at % g.inputs * outputs + at / g.inputs] += part;
                }
            }
            let mut fused = Vec::new();
            for isa in Isa::available() {
                let run = |cut: usize| {
                    let mut dw = vec![0.0; expected.len()];
                    let mut scratch = weight_gradient::Scratch::default();
                    for rows in weight_gradient::tasks(&from) {
                        let slice = &mut dw[rows.start * outputs..rows.end * outputs];
                        for (first, end) in [(0, cut), (cut, ROWS)] {
                            let (x, dy) = (&x[first * from.image()..], &dy[first * outputs..]);
                            let (rows, images) = (rows.clone(), end - first);
                            weight_gradient::accumulate(
                                isa,
                                x,
                                &from,
                                dy,
                                outputs,
                                images,
                                rows,
                                slice,
                                &mut scratch,
                            );
                        }
                    }
                    dw
                };
                let dw = run(ROWS);
                assert_close(&dw, &expected, &format!("dw {from:?} {outputs} {isa:?}"));
                assert_close(&run(7), &expected, &format!("dw in parts {from:?} {outputs} {isa:?}"));
                if isa.is_fused() {
                    fused.push(dw);
                }
            }
            assert!(fused.windows(2).all(|pair| pair[0] == pair[1]), "{from:?} {outputs}");
        }
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
