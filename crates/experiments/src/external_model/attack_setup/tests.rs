//! Every combination runs, or is refused before any work for a reason that is on a short list.

use robin_aggregation::AGGREGATIONS;
use robin_core::{CancelToken, Classifier, Misclassified, Norm, Purpose, Seed, SuccessCriterion};
use robin_data::{Dataset, Split};
use robin_evaluation::{Evaluation, Ledger, Options, Order};
use robin_testkit::Linear;

use super::super::target::Hits;
use super::*;

const SHAPE: [usize; 3] = [1, 4, 4];
const LOSSES: [Option<Loss>; 6] =
    [None, Some(Loss::Ce), Some(Loss::Margin), Some(Loss::Dlr), Some(Loss::MarginT(2)), Some(Loss::DlrT(2))];

/// A classifier of so many classes, joined as it is said.
struct ModelUnderTest {
    aggregate: Option<Aggregation>,
    model: Box<dyn Classifier>,
    data: Dataset,
    ledger: Ledger,
}

impl ModelUnderTest {
    fn new(aggregate: Option<Aggregation>, classes: usize) -> Self {
        let network = |(number, outputs): (usize, usize)| -> Box<dyn Classifier> {
            Box::new(Linear::seeded(outputs, SHAPE, Seed::new(number as u64)))
        };
        let model = match aggregate {
            None => network((7, classes)),
            Some(aggregate) => {
                let outputs = aggregate.outputs(classes, 2).unwrap_or(vec![classes; 2]);
                aggregate.build(outputs.into_iter().enumerate().map(network).collect()).unwrap()
            }
        };
        // Labelled as the classifier sees them, so that there is something to attack.
        let mut stream = Seed::new(1).derive(Purpose::Test, 0).root_stream();
        let pixels: Vec<u8> = (0..3 * 16).map(|_| 64 + stream.below(128) as u8).collect();
        let make = |labels| Dataset::new("toy", classes, Split::Test, SHAPE, pixels.clone(), labels).unwrap();
        let ids: Vec<_> = (0..3).map(robin_core::ExampleId::first).collect();
        let images = make(vec![0; 3]).batch(&ids, &robin_data::LabelMap::Identity).unwrap().images;
        let data = make(model.predict(&images).unwrap().into_iter().map(|class| class as u8).collect());
        let cancel = CancelToken::new();
        let mut options = Options { batch_size: 2, cancel: &cancel, observer: &mut () };
        let evaluation =
            Evaluation { model: model.as_ref(), criterion: &Misclassified, data: &data, seed: Seed::new(2) };
        let ledger = Ledger::begin(&evaluation, &mut options).unwrap();
        Self { aggregate, model, data, ledger }
    }

    /// None, and all aggregates, of ten classes.
    fn all() -> Vec<Self> {
        let kinds = AGGREGATIONS.iter().map(|entry| Some(entry.aggregation));
        std::iter::once(None).chain(kinds).map(|aggregate| Self::new(aggregate, 10)).collect()
    }

    fn attack(&self, case: &Case) -> Result<()> {
        let classes = self.model.num_classes();
        let prepared = case.setup().prepare(case.budget(), self.aggregate, classes)?;
        let (criterion, mut ledger): (Box<dyn SuccessCriterion>, _) = match case.target {
            Some(class) => (Box::new(Hits(class)), self.ledger.clone()),
            None => (Box::new(Misclassified), self.ledger.clone()),
        };
        for stage in prepared {
            let (setup, cancel) = (stage.setup(Which::Worst), CancelToken::new());
            let mut options = Options { batch_size: 3, cancel: &cancel, observer: &mut () };
            let evaluation = Evaluation {
                model: self.model.as_ref(),
                criterion: criterion.as_ref(),
                data: &self.data,
                seed: Seed::new(2),
            };
            let run = ledger.run(&evaluation, &setup, 0, Order::Standing, None, &mut options);
            // What is found out so late was not refused before the work.
            run.unwrap_or_else(|error| panic!("{case:?} fails while it runs: {error}"));
        }
        Ok(())
    }
}

/// One combination.
#[derive(Debug, Clone)]
struct Case {
    attack: &'static str,
    loss: Option<Loss>,
    target: Option<u32>,
    norm: Norm,
    strategy: StrategyChoice,
    aggregate: Option<Aggregation>,
    classes: usize,
}

