//! The ledger on classifiers whose answers are known.

use robin_aggregation::StrategyName;
use robin_attacks::{Config, Loss, Start, StepSize};
use robin_core::{CancelToken, Misclassified, Norm, Seed};
use robin_data::{Dataset, DatasetName, Split};
use robin_testkit::Linear;

use super::*;
use crate::Witnesses;

/// Class 1 iff the first of two pixels is above 0.5.
fn threshold() -> Linear {
    Linear::new(vec![-1.0, 0.0, 1.0, 0.0], vec![0.5, -0.5], [1, 1, 2])
}

fn data() -> Dataset {
    let examples: [(u8, u8); 6] = [(0, 0), (100, 0), (120, 0), (140, 1), (200, 1), (120, 1)];
    let pixels = examples.iter().flat_map(|&(pixel, _)| [pixel, 7]).collect();
    let labels = examples.iter().map(|&(_, label)| label).collect();
    Dataset::from_parts(DatasetName::Mnist, Split::Test, [1, 1, 2], pixels, labels).unwrap()
}

fn budget(epsilon: &str) -> Budget {
    Budget { norm: Norm::Linf, epsilon: epsilon.parse().unwrap() }
}

const PGD: Config = Config::Pgd(robin_attacks::pgd::Settings {
    steps: 3,
    restarts: 1,
    step_size: StepSize::STANDARD,
    start: Start::UniformInBall,
});

fn add(ledger: &mut Ledger, name: &str, epsilon: &str, restart: u32, order: Order, batch_size: usize) {
    Added { config: PGD, said: PGD, name, epsilon, restart, order, batch_size }.to(ledger);
}

/// A run to be added: `config`, of which it is said that it was `said`.
struct Added<'a> {
    config: Config,
    said: Config,
    name: &'a str,
    epsilon: &'a str,
    restart: u32,
    order: Order,
    batch_size: usize,
}

impl Added<'_> {
    fn to(&self, ledger: &mut Ledger) {
        let attack = self.config.build(budget(self.epsilon)).unwrap();
        let strategy = StrategyName::Softmax.build(Loss::Ce).unwrap();
        let setup = AttackSetup {
            name: self.name,
            strategy_name: "softmax",
            loss_name: "ce",
            attack: attack.as_ref(),
            config: Some(self.said),
            strategy: strategy.as_ref(),
            iterate: Which::Worst,
        };
        let cancel = CancelToken::new();
        let mut options = Options { batch_size: self.batch_size, cancel: &cancel, observer: &mut () };
        let (model, data) = (threshold(), data());
        ledger.run(&evaluation(&model, &data), &setup, self.restart, self.order, None, &mut options).unwrap();
    }
}

fn evaluation<'a>(model: &'a Linear, data: &'a Dataset) -> Evaluation<'a> {
    Evaluation { model, criterion: &Misclassified, data, seed: Seed::new(3) }
}

fn begin() -> Ledger {
    let cancel = CancelToken::new();
    let mut options = Options { batch_size: 4, cancel: &cancel, observer: &mut () };
    Ledger::begin(&evaluation(&threshold(), &data()), &mut options).unwrap()
}

