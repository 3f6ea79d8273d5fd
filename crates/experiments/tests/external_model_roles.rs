//! Weight files that say what their networks are for: any order gives one classifier, any other mixture a refusal.

use std::path::PathBuf;

use robin_core::{CancelToken, Seed};
use robin_data::{Choice, Groups, LabelMap, Split};
use robin_experiments::Role;
use robin_experiments::external_model::{
    Event, ImagesRequest, ModelRequest, PredictReport, RunOptions, predict,
};
use robin_experiments::key::Key;
use robin_experiments::role::Epoch;
use robin_nn::Parameters;
use robin_training::Outputs;
use serde_json::json;

/// A folder with weights.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// Fresh weights for `labels`, number `number`; with their role if `said` changes it to one.
    fn write(&self, name: &str, labels: LabelMap, number: u64, said: Option<&dyn Fn(&mut Role)>) -> PathBuf {
        let outputs = labels.num_classes(10);
        let graph = robin_models::build("cnn2-small", Some(4), [1, 28, 28], outputs).unwrap();
        let mut bytes = Parameters::initialise(&graph, Seed::new(number)).to_safetensors().unwrap();
        if let Some(said) = said {
            let mut role = Role {
                model: "cnn2-small".to_owned(),
                width: 4,
                input: [1, 28, 28],
                outputs,
                scores: Outputs::Classes,
                labels,
                normalize: None,
                dataset: "mnist".to_owned(),
                number,
                training: Key::of(&json!("one training")),
                epoch: Epoch::Last,
            };
            said(&mut role);
            bytes = role.written_into(&bytes).unwrap();
        }
        let path = self.0.path().join(format!("{name}.safetensors"));
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn arm(&self, class: u32) -> PathBuf {
        self.write(&format!("arm-{class}"), LabelMap::OneVsAll { class }, u64::from(class) + 1, AS_IT_IS)
    }

    fn arms(&self) -> Vec<PathBuf> {
        (0..10).map(|class| self.arm(class)).collect()
    }
}

const AS_IT_IS: Option<&dyn Fn(&mut Role)> = Some(&|_| ());

fn ask(weights: &[PathBuf], aggregate: &str) -> Result<(PredictReport, Vec<String>), String> {
    let model = ModelRequest {
        model: "cnn2-small".to_owned(),
        weights: weights.to_vec(),
        width: None,
        normalize: None,
        aggregate: (!aggregate.is_empty()).then(|| aggregate.parse().unwrap()),
        device: "cpu".parse().unwrap(),
    };
    let images = ImagesRequest {
        dataset: "mnist".parse::<Choice>().unwrap(),
        split: Split::Test,
        embedded: true,
        data_dir: None,
        limit: Some(200),
        sample: None,
        classes: None,
        preparation: robin_data::Preparation::default(),
    };
    let warnings = std::sync::Mutex::new(Vec::new());
    let on_event = |event: &Event<'_>| {
        if let Event::Warning(what) = event {
            warnings.lock().unwrap().push((*what).to_owned());
        }
    };
    let run = RunOptions { batch_size: 200, cancel: &CancelToken::new(), on_event: &on_event };
    let report = predict(&model, &images, &run).map_err(|error| error.to_string())?;
    Ok((report, warnings.into_inner().unwrap()))
}

fn refusal(weights: &[PathBuf], aggregate: &str, parts: &[&str]) {
    let text = ask(weights, aggregate).expect_err("it is accepted");
    assert!(parts.iter().all(|part| text.contains(part)), "{text}\nwanted: {parts:?}");
}

/// `files` in an order of their own.
fn shuffled(files: &[PathBuf], seed: u64) -> Vec<PathBuf> {
    let order = Seed::new(seed).root_stream().permutation(files.len());
    order.into_iter().map(|at| files[at as usize].clone()).collect()
}

