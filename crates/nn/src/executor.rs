//! A way to run any graph, and what every one of them checks first.

use robin_core::Classifier;

use crate::graph::Layer;
use crate::{Error, Graph, Network, Parameters, Result};

/// A way to run any graph. Its name is recorded with every result, and so says all that decides its numbers.
///
/// One of another crate reads [`Graph::nodes`], refuses by [`Executor::supports`] what it does not run, lets [`check`] compare
/// parameters, and counts images by [`Graph::image_count`]; what its device says when it fails is [`Error::Device`].
///
/// ```
/// use robin_core::Classifier;
/// use robin_nn::executor::{Executor, check};
/// use robin_nn::graph::{Graph, Layer};
/// use robin_nn::{Network, Parameters, Result};
///
/// /// Runs networks without a convolution, by another's means.
/// struct Small;
///
/// impl Executor for Small {
///     fn name(&self) -> &'static str {
///         "small"
///     }
///
///     fn runs(&self, layer: &Layer) -> bool {
///         matches!(layer, Layer::Normalize { .. } | Layer::Flatten(_) | Layer::Linear { .. } | Layer::Relu)
///     }
///
///     fn classifier(&self, graph: &Graph, parameters: &Parameters) -> Result<Box<dyn Classifier>> {
///         self.supports(graph)?;
///         check(graph, parameters)?;
///         robin_nn::executor("cpu")?.classifier(graph, parameters)
///     }
///
///     fn network(&self, graph: &Graph, parameters: Parameters) -> Result<Box<dyn Network>> {
///         self.supports(graph)?;
///         check(graph, &parameters)?;
///         robin_nn::executor("cpu")?.network(graph, parameters)
///     }
/// }
///
/// let pooled = Graph::builder("pooled", [1, 4, 4]).max_pool2d(2).flatten().linear("fc", 3).build().unwrap();
/// assert!(Small.supports(&pooled).unwrap_err().to_string().contains("small does not run layer max_pool2d"));
/// ```
pub trait Executor: Send + Sync {
    /// Name in records and on the command line.
    fn name(&self) -> &'static str;

    /// Whether it runs this layer. A layer may begin in one executor alone.
    fn runs(&self, _layer: &Layer) -> bool {
        true
    }

    /// Whether it runs every layer of `graph`.
    ///
    /// # Errors
    /// [`Error::Unsupported`] names the first layer that it does not run.
    fn supports(&self, graph: &Graph) -> Result<()> {
        match graph.nodes().iter().find(|node| !self.runs(&node.layer)) {
            None => Ok(()),
            Some(node) => Err(Error::Unsupported {
                executor: self.name(),
                graph: graph.name().to_owned(),
                layer: node.layer.name().to_owned(),
            }),
        }
    }

    /// A trained network, ready to be attacked.
    ///
    /// # Errors
    /// [`Error::Weights`] if `parameters` are not those of `graph`; those of [`Executor::supports`].
    fn classifier(&self, graph: &Graph, parameters: &Parameters) -> Result<Box<dyn Classifier>>;

    /// A network to be trained.
    ///
    /// # Errors
    /// As [`Executor::classifier`].
    fn network(&self, graph: &Graph, parameters: Parameters) -> Result<Box<dyn Network>>;
}

/// Checks that `parameters` are exactly the tensors of `graph`: what every executor does before it takes them.
///
/// # Errors
/// [`Error::Weights`] names each that is missing, too many or of another shape.
pub fn check(graph: &Graph, parameters: &Parameters) -> Result<()> {
    let tensors = parameters.trained.iter().chain(&parameters.buffers);
    let found: Vec<_> = tensors.map(|tensor| (tensor.name.as_str(), tensor.shape.as_slice())).collect();
    check_shapes(graph, &found)
}

/// Checks that `found`, names and shapes, are exactly the tensors of `graph`.
pub(crate) fn check_shapes(graph: &Graph, found: &[(&str, &[usize])]) -> Result<()> {
    let expected: Vec<(String, Vec<usize>)> =
        graph.tensors().into_iter().map(|spec| (spec.name, spec.shape)).collect();
    let mut faults: Vec<String> = expected
        .iter()
        .filter(|(name, shape)| !found.contains(&(name.as_str(), shape.as_slice())))
        .map(|(name, shape)| format!("{name} {shape:?} is missing"))
        .collect();
    faults.extend(
        found
            .iter()
            .filter(|(name, shape)| !expected.iter().any(|(n, s)| n == name && s == shape))
            .map(|(name, shape)| format!("{name} {shape:?} is not part of it")),
    );
    if faults.is_empty() {
        return Ok(());
    }
    Err(Error::Weights { file: "weights in memory".to_owned(), graph: graph.name().to_owned(), faults })
}
