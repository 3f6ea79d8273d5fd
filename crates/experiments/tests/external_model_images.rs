//! What a classifier is shown: numbers on another scale, a part that does not stand for the whole, classes without images.

use std::path::PathBuf;
use std::sync::Mutex;

use robin_attacks::Loss;
use robin_core::{CancelToken, Norm, Seed};
use robin_data::{Choice, Split};
use robin_evaluation::Which;
use robin_evaluation::external_model::BadGradients;
use robin_experiments::external_model::{
    AttackRequest, AttackSetupRequest, Event, Images, ImagesRequest, ModelRequest, RunOptions, attack,
    predict,
};
use robin_nn::Parameters;
use safetensors::Dtype;
use safetensors::tensor::{TensorView, serialize};
use serde_json::Map;

/// A folder with images of 2 x 2 pixels and a network for them.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// Images of these labels; the first pixel of each is `brightness` of its label, the others are black.
    fn images(&self, labels: &[u8], brightness: impl Fn(u8) -> u8) -> ImagesRequest {
        let pixels: Vec<u8> = labels.iter().flat_map(|&label| [brightness(label), 0, 0, 0]).collect();
        let images = TensorView::new(Dtype::U8, vec![labels.len(), 1, 2, 2], &pixels).unwrap();
        let view = TensorView::new(Dtype::U8, vec![labels.len()], labels).unwrap();
        let path = self.0.path().join("own.safetensors");
        std::fs::write(&path, serialize([("images", images), ("labels", view)], None).unwrap()).unwrap();
        ImagesRequest {
            dataset: path.display().to_string().parse::<Choice>().unwrap(),
            split: Split::Test,
            embedded: false,
            data_dir: None,
            limit: None,
            sample: None,
            classes: None,
            preparation: robin_data::Preparation::default(),
        }
    }

    fn write(&self, change: impl FnOnce(&mut Parameters), outputs: usize) -> ModelRequest {
        let graph = robin_models::build("mlp", Some(3), [1, 2, 2], outputs).unwrap();
        let mut parameters = Parameters::initialise(&graph, Seed::new(1));
        change(&mut parameters);
        let path = self.0.path().join(format!("weights-{outputs}.safetensors"));
        std::fs::write(&path, parameters.to_safetensors().unwrap()).unwrap();
        ModelRequest {
            model: "mlp".to_owned(),
            weights: vec![path],
            width: None,
            normalize: None,
            aggregate: None,
            device: "cpu".parse().unwrap(),
        }
    }

    /// Says 1 to images whose first pixel is above 0.55 after MNIST's own normalisation, which it expects: 0.3 before.
    fn threshold(&self) -> ModelRequest {
        let change = |parameters: &mut Parameters| {
            parameters.buffers.clear();
            for tensor in &mut parameters.trained {
                tensor.values.fill(0.0);
                match tensor.name.as_str() {
                    "fc1.weight" | "fc2.weight" => tensor.values[0] = 1.0,
                    // [2, 3]: the second output sees the first hidden value.
                    "fc3.weight" => tensor.values[3] = 1.0,
                    "fc3.bias" => tensor.values[0] = 0.55,
                    _ => {}
                }
            }
        };
        self.write(change, 2)
    }
}

/// Runs `work` and collects what is told besides: notes, warnings.
fn told<T>(work: impl FnOnce(&RunOptions<'_>) -> T) -> (T, Vec<String>, Vec<String>) {
    let (notes, warnings) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()));
    let on_event = |event: &Event<'_>| match event {
        Event::Note(what) => notes.lock().unwrap().push((*what).to_owned()),
        Event::Warning(what) => warnings.lock().unwrap().push((*what).to_owned()),
        _ => {}
    };
    let result = work(&RunOptions { batch_size: 50, cancel: &CancelToken::new(), on_event: &on_event });
    (result, notes.into_inner().unwrap(), warnings.into_inner().unwrap())
}

