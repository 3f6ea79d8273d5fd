//! Figures 1, 2, 3, 4 and 6 from images to what is drawn, with everything tiny.

use approx::assert_abs_diff_eq;
use std::collections::BTreeSet;
use std::path::Path;

use robin_core::CancelToken;
use robin_experiments::cell::one_class;
use robin_experiments::figure::{Figure, Shape, Side};
use robin_experiments::record::Kind;
use robin_experiments::study::{StudyPart, figures};
use robin_experiments::{Environment, Options, Outcome, Plan, Profile, Request, Spec, reproduce};
use robin_training::SaveToken;

/// The item's own spec, `changes` made.
fn spec(item: &str, changes: &[(&str, &str)]) -> Spec {
    let (_, text) = robin_experiments::ITEMS.iter().find(|(name, _)| *name == item).unwrap();
    let text = changes.iter().fold((*text).to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from:?} is not in the spec of {item}");
        text.replace(from, to)
    });
    // One epoch on few images, and no long attack; the specs may only shrink what the common text allows.
    let common = robin_experiments::COMMON
        .replace("batch_size = 128", "batch_size = 32")
        .replace("steps = 10,", "steps = 2,");
    Spec::parse_with(&common, item, &text).unwrap()
}

const TINY: (&str, &str) = (
    "[smoke.datasets.mnist]\nepochs = 8\ntrain_images = 1000\ntest_images = 500\ntraining_set_images = 200",
    "[smoke.datasets.mnist]\nwidth = 4\nepochs = 1\ntrain_images = 96\ntest_images = 120\ntraining_set_images = 8",
);

fn plan(specs: &[Spec], rows: Option<&str>) -> Plan {
    let request = Request {
        profile: Profile::Smoke,
        rows: rows.map(str::to_owned),
        beyond: false,
        seeds: None,
        reading: None,
        attack_images: Default::default(),
        device: "cpu".parse().unwrap(),
        data_dir: None,
    };
    Plan::new(specs, &request).unwrap()
}

fn run(plan: &Plan, folder: &Path, (threads, batch_size): (usize, usize)) -> Outcome {
    let environment = Environment::detect(Some("a commit"));
    let options = Options {
        threads: Some(threads),
        jobs: None,
        batch_size,
        checkpoint_every: Options::CHECKPOINT_EVERY,
        cancel: &CancelToken::new(),
        save: SaveToken::new(),
        observer: &(),
        environment: &environment,
    };
    let (outcome, _) = reproduce(plan, folder, &options).unwrap();
    assert!(outcome.failures.is_empty(), "{:?}", outcome.failures);
    outcome
}

fn drawn(plan: &Plan, outcome: &Outcome) -> Vec<Figure> {
    plan.items.iter().flat_map(|item| figures(plan, item, outcome).unwrap()).collect()
}

