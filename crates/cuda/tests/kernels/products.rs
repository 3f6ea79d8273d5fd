use robin_cuda::kernels::layers::{Rectifier, epilogue, to_floats};
use robin_cuda::kernels::products::Epilogue;
use robin_cuda::kernels::{PACK, Product, products};
use robin_kernels::conv2d::{Geometry, reference};

use super::{assert_close, channels_last, contexts, download, layers::shape, numbers, stored, upload};

/// Kernel, stride, padding, sides that nothing divides, and channels that fill no pack.
fn geometries() -> Vec<Geometry> {
    let all = [
        ([5, 7], 3, 5, [3, 1, 1]),
        ([6, 6], 8, 16, [1, 1, 0]),
        ([7, 5], 9, 3, [3, 2, 1]),
        ([6, 5], 2, 4, [5, 1, 2]),
        ([4, 4], 1, 8, [4, 2, 1]),
        ([5, 5], 4, 2, [5, 1, 0]),
        ([5, 4], 3, 3, [2, 3, 0]),
        ([4, 3], 3, 2, [1, 2, 1]),
        ([1, 1], 20, 10, [1, 1, 0]),
    ];
    all.map(|(input, in_channels, out_channels, [kernel, stride, padding])| Geometry {
        input,
        in_channels,
        out_channels,
        kernel,
        stride,
        padding,
    })
    .into()
}

/// Weights `[out, kernel, kernel, in]`, as many as `given` has, filled up by zeros.
fn packed_weights(given: &Geometry, packed: &Geometry, w: &[f32]) -> Vec<f32> {
    let area = given.kernel * given.kernel;
    let mut to = vec![0.0; packed.taps() * packed.out_channels];
    for (at, &value) in w.iter().enumerate() {
        let (out, tap, channel) = (at / given.taps(), at / given.in_channels % area, at % given.in_channels);
        to[(out * area + tap) * packed.in_channels + channel] = value;
    }
    to
}

#[test]
fn a_finished_product_is_a_product_and_then_what_follows_it() {
    let g = Geometry { input: [5, 4], in_channels: 8, out_channels: 16, kernel: 3, stride: 1, padding: 1 };
    for context in contexts() {
        let outside = shape(g.output(), 16);
        let x = upload(&context, &shape(g.input, 8), &numbers(2 * g.input_len(), 1));
        let flat = context.upload(&numbers(g.taps() * 16, 2)).unwrap();
        let w = robin_cuda::kernels::norms::fold_weights(&context, &flat, None, 16).unwrap();
        let (bias, add) = (
            context.upload(&numbers(16, 3)).unwrap(),
            upload(&context, &outside, &numbers(2 * g.output_len(), 4)),
        );
        for images in [2, 0] {
            let (product, len) = (Product { geometry: g, images }, images * g.output_len());
            let (x, add) = (x.first(images * g.input_len()).unwrap(), add.first(len).unwrap());
            for (bias, add, rectifier) in [
                (Some(&bias), Some(&add), Rectifier::Relu),
                (Some(&bias), None, Rectifier::Relu),
                (None, Some(&add), Rectifier::Relu),
                (Some(&bias), Some(&add), Rectifier::None),
            ] {
                let (y, expected) = (context.buffer(len).unwrap(), context.buffer(len).unwrap());
                let after = Epilogue { bias, add, rectifier };
                products::finished(&context, &product, &x, &w, after, &y).unwrap();
                products::forward(&context, &product, &x, &w, &expected).unwrap();
                epilogue(&context, &outside, &expected, bias, add, rectifier).unwrap();
                let values = |of| to_floats(&context, of).unwrap().to_vec().unwrap();
                assert_eq!(values(&y), values(&expected), "{images} images, {rectifier:?}");
            }
        }
    }
}

#[test]
fn convolutions_are_those_of_the_reference() {
    const IMAGES: usize = 3;
    for context in contexts() {
        for given in geometries() {
            let packed = Geometry {
                in_channels: given.in_channels.next_multiple_of(PACK),
                out_channels: given.out_channels.next_multiple_of(PACK),
                ..given
            };
            let product = Product { geometry: packed, images: IMAGES };
            let (inside, outside) =
                (shape(given.input, given.in_channels), shape(given.output(), given.out_channels));
            let w = stored(&context, &numbers(given.taps() * given.out_channels, 1));
            let x = stored(&context, &numbers(IMAGES * given.input_len(), 2));
            let dy = stored(&context, &numbers(IMAGES * given.output_len(), 3));
            // The reference has weights [kernel, kernel, in, out].
            let (taps, outs) = (given.taps(), given.out_channels);
            let theirs: Vec<f64> =
                (0..taps * outs).map(|at| f64::from(w[at % outs * taps + at / outs])).collect();
            let flat = context.upload(&packed_weights(&given, &packed, &w)).unwrap();
            let weights =
                robin_cuda::kernels::norms::fold_weights(&context, &flat, None, packed.out_channels).unwrap();
            let (dx_x, dx_y) = (upload(&context, &inside, &x), upload(&context, &outside, &dy));

            let y = context.buffer(dx_y.len()).unwrap();
            products::forward(&context, &product, &dx_x, &weights, &y).unwrap();
            let images = channels_last(&x, [given.in_channels, inside.pixels()]);
            let gradients = channels_last(&dy, [given.out_channels, outside.pixels()]);
            let expected: Vec<f64> = images
                .chunks(given.input_len())
                .flat_map(|x| reference::forward(&given, &theirs, &vec![0.0; outs], x))
                .collect();
            let found = channels_last(&download(&context, &outside, &y), [outs, outside.pixels()]);
            let found: Vec<f32> = found.into_iter().map(|v| v as f32).collect();
            assert_close(&context, &found, &expected, &format!("{given:?} forward"));

            let dx = context.buffer(dx_x.len()).unwrap();
            products::backward_data(&context, &product, &dx_y, &weights, &dx).unwrap();
            let expected: Vec<f64> = gradients
                .chunks(given.output_len())
                .flat_map(|dy| reference::input_gradient(&given, &theirs, dy))
                .collect();
            let found =
                channels_last(&download(&context, &inside, &dx), [given.in_channels, inside.pixels()]);
            let found: Vec<f32> = found.into_iter().map(|v| v as f32).collect();
            assert_close(&context, &found, &expected, &format!("{given:?} backward data"));

            let dw = context.buffer(weights.len()).unwrap();
            products::backward_filter(&context, &product, &dx_x, &dx_y, &dw).unwrap();
            let mut expected = vec![0.0; theirs.len()];
            for (x, dy) in images.chunks(given.input_len()).zip(gradients.chunks(given.output_len())) {
                let one = reference::weight_gradient(&given, x, dy);
                expected.iter_mut().zip(one).for_each(|(sum, d)| *sum += d);
            }
            let found = robin_cuda::kernels::layers::to_floats(&context, &dw).unwrap().to_vec().unwrap();
            let expected: Vec<f64> =
                (0..taps * outs).map(|at| expected[at % taps * outs + at / taps]).collect();
            let as_f32: Vec<f32> = expected.iter().map(|&d| d as f32).collect();
            let expected: Vec<f64> =
                packed_weights(&given, &packed, &as_f32).into_iter().map(f64::from).collect();
            assert_close(&context, &found, &expected, &format!("{given:?} backward filter"));
        }
    }
}
