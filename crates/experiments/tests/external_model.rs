//! Networks by their weights: attacked, evaluated and interrupted, asked, and their witnesses checked.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use robin_attacks::Loss;
use robin_core::{Budget, CancelToken, Norm, Seed};
use robin_data::{Choice, Split};
use robin_evaluation::Which;
use robin_evaluation::battery::{Scope, Status};
use robin_evaluation::external_model::BadGradients;
use robin_experiments::external_model::{
    AttackRequest, AttackSetupRequest, CoherenceRequest, EvaluateRequest, Event, ImagesRequest, ModelRequest,
    Normalize, RunOptions, attack, attack_each, coherence, evaluate, evaluate_and, predict, verify,
};
use robin_nn::Parameters;
use serde_json::{Map, json};

const WIDTH: usize = 4;

/// A folder with weights and images.
struct Place(tempfile::TempDir);

impl Place {
    /// Untrained weights of `cnn2-small`, one file of 10 outputs and ten of 2.
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        let write = |name: &str, outputs: usize, seed: u64| {
            let graph = robin_models::build("cnn2-small", Some(WIDTH), [1, 28, 28], outputs).unwrap();
            let mut parameters = Parameters::initialise(&graph, Seed::new(seed));
            // Larger scores than fresh weights give, so that attacks have something to do.
            let last = parameters.trained.iter_mut().find(|tensor| tensor.name == "fc2.weight").unwrap();
            last.values.iter_mut().for_each(|value| *value *= 20.0);
            std::fs::write(place.path(name), parameters.to_safetensors().unwrap()).unwrap();
            parameters.buffers.clear();
            std::fs::write(place.path(&format!("bare-{name}")), parameters.to_safetensors().unwrap())
                .unwrap();
        };
        write("whole.safetensors", 10, 1);
        write("second.safetensors", 10, 2);
        (0..10).for_each(|arm| write(&format!("arm-{arm}.safetensors"), 2, 100 + arm));
        (0..2).for_each(|group| write(&format!("five-{group}.safetensors"), 5, 200 + group));
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn model(&self, weights: &[&str]) -> ModelRequest {
        ModelRequest {
            model: "cnn2-small".to_owned(),
            weights: weights.iter().map(|name| self.path(name)).collect(),
            width: None,
            normalize: None,
            aggregate: None,
            device: "cpu".parse().unwrap(),
        }
    }

