//! The counting rules, on a classifier whose every answer is known.

use approx::assert_abs_diff_eq;
use robin_aggregation::{OneVsAll, STRATEGIES, StrategyName};
use robin_attacks::{ATTACKS, Aim, Config, Loss, Start, StepSize};
use robin_core::attack::Verdict;
use robin_core::{
    Adversarial, Attack, Batch, Budget, CancelToken, Classifier, Cost, Iterate, Misclassified, Norm,
    Objective, Seed, SuccessCriterion, Target,
};
use robin_data::{Dataset, DatasetName, Split};
use robin_testkit::Linear;

use super::*;

/// Class 1 iff the first of two pixels is above 0.5.
fn threshold() -> Linear {
    Linear::new(vec![-1.0, 0.0, 1.0, 0.0], vec![0.5, -0.5], [1, 1, 2])
}

fn data(examples: &[(u8, u8)]) -> Dataset {
    let pixels = examples.iter().flat_map(|&(pixel, _)| [pixel, 7]).collect();
    let labels = examples.iter().map(|&(_, label)| label).collect();
    Dataset::from_parts(DatasetName::Mnist, Split::Test, [1, 1, 2], pixels, labels).unwrap()
}

/// First pixels 0, 0.39, 0.47, 0.55, 0.78, 1, 0.47, 0.78; the last two are labelled wrong.
fn eight() -> Dataset {
    data(&[(0, 0), (100, 0), (120, 0), (140, 1), (200, 1), (255, 1), (120, 1), (200, 0)])
}

fn budget(epsilon: &str) -> Budget {
    Budget { norm: Norm::Linf, epsilon: epsilon.parse().unwrap() }
}

fn pgd(epsilon: &str) -> Box<dyn Attack> {
    let config = Config::Pgd(robin_attacks::pgd::Settings {
        steps: 5,
        restarts: 1,
        step_size: StepSize::STANDARD,
        start: Start::Clean,
    });
    config.build(budget(epsilon)).unwrap()
}

struct Run<'a> {
    model: &'a dyn Classifier,
    criterion: &'a dyn SuccessCriterion,
    data: &'a Dataset,
    batch_size: usize,
}

impl Run<'_> {
    fn evaluation(&self) -> Evaluation<'_> {
        Evaluation { model: self.model, criterion: self.criterion, data: self.data, seed: Seed::new(1) }
    }

    fn robust(&self, attack: &dyn Attack, strategy: StrategyName) -> Result<Robust> {
        self.observed(attack, strategy, &mut (), &CancelToken::new())
    }

    fn observed(
        &self,
        attack: &dyn Attack,
        strategy: StrategyName,
        observer: &mut dyn Observer,
        cancel: &CancelToken,
    ) -> Result<Robust> {
        let mut options = Options { batch_size: self.batch_size, cancel, observer };
        let (evaluation, strategy) = (self.evaluation(), strategy.build(Loss::Ce).unwrap());
        let clean = evaluation.clean(&mut options)?;
        evaluation.robust(&clean, attack, &*strategy, &mut options)
    }
}

#[test]
fn every_example_is_counted_by_the_rules() {
    let (model, data) = (threshold(), eight());
    let cancel = CancelToken::new();
    let mut options = Options { batch_size: 3, cancel: &cancel, observer: &mut () };
    let run = Run { model: &model, criterion: &Misclassified, data: &data, batch_size: 3 };
    let clean = run.evaluation().clean(&mut options).unwrap();
    assert_eq!(clean.predictions, [0, 0, 0, 1, 1, 1, 0, 1]);
    assert_eq!(clean.misclassified, [false, false, false, false, false, false, true, true]);
    assert_eq!(clean.accuracy(), 0.75);
    assert_eq!(clean.interval(), wilson(6, 8));

    let found = run.robust(&*pgd("0.1"), StrategyName::Softmax).unwrap();
    // Misclassified clean, or within 0.1 of the threshold.
    let misclassified = [false, false, true, true, false, false, true, true];
    for outcome in [&found.worst, &found.last] {
        assert_eq!(outcome.misclassified, misclassified);
        assert_eq!(outcome.predictions, [0, 0, 1, 0, 1, 1, 0, 1]);
        assert_eq!(outcome.accuracy(), 0.5);
        assert_eq!(outcome.interval(), wilson(4, 8));
        for (at, &size) in outcome.sizes.iter().enumerate() {
            // What is misclassified clean is not attacked.
            let expected = if at < 6 { 0.1 } else { 0.0 };
            assert_abs_diff_eq!(size, expected, epsilon = 1e-6);
        }
    }
    // Six attacked examples; each the clean scores, five steps, the final point, start and final judged.
    let cost = CostTotals { attacked: 6, forward: 6 * 9, backward: 30, gradients: 30, zero_gradients: 0 };
    assert_eq!(found.cost, cost);
    let nothing = run.robust(&*pgd("0"), StrategyName::Softmax).unwrap();
    assert_eq!((nothing.worst.misclassified, nothing.worst.sizes), (clean.misclassified, vec![0.0; 8]));
}

