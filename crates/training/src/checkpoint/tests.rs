use robin_nn::{Graph, Parameters};

use super::*;
use crate::{EpochReport, Sgd, Tally};

fn state() -> State {
    let report = EpochReport {
        epoch: 1,
        epochs: 2,
        learning_rate: 0.1 + 0.2,
        perturbed: 3,
        loss: 1.0 / 3.0,
        accuracy: 1.0,
        validation: None,
    };
    State {
        epoch: 1,
        step: 5,
        sgd: Sgd::new(0.9, 0.0).with_velocities(vec![vec![1.5; 6], vec![-0.0, f32::MIN_POSITIVE]]),
        average: None,
        best: None,
        epochs: vec![report],
        loss: f64::from_bits(0x3fd5_5555_5555_5556),
        tally: Tally::new(2),
        warnings: Vec::new(),
    }
}

fn parameters() -> Parameters {
    let graph = Graph::builder("toy", [3, 1, 1]).flatten().linear("fc", 2).build().unwrap();
    Parameters::initialise(&graph, robin_core::Seed::new(1))
}

fn bytes() -> Vec<u8> {
    let identity = Identity(serde_json::json!({ "seed": 7, "rate": 0.1 }));
    content::encode(&identity, &parameters(), &state()).unwrap()
}

#[test]
fn every_bit_comes_back_and_the_same_state_gives_the_same_bytes() {
    let content = Content::decode(&bytes()).unwrap();
    assert_eq!(content.identity()["rate"], 0.1);
    let mut fresh = state();
    fresh.sgd = Sgd::new(0.9, 0.0);
    let (read, found) = content.into_state(&parameters(), &fresh).unwrap();
    assert_eq!(found, parameters());
    let expected = state();
    assert_eq!((read.epoch, read.step, &read.epochs), (1, 5, &expected.epochs));
    assert_eq!(read.epochs[0].learning_rate.to_bits(), (0.1_f64 + 0.2).to_bits());
    assert_eq!(read.loss.to_bits(), expected.loss.to_bits());
    let bits = |sgd: &Sgd| -> Vec<u32> { sgd.velocities().iter().flatten().map(|v| v.to_bits()).collect() };
    assert_eq!(bits(&read.sgd), bits(&expected.sgd));
    assert_eq!(bytes(), bytes());
}

#[test]
fn it_is_a_safetensors_file() {
    let bytes = bytes();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let mut names = file.names();
    names.sort();
    assert_eq!(
        names,
        ["parameters/fc.bias", "parameters/fc.weight", "velocities/fc.bias", "velocities/fc.weight"]
    );
}

#[test]
fn every_truncation_and_every_flipped_byte_is_refused() {
    let whole = bytes();
    Content::decode(&whole).unwrap();
    for length in 0..whole.len() {
        Content::decode(&whole[..length]).unwrap_err();
    }
    for at in 0..whole.len() {
        for bit in [0, 5, 7] {
            let mut flipped = whole.clone();
            flipped[at] ^= 1 << bit;
            Content::decode(&flipped).unwrap_err();
        }
    }
}

#[test]
fn another_format_is_named() {
    let mut newer = bytes();
    let at = newer.windows(9).position(|window| window == b"format\\\":").unwrap() + 9;
    newer[at] = b'9';
    let digits = newer.windows(5).position(|window| window == b"seal:").unwrap() + 5;
    newer[digits..digits + 64].fill(b'0');
    seal::close(&mut newer);
    let reason = Content::decode(&newer).unwrap_err();
    assert!(reason.contains("format 9, this program reads 1"), "{reason}");
}
