//! Networks and images out of other programs' files: attacked, asked, evaluated, and refused.

use std::path::{Path, PathBuf};

use robin_core::{Budget, CancelToken, Norm};
use robin_data::{Preparation, Split};
use robin_evaluation::Which;
use robin_evaluation::battery::Scope;
use robin_evaluation::external_model::BadGradients;
use robin_experiments::external_model::{
    AttackRequest, AttackSetupRequest, EvaluateRequest, ImagesRequest, ModelRequest, Normalize, RunOptions,
    attack, evaluate, predict,
};
use robin_experiments::{Error, Result};
use serde_json::{Map, json};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../import/fixtures").join(name)
}

/// Random images `[n, c, h, w]` with `labels`, as NumPy's files.
fn images(folder: &Path, shape: [usize; 3], labels: &[u8]) -> ImagesRequest {
    let array = |shape: &str, values: &[u8]| {
        let header = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}\n");
        [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), values].concat()
    };
    let (n, [c, h, w]) = (labels.len(), shape);
    let mut state = 1u64;
    let mut pixel = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    };
    let pixels: Vec<u8> = (0..n * c * h * w).map(|_| pixel()).collect();
    std::fs::write(folder.join("x.npy"), array(&format!("({n}, {c}, {h}, {w})"), &pixels)).unwrap();
    std::fs::write(folder.join("labels.npy"), array(&format!("({n},)"), labels)).unwrap();
    ImagesRequest {
        dataset: folder.join("x.npy").display().to_string().parse().unwrap(),
        split: Split::Test,
        embedded: false,
        data_dir: None,
        limit: None,
        sample: None,
        classes: None,
        preparation: Preparation::default(),
    }
}

fn model(model: &str, weights: &[&str]) -> ModelRequest {
    let model =
        if model.ends_with(".onnx") { fixture(model).display().to_string() } else { model.to_owned() };
    ModelRequest {
        model,
        weights: weights.iter().map(|name| fixture(name)).collect(),
        width: None,
        normalize: Some(Normalize::None),
        aggregate: None,
        device: "cpu".parse().unwrap(),
    }
}

