//! An architecture as data: a chain of layers with known shapes.

use robin_kernels::{conv2d, linear, max_pool2d};

use crate::{Error, Result};

/// A network's architecture: layers in order, shapes checked when it was built.
#[derive(Debug, Clone, PartialEq)]
pub struct Graph {
    name: String,
    input: [usize; 3],
    outputs: usize,
    layers: Vec<Layer>,
}

/// One layer. Names are those of PyTorch's `state_dict`, without `.weight` and `.bias`.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Layer {
    /// `(x - mean) / std` per channel; buffers `NAME.mean` and `NAME.std`, 0 and 1 at first.
    Normalize {
        /// Prefix of the buffers.
        name: String,
        /// `[c, h, w]`.
        shape: [usize; 3],
    },
    /// Convolution with bias; `NAME.weight` `[out, in, kernel, kernel]`, `NAME.bias` `[out]`.
    Conv2d {
        /// Prefix of the parameters.
        name: String,
        /// Sizes.
        geometry: conv2d::Geometry,
    },
    /// `max(x, 0)`.
    Relu,
    /// Max pooling without overlap.
    MaxPool2d(max_pool2d::Geometry),
    /// `[c, h, w]` to `[c * h * w]`, in that order.
    Flatten([usize; 3]),
    /// Fully connected layer; `NAME.weight` `[out, in]`, `NAME.bias` `[out]`.
    Linear {
        /// Prefix of the parameters.
        name: String,
        /// Sizes.
        geometry: linear::Geometry,
    },
}

/// Settings of a convolution with a square kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Convolution {
    /// Output channels.
    pub channels: usize,
    /// Side of the kernel.
    pub kernel: usize,
    /// Step between outputs.
    pub stride: usize,
    /// Zeros on each side.
    pub padding: usize,
}

/// A tensor that a graph needs.
#[derive(Debug, Clone, PartialEq)]
pub struct TensorSpec {
    /// PyTorch's name.
    pub name: String,
    /// PyTorch's shape.
    pub shape: Vec<usize>,
    /// How it begins.
    pub initial: Initial,
}

/// First value of a tensor.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Initial {
    /// Trained; uniform within `1 / sqrt(fan_in)`, PyTorch's default for convolutions and linear layers
    /// (`kaiming_uniform_` with `a = sqrt(5)`, and the bias likewise).
    Uniform {
        /// Inputs of one output.
        fan_in: usize,
    },
    /// A buffer: stored, never trained.
    Buffer(f32),
}

impl Graph {
    /// Begins an architecture for images `[c, h, w]`.
    pub fn builder(name: impl Into<String>, input: [usize; 3]) -> GraphBuilder {
        GraphBuilder { name: name.into(), input, shape: input.to_vec(), layers: Vec::new(), fault: None }
    }

    /// The architecture's name, for messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `[c, h, w]` of the images it takes.
    pub fn input_shape(&self) -> [usize; 3] {
        self.input
    }

    /// Number of outputs.
    pub fn num_outputs(&self) -> usize {
        self.outputs
    }

    /// The layers in order.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// All tensors in layer order, weight before bias.
    pub fn tensors(&self) -> Vec<TensorSpec> {
        let mut specs = Vec::new();
        for layer in &self.layers {
            let mut add = |name: &str, part: &str, shape: Vec<usize>, initial| {
                specs.push(TensorSpec { name: format!("{name}.{part}"), shape, initial });
            };
            match layer {
                Layer::Normalize { name, shape } => {
                    add(name, "mean", vec![shape[0]], Initial::Buffer(0.0));
                    add(name, "std", vec![shape[0]], Initial::Buffer(1.0));
                }
                Layer::Conv2d { name, geometry: g } => {
                    let initial = Initial::Uniform { fan_in: g.taps() };
                    add(name, "weight", vec![g.out_channels, g.in_channels, g.kernel, g.kernel], initial);
                    add(name, "bias", vec![g.out_channels], initial);
                }
                Layer::Linear { name, geometry: g } => {
                    let initial = Initial::Uniform { fan_in: g.inputs };
                    add(name, "weight", vec![g.outputs, g.inputs], initial);
                    add(name, "bias", vec![g.outputs], initial);
                }
                Layer::Relu | Layer::MaxPool2d(_) | Layer::Flatten(_) => {}
            }
        }
        specs
    }

    /// Checks that `found` is a shape of images for this network, and returns how many images it is.
    ///
    /// # Errors
    /// [`Error::Images`] otherwise.
    pub fn image_count(&self, found: &[usize]) -> Result<usize> {
        match found {
            [n, shape @ ..] if *shape == self.input => Ok(*n),
            _ => Err(Error::Images { graph: self.name.clone(), found: found.to_vec(), expected: self.input }),
        }
    }
}

const NO_IMAGE: &str = "it takes images [c, h, w]";

/// Adds layers one after the other; the first layer that does not fit is reported by
/// [`GraphBuilder::build`].
#[derive(Debug)]
pub struct GraphBuilder {
    name: String,
    input: [usize; 3],
    shape: Vec<usize>,
    layers: Vec<Layer>,
    fault: Option<Error>,
}

impl GraphBuilder {
    /// Adds input normalisation per channel.
    pub fn normalize(self, name: &str) -> Self {
        match self.image() {
            Some(shape) => self.push(Layer::Normalize { name: name.to_owned(), shape }, shape.to_vec()),
            None => self.fail(name, NO_IMAGE),
        }
    }

