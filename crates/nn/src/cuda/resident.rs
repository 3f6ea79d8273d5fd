//! Whole training steps on the device: nothing is waited for but the losses at the end of a step.

use robin_core::{ExampleId, Norm};
use robin_kernels::cuda::attack::{self, Ball};
use robin_kernels::cuda::batches::{self, Cut, Images, Outside};
use robin_kernels::cuda::learning::{CrossEntropy, Sgd};
use robin_kernels::cuda::{Buffer, Context};

use super::frozen::{Frozen, copied};
use super::network::CudaNetwork;
use super::training::Training;
use crate::resident::{Outcome, Resident, ResidentAttack, ResidentStart, ResidentStep};
use crate::{Error, Result};

impl Resident for CudaNetwork {
    fn load(&mut self, images: &[u8], shape: [usize; 3]) -> Result<()> {
        let expected = self.plan.graph.input_shape();
        if shape != expected {
            let (graph, found) = (self.plan.graph.name().to_owned(), shape.to_vec());
            return Err(Error::Images { graph, found, expected });
        }
        self.data = None; // its room is given back first
        self.data = Some(Images { values: self.context.upload(images)?, shape });
        Ok(())
    }

    fn is_loaded(&self) -> bool {
        self.data.is_some()
    }

    fn step(&mut self, step: &ResidentStep<'_>) -> Result<Outcome> {
        self.push()?;
        let context = &self.context;
        let data = self.data.as_ref().ok_or(Error::NoData)?;
        let flip = step.cut.flip.map(|seed| seed.key());
        let outside = if step.cut.reflect { Outside::Reflected } else { Outside::Zeros };
        let cut = Cut { padding: step.cut.padding, outside, crop: step.cut.crop.key(), flip };
        let (images, _) = data.batch(context, &words(step.ids), &cut)?;
        if let (Some(attack), false) = (&step.attack, step.perturbed.is_empty()) {
            self.perturb(&images, step, attack)?;
        }
        let training = Training { context, plan: &self.plan, tensors: &self.tensors };
        let (rows, mut batch) = training.forward(&images)?;
        let n = step.ids.len();
        let loss = CrossEntropy {
            classes: self.plan.graph.num_outputs(),
            smoothing: step.smoothing,
            weight: 1.0 / n as f64,
        };
        let (labels, gradient) = (context.upload(step.labels)?, context.buffer(rows.len())?);
        let losses = loss.losses(context, &rows, &labels, &gradient)?;
        let gradients = training.backward(&mut batch, gradient)?;
        let bad = context.zeros::<u32>(1)?;
        gradients.iter().try_for_each(|gradient| gradient.count_bad(context, &bad))?;
        // The one place where the host waits.
        let loss = losses.values.to_vec()?.iter().sum::<f64>() / n as f64;
        let not_finite = bad.to_vec()?[0];
        let outcome = Outcome { loss, predictions: losses.predictions.to_vec()?, not_finite };
        if not_finite > 0 || !loss.is_finite() {
            return Ok(outcome);
        }
        training.move_running_statistics(&batch)?;
        if self.velocities.is_empty() {
            let zeros = self.tensors.trained.iter().map(|tensor| context.zeros(tensor.values.len()));
            self.velocities = zeros.collect::<Result<_, _>>()?;
        }
        let [rate, momentum, weight_decay] = step.sgd.map(|number| number as f32);
        let sgd = Sgd { rate, momentum, weight_decay };
        for ((tensor, gradient), velocity) in
            self.tensors.trained.iter().zip(&gradients).zip(&self.velocities)
        {
            sgd.step(context, &tensor.values, gradient, velocity)?;
        }
        self.device_moved = true;
        Ok(outcome)
    }

    fn velocities(&self) -> Result<Vec<Vec<f32>>> {
        let all = self.velocities.iter().enumerate();
        all.map(|(at, velocity)| Ok(self.tensors.unpack_trained(at, &velocity.to_vec()?))).collect()
    }

    fn set_velocities(&mut self, velocities: &[Vec<f32>]) -> Result<()> {
        let all = velocities.iter().enumerate();
        let all = all.map(|(at, values)| self.context.upload(&self.tensors.pack_trained(at, values)));
        self.velocities = all.collect::<Result<_, _>>()?;
        Ok(())
    }
}

impl CudaNetwork {
    /// Replaces the rows of `images` that are to be perturbed.
    fn perturb(&self, images: &Buffer<f32>, step: &ResidentStep<'_>, attack: &ResidentAttack) -> Result<()> {
        let (context, length) = (&self.context, self.plan.graph.input_shape().iter().product());
        let rows: Vec<u32> = step.perturbed.iter().map(|&row| row as u32).collect();
        let ids: Vec<ExampleId> = step.perturbed.iter().map(|&row| step.ids[row]).collect();
        let labels: Vec<u32> = step.perturbed.iter().map(|&row| step.labels[row]).collect();
        let clean = batches::gather(context, images, &rows, length)?;
        let found = ascend(&self.frozen()?, &clean, &ids, &labels, attack)?;
        Ok(batches::scatter(context, &found, &rows, length, images)?)
    }
}

/// PGD's final point from `clean` f32 `[n, c, h, w]`; the host asks for everything and waits for nothing.
fn ascend(
    frozen: &Frozen,
    clean: &Buffer<f32>,
    ids: &[ExampleId],
    labels: &[u32],
    attack: &ResidentAttack,
) -> Result<Buffer<f32>> {
    let context = &frozen.context;
    let length = clean.len() / ids.len();
    let (epsilon, step) = (attack.budget.epsilon.get(), attack.step_size);
    let ball = match attack.budget.norm {
        Norm::Linf => Ball::Linf { epsilon, step },
        Norm::L2 => Ball::L2 { epsilon, step },
    };
    let images = start(context, ball, clean, ids, &attack.start, length)?;
    let labels = context.upload(labels)?;
    let loss = CrossEntropy { classes: frozen.plan.graph.num_outputs(), smoothing: 0.0, weight: 1.0 };
    for _ in 0..attack.steps {
        let mut trace = None;
        let rows = frozen.forward(&images, Some(&mut trace))?;
        let gradient = context.buffer(rows.len())?;
        loss.gradient(context, &rows, &labels, &gradient)?;
        let trace = trace.expect("it was asked for");
        let gradient = frozen.backward(&trace, gradient)?;
        attack::step(context, ball, &images, clean, &gradient, length)?;
    }
    Ok(images)
}

fn start(
    context: &Context,
    ball: Ball,
    clean: &Buffer<f32>,
    ids: &[ExampleId],
    start: &ResidentStart,
    length: usize,
) -> Result<Buffer<f32>> {
    let images = copied(context, clean)?;
    match (start, ball) {
        (ResidentStart::Uniform(seed), Ball::Linf { epsilon, .. }) => {
            let ids = context.upload(&words(ids))?;
            attack::start_linf(context, epsilon, clean, &ids, seed.key(), &images)?;
        }
        (ResidentStart::Uniform(_), Ball::L2 { .. }) => return Err(Error::UniformStart),
        (ResidentStart::Offsets(offsets), _) => {
            let offsets = context.upload(offsets)?;
            attack::start_offset(context, ball, clean, &offsets, &images, length)?;
        }
    }
    Ok(images)
}

fn words(ids: &[ExampleId]) -> Vec<u32> {
    ids.iter().flat_map(|id| [id.index, id.occurrence]).collect()
}
