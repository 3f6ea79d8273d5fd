//! A training that is stopped and continued ends, bit for bit, where an undisturbed one ends.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use robin_attacks::StepSize;
use robin_core::{Budget, CancelToken, Norm, Seed};
use robin_data::{Dataset, DatasetName, LabelMap, Sampling, Source, Split};
use robin_nn::{Network, Parameters, executor};
use robin_training::{
    AttackMode, AttackStart, Checkpointing, Config, Error, Method, Observer, Outputs, Proportion, SaveToken,
    Schedule, Silent, StepReport, Task, Trained, Trainer, Validation, Warning, WeightAveraging,
};

const NEVER: Duration = Duration::from_secs(1 << 30);
const STEPS: usize = 2 * (60 / 16);

fn data() -> Dataset {
    Dataset::load(DatasetName::Mnist, Split::Train, &Source::Embedded).unwrap().take(80).unwrap()
}

fn budget() -> Budget {
    Budget { norm: Norm::L2, epsilon: "2.0".parse().unwrap() }
}

/// With everything that has a state: momentum, averages, images held out, cropping, perturbed examples.
fn config() -> Config {
    let (steps, step_size) = (2, StepSize::STANDARD);
    Config {
        method: Method::PgdAt { budget: budget(), steps, step_size, proportion: Proportion::Cosine },
        epochs: 2,
        batch_size: 16,
        learning_rate: 0.05,
        momentum: 0.9,
        weight_decay: 5e-4,
        outputs: Outputs::Classes,
        schedule: Schedule::Cosine { last: 0.1 },
        sampling: Sampling::Plain,
        crop_padding: 2,
        padding: robin_data::Padding::Zeros,
        flip: robin_data::Flip::None,
        attack_mode: AttackMode::Eval,
        label_smoothing: 0.1,
        weight_averaging: Some(WeightAveraging { decay: 0.9 }),
        validation: Some(Validation { images: 20, budget: budget(), steps, step_size }),
    }
}

fn trades() -> Config {
    let method = Method::Trades {
        budget: budget(),
        steps: 2,
        step_size: StepSize::Relative(2.0),
        lambda: 1.0,
        start: AttackStart::Gaussian { deviation: 0.001 },
    };
    Config { method, ..config() }
}

fn network(executor_name: &str, model: &str, width: usize) -> Box<dyn Network> {
    let graph = robin_models::build(model, Some(width), [1, 28, 28], 10).unwrap();
    let parameters = Parameters::initialise(&graph, Seed::new(1));
    executor(executor_name).unwrap().network(&graph, parameters).unwrap()
}

struct Setting {
    executor: &'static str,
    model: &'static str,
    config: Config,
    data: Dataset,
    seed: Seed,
}

impl Setting {
    fn new(config: Config) -> Self {
        Self { executor: "cpu", model: "cnn2-small", config, data: data(), seed: Seed::new(7) }
    }

    fn task(&self) -> Task<'_> {
        Task { data: &self.data, labels: &LabelMap::Identity, config: &self.config, seed: self.seed }
    }

    fn undisturbed(&self) -> Trained {
        let mut network = network(self.executor, self.model, 4);
        let mut trainer = Trainer::new(&mut *network, self.task()).unwrap();
        trainer.run(&mut Silent, &CancelToken::new()).unwrap();
        trainer.trained()
    }

    /// A new network, which takes up what is at `path`, does `steps` steps, and is dropped; says where it was.
    fn some_steps(&self, path: &Path, steps: usize) -> (usize, usize) {
        let mut network = network(self.executor, self.model, 4);
        let checkpointing = Checkpointing::new(path, NEVER);
        let (mut trainer, continued) =
            Trainer::open(&mut *network, self.task(), checkpointing, &mut Silent).unwrap();
        assert_eq!(trainer.position(), (continued.epoch, continued.step));
        for _ in 0..steps {
            trainer.step(&mut Silent, &CancelToken::new()).unwrap();
        }
        trainer.save().unwrap();
        (continued.epoch, continued.step)
    }

    fn to_the_end(&self, path: &Path) -> Trained {
        let mut network = network(self.executor, self.model, 4);
        let checkpointing = Checkpointing::new(path, NEVER);
        let (mut trainer, _) = Trainer::open(&mut *network, self.task(), checkpointing, &mut Silent).unwrap();
        trainer.run(&mut Silent, &CancelToken::new()).unwrap();
        trainer.trained()
    }

    fn refusal(&self, path: &Path) -> Error {
        let mut network = network(self.executor, self.model, 4);
        let checkpointing = Checkpointing::new(path, NEVER);
        match Trainer::open(&mut *network, self.task(), checkpointing, &mut Silent) {
            Ok((_, continued)) => panic!("the checkpoint was taken: {continued:?}"),
            Err(error) => error,
        }
    }
}

