//! Every listed model on every listed executor: true gradients, one answer, and no sight of companions.

use candle_core::{DType, Device, Tensor};
use robin_attacks::objectives::CrossEntropy;
use robin_core::{Classifier, ColumnTable, Columns, Objective, Purpose, Scores, Seed, host};
use robin_models::{Entry, MODELS, build};
use robin_nn::reference::{self, Mode, Weights};
use robin_nn::{EXECUTORS, Executor, Graph, Parameters, executor};
use robin_testkit::{Probe, assert_close, check_input_gradient, gradcheck};

const INPUT: [usize; 3] = [1, 28, 28];
const CLASSES: usize = 10;

fn tiny(entry: &Entry) -> (Graph, Parameters) {
    let graph = build(entry.name, Some(4), INPUT, CLASSES).unwrap();
    let mut parameters = Parameters::initialise(&graph, Seed::new(3));
    // A normalisation that does something: mean 0.25, standard deviation 0.5.
    for (buffer, value) in parameters.buffers.iter_mut().zip([0.25, 0.5]) {
        buffer.values.fill(value);
    }
    (graph, parameters)
}

fn images(n: usize) -> Tensor {
    let mut stream = Seed::new(5).derive(Purpose::Test, 0).root_stream();
    let values: Vec<f32> = (0..n * 784).map(|_| stream.uniform()).collect();
    Tensor::from_vec(values, (n, 1, 28, 28), &Device::Cpu).unwrap()
}

fn labels(n: usize) -> Vec<u32> {
    (0..n as u32).map(|row| row * 7 % CLASSES as u32).collect()
}

/// Scores and input gradient of the summed cross-entropy.
fn step(model: &dyn Classifier, images: &Tensor, labels: Vec<u32>) -> (Vec<f32>, Vec<f32>) {
    let pass = model.forward(images, &Columns::All).unwrap();
    let scores = pass.scores().to_vec().unwrap();
    let gradient = CrossEntropy::new(labels).evaluate(pass.scores()).unwrap().score_gradient;
    (scores, host::to_vec(&pass.input_gradient(&gradient).unwrap()).unwrap())
}

/// Gradients of the summed cross-entropy on all weights, one after the other.
fn weight_gradients(executor: &dyn Executor, graph: &Graph, parameters: &Parameters, n: usize) -> Vec<f32> {
    let mut network = executor.network(graph, parameters.clone()).unwrap();
    let objective = CrossEntropy::new(labels(n));
    let mut loss = |scores: &[Scores]| Ok(vec![objective.evaluate(&scores[0])?.score_gradient]);
    network.train_step(&[&images(n)], &mut loss).unwrap().0.concat()
}