/// Predicts class 1 for nothing but class 1: confusing an example of class 0 with class 0 is no success.
struct OnlyOnes;

impl SuccessCriterion for OnlyOnes {
    fn misclassified(&self, prediction: u32, label: u32) -> bool {
        label == 1 && prediction != 1
    }
}

#[test]
fn the_judge_decides_and_nothing_else() {
    let (model, data) = (threshold(), eight());
    let run = Run { model: &model, criterion: &OnlyOnes, data: &data, batch_size: 8 };
    let found = run.robust(&*pgd("0.1"), StrategyName::Softmax).unwrap();
    assert_eq!(found.worst.misclassified, [false, false, false, true, false, false, true, false]);
}

#[test]
fn a_further_attack_meets_what_is_left_and_moves_nothing_else() {
    let (model, data) = (threshold(), eight());
    let cancel = CancelToken::new();
    let run = Run { model: &model, criterion: &Misclassified, data: &data, batch_size: 3 };
    // Within 0.04 of the threshold is example 2 alone, within 0.1 also example 3.
    let mut found = run.robust(&*pgd("0.04"), StrategyName::Softmax).unwrap();
    let so_far = Clean {
        misclassified: found.worst.misclassified.clone(),
        predictions: found.worst.predictions.clone(),
    };
    let mut options = Options { batch_size: 3, cancel: &cancel, observer: &mut () };
    let strategy = StrategyName::Softmax.build(Loss::Ce).unwrap();
    let next = run.evaluation().robust(&so_far, &*pgd("0.1"), &*strategy, &mut options).unwrap();
    assert_eq!(next.cost.attacked, 5);
    found.join(&next);
    assert_eq!(found.worst.misclassified, [false, false, true, true, false, false, true, true]);
    assert_eq!(found.worst.predictions, [0, 0, 1, 0, 1, 1, 0, 1]);
    assert_eq!(found.cost.attacked, 6 + 5);
    for (at, expected) in [0.1, 0.1, 0.04, 0.1, 0.1, 0.1, 0.0, 0.0].into_iter().enumerate() {
        let size = found.worst.sizes[at];
        assert_abs_diff_eq!(size, expected, epsilon = 1e-6);
    }
}

#[test]
fn transferred_images_are_judged_by_the_other_classifier_once() {
    let (judged, data) = (threshold(), eight());
    let cancel = CancelToken::new();
    let run = Run { model: &judged, criterion: &Misclassified, data: &data, batch_size: 3 };
    let transfer = |surrogate: &dyn Classifier, aim, batch_size| {
        let mut options = Options { batch_size, cancel: &cancel, observer: &mut () };
        let clean = run.evaluation().clean(&mut options).unwrap();
        run.evaluation().transferred(&clean, surrogate, &*pgd("0.1"), aim, &mut options).unwrap()
    };
    // From the classifier itself: the attack's final points.
    let own = run.robust(&*pgd("0.1"), StrategyName::Softmax).unwrap();
    let found = transfer(&judged, Aim::Away(Loss::Ce), 3);
    assert_eq!((&found.robust.worst, found.hits), (&own.last, None));
    assert_eq!(found.robust.worst, found.robust.last);
    assert_eq!(found.robust.cost.attacked, 6);
    assert_eq!(transfer(&judged, Aim::Away(Loss::Ce), 1), found, "the batch size is seen");
    // Two classes: the second-highest is the wrong one, so what is misclassified is hit.
    let targeted = transfer(&judged, Aim::RunnerUp, 3);
    assert_eq!(
        (targeted.robust.worst.misclassified.clone(), targeted.hits),
        (own.last.misclassified.clone(), Some(2))
    );
    // From one that looks at the other pixel only, nothing that matters moves.
    let blind = Linear::new(vec![0.0, -1.0, 0.0, 1.0], vec![0.5, -0.5], [1, 1, 2]);
    let found = transfer(&blind, Aim::Away(Loss::Ce), 3);
    assert_eq!(found.robust.worst.misclassified, [false, false, false, false, false, false, true, true]);
}

