//! What every aggregate in the list promises.

use candle_core::{Device, Tensor};
use robin_aggregation::{AGGREGATIONS, Aggregation};
use robin_attacks::Loss;
use robin_core::{Batch, Classifier, ColumnTable, Columns, ExampleId, Seed, host};
use robin_testkit::{Linear, Probe, check_input_gradient};

const SHAPE: [usize; 3] = [1, 3, 4];
const CLASSES: usize = 10;

fn networks(aggregation: Aggregation, arm_outputs: usize) -> Vec<Box<dyn Classifier>> {
    let outputs = aggregation.outputs(CLASSES, arm_outputs).unwrap_or(vec![CLASSES; 3]);
    let network = |(seed, outputs): (usize, usize)| {
        Box::new(Linear::seeded(outputs, SHAPE, Seed::new(seed as u64)).scaled(0.3)) as Box<dyn Classifier>
    };
    outputs.into_iter().enumerate().map(network).collect()
}

fn each(mut check: impl FnMut(Aggregation, &dyn Classifier)) {
    for entry in AGGREGATIONS {
        for arm_outputs in [1, 2] {
            let model = entry.aggregation.build(networks(entry.aggregation, arm_outputs)).unwrap();
            assert_eq!(model.num_classes(), CLASSES, "{}", entry.aggregation);
            check(entry.aggregation, model.as_ref());
        }
    }
}

fn batch(model: &dyn Classifier, n: u32) -> Batch {
    let images = Linear::seeded(2, SHAPE, Seed::new(77)).batch(n as usize, Seed::new(3)).images;
    let labels = model.predict(&images).unwrap();
    Batch::new(images, labels, (0..n).map(ExampleId::first).collect()).unwrap()
}

fn pull_back(
    model: &dyn Classifier,
    images: &Tensor,
    columns: &Columns,
    upstream: &[f32],
) -> (Vec<f32>, Vec<f32>) {
    let pass = model.forward(images, columns).unwrap();
    let upstream = Tensor::from_slice(upstream, pass.scores().tensor().dims(), &Device::Cpu).unwrap();
    let scores = pass.scores().to_vec().unwrap();
    (scores, host::to_vec(&pass.input_gradient(&upstream).unwrap()).unwrap())
}

#[test]
fn names_go_both_ways_and_an_unknown_one_lists_the_valid() {
    for entry in AGGREGATIONS {
        let text = entry.aggregation.to_string();
        assert_eq!(text.parse::<Aggregation>().unwrap(), entry.aggregation);
        assert_eq!(serde_json::to_string(&entry.aggregation).unwrap(), format!("\"{text}\""));
    }
    let message = "boosting".parse::<Aggregation>().unwrap_err().to_string();
    assert!(
        message.contains("\"boosting\"") && message.contains("one-vs-one, hierarchical:animals-objects"),
        "{message}"
    );
}

#[test]
fn gradients_through_every_aggregate_are_true() {
    each(|aggregation, model| {
        let batch = batch(model, 6);
        for loss in [Loss::Ce, Loss::Margin] {
            let objective = loss.against(batch.labels.clone());
            let agreement = check_input_gradient(model, &*objective, &batch.images, Probe::F32).unwrap();
            assert!(agreement.median() <= 3e-3, "{aggregation} {loss}: {agreement:?}");
        }
    });
}

#[test]
fn neither_neighbours_nor_threads_change_a_bit() {
    each(|aggregation, model| {
        let images = batch(model, 5).images;
        let upstream: Vec<f32> = (0..5 * CLASSES).map(|at| 1.0 / (at as f32 + 1.0)).collect();
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| pull_back(model, &images, &Columns::All, &upstream))
        };
        let (scores, gradient) = run(1);
        assert_eq!(run(3), (scores.clone(), gradient.clone()), "{aggregation}");
        let alone = pull_back(
            model,
            &host::select(&images, &[2]).unwrap(),
            &Columns::All,
            &upstream[2 * CLASSES..3 * CLASSES],
        );
        let pixels = SHAPE.iter().product::<usize>();
        assert_eq!(alone.0, scores[2 * CLASSES..3 * CLASSES], "{aggregation}");
        assert_eq!(alone.1, gradient[2 * pixels..3 * pixels], "{aggregation}");
        assert_eq!(
            model.predict(&images).unwrap()[2],
            model.predict(&host::select(&images, &[2]).unwrap()).unwrap()[0]
        );
    });
}

#[test]
fn chosen_columns_are_the_columns_of_all() {
    each(|aggregation, model| {
        let images = batch(model, 4).images;
        let all = model.scores(&images, &Columns::All).unwrap().to_vec().unwrap();
        let indices = vec![3, 0, 9, 9, 1, 2, 5, 7];
        let table = Columns::PerExample(ColumnTable { width: 2, indices: indices.clone() });
        let upstream = [0.5, -1.0, 0.25, 2.0, 1.0, 1.0, -0.5, 0.125];
        let (found, gradient) = pull_back(model, &images, &table, &upstream);
        let cells: Vec<usize> =
            indices.iter().enumerate().map(|(at, &c)| at / 2 * CLASSES + c as usize).collect();
        assert_eq!(found, cells.iter().map(|&cell| all[cell]).collect::<Vec<_>>(), "{aggregation}");
        let mut masked = vec![0.0; 4 * CLASSES];
        cells.iter().zip(upstream).for_each(|(&cell, g)| masked[cell] += g);
        let whole = pull_back(model, &images, &Columns::All, &masked).1;
        robin_testkit::assert_close(&gradient, &whole, 1e-5);
        assert!(model.networks(&table) <= model.networks(&Columns::All), "{aggregation}");
        assert!(model.scores(&images, &Columns::One(1000)).is_err(), "{aggregation}");
    });
}

#[test]
fn networks_that_do_not_fit_are_refused() {
    for entry in AGGREGATIONS {
        assert!(entry.aggregation.build(Vec::new()).is_err(), "{}", entry.aggregation);
        let mut networks = networks(entry.aggregation, 2);
        networks.push(Box::new(Linear::seeded(7, SHAPE, Seed::new(1))));
        assert!(entry.aggregation.build(networks).is_err(), "{}", entry.aggregation);
    }
}
