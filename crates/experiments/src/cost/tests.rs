use super::*;
use crate::cell::amount::steps;
use crate::plan::Request;
use crate::{Profile, Spec};
use approx::assert_abs_diff_eq;

fn plan() -> Plan {
    let request = Request {
        profile: Profile::Smoke,
        rows: Some("mnist/cnn2/l2".to_owned()),
        beyond: false,
        seeds: None,
        reading: None,
        attack_images: Default::default(),
        device: "cpu".parse().unwrap(),
        data_dir: None,
    };
    Plan::new(&[Spec::named("table-1").unwrap()], &request).unwrap()
}

fn amount_of(plan: &Plan, label: &str) -> Amount {
    let cell = plan.cells.iter().find(|cell| cell.label == label).unwrap();
    amount(cell)
}

#[test]
fn a_network_is_counted_step_by_step() {
    let found = amount_of(&plan(), "mnist/cnn2/l2 multiclass seed 0");
    // 2,000 images are 15 batches of 128 an epoch, 20 times.
    assert_eq!((found.training, found.freeze), (15.0 * 128.0 * 20.0, 15.0 * 20.0));
    // The share of attacked examples goes along a cosine from 0 to 1, both ends symmetrical but for the last
    // epoch: 10.5 whole epochs of 10 steps. Then 1,000 images of the training set, 10 steps and clean.
    let expected = 15.0 * 128.0 * 10.5 * 10.0 + 1000.0 * 10.5;
    assert_abs_diff_eq!(found.attack / expected, 1.0, epsilon = 0.01);
}

#[test]
fn a_strategy_costs_the_arms_that_it_needs() {
    let plan = plan();
    let of =
        |strategy: &str| amount_of(&plan, &format!("mnist/cnn2/l2 robin pgd10 seed 0 {strategy}")).attack;
    let clean = amount_of(&plan, "mnist/cnn2/l2 robin clean seed 0").attack;
    assert_eq!(clean, 1000.0 * 0.5 * 10.0);
    assert_eq!(of("softmax") - of("top2"), 1000.0 * 8.0 * 10.0);
    assert_eq!(of("softmax"), of("best-arm"));
}

#[test]
fn an_attack_is_counted_with_all_its_rounds() {
    let attack = |name: &str, norm| Spec::named("table-1").unwrap().attacks[name].of(norm).unwrap();
    assert_eq!(steps(&attack("pgd20", robin_core::Norm::L2)), 20.0);
    assert_eq!(steps(&attack("cw", robin_core::Norm::L2)), 9.0 * 1000.0);
    // From 1e-5 by doubling to 20.
    assert_eq!(steps(&attack("cw", robin_core::Norm::Linf)), 21.0 * 1000.0);
}

#[test]
fn a_network_weighs_what_its_layers_multiply() {
    let graph = robin_models::build("cnn2-small", Some(16), [1, 28, 28], 10).unwrap();
    assert_eq!(products(&graph), (196 * 16 * 16 + 49 * 256 * 32 + 1568 * 100 + 100 * 10) as f64);
}