    fn arms(&self) -> ModelRequest {
        let names: Vec<String> = (0..10).map(|arm| format!("arm-{arm}.safetensors")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        ModelRequest { aggregate: Some("one-vs-all".parse().unwrap()), ..self.model(&names) }
    }
}

fn images(limit: usize) -> ImagesRequest {
    ImagesRequest {
        dataset: "mnist".parse::<Choice>().unwrap(),
        split: Split::Test,
        embedded: true,
        data_dir: None,
        limit: Some(limit),
        sample: None,
        classes: None,
        preparation: robin_data::Preparation::default(),
    }
}

fn quiet<T>(work: impl FnOnce(&RunOptions<'_>) -> T) -> T {
    work(&RunOptions { batch_size: 7, cancel: &CancelToken::new(), on_event: &|_| () })
}

fn request(model: ModelRequest) -> AttackRequest {
    AttackRequest {
        model,
        images: images(40),
        setup: AttackSetupRequest {
            attack: "pgd".to_owned(),
            settings: Map::from_iter([("steps".to_owned(), json!(5))]),
            loss: Some(Loss::Margin),
            strategy: "softmax".parse().unwrap(),
            target: None,
        },
        norm: Norm::Linf,
        epsilons: vec!["0".parse().unwrap(), "50/255".parse().unwrap()],
        iterate: Which::Worst,
        seed: 3,
        bad_gradients: BadGradients::Refuse,
        out: None,
        pictures: 0,
    }
}

fn message<T>(result: robin_experiments::Result<T>) -> String {
    match result {
        Ok(_) => panic!("it is accepted"),
        Err(error) => {
            let mut text = error.to_string();
            let mut source = std::error::Error::source(&error);
            while let Some(cause) = source {
                text += &format!(": {cause}");
                source = cause.source();
            }
            text
        }
    }
}

#[test]
fn what_an_attack_finds_is_saved_and_holds() {
    let place = Place::new();
    let model = place.model(&["whole.safetensors"]);
    let asked = quiet(|run| predict(&model, &images(40), run)).unwrap();
    let mut request = request(model.clone());
    request.out = Some(place.path("found"));
    request.pictures = 2;
    let reports = quiet(|run| attack(&request, run)).unwrap();
    let [nothing, found] = &reports[..] else { panic!("two budgets, two reports") };
    assert_eq!(nothing.robust_accuracy.unwrap(), nothing.clean_accuracy);
    assert_eq!((asked.accuracy, asked.n), (found.clean_accuracy, found.n));
    assert!(
        found.robust_accuracy.unwrap() < found.clean_accuracy,
        "{} {}",
        found.robust_accuracy.unwrap(),
        found.clean_accuracy
    );
    assert!(found.gradient_is_true && found.classifier.widths == [WIDTH] && found.forward > found.backward);
    for (example, prediction) in found.examples.iter().zip(&asked.predictions) {
        assert_eq!(example.clean_prediction, *prediction);
        assert!(example.size <= 50.0 / 255.0 + 1e-6);
    }
    let again = AttackRequest { out: None, ..request.clone() };
    let again = quiet(|run| attack(&again, &RunOptions { batch_size: 64, ..*run })).unwrap();
    assert_eq!(again[1].examples, found.examples);

    let folder = place.path("found").join("linf-50-255");
    let file = folder.join("adversarial.safetensors");
    let checked = quiet(|run| verify(&file, &model, &images(40), run)).unwrap();
    let misclassified = found
        .examples
        .iter()
        .filter(|e| e.clean_prediction == e.label && e.adversarial_prediction != e.label);
    assert!(checked.holds() && checked.n == misclassified.count() && checked.n > 0, "{checked:?}");
    let pictures = std::fs::read_dir(&folder).unwrap().filter(|entry| {
        entry.as_ref().is_ok_and(|entry| entry.path().extension().is_some_and(|extension| extension == "png"))
    });
    assert_eq!(pictures.count(), checked.n.min(2));
    let other = quiet(|run| verify(&file, &model, &images(30), run));
    assert!(message(other).contains("SHA-256"));
}

#[test]
fn aggregates_take_strategies_and_targets_take_softmax() {
    let place = Place::new();
    for strategy in ["best-arm", "top2", "average-gradient+normalised", "margin-t", "highest-arm+current"] {
        let mut request = request(place.arms());
        request.images = images(16);
        request.setup.strategy = strategy.parse().unwrap();
        let report = quiet(|run| attack(&request, run)).unwrap().remove(1);
        assert!(report.robust_accuracy.unwrap() <= report.clean_accuracy, "{strategy}");
        assert!(report.attack.contains(strategy) && report.classifier.weights_sha256.len() == 10);
    }
    let aggregates: [(&str, &[&str], &str, Loss); 4] = [
        ("hierarchical:first5-last5", &["arm-0", "five-0", "five-1"], "stage-1-2", Loss::Ce),
        ("hierarchical:first5-last5", &["arm-0", "five-0", "five-1"], "softmax", Loss::Margin),
        ("ensemble", &["whole", "second"], "margin-t", Loss::Margin),
        ("shared-trunk", &["whole"], "top2", Loss::Ce),
    ];
    for (aggregate, networks, strategy, loss) in aggregates {
        let names: Vec<String> = networks.iter().map(|name| format!("{name}.safetensors")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let aggregate = Some(aggregate.parse().unwrap());
        let mut request = request(ModelRequest { aggregate, ..place.model(&names) });
        request.images = images(16);
        (request.setup.strategy, request.setup.loss) = (strategy.parse().unwrap(), Some(loss));
        let report = quiet(|run| attack(&request, run)).unwrap().remove(1);
        assert!(report.robust_accuracy.unwrap() <= report.clean_accuracy, "{strategy}");
    }
    let mut towards = request(place.model(&["whole.safetensors"]));
    towards.epsilons = vec!["0.3".parse().unwrap()];
    towards.setup.target = Some(4);
    let report = quiet(|run| attack(&towards, run)).unwrap().remove(0);
    let right = report.examples.iter().filter(|e| e.label != 4 && e.clean_prediction == e.label).count();
    assert!(report.robust_accuracy.unwrap() < right as f64 / report.robust_n as f64);
    let towards_4 = report.target.unwrap();
    assert!(towards_4.target == 4 && towards_4.target_success.unwrap() > 0.0, "{towards_4:?}");
    towards.setup.strategy = "margin-t".parse().unwrap();
    assert!(message(quiet(|run| attack(&towards, run))).contains("--target goes with strategy softmax"));
}

/// AutoAttack by its name, of single networks and of aggregates.
fn bundle(model: ModelRequest) -> AttackRequest {
    let setup = AttackSetupRequest::usual("autoattack");
    AttackRequest { setup, images: images(16), epsilons: vec!["50/255".parse().unwrap()], ..request(model) }
}

#[test]
fn autoattack_is_one_choice_of_four_stages_each_on_what_stands() {
    let place = Place::new();
    for model in [place.model(&["whole.safetensors"]), place.arms()] {
        let report = quiet(|run| attack(&bundle(model), run)).unwrap().remove(0);
        let names: Vec<&str> = report.stages.iter().map(|stage| stage.stage.as_str()).collect();
        let expected = ["apgd-ce ce", "apgd-t dlr-t:9", "fab-t margin-t:9", "square margin"]
            .map(|s| format!("autoattack {s}"));
        assert_eq!(
            (names, report.attack.as_str()),
            (expected.iter().map(String::as_str).collect(), "autoattack")
        );
        let n = report.n as f64;
        let mut correct = report.clean_accuracy;
        for stage in &report.stages {
            assert_eq!(stage.attacked as f64, (correct * n).round(), "{stage:?}");
            assert!(stage.robust_accuracy <= correct, "{stage:?}");
            correct = stage.robust_accuracy;
        }
        assert_eq!(report.robust_accuracy.unwrap(), correct);
        assert!(correct < report.clean_accuracy);
        let total: u64 = report.stages.iter().map(|stage| stage.forward).sum();
        assert_eq!(report.forward, total);
        let right = report.examples.iter().filter(|e| e.adversarial_prediction == e.label).count();
        assert_eq!(right as f64, (correct * n).round());
        assert!(report.examples.iter().all(|e| e.size <= 50.0 / 255.0 + 1e-6));
    }
}

#[test]
fn mistakes_are_named_before_any_work() {
    let place = Place::new();
    let whole = || place.model(&["whole.safetensors"]);
    let worked = AtomicUsize::new(0);
    let refused = |change: &dyn Fn(&mut AttackRequest)| {
        let mut request = request(whole());
        change(&mut request);
        let on_event = |event: &Event<'_>| {
            worked.fetch_add(usize::from(matches!(event, Event::Progress(_))), Ordering::Relaxed);
        };
        message(attack(
            &request,
            &RunOptions { batch_size: 7, cancel: &CancelToken::new(), on_event: &on_event },
        ))
    };
    let contains = |change: &dyn Fn(&mut AttackRequest), parts: &[&str]| {
        let text = refused(change);
        assert!(parts.iter().all(|part| text.contains(part)), "{text}");
    };
    contains(&|r| r.setup.attack = "cw3".to_owned(), &["\"cw3\"", "fgsm", "pgd", "autoattack"]);
    contains(&|r| r.setup.attack = "autoattack".to_owned(), &["--attack autoattack", "their own settings"]);
    contains(
        &|r| {
            r.setup = AttackSetupRequest::usual("autoattack");
            r.setup.strategy = "margin-t".parse().unwrap();
        },
        &["--attack autoattack", "strategy softmax"],
    );
    contains(
        &|r| drop(r.setup.settings.insert("stepz".to_owned(), json!(1))),
        &["no setting stepz", "restarts"],
    );
    contains(&|r| drop(r.setup.settings.insert("steps".to_owned(), json!(-1))), &["--attack", "-1"]);
    contains(&|r| r.setup.target = Some(10), &["--target 10", "0 to 9"]);
    contains(&|r| r.setup.strategy = "best-arm".parse().unwrap(), &["best-arm", "softmax, margin-t"]);
    contains(&|r| r.setup.strategy = "stage-1".parse().unwrap(), &["stage-1", "hierarchical"]);
    contains(&|r| r.epsilons.clear(), &["--epsilon"]);
    contains(&|r| r.model.model = "vgg".to_owned(), &["\"vgg\"", "resnet18"]);
    contains(&|r| r.model.model = "resnet18".to_owned(), &["whole.safetensors", "missing"]);
    contains(&|r| r.model.width = Some(8), &["--width 8", "width 4"]);
    contains(&|r| r.model.weights.push(place.path("arm-0.safetensors")), &["--aggregate"]);
    contains(&|r| r.model.weights = vec![place.path("arm-0.safetensors")], &["2 classes", "10"]);
    contains(&|r| r.model.weights = vec![place.path("none.safetensors")], &["none.safetensors"]);
    contains(&|r| r.model.normalize = Some(Normalize::None), &["--normalize", "of its own"]);
    contains(&|r| r.images.limit = Some(0), &["mnist"]);
    let bare: &dyn Fn(&mut AttackRequest) = &|r| r.model.weights = vec![place.path("bare-whole.safetensors")];
    contains(bare, &["--normalize", "MEAN,STD"]);
    assert_eq!(worked.load(Ordering::Relaxed), 0, "no image was classified");
    assert!("0.5,0".parse::<Normalize>().is_err() && "0.5".parse::<Normalize>().is_err());
}

#[test]
fn supplied_normalisation_is_the_files_own() {
    let place = Place::new();
    let own = quiet(|run| predict(&place.model(&["whole.safetensors"]), &images(20), run)).unwrap();
    let supplied = |normalize: &str| {
        let normalize = Some(normalize.parse().unwrap());
        let model = ModelRequest { normalize, ..place.model(&["bare-whole.safetensors"]) };
        quiet(|run| predict(&model, &images(20), run)).unwrap().predictions
    };
    for same in ["none", "dataset", "0,1"] {
        assert_eq!(supplied(same), own.predictions, "{same}");
    }
    assert_ne!(supplied("0.5,0.1"), own.predictions);
}

#[test]
fn an_interrupted_evaluation_goes_on_and_ends_the_same() {
    let place = Place::new();
    let request = |out: &str| EvaluateRequest {
        model: place.arms(),
        images: images(10),
        budget: Budget { norm: Norm::Linf, epsilon: "20/255".parse().unwrap() },
        steps: 3,
        restarts: 1,
        attacks: vec!["fmn".to_owned(), "autoattack".to_owned()],
        seed: 1,
        scope: Scope::Subset,
        bad_gradients: BadGradients::Refuse,
        out: place.path(out),
    };
    let whole = quiet(|run| evaluate(&request("whole"), run)).unwrap();
    assert!(
        whole.summary.union <= whole.summary.paper && whole.summary.paper <= whole.summary.clean_accuracy
    );
    let attacks = &whole.summary.attacks;
    assert_eq!(attacks[0].attack, "autoattack apgd-ce ce");
    assert_eq!(attacks.last().unwrap().attack, "fmn softmax margin");
    let reached = attacks.iter().filter(|attack| attack.attack.starts_with("autoattack")).map(|a| a.accuracy);
    assert!(reached.collect::<Vec<_>>().is_sorted_by(|a, b| a >= b), "{attacks:?}");
    let passed = |id: &str| whole.battery.iter().any(|f| f.test == id && f.status == Status::Pass);
    assert!(["T1", "T16", "T17", "T18"].iter().all(|id| passed(id)), "{:?}", whole.battery);

    let mut interruptions = 0;
    loop {
        // Stops a little later each time.
        let (cancel, begun) = (CancelToken::new(), AtomicUsize::new(0));
        let on_event = |event: &Event<'_>| {
            if matches!(event, Event::Begins(_)) && begun.fetch_add(1, Ordering::Relaxed) == 8 {
                cancel.cancel();
            }
        };
        match evaluate(&request("parts"), &RunOptions { batch_size: 3, cancel: &cancel, on_event: &on_event })
        {
            Ok(_) => break,
            Err(error) => assert!(error.is_cancelled(), "{error:?}"),
        }
        interruptions += 1;
        assert!(interruptions < 20, "it never ends");
    }
    assert!(interruptions > 1);
    for file in ["ledger.json", "battery.json", "adversarial.safetensors", "report.json"] {
        let read = |folder: &str| std::fs::read(place.path(folder).join(file)).unwrap();
        assert_eq!(read("whole"), read("parts"), "{file}");
    }
    assert!(leftovers(&place.path("parts")).is_empty());
    // The verdict is handed over even if it cannot be saved.
    std::fs::remove_file(place.path("parts").join("report.json")).unwrap();
    let block = |event: &Event<'_>| {
        if matches!(event, Event::Begins(_)) {
            std::fs::create_dir_all(place.path("parts").join("report.json")).unwrap();
        }
    };
    let (mut verdict, run) =
        (None, RunOptions { batch_size: 3, cancel: &CancelToken::new(), on_event: &block });
    let text = message(evaluate_and(&request("parts"), &run, &mut |report| verdict = Some(report)));
    assert!(
        text.contains("report.json: cannot write") && verdict.unwrap().summary == whole.summary,
        "{text}"
    );
    std::fs::remove_dir(place.path("parts").join("report.json")).unwrap();
    // A ledger without what its runs found is not gone on with.
    let witnesses = std::fs::read(place.path("parts").join("adversarial.safetensors")).unwrap();
    std::fs::remove_file(place.path("parts").join("adversarial.safetensors")).unwrap();
    assert!(
        message(quiet(|run| evaluate(&request("parts"), run)))
            .contains("adversarial.safetensors: cannot read")
    );
    std::fs::write(place.path("parts").join("adversarial.safetensors"), witnesses).unwrap();
    let fewer = EvaluateRequest { attacks: Vec::new(), ..request("parts") };
    assert!(message(quiet(|run| evaluate(&fewer, run))).contains("attacks"));
    let twice = EvaluateRequest { attacks: vec!["fmn".to_owned(); 2], ..request("twice") };
    assert!(message(quiet(|run| evaluate(&twice, run))).contains("twice"));
    let other = EvaluateRequest { seed: 2, ..request("parts") };
    let text = message(quiet(|run| evaluate(&other, run)));
    assert!(text.contains("seed 1, now 2"), "{text}");
}

