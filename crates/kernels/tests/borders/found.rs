//! What was found to read or write beyond its border, or to wrap, each with what it says now.

use robin_kernels::aligned::Aligned;
use robin_kernels::batch_norm::{self, Statistics};
use robin_kernels::conv2d::few_channels::{FewChannels, Mode};
use robin_kernels::conv2d::implicit_gemm::ImplicitGemm;
use robin_kernels::conv2d::packed::{Directions, Gradients, Packed};
use robin_kernels::conv2d::winograd::weight_gradient::WeightGradient;
use robin_kernels::conv2d::{Geometry, weight_gradient};
use robin_kernels::epilogue::{Epilogue, Source};
use robin_kernels::factors::Factors;
use robin_kernels::isa::Isa;
use robin_kernels::layout::Layout;
use robin_kernels::panels::Panels;
use robin_kernels::{LANES, avg_pool2d, bias_gradient, linear};

use super::refusal;

const ISA: Isa = Isa::PORTABLE;

/// Images of one pixel.
const PIXEL: Layout = Layout { height: 1, width: 1, channels: LANES, halo: 0 };

fn convolution(in_channels: usize, out_channels: usize) -> Geometry {
    Geometry { input: [4, 4], in_channels, out_channels, kernel: 3, stride: 1, padding: 1 }
}

fn weights(g: &Geometry) -> Vec<f32> {
    vec![1.0; g.taps() * g.out_channels]
}

#[test]
fn outputs_that_are_no_whole_vectors_are_refused() {
    let g = convolution(3, 1);
    let forward = || ImplicitGemm::forward(ISA, &g, &weights(&g));
    assert!(refusal(forward).contains("out_channels: 1,"));
    let packed = || Packed::new(ISA, g, &weights(&g), Gradients::Dense, Directions::Both, Factors::F32);
    assert!(refusal(packed).contains("out_channels: 1,"));
    let g = convolution(1, 16);
    assert!(refusal(|| ImplicitGemm::backward(ISA, &g, &weights(&g))).contains("in_channels: 1,"));
    // A gradient that was pooled is read in whole vectors, whoever reads it.
    let g = convolution(3, 1);
    let (from, to) = (Layout { height: 2, width: 2, channels: 1, halo: 0 }, Layout { channels: 3, ..SQUARE });
    let (dy, bits, mut dx) = (vec![0.0; from.image()], vec![[0; 4]; 1], vec![0.0; to.image()]);
    let layer = FewChannels::new(ISA, g, &weights(&g));
    let pooled = Source::Pooled(&dy, &bits);
    let run = || layer.run(pooled, &from, 1, &to, &mut dx, Mode::Write, &mut Default::default());
    assert!(refusal(run).contains("no whole vectors"));
}

const SQUARE: Layout = Layout { height: 4, width: 4, channels: 1, halo: 0 };

#[test]
fn a_bias_on_a_linear_layers_gradient_is_refused() {
    let layer = linear::packed::Packed::new(ISA, SQUARE, LANES, &[1.0; 256]);
    let (dy, mut dx) = ([1.0; LANES], vec![0.0; SQUARE.image()]);
    let mut epilogue = Epilogue { bias: Some(&[1.0]), ..Epilogue::open(&mut dx) };
    let backward = || layer.backward(&dy, 1, &mut epilogue, &mut Default::default());
    assert!(refusal(backward).contains("a bias of 1 values"));
}

#[test]
fn sizes_that_wrap_are_refused() {
    for len in [(1 << 62) + 32_768, 1 << 60, usize::MAX] {
        for refused in [refusal(|| Aligned::zeros(len)), refusal(|| Aligned::unset(len))] {
            assert!(
                refused.contains(&len.to_string()) || refused.contains(&(len * 4).to_string()),
                "{refused}"
            );
        }
    }
    let sum = || bias_gradient::accumulate(ISA, &[1.0; 16], &PIXEL, 1 << 60, &mut [0.0; 16]);
    assert!(refusal(sum).contains("1152921504606846976 images"));
    let huge = Layout { height: 1 << 32, width: 1 << 32, ..PIXEL };
    assert!(refusal(|| huge.image()).contains("4294967296"));
    assert!(refusal(|| Panels::zeros(ISA, 1 << 60, 17)).contains("1152921504606846976"));
    // A stride beyond every image, whose step in values is no number.
    let g = Geometry { stride: 1 << 63, ..convolution(3, 16) };
    assert!(refusal(|| FewChannels::new(ISA, g, &weights(&g))).contains("9223372036854775808"));
    // Rows without values, as many as one likes, were gone through one by one.
    let none = Layout { height: 1 << 40, width: 0, ..PIXEL };
    assert!(linear::weight_gradient::tasks(&none).is_empty());
    let g = Geometry { kernel: 1 << 28, ..convolution(1, 16) };
    assert!(refusal(|| weight_gradient::tasks(&g)).contains("268435456"));
}

#[test]
fn windows_that_leave_a_rest_have_no_mean() {
    let g = avg_pool2d::Geometry { input: [5, 4], channels: LANES, window: 2 };
    let (to, from) = (Layout { height: 5, width: 4, ..PIXEL }, Layout { height: 2, width: 2, ..PIXEL });
    let (dy, mut dx) = (vec![1.0; from.image()], vec![0.0; to.image()]);
    let mut epilogue = Epilogue::open(&mut dx);
    let back = || avg_pool2d::direct::input_gradient(ISA, &g, &dy, &from, 1, &to, &mut epilogue);
    assert!(refusal(back).contains("[5, 4]"));
}

#[test]
fn statistics_whose_fields_differ_in_length_are_refused() {
    let channels = || vec![0.5; LANES];
    let whole =
        Statistics { mean: channels(), inverse_std: channels(), scale: channels(), shift: channels() };
    let (y, mut z) = (vec![1.0; PIXEL.image()], vec![0.0; PIXEL.image()]);
    for place in 0..4 {
        let mut short = whole.clone();
        [&mut short.mean, &mut short.inverse_std, &mut short.scale, &mut short.shift][place].truncate(3);
        let mut epilogue = Epilogue::open(&mut z);
        let normalize = || batch_norm::normalize(ISA, &y, &PIXEL, 1, &short, &mut epilogue);
        assert!(refusal(normalize).contains('3'));
        let gradient = (Source::Dense(&y), &PIXEL);
        assert!(refusal(|| batch_norm::reduce(ISA, gradient, &y, &PIXEL, 1, &short)).contains('3'));
    }
}

#[test]
fn products_of_another_layer_are_refused() {
    let mut small = WeightGradient::new(ISA, convolution(16, 16), None);
    let mut large = WeightGradient::new(ISA, convolution(16, 64), None);
    std::mem::swap(&mut small.products_mut()[7], &mut large.products_mut()[7]);
    assert!(refusal(|| large.finish()).contains("product 7"));
    large.products_mut().swap(0, 1);
    assert!(refusal(|| large.finish()).contains("product 0"));
}
