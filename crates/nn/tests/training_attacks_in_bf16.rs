//! The `cpu` executor whose training attacks multiply factors rounded to bf16: what is rounded, what is not, and what nobody can move.

use candle_core::{Device, Tensor};
use robin_core::{Classifier, Columns, Purpose, Scores, Seed, host};
use robin_nn::cpu::Cpu;
use robin_nn::{Bias, Convolution, Executor, Graph, Parameters};

const IMAGES: usize = 7;
const CLASSES: usize = 5;

/// Every product there is: at the images, by Winograd's filtering, strided, of one pixel, and linear.
fn graph() -> Graph {
    let conv = |channels, kernel, stride| Convolution {
        channels,
        kernel,
        stride,
        padding: kernel / 2,
        bias: Bias::Learned,
    };
    let graph = Graph::builder("products", [3, 12, 12]).normalize("normalize");
    let graph = graph.conv2d("first", conv(32, 3, 1)).relu();
    let graph = graph.conv2d("pooled", conv(32, 3, 1)).batch_norm2d("bn").relu().max_pool2d(2);
    let x = graph.here();
    let graph = graph.conv2d("strided", conv(48, 3, 2)).relu().conv2d("same", conv(48, 3, 1));
    let branch = graph.here();
    let graph = graph.at(x).conv2d("shortcut", conv(48, 1, 2)).add(branch).relu();
    graph.flatten().linear("hidden", 32).relu().linear("fc", CLASSES).build().unwrap()
}

fn images(n: usize) -> Tensor {
    let mut stream = Seed::new(5).derive(Purpose::Test, 0).root_stream();
    let values: Vec<f32> = (0..n * 3 * 12 * 12).map(|_| stream.uniform()).collect();
    Tensor::from_vec(values, (n, 3, 12, 12), &Device::Cpu).unwrap()
}

fn parameters() -> Parameters {
    Parameters::initialise(&graph(), Seed::new(3))
}

/// The executors that round.
const ROUNDING: [Cpu; 2] = [Cpu::TRAINING_ATTACKS_IN_BF16, Cpu::TRAINING_ATTACKS_IN_BF16_AMX];

/// The network as a training attack meets it.
fn attacked(executor: Cpu) -> Box<dyn Classifier> {
    executor.network(&graph(), parameters()).unwrap().freeze_for_training_attack().unwrap()
}

/// Irregular gradients on the scores, each image's `size` times as large.
fn score_gradient(sizes: &[f32]) -> Tensor {
    let values: Vec<f32> = (0..sizes.len() * CLASSES)
        .map(|at| sizes[at / CLASSES] * ((at * 7919 % 2003) as f32 / 1001.5 - 1.0))
        .collect();
    Tensor::from_vec(values, (sizes.len(), CLASSES), &Device::Cpu).unwrap()
}

/// Scores and gradients on the images.
fn pass(model: &dyn Classifier, images: &Tensor, gradient: &Tensor) -> (Vec<f32>, Vec<f32>) {
    let pass = model.forward(images, &Columns::All).unwrap();
    let scores = pass.scores().to_vec().unwrap();
    (scores, host::to_vec(&pass.input_gradient(gradient).unwrap()).unwrap())
}

/// Of what is expected, in length.
fn relative_error(found: &[f32], expected: &[f32]) -> f64 {
    let square = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>();
    let pairs = found.iter().zip(expected);
    let difference = square(&mut pairs.map(|(f, e)| f64::from(*f) - f64::from(*e)));
    (difference / square(&mut expected.iter().map(|e| f64::from(*e)))).sqrt()
}

#[test]
fn only_training_attacks_are_rounded() {
    let exact = Cpu::F32;
    assert_eq!(
        [exact.name(), ROUNDING[0].name(), ROUNDING[1].name()],
        ["cpu", "cpu, training attacks in bf16", "cpu, training attacks in bf16 by AMX"]
    );
    let (images, gradient) = (images(IMAGES), score_gradient(&[1.0; IMAGES]));
    let expected = pass(&*exact.classifier(&graph(), &parameters()).unwrap(), &images, &gradient);
    assert!(pass(&*attacked(exact), &images, &gradient) == expected);
    let [pairs, blocks] = ROUNDING.map(|rounding| {
        let judge = rounding.classifier(&graph(), &parameters()).unwrap();
        assert!(pass(&*judge, &images, &gradient) == expected);
        let frozen = rounding.network(&graph(), parameters()).unwrap().freeze().unwrap();
        assert!(pass(&*frozen, &images, &gradient) == expected);
        let found = pass(&*attacked(rounding), &images, &gradient);
        let errors = [relative_error(&found.0, &expected.0), relative_error(&found.1, &expected.1)];
        assert!(errors.iter().all(|error| (1e-3..0.1).contains(error)), "{}: {errors:?}", rounding.name());
        found
    });
    assert!(pairs != blocks);
}

