//! Known answers, and that only the arms that are needed run.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use candle_core::{DType, Device};
use robin_core::{ColumnTable, Error as CoreError, Seed, host};
use robin_testkit::{Linear, assert_close};

use super::*;

const SHAPE: [usize; 3] = [1, 2, 3];

fn boxed(arms: impl IntoIterator<Item = Linear>) -> Vec<Box<dyn Classifier>> {
    arms.into_iter().map(|arm| Box::new(arm) as Box<dyn Classifier>).collect()
}

/// Four arms of two outputs, and images for them.
fn four() -> (OneVsAll, Tensor) {
    let arms: Vec<Linear> = (0..4).map(|arm| Linear::seeded(2, SHAPE, Seed::new(arm))).collect();
    let images = arms[0].batch(5, Seed::new(9)).images;
    (OneVsAll::new(boxed(arms)).unwrap(), images)
}

fn table(width: usize, indices: &[u32]) -> Columns {
    Columns::PerExample(ColumnTable { width, indices: indices.to_vec() })
}

fn scores(model: &dyn Classifier, images: &Tensor, columns: &Columns) -> Vec<f32> {
    model.scores(images, columns).unwrap().to_vec().unwrap()
}

/// Scores and input gradient of one pass for an upstream gradient.
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
fn a_hand_computed_example() {
    // s_0 = z_1 - z_0 = (x1 + 1) - 2 x0 = x1 - 2 x0 + 1 and s_1 = 4 x0 - 8 x1.
    let arm_0 = Linear::new(vec![2.0, 0.0, 0.0, 1.0], vec![0.0, 1.0], [1, 1, 2]);
    let arm_1 = Linear::new(vec![-4.0, 8.0, 0.0, 0.0], vec![0.0, 0.0], [1, 1, 2]);
    let model = OneVsAll::new(boxed([arm_0, arm_1])).unwrap();
    let images =
        Tensor::new(&[0.5_f32, 0.25, 1.0, 0.0], &Device::Cpu).unwrap().reshape((2, 1, 1, 2)).unwrap();
    let all = model.scores(&images, &Columns::All).unwrap();
    assert_eq!(all.to_vec().unwrap(), [0.25, 0.0, -1.0, 4.0]);
    assert_eq!(model.decide(&all).unwrap(), [0, 1]);
    let (_, gradient) = pull_back(&model, &images, &Columns::All, &[1.0, 0.0, 3.0, -1.0]);
    assert_eq!(gradient, [-2.0, 1.0, -6.0 - 4.0, 3.0 + 8.0]);
    let (scores, gradient) = pull_back(&model, &images, &table(1, &[1, 0]), &[0.5, -1.0]);
    assert_eq!((scores, gradient), (vec![0.0, -1.0], vec![2.0, -4.0, 2.0, -1.0]));
}

#[test]
fn an_arm_with_one_output_is_its_own_score() {
    let one = |weights: [f32; 2]| Linear::new(weights.to_vec(), vec![0.5], [1, 1, 2]);
    let two = |[a, b]: [f32; 2]| Linear::new(vec![0.0, 0.0, a, b], vec![0.0, 0.5], [1, 1, 2]);
    let rows = [[1.0, -2.0], [-0.5, 3.0], [2.0, 2.0]];
    let [one, two] = [boxed(rows.map(one)), boxed(rows.map(two))].map(|arms| OneVsAll::new(arms).unwrap());
    let images = Tensor::new(&[0.1_f32, 0.9], &Device::Cpu).unwrap().reshape((1, 1, 1, 2)).unwrap();
    for columns in [Columns::All, Columns::One(2), table(2, &[1, 0])] {
        let upstream = &[0.5, -1.0, 2.0][..columns.width(3)];
        assert_eq!(
            pull_back(&one, &images, &columns, upstream),
            pull_back(&two, &images, &columns, upstream)
        );
    }
}

#[test]
fn equal_arms_tie_and_add_up() {
    let arm = Linear::seeded(2, SHAPE, Seed::new(3));
    let images = arm.batch(4, Seed::new(4)).images;
    let model = OneVsAll::new(boxed(vec![arm.clone(); 5])).unwrap();
    let (all, gradient) = pull_back(&model, &images, &Columns::All, &[1.0; 20]);
    let (outputs, arm_gradient) = pull_back(&arm, &images, &Columns::All, &[-1.0, 1.0].repeat(4));
    for (row, z) in all.chunks_exact(5).zip(outputs.chunks_exact(2)) {
        assert_eq!(row, [z[1] - z[0]; 5]);
    }
    let five: Vec<f32> = arm_gradient.iter().map(|g| 5.0 * g).collect();
    assert_close(&gradient, &five, 1e-6);
    assert_eq!(model.decide(&model.scores(&images, &Columns::All).unwrap()).unwrap(), [0; 4]);
}

#[test]
fn chosen_columns_are_bit_for_bit_those_of_all() {
    let (model, images) = four();
    let all = scores(&model, &images, &Columns::All);
    let upstream: Vec<f32> = (0..20).map(|at| (at as f32 - 7.0) / 3.0).collect();
    for (width, indices) in [
        (2, vec![3, 1, 0, 2, 1, 0, 2, 3, 0, 3]),
        (1, vec![2, 2, 2, 2, 2]),
        (3, vec![0, 1, 2, 1, 2, 3, 2, 3, 0, 3, 0, 1, 0, 2, 1]),
    ] {
        let cells: Vec<usize> =
            indices.iter().enumerate().map(|(cell, &arm)| cell / width * 4 + arm as usize).collect();
        let mut masked = vec![0.0; 20];
        cells.iter().for_each(|&cell| masked[cell] = upstream[cell]);
        let own: Vec<f32> = cells.iter().map(|&cell| upstream[cell]).collect();
        let columns = table(width, &indices);
        let (found, gradient) = pull_back(&model, &images, &columns, &own);
        assert_eq!(found, cells.iter().map(|&cell| all[cell]).collect::<Vec<_>>());
        assert_eq!(scores(&model, &images, &columns), found);
        assert_eq!(gradient, pull_back(&model, &images, &Columns::All, &masked).1);
    }
    let one = pull_back(&model, &images, &Columns::One(2), &upstream[..5]);
    assert_eq!(one, pull_back(&model, &images, &table(1, &[2; 5]), &upstream[..5]));
}

