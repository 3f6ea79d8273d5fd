//! The walk over a model's nodes: values that are known, values that flow, and the layers between them.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use robin_nn::graph::{Initial, Point};
use robin_nn::{Graph, GraphBuilder, NamedTensor, Parameters};

use super::attributes::name_of;
use super::fold::{Known, fold};
use super::proto::{Node, Tensor};
use super::tensor::{self, Constant};
use super::{LARGEST, Model, order};
use crate::error::clip;
use crate::{Error, Network, Normalization, Result};

/// Values that weights may have beyond those in the file, where they are made dense or used twice: 256 MB, and no more than
/// so many times the file's own or 4 MB, so that a small file does not fill the memory. (A convolution in groups becomes as many
/// times larger as it has groups.)
const ROOM: usize = 1 << 26;
const TIMES: usize = 1024;
const LEAST: usize = 1 << 20;

/// A value that depends on the images.
#[derive(Debug, Clone)]
pub(super) struct Flow {
    pub(super) point: Point,
    /// `[c, h, w]` or `[features]`.
    pub(super) shape: Vec<usize>,
    /// Zeros around it that the next convolution takes along: top, left, bottom, right.
    pub(super) pads: [usize; 4],
}

impl Flow {
    /// `[c, h, w]`.
    pub(super) fn image(&self) -> Result<[usize; 3], String> {
        let shape = &self.shape;
        shape[..].try_into().map_err(|_| format!("it reads {shape:?}; allowed: images [c, h, w]"))
    }
}

/// See [`Model::network`].
pub(super) struct Lowering<'a> {
    model: &'a Model,
    initializers: HashMap<&'a str, &'a Tensor>,
    constants: HashMap<&'a str, Rc<Constant>>,
    pub(super) flows: HashMap<&'a str, Flow>,
    /// How many inputs name a value.
    readers: HashMap<&'a str, usize>,
    /// Values that a fully connected layer makes, with its name.
    pub(super) linears: HashMap<&'a str, String>,
    /// Values that are the sigmoid of a point, and no layer yet.
    pub(super) sigmoids: HashMap<&'a str, Point>,
    /// Taken out while a layer is added.
    builder: Option<GraphBuilder>,
    /// Tensors by name.
    pub(super) values: HashMap<String, Vec<f32>>,
    names: HashSet<String>,
    room: usize,
    /// Where the images are that the file reads.
    pub(super) images: Point,
    /// Whether they meet fixed numbers first.
    pub(super) normalizes: bool,
}

impl<'a> Lowering<'a> {
    pub(super) fn run(
        model: &'a Model,
        images: [usize; 3],
        output: &'a str,
        normalization: Option<&Normalization>,
    ) -> Result<Network> {
        let graph = &model.graph;
        let mut initializers = HashMap::new();
        graph.initializer.iter().for_each(|tensor| {
            initializers.insert(tensor.name.as_str(), tensor);
        });
        let own: usize = graph.initializer.iter().map(tensor::claimed).sum();
        let name = if graph.name.is_empty() { "onnx".to_owned() } else { clip(&graph.name) };
        let mut lowering = Self {
            model,
            initializers,
            constants: HashMap::new(),
            flows: HashMap::new(),
            readers: HashMap::new(),
            linears: HashMap::new(),
            sigmoids: HashMap::new(),
            builder: Some(Graph::builder(name, images)),
            values: HashMap::new(),
            names: HashSet::new(),
            room: own.saturating_add(own.saturating_mul(TIMES).clamp(LEAST, ROOM)),
            images: Point::IMAGES,
            normalizes: false,
        };
        if let Some(numbers) = normalization {
            if numbers.iter().any(|numbers| numbers.len() != images[0]) {
                let (means, deviations) = (numbers[0].len(), numbers[1].len());
                let reason = format!(
                    "a normalisation of {means} and {deviations} channels, images have {}",
                    images[0]
                );
                return Err(Error::Model { file: model.file.clone(), reason });
            }
            let (mean, std) = (numbers[0].clone(), numbers[1].clone());
            let layer = lowering.name("normalize");
            lowering.give(&layer, "mean", mean);
            lowering.give(&layer, "std", std);
            lowering
                .add(|graph| graph.normalize(&layer))
                .map_err(|reason| Error::Model { file: model.file.clone(), reason })?;
            lowering.images = lowering.here();
        }
        let input = model.input()?.name.as_str();
        let flow = Flow { point: lowering.images, shape: images.to_vec(), pads: [0; 4] };
        lowering.flows.insert(input, flow);
        lowering.walk(output)?;
        lowering.finish(output)
    }

