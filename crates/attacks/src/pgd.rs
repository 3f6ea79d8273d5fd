//! Projected gradient descent (here: ascent on the objective).

use candle_core::Tensor;
use rayon::prelude::*;
use robin_core::attack::Verdict;
use robin_core::{
    Adversarial, Ascent, Attack, Batch, Budget, CancelToken, Classifier, Columns, Error, Norm, Objective,
    PgdRun, Result, Seed, Target,
};
use serde::{Deserialize, Serialize};

use crate::images::Images;
use crate::joined::{Joined, Proposal};
use crate::settings::{self, Check, StepSize};
use crate::step::{Step, step_image};
use crate::{Loss, Start};

/// Steps of steepest ascent, each projected back onto the budget (Madry et al. 2018; paper 2.2).
///
/// linf steps along the sign of the gradient, l2 along the gradient over its own length; an exactly zero
/// gradient makes no step and is counted. `worst` is the iterate with the highest objective among the start,
/// every step and the final point; the whole classifier judges the start, that iterate and the final point,
/// and the example is misclassified if any of the three is. `last` is the final point alone.
///
/// Restarts and several objectives are joined per example: misclassified by one of them is enough, for `worst` and for
/// `last`. Every objective of a restart begins at the same point.
#[derive(Debug, Clone, Copy)]
pub struct Pgd {
    /// What no iterate exceeds.
    pub budget: Budget,
    /// Number of steps, at least 1.
    pub steps: usize,
    /// Length of a step in pixels, measured in the budget's norm.
    pub step_size: f64,
    /// Number of runs, at least 1; run number r starts at address r.
    pub restarts: usize,
    /// Where each run begins.
    pub start: Start,
}

/// Settings of [`Pgd`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// At least 1.
    pub steps: usize,
    /// At least 1; 1 means a single run.
    pub restarts: usize,
    /// Length of a step.
    pub step_size: StepSize,
    /// Where each run begins.
    pub start: Start,
}

impl settings::Settings for Settings {
    const SUMMARY: &'static str = "steps of steepest ascent, each projected back onto the budget";
    const EXAMPLE: Self = USUAL;
    const BRIEF: Self = USUAL;
    const LOSS: Loss = Loss::Ce;
    const BORDER: bool = false;
    const NORMS: &'static [Norm] = &[Norm::L2, Norm::Linf];

    fn build(&self, check: &Check, budget: Budget) -> crate::Result<Box<dyn Attack>> {
        let steps = check.steps("steps", self.steps)?;
        let restarts = check.runs("restarts", self.restarts)?;
        let step_size = self.step_size.pixels(budget.epsilon, steps)?;
        Ok(Box::new(Pgd { budget, steps, step_size, restarts, start: self.start }))
    }
}

const USUAL: Settings =
    Settings { steps: 10, restarts: 1, step_size: StepSize::STANDARD, start: Start::UniformInBall };

impl Pgd {
    /// The training attack: the final point of the first run, `[n, c, h, w]`. Exactly `steps` forward and
    /// backward passes; nothing is judged and no best iterate is kept. The images must be finite and in
    /// `[0, 1]`.
    ///
    /// # Errors
    /// [`Error::Cancelled`] when stopped; [`Error::NotFinite`] if the gradient overflows; otherwise as the
    /// classifier's and the objective's.
    pub fn ascend(
        &self,
        model: &dyn Classifier,
        objective: &dyn Objective,
        batch: &Batch,
        seed: Seed,
        cancel: &CancelToken,
    ) -> Result<Tensor> {
        let clean = Images::new(&batch.images)?;
        let start = self.start.points(self.budget, batch, seed, 0)?;
        self.iterate(model, objective, &clean, start, cancel)?.into_tensor()
    }

    /// [`Pgd::ascend`] from the given points `start`, in place of the attack's own: first projected onto the
    /// budget around `clean`, both `[n, c, h, w]`.
    ///
    /// # Errors
    /// As [`Pgd::ascend`], and [`Error::Shape`] if the shapes differ.
    pub fn ascend_from(
        &self,
        model: &dyn Classifier,
        objective: &dyn Objective,
        clean: &Tensor,
        start: &Tensor,
        cancel: &CancelToken,
    ) -> Result<Tensor> {
        let start = Images::new(&self.budget.project(clean, start)?)?;
        self.iterate(model, objective, &Images::new(clean)?, start, cancel)?.into_tensor()
    }