fn for_each(mut check: impl FnMut(&Graph, &Parameters, &'static dyn Executor)) {
    for entry in MODELS {
        let (graph, parameters) = tiny(entry);
        for executor in EXECUTORS {
            check(&graph, &parameters, *executor);
        }
    }
}

#[test]
fn input_gradients_are_true_on_every_executor() {
    for_each(|graph, parameters, executor| {
        let model = executor.classifier(graph, parameters).unwrap();
        let objective = CrossEntropy::new(labels(2));
        let agreement = check_input_gradient(&*model, &objective, &images(2), Probe::F32).unwrap();
        agreement.assert_median_within(3e-2);
    });
}

/// In f64 there is hardly a kink between two probes, and next to no rounding.
#[test]
fn the_references_input_gradient_is_true_in_f64() {
    for entry in MODELS {
        let (graph, parameters) = tiny(entry);
        let weights = Weights::constant(&parameters, DType::F64).unwrap();
        let upstream: Vec<f64> =
            robin_testkit::output_weights(CLASSES, Seed::new(1)).into_iter().map(f64::from).collect();
        let upstream = Tensor::from_vec(upstream, (1, CLASSES), &Device::Cpu).unwrap();
        let value = |image: &Tensor| {
            let outputs = reference::forward(&graph, &weights, image, Mode::Evaluation).unwrap();
            (outputs * &upstream).unwrap().sum_all().unwrap()
        };
        let point: Vec<f64> = host::to_vec(&images(1)).unwrap().into_iter().map(f64::from).collect();
        let tensor = |values: &[f64]| Tensor::from_slice(values, (1, 1, 28, 28), &Device::Cpu).unwrap();
        let image = candle_core::Var::from_tensor(&tensor(&point)).unwrap();
        let gradients = value(image.as_tensor()).backward().unwrap();
        let gradient: Vec<f64> = gradients.get(&image).unwrap().flatten_all().unwrap().to_vec1().unwrap();
        gradcheck(&point, &gradient, Probe::F64, |x| value(&tensor(x)).to_scalar::<f64>().unwrap())
            .assert_median_within(1e-5);
    }
}

/// The claimed gradients are f32, the measured differences f64.
#[test]
fn weight_gradients_are_true_on_every_executor() {
    for_each(|graph, parameters, executor| {
        let claimed = weight_gradients(executor, graph, parameters, 2);
        let claimed: Vec<f64> = claimed.into_iter().map(f64::from).collect();
        let point: Vec<f64> =
            parameters.trained.iter().flat_map(|t| &t.values).map(|&v| f64::from(v)).collect();
        let wide_images = images(2).to_dtype(DType::F64).unwrap();
        let loss = |values: &[f64]| -> f64 {
            let weights = Weights::wide(parameters, values).unwrap();
            let outputs = reference::forward(graph, &weights, &wide_images, Mode::Training).unwrap();
            let rows: Vec<Vec<f64>> = outputs.to_vec2().unwrap();
            let cross_entropy = |(row, label): (&Vec<f64>, u32)| {
                row.iter().map(|z| z.exp()).sum::<f64>().ln() - row[label as usize]
            };
            rows.iter().zip(labels(2)).map(cross_entropy).sum()
        };
        gradcheck(&point, &claimed, Probe::F64, loss).assert_median_within(1e-4);
    });
}

#[test]
fn cpu_agrees_with_the_reference_whatever_the_batch_size() {
    for entry in MODELS {
        let (graph, parameters) = tiny(entry);
        let [judge, cpu] = ["reference", "cpu"].map(|name| executor(name).unwrap());
        for n in [1, 3, 16, 17, 33] {
            let [expected, found] = [judge, cpu]
                .map(|e| step(&*e.classifier(&graph, &parameters).unwrap(), &images(n), labels(n)));
            assert_close(&found.0, &expected.0, 1e-5);
            assert_close(&found.1, &expected.1, 1e-5);
            let [expected, found] = [judge, cpu].map(|e| weight_gradients(e, &graph, &parameters, n));
            assert_close(&found, &expected, 1e-5);
        }
    }
}

#[test]
fn an_image_does_not_see_its_companions_nor_the_threads() {
    for_each(|graph, parameters, executor| {
        let model = executor.classifier(graph, parameters).unwrap();
        let (n, all) = (37, images(37));
        let (scores, gradient) = step(&*model, &all, labels(n));
        let rows: Vec<usize> = (0..n).rev().step_by(3).collect();
        let some = host::select(&all, &rows).unwrap();
        let threads = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
        let chosen_labels = rows.iter().map(|&row| labels(n)[row]).collect();
        let (some_scores, some_gradient) = threads.install(|| step(&*model, &some, chosen_labels));
        let pick = |values: &[f32], length: usize| -> Vec<f32> {
            rows.iter().flat_map(|&row| values[row * length..(row + 1) * length].to_vec()).collect()
        };
        assert_eq!(some_scores, pick(&scores, CLASSES), "{} {}", graph.name(), executor.name());
        assert_eq!(some_gradient, pick(&gradient, 784), "{} {}", graph.name(), executor.name());
    });
}

#[test]
fn weight_gradients_do_not_depend_on_threads() {
    for_each(|graph, parameters, executor| {
        let with = |count| {
            let threads = rayon::ThreadPoolBuilder::new().num_threads(count).build().unwrap();
            threads.install(|| weight_gradients(executor, graph, parameters, 40))
        };
        assert_eq!(with(1), with(3), "{} {}", graph.name(), executor.name());
    });
}

#[test]
fn several_batches_add_their_gradients() {
    for_each(|graph, parameters, executor| {
        let (all, rows) = (images(5), [[0, 1, 2].as_slice(), &[3, 4]]);
        let parts = rows.map(|rows| host::select(&all, rows).unwrap());
        let objectives = rows.map(|rows| CrossEntropy::new(rows.iter().map(|&row| labels(5)[row]).collect()));
        let mut network = executor.network(graph, parameters.clone()).unwrap();
        let mut loss = |scores: &[Scores]| {
            let gradient = |(objective, scores): (&CrossEntropy, &Scores)| {
                Ok(objective.evaluate(scores)?.score_gradient)
            };
            objectives.iter().zip(scores).map(gradient).collect()
        };
        let found = network.train_step(&[&parts[0], &parts[1]], &mut loss).unwrap().0.concat();
        assert_close(&found, &weight_gradients(executor, graph, parameters, 5), 1e-5);
    });
}

#[test]
fn chosen_columns_are_those_of_all() {
    for_each(|graph, parameters, executor| {
        let model = executor.classifier(graph, parameters).unwrap();
        let x = images(3);
        let all = model.scores(&x, &Columns::All).unwrap().to_vec().unwrap();
        let table = ColumnTable { width: 2, indices: vec![9, 0, 3, 3, 1, 2] };
        let choices =
            [(Columns::One(4), vec![4, 14, 24]), (Columns::PerExample(table), vec![9, 0, 13, 13, 21, 22])];
        for (columns, places) in choices {
            let expected: Vec<f32> = places.iter().map(|&at| all[at]).collect();
            let pass = model.forward(&x, &columns).unwrap();
            assert_eq!(pass.scores().to_vec().unwrap(), expected);
            assert_eq!(model.scores(&x, &columns).unwrap().to_vec().unwrap(), expected);
            // A gradient on chosen columns is one on all, zero elsewhere; a column chosen twice counts twice.
            let ones = pass.scores().tensor().ones_like().unwrap();
            let chosen = host::to_vec(&pass.input_gradient(&ones).unwrap()).unwrap();
            let mut upstream = vec![0.0_f32; 3 * CLASSES];
            places.iter().for_each(|&at| upstream[at] += 1.0);
            let upstream = Tensor::from_vec(upstream, (3, CLASSES), &Device::Cpu).unwrap();
            let pass = model.forward(&x, &Columns::All).unwrap();
            assert_close(&chosen, &host::to_vec(&pass.input_gradient(&upstream).unwrap()).unwrap(), 1e-6);
        }
        assert!(model.scores(&x, &Columns::One(10)).is_err());
    });
}

#[test]
fn images_of_another_shape_are_refused_with_both_shapes() {
    for_each(|graph, parameters, executor| {
        let model = executor.classifier(graph, parameters).unwrap();
        let wrong = Tensor::zeros((2, 3, 32, 32), DType::F32, &Device::Cpu).unwrap();
        let error = model.scores(&wrong, &Columns::All).unwrap_err();
        let message = std::error::Error::source(&error).unwrap().to_string();
        assert!(message.contains("[2, 3, 32, 32]") && message.contains("[n, 1, 28, 28]"), "{message}");
    });
}

#[test]
fn parameters_of_another_network_are_refused() {
    for_each(|graph, _, executor| {
        let other = build(graph.name(), Some(8), INPUT, CLASSES).unwrap();
        let parameters = Parameters::initialise(&other, Seed::new(1));
        assert!(executor.classifier(graph, &parameters).is_err());
        assert!(executor.network(graph, parameters).is_err());
    });
}

#[test]
fn unknown_names_and_widths_list_what_is_allowed() {
    let message = |name, width| build(name, width, INPUT, CLASSES).unwrap_err().to_string();
    assert!(message("cnn3", None).contains("cnn2, cnn2-small"));
    assert!(message("cnn2-small", Some(6)).contains("width 6 is not a positive multiple of 4"));
    assert!(message("cnn2", Some(0)).contains("width 0"));
    let small = build("cnn2", None, [1, 1, 1], CLASSES).unwrap_err().to_string();
    assert!(small.contains("cnn2") && small.contains("max_pool2d"), "{small}");
}
