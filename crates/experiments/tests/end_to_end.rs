//! A tiny table from images to numbers: neither threads, nor jobs, nor batch size, nor an interruption may
//! move a bit.

use approx::assert_abs_diff_eq;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use robin_core::CancelToken;
use robin_experiments::cluster::claim::{Claims, sweep};
use robin_experiments::cluster::run::{Done, run_cells};
use robin_experiments::key::Key;
use robin_experiments::record::{Kind, Record};
use robin_experiments::store::Store;
use robin_experiments::{
    Environment, Error, Observer, Options, Outcome, Plan, Preview, Profile, Progress, Request, Spec, State,
    Table, Watched, reproduce,
};
use robin_training::SaveToken;

/// Table 1's own spec with everything made tiny, the method included.
fn plan() -> Plan {
    plan_of("mnist/cnn2/linf")
}

fn plan_of(rows: &str) -> Plan {
    let (_, item) = robin_experiments::ITEMS[0];
    let replace = |text: String, from: &str, to: &str| {
        assert!(text.contains(from), "{from:?} is not in the spec");
        text.replace(from, to)
    };
    let common = [
        ("{ cnn2 = \"cnn2-small\" }", "{ cnn2 = \"cnn2-small\" }\nwidth = 4\nepochs = 1"),
        ("train_images = 2000\ntest_images = 1000", "train_images = 192\ntest_images = 24"),
        (
            "width = 4\nepochs = 2\ntrain_images = 512\ntest_images = 50",
            "width = 2\nepochs = 1\ntrain_images = 96\ntest_images = 8",
        ),
        ("training_set_images = 1000", "training_set_images = 16"),
        ("batch_size = 128", "batch_size = 32"),
        ("steps = 10,", "steps = 2,"),
        ("steps = 20,", "steps = 3,"),
        ("images = 10\nl2 = { steps = 40, searches = 3 }", "images = 2\nl2 = { steps = 2, searches = 1 }"),
        ("linf = { steps = 10 }", "linf = { steps = 1 }"),
    ]
    .into_iter()
    .fold(robin_experiments::COMMON.to_owned(), |text, (from, to)| replace(text, from, to));
    let request = Request {
        profile: Profile::Smoke,
        rows: Some(rows.to_owned()),
        beyond: false,
        seeds: None,
        reading: None,
        attack_images: Default::default(),
        device: "cpu".parse().unwrap(),
        data_dir: None,
    };
    let item = replace(
        item.to_owned(),
        "width = 8\nepochs = 8\ntrain_images = 2000\ntest_images = 200\ntraining_set_images = 100",
        "width = 2\nepochs = 1\ntrain_images = 96\ntest_images = 8\ntraining_set_images = 16",
    );
    Plan::new(&[Spec::parse_with(&common, "table-1", &item).unwrap()], &request).unwrap()
}

fn environment() -> Environment {
    Environment::detect(Some("a commit"))
}

fn run(
    folder: &Path,
    sizes: (usize, usize),
    batch_size: usize,
    cancel: &CancelToken,
    observer: &dyn Observer,
) -> Outcome {
    run_plan(&plan(), folder, sizes, batch_size, cancel, observer)
}

fn run_plan(
    plan: &Plan,
    folder: &Path,
    (threads, jobs): (usize, usize),
    batch_size: usize,
    cancel: &CancelToken,
    observer: &dyn Observer,
) -> Outcome {
    let environment = environment();
    let options = Options {
        threads: Some(threads),
        jobs: Some(jobs),
        batch_size,
        checkpoint_every: Options::CHECKPOINT_EVERY,
        cancel,
        save: SaveToken::new(),
        observer,
        environment: &environment,
    };
    reproduce(plan, folder, &options).unwrap().0
}

/// Everything that must not differ: the bytes of all records up to their provenance, and all weights.
fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut contents = BTreeMap::new();
    for kind in [Kind::Network, Kind::Evaluation] {
        for entry in fs::read_dir(folder.join(kind.folder())).unwrap() {
            let path = entry.unwrap().path();
            let mut bytes = fs::read(&path).unwrap();
            if path.extension().is_some_and(|extension| extension == "json") {
                let text = String::from_utf8(bytes).unwrap();
                bytes = text.split("\"provenance\"").next().unwrap().as_bytes().to_vec();
            }
            contents.insert(path.file_name().unwrap().to_str().unwrap().to_owned(), bytes);
        }
    }
    contents
}

