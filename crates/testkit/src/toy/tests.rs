//! The closed forms against search, and the analytic pass against candle's autograd.

use candle_core::DType;
use robin_core::{ColumnTable, Epsilon};

use super::*;
use crate::assert_close;

const SHAPE: [usize; 3] = [2, 3, 2];

fn model() -> Linear {
    Linear::seeded(4, SHAPE, Seed::new(5))
}

fn budgets() -> [Budget; 2] {
    [Norm::L2, Norm::Linf].map(|norm| Budget { norm, epsilon: Epsilon::new(0.25).unwrap() })
}

fn rows(images: &Tensor) -> Vec<Vec<f32>> {
    host::to_vec(images).unwrap().chunks_exact(12).map(<[f32]>::to_vec).collect()
}

#[test]
fn the_worst_image_attains_the_worst_margin_with_exactly_its_budget() {
    let model = model();
    let batch = model.batch(8, Seed::new(6));
    for budget in budgets() {
        for (image, &label) in rows(&batch.images).iter().zip(&batch.labels) {
            assert!(model.margin(image, label) < 0.0, "clean examples are right");
            let worst = model.worst_image(image, label, budget);
            let expected = [model.worst_margin(image, label, budget), 0.25];
            let found = [model.margin(&worst, label), budget.norm.distance(image, &worst)];
            assert_close(&found, &expected, 1e-5);
        }
    }
}

/// The closed form must not be exceeded by any point of the ball; random points of its surface are tried, and
/// the corners and axes where linear functions have their largest values.
#[test]
fn nothing_in_the_ball_exceeds_the_worst_margin() {
    let model = model();
    let batch = model.batch(4, Seed::new(7));
    let mut stream = Seed::new(8).root_stream();
    for budget in budgets() {
        for (image, &label) in rows(&batch.images).iter().zip(&batch.labels) {
            let worst = model.worst_margin(image, label, budget);
            let mut highest = f64::NEG_INFINITY;
            for _ in 0..2000 {
                let direction: Vec<f64> = image.iter().map(|_| stream.gaussian()).collect();
                let scale = match budget.norm {
                    Norm::L2 => dual_size(Norm::L2, &direction),
                    Norm::Linf => 1.0,
                };
                let step = |d: f64| match budget.norm {
                    Norm::L2 => d / scale,
                    Norm::Linf => d.signum(),
                };
                let moved =
                    image.iter().zip(&direction).map(|(&x, &d)| (f64::from(x) + 0.25 * step(d)) as f32);
                highest = highest.max(model.margin(&moved.collect::<Vec<_>>(), label));
            }
            assert!(highest <= worst + 1e-5, "{budget}: found {highest}, closed form {worst}");
            // Search in 12 dimensions comes near, which it would not if the closed form were too large.
            let clean = model.margin(image, label);
            assert!(
                highest - clean > 0.5 * (worst - clean),
                "{budget}: found {highest}, closed form {worst}"
            );
        }
    }
}

/// The same logits through candle's matrix product and the trait's own autograd pass.
struct Autograd(Linear);

impl Classifier for Autograd {
    fn num_classes(&self) -> usize {
        self.0.num_classes()
    }

    fn scores(&self, images: &Tensor, columns: &Columns) -> Result<Scores> {
        assert_eq!(columns, &Columns::All);
        let k = self.num_classes();
        let weights = Tensor::from_slice(&self.0.weights, (k, self.0.pixels()), &Device::Cpu)?;
        let bias = Tensor::from_slice(&self.0.bias, (1, k), &Device::Cpu)?;
        Scores::new(images.flatten_from(1)?.matmul(&weights.t()?)?.broadcast_add(&bias)?)
    }
}

#[test]
fn the_analytic_pass_is_candles_autograd() {
    let model = model();
    let batch = model.batch(5, Seed::new(9));
    let upstream = Tensor::arange(-3.0_f32, 17.0, &Device::Cpu).unwrap().reshape((5, 4)).unwrap();
    let run = |model: &dyn Classifier| {
        let pass = model.forward(&batch.images, &Columns::All).unwrap();
        let scores = pass.scores().to_vec().unwrap();
        (scores, host::to_vec(&pass.input_gradient(&upstream).unwrap()).unwrap())
    };
    let (scores, gradient) = run(&model);
    let (expected_scores, expected_gradient) = run(&Autograd(model.clone()));
    assert_close(&scores, &expected_scores, 1e-5);
    assert_close(&gradient, &expected_gradient, 1e-5);
}

#[test]
fn chosen_columns_are_columns_of_all_and_their_gradients() {
    let model = model();
    let batch = model.batch(2, Seed::new(10));
    let all = model.scores(&batch.images, &Columns::All).unwrap().to_vec().unwrap();
    let chosen = Columns::PerExample(ColumnTable { width: 2, indices: vec![3, 1, 0, 2] });
    let pass = model.forward(&batch.images, &chosen).unwrap();
    assert_eq!(pass.scores().to_vec().unwrap(), [all[3], all[1], all[4], all[6]]);

    let upstream = Tensor::new(&[[1.0_f32, 0.0], [0.0, -2.0]], &Device::Cpu).unwrap();
    let gradient = rows(&pass.input_gradient(&upstream).unwrap());
    assert_eq!(gradient[0], model.row(3));
    assert_eq!(gradient[1], model.row(2).iter().map(|w| -2.0 * w).collect::<Vec<_>>());

    let one = model.scores(&batch.images, &Columns::One(2)).unwrap();
    assert_eq!(one.to_vec().unwrap(), [all[2], all[6]]);
    assert!(matches!(model.scores(&batch.images, &Columns::One(4)), Err(Error::Column { .. })));
    let short = chosen.select(&[0]);
    assert!(matches!(model.scores(&batch.images, &short), Err(Error::Shape { .. })));
}

#[test]
fn a_cut_graph_is_an_error_and_not_a_zero_gradient() {
    let model = Cut(model());
    let batch = model.0.batch(2, Seed::new(11));
    let pass = model.forward(&batch.images, &Columns::All).unwrap();
    let upstream = Tensor::ones((2, 4), DType::F32, &Device::Cpu).unwrap();
    assert!(matches!(pass.input_gradient(&upstream), Err(Error::GraphCut)));
}