    /// Adds a convolution with bias.
    pub fn conv2d(self, name: &str, settings: Convolution) -> Self {
        let Some([in_channels, height, width]) = self.image() else { return self.fail(name, NO_IMAGE) };
        let Convolution { channels, kernel, stride, padding } = settings;
        if channels == 0 || kernel == 0 || stride == 0 {
            return self.fail(name, format!("{channels} channels, kernel {kernel}, stride {stride}"));
        }
        let geometry = conv2d::Geometry {
            input: [height, width],
            in_channels,
            out_channels: channels,
            kernel,
            stride,
            padding,
        };
        match geometry.output() {
            [0, _] | [_, 0] => self.fail(name, format!("kernel {kernel} is larger than the padded image")),
            [h, w] => self.push(Layer::Conv2d { name: name.to_owned(), geometry }, vec![channels, h, w]),
        }
    }

    /// Adds a rectifier.
    pub fn relu(self) -> Self {
        let shape = self.shape.clone();
        self.push(Layer::Relu, shape)
    }

    /// Adds max pooling with window and stride `window` (1 to 16).
    pub fn max_pool2d(self, window: usize) -> Self {
        let Some([channels, height, width]) = self.image() else { return self.fail("max_pool2d", NO_IMAGE) };
        if window == 0 || window > 16 || height < window || width < window {
            return self.fail("max_pool2d", format!("window {window}"));
        }
        let geometry = max_pool2d::Geometry { input: [height, width], channels, window };
        let [h, w] = geometry.output();
        self.push(Layer::MaxPool2d(geometry), vec![channels, h, w])
    }

    /// Flattens images to rows, in the order c, h, w.
    pub fn flatten(self) -> Self {
        match self.image() {
            Some(shape) => self.push(Layer::Flatten(shape), vec![shape.iter().product()]),
            None => self.fail("flatten", NO_IMAGE),
        }
    }

    /// Adds a fully connected layer with bias.
    pub fn linear(self, name: &str, outputs: usize) -> Self {
        let &[inputs] = self.shape.as_slice() else {
            return self.fail(name, "a linear layer takes flattened images");
        };
        if outputs == 0 {
            return self.fail(name, "0 outputs");
        }
        let geometry = linear::Geometry { inputs, outputs };
        self.push(Layer::Linear { name: name.to_owned(), geometry }, vec![outputs])
    }

    /// The finished architecture.
    ///
    /// # Errors
    /// [`Error::Layer`] for the first layer that does not fit, or if the last one gives no scores.
    pub fn build(mut self) -> Result<Graph> {
        if self.fault.is_none() && !matches!(self.layers.last(), Some(Layer::Linear { .. })) {
            self = self.fail("the last one", "a classifier ends in a linear layer");
        }
        match self.fault {
            Some(fault) => Err(fault),
            None => {
                let Self { name, input, shape, layers, .. } = self;
                Ok(Graph { name, input, outputs: shape[0], layers })
            }
        }
    }

    fn image(&self) -> Option<[usize; 3]> {
        self.shape.as_slice().try_into().ok()
    }

    fn push(mut self, layer: Layer, shape: Vec<usize>) -> Self {
        if self.fault.is_none() {
            self.layers.push(layer);
            self.shape = shape;
        }
        self
    }

    fn fail(mut self, layer: &str, reason: impl Into<String>) -> Self {
        if self.fault.is_none() {
            self.fault = Some(Error::Layer {
                graph: self.name.clone(),
                layer: layer.to_owned(),
                input: self.shape.clone(),
                reason: reason.into(),
            });
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAME_5X5: Convolution = Convolution { channels: 4, kernel: 5, stride: 1, padding: 2 };

    #[test]
    fn shapes_flow_and_tensors_are_named_as_in_pytorch() {
        let graph = Graph::builder("toy", [1, 8, 6])
            .normalize("normalize")
            .conv2d("conv1", SAME_5X5)
            .relu()
            .max_pool2d(2)
            .flatten()
            .linear("fc", 3)
            .build()
            .unwrap();
        assert_eq!(graph.num_outputs(), 3);
        let names: Vec<_> = graph.tensors().into_iter().map(|t| (t.name, t.shape)).collect();
        let expected: [(&str, &[usize]); 6] = [
            ("normalize.mean", &[1]),
            ("normalize.std", &[1]),
            ("conv1.weight", &[4, 1, 5, 5]),
            ("conv1.bias", &[4]),
            ("fc.weight", &[3, 48]),
            ("fc.bias", &[3]),
        ];
        assert_eq!(names, expected.map(|(name, shape)| (name.to_owned(), shape.to_vec())));
    }

    #[test]
    fn the_first_misfit_is_named() {
        let message = |builder: GraphBuilder| builder.build().unwrap_err().to_string();
        let toy = || Graph::builder("toy", [1, 4, 4]);
        let narrow = Convolution { channels: 2, kernel: 7, stride: 1, padding: 1 };
        assert!(message(toy().conv2d("conv1", narrow).flatten().linear("fc", 2)).contains("conv1"));
        assert!(message(toy().linear("fc", 2)).contains("flattened"));
        assert!(message(toy().flatten().max_pool2d(2).linear("fc", 2)).contains("max_pool2d"));
        assert!(message(toy().max_pool2d(5).flatten().linear("fc", 2)).contains("window 5"));
        assert!(message(toy().flatten().linear("fc", 0)).contains("0 outputs"));
        assert!(message(toy().relu()).contains("ends in a linear layer"));
    }
}
