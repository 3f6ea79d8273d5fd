//! Attacks that look for the smallest perturbation, where it is known and where it is not.

#[expect(dead_code, reason = "the contract tests use the rest of it")]
mod toys;

use robin_attacks::{ATTACKS, Config, Loss, MinimalAttack, Smallest};
use robin_core::{
    Batch, Budget, CancelToken, Classifier, Columns, Error, Misclassified, Norm, Seed, Target, host,
};
use robin_testkit::Linear;
use toys::Wavy;

const SHAPE: [usize; 3] = [1, 3, 4];
const SEED: Seed = Seed::new(11);

fn smallest(
    attack: &dyn MinimalAttack,
    model: &dyn Classifier,
    loss: Loss,
    batch: &Batch,
    enough: Option<f64>,
) -> Result<Smallest, Error> {
    let target = Target { model, criterion: &Misclassified, cancel: &CancelToken::new() };
    let clean = model.scores(&batch.images, &Columns::All)?;
    attack.smallest(&target, &loss.prepare(&clean, &batch.labels)?, batch, SEED, enough)
}

/// Distance to the nearest hyperplane between two classes: the lead of the label over the dual norm.
fn closed_form(model: &Linear, image: &[f32], label: u32, norm: Norm) -> f64 {
    let at =
        |epsilon: &str| model.worst_margin(image, label, Budget { norm, epsilon: epsilon.parse().unwrap() });
    // The worst margin is convex in epsilon and crosses 0 once.
    let (mut near, mut far) = (0.0, 1.0);
    assert!(at("1") > 0.0, "the border is within 1");
    for _ in 0..50 {
        let middle: f64 = (near + far) / 2.0;
        if at(&middle.to_string()) > 0.0 { far = middle } else { near = middle }
    }
    far
}

fn minimal() -> impl Iterator<Item = (&'static str, Config, Loss, Norm)> {
    ATTACKS.iter().flat_map(|entry| {
        let config = match entry.example {
            // Grey levels are coarser than the distances of this test.
            Config::Ddn(robin_attacks::ddn::Settings { steps, radius_rate, first_radius, .. }) => {
                Config::Ddn(robin_attacks::ddn::Settings { steps, radius_rate, first_radius, levels: None })
            }
            // With its usual numbers the bound falls by a tenth at a time, and steps are half a distance long.
            Config::CwLinf(robin_attacks::cw_linf::Settings {
                steps,
                first_constant,
                largest_constant,
                constant_factor,
                smallest_bound,
                ..
            }) => Config::CwLinf(robin_attacks::cw_linf::Settings {
                steps,
                step_size: 0.005,
                first_constant,
                largest_constant,
                constant_factor,
                bound_factor: 0.97,
                smallest_bound,
            }),
            other => other,
        };
        let norms = entry.norms.iter().filter(move |norm| config.minimal(**norm).is_ok());
        // Cross-entropy leads to a mixture of the other classes, and not to the nearest.
        let loss = if entry.loss == Loss::Ce { Loss::MarginT(2) } else { entry.loss };
        norms.map(move |norm| (entry.name, config, loss, *norm))
    })
}

#[test]
fn distances_to_the_border_of_a_linear_model_are_found() {
    // Small weights, so that the box is no constraint, and a border within reach of every example.
    let model = Linear::seeded(3, SHAPE, SEED);
    let batch = model.batch(80, SEED);
    let images = host::to_vec(&batch.images).unwrap();
    let mut seen = Vec::new();
    for (name, config, loss, norm) in minimal() {
        let attack = config.minimal(norm).unwrap();
        let found = smallest(&*attack, &model, loss, &batch, None).unwrap();
        let (mut worst, mut tested) = (1.0_f64, 0);
        for (row, clean) in images.chunks_exact(12).enumerate() {
            let least = closed_form(&model, clean, batch.labels[row], norm);
            // Above, the box may be in the way; below, one of Adam's steps is longer than the way.
            let nearest = if norm == Norm::L2 { 0.1 } else { 0.03 };
            if !(nearest..0.4).contains(&least) {
                continue;
            }
            tested += 1;
            let share = found.distances[row] / least;
            assert!(share > 1.0 - 1e-4, "{name} {norm} {row}: nearer than the border, {share}");
            worst = worst.max(share);
        }
        // Without its search the attack is only as good as its one constant.
        let allowed = if name == "cw-paper" { f64::INFINITY } else { 1.05 };
        assert!(tested >= 3 && worst < allowed, "{name} {norm}: {worst}, {tested} examples");
        seen.push((name, norm));
    }
    assert_eq!(seen.len(), 8, "{seen:?}");
}

