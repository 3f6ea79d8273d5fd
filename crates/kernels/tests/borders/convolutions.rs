//! Convolutions, in all their implementations.

use robin_kernels::conv2d::few_channels::{FewChannels, Mode};
use robin_kernels::conv2d::implicit_gemm::{self, ImplicitGemm};
use robin_kernels::conv2d::packed::{Directions, Gradients, Packed};
use robin_kernels::conv2d::sparse::Sparse;
use robin_kernels::conv2d::winograd::weight_gradient::WeightGradient;
use robin_kernels::conv2d::winograd::{Ending, Winograd};
use robin_kernels::conv2d::{Geometry, reference, turn, weight_gradient};
use robin_kernels::epilogue::Source;
use robin_kernels::factors::Factors;
use robin_kernels::layout::Layout;

use super::draw::{Draw, Guarded, len_of, product};
use super::{Case, WRONG, assert_finite};

pub(crate) const CASES: &[Case] = &[
    (&["conv2d::packed::Packed::new", "conv2d::packed::Packed::forward"], forward),
    (&["conv2d::packed::Packed::forward_pooled"], forward_pooled),
    (&["conv2d::packed::Packed::input_gradient"], input_gradient),
    (
        &["conv2d::implicit_gemm::ImplicitGemm::forward", "conv2d::implicit_gemm::ImplicitGemm::rounded"],
        product_forward,
    ),
    (
        &["conv2d::implicit_gemm::ImplicitGemm::backward", "conv2d::implicit_gemm::ImplicitGemm::run"],
        product_back,
    ),
    (
        &[
            "conv2d::few_channels::backward::FewChannels::new",
            "conv2d::few_channels::backward::FewChannels::run",
        ],
        few_channels,
    ),
    (&["conv2d::sparse::Sparse::new", "conv2d::sparse::Sparse::run"], sparse),
    (
        &[
            "conv2d::winograd::Winograd::new",
            "conv2d::winograd::Winograd::geometry",
            "conv2d::winograd::Winograd::convolve",
        ],
        winograd,
    ),
    (
        &[
            "conv2d::winograd::weight_gradient::WeightGradient::new",
            "conv2d::winograd::weight_gradient::WeightGradient::transformed",
            "conv2d::winograd::weight_gradient::WeightGradient::images",
            "conv2d::winograd::weight_gradient::WeightGradient::transform",
            "conv2d::winograd::weight_gradient::WeightGradient::products_mut",
            "conv2d::winograd::weight_gradient::WeightGradient::finish",
            "conv2d::winograd::weight_gradient::Product::accumulate",
        ],
        winograd_weights,
    ),
    (&["conv2d::weight_gradient::accumulate"], weights),
    (&["conv2d::turn"], turned),
    (
        &[
            "conv2d::reference::forward",
            "conv2d::reference::input_gradient",
            "conv2d::reference::weight_gradient",
        ],
        references,
    ),
];

/// Height and width of the output, if it is a number.
fn output(g: &Geometry) -> [usize; 2] {
    let padded = |side: usize| side.checked_add(g.padding.checked_mul(2)?);
    g.input.map(|side| match padded(side).and_then(|side| side.checked_sub(g.kernel)) {
        Some(room) => room.checked_div(g.stride).unwrap_or(0).saturating_add(1),
        None => 0,
    })
}

fn weights_of(draw: &mut Draw, g: &Geometry) -> Guarded<f32> {
    draw.values(product(&[g.kernel, g.kernel, g.in_channels, g.out_channels]))
}

/// Inputs with a halo of `halo` or more.
fn inputs(draw: &mut Draw, g: &Geometry, halo: usize) -> Layout {
    let more = draw.one(&[0, 0, 1]);
    draw.layout(g.input, g.in_channels, halo.min(64) + more)
}

