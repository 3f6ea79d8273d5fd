//! What every strategy in the list promises, and what each maximises.

use approx::assert_abs_diff_eq;
use robin_attacks::{ATTACKS, Config, Pgd, Start, StepSize};
use robin_core::{
    Adversarial, Attack, Budget, CancelToken, Classifier, ColumnTable, Columns, Misclassified, Norm,
    Objective, Seed, Target, host,
};
use robin_testkit::{Linear, Probe, check_input_gradient};

use super::*;
use crate::OneVsAll;

const SHAPE: [usize; 3] = [1, 2, 4];
const PIXELS: usize = 8;

/// `k` arms of one output; the same numbers as one linear classifier; a batch that it is right on.
fn linear(k: usize, seed: u64) -> (OneVsAll, Linear, Batch) {
    let mut stream = Seed::new(seed).root_stream();
    let mut draw = |count: usize| (0..count).map(|_| stream.gaussian() as f32).collect::<Vec<_>>();
    let (weights, bias) = (draw(k * PIXELS), draw(k));
    let arms = weights
        .chunks_exact(PIXELS)
        .zip(&bias)
        .map(|(row, &bias)| Box::new(Linear::new(row.to_vec(), vec![bias], SHAPE)) as Box<dyn Classifier>);
    let aggregate = OneVsAll::new(arms.collect()).unwrap();
    let whole = Linear::new(weights, bias, SHAPE);
    let batch = whole.batch(20, Seed::new(seed));
    (aggregate, whole, batch)
}

fn prepare(name: StrategyName, loss: Loss, model: &dyn Classifier, batch: &Batch) -> Vec<Box<dyn Objective>> {
    let clean = model.scores(&batch.images, &Columns::All).unwrap();
    name.build(loss).unwrap().prepare(&clean, batch).unwrap()
}

fn perturb(pgd: &Pgd, model: &OneVsAll, objectives: &[Box<dyn Objective>], batch: &Batch) -> Adversarial {
    let target = Target { model, criterion: &Misclassified, cancel: &CancelToken::new() };
    pgd.perturb(&target, objectives, batch, Seed::new(7)).unwrap()
}

fn pgd(budget: Budget) -> Pgd {
    let step_size = StepSize::STANDARD.pixels(budget.epsilon, 10).unwrap();
    Pgd { budget, steps: 10, step_size, restarts: 1, start: Start::UniformInBall }
}

fn budget(norm: Norm, epsilon: &str) -> Budget {
    Budget { norm, epsilon: epsilon.parse().unwrap() }
}

#[test]
fn names_go_every_way_and_an_unknown_one_lists_the_valid() {
    for entry in STRATEGIES {
        let text = entry.name.to_string();
        assert_eq!(text.parse::<StrategyName>().unwrap(), entry.name);
        assert_eq!(serde_json::to_string(&entry.name).unwrap(), format!("\"{text}\""));
    }
    let message = "worst-arm".parse::<StrategyName>().unwrap_err().to_string();
    assert!(
        message.contains("\"worst-arm\"") && message.contains("softmax, best-arm, top2, highest-arm"),
        "{message}"
    );
}

#[test]
fn every_objective_has_a_true_gradient_through_the_aggregate() {
    let (model, _, batch) = linear(4, 1);
    for entry in STRATEGIES {
        for loss in [Loss::Ce, Loss::Margin] {
            for objective in prepare(entry.name, loss, &model, &batch) {
                let agreement = check_input_gradient(&model, &*objective, &batch.images, Probe::F32).unwrap();
                agreement.assert_median_within(1e-3);
            }
        }
    }
}

#[test]
fn a_selection_is_the_same_objective_for_fewer_examples() {
    let (model, _, batch) = linear(4, 2);
    let rows = [11, 3, 4];
    let part = batch.select(&rows).unwrap();
    for entry in STRATEGIES {
        for loss in [Loss::Ce, Loss::Margin] {
            for objective in prepare(entry.name, loss, &model, &batch) {
                let values = |objective: &dyn Objective, batch: &Batch| {
                    let scores = model.scores(&batch.images, &objective.columns()).unwrap();
                    objective.evaluate(&scores).unwrap().values
                };
                let whole = values(&*objective, &batch);
                assert_eq!(values(&*objective.select(&rows), &part), rows.map(|row| whole[row]));
            }
        }
    }
}