    fn walk(&mut self, output: &'a str) -> Result<()> {
        let nodes = &self.model.graph.node;
        let sorted = order::order(nodes, output).map_err(|(node, reason)| match node {
            Some(node) => self.fault(&nodes[node], reason),
            None => Error::Model { file: self.model.file.clone(), reason },
        })?;
        for &index in &sorted {
            for read in nodes[index].input.iter().filter(|name| !name.is_empty()) {
                *self.readers.entry(read).or_default() += 1;
            }
        }
        *self.readers.entry(output).or_default() += 1;
        for index in sorted {
            let node = &nodes[index];
            if !matches!(node.domain.as_str(), "" | "ai.onnx") {
                let reason = format!("operators of {:?} are not read", clip(&node.domain));
                return Err(self.fault(node, reason));
            }
            let folded = fold(self, node).map_err(|reason| self.fault(node, reason))?;
            if let (Some(constant), Some(made)) = (folded, node.output.first()) {
                self.constants.insert(made, Rc::new(constant));
                continue;
            }
            self.node(node)?;
            let sound = self.builder.as_ref().is_some_and(GraphBuilder::is_sound);
            if !sound && let Some(builder) = self.builder.take() {
                let reason = builder.build().err().map_or_else(String::new, |error| error.to_string());
                return Err(self.fault(node, reason));
            }
        }
        Ok(())
    }

    fn finish(mut self, output: &str) -> Result<Network> {
        let file = self.model.file.clone();
        let refuse = |reason: String| Error::Model { file: file.clone(), reason };
        let Some(flow) = self.flows.get(output) else {
            let node =
                self.model.graph.node.iter().find(|node| node.output.iter().any(|made| made == output));
            if let Some(node) = node.filter(|_| self.sigmoids.contains_key(output)) {
                let reason = "the model ends in it: attacks need logits, export the network without it";
                return Err(self.fault(node, reason.to_owned()));
            }
            let reason = format!("no node makes its output {:?} out of the images", clip(output));
            return Err(refuse(reason));
        };
        if flow.shape.len() != 1 {
            let shape = &flow.shape;
            return Err(refuse(format!("its output is {shape:?} per image; allowed: one score per class")));
        }
        let point = flow.point;
        let builder = self.builder.take().ok_or_else(|| refuse("its layers do not fit".to_owned()))?;
        let graph = builder.at(point).build()?;
        let mut parameters = Parameters { trained: Vec::new(), buffers: Vec::new() };
        for spec in graph.tensors() {
            let values = self.values.remove(&spec.name).unwrap_or_default();
            if values.len() != spec.shape.iter().product::<usize>() {
                return Err(refuse(format!("{}: {} values for {:?}", spec.name, values.len(), spec.shape)));
            }
            if let Some(at) = values.iter().position(|value| !value.is_finite()) {
                return Err(refuse(format!("{}[{at}] is {}", spec.name, values[at])));
            }
            let list = match spec.initial {
                Initial::Buffer(_) => &mut parameters.buffers,
                _ => &mut parameters.trained,
            };
            list.push(NamedTensor { name: spec.name, shape: spec.shape, values });
        }
        Ok(Network { graph, parameters, normalizes: self.normalizes })
    }

    /// The flow that `node` reads as input number `at`.
    pub(super) fn flow(&self, node: &Node, at: usize) -> Result<Flow, String> {
        let flow = self.flow_with_pads(node, at)?;
        if flow.pads != [0; 4] {
            return Err("it reads padded images; only Conv can take a Pad along".to_owned());
        }
        Ok(flow)
    }

    pub(super) fn flow_with_pads(&self, node: &Node, at: usize) -> Result<Flow, String> {
        let name = node.input.get(at).map_or("", String::as_str);
        self.flows.get(name).cloned().ok_or_else(|| match self.is_known(name) {
            _ if self.sigmoids.contains_key(name) => {
                format!("its input {:?} is a sigmoid; allowed: x * sigmoid(x), which is SiLU", clip(name))
            }
            true => {
                format!("its input {:?} is constant; allowed here: what comes from the images", clip(name))
            }
            false => format!("nothing makes its input {:?}", clip(name)),
        })
    }

    /// That constant's floats, which must be there.
    pub(super) fn floats(&self, node: &Node, at: usize) -> Result<Rc<Constant>, String> {
        match self.constant(node, at)? {
            Some(constant) if constant.floats().is_some() => Ok(constant),
            Some(_) => Err(format!("its input number {at} is no tensor of floats")),
            None => Err(format!("its input number {at} is missing")),
        }
    }

