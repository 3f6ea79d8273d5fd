//! Buffers, panels, layouts and sizes alone.

use robin_kernels::aligned::{self, Aligned};
use robin_kernels::conv2d::{self, implicit_gemm, sparse, weight_gradient as conv_weights, winograd};
use robin_kernels::epilogue::Epilogue;
use robin_kernels::factors::Factors;
use robin_kernels::isa::Isa;
use robin_kernels::panels::Panels;
use robin_kernels::{LANES, avg_pool2d, flatten, linear, max_pool2d};

use super::draw::{Draw, len_of, product};
use super::{Case, WRONG, assert_finite};

pub(crate) const CASES: &[Case] = &[
    (&["isa::Isa::detect", "isa::Isa::available"], instruction_sets),
    (
        &[
            "aligned::Aligned::zeros",
            "aligned::Aligned::unset",
            "aligned::Aligned::grow",
            "aligned::pages::bytes_asked_for",
        ],
        buffers,
    ),
    (&["panels::Panels::zeros", "panels::Panels::unset", "panels::Panels::vector_mut"], empty_panels),
    (&["panels::Panels::pack", "panels::Panels::rows", "panels::Panels::columns"], panels),
    (&["panels::Panels::rounded", "factors::Factors::images_together"], rounded_panels),
    (&["epilogue::Epilogue::open"], open),
    (
        &[
            "layout::Layout::row",
            "layout::Layout::image",
            "layout::Layout::pixels",
            "layout::Layout::whole_vectors",
        ],
        layout,
    ),
    (&["layout::Layout::pixel"], pixel),
    (&["layout::Layout::fill", "layout::Layout::read"], pixels),
    (
        &[
            "conv2d::Geometry::output",
            "conv2d::Geometry::input_len",
            "conv2d::Geometry::output_len",
            "conv2d::Geometry::positions",
            "conv2d::Geometry::taps",
        ],
        convolution,
    ),
    (&["conv2d::few_channels::pools", "conv2d::sparse::supports", "conv2d::winograd::supports"], supports),
    (&["conv2d::implicit_gemm::forward_halo", "conv2d::implicit_gemm::backward_halo"], halos),
    (&["conv2d::weight_gradient::tasks", "conv2d::weight_gradient::images"], tasks),
    (&["linear::weight_gradient::tasks", "flatten::rows"], rows),
    (
        &[
            "max_pool2d::Geometry::output",
            "max_pool2d::Geometry::input_len",
            "max_pool2d::Geometry::output_len",
            "max_pool2d::Geometry::area",
            "max_pool2d::Geometry::tiles",
            "max_pool2d::Geometry::is_tiling",
            "max_pool2d::Geometry::source",
        ],
        max_pooling,
    ),
    (
        &[
            "avg_pool2d::Geometry::output",
            "avg_pool2d::Geometry::input_len",
            "avg_pool2d::Geometry::output_len",
            "avg_pool2d::Geometry::area",
        ],
        avg_pooling,
    ),
];

fn instruction_sets(_: &mut Draw) {
    let all = Isa::available();
    assert!(all.contains(&Isa::detect()), "{WRONG}{all:?}");
    assert!(all.last() == Some(&Isa::PORTABLE), "{WRONG}{all:?}");
}

fn buffers(draw: &mut Draw) {
    // Small ones from the allocator, large ones from pages.
    let len = draw.one(&[0, 1, 15, 16, 17, 1000, 32_767, 32_768, 33_000, 100_000]);
    let (len, more) = (draw.bent(len), draw.bent(len + 40_000));
    let asked = aligned::bytes_asked_for();
    let mut zeros = Aligned::zeros(len);
    let mut unset = Aligned::unset(len);
    assert!(zeros.len() >= len && unset.len() >= len, "{WRONG}{len} {} {}", zeros.len(), unset.len());
    assert!(zeros.iter().all(|&value| value == 0.0), "{WRONG}{len}");
    unset.fill(2.0);
    zeros.fill(1.0);
    zeros.grow(more);
    assert!(zeros.len() >= more && zeros[..len].iter().all(|&value| value == 1.0), "{WRONG}{len} {more}");
    assert!(aligned::bytes_asked_for() >= asked, "{WRONG}bytes asked for");
}

