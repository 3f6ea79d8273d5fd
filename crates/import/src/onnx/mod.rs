//! ONNX models, operator set 9 and later, as graphs.
//!
//! Reading order: `lower` (a walk over the nodes), `layers` (each operator), `window` (what a convolution becomes),
//! `fold` (what is known without images), `order`, `tensor`, `proto`.
//!
//! | operator | becomes |
//! |---|---|
//! | Conv | a convolution; groups, dilations, uneven pads and oblong kernels by a dense square kernel with zeros |
//! | BatchNormalization | batch norm, its epsilon brought to ours; after a fully connected layer part of its weights |
//! | Relu, Clip | rectifiers (two of them, and sums with constants, where Clip has two sides) |
//! | Round, Floor, Ceil | rounding, with a gradient of 0 |
//! | Mul of a value and its Sigmoid | SiLU |
//! | MaxPool, AveragePool, GlobalAveragePool, GlobalMaxPool, ReduceMean over an image | pooling; an average whose windows overlap: a convolution |
//! | Gemm, MatMul, and Add or Mul of constants after them | a fully connected layer |
//! | Add of two values | a sum |
//! | Add, Sub, Mul, Div with constants per channel | a normalisation |
//! | Flatten, Reshape, Squeeze to `[n, features]` | flattening |
//! | Identity, Dropout, Cast, Pad (of zeros, before Conv) | nothing, or part of what follows |
//! | Constant, Shape, Gather, Unsqueeze, Concat, Transpose of constants | numbers |
//!
//! Anything else is refused by the node's name and its operator.

mod attributes;
mod fold;
mod layers;
mod lower;
mod order;
mod proto;
mod tensor;
#[cfg(test)]
mod tests;
mod window;

use std::path::{Path, PathBuf};

use bytes::Bytes;
use prost::Message;

use crate::error::clip;
use crate::{Error, Network, Normalization, Result};

/// The oldest operator set that is read: before it some operators had other meanings.
const OLDEST: i64 = 9;

/// Values of one image at any place in a network: 512 MB.
const LARGEST: usize = 1 << 27;

/// A model's file, read and not yet understood.
#[derive(Debug, Clone)]
pub struct Model {
    file: String,
    folder: Option<PathBuf>,
    graph: proto::Graph,
}