fn random(n: u32) -> Dataset {
    let mut stream = Seed::new(6).root_stream();
    let pixels: Vec<u8> = (0..n * 8).map(|_| stream.below(256) as u8).collect();
    let labels = (0..n).map(|_| stream.below(3) as u8).collect();
    Dataset::from_parts(DatasetName::Mnist, Split::Test, [1, 2, 4], pixels, labels).unwrap()
}

fn three_arms() -> OneVsAll {
    let arm = |seed| Box::new(Linear::seeded(2, [1, 2, 4], Seed::new(seed))) as Box<dyn Classifier>;
    OneVsAll::new((0..3).map(arm).collect()).unwrap()
}

#[test]
fn records_are_the_same_bytes_for_every_batch_size() {
    let (model, data) = (three_arms(), random(50));
    for entry in ATTACKS {
        if !entry.norms.contains(&budget("0.05").norm) {
            continue;
        }
        let attack = entry.brief.build(budget("0.05")).unwrap();
        for strategy in STRATEGIES {
            let text = |batch_size| {
                let run = Run { model: &model, criterion: &Misclassified, data: &data, batch_size };
                let found = match run.robust(&*attack, strategy.name) {
                    // This strategy's cross-entropy has no border that the attack could aim at.
                    Err(Error::Core(robin_core::Error::Unsuited { .. })) => return None,
                    found => found.unwrap(),
                };
                let text = serde_json::to_string(&found).unwrap();
                assert_eq!(serde_json::from_str::<Robust>(&text).unwrap(), found);
                assert!(found.worst.accuracy() <= found.last.accuracy());
                Some(text)
            };
            let whole = text(64);
            assert_eq!(whole, text(64));
            assert_eq!(whole, text(7));
            assert_eq!(whole, text(1));
        }
    }
}

#[test]
fn zero_gradients_are_counted_per_gradient_however_many_arms_it_took() {
    // Arms that see nothing, so that every gradient is zero; arm 0 always wins.
    let arm = |bias: f32| Box::new(Linear::new(vec![0.0; 8], vec![bias], [1, 2, 4])) as Box<dyn Classifier>;
    let model = OneVsAll::new([1.0, 0.0, -1.0].map(arm).into()).unwrap();
    let data = random(20);
    let run = Run { model: &model, criterion: &Misclassified, data: &data, batch_size: 6 };
    for (strategy, objectives, arms) in
        [(StrategyName::Softmax, 1, 3), (StrategyName::BestArm, 3, 1), (StrategyName::Top2, 1, 2)]
    {
        let cost = run.robust(&*pgd("0.1"), strategy).unwrap().cost;
        assert!(cost.attacked > 0 && cost.attacked < 20);
        assert_eq!(cost.gradients, cost.attacked * 5 * objectives, "{strategy}");
        assert_eq!(cost.backward, cost.gradients * arms);
        assert_eq!(cost.zero_gradient_share(), 1.0);
    }
    let noise = Config::RandomNoise(robin_attacks::random_noise::Settings { candidates: 2 })
        .build(budget("0.1"))
        .unwrap();
    assert_eq!(run.robust(&*noise, StrategyName::Softmax).unwrap().cost.zero_gradient_share(), 0.0);
}

/// Claims success for every example with images moved by a fixed amount, whatever the budget says.
struct Liar {
    by: f64,
    verdicts: usize,
}

impl Attack for Liar {
    fn budget(&self) -> Budget {
        budget("0.1")
    }

    fn perturb(
        &self,
        _target: &Target<'_>,
        _objectives: &[Box<dyn Objective>],
        batch: &Batch,
        _seed: Seed,
    ) -> robin_core::Result<Adversarial> {
        // Towards the middle, so that the box is kept; only images brighter than 0.8 move.
        let bright = batch.images.ge(0.8_f32)?.to_dtype(candle_core::DType::F32)?;
        let images = (&batch.images - (bright * self.by)?)?;
        let verdicts = vec![Verdict { prediction: 9, misclassified: true }; self.verdicts.min(batch.len())];
        let iterate = Iterate { images, verdicts };
        let cost = vec![Cost::default(); batch.len()];
        Ok(Adversarial { worst: iterate.clone(), last: iterate, cost })
    }
}

