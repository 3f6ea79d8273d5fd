use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use robin_core::CancelToken;
use robin_data::{Choice, DatasetName, LabelMap, Source, Split};
use robin_training::{Checkpointing, Continued, SaveToken};
use serde_json::{Value, json};

use super::*;
use crate::cell::{Computed, Context, NetworkWork, Weights};
use crate::logs::EpochRow;
use crate::record::{Kind, Record};
use crate::role::{Epoch, Role, weights_sha256};
use crate::training_run::request::TrainedKind;
use crate::{Arithmetic, Device, Environment, Error, Observer, Options, Outcome, Progress, Result, Watched};

/// Two epochs of a narrow network on few digits.
fn request(classifier: TrainedKind) -> Request {
    Request {
        dataset: Choice::Published(DatasetName::Mnist),
        source: Source::Embedded,
        split: Split::Train,
        train_images: Some(200),
        sample: None,
        classes: None,
        model: "cnn2-small".to_owned(),
        width: Some(4),
        classifier,
        arms: None,
        recipe: RecipeName::Paper,
        overrides: Overrides {
            epochs: Some(2),
            batch_size: Some(32),
            steps: Some(2),
            learning_rate: Some(0.01),
            measured_images: Some(20),
            validation: Some(20),
            ..Overrides::default()
        },
        seed: 5,
        device: "cpu".parse().unwrap(),
    }
}

fn run(request: &Request) -> TrainingRun {
    TrainingRun::new(request).unwrap()
}

/// Runs `run` on two threads; `observer` may cancel.
fn executed(
    run: &TrainingRun,
    folder: &Path,
    observer: &dyn Observer,
    cancel: &CancelToken,
) -> Result<Outcome> {
    let environment = Environment::detect(None);
    let options = Options {
        threads: Some(2),
        jobs: None,
        batch_size: Options::BATCH,
        checkpoint_every: Duration::ZERO,
        cancel,
        save: SaveToken::new(),
        observer,
        environment: &environment,
    };
    execute(run, folder, &options)
}

fn network(run: &TrainingRun, place: usize) -> &NetworkWork {
    run.cells[place].work.network().unwrap()
}

fn weights(folder: &Path, names: &[&str]) -> Vec<Vec<u8>> {
    names.iter().map(|name| std::fs::read(folder.join(format!("{name}.safetensors"))).unwrap()).collect()
}

/// Cancels after so many steps, and counts what it hears of.
#[derive(Default)]
struct Counter {
    steps: AtomicUsize,
    cancel_after: Option<(usize, CancelToken)>,
    continued: Mutex<Vec<Continued>>,
    rows: Mutex<Vec<(usize, EpochRow)>>,
    failed: Mutex<Vec<(usize, String)>>,
}

impl Observer for Counter {
    fn continued(&self, _: &Watched<'_>, continued: &Continued) {
        self.continued.lock().unwrap().push(continued.clone());
    }

    fn progress(&self, cell: &Watched<'_>, progress: &Progress) {
        let now = match progress {
            Progress::Step(now) => now,
            Progress::Epoch { row, .. } => return self.rows.lock().unwrap().push((cell.index, *row)),
            Progress::Examples { .. } => return,
        };
        assert!((0.0..=1.0).contains(&now.fraction) && now.seconds_left >= 0.0, "{now:?}");
        let steps = self.steps.fetch_add(1, Ordering::Relaxed) + 1;
        if let Some((after, token)) = &self.cancel_after
            && steps == *after
        {
            token.cancel();
        }
    }

    fn failed(&self, cell: &Watched<'_>, error: &Error) {
        self.failed.lock().unwrap().push((cell.index, error.to_string()));
    }
}

