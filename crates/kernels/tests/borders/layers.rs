//! Everything but convolutions.

use robin_kernels::affine::{self, Affine};
use robin_kernels::batch_norm::{self, Moments, Slopes, Statistics, Sums};
use robin_kernels::epilogue::Bits;
use robin_kernels::factors::Factors;
use robin_kernels::layout::Layout;
use robin_kernels::linear::order::Order;
use robin_kernels::linear::{self, packed::Packed};
use robin_kernels::panels::Panels;
use robin_kernels::{LANES, avg_pool2d, bias_gradient, flatten, max_pool2d};

use super::draw::{Draw, Guarded, len_of, product};
use super::{Case, WRONG, assert_finite};

pub(crate) const CASES: &[Case] = &[
    (
        &[
            "affine::Affine::new",
            "affine::Affine::scale",
            "affine::Affine::shift",
            "affine::Affine::apply",
            "affine::Affine::input_gradient",
        ],
        per_channel,
    ),
    (&["affine::copy"], copy),
    (&["affine::unpool"], unpool),
    (&["bias_gradient::accumulate"], bias),
    (&["flatten::forward"], flatten_forward),
    (&["flatten::input_gradient"], flatten_back),
    (&["batch_norm::moments::moments", "batch_norm::statistics::Statistics::of"], moments),
    (&["batch_norm::statistics::Moments::none", "batch_norm::statistics::Moments::join"], join_moments),
    (&["batch_norm::statistics::Moments::update_running"], running),
    (&["batch_norm::statistics::Statistics::running"], running_statistics),
    (
        &[
            "batch_norm::statistics::Sums::none",
            "batch_norm::statistics::Sums::join",
            "batch_norm::statistics::Slopes::of",
        ],
        join_sums,
    ),
    (&["batch_norm::forward::normalize"], normalize),
    (&["batch_norm::forward::normalize_pooled"], normalize_pooled),
    (&["batch_norm::backward::reduce"], reduce),
    (&["batch_norm::backward::input_gradient"], norm_back),
    (
        &[
            "batch_norm::reference::moments",
            "batch_norm::reference::forward",
            "batch_norm::reference::backward",
        ],
        norm_reference,
    ),
    (&["max_pool2d::direct::forward"], max_forward),
    (&["max_pool2d::direct::input_gradient"], max_back),
    (&["max_pool2d::reference::forward", "max_pool2d::reference::input_gradient"], max_reference),
    (&["avg_pool2d::direct::forward"], avg_forward),
    (&["avg_pool2d::direct::input_gradient"], avg_back),
    (&["avg_pool2d::reference::forward", "avg_pool2d::reference::input_gradient"], avg_reference),
    (
        &[
            "linear::packed::Packed::new",
            "linear::packed::Packed::rounded",
            "linear::packed::Packed::to",
            "linear::packed::Packed::forward",
        ],
        linear_forward,
    ),
    (&["linear::packed::Packed::backward"], linear_back),
    (&["linear::packed::Packed::from_panels"], from_panels),
    (
        &["linear::order::Order::new", "linear::order::Order::forward", "linear::order::Order::backward"],
        order,
    ),
    (&["linear::order::Order::to_torch"], to_torch),
    (&["linear::weight_gradient::accumulate"], linear_weights),
    (
        &[
            "linear::reference::forward",
            "linear::reference::input_gradient",
            "linear::reference::weight_gradient",
        ],
        linear_reference,
    ),
];

/// After 2x2 pooling, or not quite.
fn halves(draw: &mut Draw, layout: &Layout) -> Layout {
    let halo = draw.halo();
    draw.layout([layout.height / 2, layout.width / 2], layout.channels, halo)
}

