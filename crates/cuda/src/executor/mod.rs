//! The executor: networks on a GPU, or on whatever [`Device`] there is.
//!
//! Reading order: `plan` (a graph as steps), `tensors` (parameters as they lie there), `eval_mode` (evaluation, and gradients on
//! images), `gradients` (how they meet), `training`, `batch`
//! (gradients on images through a batch's statistics), `network`, then `attack` and `device_resident` (whole training steps on the
//! device), and `on_device_pgd` (whole attacks there).
//!
//! One image's result depends on its companions only through the size of the batch, for which cuDNN may choose another
//! algorithm: runs with the same batches are the same.

mod attack;
mod batch;
mod classifier;
mod device_resident;
mod eval_mode;
mod gradients;
mod network;
mod on_device_pgd;
mod plan;
mod tensors;
#[cfg(test)]
mod tests;
mod training;

use std::fmt;
use std::sync::Arc;

use robin_core::Classifier;
use robin_nn::executor::check;
use robin_nn::graph::Layer;
use robin_nn::{Executor, Graph, Network, Parameters, Result};

use crate::kernels::driver::{Gpu, Queue};
use crate::kernels::{Context, Device, Error as DeviceError, Precision, Selection};
use classifier::CudaClassifier;
use eval_mode::EvalNetwork;
use network::CudaNetwork;
use plan::Plan;
use tensors::Tensors;

/// Runs networks on a device, each on a queue of its own, side by side.
pub struct Cuda {
    name: &'static str,
    precision: Precision,
    records: bool,
    queues: Queues,
}

#[derive(Clone)]
enum Queues {
    Gpu(Arc<Gpu>, Selection),
    One(Arc<dyn Device>),
}

impl fmt::Debug for Cuda {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cuda({})", self.name)
    }
}

impl Cuda {
    /// GPU number `ordinal`.
    ///
    /// # Errors
    /// [`robin_nn::Error::Device`] says which library or GPU is missing.
    pub fn open(ordinal: usize, precision: Precision, selection: Selection) -> Result<Self> {
        let gpu = Gpu::open(ordinal)?;
        // Libraries are looked for now, and not in the middle of a training.
        drop(Queue::new(&gpu, selection)?);
        let queues = Queues::Gpu(gpu, selection);
        Ok(Self { name: name(precision, selection), precision, records: true, queues })
    }

    /// Any device, with one queue for all networks.
    pub fn on(device: Arc<dyn Device>, precision: Precision) -> Self {
        let queues = Queues::One(device);
        Self { name: name(precision, Selection::Repeatable), precision, records: true, queues }
    }

    /// The same on the same device, but every step of an attack is asked for anew: what recorded steps are compared with.
    #[must_use]
    pub fn unrecorded(&self) -> Self {
        Self { name: self.name, precision: self.precision, records: false, queues: self.queues.clone() }
    }

    /// A new queue with its memory.
    ///
    /// # Errors
    /// If the device fails.
    pub fn context(&self) -> Result<Context> {
        let device: Arc<dyn Device> = match &self.queues {
            Queues::Gpu(gpu, selection) => Queue::new(gpu, *selection)?,
            Queues::One(device) => Arc::clone(device),
        };
        let new = if self.records { Context::new } else { Context::unrecorded };
        Ok(new(device, self.precision))
    }
}

/// The executor's name says all that decides its numbers: precision, choice of algorithms, and whose convolutions.
fn name(precision: Precision, selection: Selection) -> &'static str {
    let names = match (cfg!(feature = "cudnn"), selection) {
        (true, Selection::Fastest) => ["cuda-f32", "cuda-tf32", "cuda-bf16"],
        (true, Selection::Repeatable) => {
            ["cuda-repeatable-f32", "cuda-repeatable-tf32", "cuda-repeatable-bf16"]
        }
        // Without cuDNN there is one algorithm, which is repeatable.
        (false, _) => ["cuda-plain-f32", "cuda-plain-tf32", "cuda-plain-bf16"],
    };
    match precision {
        Precision::F32 => names[0],
        Precision::Tf32 => names[1],
        Precision::Bf16 => names[2],
    }
}

impl From<DeviceError> for robin_nn::Error {
    fn from(error: DeviceError) -> Self {
        Self::Device(Box::new(error))
    }
}

impl Executor for Cuda {
    fn name(&self) -> &'static str {
        self.name
    }

    fn runs(&self, layer: &Layer) -> bool {
        plan::takes(layer)
    }

    fn classifier(&self, graph: &Graph, parameters: &Parameters) -> Result<Box<dyn Classifier>> {
        self.supports(graph)?;
        check(graph, parameters)?;
        let (context, plan) = (self.context()?, Arc::new(Plan::new(graph)));
        let tensors = Tensors::upload(&context, &tensors::atlas(&plan), parameters)?;
        Ok(Box::new(CudaClassifier { network: EvalNetwork::new(&context, &plan, &tensors)? }))
    }

    fn network(&self, graph: &Graph, parameters: Parameters) -> Result<Box<dyn Network>> {
        self.supports(graph)?;
        check(graph, &parameters)?;
        Ok(Box::new(CudaNetwork::new(self.context()?, graph, parameters)?))
    }
}