/// Asks for a stop when the n-th cell is finished.
struct StopAfter<'a>(AtomicUsize, &'a CancelToken);

impl Observer for StopAfter<'_> {
    fn finished(&self, _: &Watched<'_>, _: &Record, _: f64) {
        if self.0.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.1.cancel();
        }
    }
}

#[test]
fn threads_jobs_batch_size_and_interruption_move_no_bit() {
    let folders = [(); 4].map(|()| tempfile::tempdir().unwrap());
    let never = CancelToken::new();
    let whole = run(folders[0].path(), (1, 1), 24, &never, &());
    assert!(whole.failures.is_empty() && !whole.cancelled, "{:?}", whole.failures);
    assert_eq!(whole.computed, plan().cells.len());
    let expected = contents(folders[0].path());
    assert_eq!(expected.len(), 11 * 2 + 12);

    // As many jobs as threads, and threads that only help.
    for (folder, threads, jobs) in [(&folders[1], 2, 2), (&folders[2], 4, 3)] {
        let others = run(folder.path(), (threads, jobs), 7, &never, &());
        assert!(others.failures.is_empty(), "{:?}", others.failures);
        assert!(contents(folder.path()) == expected, "threads, jobs or batch size moved a result");
    }

    // Stopped among the networks, and again among the evaluations.
    let mut computed = 0;
    for stop_after in [3, 12] {
        let cancel = CancelToken::new();
        let part =
            run(folders[3].path(), (2, 2), 24, &cancel, &StopAfter(AtomicUsize::new(stop_after), &cancel));
        assert!(part.cancelled && part.failures.is_empty(), "{:?}", part.failures);
        computed += part.computed;
    }
    let rest = run(folders[3].path(), (2, 2), 24, &never, &());
    assert!(!rest.cancelled);
    assert_eq!(computed + rest.computed, plan().cells.len(), "a finished cell was run again");
    assert!(contents(folders[3].path()) == expected, "an interruption moved a result");

    // The table is complete, and made from records alone.
    let again = run(folders[0].path(), (1, 1), 24, &never, &());
    assert_eq!(again.computed, 0);
    let plan = plan();
    let table = Table::new(&plan, &plan.items[0], &again, &environment()).unwrap();
    assert_eq!((table.cells.len(), table.run.missing), (10, 0));
    assert!(table.run.seconds > 0.0);
    for cell in &table.cells {
        let images = if cell.attack == "cw" { 2 } else { 24 };
        assert!((0.0..=1.0).contains(&cell.accuracy) && cell.union <= cell.accuracy && cell.n == images);
        assert!(cell.low <= cell.accuracy && cell.accuracy <= cell.high);
    }
    network_records_are_complete(&again);
    states_follow_the_files(folders[0].path());
    damage_is_found(folders[0].path());
}

/// Colour, batch norm, normalisation, random crops and balanced batches: what MNIST's rows do without.
#[test]
fn a_cifar_row_comes_to_its_table_with_any_number_of_threads() {
    let plan = plan_of("cifar10/myrtle/l2");
    let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let never = CancelToken::new();
    let alone = run_plan(&plan, folders[0].path(), (1, 1), 8, &never, &());
    assert!(alone.failures.is_empty(), "{:?}", alone.failures);
    let table = Table::new(&plan, &plan.items[0], &alone, &environment()).unwrap();
    assert_eq!((table.cells.len(), table.run.missing), (12, 0));
    let others = run_plan(&plan, folders[1].path(), (3, 2), 3, &never, &());
    assert!(others.failures.is_empty(), "{:?}", others.failures);
    assert!(contents(folders[0].path()) == contents(folders[1].path()), "threads moved a result");
}