fn outputs(draw: &mut Draw, g: &Geometry, halo: usize) -> Layout {
    let more = draw.one(&[0, 0, 1]);
    draw.layout(output(g), g.out_channels, halo.min(64) + more)
}

fn pooled_outputs(draw: &mut Draw, g: &Geometry, halo: usize) -> Layout {
    let more = draw.one(&[0, 0, 1]);
    draw.layout(output(g).map(|side| side / 2), g.out_channels, halo.min(64) + more)
}

/// A size whose halo is a number.
fn sane(g: &Geometry) -> bool {
    let sizes = [g.input[0], g.input[1], g.in_channels, g.out_channels, g.kernel, g.stride];
    sizes.iter().all(|size| (1..1000).contains(size)) && g.padding < 1000
}

fn factors(draw: &mut Draw) -> Factors {
    draw.one(&[Factors::F32, Factors::Bf16, Factors::Bf16Amx])
}

/// What rounded products can be of.
const PAIRS: [Factors; 2] = [Factors::Bf16, Factors::Bf16Amx];

fn any(draw: &mut Draw) -> Geometry {
    let channels = draw.channels();
    draw.convolution(channels, &[3, 5, 3, 1, 2, 7], &[1, 1, 2, 3])
}

fn forward(draw: &mut Draw) {
    let (isa, g, images) = (draw.isa(), any(draw), draw.images());
    let layer =
        Packed::new(isa, g, &weights_of(draw, &g), Gradients::Dense, Directions::Forward, factors(draw));
    let (from, to) = (inputs(draw, &g, implicit_gemm::forward_halo(&g)), outputs(draw, &g, 0));
    let x = draw.images_of(&from, images);
    let mut ending = draw.ending(len_of(&to, images), to.channels);
    layer.forward(&x, &from, images, &to, ending.finish(), &mut Default::default());
    assert_finite(&ending.output);
}

fn forward_pooled(draw: &mut Draw) {
    let (isa, channels, images) = (draw.isa(), draw.channels(), draw.images());
    let g = draw.convolution(channels, &[3, 5, 3, 1, 2, 7], &[1]);
    let layer =
        Packed::new(isa, g, &weights_of(draw, &g), Gradients::Dense, Directions::Forward, factors(draw));
    let (from, to, pooled) = (inputs(draw, &g, g.padding), outputs(draw, &g, 0), pooled_outputs(draw, &g, 0));
    let x = draw.images_of(&from, images);
    let mut ending = draw.ending(len_of(&pooled, images), pooled.channels);
    layer.forward_pooled(&x, &from, images, &to, &pooled, ending.pooled(), &mut Default::default());
    assert_finite(&ending.output);
}

fn input_gradient(draw: &mut Draw) {
    let (isa, g, images, pooled) = (draw.isa(), any(draw), draw.images(), draw.rarely(3));
    let gradients = draw.one(&[Gradients::Dense, Gradients::Sparse]);
    let layer = Packed::new(isa, g, &weights_of(draw, &g), gradients, Directions::Backward, factors(draw));
    let halo = implicit_gemm::backward_halo(&g);
    let from = if pooled { pooled_outputs(draw, &g, halo) } else { outputs(draw, &g, halo) };
    let (to, gradient) = (inputs(draw, &g, 0), draw.ending(len_of(&from, images), from.channels));
    let mut ending = draw.ending(len_of(&to, images), to.channels);
    let (source, scratch) = (gradient.source(pooled), &mut Default::default());
    layer.input_gradient(source, &from, images, &to, ending.finish(), scratch);
    assert_finite(&ending.output);
}

fn product_forward(draw: &mut Draw) {
    let (isa, g, images) = (draw.isa(), any(draw), draw.images());
    let layer = ImplicitGemm::forward(isa, &g, &weights_of(draw, &g));
    let layer = if draw.rarely(3) { layer.rounded(draw.one(&PAIRS)) } else { layer };
    let (from, to) = (inputs(draw, &g, implicit_gemm::forward_halo(&g)), outputs(draw, &g, 0));
    let x = draw.images_of(&from, images);
    let mut ending = draw.ending(len_of(&to, images), to.channels);
    layer.run(Source::Dense(&x), &from, images, &to, &mut ending.finish(), &mut Default::default());
    assert_finite(&ending.output);
}