#[test]
fn a_stop_after_any_step_moves_no_bit() {
    for config in [config(), trades()] {
        let setting = Setting::new(config);
        let expected = setting.undisturbed();
        assert_eq!(expected.summary.epochs.len(), 2);
        assert!(expected.best.is_some());
        for stop in 0..=STEPS {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("network.ckpt");
            setting.some_steps(&path, stop);
            assert_eq!(setting.to_the_end(&path), expected, "stopped after {stop} steps");
        }
    }
}

#[test]
fn so_does_a_stop_after_every_step_on_every_network_and_executor() {
    for (executor, model) in [("cpu", "cnn2-small"), ("candle", "cnn2-small"), ("cpu", "myrtle")] {
        let mut setting = Setting { executor, model, ..Setting::new(config()) };
        if model == "myrtle" {
            // Batch norm's running statistics are a part of the state.
            setting.data = Dataset::load(DatasetName::Cifar10, Split::Train, &Source::Embedded).unwrap();
            setting.data = setting.data.take(60).unwrap();
            setting.config.validation = None;
            setting.config.epochs = 1;
        }
        let network = |executor| -> Box<dyn Network> {
            let shape = setting.data.shape();
            let graph = robin_models::build(model, Some(4), shape, 10).unwrap();
            let parameters = Parameters::initialise(&graph, Seed::new(1));
            robin_nn::executor(executor).unwrap().network(&graph, parameters).unwrap()
        };
        let mut whole = network(executor);
        let mut trainer = Trainer::new(&mut *whole, setting.task()).unwrap();
        trainer.run(&mut Silent, &CancelToken::new()).unwrap();
        let expected = trainer.trained();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("network.ckpt");
        loop {
            let mut one = network(executor);
            let checkpointing = Checkpointing::new(&path, NEVER);
            let (mut trainer, _) =
                Trainer::open(&mut *one, setting.task(), checkpointing, &mut Silent).unwrap();
            if trainer.is_finished() {
                assert_eq!(trainer.trained(), expected, "{executor} {model}");
                break;
            }
            trainer.step(&mut Silent, &CancelToken::new()).unwrap();
            trainer.save().unwrap();
        }
    }
}

#[test]
fn what_is_not_whole_is_refused_and_the_one_before_is_used() {
    let setting = Setting::new(config());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("network.ckpt");
    let previous = folder.path().join("network.previous.ckpt");
    setting.some_steps(&path, 2);
    assert_eq!(setting.some_steps(&path, 3), (0, 2));
    let (whole, before) = (fs::read(&path).unwrap(), fs::read(&previous).unwrap());
    let mut damages: Vec<Vec<u8>> =
        (0..whole.len()).step_by(2003).map(|length| whole[..length].to_vec()).collect();
    damages.extend([whole[..whole.len() - 1].to_vec(), [&whole[..], &[0]].concat()]);
    // Header and tensors; a file of few bytes is flipped at each of them beside the code.
    let header = 8 + u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
    for at in (0..header).step_by(29).chain((header..whole.len()).step_by(1999)) {
        let mut flipped = whole.clone();
        flipped[at] ^= 1 << (at % 8);
        damages.push(flipped);
    }
    for damaged in &damages {
        fs::write(&path, damaged).unwrap();
        let mut network = network("cpu", "cnn2-small", 4);
        let mut told = Told::default();
        let checkpointing = Checkpointing::new(&path, NEVER);
        let (trainer, continued) =
            Trainer::open(&mut *network, setting.task(), checkpointing, &mut told).unwrap();
        assert_eq!(continued.from.as_deref(), Some(&*previous));
        assert_eq!(continued.damaged.as_deref(), Some(&*path));
        assert_eq!(trainer.position(), (0, 2));
        assert!(
            matches!(&told.warnings[..], [Warning::CheckpointDamaged { path: named, .. }] if *named == path)
        );
    }
    // Continued from the one before, it ends where it should, but for the warning, and the damaged file is gone.
    let mut found = setting.to_the_end(&path);
    let damaged = |warning: &Warning| matches!(warning, Warning::CheckpointDamaged { .. });
    assert_eq!(found.summary.warnings.iter().filter(|warning| damaged(warning)).count(), 1);
    found.summary.warnings.retain(|warning| !damaged(warning));
    assert_eq!(found, setting.undisturbed());
    assert_eq!(fs::read(&previous).unwrap(), before);

    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    fs::write(&previous, &before[..100]).unwrap();
    let message = setting.refusal(&path).to_string();
    assert!(message.contains("network.ckpt: no whole checkpoint: SHA-256"), "{message}");
    fs::remove_file(&previous).unwrap();
    assert!(matches!(setting.refusal(&path), Error::Damaged { path: named, .. } if named == path));
    // Killed between two renames: only the one before is there.
    fs::remove_file(&path).unwrap();
    fs::write(&previous, &before).unwrap();
    assert_eq!(setting.some_steps(&path, 1), (0, 2));
    assert_eq!(fs::read(&previous).unwrap(), before, "nothing took its place");
}

