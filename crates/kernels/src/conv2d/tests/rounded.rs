//! Products of factors rounded to bf16: near the reference, the same on every instruction set, each image by itself.

use super::super::packed::{Directions, Gradients, Packed, Scratch};
use super::*;
use crate::sample::{independent, relative_error};

/// Of the length of what is expected; a sum of hundreds of products of rounded factors has about 3e-3.
const DIRECT: f64 = 5e-3;
/// Winograd's transforms multiply what rounding loses: about 1e-2 of a tile, 1.8e-2 of the outputs in its corners.
const WINOGRAD: f64 = 2e-2;
const CORNER: f64 = 4e-2;
/// What is multiplied in f32 as ever.
const F32: f64 = 1e-5;

/// Errors of images that are allowed for `factors`, one for each direction.
fn bounds(factors: Factors, g: &Geometry) -> [f64; 2] {
    let of_whole_vectors = match (factors == Factors::Bf16 && winograd::supports(g), g.kernel) {
        (true, 3) => WINOGRAD,
        (true, _) => F32,
        (false, _) => DIRECT,
    };
    let few = !g.in_channels.is_multiple_of(LANES);
    match (few, g.output()) {
        (true, _) => [F32; 2],
        (false, [1, 1]) if of_whole_vectors == WINOGRAD => [CORNER; 2],
        _ => [of_whole_vectors; 2],
    }
}