    /// Whether `node` alone reads its input number `at`.
    pub(super) fn reads_alone(&self, node: &Node, at: usize) -> bool {
        node.input.get(at).is_some_and(|name| self.readers.get(name.as_str()) == Some(&1))
    }

    /// A layer's name that no other has.
    pub(super) fn name(&mut self, wanted: &str) -> String {
        let mut name = wanted.to_owned();
        let mut number = 2;
        while !self.names.insert(name.clone()) {
            name = format!("{wanted}#{number}");
            number += 1;
        }
        name
    }

    /// A name for the layer that `node` becomes: that of its weights in PyTorch, else its own.
    pub(super) fn layer_name(&mut self, node: &Node) -> String {
        let stem = node.input.get(1).and_then(|weights| weights.strip_suffix(".weight"));
        let wanted = stem.map_or_else(|| name_of(node), clip);
        self.name(&wanted)
    }

    /// Keeps the tensor `layer.part`.
    pub(super) fn give(&mut self, layer: &str, part: &str, values: Vec<f32>) {
        self.values.insert(format!("{layer}.{part}"), values);
    }

    /// Room for weights of these sizes.
    pub(super) fn reserve(&mut self, sizes: &[usize]) -> Result<(), String> {
        let values = sizes.iter().try_fold(1usize, |values, &size| values.checked_mul(size));
        match values.and_then(|values| self.room.checked_sub(values)) {
            Some(left) => {
                self.room = left;
                Ok(())
            }
            None => Err(format!(
                "its weights made dense are {sizes:?}, and all together more than {} MB beyond the file",
                ROOM >> 18
            )),
        }
    }

    /// Adds a layer.
    pub(super) fn add(&mut self, layer: impl FnOnce(GraphBuilder) -> GraphBuilder) -> Result<(), String> {
        self.builder = self.builder.take().map(layer);
        match &self.builder {
            Some(builder) => {
                let shape = builder.shape_of(builder.here()).unwrap_or_default();
                let values = shape.iter().try_fold(1usize, |values, &side| values.checked_mul(side));
                match values {
                    Some(values) if values <= LARGEST => Ok(()),
                    _ => Err(format!("it makes {shape:?} values of an image; allowed: {LARGEST}")),
                }
            }
            None => Err("its layers do not fit".to_owned()),
        }
    }

    /// Where the last layer's values are.
    pub(super) fn here(&self) -> Point {
        self.builder.as_ref().map_or(Point::IMAGES, GraphBuilder::here)
    }

    /// Says that `node` makes what the last layer made.
    pub(super) fn made(&mut self, node: &'a Node) {
        let point = self.here();
        let shape = self.builder.as_ref().and_then(|builder| builder.shape_of(point));
        let shape = shape.map(<[usize]>::to_vec).unwrap_or_default();
        self.passes(node, Flow { point, shape, pads: [0; 4] });
    }

    /// Says that `node` hands on a flow.
    pub(super) fn passes(&mut self, node: &'a Node, flow: Flow) {
        if let Some(output) = node.output.first() {
            self.flows.insert(output, flow);
        }
    }

    pub(super) fn fault(&self, node: &Node, reason: String) -> Error {
        let (file, node, operator) = (self.model.file.clone(), name_of(node), clip(&node.op_type));
        Error::Node { file, node, operator, reason }
    }
}

impl Known for Lowering<'_> {
    fn is_known(&self, name: &str) -> bool {
        self.constants.contains_key(name) || self.initializers.contains_key(name)
    }

    fn shape(&self, node: &Node, at: usize) -> Result<Vec<usize>, String> {
        Ok(self.flow(node, at)?.shape)
    }

    fn constant(&self, node: &Node, at: usize) -> Result<Option<Rc<Constant>>, String> {
        let name = match node.input.get(at).map(String::as_str) {
            None | Some("") => return Ok(None),
            Some(name) => name,
        };
        if let Some(constant) = self.constants.get(name) {
            return Ok(Some(Rc::clone(constant)));
        }
        match self.initializers.get(name) {
            Some(found) => {
                let read = tensor::read(found, self.model.folder.as_deref());
                read.map(|constant| Some(Rc::new(constant)))
                    .map_err(|reason| format!("tensor {:?}: {reason}", clip(name)))
            }
            None if self.flows.contains_key(name) => {
                Err(format!("its input {:?} comes from the images; allowed here: constants", clip(name)))
            }
            None => Err(format!("nothing makes its input {:?}", clip(name))),
        }
    }
}
