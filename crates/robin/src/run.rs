//! One attack on one module.

use candle_core::{Module, Tensor};
use robin_attacks::{Config, Fgsm, Pgd};
use robin_core::{
    Attack as Base, Batch, Budget, CancelToken, Cost, Iterate, Misclassified, Scores, Seed, SuccessCriterion,
    Target, host,
};
use robin_evaluation::CostTotals;

use crate::input::{Input, checked};
use crate::on_device::{Resident, ball};
use crate::serve::{Served, Shape, serve};
use crate::{Attack, Found, Result};

/// Attacks every image that `module` classifies as its label (with targets: not yet as its target), and returns the best
/// that was found. `images` `[n, c, h, w]`, f32 in `[0, 1]`, on any device; `labels` `[n]`, integers. An image that is
/// misclassified clean is misclassified as it is.
///
/// The result of an image depends on its place among the images, the seed and the settings.
///
/// ```
/// use robin::{Fgsm, candle::{Device, Tensor}};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let images = Tensor::new(&[[[[0.5_f32, 0.51]]], [[[0.9, 0.1]]]], &Device::Cpu)?;
/// let labels = Tensor::new(&[1_u32, 0], &Device::Cpu)?;
/// let found = robin::attack(&|x: &Tensor| x.flatten_from(1), &images, &labels, Fgsm::linf("8/255")?)?;
/// assert_eq!(found.misclassified, [true, false]);
/// assert!(found.sizes.iter().all(|size| *size <= 8.0 / 255.0 + 1e-7));
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// If images, labels, targets or settings are not what they must be, saying what to change; if the module fails or cuts
/// its graph; [`robin_core::Error::OverBudget`] and the like if an attack leaves its budget, which is checked here.
pub fn attack<M: Module + ?Sized>(
    module: &M,
    images: &Tensor,
    labels: &Tensor,
    attack: Attack<'_>,
) -> Result<Found> {
    let input = Input::new(module, images, labels, attack.batch_size)?;
    run(module, &input, attack)
}

/// [`attack`] on what has been checked.
pub(crate) fn run<M: Module + ?Sized>(module: &M, input: &Input, mut attack: Attack<'_>) -> Result<Found> {
    if let Some(refused) = attack.refused.take() {
        return Err(refused);
    }
    let targets = attack.targets.as_ref().map(|targets| input.targets(targets)).transpose()?;
    let shape = Shape { classes: input.classes, device: input.images.device().clone(), block: None };
    let mut hear = attack.on_step.take();
    let Attack { budget, stages, seed, batch_size, .. } = attack;
    let work = Work { input, targets, budget, seed, batch_size };
    serve(module, &shape, hear.as_deref_mut(), |served| work.run(served, &stages))
}

/// Misclassified is what is predicted as its target, which stands where its label does.
struct Reached;

impl SuccessCriterion for Reached {
    fn misclassified(&self, prediction: u32, label: u32) -> bool {
        prediction == label
    }
}

/// The attack without what belongs to the caller's thread.
struct Work<'a> {
    input: &'a Input,
    /// `[n]`.
    targets: Option<Vec<u32>>,
    budget: Budget,
    seed: Seed,
    batch_size: usize,
}

impl Work<'_> {
    fn run(&self, served: &Served, stages: &[(Config, crate::Loss)]) -> Result<Found> {
        let criterion: &dyn SuccessCriterion = if self.targets.is_some() { &Reached } else { &Misclassified };
        let clean = self.input.clean.arg_max()?;
        // What the judge compares predictions with.
        let judged = self.targets.as_ref().unwrap_or(&self.input.labels);
        let clean_misclassified: Vec<bool> = clean
            .iter()
            .zip(judged)
            .map(|(&prediction, &label)| criterion.misclassified(prediction, label))
            .collect();
        let mut found = Found {
            images: self.input.images.clone(),
            budget: self.budget,
            clean_predictions: clean.clone(),
            clean_misclassified: clean_misclassified.clone(),
            predictions: clean,
            misclassified: clean_misclassified,
            sizes: vec![0.0; self.input.len()],
            cost: CostTotals::default(),
            zero_gradient_share: None,
            warning: None,
        };
        let batch = Batch::new(self.input.images.clone(), judged.clone(), self.input.ids())?;
        let target = Target { model: served, criterion, cancel: &CancelToken::new() };
        let attacked = found.misclassified.iter().filter(|misclassified| !**misclassified).count() as u64;
        // Every image has been looked at once.
        let forward = self.input.len() as u64;
        let mut cost = CostTotals { attacked, forward, ..CostTotals::default() };
        for (config, loss) in stages {
            let base = build(config, self.budget)?;
            let correct: Vec<usize> = (0..batch.len()).filter(|&row| !found.misclassified[row]).collect();
            for rows in correct.chunks(checked(self.batch_size)?) {
                let part = batch.select(rows)?;
                let clean = Scores::new(host::select(self.input.clean.tensor(), rows)?)?;
                let at = |classes: &Vec<u32>| -> Vec<u32> { rows.iter().map(|&row| classes[row]).collect() };
                let (labels, targets) = (at(&self.input.labels), self.targets.as_ref().map(at));
                let objectives = loss.prepare(&clean, &labels, targets.as_deref())?;
                let objectives: Vec<_> =
                    objectives.into_iter().map(|objective| served.tell(objective)).collect();
                let made = base.perturb(&target, &objectives, &part, self.seed)?;
                made.cost.iter().for_each(|one| count(&mut cost, one));
                self.keep(&mut found, &part, rows, &made.worst)?;
            }
        }
        found.settle(cost, stages.first().and_then(|(_, loss)| loss.listed()));
        Ok(found)
    }

    /// Writes what was made of the images at `rows` into `found`.
    fn keep(&self, found: &mut Found, part: &Batch, rows: &[usize], made: &Iterate) -> Result<()> {
        let images = made.images.to_device(found.images.device())?;
        let sizes = ball::verify(self.budget, &part.images, &images)?;
        let n = self.input.len();
        let mut choice: Vec<usize> = (0..n).collect();
        for (at, &row) in rows.iter().enumerate() {
            choice[row] = n + at;
            found.predictions[row] = made.verdicts[at].prediction;
            found.misclassified[row] = made.verdicts[at].misclassified;
            found.sizes[row] = sizes[at];
        }
        found.images = ball::pick(&[&found.images, &images], &choice)?;
        Ok(())
    }
}

/// The attack of `config`: on tensors, where that is there.
fn build(config: &Config, budget: Budget) -> Result<Box<dyn Base>> {
    // Settings are checked by the one that knows them, also of those that run elsewhere.
    let base = config.build(budget)?;
    Ok(match *config {
        Config::Pgd(robin_attacks::pgd::Settings { steps, restarts, step_size, start }) => {
            let step_size = step_size.pixels(budget.epsilon, steps)?;
            Box::new(Resident(Pgd { budget, steps, step_size, restarts, start }))
        }
        Config::Fgsm(robin_attacks::fgsm::Settings {}) => Box::new(Resident(Fgsm { budget }.as_pgd())),
        _ => base,
    })
}

/// Adds one image's cost: a module is one network, so passes back are gradients.
fn count(sum: &mut CostTotals, cost: &Cost) {
    sum.forward += u64::from(cost.forward);
    sum.backward += u64::from(cost.backward);
    sum.gradients += u64::from(cost.backward);
    sum.zero_gradients += u64::from(cost.zero_gradients);
}
