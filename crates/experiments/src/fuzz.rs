//! Every parser of the project as a function of any bytes: for `tests/fuzz_parsers.rs`, which feeds them what nobody would
//! write, and for `cargo fuzz`. No part of the interface.

#![allow(missing_docs, reason = "each is named after what it reads")]

use std::path::Path;

use robin_aggregation::StrategyChoice;
use robin_attacks::Loss;
use robin_core::{Budget, Epsilon, Norm};
use robin_evaluation::{Ledger, Robust, Witnesses};
use robin_nn::{Graph, Parameters};
use serde_json::Value;

use crate::key::{Key, sha256};
use crate::record::{Kind, Record};
use crate::spec::{ClassifierKind, Spec};
use crate::training_run::text;
use crate::{Profile, claims, export, external_model};

/// A parser by its name.
pub type Target = (&'static str, fn(&[u8]));

/// Every parser.
pub static TARGETS: &[Target] = &[
    ("idx-images", robin_data::fuzz::idx_images),
    ("idx-labels", robin_data::fuzz::idx_labels),
    ("idx-gzip", robin_data::fuzz::idx_gzip),
    ("idx-packed", robin_data::fuzz::idx_packed),
    ("cifar10", robin_data::fuzz::cifar10),
    ("cifar100", robin_data::fuzz::cifar100),
    ("own-tensors", robin_data::fuzz::own_tensors),
    ("png", robin_data::fuzz::png),
    ("png-repaired", robin_data::fuzz::png_repaired),
    ("archive", robin_data::fuzz::archive),
    ("archive-packed", robin_data::fuzz::archive_packed),
    ("npy", robin_data::fuzz::npy),
    ("npz", robin_data::fuzz::npz),
    ("matlab", robin_data::fuzz::matlab),
    ("parquet", robin_data::fuzz::parquet),
    ("picture", robin_data::fuzz::picture),
    ("onnx", robin_import::fuzz::onnx),
    ("state-dict", robin_import::fuzz::state_dict),
    ("pickle", robin_import::fuzz::pickle),
    ("label-list", robin_data::fuzz::label_list),
    ("label-map", robin_data::fuzz::label_map),
    ("weights", weights),
    ("checkpoint", robin_training::checkpoint::fuzz),
    ("checkpoint-sealed", robin_training::checkpoint::fuzz_sealed),
    ("witnesses", witnesses),
    ("ledger", ledger),
    ("record", record),
    ("record-sealed", record_sealed),
    ("spec", spec),
    ("claims", claims),
    ("epsilon", epsilon),
    ("command-line", command_line),
    ("attack-settings", attack_settings),
];

/// The parser called `name`.
///
/// # Panics
/// If there is none.
pub fn target(name: &str) -> fn(&[u8]) {
    let found = TARGETS.iter().find(|(known, _)| *known == name);
    found.unwrap_or_else(|| panic!("no parser {name}")).1
}

/// The architecture whose weights are read.
pub fn graph() -> Graph {
    let graph = Graph::builder("toy", [1, 2, 2]).normalize("normalize").flatten();
    graph.linear("fc", 3).build().expect("a network of one layer")
}

pub fn weights(bytes: &[u8]) {
    let _ = Parameters::from_safetensors(&graph(), bytes, "f");
    let _ = robin_nn::tensor_shapes(bytes, "f");
    let _ = export::load("cnn2-small", bytes, [28, 28], "f");
}

pub fn witnesses(bytes: &[u8]) {
    if let Ok(read) = Witnesses::from_safetensors(bytes, "f") {
        // What was read is what would be written.
        let written = read.to_safetensors().expect("witnesses fit their own format");
        let again = Witnesses::from_safetensors(&written, "f").expect("what was written is read");
        assert_eq!(again.ids, read.ids);
    }
}

pub fn ledger(bytes: &[u8]) {
    let Some(text) = text_of(bytes) else { return };
    if let Ok(ledger) = Ledger::from_json(text) {
        for run in &ledger.runs {
            let _ = ledger.summary(run.budget);
        }
        ledger.to_json().expect("a ledger is JSON");
    }
}

/// A record under the key that it gives itself.
pub fn record(bytes: &[u8]) {
    let Some(text) = text_of(bytes) else { return };
    let own = serde_json::from_str::<Value>(text).map(|whole| whole["key"].clone());
    let key = own.ok().and_then(|key| serde_json::from_value(key).ok());
    let key = key.unwrap_or_else(|| Key::of(&Value::Null));
    for kind in [Kind::Network, Kind::Evaluation] {
        if let Ok(record) = Record::from_text(text, Path::new("f"), kind, &key) {
            let _ = record.result::<Robust>("robust_examples");
            let _ = crate::cell::evaluation::verdicts(&record);
            record.to_text();
        }
    }
}

/// The same under the key of its settings and behind a seal that is made right.
pub fn record_sealed(bytes: &[u8]) {
    const END: &str = "\"\n  }\n}\n";
    let Some(text) = text_of(bytes) else { return };
    let Ok(mut whole) = serde_json::from_str::<Value>(text) else { return };
    if !whole.is_object() {
        return;
    }
    whole["key"] = Key::of(&whole["settings"]).to_string().into();
    if !whole["provenance"].is_object() {
        whole["provenance"] = serde_json::json!({});
    }
    if let Some(fields) = whole["provenance"].as_object_mut() {
        fields.shift_remove("sha256");
        fields.insert("sha256".to_owned(), "".into());
    }
    let Ok(text) = serde_json::to_string_pretty(&whole) else { return };
    let text = text + "\n";
    let Some(body) = text.strip_suffix(END) else { return };
    record(format!("{body}{}{END}", sha256(body.as_bytes())).as_bytes());
}

/// What an item shares with all others, as short as it may be.
const COMMON: &str = r#"
seeds = [0]
[recipes.mnist]
epochs = 20
batch_size = 128
learning_rate = 0.1
momentum = 0.9
weight_decay = 5e-4
schedule = { name = "steps", milestones = [0.5], factor = 0.1 }
crop_padding = 0
sampling = "plain"
arm_sampling = "plain"
method = { name = "pgd-at", steps = 10, step_size = { relative = 2.5 }, proportion = "cosine" }
[attacks.pgd10]
loss = "ce"
attack = { name = "pgd", steps = 10, restarts = 1, step_size = { relative = 2.5 }, start = "clean" }
[training_set]
loss = "ce"
attack = { name = "fgsm" }
[smoke]
data = "embedded"
seeds = [0]
training_set_images = 1000
datasets = {}
[quick]
data = "folder"
seeds = [0]
training_set_images = 1000
datasets = {}
"#;

/// An item, and everything in it that checks itself.
pub fn spec(bytes: &[u8]) {
    let Some(text) = text_of(bytes) else { return };
    let Ok(spec) = Spec::parse_with(COMMON, "f", text) else { return };
    for row in &spec.rows {
        if let Some(recipe) = spec.recipes.get(&row.recipe) {
            let config = recipe.config(row.budget(), recipe.epochs, recipe.sampling);
            if config.validate().is_ok() {
                let _ = config.learning_rate_at(config.epochs - 1, 6, 7);
                let _ = config.augmentation().validate(28, 28);
            }
        }
        for attack in spec.attacks.values().filter_map(|attack| attack.of(row.norm)) {
            let _ = attack.build(row.budget());
        }
    }
    for profile in Profile::ALL {
        let _ = spec.study.as_ref().map(|study| study.shrunk(profile));
    }
}

pub fn claims(bytes: &[u8]) {
    if let Some(text) = text_of(bytes) {
        let _ = claims::check(text);
    }
}

pub fn epsilon(bytes: &[u8]) {
    let Some(text) = text_of(bytes) else { return };
    if let Ok(epsilon) = text.parse::<Epsilon>() {
        assert!(epsilon.get() >= 0.0 && epsilon.get().is_finite(), "{text:?} is {epsilon}");
        let again: Epsilon = epsilon.to_string().parse().expect("what is written is read");
        assert_eq!(again.get().to_bits(), epsilon.get().to_bits(), "{text:?} is {epsilon}");
    }
}

/// Everything that has a notation of its own on the command line.
pub fn command_line(bytes: &[u8]) {
    let Some(text) = text_of(bytes) else { return };
    let budget = Budget { norm: Norm::Linf, epsilon: Epsilon::ZERO };
    if let Ok(step_size) = text::step_size(text) {
        let _ = step_size.pixels(budget.epsilon, 10);
    }
    if let Ok(schedule) = text::schedule(text)
        && schedule.validate().is_ok()
    {
        let _ = schedule.factor((0, 1), (0, 1));
    }
    let _ = text::normalize(text);
    let _ = text::classifier(text);
    let _ = text.parse::<external_model::Normalize>();
    let _ = (text.parse::<Loss>(), text.parse::<StrategyChoice>(), text.parse::<ClassifierKind>());
    let _ = (text.parse::<crate::Device>(), text.parse::<robin_data::Choice>());
}

pub fn attack_settings(bytes: &[u8]) {
    let Ok(config) = serde_json::from_slice::<robin_attacks::Config>(bytes) else { return };
    for norm in [Norm::L2, Norm::Linf] {
        for epsilon in ["0", "8/255", "3"] {
            let epsilon = epsilon.parse().expect("a radius");
            let _ = config.build(Budget { norm, epsilon });
        }
        let _ = config.minimal(norm);
    }
}

fn text_of(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}
