//! Tensors out of files that PyTorch's `torch.save` wrote.
//!
//! Such a file is a zip archive: a pickle that says what there is, and the numbers beside it. A pickle is a program; the
//! reader in `machine` knows the instructions that make data and a short list of names, runs nothing, and refuses a
//! pickle that names anything else. (candle 0.11.1 has a reader too, which this crate does not use: it copies what is named
//! twice, so that a small file can fill any memory, it believes lengths before it has seen the bytes, and it panics where a
//! tensor has too few arguments.)

mod machine;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::BTreeMap;
use std::io::{Cursor, Read};
use std::path::Path;

use half::{bf16, f16};
use zip::ZipArchive;

use self::machine::{Machine, Storage, Value};
use crate::error::clip;
use crate::{Error, Result};

/// A tensor of floats.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its values, row-major.
    pub values: Vec<f32>,
}

/// The largest pickle that is read: names and shapes of a network, no numbers. 8 MB.
const PICKLE: u64 = 8 << 20;

/// Keys under which training programs keep the `state_dict` among other things.
const KEYS: &[&str] = &["state_dict", "model_state_dict", "model", "net", "network", "params"];

/// Reads the floating-point tensors of the `state_dict` in the file `path`, by name; other types, as counters, are left out.
/// A dictionary of tensors may lie in others under the usual keys (`state_dict`, `model`, ...).
///
/// # Errors
/// [`Error::Io`], and those of [`parse`].
pub fn read(path: &Path) -> Result<BTreeMap<String, Tensor>> {
    let bytes = robin_files::read(path, crate::LARGEST_FILE).map_err(Error::io(path))?;
    parse(&bytes, &path.display().to_string())
}

/// As [`read`], from the file's `bytes`; `file` names it in messages.
///
/// # Errors
/// [`Error::Format`] for what `torch.save` did not write or what is damaged, [`Error::Code`] for a pickle that names code.
pub fn parse(bytes: &[u8], file: &str) -> Result<BTreeMap<String, Tensor>> {
    let format =
        |reason: String| Error::Format { file: file.to_owned(), format: "state_dict of PyTorch", reason };
    if !bytes.starts_with(b"PK") {
        let old = "it is no zip archive; files of PyTorch before 1.6 must be loaded and saved again";
        return Err(format(old.to_owned()));
    }
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(|error| format(error.to_string()))?;
    let names: Vec<String> = archive.file_names().filter_map(|name| Some(name.ok()?.into_owned())).collect();
    if names.iter().any(|name| name.ends_with("/constants.pkl")) {
        let reason = "it is a TorchScript program; save its `state_dict()`, or export it to ONNX";
        return Err(format(reason.to_owned()));
    }
    let Some(prefix) = names.iter().find_map(|name| name.strip_suffix("data.pkl")).map(str::to_owned) else {
        return Err(format("it has no data.pkl".to_owned()));
    };
    let pickle = entry(&mut archive, &format!("{prefix}data.pkl"), PICKLE).map_err(format)?;
    let big_endian =
        entry(&mut archive, &format!("{prefix}byteorder"), 16).is_ok_and(|order| order == b"big");
    if big_endian {
        return Err(format("its numbers are big-endian; save it again on another machine".to_owned()));
    }
    let machine = Machine::run(&pickle).map_err(|fault| match fault {
        machine::Fault::Code(name) => Error::Code { file: file.to_owned(), name: clip(&name) },
        machine::Fault::Damaged(reason) => format(format!("its pickle: {reason}")),
    })?;
    let tensors = dictionary(&machine).map_err(format)?;
    let mut found = BTreeMap::new();
    // What all tensors together may have: no more than the file, though several may be views of one storage; and what is
    // read for them, which may be the same storage again.
    let mut room = bytes.len();
    let mut reads = 4 * bytes.len();
    let mut last: Option<(String, Vec<u8>)> = None;
    for (name, tensor) in tensors {
        let Some(size) = tensor.storage.kind.float_size() else { continue };
        let fault = |reason: String| format(format!("tensor {:?}: {reason}", clip(name)));
        let count = tensor.shape.iter().try_fold(1usize, |count, &side| count.checked_mul(side));
        let count = count.and_then(|count| Some((count, room.checked_sub(count.checked_mul(size)?)?)));
        let Some((_, left)) = count else {
            return Err(fault(format!("its shape {:?} has more values than the file", tensor.shape)));
        };
        room = left;
        let key = &tensor.storage.key;
        if last.as_ref().is_none_or(|(held, _)| held != key) {
            let path = format!("{prefix}data/{key}");
            let storage = entry(&mut archive, &path, reads as u64).map_err(fault)?;
            reads -= storage.len();
            last = Some((key.clone(), storage));
        }
        let Some((_, storage)) = &last else { continue };
        let values = view(storage, &tensor, size).map_err(fault)?;
        found.insert(name.to_owned(), Tensor { shape: tensor.shape, values });
    }
    if found.is_empty() {
        return Err(format("its dictionary has no tensor of floats".to_owned()));
    }
    Ok(found)
}