#[test]
fn a_training_that_is_stopped_again_and_again_ends_with_the_same_files() {
    let run = run(&request(TrainedKind::MULTICLASS));
    let (straight, stopped) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let outcome = executed(&run, straight.path(), &(), &CancelToken::new()).unwrap();
    assert_eq!((outcome.computed, outcome.failures.len(), outcome.cancelled), (1, 0, false));

    let mut stops = 0;
    loop {
        let token = CancelToken::new();
        let watch = Counter { cancel_after: Some((4, token.clone())), ..Counter::default() };
        let outcome = executed(&run, stopped.path(), &watch, &token).unwrap();
        let continued = watch.continued.lock().unwrap()[0].clone();
        // 5 batches of 32 of the 180 images that are trained on, 4 steps a run.
        assert_eq!((continued.epoch, continued.step), (stops * 4 / 5, stops * 4 % 5));
        if !outcome.cancelled {
            break;
        }
        stops += 1;
    }
    assert_eq!(stops, 2);
    for file in ["multiclass.safetensors", "multiclass.best.safetensors"] {
        let [a, b] = [&straight, &stopped].map(|folder| std::fs::read(folder.path().join(file)).unwrap());
        assert_eq!(a, b, "{file}");
    }
    // Also what was found on the way; only time differs.
    let results = |folder: &Path| -> Value {
        let text = std::fs::read_to_string(folder.join("multiclass.json")).unwrap();
        serde_json::from_str::<Value>(&text).unwrap()["results"].clone()
    };
    assert_eq!(results(straight.path()), results(stopped.path()));
    let epochs = std::fs::read_to_string(stopped.path().join("logs/multiclass.jsonl")).unwrap();
    assert_eq!(epochs.lines().count(), 2);
    assert!(!stopped.path().join("multiclass.ckpt").exists());

    // Once more: nothing is trained, the record is the same; what a run killed behind its record leaves is gone, and a log
    // that was lost is whole again.
    let lines = stopped.path().join("logs/multiclass.jsonl");
    let first = epochs.split_inclusive('\n').next().unwrap();
    std::fs::write(&lines, first).unwrap();
    std::fs::write(stopped.path().join("multiclass.previous.ckpt"), "left").unwrap();
    let outcome = executed(&run, stopped.path(), &Counter::default(), &CancelToken::new()).unwrap();
    assert_eq!((outcome.computed, outcome.records.len()), (0, 1));
    let again = std::fs::read_to_string(&lines).unwrap();
    assert!(again.starts_with(first) && again.lines().count() == 2, "{again}");
    assert!(!stopped.path().join("multiclass.previous.ckpt").exists());
}