fn per_channel(draw: &mut Draw) {
    let (layout, images) = (draw.any_layout(), draw.images());
    let channels = Some(layout.channels);
    let (scale, shift) = (draw.values(channels), draw.values(channels));
    let layer = Affine::new(&scale, &shift);
    assert!(layer.scale().len() == scale.len() && layer.shift().len() == scale.len(), "{WRONG}{layout:?}");
    let x = draw.images_of(&layout, images);
    let mut ending = draw.ending(len_of(&layout, images), layout.channels);
    layer.apply(draw.isa(), &x, &layout, images, &mut ending.finish());
    layer.input_gradient(draw.isa(), &x, &layout, images, &mut ending.finish());
    assert_finite(&ending.output);
}

fn copy(draw: &mut Draw) {
    let (layout, images) = (draw.any_layout(), draw.images());
    let x = draw.images_of(&layout, images);
    let mut ending = draw.ending(len_of(&layout, images), layout.channels);
    affine::copy(draw.isa(), &x, &layout, images, &mut ending.finish());
    assert_finite(&ending.output);
}

fn unpool(draw: &mut Draw) {
    let (to, images) = (draw.any_layout(), draw.images());
    let from = halves(draw, &to);
    let (pooled, mut dense) = (draw.images_of(&from, images), draw.images_of(&to, images));
    let bits = draw.values(len_of(&from, images).map(|len| len / LANES));
    affine::unpool(draw.isa(), (&pooled, &bits), &from, images, &to, &mut dense);
    assert_finite(&dense);
}

fn bias(draw: &mut Draw) {
    let (layout, images) = (draw.any_layout(), draw.images());
    let (dy, mut db) = (draw.images_of(&layout, images), draw.values(Some(layout.channels)));
    bias_gradient::accumulate(draw.isa(), &dy, &layout, images, &mut db);
    assert_finite(&db);
}

fn flatten_forward(draw: &mut Draw) {
    let (halo, given, images, sides) = (draw.halo(), draw.channels(), draw.images(), draw.sides());
    let from = draw.layout(sides, given, halo);
    let x = draw.images_of(&from, images);
    let features =
        product(&[from.height, from.width, given]).unwrap_or(0).min(1 << 20).next_multiple_of(LANES);
    let to = Layout { height: 1, width: 1, channels: features, halo: 0 };
    let mut ending = draw.ending(len_of(&to, images), features);
    flatten::forward(draw.isa(), &x, &from, given, images, &mut ending.finish());
    assert_finite(&ending.output);
}

fn flatten_back(draw: &mut Draw) {
    let (to, images) = (draw.any_layout(), draw.images());
    let given = draw.one(&[1, 3, to.channels]);
    let given = draw.bent(given);
    let features = product(&[to.height, to.width, given]).unwrap_or(0).min(1 << 20).next_multiple_of(LANES);
    let from = Layout { height: 1, width: 1, channels: features, halo: 0 };
    let dy = draw.images_of(&from, images);
    let mut ending = draw.ending(len_of(&to, images), to.channels);
    flatten::input_gradient(draw.isa(), &dy, given, images, &to, &mut ending.finish());
    assert_finite(&ending.output);
}

fn moments(draw: &mut Draw) {
    let (layout, images) = (draw.any_layout(), draw.images());
    let y = draw.images_of(&layout, images);
    let moments = batch_norm::moments(draw.isa(), &y, &layout, images);
    let channels = draw.bent(layout.channels);
    let (gamma, beta) = (draw.values(Some(channels)), draw.values(Some(channels)));
    let statistics = Statistics::of(&moments, &gamma, &beta);
    assert_finite(&[statistics.mean, statistics.inverse_std, statistics.scale, statistics.shift].concat());
}

fn join_moments(draw: &mut Draw) {
    let channels = draw.one(&[16, 3, 1]);
    let mut all = Moments::none(draw.bent(channels));
    let [mean, square] = [(); 2].map(|()| draw.values::<f64>(Some(channels)).to_vec());
    all.join(&Moments { count: draw.one(&[1, 0, 7]), mean, square });
    assert_finite(&all.mean);
    assert_finite(&all.square);
}

