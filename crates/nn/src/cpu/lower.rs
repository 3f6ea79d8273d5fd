//! A graph as steps: neighbouring layers that are computed in one go, and how their values lie in memory.
//!
//! A convolution takes along the batch norm, sum, rectifier and 2x2 max pooling after it where nobody else reads
//! what lies between; flattening is no step where only linear layers follow, which read images as they are.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use robin_kernels::conv2d::{self, implicit_gemm, winograd};
use robin_kernels::layout::Layout;
use robin_kernels::{LANES, avg_pool2d, flatten, linear, max_pool2d};

use crate::Graph;
use crate::graph::{Layer, Point, Rounding};

/// A value by its number. 0 is what the network reads: the images, normalised where the graph begins so.
pub(super) type ValueId = usize;

/// The number of the value that the network reads.
pub(super) const INPUT: ValueId = 0;

/// The steps of a graph, without parameters.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) graph: Graph,
    /// Name of the normalisation that is applied while images are read.
    pub(super) normalize: Option<String>,
    /// How each value lies; an image of the network's input may have few channels.
    pub(super) layouts: Vec<Layout>,
    /// Each after those that make what it reads.
    pub(super) steps: Vec<Step>,
    /// The scores.
    pub(super) output: ValueId,
}

/// One step: an operation, then a sum, then a rectifier.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) operation: Operation,
    pub(super) input: ValueId,
    pub(super) output: ValueId,
    /// Another summand.
    pub(super) add: Option<ValueId>,
    pub(super) relu: bool,
}

/// What a step computes. Geometries have channels filled up to whole vectors, but for those of the input.
#[derive(Debug)]
pub(super) enum Operation {
    Conv2d {
        name: String,
        geometry: conv2d::Geometry,
        /// The same as PyTorch's tensors have it.
        given: conv2d::Geometry,
        bias: bool,
        /// Name of a batch norm that follows.
        norm: Option<String>,
        /// 2x2 max pooling after the rectifier.
        pooled: bool,
    },
    BatchNorm2d {
        name: String,
    },
    /// Normalisation by fixed numbers somewhere else than at the images.
    Normalize {
        name: String,
    },
    Linear {
        name: String,
        geometry: linear::Geometry,
    },
    MaxPool2d(max_pool2d::Geometry),
    AvgPool2d(avg_pool2d::Geometry),
    Round(Rounding),
    /// Images as rows, for others than linear layers.
    Flatten {
        /// Those of the image, without what fills up a vector.
        channels: usize,
    },
    /// Nothing: there is a sum or a rectifier only.
    Copy,
}

impl Program {
    pub(super) fn new(graph: &Graph) -> Self {
        let mut lowering = Lowering {
            graph,
            consumers: consumers(graph),
            values: BTreeMap::from([(Point::IMAGES, INPUT)]),
            absorbed: vec![false; graph.nodes().len()],
            program: Self {
                graph: graph.clone(),
                normalize: None,
                layouts: Vec::new(),
                steps: Vec::new(),
                output: INPUT,
            },
        };
        let [channels, height, width] = graph.input_shape();
        lowering.program.layouts.push(Layout { height, width, channels, halo: 0 });
        for node in 0..graph.nodes().len() {
            if !lowering.absorbed[node] {
                lowering.lower(node);
            }
        }
        let Lowering { values, mut program, .. } = lowering;
        program.output = values[&graph.output()];
        program.lay_out();
        program
    }

    /// Whether hardly any output of a convolution has a gradient: it takes 2x2 pooling along, and only a larger max
    /// pooling reads that.
    pub(super) fn has_sparse_gradient(&self, step: &Step) -> bool {
        let mut readers = self.steps.iter().filter(|s| s.input == step.output || s.add == Some(step.output));
        let larger = |reader: &Step| matches!(reader.operation, Operation::MaxPool2d(g) if g.is_tiling() && g.area() >= 8);
        step.operation.is_pooled() && readers.next().is_some_and(larger) && readers.next().is_none()
    }

    /// How the output of a convolution lies before pooling.
    pub(super) fn before_pooling(&self, geometry: &conv2d::Geometry, output: ValueId) -> Layout {
        let [height, width] = geometry.output();
        Layout { height, width, ..self.layouts[output] }
    }

    /// The step whose rectifier made `value`, if its masks say where the gradient passes (a pooling convolution
    /// keeps windows instead).
    pub(super) fn rectified_by(&self, value: ValueId) -> Option<usize> {
        let made = |step: &Step| step.output == value && step.relu && !step.operation.is_pooled();
        self.steps.iter().position(made)
    }

