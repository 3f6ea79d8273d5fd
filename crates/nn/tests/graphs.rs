//! Graphs that no model has, on `cpu` against `candle`: an executor runs every graph that can be built, or refuses it by the layer.

#![allow(clippy::print_stdout, reason = "says what is not tested on this machine")]

use candle_core::{DType, Device, Tensor, Var};
use robin_core::{Columns, Pass, Purpose, Scores, Seed, host};
use robin_nn::candle::{Mode, Weights, activations, forward, kinks};
use robin_nn::graph::{Point, Rounding};
use robin_nn::{
    Bias, Convolution, EXECUTORS, Executor, Gradients, Graph, GraphBuilder, Parameters, executor,
};
use robin_testkit::{Probe, gradcheck, output_weights};

/// More than the `cpu` executor trains on at a time.
const IMAGES: usize = 18;
const CLASSES: usize = 3;

/// Of the largest value in a tensor.
const TOLERANCE: f32 = 2e-5;

fn conv(channels: usize, [kernel, stride, padding]: [usize; 3]) -> Convolution {
    Convolution { channels, kernel, stride, padding, bias: Bias::Learned }
}

/// A 3x3 convolution that keeps the size.
fn same(channels: usize) -> Convolution {
    conv(channels, [3, 1, 1])
}

fn finish(graph: GraphBuilder) -> Graph {
    graph.flatten().linear("fc", CLASSES).build().unwrap()
}

fn begin(name: &str, input: [usize; 3]) -> GraphBuilder {
    Graph::builder(name, input)
}

/// What is done to the images themselves.
fn graphs_at_the_images() -> Vec<Graph> {
    let sides = [3, 7, 6];
    let two_readers = |graph: GraphBuilder| {
        let images = graph.here();
        let graph = graph.conv2d("narrow", same(5));
        let narrow = graph.here();
        graph.at(images).conv2d("wide", conv(5, [5, 1, 2])).add(narrow).relu()
    };
    let beside_linear = begin("linear-beside-conv", sides);
    let images = beside_linear.here();
    let beside_linear = beside_linear.conv2d("conv", same(4)).relu().flatten().linear("a", 6);
    let a = beside_linear.here();
    let beside_linear = beside_linear.at(images).flatten().linear("b", 6).add(a).relu();

    let shortcut = begin("shortcut-from-images", sides).normalize("normalize");
    let normalized = shortcut.here();
    let shortcut = shortcut.conv2d("conv", same(3)).batch_norm2d("bn").add(normalized).relu();

    let twice = begin("normalized-twice", sides);
    let images = twice.here();
    let twice = twice.normalize("one").conv2d("a", same(4));
    let a = twice.here();
    let twice = twice.at(images).normalize("two").conv2d("b", same(4)).add(a).relu();
    vec![
        finish(begin("relu-first", sides).normalize("normalize").relu()),
        finish(begin("norm-first", sides).batch_norm2d("bn").relu().conv2d("conv", same(4))),
        finish(begin("pool-first", sides).max_pool2d(2).conv2d("conv", same(4))),
        finish(begin("avg-pool-first", [3, 4, 6]).avg_pool2d(2).conv2d("conv", same(4))),
        finish(begin("linear-first", sides).normalize("normalize")),
        finish(two_readers(begin("two-convs-first", sides).normalize("normalize"))),
        finish(two_readers(begin("two-convs-of-whole-vectors", [16, 7, 6]))),
        beside_linear.linear("fc", CLASSES).build().unwrap(),
        finish(shortcut),
        finish(twice),
        finish(begin("two-normalizations", sides).normalize("one").normalize("two").conv2d("conv", same(4))),
        finish(begin("strided-whole-vectors", [16, 8, 8]).conv2d("conv", conv(5, [4, 2, 1])).relu()),
        finish(begin("one-pixel", [5, 1, 1]).conv2d("conv", conv(4, [1, 1, 0])).batch_norm2d("bn").relu()),
        finish(begin("pooled-conv-first", [3, 8, 8]).conv2d("conv", same(4)).relu().max_pool2d(2)),
    ]
}