#[test]
fn a_table_keeps_the_same_best_and_last_weights() {
    let run = run(&request(TrainedKind::MULTICLASS));
    let folder = tempfile::tempdir().unwrap();
    executed(&run, folder.path(), &(), &CancelToken::new()).unwrap();
    let watched = Watched { index: 0, kind: Kind::Network, label: "multiclass" };
    let trained = |run: &TrainingRun, checkpoint: &str| -> (Value, Weights) {
        let context = Context {
            executor: run.device.executor(),
            batch_size: 32,
            cancel: &CancelToken::new(),
            observer: &(),
            watched: &watched,
            checkpointing: Checkpointing::new(folder.path().join(checkpoint), Duration::from_secs(3600)),
            logs: None,
        };
        let Computed { results, weights, .. } = run.cells[0].work.run(&[], &context).unwrap();
        (results, weights.unwrap())
    };
    let (results, weights) = trained(&run, "table.ckpt");
    let kept = |file| std::fs::read(folder.path().join(file)).unwrap();
    let (best, last) = (kept("multiclass.best.safetensors"), kept("multiclass.safetensors"));
    let last_file = last.clone();
    assert_eq!(results["weights_sha256"], weights_sha256(&best));
    assert_eq!(results["last"]["weights_sha256"], weights_sha256(&last));
    // On disk each says what it is for; the bytes beside that are the same.
    let plain = |file: &[u8]| robin_nn::without_note(file).unwrap();
    assert_eq!(weights, Weights { chosen: plain(&best), last: Some(plain(&last)) });
    let role = |file: &[u8]| Role::read(file, "w").unwrap().unwrap();
    assert_eq!((role(&best).epoch, role(&last).epoch), (Epoch::Best, Epoch::Last));
    assert_eq!((role(&last).labels, role(&last).dataset), (LabelMap::Identity, "mnist".to_owned()));

    // Files from before they said it, and folders with them, are what they were.
    for (name, file) in [("multiclass", &last), ("multiclass.best", &best)] {
        std::fs::write(folder.path().join(format!("{name}.safetensors")), plain(file)).unwrap();
    }
    let outcome = executed(&run, folder.path(), &(), &CancelToken::new()).unwrap();
    assert_eq!((outcome.computed, outcome.records.len()), (0, 1), "an old folder is finished");

    // A record from when the last weights were the ones it began with.
    let path = folder.path().join("multiclass.json");
    let text = std::fs::read_to_string(&path).unwrap();
    let mut record = Record::from_text(&text, &path, Kind::Network, &run.cells[0].key).unwrap();
    let fields = record.results.as_object_mut().unwrap();
    let (chosen, last) = (fields["weights_sha256"].clone(), fields["last"]["weights_sha256"].clone());
    fields.insert("best".to_owned(), json!({ "epoch": 1, "weights_sha256": chosen }));
    fields.insert("weights_sha256".to_owned(), last);
    fields.shift_remove("last");
    std::fs::write(&path, record.to_text()).unwrap();
    let outcome = executed(&run, folder.path(), &(), &CancelToken::new()).unwrap();
    assert_eq!((outcome.computed, &outcome.records[&0]), (0, &record), "a folder from before is finished");
    std::fs::write(folder.path().join("multiclass.best.safetensors"), plain(&last_file)).unwrap();
    let error = executed(&run, folder.path(), &(), &CancelToken::new()).unwrap_err();
    assert!(error.to_string().contains("SHA-256 of the weights"), "{error}");

    let mut without = request(TrainedKind::MULTICLASS);
    without.overrides.validation = Some(0);
    let (results, weights) = trained(&TrainingRun::new(&without).unwrap(), "without.ckpt");
    assert_eq!((weights.last, results.get("last")), (None, None), "one network, kept once");
}