/// Two classes in turn, at 0.2 and 0.4 of white.
fn two_classes(place: &Place) -> ImagesRequest {
    let labels: Vec<u8> = (0..240).map(|at| at % 2).collect();
    place.images(&labels, |label| 51 * (label + 1))
}

#[test]
fn the_numbers_of_a_normalisation_are_told_recorded_and_doubted() {
    let place = Place::new();
    let (images, threshold) = (two_classes(&place), place.threshold());
    let run = |normalize: &str| {
        let model = ModelRequest { normalize: Some(normalize.parse().unwrap()), ..threshold.clone() };
        let (report, notes, warnings) = told(|run| predict(&model, &images, run));
        (report.unwrap(), notes, warnings)
    };
    let (wrong, notes, warnings) = run("none");
    assert_eq!(wrong.accuracy, 0.5);
    assert_eq!(notes, ["images are normalised with mean 0, std 1 (--normalize none)"]);
    let [warning] = &warnings[..] else { panic!("{warnings:?}") };
    for part in ["mean 0, std 1", "of 100 images", "MNIST's own", "100", "--normalize 0.1307,0.3081"] {
        assert!(warning.contains(part), "{warning}");
    }
    let json = serde_json::to_string(&wrong).unwrap();
    assert!(json.contains(r#""normalization":[{"mean":[0.0],"std":[1.0]}]"#), "{json}");
    let (right, notes, warnings) = run("0.1307,0.3081");
    assert_eq!((right.accuracy, warnings), (1.0, Vec::new()));
    assert!(notes[0].contains("mean 0.1307, std 0.3081"), "{notes:?}");
    let json = serde_json::to_string(&right).unwrap();
    assert!(json.contains(r#""normalization":[{"mean":[0.1307],"std":[0.3081]}]"#), "{json}");
}

#[test]
fn what_weights_say_of_their_normalisation_is_told_and_what_cannot_be_is_refused() {
    let place = Place::new();
    let images = two_classes(&place);
    let with = |name: &'static str, value: f32| {
        let change = |parameters: &mut Parameters| {
            parameters.buffers.iter_mut().find(|buffer| buffer.name == name).unwrap().values[0] = value;
        };
        let model = place.write(change, 2);
        told(|run| predict(&model, &images, run).map_err(|error| format!("{error:?}")))
    };
    let (report, notes, warnings) = with("normalize.std", 0.5);
    assert_eq!((report.unwrap().n, &warnings[..]), (240, &[][..]));
    assert_eq!(notes, ["images are normalised with mean 0, std 0.5 (as the weights say)"]);
    for value in [-1.0, 0.0, f32::NAN] {
        let message = with("normalize.std", value).0.unwrap_err();
        assert!(message.contains("normalize.std[0]") && message.contains("a deviation > 0"), "{message}");
    }
    let (_, _, warnings) = with("normalize.mean", 125.0);
    assert!(warnings.iter().any(|warning| warning.contains("pixels go from 0 to 1")), "{warnings:?}");
}

#[test]
fn a_prefix_of_sorted_images_is_doubted_and_a_draw_is_recorded() {
    let place = Place::new();
    let labels: Vec<u8> = (0..1000).map(|at| (at / 100) as u8).collect();
    let all = place.images(&labels, |label| 20 * label);
    let model = place.write(|_| (), 10);
    let run = |limit, sample| {
        let images = ImagesRequest { limit, sample, ..all.clone() };
        let (report, _, warnings) = told(|run| predict(&model, &images, run));
        (report.unwrap(), warnings)
    };
    let (whole, warnings) = run(None, None);
    assert_eq!((whole.data.missing_classes.len(), warnings.len()), (0, 0), "{warnings:?}");
    let json = |data: &Images| serde_json::to_value(data).unwrap();
    assert!(json(&whole.data).get("sample").is_none() && json(&whole.data).get("missing_classes").is_none());

    let (prefix, warnings) = run(Some(100), None);
    assert!(
        warnings[0].contains("none of the 100 images is of classes 1, 2, 3, 4, 5, 6, 7, 8, 9"),
        "{warnings:?}"
    );
    assert!(warnings[0].contains("--sample SEED"), "{warnings:?}");
    assert_eq!(json(&prefix.data)["missing_classes"].to_string(), "[1,2,3,4,5,6,7,8,9]");
    let (_, warnings) = run(Some(910), None);
    assert!(
        warnings[0].contains("are no sample of all 1000") && warnings[0].contains("class 9"),
        "{warnings:?}"
    );

    let (drawn, warnings) = run(Some(200), Some(7));
    assert_eq!((drawn.n, warnings.len(), drawn.data.missing_classes.len()), (200, 0, 0), "{warnings:?}");
    assert_eq!(json(&drawn.data)["sample"], 7);
    assert_eq!(run(Some(200), Some(7)).0, drawn, "a seed is a draw");
    assert_ne!(run(Some(200), Some(8)).0.data.sha256, drawn.data.sha256);
}

#[test]
fn a_class_without_images_has_a_way_out_and_one_class_is_refused() {
    let place = Place::new();
    let labels: Vec<u8> = (0..90).map(|at| at % 9).collect();
    let images = place.images(&labels, |label| 20 * label + 20);
    let model = place.write(|_| (), 10);
    let run = |images: &ImagesRequest| {
        let (report, _, warnings) = told(|run| predict(&model, images, run));
        report.map(|report| (report, warnings)).map_err(|error| format!("{error} {error:?}"))
    };
    let message = run(&images).unwrap_err();
    assert!(message.contains("a classifier of 10 classes") && message.contains("--classes 10"), "{message}");
    let (report, warnings) = run(&ImagesRequest { classes: Some(10), ..images.clone() }).unwrap();
    assert_eq!(report.data.missing_classes, [9]);
    assert_eq!(warnings, ["no image of the whole set is of class 9"]);
    let message = run(&ImagesRequest { classes: Some(8), ..images }).unwrap_err();
    assert!(message.contains("asked: 8, least: 9"), "{message}");

    let one = place.images(&[0; 30], |_| 50);
    let message = run(&one).unwrap_err();
    assert!(message.contains("one class") && message.contains("--classes N"), "{message}");
    let (report, warnings) = run(&ImagesRequest { classes: Some(10), ..one }).unwrap();
    assert_eq!((report.n, report.data.missing_classes.len(), warnings.len()), (30, 9, 1));
}

#[test]
fn pixels_and_radii_on_another_scale_are_doubted() {
    let place = Place::new();
    let labels: Vec<u8> = (0..60).map(|at| at % 2).collect();
    let dark = place.images(&labels, |label| label);
    let model = place.write(|_| (), 2);
    let run = |images: &ImagesRequest, norm, epsilon: &str| {
        let request = AttackRequest {
            model: model.clone(),
            images: images.clone(),
            setup: AttackSetupRequest {
                attack: "fgsm".to_owned(),
                settings: Map::new(),
                loss: Some(Loss::Margin),
                strategy: "softmax".parse().unwrap(),
                target: None,
            },
            norm,
            epsilons: vec![epsilon.parse().unwrap()],
            iterate: Which::Worst,
            seed: 3,
            bad_gradients: BadGradients::Mark,
            out: None::<PathBuf>,
            pictures: 0,
        };
        let (report, _, warnings) = told(|run| attack(&request, run));
        report.unwrap();
        warnings
    };
    let said = |warnings: Vec<String>, part: &str| warnings.iter().any(|warning| warning.contains(part));
    assert!(said(run(&dark, Norm::Linf, "0.1"), "the largest pixel is 1 of 255"));
    let images = two_classes(&place);
    assert!(!said(run(&images, Norm::Linf, "0.1"), "the largest pixel"));
    assert!(said(run(&images, Norm::Linf, "8"), "linf 8.0 reaches from any image to any other"));
    assert!(said(run(&images, Norm::Linf, "8"), "8/255 was meant?"));
    assert!(said(run(&images, Norm::L2, "2"), "reaches from any image"), "the diagonal of 4 pixels");
    assert!(!said(run(&images, Norm::L2, "1.9"), "reaches from any image"));
}