#[test]
fn scores_that_cannot_carry_a_strategy_are_refused_by_its_name() {
    let (_, _, batch) = linear(2, 3);
    let batch = batch.select(&[0, 1]).unwrap();
    for entry in STRATEGIES {
        let refused = |scores: Vec<f32>, columns: usize, batch: &Batch| {
            let rows = scores.len() / columns;
            let scores = Scores::from_vec(scores, rows, columns).unwrap();
            match entry.name.build(Loss::Ce).unwrap().prepare(&scores, batch) {
                Ok(_) => panic!("{} accepts it", entry.name),
                Err(error) => error,
            }
        };
        let message = refused(vec![0.0; 2], 1, &batch).to_string();
        assert!(message.contains("[2, 1]") && message.contains(entry.name.as_str()), "{message}");
        assert!(matches!(refused(vec![0.0; 6], 2, &batch), CoreError::Shape { .. }));
        assert!(matches!(
            refused(vec![0.0, 1.0, f32::NAN, 0.0], 2, &batch),
            CoreError::NotFinite { example: 1, .. }
        ));
        let labelled = Batch { labels: vec![0, 2], ..batch.clone() };
        assert!(matches!(refused(vec![0.0; 4], 2, &labelled), CoreError::Label { label: 2, .. }));
    }
}

fn softplus(x: f64) -> f64 {
    x.exp().ln_1p()
}

fn assert_values(objective: &dyn Objective, scores: &[f32], expected: &[f64]) {
    let (n, width) = (expected.len(), scores.len() / expected.len());
    let values = objective.evaluate(&Scores::from_vec(scores.to_vec(), n, width).unwrap()).unwrap().values;
    robin_testkit::assert_close(&values, expected, 1e-6);
}

#[test]
fn best_arm_raises_each_arms_own_loss() {
    let (model, _, batch) = linear(3, 4);
    let batch = Batch { labels: vec![1, 2], ..batch.select(&[0, 1]).unwrap() };
    for (loss, right, wrong) in
        [(Loss::Ce, softplus as fn(f64) -> f64, softplus as fn(f64) -> f64), (Loss::Margin, |x| x, |x| x)]
    {
        let objectives = prepare(StrategyName::BestArm, loss, &model, &batch);
        assert_eq!(objectives.len(), 3);
        for (column, objective) in objectives.iter().enumerate() {
            assert_eq!(objective.columns(), Columns::One(column));
            // b_j(1) = softplus(-s) for the right arm, b_j(0) = softplus(s) for every other.
            let value = |label, s: f64| if column == label { right(-s) } else { wrong(s) };
            assert_values(&**objective, &[1.5, -2.0], &[value(1, 1.5), value(2, -2.0)]);
        }
    }
}

#[test]
fn top2_lowers_the_first_and_raises_the_second_of_the_clean_image() {
    let (_, _, batch) = linear(4, 5);
    let batch = batch.select(&[0, 1, 2]).unwrap();
    let clean = [[0.5, 3.0, -1.0, 1.0], [-4.0, -2.0, -3.0, -2.0], [1.0, 1.0, 1.0, 1.0]].concat();
    let clean = Scores::from_vec(clean, 3, 4).unwrap();
    let objective = StrategyName::Top2.build(Loss::Ce).unwrap().prepare(&clean, &batch).unwrap().remove(0);
    // The lower class first on ties.
    let columns = Columns::PerExample(ColumnTable { width: 2, indices: vec![1, 3, 1, 3, 0, 1] });
    assert_eq!(objective.columns(), columns);
    let scores = [3.0, 1.0, -2.0, -2.0, 0.0, 0.25];
    let expected = |first: f64, second: f64| (softplus(-first) + softplus(second)) / 2.0;
    assert_values(&*objective, &scores, &[expected(3.0, 1.0), expected(-2.0, -2.0), expected(0.0, 0.25)]);
    let margin = StrategyName::Top2.build(Loss::Margin).unwrap().prepare(&clean, &batch).unwrap().remove(0);
    assert_values(&*margin, &scores, &[-1.0, 0.0, 0.125]);
}

#[test]
fn softmax_is_the_loss_on_all_scores() {
    let (model, whole, batch) = linear(5, 6);
    for loss in [Loss::Ce, Loss::Margin] {
        let objectives = prepare(StrategyName::Softmax, loss, &model, &batch);
        assert_eq!(objectives.len(), 1);
        let scores = whole.scores(&batch.images, &Columns::All).unwrap();
        let plain = loss.against(batch.labels.clone()).evaluate(&scores).unwrap().values;
        assert_eq!(objectives[0].evaluate(&scores).unwrap().values, plain);
    }
}