fn product_back(draw: &mut Draw) {
    let (isa, channels, images) = (draw.isa(), draw.vectors(), draw.images());
    let g = draw.convolution(channels, &[3, 5, 3, 1, 2, 7], &[1, 1, 2, 3]);
    let layer = ImplicitGemm::backward(isa, &g, &weights_of(draw, &g));
    let layer = if draw.rarely(3) { layer.rounded(draw.one(&PAIRS)) } else { layer };
    let (from, to) = (outputs(draw, &g, implicit_gemm::backward_halo(&g)), inputs(draw, &g, 0));
    let dy = draw.images_of(&from, images);
    let mut ending = draw.ending(len_of(&to, images), to.channels);
    layer.run(Source::Dense(&dy), &from, images, &to, &mut ending.finish(), &mut Default::default());
    assert_finite(&ending.output);
}

fn few_channels(draw: &mut Draw) {
    let (isa, images, pooled, mode) =
        (draw.isa(), draw.images(), draw.rarely(3), draw.one(&[Mode::Write, Mode::Add]));
    let g = any(draw);
    // Without pooling, outputs may be of any number of channels.
    let out_channels = if draw.rarely(3) { draw.channels() } else { g.out_channels };
    let g = Geometry { out_channels, ..g };
    let layer = FewChannels::new(isa, g, &weights_of(draw, &g));
    let from = if pooled { pooled_outputs(draw, &g, 0) } else { outputs(draw, &g, 0) };
    let (to, gradient) = (inputs(draw, &g, 0), draw.ending(len_of(&from, images), from.channels));
    let mut dx = draw.images_of(&to, images);
    layer.run(gradient.source(pooled), &from, images, &to, &mut dx, mode, &mut Default::default());
    assert_finite(&dx);
}

fn sparse(draw: &mut Draw) {
    let (isa, channels, images) = (draw.isa(), draw.one(&[32, 64, 32, 16]), draw.images());
    let g = draw.convolution(channels, &[3, 5, 3, 1, 2, 7], &[1]);
    let layer = Sparse::new(isa, g, &weights_of(draw, &g));
    let (from, to) = (pooled_outputs(draw, &g, 0), inputs(draw, &g, 0));
    let (dy, vectors) = (draw.images_of(&from, images), len_of(&from, images).map(|len| len / 16));
    let bits = draw.values(vectors);
    let mut ending = draw.ending(len_of(&to, images), to.channels);
    layer.run((&dy, &bits), &from, images, &to, &mut ending.finish(), &mut Default::default());
    assert_finite(&ending.output);
}

fn winograd(draw: &mut Draw) {
    let (isa, channels, images, pooled) = (draw.isa(), draw.vectors(), draw.images(), draw.rarely(3));
    let g = draw.convolution(channels, &[3, 5], &[1]);
    let layer = Winograd::new(isa, g, &weights_of(draw, &g), factors(draw));
    assert!(*layer.geometry() == g, "{WRONG}{g:?}");
    // What comes in may be a gradient that was pooled, and what goes out may be pooled.
    let halo = draw.one(&[g.padding, g.padding, 3]);
    let from = if pooled {
        draw.layout(g.input.map(|side| side / 2), channels, halo)
    } else {
        inputs(draw, &g, halo)
    };
    let gradient = draw.ending(len_of(&from, images), from.channels);
    let (to, half, pools) = (outputs(draw, &g, 0), pooled_outputs(draw, &g, 0), draw.rarely(3));
    let written = if pools { half } else { to };
    let mut ending = draw.ending(len_of(&written, images), written.channels);
    let mut end = if pools { Ending::Pooled(ending.pooled(), half) } else { Ending::Pixels(ending.finish()) };
    layer.convolve(gradient.source(pooled), &from, images, &to, &mut end, &mut Default::default());
    assert_finite(&ending.output);
}

