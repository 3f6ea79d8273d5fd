//! Everything that an executor computes of a graph, beside the same from `candle`.

use candle_core::{DType, Device, Tensor};
use robin_core::{Columns, Pass, Purpose, Scores, Seed, host};
use robin_nn::candle::{Candle, Mode, Weights, activations, kinks};
use robin_nn::{Executor, Gradients, Graph, Parameters};

use super::CLASSES;

/// Images of a batch: more than the `cpu` executor trains on at a time.
pub const IMAGES: usize = 18;

/// How far values may be off, of the largest in a tensor.
pub const TOLERANCE: f32 = 2e-5;

/// Asserts that `executor` computes scores, gradients and running statistics of `graph` as `candle` does, in evaluation and in
/// training, and that nothing stays in its buffers.
pub fn assert_agrees(executor: &dyn Executor, graph: &Graph) {
    agree(graph, &all(&Candle::CPU, graph), &all(executor, graph));
}

/// Parameters in which nothing is the identity.
fn parameters(graph: &Graph) -> Parameters {
    let mut parameters = Parameters::initialise(graph, Seed::new(3));
    let mut stream = Seed::new(6).derive(Purpose::Test, 0).root_stream();
    for tensor in parameters.trained.iter_mut().chain(&mut parameters.buffers) {
        tensor.values.iter_mut().for_each(|value| *value += 0.2 * (1.0 + stream.symmetric()));
    }
    parameters
}

/// Of several batches the one that rounding is least likely to bring across a kink.
fn images(graph: &Graph, parameters: &Parameters) -> Tensor {
    let [c, h, w] = graph.input_shape();
    let draws = (0..4).map(|draw| {
        let mut stream = Seed::new(5).derive(Purpose::Test, draw).root_stream();
        let values: Vec<f32> = (0..IMAGES * c * h * w).map(|_| stream.uniform()).collect();
        Tensor::from_vec(values, (IMAGES, c, h, w), &Device::Cpu).unwrap()
    });
    let weights = Weights::constant(parameters, DType::F64).unwrap();
    let distance = |images: &Tensor| {
        let wide = images.to_dtype(DType::F64).unwrap();
        let of = |mode| kinks::distances(graph, &activations(graph, &weights, &wide, mode).unwrap()).unwrap();
        [Mode::Evaluation, Mode::Training].into_iter().flat_map(of).fold(f64::INFINITY, f64::min)
    };
    draws.max_by(|a, b| distance(a).total_cmp(&distance(b))).unwrap()
}

/// A gradient on the scores.
fn upstream() -> Tensor {
    let mut stream = Seed::new(7).derive(Purpose::Test, 0).root_stream();
    let values: Vec<f32> = (0..IMAGES * CLASSES).map(|_| stream.symmetric()).collect();
    Tensor::from_vec(values, (IMAGES, CLASSES), &Device::Cpu).unwrap()
}

/// Everything that an executor computes of a graph, by name.
fn all(executor: &dyn Executor, graph: &Graph) -> Vec<(String, Vec<f32>)> {
    let parameters = parameters(graph);
    let images = images(graph, &parameters);
    let model = executor.classifier(graph, &parameters).unwrap();
    let attack = || {
        let pass = model.forward(&images, &Columns::All).unwrap();
        let scores = pass.scores().to_vec().unwrap();
        (scores, host::to_vec(&pass.input_gradient(&upstream()).unwrap()).unwrap())
    };
    let (scores, gradient) = attack();
    // Buffers are used again: nothing may stay in them, not even of broken images.
    let broken = (&images * f64::NAN).unwrap();
    let _ = model.forward(&broken, &Columns::All).unwrap().input_gradient(&upstream()).unwrap();
    let again = attack();
    assert_eq!((&scores, &gradient), (&again.0, &again.1), "{} once more", graph.name());
    let _ = model.scores(&broken, &Columns::All).unwrap();
    assert_eq!(scores, attack().0, "{} after scores alone", graph.name());
    let mut found = vec![("scores".to_owned(), scores), ("input gradient".to_owned(), gradient)];

    let mut network = executor.network(graph, parameters).unwrap();
    let mut of_training = Vec::new();
    let mut train = |images: &Tensor| {
        let mut loss = |scores: &[Scores]| {
            of_training = scores[0].to_vec()?;
            Ok(vec![upstream()])
        };
        let Gradients(gradients) = network.train_step(&[images], &mut loss)?;
        Ok::<Vec<Vec<f32>>, robin_nn::Error>(gradients.iter().map(|gradient| gradient.to_vec()).collect())
    };
    let gradients = train(&images).unwrap();
    assert!(train(&broken).is_err(), "{} trained on broken images", graph.name());
    assert_eq!(gradients, train(&images).unwrap(), "{} trained once more", graph.name());
    found.push(("scores in training".to_owned(), of_training.clone()));
    let untouched = network.parameters().clone();
    let attack = || {
        let model = network.freeze_with_batch_statistics().unwrap();
        let first = model.forward(&images, &Columns::All).unwrap();
        let _ = model.forward(&broken, &Columns::All).unwrap().input_gradient(&upstream()).unwrap();
        let second = model.forward(&images, &Columns::All).unwrap();
        let of = |pass: Box<dyn Pass + '_>| {
            let scores = pass.scores().to_vec().unwrap();
            (scores, host::to_vec(&pass.input_gradient(&upstream()).unwrap()).unwrap())
        };
        let (first, second) = (of(first), of(second));
        assert_eq!(first, second, "{} in training once more", graph.name());
        let column = model.scores(&images, &Columns::One(1)).unwrap().to_vec().unwrap();
        assert!(column.iter().eq(first.0.iter().skip(1).step_by(CLASSES)), "{}", graph.name());
        first
    };
    let (scores, gradient) = attack();
    assert_eq!(scores, of_training, "{}: scores of an attack in training", graph.name());
    assert_eq!(network.parameters(), &untouched, "{}: an attack moves nothing", graph.name());
    found.push(("input gradient in training".to_owned(), gradient));
    let Parameters { trained, buffers } = network.parameters();
    found.extend(trained.iter().map(|tensor| tensor.name.clone()).zip(gradients));
    found.extend(buffers.iter().map(|tensor| (tensor.name.clone(), tensor.values.clone())));
    found
}

fn agree(graph: &Graph, reference: &[(String, Vec<f32>)], other: &[(String, Vec<f32>)]) {
    let largest_of = |values: &[f32]| values.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
    let largest = reference.iter().map(|(_, values)| largest_of(values)).fold(0.0, f32::max);
    for ((name, expected), (other, found)) in reference.iter().zip(other) {
        assert_eq!((name, expected.len()), (other, found.len()), "{}", graph.name());
        // Some gradients are 0 but for rounding: a bias before a batch norm moves nothing.
        let allowed = TOLERANCE * largest_of(expected) + 1e-6 * largest;
        let worst = expected.iter().zip(found).map(|(e, f)| (e - f).abs()).fold(0.0, f32::max);
        assert!(worst <= allowed, "{}, {name}: {worst} off, allowed {allowed}", graph.name());
        assert!(found.iter().all(|value| value.is_finite()), "{}, {name}", graph.name());
    }
}