fn running(draw: &mut Draw) {
    let channels = draw.one(&[16, 3, 1]);
    let [mean, square] = [(); 2].map(|()| draw.values::<f64>(Some(channels)).to_vec());
    let moments = Moments { count: draw.bent(9), mean, square };
    let [mut mean, mut variance] = [(); 2].map(|()| draw.values(Some(channels)));
    moments.update_running(&mut mean, &mut variance);
    assert_finite(&mean);
    assert_finite(&variance);
}

fn running_statistics(draw: &mut Draw) {
    let [gamma, beta, mean] = [(); 3].map(|()| draw.values(Some(16)));
    let mut variance = draw.values::<f32>(Some(16));
    variance.iter_mut().for_each(|value| *value = value.abs());
    let statistics = Statistics::running(&gamma, &beta, &mean, &variance);
    assert_finite(&[statistics.mean, statistics.inverse_std, statistics.scale, statistics.shift].concat());
}

fn join_sums(draw: &mut Draw) {
    let channels = draw.one(&[16, 3, 1]);
    let mut all = Sums::none(draw.bent(channels));
    let [gradient, product] = [(); 2].map(|()| draw.values::<f64>(Some(channels)).to_vec());
    all.join(&Sums { count: draw.bent(7), gradient, product });
    let slopes = Slopes::of(&all, &statistics(draw, channels));
    assert_finite(&[slopes.mean, slopes.slope].concat());
}

/// Some whose fields anybody may have filled.
fn statistics(draw: &mut Draw, channels: usize) -> Statistics {
    let [mean, inverse_std, scale, shift] =
        [(); 4].map(|()| draw.values::<f32>(Some(channels).filter(|&channels| channels < 1000)).to_vec());
    Statistics { mean, inverse_std, scale, shift }
}

fn normalize(draw: &mut Draw) {
    let (layout, images) = (draw.any_layout(), draw.images());
    let (y, statistics) = (draw.images_of(&layout, images), statistics(draw, layout.channels));
    let mut ending = draw.ending(len_of(&layout, images), layout.channels);
    batch_norm::normalize(draw.isa(), &y, &layout, images, &statistics, &mut ending.finish());
    assert_finite(&ending.output);
}

fn normalize_pooled(draw: &mut Draw) {
    let (from, images) = (draw.any_layout(), draw.images());
    let (pooled, y, statistics) =
        (halves(draw, &from), draw.images_of(&from, images), statistics(draw, from.channels));
    let mut ending = draw.ending(len_of(&pooled, images), pooled.channels);
    let mut epilogue = ending.pooled();
    batch_norm::normalize_pooled(draw.isa(), &y, &from, images, &statistics, &pooled, &mut epilogue);
    assert_finite(&ending.output);
}

fn reduce(draw: &mut Draw) {
    let (layout, images, pooled) = (draw.any_layout(), draw.images(), draw.rarely(2));
    let from = if pooled { halves(draw, &layout) } else { layout };
    let (y, statistics) = (draw.images_of(&layout, images), statistics(draw, layout.channels));
    let gradient = draw.ending(len_of(&from, images), from.channels);
    let sums =
        batch_norm::reduce(draw.isa(), (gradient.source(pooled), &from), &y, &layout, images, &statistics);
    assert_finite(&[sums.gradient, sums.product].concat());
}

fn norm_back(draw: &mut Draw) {
    let (layout, images, pooled) = (draw.any_layout(), draw.images(), draw.rarely(2));
    let from = if pooled { halves(draw, &layout) } else { layout };
    let (y, statistics) = (draw.images_of(&layout, images), statistics(draw, layout.channels));
    let y = if draw.rarely(2) { Some(&y[..]) } else { None };
    let [mean, slope] = [(); 2].map(|()| draw.values::<f32>(Some(statistics.mean.len())).to_vec());
    let gradient = draw.ending(len_of(&from, images), from.channels);
    let mut ending = draw.ending(len_of(&layout, images), layout.channels);
    batch_norm::input_gradient(
        draw.isa(),
        (gradient.source(pooled), &from),
        y,
        &layout,
        images,
        (&statistics, &Slopes { mean, slope }),
        &mut ending.finish(),
    );
    assert_finite(&ending.output);
}

