//! Architectures: one file each, a function that builds a [`Graph`]; and the list of them.
//!
//! ```
//! # fn main() -> Result<(), robin_models::Error> {
//! let graph = robin_models::build("resnet18", Some(8), [3, 32, 32], 10)?;
//! assert_eq!(graph.num_outputs(), 10);
//! for tensor in graph.tensors().iter().take(3) {
//!     println!("{} {:?}", tensor.name, tensor.shape);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! To add one: a file with an [`Entry`], and its line in [`MODELS`]. The contract tests find it there.
//!
//! Invariant: a model names layers; it knows no executor, no kernel, no data set and no attack.

mod cnn2;
mod cnn2_small;
mod imagenet;
mod mlp;
mod myrtle;
mod preact_resnet18;
mod resnet;
mod resnet18;
mod resnet50;
mod wide_resnet_28_10;

pub use imagenet::imagenet;
use robin_nn::{Graph, GraphBuilder};

/// Raised by any change in this crate that can move a reported number; part of every record's key.
pub const NUMERICS: u32 = 1;

/// Every architecture.
pub static MODELS: &[Entry] = &[
    cnn2::ENTRY,
    cnn2_small::ENTRY,
    myrtle::ENTRY,
    resnet18::ENTRY,
    resnet50::ENTRY,
    preact_resnet18::ENTRY,
    wide_resnet_28_10::ENTRY,
    mlp::ENTRY,
];

/// The widest that is looked at: sizes of layers stay far below what a number holds.
pub const MOST_WIDTH: usize = 1 << 14;
/// Most values of a network: 4 GiB, and several times that in training.
pub const MOST_VALUES: usize = 1 << 30;

/// An architecture in the list.
pub struct Entry {
    /// Name on the command line and in records.
    pub name: &'static str,
    /// What it is, in one line.
    pub summary: &'static str,
    /// Channels of the first convolution, or units of the first layer, unless told otherwise; everything else is in
    /// proportion.
    pub default_width: usize,
    /// Every width is a multiple of this, so that the proportions stay whole.
    pub width_step: usize,
    /// Adds the layers for a width and a number of classes.
    layers: fn(GraphBuilder, usize, usize) -> GraphBuilder,
}

/// Why a model cannot be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A name that no model has.
    #[error("model {name:?} is unknown (one of: {})", valid.join(", "))]
    Unknown {
        /// What was asked for.
        name: String,
        /// What there is.
        valid: Vec<&'static str>,
    },
    /// A width that the architecture cannot have.
    #[error(
        "{model}: width {width} is not a positive multiple of {step}, at most {MOST_WIDTH} (default {default})"
    )]
    Width {
        /// The architecture.
        model: &'static str,
        /// What was asked for.
        width: usize,
        /// What it must be a multiple of.
        step: usize,
        /// The architecture's own width.
        default: usize,
    },
    /// A network that would not fit any memory that it is trained in.
    #[error("{model}: width {width} makes {values} parameters, allowed are at most {MOST_VALUES}")]
    Size {
        /// The architecture.
        model: &'static str,
        /// What was asked for.
        width: usize,
        /// Trained values and buffers.
        values: usize,
    },
    /// Layers that do not fit the images.
    #[error(transparent)]
    Network(#[from] robin_nn::Error),
}

/// The model called `name`.
///
/// # Errors
/// [`Error::Unknown`] lists the valid names.
pub fn find(name: &str) -> Result<&'static Entry, Error> {
    MODELS.iter().find(|entry| entry.name == name).ok_or_else(|| Error::Unknown {
        name: name.to_owned(),
        valid: MODELS.iter().map(|entry| entry.name).collect(),
    })
}

/// Builds `name` for images `input` `[c, h, w]`, `num_classes` outputs and `width` channels in the first
/// convolution (`None`: the architecture's own). Input normalisation is the first layer.
///
/// # Errors
/// [`Error::Unknown`], [`Error::Width`], [`Error::Size`], or [`Error::Network`] if the images are too small.
pub fn build(
    name: &str,
    width: Option<usize>,
    input: [usize; 3],
    num_classes: usize,
) -> Result<Graph, Error> {
    let entry = find(name)?;
    let width = width.unwrap_or(entry.default_width);
    if width == 0 || width > MOST_WIDTH || !width.is_multiple_of(entry.width_step) {
        let Entry { name: model, width_step: step, default_width: default, .. } = *entry;
        return Err(Error::Width { model, width, step, default });
    }
    let builder = Graph::builder(entry.name, input).normalize("normalize");
    let graph = (entry.layers)(builder, width, num_classes).build()?;
    let values =
        graph.tensors().iter().map(|tensor| tensor.shape.iter().product()).fold(0, usize::saturating_add);
    if values > MOST_VALUES {
        return Err(Error::Size { model: entry.name, width, values });
    }
    Ok(graph)
}