fn network_records_are_complete(outcome: &Outcome) {
    let networks: Vec<&Record> =
        outcome.records.values().filter(|record| record.kind == Kind::Network).collect();
    assert_eq!(networks.len(), 11);
    for Record { results, provenance, .. } in networks {
        assert_eq!(results["epochs"].as_array().map(Vec::len), Some(1), "{results}");
        assert!(results["epochs"][0]["loss"].is_number(), "{results}");
        for accuracy in ["clean", "worst"] {
            assert_eq!(results["training_set"][accuracy]["n"], 16, "{results}");
            assert!(results["training_set"][accuracy]["accuracy"].is_number(), "{results}");
        }
        assert_eq!(results["training_set_images"]["measured"], 16);
        assert_eq!(results["training_set_images"]["trained_on"], 192);
        assert_eq!(provenance["commit"], "a commit");
        for field in ["machine", "instructions", "versions", "seconds", "finished"] {
            assert!(provenance.contains_key(field), "{field}");
        }
    }
}

fn states_follow_the_files(folder: &Path) {
    let plan = plan();
    let preview = Preview::new(&plan, folder, Some(2)).unwrap();
    assert!(preview.cells.iter().all(|(_, state)| *state == State::Done));
    assert_eq!((preview.to_run, preview.seconds), (0, 0.0));
    let empty = tempfile::tempdir().unwrap();
    let preview = Preview::new(&plan, empty.path(), Some(2)).unwrap();
    assert!(preview.cells.iter().all(|(_, state)| *state == State::Missing));
    assert_eq!(preview.to_run, plan.cells.len());
    // Every cell is counted for one item.
    let of_items =
        preview.items.iter().fold((0, 0.0), |(cells, seconds), of| (cells + of.to_run, seconds + of.seconds));
    assert_eq!(of_items.0, preview.to_run);
    assert_abs_diff_eq!(of_items.1, preview.seconds, epsilon = 1e-9 * preview.seconds);
    assert!(preview.seconds > 0.0 && preview.bytes > 11 * 1000);
}

fn damage_is_found(folder: &Path) {
    let plan = plan();
    let environment = environment();
    let never = CancelToken::new();
    let attempt = || {
        let options = Options {
            threads: None,
            jobs: Some(1),
            batch_size: 24,
            checkpoint_every: Options::CHECKPOINT_EVERY,
            cancel: &never,
            save: SaveToken::new(),
            observer: &(),
            environment: &environment,
        };
        reproduce(&plan, folder, &options).map(|(outcome, _)| outcome)
    };
    let last = plan.cells.last().unwrap();
    let record = folder.join(last.kind().folder()).join(format!("{}.json", last.key));
    let text = fs::read(&record).unwrap();
    fs::write(&record, &text[..text.len() / 2]).unwrap();
    let error = attempt().unwrap_err();
    assert!(
        matches!(error, Error::Damaged { .. }) && error.to_string().contains(last.key.as_str()),
        "{error}"
    );
    assert_eq!(fs::read(&record).unwrap(), text[..text.len() / 2], "the damaged file was touched");
    // As the message says: delete it, and only that cell is made again.
    fs::remove_file(&record).unwrap();
    assert_eq!(attempt().unwrap().computed, 1);

    // A network's too, whose evaluations are all there: the same weights again.
    let weights = folder.join("networks").join(format!("{}.safetensors", plan.cells[0].key));
    let before = fs::read(&weights).unwrap();
    for file in [&weights, &weights.with_extension("json")] {
        fs::remove_file(file).unwrap();
    }
    assert_eq!(attempt().unwrap().computed, 1);
    assert_eq!(fs::read(&weights).unwrap(), before);

    // Weights are looked at when something needs them, and only then.
    let mut bytes = fs::read(&weights).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&weights, bytes).unwrap();
    assert_eq!(attempt().unwrap().computed, 0);
    let evaluation = plan.cells.iter().find(|cell| cell.needs == [0]).unwrap();
    fs::remove_file(folder.join("evaluations").join(format!("{}.json", evaluation.key))).unwrap();
    let error = attempt().unwrap_err();
    assert!(error.to_string().contains("SHA-256 of the weights"), "{error}");
}