#[test]
fn a_folder_of_found_images_belongs_to_one_attack_and_says_which() {
    let place = Place::new();
    let request = AttackRequest {
        out: Some(place.path("found")),
        images: images(10),
        ..request(place.model(&["whole.safetensors"]))
    };
    let file = place.path("found").join("linf-50-255").join("adversarial.safetensors");
    quiet(|run| attack(&request, run)).unwrap();
    let bytes = std::fs::read(&file).unwrap();
    let made_by = robin_evaluation::Witnesses::from_safetensors(&bytes, "found").unwrap().made_by.unwrap();
    assert_eq!((&made_by["seed"], &made_by["norm"]), (&json!(3), &json!("linf")));
    assert_eq!(made_by["stages"]["pgd softmax margin steps=5"]["steps"], 5, "{made_by:#}");
    assert_eq!(made_by["classifier"]["weights_sha256"][0].as_str().unwrap().len(), 64);
    // The same attack once more, and within another budget, is the same run.
    let wider = AttackRequest { epsilons: vec!["1/255".parse().unwrap()], ..request.clone() };
    for request in [&request, &wider] {
        quiet(|run| attack(request, run)).unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), bytes);
    }
    let mut steps = request.clone();
    steps.setup.settings.insert("steps".to_owned(), json!(6));
    for (other, difference) in [
        (
            steps,
            "attack \"pgd softmax margin steps=5\", now \"pgd softmax margin steps=6\"; choose another --out",
        ),
        (AttackRequest { seed: 4, ..request.clone() }, "seed 3, now 4"),
        (AttackRequest { images: images(11), ..request.clone() }, "data.n 10, now 11"),
        (AttackRequest { iterate: Which::Last, ..request.clone() }, "iterate \"worst\", now \"last\""),
    ] {
        let text = message(quiet(|run| attack(&other, run)));
        assert!(text.contains(difference), "{text}");
        assert_eq!(std::fs::read(&file).unwrap(), bytes);
    }
    std::fs::remove_file(place.path("found").join("run.json")).unwrap();
    assert!(message(quiet(|run| attack(&request, run))).contains("adversarial.safetensors and no run.json"));
}