fn quiet<T>(work: impl FnOnce(&RunOptions<'_>) -> T) -> T {
    work(&RunOptions { batch_size: 5, cancel: &CancelToken::new(), on_event: &|_| () })
}

/// What `subject` says to the images, as labels; one image more has the last class, so that all are there.
fn own_labels(folder: &Path, model: &ModelRequest, shape: [usize; 3], classes: u8) -> Vec<u8> {
    let mut labels = vec![classes - 1; 24];
    let asked = quiet(|run| predict(model, &images(folder, shape, &labels), run)).unwrap();
    labels.iter_mut().zip(asked.predictions).skip(1).for_each(|(label, said)| *label = said as u8);
    labels
}

fn attacked(model: ModelRequest, images: ImagesRequest) -> AttackRequest {
    AttackRequest {
        model,
        images,
        setup: AttackSetupRequest {
            attack: "pgd".to_owned(),
            settings: Map::from_iter([("steps".to_owned(), json!(10))]),
            loss: None,
            strategy: "softmax".parse().unwrap(),
            target: None,
        },
        norm: Norm::Linf,
        epsilons: vec!["32/255".parse().unwrap()],
        iterate: Which::Worst,
        seed: 3,
        bad_gradients: BadGradients::Refuse,
        out: None,
        pictures: 0,
    }
}

fn message<T>(result: Result<T>) -> String {
    let error = result.err().expect("it is accepted");
    let source = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
    format!("{error}: {source}")
}

#[test]
fn an_onnx_model_is_attacked_and_evaluated_without_weights() {
    let folder = tempfile::tempdir().unwrap();
    let model = model("tiny.onnx", &[]);
    let labels = own_labels(folder.path(), &model, [3, 8, 8], 10);
    let images = images(folder.path(), [3, 8, 8], &labels);
    let found = quiet(|run| attack(&attacked(model.clone(), images.clone()), run)).unwrap().remove(0);
    assert!(found.gradient_is_true && found.clean_accuracy > 0.9, "{}", found.clean_accuracy);
    // Its biases decide for random weights, so no attack breaks it; but every image is moved as far as a gradient leads.
    assert!(found.robust_accuracy.unwrap() <= found.clean_accuracy);
    let moved = found.examples.iter().filter(|example| example.attacked).all(|example| example.size > 0.0);
    assert!(moved && found.gradients > 0 && found.zero_gradients == 0, "{found:?}");
    let classifier = &found.classifier;
    assert!(
        classifier.model.ends_with("tiny.onnx") && classifier.weights_sha256.len() == 1,
        "{classifier:?}"
    );
    let request = EvaluateRequest {
        model,
        images,
        budget: Budget { norm: Norm::Linf, epsilon: "32/255".parse().unwrap() },
        steps: 3,
        restarts: 1,
        attacks: Vec::new(),
        seed: 0,
        scope: Scope::Subset,
        bad_gradients: BadGradients::Refuse,
        out: folder.path().join("evaluation"),
    };
    let report = quiet(|run| evaluate(&request, run)).unwrap();
    assert!(report.summary.union <= report.summary.clean_accuracy);
}

#[test]
fn a_state_dict_is_attacked_as_weights() {
    let folder = tempfile::tempdir().unwrap();
    let model = model("mlp", &["mlp-tiny.pt"]);
    let labels = own_labels(folder.path(), &model, [1, 2, 2], 2);
    let images = images(folder.path(), [1, 2, 2], &labels);
    let found = quiet(|run| attack(&attacked(model.clone(), images.clone()), run)).unwrap().remove(0);
    assert!(found.gradient_is_true && found.classifier.widths == [3] && found.clean_accuracy > 0.9);
    let wrapped = ModelRequest { weights: vec![fixture("mlp-tiny-wrapped.pt")], ..model.clone() };
    let again = quiet(|run| attack(&attacked(wrapped, images.clone()), run)).unwrap().remove(0);
    assert_eq!(again.examples, found.examples);
    let code = ModelRequest { weights: vec![fixture("code.pt")], ..model.clone() };
    assert!(message(quiet(|run| predict(&code, &images, run))).contains("posix.system"));
    let wide = ModelRequest { width: Some(64), ..model };
    assert!(message(quiet(|run| predict(&wide, &images, run))).contains("has width 3"));
}

#[test]
fn options_that_do_not_fit_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let images = images(folder.path(), [3, 8, 8], &[9, 0, 1]);
    let refused = |change: &dyn Fn(&mut ModelRequest), part: &str| {
        let mut model = model("tiny.onnx", &[]);
        change(&mut model);
        let result = quiet(|run| predict(&model, &images, run));
        assert!(result.as_ref().is_err_and(Error::is_usage), "{part}");
        let message = message(result);
        assert!(message.contains(part), "{message}");
    };
    refused(&|model| model.normalize = None, "--normalize (nothing)");
    refused(&|model| model.weights = vec![fixture("mlp-tiny.pt")], "--weights (1 files)");
    refused(&|model| model.width = Some(4), "--width 4");
    refused(&|model| model.aggregate = Some("ensemble".parse().unwrap()), "--aggregate ensemble");
    refused(&|model| model.model = "mlp".to_owned(), "--weights (0 files)");
    let few = self::images(folder.path(), [3, 8, 8], &[4, 0, 1]);
    let result = quiet(|run| predict(&model("tiny.onnx", &[]), &few, run));
    assert!(message(result).contains("a classifier of 10 classes"));
    let small = self::images(folder.path(), [3, 7, 8], &[9, 0, 1]);
    let result = quiet(|run| predict(&model("tiny.onnx", &[]), &small, run));
    assert!(message(result).contains("it takes images [3, 8, 8], these are [3, 7, 8]"));
}
