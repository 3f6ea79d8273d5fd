//! The CUDA kernels, compiled for this processor, against the references.
#![allow(clippy::print_stdout, reason = "says what is not tested on this machine")]

#[path = "kernels/attacks.rs"]
mod attacks;
#[path = "kernels/devices.rs"]
mod devices;
#[path = "kernels/layers.rs"]
mod layers;
mod processor;
#[path = "kernels/products.rs"]
mod products;

use robin_cuda::kernels::{Buffer, Context, PACK, Precision, Real, layers as device};

use processor::as_device;

/// A context of this processor in each type of storage; none, and says so, where no C++ compiler is.
fn contexts() -> Vec<Context> {
    let Some(host) = as_device() else { return Vec::new() };
    [Precision::F32, Precision::Bf16].map(|precision| Context::new(host.clone(), precision)).into()
}

/// The f32 context, or none.
fn context() -> Option<Context> {
    contexts().into_iter().next()
}

/// Numbers in about [-1, 1] that no pattern repeats.
fn numbers(len: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(747_796_405).wrapping_add(1);
    (0..len)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / 8_388_608.0 - 1.0
        })
        .collect()
}

/// Images `[n, c, h, w]` of a layout `shape`, as reals on the device.
fn upload(context: &Context, shape: &device::Shape, images: &[f32]) -> Buffer<Real> {
    let given = context.upload(images).unwrap();
    let n = images.len() / (shape.channels * shape.pixels());
    let to = context.buffer(n * shape.len()).unwrap();
    device::read_images(context, shape, &given, None, &to).unwrap();
    to
}

/// The values `[n, c, h, w]` of images on the device; what fills up packs must be zero.
fn download(context: &Context, shape: &device::Shape, values: &Buffer<Real>) -> Vec<f32> {
    let packed = device::to_floats(context, values).unwrap().to_vec().unwrap();
    for pixel in packed.chunks(shape.packed()) {
        assert!(pixel[shape.channels..].iter().all(|&v| v == 0.0), "what fills up a pack");
    }
    let n = values.len() / shape.len();
    let to = context.buffer(n * shape.channels * shape.pixels()).unwrap();
    device::write_image_gradient(context, shape, values, None, &to).unwrap();
    to.to_vec().unwrap()
}

/// `[n, c, h, w]` as `[n, h, w, c]`, or with `back` the other way.
fn channels_last(images: &[f32], [c, pixels]: [usize; 2]) -> Vec<f64> {
    let mut to = vec![0.0; images.len()];
    for (at, &value) in images.iter().enumerate() {
        let (image, channel, pixel) = (at / (c * pixels), at / pixels % c, at % pixels);
        to[(image * pixels + pixel) * c + channel] = f64::from(value);
    }
    to
}

/// The value that is stored for `x`.
fn stored(context: &Context, x: &[f32]) -> Vec<f32> {
    let round = |x: f32| f32::from_bits((x.to_bits() + 0x7fff + (x.to_bits() >> 16 & 1)) & 0xffff_0000);
    match context.precision() {
        Precision::Bf16 => x.iter().map(|&x| round(x)).collect(),
        _ => x.to_vec(),
    }
}

/// Largest difference allowed, of the largest expected value: rounding of what is stored, and of sums in f32.
fn assert_close(context: &Context, found: &[f32], expected: &[f64], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let largest = expected.iter().fold(1e-30_f64, |most, value| most.max(value.abs()));
    let tolerance = largest * if context.precision() == Precision::Bf16 { 1.0 / 256.0 } else { 3e-6 };
    for (at, (found, expected)) in found.iter().zip(expected).enumerate() {
        let difference = (f64::from(*found) - expected).abs();
        assert!(difference <= tolerance, "{what}[{at}]: {found}, expected {expected} within {tolerance}");
    }
}

#[test]
fn packs_have_the_size_that_kernels_take() {
    assert!(robin_cuda::kernels::host::compiler().is_none() || context().is_some());
    assert_eq!(PACK, 8);
}