#[test]
fn a_shared_trunk_is_one_network_with_the_arms_questions() {
    let mut request = request(text::classifier("shared-trunk").unwrap());
    request.overrides.epochs = Some(4);
    let run = run(&request);
    assert_eq!(run.cells.iter().map(|cell| cell.label.as_str()).collect::<Vec<_>>(), ["shared-trunk"]);
    assert_eq!(run.cells[0].settings()["training"]["outputs"], "one-vs-all");
    assert_eq!(network(&run, 0).graph.num_outputs(), 10);
    let folder = tempfile::tempdir().unwrap();
    let outcome = executed(&run, folder.path(), &(), &CancelToken::new()).unwrap();
    let losses: Vec<f64> = outcome.records.values().next().unwrap().results["epochs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|epoch| epoch["loss"].as_f64().unwrap())
        .collect();
    // Ten questions that nobody can answer yet.
    let ignorant = 10.0 * 2f64.ln();
    assert!(losses[0] < 1.2 * ignorant && losses[0] > 0.3 * ignorant, "{losses:?}");
    assert!(losses.windows(2).all(|pair| pair[1] < pair[0]), "{losses:?}");

    let mut divergence = request.clone();
    divergence.overrides.method = Some(MethodName::Trades);
    let message = TrainingRun::new(&divergence).unwrap_err().to_string();
    assert!(message.contains("--classifier is shared-trunk"), "{message}");
    assert!(message.contains("multiclass and one-vs-all with trades and mart"), "{message}");
}

/// Names, numbers of outputs, and that only images of a network's own classes are trained on.
#[test]
fn networks_of_every_aggregate_can_be_trained() {
    for (classifier, count, first, outputs) in [
        ("multiclass", 1, "multiclass", 10),
        ("one-vs-all", 10, "arm-0", 2),
        ("one-vs-one", 45, "pair-0-1", 2),
        ("hierarchical:animals-objects", 3, "animals-objects-coarse", 2),
        ("ensemble:3", 3, "member-0", 10),
        ("shared-trunk", 1, "shared-trunk", 10),
        ("other:4", 1, "model-4-order-0", 4),
        ("other:2:7", 1, "model-2-order-7", 2),
    ] {
        let mut request = request(text::classifier(classifier).unwrap());
        (request.overrides.validation, request.overrides.batch_size) = (None, Some(8));
        let run = run(&request);
        assert_eq!((run.cells.len(), run.cells[0].label.as_str()), (count, first), "{classifier}");
        for (place, cell) in run.cells.iter().enumerate() {
            let work = network(&run, place);
            assert!(work.labels.apply_all(work.data.labels()).is_ok(), "{classifier} {}", cell.label);
            assert_eq!(work.graph.num_outputs(), work.labels.num_classes(10));
        }
        assert_eq!(network(&run, 0).graph.num_outputs(), outputs, "{classifier}");
        if classifier == "one-vs-one" {
            assert!(network(&run, 0).data.labels().iter().all(|&label| label < 2));
        }
    }
    let refused = |classifier: &str| match text::classifier(classifier) {
        Ok(kind) => TrainingRun::new(&request(kind)).unwrap_err().to_string(),
        Err(error) => error.to_string(),
    };
    assert!(refused("other:11").contains("allowed is other:2 to other:10"));
    assert!(refused("ensemble:1").contains("2 to 1000 members, not 1"));
    assert!(refused("one-versus-all").contains("hierarchical:animals-objects"));
}

#[test]
fn arms_do_not_depend_on_what_is_trained_beside_them() {
    let mut request = request(TrainedKind::ONE_VS_ALL);
    request.arms = Some(vec![7, 2]);
    let (both, one) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let watch = Counter::default();
    let outcome = executed(&run(&request), both.path(), &watch, &CancelToken::new()).unwrap();
    assert_eq!(outcome.computed, 2);
    let mut rows: Vec<(usize, usize)> =
        watch.rows.lock().unwrap().iter().map(|(arm, row)| (*arm, row.epoch)).collect();
    rows.sort_unstable();
    assert_eq!(rows, [(0, 1), (0, 2), (1, 1), (1, 2)]);
    request.arms = Some(vec![7]);
    executed(&run(&request), one.path(), &(), &CancelToken::new()).unwrap();
    assert_eq!(weights(both.path(), &["arm-7"]), weights(one.path(), &["arm-7"]));
    assert_ne!(weights(both.path(), &["arm-7"]), weights(both.path(), &["arm-2"]));
    // Another arm into the same folder: its own is kept.
    request.arms = Some(vec![2, 7]);
    let outcome = executed(&run(&request), one.path(), &(), &CancelToken::new()).unwrap();
    assert_eq!((outcome.computed, outcome.records.len()), (1, 2));
    assert_eq!(weights(both.path(), &["arm-2"]), weights(one.path(), &["arm-2"]));
}

#[test]
fn an_arm_that_fails_does_not_stop_the_others() {
    let mut request = request(TrainedKind::ONE_VS_ALL);
    request.arms = Some(vec![1, 4]);
    let folder = tempfile::tempdir().unwrap();
    let cancelled = CancelToken::new();
    cancelled.cancel();
    assert!(executed(&run(&request), folder.path(), &(), &cancelled).unwrap().cancelled);
    // Where the first arm's checkpoint belongs there is something else.
    let checkpoint = folder.path().join("arm-1.ckpt");
    std::fs::write(&checkpoint, "no checkpoint").unwrap();
    let watch = Counter::default();
    let outcome = executed(&run(&request), folder.path(), &watch, &CancelToken::new()).unwrap();
    assert_eq!(outcome.records.keys().copied().collect::<Vec<_>>(), [1]);
    assert!(matches!(&outcome.failures[..], [(name, _)] if name == "arm-1"), "{:?}", outcome.failures);
    assert_eq!(watch.failed.lock().unwrap()[0].0, 0);
    // A folder is known to be in the way before anything is trained.
    std::fs::remove_file(&checkpoint).unwrap();
    std::fs::create_dir(&checkpoint).unwrap();
    let error = executed(&run(&request), folder.path(), &(), &CancelToken::new()).unwrap_err();
    assert!(error.chain().contains("arm-1.ckpt: cannot write: is a directory"), "{error}");
    std::fs::remove_dir(&checkpoint).unwrap();
    let outcome = executed(&run(&request), folder.path(), &(), &CancelToken::new()).unwrap();
    assert_eq!((outcome.computed, outcome.records.len()), (1, 2));
}

/// Takes the folder away, then asks for a stop.
struct Gone<'a>(&'a Path, CancelToken, AtomicUsize);

