//! A tensor of the file as numbers, also out of a file beside it.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Component, Path};

use half::{bf16, f16};

use super::proto;
use crate::error::clip;

/// A tensor whose values are known.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Constant {
    pub(super) shape: Vec<usize>,
    pub(super) values: Values,
}

/// Numbers of either kind.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Values {
    Floats(Vec<f32>),
    Integers(Vec<i64>),
}

impl Values {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Floats(values) => values.len(),
            Self::Integers(values) => values.len(),
        }
    }
}

impl Constant {
    pub(super) fn integers(values: Vec<i64>) -> Self {
        Self { shape: vec![values.len()], values: Values::Integers(values) }
    }

    pub(super) fn floats(&self) -> Option<&[f32]> {
        match &self.values {
            Values::Floats(values) => Some(values),
            Values::Integers(_) => None,
        }
    }

    pub(super) fn as_integers(&self) -> Option<&[i64]> {
        match &self.values {
            Values::Integers(values) => Some(values),
            Values::Floats(_) => None,
        }
    }
}

/// Values that `tensor` says it has, in this file or another: what it may cost, before it is read.
pub(super) fn claimed(tensor: &proto::Tensor) -> usize {
    if tensor.data_location == EXTERNAL {
        return external(tensor).ok().and_then(|place| place.length).map_or(0, |length| length / 2);
    }
    let typed = tensor.float_data.len()
        + tensor.int32_data.len()
        + tensor.int64_data.len()
        + tensor.double_data.len();
    typed + tensor.raw_data.len() / 2
}

/// In `data_location`: the data are in another file.
pub(super) const EXTERNAL: i32 = 1;

/// Reads `tensor`; `folder` is that of the model's file, the only one that other files may lie in.
///
/// # Errors
/// In words, if the tensor's parts do not agree, or its data are not where they may be.
pub(super) fn read(tensor: &proto::Tensor, folder: Option<&Path>) -> Result<Constant, String> {
    let side = |&dim: &i64| usize::try_from(dim).map_err(|_| format!("its shape is {:?}", tensor.dims));
    let shape: Vec<usize> = tensor.dims.iter().map(side).collect::<Result<_, _>>()?;
    let count = shape.iter().try_fold(1usize, |count, &side| count.checked_mul(side));
    let count = count.ok_or_else(|| format!("no memory holds its shape {:?}", tensor.dims))?;
    let outside;
    let raw = match tensor.data_location {
        EXTERNAL => {
            outside = read_external(tensor, folder, count)?;
            &outside[..]
        }
        _ => &tensor.raw_data[..],
    };
    let floats = |size: usize, decode: fn(&[u8]) -> f32| {
        bytes(raw, size, count).map(|chunks| Values::Floats(chunks.map(decode).collect()))
    };
    let integers = |size: usize, decode: fn(&[u8]) -> i64| {
        bytes(raw, size, count).map(|chunks| Values::Integers(chunks.map(decode).collect()))
    };
    let typed = raw.is_empty() && tensor.data_location != EXTERNAL;
    let values = match tensor.data_type {
        1 if typed => Values::Floats(tensor.float_data.clone()),
        11 if typed => Values::Floats(tensor.double_data.iter().map(|&value| value as f32).collect()),
        2 | 3 | 6 | 9 if typed => {
            Values::Integers(tensor.int32_data.iter().map(|&value| value.into()).collect())
        }
        7 if typed => Values::Integers(tensor.int64_data.clone()),
        10 if typed => {
            let half = |&bits: &i32| f16::from_bits(bits as u16).to_f32();
            Values::Floats(tensor.int32_data.iter().map(half).collect())
        }
        1 => floats(4, |b| f32::from_le_bytes(word(b)))?,
        11 => floats(8, |b| f64::from_le_bytes(word(b)) as f32)?,
        10 => floats(2, |b| f16::from_le_bytes(word(b)).to_f32())?,
        16 => floats(2, |b| bf16::from_le_bytes(word(b)).to_f32())?,
        2 | 9 => integers(1, |b| b[0].into())?,
        3 => integers(1, |b| i8::from_le_bytes(word(b)).into())?,
        6 => integers(4, |b| i32::from_le_bytes(word(b)).into())?,
        7 => integers(8, |b| i64::from_le_bytes(word(b)))?,
        other => return Err(format!("its type is number {other} of ONNX, which is not read")),
    };
    if values.len() != count {
        return Err(format!("its shape {shape:?} has {count} values, its data {}", values.len()));
    }
    Ok(Constant { shape, values })
}

fn bytes(raw: &[u8], size: usize, count: usize) -> Result<std::slice::ChunksExact<'_, u8>, String> {
    if count.checked_mul(size) != Some(raw.len()) {
        return Err(format!("{count} values of {size} bytes are {} bytes", raw.len()));
    }
    Ok(raw.chunks_exact(size))
}

fn word<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().expect("chunks have the size of their type")
}

/// Where a tensor's data are.
struct Place<'a> {
    location: &'a str,
    offset: u64,
    length: Option<usize>,
}

fn external(tensor: &proto::Tensor) -> Result<Place<'_>, String> {
    let mut place = Place { location: "", offset: 0, length: None };
    for proto::Entry { key, value } in &tensor.external_data {
        let no_number = || format!("its external data have {key} {:?}", clip(value));
        match key.as_str() {
            "location" => place.location = value,
            "offset" => place.offset = value.parse().map_err(|_| no_number())?,
            "length" => place.length = Some(value.parse().map_err(|_| no_number())?),
            _ => {}
        }
    }
    Ok(place)
}

fn read_external(tensor: &proto::Tensor, folder: Option<&Path>, count: usize) -> Result<Vec<u8>, String> {
    let Place { location, offset, length } = external(tensor)?;
    let named = clip(location);
    let Some(folder) = folder else {
        return Err(format!("its data are in another file ({named:?}), and this model is none"));
    };
    let outside = || format!("its data are in {named:?}: only files in the model's own folder are read");
    let relative = Path::new(location);
    if location.is_empty() || !relative.components().all(|part| matches!(part, Component::Normal(_))) {
        return Err(outside());
    }
    let failed = |error: std::io::Error| format!("its data are in {named:?}: {error}");
    // A link may lead out of the folder too.
    let (folder, path) =
        (folder.canonicalize().map_err(failed)?, folder.join(relative).canonicalize().map_err(failed)?);
    if !path.starts_with(&folder) {
        return Err(outside());
    }
    // Asked by name, because opening a pipe waits for somebody to write into it.
    let there = path.metadata().map_err(failed)?;
    if !there.is_file() {
        return Err(format!("its data are in {named:?}, which is no regular file"));
    }
    let there = there.len().saturating_sub(offset);
    let mut file = File::open(path).map_err(failed)?;
    let length = length.map_or(there, |length| length as u64);
    // No type has more than 8 bytes a value.
    if length > there || length > (count as u64).saturating_mul(8) {
        return Err(format!(
            "its data are {length} bytes in {named:?}, which has {there} from byte {offset} on"
        ));
    }
    let mut bytes = vec![0; length as usize];
    file.seek(SeekFrom::Start(offset)).map_err(failed)?;
    file.read_exact(&mut bytes).map_err(failed)?;
    Ok(bytes)
}