#[test]
fn what_cannot_be_saved_is_known_before_the_work_or_costs_no_number() {
    let place = Place::new();
    let begun = AtomicUsize::new(0);
    let count = |event: &Event<'_>| {
        begun.fetch_add(usize::from(matches!(event, Event::Begins(_))), Ordering::Relaxed);
    };
    let run = RunOptions { batch_size: 7, cancel: &CancelToken::new(), on_event: &count };
    let found = |name: &str| AttackRequest {
        out: Some(place.path(name)),
        images: images(10),
        ..request(place.model(&["whole.safetensors"]))
    };
    // Images that are no pictures.
    let graph = robin_models::build("cnn2-small", Some(WIDTH), [2, 28, 28], 10).unwrap();
    let weights = Parameters::initialise(&graph, Seed::new(1)).to_safetensors().unwrap();
    std::fs::write(place.path("two.safetensors"), weights).unwrap();
    let view = |dtype, shape: &[usize], bytes: &'static [u8]| {
        safetensors::tensor::TensorView::new(dtype, shape.to_vec(), bytes).unwrap()
    };
    let pixels: &'static [u8] = Box::leak((0..20 * 2 * 784).map(|at| (at % 251) as u8).collect());
    let labels: &'static [u8] = Box::leak((0..20).map(|at| at % 10).collect());
    let tensors = [
        ("images", view(safetensors::Dtype::U8, &[20, 2, 28, 28], pixels)),
        ("labels", view(safetensors::Dtype::U8, &[20], labels)),
    ];
    let own = place.path("own.safetensors");
    std::fs::write(&own, safetensors::serialize(tensors, None).unwrap()).unwrap();
    let mut pictures = found("pictures");
    pictures.model = place.model(&["two.safetensors"]);
    pictures.images.dataset = own.display().to_string().parse().unwrap();
    pictures.pictures = 1;
    assert!(message(attack(&pictures, &run)).contains("--png (images of 2 channels): pictures have 1 or 3"));
    // A folder in the way.
    std::fs::create_dir_all(place.path("taken").join("linf-0.0").join("adversarial.safetensors")).unwrap();
    std::fs::write(place.path("taken").join("run.json"), "{}").unwrap();
    assert!(attack(&found("taken"), &run).is_err());
    std::fs::write(place.path("file"), "mine").unwrap();
    assert!(message(attack(&found("file"), &run)).contains("file: cannot create the result folder"));
    assert_eq!(begun.load(Ordering::Relaxed), 0);
    // What comes in the way later costs no number: the first budget's, nor that of those behind it.
    let late = place.path("late").join("linf-0.0").join("adversarial.safetensors");
    let block = |event: &Event<'_>| {
        if matches!(event, Event::Begins("clean images")) {
            std::fs::create_dir(&late).unwrap();
        }
    };
    let mut reports = Vec::new();
    let result = attack_each(&found("late"), &RunOptions { on_event: &block, ..run }, &mut |report| {
        reports.push(report)
    });
    let text = message(result);
    assert!(text.contains("linf-0.0/adversarial.safetensors: cannot write"), "{text}");
    assert_eq!(reports, {
        let mut whole = quiet(|run| attack(&AttackRequest { out: None, ..found("late") }, run)).unwrap();
        whole.iter_mut().zip(&reports).for_each(|(one, other)| one.seconds = other.seconds);
        whole
    });
    assert!(place.path("late").join("linf-50-255").join("adversarial.safetensors").is_file());
}