/// Two linear arms are a linear classifier, and its worst case in the ball is known: SOFTMAX and, with the
/// margin, TOP 2 end there (with cross-entropy TOP 2 weighs its two arms by their saturation). BEST ARM's
/// attack on the right arm ends at that arm's own lowest score instead.
#[test]
fn strategies_reach_their_optima_on_linear_arms() {
    let (model, whole, batch) = linear(2, 8);
    let budget = budget(Norm::Linf, "0.1");
    let clean = host::to_vec(&batch.images).unwrap();
    for loss in [Loss::Ce, Loss::Margin] {
        let optimal: &[StrategyName] = match loss {
            Loss::Ce => &[StrategyName::Softmax],
            _ => &[StrategyName::Softmax, StrategyName::Top2],
        };
        for &name in optimal {
            let found = perturb(&pgd(budget), &model, &prepare(name, loss, &model, &batch), &batch);
            let found = host::to_vec(&found.last.images).unwrap();
            for (row, &label) in batch.labels.iter().enumerate() {
                let image = |values: &[f32]| values[row * PIXELS..(row + 1) * PIXELS].to_vec();
                let expected = whole.worst_image(&image(&clean), label, budget);
                robin_testkit::assert_close(&image(&found), &expected, 1e-6);
            }
        }
        let arms = prepare(StrategyName::BestArm, loss, &model, &batch);
        for (column, objective) in arms.iter().enumerate() {
            let found = perturb(&pgd(budget), &model, std::slice::from_ref(objective), &batch).last.images;
            let moved = |images| model.scores(images, &Columns::One(column)).unwrap().to_vec().unwrap();
            let (before, after) = (moved(&batch.images), moved(&found));
            let reach = after[0] - before[0];
            for ((before, after), &label) in before.iter().zip(after).zip(&batch.labels) {
                assert!((after < *before) == (label as usize == column), "only the right arm is lowered");
                // Every example moves a linear score by epsilon times the same dual norm.
                assert_abs_diff_eq!((after - before).abs(), reach.abs(), epsilon = 1e-5);
            }
        }
    }
}

#[test]
fn best_arm_breaks_what_any_of_its_attacks_breaks() {
    let (model, _, batch) = linear(4, 9);
    for norm in [Norm::L2, Norm::Linf] {
        let epsilon = if norm == Norm::L2 { "0.1" } else { "0.03" };
        let attack = pgd(budget(norm, epsilon));
        let objectives = prepare(StrategyName::BestArm, Loss::Ce, &model, &batch);
        let joined = perturb(&attack, &model, &objectives, &batch);
        let apart: Vec<Adversarial> = objectives
            .iter()
            .map(|one| perturb(&attack, &model, std::slice::from_ref(one), &batch))
            .collect();
        let mut kinds = [0, 0];
        for row in 0..batch.len() {
            let any = apart.iter().any(|found| found.worst.verdicts[row].misclassified);
            assert_eq!(joined.worst.verdicts[row].misclassified, any, "{norm} {row}");
            kinds[usize::from(any)] += 1;
        }
        assert!(kinds[0] > 0 && kinds[1] > 0, "{norm}: both verdicts are needed, {kinds:?}");
    }
}

#[test]
fn a_step_costs_the_arms_behind_it() {
    let (model, _, batch) = linear(4, 10);
    let attack = Config::Pgd(robin_attacks::pgd::Settings {
        steps: 3,
        restarts: 1,
        step_size: StepSize::STANDARD,
        start: Start::UniformInBall,
    });
    let attack = attack.build(budget(Norm::Linf, "0.0001")).unwrap();
    let target = Target { model: &model, criterion: &Misclassified, cancel: &CancelToken::new() };
    for (name, backward) in [
        (StrategyName::Softmax, 12),
        (StrategyName::BestArm, 12),
        (StrategyName::Top2, 6),
        (StrategyName::HighestArm, 3),
        (StrategyName::AverageGradient, 12),
        (StrategyName::SoftmaxTop2, 6),
        (StrategyName::MarginT, 18),
        (StrategyName::Reweighted, 18),
    ] {
        let objectives = prepare(name, Loss::Margin, &model, &batch);
        let found = attack.perturb(&target, &objectives, &batch, Seed::new(1)).unwrap();
        assert!(found.cost.iter().all(|cost| cost.backward == backward), "{name}: {:?}", found.cost);
    }
}

fn all_configs() -> Vec<StrategyConfig> {
    let mut configs = Vec::new();
    for entry in STRATEGIES {
        configs.push(entry.name.into());
        if entry.ranks {
            configs.push(StrategyConfig { rank: Rank::Current, ..entry.name.into() });
        }
        if entry.combines {
            configs.push(StrategyConfig { combine: Combine::Normalised, ..entry.name.into() });
        }
    }
    configs
}