#[test]
fn a_ledger_reads_back_and_its_summary_counts_per_example() {
    let mut ledger = begin();
    add(&mut ledger, "small", "0.04", 0, Order::Each, 4);
    add(&mut ledger, "large", "0.12", 0, Order::Each, 4);
    add(&mut ledger, "large", "0.12", 1, Order::Each, 4);
    let again = Ledger::from_json(&ledger.to_json().unwrap()).unwrap();
    assert_eq!(again, ledger);

    // Misclassified clean: the last; within 0.04: 120/255 = 0.47; within 0.12: also 100/255 and 140/255.
    let small = again.summary(budget("0.04")).unwrap();
    assert_eq!((small.attacks.len(), small.n), (1, 6));
    assert_eq!((small.clean_accuracy, small.union), (5.0 / 6.0, 4.0 / 6.0));
    let large = again.summary(budget("0.12")).unwrap();
    assert_eq!((large.union, large.paper), (2.0 / 6.0, 2.0 / 6.0));
    assert_eq!(large.attacks.iter().map(|a| a.restarts).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(large.attacks[1].cost.attacked, 10);
    assert_eq!(large.union_interval, crate::wilson(2, 6));
    assert!(matches!(again.summary(budget("0.01")), Err(Error::Empty)));
    let run = &again.runs[1];
    assert_eq!(run.attacked, [true, true, true, true, true, false]);
    assert_eq!(run.outcome.predictions, [0, 1, 1, 0, 1, 0]);
    assert!(run.backward.iter().zip(&run.attacked).all(|(&count, &attacked)| (count == 3) == attacked));
}

#[test]
fn stages_attack_what_still_stands_and_the_union_is_the_same() {
    let (mut each, mut staged) = (begin(), begin());
    for (name, epsilon) in [("small", "0.04"), ("large", "0.12")] {
        add(&mut each, name, epsilon, 0, Order::Each, 4);
        add(&mut staged, name, epsilon, 0, Order::Standing, 4);
    }
    assert_eq!(each.union(budget("0.12")), staged.union(budget("0.12")));
    assert_eq!(staged.runs[1].attacked, [true, true, false, true, true, false]);
    assert_eq!(staged.runs.iter().map(|run| run.staged).collect::<Vec<_>>(), [false, true]);
    let summary = staged.summary(budget("0.12")).unwrap();
    assert_eq!(summary.attacks.iter().map(|a| a.staged).collect::<Vec<_>>(), [false, true]);
    // What a larger budget broke says nothing about a smaller one.
    add(&mut staged, "small again", "0.04", 1, Order::Standing, 4);
    assert_eq!(staged.runs[2].attacked, [true, true, false, true, true, false]);
}

#[test]
fn a_bundle_is_its_stages_on_what_still_stands() {
    let budget = budget("0.12");
    let configs = [
        Config::RandomNoise(robin_attacks::random_noise::Settings { candidates: 3 }),
        Config::Fgsm(robin_attacks::fgsm::Settings {}),
    ];
    let attacks = configs.map(|config| config.build(budget).unwrap());
    let strategy = StrategyName::Softmax.build(Loss::Margin).unwrap();
    let stages: Vec<AttackSetup<'_>> = ["noise", "fgsm"]
        .into_iter()
        .zip(&attacks)
        .map(|(name, attack)| AttackSetup {
            name,
            strategy_name: "softmax",
            loss_name: "margin",
            attack: attack.as_ref(),
            config: None,
            strategy: strategy.as_ref(),
            iterate: Which::Worst,
        })
        .collect();
    let cancel = CancelToken::new();
    let mut options = Options { batch_size: 4, cancel: &cancel, observer: &mut () };
    let mut ledger = begin();
    let mut witnesses = Witnesses::new(budget, data().sha256().unwrap(), [1, 1, 2]);
    let (model, data) = (threshold(), data());
    for stage in &stages {
        let kept = Some(&mut witnesses);
        ledger.run(&evaluation(&model, &data), stage, 0, Order::Standing, kept, &mut options).unwrap();
    }
    let [first, second] = &ledger.runs[..] else { panic!("two stages, two runs") };
    let correct: Vec<bool> = first.outcome.misclassified.iter().map(|misclassified| !misclassified).collect();
    assert_eq!(second.attacked, correct);
    assert_eq!(ledger.union(budget), [false, true, true, true, false, true]);
    // One witness per example that an attack broke, not for the one that was wrong before.
    let mut ids = witnesses.ids.clone();
    ids.sort_unstable();
    assert_eq!(ids, [1, 2, 3]);
}

#[test]
fn a_cw_that_loses_to_pgd_20_is_named_in_the_summary() {
    let pgd = Config::Pgd(robin_attacks::pgd::Settings {
        steps: 20,
        restarts: 1,
        step_size: StepSize::STANDARD,
        start: Start::Clean,
    });
    let cw = Config::CwPaper(robin_attacks::cw::PaperSettings { steps: 50, step_size: 0.01, constant: 1.0 });
    let summary = |strong: Config, weak: Config, order| {
        let mut ledger = begin();
        let run = Added {
            config: PGD,
            said: strong,
            name: "strong",
            epsilon: "0.12",
            restart: 0,
            order: Order::Each,
            batch_size: 4,
        };
        run.to(&mut ledger);
        Added {
            config: Config::Fgsm(robin_attacks::fgsm::Settings {}),
            said: weak,
            name: "weak",
            epsilon: "0.04",
            order,
            ..run
        }
        .to(&mut ledger);
        ledger.summary(budget("0.12")).unwrap().weak_cw
    };
    let found = summary(pgd, cw, Order::Each).unwrap();
    assert_eq!((found.cw, found.pgd), (4.0 / 6.0, 2.0 / 6.0));
    // The other way round nothing is wrong, and 3 steps are not the PGD that is meant.
    assert_eq!(summary(cw, pgd, Order::Each), None);
    assert_eq!(summary(PGD, cw, Order::Each), None);
}

#[test]
fn runs_do_not_depend_on_batches_or_order() {
    let texts: Vec<String> = [1, 2, 64]
        .into_iter()
        .map(|batch_size| {
            let mut ledger = begin();
            add(&mut ledger, "a", "0.12", 1, Order::Each, batch_size);
            ledger.to_json().unwrap()
        })
        .collect();
    assert!(texts.windows(2).all(|pair| pair[0] == pair[1]));
    let mut later = begin();
    add(&mut later, "b", "0.12", 0, Order::Each, 3);
    add(&mut later, "a", "0.12", 1, Order::Each, 3);
    assert_eq!(later.runs[1], Ledger::from_json(&texts[0]).unwrap().runs[0]);
}

#[test]
fn what_is_no_ledger_is_refused() {
    let mut ledger = begin();
    add(&mut ledger, "a", "0.12", 0, Order::Each, 3);
    let text = ledger.to_json().unwrap();
    assert!(matches!(Ledger::from_json(&text[..text.len() - 9]), Err(Error::Json { .. })));
    let other = text.replacen("\"format\":1", "\"format\":2", 1);
    assert!(matches!(Ledger::from_json(&other), Err(Error::Format { found: 2, expected: 1 })));
    ledger.runs[0].attacked.pop();
    let short = ledger.to_json().unwrap();
    assert!(matches!(Ledger::from_json(&short), Err(Error::Examples { found: 5, expected: 6, .. })));
}
