//! PGD on tensors: images, starts, steps and what is kept of them stay on their device.
//!
//! What goes to the host are logits, and one number per image: objectives, flags, whether a gradient is zero. What
//! comes from there are gradients on logits, the offsets of random starts, and indices. The numbers are those of
//! [`Pgd`] itself, on the processor bit for bit (`tests/contract.rs`).

pub(crate) mod ball;

use candle_core::Tensor;
use robin_attacks::Pgd;
use robin_core::attack::Verdict;
use robin_core::{
    Adversarial, Ascent, Attack, Batch, Budget, Columns, Cost, Error, Iterate, Objective, Result, Seed,
    Target, host,
};

use ball::{pick, rows_that_differ};

/// [`Pgd`] wherever the images are. They must be finite and in `[0, 1]`, and labels below the number of classes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Resident(pub(crate) Pgd);

impl Attack for Resident {
    fn budget(&self) -> Budget {
        self.0.budget
    }

    fn perturb(
        &self,
        target: &Target<'_>,
        objectives: &[Box<dyn Objective>],
        batch: &Batch,
        seed: Seed,
    ) -> Result<Adversarial> {
        let Pgd { budget, steps, restarts, start, .. } = self.0;
        if objectives.is_empty() || restarts == 0 {
            return Err(Error::Shape {
                what: "pgd's runs (objectives, restarts)",
                found: vec![objectives.len(), restarts],
                expected: "at least one of each".to_owned(),
            });
        }
        let judging = target.model.networks(&Columns::All);
        let (mut worst, mut last) = (Kept::new(batch), Kept::new(batch));
        let mut costs = vec![Cost::default(); batch.len()];
        for restart in 0..restarts {
            let rows = last.open();
            if rows.is_empty() {
                break;
            }
            let starting = batch.select(&rows)?;
            let starts = ball::starts(start, budget, &starting, seed, restart)?;
            let start_verdicts = target.verdicts(&starts, &starting.labels)?;
            rows.iter().for_each(|&row| costs[row].forward += judging);
            for objective in objectives {
                let open: Vec<usize> = (0..rows.len()).filter(|&at| last.is_open(rows[at])).collect();
                if open.is_empty() {
                    break;
                }
                let rows: Vec<usize> = open.iter().map(|&at| rows[at]).collect();
                let part = starting.select(&open)?;
                let begin = Begin {
                    images: host::select(&starts, &open)?,
                    verdicts: open.iter().map(|&at| start_verdicts[at]).collect(),
                };
                let networks = target.model.networks(&objective.columns());
                let run = self.run(target, &*objective.select(&rows), &part.images, &begin.images)?;
                let judged = run.verdicts(target, &begin, &part.labels)?;
                for (at, &row) in rows.iter().enumerate() {
                    let cost = &mut costs[row];
                    cost.forward += (steps as u32 + 1) * networks + judging;
                    cost.forward += if judged.apart[at] { judging } else { 0 };
                    cost.backward += steps as u32 * networks;
                    cost.zero_gradients += run.zero_gradients[at];
                }
                let (images, offers) = run.worst(&begin, &judged)?;
                worst.offer(&rows, &images, &offers)?;
                let offers: Vec<_> = judged.last.into_iter().zip(run.last_values).collect();
                last.offer(&rows, &run.last, &offers)?;
            }
        }
        Ok(Adversarial { worst: worst.finish(), last: last.finish(), cost: costs })
    }
}

impl Resident {
    /// One run from `start` for one objective.
    fn run(
        &self,
        target: &Target<'_>,
        objective: &dyn Objective,
        clean: &Tensor,
        start: &Tensor,
    ) -> Result<Run> {
        let Pgd { budget, step_size, steps, .. } = self.0;
        let mut images = start.clone();
        let mut best = Best { images: start.clone(), values: Vec::new() };
        let mut zero_gradients = vec![0; clean.dims()[0]];
        for _ in 0..steps {
            target.cancel.check()?;
            let Ascent { values, direction, .. } = objective.ascent(target.model, &images)?;
            let direction = direction.to_device(images.device())?.detach();
            ball::check_gradient(&direction, &images)?;
            best.offer(&values, &images)?;
            let (next, zero) = ball::step(budget, step_size, clean, &direction, &images)?;
            images = next;
            zero_gradients.iter_mut().zip(zero).for_each(|(count, zero)| *count += u32::from(zero));
        }
        target.cancel.check()?;
        let scores = target.model.scores(&images, &objective.columns())?;
        let last_values = objective.evaluate(&scores)?.values;
        best.offer(&last_values, &images)?;
        Ok(Run { best, last: images, last_values, zero_gradients })
    }
}

/// Where a run begins.
struct Begin {
    images: Tensor,
    verdicts: Vec<Verdict>,
}