fn independent_images(layout: &Layout, salt: usize) -> Vec<Vec<f32>> {
    (0..IMAGES).map(|image| independent(layout.pixels() * layout.channels, salt + image)).collect()
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

#[test]
#[allow(clippy::print_stdout, reason = "says how near they are")]
fn rounded_products_are_near_the_reference_and_the_same_on_every_instruction_set() {
    let mut largest = [0.0_f64; 3];
    let factors = [Factors::Bf16, Factors::Bf16Amx];
    for (g, rounding) in geometries().into_iter().flat_map(|g| factors.map(|factors| (g, factors))) {
        let weights = independent(g.taps() * g.out_channels, 2);
        let [from, to] = layouts(&g);
        for (backward, bound) in [false, true].into_iter().zip(bounds(rounding, &g)) {
            let (read, written) = if backward { (&to, &from) } else { (&from, &to) };
            let given = independent_images(read, if backward { 40 } else { 10 });
            let mut fused = Vec::new();
            for isa in Isa::available() {
                let packed =
                    |factors| Packed::new(isa, g, &weights, Gradients::Dense, Directions::Both, factors);
                let found = run(&packed(rounding), &g, &given, backward);
                let what = format!("{rounding:?} {isa:?} {g:?}, backward: {backward}");
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
                        let kind = [DIRECT, WINOGRAD, CORNER].iter().position(|of| *of == bound).unwrap();
                        largest[kind] = largest[kind].max(error);
                    }
                    let alone = run(&packed(rounding), &g, std::slice::from_ref(given), backward);
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
    println!("largest errors: direct, by Winograd's filtering, in a corner of a tile: {largest:.4?}");
}

/// Tiles of AMX take sixteen images side by side where they lie, others are copied: nobody sees which.
#[test]
fn an_image_among_many_is_what_it_is_alone() {
    const MANY: usize = 19;
    for g in [
        geometry([6, 5], 32, 48, [3, 1, 1]),
        geometry([7, 8], 64, 32, [3, 2, 1]),
        geometry([4, 9], 16, 16, [5, 1, 2]),
        geometry([5, 5], 32, 16, [1, 1, 0]),
    ] {
        let weights = independent(g.taps() * g.out_channels, 2);
        let [from, to] = layouts(&g);
        for isa in Isa::available() {
            let layer = Packed::new(isa, g, &weights, Gradients::Dense, Directions::Both, Factors::Bf16Amx);
            for backward in [false, true] {
                let (read, written) = if backward { (&to, &from) } else { (&from, &to) };
                let given: Vec<_> =
                    (0..MANY).map(|image| independent(read.pixels() * read.channels, 60 + image)).collect();
                let found = run(&layer, &g, &given, backward);
                for (at, given) in given.iter().enumerate() {
                    let alone = run(&layer, &g, std::slice::from_ref(given), backward);
                    let same = alone == found[at * written.image()..][..written.image()];
                    assert!(same, "{isa:?} {g:?}, backward: {backward}, image {at}");
                }
            }
            if g.stride == 1 {
                let pooled = Layout { height: to.height / 2, width: to.width / 2, ..to };
                let pool = |given: &[Vec<f32>]| {
                    let len = given.len() * pooled.image();
                    let (mut y, mut bits) = (vec![0.0; len], vec![[0; 4]; len / LANES]);
                    let epilogue = PooledEpilogue { output: &mut y, bias: None, bits: Some(&mut bits) };
                    let (x, count, mut scratch) = (place(&from, given), given.len(), Scratch::default());
                    layer.forward_pooled(&x, &from, count, &to, &pooled, epilogue, &mut scratch);
                    let (dy, mut dx) = (vec![1.0; len], vec![0.0; given.len() * from.image()]);
                    let source = Source::Pooled(&dy, &bits);
                    layer.input_gradient(
                        source,
                        &pooled,
                        count,
                        &from,
                        Epilogue::open(&mut dx),
                        &mut scratch,
                    );
                    (y, bits, dx)
                };
                let given: Vec<_> =
                    (0..MANY).map(|image| independent(from.pixels() * from.channels, 80 + image)).collect();
                let (y, bits, dx) = pool(&given);
                assert!(y.iter().any(|value| *value > 0.0));
                for (at, given) in given.iter().enumerate() {
                    let alone = pool(std::slice::from_ref(given));
                    let places = at * pooled.image()..(at + 1) * pooled.image();
                    let vectors = places.start / LANES..places.end / LANES;
                    let gradient = at * from.image()..(at + 1) * from.image();
                    assert!(
                        alone.0 == y[places] && alone.1 == bits[vectors],
                        "{isa:?} {g:?}, pooled image {at}"
                    );
                    assert!(alone.2 == dx[gradient], "{isa:?} {g:?}, back from pooled image {at}");
                }
            }
        }
    }
}

/// The chains of multiply-adds that [`crate::factors`] promises, number by number: what every instruction set with fused ones has to give.
#[test]
fn rounded_products_are_added_in_the_order_of_words_or_of_blocks() {
    // The last block of the second has 4 words, those of the third begin within a pixel.
    sums_are(Factors::Bf16, &geometry([7, 8], 32, 48, [3, 2, 1]), &|products| {
        products.chunks_exact(2).fold(0.0, |sum, pair| {
            let [lower, upper] = [pair[0], pair[1]];
            lower[0].mul_add(lower[1], upper[0].mul_add(upper[1], sum))
        })
    });
    for g in [
        geometry([7, 8], 32, 48, [3, 2, 1]),
        geometry([5, 6], 16, 16, [3, 1, 1]),
        geometry([4, 9], 48, 32, [5, 1, 2]),
    ] {
        sums_are(Factors::Bf16Amx, &g, &|products| {
            products.chunks(32).fold(0.0, |sum, block| {
                let mut chains = [0.0_f32; 2];
                for (at, [x, w]) in block.iter().enumerate() {
                    chains[at % 2] = x.mul_add(*w, chains[at % 2]);
                }
                sum + (chains[0] + chains[1])
            })
        });
    }
}

/// A sum of products, in the order of the channels.
type Sum<'a> = &'a dyn Fn(&[[f32; 2]]) -> f32;

fn sums_are(factors: Factors, g: &Geometry, sum: Sum<'_>) {
    let value = |x: f32| f32::from_bits(u32::from(crate::bf16::round(x)) << 16);
    let (g, weights, [from, to]) = (*g, noise(g.taps() * g.out_channels, 2), layouts(g));
    let given = images(&from, 1);
    let expected = |image: &[f32], row: usize, column: usize, o: usize| {
        let mut products = Vec::new();
        for (u, v) in (0..g.kernel).flat_map(|u| (0..g.kernel).map(move |v| (u, v))) {
            let (y, x) = (row * g.stride + u, column * g.stride + v);
            let inside = [(y, g.input[0]), (x, g.input[1])]
                .iter()
                .all(|&(at, side)| (g.padding..side + g.padding).contains(&at));
            for c in 0..g.in_channels {
                // The padding is multiplied as well: a sum of -0 becomes 0.
                let pixel = || image[((y - g.padding) * g.input[1] + x - g.padding) * g.in_channels + c];
                let x = if inside { value(pixel()) } else { 0.0 };
                let at = ((u * g.kernel + v) * g.in_channels + c) * g.out_channels + o;
                products.push([x, value(weights[at])]);
            }
        }
        sum(&products)
    };
    for isa in Isa::available().into_iter().filter(|isa| isa.is_fused()) {
        let layer = Packed::new(isa, g, &weights, Gradients::Dense, Directions::Forward, factors);
        let found = run(&layer, &g, &given, false);
        for (at, given) in given.iter().enumerate() {
            for (pixel, values) in image(&to, &found, at).chunks_exact(g.out_channels).enumerate() {
                for (o, found) in values.iter().enumerate() {
                    let expected = expected(given, pixel / to.width, pixel % to.width, o);
                    assert_eq!(
                        found.to_bits(),
                        expected.to_bits(),
                        "{isa:?} image {at} pixel {pixel} channel {o}"
                    );
                }
            }
        }
    }
}
