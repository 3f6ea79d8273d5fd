//! Networks that `fixtures/pytorch/export_models.py` wrote into a folder, beside PyTorch's numbers: a row of a Markdown table
//! for each. `logits` and `gradient` are the largest differences, the gradient's by its largest value; `whole gradient` is the
//! length of the difference by the gradient's. `f64` is the imported network in double precision beside PyTorch's double
//! precision, where no rounding opens or closes a rectifier; `PyTorch's own gradient` is its single beside its double precision.
//!
//! ```text
//! cargo run --release -p robin-ml-import --example beside_pytorch -- FOLDER
//! ```

#![allow(clippy::print_stdout, reason = "an example")]

#[path = "../tests/common/mod.rs"]
mod common;

use std::path::{Path, PathBuf};

use robin_import::onnx::Model;
use robin_import::state_dict::StateDict;

/// What state_dicts of those networks are called here; others have no architecture but in their code.
const ARCHITECTURES: &[(&str, &str)] =
    &[("resnet18", "resnet18"), ("resnet-small", "resnet18"), ("wrn-28-10", "wide-resnet-28-10")];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = PathBuf::from(std::env::args().nth(1).ok_or("give the folder of export_models.py")?);
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(&folder)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    files.sort();
    println!(
        "| file | logits | of the largest | gradient | whole gradient | logits, f64 | gradient, f64 | \
         PyTorch's own gradient | seconds |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for file in files {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let stem = name.split('.').next().unwrap_or_default();
        let stem = stem.trim_end_matches("-apart").trim_end_matches("-dynamo");
        let reference = folder.join(format!("{stem}.safetensors"));
        let found = match file.extension().and_then(|extension| extension.to_str()) {
            Some("onnx") => {
                common::compare(&reference, |shape| Model::read(&file)?.network(Some(shape), None))
            }
            Some("pt") => common::compare(&reference, |shape| state_dict(&file, stem, shape)),
            _ => continue,
        };
        match found {
            Ok(found) => println!(
                "| {name} | {:.1e} | {:.1e} | {:.1e} | {:.1e} | {:.1e} | {:.1e} | {:.1e} | {:.1} |",
                found.logits,
                found.logits / found.scale,
                found.gradient,
                found.whole_gradient,
                found.in_f64[0],
                found.in_f64[1],
                found.pytorch,
                found.seconds
            ),
            Err(error) => {
                let said = error.to_string().replace('\n', " ").replace('|', "/");
                println!("| {name} | refused: {said} | | | | | | | |");
            }
        }
    }
    Ok(())
}

fn state_dict(file: &Path, stem: &str, shape: [usize; 3]) -> robin_import::Result<robin_import::Network> {
    let model = ARCHITECTURES.iter().find(|(known, _)| *known == stem).map_or(stem, |(_, model)| model);
    let identity = [vec![0.0; shape[0]], vec![1.0; shape[0]]];
    let tensors = StateDict::read(file)?;
    let normalization = if tensors.normalizes() { None } else { Some(&identity) };
    Ok(tensors.network(model, shape, normalization)?.0)
}
