//! Witnesses of a classifier with a known border, whole and damaged.

use approx::assert_abs_diff_eq;
use robin_aggregation::StrategyName;
use robin_attacks::{Config, Loss, Start, StepSize};
use robin_core::{CancelToken, Misclassified, Norm, Seed};
use robin_data::{Dataset, DatasetName, Split};
use robin_testkit::Linear;

use super::*;
use crate::{AttackSetup, Evaluation, Ledger, Options, Order, Which};

/// Class 1 iff the sum of two pixels is above 255.5 / 255.
fn model() -> Linear {
    let border = 255.5 / 255.0;
    Linear::new(vec![-1.0, -1.0, 1.0, 1.0], vec![border, -border], [1, 1, 2])
}

fn data() -> Dataset {
    let pixels = vec![120, 130, 200, 210, 100, 150, 10, 0];
    Dataset::from_parts(DatasetName::Mnist, Split::Test, [1, 1, 2], pixels, vec![0, 1, 0, 0]).unwrap()
}

fn found() -> Witnesses {
    let budget = Budget { norm: Norm::Linf, epsilon: "8/255".parse().unwrap() };
    let config = Config::Pgd(robin_attacks::pgd::Settings {
        steps: 4,
        restarts: 1,
        step_size: StepSize::STANDARD,
        start: Start::Clean,
    });
    let attack = config.build(budget).unwrap();
    let strategy = StrategyName::Softmax.build(Loss::Margin).unwrap();
    let setup = AttackSetup {
        name: "pgd",
        strategy_name: "softmax",
        loss_name: "margin",
        attack: attack.as_ref(),
        config: None,
        strategy: strategy.as_ref(),
        iterate: Which::Worst,
    };
    let cancel = CancelToken::new();
    let mut options = Options { batch_size: 3, cancel: &cancel, observer: &mut () };
    let (model, data) = (model(), data());
    let evaluation = Evaluation { model: &model, criterion: &Misclassified, data: &data, seed: Seed::new(1) };
    let mut ledger = Ledger::begin(&evaluation, &mut options).unwrap();
    let mut witnesses = Witnesses::new(budget, data.sha256().unwrap(), [1, 1, 2]);
    for restart in 0..2 {
        let kept = Some(&mut witnesses);
        ledger.run(&evaluation, &setup, restart, Order::Each, kept, &mut options).unwrap();
    }
    witnesses
}

fn check(witnesses: &Witnesses) -> Verification {
    verify(witnesses, &model(), &data(), 2, &CancelToken::new()).unwrap()
}

#[test]
fn what_an_attack_found_holds_from_the_file_alone() {
    let witnesses = found();
    // Sums 250 and 250 of 255 can be raised by 16; the others are too far away.
    assert_eq!((witnesses.ids.as_slice(), witnesses.labels.as_slice()), (&[0, 2][..], &[0, 0][..]));
    let bytes = witnesses.to_safetensors().unwrap();
    let read = Witnesses::from_safetensors(&bytes, "found.safetensors").unwrap();
    assert_eq!(read, witnesses);
    let checked = check(&read);
    assert!(checked.holds(), "{checked:?}");
    assert_eq!(checked.rounded, Rounded { misclassified: 2, valid: 2 });
    assert_abs_diff_eq!(checked.largest_size, 8.0 / 255.0, epsilon = 1e-6);
}

#[test]
fn every_kind_of_damage_is_a_fault() {
    let damaged = |damage: fn(&mut Witnesses)| {
        let mut witnesses = found();
        damage(&mut witnesses);
        let checked = check(&witnesses);
        assert_eq!((checked.valid, checked.faults.len(), checked.holds()), (1, 1, false), "{checked:?}");
        checked.faults[0].clone()
    };
    assert!(damaged(|w| w.images[0] += 0.02).contains("exceeds epsilon"));
    assert!(damaged(|w| w.images[0] = f32::NAN).contains("not finite"));
    assert!(damaged(|w| w.images[0] = -0.1).contains("outside [0, 1]"));
    assert!(damaged(|w| w.labels[1] = 1).contains("example 2: its label is 1, the data say 0"));
    assert!(damaged(|w| w.predictions[0] = 0).contains("classified as 1, the file says 0"));
    let clean = |w: &mut Witnesses| (w.images[0], w.images[1]) = (120.0 / 255.0, 130.0 / 255.0);
    assert!(damaged(clean).contains("which is right"));
}

#[test]
fn rounding_to_eight_bits_is_checked_without_slack() {
    let mut witnesses = found();
    // Barely over the border, and back on the right side of it when rounded.
    (witnesses.images[0], witnesses.images[1]) = (125.4 / 255.0, 130.4 / 255.0);
    let checked = check(&witnesses);
    assert!(checked.holds(), "{checked:?}");
    assert_eq!(checked.rounded, Rounded { misclassified: 1, valid: 1 });
}

#[test]
fn other_files_and_other_data_are_refused() {
    let witnesses = found();
    let other = Witnesses { data_sha256: "0".repeat(64), ..witnesses.clone() };
    let error = verify(&other, &model(), &data(), 2, &CancelToken::new()).unwrap_err();
    assert!(matches!(error, Error::OtherData { .. }));
    let bytes = witnesses.to_safetensors().unwrap();
    let cut = Witnesses::from_safetensors(&bytes[..bytes.len() - 1], "cut").unwrap_err();
    assert!(matches!(cut, Error::Safetensors { .. }));
    let view = TensorView::new(Dtype::F32, vec![1], &[0; 4]).unwrap();
    let weights = safetensors::serialize([("conv1.bias", view)], None).unwrap();
    let message = Witnesses::from_safetensors(&weights, "weights").unwrap_err().to_string();
    assert!(message.contains("weights") && message.contains("`witnesses` is missing"), "{message}");
}
