//! No file, option or spec makes a parser panic, fill the memory or stand still: 100,000 changed inputs for each in every
//! run of the tests, as many as one likes with
//! `ROBIN_FUZZ_INPUTS=10000000 cargo test --package robin-ml-experiments --test fuzz_parsers -- --nocapture TARGET`.

use std::io::Write;
use std::time::Duration;

use robin_attacks::ATTACKS;
use robin_experiments::fuzz::{TARGETS, target};
use robin_testkit::fuzz::{Counting, fuzz, memory_of};

#[path = "fuzz_parsers/corpus.rs"]
mod corpus;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// One test for each parser, so that they run side by side and one can be chosen by its name.
macro_rules! targets {
    ($($test:ident: $name:literal, $corpus:expr;)+) => {
        $(#[test]
        fn $test() {
            let corpus: Vec<Vec<u8>> = $corpus;
            fuzz($name, &corpus, target($name));
        })+

        #[test]
        fn every_parser_is_fuzzed() {
            let here = [$($name),+];
            let all: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
            assert_eq!(here.to_vec(), all);
        }
    };
}

targets! {
    idx_images: "idx-images", vec![corpus::idx_images(), corpus::idx(&[0x803, 0, 2, 2], &[]), corpus::idx(&[0x803, 1, 1, 1], &[7])];
    idx_labels: "idx-labels", vec![corpus::idx(&[0x801, 5], &[0, 9, 1, 2, 3]), corpus::idx(&[0x801, 0], &[])];
    idx_gzip: "idx-gzip", vec![corpus::gzip(&corpus::idx_images()), [corpus::gzip(&corpus::idx_images()[..20]), corpus::gzip(&corpus::idx_images()[20..])].concat()];
    idx_packed: "idx-packed", vec![corpus::idx_images(), corpus::idx(&[0x803, 1, 1, 1], &[7])];
    cifar10: "cifar10", vec![[&[3][..], &corpus::pixels(3072), &[9], &corpus::pixels(3072)].concat()];
    cifar100: "cifar100", vec![[&[1, 99][..], &corpus::pixels(3072)].concat()];
    own_tensors: "own-tensors", corpus::own_tensors();
    png: "png", vec![corpus::png()];
    png_repaired: "png-repaired", vec![corpus::png()];
    archive: "archive", vec![corpus::gzip(&corpus::tar())];
    archive_packed: "archive-packed", vec![corpus::tar()];
    npy: "npy", corpus::npy();
    npz: "npz", vec![corpus::npz()];
    matlab: "matlab", vec![corpus::matlab()];
    parquet: "parquet", corpus::parquet();
    picture: "picture", vec![corpus::png(), corpus::jpeg()];
    onnx: "onnx", vec![corpus::imported("tiny.onnx")];
    state_dict: "state-dict", vec![corpus::imported("mlp-tiny.pt")];
    pickle: "pickle", vec![corpus::pickle()];
    label_list: "label-list", vec![b"[1,2,255]".to_vec(), b"[]".to_vec()];
    label_map: "label-map", corpus::label_maps();
    weights: "weights", vec![corpus::weights()];
    checkpoint: "checkpoint", vec![corpus::checkpoint()];
    checkpoint_sealed: "checkpoint-sealed", vec![corpus::checkpoint()];
    witnesses: "witnesses", vec![corpus::witnesses()];
    ledger: "ledger", vec![corpus::ledger()];
    record: "record", vec![corpus::record()];
    record_sealed: "record-sealed", vec![corpus::record()];
    spec: "spec", corpus::texts(&[corpus::SPEC, &corpus::SPEC.replace("mnist\"", "cifar10\""), corpus::STUDY, corpus::SETTINGS]);
    claims: "claims", corpus::texts(&[corpus::CLAIMS]);
    epsilon: "epsilon", corpus::texts(&["8/255", "0.5", "2.0", "1e-3", "0", " 1 / 4 "]);
    command_line: "command-line", corpus::texts(&[
        "2/255", "2.5x", "steps:0.5,0.75:0.1", "cosine:0.1", "one-cycle:0,0.4,0.1", "0.5,0.4/0.25,0.2", "none",
        "ensemble:10", "other:3:2", "hierarchical:animals-objects", "dlr-t:9", "softmax-top2+current", "stage-1-2",
        "0.1307,0.3081", "dataset", "cuda:0", "cpu", "mnist",
    ]);
    attack_settings: "attack-settings", ATTACKS.iter().map(|entry| {
        serde_json::to_vec(&entry.example).unwrap()
    }).collect::<Vec<_>>();
}

/// What unpacks to a thousand times its length costs what it is, not what it says.
#[test]
fn bombs_are_refused_before_they_unpack() {
    const SIZE: usize = 300_000_000;
    assert!(memory_of(|| drop(std::hint::black_box(vec![0_u8; SIZE]))) >= SIZE, "the count counts");
    let zeros = |start: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(start).unwrap();
        let chunk = vec![0; 1_000_000];
        (0..SIZE / chunk.len()).for_each(|_| encoder.write_all(&chunk).unwrap());
        encoder.finish().unwrap()
    };
    let images = zeros(&corpus::idx(&[0x803, 3_000, 100, 1_000], &[]));
    assert!(images.len() < SIZE / 100);
    let held = memory_of(|| robin_data::fuzz::idx_gzip(&images));
    assert!(held < 1 << 20, "{held} bytes for images that are packed too well");

    let folder = tempfile::tempdir().unwrap();
    let mnist = robin_data::DatasetName::Mnist;
    std::fs::create_dir(mnist.folder(folder.path())).unwrap();
    std::fs::write(mnist.folder(folder.path()).join("train-images-idx3-ubyte.gz"), &images).unwrap();
    let begun = std::time::Instant::now();
    let state = &robin_data::verify(mnist, folder.path()).unwrap()[0].state;
    assert_eq!(*state, robin_data::FileState::TooLong { expected: 16 + 60_000 * 784 });
    assert!(state.to_string().contains("expected 47040016, found more"), "{state}");
    assert!(begun.elapsed() < Duration::from_secs(30), "it was not read to its end");

    // A name of 300 MB, as GNU's tar writes those that are longer than a header.
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::GNULongName);
    header.set_path("././@LongLink").unwrap();
    header.set_size(SIZE as u64);
    header.set_mode(0o644);
    header.set_cksum();
    let archive = zeros(header.as_bytes());
    let held = memory_of(|| robin_data::fuzz::archive(&archive));
    assert!(held < 1 << 20, "{held} bytes for a name");
}
