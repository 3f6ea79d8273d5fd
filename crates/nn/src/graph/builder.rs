//! Graphs are built at a cursor, layer after layer, each checked against the shape before it.

use robin_kernels::{avg_pool2d, conv2d, linear, max_pool2d};

use super::{Bias, Convolution, Graph, Initialisation, Layer, Node, Point, Rounding};
use crate::{Error, Result};

const NO_IMAGE: &str = "it takes images [c, h, w]";

/// Adds layers one after the other at a cursor, which begins at the images; the first layer that does not fit is
/// reported by [`GraphBuilder::build`].
///
/// A branch is left with [`GraphBuilder::here`], entered with [`GraphBuilder::at`], and joined with
/// [`GraphBuilder::add`]:
/// ```
/// use robin_nn::{Bias, Convolution, Graph};
///
/// let same = Convolution { channels: 3, kernel: 3, stride: 1, padding: 1, bias: Bias::None };
/// let graph = Graph::builder("toy", [3, 8, 8]);
/// let shortcut = graph.here();
/// let graph = graph.conv2d("conv", same).batch_norm2d("bn").add(shortcut).relu();
/// assert_eq!(graph.flatten().linear("fc", 10).build()?.num_outputs(), 10);
/// # Ok::<_, robin_nn::Error>(())
/// ```
#[derive(Debug)]
pub struct GraphBuilder {
    name: String,
    input: [usize; 3],
    nodes: Vec<Node>,
    shapes: Vec<Vec<usize>>,
    cursor: Point,
    initialisation: Initialisation,
    fault: Option<Error>,
}

impl GraphBuilder {
    pub(super) fn new(name: String, input: [usize; 3]) -> Self {
        Self {
            name,
            input,
            nodes: Vec::new(),
            shapes: Vec::new(),
            cursor: Point::IMAGES,
            initialisation: Initialisation::PyTorch,
            fault: None,
        }
    }

    /// Chooses how weights begin; PyTorch's default unless told otherwise.
    pub fn initialisation(self, initialisation: Initialisation) -> Self {
        Self { initialisation, ..self }
    }

    /// The cursor: the output of the layer that was added last, or the point that [`GraphBuilder::at`] chose.
    pub fn here(&self) -> Point {
        self.cursor
    }

    /// `[c, h, w]`, or `[features]` after flattening, at `point`; none if there is no such point yet.
    pub fn shape_of(&self, point: Point) -> Option<&[usize]> {
        self.shape_at(point)
    }

    /// Whether every layer so far fits; if not, [`GraphBuilder::build`] says which does not.
    pub fn is_sound(&self) -> bool {
        self.fault.is_none()
    }

    /// Moves the cursor to `point` of this builder: the next layer reads it.
    pub fn at(self, point: Point) -> Self {
        if self.shape_at(point).is_none() {
            return self.fail("at", "no such point yet");
        }
        Self { cursor: point, ..self }
    }

    /// Adds input normalisation per channel.
    pub fn normalize(self, name: &str) -> Self {
        match self.image() {
            Some(shape) => self.push(Layer::Normalize { name: name.to_owned(), shape }, shape.to_vec()),
            None => self.fail(name, NO_IMAGE),
        }
    }

