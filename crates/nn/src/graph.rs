//! An architecture as data: a directed graph of layers with known shapes.

mod builder;
#[cfg(test)]
mod tests;

use robin_kernels::{avg_pool2d, conv2d, linear, max_pool2d};

use crate::{Error, Result};
pub use builder::GraphBuilder;

/// A network's architecture: layers, each after those it reads, shapes checked when it was built.
#[derive(Debug, Clone, PartialEq)]
pub struct Graph {
    name: String,
    input: [usize; 3],
    outputs: usize,
    nodes: Vec<Node>,
    /// Shape at each node's output.
    shapes: Vec<Vec<usize>>,
    output: Point,
    initialisation: Initialisation,
}

/// A layer and what it reads.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// What is computed.
    pub layer: Layer,
    /// From where: one point for every layer but [`Layer::Add`], which has two. All come before this node.
    pub inputs: Vec<Point>,
}

/// A place where values flow: the images, or the output of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Point(usize);

impl Point {
    /// What the network is given.
    pub const IMAGES: Self = Self(0);

    /// The output of node number `index`.
    pub const fn of(index: usize) -> Self {
        Self(index + 1)
    }

    /// The node whose output this is; none for the images.
    pub const fn node(self) -> Option<usize> {
        self.0.checked_sub(1)
    }
}

/// Added to a variance before its square root (PyTorch's default).
pub const BATCH_NORM_EPSILON: f32 = 1e-5;

/// Weight of a batch's own statistics when the running ones are updated (PyTorch's default).
pub const BATCH_NORM_MOMENTUM: f32 = 0.1;

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
    /// Convolution; `NAME.weight` `[out, in, kernel, kernel]`, and perhaps `NAME.bias` `[out]`.
    Conv2d {
        /// Prefix of the parameters.
        name: String,
        /// Sizes.
        geometry: conv2d::Geometry,
        /// Whether there is `NAME.bias`.
        bias: bool,
    },
    /// `(x - mean) / sqrt(variance + BATCH_NORM_EPSILON) * weight + bias` per channel; `NAME.weight` and
    /// `NAME.bias` `[c]`, buffers `NAME.running_mean` and `NAME.running_var` `[c]`.
    ///
    /// In evaluation mean and variance are the running ones. In training they are the batch's own, the variance
    /// divided by the number of values; the running ones then move towards them by [`BATCH_NORM_MOMENTUM`],
    /// with the variance divided by the number of values less one. As in PyTorch.
    BatchNorm2d {
        /// Prefix of the parameters and buffers.
        name: String,
        /// `[c, h, w]`.
        shape: [usize; 3],
    },
    /// `(x - mean) / sqrt(variance + BATCH_NORM_EPSILON) * weight + bias`, mean and variance over each image's groups of
    /// neighbouring channels; `NAME.weight` and `NAME.bias` `[c]`. Of the executors, `candle` alone runs it.
    GroupNorm {
        /// Prefix of the parameters.
        name: String,
        /// `[c, h, w]`.
        shape: [usize; 3],
        /// How many groups, which divide the channels.
        groups: usize,
    },
    /// `max(x, 0)`.
    Relu,
    /// `x / (1 + exp(-x))`. Of the executors, `candle` alone runs it.
    Silu,
    /// Each value to an integer. Its gradient is 0, as PyTorch's is.
    Round(Rounding),
    /// Max pooling.
    MaxPool2d(max_pool2d::Geometry),
    /// Average pooling without overlap, over windows that fill the image.
    AvgPool2d(avg_pool2d::Geometry),
    /// The sum of two inputs of one shape.
    Add,
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

impl Layer {
    /// Its name in messages: its own, or that of its kind.
    pub fn name(&self) -> &str {
        match self {
            Self::Normalize { name, .. }
            | Self::Conv2d { name, .. }
            | Self::BatchNorm2d { name, .. }
            | Self::GroupNorm { name, .. }
            | Self::Linear { name, .. } => name,
            Self::Relu => "relu",
            Self::Silu => "silu",
            Self::Round(_) => "round",
            Self::MaxPool2d(_) => "max_pool2d",
            Self::AvgPool2d(_) => "avg_pool2d",
            Self::Add => "add",
            Self::Flatten(_) => "flatten",
        }
    }
}

/// Which integer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rounding {
    /// The nearest, of two the even one.
    Nearest,
    /// The largest that is not above the value.
    Down,
    /// The smallest that is not below the value.
    Up,
}

