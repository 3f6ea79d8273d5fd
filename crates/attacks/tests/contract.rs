//! What every base attack in the list promises, and what PGD promises beyond it.

mod toys;

use approx::assert_abs_diff_eq;
use robin_attacks::{ATTACKS, Config, Entry, Loss, Pgd, Reach, Start, StepSize};
use robin_core::{
    Adversarial, Ascent, Attack, Batch, Budget, CancelToken, Classifier, Columns, Error, Misclassified, Norm,
    Objective, ObjectiveValues, Scores, Seed, SuccessCriterion, Target, host,
};
use robin_testkit::{Cut, Linear};
use toys::{Counting, NeverMisclassified, Next, RaiseColumn, Wavy};

const SHAPE: [usize; 3] = [1, 3, 4];
const SEED: Seed = Seed::new(11);

fn budgets(epsilons: &[&str]) -> Vec<Budget> {
    let budget = |norm, epsilon: &&str| Budget { norm, epsilon: epsilon.parse().unwrap() };
    epsilons.iter().flat_map(|epsilon| [Norm::L2, Norm::Linf].map(|norm| budget(norm, epsilon))).collect()
}

fn perturb_as(
    attack: &dyn Attack,
    model: &dyn Classifier,
    criterion: &dyn SuccessCriterion,
    objectives: &[Box<dyn Objective>],
    batch: &Batch,
) -> Adversarial {
    let target = Target { model, criterion, cancel: &CancelToken::new() };
    attack.perturb(&target, objectives, batch, SEED).unwrap()
}

fn perturb(config: Config, budget: Budget, model: &dyn Classifier, loss: Loss, batch: &Batch) -> Adversarial {
    let objectives = prepare(loss, model, batch);
    perturb_as(&*config.build(budget).unwrap(), model, &Misclassified, &objectives, batch)
}

fn prepare(loss: Loss, model: &dyn Classifier, batch: &Batch) -> Vec<Box<dyn Objective>> {
    let clean = model.scores(&batch.images, &Columns::All).unwrap();
    loss.prepare(&clean, &batch.labels).unwrap()
}

/// Every attack with every budget of its norms.
fn listed(epsilons: &[&str]) -> Vec<(&'static Entry, Budget)> {
    let budgets = budgets(epsilons);
    let of = |entry: &'static Entry| {
        let norms = budgets.clone().into_iter().filter(|budget| entry.norms.contains(&budget.norm));
        norms.map(move |budget| (entry, budget))
    };
    ATTACKS.iter().flat_map(of).collect()
}

fn values(images: &candle_core::Tensor) -> Vec<f32> {
    host::to_vec(images).unwrap()
}

#[test]
fn every_attack_keeps_budget_and_box_and_tells_the_truth() {
    let models: [&dyn Classifier; 2] = [&Linear::seeded(4, SHAPE, SEED), &Wavy::seeded(4, 12, SEED)];
    for model in models {
        let batch = toys::batch(model, SHAPE, 9);
        for (entry, budget) in listed(&["0.03", "0.3", "2"]) {
            let found = perturb(entry.brief, budget, model, entry.loss, &batch);
            for iterate in [&found.worst, &found.last] {
                budget.verify(&batch.images, &iterate.images).unwrap();
                let target = Target { model, criterion: &Misclassified, cancel: &CancelToken::new() };
                assert_eq!(target.verdicts(&iterate.images, &batch.labels).unwrap(), iterate.verdicts);
            }
            for (worst, last) in found.worst.verdicts.iter().zip(&found.last.verdicts) {
                assert!(worst.misclassified || !last.misclassified, "{} {budget}", entry.name);
            }
        }
    }
}

#[test]
fn epsilon_0_returns_the_clean_images_bit_for_bit() {
    let model = Linear::seeded(3, SHAPE, SEED);
    let batch = model.batch(5, SEED);
    for (entry, budget) in listed(&["0"]) {
        let found = perturb(entry.brief, budget, &model, entry.loss, &batch);
        for iterate in [found.worst, found.last] {
            assert_eq!(values(&iterate.images), values(&batch.images), "{} {budget}", entry.name);
            assert!(iterate.verdicts.iter().all(|verdict| !verdict.misclassified));
        }
    }
}

