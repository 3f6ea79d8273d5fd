//! PGD on the device: its step is recorded once for a number of images, and then asked for again; the host waits for nothing.

use robin_core::{Budget, ExampleId, Norm};
use robin_nn::Result;
use robin_nn::device_resident::{ResidentAttack, ResidentLoss, ResidentStart};

use super::eval_mode::EvalNetwork;
use crate::kernels::attack::{self, Ball};
use crate::kernels::learning::CrossEntropy;
use crate::kernels::{Buffer, Context, Real, Recording, pairs};

/// A training attack on batches of one size: its network, its images, and memory of its own that a recording writes to.
pub(super) struct Attack {
    ball: Ball,
    rows: usize,
    network: EvalNetwork,
    clean: Buffer<f32>,
    images: Buffer<f32>,
    maximised: Maximised,
    /// Of one step, once one was made.
    step: Option<Recording>,
}

/// What rises.
enum Maximised {
    /// Cross-entropy against labels.
    CrossEntropy(Buffer<u32>),
    /// The divergence from the clean images' scores.
    Divergence(Buffer<Real>),
}

impl Maximised {
    fn is_of(&self, loss: &ResidentLoss) -> bool {
        matches!(self, Self::Divergence(_)) == matches!(loss, ResidentLoss::Trades { .. })
    }
}

impl Attack {
    /// An attack on `rows` images at a time, against a network like `network`.
    pub(super) fn new(
        network: &EvalNetwork,
        (attack, loss): (&ResidentAttack, &ResidentLoss),
        rows: usize,
    ) -> Result<Self> {
        let context = network.context.beside();
        let maximised = match loss {
            ResidentLoss::Trades { .. } => {
                let scores = rows * network.plan.shapes[network.plan.output].len();
                Maximised::Divergence(context.buffer(scores)?)
            }
            ResidentLoss::CrossEntropy { .. } | ResidentLoss::Mart { .. } => {
                Maximised::CrossEntropy(context.buffer(rows)?)
            }
        };
        let length = rows * network.plan.graph.input_shape().iter().product::<usize>();
        Ok(Self {
            ball: ball(attack),
            rows,
            network: network.again(&context)?,
            clean: context.buffer(length)?,
            images: context.buffer(length)?,
            maximised,
            step: None,
        })
    }

    /// Whether this is an attack as `attack` is in a step that lowers `loss`, on so many images.
    pub(super) fn serves(&self, (attack, loss): (&ResidentAttack, &ResidentLoss), rows: usize) -> bool {
        self.ball == ball(attack) && self.rows == rows && self.maximised.is_of(loss)
    }

    /// The final images for `clean` f32 `[rows, c, h, w]`, against the present state of `network`.
    pub(super) fn ascend(
        &mut self,
        network: &EvalNetwork,
        clean: &Buffer<f32>,
        (ids, labels): (&[ExampleId], &[u32]),
        ResidentAttack { steps, start, .. }: &ResidentAttack,
    ) -> Result<&Buffer<f32>> {
        self.network.copy_from(network)?;
        self.clean.copy_from(clean)?;
        match &self.maximised {
            Maximised::CrossEntropy(to) => to.fill_from(labels)?,
            Maximised::Divergence(to) => to.copy_from(&*self.network.forward(&self.clean, None)?)?,
        }
        self.begin(ids, start)?;
        let context = &self.network.context;
        let mut left = *steps;
        if self.step.is_none() && left > 0 {
            // Made once before it is recorded, so that its memory is there and algorithms are chosen.
            self.make_step()?;
            left -= 1;
            if left > 0 {
                self.step = context.record(|| self.make_step())?;
            }
        }
        for _ in 0..left {
            match &self.step {
                // SAFETY: the buffers that the step was given belong to this attack, as does the context.
                Some(step) => unsafe { step.replay() }?,
                None => self.make_step()?,
            }
        }
        Ok(&self.images)
    }

    fn begin(&self, ids: &[ExampleId], start: &ResidentStart) -> Result<()> {
        let (context, ball, clean) = (&self.network.context, self.ball, &self.clean);
        let ids = || context.upload(&words(ids));
        match *start {
            ResidentStart::Clean => self.images.copy_from(clean)?,
            ResidentStart::UniformInBall(seed) => {
                attack::start(context, ball, clean, &ids()?, seed.key(), &self.images)?;
            }
            ResidentStart::Gaussian { seed, deviation } => {
                attack::noisy_start(context, ball, clean, &ids()?, (seed.key(), deviation), &self.images)?;
            }
        }
        Ok(())
    }

    fn make_step(&self) -> Result<()> {
        let context: &Context = &self.network.context;
        let classes = self.network.plan.graph.num_outputs();
        let mut trace = None;
        let rows = self.network.forward(&self.images, Some(&mut trace))?;
        let gradient = context.buffer(rows.len())?;
        match &self.maximised {
            Maximised::CrossEntropy(labels) => {
                let loss = CrossEntropy { classes, smoothing: 0.0, weight: 1.0 };
                loss.gradient(context, &rows, labels, &gradient)?;
            }
            Maximised::Divergence(clean) => {
                pairs::divergence_gradient(context, classes, [clean, &rows], &gradient)?;
            }
        }
        let trace = trace.expect("it was asked for");
        let gradient = self.network.backward(&trace, gradient)?;
        let length = self.clean.len() / self.rows;
        Ok(attack::step(context, self.ball, &self.images, &self.clean, &gradient, length, None)?)
    }
}

fn ball(attack: &ResidentAttack) -> Ball {
    ball_of(attack.budget, attack.step_size)
}

pub(super) fn ball_of(budget: Budget, step: f64) -> Ball {
    let epsilon = budget.epsilon.get();
    match budget.norm {
        Norm::Linf => Ball::Linf { epsilon, step },
        Norm::L2 => Ball::L2 { epsilon, step },
    }
}

pub(super) fn words(ids: &[ExampleId]) -> Vec<u32> {
    ids.iter().flat_map(|id| [id.index, id.occurrence]).collect()
}