fn empty_panels(draw: &mut Draw) {
    let (k, n) = (draw.one(&[1, 5, 9, 0]), draw.one(&[16, 17, 80, 1, 0]));
    let (k, n) = (draw.bent(k), draw.bent(n));
    for mut panels in [Panels::zeros(draw.isa(), k, n), Panels::unset(draw.isa(), k, n)] {
        let (row, vector) = (k.saturating_sub(1), n.div_ceil(LANES).saturating_sub(1));
        let (row, vector) = (draw.bent(row), draw.bent(vector));
        assert!(panels.vector_mut(row, vector).len() == LANES, "{WRONG}{k} {n} {row} {vector}");
    }
}

fn panels(draw: &mut Draw) {
    let (k, n) = (draw.one(&[1, 5, 9, 0]), draw.one(&[16, 17, 80, 1, 0]));
    let (k, n) = (draw.bent(k), draw.bent(n));
    let matrix = draw.values(product(&[k, n]));
    let mut panels = Panels::pack(draw.isa(), &matrix, k, n);
    assert!(panels.rows() == k && panels.columns() == n.next_multiple_of(LANES), "{WRONG}{k} {n}");
    for row in 0..k.min(64) {
        for vector in 0..n.div_ceil(LANES) {
            assert_finite(panels.vector_mut(row, vector));
        }
    }
}

fn rounded_panels(draw: &mut Draw) {
    let (k, n) = (draw.one(&[2, 6, 0, 9]), draw.one(&[16, 17, 80, 1, 0]));
    let matrix = draw.values(product(&[k, n]));
    let factors = draw.one(&[Factors::Bf16, Factors::Bf16Amx]);
    let panels = Panels::pack(draw.isa(), &matrix, k, n).rounded(factors);
    assert!((1..=16).contains(&factors.images_together()), "{WRONG}{factors:?}");
    let rows = if factors == Factors::Bf16 { k } else { k.next_multiple_of(32) };
    assert!(panels.rows() == rows && panels.columns() == n.next_multiple_of(LANES), "{WRONG}{k} {n}");
    let refused = if draw.rarely(2) {
        super::refusal(|| panels.rounded(factors))
    } else {
        super::refusal(|| panels.clone().vector_mut(0, 0)[0])
    };
    assert!(refused.contains("rounded"), "{WRONG}{refused}");
}

fn open(draw: &mut Draw) {
    let mut output = draw.values(Some(64));
    let len = output.len();
    assert!(Epilogue::open(&mut output).output.len() == len, "{WRONG}{len}");
}

fn layout(draw: &mut Draw) {
    let layout = draw.any_layout();
    let image = layout.image();
    assert!(Some(image) == len_of(&layout, 1), "{WRONG}{layout:?} has {image}");
    assert!(layout.row() <= image && layout.pixels() * layout.channels <= image, "{WRONG}{layout:?}");
    assert!(layout.whole_vectors().channels >= layout.channels, "{WRONG}{layout:?}");
}

fn pixel(draw: &mut Draw) {
    let layout = draw.any_layout();
    let (row, column) = (layout.height.saturating_sub(1), layout.width.saturating_sub(1));
    let (row, column) = (draw.bent(row), draw.bent(column));
    assert!(
        layout.pixel(row, column) + layout.channels <= layout.image(),
        "{WRONG}{layout:?} {row} {column}"
    );
}

fn pixels(draw: &mut Draw) {
    let layout = draw.any_layout();
    let (given, mut image) = (draw.one(&[1, 3, layout.channels]), draw.images_of(&layout, 1));
    let given = draw.bent(given);
    let len = product(&[layout.height, layout.width, given]);
    let (pixels, mut found) = (draw.values::<f32>(len), draw.values::<f32>(len));
    layout.fill(&pixels, given, &mut image);
    layout.read(&image, given, &mut found);
    assert!(pixels[..] == found[..], "{WRONG}{layout:?} {given}");
}