#[test]
fn training_itself_has_the_bits_of_f32() {
    let step = |executor: Cpu| {
        let mut network = executor.network(&graph(), parameters()).unwrap();
        // What an attack has prepared is not what is trained with.
        drop(network.freeze_for_training_attack().unwrap());
        let mut loss = |_: &[Scores]| Ok(vec![score_gradient(&[1.0; IMAGES])]);
        let gradients = network.train_step(&[&images(IMAGES)], &mut loss).unwrap().0.concat();
        let buffers: Vec<_> =
            network.parameters().buffers.iter().map(|buffer| buffer.values.clone()).collect();
        (gradients, buffers)
    };
    let expected = step(Cpu::F32);
    assert!(ROUNDING.into_iter().all(|rounding| step(rounding) == expected));
}

#[test]
fn an_attack_meets_the_weights_of_its_step() {
    for rounding in ROUNDING {
        let mut network = rounding.network(&graph(), parameters()).unwrap();
        let (images, gradient) = (images(2), score_gradient(&[1.0; 2]));
        let before = pass(&*network.freeze_for_training_attack().unwrap(), &images, &gradient);
        network.update(&mut |tensors| tensors[0].values.iter_mut().for_each(|value| *value *= 1.5));
        let after = pass(&*network.freeze_for_training_attack().unwrap(), &images, &gradient);
        assert!(before != after, "{}", rounding.name());
    }
}

#[test]
fn an_image_does_not_see_its_companions_nor_the_threads() {
    ROUNDING.map(attacked).iter().for_each(|model| sees_itself_alone(&**model));
}

fn sees_itself_alone(model: &dyn Classifier) {
    let (images, gradient) = (images(IMAGES), score_gradient(&[1.0; IMAGES]));
    let expected = pass(model, &images, &gradient);
    for threads in [1, 3] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        assert!(pool.install(|| pass(model, &images, &gradient)) == expected, "{threads} threads");
    }
    for row in 0..IMAGES {
        let of = |tensor: &Tensor| tensor.narrow(0, row, 1).unwrap();
        let (scores, dx) = pass(model, &of(&images), &of(&gradient));
        let same = scores == expected.0[row * CLASSES..][..CLASSES]
            && dx == expected.1[row * dx.len()..][..dx.len()];
        assert!(same, "image {row} alone");
    }
}

#[test]
fn gradients_of_any_size_keep_their_direction_to_the_bit() {
    ROUNDING.map(attacked).iter().for_each(|model| keeps_directions(&**model));
}

fn keeps_directions(model: &dyn Classifier) {
    // Powers of two, from where bf16 would have rounded all to 0 to where a sum of a few would be infinite.
    let sizes = [1.0, 2f32.powi(-30), 2f32.powi(-60), 2f32.powi(-90), 2f32.powi(60), 2f32.powi(100), 0.0];
    let (_, found) = pass(model, &images(IMAGES), &score_gradient(&sizes));
    let (_, expected) = pass(model, &images(IMAGES), &score_gradient(&[1.0; IMAGES]));
    let length = found.len() / IMAGES;
    for (row, size) in sizes.into_iter().enumerate() {
        let rows = found[row * length..][..length].iter().zip(&expected[row * length..][..length]);
        assert!(rows.clone().all(|(f, e)| *f == e * size), "{size:e}");
        assert!(rows.clone().any(|(f, _)| *f != 0.0) == (size > 0.0), "{size:e}");
    }
    let mut broken = [1.0; IMAGES];
    broken[2] = f32::NAN;
    let (_, found) = pass(model, &images(IMAGES), &score_gradient(&broken));
    for row in 0..IMAGES {
        let finite = found[row * length..][..length].iter().all(|value| value.is_finite());
        assert_eq!(finite, row != 2, "image {row}");
    }
}