    /// Whether a value may have few channels: those that read it are all convolutions, or all linear layers, whose images
    /// then have no halo.
    fn may_lie_tight(&self, value: ValueId) -> bool {
        let reads = |step: &&Step| step.input == value || step.add == Some(value);
        let only = |is_it: fn(&Operation) -> bool| {
            self.steps.iter().filter(reads).all(|step| step.add != Some(value) && is_it(&step.operation))
        };
        !self.layouts[value].channels.is_multiple_of(LANES)
            && (only(|operation| matches!(operation, Operation::Conv2d { .. }))
                || only(|operation| matches!(operation, Operation::Linear { .. })))
    }

    /// Chooses channels and halos: whole vectors everywhere but in the input, where that may lie tight, and one halo for all
    /// images of a size that convolutions read or write, the widest that one of them needs, so that equal images have
    /// equal places. Rows have none.
    fn lay_out(&mut self) {
        let tight = self.may_lie_tight(INPUT);
        if !tight {
            self.layouts[INPUT] = self.layouts[INPUT].whole_vectors();
        }
        let mut input_halo = 0;
        let (mut halos, mut rows) = (BTreeMap::new(), vec![false; self.layouts.len()]);
        for step in &mut self.steps {
            rows[step.output] = match step.operation {
                Operation::Linear { .. } | Operation::Flatten { .. } => true,
                Operation::Copy => rows[step.input],
                _ => false,
            };
            let Operation::Conv2d { geometry, .. } = &mut step.operation else { continue };
            geometry.in_channels = self.layouts[step.input].channels;
            let (read, written) = (self.layouts[step.input], self.layouts[step.output]);
            let mut touch = |layout: &Layout, needed: usize| {
                let halo: &mut usize = halos.entry(shape(layout)).or_default();
                *halo = needed.max(*halo);
            };
            // The way back reads the gradient on what is written.
            touch(&written, implicit_gemm::backward_halo(geometry));
            let needed = implicit_gemm::forward_halo(geometry);
            if step.input == INPUT && tight {
                input_halo = input_halo.max(needed);
            } else {
                touch(&read, needed);
            }
        }
        for (value, layout) in self.layouts.iter_mut().enumerate() {
            if value == INPUT && tight {
                layout.halo = input_halo;
            } else if let Some(halo) = halos.get(&shape(layout)).filter(|_| !rows[value]) {
                layout.halo = *halo;
            }
        }
    }
}

fn shape(layout: &Layout) -> [usize; 3] {
    [layout.height, layout.width, layout.channels]
}

impl Operation {
    /// Whether a batch norm follows a convolution.
    pub(super) fn has_norm(&self) -> bool {
        matches!(self, Operation::Conv2d { norm: Some(_), .. })
    }

    pub(super) fn is_pooled(&self) -> bool {
        matches!(self, Operation::Conv2d { pooled: true, .. })
    }
}

/// Nodes that read each point.
fn consumers(graph: &Graph) -> BTreeMap<Point, Vec<usize>> {
    let mut consumers: BTreeMap<Point, Vec<usize>> = BTreeMap::new();
    for (node, reads) in graph.nodes().iter().enumerate() {
        for &point in &reads.inputs {
            consumers.entry(point).or_default().push(node);
        }
    }
    consumers
}

struct Lowering<'a> {
    graph: &'a Graph,
    consumers: BTreeMap<Point, Vec<usize>>,
    values: BTreeMap<Point, ValueId>,
    /// Nodes that an earlier step took along.
    absorbed: Vec<bool>,
    program: Program,
}

