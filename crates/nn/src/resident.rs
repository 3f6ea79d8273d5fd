//! Training steps whose images, attacks and optimiser stay where the network is.

use robin_core::{Budget, ExampleId, Seed};

use crate::Result;

/// A network that makes whole training steps on its own device. What it does is what the training loop does with the
/// network's other functions, up to rounding; random integers and uniforms are the same, bit for bit.
pub trait Resident {
    /// Puts the images u8 `[n, c, h, w]` of a data set there, in the place of any before.
    ///
    /// # Errors
    /// If there is no room.
    fn load(&mut self, images: &[u8], shape: [usize; 3]) -> Result<()>;

    /// Whether a data set is there.
    fn is_loaded(&self) -> bool;

    /// Perturbs what is to be perturbed, then moves the weights along the gradient of the mean cross-entropy. Weights,
    /// velocities and running statistics stay as they were if a gradient is no number.
    ///
    /// # Errors
    /// If the device fails.
    fn step(&mut self, step: &ResidentStep<'_>) -> Result<Outcome>;

    /// The optimiser's velocities in the order of the trained tensors, with PyTorch's order of values; empty before the
    /// first step.
    ///
    /// # Errors
    /// If the device fails.
    fn velocities(&self) -> Result<Vec<Vec<f32>>>;

    /// Takes velocities; none for a training at its beginning.
    ///
    /// # Errors
    /// If the device fails.
    fn set_velocities(&mut self, velocities: &[Vec<f32>]) -> Result<()>;
}

/// Everything that decides a step.
#[derive(Debug, Clone)]
pub struct ResidentStep<'a> {
    /// The images, by their place in the data set.
    pub ids: &'a [ExampleId],
    /// Their labels, below the number of outputs.
    pub labels: &'a [u32],
    /// How they are cut and mirrored.
    pub cut: ResidentCut,
    /// Rows of the batch that are perturbed.
    pub perturbed: &'a [usize],
    /// How.
    pub attack: Option<ResidentAttack>,
    /// Label smoothing of the loss; attacks have none.
    pub smoothing: f64,
    /// Learning rate, momentum and weight decay.
    pub sgd: [f64; 3],
}

/// Random crops and flips.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResidentCut {
    /// Pixels added on each side; 0 means no crop.
    pub padding: usize,
    /// Whether these are the image mirrored, or black.
    pub reflect: bool,
    /// Of the streams of positions.
    pub crop: Seed,
    /// Of the streams of flips, if images are mirrored.
    pub flip: Option<Seed>,
}

/// PGD on the cross-entropy, final point.
#[derive(Debug, Clone, Copy)]
pub struct ResidentAttack {
    /// What no iterate exceeds.
    pub budget: Budget,
    /// Number of steps.
    pub steps: usize,
    /// Length of a step in pixels.
    pub step_size: f64,
    /// Of the streams that it begins from, uniform in the ball.
    pub start: Seed,
}

/// What a step found.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Mean loss of the batch.
    pub loss: f64,
    /// Predictions of all examples as they were trained on.
    pub predictions: Vec<u32>,
    /// Values of gradients that are no number, or infinite. If there are any, nothing moved.
    pub not_finite: u32,
}
