//! The reference executor: candle operations and candle's autograd, with our own operations where candle's
//! gradients are wrong. Slow and plain; it judges the other executors, in f32 and in f64.
//!
//! [`forward()`] is a graph's definition; [`kinks`] says which images lie where its gradient jumps.

mod batch;
mod forward;
pub mod kinks;
mod max_pool2d;
mod weights;

use candle_core::{DType, Device, Tensor, Var};
use robin_core::{Classifier, Columns, Pass, Scores, host};

use crate::executor::check;
use crate::graph::{BATCH_NORM_MOMENTUM, Layer};
use crate::{Error, Executor, Gradients, Graph, LossFn, NamedTensor, Network, Parameters, Result};
use batch::BatchClassifier;
pub use forward::{Activations, Mode, activations, batch_statistics, forward};
pub use weights::Weights;

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
        let all =
            forward(&self.graph, &self.weights, image, Mode::Evaluation).map_err(robin_core::Error::from)?;
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
    fn graph(&self) -> &Graph {
        &self.graph
    }

    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn restore(&mut self, parameters: Parameters) -> Result<()> {
        check(&self.graph, &parameters)?;
        self.parameters = parameters;
        Ok(())
    }

    fn update(&mut self, change: &mut dyn FnMut(&mut [NamedTensor])) {
        change(&mut self.parameters.trained);
    }

    fn freeze(&self) -> Result<Box<dyn Classifier>> {
        Reference.classifier(&self.graph, &self.parameters)
    }

    fn freeze_with_batch_statistics(&self) -> Result<Box<dyn Classifier>> {
        let weights = Weights::constant(&self.parameters, DType::F32)?;
        Ok(Box::new(BatchClassifier { graph: self.graph.clone(), weights }))
    }

    fn train_step(&mut self, batches: &[&Tensor], loss: &mut LossFn<'_>) -> Result<Gradients> {
        let (weights, variables) = Weights::tracked(&self.parameters, DType::F32)?;
        let passes = batches
            .iter()
            .map(|images| activations(&self.graph, &weights, images, Mode::Training))
            .collect::<Result<Vec<_>>>()?;
        let scores = passes
            .iter()
            .map(|pass| Scores::new(pass.outputs().detach()))
            .collect::<robin_core::Result<Vec<_>>>()?;
        let mut total = Tensor::zeros((), DType::F32, &Device::Cpu)?;
        for (pass, gradient) in passes.iter().zip(loss(&scores)?) {
            total = (total + (pass.outputs() * gradient)?.sum_all()?)?;
        }
        let gradients = total.backward()?;
        let of = |variable: &Var| {
            let gradient = gradients.get(variable).ok_or(Error::Core(robin_core::Error::GraphCut))?;
            Ok(host::to_vec(gradient)?.into())
        };
        let gradients = Gradients(variables.iter().map(of).collect::<Result<_>>()?);
        for pass in &passes {
            update_running_statistics(&self.graph, &mut self.parameters, pass)?;
        }
        Ok(gradients)
    }
}

/// Moves the running statistics of every batch norm towards those of one batch.
fn update_running_statistics(graph: &Graph, parameters: &mut Parameters, pass: &Activations) -> Result<()> {
    for node in graph.nodes() {
        let Layer::BatchNorm2d { name, shape } = &node.layer else { continue };
        let x = pass.at(node.inputs[0]);
        let (mean, variance) = batch_statistics(x)?;
        let count = (x.elem_count() / shape[0]) as f64;
        let momentum = f64::from(BATCH_NORM_MOMENTUM);
        for (part, found, factor) in
            [("running_mean", mean, 1.0), ("running_var", variance, count / (count - 1.0))]
        {
            let name = format!("{name}.{part}");
            let buffer = parameters.buffers.iter_mut().find(|buffer| buffer.name == name);
            let running = &mut buffer.expect("parameters were checked against the graph").values;
            for (running, found) in running.iter_mut().zip(host::to_vec(&found.detach())?) {
                let moved = (1.0 - momentum) * f64::from(*running) + momentum * factor * f64::from(found);
                *running = moved as f32;
            }
        }
    }
    Ok(())
}