impl Rounding {
    /// The integer of `value`.
    pub fn apply(self, value: f32) -> f32 {
        match self {
            Self::Nearest => value.round_ties_even(),
            Self::Down => value.floor(),
            Self::Up => value.ceil(),
        }
    }
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
    /// Whether a number is learned that is added to each channel.
    pub bias: Bias,
}

/// Whether a convolution has a bias.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bias {
    /// One number per output channel.
    Learned,
    /// None: what follows, a batch norm most often, would take it away again.
    None,
}

/// How the weights of an architecture begin. Batch norm begins at weight 1 and bias 0 in each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Initialisation {
    /// PyTorch's default: convolutions and linear layers by [`Initial::Uniform`].
    PyTorch,
    /// That of TRADES' `WideResNet`: convolutions normal with variance `2 / (kernel^2 * out)`, biases of linear
    /// layers 0, the rest PyTorch's.
    HeFanOut,
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
    /// Trained; normal with mean 0.
    Normal {
        /// Standard deviation.
        std: f32,
    },
    /// Trained; one number everywhere.
    Constant(f32),
    /// A buffer: stored, never trained by a gradient.
    Buffer(f32),
}

impl Graph {
    /// Begins an architecture for images `[c, h, w]`.
    pub fn builder(name: impl Into<String>, input: [usize; 3]) -> GraphBuilder {
        GraphBuilder::new(name.into(), input)
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

    /// The layers, each after those that it reads. Every one is read by another, or is the output.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// `[c, h, w]`, or `[features]` after flattening, of one image's values at `point`.
    ///
    /// # Panics
    /// If the graph has no such point.
    pub fn shape(&self, point: Point) -> &[usize] {
        match point.node() {
            Some(node) => &self.shapes[node],
            None => &self.input,
        }
    }

    /// Where the scores are.
    pub fn output(&self) -> Point {
        self.output
    }

    /// Multiply-adds of one image's way through the network, in its convolutions and linear layers.
    pub fn multiply_adds(&self) -> u64 {
        let of = |node: &Node| match &node.layer {
            Layer::Conv2d { geometry, .. } => geometry.output_len() * geometry.taps(),
            Layer::Linear { geometry, .. } => geometry.inputs * geometry.outputs,
            _ => 0,
        };
        self.nodes.iter().map(|node| of(node) as u64).sum()
    }

    /// All tensors in the order of nodes; of a layer, weight before bias before buffers.
    pub fn tensors(&self) -> Vec<TensorSpec> {
        let he = self.initialisation == Initialisation::HeFanOut;
        let mut specs = Vec::new();
        for node in &self.nodes {
            let mut add = |name: &str, part: &str, shape: Vec<usize>, initial| {
                specs.push(TensorSpec { name: format!("{name}.{part}"), shape, initial });
            };
            match &node.layer {
                Layer::Normalize { name, shape } => {
                    add(name, "mean", vec![shape[0]], Initial::Buffer(0.0));
                    add(name, "std", vec![shape[0]], Initial::Buffer(1.0));
                }
                Layer::Conv2d { name, geometry: g, bias } => {
                    let uniform = Initial::Uniform { fan_in: g.taps() };
                    let fan_out = g.kernel * g.kernel * g.out_channels;
                    let normal = Initial::Normal { std: (2.0 / fan_out as f32).sqrt() };
                    let shape = vec![g.out_channels, g.in_channels, g.kernel, g.kernel];
                    add(name, "weight", shape, if he { normal } else { uniform });
                    if *bias {
                        add(name, "bias", vec![g.out_channels], uniform);
                    }
                }
                Layer::BatchNorm2d { name, shape } => {
                    add(name, "weight", vec![shape[0]], Initial::Constant(1.0));
                    add(name, "bias", vec![shape[0]], Initial::Constant(0.0));
                    add(name, "running_mean", vec![shape[0]], Initial::Buffer(0.0));
                    add(name, "running_var", vec![shape[0]], Initial::Buffer(1.0));
                }
                Layer::GroupNorm { name, shape, .. } => {
                    add(name, "weight", vec![shape[0]], Initial::Constant(1.0));
                    add(name, "bias", vec![shape[0]], Initial::Constant(0.0));
                }
                Layer::Linear { name, geometry: g } => {
                    let uniform = Initial::Uniform { fan_in: g.inputs };
                    add(name, "weight", vec![g.outputs, g.inputs], uniform);
                    add(name, "bias", vec![g.outputs], if he { Initial::Constant(0.0) } else { uniform });
                }
                Layer::Relu
                | Layer::Silu
                | Layer::Round(_)
                | Layer::MaxPool2d(_)
                | Layer::AvgPool2d(_)
                | Layer::Add
                | Layer::Flatten(_) => {}
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