fn norm_reference(draw: &mut Draw) {
    let (channels, pixels) = (draw.one(&[3, 1, 16]), draw.one(&[4, 1, 9]));
    let (y, given) = (draw.values(Some(channels * pixels)), draw.bent(channels));
    let (mean, variance) = batch_norm::reference::moments(&y, given);
    assert!(mean.len() == given && variance.len() == given, "{WRONG}{given}");
    let [gamma, beta] = [(); 2].map(|()| draw.values(Some(channels)));
    let (g, z) = (draw.values(Some(y.len())), batch_norm::reference::forward(&y, &gamma, &beta));
    assert_finite(&z);
    assert_finite(&batch_norm::reference::backward(&y, &gamma, &g).0);
}

/// Input, window, and how a pooling's inputs and outputs lie.
fn pooling(draw: &mut Draw, whole: bool) -> ([usize; 2], usize, [Layout; 2]) {
    let (mut input, window) = (draw.sides(), draw.one(&[2, 3, 1, 2, 17]));
    let window = draw.bent(window);
    if whole && !draw.rarely(8) {
        // Mostly sides that windows fill.
        input = input.map(|side| side.min(9).saturating_mul(window));
    }
    let output = input.map(|side| side.checked_div(window).unwrap_or(1));
    let (channels, halos) = (draw.vectors(), [draw.halo(), draw.halo()]);
    (input, window, [draw.layout(input, channels, halos[0]), draw.layout(output, channels, halos[1])])
}

/// The same of max pooling, whose windows may overlap and reach over the border.
fn max_pooling(draw: &mut Draw) -> (max_pool2d::Geometry, [Layout; 2]) {
    let (input, window, [whole, pooled]) = pooling(draw, false);
    let tiles = max_pool2d::Geometry::tiles(input, draw.bent(whole.channels), window);
    let (stride, padding) = (draw.one(&[2, 1, 3]), draw.one(&[0, 1, window / 2]));
    if window == 0 || draw.rarely(2) {
        return (tiles, [whole, pooled]);
    }
    let g = max_pool2d::Geometry { stride: draw.bent(stride), padding, ..tiles };
    if g.stride == 0 {
        return (g, [whole, pooled]);
    }
    let [height, width] = g.output();
    (g, [whole, Layout { height, width, ..pooled }])
}

fn max_forward(draw: &mut Draw) {
    let ((g, [from, to]), images) = (max_pooling(draw), draw.images());
    let window = g.window;
    let (x, mut y) = (draw.images_of(&from, images), draw.images_of(&to, images));
    let mut places = draw.values(places(&to, images, window));
    let places = if draw.rarely(3) { None } else { Some(&mut places[..]) };
    max_pool2d::direct::forward(draw.isa(), &g, &x, &from, images, &to, &mut y, places);
    assert_finite(&y);
}

fn max_back(draw: &mut Draw) {
    let ((g, [to, from]), images) = (max_pooling(draw), draw.images());
    let window = g.window;
    let dy = draw.images_of(&from, images);
    let places: Guarded<Bits> = draw.values(places(&from, images, window));
    let mut ending = draw.ending(len_of(&to, images), to.channels);
    let mut epilogue = ending.finish();
    max_pool2d::direct::input_gradient(draw.isa(), &g, &dy, &from, &places, images, &to, &mut epilogue);
    assert_finite(&ending.output);
}

fn places(output: &Layout, images: usize, window: usize) -> Option<usize> {
    product(&[len_of(output, images)? / LANES, window, window])
}

fn max_reference(draw: &mut Draw) {
    let (input, window, [from, to]) = pooling(draw, false);
    let g = max_pool2d::Geometry::tiles(input, from.channels, window);
    let x = draw.values(product(&[input[0], input[1], from.channels]));
    let (y, found) = max_pool2d::reference::forward(&g, &x);
    assert_finite(&y);
    assert_finite(&max_pool2d::reference::input_gradient(&g, &found, &y));
    let outputs = product(&[to.height, to.width, to.channels]);
    let (places, dy) = (draw.values::<usize>(outputs), draw.values(outputs));
    assert_finite(&max_pool2d::reference::input_gradient(&g, &places, &dy));
}

