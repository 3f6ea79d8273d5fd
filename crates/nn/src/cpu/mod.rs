//! The executor `cpu`: our kernels with a backward pass of our own.
//!
//! Reading order: `lower` (a graph as fused steps), `slots` (which buffer holds what when), `layers` (weights packed
//! for the kernels), `apply` (one step), `pass` (a network in eval mode, chunk by chunk), then `training`.

mod apply;
mod classifier;
mod layers;
mod lower;
mod pass;
mod share;
mod slots;
mod training;
mod workspace;

use std::sync::{Arc, Mutex, PoisonError};

use candle_core::Tensor;
use robin_core::Classifier;
use robin_kernels::factors::Factors;

use crate::executor::check;
use crate::graph::Layer;
use crate::{Executor, Gradients, Graph, LossFn, NamedTensor, Network, Parameters, Result};
use classifier::CpuClassifier;
use layers::Layers;
use lower::Program;
use pass::EvalNetwork;
use slots::Slots;

/// The executor `cpu`.
#[derive(Debug, Clone, Copy)]
pub struct Cpu {
    /// What products multiply in the passes of training attacks.
    training_attacks: Factors,
}

impl Cpu {
    /// f32 throughout.
    pub const F32: Self = Self { training_attacks: Factors::F32 };

    /// The same but for the passes of training attacks, where the factors of products are rounded to bf16: their gradients have errors of
    /// some percent. Attacks that see batch statistics stay f32, as do a network's first layer, kernels of 5 and all that is no product.
    pub const TRAINING_ATTACKS_IN_BF16: Self = Self { training_attacks: Factors::Bf16 };

    /// The same in the order of Intel's AMX, where kernels of 5 are rounded too. On processors without AMX it has the same results and is slower than f32.
    pub const TRAINING_ATTACKS_IN_BF16_AMX: Self = Self { training_attacks: Factors::Bf16Amx };
}

impl Executor for Cpu {
    fn name(&self) -> &'static str {
        match self.training_attacks {
            Factors::F32 => "cpu",
            Factors::Bf16 => "cpu, training attacks in bf16",
            Factors::Bf16Amx => "cpu, training attacks in bf16 by AMX",
        }
    }

    fn runs(&self, layer: &Layer) -> bool {
        matches!(
            layer,
            Layer::Normalize { .. }
                | Layer::Conv2d { .. }
                | Layer::BatchNorm2d { .. }
                | Layer::Linear { .. }
                | Layer::Relu
                | Layer::Round(_)
                | Layer::MaxPool2d(_)
                | Layer::AvgPool2d(_)
                | Layer::Add
                | Layer::Flatten(_)
        )
    }

    fn classifier(&self, graph: &Graph, parameters: &Parameters) -> Result<Box<dyn Classifier>> {
        self.supports(graph)?;
        check(graph, parameters)?;
        let program = Arc::new(Program::new(graph));
        let slots = Arc::new(Slots::new(&program));
        let factors = Factors::F32;
        let layers = layers::folded(&program, parameters, factors);
        let normalize = normalization(&program, parameters);
        Ok(Box::new(CpuClassifier::new(EvalNetwork { program, slots, layers, normalize, factors })))
    }

    fn network(&self, graph: &Graph, parameters: Parameters) -> Result<Box<dyn Network>> {
        self.supports(graph)?;
        check(graph, &parameters)?;
        let program = Arc::new(Program::new(graph));
        let slots = Arc::new(Slots::new(&program));
        let lifetimes = Arc::new(training::Lifetimes::new(&program, &slots));
        let Self { training_attacks } = *self;
        let prepared = Mutex::default();
        Ok(Box::new(CpuNetwork { parameters, program, slots, lifetimes, prepared, training_attacks }))
    }
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
    lifetimes: Arc<training::Lifetimes>,
    /// The present parameters packed for evaluation, once somebody asked for them.
    prepared: Mutex<Option<Layers>>,
    training_attacks: Factors,
}

impl CpuNetwork {
    fn folded(&self) -> Layers {
        let mut prepared = self.prepared.lock().unwrap_or_else(PoisonError::into_inner);
        let pack = || layers::folded(&self.program, &self.parameters, Factors::F32);
        prepared.get_or_insert_with(pack).clone()
    }

    /// A classifier of `layers`, whose products multiply `factors`.
    fn classifier(&self, layers: Layers, factors: Factors) -> Box<dyn Classifier> {
        let (program, slots) = (Arc::clone(&self.program), Arc::clone(&self.slots));
        let normalize = normalization(&program, &self.parameters);
        Box::new(CpuClassifier::new(EvalNetwork { program, slots, layers, normalize, factors }))
    }

    fn forget_packed(&mut self) {
        *self.prepared.get_mut().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Network for CpuNetwork {
    fn graph(&self) -> &Graph {
        &self.program.graph
    }

    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn restore(&mut self, parameters: Parameters) -> Result<()> {
        check(&self.program.graph, &parameters)?;
        self.forget_packed();
        self.parameters = parameters;
        Ok(())
    }

    fn update(&mut self, change: &mut dyn FnMut(&mut [NamedTensor])) {
        self.forget_packed();
        change(&mut self.parameters.trained);
    }

    fn freeze(&self) -> Result<Box<dyn Classifier>> {
        Ok(self.classifier(self.folded(), Factors::F32))
    }

    fn freeze_for_training_attack(&self) -> Result<Box<dyn Classifier>> {
        match self.training_attacks {
            Factors::F32 => self.freeze(),
            // Not kept: a step asks once.
            factors => Ok(self.classifier(layers::folded(&self.program, &self.parameters, factors), factors)),
        }
    }

    fn freeze_with_batch_statistics(&self) -> Result<Box<dyn Classifier>> {
        let program = (Arc::clone(&self.program), Arc::clone(&self.slots), Arc::clone(&self.lifetimes));
        Ok(Box::new(training::BatchClassifier::new(program, self.parameters.clone())))
    }

    fn train_step(&mut self, batches: &[&Tensor], loss: &mut LossFn<'_>) -> Result<Gradients> {
        // The running statistics move, and with them what is folded into the weights.
        let folded = self.prepared.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        let shared = folded.map_or_else(Vec::new, |folded| layers::shared(&self.program, folded));
        let Self { parameters, program, slots, lifetimes, .. } = self;
        training::step((program, slots, lifetimes), shared, parameters, batches, loss)
    }
}
