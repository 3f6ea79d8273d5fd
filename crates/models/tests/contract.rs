//! Every listed model on every listed executor: true gradients, one answer, and no sight of companions.

mod common;

use candle_core::{DType, Device, Tensor, Var};
use common::{
    CLASSES, draw_images, has_batch_norm, images, input_of, labels, median, network, relative_errors,
    shifted_network, step, train_step,
};
use robin_attacks::objectives::CrossEntropy;
use robin_core::{ColumnTable, Columns, Scores, Seed, host};
use robin_models::{Entry, MODELS, build};
use robin_nn::candle::{self as reference, Mode, Weights, kinks};
use robin_nn::graph::Initial;
use robin_nn::{EXECUTORS, Executor, Graph, Parameters, executor};
use robin_testkit::{Probe, assert_close, check_input_gradient, gradcheck};

/// Deviations that deep networks' batch norms are shifted by. They have so many kinks that rounding would bring every
/// few images across one, and their gradients are then those of another linear piece.
const SHIFT: f32 = 4.0;

/// As small as the architecture allows without being another one: every law is about structure.
fn tiny(entry: &Entry) -> (Graph, Parameters) {
    match entry.name {
        "cnn2" | "cnn2-small" => network(entry, 4, input_of(entry)),
        // With fewer units some image closes all of them, and a gradient of zero has no relative error.
        "mlp" => network(entry, 16, input_of(entry)),
        "myrtle" => network(entry, 2, input_of(entry)),
        "resnet50" => shifted_network(entry, 1, input_of(entry), SHIFT),
        // Ten times as wide as its width, but halved twice only.
        "wide-resnet-28-10" => shifted_network(entry, 1, [3, 16, 16], SHIFT),
        _ => shifted_network(entry, 2_usize.next_multiple_of(entry.width_step), input_of(entry), SHIFT),
    }
}

/// `of_few` for networks of a few layers, `of_many` for deep ones, whose every pass takes the reference long.
fn by_depth<T>(graph: &Graph, of_few: T, of_many: T) -> T {
    if graph.nodes().len() < 30 { of_few } else { of_many }
}

/// Gradients of the summed cross-entropy on all weights, one after the other.
fn weight_gradients(executor: &dyn Executor, graph: &Graph, parameters: &Parameters, n: usize) -> Vec<f32> {
    train_step(executor, graph, parameters, &[(&images(graph, n), labels(n))]).0
}

