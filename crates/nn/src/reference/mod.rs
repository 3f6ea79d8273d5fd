//! The reference executor: candle operations and candle's autograd, with our own operations where candle's
//! gradients are wrong. Slow and plain; it judges the other executors, in f32 and in f64.

mod max_pool2d;

use candle_core::{DType, Device, Tensor, Var};
use robin_core::{Classifier, Columns, Pass, Scores, host};

use crate::executor::check;
use crate::graph::Layer;
use crate::{Error, Executor, Gradients, Graph, LossFn, NamedTensor, Network, Parameters, Result};

/// The executor `reference`.
#[derive(Debug, Clone, Copy)]
pub struct Reference;

impl Executor for Reference {
    fn name(&self) -> &'static str {
        "reference"
    }

    fn classifier(&self, graph: &Graph, parameters: &Parameters) -> Result<Box<dyn Classifier>> {
        check(graph, parameters)?;
        let weights = Weights::constant(parameters, DType::F32)?;
        Ok(Box::new(ReferenceClassifier { graph: graph.clone(), weights }))
    }

    fn network(&self, graph: &Graph, parameters: Parameters) -> Result<Box<dyn Network>> {
        check(graph, &parameters)?;
        Ok(Box::new(ReferenceNetwork { graph: graph.clone(), parameters }))
    }
}

/// Parameters as tensors of one type, by name.
pub struct Weights(Vec<(String, Tensor)>);

impl Weights {
    /// Tensors that are not tracked.
    ///
    /// # Errors
    /// [`Error::Tensor`] if a tensor's shape does not hold its values.
    pub fn constant(parameters: &Parameters, dtype: DType) -> Result<Self> {
        let tensors = parameters.trained.iter().chain(&parameters.buffers);
        Ok(Self(tensors.map(|t| Ok((t.name.clone(), tensor(t, dtype)?))).collect::<Result<_>>()?))
    }

    /// `values` (f64, all trained tensors one after the other) in place of the trained values of `like`: the
    /// loss as a function of the weights, for finite differences.
    ///
    /// # Errors
    /// As [`Weights::constant`].
    pub fn wide(like: &Parameters, values: &[f64]) -> Result<Self> {
        let mut weights = Self::constant(like, DType::F64)?;
        let mut rest = values;
        for (_, tensor) in &mut weights.0[..like.trained.len()] {
            let (these, others) = rest.split_at(tensor.elem_count());
            *tensor = Tensor::from_slice(these, tensor.shape(), &Device::Cpu)?;
            rest = others;
        }
        Ok(weights)
    }

    /// Tracked tensors for what is trained, and those variables in order.
    ///
    /// # Errors
    /// As [`Weights::constant`].
    pub fn tracked(parameters: &Parameters, dtype: DType) -> Result<(Self, Vec<Var>)> {
        let mut weights = Self::constant(parameters, dtype)?;
        let mut variables = Vec::new();
        for (_, tensor) in &mut weights.0[..parameters.trained.len()] {
            let variable = Var::from_tensor(tensor)?;
            *tensor = variable.as_tensor().clone();
            variables.push(variable);
        }
        Ok((weights, variables))
    }

    fn get(&self, layer: &str, part: &str) -> &Tensor {
        let found = self.0.iter().find(|(name, _)| {
            name.strip_suffix(part).and_then(|prefix| prefix.strip_suffix('.')) == Some(layer)
        });
        &found.expect("parameters were checked against the graph").1
    }
}

fn tensor(named: &NamedTensor, dtype: DType) -> Result<Tensor> {
    Ok(Tensor::from_slice(&named.values, named.shape.as_slice(), &Device::Cpu)?.to_dtype(dtype)?)
}

/// Outputs `[n, k]` of `images` `[n, c, h, w]`, in the weights' type, tracked by candle.
///
/// # Errors
/// [`Error::Images`] if the images do not fit the graph.
pub fn forward(graph: &Graph, weights: &Weights, images: &Tensor) -> Result<Tensor> {
    graph.image_count(images.dims())?;
    let mut values = vec![images.clone()];
    for node in graph.nodes() {
        let x = &values[node.inputs[0].node().map_or(0, |node| node + 1)];
        let y = match &node.layer {
            Layer::Normalize { name, shape } => {
                let per_channel = |part| weights.get(name, part).reshape((1, shape[0], 1, 1));
                x.broadcast_sub(&per_channel("mean")?)?.broadcast_div(&per_channel("std")?)?
            }
            Layer::Conv2d { name, geometry: g, bias: true } => {
                let bias = weights.get(name, "bias").reshape((1, g.out_channels, 1, 1))?;
                x.conv2d(weights.get(name, "weight"), g.padding, g.stride, 1, 1)?.broadcast_add(&bias)?
            }
            // candle's own relu has derivative 1 at 0; PyTorch and we have 0.
            Layer::Relu => (x * x.gt(0.0)?.to_dtype(x.dtype())?)?,
            Layer::MaxPool2d(geometry) => x.contiguous()?.apply_op1(max_pool2d::MaxPool2d(*geometry))?,
            Layer::Flatten(_) => x.flatten_from(1)?,
            Layer::Linear { name, .. } => {
                x.matmul(&weights.get(name, "weight").t()?)?.broadcast_add(weights.get(name, "bias"))?
            }
            other => {
                return Err(Error::Layer {
                    graph: graph.name().to_owned(),
                    layer: format!("{other:?}"),
                    input: graph.shape(node.inputs[0]).to_vec(),
                    reason: "the executor reference cannot run it yet".to_owned(),
                });
            }
        };
        values.push(y);
    }
    Ok(values.swap_remove(graph.output().node().map_or(0, |node| node + 1)))
}