#[test]
fn distances_are_those_of_the_images_and_the_judge_agrees() {
    let model = Wavy::seeded(4, 12, SEED);
    let batch = toys::batch(&model, SHAPE, 6);
    let clean = host::to_vec(&batch.images).unwrap();
    for entry in ATTACKS {
        for &norm in entry.norms {
            let Ok(attack) = entry.brief.minimal(norm) else { continue };
            let found = smallest(&*attack, &model, entry.loss, &batch, None).unwrap();
            let target = Target { model: &model, criterion: &Misclassified, cancel: &CancelToken::new() };
            assert_eq!(
                target.verdicts(&found.images, &batch.labels).unwrap(),
                found.verdicts,
                "{}",
                entry.name
            );
            let images = host::to_vec(&found.images).unwrap();
            for (row, (image, clean)) in images.chunks_exact(12).zip(clean.chunks_exact(12)).enumerate() {
                assert!(image.iter().all(|x| (0.0..=1.0).contains(x)));
                assert_eq!(found.verdicts[row].misclassified, found.distances[row].is_finite());
                if found.verdicts[row].misclassified {
                    assert_eq!(found.distances[row], norm.distance(clean, image));
                } else {
                    assert_eq!(image, clean);
                }
            }
        }
    }
}

#[test]
fn an_example_that_is_wrong_when_clean_is_at_distance_0_and_costs_one_look() {
    let model = Linear::seeded(3, SHAPE, SEED);
    let mut batch = model.batch(2, SEED);
    batch.labels[1] = (batch.labels[1] + 1) % 3;
    for (name, config, loss, norm) in minimal() {
        let attack = config.minimal(norm).unwrap();
        let found = smallest(&*attack, &model, loss, &batch, Some(0.0)).unwrap();
        assert!(found.distances[0] > 0.0);
        assert_eq!((found.distances[1], found.cost[1].forward), (0.0, 1), "{name}");
    }
}

#[test]
fn under_a_budget_misclassified_is_what_has_a_small_enough_distance() {
    let model = Wavy::seeded(4, 12, SEED);
    let batch = toys::batch(&model, SHAPE, 12);
    for entry in ATTACKS {
        for &norm in entry.norms {
            let Ok(attack) = entry.brief.minimal(norm) else { continue };
            let distances = smallest(&*attack, &model, entry.loss, &batch, None).unwrap().distances;
            let mut sorted = distances.clone();
            sorted.sort_by(f64::total_cmp);
            let epsilon = sorted[5] * 1.0001;
            let budget = Budget { norm, epsilon: epsilon.to_string().parse().unwrap() };
            let target = Target { model: &model, criterion: &Misclassified, cancel: &CancelToken::new() };
            let clean = model.scores(&batch.images, &Columns::All).unwrap();
            let objectives = entry.loss.prepare(&clean, &batch.labels).unwrap();
            let attack = entry.brief.build(budget).unwrap();
            let found = attack.perturb(&target, &objectives, &batch, SEED).unwrap();
            budget.verify(&batch.images, &found.worst.images).unwrap();
            for (row, distance) in distances.iter().enumerate() {
                assert_eq!(
                    found.worst.verdicts[row].misclassified,
                    *distance <= epsilon,
                    "{} {row}",
                    entry.name
                );
            }
        }
    }
}

#[test]
fn attacks_that_aim_at_the_border_refuse_losses_that_do_not_say_where_it_is() {
    let model = Linear::seeded(3, SHAPE, SEED);
    let batch = model.batch(2, SEED);
    for (name, config, _, norm) in minimal() {
        let attack = config.minimal(norm).unwrap();
        let border = ATTACKS.iter().any(|entry| entry.name == name && entry.border);
        match smallest(&*attack, &model, Loss::Ce, &batch, Some(10.0)) {
            Ok(_) => assert!(!border, "{name}"),
            Err(error) => {
                assert!(border, "{name}");
                let message = error.to_string();
                // `cw-paper` is `cw` with other numbers.
                assert!(
                    message.contains(name.trim_end_matches("-paper")) && message.contains("margin-t:T"),
                    "{message}"
                );
            }
        }
    }
}