impl Observer for Gone<'_> {
    fn progress(&self, _: &Watched<'_>, _: &Progress) {
        let _ = std::fs::remove_dir_all(self.0);
        self.1.cancel();
    }

    fn unsaved(&self, _: &Watched<'_>, error: &dyn std::error::Error) {
        assert!(error.to_string().contains("multiclass.ckpt: cannot write the checkpoint"), "{error}");
        self.2.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn a_stop_that_could_not_be_saved_is_no_interruption_to_continue() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("run");
    let cancel = CancelToken::new();
    let watch = Gone(&folder, cancel.clone(), AtomicUsize::new(0));
    let outcome = executed(&run(&request(TrainedKind::MULTICLASS)), &folder, &watch, &cancel).unwrap();
    assert_eq!(watch.2.load(Ordering::Relaxed), 1, "the checkpoint that was due");
    let [(name, error)] = &outcome.failures[..] else { panic!("{:?}", outcome.failures) };
    assert!(name == "multiclass" && error.chain().contains("multiclass.ckpt"), "{}", error.chain());
    assert!(!outcome.cancelled && outcome.records.is_empty());
}

#[test]
fn a_folder_belongs_to_its_settings_and_damage_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let first = request(TrainedKind::MULTICLASS);
    executed(&run(&first), folder.path(), &(), &CancelToken::new()).unwrap();
    let message = |change: &dyn Fn(&mut Request)| {
        let mut request = first.clone();
        change(&mut request);
        executed(&run(&request), folder.path(), &(), &CancelToken::new()).unwrap_err().to_string()
    };
    let other = message(&|request| request.overrides.momentum = Some(0.5));
    assert!(other.contains("settings.training.momentum was 0.9, now it is 0.5"), "{other}");
    assert!(message(&|request| request.seed = 6).contains("settings.seed.root was 5, now it is 6"));
    assert!(message(&|request| request.width = Some(8)).contains("settings.model.width was 4"));
    let other = message(&|request| request.overrides.validation = Some(0));
    assert!(
        other.contains("settings.training.validation was {") && other.contains("now it is nothing"),
        "{other}"
    );

    let foreign = tempfile::tempdir().unwrap();
    std::fs::write(foreign.path().join("multiclass.safetensors"), "mine").unwrap();
    let error = executed(&run(&first), foreign.path(), &(), &CancelToken::new()).unwrap_err();
    assert!(error.to_string().contains("holds multiclass.safetensors and no run.json"), "{error}");
    assert_eq!(std::fs::read(foreign.path().join("multiclass.safetensors")).unwrap(), b"mine");

    let file = folder.path().join("multiclass.safetensors");
    let mut bytes = std::fs::read(&file).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let damaged = executed(&run(&first), folder.path(), &(), &CancelToken::new()).unwrap_err();
    assert!(matches!(damaged, Error::Damaged { .. }), "{damaged}");
}

