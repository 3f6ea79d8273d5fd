//! Whole training steps on the device: nothing is waited for but the losses at the end of a step.

use robin_core::ExampleId;
use robin_nn::device_resident::{DeviceResident, Outcome, ResidentAttack, ResidentLoss, ResidentStep};
use robin_nn::{Error, Result};

use super::attack::{Attack, words};
use super::network::CudaNetwork;
use super::tensors::copied;
use super::training::{Batch, Training};
use crate::kernels::Buffer;
use crate::kernels::batches::{Cut, Images, Outside, Rows};
use crate::kernels::learning::{CrossEntropy, Gradient, Sgd};
use crate::kernels::pairs::PairLoss;

/// Training attacks run on multiples of so many images.
const ROWS: usize = 16;

impl DeviceResident for CudaNetwork {
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
        let data = self.data.as_ref().ok_or(Error::NoData)?;
        let flip = step.cut.flip.map(|seed| seed.key());
        let outside = if step.cut.reflect { Outside::Reflected } else { Outside::Zeros };
        let cut = Cut { padding: step.cut.padding, outside, crop: step.cut.crop.key(), flip };
        let (images, _) = data.batch(&self.context, &words(step.ids), &cut)?;
        let clean = match step.loss {
            ResidentLoss::CrossEntropy { .. } => None,
            ResidentLoss::Trades { .. } | ResidentLoss::Mart { .. } => Some(copied(&self.context, &images)?),
        };
        if let (Some(attack), false) = (&step.attack, step.perturbed.is_empty()) {
            self.perturb(&images, step, attack)?;
        }
        let context = &self.context;
        let training = Training { context, plan: &self.plan, tensors: &self.tensors };
        let Lowered { values, predictions, gradients, batches } =
            lower(&training, clean.as_ref().into_iter().chain([&images]), step)?;
        let bad = context.zeros::<u32>(1)?;
        gradients.iter().try_for_each(|gradient| gradient.count_bad(context, &bad))?;
        // The one place where the host waits.
        let loss = values.to_vec()?.iter().sum::<f64>() / step.ids.len() as f64;
        let not_finite = bad.to_vec()?[0];
        let predictions = predictions.iter().map(Buffer::to_vec).collect::<Result<_, _>>()?;
        let outcome = Outcome { loss, predictions, not_finite };
        if not_finite > 0 || !loss.is_finite() {
            return Ok(outcome);
        }
        batches.iter().try_for_each(|batch| training.move_running_statistics(batch))?;
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
    fn perturb(
        &mut self,
        images: &Buffer<f32>,
        step: &ResidentStep<'_>,
        attack: &ResidentAttack,
    ) -> Result<()> {
        let length: usize = self.plan.graph.input_shape().iter().product();
        // The first row several times over, up to one of a few numbers: algorithms are chosen for each.
        let count = step.perturbed.len().next_multiple_of(ROWS);
        let padding = count - step.perturbed.len();
        let rows: Vec<usize> =
            step.perturbed.iter().copied().chain(std::iter::repeat_n(step.perturbed[0], padding)).collect();
        let ids: Vec<ExampleId> = rows.iter().map(|&row| step.ids[row]).collect();
        let labels: Vec<u32> = rows.iter().map(|&row| step.labels[row]).collect();
        let rows: Vec<u32> = rows.into_iter().map(|row| row as u32).collect();
        let rows = Rows::new(&self.context, &rows)?;
        let network = self.eval_mode()?;
        let clean = rows.gather(&self.context, images, length)?;
        let kind = (attack, &step.loss);
        if !self.attack.as_ref().is_some_and(|known| known.serves(kind, count)) {
            self.attack = None; // its room is given back first
            self.attack = Some(Attack::new(&network, kind, count)?);
        }
        let known = self.attack.as_mut().expect("it was just made");
        let found = known.ascend(&network, &clean, (&ids, &labels), attack)?;
        let found = found.first(step.perturbed.len() * length)?;
        Ok(rows.scatter(&self.context, &found, length, images)?)
    }
}

/// A step's loss, on its way back to the weights.
struct Lowered {
    /// Of each example.
    values: Buffer<f64>,
    /// Of each batch.
    predictions: Vec<Buffer<u32>>,
    gradients: Vec<Gradient>,
    batches: Vec<Batch>,
}

/// Forward and backward on the batches that the loss of `step` has.
fn lower<'a>(
    training: &Training<'_>,
    images: impl Iterator<Item = &'a Buffer<f32>>,
    step: &ResidentStep<'_>,
) -> Result<Lowered> {
    let context = training.context;
    let (mut rows, mut batches, mut on_rows) = (Vec::new(), Vec::new(), Vec::new());
    for images in images {
        let (found, batch) = training.forward(images)?;
        on_rows.push(context.buffer(found.len())?);
        rows.push(found);
        batches.push(batch);
    }
    let labels = context.upload(step.labels)?;
    let (classes, weight) = (training.plan.graph.num_outputs(), 1.0 / step.ids.len() as f64);
    let pair = |loss: PairLoss| {
        let losses = loss.losses(
            context,
            (classes, weight),
            [&rows[0], &rows[1]],
            &labels,
            [&on_rows[0], &on_rows[1]],
        )?;
        Ok::<_, Error>((losses.values, losses.predictions.into()))
    };
    let (values, predictions) = match step.loss {
        ResidentLoss::CrossEntropy { smoothing } => {
            let loss = CrossEntropy { classes, smoothing, weight };
            let losses = loss.losses(context, &rows[0], &labels, &on_rows[0])?;
            (losses.values, vec![losses.predictions])
        }
        ResidentLoss::Trades { lambda, smoothing } => pair(PairLoss::Trades { lambda, smoothing })?,
        ResidentLoss::Mart { lambda } => pair(PairLoss::Mart { lambda })?,
    };
    let mut gradients: Vec<Gradient> = Vec::new();
    for (batch, on_rows) in batches.iter_mut().zip(on_rows) {
        let found = training.backward(batch, on_rows)?;
        gradients = if gradients.is_empty() {
            found
        } else {
            let pairs = gradients.into_iter().zip(found);
            pairs.map(|(sum, found)| sum.plus(context, found)).collect::<Result<_, _>>()?
        };
    }
    Ok(Lowered { values, predictions, gradients, batches })
}