#[test]
fn results_depend_on_neither_batch_size_nor_order() {
    let model = Wavy::seeded(4, 12, SEED);
    let batch = toys::batch(&model, SHAPE, 8);
    let mut some_misclassified = false;
    for (entry, budget) in listed(&["0.08"]) {
        let attack = |batch: &Batch| perturb(entry.brief, budget, &model, entry.loss, batch);
        let whole = attack(&batch);
        some_misclassified |= whole.worst.verdicts.iter().any(|verdict| verdict.misclassified);
        for rows in [vec![7, 6, 5, 4, 3, 2, 1, 0], vec![2, 5], vec![4]] {
            let part = attack(&batch.select(&rows).unwrap());
            for (part, whole) in [(&part.worst, &whole.worst), (&part.last, &whole.last)] {
                let expected = host::select(&whole.images, &rows).unwrap();
                assert_eq!(values(&part.images), values(&expected), "{} {budget}", entry.name);
                let expected: Vec<_> = rows.iter().map(|&row| whole.verdicts[row]).collect();
                assert_eq!(part.verdicts, expected);
            }
            let expected: Vec<_> = rows.iter().map(|&row| whole.cost[row]).collect();
            assert_eq!(part.cost, expected);
        }
    }
    assert!(some_misclassified, "a test in which nothing breaks sees no example drop out");
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let model = Wavy::seeded(4, 12, SEED);
    let batch = toys::batch(&model, SHAPE, 8);
    for (entry, budget) in listed(&["0.08"]) {
        let [one, three] = [1, 3].map(|threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| perturb(entry.brief, budget, &model, entry.loss, &batch))
        });
        assert_eq!(values(&one.worst.images), values(&three.worst.images), "{} {budget}", entry.name);
        assert_eq!(values(&one.last.images), values(&three.last.images), "{} {budget}", entry.name);
        assert_eq!((one.worst.verdicts, one.cost), (three.worst.verdicts, three.cost));
    }
}

#[test]
fn costs_are_what_the_classifier_was_asked_for() {
    let inner = Wavy::seeded(4, 12, SEED);
    let batch = toys::batch(&inner, SHAPE, 6);
    for (entry, budget) in listed(&["0.05"]) {
        let model = Counting::new(&inner);
        let objectives = prepare(entry.loss, &inner, &batch);
        let attack = entry.brief.build(budget).unwrap();
        let found = perturb_as(&*attack, &model, &Misclassified, &objectives, &batch);
        let total = |part: fn(&robin_core::Cost) -> u32| found.cost.iter().map(part).sum::<u32>();
        assert_eq!(total(|cost| cost.forward), model.forward(), "{} {budget}", entry.name);
        assert_eq!(total(|cost| cost.backward), model.backward(), "{} {budget}", entry.name);
    }
}

#[test]
fn cancelling_stops_and_bad_input_is_refused() {
    let model = Linear::seeded(3, SHAPE, SEED);
    let batch = model.batch(2, SEED);
    for (entry, budget) in listed(&["0.1"]) {
        let attack = entry.brief.build(budget).unwrap();
        let objectives = prepare(entry.loss, &model, &batch);
        let refused = |batch: &Batch, cancel: &CancelToken| {
            let target = Target { model: &model, criterion: &Misclassified, cancel };
            attack.perturb(&target, &objectives, batch, SEED).unwrap_err()
        };
        let cancel = CancelToken::new();
        let dark = Batch { images: (&batch.images - 1.0).unwrap(), ..batch.clone() };
        assert!(matches!(refused(&dark, &cancel), Error::OutsideBox { .. }), "{}", entry.name);
        let labelled = Batch { labels: vec![0, 3], ..batch.clone() };
        assert!(matches!(refused(&labelled, &cancel), Error::Label { label: 3, .. }), "{}", entry.name);
        cancel.cancel();
        assert!(matches!(refused(&batch, &cancel), Error::Cancelled), "{}", entry.name);
    }
}

#[test]
fn a_cut_graph_is_an_error_and_not_robustness() {
    let model = Cut(Linear::seeded(3, SHAPE, SEED));
    let batch = model.0.batch(2, SEED);
    let target = Target { model: &model, criterion: &Misclassified, cancel: &CancelToken::new() };
    let pgd = pgd(budgets(&["0.1"])[0], 3);
    let objectives = [Loss::Ce.against(batch.labels.clone())];
    assert!(matches!(pgd.perturb(&target, &objectives, &batch, SEED), Err(Error::GraphCut)));
}