#[test]
fn every_mistake_is_found_before_any_work_and_says_what_is_allowed() {
    let message = |change: &dyn Fn(&mut Request)| {
        let mut request = request(TrainedKind::MULTICLASS);
        change(&mut request);
        let error = TrainingRun::new(&request).unwrap_err();
        assert!(error.is_usage() || matches!(error, Error::Data { .. }), "{error}");
        error.to_string()
    };
    let over = |change: &dyn Fn(&mut Overrides)| message(&|request| change(&mut request.overrides));
    for (found, expected) in [
        (
            message(&|r| r.model = "resnet19".to_owned()),
            "--model is resnet19, allowed is model \"resnet19\" is unknown (one of: cnn2,",
        ),
        (message(&|r| r.width = Some(0)), "--width is 0, allowed is positive multiples of 4"),
        (message(&|r| r.train_images = Some(0)), "--train-images is 0, allowed is 1 to 2000"),
        (message(&|r| r.train_images = Some(2001)), "--train-images is 2001"),
        (message(&|r| r.arms = Some(vec![1])), "--arm is 1, allowed is nothing"),
        (over(&|o| o.epochs = Some(0)), "--epochs is 0, allowed is 1 to 100000"),
        (over(&|o| o.batch_size = Some(0)), "--batch is 0"),
        (over(&|o| o.batch_size = Some(181)), "--batch is 181, allowed is 1 to 180"),
        (over(&|o| o.learning_rate = Some(-0.1)), "--learning-rate is -0.1"),
        (over(&|o| o.momentum = Some(1.0)), "--momentum is 1, allowed is a number in [0, 1)"),
        (over(&|o| o.weight_decay = Some(f64::NAN)), "--weight-decay is NaN"),
        (over(&|o| o.steps = Some(0)), "--steps is 0"),
        (over(&|o| o.validation = Some(200)), "--validation is 200, allowed is 0 to 199"),
        (over(&|o| o.label_smoothing = Some(1.0)), "--label-smoothing is 1"),
        (over(&|o| o.weight_averaging = Some(1.5)), "--weight-averaging is 1.5"),
        (over(&|o| o.lambda = Some(6.0)), "--lambda is 6, allowed is nothing with method pgd-at"),
        (over(&|o| (o.method, o.lambda) = (Some(MethodName::Trades), Some(-1.0))), "--lambda is -1"),
        (
            over(&|o| (o.padding, o.crop_padding) = (Some(robin_data::Padding::Reflect), Some(28))),
            "allowed is 0 to 27",
        ),
        (over(&|o| o.measured_images = Some(201)), "--measured-images is 201, allowed is 1 to 200"),
        (
            over(&|o| o.normalize = Some(text::normalize("0.5,0.5/1,1").unwrap())),
            "2 means and 2 deviations, the images 1",
        ),
        (over(&|o| o.step_size = Some(text::step_size("0.0x").unwrap())), "--step-size"),
        (message(&|r| r.dataset = "no/such/thing".parse().unwrap()), "cannot load data set no/such/thing"),
    ] {
        assert!(found.contains(expected), "{found}\nwanted: {expected}");
    }
    let mut arms = request(TrainedKind::ONE_VS_ALL);
    for wrong in [vec![10], vec![1, 1], vec![]] {
        arms.arms = Some(wrong);
        let message = TrainingRun::new(&arms).unwrap_err().to_string();
        assert!(message.contains("--arm") && message.contains("classes 0 to 9, each once"), "{message}");
    }
}

#[test]
fn recipes_are_the_papers_and_what_is_said_goes_before_them() {
    let mut request = request(TrainedKind::ONE_VS_ALL);
    request.dataset = Choice::Published(DatasetName::Cifar10);
    request.train_images = None;
    request.overrides = Overrides::default();
    let training = |request: &Request| run(request).settings["training"].clone();
    let paper = training(&request);
    assert_eq!((paper["epochs"].as_u64(), paper["sampling"].as_str()), (Some(80), Some("balanced")));
    assert_eq!((paper["crop_padding"].as_u64(), paper.get("flip")), (Some(4), None));
    assert_eq!(paper["method"]["proportion"], "cosine");
    request.recipe = RecipeName::Strong;
    request.overrides.norm = Some(robin_core::Norm::Linf);
    let strong = training(&request);
    assert_eq!((strong["flip"].as_str(), strong["padding"].as_str()), (Some("horizontal"), Some("reflect")));
    assert_eq!(strong["method"]["proportion"], "all");
    assert_eq!(strong["method"]["budget"]["epsilon"], "8/255");
    assert_eq!(strong["method"]["step_size"]["absolute"].as_f64(), Some(2.0 / 255.0));
    assert_eq!(strong["validation"]["images"].as_u64(), Some(200));
    request.overrides.flip = Some(robin_data::Flip::None);
    request.overrides.epochs = Some(3);
    let own = training(&request);
    assert_eq!((own.get("flip"), own["epochs"].as_u64()), (None, Some(3)));
}

