//! Gradients on images through a batch's own statistics, against finite differences.

use std::error::Error as _;

use candle_core::{DType, Device, Tensor};
use robin_core::{Columns, Purpose, Seed, host};
use robin_nn::candle::{Mode, Weights, forward};
use robin_nn::{Bias, Convolution, EXECUTORS, Error, Graph, Parameters};

const IMAGES: usize = 5;
const CLASSES: usize = 3;
/// Length of a step to each side; small enough that no rectifier changes, large enough for f64.
const STEP: f64 = 1e-6;

fn graph() -> Graph {
    let conv = |channels| Convolution { channels, kernel: 3, stride: 1, padding: 1, bias: Bias::None };
    let graph = Graph::builder("normed", [2, 6, 6]).normalize("normalize").conv2d("conv1", conv(5));
    let graph = graph.batch_norm2d("bn1").relu().max_pool2d(2).conv2d("conv2", conv(4)).batch_norm2d("bn2");
    graph.relu().flatten().linear("fc", CLASSES).build().unwrap()
}

fn drawn(number: u64, shape: &[usize]) -> Tensor {
    let mut stream = Seed::new(9).derive(Purpose::Test, number).root_stream();
    let values: Vec<f32> = (0..shape.iter().product()).map(|_| stream.uniform()).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

#[test]
fn gradients_through_batch_statistics_are_finite_differences() {
    let graph = graph();
    let parameters = Parameters::initialise(&graph, Seed::new(2));
    let (images, upstream) = (drawn(0, &[IMAGES, 2, 6, 6]), drawn(1, &[IMAGES, CLASSES]));
    let weights = Weights::constant(&parameters, DType::F64).unwrap();
    let wide = |tensor: &Tensor| tensor.to_dtype(DType::F64).unwrap();
    let value = |images: &Tensor| {
        let outputs = forward(&graph, &weights, images, Mode::Training).unwrap();
        (outputs * wide(&upstream)).unwrap().sum_all().unwrap().to_scalar::<f64>().unwrap()
    };
    for executor in EXECUTORS {
        let network = executor.network(&graph, parameters.clone()).unwrap();
        let model = network.freeze_with_batch_statistics().unwrap();
        let pass = model.forward(&images, &Columns::All).unwrap();
        let gradient = host::to_vec(&pass.input_gradient(&upstream).unwrap()).unwrap();
        for number in 2..10 {
            let direction = (drawn(number, &[IMAGES, 2, 6, 6]) - 0.5).unwrap();
            let step = (wide(&direction) * STEP).unwrap();
            let moved = |sign: f64| value(&(wide(&images) + (&step * sign).unwrap()).unwrap());
            let expected = (moved(1.0) - moved(-1.0)) / (2.0 * STEP);
            let direction = host::to_vec(&direction).unwrap();
            let product = |(g, d): (&f32, &f32)| f64::from(*g) * f64::from(*d);
            let found: f64 = gradient.iter().zip(&direction).map(product).sum();
            let size: f64 = gradient.iter().zip(&direction).map(|pair| product(pair).abs()).sum();
            let name = executor.name();
            assert!((found - expected).abs() < 1e-5 * size, "{name}: {found} against {expected}");
        }
    }
}

#[test]
fn companions_matter_and_one_value_is_refused() {
    let graph = graph();
    let parameters = Parameters::initialise(&graph, Seed::new(2));
    let images = drawn(0, &[IMAGES, 2, 6, 6]);
    let single =
        Graph::builder("single", [2, 1, 1]).batch_norm2d("bn").flatten().linear("fc", 2).build().unwrap();
    for executor in EXECUTORS {
        let network = executor.network(&graph, parameters.clone()).unwrap();
        let model = network.freeze_with_batch_statistics().unwrap();
        let scores = |images: &Tensor| model.scores(images, &Columns::All).unwrap().to_vec().unwrap();
        assert_ne!(scores(&images)[..CLASSES], scores(&images.narrow(0, 0, 2).unwrap())[..CLASSES]);

        let parameters = Parameters::initialise(&single, Seed::new(2));
        let network = executor.network(&single, parameters).unwrap();
        let model = network.freeze_with_batch_statistics().unwrap();
        let fault = model.scores(&drawn(0, &[1, 2, 1, 1]), &Columns::All).unwrap_err();
        let cause = fault.source().expect("the executor's own error").to_string();
        let expected = Error::BatchStatistics { graph: "single".to_owned(), layer: "bn".to_owned() };
        assert_eq!(cause, expected.to_string());
    }
}