#[test]
fn whatever_the_order_the_classifier_is_the_same() {
    let place = Place::new();
    let split = Groups::First5Last5;
    let coarse = place.write("coarse", LabelMap::Coarse { groups: split }, 200, AS_IT_IS);
    let fine = |group| LabelMap::Fine { groups: split, group };
    let fines =
        [0, 1].map(|group| place.write(&format!("fine-{group}"), fine(group), 201 + group as u64, AS_IT_IS));
    let pairs = (0..10).flat_map(|a| (a + 1..10).map(move |b| (a, b)));
    let pairs = pairs.map(|(a, b)| {
        let labels = LabelMap::OneVsOne { a: b, b: a };
        place.write(&format!("pair-{a}-{b}"), labels, u64::from(300 + 10 * a + b), AS_IT_IS)
    });
    let members = [0, 1, 2]
        .map(|member| place.write(&format!("member-{member}"), LabelMap::Identity, 400 + member, AS_IT_IS));
    for (aggregate, files) in [
        ("one-vs-all", place.arms()),
        ("merge-binary", place.arms()),
        ("one-vs-one", pairs.collect()),
        ("hierarchical:first5-last5", vec![coarse, fines[0].clone(), fines[1].clone()]),
        ("ensemble", members.to_vec()),
    ] {
        let (expected, warnings) = ask(&files, aggregate).unwrap();
        assert_eq!(warnings, [""; 0], "{aggregate}");
        assert_eq!(expected.classifier.networks.len(), files.len());
        for seed in 0..3 {
            let (found, _) = ask(&shuffled(&files, seed), aggregate).unwrap();
            assert_eq!(found, expected, "{aggregate} {seed}");
        }
        // What the roles sort is what the order was without them.
        let silent: Vec<PathBuf> = files
            .iter()
            .map(|file| {
                let plain = robin_nn::without_note(&std::fs::read(file).unwrap()).unwrap();
                let path = file.with_extension("plain.safetensors");
                std::fs::write(&path, plain).unwrap();
                path
            })
            .collect();
        let (by_order, _) = ask(&silent, aggregate).unwrap();
        assert_eq!(by_order.predictions, expected.predictions, "{aggregate}");
        assert_eq!(by_order.classifier.weights_sha256, expected.classifier.weights_sha256);
        assert!(by_order.classifier.networks.is_empty());
        // The same network in two places, though nothing is said.
        let mut twice = silent;
        twice[1] = twice[0].clone();
        refusal(&twice, aggregate, &["the same network as"]);
    }
}