    fn iterate(
        &self,
        model: &dyn Classifier,
        objective: &dyn Objective,
        clean: &Images,
        start: Images,
        cancel: &CancelToken,
    ) -> Result<Images> {
        let mut images = start;
        for _ in 0..self.steps {
            cancel.check()?;
            let (_, gradient) = gradient(model, objective, &images)?;
            self.step(clean, &gradient, &mut images, |_| ());
        }
        Ok(images)
    }

    /// One step of every image; `zero_gradient(row)` is called for those that stay.
    fn step(
        &self,
        clean: &Images,
        gradient: &[f32],
        images: &mut Images,
        mut zero_gradient: impl FnMut(usize),
    ) {
        let mut steps = Vec::new();
        let rows = images.rows_with(clean, gradient);
        rows.map(|(image, clean, gradient)| step_image(self.budget, self.step_size, clean, gradient, image))
            .collect_into_vec(&mut steps);
        steps
            .iter()
            .enumerate()
            .filter(|(_, step)| **step == Step::ZeroGradient)
            .for_each(|(row, _)| zero_gradient(row));
    }

    /// The run, made by the classifier where its networks are; `None` if it does not.
    fn run_on_device(
        &self,
        target: &Target<'_>,
        objective: &dyn Objective,
        clean: &Images,
        start: &Images,
    ) -> Result<Option<Run>> {
        let (Some(on_device_pgd), Some(spec)) = (target.model.on_device_pgd(), objective.spec()) else {
            return Ok(None);
        };
        let Self { budget, steps, step_size, .. } = *self;
        let (clean, from) = (clean.values(), start.values());
        let cancel = target.cancel;
        let run = PgdRun { budget, steps, step_size, clean, start: from, spec: &spec, cancel };
        let Some(found) = on_device_pgd.run_pgd(&run)? else { return Ok(None) };
        Ok(Some(Run {
            best: Best { images: start.with_values(found.best)?, values: found.best_values },
            last: start.with_values(found.last)?,
            last_values: found.last_values,
            zero_gradients: found.zero_gradients,
        }))
    }

    /// One run from `start` for one objective.
    fn run(
        &self,
        target: &Target<'_>,
        objective: &dyn Objective,
        clean: &Images,
        start: Images,
    ) -> Result<Run> {
        if let Some(run) = self.run_on_device(target, objective, clean, &start)? {
            return Ok(run);
        }
        let mut images = start;
        let mut best = Best { images: images.clone(), values: Vec::new() };
        let mut zero_gradients = Vec::new();
        for _ in 0..self.steps {
            target.cancel.check()?;
            let (values, gradient) = gradient(target.model, objective, &images)?;
            zero_gradients.resize(values.len(), 0);
            best.offer(&values, &images);
            self.step(clean, &gradient, &mut images, |row| zero_gradients[row] += 1);
        }
        target.cancel.check()?;
        let scores = target.model.scores(&images.tensor()?, &objective.columns())?;
        let last_values = objective.evaluate(&scores)?.values;
        zero_gradients.resize(last_values.len(), 0);
        best.offer(&last_values, &images);
        Ok(Run { best, last: images, last_values, zero_gradients })
    }
}

impl Attack for Pgd {
    fn budget(&self) -> Budget {
        self.budget
    }

    fn perturb(
        &self,
        target: &Target<'_>,
        objectives: &[Box<dyn Objective>],
        batch: &Batch,
        seed: Seed,
    ) -> Result<Adversarial> {
        batch.validate(target.model.num_classes())?;
        if objectives.is_empty() || self.restarts == 0 {
            return Err(Error::Shape {
                what: "pgd's runs (objectives, restarts)",
                found: vec![objectives.len(), self.restarts],
                expected: "at least one of each".to_owned(),
            });
        }
        let judging = target.model.networks(&Columns::All);
        let clean = Images::new(&batch.images)?;
        let mut joined = Joined::new(batch)?;
        for restart in 0..self.restarts {
            let rows = joined.open_rows();
            if rows.is_empty() {
                break;
            }
            let starting = batch.select(&rows)?;
            let starts = self.start.points(self.budget, &starting, seed, restart)?;
            let start_verdicts = target.verdicts(&starts.tensor()?, &starting.labels)?;
            rows.iter().for_each(|&row| joined.cost_mut(row).forward += judging);
            for objective in objectives {
                let open: Vec<usize> = (0..rows.len()).filter(|&at| joined.is_open(rows[at])).collect();
                if open.is_empty() {
                    break;
                }
                let rows: Vec<usize> = open.iter().map(|&at| rows[at]).collect();
                let labels: Vec<u32> = rows.iter().map(|&row| batch.labels[row]).collect();
                let networks = target.model.networks(&objective.columns());
                let starts = starts.select(&open);
                let run =
                    self.run(target, &*objective.select(&rows), &clean.select(&rows), starts.clone())?;
                let known = Known {
                    start: open.iter().map(|&at| start_verdicts[at]).collect(),
                    last: target.verdicts(&run.last.tensor()?, &labels)?,
                };
                let best = run.judge_best(target, &starts, &labels, &known)?;
                for (at, &row) in rows.iter().enumerate() {
                    let cost = joined.cost_mut(row);
                    cost.forward += (self.steps as u32 + 1) * networks + judging;
                    cost.forward += if best[at].judged_apart { judging } else { 0 };
                    cost.backward += self.steps as u32 * networks;
                    cost.zero_gradients += run.zero_gradients[at];
                    let start = (starts.row(at), known.start[at]);
                    run.offer(&mut joined, row, at, start, best[at].verdict, known.last[at]);
                }
            }
        }
        joined.finish()
    }
}

