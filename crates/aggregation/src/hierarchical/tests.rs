//! Routing, scores as log-probabilities, and that an attack on a stage runs that stage alone.

use approx::assert_abs_diff_eq;
use candle_core::{DType, Device, Tensor};
use robin_attacks::{Loss, Pgd, Start};
use robin_core::{Attack, Budget, CancelToken, Columns, Misclassified, Norm, Objective, Seed, Target, host};
use robin_testkit::{Linear, Probe, assert_close, check_input_gradient};

use super::strategies::Stages;
use super::*;

const SHAPE: [usize; 3] = [1, 2, 4];

fn five() -> Split {
    Split::new(vec![vec![0, 3], vec![4, 1, 2]]).unwrap()
}

/// Undecided on grey, so that images near it have decisions of every kind.
fn network(outputs: usize, seed: u64) -> Linear {
    let seeded = Linear::seeded(outputs, SHAPE, Seed::new(seed));
    let rows: Vec<&[f32]> = (0..outputs as u32).map(|class| seeded.class(class).0).collect();
    let bias = rows.iter().map(|row| -0.5 * row.iter().sum::<f32>()).collect();
    Linear::new(rows.concat(), bias, SHAPE)
}

fn model() -> Box<dyn Classifier> {
    let networks = [network(2, 1), network(2, 2), network(3, 3)];
    hierarchical(five(), networks.map(|n| Box::new(n) as Box<dyn Classifier>).into()).unwrap()
}

fn says(logits: &[f32]) -> Box<dyn Classifier> {
    Box::new(Linear::new(vec![0.0; logits.len()], logits.to_vec(), [1, 1, 1]))
}

#[test]
fn the_decision_is_routed_and_the_scores_are_joint_log_probabilities() {
    // The coarse network prefers group 0 by little; its fine network is torn, the other one is sure.
    let networks = vec![says(&[0.1, 0.0]), says(&[0.0, 0.2]), says(&[9.0, 0.0, 0.0])];
    let model = hierarchical(five(), networks).unwrap();
    let image = Tensor::zeros((1, 1, 1, 1), DType::F32, &Device::Cpu).unwrap();
    assert_eq!(model.predict(&image).unwrap(), [3]);
    let scores = model.scores(&image, &Columns::All).unwrap();
    assert_eq!(scores.arg_max().unwrap(), [4], "the soft scores may prefer another class");
    assert!(model.decide(&scores).is_err(), "a route cannot be read off them");
    let values = scores.to_vec().unwrap();
    assert_abs_diff_eq!(values.iter().map(|&s| f64::from(s).exp()).sum::<f64>(), 1.0, epsilon = 1e-6);
    let expected = -(1.0 + (-0.1_f64).exp()).ln() - (1.0 + 0.2_f64.exp()).ln();
    assert_abs_diff_eq!(f64::from(values[0]), expected, epsilon = 1e-6);
    // The stages' own logits.
    let columns = |column| model.scores(&image, &Columns::One(column)).unwrap().to_vec().unwrap()[0];
    assert_eq!([columns(5), columns(6), columns(7 + 3), columns(7 + 4)], [0.1, 0.0, 0.2, 9.0]);
    assert!(model.scores(&image, &Columns::One(12)).is_err());
}

#[test]
fn stage_strategies_are_the_stages_losses_at_the_cost_of_one_network() {
    let model = model();
    let images = network(2, 9).batch(12, Seed::new(4)).images;
    let labels = model.predict(&images).unwrap();
    let ids = (0..12).map(robin_core::ExampleId::first).collect();
    let batch = robin_core::Batch::new(images, labels, ids).unwrap();
    let clean = model.scores(&batch.images, &Columns::All).unwrap();
    for loss in [Loss::Ce, Loss::Margin] {
        for &stages in Stages::ALL {
            let objectives = stages.build(loss, &five()).prepare(&clean, &batch).unwrap();
            assert_eq!(objectives.len(), if stages == Stages::Both { 2 } else { 1 });
            for objective in &objectives {
                assert_eq!(model.networks(&objective.columns()), 1);
                let agreement =
                    check_input_gradient(model.as_ref(), objective.as_ref(), &batch.images, Probe::F32);
                agreement.unwrap().assert_median_within(1e-3);
                let rows = [7, 2];
                let value = |objective: &dyn Objective, images: &Tensor| {
                    objective.evaluate(&model.scores(images, &objective.columns()).unwrap()).unwrap().values
                };
                let whole = value(objective.as_ref(), &batch.images);
                let part = value(&*objective.select(&rows), &host::select(&batch.images, &rows).unwrap());
                assert_close(&part, &rows.map(|row| whole[row]), 1e-6);
            }
        }
        let first = Stages::First.build(loss, &five()).prepare(&clean, &batch).unwrap();
        let coarse = network(2, 1).scores(&batch.images, &Columns::All).unwrap();
        let groups = batch.labels.iter().map(|&label| five().place(label as usize).0 as u32).collect();
        let expected = loss.against(groups).evaluate(&coarse).unwrap().values;
        let scores = model.scores(&batch.images, &first[0].columns()).unwrap();
        assert_eq!(first[0].evaluate(&scores).unwrap().values, expected);
    }
}

#[test]
fn both_stages_break_what_either_breaks() {
    let model = model();
    let images = network(2, 9).batch(40, Seed::new(5)).images;
    let labels = model.predict(&images).unwrap();
    let ids = (0..40).map(robin_core::ExampleId::first).collect();
    let batch = robin_core::Batch::new(images, labels, ids).unwrap();
    let clean = model.scores(&batch.images, &Columns::All).unwrap();
    let budget = Budget { norm: Norm::Linf, epsilon: "0.03".parse().unwrap() };
    let attack = Pgd { budget, steps: 5, step_size: 0.015, restarts: 1, start: Start::UniformInBall };
    let misclassified = |stages: Stages| {
        let target = Target { model: model.as_ref(), criterion: &Misclassified, cancel: &CancelToken::new() };
        let objectives = stages.build(Loss::Margin, &five()).prepare(&clean, &batch).unwrap();
        let found = attack.perturb(&target, &objectives, &batch, Seed::new(2)).unwrap();
        found.worst.verdicts.iter().map(|verdict| verdict.misclassified).collect::<Vec<_>>()
    };
    let [first, second, both] = [Stages::First, Stages::Second, Stages::Both].map(misclassified);
    let either: Vec<bool> = first.iter().zip(&second).map(|(a, b)| a | b).collect();
    assert_eq!(both, either);
    assert!(first != second && both.contains(&false), "{first:?} {second:?}");
}

#[test]
fn splits_hold_every_class_once() {
    for &name in SplitName::ALL {
        assert_eq!(name.to_string().parse::<SplitName>().unwrap(), name);
        assert_eq!(name.split().num_classes(), 10);
    }
    for groups in [vec![vec![0, 1]], vec![vec![0], vec![]], vec![vec![0, 1], vec![1]], vec![vec![0], vec![2]]]
    {
        assert!(matches!(Split::new(groups.clone()), Err(Error::Groups { .. })), "{groups:?}");
    }
    let message = match hierarchical(five(), vec![says(&[0.0; 2]), says(&[0.0; 3]), says(&[0.0; 2])]) {
        Ok(_) => panic!("the fine networks are in the wrong order"),
        Err(error) => error.to_string(),
    };
    assert!(message.contains("[2, 3, 2]") && message.contains("[2, 2, 3]"), "{message}");
}