fn pgd(budget: Budget, steps: usize) -> Pgd {
    let step_size = StepSize::STANDARD.pixels(budget.epsilon, steps).unwrap();
    Pgd { budget, steps, step_size, restarts: 1, start: Start::UniformInBall }
}

/// With two classes the cross-entropy and the margin rise in one direction everywhere, so the highest point
/// of the ball is known.
#[test]
fn gradient_attacks_reach_the_optimum_of_a_linear_model() {
    let model = Linear::seeded(2, SHAPE, SEED);
    let batch = model.batch(6, SEED);
    let clean = values(&batch.images);
    let pgd = |step_size| {
        Config::Pgd(robin_attacks::pgd::Settings {
            steps: 10,
            restarts: 1,
            step_size,
            start: Start::UniformInBall,
        })
    };
    // In l2 each step shrinks the angle to the optimum, by less the shorter it is: steps of 2.5 epsilon in all
    // end near it, longer ones at it.
    let cases = [
        (pgd(StepSize::STANDARD), 0.9),
        (pgd(StepSize::Relative(10.0)), 0.99),
        (Config::Fgsm(robin_attacks::fgsm::Settings {}), 0.99999),
    ];
    for (config, l2_share) in cases {
        for loss in [Loss::Ce, Loss::Margin] {
            for budget in budgets(&["0.2"]) {
                let found = values(&perturb(config, budget, &model, loss, &batch).last.images);
                for ((clean, found), &label) in
                    clean.chunks_exact(12).zip(found.chunks_exact(12)).zip(&batch.labels)
                {
                    let gain = model.margin(found, label) - model.margin(clean, label);
                    let most = model.worst_margin(clean, label, budget) - model.margin(clean, label);
                    assert!(
                        gain <= most * (1.0 + 1e-5) && gain >= l2_share * most,
                        "{budget}: {gain} {most}"
                    );
                    if budget.norm == Norm::Linf {
                        for (x, e) in found.iter().zip(model.worst_image(clean, label, budget)) {
                            assert_abs_diff_eq!(*x, e, epsilon = 2e-7);
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn apgd_reaches_the_optimum_of_a_linear_model_and_its_objective_never_falls_with_more_steps() {
    let model = Linear::seeded(2, SHAPE, SEED);
    let batch = model.batch(6, SEED);
    let clean = values(&batch.images);
    for loss in [Loss::Ce, Loss::Margin, Loss::MarginT(1)] {
        for budget in budgets(&["0.2"]) {
            let mut before = vec![f64::NEG_INFINITY; batch.len()];
            for steps in [1, 5, 50] {
                let config = Config::Apgd(robin_attacks::apgd::Settings {
                    steps,
                    restarts: 1,
                    rising_share: 0.75,
                    momentum: 0.75,
                });
                let attack = config.build(budget).unwrap();
                let objectives = prepare(loss, &model, &batch);
                let found = perturb_as(&*attack, &model, &NeverMisclassified, &objectives, &batch);
                let images = values(&found.worst.images);
                let margins = images.chunks_exact(12).zip(&batch.labels).map(|(x, &y)| model.margin(x, y));
                let now: Vec<f64> = margins.collect();
                // From 1 step to 5 the checkpoints are other ones, but on a plane both only rise.
                assert!(now.iter().zip(&before).all(|(now, before)| *now >= before - 1e-6), "{steps}");
                before = now;
            }
            for ((clean, now), &label) in clean.chunks_exact(12).zip(&before).zip(&batch.labels) {
                let start = model.margin(clean, label);
                let most = model.worst_margin(clean, label, budget) - start;
                let share = (now - start) / most;
                assert!((0.9999..1.0 + 1e-5).contains(&share), "{loss} {budget}: {share}");
            }
        }
    }
}

/// A model whose gradient is useless: only random search sees that the image matters.
#[test]
fn square_breaks_what_has_no_gradient() {
    let model = Cut(Linear::seeded(3, SHAPE, SEED));
    let batch = model.0.batch(8, SEED);
    for budget in budgets(&["0.3"]) {
        let entry = ATTACKS.iter().find(|entry| entry.name == "square").unwrap();
        let found = perturb(entry.brief, budget, &model, Loss::Margin, &batch);
        let clean = values(&batch.images);
        for (row, clean) in clean.chunks_exact(12).enumerate() {
            let possible = model.0.worst_margin(clean, batch.labels[row], budget) > 0.5;
            assert!(!possible || found.worst.verdicts[row].misclassified, "{budget} {row}");
        }
        assert!(found.cost.iter().all(|cost| cost.backward == 0));
    }
}

#[test]
fn more_steps_of_one_size_never_lower_the_best_objective() {
    let model = Wavy::seeded(4, 12, SEED);
    let batch = toys::batch(&model, SHAPE, 6);
    for loss in [Loss::Ce, Loss::Margin] {
        for budget in budgets(&["1"]) {
            let objective = loss.against(batch.labels.clone());
            let best = |steps| {
                let pgd = Pgd { steps, ..pgd(budget, 4) };
                // Where nothing is misclassified, the returned image is the best iterate.
                let objectives = [objective.select(&[0, 1, 2, 3, 4, 5])];
                let found = perturb_as(&pgd, &model, &NeverMisclassified, &objectives, &batch);
                let scores = |images| model.scores(images, &objective.columns()).unwrap();
                let last = objective.evaluate(&scores(&found.last.images)).unwrap().values;
                (objective.evaluate(&scores(&found.worst.images)).unwrap().values, last)
            };
            let mut before = vec![f32::NEG_INFINITY; 6];
            let mut overshot = false;
            for steps in 1..20 {
                let (best, last) = best(steps);
                assert!(
                    before.iter().zip(&best).all(|(before, now)| now >= before),
                    "{loss} {budget} {steps}"
                );
                overshot |= last.iter().zip(&best).any(|(last, best)| last < best);
                before = best;
            }
            assert!(overshot, "on a smooth hill the final point is the best, and the test sees nothing");
        }
    }
}

/// Joining several objectives is the per-example "or" of the attacks by themselves, for both iterates: that
/// examples drop out on the way moves no verdict.
#[test]
fn several_objectives_are_joined_per_example() {
    let model = Wavy::seeded(4, 12, SEED);
    let batch = toys::batch(&model, SHAPE, 40);
    let objectives = || -> Vec<Box<dyn Objective>> {
        (0..2).map(|column| Box::new(RaiseColumn { column, n: batch.len() }) as Box<dyn Objective>).collect()
    };
    for budget in
        [("1.0", Norm::L2), ("0.3", Norm::Linf)].map(|(e, norm)| Budget { norm, epsilon: e.parse().unwrap() })
    {
        let pgd = pgd(budget, 3);
        let joined = perturb_as(&pgd, &model, &Next, &objectives(), &batch);
        let apart: Vec<Adversarial> = (0..2)
            .map(|column| {
                let objective = objectives().swap_remove(column);
                perturb_as(&pgd, &model, &Next, &[objective], &batch)
            })
            .collect();
        let mut kinds = [0; 3];
        for row in 0..batch.len() {
            let worst = apart.iter().any(|found| found.worst.verdicts[row].misclassified);
            let last = apart.iter().any(|found| found.last.verdicts[row].misclassified);
            assert_eq!(joined.worst.verdicts[row].misclassified, worst, "{budget} {row}");
            assert_eq!(joined.last.verdicts[row].misclassified, last, "{budget} {row}");
            kinds[usize::from(worst) + usize::from(last)] += 1;
        }
        assert!(kinds.iter().all(|&count| count > 0), "{budget}: every kind of verdict is needed, {kinds:?}");
    }
}

#[test]
fn more_restarts_and_candidates_only_break_more() {
    let model = Wavy::seeded(4, 12, SEED);
    let batch = toys::batch(&model, SHAPE, 40);
    let pgd = |restarts| {
        Config::Pgd(robin_attacks::pgd::Settings {
            steps: 2,
            restarts,
            step_size: StepSize::STANDARD,
            start: Start::UniformInBall,
        })
    };
    let noise = |candidates| Config::RandomNoise(robin_attacks::random_noise::Settings { candidates });
    let apgd = |restarts| {
        Config::Apgd(robin_attacks::apgd::Settings { steps: 2, restarts, rising_share: 0.75, momentum: 0.75 })
    };
    let square = |restarts| {
        Config::Square(robin_attacks::square::Settings {
            queries: 1,
            restarts,
            first_share: 0.8,
            reach: Reach::Whole,
        })
    };
    for (few, many) in [(pgd(1), pgd(5)), (noise(1), noise(40)), (apgd(1), apgd(5)), (square(1), square(5))] {
        for budget in budgets(&["0.09"]) {
            let [few, many] = [few, many].map(|config| perturb(config, budget, &model, Loss::Margin, &batch));
            let mut gained = 0;
            for (few, many) in
                [(&few.worst, &many.worst), (&few.last, &many.last)].map(|(f, m)| (&f.verdicts, &m.verdicts))
            {
                for (few, many) in few.iter().zip(many) {
                    assert!(many.misclassified || !few.misclassified);
                    gained += usize::from(many.misclassified && !few.misclassified);
                }
            }
            assert!(gained > 0, "{budget}: the further runs do nothing");
        }
    }
}

#[test]
fn the_training_attack_is_the_final_point_and_nothing_more() {
    let inner = Wavy::seeded(4, 12, SEED);
    let batch = toys::batch(&inner, SHAPE, 5);
    let objective = Loss::Ce.against(batch.labels.clone());
    for budget in budgets(&["0.3"]) {
        let pgd = pgd(budget, 7);
        let model = Counting::new(&inner);
        let climbed = pgd.ascend(&model, &*objective, &batch, SEED, &CancelToken::new()).unwrap();
        assert_eq!((model.forward(), model.backward()), (5 * 7, 5 * 7));
        let objectives = [Loss::Ce.against(batch.labels.clone())];
        let found = perturb_as(&pgd, &inner, &NeverMisclassified, &objectives, &batch);
        assert_eq!(values(&climbed), values(&found.last.images));
        let other_seed = Seed::new(12);
        let other = pgd.ascend(&inner, &*objective, &batch, other_seed, &CancelToken::new()).unwrap();
        assert_ne!(values(&climbed), values(&other));
    }
}

#[test]
fn exactly_zero_gradients_make_no_step_and_are_counted() {
    let model = Linear::new(vec![0.0; 24], vec![1.0, 0.0], SHAPE);
    let batch = model.batch(3, SEED);
    for budget in budgets(&["0.3"]) {
        let pgd = Pgd { start: Start::Clean, ..pgd(budget, 6) };
        let objectives = [Loss::Margin.against(batch.labels.clone())];
        let found = perturb_as(&pgd, &model, &Misclassified, &objectives, &batch);
        assert!(found.cost.iter().all(|cost| cost.zero_gradients == 6 && cost.backward == 6));
        assert_eq!(values(&found.last.images), values(&batch.images));
    }
}

/// An objective that says by itself where it rises; its own gradient points nowhere.
struct SaysWhere(Box<dyn Objective>);

impl Objective for SaysWhere {
    fn columns(&self) -> Columns {
        self.0.columns()
    }

    fn evaluate(&self, scores: &Scores) -> robin_core::Result<ObjectiveValues> {
        let ObjectiveValues { values, score_gradient } = self.0.evaluate(scores)?;
        Ok(ObjectiveValues { values, score_gradient: score_gradient.zeros_like()? })
    }

    fn select(&self, rows: &[usize]) -> Box<dyn Objective> {
        Box::new(Self(self.0.select(rows)))
    }

    fn ascent(&self, model: &dyn Classifier, images: &candle_core::Tensor) -> robin_core::Result<Ascent> {
        Ok(Ascent { scores: None, ..self.0.ascent(model, images)? })
    }
}

#[test]
fn attacks_that_climb_follow_the_direction_that_the_objective_says() {
    let model = Wavy::seeded(4, 12, SEED);
    let batch = toys::batch(&model, SHAPE, 9);
    for name in ["fgsm", "pgd", "apgd"] {
        let entry = ATTACKS.iter().find(|entry| entry.name == name).unwrap();
        for budget in budgets(&["0.1"]) {
            let attack = entry.brief.build(budget).unwrap();
            let plain = prepare(Loss::Margin, &model, &batch);
            let says: Vec<Box<dyn Objective>> = prepare(Loss::Margin, &model, &batch)
                .into_iter()
                .map(|o| Box::new(SaysWhere(o)) as _)
                .collect();
            let plain = perturb_as(&*attack, &model, &Misclassified, &plain, &batch);
            let says = perturb_as(&*attack, &model, &Misclassified, &says, &batch);
            assert_eq!(values(&says.worst.images), values(&plain.worst.images), "{name} {budget}");
            assert_eq!(says.worst.verdicts, plain.worst.verdicts, "{name} {budget}");
            assert!(says.cost.iter().all(|cost| cost.zero_gradients == 0), "{name} {budget}");
        }
    }
}
