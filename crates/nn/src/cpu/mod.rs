//! The executor `cpu`: our kernels with a backward pass of our own.
//!
//! Reading order: `lower` (a graph as fused steps), `slots` (which buffer holds what when), `layers` (weights packed
//! for the kernels), `apply` (one step), `pass` (a frozen network, chunk by chunk), then `training`.

mod apply;
mod classifier;
mod layers;
mod lower;
mod pass;
mod slots;
mod training;
mod workspace;

use std::sync::Arc;

use candle_core::Tensor;
use robin_core::Classifier;

use crate::executor::check;
use crate::{Executor, Gradients, Graph, LossFn, NamedTensor, Network, Parameters, Result};
use classifier::CpuClassifier;
use layers::Norms;
use lower::Program;
use pass::Frozen;
use slots::Slots;

/// The executor `cpu`.
#[derive(Debug, Clone, Copy)]
pub struct Cpu;

impl Executor for Cpu {
    fn name(&self) -> &'static str {
        "cpu"
    }

    fn classifier(&self, graph: &Graph, parameters: &Parameters) -> Result<Box<dyn Classifier>> {
        check(graph, parameters)?;
        let program = Arc::new(Program::new(graph));
        let slots = Arc::new(Slots::new(&program));
        Ok(Box::new(CpuClassifier::new(Arc::new(freeze(program, slots, parameters)))))
    }

    fn network(&self, graph: &Graph, parameters: Parameters) -> Result<Box<dyn Network>> {
        check(graph, &parameters)?;
        let program = Arc::new(Program::new(graph));
        let slots = Arc::new(Slots::new(&program));
        Ok(Box::new(CpuNetwork { parameters, program, slots, buffers: training::Buffers::default() }))
    }
}

fn freeze(program: Arc<Program>, slots: Arc<Slots>, parameters: &Parameters) -> Frozen {
    let layers = layers::prepare(&program, parameters, Norms::Folded);
    let normalize = normalization(&program, parameters);
    Frozen { program, slots, layers, normalize }
}

/// Mean and standard deviation of each input channel, if the network begins by normalising.
fn normalization(program: &Program, parameters: &Parameters) -> Option<[Vec<f32>; 2]> {
    let name = program.normalize.as_ref()?;
    Some(["mean", "std"].map(|part| {
        let tensor = parameters.get(&format!("{name}.{part}"));
        tensor.expect("parameters were checked against the graph").values.clone()
    }))
}

struct CpuNetwork {
    parameters: Parameters,
    program: Arc<Program>,
    slots: Arc<Slots>,
    buffers: training::Buffers,
}

impl Network for CpuNetwork {
    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn update(&mut self, change: &mut dyn FnMut(&mut [NamedTensor])) {
        change(&mut self.parameters.trained);
    }

    fn freeze(&self) -> Result<Box<dyn Classifier>> {
        let frozen = freeze(Arc::clone(&self.program), Arc::clone(&self.slots), &self.parameters);
        Ok(Box::new(CpuClassifier::new(Arc::new(frozen))))
    }

    fn train_step(&mut self, batches: &[&Tensor], loss: &mut LossFn<'_>) -> Result<Gradients> {
        let Self { parameters, program, slots, buffers } = self;
        training::step(program, slots, parameters, buffers, batches, loss)
    }
}
