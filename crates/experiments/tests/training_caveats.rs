//! What a training is asked to learn from: parts that lack classes, arms that have nothing to learn, numbers on another scale.

use std::path::Path;

use robin_data::{Choice, Source, Split};
use robin_experiments::training_run::{Overrides, RecipeName, Request, TrainedKind, TrainingRun, text};
use safetensors::Dtype;
use safetensors::tensor::{TensorView, serialize};

/// `count` images of each of ten classes, sorted, of 8 x 8 pixels.
fn sorted(folder: &Path, count: usize) -> Choice {
    write(folder, (0..10).flat_map(|class| std::iter::repeat_n(class, count)).collect())
}

fn write(folder: &Path, labels: Vec<u8>) -> Choice {
    let pixels: Vec<u8> = labels.iter().flat_map(|&label| [20 * label + 9; 64]).collect();
    let images = TensorView::new(Dtype::U8, vec![labels.len(), 1, 8, 8], &pixels).unwrap();
    let view = TensorView::new(Dtype::U8, vec![labels.len()], &labels).unwrap();
    let path = folder.join("own.safetensors");
    std::fs::write(&path, serialize([("images", images), ("labels", view)], None).unwrap()).unwrap();
    path.display().to_string().parse().unwrap()
}

fn request(dataset: Choice, classifier: TrainedKind) -> Request {
    Request {
        dataset,
        source: Source::Embedded,
        split: Split::Train,
        train_images: None,
        sample: None,
        classes: None,
        model: "mlp".to_owned(),
        width: Some(4),
        classifier,
        arms: None,
        recipe: RecipeName::Paper,
        overrides: Overrides {
            epochs: Some(1),
            epsilon: Some("0.3".parse().unwrap()),
            batch_size: Some(8),
            sampling: Some(robin_data::Sampling::Plain),
            crop_padding: Some(0),
            ..Overrides::default()
        },
        seed: 5,
        device: "cpu".parse().unwrap(),
    }
}

fn said(request: &Request) -> Vec<String> {
    TrainingRun::new(request).unwrap().warnings
}

fn refusal(request: &Request) -> String {
    TrainingRun::new(request).unwrap_err().to_string()
}

#[test]
fn a_prefix_that_lacks_classes_is_doubted_and_a_draw_is_in_the_settings() {
    let folder = tempfile::tempdir().unwrap();
    let all = request(sorted(folder.path(), 60), TrainedKind::MULTICLASS);
    assert_eq!(said(&all), [""; 0]);
    let prefix = Request { train_images: Some(300), ..all.clone() };
    let warnings = said(&prefix);
    assert!(warnings[0].contains("none of the 300 images is of classes 5, 6, 7, 8, 9"), "{warnings:?}");

    let drawn = Request { sample: Some(3), ..prefix.clone() };
    assert_eq!(said(&drawn), [""; 0]);
    let settings = |request: &Request| TrainingRun::new(request).unwrap().cells[0].settings();
    assert_eq!(settings(&drawn)["data"]["sample"], 3);
    assert!(settings(&prefix)["data"].get("sample").is_none(), "keys of runs without it stay");
    assert_eq!(settings(&drawn), settings(&drawn));
    assert_ne!(
        settings(&drawn)["data"]["sha256"],
        settings(&Request { sample: Some(4), ..drawn.clone() })["data"]["sha256"]
    );

    // The images that the trained network is measured on are the first ones too.
    let mut measured = all;
    measured.overrides.measured_images = Some(100);
    let warnings = said(&measured);
    assert!(warnings[0].contains("measured on") && warnings[0].contains("classes 2, 3"), "{warnings:?}");
    let drawn = Request { sample: Some(3), ..measured };
    assert_eq!(said(&drawn), [""; 0], "the first ones of a draw are a draw");
}

#[test]
fn an_arm_without_positives_has_nothing_to_learn() {
    let folder = tempfile::tempdir().unwrap();
    let arms = request(sorted(folder.path(), 60), TrainedKind::ONE_VS_ALL);
    assert_eq!(TrainingRun::new(&arms).unwrap().cells.len(), 10);
    let prefix = Request { train_images: Some(300), ..arms.clone() };
    for sampling in [robin_data::Sampling::Plain, robin_data::Sampling::Balanced] {
        let mut prefix = prefix.clone();
        prefix.overrides.sampling = Some(sampling);
        let message = refusal(&prefix);
        for part in ["arm 5 of one-vs-all has nothing to learn", "300", "--arm 0,1,2,3,4", "--sample SEED"] {
            assert!(message.contains(part), "{message}");
        }
    }
    let there = Request { arms: Some(vec![0, 1, 2, 3, 4]), ..prefix.clone() };
    assert_eq!(TrainingRun::new(&there).unwrap().cells.len(), 5);
    assert_eq!(TrainingRun::new(&Request { sample: Some(1), ..prefix.clone() }).unwrap().cells.len(), 10);
    let pairs = Request { classifier: text::classifier("one-vs-one").unwrap(), ..prefix };
    assert!(refusal(&pairs).contains("pair 0-5 of one-vs-one has nothing to learn"));
}

#[test]
fn a_number_of_classes_can_be_said_and_one_is_too_few() {
    let folder = tempfile::tempdir().unwrap();
    let nine = write(folder.path(), (0..90).map(|at| at % 9).collect());
    let as_labelled = request(nine, TrainedKind::MULTICLASS);
    let outputs = |request: &Request| {
        TrainingRun::new(request).unwrap().cells[0].settings()["model"]["outputs"].as_u64().unwrap()
    };
    assert_eq!(outputs(&as_labelled), 9);
    let ten = Request { classes: Some(10), ..as_labelled.clone() };
    assert_eq!((outputs(&ten), said(&ten)), (10, vec!["no image of the whole set is of class 9".to_owned()]));
    assert!(refusal(&Request { classes: Some(8), ..as_labelled }).contains("--classes is 8, allowed is 9"));
    let one = request(write(folder.path(), vec![0; 40]), TrainedKind::MULTICLASS);
    assert!(refusal(&one).contains("one class") && refusal(&one).contains("--classes N"));
}

#[test]
fn numbers_on_another_scale_are_refused_or_doubted() {
    let folder = tempfile::tempdir().unwrap();
    let mut own = request(sorted(folder.path(), 20), TrainedKind::MULTICLASS);
    assert!(TrainingRun::new(&own).unwrap().notes[0].contains("mean 0, std 1"));
    own.overrides.normalize = Some(text::normalize("0.1307/0.3081").unwrap());
    assert!(TrainingRun::new(&own).unwrap().notes[0].contains("mean [0.1307], std [0.3081] (--normalize)"));
    for (numbers, part) in
        [("33.3/78.6", "0.1306"), ("0.5/0", "std > 0"), ("0.5/-1", "std > 0"), ("-1/1", "means from 0 to 1")]
    {
        own.overrides.normalize = Some(text::normalize(numbers).unwrap());
        let message = refusal(&own);
        assert!(message.contains("--normalize") && message.contains(part), "{message}");
    }
    own.overrides.normalize = None;
    own.overrides.norm = Some(robin_core::Norm::Linf);
    own.overrides.epsilon = Some("8".parse().unwrap());
    assert!(said(&own)[0].contains("8/255 was meant?"), "{:?}", said(&own));
}