fn convolution(draw: &mut Draw) {
    let channels = draw.channels();
    let g = draw.convolution(channels, &[3, 5, 1, 2, 7], &[1, 2, 3]);
    let [height, width] = g.output();
    assert!(Some(g.positions()) == product(&[height, width]), "{WRONG}{g:?}");
    assert!(Some(g.output_len()) == product(&[height, width, g.out_channels]), "{WRONG}{g:?}");
    assert!(Some(g.input_len()) == product(&[g.input[0], g.input[1], channels]), "{WRONG}{g:?}");
    assert!(Some(g.taps()) == product(&[g.kernel, g.kernel, channels]), "{WRONG}{g:?}");
}

fn supports(draw: &mut Draw) {
    let channels = draw.channels();
    let g = draw.convolution(channels, &[3, 5, 1, 2, 7], &[1, 2, 3]);
    assert!(!conv2d::few_channels::pools(&g) || g.stride == 1, "{WRONG}{g:?}");
    let _ = winograd::supports(&g);
    assert!(!sparse::supports(&g) || g.stride == 1, "{WRONG}{g:?}");
}

fn halos(draw: &mut Draw) {
    let channels = draw.channels();
    let g = draw.convolution(channels, &[3, 5, 1, 2, 7], &[1, 2, 3]);
    let halo = implicit_gemm::forward_halo(&g);
    assert!(halo >= g.padding, "{WRONG}{g:?} {halo}");
    let halo = implicit_gemm::backward_halo(&g);
    assert!(halo <= g.kernel + g.padding, "{WRONG}{g:?} {halo}");
}

fn tasks(draw: &mut Draw) {
    let channels = draw.channels();
    let g = draw.convolution(channels, &[3, 5, 1, 2, 7], &[1, 2, 3]);
    let covered: usize = conv_weights::tasks(&g).iter().map(|rows| rows.len()).sum();
    assert!(covered == g.taps() && conv_weights::images(&g) > 0, "{WRONG}{g:?} {covered}");
}

fn rows(draw: &mut Draw) {
    let layout = draw.any_layout();
    let covered: usize = linear::weight_gradient::tasks(&layout).iter().map(|rows| rows.len()).sum();
    assert!(Some(covered) == product(&[layout.height, layout.width, layout.channels]), "{WRONG}{layout:?}");
    let channels = draw.one(&[1, 3, layout.channels]);
    let channels = draw.bent(channels);
    assert!(flatten::rows(&layout, channels).channels >= layout.pixels() * channels, "{WRONG}{layout:?}");
}

fn max_pooling(draw: &mut Draw) {
    let (input, channels, window) = (draw.sides(), draw.vectors(), draw.one(&[2, 3, 1]));
    let window = draw.bent(window);
    let g = max_pool2d::Geometry::tiles(input, channels, window);
    assert!(g.output_len() <= g.input_len(), "{WRONG}{g:?}");
    assert!(Some(g.area()) == product(&[window, window]) && g.output()[0] <= input[0], "{WRONG}{g:?}");
    let last = (g.output_len().wrapping_sub(1), g.area().wrapping_sub(1));
    let source = if g.output_len() == 0 { None } else { g.source(last.0, last.1) };
    assert!(g.is_tiling() && source.is_none_or(|at| at < g.input_len()), "{WRONG}{g:?}");
}

fn avg_pooling(draw: &mut Draw) {
    let (input, channels, window) = (draw.sides(), draw.vectors(), draw.one(&[2, 3, 1]));
    let window = draw.bent(window);
    let g = avg_pool2d::Geometry { input, channels, window };
    assert!(g.output_len() <= g.input_len(), "{WRONG}{g:?}");
    assert!(Some(g.area()) == product(&[window, window]) && g.output()[0] <= input[0], "{WRONG}{g:?}");
}