fn winograd_weights(draw: &mut Draw) {
    let (isa, channels, images) = (draw.isa(), draw.vectors(), draw.images());
    let g = draw.convolution(channels, &[3, 5], &[1]);
    let mut sums = WeightGradient::new(isa, g, None);
    assert!(sums.images() > 0, "{WRONG}{g:?}");
    let first = draw.one(&[0, 0, 1]);
    let range = first..draw.bent(first + images.min(1 << 50));
    let (from, to) = (inputs(draw, &g, g.padding), outputs(draw, &g, 0));
    let (x, dy) = (draw.images_of(&from, range.end), draw.images_of(&to, range.end));
    let [mut v, mut z] = sums.transformed().map(|len| draw.values(product(&[range.len(), len])));
    sums.transform(&x, &from, &dy, &to, range.clone(), &mut v, &mut z);
    // Those of another layer, which anybody may exchange them for.
    let channels = draw.one(&[16, 32]);
    let other = Geometry { in_channels: channels, ..g };
    let mut others = WeightGradient::new(isa, other, Some(WeightGradient::new(isa, g, None)));
    if draw.rarely(6) {
        let number = draw.one(&[0, 7, 35]);
        std::mem::swap(&mut sums.products_mut()[number], &mut others.products_mut()[draw.one(&[0, 7, 35])]);
    }
    for product in sums.products_mut() {
        product.accumulate(&v, &z, draw.bent(range.len()), &mut Default::default());
    }
    assert_finite(&sums.finish());
    others.finish();
}

fn weights(draw: &mut Draw) {
    let (isa, g, images) = (draw.isa(), any(draw), draw.images());
    let (from, to) = (inputs(draw, &g, g.padding), outputs(draw, &g, 0));
    let rows = if sane(&g) {
        let tasks = weight_gradient::tasks(&g);
        draw.one(&tasks.iter().map(|rows| (rows.start, rows.end)).collect::<Vec<_>>())
    } else {
        (0, 3)
    };
    let (start, end) = (draw.bent(rows.0), draw.bent(rows.1));
    let (x, dy) = (draw.images_of(&from, images), draw.images_of(&to, images));
    let mut dw = draw.values(product(&[end.saturating_sub(start), g.out_channels]));
    let scratch = &mut Default::default();
    weight_gradient::accumulate(isa, &g, &x, &from, &dy, &to, images, start..end, &mut dw, scratch);
    assert_finite(&dw);
}

fn turned(draw: &mut Draw) {
    let channels = draw.channels();
    let g = draw.convolution(channels, &[3, 5, 1, 2], &[1]);
    let (turned, weights) = turn(&g, &weights_of(draw, &g));
    assert_finite(&weights);
    assert!(turned.out_channels == g.in_channels, "{WRONG}{turned:?}");
}

fn references(draw: &mut Draw) {
    let channels = draw.one(&[1, 3]);
    let g = Geometry { out_channels: draw.one(&[1, 4]), ..draw.convolution(channels, &[3, 1, 2], &[1, 2]) };
    let [height, width] = output(&g);
    let weights = draw.values(product(&[g.kernel, g.kernel, g.in_channels, g.out_channels]));
    let x = draw.values(product(&[g.input[0], g.input[1], g.in_channels]));
    let (bias, dy) =
        (draw.values(Some(g.out_channels)), draw.values(product(&[height, width, g.out_channels])));
    assert_finite(&reference::forward(&g, &weights, &bias, &x));
    assert_finite(&reference::input_gradient(&g, &weights, &dy));
    assert_finite(&reference::weight_gradient(&g, &x, &dy));
}
