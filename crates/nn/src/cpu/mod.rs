//! The executor `cpu`: our kernels with a backward pass of our own.
//!
//! Images are processed in blocks of `block::BLOCK`, each on one thread from the first layer to the last and
//! back, so that no thread waits for another within a pass. Partial sums of weight gradients are joined in the
//! order of blocks, never of threads.

mod block;
mod classifier;
mod gradient;
mod stage;

use std::sync::Arc;

use candle_core::Tensor;
use robin_core::{Classifier, Scores};

use crate::executor::check;
use crate::{Executor, Gradients, Graph, LossFn, NamedTensor, Network, Parameters, Result};
use block::Keep;
use classifier::CpuClassifier;
use stage::Program;

/// The executor `cpu`.
#[derive(Debug, Clone, Copy)]
pub struct Cpu;

impl Executor for Cpu {
    fn name(&self) -> &'static str {
        "cpu"
    }

    fn classifier(&self, graph: &Graph, parameters: &Parameters) -> Result<Box<dyn Classifier>> {
        check(graph, parameters)?;
        Ok(Box::new(CpuClassifier::new(Arc::new(Program::new(graph, parameters)?))))
    }

    fn network(&self, graph: &Graph, parameters: Parameters) -> Result<Box<dyn Network>> {
        check(graph, &parameters)?;
        let program = Arc::new(Program::new(graph, &parameters)?);
        Ok(Box::new(CpuNetwork { graph: graph.clone(), parameters, program }))
    }
}

struct CpuNetwork {
    graph: Graph,
    parameters: Parameters,
    /// The present parameters as the kernels want them, shared with frozen classifiers.
    program: Arc<Program>,
}

impl Network for CpuNetwork {
    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn update(&mut self, change: &mut dyn FnMut(&mut [NamedTensor])) {
        change(&mut self.parameters.trained);
        let program = Program::new(&self.graph, &self.parameters);
        self.program = Arc::new(program.expect("the graph was accepted before"));
    }

    fn freeze(&self) -> Result<Box<dyn Classifier>> {
        Ok(Box::new(CpuClassifier::new(Arc::clone(&self.program))))
    }

    fn train_step(&mut self, batches: &[&Tensor], loss: &mut LossFn<'_>) -> Result<Gradients> {
        let mut traces = Vec::with_capacity(batches.len());
        let mut scores = Vec::with_capacity(batches.len());
        for images in batches {
            let n = self.graph.image_count(images.dims())?;
            let (outputs, trace) = block::forward(&self.program, images, n, Keep::ForWeights)?;
            scores.push(Scores::from_vec(outputs, n, self.graph.num_outputs())?);
            traces.push(trace);
        }
        let mut contributions = Vec::new();
        for (trace, score_gradient) in traces.into_iter().zip(loss(&scores)?) {
            contributions.extend(gradient::contributions(&self.program, trace, &score_gradient)?);
        }
        Ok(gradient::join(&self.program, &contributions))
    }
}