#[test]
fn an_attack_that_leaves_its_budget_gives_an_error_and_no_number() {
    let model = threshold();
    // Example 0 is misclassified clean, so positions in the batch and in the data set differ.
    let data = data(&[(10, 1), (20, 0), (200, 1), (250, 1)]);
    let run = Run { model: &model, criterion: &Misclassified, data: &data, batch_size: 2 };
    let found = run.robust(&Liar { by: 0.1, verdicts: 2 }, StrategyName::Softmax).unwrap();
    assert_eq!(found.worst.accuracy(), 0.0);
    let error = run.robust(&Liar { by: 0.2, verdicts: 2 }, StrategyName::Softmax).unwrap_err();
    let source = robin_core::Error::OverBudget { example: 0, norm: Norm::Linf, size: 0.2, epsilon: 0.1 };
    assert!(matches!(&error, Error::Illegal { index: 3, .. }), "{error:?}");
    assert_eq!(std::mem::discriminant(&source), std::mem::discriminant(source_of(&error)));
    let error = run.robust(&Liar { by: 0.1, verdicts: 1 }, StrategyName::Softmax).unwrap_err();
    assert!(matches!(error, Error::Returned { given: 2, returned: 1, .. }));
}

fn source_of(error: &Error) -> &robin_core::Error {
    match error {
        Error::Illegal { source, .. } => source,
        other => panic!("{other:?}"),
    }
}

/// Keeps what it hears, and asks to stop after some batches.
struct Listener<'a> {
    heard: Vec<Progress>,
    stop_after: usize,
    cancel: &'a CancelToken,
}

impl Observer for Listener<'_> {
    fn progress(&mut self, progress: &Progress) {
        self.heard.push(*progress);
        if self.heard.len() == self.stop_after {
            self.cancel.cancel();
        }
    }
}

#[test]
fn the_observer_hears_every_batch_and_cancelling_stops() {
    let (model, data) = (threshold(), eight());
    let run = Run { model: &model, criterion: &Misclassified, data: &data, batch_size: 4 };
    let cancel = CancelToken::new();
    let mut listener = Listener { heard: Vec::new(), stop_after: 9, cancel: &cancel };
    run.observed(&*pgd("0.1"), StrategyName::Softmax, &mut listener, &cancel).unwrap();
    let heard: Vec<_> = listener.heard.iter().map(|p| (p.done, p.of, p.misclassified)).collect();
    // Clean, then attacked: the two misclassified clean are decided before.
    assert_eq!(heard, [(4, 8, 0), (8, 8, 2), (6, 8, 4), (8, 8, 4)]);
    for stop_after in [1, 3] {
        let cancel = CancelToken::new();
        let mut listener = Listener { heard: Vec::new(), stop_after, cancel: &cancel };
        let error = run.observed(&*pgd("0.1"), StrategyName::Softmax, &mut listener, &cancel).unwrap_err();
        assert!(error.is_cancelled() && listener.heard.len() == stop_after, "{error:?}");
    }
}

#[test]
fn what_cannot_be_evaluated_is_refused() {
    let (model, data) = (threshold(), eight());
    let run = Run { model: &model, criterion: &Misclassified, data: &data, batch_size: 0 };
    assert!(matches!(run.robust(&*pgd("0.1"), StrategyName::Softmax), Err(Error::BatchSize { asked: 0 })));
    let none = self::data(&[]);
    let run = Run { model: &model, criterion: &Misclassified, data: &none, batch_size: 1 };
    assert!(matches!(run.robust(&*pgd("0.1"), StrategyName::Softmax), Err(Error::Empty)));
    let cancel = CancelToken::new();
    let mut options = Options { batch_size: 2, cancel: &cancel, observer: &mut () };
    let whole = Evaluation { data: &data, ..run.evaluation() };
    let few = data.take(3).unwrap();
    let other = Evaluation { data: &few, ..whole }.clean(&mut options).unwrap();
    let strategy = StrategyName::Softmax.build(Loss::Ce).unwrap();
    let error = whole.robust(&other, &*pgd("0.1"), &*strategy, &mut options).unwrap_err();
    assert!(matches!(error, Error::Examples { found: 3, expected: 8, .. }));
    let text = r#"{"broken":"2:8","predictions":"1:011","sizes":"0000000000000000"}"#;
    let message = serde_json::from_str::<Outcome>(text).unwrap_err().to_string();
    assert!(message.contains("predictions has 3 examples, expected 2"), "{message}");
}