#[test]
fn arms_that_are_missing_or_there_twice_are_named() {
    let place = Place::new();
    let arms = place.arms();
    let with = |at: usize, file: PathBuf| {
        let mut files = arms.clone();
        files[at] = file;
        files
    };
    refusal(
        &with(7, arms[3].clone()),
        "one-vs-all",
        &["arm 7 of one-vs-all is missing", "arm 3 of one-vs-all is there 2 times"],
    );
    refusal(&arms[..9], "one-vs-all", &["arm 9 of one-vs-all is missing"]);
    // `arm-*.safetensors` takes the best epochs along.
    let best = place.write(
        "arm-3.best",
        LabelMap::OneVsAll { class: 3 },
        4_000,
        Some(&|role| role.epoch = Epoch::Best),
    );
    let all: Vec<PathBuf> = arms.iter().cloned().chain([best.clone()]).collect();
    refusal(
        &all,
        "one-vs-all",
        &["arm 3", "arm-3.safetensors (last epoch)", "arm-3.best.safetensors (best epoch)"],
    );
    let (_, warnings) = ask(&with(3, best), "one-vs-all").unwrap();
    assert!(warnings.iter().any(|warning| warning.contains("best epoch")), "{warnings:?}");
    let other = place.write(
        "arm-2.other",
        LabelMap::OneVsAll { class: 2 },
        5_000,
        Some(&|role| role.training = Key::of(&json!("another"))),
    );
    let (_, warnings) = ask(&with(2, other), "one-vs-all").unwrap();
    assert!(warnings.iter().any(|warning| warning.contains("different settings or seeds")), "{warnings:?}");

    for (labels, said) in [
        (LabelMap::Identity, "is a multiclass network, which has no place in it"),
        (LabelMap::OneVsOne { a: 2, b: 1 }, "is pair 1-2 of one-vs-one, which has no place in it"),
        (LabelMap::OneVsAll { class: 12 }, "--classes 13"),
    ] {
        refusal(
            &with(4, place.write("odd", labels, 6_000, AS_IT_IS)),
            "one-vs-all",
            &["arm 4 of one-vs-all is missing", said],
        );
    }
    type Change<'a> = &'a dyn Fn(&mut Role);
    let cases: [(Change<'_>, [&str; 2]); 4] = [
        (&|role| role.dataset = "cifar10".to_owned(), ["trained on cifar10", "odd"]),
        (&|role| role.dataset = "own:digits".to_owned(), ["own:digits", "not of one classifier"]),
        (&|role| role.model = "cnn2".to_owned(), ["--model cnn2-small", "architecture cnn2"]),
        (&|role| role.input = [3, 28, 28], ["[3, 28, 28]", "odd"]),
    ];
    for (said, parts) in cases {
        let odd = place.write("odd", LabelMap::OneVsAll { class: 4 }, 7_000, Some(said));
        refusal(&with(4, odd), "one-vs-all", &parts);
    }
}

#[test]
fn a_network_alone_is_one_with_all_classes_in_their_order() {
    let place = Place::new();
    refusal(&[place.arm(3)], "", &["arm 3 of one-vs-all", "--aggregate one-vs-all"]);
    let whole = place.write("whole", LabelMap::Identity, 1, AS_IT_IS);
    ask(std::slice::from_ref(&whole), "").unwrap();
    refusal(&[whole], "shared-trunk", &["multiclass network", "without --aggregate"]);
    let trunk = place.write("trunk", LabelMap::Identity, 2, Some(&|role| role.scores = Outputs::OneVsAll));
    ask(std::slice::from_ref(&trunk), "shared-trunk").unwrap();
    refusal(&[trunk], "", &["--aggregate shared-trunk"]);
    // Ten outputs, but not the ten classes in their order.
    let order = vec![9, 8, 7, 6, 5, 4, 3, 2, 1, 0];
    let other = place.write("other", LabelMap::Other { classes: 10, order }, 3, AS_IT_IS);
    refusal(&[other], "", &["other:10", "a multiclass network is missing"]);
}

#[test]
fn members_of_an_ensemble_are_several_networks_with_all_classes() {
    let place = Place::new();
    let member = |number, epoch| {
        let name = format!("member-{number}-{epoch:?}");
        let number_said = |role: &mut Role| (role.number, role.epoch) = (number, epoch);
        let seed = 10 * number + u64::from(epoch == Epoch::Best);
        place.write(&name, LabelMap::Identity, seed, Some(&number_said))
    };
    let three = [member(1, Epoch::Last), member(2, Epoch::Last), member(2, Epoch::Best)];
    refusal(&three, "ensemble", &["one network is there 2 times", "(best epoch)"]);
    ask(&three[..2], "ensemble").unwrap();
    refusal(
        &[three[0].clone(), place.arm(1)],
        "ensemble",
        &["arm 1 of one-vs-all, which has no place in it"],
    );
}

#[test]
fn where_some_files_say_nothing_the_others_must_stand_at_their_places() {
    let place = Place::new();
    let mut files = place.arms();
    let (expected, _) = ask(&files, "one-vs-all").unwrap();
    files[5] = place.write("silent", LabelMap::OneVsAll { class: 5 }, 6, None);
    let (found, _) = ask(&files, "one-vs-all").unwrap();
    assert_eq!((found.predictions, found.classifier.networks.len()), (expected.predictions, 0));
    files.swap(1, 2);
    refusal(&files, "one-vs-all", &["arm 2 of one-vs-all", "stands as number 2", "number 3"]);
}

#[test]
fn a_damaged_role_is_no_role() {
    let place = Place::new();
    let file = place.arm(3);
    let mut bytes = std::fs::read(&file).unwrap();
    let class = b"\\\"class\\\":";
    let at = bytes.windows(class.len()).position(|part| part == class).unwrap() + class.len();
    bytes[at] = b'4';
    std::fs::write(&file, bytes).unwrap();
    refusal(&[file], "one-vs-all", &["arm-3.safetensors", "cannot be read", "SHA-256"]);
}