fn keys(plan: &Plan, kind: Kind) -> Vec<Key> {
    plan.cells.iter().filter(|cell| cell.kind() == kind).map(|cell| cell.key.clone()).collect()
}

fn task(
    plan: &Plan,
    keys: &[Key],
    folder: &Path,
    owner: &str,
    observer: &dyn Observer,
) -> Result<Done, Error> {
    let (cancel, environment) = (CancelToken::new(), environment());
    let options = Options {
        threads: Some(1),
        jobs: None,
        batch_size: 7,
        checkpoint_every: Options::CHECKPOINT_EVERY,
        cancel: &cancel,
        save: SaveToken::new(),
        observer,
        environment: &environment,
    };
    run_cells(plan, keys, folder, owner, &options)
}

#[test]
fn tasks_on_several_nodes_make_the_records_of_one_run() {
    let [alone, shared] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let plan = plan();
    run(alone.path(), (2, 2), 16, &CancelToken::new(), &());
    let (networks, evaluations) = (keys(&plan, Kind::Network), keys(&plan, Kind::Evaluation));
    // A batch system may start evaluations that have no networks yet; nothing is made of nothing.
    let early = task(&plan, &evaluations, shared.path(), "n1", &()).unwrap();
    assert_eq!((early.there, early.failures.len()), (0, evaluations.len()));
    assert!(early.failures.iter().all(|(_, error)| matches!(error, Error::NoRecord { .. })));
    let (first, second) = networks.split_at(networks.len() / 2);
    std::thread::scope(|scope| {
        for (owner, keys) in [("n1", first), ("n2", second)] {
            let (plan, folder) = (&plan, shared.path());
            scope.spawn(move || assert_eq!(task(plan, keys, folder, owner, &()).unwrap().there, keys.len()));
        }
    });
    // What is there is not computed again.
    assert_eq!(task(&plan, &networks, shared.path(), "n1", &()).unwrap().computed, 0);
    assert_eq!(task(&plan, &evaluations, shared.path(), "n2", &()).unwrap().computed, evaluations.len());
    assert_eq!(contents(alone.path()), contents(shared.path()));
    for left in ["claims", "failures"] {
        assert_eq!(fs::read_dir(shared.path().join(left)).unwrap().count(), 0, "{left}");
    }
    let foreign = serde_json::from_value("0".repeat(64).into()).unwrap();
    let error = task(&plan, &[foreign], shared.path(), "n1", &()).unwrap_err();
    assert!(matches!(error, Error::OtherKeys { .. }), "{error}");
}

/// Claims a cell for another node while it is computed.
struct TakeOver<'a>(&'a Claims, &'a Key, AtomicUsize);

impl Observer for TakeOver<'_> {
    fn progress(&self, cell: &Watched<'_>, _: &Progress) {
        if self.2.fetch_add(1, Ordering::Relaxed) == 0 {
            assert!(self.0.take(cell.kind, self.1, cell.label).unwrap().is_some());
        }
    }
}

#[test]
fn a_start_that_is_taken_over_stops_and_writes_nothing() {
    let [alone, shared] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let plan = plan();
    run(alone.path(), (2, 2), 16, &CancelToken::new(), &());
    let networks = keys(&plan, Kind::Network);
    let store = Store::new(shared.path());
    let other = Claims::new(store.clone(), "n2, job 7_0").unwrap();
    let observer = TakeOver(&other, &networks[0], AtomicUsize::new(0));
    let error = task(&plan, &networks[..1], shared.path(), "n1", &observer).unwrap_err();
    assert!(matches!(error, Error::Overtaken { .. }) && error.to_string().contains("n2, job 7_0"), "{error}");
    assert!(!store.record_path(Kind::Network, &networks[0]).exists());
    // That node is lost too; the next start has the cell.
    task(&plan, &networks, shared.path(), "n3", &()).unwrap();
    task(&plan, &keys(&plan, Kind::Evaluation), shared.path(), "n3", &()).unwrap();
    sweep(&store).unwrap();
    assert_eq!(contents(alone.path()), contents(shared.path()));
}
