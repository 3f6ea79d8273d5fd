//! Every number that `attack` and `evaluate` report is counted again from the results of single images beside it.

use std::path::PathBuf;

use robin_attacks::Loss;
use robin_core::{Budget, CancelToken, Norm, Seed};
use robin_data::{Choice, Split};
use robin_evaluation::battery::{Scope, Status};
use robin_evaluation::external_model::{BadGradients, GradientVerdict};
use robin_evaluation::{Ledger, Which, Witnesses};
use robin_experiments::external_model::{
    AttackReport, AttackRequest, AttackSetupRequest, EvaluateRequest, ImagesRequest, ModelRequest,
    RunOptions, attack, evaluate, verify,
};
use robin_nn::Parameters;
use serde_json::{Map, Value, json};

const IMAGES: usize = 30;

/// A folder with weights of `cnn2-small`, none of them trained.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        place.write("whole", 10, 1, 20.0);
        place.write("loud", 10, 1, 2e5);
        place.write("constant", 10, 1, 0.0);
        (0..10).for_each(|arm| place.write(&format!("arm-{arm}"), 2, 100 + arm, 20.0));
        (0..2).for_each(|group| place.write(&format!("five-{group}"), 5, 200 + group, 20.0));
        place
    }

    /// Weights of the last layer times `factor`, and the whole of it in the loud one, which is then right about some images.
    fn write(&self, name: &str, outputs: usize, seed: u64, factor: f32) {
        let graph = robin_models::build("cnn2-small", Some(4), [1, 28, 28], outputs).unwrap();
        let mut parameters = Parameters::initialise(&graph, Seed::new(seed));
        let scaled = if name == "loud" { "fc2." } else { "fc2.weight" };
        for tensor in parameters.trained.iter_mut().filter(|tensor| tensor.name.starts_with(scaled)) {
            tensor.values.iter_mut().for_each(|value| *value *= factor);
        }
        std::fs::write(self.path(name), parameters.to_safetensors().unwrap()).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn model(&self, weights: &[String], aggregate: Option<&str>) -> ModelRequest {
        ModelRequest {
            model: "cnn2-small".to_owned(),
            weights: weights.iter().map(|name| self.path(name)).collect(),
            width: None,
            normalize: None,
            aggregate: aggregate.map(|name| name.parse().unwrap()),
            device: "cpu".parse().unwrap(),
        }
    }

    fn alone(&self, name: &str) -> ModelRequest {
        self.model(&[name.to_owned()], None)
    }

    fn arms(&self) -> ModelRequest {
        self.model(&(0..10).map(|arm| format!("arm-{arm}")).collect::<Vec<_>>(), Some("one-vs-all"))
    }
}

fn images() -> ImagesRequest {
    ImagesRequest {
        dataset: "mnist".parse::<Choice>().unwrap(),
        split: Split::Test,
        embedded: true,
        data_dir: None,
        limit: Some(IMAGES),
        sample: None,
        classes: None,
        preparation: robin_data::Preparation::default(),
    }
}