impl Case {
    fn entry(&self) -> Option<&'static Entry> {
        ATTACKS.iter().find(|entry| entry.name == self.attack)
    }

    /// At little work.
    fn setup(&self) -> AttackSetupRequest {
        let brief = self.entry().map(|entry| serde_json::to_value(entry.brief).unwrap());
        let mut settings = brief.and_then(|brief| brief.as_object().cloned()).unwrap_or_default();
        settings.remove("name");
        let Self { attack, loss, target, strategy, .. } = *self;
        AttackSetupRequest { attack: attack.to_owned(), settings, loss, strategy, target }
    }

    fn budget(&self) -> Budget {
        // The stages of a bundle have their authors' numbers of steps: let them be done soon.
        let epsilon = match (self.entry(), self.norm) {
            (None, Norm::Linf) => "0.5",
            (None, Norm::L2) => "4",
            (_, Norm::Linf) => "0.05",
            (_, Norm::L2) => "0.2",
        };
        Budget { norm: self.norm, epsilon: epsilon.parse().unwrap() }
    }

    fn is(&self, loss: Loss) -> bool {
        self.loss == Some(loss)
    }

    fn border(&self) -> bool {
        self.entry().is_some_and(|entry| entry.border)
    }

    fn chooses(&self) -> bool {
        self.loss.is_some_and(Loss::chooses_targets)
    }

    fn stages(&self) -> bool {
        matches!(self.strategy, StrategyChoice::Stages(_))
    }

    fn strategy(&self, names: &[StrategyName]) -> bool {
        matches!(self.strategy, StrategyChoice::Scores(config) if names.contains(&config.name))
    }

    fn normalised(&self) -> bool {
        self.strategy.to_string().ends_with("+normalised")
    }

    /// Whether it attacks some scores, and neither all nor a pair of them.
    fn arms(&self) -> bool {
        !self.stages() && !self.strategy(&[StrategyName::Softmax, StrategyName::MarginT])
    }
}

/// Why a combination makes no sense, and words of the refusal that say so.
type Rule = (fn(&Case) -> bool, &'static [&'static str]);

/// The first one that applies is given.
const RULES: &[Rule] = &[
    (
        |c| c.entry().is_none() && (c.loss.is_some() || c.target.is_some()),
        &["--attack", "own settings and losses"],
    ),
    (|c| c.entry().is_none() && c.classes < 4, &["--attack", "compares at least 4 classes"]),
    (|c| c.entry().is_some_and(|entry| !entry.norms.contains(&c.norm)), &["measures in", "not in"]),
    // Stages are those of a hierarchical classifier, and have no border but their own.
    (
        |c| c.stages() && !c.aggregate.is_some_and(|of| of.to_string().starts_with("hierarchical")),
        &["--strategy", "hierarchical:SPLIT), and this is none"],
    ),
    (|c| c.stages() && c.border(), &["--strategy", "aims at the border between classes"]),
    (|c| c.stages() && c.chooses(), &["--loss", "a stage does not see them all", "ce, margin, dlr"]),
    (
        |c| c.stages() && c.is(Loss::Dlr) && c.strategy.to_string() != "stage-2",
        &["--loss dlr", "at least 3 scores, and there are 2"],
    ),
    // Arms are those of an aggregate of arms.
    (
        |c| c.arms() && !c.aggregate.is_some_and(|of| of.about().arms),
        &["--strategy", "attacks arms, and this classifier has none"],
    ),
    (
        |c| c.normalised() && !["fgsm", "pgd", "apgd"].contains(&c.attack),
        &["--strategy", "combine normalised with attack fgsm, pgd, apgd"],
    ),
    (
        |c| {
            let without = c.strategy(&[StrategyName::AverageGradient, StrategyName::Reweighted]);
            let ranked_anew = c.strategy.to_string().ends_with("+current");
            c.attack.starts_with("cw") && (without || ranked_anew)
        },
        &["--strategy", "best-arm, highest-arm, top2, softmax-top2, ranked once"],
    ),
    (
        |c| c.arms() && ["ddn", "fmn", "fab-t"].contains(&c.attack),
        &["--strategy", "with strategy softmax, margin-t"],
    ),
    (
        |c| {
            !c.stages()
                && !c.strategy(&[StrategyName::Softmax])
                && c.loss.is_some_and(|loss| !matches!(loss, Loss::Ce | Loss::Margin))
        },
        &["--strategy", "cannot be used with loss", "ce, margin"],
    ),
    (|c| c.border() && c.is(Loss::Ce), &["--loss ce", "aims at the border between classes", "dlr-t:T"]),
    (|c| c.target.is_some() && c.chooses(), &["--loss", "--target has chosen one", "ce, margin, dlr"]),
    (|c| c.is(Loss::Dlr) && c.classes < 3, &["--loss dlr", "at least 3 scores"]),
    (|c| matches!(c.loss, Some(Loss::DlrT(_))) && c.classes < 4, &["--loss dlr-t:2", "at least 4 scores"]),
];

/// Whether the combination ran; panics unless it did what the rules say.
fn tried(subject: &ModelUnderTest, case: &Case) -> bool {
    let expected = RULES.iter().find(|(applies, _)| applies(case)).map(|(_, words)| *words);
    match (subject.attack(case), expected) {
        (Ok(()), None) => true,
        (Ok(()), Some(words)) => panic!("{case:?} runs, and should be refused: {words:?}"),
        (Err(error), expected) => {
            let mut message = error.to_string();
            let mut source = std::error::Error::source(&error);
            while let Some(cause) = source {
                message += &format!(": {cause}");
                source = cause.source();
            }
            let Some(words) = expected else { panic!("{case:?} is refused: {message}") };
            assert!(words.iter().all(|word| message.contains(word)), "{case:?}: {message}, not {words:?}");
            false
        }
    }
}