/// One file of the archive, of at most `most` bytes.
fn entry(archive: &mut ZipArchive<Cursor<&[u8]>>, name: &str, most: u64) -> Result<Vec<u8>, String> {
    let file = archive.by_name(name).map_err(|error| format!("{}: {error}", clip(name)))?;
    let mut bytes = Vec::new();
    // The archive says how much comes out; only what does come out is believed.
    file.take(most + 1).read_to_end(&mut bytes).map_err(|error| format!("{}: {error}", clip(name)))?;
    if bytes.len() as u64 > most {
        return Err(format!("{} has more than {most} bytes", clip(name)));
    }
    Ok(bytes)
}

/// The dictionary of tensors: the whole, or what lies under one of the usual keys.
fn dictionary(machine: &Machine) -> Result<Vec<(&str, machine::Tensor)>, String> {
    let mut at = machine.result();
    for _ in 0..4 {
        let Value::Dictionary(items) = machine.value(at) else {
            return Err("it holds no dictionary; save the network's `state_dict()`".to_owned());
        };
        let mut tensors = Vec::new();
        for &(key, value) in items {
            if let (Value::Text(name), Value::Tensor(tensor)) = (machine.value(key), machine.value(value)) {
                tensors.push((name.as_str(), tensor.clone()));
            }
        }
        if !tensors.is_empty() {
            return Ok(tensors);
        }
        let inside = |wanted: &&str| {
            let named =
                |&&(key, _): &&(usize, usize)| matches!(machine.value(key), Value::Text(k) if k == *wanted);
            items.iter().find(named).map(|&(_, value)| value)
        };
        let Some(next) = KEYS.iter().find_map(inside) else {
            let keys = items.iter().filter_map(|&(key, _)| match machine.value(key) {
                Value::Text(name) => Some(clip(name)),
                _ => None,
            });
            let keys: Vec<String> = keys.take(8).collect();
            return Err(format!(
                "its dictionary has no tensors and none of the keys {} (its keys: {})",
                KEYS.join(", "),
                keys.join(", ")
            ));
        };
        at = next;
    }
    Err("its dictionaries lie too deep in others".to_owned())
}

/// The values of a view of a storage, in row-major order.
fn view(storage: &[u8], tensor: &machine::Tensor, size: usize) -> Result<Vec<f32>, String> {
    let machine::Tensor { shape, strides, offset, storage: Storage { kind, .. } } = tensor;
    let count: usize = shape.iter().product();
    if count == 0 {
        return Ok(Vec::new());
    }
    let last = shape.iter().zip(strides).try_fold(*offset, |last, (side, stride)| {
        (side - 1).checked_mul(*stride).and_then(|reach| last.checked_add(reach))
    });
    if strides.len() != shape.len() || last.is_none_or(|last| last >= storage.len() / size) {
        return Err(format!(
            "shape {shape:?} with strides {strides:?} from {offset} on does not fit its {} values",
            storage.len() / size
        ));
    }
    let decode = |at: usize| {
        let bytes = &storage[at * size..(at + 1) * size];
        match kind {
            machine::Kind::Half => f16::from_le_bytes(word(bytes)).to_f32(),
            machine::Kind::BFloat16 => bf16::from_le_bytes(word(bytes)).to_f32(),
            machine::Kind::Double => f64::from_le_bytes(word(bytes)) as f32,
            _ => f32::from_le_bytes(word(bytes)),
        }
    };
    let mut values = Vec::with_capacity(count);
    let mut place = vec![0; shape.len()];
    let mut at = *offset;
    loop {
        values.push(decode(at));
        // The next place, from the last dimension on.
        let mut axis = shape.len();
        loop {
            let Some(next) = axis.checked_sub(1) else { return Ok(values) };
            axis = next;
            place[axis] += 1;
            at += strides[axis];
            if place[axis] < shape[axis] {
                break;
            }
            at -= place[axis] * strides[axis];
            place[axis] = 0;
        }
    }
}

fn word<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().expect("a value has the size of its type")
}