fn quiet<T>(work: impl FnOnce(&RunOptions<'_>) -> robin_experiments::Result<T>) -> T {
    work(&RunOptions { batch_size: 7, cancel: &CancelToken::new(), on_event: &|_| () }).unwrap()
}

fn setup(attack: &str, loss: Option<Loss>) -> AttackSetupRequest {
    let settings = match attack {
        "square" => Map::from_iter([("queries".to_owned(), json!(60))]),
        "autoattack" => Map::new(),
        _ => Map::from_iter([("steps".to_owned(), json!(5))]),
    };
    AttackSetupRequest { settings, loss, ..AttackSetupRequest::usual(attack) }
}

fn request(model: ModelRequest, setup: AttackSetupRequest) -> AttackRequest {
    AttackRequest {
        model,
        images: images(),
        setup,
        norm: Norm::Linf,
        epsilons: ["0", "30/255", "0.3"].iter().map(|epsilon| epsilon.parse().unwrap()).collect(),
        iterate: Which::Worst,
        seed: 3,
        bad_gradients: BadGradients::Refuse,
        out: None,
        pictures: 0,
    }
}

fn number(value: &Value, name: &str) -> f64 {
    value[name].as_f64().unwrap_or_else(|| panic!("{name} is {}", value[name]))
}

/// Counts everything in the report's JSON again from its examples.
fn recounted(report: &AttackReport, target: Option<u32>) {
    let json = serde_json::to_value(report).unwrap();
    let examples = json["examples"].as_array().unwrap();
    let of = |e: &Value, name: &str| e[name].as_u64().unwrap_or_else(|| panic!("{name} of {e}"));
    let count = |which: &dyn Fn(&Value) -> bool| examples.iter().filter(|e| which(e)).count();
    let share = |which: &dyn Fn(&Value) -> bool| count(which) as f64 / examples.len() as f64;
    let right = |e: &Value| e["clean_prediction"] == e["label"];
    let robust = |e: &Value| right(e) && e["adversarial_prediction"] == e["label"];

    assert_eq!(number(&json, "n"), examples.len() as f64);
    assert_eq!(number(&json, "clean_accuracy"), share(&right));
    // Nothing attacks an image of the class that is wanted, so its being right says nothing about robustness.
    let attackable = |e: &Value| target.is_none_or(|class| of(e, "label") != u64::from(class));
    let (robust_n, left) = (count(&attackable), count(&|e| attackable(e) && robust(e)));
    assert_eq!(number(&json, "robust_n"), robust_n as f64);
    assert_eq!(json["robust_accuracy"].as_f64(), (robust_n > 0).then(|| left as f64 / robust_n as f64));
    for name in ["forward", "backward", "gradients", "zero_gradients"] {
        assert_eq!(number(&json, name), examples.iter().map(|e| of(e, name)).sum::<u64>() as f64, "{name}");
    }
    let (zero, all) = (number(&json, "zero_gradients"), number(&json, "gradients"));
    assert_eq!(json["zero_gradient_share"].as_f64(), (all > 0.0).then(|| zero / all));
    assert_eq!(number(&json, "attacked"), count(&|e| e["attacked"] == json!(true)) as f64);
    let epsilon = report.epsilon.get();
    for e in examples {
        assert_eq!(e["robust"], json!(robust(e)), "{e}");
        let attacked = match target {
            None => right(e),
            Some(class) => {
                of(e, "label") != u64::from(class) && of(e, "clean_prediction") != u64::from(class)
            }
        };
        assert_eq!(e["attacked"], json!(attacked), "{e}");
        assert!(number(e, "size") <= epsilon + 1e-6, "{e}");
        if !attacked {
            assert_eq!(e["adversarial_prediction"], e["clean_prediction"]);
            assert_eq!(number(e, "size") + number(e, "forward") + number(e, "gradients"), 0.0, "{e}");
        }
        let hit = target.filter(|_| attacked).map(|class| e["adversarial_prediction"] == json!(class));
        assert_eq!(e["hit"].as_bool(), hit, "{e}");
    }
    if let Some(class) = target {
        let class = u64::from(class);
        let of_class = count(&|e| of(e, "label") == class);
        let already = count(&|e| of(e, "label") != class && of(e, "clean_prediction") == class);
        let open = examples.len() - of_class - already;
        let hits = count(&|e| {
            of(e, "label") != class
                && of(e, "clean_prediction") != class
                && of(e, "adversarial_prediction") == class
        });
        assert_eq!(number(&json, "target"), class as f64);
        assert_eq!(number(&json, "target_n"), open as f64);
        assert_eq!(number(&json, "excluded_of_target_class"), of_class as f64);
        assert_eq!(number(&json, "excluded_already_predicted"), already as f64);
        assert_eq!(json["target_success"].as_f64(), (open > 0).then(|| hits as f64 / open as f64));
    } else {
        assert_eq!((&json["target"], &json["target_success"]), (&Value::Null, &Value::Null));
    }
    for (class, own) in json["classes"].as_array().unwrap().iter().enumerate() {
        let mine = |e: &Value| of(e, "label") == class as u64;
        assert_eq!(own["n"], json!(count(&mine)));
        assert_eq!(own["right"], json!(count(&|e| mine(e) && right(e))));
        assert_eq!(own["robust"], json!(count(&|e| mine(e) && robust(e))));
    }
    for (at, stage) in json["stages"].as_array().into_iter().flatten().enumerate() {
        let misclassified_before =
            |e: &Value, limit: usize| e["stage"].as_u64().is_some_and(|s| (s as usize) < limit);
        let attacked = count(&|e| e["attacked"] == json!(true) && !misclassified_before(e, at));
        assert_eq!(number(stage, "attacked"), attacked as f64);
        assert_eq!(
            number(stage, "robust_accuracy"),
            share(&|e| right(e) && !misclassified_before(e, at + 1))
        );
    }
    for name in ["forward", "backward", "gradients", "zero_gradients"] {
        let stages = json["stages"].as_array().map(|stages| stages.iter().map(|s| number(s, name)).sum());
        assert_eq!(stages.unwrap_or(number(&json, name)), number(&json, name), "{name}");
    }
}

/// The saved images are exactly those that count as misclassified, or as hits, with the predictions that are reported.
fn saved(report: &AttackReport, request: &AttackRequest) {
    let folder = format!("{} {}", report.norm, report.epsilon).replace(['/', ' '], "-");
    let file = request.out.as_ref().unwrap().join(folder).join("adversarial.safetensors");
    let found = Witnesses::from_safetensors(&std::fs::read(&file).unwrap(), "witnesses").unwrap();
    let mut saved: Vec<_> =
        found.ids.iter().zip(&found.predictions).map(|(&id, &prediction)| (id, prediction)).collect();
    saved.sort_unstable();
    let misclassified =
        |e: &&robin_experiments::external_model::Example| e.hit.unwrap_or(e.attacked && !e.robust);
    let said: Vec<_> =
        report.examples.iter().filter(misclassified).map(|e| (e.id, e.adversarial_prediction)).collect();
    assert_eq!(saved, said);
    let checked = quiet(|run| verify(&file, &request.model, &request.images, run));
    assert!(checked.holds() && checked.n == said.len(), "{checked:?}");
}

#[test]
fn every_number_of_an_attack_is_counted_from_its_examples_in_every_mode() {
    let place = Place::new();
    let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    let subjects = [
        place.alone("whole"),
        place.arms(),
        place.model(&names(&["arm-0", "five-0", "five-1"]), Some("hierarchical:first5-last5")),
        place.model(&names(&["whole", "loud"]), Some("ensemble")),
    ];
    for (number, model) in subjects.into_iter().enumerate() {
        for (attack_name, loss) in
            [("pgd", Some(Loss::Margin)), ("pgd", None), ("square", None), ("fmn", None)]
        {
            for (target, iterate) in
                [(None, Which::Worst), (None, Which::Last), (Some(4), Which::Worst), (Some(4), Which::Last)]
            {
                let mut request = request(model.clone(), setup(attack_name, loss));
                (request.setup.target, request.iterate) = (target, iterate);
                let folder = format!("{number}-{attack_name}-{loss:?}-{target:?}-{iterate:?}");
                request.out = Some(place.path(&folder));
                let reports = quiet(|run| attack(&request, run));
                assert_eq!(reports.len(), 3, "one for each epsilon");
                for report in &reports {
                    recounted(report, target);
                    saved(report, &request);
                }
                // Nothing happens within nothing, and something within 0.3.
                let right = |e: &&robin_experiments::external_model::Example| {
                    e.robust == (e.clean_prediction == e.label)
                };
                assert!(reports[0].examples.iter().all(|e| right(&e)));
                if attack_name == "pgd" && loss.is_some() && number == 0 && iterate == Which::Worst {
                    let found = &reports[2];
                    assert!(
                        found.robust_accuracy.unwrap() < reports[0].robust_accuracy.unwrap(),
                        "{target:?}"
                    );
                    let hits = found.target.map_or(1.0, |target| target.target_success.unwrap());
                    assert!(hits > 0.0, "{:?}", found.target);
                }
            }
        }
    }
}

#[test]
fn every_number_of_a_bundle_is_counted_from_its_examples() {
    let place = Place::new();
    for model in [place.alone("whole"), place.arms()] {
        let mut request = request(model, setup("autoattack", None));
        request.images.limit = Some(12);
        request.epsilons = vec!["50/255".parse().unwrap()];
        request.out = Some(place.path("bundle"));
        for report in quiet(|run| attack(&request, run)) {
            assert_eq!(report.stages.len(), 4);
            recounted(&report, None);
            saved(&report, &request);
        }
        std::fs::remove_dir_all(place.path("bundle")).unwrap();
    }
}

/// A classifier whose last layer is too loud for cross-entropy in f32.
#[test]
fn vanished_gradients_are_counted_and_warned_of() {
    let place = Place::new();
    let found = |name: &str, setup| {
        let mut request = request(place.alone(name), setup);
        request.epsilons = vec!["30/255".parse().unwrap()];
        quiet(|run| attack(&request, run)).remove(0)
    };
    let blind = found("loud", setup("pgd", Some(Loss::Ce)));
    assert!(
        blind.gradient_is_true && blind.zero_gradient_share.unwrap() > 0.5,
        "{:?}",
        blind.zero_gradient_share
    );
    let [warning] = &blind.warnings[..] else { panic!("{:?}", blind.warnings) };
    assert!(["zero", "margin", "dlr"].iter().all(|word| warning.contains(word)), "{warning}");
    let seeing = found("loud", setup("pgd", Some(Loss::Margin)));
    assert_eq!((seeing.zero_gradient_share, seeing.warnings.len()), (Some(0.0), 0));
    assert!(
        seeing.robust_accuracy.unwrap() < blind.robust_accuracy.unwrap(),
        "{}",
        seeing.robust_accuracy.unwrap()
    );
    // Attacks of other families count too, and those without gradients have no share of them.
    for name in ["apgd", "fgsm"] {
        let mut setup = setup(name, Some(Loss::Ce));
        if name == "fgsm" {
            setup.settings.clear();
        }
        let found = found("loud", setup);
        assert!(found.zero_gradient_share.unwrap() >= 0.05 && found.warnings.len() == 1, "{name}");
    }
    assert_eq!(found("loud", setup("square", None)).zero_gradient_share, None);
}

#[test]
fn a_constant_network_is_flat_and_is_attacked_all_the_same() {
    let place = Place::new();
    let request = request(place.alone("constant"), setup("pgd", None));
    for report in quiet(|run| attack(&request, run)) {
        recounted(&report, None);
        assert_eq!(report.gradient.verdict, GradientVerdict::Flat);
        assert_eq!((report.gradient.flat_share, report.gradient.images), (1.0, IMAGES));
        assert!(report.warnings[0].contains("FLAT") && report.warnings[0].contains("100.0%"));
        assert_eq!(report.robust_accuracy, Some(report.clean_accuracy));
    }
}

#[test]
fn every_number_of_an_evaluation_is_counted_from_its_ledger() {
    let place = Place::new();
    let request = EvaluateRequest {
        model: place.alone("loud"),
        images: ImagesRequest { limit: Some(12), ..images() },
        budget: Budget { norm: Norm::Linf, epsilon: "20/255".parse().unwrap() },
        steps: 3,
        restarts: 2,
        attacks: vec!["fmn".to_owned()],
        seed: 1,
        scope: Scope::Subset,
        bad_gradients: BadGradients::Refuse,
        out: place.path("evaluation"),
    };
    let report = quiet(|run| evaluate(&request, run));
    let summary = &report.summary;
    let text = std::fs::read_to_string(place.path("evaluation").join("ledger.json")).unwrap();
    let ledger = Ledger::from_json(&text).unwrap();
    let n = ledger.len();
    let share = |misclassified: &dyn Fn(usize) -> bool| {
        (0..n).filter(|&at| !misclassified(at)).count() as f64 / n as f64
    };
    let wrong = |at: usize| ledger.clean.predictions[at] != ledger.labels[at];
    let misled = |run: &robin_evaluation::Run, at: usize| run.outcome.predictions[at] != ledger.labels[at];
    assert_eq!((summary.n, summary.clean_accuracy), (n, share(&wrong)));
    assert_eq!(summary.union, share(&|at| wrong(at) || ledger.runs.iter().any(|run| misled(run, at))));
    let mut lowest = 1.0_f64;
    for found in &summary.attacks {
        let runs = || ledger.runs.iter().filter(|run| run.attack == found.attack);
        let accuracy = share(&|at| wrong(at) || runs().any(|run| misled(run, at)));
        assert_eq!((found.accuracy, found.restarts), (accuracy, runs().count()), "{}", found.attack);
        lowest = lowest.min(accuracy);
        let sum = |of: fn(&robin_evaluation::Run) -> &Vec<u32>| {
            runs().flat_map(of).map(|&count| u64::from(count)).sum::<u64>()
        };
        let (gradients, zero) = (sum(|run| &run.gradients), sum(|run| &run.zero_gradients));
        assert_eq!((found.cost.gradients, found.cost.zero_gradients), (gradients, zero));
        assert_eq!(found.zero_gradient_share, (gradients > 0).then(|| zero as f64 / gradients as f64));
        let sizes: Vec<f64> = (0..n)
            .filter_map(|at| {
                let broke = runs().filter(|run| run.attacked[at] && misled(run, at));
                broke.map(|run| f64::from(run.outcome.sizes[at])).min_by(f64::total_cmp)
            })
            .collect();
        let mean = (!sizes.is_empty()).then(|| sizes.iter().sum::<f64>() / sizes.len() as f64);
        assert_eq!(found.mean_size, mean, "{}", found.attack);
    }
    assert_eq!(summary.paper, lowest);
    for own in &report.classes {
        let mine = |at: &usize| ledger.labels[*at] == own.class;
        let robust = |at: &usize| !wrong(*at) && !ledger.runs.iter().any(|run| misled(run, *at));
        let count = |which: &dyn Fn(&usize) -> bool| (0..n).filter(|at| mine(at) && which(at)).count();
        let expected = (count(&|_| true), count(&|at| !wrong(*at)), count(&robust));
        assert_eq!((own.n, own.right, own.robust), expected);
    }
    assert_eq!(report.classes.len(), 10, "classes without images are said");

    // Cross-entropy is blind on this one, and both the ledger and the battery see it.
    let ce = summary.attacks.iter().find(|found| found.attack.starts_with("pgd softmax ce")).unwrap();
    assert!(ce.zero_gradient_share.unwrap() > 0.5 && ce.blind.is_some());
    assert!(report.warnings.iter().any(|said| said.contains("pgd softmax ce") && said.contains("dlr")));
    let t13 = report.battery.iter().find(|finding| finding.test == "T13").unwrap();
    assert_eq!(t13.status, Status::Fail, "{t13:?}");
    assert!(t13.note.contains("margin") && t13.note.contains("dlr"), "{}", t13.note);
}