#[test]
fn figures_3_and_4_share_their_networks_and_draw_what_was_counted() {
    let specs = [spec("figure-3", &[TINY]), spec("figure-4", &[TINY])];
    let plan = plan(&specs, Some("mnist/cnn2/l2-halved"));
    let networks = plan.cells.iter().filter(|cell| cell.kind() == Kind::Network).count();
    // Three numbers of classes under two orders; the same again without attacks.
    assert_eq!(networks, 2 * 3 * 2);
    let folder = tempfile::tempdir().unwrap();
    let outcome = run(&plan, folder.path(), (2, 256));
    let figures = drawn(&plan, &outcome);
    let ids: Vec<&str> = figures.iter().map(|figure| figure.id.as_str()).collect();
    assert_eq!(ids, ["figure-3", "figure-3-balanced", "figure-4", "figure-4-balanced"]);

    let [sweep, _, regimes, _] = &figures[..] else { unreachable!() };
    let Shape::Lines(lines) = &sweep.panels[0].shape else { panic!("not lines") };
    assert_eq!(lines.len(), 3);
    for line in lines {
        let budgets: Vec<f64> = line.points.iter().map(|point| point.x).collect();
        assert_eq!(budgets, [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0]);
        assert!(line.points.iter().all(|point| point.n == Some(2) && point.records.len() == 2));
    }
    let Shape::Lines(lines) = &regimes.panels[0].shape else { panic!("not lines") };
    let sides: Vec<Side> = lines.iter().map(|line| line.side).collect();
    assert_eq!(sides, [Side::Left, Side::Right]);
    assert!(sweep.notes.iter().any(|note| note.contains("MNIST stands in")), "{:?}", sweep.notes);
    assert!(sweep.notes.iter().any(|note| note.contains("class orders 2 (paper: 20)")), "{:?}", sweep.notes);
    assert!(!sweep.comparable);

    // The first point is the mean over orders of what the records count.
    let study = plan.items[0].study.as_ref().unwrap();
    let clean = study.places.iter().filter(
        |(place, _)| matches!(place.part, StudyPart::OneClass { count: 4, test, .. } if test.get() == 0.0),
    );
    let accuracies: Vec<f64> =
        clean.map(|(_, cell)| one_class::read(&outcome.records[cell]).unwrap().all).collect();
    let Shape::Lines(lines) = &sweep.panels[0].shape else { unreachable!() };
    assert_eq!(lines[1].name, "4 classes");
    assert_abs_diff_eq!(lines[1].points[0].y, accuracies.iter().sum::<f64>() / 2.0, epsilon = 1e-12);

    // Clean errors stay misclassified under every attack, in every record.
    for (place, cell) in &study.places {
        let (clean, robust) = one_class::examples(&outcome.records[cell]).unwrap();
        let StudyPart::OneClass { test, .. } = place.part else { unreachable!() };
        assert_eq!(robust.is_some(), test.get() > 0.0);
        if let Some(robust) = robust {
            assert!(
                clean
                    .misclassified
                    .iter()
                    .zip(&robust.worst.misclassified)
                    .all(|(clean, worst)| !clean || *worst)
            );
        }
    }
}

#[test]
fn figure_1_counts_every_image_once_and_no_batch_size_moves_a_distance() {
    let fewer = [
        TINY,
        ("l2 = { steps = 50 }", "l2 = { steps = 4 }"),
        ("images = 100\nl2 = { steps = 40, searches = 3 }", "images = 12\nl2 = { steps = 4, searches = 1 }"),
    ];
    let plan = plan(&[spec("figure-1", &fewer)], Some("mnist/cnn2/l2-halved"));
    let [one, other] = [(1, 256), (2, 5)].map(|sizes| {
        let folder = tempfile::tempdir().unwrap();
        drawn(&plan, &run(&plan, folder.path(), sizes))
    });
    assert_eq!(one, other);
    let Shape::Histogram(sets) = &one[0].panels[0].shape else { panic!("no histogram") };
    assert_eq!(sets.iter().map(|set| set.name.as_str()).collect::<Vec<_>>(), ["2 classes", "10 classes"]);
    for set in sets {
        // Two orders of twelve images; clean errors are in the first bin.
        let censored = set.apart.iter().find(|apart| apart.why.contains("no perturbation")).unwrap();
        assert_eq!(set.counts.iter().sum::<u64>() + censored.count, 24, "{set:?}");
        assert!(set.counts[0] >= set.apart[0].count);
    }
}