fn names() -> impl Iterator<Item = &'static str> {
    ATTACKS.iter().map(|entry| entry.name).chain([AUTOATTACK])
}

#[test]
fn every_attack_loss_target_aggregate_and_norm_runs_or_is_refused_for_a_true_reason() {
    let strategy = StrategyChoice::Scores(StrategyName::Softmax.into());
    let mut subjects = ModelUnderTest::all();
    subjects.extend([2, 3].map(|classes| ModelUnderTest::new(None, classes)));
    let (mut ran, mut refused) = (0, 0);
    for subject in &subjects {
        let (aggregate, classes) = (subject.aggregate, subject.model.num_classes());
        for attack in names() {
            for loss in LOSSES {
                for target in [None, Some(1)] {
                    for norm in [Norm::L2, Norm::Linf] {
                        let case = Case { attack, loss, target, norm, strategy, aggregate, classes };
                        if tried(subject, &case) { ran += 1 } else { refused += 1 }
                    }
                }
            }
        }
    }
    assert!(ran > 500 && refused > 500, "{ran} ran, {refused} were refused");
}

#[test]
fn every_strategy_runs_or_is_refused_for_a_true_reason() {
    let strategies = [
        "best-arm",
        "top2",
        "top2+normalised",
        "highest-arm+current",
        "average-gradient",
        "average-gradient+normalised",
        "softmax-top2",
        "margin-t",
        "reweighted",
        "stage-1",
        "stage-2",
        "stage-1-2",
    ];
    let (mut ran, mut refused) = (0, 0);
    for subject in ModelUnderTest::all() {
        let (aggregate, classes) = (subject.aggregate, subject.model.num_classes());
        for entry in ATTACKS {
            for strategy in strategies {
                for loss in LOSSES {
                    let (attack, norm) = (entry.name, entry.norms[0]);
                    let strategy = strategy.parse().unwrap();
                    let case = Case { attack, loss, target: None, norm, strategy, aggregate, classes };
                    if tried(&subject, &case) { ran += 1 } else { refused += 1 }
                }
            }
        }
    }
    assert!(ran > 500 && refused > 500, "{ran} ran, {refused} were refused");
}

#[test]
fn every_attack_has_its_own_loss_in_attack_and_in_evaluate() {
    let budget = |entry: &Entry| Budget { norm: entry.norms[0], epsilon: "0.1".parse().unwrap() };
    for entry in ATTACKS {
        let asked = AttackSetupRequest { loss: None, ..AttackSetupRequest::usual(entry.name) };
        let label =
            |setup: &AttackSetupRequest| setup.prepare(budget(entry), None, 10).unwrap().remove(0).label;
        assert_eq!(label(&asked), label(&AttackSetupRequest::usual(entry.name)));
        assert!(label(&asked).ends_with(&format!(" {}", entry.loss)), "{}", label(&asked));
        // Whoever has chosen a target, or a pair of scores, has no use for targets of the loss's choice.
        let towards = AttackSetupRequest { target: Some(3), ..asked.clone() };
        assert!(label(&towards).ends_with(&format!(" {} to 3", entry.loss.without_targets())));
    }
}

#[test]
fn of_few_classes_the_stages_that_apply_are_run() {
    let budget = Budget { norm: Norm::Linf, epsilon: "0.1".parse().unwrap() };
    let labels = |name: &str, classes| -> Vec<String> {
        let stages = AttackSetupRequest::usual(name).prepare(budget, None, classes).unwrap();
        stages.into_iter().map(|stage| stage.label).collect()
    };
    let of_few = ["autoattack apgd-ce ce", "autoattack fab-t margin-t:9", "autoattack square margin"];
    for classes in [2, 3] {
        assert_eq!(labels(APPLICABLE, classes), of_few);
        assert!(AttackSetupRequest::usual(AUTOATTACK).prepare(budget, None, classes).is_err());
        let subject = ModelUnderTest::new(None, classes);
        for stage in AttackSetupRequest::usual(APPLICABLE).prepare(budget, None, classes).unwrap() {
            let cancel = CancelToken::new();
            let mut options = Options { batch_size: 2, cancel: &cancel, observer: &mut () };
            let (mut ledger, setup) = (subject.ledger.clone(), stage.setup(Which::Worst));
            let evaluation = Evaluation {
                model: subject.model.as_ref(),
                criterion: &Misclassified,
                data: &subject.data,
                seed: Seed::new(0),
            };
            ledger.run(&evaluation, &setup, 0, Order::Each, None, &mut options).unwrap();
        }
    }
    assert_eq!(labels(APPLICABLE, 4), labels(AUTOATTACK, 4));
}
