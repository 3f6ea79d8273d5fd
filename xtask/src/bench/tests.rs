use robin_data::DatasetName;
use robin_models::MODELS;
use serde_json::{Value, json};

use super::layers::layer_cases;
use super::model_under_test::dataset_of;
use super::output::{Unit, command, line, summary};
use super::pytorch::median;
use super::repeats::Repeats;
use crate::root;

#[test]
fn a_summary_is_the_median_and_the_best_after_the_warm_up() {
    let found = summary(Unit::Step, &[9.0, 8.0, 0.5, 0.2, 0.4], 128, None);
    let expected = json!({
        "seconds_per_step": { "median": 0.4, "min": 0.2 },
        "images_per_second": 320.0,
        "peak_rss_bytes": null,
        "repetitions": 3,
    });
    assert_eq!(found, expected);
    assert!(line("x", Unit::Step, &found).starts_with("x: 0.4000 s per step (median of 3; best 0.2000)"));
    let found = summary(Unit::Batch, &[1.0, 1.0, 1.0], 256, Some(1));
    assert!(found["seconds_per_batch"]["median"].is_number() && found["seconds_per_step"].is_null());
}

#[test]
fn repetitions_are_fewer_where_they_are_slow() {
    let count = |seconds: f64, asked: Option<usize>| {
        let mut all = Vec::new();
        while !(Repeats { asked }).enough(&all) {
            all.push(seconds);
        }
        assert!(all.len() <= Repeats { asked }.most());
        (all.len(), Repeats::measured(&all).len())
    };
    // Quick ones are as many as are useful, then as many as the time allows, then the fewest.
    assert_eq!(count(0.5, None), (17, 15));
    assert_eq!(count(5.0, None), (8, 6));
    assert_eq!(count(9.9, None), (6, 4));
    assert_eq!(count(60.0, None), (3, 2));
    assert_eq!(count(0.5, Some(4)), (6, 4));
    assert_eq!(count(60.0, Some(4)), (5, 4));
}

#[test]
fn a_model_runs_on_the_images_that_the_paper_trains_it_on() {
    for entry in MODELS {
        let expected = if entry.name.starts_with("cnn2") { DatasetName::Mnist } else { DatasetName::Cifar10 };
        assert_eq!(dataset_of(entry.name).unwrap(), expected, "{}", entry.name);
    }
}

#[test]
fn every_size_of_a_network_is_measured_once() {
    let graph = robin_models::build("cnn2", None, [1, 28, 28], 10).unwrap();
    let cases: Vec<_> = layer_cases(&graph)
        .into_iter()
        .map(|(name, sizes)| (name, sizes.to_string(), sizes.flops()))
        .collect();
    let expected = [
        ("conv1", "5x5/1 1>32 @28x28", 2.0 * 784.0 * 25.0 * 32.0),
        ("conv2", "5x5/1 32>64 @14x14", 2.0 * 196.0 * 800.0 * 64.0),
        ("fc1", "linear 3136>1024", 2.0 * 3136.0 * 1024.0),
        ("fc2", "linear 1024>10", 2.0 * 10240.0),
    ];
    assert_eq!(cases, expected.map(|(name, sizes, flops)| (name.to_owned(), sizes.to_owned(), flops)));
    let graph = robin_models::build("resnet18", None, [3, 32, 32], 10).unwrap();
    let names: Vec<String> = layer_cases(&graph).into_iter().map(|(name, _)| name).collect();
    assert!(names.contains(&"layer1.0.conv1".to_owned()) && !names.contains(&"layer1.1.conv1".to_owned()));
}

#[test]
fn a_record_has_the_command_and_no_path_of_a_machine() {
    let words = ["xtask", "bench", "step", "--python", "somewhere", "--model", "cnn2", "--save=x", "--json"];
    assert_eq!(command(words.into_iter().map(str::to_owned)), "cargo xtask bench step --model cnn2");
}

#[test]
fn the_median_of_pairs_lies_in_the_middle() {
    assert_eq!(median(&mut [3.0, 1.0, 2.0]), 2.0);
    assert_eq!(median(&mut [3.0, 1.0]), 2.0);
    assert_eq!(median(&mut [4.0]), 4.0);
}

/// What stands in the README must be there to be looked up.
#[test]
fn kept_records_say_what_was_measured_where_and_with_which_program() {
    for entry in std::fs::read_dir(root().join("crates/kernels/benchmarks")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let record: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let at = path.display();
        assert!(record["settings"]["threads"].is_number() && record["settings"]["batch"].is_number(), "{at}");
        for field in ["commit", "machine", "instructions", "versions", "command", "finished"] {
            assert!(!record["provenance"][field].is_null(), "{at}: no {field}");
        }
        assert_eq!(record["provenance"]["optimised"], true, "{at}");
        for pair in record["pairs"].as_array().into_iter().flatten() {
            assert!(pair["ratio"].is_number() && pair["pytorch"]["torch"].is_string(), "{at}");
        }
    }
}
