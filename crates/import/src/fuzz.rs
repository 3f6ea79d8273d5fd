//! Every parser of this crate as a function of any bytes: for tests that feed them what nobody would write, and for
//! `cargo fuzz`. No part of the interface.

#![allow(missing_docs, reason = "each is named after what it reads")]

use std::io::{Cursor, Write};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::onnx::Model;
use crate::state_dict::StateDict;

/// A model, for images as it says and for others.
pub fn onnx(bytes: &[u8]) {
    let Ok(model) = Model::parse(bytes.to_vec(), "f", None) else { return };
    for images in [None, Some([3, 8, 8])] {
        if let Err(error) = model.network(images, None) {
            assert!(error.to_string().len() < 4000, "{error}");
        }
    }
}

/// What `torch.save` wrote.
pub fn state_dict(bytes: &[u8]) {
    let normalization = [vec![0.0], vec![1.0]];
    let network = |tensors: StateDict| tensors.network("mlp", [1, 2, 2], Some(&normalization));
    if let Err(error) = StateDict::parse(bytes, "f").and_then(network) {
        assert!(error.to_string().lines().count() <= 5, "{error}");
    }
}

/// The pickle in it, beside numbers for whatever it asks for.
pub fn pickle(bytes: &[u8]) {
    state_dict(&archive(bytes).expect("writing to memory does not fail"));
}

fn archive(pickle: &[u8]) -> zip::result::ZipResult<Vec<u8>> {
    const STORAGES: usize = 8;
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    writer.start_file("f/data.pkl", options)?;
    writer.write_all(pickle)?;
    for key in 0..STORAGES {
        writer.start_file(format!("f/data/{key}").as_str(), options)?;
        writer.write_all(&[0x3E; 256])?;
    }
    Ok(writer.finish()?.into_inner())
}