#[test]
fn bf16_is_refused_where_no_attack_is_in_it() {
    let arithmetic = Arithmetic { precision: Some("bf16"), repeatable: false };
    let device = "cpu".parse::<Device>().unwrap().computing(arithmetic).unwrap();
    let usual = Request { device, ..request(TrainedKind::MULTICLASS) };
    assert_eq!(run(&usual).cells[0].settings()["executor"], "cpu, training attacks in bf16");
    let batch_statistics = |o: &mut Overrides| o.attack_mode = Some(robin_training::AttackMode::Train);
    let standard = |o: &mut Overrides| (o.method, o.steps) = (Some(MethodName::Standard), None);
    for change in [&batch_statistics as &dyn Fn(&mut Overrides), &standard] {
        let mut request = usual.clone();
        request.overrides.validation = None;
        change(&mut request.overrides);
        let error = TrainingRun::new(&request).unwrap_err().to_string();
        assert!(error.contains("--precision is bf16, allowed is f32"), "{error}");
    }
}

#[test]
fn digits_are_not_shown_in_a_mirror() {
    use robin_data::Flip;
    for (dataset, expected) in [
        (Some(DatasetName::Cifar100), Flip::Horizontal),
        (Some(DatasetName::Svhn), Flip::None),
        (Some(DatasetName::Mnist), Flip::None),
        (None, Flip::Horizontal),
    ] {
        assert_eq!(super::resolve::flip(dataset, Flip::Horizontal), expected, "{dataset:?}");
    }
}

#[test]
fn recipes_for_photographs_are_those_of_cifar10() {
    let mut request = request(TrainedKind::MULTICLASS);
    request.overrides = Overrides { epochs: Some(1), ..Overrides::default() };
    request.recipe = RecipeName::SingleStep;
    let message = TrainingRun::new(&request).unwrap_err().to_string();
    assert!(message.contains("single-step") && message.contains("photographs"), "{message}");
    request.dataset = Choice::Published(DatasetName::Cifar10);
    let training = run(&request).settings["training"].clone();
    assert_eq!(training["method"]["steps"].as_u64(), Some(1));
    assert_eq!(training["method"]["step_size"]["relative"].as_f64(), Some(1.25));
    request.recipe = RecipeName::Fast;
    assert_eq!(run(&request).settings["training"]["method"]["steps"].as_u64(), Some(2));

    // Colour images of one's own are photographs too.
    let folder = tempfile::tempdir().unwrap();
    for (class, value) in [("cat", 40), ("dog", 200)] {
        std::fs::create_dir(folder.path().join(class)).unwrap();
        for at in 0..4 {
            let path = folder.path().join(class).join(format!("{at}.png"));
            image::RgbImage::from_pixel(32, 32, image::Rgb([value, 10, at])).save(path).unwrap();
        }
    }
    request.dataset = folder.path().display().to_string().parse().unwrap();
    (request.overrides.batch_size, request.train_images) = (Some(4), None);
    request.model = "myrtle".to_owned();
    request.overrides.epsilon = Some("4/255".parse().unwrap());
    let training = run(&request).settings["training"].clone();
    assert_eq!(
        (training["learning_rate"].as_f64(), training["flip"].as_str()),
        (Some(0.03), Some("horizontal"))
    );
}