    /// Adds a convolution.
    pub fn conv2d(self, name: &str, settings: Convolution) -> Self {
        let Some([in_channels, height, width]) = self.image() else { return self.fail(name, NO_IMAGE) };
        let Convolution { channels, kernel, stride, padding, bias } = settings;
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
            [h, w] => {
                let bias = bias == Bias::Learned;
                self.push(Layer::Conv2d { name: name.to_owned(), geometry, bias }, vec![channels, h, w])
            }
        }
    }

    /// Adds batch normalisation per channel.
    pub fn batch_norm2d(self, name: &str) -> Self {
        match self.image() {
            Some(shape) => self.push(Layer::BatchNorm2d { name: name.to_owned(), shape }, shape.to_vec()),
            None => self.fail(name, NO_IMAGE),
        }
    }

    /// Adds normalisation of each image's `groups` of channels.
    pub fn group_norm(self, name: &str, groups: usize) -> Self {
        match self.image() {
            Some(shape) if groups > 0 && shape[0].is_multiple_of(groups) => {
                self.push(Layer::GroupNorm { name: name.to_owned(), shape, groups }, shape.to_vec())
            }
            Some(_) => self.fail(name, format!("{groups} groups do not divide its channels")),
            None => self.fail(name, NO_IMAGE),
        }
    }

    /// Adds a rectifier.
    pub fn relu(self) -> Self {
        let shape = self.shape().to_vec();
        self.push(Layer::Relu, shape)
    }

    /// Adds the sigmoid linear unit.
    pub fn silu(self) -> Self {
        let shape = self.shape().to_vec();
        self.push(Layer::Silu, shape)
    }

    /// Rounds every value to an integer.
    pub fn round(self, rounding: Rounding) -> Self {
        let shape = self.shape().to_vec();
        self.push(Layer::Round(rounding), shape)
    }

    /// Adds max pooling with window and stride `window` (1 to 16).
    pub fn max_pool2d(self, window: usize) -> Self {
        let Some([channels, height, width]) = self.image() else { return self.fail("max_pool2d", NO_IMAGE) };
        if window == 0 || window > 16 || height < window || width < window {
            return self.fail("max_pool2d", format!("window {window}"));
        }
        self.push_max_pool(max_pool2d::Geometry::tiles([height, width], channels, window))
    }

    /// Adds max pooling whose windows (1 to 16) may overlap, and reach `padding` (at most half a window) over the
    /// border. As [`GraphBuilder::max_pool2d`] where they lie side by side.
    pub fn max_pool2d_with(self, window: usize, stride: usize, padding: usize) -> Self {
        let Some([channels, height, width]) = self.image() else { return self.fail("max_pool2d", NO_IMAGE) };
        let geometry = max_pool2d::Geometry { input: [height, width], channels, window, stride, padding };
        let fits = (1..=16).contains(&window) && stride > 0 && 2 * padding <= window;
        if !fits || geometry.output().contains(&0) {
            return self.fail("max_pool2d", format!("window {window}, stride {stride}, padding {padding}"));
        }
        self.push_max_pool(geometry)
    }

    fn push_max_pool(self, geometry: max_pool2d::Geometry) -> Self {
        let [h, w] = geometry.output();
        self.push(Layer::MaxPool2d(geometry), vec![geometry.channels, h, w])
    }

    /// Adds average pooling with window and stride `window`, which must divide both sides.
    pub fn avg_pool2d(self, window: usize) -> Self {
        let Some([channels, height, width]) = self.image() else { return self.fail("avg_pool2d", NO_IMAGE) };
        if window == 0 || !height.is_multiple_of(window) || !width.is_multiple_of(window) {
            return self.fail("avg_pool2d", format!("window {window} does not divide its sides"));
        }
        let geometry = avg_pool2d::Geometry { input: [height, width], channels, window };
        let [h, w] = geometry.output();
        self.push(Layer::AvgPool2d(geometry), vec![channels, h, w])
    }

    /// Adds average pooling of the whole image, which must be square: one value per channel.
    pub fn global_avg_pool2d(self) -> Self {
        match self.image() {
            Some([_, height, width]) if height == width => self.avg_pool2d(height),
            _ => self.fail("global_avg_pool2d", "it takes square images"),
        }
    }

    /// Adds max pooling of the whole image, which must be square: one value per channel.
    pub fn global_max_pool2d(self) -> Self {
        match self.image() {
            Some([_, height, width]) if height == width => self.max_pool2d(height),
            _ => self.fail("global_max_pool2d", "it takes square images"),
        }
    }

    /// Adds the output at `point` to that at the cursor; both have one shape.
    #[allow(clippy::should_implement_trait, reason = "it adds a layer, as every method here")]
    pub fn add(self, point: Point) -> Self {
        let Some(other) = self.shape_at(point) else { return self.fail("add", "no such point yet") };
        if other != self.shape() {
            let reason = format!("the other input is {other:?}");
            return self.fail("add", reason);
        }
        let shape = other.to_vec();
        let inputs = vec![self.cursor, point];
        self.push_node(Node { layer: Layer::Add, inputs }, shape)
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
        let &[inputs] = self.shape() else {
            return self.fail(name, "a linear layer takes flattened images");
        };
        if outputs == 0 {
            return self.fail(name, "0 outputs");
        }
        let geometry = linear::Geometry { inputs, outputs };
        self.push(Layer::Linear { name: name.to_owned(), geometry }, vec![outputs])
    }

    /// The finished architecture; its scores are at the cursor.
    ///
    /// # Errors
    /// [`Error::Layer`] for the first layer that does not fit, if the last one gives no scores, if the output of
    /// one is never read, or if two have one name.
    pub fn build(self) -> Result<Graph> {
        let mut finished = self;
        if finished.fault.is_none() {
            finished = finished.check_whole();
        }
        match finished.fault {
            Some(fault) => Err(fault),
            None => {
                let outputs = finished.shape()[0];
                let Self { name, input, nodes, shapes, cursor: output, initialisation, .. } = finished;
                Ok(Graph { name, input, outputs, nodes, shapes, output, initialisation })
            }
        }
    }

    fn check_whole(self) -> Self {
        let last = self.cursor.node().map(|node| &self.nodes[node].layer);
        if !matches!(last, Some(Layer::Linear { .. })) {
            return self.fail("the last one", "a classifier ends in a linear layer");
        }
        let is_read = |point| self.nodes.iter().any(|node| node.inputs.contains(&point));
        let dead =
            (0..self.nodes.len()).find(|&node| Point::of(node) != self.cursor && !is_read(Point::of(node)));
        if let Some(node) = dead {
            let layer = self.nodes[node].layer.name().to_owned();
            return self.at(Point::of(node)).fail(&layer, format!("nothing reads node {node}"));
        }
        let names: Vec<&str> =
            self.nodes.iter().filter(|n| has_tensors(&n.layer)).map(|n| n.layer.name()).collect();
        let twice = (1..names.len()).find(|&at| names[..at].contains(&names[at]));
        match twice.map(|at| names[at].to_owned()) {
            Some(name) => self.fail(&name, "another layer has this name"),
            None => self,
        }
    }

    fn shape(&self) -> &[usize] {
        self.shape_at(self.cursor).expect("the cursor is a point of this graph")
    }

    fn shape_at(&self, point: Point) -> Option<&[usize]> {
        match point.node() {
            Some(node) => self.shapes.get(node).map(Vec::as_slice),
            None => Some(&self.input),
        }
    }

    fn image(&self) -> Option<[usize; 3]> {
        self.shape().try_into().ok()
    }

    fn push(self, layer: Layer, shape: Vec<usize>) -> Self {
        let inputs = vec![self.cursor];
        self.push_node(Node { layer, inputs }, shape)
    }

    fn push_node(mut self, node: Node, shape: Vec<usize>) -> Self {
        if self.fault.is_none() {
            self.cursor = Point::of(self.nodes.len());
            self.nodes.push(node);
            self.shapes.push(shape);
        }
        self
    }

    fn fail(mut self, layer: &str, reason: impl Into<String>) -> Self {
        if self.fault.is_none() {
            self.fault = Some(Error::Layer {
                graph: self.name.clone(),
                layer: layer.to_owned(),
                input: self.shape().to_vec(),
                reason: reason.into(),
            });
        }
        self
    }
}

fn has_tensors(layer: &Layer) -> bool {
    !matches!(
        layer,
        Layer::Relu
            | Layer::Silu
            | Layer::Round(_)
            | Layer::MaxPool2d(_)
            | Layer::AvgPool2d(_)
            | Layer::Add
            | Layer::Flatten(_)
    )
}