struct Run {
    best: Best,
    last: Tensor,
    last_values: Vec<f32>,
    zero_gradients: Vec<u32>,
}

/// The judge's words on a run, `[n]` each.
struct Judged {
    best: Vec<Verdict>,
    last: Vec<Verdict>,
    /// Whether the best image took a pass of its own.
    apart: Vec<bool>,
}

impl Run {
    /// Verdicts on the best and on the final images. Where the best image is the start or the final one, its verdict is known.
    fn verdicts(&self, target: &Target<'_>, begin: &Begin, labels: &[u32]) -> Result<Judged> {
        let last = target.verdicts(&self.last, labels)?;
        let moved = rows_that_differ(&self.best.images, &begin.images)?;
        let differs = rows_that_differ(&self.best.images, &self.last)?;
        let apart: Vec<bool> =
            moved.iter().zip(&differs).map(|(moved, differs)| *moved && *differs).collect();
        let mut best: Vec<Verdict> =
            (0..labels.len()).map(|row| if moved[row] { last[row] } else { begin.verdicts[row] }).collect();
        let rows: Vec<usize> = (0..labels.len()).filter(|&row| apart[row]).collect();
        if !rows.is_empty() {
            let labels: Vec<u32> = rows.iter().map(|&row| labels[row]).collect();
            let verdicts = target.verdicts(&host::select(&self.best.images, &rows)?, &labels)?;
            rows.into_iter().zip(verdicts).for_each(|(row, verdict)| best[row] = verdict);
        }
        Ok(Judged { best, last, apart })
    }

    /// For each image the best point if that is misclassified, else the final one, else the start; else the best.
    fn worst(&self, begin: &Begin, judged: &Judged) -> Result<(Tensor, Vec<(Verdict, f32)>)> {
        let n = judged.best.len();
        let mut offers = Vec::new();
        let mut choice = Vec::new();
        for row in 0..n {
            let value = self.best.values[row];
            let candidates = [
                (judged.best[row], value),
                (judged.last[row], self.last_values[row]),
                (begin.verdicts[row], value),
            ];
            let source = candidates.iter().position(|(verdict, _)| verdict.misclassified).unwrap_or(0);
            choice.push(source * n + row);
            offers.push(candidates[source]);
        }
        Ok((pick(&[&self.best.images, &self.last, &begin.images], &choice)?, offers))
    }
}

/// The iterates with the highest objective so far; the first on a tie.
struct Best {
    images: Tensor,
    /// `[n]`, empty before the first offer.
    values: Vec<f32>,
}

impl Best {
    fn offer(&mut self, values: &[f32], images: &Tensor) -> Result<()> {
        if self.values.is_empty() {
            self.values = values.to_vec();
            return Ok(());
        }
        let n = values.len();
        let mut choice: Vec<usize> = (0..n).collect();
        for (row, kept) in self.values.iter_mut().enumerate() {
            if values[row] > *kept {
                (*kept, choice[row]) = (values[row], n + row);
            }
        }
        self.images = pick(&[&self.images, images], &choice)?;
        Ok(())
    }
}

/// What is kept of all runs, by the rule of `robin_attacks`: the first misclassified image wins; while there is none, the one with
/// the highest objective, the first on a tie.
struct Kept {
    images: Tensor,
    verdicts: Vec<Option<(Verdict, f32)>>,
}

impl Kept {
    fn new(batch: &Batch) -> Self {
        Self { images: batch.images.clone(), verdicts: vec![None; batch.len()] }
    }

    fn is_open(&self, row: usize) -> bool {
        !self.verdicts[row].is_some_and(|(verdict, _)| verdict.misclassified)
    }

    fn open(&self) -> Vec<usize> {
        (0..self.verdicts.len()).filter(|&row| self.is_open(row)).collect()
    }

    /// `images` and `offers` are of the batch's `rows`.
    fn offer(&mut self, rows: &[usize], images: &Tensor, offers: &[(Verdict, f32)]) -> Result<()> {
        let n = self.verdicts.len();
        let mut choice: Vec<usize> = (0..n).collect();
        for (at, &row) in rows.iter().enumerate() {
            let (verdict, value) = offers[at];
            let better = match self.verdicts[row] {
                None => true,
                Some((kept, _)) if kept.misclassified => false,
                Some((_, kept)) => verdict.misclassified || value > kept,
            };
            if better {
                self.verdicts[row] = Some((verdict, value));
                choice[row] = n + at;
            }
        }
        self.images = pick(&[&self.images, images], &choice)?;
        Ok(())
    }

    fn finish(self) -> Iterate {
        let verdict = |kept: Option<(Verdict, f32)>| kept.expect("every image has had an offer").0;
        Iterate { images: self.images, verdicts: self.verdicts.into_iter().map(verdict).collect() }
    }
}
