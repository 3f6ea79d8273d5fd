//! Small valid inputs of every parser.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::time::Duration;

use robin_attacks::StepSize;
use robin_core::{Budget, CancelToken, Norm, Seed};
use robin_data::{Dataset, LabelMap, Sampling, Split};
use robin_evaluation::Witnesses;
use robin_experiments::fuzz::graph;
use robin_experiments::key::Key;
use robin_experiments::record::{Kind, Record};
use robin_nn::{Graph, Parameters, executor};
use robin_training::{
    AttackMode, Checkpointing, Config, Method, Outputs, Proportion, Schedule, Silent, Task, Trainer,
    Validation, WeightAveraging,
};
use safetensors::tensor::{Dtype, TensorView, serialize};
use serde_json::json;

pub(crate) fn texts(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

pub(crate) fn pixels(count: usize) -> Vec<u8> {
    (0..count).map(|at| (at * 7 % 251) as u8).collect()
}

pub(crate) fn idx(header: &[u32], contents: &[u8]) -> Vec<u8> {
    header.iter().flat_map(|word| word.to_be_bytes()).chain(contents.iter().copied()).collect()
}

pub(crate) fn idx_images() -> Vec<u8> {
    idx(&[0x803, 3, 4, 5], &pixels(60))
}

pub(crate) fn gzip(contents: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(contents).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn own_tensors() -> Vec<Vec<u8>> {
    let (pixels, labels) = (pixels(2 * 12), [1_i64, 0].map(i64::to_le_bytes).concat());
    let images = TensorView::new(Dtype::U8, vec![2, 3, 2, 2], &pixels).unwrap();
    let long = TensorView::new(Dtype::I64, vec![2], &labels).unwrap();
    let short = TensorView::new(Dtype::U8, vec![2], &[1, 0]).unwrap();
    let classes = HashMap::from([("classes".to_owned(), "7".to_owned())]);
    vec![
        serialize([("images", images.clone()), ("labels", long)], Some(classes)).unwrap(),
        serialize([("images", images), ("labels", short)], None).unwrap(),
    ]
}

/// Two images of 1024 pixels, one in a row.
pub(crate) fn png() -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, 1024, 2);
    encoder.set_color(png::ColorType::Rgb);
    encoder.add_ztxt_chunk("Comment".to_owned(), "made here".repeat(9)).unwrap();
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(&(0..2 * 3072).map(|at| (at / 300) as u8).collect::<Vec<_>>()).unwrap();
    writer.finish().unwrap();
    bytes
}

/// SVHN's format, by scipy.
pub(crate) fn matlab() -> Vec<u8> {
    std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../data/src/matlab/two.mat")).unwrap()
}

/// Data sets as other programs write them.
pub(crate) fn parquet() -> Vec<Vec<u8>> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../data/src/custom/parquet");
    let names = ["hugging-face", "snappy", "gzip", "pages-2"];
    names.map(|name| std::fs::read(format!("{folder}/{name}.parquet")).unwrap()).into()
}

pub(crate) fn jpeg() -> Vec<u8> {
    let image = image::RgbImage::from_fn(17, 9, |x, y| [(x * 15) as u8, (y * 28) as u8, 100].into());
    let mut bytes = std::io::Cursor::new(Vec::new());
    image.write_to(&mut bytes, image::ImageFormat::Jpeg).unwrap();
    bytes.into_inner()
}

/// An array as NumPy saves it.
fn array(kind: &str, shape: &str, values: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}\n");
    [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), values].concat()
}

pub(crate) fn npy() -> Vec<Vec<u8>> {
    let floats: Vec<u8> = (0..12).flat_map(|at| (at as f32 / 12.0).to_le_bytes()).collect();
    vec![
        array("|u1", "(2, 3, 2, 2)", &pixels(24)),
        array("<f4", "(1, 3, 2, 2)", &floats),
        array("<i8", "(2,)", &[3_i64, 1].map(i64::to_le_bytes).concat()),
    ]
}