#[test]
fn another_trainings_checkpoint_is_refused_by_field() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("network.ckpt");
    Setting::new(config()).some_steps(&path, 1);
    let refused = |change: &dyn Fn(&mut Setting)| {
        let mut other = Setting::new(config());
        change(&mut other);
        match other.refusal(&path) {
            Error::Foreign { field, found, expected, path: named } => {
                assert_eq!(named, path);
                (field, found, expected)
            }
            error => panic!("{error}"),
        }
    };
    let text =
        |field: &str, found: &str, expected: &str| (field.to_owned(), found.to_owned(), expected.to_owned());
    assert_eq!(refused(&|s| s.seed = Seed::new(8)), text("seed", "7", "8"));
    assert_eq!(refused(&|s| s.config.learning_rate = 0.1), text("settings.learning_rate", "0.05", "0.1"));
    assert_eq!(refused(&|s| s.config.weight_averaging = None).0, "settings.weight_averaging");
    assert_eq!(refused(&|s| s.config.method = trades().method).0, "settings.method.name");
    assert_eq!(refused(&|s| s.model = "cnn2"), text("architecture.name", "\"cnn2-small\"", "\"cnn2\""));
    assert_eq!(refused(&|s| s.data = s.data.take(79).unwrap()), text("data.images", "80", "79"));
    let other_data = |setting: &mut Setting| {
        let mut pixels = setting.data.pixels().unwrap().to_vec();
        pixels[5] ^= 1;
        let labels = setting.data.labels().iter().map(|&label| label as u8).collect();
        setting.data =
            Dataset::from_parts(DatasetName::Mnist, Split::Train, [1, 28, 28], pixels, labels).unwrap();
    };
    assert_eq!(refused(&other_data).0, "data.sha256");
}

#[derive(Default)]
struct Told {
    warnings: Vec<Warning>,
    steps: usize,
    cancel: Option<(usize, CancelToken)>,
    ask: Option<(usize, SaveToken)>,
    /// After step 1 a folder is taken away, after step 3 it is there again.
    folder: Option<PathBuf>,
    unsaved: Vec<String>,
}

impl Observer for Told {
    fn step(&mut self, _: &StepReport) {
        self.steps += 1;
        match (&self.folder, self.steps) {
            (Some(folder), 1) => fs::remove_dir_all(folder).unwrap(),
            (Some(folder), 3) => fs::create_dir(folder).unwrap(),
            _ => {}
        }
        if let Some((after, token)) = &self.cancel
            && self.steps == *after
        {
            token.cancel();
        }
        if let Some((after, token)) = &self.ask
            && self.steps == *after
        {
            token.ask();
        }
    }

    fn warning(&mut self, warning: &Warning) {
        self.warnings.push(warning.clone());
    }

    fn unsaved(&mut self, error: &Error) {
        self.unsaved.push(error.to_string());
    }
}

