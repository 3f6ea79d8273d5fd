//! PGD on the device: its step is recorded once for a number of images, and then asked for again; the host waits for nothing.

use robin_core::{Budget, ExampleId, Norm};
use robin_kernels::cuda::attack::{self, Ball};
use robin_kernels::cuda::learning::CrossEntropy;
use robin_kernels::cuda::{Buffer, Context, Recording};

use super::frozen::Frozen;
use crate::Result;
use crate::resident::ResidentAttack;

/// A training attack on batches of one size: its network, its images, and memory of its own that a recording writes to.
pub(super) struct Attack {
    ball: Ball,
    rows: usize,
    frozen: Frozen,
    clean: Buffer<f32>,
    images: Buffer<f32>,
    labels: Buffer<u32>,
    /// Of one step, once one was made.
    step: Option<Recording>,
}

impl Attack {
    /// An attack on `rows` images at a time, against a network like `network`.
    pub(super) fn new(network: &Frozen, attack: &ResidentAttack, rows: usize) -> Result<Self> {
        let context = network.context.beside();
        let length = rows * network.plan.graph.input_shape().iter().product::<usize>();
        Ok(Self {
            ball: ball(attack),
            rows,
            frozen: network.again(&context)?,
            clean: context.buffer(length)?,
            images: context.buffer(length)?,
            labels: context.buffer(rows)?,
            step: None,
        })
    }

    /// Whether this is an attack as `attack` is, on so many images.
    pub(super) fn serves(&self, attack: &ResidentAttack, rows: usize) -> bool {
        self.ball == ball(attack) && self.rows == rows
    }

    /// The final images for `clean` f32 `[rows, c, h, w]`, against the present state of `network`.
    pub(super) fn ascend(
        &mut self,
        network: &Frozen,
        clean: &Buffer<f32>,
        (ids, labels): (&[ExampleId], &[u32]),
        ResidentAttack { steps, start, .. }: &ResidentAttack,
    ) -> Result<&Buffer<f32>> {
        self.frozen.copy_from(network)?;
        self.clean.copy_from(clean)?;
        self.labels.fill_from(labels)?;
        let context = &self.frozen.context;
        let ids = context.upload(&words(ids))?;
        attack::start(context, self.ball, &self.clean, &ids, start.key(), &self.images)?;
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

    fn make_step(&self) -> Result<()> {
        let context: &Context = &self.frozen.context;
        let loss =
            CrossEntropy { classes: self.frozen.plan.graph.num_outputs(), smoothing: 0.0, weight: 1.0 };
        let mut trace = None;
        let rows = self.frozen.forward(&self.images, Some(&mut trace))?;
        let gradient = context.buffer(rows.len())?;
        loss.gradient(context, &rows, &self.labels, &gradient)?;
        let trace = trace.expect("it was asked for");
        let gradient = self.frozen.backward(&trace, gradient)?;
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