pub(crate) fn npz() -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let [images, _, labels] = <[Vec<u8>; 3]>::try_from(npy()).unwrap();
    for (name, bytes) in [("x_test.npy", images), ("y_test.npy", labels)] {
        let stored = zip::write::SimpleFileOptions::default();
        writer.start_file(name, stored.compression_method(zip::CompressionMethod::Stored)).unwrap();
        writer.write_all(&bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// A network out of another program.
pub(crate) fn imported(name: &str) -> Vec<u8> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../import/fixtures");
    std::fs::read(folder.join(name)).unwrap()
}

/// The pickle in a file that PyTorch saved.
pub(crate) fn pickle() -> Vec<u8> {
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(imported("mlp-tiny.pt"))).unwrap();
    let names: Vec<String> = archive.file_names().map(|name| name.unwrap().into_owned()).collect();
    let name = names.iter().find(|name| name.ends_with("data.pkl")).unwrap();
    let mut bytes = Vec::new();
    archive.by_name(name).unwrap().read_to_end(&mut bytes).unwrap();
    bytes
}

pub(crate) fn tar() -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let long = format!("f/{}", "long/".repeat(40));
    for path in ["f/one", long.as_str(), "f/two"] {
        let mut header = tar::Header::new_gnu();
        header.set_size(100);
        header.set_mode(0o644);
        tar.append_data(&mut header, path, &pixels(100)[..]).unwrap();
    }
    tar.into_inner().unwrap()
}

pub(crate) fn label_maps() -> Vec<Vec<u8>> {
    let order = vec![3, 1, 4, 0, 5, 9, 2, 6, 8, 7];
    let maps = [
        LabelMap::Identity,
        LabelMap::OneVsAll { class: 4 },
        LabelMap::OneVsOne { a: 7, b: 2 },
        LabelMap::Other { classes: 3, order },
        LabelMap::Fine { groups: robin_data::Groups::AnimalsObjects, group: 1 },
    ];
    maps.iter().map(|map| serde_json::to_vec(map).unwrap()).collect()
}

pub(crate) fn weights() -> Vec<u8> {
    Parameters::initialise(&graph(), Seed::new(1)).to_safetensors().unwrap()
}

/// What a training of everything that has a state leaves in its middle.
pub(crate) fn checkpoint() -> Vec<u8> {
    let budget = Budget { norm: Norm::L2, epsilon: "0.5".parse().unwrap() };
    let (steps, step_size) = (1, StepSize::STANDARD);
    let config = Config {
        method: Method::PgdAt { budget, steps, step_size, proportion: Proportion::All },
        epochs: 2,
        batch_size: 4,
        learning_rate: 0.05,
        momentum: 0.9,
        weight_decay: 5e-4,
        outputs: Outputs::Classes,
        schedule: Schedule::Cosine { last: 0.1 },
        sampling: Sampling::Plain,
        crop_padding: 0,
        padding: robin_data::Padding::Zeros,
        flip: robin_data::Flip::None,
        attack_mode: AttackMode::Eval,
        label_smoothing: 0.1,
        weight_averaging: Some(WeightAveraging { decay: 0.9 }),
        validation: Some(Validation { images: 4, budget, steps, step_size }),
    };
    let labels: Vec<u8> = (0..12).map(|at| at % 2).collect();
    let data = Dataset::new("toy", 2, Split::Train, [1, 2, 2], pixels(48), labels).unwrap();
    let graph: Graph = Graph::builder("toy", [1, 2, 2]).flatten().linear("fc", 2).build().unwrap();
    let parameters = Parameters::initialise(&graph, Seed::new(1));
    let mut network = executor("cpu").unwrap().network(&graph, parameters).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("toy.ckpt");
    let task = Task { data: &data, labels: &LabelMap::Identity, config: &config, seed: Seed::new(2) };
    let checkpointing = Checkpointing::new(&path, Duration::from_secs(1 << 30));
    let (mut trainer, _) = Trainer::open(network.as_mut(), task, checkpointing, &mut Silent).unwrap();
    for _ in 0..3 {
        trainer.step(&mut Silent, &CancelToken::new()).unwrap();
    }
    trainer.save().unwrap();
    std::fs::read(path).unwrap()
}

pub(crate) fn witnesses() -> Vec<u8> {
    let budget = Budget { norm: Norm::Linf, epsilon: "8/255".parse().unwrap() };
    let mut witnesses = Witnesses::new(budget, &"0f".repeat(32), [1, 2, 2]);
    witnesses.ids = vec![4, 7];
    witnesses.labels = vec![1, 2];
    witnesses.predictions = vec![2, 1];
    witnesses.images = vec![0.5; 8];
    witnesses.to_safetensors().unwrap()
}

