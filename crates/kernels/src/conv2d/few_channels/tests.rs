//! Pooling on the way against pooling apart. (The gradient itself is compared with the reference beside the others.)

use super::*;
use crate::conv2d::packed::{Directions, Gradients, Packed, Scratch};
use crate::epilogue::{Add, Epilogue, Gate, PooledEpilogue, Source};
use crate::factors::Factors;
use crate::isa::Isa;
use crate::layout::Layout;
use crate::max_pool2d;

const IMAGES: usize = 2;

/// Few different values, so that there are ties.
fn coarse(count: usize, salt: usize) -> Vec<f32> {
    (0..count).map(|i| ((i * 7919 + salt * 104_729) % 2003 / 401) as f32 - 2.0).collect()
}

fn images(layout: &Layout, salt: usize) -> Vec<f32> {
    let mut buffer = vec![0.0; IMAGES * layout.image()];
    for (at, image) in buffer.chunks_exact_mut(layout.image()).enumerate() {
        layout.fill(&coarse(layout.pixels() * layout.channels, salt + at), layout.channels, image);
    }
    buffer
}

#[test]
fn pooling_on_the_way_is_pooling_apart_forward_and_back() {
    for (input, in_channels, out_channels, kernel, padding) in [
        ([28, 28], 1, 32, 5, 2),
        ([9, 7], 3, 48, 3, 1),
        ([7, 12], 2, 16, 5, 1),
        ([6, 6], 3, 32, 7, 3),
        ([8, 9], 1, 16, 3, 0),
    ] {
        let g = Geometry { input, in_channels, out_channels, kernel, stride: 1, padding };
        let [height, width] = g.output();
        let from = Layout { height: input[0], width: input[1], channels: in_channels, halo: padding };
        let to = Layout { height, width, channels: out_channels, halo: 1 };
        let pooled = Layout { height: height / 2, width: width / 2, halo: 2, ..to };
        let pooling = max_pool2d::Geometry::tiles(g.output(), out_channels, 2);
        let (x, weights) = (images(&from, 1), coarse(g.taps() * out_channels, 2));
        let (bias, dy, before) = (coarse(out_channels, 3), images(&pooled, 4), images(&from, 5));
        for isa in Isa::available() {
            let layer = Packed::new(isa, g, &weights, Gradients::Dense, Directions::Both, Factors::F32);
            let mut scratch = Scratch::default();
            let len = IMAGES * pooled.image();
            let (mut found, mut windows) = (vec![0.0; len], vec![[0; 4]; len / LANES]);
            let epilogue = PooledEpilogue { output: &mut found, bias: Some(&bias), bits: Some(&mut windows) };
            layer.forward_pooled(&x, &from, IMAGES, &to, &pooled, epilogue, &mut scratch);

            let mut y = vec![0.0; IMAGES * to.image()];
            let (mut masks, mut places) = (vec![0; y.len() / LANES], vec![0; len / LANES * 4]);
            let gate = Gate::RectifyAndMask(&mut masks);
            let epilogue = Epilogue { output: &mut y, bias: Some(&bias), add: Add::Nothing, gate };
            layer.forward(&x, &from, IMAGES, &to, epilogue, &mut scratch);
            let mut expected = vec![0.0; len];
            let at = Some(&mut places[..]);
            max_pool2d::direct::forward(isa, &pooling, &y, &to, IMAGES, &pooled, &mut expected, at);
            assert_eq!(found, expected, "{isa:?} {g:?}");
            assert!(found.iter().any(|value| *value > 0.0));

            let mut unpooled = vec![0.0; y.len()];
            let (output, gate) = (&mut unpooled[..], Gate::Masked(&masks));
            let mut epilogue = Epilogue { output, bias: None, add: Add::Nothing, gate };
            let (dy, windows) = (&dy[..], &windows[..]);
            max_pool2d::direct::input_gradient(
                isa,
                &pooling,
                dy,
                &pooled,
                &places,
                IMAGES,
                &to,
                &mut epilogue,
            );
            for add in [Add::Nothing, Add::Output] {
                let [mut found, mut expected] = [before.clone(), before.clone()];
                let mut back = |dy: Source<'_>, from_layout: &Layout, output: &mut [f32]| {
                    let epilogue = Epilogue { output, bias: None, add, gate: Gate::Open };
                    layer.input_gradient(dy, from_layout, IMAGES, &from, epilogue, &mut scratch);
                };
                back(Source::Pooled(dy, windows), &pooled, &mut found);
                back(Source::Dense(&unpooled), &to, &mut expected);
                assert_eq!(found, expected, "{isa:?} {g:?}");
                assert_ne!(found, before, "{isa:?} {g:?}");
            }
        }
    }
}