#[test]
fn a_checkpoint_that_cannot_be_written_ends_no_training() {
    let setting = Setting::new(config());
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("checkpoints");
    fs::create_dir(&folder).unwrap();
    let path = folder.join("network.ckpt");
    let mut told = Told { folder: Some(folder), ..Told::default() };
    let mut network = network("cpu", "cnn2-small", 4);
    let (mut trainer, _) =
        Trainer::open(&mut *network, setting.task(), Checkpointing::new(&path, Duration::ZERO), &mut told)
            .unwrap();
    trainer.run(&mut told, &CancelToken::new()).unwrap();
    assert_eq!(trainer.trained(), setting.undisturbed(), "it is seen in the result");
    // Steps 1 and 2, each named; then they are written again, the last as every other.
    assert_eq!(told.unsaved.len(), 2, "{:?}", told.unsaved);
    assert!(told.unsaved.iter().all(|text| text.contains("network.ckpt: cannot write the checkpoint")));
    drop(trainer);
    assert_eq!(setting.to_the_end(&path), setting.undisturbed());
    assert!(path.exists() && path.with_extension("previous.ckpt").exists());
}

#[test]
fn a_checkpoint_is_written_when_stopped_when_asked_and_when_due() {
    let setting = Setting::new(config());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("network.ckpt");
    let mut checkpointing = Checkpointing::new(&path, NEVER);
    let run = |checkpointing: &Checkpointing, told: &mut Told, cancel: &CancelToken| {
        let mut network = network("cpu", "cnn2-small", 4);
        let (mut trainer, continued) =
            Trainer::open(&mut *network, setting.task(), checkpointing.clone(), told).unwrap();
        (trainer.run(told, cancel).map(|_| ()), continued)
    };
    // Asked after step 2, stopped after step 4: both are there.
    let cancel = CancelToken::new();
    let ask = Some((2, checkpointing.asked.clone()));
    let mut told = Told { cancel: Some((4, cancel.clone())), ask, ..Told::default() };
    let (result, continued) = run(&checkpointing, &mut told, &cancel);
    assert!(result.unwrap_err().is_cancelled() && continued.from.is_none());
    assert!(path.exists() && checkpointing.previous().exists());
    fs::rename(checkpointing.previous(), &path).unwrap();
    let (result, continued) = run(&checkpointing, &mut Told::default(), &CancelToken::new());
    result.unwrap();
    assert_eq!((continued.epoch, continued.step), (0, 2));
    // Finished: nothing is left to do, and the summary is there again.
    let (result, continued) = run(&checkpointing, &mut Told::default(), &CancelToken::new());
    result.unwrap();
    assert_eq!(continued.epoch, 2);
    checkpointing.remove().unwrap();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    checkpointing.remove().unwrap();
    // Always due: the one before the last is one step behind, which is the last of the epoch.
    checkpointing.every = Duration::ZERO;
    let cancel = CancelToken::new();
    let mut told = Told { cancel: Some((3, cancel.clone())), ..Told::default() };
    run(&checkpointing, &mut told, &cancel).0.unwrap_err();
    fs::remove_file(&path).unwrap();
    let (_, continued) = run(&checkpointing, &mut Told::default(), &CancelToken::new());
    assert_eq!((continued.epoch, continued.step), (0, 2));
}

#[test]
fn a_divergence_names_examples_and_the_last_checkpoint() {
    let mut setting = Setting::new(config());
    setting.config.schedule = Schedule::Steps { milestones: vec![], factor: 0.1 };
    setting.config.learning_rate = 1e6;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("network.ckpt");
    let mut network = network("cpu", "cnn2-small", 4);
    let checkpointing = Checkpointing::new(&path, Duration::ZERO);
    let (mut trainer, _) = Trainer::open(&mut *network, setting.task(), checkpointing, &mut Silent).unwrap();
    match trainer.run(&mut Silent, &CancelToken::new()).unwrap_err() {
        Error::Diverged { epoch: 1, step, examples, checkpoint, .. } => {
            assert!(step > 1 && examples.len() == 16, "{step} {examples:?}");
            assert_eq!(checkpoint, Some(path));
        }
        error => panic!("{error}"),
    }
}