impl Model {
    /// Reads the model in the file `path`. Tensors may lie in other files of the same folder.
    ///
    /// # Errors
    /// [`Error::Io`], and those of [`Model::parse`].
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = robin_files::read(path, crate::LARGEST_FILE).map_err(Error::io(path))?;
        Self::parse(bytes, &path.display().to_string(), path.parent())
    }

    /// Reads the model in `bytes`; `file` names it in messages, `folder` is where other files of it may lie.
    ///
    /// # Errors
    /// [`Error::Format`] for bytes that are no ONNX model, [`Error::Model`] for an operator set that is not read.
    pub fn parse(bytes: Vec<u8>, file: &str, folder: Option<&Path>) -> Result<Self> {
        let format = |reason: String| Error::Format { file: file.to_owned(), format: "ONNX model", reason };
        let model = proto::Model::decode(Bytes::from(bytes)).map_err(|error| format(error.to_string()))?;
        let graph = model.graph.ok_or_else(|| format("it has no graph".to_owned()))?;
        let own = model.opset_import.iter().find(|set| matches!(set.domain.as_str(), "" | "ai.onnx"));
        match own.map(|set| set.version) {
            Some(OLDEST..) => {}
            Some(version) => {
                let reason = format!("operator set {version}; allowed: {OLDEST} and later, export it again");
                return Err(Error::Model { file: file.to_owned(), reason });
            }
            None => return Err(format("it names no operator set of ONNX".to_owned())),
        }
        // `parent` of a bare file name is the empty path, which is no folder to the system.
        let here = |folder: &Path| if folder.as_os_str().is_empty() { ".".into() } else { folder.to_owned() };
        Ok(Self { file: file.to_owned(), folder: folder.map(here), graph })
    }

    /// Whether tensors of it lie in other files, so that its own bytes do not decide what it computes.
    pub fn has_external_data(&self) -> bool {
        let external = |tensor: &proto::Tensor| tensor.data_location == tensor::EXTERNAL;
        self.graph.initializer.iter().any(external)
    }

    /// What the file says of the shape `[c, h, w]` of images: `None` where a side is left open.
    ///
    /// # Errors
    /// [`Error::Model`] if it takes something else than images.
    pub fn image_shape(&self) -> Result<[Option<usize>; 3]> {
        let refuse = |reason: String| Error::Model { file: self.file.clone(), reason };
        let input = self.input()?;
        let tensor = input.r#type.as_ref().and_then(|kind| kind.tensor_type.as_ref());
        let dims = tensor.and_then(|tensor| tensor.shape.as_ref()).map(|shape| shape.dim.as_slice());
        let side = |dim: &proto::Dimension| dim.dim_value.map(|side| usize::try_from(side).unwrap_or(0));
        let sides: Vec<Option<usize>> = dims.unwrap_or_default().iter().map(side).collect();
        let Ok([_, shape @ ..]) = <[_; 4]>::try_from(sides) else {
            let name = clip(&input.name);
            return Err(refuse(format!("its input {name:?} is no [n, c, h, w]: only images are attacked")));
        };
        if tensor.is_some_and(|tensor| tensor.elem_type != 1) {
            return Err(refuse("its input is not of FLOAT (32 bits): export it again in f32".to_owned()));
        }
        Ok(shape)
    }

    /// The network for images `images` `[c, h, w]` in `[0, 1]` (`None`: as the file says), which are normalised before it if
    /// `normalization` says so.
    ///
    /// # Errors
    /// [`Error::Node`] for what no executor runs, [`Error::Model`] for what is no classifier of such images.
    pub fn network(
        &self,
        images: Option<[usize; 3]>,
        normalization: Option<&Normalization>,
    ) -> Result<Network> {
        let refuse = |reason: String| Error::Model { file: self.file.clone(), reason };
        let given = self.image_shape()?;
        let shape = match images {
            Some(shape) => {
                if given.iter().zip(shape).any(|(given, side)| given.is_some_and(|given| given != side)) {
                    let given = given.map(|side| side.map_or("any".to_owned(), |side| side.to_string()));
                    return Err(refuse(format!(
                        "it takes images [{}], these are {shape:?} (channels, rows, columns)",
                        given.join(", ")
                    )));
                }
                shape
            }
            None => match given {
                [Some(c), Some(h), Some(w)] => [c, h, w],
                _ => return Err(refuse("it leaves the shape of images open: say it".to_owned())),
            },
        };
        let values = shape.iter().try_fold(1usize, |values, &side| values.checked_mul(side));
        if !values.is_some_and(|values| (1..=LARGEST).contains(&values)) {
            return Err(refuse(format!("images of {shape:?}; allowed: 1 to {LARGEST} values")));
        }
        let output = match &self.graph.output[..] {
            [one] => &one.name,
            several => {
                let names: Vec<String> = several.iter().take(4).map(|output| clip(&output.name)).collect();
                let reason = format!(
                    "it has {} outputs ({}); export one, the logits",
                    several.len(),
                    names.join(", ")
                );
                return Err(refuse(reason));
            }
        };
        lower::Lowering::run(self, shape, output, normalization)
    }

    /// The one input that is no initialiser.
    fn input(&self) -> Result<&proto::ValueInfo> {
        let known: std::collections::HashSet<&str> =
            self.graph.initializer.iter().map(|tensor| tensor.name.as_str()).collect();
        let inputs: Vec<&proto::ValueInfo> =
            self.graph.input.iter().filter(|input| !known.contains(input.name.as_str())).collect();
        match inputs[..] {
            [one] => Ok(one),
            _ => Err(Error::Model {
                file: self.file.clone(),
                reason: format!("it has {} inputs; allowed: one, the images", inputs.len()),
            }),
        }
    }
}
