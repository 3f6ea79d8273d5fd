//! Training steps whose images, attacks and optimiser stay where the network is.

use robin_core::{Budget, ExampleId, Seed};

use crate::Result;

/// A network that makes whole training steps on its own device. What it does is what the training loop does with the
/// network's other functions, up to rounding; random integers and uniforms are the same, bit for bit.
pub trait DeviceResident {
    /// Puts the images u8 `[n, c, h, w]` of a data set there, in the place of any before.
    ///
    /// # Errors
    /// If there is no room.
    fn load(&mut self, images: &[u8], shape: [usize; 3]) -> Result<()>;

    /// Whether a data set is there.
    fn is_loaded(&self) -> bool;

    /// Perturbs what is to be perturbed, then moves the weights along the gradient of the mean loss. Weights,
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
    /// What is lowered.
    pub loss: ResidentLoss,
    /// Learning rate, momentum and weight decay.
    pub sgd: [f64; 3],
}

/// The loss of a step; with formulas as the training loop has them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ResidentLoss {
    /// Cross-entropy of one batch, some of it perturbed.
    CrossEntropy {
        /// Label smoothing; attacks have none.
        smoothing: f64,
    },
    /// TRADES, of the clean batch and the same images perturbed, all of them, each with its own batch statistics.
    Trades {
        /// Weight of the divergence.
        lambda: f64,
        /// Label smoothing of the clean images' cross-entropy.
        smoothing: f64,
    },
    /// MART, of the same two batches.
    Mart {
        /// Weight of the divergence.
        lambda: f64,
    },
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

/// PGD, final point: on the cross-entropy, or for TRADES on the divergence from the clean images' predictions.
#[derive(Debug, Clone, Copy)]
pub struct ResidentAttack {
    /// What no iterate exceeds.
    pub budget: Budget,
    /// Number of steps.
    pub steps: usize,
    /// Length of a step in pixels.
    pub step_size: f64,
    /// Where it begins.
    pub start: ResidentStart,
}

/// Where an attack begins.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ResidentStart {
    /// At the clean image.
    Clean,
    /// Uniform in the ball, from streams of this seed.
    UniformInBall(Seed),
    /// At the clean image moved by normal numbers, projected.
    Gaussian {
        /// Of the streams.
        seed: Seed,
        /// Standard deviation in pixels.
        deviation: f64,
    },
}

/// What a step found.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Mean loss of the batch.
    pub loss: f64,
    /// Predictions of all examples as they were trained on: of the batch, or of the clean batch and the perturbed one.
    pub predictions: Vec<Vec<u32>>,
    /// Values of gradients that are no number, or infinite. If there are any, nothing moved.
    pub not_finite: u32,
}