fn avg_forward(draw: &mut Draw) {
    let ((input, window, [from, to]), images) = (pooling(draw, true), draw.images());
    let g = avg_pool2d::Geometry { input, channels: draw.bent(from.channels), window };
    let (x, mut y) = (draw.images_of(&from, images), draw.images_of(&to, images));
    avg_pool2d::direct::forward(draw.isa(), &g, &x, &from, images, &to, &mut y);
    assert_finite(&y);
}

fn avg_back(draw: &mut Draw) {
    let ((input, window, [to, from]), images) = (pooling(draw, true), draw.images());
    let g = avg_pool2d::Geometry { input, channels: draw.bent(from.channels), window };
    let dy = draw.images_of(&from, images);
    let mut ending = draw.ending(len_of(&to, images), to.channels);
    avg_pool2d::direct::input_gradient(draw.isa(), &g, &dy, &from, images, &to, &mut ending.finish());
    assert_finite(&ending.output);
}

fn avg_reference(draw: &mut Draw) {
    let (input, window, [from, to]) = pooling(draw, true);
    let g = avg_pool2d::Geometry { input, channels: from.channels, window };
    let x = draw.values(product(&[input[0], input[1], from.channels]));
    assert_finite(&avg_pool2d::reference::forward(&g, &x));
    let dy = draw.values(product(&[to.height, to.width, to.channels]));
    assert_finite(&avg_pool2d::reference::input_gradient(&g, &dy));
}

/// Images that a linear layer reads: of whole vectors, or without a halo.
fn rows(draw: &mut Draw) -> Layout {
    let (sides, channels) = (draw.sides(), draw.channels());
    let halo = if channels.is_multiple_of(LANES) { draw.halo() } else { 0 };
    draw.layout(sides, channels, halo)
}

fn linear(draw: &mut Draw) -> (Packed, Layout) {
    let from = rows(draw);
    let outputs = draw.one(&[16, 32, 48, 1, 10]);
    let (outputs, whole) = (draw.bent(outputs), draw.one(&[LANES, LANES, LANES, 1]));
    let outputs = outputs.checked_next_multiple_of(whole).unwrap_or(outputs);
    let weights = draw.values(product(&[from.height, from.width, from.channels, outputs]));
    let layer = Packed::new(draw.isa(), from, outputs, &weights);
    (layer.rounded(draw.one(&[Factors::F32, Factors::Bf16, Factors::Bf16Amx])), from)
}

fn linear_forward(draw: &mut Draw) {
    let ((layer, from), images) = (linear(draw), draw.images());
    let (x, to) = (draw.images_of(&from, images), layer.to());
    let mut ending = draw.ending(len_of(&to, images), to.channels);
    layer.forward(&x, images, &mut ending.finish(), &mut Default::default());
    assert_finite(&ending.output);
}

fn linear_back(draw: &mut Draw) {
    let ((layer, from), images) = (linear(draw), draw.images());
    let dy = draw.images_of(&layer.to(), images);
    let mut ending = draw.ending(len_of(&from, images), from.channels);
    layer.backward(&dy, images, &mut ending.finish(), &mut Default::default());
    assert_finite(&ending.output);
}

fn from_panels(draw: &mut Draw) {
    let (from, outputs, images) = (rows(draw), draw.vectors(), draw.images());
    let inputs =
        product(&[from.height, from.width, from.channels]).filter(|&inputs| inputs < 1 << 16).unwrap_or(16);
    let sizes = [inputs, outputs, outputs, inputs].map(|size| draw.bent(size));
    let forward = Panels::zeros(draw.isa(), sizes[0], sizes[1]);
    let layer = Packed::from_panels(from, forward, Panels::zeros(draw.isa(), sizes[2], sizes[3]));
    let (x, dy) = (draw.images_of(&from, images), draw.images_of(&layer.to(), images));
    let mut ending = draw.ending(len_of(&layer.to(), images), outputs);
    layer.forward(&x, images, &mut ending.finish(), &mut Default::default());
    assert_finite(&ending.output);
    let mut ending = draw.ending(len_of(&from, images), from.channels);
    layer.backward(&dy, images, &mut ending.finish(), &mut Default::default());
    assert_finite(&ending.output);
}

