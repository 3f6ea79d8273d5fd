//! The battery on a linear classifier, which is as robust as it looks.

use robin_core::{Budget, CancelToken, Norm, Seed};
use robin_data::{Dataset, DatasetName, Split};
use robin_testkit::Linear;

use super::*;

fn data(model: &Linear) -> Dataset {
    let mut stream = Seed::new(8).root_stream();
    let pixels: Vec<u8> = (0..30 * 12).map(|_| 90 + stream.below(80) as u8).collect();
    let images = pixels.iter().map(|&p| f32::from(p) / 255.0).collect::<Vec<f32>>();
    let images = candle_core::Tensor::from_vec(images, (30, 1, 3, 4), &candle_core::Device::Cpu).unwrap();
    let labels = robin_core::Classifier::predict(model, &images).unwrap();
    let labels = labels.into_iter().map(|label| label as u8).collect();
    Dataset::from_parts(DatasetName::Mnist, Split::Test, [1, 3, 4], pixels, labels).unwrap()
}

#[test]
fn findings_have_numbers_and_read_back() {
    let model = Linear::seeded(3, [1, 3, 4], Seed::new(4));
    let data = data(&model);
    for norm in [Norm::L2, Norm::Linf] {
        let budget = Budget { norm, epsilon: "0.02".parse().unwrap() };
        let cancel = CancelToken::new();
        let settings = Settings {
            kind: Kind::Whole,
            budget,
            scope: Scope::Subset,
            images: SUBSET,
            seed: Seed::new(1),
            batch_size: 16,
            cancel: &cancel,
        };
        let context = EvaluationContext::new(&model, &data, settings).unwrap();
        for test in TESTS {
            let finding = context.run(test).unwrap();
            assert_ne!(finding.status, Status::Fail, "{finding:?}");
            assert!(finding.status == Status::Skipped || !finding.numbers.is_empty(), "{finding:?}");
            assert!(!finding.note.is_empty() && finding.test == test.id);
            let text = serde_json::to_string(&finding).unwrap();
            assert_eq!(serde_json::from_str::<Finding>(&text).unwrap(), finding, "{text}");
        }
        cancel.cancel();
        assert!(context.run(&TESTS[0]).unwrap_err().is_cancelled());
    }
}

#[test]
fn a_subset_is_from_all_over_the_set() {
    let labels: Vec<u8> = (0..500).map(|at| at / 100).map(|class| class as u8).collect();
    let data =
        Dataset::from_parts(DatasetName::Mnist, Split::Test, [1, 3, 4], vec![7; 500 * 12], labels).unwrap();
    let model = Linear::seeded(10, [1, 3, 4], Seed::new(4));
    let cancel = CancelToken::new();
    let settings = Settings {
        kind: Kind::Whole,
        budget: Budget { norm: Norm::L2, epsilon: "0.1".parse().unwrap() },
        scope: Scope::Subset,
        images: 40,
        seed: Seed::new(1),
        batch_size: 16,
        cancel: &cancel,
    };
    let context = EvaluationContext::new(&model, &data, settings).unwrap();
    assert_eq!(context.images(), 40);
    assert!(
        context.data.class_counts()[..5].iter().all(|&count| count > 3),
        "{:?}",
        context.data.class_counts()
    );
    let whole = EvaluationContext::new(&model, &data, Settings { scope: Scope::Full, ..settings }).unwrap();
    assert_eq!(whole.images(), 500);
}

#[test]
fn a_dear_network_is_tested_on_fewer_images() {
    assert_eq!([0, 1, 300_000_000, 1_820_000_000, u64::MAX].map(subset_size), [64, 64, 64, 10, 8]);
}

#[test]
fn tests_are_named_once() {
    let mut ids: Vec<&str> = TESTS.iter().map(|test| test.id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), TESTS.len());
}

#[test]
fn every_test_says_what_it_means_and_what_to_do() {
    let mut names = std::collections::BTreeSet::new();
    for Test { id, explained, .. } in TESTS {
        let Explained { name, means, todo } = explained;
        let plain = |c: char| c.is_ascii_lowercase() || c == '-';
        assert!(name.len() > 5 && name.chars().all(plain), "{id}: {name}");
        assert!(names.insert(*name), "{name} is the name of two tests");
        for text in [means, todo] {
            assert!(text.len() > 40 && text.ends_with('.') && !text.contains("  "), "{name}: {text}");
        }
        assert!(std::ptr::eq(test(id).unwrap(), test(name).unwrap()));
        assert_eq!(title(id), format!("{name} ({id})"));
    }
    assert!(test("T999").is_none());
    assert_eq!(title("T999"), "T999");
}