#[test]
fn settings_are_part_of_the_name() {
    for config in all_configs() {
        assert_eq!(config.to_string().parse::<StrategyConfig>().unwrap(), config);
        let json = serde_json::to_string(&config).unwrap();
        assert_eq!(json, format!("\"{config}\""));
        assert_eq!(serde_json::from_str::<StrategyConfig>(&json).unwrap(), config);
    }
    let message = "top2+fast".parse::<StrategyConfig>().unwrap_err().to_string();
    assert!(message.contains("\"fast\"") && message.contains("current, normalised"), "{message}");
}

#[test]
fn pairs_without_sense_are_refused_with_what_is_allowed() {
    let message = |text: &str| match text.parse::<StrategyConfig>().unwrap().build(Loss::Ce) {
        Ok(_) => panic!("{text} is built"),
        Err(error) => error.to_string(),
    };
    let ranks = message("softmax+current");
    assert!(ranks.contains("softmax") && ranks.contains("top2, highest-arm, softmax-top2"), "{ranks}");
    let combines = message("best-arm+normalised");
    assert!(combines.contains("best-arm") && combines.contains("top2, average-gradient"), "{combines}");
    assert!(message("top2+current+normalised").contains("one of the two"));
    let attack = |text: &str, attack| text.parse::<StrategyConfig>().unwrap().check_attack(attack);
    assert!(attack("top2+normalised", "ddn").unwrap_err().to_string().contains("fgsm, pgd, apgd"));
    for name in ["ddn", "fmn", "fab-t"] {
        let message = attack("best-arm", name).unwrap_err().to_string();
        assert!(message.contains("softmax, margin-t"), "{message}");
    }
    // The paper couples Carlini and Wagner's attacks with three strategies.
    for (strategy, name) in [("reweighted", "cw"), ("average-gradient", "cw-linf"), ("top2+current", "cw")] {
        let message = attack(strategy, name).unwrap_err().to_string();
        assert!(message.contains("best-arm, highest-arm, top2"), "{message}");
    }
    for entry in ATTACKS.iter().filter(|entry| entry.name.starts_with("cw")) {
        for strategy in ["softmax", "best-arm", "top2"] {
            attack(strategy, entry.name).unwrap();
        }
    }
    let allowed =
        [("softmax", "fab-t"), ("margin-t", "ddn"), ("top2+normalised", "pgd"), ("top2+normalised", "apgd")];
    for (strategy, name) in allowed {
        attack(strategy, name).unwrap();
    }
}

/// A ranking at every step has the same gradient as one on the clean image as long as the order stands.
#[test]
fn ranking_anew_is_the_same_where_the_order_is_the_same() {
    let (model, _, batch) = linear(4, 11);
    let scores = model.scores(&batch.images, &Columns::All).unwrap();
    for entry in STRATEGIES.iter().filter(|entry| entry.ranks) {
        for loss in [Loss::Ce, Loss::Margin] {
            let objective = |rank| {
                let config = StrategyConfig { rank, ..entry.name.into() };
                config.build(loss).unwrap().prepare(&scores, &batch).unwrap().remove(0)
            };
            let [clean, now] = [Rank::Clean, Rank::Current].map(|rank| {
                let found = objective(rank).ascent(&model, &batch.images).unwrap();
                (found.values, host::to_vec(&found.direction).unwrap())
            });
            assert_eq!(clean.0, now.0, "{}", entry.name);
            robin_testkit::assert_close(&now.1, &clean.1, 1e-6);
            let moved = Scores::from_vec(vec![0.0, 5.0, 1.0, 2.0], 1, 4).unwrap();
            let value = |rank: &dyn Objective| rank.select(&[0]).evaluate(&moved).unwrap().values[0];
            // a1 = 1 and a2 = 3 now, whatever they were.
            let expected = match (entry.name, loss) {
                (StrategyName::Top2, Loss::Margin) => -1.5,
                (StrategyName::HighestArm, Loss::Margin) => -5.0,
                (StrategyName::SoftmaxTop2, Loss::Margin) => -3.0,
                _ => continue,
            };
            assert_eq!(value(&*objective(Rank::Current)), expected, "{}", entry.name);
        }
    }
}

