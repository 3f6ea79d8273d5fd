//! What training owns: parameters that change, and the two views of them that a step needs.

use std::borrow::Borrow;
use std::ops::{Deref, DerefMut};

use candle_core::Tensor;
use robin_core::{Classifier, Scores};
use robin_kernels::aligned::Aligned;

use crate::device_resident::DeviceResident;
use crate::{Graph, NamedTensor, Parameters, Result};

/// Gradients in the order of [`Parameters::trained`], each with its tensor's shape.
#[derive(Debug, Clone)]
pub struct Gradients(pub Vec<Gradient>);

/// The gradient on one tensor, a slice of its values. Large ones come from the memory of a step's other buffers: new
/// every step, they would cost the system's pages each time.
#[derive(Debug, Clone)]
pub struct Gradient {
    values: Aligned,
    len: usize,
}

impl Gradient {
    /// `len` values of any kind: to be written before they are read.
    pub(crate) fn unset(len: usize) -> Self {
        Self { values: Aligned::unset(len), len }
    }
}

impl From<Vec<f32>> for Gradient {
    fn from(values: Vec<f32>) -> Self {
        Self { values: Aligned::from(&*values), len: values.len() }
    }
}

impl Deref for Gradient {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.values[..self.len]
    }
}

impl DerefMut for Gradient {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.values[..self.len]
    }
}

impl Borrow<[f32]> for Gradient {
    fn borrow(&self) -> &[f32] {
        self
    }
}

/// A loss over the logits of all batches of a step: returns its gradient on each batch's logits. The loss
/// keeps its own value.
pub type LossFn<'a> = dyn FnMut(&[Scores]) -> robin_core::Result<Vec<Tensor>> + 'a;

/// A network in training.
pub trait Network: Send {
    /// The architecture.
    fn graph(&self) -> &Graph;

    /// The current parameters.
    fn parameters(&self) -> &Parameters;

    /// Takes `parameters`, buffers included, in place of the current ones.
    ///
    /// # Errors
    /// [`crate::Error::Weights`] if they are not those of the graph; the current ones are then kept.
    fn restore(&mut self, parameters: Parameters) -> Result<()>;

    /// Lets `change` move the trained tensors, in order.
    fn update(&mut self, change: &mut dyn FnMut(&mut [NamedTensor]));

    /// The network as an attacker meets it: evaluation mode, the present weights prepared once, nothing
    /// tracked.
    ///
    /// # Errors
    /// If the weights cannot be prepared.
    fn freeze(&self) -> Result<Box<dyn Classifier>>;

    /// [`Network::freeze`] for the attack of a training step, whose images nobody judges by what attacked them: an executor may compute
    /// these passes more coarsely, and then says so in its name.
    ///
    /// # Errors
    /// As [`Network::freeze`].
    fn freeze_for_training_attack(&self) -> Result<Box<dyn Classifier>> {
        self.freeze()
    }

    /// The network as a training attack meets it that sees batch norm as training does: the present weights, and each
    /// batch of images normalised with its own statistics, through which gradients flow. Running statistics stay.
    ///
    /// This is the one classifier that is not independent of the batch: what it is given at once is one unit. It fails on a
    /// batch norm that sees less than two values per channel.
    ///
    /// # Errors
    /// If the weights cannot be prepared.
    fn freeze_with_batch_statistics(&self) -> Result<Box<dyn Classifier>>;

    /// Forward on each batch `[n, c, h, w]`, then the loss, then the gradients of all weights.
    ///
    /// Batch norm normalises each batch with that batch's own statistics, and gradients flow through them. The
    /// running statistics, which [`Network::freeze`] uses, move once per batch, in the order of batches, as
    /// [`crate::graph::Layer::BatchNorm2d`] says. After an error they are what they were.
    ///
    /// # Errors
    /// If the images do not fit, a batch norm sees less than two values per channel, or the loss fails.
    fn train_step(&mut self, batches: &[&Tensor], loss: &mut LossFn<'_>) -> Result<Gradients>;

    /// How far apart near 1 the values are that activations and scores are stored as: 2^-23 in f32.
    fn resolution(&self) -> f64 {
        f64::from(f32::EPSILON)
    }

    /// Sees to it that [`Network::parameters`] are the present ones. Only a network that was trained by
    /// [`Network::device_resident`] has others in the meantime.
    ///
    /// # Errors
    /// If a device fails.
    fn settle(&mut self) -> Result<()> {
        Ok(())
    }

    /// The network as one that makes whole training steps on its own device, if it can.
    fn device_resident(&mut self) -> Option<&mut dyn DeviceResident> {
        None
    }
}
