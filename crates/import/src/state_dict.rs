//! A PyTorch `state_dict` as the parameters of an architecture that is known here.
//!
//! The architectures are those of [`robin_models`], and the ResNets with ImageNet's stem ([`robin_models::imagenet`]), which
//! a first convolution of 7x7 tells. Names may be those of torchvision, of RobustBench and of the repositories that our
//! models name, with the prefixes that wrappers leave (`module.`, `_orig_mod.`, `model.`).

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use robin_nn::graph::{Initial, TensorSpec};
use robin_nn::{Graph, NamedTensor, Parameters};

use crate::error::clip;
use crate::nearest::nearest;
use crate::pickle::{self, Tensor};
use crate::{Error, Network, Normalization, Result};

/// What wrappers put before every name.
const PREFIXES: &[&str] = &["module.", "_orig_mod.", "model.", "net.", "network."];

/// Our part of a name, and what others call it.
const ALIASES: &[(&str, &[&str])] = &[
    ("shortcut.", &["downsample."]),
    ("linear.", &["fc.", "classifier."]),
    ("fc.", &["linear.", "classifier."]),
    ("normalize.mean", &["mean", "mu", "normalizer.mean", "normalization.mean", "0.mean"]),
    ("normalize.std", &["std", "sigma", "normalizer.std", "normalization.std", "0.std"]),
];

/// Tensors that some files have and no forward pass reads: TRADES' class owns a stage that it never uses.
const UNUSED: &[&str] = &["sub_block1."];

/// The tensors of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct StateDict {
    file: String,
    /// By their names without prefixes.
    tensors: BTreeMap<String, Tensor>,
}

/// What a file's tensors say about their network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// Channels of the first convolution.
    pub width: usize,
    /// Classes.
    pub outputs: usize,
}

