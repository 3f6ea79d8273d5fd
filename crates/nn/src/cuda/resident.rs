//! Whole training steps on the device: nothing is waited for but the losses at the end of a step.

use robin_core::ExampleId;
use robin_kernels::cuda::Buffer;
use robin_kernels::cuda::batches::{Cut, Images, Outside, Rows};
use robin_kernels::cuda::learning::{CrossEntropy, Sgd};

use super::attack::{Attack, words};
use super::network::CudaNetwork;
use super::training::Training;
use crate::resident::{Outcome, Resident, ResidentAttack, ResidentStep};
use crate::{Error, Result};

/// Training attacks run on multiples of so many images.
const ROWS: usize = 16;

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
        let data = self.data.as_ref().ok_or(Error::NoData)?;
        let flip = step.cut.flip.map(|seed| seed.key());
        let outside = if step.cut.reflect { Outside::Reflected } else { Outside::Zeros };
        let cut = Cut { padding: step.cut.padding, outside, crop: step.cut.crop.key(), flip };
        let (images, _) = data.batch(&self.context, &words(step.ids), &cut)?;
        if let (Some(attack), false) = (&step.attack, step.perturbed.is_empty()) {
            self.perturb(&images, step, attack)?;
        }
        let context = &self.context;
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
        let network = self.frozen()?;
        let clean = rows.gather(&self.context, images, length)?;
        if !self.attack.as_ref().is_some_and(|known| known.serves(attack, count)) {
            self.attack = None; // its room is given back first
            self.attack = Some(Attack::new(&network, attack, count)?);
        }
        let known = self.attack.as_mut().expect("it was just made");
        let found = known.ascend(&network, &clean, (&ids, &labels), attack)?;
        let found = found.first(step.perturbed.len() * length)?;
        Ok(rows.scatter(&self.context, &found, length, images)?)
    }
}
