//! Products of factors rounded to bf16: near the reference, the same on every instruction set, each image by itself.

use super::super::packed::{Directions, Gradients, Packed, Scratch};
use super::*;

/// Of the length of what is expected; a sum of hundreds of products of rounded factors has about 3e-3.
const DIRECT: f64 = 5e-3;
/// Winograd's transforms multiply what rounding loses: about 1e-2.
const WINOGRAD: f64 = 2e-2;
/// What is multiplied in f32 as ever.
const F32: f64 = 1e-5;

/// Errors of images that are allowed for `factors`, one for each direction.
fn bounds(g: &Geometry) -> [f64; 2] {
    let of_whole_vectors = match (winograd::supports(g), g.kernel) {
        (true, 3) => WINOGRAD,
        (true, _) => F32,
        (false, _) => DIRECT,
    };
    let few = !g.in_channels.is_multiple_of(LANES);
    if few { [F32; 2] } else { [of_whole_vectors; 2] }
}

/// Outputs of `given`, or the gradients on the inputs for those on the outputs.
fn run(layer: &Packed, g: &Geometry, given: &[Vec<f32>], backward: bool) -> Vec<f32> {
    let [x, y] = layouts(g);
    let (from, to) = if backward { (y, x) } else { (x, y) };
    let mut output = vec![0.0; given.len() * to.image()];
    let (values, count) = (place(&from, given), given.len());
    let (epilogue, mut scratch) = (Epilogue::open(&mut output), Scratch::default());
    if backward {
        layer.input_gradient(Source::Dense(&values), &from, count, &to, epilogue, &mut scratch);
    } else {
        layer.forward(&values, &from, count, &to, epilogue, &mut scratch);
    }
    output
}

fn relative_error(found: &[f32], expected: &[f64]) -> f64 {
    let square: f64 = found.iter().zip(expected).map(|(f, e)| (f64::from(*f) - e).powi(2)).sum();
    (square / expected.iter().map(|e| e * e).sum::<f64>()).sqrt()
}

#[test]
fn rounded_products_are_near_the_reference_and_the_same_on_every_instruction_set() {
    let mut largest = [0.0_f64; 2];
    for g in geometries() {
        let weights = noise(g.taps() * g.out_channels, 2);
        let [from, to] = layouts(&g);
        for (backward, bound) in [false, true].into_iter().zip(bounds(&g)) {
            let (read, written) = if backward { (&to, &from) } else { (&from, &to) };
            let given = images(read, if backward { 4 } else { 1 });
            let mut fused = Vec::new();
            for isa in Isa::available() {
                let packed =
                    |factors| Packed::new(isa, g, &weights, Gradients::Dense, Directions::Both, factors);
                let found = run(&packed(Factors::Bf16), &g, &given, backward);
                let what = format!("{isa:?} {g:?}, backward: {backward}");
                for (at, given) in given.iter().enumerate() {
                    let expected = if backward {
                        reference::input_gradient(&g, &wide(&weights), &wide(given))
                    } else {
                        reference::forward(&g, &wide(&weights), &vec![0.0; g.out_channels], &wide(given))
                    };
                    let error = relative_error(&image(written, &found, at), &expected);
                    assert!(error <= bound, "{error:e} of {bound:e}: {what}");
                    if bound > F32 {
                        // It is rounded, indeed.
                        assert!(error > 5e-4, "{error:e}: {what}");
                        let kind = usize::from(bound == WINOGRAD);
                        largest[kind] = largest[kind].max(error);
                    }
                    let alone = run(&packed(Factors::Bf16), &g, std::slice::from_ref(given), backward);
                    assert!(alone == found[at * written.image()..][..written.image()], "alone: {what}");
                }
                if bound == F32 {
                    assert!(found == run(&packed(Factors::F32), &g, &given, backward), "{what}");
                }
                if isa.is_fused() {
                    fused.push(found);
                }
            }
            assert!(fused.windows(2).all(|pair| pair[0] == pair[1]), "{g:?}, backward: {backward}");
        }
    }
    println!("largest errors: direct {:.2e}, Winograd {:.2e}", largest[0], largest[1]);
}