/// Objective values `[n]` and the direction of one step.
fn gradient(
    model: &dyn Classifier,
    objective: &dyn Objective,
    images: &Images,
) -> Result<(Vec<f32>, Vec<f32>)> {
    let Ascent { values, direction, .. } = objective.ascent(model, &images.tensor()?)?;
    Ok((values, images.gradient(&direction)?))
}

/// The iterates with the highest objective so far; the first on a tie.
struct Best {
    images: Images,
    /// `[n]`, empty before the first offer.
    values: Vec<f32>,
}

impl Best {
    fn offer(&mut self, values: &[f32], images: &Images) {
        if self.values.is_empty() {
            self.values = values.to_vec();
            return;
        }
        for (row, &value) in values.iter().enumerate() {
            if value > self.values[row] {
                self.values[row] = value;
                self.images.row_mut(row).copy_from_slice(images.row(row));
            }
        }
    }
}

struct Run {
    best: Best,
    last: Images,
    last_values: Vec<f32>,
    zero_gradients: Vec<u32>,
}

/// Verdicts that need no further pass.
struct Known {
    start: Vec<Verdict>,
    last: Vec<Verdict>,
}

#[derive(Clone, Copy)]
struct BestVerdict {
    verdict: Verdict,
    /// Whether it took a forward pass of its own.
    judged_apart: bool,
}

impl Run {
    /// Verdicts on the best iterates. Where the best image is the start or the final point, its verdict is
    /// known.
    fn judge_best(
        &self,
        target: &Target<'_>,
        starts: &Images,
        labels: &[u32],
        known: &Known,
    ) -> Result<Vec<BestVerdict>> {
        let mut best: Vec<BestVerdict> =
            known.last.iter().map(|&verdict| BestVerdict { verdict, judged_apart: false }).collect();
        let mut apart = Vec::new();
        for (row, best) in best.iter_mut().enumerate() {
            let image = self.best.images.row(row);
            if image == starts.row(row) {
                best.verdict = known.start[row];
            } else if image != self.last.row(row) {
                apart.push(row);
            }
        }
        if !apart.is_empty() {
            let images = self.best.images.select(&apart).into_tensor()?;
            let labels: Vec<u32> = apart.iter().map(|&row| labels[row]).collect();
            for (&row, verdict) in apart.iter().zip(target.verdicts(&images, &labels)?) {
                best[row] = BestVerdict { verdict, judged_apart: true };
            }
        }
        Ok(best)
    }

    /// Offers the run's example `at`, which is example `row` of the batch.
    fn offer(
        &self,
        joined: &mut Joined,
        row: usize,
        at: usize,
        (start, start_verdict): (&[f32], Verdict),
        best_verdict: Verdict,
        last_verdict: Verdict,
    ) {
        let last = Proposal { image: self.last.row(at), verdict: last_verdict, value: self.last_values[at] };
        let value = self.best.values[at];
        let best = Proposal { image: self.best.images.row(at), verdict: best_verdict, value };
        let start = Proposal { image: start, verdict: start_verdict, value };
        let worst = if best.verdict.misclassified {
            best
        } else if last.verdict.misclassified {
            last
        } else if start.verdict.misclassified {
            start
        } else {
            best
        };
        joined.offer(row, &worst, &last);
    }
}

#[cfg(test)]
mod tests;