/// Layers in an order, or of a size, that no model has.
fn odd_sequences() -> Vec<Graph> {
    let stem = |name: &str, input| begin(name, input).normalize("normalize").conv2d("stem", same(5)).relu();
    let (sides, square) = ([2, 9, 6], [2, 10, 10]);
    vec![
        finish(stem("stride-3", square).conv2d("conv", conv(4, [4, 3, 1])).relu().conv2d("last", same(3))),
        finish(stem("stride-beyond-kernel", square).conv2d("conv", conv(4, [2, 3, 1])).relu()),
        finish(stem("padding-beyond-kernel", square).conv2d("conv", conv(4, [1, 2, 1])).relu()),
        finish(stem("much-padding", sides).conv2d("conv", conv(4, [5, 1, 4])).relu().conv2d("last", same(3))),
        finish(stem("whole-image", [2, 5, 5]).conv2d("conv", conv(4, [5, 1, 0])).relu()),
        finish(stem("avg-pool-conv", [2, 6, 9]).avg_pool2d(3).relu().conv2d("conv", same(4))),
        finish(stem("pool-3", sides).conv2d("conv", same(4)).relu().max_pool2d(3).conv2d("last", same(3))),
        finish(stem("pool-bare", sides).conv2d("conv", same(4)).max_pool2d(2).relu().conv2d("last", same(3))),
        finish(stem("pool-odd", [2, 7, 9]).conv2d("conv", same(4)).relu().max_pool2d(2).relu()),
        finish(stem("pool-twice", sides).conv2d("a", same(4)).relu().max_pool2d(2).max_pool2d(2)),
        finish(stem("pool-lapped", sides).conv2d("a", same(20)).relu().max_pool2d_with(3, 2, 1)),
        finish(
            stem("pool-step-1", sides).max_pool2d_with(3, 1, 1).conv2d("a", same(4)).batch_norm2d("b").relu(),
        ),
        finish(
            begin("imagenet-stem", [3, 18, 18])
                .conv2d("a", conv(5, [7, 2, 3]))
                .batch_norm2d("b")
                .relu()
                .max_pool2d_with(3, 2, 1),
        ),
        finish(stem("pool-gaps", [2, 8, 9]).max_pool2d_with(2, 3, 0).conv2d("a", same(4)).relu()),
        finish(stem("pool-half", [2, 6, 6]).conv2d("a", same(4)).relu().max_pool2d_with(2, 2, 1)),
        finish(stem("pool-to-one", [2, 2, 2]).conv2d("a", same(4)).relu().max_pool2d(2)),
        finish(
            stem("global-max-pool", square).conv2d("conv", same(4)).batch_norm2d("bn").global_max_pool2d(),
        ),
        finish(stem("two-norms", sides).conv2d("a", same(4)).batch_norm2d("b").batch_norm2d("c").relu()),
        finish(stem("normalize-late", sides).normalize("late").relu().conv2d("conv", same(4)).relu().relu()),
        finish(stem("wide", [2, 6, 6]).conv2d("a", same(20)).batch_norm2d("b").relu().max_pool2d(2)),
        finish(
            begin("pool-of-pool", [2, 12, 12])
                .conv2d("a", same(20))
                .relu()
                .conv2d("b", same(4))
                .relu()
                .max_pool2d(2)
                .max_pool2d(3),
        ),
        stem("relu-flat", sides).max_pool2d(3).flatten().relu().linear("fc", CLASSES).build().unwrap(),
        stem("linears", sides).flatten().linear("a", 20).relu().linear("fc", CLASSES).build().unwrap(),
    ]
}