/// Two images, the second of which one run breaks.
pub(crate) fn ledger() -> Vec<u8> {
    let outcome = json!({ "broken": "2:4", "predictions": "1:13", "sizes": "000000003d008081" });
    let text = json!({
        "format": robin_evaluation::Ledger::FORMAT,
        "data_sha256": "0f".repeat(32),
        "labels": "1:12",
        "clean": { "broken": "2:0", "predictions": "1:12" },
        "runs": [{
            "attack": "pgd", "strategy": "softmax", "loss": "ce",
            "budget": { "norm": "linf", "epsilon": "8/255" },
            "config": { "name": "fgsm" },
            "restart": 0,
            "attacked": "2:c",
            "outcome": outcome,
            "forward": "1:55", "backward": "1:44", "gradients": "1:44", "zero_gradients": "1:00",
        }],
    })
    .to_string();
    robin_evaluation::Ledger::from_json(&text).expect("the corpus is valid");
    text.into()
}

pub(crate) fn record() -> Vec<u8> {
    let settings = json!({ "kind": "evaluation", "n": 2, "seed": { "root": 0 } });
    let outcome = json!({ "broken": "2:4", "predictions": "1:13", "sizes": "000000003d008081" });
    let cost = json!({ "attacked": 2, "forward": 20, "backward": 10, "gradients": 10, "zero_gradients": 0 });
    let record = Record {
        kind: Kind::Evaluation,
        key: Key::of(&settings),
        settings,
        results: json!({
            "clean": { "accuracy": 1.0 },
            "clean_examples": { "broken": "2:0", "predictions": "1:12" },
            "robust_examples": { "worst": outcome, "last": outcome, "cost": cost },
        }),
        provenance: serde_json::from_value(json!({ "commit": null, "seconds": 1.5 })).unwrap(),
    };
    record.result::<robin_evaluation::Robust>("robust_examples").expect("the corpus is valid");
    record.to_text().into()
}

pub(crate) const SPEC: &str = r#"
item = "f"
title = "A table"
compare = [["a", "b"]]
[[classifiers]]
name = "a"
kind = "ensemble"
members = 3
width_factor = 1.5
strategies = ["softmax"]
[[columns]]
name = "clean"
[[columns]]
name = "pgd"
attack = "pgd10"
[[rows]]
dataset = "mnist"
model = "cnn2"
norm = "l2"
epsilon = "8/255"
test = ["0.5", "1.0"]
recipe = "mnist"
published = { a = { clean = 0.9, pgd = [0.5, 0.4] } }
[smoke.datasets.mnist]
width = 4
epochs = 2
"#;

pub(crate) const STUDY: &str = r#"
item = "f"
title = "A figure"
[study]
kind = "class-count"
counts = [2, 3, 10]
orders = 20
attack = "pgd10"
over = "budget"
smoke = { counts = [2], orders = 2 }
"#;

pub(crate) const SETTINGS: &str = r#"
item = "f"
title = "Other settings"
[recipes.mine]
like = "mnist"
epochs = 3
schedule = { name = "one-cycle", first = 0.0, peak = 0.4, last = 0.0 }
method = { name = "trades", steps = 10, step_size = { absolute = 0.007 }, lambda = 6.0, start = { name = "gaussian", deviation = 0.001 } }
held_out = { images = 10, steps = 2, step_size = { relative = 2.5 } }
normalize = { mean = [0.5], std = [0.25] }
[attacks.square]
loss = "margin"
attack = { name = "square", queries = 100, restarts = 1, first_share = 0.8, reach = "whole" }
[[rows]]
dataset = "mnist"
model = "cnn2"
norm = "linf"
epsilon = "0.3"
recipe = "mine"
"#;

pub(crate) const CLAIMS: &str = r#"
[[claims]]
id = "one"
text = "One is above the other."
seeds = 3
compare = [
    { left = { item = "table-1", classifier = "a", attack = "pgd" }, test = { above = 0.0 }, right = { item = "table-1", classifier = "b", attack = "pgd", at = "largest" } },
    { left = { item = "figure-5", growth = ["a", "b"], attack = "pgd" }, test = { within = 0.05 }, right = 0.0 },
]
"#;