impl Lowering<'_> {
    fn lower(&mut self, node: usize) {
        let from = self.graph.nodes()[node].inputs[0];
        let (input, point) = (self.values[&from], Point::of(node));
        let before = self.program.layouts[input];
        let layout =
            |[height, width]: [usize; 2], channels: usize| Layout { height, width, channels, halo: 0 };
        match &self.graph.nodes()[node].layer {
            Layer::Normalize { name, .. } if from == Point::IMAGES && self.consumers[&from].len() == 1 => {
                self.program.normalize = Some(name.clone());
                self.values.insert(point, INPUT);
            }
            Layer::Flatten(_) if self.is_read_by_linear_layers_only(point) => {
                self.values.insert(point, input);
            }
            Layer::Flatten([channels, ..]) => {
                let after = flatten::rows(&before, *channels);
                self.push(point, Operation::Flatten { channels: *channels }, input, after);
            }
            Layer::Normalize { name, .. } => {
                self.push(point, Operation::Normalize { name: name.clone() }, input, before);
            }
            Layer::BatchNorm2d { name, .. } => {
                self.push(point, Operation::BatchNorm2d { name: name.clone() }, input, before);
            }
            Layer::Round(rounding) => self.push(point, Operation::Round(*rounding), input, before),
            Layer::Relu | Layer::Add => self.push(point, Operation::Copy, input, before),
            Layer::MaxPool2d(g) => {
                let geometry = max_pool2d::Geometry { channels: g.channels.next_multiple_of(LANES), ..*g };
                let after = layout(g.output(), geometry.channels);
                self.push(point, Operation::MaxPool2d(geometry), input, after);
            }
            Layer::AvgPool2d(g) => {
                let geometry = avg_pool2d::Geometry { channels: g.channels.next_multiple_of(LANES), ..*g };
                let after = layout(g.output(), geometry.channels);
                self.push(point, Operation::AvgPool2d(geometry), input, after);
            }
            Layer::Linear { name, geometry } => {
                let after = layout([1, 1], geometry.outputs.next_multiple_of(LANES));
                let operation = Operation::Linear { name: name.clone(), geometry: *geometry };
                self.push(point, operation, input, after);
            }
            Layer::Conv2d { name, geometry: g, bias } => {
                let geometry =
                    conv2d::Geometry { out_channels: g.out_channels.next_multiple_of(LANES), ..*g };
                let after = layout(g.output(), geometry.out_channels);
                let (name, bias) = (name.clone(), *bias);
                let operation =
                    Operation::Conv2d { name, geometry, given: *g, bias, norm: None, pooled: false };
                self.push(point, operation, input, after);
            }
            other => unreachable!("{} has no kernels, and was refused", other.name()),
        }
    }

    /// Adds a step that makes `point`, and whatever it can take along.
    fn push(&mut self, point: Point, operation: Operation, input: ValueId, layout: Layout) {
        let mut step = Step { operation, input, output: self.program.layouts.len(), add: None, relu: false };
        let (mut point, mut layout) = (point, layout.whole_vectors());
        match point.node().map(|node| &self.graph.nodes()[node]) {
            Some(node) if node.layer == Layer::Add => step.add = Some(self.values[&node.inputs[1]]),
            Some(node) if node.layer == Layer::Relu => step.relu = true,
            _ => {}
        }
        while let Some(next) = self.only_reader(point) {
            let node = &self.graph.nodes()[next];
            let taken = match &node.layer {
                Layer::BatchNorm2d { name, .. } => step.take_norm(name),
                Layer::Add => {
                    let other = node.inputs.iter().find(|other| **other != point);
                    step.take_add(other.and_then(|other| self.values.get(other)))
                }
                Layer::Relu => step.take_relu(),
                Layer::MaxPool2d(g) => step.take_pool(g, &mut layout),
                _ => false,
            };
            if !taken {
                break;
            }
            self.absorbed[next] = true;
            point = Point::of(next);
        }
        self.values.insert(point, step.output);
        self.program.layouts.push(layout);
        self.program.steps.push(step);
    }

    fn is_read_by_linear_layers_only(&self, point: Point) -> bool {
        let mut readers = self.consumers.get(&point).into_iter().flatten();
        readers.all(|&reader| matches!(self.graph.nodes()[reader].layer, Layer::Linear { .. }))
    }

    /// The node that alone reads `point`.
    fn only_reader(&self, point: Point) -> Option<usize> {
        match self.consumers.get(&point).map(Vec::as_slice) {
            Some(&[reader]) => Some(reader),
            _ => None,
        }
    }
}

impl Step {
    fn take_norm(&mut self, name: &str) -> bool {
        match &mut self.operation {
            Operation::Conv2d { norm: norm @ None, .. } if self.add.is_none() && !self.relu => {
                *norm = Some(name.to_owned());
                true
            }
            _ => false,
        }
    }

    fn take_add(&mut self, other: Option<&ValueId>) -> bool {
        let adds = matches!(self.operation, Operation::Conv2d { .. } | Operation::BatchNorm2d { .. });
        let free = adds && self.add.is_none() && !self.relu && other.is_some();
        if free {
            self.add = other.copied();
        }
        free
    }

    fn take_relu(&mut self) -> bool {
        let rectifies = !matches!(self.operation, Operation::MaxPool2d(_) | Operation::AvgPool2d(_));
        let free = rectifies && !self.relu;
        self.relu |= free;
        free
    }

    fn take_pool(&mut self, g: &max_pool2d::Geometry, layout: &mut Layout) -> bool {
        let Operation::Conv2d { geometry, pooled, .. } = &mut self.operation else { return false };
        let [height, width] = g.output();
        // A pooled image of one pixel has no halo to read; rarely worth a special case.
        let free = g.window == 2
            && g.is_tiling()
            && self.relu
            && self.add.is_none()
            && !*pooled
            // Channels of the images may be filled up or not, later on.
            && winograd::supports(&conv2d::Geometry {
                in_channels: geometry.in_channels.next_multiple_of(LANES),
                ..*geometry
            })
            && height > 1
            && width > 1;
        if free {
            *pooled = true;
            (layout.height, layout.width) = (height, width);
        }
        free
    }
}