/// A layer of PyTorch's on images that lie as a layout says.
fn torch(draw: &mut Draw) -> (Order, linear::Geometry, Layout) {
    let from = draw.any_layout();
    let (used, outputs) = (draw.one(&[from.channels, 1, from.channels / 2 + 1]), draw.one(&[10, 16, 33]));
    let inputs = product(&[from.height, from.width, used]).unwrap_or(7);
    let geometry = linear::Geometry { inputs: draw.bent(inputs), outputs: draw.bent(outputs) };
    (Order::new(geometry, from), geometry, from)
}

fn order(draw: &mut Draw) {
    let (order, g, _) = torch(draw);
    let torch = draw.values(product(&[g.inputs, g.outputs]));
    let rows = g.outputs.checked_next_multiple_of(LANES).unwrap_or(16);
    let rows = draw.bent(rows);
    let mut forward = order.forward(draw.isa(), &torch);
    let mut backward = order.backward(draw.isa(), rows, &torch);
    for panels in [&mut forward, &mut backward] {
        for row in 0..panels.rows() {
            for vector in 0..panels.columns() / LANES {
                assert_finite(panels.vector_mut(row, vector));
            }
        }
    }
}

fn to_torch(draw: &mut Draw) {
    let (order, g, from) = torch(draw);
    let columns = g.outputs.checked_next_multiple_of(LANES).unwrap_or(16);
    let columns = draw.bent(columns);
    let first = draw.one(&[0, g.outputs.saturating_sub(1) / LANES * LANES]);
    let first = draw.bent(first);
    let ours = draw.values(product(&[from.height, from.width, from.channels, columns]));
    let mut torch = draw.values(product(&[g.inputs, LANES.min(g.outputs.saturating_sub(first))]));
    order.to_torch(draw.isa(), &ours, columns, first, &mut torch);
    assert_finite(&torch);
}

fn linear_weights(draw: &mut Draw) {
    let (from, outputs, images) = (rows(draw), draw.vectors(), draw.images());
    let run = product(&[from.width, from.channels]).unwrap_or(1).max(1);
    let start = product(&[from.height.saturating_sub(1), run]).unwrap_or(0).saturating_add(run / 2);
    let (start, end) = (draw.bent(start), draw.bent(start.saturating_add(run.div_ceil(2).min(56))));
    let to = Layout { height: 1, width: 1, channels: outputs, halo: 0 };
    let (x, dy) = (draw.images_of(&from, images), draw.images_of(&to, images));
    let mut dw = draw.values(product(&[end.saturating_sub(start), outputs]));
    let (isa, scratch) = (draw.isa(), &mut Default::default());
    linear::weight_gradient::accumulate(isa, &x, &from, &dy, outputs, images, start..end, &mut dw, scratch);
    assert_finite(&dw);
}

fn linear_reference(draw: &mut Draw) {
    let (inputs, outputs) = (draw.one(&[5, 1, 16, 0]), draw.one(&[3, 1, 10, 0]));
    let g = linear::Geometry { inputs: draw.bent(inputs), outputs: draw.bent(outputs) };
    let weights = draw.values(product(&[g.inputs, g.outputs]));
    let (x, dy) = (draw.values(Some(g.inputs)), draw.values(Some(g.outputs)));
    assert_finite(&linear::reference::forward(&g, &weights, &dy, &x));
    assert_finite(&linear::reference::input_gradient(&g, &weights, &dy));
    assert_finite(&linear::reference::weight_gradient(&g, &x, &dy));
}