struct ReferenceClassifier {
    graph: Graph,
    weights: Weights,
}

impl ReferenceClassifier {
    /// One image at a time: candle's products may sum in another order for another batch size.
    fn each_image(&self, images: &Tensor) -> robin_core::Result<Vec<Var>> {
        let n = self.graph.image_count(images.dims()).map_err(robin_core::Error::from)?;
        (0..n).map(|row| Ok(Var::from_tensor(&images.narrow(0, row, 1)?.contiguous()?)?)).collect()
    }

    fn outputs(&self, image: &Tensor, columns: &Columns, row: usize) -> robin_core::Result<Tensor> {
        let all = forward(&self.graph, &self.weights, image).map_err(robin_core::Error::from)?;
        Ok(match columns {
            Columns::All => all,
            Columns::One(column) => all.narrow(1, *column, 1)?,
            Columns::PerExample(table) => {
                let wanted = Tensor::from_slice(table.row(row), table.width, &Device::Cpu)?;
                all.index_select(&wanted, 1)?
            }
        })
    }
}

impl Classifier for ReferenceClassifier {
    fn num_classes(&self) -> usize {
        self.graph.num_outputs()
    }

    fn scores(&self, images: &Tensor, columns: &Columns) -> robin_core::Result<Scores> {
        columns.validate(self.num_classes())?;
        let width = columns.width(self.num_classes());
        let mut values = Vec::new();
        for (row, image) in self.each_image(images)?.iter().enumerate() {
            values.extend(host::to_vec(&self.outputs(&image.as_detached_tensor(), columns, row)?)?);
        }
        Scores::from_vec(values, images.dims()[0], width)
    }

    fn forward<'a>(&'a self, images: &Tensor, columns: &Columns) -> robin_core::Result<Box<dyn Pass + 'a>> {
        columns.validate(self.num_classes())?;
        let width = columns.width(self.num_classes());
        let (mut values, mut tracked) = (Vec::new(), Vec::new());
        for (row, image) in self.each_image(images)?.into_iter().enumerate() {
            let outputs = self.outputs(image.as_tensor(), columns, row)?;
            values.extend(host::to_vec(&outputs)?);
            tracked.push((image, outputs));
        }
        let scores = Scores::from_vec(values, tracked.len(), width)?;
        Ok(Box::new(ReferencePass { shape: images.dims().to_vec(), scores, tracked }))
    }
}

struct ReferencePass {
    shape: Vec<usize>,
    scores: Scores,
    tracked: Vec<(Var, Tensor)>,
}

impl Pass for ReferencePass {
    fn scores(&self) -> &Scores {
        &self.scores
    }

    fn input_gradient(self: Box<Self>, score_gradient: &Tensor) -> robin_core::Result<Tensor> {
        let mut values = Vec::new();
        for (row, (image, outputs)) in self.tracked.iter().enumerate() {
            let weighted = (outputs * score_gradient.narrow(0, row, 1)?)?.sum_all()?;
            let gradients = weighted.backward()?;
            let gradient = gradients.get(image).ok_or(robin_core::Error::GraphCut)?;
            values.extend(host::to_vec(gradient)?);
        }
        Ok(Tensor::from_vec(values, self.shape, &Device::Cpu)?)
    }
}

struct ReferenceNetwork {
    graph: Graph,
    parameters: Parameters,
}

impl Network for ReferenceNetwork {
    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn update(&mut self, change: &mut dyn FnMut(&mut [NamedTensor])) {
        change(&mut self.parameters.trained);
    }

    fn freeze(&self) -> Result<Box<dyn Classifier>> {
        Reference.classifier(&self.graph, &self.parameters)
    }

    fn train_step(&mut self, batches: &[&Tensor], loss: &mut LossFn<'_>) -> Result<Gradients> {
        let (weights, variables) = Weights::tracked(&self.parameters, DType::F32)?;
        let outputs = batches
            .iter()
            .map(|images| forward(&self.graph, &weights, images))
            .collect::<Result<Vec<_>>>()?;
        let scores =
            outputs.iter().map(|o| Scores::new(o.detach())).collect::<robin_core::Result<Vec<_>>>()?;
        let mut total = Tensor::zeros((), DType::F32, &Device::Cpu)?;
        for (outputs, gradient) in outputs.iter().zip(loss(&scores)?) {
            total = (total + (outputs * gradient)?.sum_all()?)?;
        }
        let gradients = total.backward()?;
        let of = |variable: &Var| {
            let gradient = gradients.get(variable).ok_or(Error::Core(robin_core::Error::GraphCut))?;
            Ok(host::to_vec(gradient)?)
        };
        Ok(Gradients(variables.iter().map(of).collect::<Result<_>>()?))
    }
}