/// Values that several layers read.
fn branches() -> Vec<Graph> {
    let stem = |name: &str| begin(name, [2, 6, 8]).normalize("normalize").conv2d("stem", same(4)).relu();
    let doubled = stem("doubled");
    let x = doubled.here();
    let doubled = doubled.add(x);

    let doubled_norm = begin("doubled-norm", [2, 6, 8]).conv2d("stem", same(4)).batch_norm2d("bn");
    let x = doubled_norm.here();
    let doubled_norm = doubled_norm.add(x).relu();

    let images_doubled = begin("images-doubled", [2, 6, 8]);
    let x = images_doubled.here();
    let images_doubled = images_doubled.add(x).conv2d("conv", same(4)).relu();

    // Read by a rectifier, a pooling, and a sum.
    let three = begin("three-readers", [2, 6, 8]).conv2d("stem", same(4));
    let x = three.here();
    let three = three.relu().conv2d("a", same(4)).relu();
    let a = three.here();
    let three = three.at(x).add(a).relu().max_pool2d(2);
    let b = three.here();
    let three = three.at(x).max_pool2d(2).add(b).conv2d("last", same(3)).relu();

    // The pooling may not take the rectifier along, which another layer reads.
    let kept = stem("rectifier-read-twice").conv2d("conv", same(4)).relu();
    let x = kept.here();
    let kept = kept.max_pool2d(2);
    let pooled = kept.here();
    let kept = kept.at(x).conv2d("down", conv(4, [1, 1, 0])).max_pool2d(2).add(pooled);

    // Sums of sums, whose gradients share a buffer for a while.
    let chain = stem("sums-of-sums");
    let a = chain.here();
    let chain = chain.conv2d("b", same(4)).add(a);
    let b = chain.here();
    let chain = chain.conv2d("c", same(4)).batch_norm2d("bn").add(a);
    let c = chain.here();
    let chain = chain.add(b).relu().add(c).add(a).relu();

    // A flattened image and a linear layer's output are equally long, and lie otherwise.
    let flat = stem("flat-plus-linear").max_pool2d(2).flatten();
    let x = flat.here();
    let flat = flat.linear("a", 48).relu().add(x).relu();

    // The same for two images of other shapes.
    let shapes = stem("flat-plus-flat").conv2d("a", conv(2, [1, 1, 0])).flatten();
    let x = shapes.here();
    let shapes = shapes.at(Point::IMAGES).flatten().add(x).linear("b", 4);

    // Before activation, with a projection that reads what the first norm made.
    let preact = stem("pre-activation").batch_norm2d("bn1").relu();
    let x = preact.here();
    let preact = preact.at(x).conv2d("shortcut", conv(6, [1, 1, 0]));
    let shortcut = preact.here();
    let preact = preact.at(x).conv2d("conv1", same(6)).batch_norm2d("bn2").relu();
    let preact = preact.conv2d("conv2", same(6)).add(shortcut).batch_norm2d("bn3").relu();
    vec![
        finish(doubled),
        finish(doubled_norm),
        finish(images_doubled),
        finish(three),
        finish(kept),
        finish(chain),
        flat.linear("fc", CLASSES).build().unwrap(),
        shapes.linear("fc", CLASSES).build().unwrap(),
        finish(preact),
    ]
}