/// One arm's scale does not change a normalised direction, and does change a raw one.
#[test]
fn normalised_terms_have_an_equal_say() {
    let (_, whole, batch) = linear(3, 12);
    let scaled = |factor: f32| {
        let arm = |class: usize, factor: f32| {
            let (weights, bias) = whole.class(class as u32);
            let weights = weights.iter().map(|w| w * factor).collect();
            Box::new(Linear::new(weights, vec![bias * factor], SHAPE)) as Box<dyn Classifier>
        };
        OneVsAll::new(vec![arm(0, 1.0), arm(1, factor), arm(2, 1.0)]).unwrap()
    };
    let (plain, loud) = (scaled(1.0), scaled(64.0));
    // The same two arms for both, so that only their gradients differ.
    let clean = plain.scores(&batch.images, &Columns::All).unwrap();
    for name in [StrategyName::Top2, StrategyName::AverageGradient] {
        let direction = |combine, model: &OneVsAll| {
            let config = StrategyConfig { combine, ..name.into() };
            let objective = config.build(Loss::Margin).unwrap().prepare(&clean, &batch).unwrap().remove(0);
            host::to_vec(&objective.ascent(model, &batch.images).unwrap().direction).unwrap()
        };
        let [raw, normalised] = [Combine::Raw, Combine::Normalised];
        robin_testkit::assert_close(&direction(normalised, &loud), &direction(normalised, &plain), 1e-5);
        let (a, b) = (direction(raw, &loud), direction(raw, &plain));
        assert!(a.iter().zip(&b).any(|(a, b)| (a - b).abs() > 0.1 * b.abs()), "{name}");
    }
}

#[test]
fn highest_arm_breaks_nothing_that_best_arm_does_not() {
    let (model, _, batch) = linear(4, 9);
    for (norm, epsilon) in [(Norm::L2, "0.15"), (Norm::Linf, "0.05")] {
        for loss in [Loss::Ce, Loss::Margin] {
            let attack = pgd(budget(norm, epsilon));
            let misclassified = |name| {
                let found = perturb(&attack, &model, &prepare(name, loss, &model, &batch), &batch);
                found.worst.verdicts.iter().map(|verdict| verdict.misclassified).collect::<Vec<_>>()
            };
            let (highest, best) =
                (misclassified(StrategyName::HighestArm), misclassified(StrategyName::BestArm));
            assert!(highest.iter().zip(&best).all(|(highest, best)| *best || !highest), "{norm} {loss}");
            assert!(highest.contains(&true) && highest.contains(&false), "{norm} {loss}: {highest:?}");
        }
    }
}

/// On linear arms the best of the targeted attacks is the exact worst case.
#[test]
fn margin_t_finds_the_closed_form_worst_case() {
    let (model, whole, batch) = linear(4, 9);
    let budget = budget(Norm::Linf, "0.05");
    let found =
        perturb(&pgd(budget), &model, &prepare(StrategyName::MarginT, Loss::Margin, &model, &batch), &batch);
    let clean = host::to_vec(&batch.images).unwrap();
    let mut both = [false; 2];
    for (row, &label) in batch.labels.iter().enumerate() {
        let image = &clean[row * PIXELS..(row + 1) * PIXELS];
        let breakable = whole.worst_margin(image, label, budget) > 1e-5;
        assert_eq!(found.worst.verdicts[row].misclassified, breakable, "example {row}");
        both[usize::from(breakable)] = true;
    }
    assert_eq!(both, [true; 2], "both verdicts are needed");
}

#[test]
fn values_are_the_documented_ones() {
    let (_, _, batch) = linear(3, 14);
    let batch = Batch { labels: vec![1], ..batch.select(&[0]).unwrap() };
    let clean = Scores::from_vec(vec![-1.0, 2.0, 0.5], 1, 3).unwrap();
    let value = |name: StrategyName, at: usize, scores: &[f32]| {
        let objectives = name.build(Loss::Margin).unwrap().prepare(&clean, &batch).unwrap();
        objectives[at].evaluate(&Scores::from_vec(scores.to_vec(), 1, scores.len()).unwrap()).unwrap().values
            [0]
    };
    assert_eq!(value(StrategyName::HighestArm, 0, &[2.0]), -2.0);
    assert_eq!(value(StrategyName::AverageGradient, 0, &[-1.0, 2.0, 0.5]), (-1.0 - 2.0 + 0.5) / 3.0);
    assert_eq!(value(StrategyName::SoftmaxTop2, 0, &[2.0, 0.5]), -1.5);
    // First against the runner-up 2, then against 0; the right score comes first.
    assert_eq!(value(StrategyName::MarginT, 0, &[2.0, 0.5]), -1.5);
    assert_eq!(value(StrategyName::MarginT, 1, &[2.0, -1.0]), -3.0);
    for (at, weight) in [0.2, 0.5, 0.8_f64].into_iter().enumerate() {
        let expected = ((1.0 - weight) * -2.0 + weight * 0.5) as f32;
        assert_eq!(value(StrategyName::Reweighted, at, &[2.0, 0.5]), expected);
    }
}