impl StateDict {
    /// Reads the tensors in the file `path`.
    ///
    /// # Errors
    /// Those of [`pickle::read`].
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = robin_files::read(path, crate::LARGEST_FILE).map_err(Error::io(path))?;
        Self::parse(&bytes, &path.display().to_string())
    }

    /// Reads the tensors in a file's `bytes`; `file` names it in messages.
    ///
    /// # Errors
    /// Those of [`pickle::parse`].
    pub fn parse(bytes: &[u8], file: &str) -> Result<Self> {
        Ok(Self::of(pickle::parse(bytes, file)?, file))
    }

    /// These tensors by their names; `file` is what messages call them.
    pub fn of(tensors: BTreeMap<String, Tensor>, file: &str) -> Self {
        let bare = |(name, tensor): (String, Tensor)| {
            let mut bare = name.as_str();
            while let Some(rest) = PREFIXES.iter().find_map(|prefix| bare.strip_prefix(prefix)) {
                bare = rest;
            }
            // Behind a normalisation in a sequence, or that normalisation.
            let bare = bare.strip_prefix("1.").unwrap_or(bare).to_owned();
            (bare, tensor)
        };
        Self { file: file.to_owned(), tensors: tensors.into_iter().map(bare).collect() }
    }

    /// Whether the file has the mean and the deviation that images are normalised by.
    pub fn normalizes(&self) -> bool {
        ["normalize.mean", "normalize.std"].iter().all(|name| self.find(name).is_some())
    }

    /// The network `model`, with the width and the number of classes that the tensors have, for images `images` `[c, h, w]`.
    /// `normalization` is for files without one.
    ///
    /// # Errors
    /// [`Error::Names`] names what is missing, with the nearest name in the file, what is too much and what has another
    /// shape; [`Error::Architecture`] for a model that is unknown.
    pub fn network(
        &self,
        model: &str,
        images: [usize; 3],
        normalization: Option<&Normalization>,
    ) -> Result<(Network, Sizes)> {
        let (graph, sizes) = self.graph(model, images, normalization.is_some())?;
        let parameters = self.parameters(&graph, normalization)?;
        Ok((Network { graph, parameters, normalizes: self.normalizes() }, sizes))
    }

    fn graph(&self, model: &str, images: [usize; 3], normalized: bool) -> Result<(Graph, Sizes)> {
        // The architecture at its own width says which tensors tell the sizes.
        let usual = robin_models::build(model, None, images, 2)?;
        let specs = usual.tensors();
        let first = specs.iter().find(|spec| spec.shape.len() >= 2);
        let last = specs.iter().rev().find(|spec| spec.shape.len() == 2);
        let shape = |spec: Option<&TensorSpec>| match spec.and_then(|spec| self.find(&spec.name)) {
            // A width is believed as far as there are numbers of it.
            Some((_, tensor)) if !tensor.values.is_empty() && !tensor.shape.is_empty() => Some(&tensor.shape),
            _ => None,
        };
        let (Some(first), Some(last)) = (shape(first), shape(last)) else {
            return Err(self.differs(&usual, normalized));
        };
        let sizes = Sizes { width: first[0], outputs: last[0] };
        let graph = match first[..] {
            [width, _, 7, 7] if matches!(model, "resnet18" | "resnet50") => {
                robin_models::imagenet(model, width, images, sizes.outputs)?
            }
            _ => robin_models::build(model, Some(sizes.width), images, sizes.outputs)?,
        };
        Ok((graph, sizes))
    }

    fn parameters(&self, graph: &Graph, normalization: Option<&Normalization>) -> Result<Parameters> {
        let mut parameters = Parameters { trained: Vec::new(), buffers: Vec::new() };
        for TensorSpec { name, shape, initial } in graph.tensors() {
            let values = match (self.find(&name), normalization, name.as_str()) {
                (Some((_, tensor)), ..) if fits(tensor, &shape, initial) => tensor.values.clone(),
                (None, Some([mean, _]), "normalize.mean") if mean.len() == shape[0] => mean.clone(),
                (None, Some([_, std]), "normalize.std") if std.len() == shape[0] => std.clone(),
                _ => return Err(self.differs(graph, normalization.is_some())),
            };
            if let Some(at) = values.iter().position(|value| !value.is_finite()) {
                let Self { file, .. } = self;
                return Err(Error::Model {
                    file: file.clone(),
                    reason: format!("{name}[{at}] is {}", values[at]),
                });
            }
            let list = match initial {
                Initial::Buffer(_) => &mut parameters.buffers,
                _ => &mut parameters.trained,
            };
            list.push(NamedTensor { name, shape, values });
        }
        let used: BTreeSet<&str> =
            graph.tensors().iter().filter_map(|spec| self.find(&spec.name)).map(|(name, _)| name).collect();
        if self.rest(&used).next().is_some() {
            return Err(self.differs(graph, normalization.is_some()));
        }
        Ok(parameters)
    }

    /// The tensor that our `name` means, with its name in the file.
    fn find(&self, name: &str) -> Option<(&str, &Tensor)> {
        let known =
            |name: &str| self.tensors.get_key_value(name).map(|(name, tensor)| (name.as_str(), tensor));
        known(name).or_else(|| {
            ALIASES.iter().filter(|(ours, _)| name.contains(ours)).find_map(|(ours, theirs)| {
                theirs.iter().find_map(|theirs| known(&name.replace(ours, theirs)))
            })
        })
    }

    /// Names in the file that are no part of the network.
    fn rest<'a>(&'a self, used: &'a BTreeSet<&str>) -> impl Iterator<Item = &'a str> {
        let unused = |name: &&str| {
            !used.contains(name)
                && !name.ends_with("num_batches_tracked")
                && !UNUSED.iter().any(|prefix| name.starts_with(prefix))
        };
        self.tensors.keys().map(String::as_str).filter(unused)
    }

    /// What does not fit `graph`, in at most five lines.
    fn differs(&self, graph: &Graph, normalized: bool) -> Error {
        let specs = graph.tensors();
        let (mut missing, mut reshaped, mut used) = (Vec::new(), Vec::new(), BTreeSet::new());
        for spec in &specs {
            match self.find(&spec.name) {
                Some((name, tensor)) => {
                    used.insert(name);
                    if !fits(tensor, &spec.shape, spec.initial) {
                        reshaped.push(format!(
                            "{} is {:?}, expected {:?}",
                            clip(name),
                            tensor.shape,
                            spec.shape
                        ));
                    }
                }
                None if normalized && spec.name.starts_with("normalize.") => {}
                None => missing.push(format!("{} {:?}", spec.name, spec.shape)),
            }
        }
        let rest: Vec<&str> = self.rest(&used).collect();
        let list = |items: &[String]| {
            let more = items.len().saturating_sub(3);
            let shown = items.iter().take(3).cloned().collect::<Vec<_>>().join("; ");
            if more == 0 { shown } else { format!("{shown}; and {more} more") }
        };
        let mut lines = vec![format!(
            "{}: these are not the weights of {} ({} tensors; the file has {})",
            self.file,
            graph.name(),
            specs.len(),
            self.tensors.len()
        )];
        if let Some(first) = missing.first() {
            let wanted = first.split(' ').next().unwrap_or_default();
            let others = if rest.is_empty() {
                self.tensors.keys().map(String::as_str).collect()
            } else {
                rest.clone()
            };
            let near = nearest(wanted, others.into_iter());
            let near = near.map_or(String::new(), |near| format!("; nearest in the file: {}", clip(near)));
            lines.push(format!("  missing: {}{near}", list(&missing)));
        }
        if !reshaped.is_empty() {
            lines.push(format!("  of another shape: {}", list(&reshaped)));
        }
        if !rest.is_empty() {
            let rest: Vec<String> = rest.into_iter().map(clip).collect();
            lines.push(format!("  not part of it: {}", list(&rest)));
        }
        Error::Names(lines.join("\n"))
    }
}

/// Whether a tensor is that of `shape`; the numbers of a normalisation may have dimensions of 1 around them.
fn fits(tensor: &Tensor, shape: &[usize], initial: Initial) -> bool {
    tensor.shape == shape
        || matches!(initial, Initial::Buffer(_))
            && tensor
                .shape
                .iter()
                .copied()
                .filter(|&side| side != 1)
                .eq(shape.iter().copied().filter(|&s| s != 1))
}