#[test]
fn figure_6_measures_arms_and_an_ensemble_with_their_control() {
    let small = (
        "[study]",
        "[smoke.datasets.mnist]\nwidth = 4\nepochs = 1\ntrain_images = 96\ntest_images = 20\n\
         training_set_images = 8\n\n[study]",
    );
    let plan = plan(&[spec("figure-6", &[small])], Some("mnist"));
    let folder = tempfile::tempdir().unwrap();
    let outcome = run(&plan, folder.path(), (2, 7));
    let figure = &drawn(&plan, &outcome)[0];
    let Shape::Histogram(sets) = &figure.panels[0].shape else { panic!("no histogram") };
    assert_eq!(sets.iter().map(|set| set.name.as_str()).collect::<Vec<_>>(), ["robin", "ensemble of 5"]);
    for set in sets {
        let apart: u64 = set.apart.iter().map(|apart| apart.count).sum();
        assert_eq!(set.counts.iter().sum::<u64>() + apart, 20, "{set:?}");
    }
    assert_eq!(figure.notes.iter().filter(|note| note.contains("before training: mean")).count(), 2);
    // Ten arms and five networks, each trained once.
    let networks = plan.cells.iter().filter(|cell| cell.kind() == Kind::Network).count();
    assert_eq!(networks, 15);
}

#[test]
fn figure_2_needs_no_network_and_no_row() {
    let small = [
        ("train_points = 200", "train_points = 40"),
        ("epochs = 40", "epochs = 3"),
        ("grid = 100", "grid = 10"),
    ];
    let plan = plan(&[spec("figure-2", &small)], None);
    let [cell] = &plan.cells[..] else { panic!("{} cells", plan.cells.len()) };
    assert_eq!((&cell.settings()["kind"], cell.needs.len()), (&"toy".into(), 0));
    let folder = tempfile::tempdir().unwrap();
    let figures = drawn(&plan, &run(&plan, folder.path(), (2, 256)));
    assert_eq!(figures[0].panels.len(), 3);
    for panel in &figures[0].panels {
        let Shape::Regions(regions) = &panel.shape else { panic!("no regions") };
        assert_eq!((regions.grid.len(), regions.points.len(), regions.records.len()), (100, 60, 1));
    }
    // The second time it is there.
    let again = run(&plan, folder.path(), (1, 256));
    assert_eq!(again.computed, 0);
}

#[test]
fn keys_follow_what_decides_a_result_and_specs_that_make_no_sense_are_named() {
    let keys = |spec: Spec| -> BTreeSet<String> {
        let plan = plan(&[spec], Some("mnist/cnn2/l2-halved"));
        let studies = plan.cells.iter().filter(|cell| cell.kind() == Kind::Evaluation);
        studies.map(|cell| cell.key.to_string()).collect()
    };
    let usual = keys(spec("figure-3", &[]));
    let more =
        keys(spec("figure-3", &[("counts = [2, 4, 10], orders = 2", "counts = [2, 4, 10], orders = 3")]));
    assert!(usual.is_subset(&more) && usual.len() < more.len(), "an order more moves no other");
    let request = |item: &str, change: (&str, &str)| {
        let request = Request {
            profile: Profile::Smoke,
            rows: None,
            beyond: false,
            seeds: None,
            reading: None,
            attack_images: Default::default(),
            device: "cpu".parse().unwrap(),
            data_dir: None,
        };
        Plan::new(&[spec(item, &[change])], &request).unwrap_err().to_string()
    };
    for (item, from, to, expected) in [
        ("figure-3", "orders = 2 }", "orders = 21 }", "orders 21 does not shrink 20"),
        ("figure-3", "counts = [2, 4, 10]", "counts = [2, 11]", "[2, 11] are not some of"),
        ("figure-3", "attack = \"pgd10\"", "attack = \"pgd11\"", "no attack \"pgd11\" (one of: "),
        ("figure-1", "[\"ddn\", \"fmn\", \"cw\"]", "[\"pgd10\"]", "pgd10 raises ce"),
        ("figure-4", "mnist = \"mnist-standard\"", "mnist = \"mnist-other\"", "no recipe \"mnist-other\""),
        ("figure-6", "members = 5", "members = 1", "an ensemble needs 2 to 1000 members, not 1"),
        ("figure-2", "center = [0.30, 0.35]", "center = [1.30, 0.35]", "1.3"),
    ] {
        let message = request(item, (from, to));
        assert!(message.contains(expected) && message.contains(item), "{message}");
    }
}
