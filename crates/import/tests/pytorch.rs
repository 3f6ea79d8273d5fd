//! Networks that PyTorch and torchvision made, small, beside their numbers.

mod common;

use std::path::PathBuf;

use common::compare;
use robin_import::onnx::Model;
use robin_import::state_dict::StateDict;
use robin_import::{Error, Network};

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name)
}

fn identity() -> [Vec<f32>; 2] {
    [vec![0.0; 3], vec![1.0; 3]]
}

/// Logits within 2e-6 (those of these networks differ from image to image by 1e-4 and more), gradients within 1e-4 of their
/// largest value.
fn agrees(name: &str, file: &str, read: impl FnOnce([usize; 3]) -> robin_import::Result<Network>) {
    let found = compare(&fixture(&format!("{name}.safetensors")), read).unwrap();
    assert!(found.logits < 2e-6 && found.gradient < 1e-4, "{file}: {found:?}");
    assert!(found.wide[0] < 2e-6 && found.wide[1] < 1e-4, "{file}: {found:?}");
    // An exporter may have rounded batch norms into convolutions; the tensors of a state_dict are PyTorch's own.
    let most = if file.ends_with(".pt") { 1e-9 } else { 1e-4 };
    assert!(found.in_f64.iter().all(|&gap| gap < most), "{file}: {found:?}");
}

#[test]
fn onnx_models_give_pytorchs_logits_and_gradients() {
    for name in ["resnet-small", "wrn-small", "vgg-small", "mobilenet-small", "normalized-small", "tiny"] {
        let file = format!("{name}.onnx");
        let model = Model::read(&fixture(&file)).unwrap();
        agrees(name, &file, |shape| model.network(Some(shape), None));
        let network = model.network(None, None).unwrap();
        assert_eq!(network.normalizes, name == "normalized-small", "{name}");
    }
}

#[test]
fn a_normalisation_may_come_before_a_model() {
    let model = Model::read(&fixture("wrn-small.onnx")).unwrap();
    let halves = [vec![0.5; 3], vec![0.25; 3]];
    let network = model.network(None, Some(&halves)).unwrap();
    assert_eq!(network.parameters.get("normalize.std").unwrap().values, [0.25; 3]);
    assert!(!network.normalizes);
    let message = model.network(None, Some(&[vec![0.5], vec![0.5]])).unwrap_err().to_string();
    assert!(message.contains("images have 3"), "{message}");
    let message = model.network(Some([3, 16, 16]), None).unwrap_err().to_string();
    assert!(message.contains("[3, 32, 32], these are [3, 16, 16]"), "{message}");
}

#[test]
fn state_dicts_of_torchvision_and_robustbench_are_those_of_our_models() {
    for (name, model) in [("resnet-small", "resnet18"), ("wrn-small", "wide-resnet-28-10")] {
        let tensors = StateDict::read(&fixture(&format!("{name}.pt"))).unwrap();
        assert!(!tensors.normalizes());
        if name == "resnet-small" {
            agrees(name, "resnet-small.pt", |shape| Ok(tensors.network(model, shape, Some(&identity()))?.0));
        } else {
            // Our stages are 10 times as wide, those of the small one twice.
            let error = tensors.network(model, [3, 32, 32], Some(&identity())).unwrap_err();
            let message = error.to_string();
            assert!(message.contains("of another shape") && message.lines().count() <= 5, "{message}");
        }
    }
    let tensors = StateDict::read(&fixture("normalized-small.pt")).unwrap();
    assert!(tensors.normalizes());
}

#[test]
fn wrappers_prefixes_and_keys_are_seen_through() {
    let plain = StateDict::read(&fixture("mlp-tiny.pt")).unwrap();
    let (expected, sizes) = plain.network("mlp", [1, 2, 2], Some(&[vec![0.0], vec![1.0]])).unwrap();
    assert_eq!((sizes.width, sizes.outputs), (3, 2));
    let wrapped = StateDict::read(&fixture("mlp-tiny-wrapped.pt")).unwrap();
    let (found, _) = wrapped.network("mlp", [1, 2, 2], Some(&[vec![0.0], vec![1.0]])).unwrap();
    assert_eq!(found, expected);
}

#[test]
fn a_missing_tensor_is_named_with_the_nearest_in_five_lines() {
    let tensors = StateDict::read(&fixture("mlp-tiny.pt")).unwrap();
    let error = tensors.network("resnet18", [3, 32, 32], Some(&identity())).unwrap_err();
    assert!(matches!(error, Error::Names(_)), "{error:?}");
    let message = error.to_string();
    assert!(message.lines().count() <= 5, "{message}");
    assert!(
        message.contains("mlp-tiny.pt") && message.contains("missing: conv1.weight [64, 3, 3, 3]"),
        "{message}"
    );
    assert!(message.contains("nearest in the file: fc1.weight"), "{message}");
    let error = tensors.network("mlp", [1, 2, 2], None).unwrap_err().to_string();
    assert!(error.contains("missing: normalize.mean [1]"), "{error}");
}

#[test]
fn a_pickle_that_names_code_is_refused_by_that_name() {
    let error = StateDict::read(&fixture("code.pt")).unwrap_err();
    assert!(matches!(&error, Error::Code { name, .. } if name == "posix.system"), "{error}");
    assert!(!std::env::temp_dir().join("robin-import-was-here").exists());
    let message = StateDict::read(&fixture("whole-network.pt")).unwrap_err().to_string();
    assert!(message.contains("__main__.Mlp") && message.contains("nothing of it was run"), "{message}");
}