fn leftovers(folder: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with(".tmp")).collect()
}

#[test]
fn coherence_is_measured_with_its_control_and_refused_where_there_is_none() {
    let place = Place::new();
    let request = |model| CoherenceRequest { model, images: images(20), bins: 8, seed: 5 };
    let found = quiet(|run| coherence(&request(place.arms()), run)).unwrap();
    assert_eq!((found.trained.n, found.cosines.len(), found.trained.norms.len()), (20, 20, 10));
    assert_eq!(found.trained.histogram.counts.iter().sum::<u64>() as usize, found.trained.measured);
    assert_ne!(found.trained.mean, found.untrained.mean);
    let other = coherence(
        &request(place.arms()),
        &RunOptions { batch_size: 20, cancel: &CancelToken::new(), on_event: &|_| () },
    );
    assert_eq!(other.unwrap(), found, "the batch size is seen");

    // A network agrees with one that is all but the same; the same one twice is a mistake.
    let ensemble =
        |names: &[&str]| ModelRequest { aggregate: Some("ensemble".parse().unwrap()), ..place.model(names) };
    let graph = robin_models::build("cnn2-small", Some(WIDTH), [1, 28, 28], 10).unwrap();
    let whole = std::fs::read(place.path("whole.safetensors")).unwrap();
    let mut parameters = Parameters::from_safetensors(&graph, &whole, "whole").unwrap();
    let last = parameters.trained.iter_mut().find(|tensor| tensor.name == "fc2.weight").unwrap();
    last.values[0] = last.values[0].next_up();
    std::fs::write(place.path("nearly.safetensors"), parameters.to_safetensors().unwrap()).unwrap();
    let same = ensemble(&["whole.safetensors", "whole.safetensors"]);
    assert!(message(quiet(|run| coherence(&request(same), run))).contains("the same network"));
    let twice = ensemble(&["whole.safetensors", "nearly.safetensors"]);
    let found = quiet(|run| coherence(&request(twice), run)).unwrap();
    assert!(found.cosines.iter().all(|cosine| cosine.unwrap() > 1.0 - 1e-9), "{:?}", found.cosines);
    assert!(found.untrained.mean.unwrap() < 0.9, "fresh networks differ: {:?}", found.untrained);

    let alone = place.model(&["whole.safetensors"]);
    assert!(message(quiet(|run| coherence(&request(alone), run))).contains("--aggregate"));
    let none = CoherenceRequest { bins: 0, ..request(place.arms()) };
    assert!(message(quiet(|run| coherence(&none, run))).contains("--bins"));
}

/// The width of a network without convolutions is that of its first layer.
#[test]
fn the_two_layer_network_is_read_from_its_weights() {
    let place = Place::new();
    let graph = robin_models::build("mlp", Some(6), [1, 28, 28], 10).unwrap();
    let parameters = Parameters::initialise(&graph, Seed::new(1));
    std::fs::write(place.path("mlp.safetensors"), parameters.to_safetensors().unwrap()).unwrap();
    let model = ModelRequest { model: "mlp".to_owned(), ..place.model(&["mlp.safetensors"]) };
    let found = quiet(|run| predict(&model, &images(5), run)).unwrap();
    assert_eq!((found.classifier.widths, found.n), (vec![6], 5));
}