/// Layers drawn at random, each reading any point before; what nobody reads goes into the sum that ends it.
fn random(draw: u64) -> Graph {
    let mut stream = Seed::new(8).derive(Purpose::Test, draw).root_stream();
    let mut below = |count: usize| (stream.uniform() * count as f32) as usize % count;
    let mut graph = begin(&format!("random-{draw}"), [2, 6, 6]);
    // Each with its channels and side: images stay square.
    let mut points = vec![(Point::IMAGES, [2_usize, 6_usize])];
    let mut unread = Vec::new();
    for layer in 0..9 {
        let (from, [channels, side]) = points[below(points.len())];
        let alike: Vec<Point> =
            points.iter().filter(|(_, shape)| *shape == [channels, side]).map(|(point, _)| *point).collect();
        unread.retain(|point| *point != from);
        graph = graph.at(from);
        let shape;
        (graph, shape) = match below(7) {
            0 | 1 => (graph.conv2d(&format!("conv{layer}"), same(4)), [4, side]),
            2 if side > 2 => {
                (graph.conv2d(&format!("conv{layer}"), conv(5, [3, 2, 1])), [5, side.div_ceil(2)])
            }
            3 if side > 2 => (graph.max_pool2d(2), [channels, side / 2]),
            4 => (graph.batch_norm2d(&format!("bn{layer}")), [channels, side]),
            5 => {
                let other = alike[below(alike.len())];
                unread.retain(|point| *point != other);
                (graph.add(other), [channels, side])
            }
            _ => (graph.relu(), [channels, side]),
        };
        points.push((graph.here(), shape));
        unread.push(graph.here());
    }
    let mut sum: Option<Point> = None;
    for (number, point) in unread.into_iter().enumerate() {
        graph = graph.at(point).flatten().linear(&format!("end{number}"), 4);
        graph = sum.into_iter().fold(graph, GraphBuilder::add);
        sum = Some(graph.here());
    }
    graph.relu().linear("fc", CLASSES).build().unwrap()
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

/// `cpu`, and in a build with the feature `cuda` its executor with this processor as the device: every kernel, and all
/// that is asked of a GPU, but cuBLAS and cuDNN.
fn agrees_with_the_reference(graph: &Graph) {
    let reference = all(executor("candle").unwrap(), graph);
    agree(graph, &reference, &all(executor("cpu").unwrap(), graph));
    #[cfg(feature = "cuda")]
    match robin_kernels::cuda::host::Host::new().unwrap() {
        Some(host) => {
            let cuda = robin_nn::cuda::Cuda::on(host, robin_kernels::cuda::Precision::F32);
            agree(graph, &reference, &all(&cuda, graph));
        }
        None => println!("not tested: no C++ compiler (CXX, c++, g++, clang++) on this machine"),
    }
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

#[test]
fn whatever_is_done_to_the_images_agrees_with_the_reference() {
    graphs_at_the_images().iter().for_each(agrees_with_the_reference);
}

#[test]
fn odd_sequences_agree_with_the_reference() {
    odd_sequences().iter().for_each(agrees_with_the_reference);
}

#[test]
fn branches_agree_with_the_reference() {
    branches().iter().for_each(agrees_with_the_reference);
}

#[test]
fn random_graphs_agree_with_the_reference() {
    (0..30).map(random).for_each(|graph| agrees_with_the_reference(&graph));
}

/// Rounds everywhere: at the images, between layers, before a sum and a rectifier.
fn rounded(rounding: Rounding) -> Graph {
    let graph = begin("rounded", [3, 6, 5]).normalize("levels").round(rounding).conv2d("conv", same(5));
    let graph = graph.batch_norm2d("bn").relu();
    let features = graph.here();
    finish(graph.round(rounding).add(features).relu().max_pool2d(2).round(rounding))
}

/// A value beside a half may be rounded either way, so the numbers are such that none is.
#[test]
fn rounding_is_the_same_on_both_executors_and_has_no_gradient() {
    for rounding in [Rounding::Nearest, Rounding::Down, Rounding::Up] {
        let graph = rounded(rounding);
        let mut parameters = Parameters::initialise(&graph, Seed::new(4));
        for tensor in parameters.buffers.iter_mut().filter(|tensor| tensor.name == "levels.std") {
            tensor.values.fill(1.0 / 16.0);
        }
        // Halves of a level too, where ties are; the convolution then makes multiples of 2^-6.
        for tensor in parameters.trained.iter_mut().filter(|tensor| tensor.name.starts_with("conv")) {
            tensor.values.iter_mut().for_each(|value| *value = (*value * 64.0).round() / 64.0);
        }
        let (c, h, w) = (3, 6, 5);
        let images: Vec<f32> = (0..IMAGES * c * h * w).map(|at| (at * 7 % 33) as f32 / 32.0).collect();
        let images = Tensor::from_vec(images, (IMAGES, c, h, w), &Device::Cpu).unwrap();
        let mut found = Vec::new();
        for name in ["candle", "cpu"] {
            let classifier = executor(name).unwrap().classifier(&graph, &parameters).unwrap();
            let pass = classifier.forward(&images, &Columns::All).unwrap();
            let scores = pass.scores().tensor().clone();
            let gradient = pass.input_gradient(&scores.ones_like().unwrap()).unwrap();
            let scores: Vec<f32> = scores.flatten_all().unwrap().to_vec1().unwrap();
            let gradient: Vec<f32> = gradient.flatten_all().unwrap().to_vec1().unwrap();
            assert!(gradient.iter().all(|&value| value == 0.0), "{name}");
            found.push(scores);
        }
        let largest = found[0].iter().fold(0.0f32, |largest, score| largest.max(score.abs()));
        for (one, other) in found[0].iter().zip(&found[1]) {
            assert!((one - other).abs() <= TOLERANCE * largest, "{rounding:?}: {one} and {other}");
        }
    }
    let ties = [-1.5, -0.5, 0.5, 1.5, 2.5, 0.499_999_97].map(|value| Rounding::Nearest.apply(value));
    assert_eq!(ties, [-2.0, 0.0, 0.0, 2.0, 2.0, 0.0]);
}

/// Graphs with layers that `candle` alone runs, and these layers.
fn of_candle_alone() -> Vec<(Graph, &'static str)> {
    vec![
        (finish(begin("silu", [2, 5, 4]).conv2d("conv", same(4)).silu()), "silu"),
        (finish(begin("groups", [2, 5, 4]).conv2d("conv", same(6)).group_norm("norm", 3).silu()), "norm"),
    ]
}

/// Wherever a layer is not run it is said which; where it is, both gradients are those of finite differences.
#[test]
fn a_layer_of_one_executor_has_true_gradients_there_and_is_refused_by_name_elsewhere() {
    for (graph, layer) in of_candle_alone() {
        let parameters = Parameters::initialise(&graph, Seed::new(3));
        for executor in EXECUTORS {
            let found = executor.classifier(&graph, &parameters).map(drop);
            let trained = executor.network(&graph, parameters.clone()).map(drop);
            match executor.name() {
                "candle" => assert!(found.is_ok() && trained.is_ok()),
                name => {
                    let message = found.unwrap_err().to_string();
                    assert!(message.contains(name) && message.contains(layer), "{message}");
                    assert_eq!(trained.unwrap_err().to_string(), message);
                }
            }
        }
        let [c, h, w] = graph.input_shape();
        let count = 2 * c * h * w;
        let images: Vec<f64> = (0..count).map(|at| (at as f64 * 0.37).sin().abs()).collect();
        let images =
            Var::from_tensor(&Tensor::from_vec(images, (2, c, h, w), &Device::Cpu).unwrap()).unwrap();
        let (weights, variables) = Weights::tracked(&parameters, DType::F64, &Device::Cpu).unwrap();
        let loss = |weights: &Weights, images: &Tensor| {
            let outputs = forward(&graph, weights, images, Mode::Evaluation).unwrap();
            let factors =
                output_weights(outputs.elem_count(), Seed::new(5)).into_iter().map(f64::from).collect();
            (&outputs * Tensor::from_vec::<_, f64>(factors, outputs.dims(), &Device::Cpu).unwrap())
                .unwrap()
                .sum_all()
                .unwrap()
        };
        let gradients = loss(&weights, images.as_tensor()).backward().unwrap();
        let flat = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1::<f64>().unwrap();
        let number = |loss: &Tensor| loss.to_scalar::<f64>().unwrap();

        let claimed = flat(gradients.get(&images).unwrap());
        let agreement = gradcheck(&flat(images.as_tensor()), &claimed, Probe::F64, |moved| {
            let moved = Tensor::from_slice(moved, (2, c, h, w), &Device::Cpu).unwrap();
            number(&loss(&weights, &moved))
        });
        agreement.assert_all_within(1e-6);

        let claimed: Vec<f64> = variables.iter().flat_map(|v| flat(gradients.get(v).unwrap())).collect();
        let at: Vec<f64> = variables.iter().flat_map(|variable| flat(variable.as_tensor())).collect();
        let agreement = gradcheck(&at, &claimed, Probe::F64, |moved| {
            number(&loss(&Weights::wide(&parameters, moved).unwrap(), images.as_tensor()))
        });
        agreement.assert_all_within(1e-6);
    }
}
