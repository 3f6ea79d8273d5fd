//! The executor `candle`: candle's layers (`candle_nn`) and candle's autograd on any of candle's devices, with our own
//! definitions where candle's gradients are wrong or slow (`conv2d`, `max_pool2d`, and rectifiers at 0). Plain, so it judges the
//! other executors, in f32 and in f64; and where its devices are, it runs: `candle` is the processor, `candle:cuda:0` a GPU in a
//! build with the feature `candle-cuda`.
//!
//! [`forward()`] is a graph's definition; [`kinks`] says which images lie where its gradient jumps.

mod batch;
mod conv2d;
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

/// The executor `candle` on one of candle's devices.
#[derive(Debug, Clone)]
pub struct Candle {
    device: Device,
    name: &'static str,
}

impl Candle {
    /// On the processor.
    pub const CPU: Self = Self { device: Device::Cpu, name: "candle" };

    /// On GPU number `ordinal`.
    ///
    /// # Errors
    /// [`Error::Tensor`] if there is none, or candle was built without CUDA.
    pub fn cuda(ordinal: usize) -> Result<Self> {
        // A device is there until the program ends.
        let name = Box::leak(format!("candle:cuda:{ordinal}").into_boxed_str());
        Ok(Self { device: Device::new_cuda(ordinal)?, name })
    }
}

impl Executor for Candle {
    fn name(&self) -> &'static str {
        self.name
    }

    fn classifier(&self, graph: &Graph, parameters: &Parameters) -> Result<Box<dyn Classifier>> {
        check(graph, parameters)?;
        let weights = Weights::on(parameters, DType::F32, &self.device)?;
        Ok(Box::new(CandleClassifier { graph: graph.clone(), weights }))
    }

    fn network(&self, graph: &Graph, parameters: Parameters) -> Result<Box<dyn Network>> {
        check(graph, &parameters)?;
        Ok(Box::new(CandleNetwork { graph: graph.clone(), parameters, on: self.clone() }))
    }
}

struct CandleClassifier {
    graph: Graph,
    weights: Weights,
}

impl CandleClassifier {
    /// The images in parts that run by themselves, with the number of the first in each. On the processor each alone: candle's
    /// products may sum in another order for another batch size. A GPU has all at once, so there bits may differ between batch sizes.
    fn parts(&self, images: &Tensor) -> robin_core::Result<Vec<(usize, Var)>> {
        let n = self.graph.image_count(images.dims()).map_err(robin_core::Error::from)?;
        let images = images.to_device(self.weights.device())?;
        let length = if images.device().is_cpu() { 1 } else { n.max(1) };
        let part = |first| {
            let part = images.narrow(0, first, length.min(n - first))?.contiguous()?;
            Ok((first, Var::from_tensor(&part)?))
        };
        (0..n).step_by(length).map(part).collect()
    }

    /// Scores of the `images` from number `first` on.
    fn outputs(&self, images: &Tensor, columns: &Columns, first: usize) -> robin_core::Result<Tensor> {
        let all =
            forward(&self.graph, &self.weights, images, Mode::Evaluation).map_err(robin_core::Error::from)?;
        columns.gather_tensor(&all, first)
    }
}

impl Classifier for CandleClassifier {
    fn num_classes(&self) -> usize {
        self.graph.num_outputs()
    }

    fn scores(&self, images: &Tensor, columns: &Columns) -> robin_core::Result<Scores> {
        columns.validate(self.num_classes())?;
        let width = columns.width(self.num_classes());
        let mut values = Vec::new();
        for (first, part) in self.parts(images)? {
            values.extend(host::to_vec(&self.outputs(&part.as_detached_tensor(), columns, first)?)?);
        }
        Scores::from_vec(values, images.dims()[0], width)
    }

    fn forward<'a>(&'a self, images: &Tensor, columns: &Columns) -> robin_core::Result<Box<dyn Pass + 'a>> {
        columns.validate(self.num_classes())?;
        let width = columns.width(self.num_classes());
        let (mut values, mut tracked) = (Vec::new(), Vec::new());
        for (first, part) in self.parts(images)? {
            let outputs = self.outputs(part.as_tensor(), columns, first)?;
            values.extend(host::to_vec(&outputs)?);
            tracked.push((first, part, outputs));
        }
        let scores = Scores::from_vec(values, images.dims()[0], width)?;
        Ok(Box::new(CandlePass { shape: images.dims().to_vec(), scores, tracked }))
    }
}

struct CandlePass {
    shape: Vec<usize>,
    scores: Scores,
    /// The number of the first image, the images, and their scores.
    tracked: Vec<(usize, Var, Tensor)>,
}

impl Pass for CandlePass {
    fn scores(&self) -> &Scores {
        &self.scores
    }

    fn input_gradient(self: Box<Self>, score_gradient: &Tensor) -> robin_core::Result<Tensor> {
        let mut values = Vec::new();
        for (first, images, outputs) in &self.tracked {
            let given = score_gradient.narrow(0, *first, outputs.dims()[0])?.to_device(outputs.device())?;
            let gradients = (outputs * given)?.sum_all()?.backward()?;
            let gradient = gradients.get(images).ok_or(robin_core::Error::GraphCut)?;
            values.extend(host::to_vec(gradient)?);
        }
        Ok(Tensor::from_vec(values, self.shape, &Device::Cpu)?)
    }
}

struct CandleNetwork {
    graph: Graph,
    parameters: Parameters,
    on: Candle,
}

impl Network for CandleNetwork {
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
        self.on.classifier(&self.graph, &self.parameters)
    }

    fn freeze_with_batch_statistics(&self) -> Result<Box<dyn Classifier>> {
        let weights = Weights::on(&self.parameters, DType::F32, &self.on.device)?;
        Ok(Box::new(BatchClassifier { graph: self.graph.clone(), weights }))
    }

    fn train_step(&mut self, batches: &[&Tensor], loss: &mut LossFn<'_>) -> Result<Gradients> {
        let device = &self.on.device;
        let (weights, variables) = Weights::tracked(&self.parameters, DType::F32, device)?;
        let passes = batches
            .iter()
            .map(|images| activations(&self.graph, &weights, &images.to_device(device)?, Mode::Training))
            .collect::<Result<Vec<_>>>()?;
        let scores = passes
            .iter()
            .map(|pass| Scores::new(pass.outputs().detach().to_device(&Device::Cpu)?))
            .collect::<robin_core::Result<Vec<_>>>()?;
        let mut total = Tensor::zeros((), DType::F32, device)?;
        for (pass, gradient) in passes.iter().zip(loss(&scores)?) {
            total = (total + (pass.outputs() * gradient.to_device(device)?)?.sum_all()?)?;
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