fn for_each(mut check: impl FnMut(&Graph, &Parameters, &'static dyn Executor)) {
    for entry in MODELS {
        let (graph, parameters) = tiny(entry);
        for executor in EXECUTORS {
            check(&graph, &parameters, *executor);
        }
    }
}

/// For probing deep networks in f64: at larger steps some of their many kinks lie between two probes.
const FINE: Probe = Probe { steps: &[1e-7, 1e-8], ..Probe::F64 };

/// Against differences of the executor's own scores; in f32 that works for networks of a few layers only.
#[test]
fn input_gradients_are_true_on_every_executor() {
    for_each(|graph, parameters, executor| {
        if by_depth(graph, true, false) {
            let model = executor.classifier(graph, parameters).unwrap();
            let objective = CrossEntropy::new(labels(2));
            let agreement = check_input_gradient(&*model, &objective, &images(graph, 2), Probe::F32).unwrap();
            agreement.assert_median_within(3e-2);
        }
    });
}

/// Against differences of the reference's scores in f64, where there is next to no rounding: its own gradient in
/// f64, and that of every executor in f32.
#[test]
fn input_gradients_are_those_of_the_reference_in_f64() {
    for entry in MODELS {
        let (graph, parameters) = tiny(entry);
        let weights = Weights::constant(&parameters, DType::F64).unwrap();
        let upstream = robin_testkit::output_weights(CLASSES, Seed::new(1));
        let upstream = Tensor::from_vec(upstream, (1, CLASSES), &Device::Cpu).unwrap();
        let wide_upstream = upstream.to_dtype(DType::F64).unwrap();
        let value = |image: &Tensor| {
            let outputs = reference::forward(&graph, &weights, image, Mode::Evaluation).unwrap();
            (outputs * &wide_upstream).unwrap().sum_all().unwrap()
        };
        let image = images(&graph, 1);
        let wide_image = Var::from_tensor(&image.to_dtype(DType::F64).unwrap()).unwrap();
        let values = |t: &Tensor| -> Vec<f64> { t.flatten_all().unwrap().to_vec1().unwrap() };
        let point = values(&wide_image);
        let differences = |gradient: &[f64]| {
            gradcheck(&point, gradient, FINE, |x| {
                let image = Tensor::from_slice(x, image.dims(), &Device::Cpu).unwrap();
                value(&image).to_scalar::<f64>().unwrap()
            })
        };
        let gradients = value(wide_image.as_tensor()).backward().unwrap();
        differences(&values(gradients.get(&wide_image).unwrap())).assert_median_within(1e-5);
        for executor in EXECUTORS {
            let model = executor.classifier(&graph, &parameters).unwrap();
            let gradient = model.forward(&image, &Columns::All).unwrap().input_gradient(&upstream).unwrap();
            let gradient = values(&gradient.to_dtype(DType::F64).unwrap());
            differences(&gradient).assert_median_within(1e-4);
        }
    }
}

/// With the batch's own statistics: the reference's gradients in f64 against differences of its loss, and those
/// of every executor against them.
#[test]
fn weight_gradients_are_true_on_every_executor() {
    for entry in MODELS {
        let (graph, parameters) = tiny(entry);
        let batch = far_from_kinks(&graph, &parameters);
        let wide_images = batch.to_dtype(DType::F64).unwrap();
        let rows = |weights: &Weights| -> Tensor {
            reference::forward(&graph, weights, &wide_images, Mode::Training).unwrap()
        };
        let point: Vec<f64> =
            parameters.trained.iter().flat_map(|t| &t.values).map(|&v| f64::from(v)).collect();
        let loss = |values: &[f64]| -> f64 {
            let outputs: Vec<Vec<f64>> =
                rows(&Weights::wide(&parameters, values).unwrap()).to_vec2().unwrap();
            let cross_entropy = |(row, label): (&Vec<f64>, u32)| {
                row.iter().map(|z| z.exp()).sum::<f64>().ln() - row[label as usize]
            };
            outputs.iter().zip(labels(2)).map(cross_entropy).sum()
        };
        let (weights, variables) = Weights::tracked(&parameters, DType::F64, &Device::Cpu).unwrap();
        let outputs = rows(&weights);
        let upstream = cross_entropy_gradient(&outputs, &labels(2));
        let gradients = (outputs * upstream).unwrap().sum_all().unwrap().backward().unwrap();
        let of = |variable| -> Vec<f64> {
            gradients.get(variable).unwrap().flatten_all().unwrap().to_vec1().unwrap()
        };
        let expected: Vec<f64> = variables.iter().flat_map(|variable| of(variable)).collect();
        gradcheck(&point, &expected, FINE, loss).assert_median_within(1e-5);
        for executor in EXECUTORS {
            let (found, _) = train_step(*executor, &graph, &parameters, &[(&batch, labels(2))]);
            // A training step through deep batch norms subtracts what is nearly equal, many times over.
            assert_close(&found, &expected, if has_batch_norm(&graph) { 5e-4 } else { 1e-5 });
        }
    }
}

/// Of several pairs of images the one whose training step rounding is least likely to bring across a kink.
fn far_from_kinks(graph: &Graph, parameters: &Parameters) -> Tensor {
    let weights = Weights::constant(parameters, DType::F64).unwrap();
    let distance = |batch: &Tensor| {
        let wide = batch.to_dtype(DType::F64).unwrap();
        let pass = reference::activations(graph, &weights, &wide, Mode::Training).unwrap();
        kinks::distances(graph, &pass).unwrap().into_iter().fold(f64::INFINITY, f64::min)
    };
    let batches = (0..8).map(|draw| draw_images(graph, 2, draw));
    batches.max_by(|a, b| distance(a).total_cmp(&distance(b))).unwrap()
}

/// Softmax minus the indicator of the label, in the outputs' type.
fn cross_entropy_gradient(outputs: &Tensor, labels: &[u32]) -> Tensor {
    let powers = outputs.detach().exp().unwrap();
    let softmax = powers.broadcast_div(&powers.sum_keepdim(1).unwrap()).unwrap();
    let one_hot: Vec<f64> = labels
        .iter()
        .flat_map(|&label| (0..CLASSES as u32).map(move |class| f64::from(u8::from(class == label))))
        .collect();
    (softmax - Tensor::from_vec(one_hot, outputs.dims(), &Device::Cpu).unwrap()).unwrap()
}

/// Deep networks have so many kinks that rounding brings some image across one. Its gradient then differs by one
/// unit of many, and so does the sum over a batch; a gradient that lacks an image or a block differs by more.
#[test]
fn cpu_agrees_with_the_reference_whatever_the_batch_size() {
    for entry in MODELS {
        let (graph, parameters) = tiny(entry);
        let [judge, cpu] = ["candle", "cpu"].map(|name| executor(name).unwrap());
        for &n in by_depth(&graph, &[1, 3, 16, 17, 33][..], &[1, 17]) {
            let batch = (&images(&graph, n), labels(n));
            let [expected, found] = [judge, cpu]
                .map(|e| step(&*e.classifier(&graph, &parameters).unwrap(), batch.0, batch.1.clone()));
            assert_close(&found.0, &expected.0, by_depth(&graph, 1e-5, 1e-4));
            let errors = relative_errors(&found.1, &expected.1, n);
            assert!(median(&errors) <= 2e-5, "{} {n}: {errors:?}", graph.name());
            let limit = by_depth(&graph, 2e-5, 0.1);
            assert!(errors.iter().all(|error| *error <= limit), "{} {n}: {errors:?}", graph.name());

            let [expected, found] =
                [judge, cpu].map(|e| train_step(e, &graph, &parameters, std::slice::from_ref(&batch)));
            assert_close(&found.0, &expected.0, by_depth(&graph, 1e-5, 1e-2));
            for (found, expected) in found.1.buffers.iter().zip(&expected.1.buffers) {
                assert_close(&found.values, &expected.values, by_depth(&graph, 1e-5, 1e-4));
            }
        }
    }
}

#[test]
fn an_image_does_not_see_its_companions_nor_the_threads() {
    for_each(|graph, parameters, executor| {
        let model = executor.classifier(graph, parameters).unwrap();
        let n = by_depth(graph, 37, 18);
        let all = images(graph, n);
        let (scores, gradient) = step(&*model, &all, labels(n));
        let rows: Vec<usize> = (0..n).rev().step_by(by_depth(graph, 3, 4)).collect();
        let some = host::select(&all, &rows).unwrap();
        let threads = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
        let chosen_labels = rows.iter().map(|&row| labels(n)[row]).collect();
        let (some_scores, some_gradient) = threads.install(|| step(&*model, &some, chosen_labels));
        let pick = |values: &[f32], length: usize| -> Vec<f32> {
            rows.iter().flat_map(|&row| values[row * length..(row + 1) * length].to_vec()).collect()
        };
        let pixels = graph.input_shape().iter().product();
        assert_eq!(some_scores, pick(&scores, CLASSES), "{} {}", graph.name(), executor.name());
        assert_eq!(some_gradient, pick(&gradient, pixels), "{} {}", graph.name(), executor.name());
    });
}

#[test]
fn training_steps_do_not_depend_on_threads() {
    for_each(|graph, parameters, executor| {
        // The reference has no threads of its own, and takes long.
        let n = if executor.name() == "candle" { 2 } else { 40 };
        let with = |count| {
            let threads = rayon::ThreadPoolBuilder::new().num_threads(count).build().unwrap();
            let batch = (&images(graph, n), labels(n));
            threads.install(|| train_step(executor, graph, parameters, &[batch]))
        };
        assert!(with(1) == with(3), "{} {}", graph.name(), executor.name());
    });
}

/// Each batch has its own statistics; the running ones move once for each, in order.
#[test]
fn several_batches_add_their_gradients() {
    for_each(|graph, parameters, executor| {
        let (all, rows) = (images(graph, 5), [[0, 1, 2].as_slice(), &[3, 4]]);
        let [first, second] = rows.map(|rows| host::select(&all, rows).unwrap());
        let [first, second] = [(&first, labels(5)[..3].to_vec()), (&second, labels(5)[3..].to_vec())];
        let together = train_step(executor, graph, parameters, &[first.clone(), second.clone()]);
        let after_first = train_step(executor, graph, parameters, &[first]);
        let after_second = train_step(executor, graph, &after_first.1, &[second]);
        assert!(together.1 == after_second.1, "{} {}", graph.name(), executor.name());
        let sum: Vec<f32> = after_first.0.iter().zip(&after_second.0).map(|(a, b)| a + b).collect();
        assert_close(&together.0, &sum, 1e-5);
        if !has_batch_norm(graph) {
            assert_close(&together.0, &weight_gradients(executor, graph, parameters, 5), 1e-5);
        }
    });
}

#[test]
fn a_frozen_network_has_the_running_statistics_of_its_moment() {
    for_each(|graph, parameters, executor| {
        let x = images(graph, 3);
        let scores_of = |parameters: &Parameters| {
            let model = executor.classifier(graph, parameters).unwrap();
            model.scores(&x, &Columns::All).unwrap().to_vec().unwrap()
        };
        let mut network = executor.network(graph, parameters.clone()).unwrap();
        let before = network.freeze().unwrap();
        let mut loss = |scores: &[Scores]| Ok(vec![Tensor::ones_like(scores[0].tensor())?]);
        network.train_step(&[&x], &mut loss).unwrap();
        let after = network.freeze().unwrap();
        let [before, after] = [before, after].map(|m| m.scores(&x, &Columns::All).unwrap().to_vec().unwrap());
        assert_eq!(before, scores_of(parameters), "{} {}", graph.name(), executor.name());
        assert_eq!(after, scores_of(network.parameters()), "{} {}", graph.name(), executor.name());
        assert_eq!(before != after, has_batch_norm(graph), "{} {}", graph.name(), executor.name());
    });
}

/// At 8x8 the last stage has one value per channel and image.
#[test]
fn a_batch_without_a_variance_is_refused_and_changes_nothing() {
    let graph = build("resnet18", Some(2), [3, 8, 8], CLASSES).unwrap();
    let parameters = Parameters::initialise(&graph, Seed::new(1));
    for executor in EXECUTORS {
        let mut network = executor.network(&graph, parameters.clone()).unwrap();
        let mut loss = |scores: &[Scores]| Ok(vec![Tensor::ones_like(scores[0].tensor())?]);
        let message = network.train_step(&[&images(&graph, 1)], &mut loss).unwrap_err().to_string();
        assert!(message.contains("layer4.0.bn1") && message.contains("less than two values"), "{message}");
        assert!(network.parameters() == &parameters, "{}", executor.name());
        network.train_step(&[&images(&graph, 2)], &mut loss).unwrap();
    }
}

/// By `kuangliu/pytorch-cifar`, Rice et al. 2020, and Zagoruyko and Komodakis 2016 (36.5 million).
#[test]
fn the_networks_have_their_published_sizes() {
    let published = [
        ("cnn2", 3_274_634),
        ("resnet18", 11_173_962),
        ("resnet50", 23_520_842),
        ("preact-resnet18", 11_172_170),
        ("wide-resnet-28-10", 36_479_194),
    ];
    for (name, size) in published {
        let graph = build(name, None, input_of(robin_models::find(name).unwrap()), CLASSES).unwrap();
        let trained = graph.tensors().into_iter().filter(|t| !matches!(t.initial, Initial::Buffer(_)));
        assert_eq!(trained.map(|t| t.shape.iter().product::<usize>()).sum::<usize>(), size, "{name}");
    }
}

#[test]
fn every_model_takes_images_of_28_and_32_pixels() {
    for entry in MODELS {
        for side in [28, 32] {
            build(entry.name, None, [3, side, side], CLASSES).unwrap();
        }
    }
}

#[test]
fn chosen_columns_are_those_of_all() {
    for_each(|graph, parameters, executor| {
        let model = executor.classifier(graph, parameters).unwrap();
        let x = images(graph, 3);
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
        let wrong = Tensor::zeros((2, 3, 17, 17), DType::F32, &Device::Cpu).unwrap();
        let error = model.scores(&wrong, &Columns::All).unwrap_err();
        let [c, h, w] = graph.input_shape();
        let expected = format!("[n, {c}, {h}, {w}]");
        let message = std::error::Error::source(&error).unwrap().to_string();
        assert!(message.contains("[2, 3, 17, 17]") && message.contains(&expected), "{message}");
    });
}

#[test]
fn parameters_of_another_network_are_refused() {
    for_each(|graph, _, executor| {
        let other = build(graph.name(), Some(8), graph.input_shape(), CLASSES).unwrap();
        let parameters = Parameters::initialise(&other, Seed::new(1));
        assert!(executor.classifier(graph, &parameters).is_err());
        assert!(executor.network(graph, parameters).is_err());
    });
}

#[test]
fn unknown_names_and_widths_list_what_is_allowed() {
    let message = |name, width| build(name, width, [1, 28, 28], CLASSES).unwrap_err().to_string();
    assert!(message("cnn3", None).contains("cnn2, cnn2-small"));
    assert!(message("cnn2-small", Some(6)).contains("width 6 is not a positive multiple of 4"));
    assert!(message("cnn2", Some(0)).contains("width 0"));
    let small = build("cnn2", None, [1, 1, 1], CLASSES).unwrap_err().to_string();
    assert!(small.contains("cnn2") && small.contains("max_pool2d"), "{small}");
}