#[test]
fn an_arm_asked_for_twice_gets_both_gradients() {
    let (model, images) = four();
    let (twice, gradient) = pull_back(&model, &images, &table(2, &[1; 10]), &[0.25, 0.5].repeat(5));
    let (once, single) = pull_back(&model, &images, &Columns::One(1), &[0.75; 5]);
    assert_eq!(twice, once.iter().flat_map(|&s| [s, s]).collect::<Vec<_>>());
    assert_eq!(gradient, single);
}

#[test]
fn neither_threads_nor_neighbours_change_a_bit() {
    let (model, images) = four();
    let upstream: Vec<f32> = (0..20).map(|at| 1.0 / (at as f32 + 1.0)).collect();
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| pull_back(&model, &images, &Columns::All, &upstream))
    };
    let (scores, gradient) = run(1);
    assert_eq!(run(4), (scores.clone(), gradient.clone()));
    let third = host::select(&images, &[2]).unwrap();
    let alone = pull_back(&model, &third, &Columns::All, &upstream[8..12]);
    assert_eq!(alone, (scores[8..12].to_vec(), gradient[12..18].to_vec()));
}

/// Counts the images that it is shown.
struct Counted {
    inner: Linear,
    images: Arc<AtomicUsize>,
}

impl Classifier for Counted {
    fn num_classes(&self) -> usize {
        self.inner.num_classes()
    }

    fn scores(&self, images: &Tensor, columns: &Columns) -> CoreResult<Scores> {
        self.images.fetch_add(images.dims()[0], Ordering::Relaxed);
        self.inner.scores(images, columns)
    }

    fn forward<'a>(&'a self, images: &Tensor, columns: &Columns) -> CoreResult<Box<dyn Pass + 'a>> {
        self.images.fetch_add(images.dims()[0], Ordering::Relaxed);
        self.inner.forward(images, columns)
    }
}

#[test]
fn only_the_arms_that_are_needed_run() {
    let counters: Vec<Arc<AtomicUsize>> = (0..4).map(|_| Arc::default()).collect();
    let arms = counters.iter().map(|images| {
        let inner = Linear::seeded(2, SHAPE, Seed::new(1));
        Box::new(Counted { inner, images: images.clone() }) as Box<dyn Classifier>
    });
    let model = OneVsAll::new(arms.collect()).unwrap();
    let images = Tensor::zeros((5, 1, 2, 3), DType::F32, &Device::Cpu).unwrap();
    for (columns, expected) in [
        (Columns::All, [5, 5, 5, 5]),
        (Columns::One(2), [0, 0, 5, 0]),
        (table(2, &[0, 3, 3, 0, 1, 3, 0, 1, 3, 1]), [3, 3, 0, 4]),
        (table(1, &[1, 1, 1, 1, 1]), [0, 5, 0, 0]),
    ] {
        let taken = || counters.iter().map(|counter| counter.swap(0, Ordering::Relaxed)).collect::<Vec<_>>();
        model.scores(&images, &columns).unwrap();
        assert_eq!(taken(), expected, "{columns:?}");
        model.forward(&images, &columns).unwrap();
        assert_eq!(taken(), expected, "{columns:?}");
        assert_eq!(model.networks(&columns) as usize * 5, expected.iter().sum::<usize>());
    }
}

#[test]
fn what_is_no_aggregate_is_refused() {
    let arm = |outputs| Linear::new(vec![0.0; 6 * outputs], vec![0.0; outputs], SHAPE);
    let refused = |outputs: &[usize]| match OneVsAll::new(boxed(outputs.iter().map(|&o| arm(o)))) {
        Ok(_) => panic!("{outputs:?} is an aggregate"),
        Err(error) => error,
    };
    assert!(matches!(refused(&[]), Error::TooFewArms { arms: 0 }));
    assert!(matches!(refused(&[2]), Error::TooFewArms { arms: 1 }));
    assert!(matches!(refused(&[2, 3]), Error::ArmOutputs { arm: 1, outputs: 3 }));
    assert!(matches!(refused(&[10, 10]), Error::ArmOutputs { arm: 0, outputs: 10 }));
    assert!(matches!(refused(&[2, 2, 1]), Error::MixedOutputs { arm: 2, outputs: 1, others: 2 }));

    let (model, images) = four();
    let error = |columns| model.scores(&images, &columns).unwrap_err();
    assert!(matches!(error(Columns::One(4)), CoreError::Column { column: 4, classes: 4 }));
    assert!(matches!(error(table(1, &[0, 1, 2, 3, 4])), CoreError::Column { column: 4, .. }));
    assert!(matches!(error(table(2, &[0; 8])), CoreError::Shape { .. }));
    assert!(matches!(error(table(2, &[0; 11])), CoreError::Shape { .. }));
    assert!(matches!(error(table(0, &[])), CoreError::Shape { .. }));
    let pass = model.forward(&images, &Columns::One(0)).unwrap();
    let upstream = Tensor::ones((5, 2), DType::F32, &Device::Cpu).unwrap();
    assert!(matches!(pass.input_gradient(&upstream), Err(CoreError::Shape { .. })));
}
