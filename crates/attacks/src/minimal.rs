//! Attacks that look for the smallest perturbation, and what they are under a budget.

use candle_core::Tensor;
use robin_core::attack::Verdict;
use robin_core::{
    Adversarial, Attack, Batch, Budget, Columns, Cost, Error, ExampleId, Iterate, Norm, Objective, Result,
    Seed, Target,
};

use crate::images::Images;
use crate::search::{Look, Search, add, run, shape, steps_seed};

/// An attack that has no budget: it looks for the adversarial image that is nearest in [`Self::norm`].
pub trait MinimalAttack: Send + Sync {
    /// How distance is measured.
    fn norm(&self) -> Norm;

    /// The nearest adversarial images found, over all `objectives`. Adversarial is what the judge calls
    /// misclassified; an example that is misclassified when clean has distance 0.
    ///
    /// `enough`: an example is done once its distance is at most this. `None` looks for the smallest.
    ///
    /// # Errors
    /// [`Error::Unsuited`] for objectives that the attack cannot follow, [`Error::Cancelled`] when stopped;
    /// otherwise as the classifier's and the objectives'.
    fn smallest(
        &self,
        target: &Target<'_>,
        objectives: &[Box<dyn Objective>],
        batch: &Batch,
        seed: Seed,
        enough: Option<f64>,
    ) -> Result<Smallest>;
}

impl MinimalAttack for Box<dyn MinimalAttack> {
    fn norm(&self) -> Norm {
        (**self).norm()
    }

    fn smallest(
        &self,
        target: &Target<'_>,
        objectives: &[Box<dyn Objective>],
        batch: &Batch,
        seed: Seed,
        enough: Option<f64>,
    ) -> Result<Smallest> {
        (**self).smallest(target, objectives, batch, seed, enough)
    }
}

/// The nearest adversarial images that a [`MinimalAttack`] found.
#[derive(Debug, Clone)]
pub struct Smallest {
    /// `[n, c, h, w]`; the clean image where nothing was found.
    pub images: Tensor,
    /// From the clean images, `[n]`, in pixel units; infinite where nothing was found.
    pub distances: Vec<f64>,
    /// The judge's word on `images`, `[n]`.
    pub verdicts: Vec<Verdict>,
    /// Work spent, `[n]`.
    pub cost: Vec<Cost>,
}

/// A minimal attack under a budget: an example is misclassified exactly if the smallest adversarial perturbation
/// found is at most epsilon, and then that image is returned; otherwise the clean image is. There is no path,
/// so `last` is `worst`. An example is done once it is within the budget.
#[derive(Debug, Clone, Copy)]
pub struct WithinBudget<A> {
    /// What looks.
    pub attack: A,
    /// What counts. Its norm is the attack's.
    pub budget: Budget,
}

impl<A: MinimalAttack> Attack for WithinBudget<A> {
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
        if self.attack.norm() != self.budget.norm {
            return Err(Error::Unsuited {
                what: format!("an attack that measures in {}", self.attack.norm()),
                with: format!("budget {}", self.budget),
                allowed: "both have one norm",
            });
        }
        let epsilon = self.budget.epsilon.get();
        let found = self.attack.smallest(target, objectives, batch, seed, Some(epsilon))?;
        let outside: Vec<usize> = (0..batch.len())
            .filter(|&row| found.distances[row].is_finite() && found.distances[row] > epsilon)
            .collect();
        let mut images = Images::new(&found.images)?;
        let mut verdicts = found.verdicts;
        let mut cost = found.cost;
        if !outside.is_empty() {
            let clean = batch.select(&outside)?;
            let networks = target.model.networks(&Columns::All);
            let judged = target.verdicts(&clean.images, &clean.labels)?;
            let clean = Images::new(&clean.images)?;
            for (at, &row) in outside.iter().enumerate() {
                images.row_mut(row).copy_from_slice(clean.row(at));
                verdicts[row] = judged[at];
                cost[row].forward += networks;
            }
        }
        let worst = Iterate { images: images.into_tensor()?, verdicts };
        Ok(Adversarial { last: worst.clone(), worst, cost })
    }
}

/// The nearest adversarial image of one example so far.
#[derive(Debug, Clone)]
pub(crate) struct Nearest {
    norm: Norm,
    enough: Option<f64>,
    clean: Vec<f32>,
    image: Vec<f32>,
    verdict: Option<Verdict>,
    distance: f64,
}

impl Nearest {
    /// Remembers `image` if it is misclassified and nearer than what was known; returns its distance.
    pub(crate) fn offer(&mut self, image: &[f32], verdict: Verdict) -> f64 {
        let distance = self.norm.distance(&self.clean, image);
        if verdict.misclassified && distance < self.distance {
            self.distance = distance;
            self.image.copy_from_slice(image);
            self.verdict = Some(verdict);
        }
        distance
    }

    /// Whether it is near enough to stop.
    pub(crate) fn is_enough(&self) -> bool {
        self.enough.is_some_and(|enough| self.distance <= enough)
    }

    pub(crate) fn clean(&self) -> &[f32] {
        &self.clean
    }
}

/// A search for the nearest adversarial image.
pub(crate) trait Approach: Search {
    /// What was found.
    fn nearest(self) -> Nearest;
}

/// What an approach starts from.
pub(crate) struct Departure {
    /// Holds the clean image, and what earlier objectives found.
    pub(crate) nearest: Nearest,
    pub(crate) id: ExampleId,
    /// For draws on the way.
    pub(crate) seed: Seed,
}

/// Which objectives an approach can follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Follows {
    Any,
    /// Those that are 0 on the border.
    Signed,
}

/// Approaches once for each objective, joined per example: the nearest of all.
#[expect(clippy::too_many_arguments, reason = "those of an attack, and what an approach is")]
pub(crate) fn approach<A: Approach>(
    (attack, follows): (&'static str, Follows),
    norm: Norm,
    target: &Target<'_>,
    objectives: &[Box<dyn Objective>],
    batch: &Batch,
    seed: Seed,
    enough: Option<f64>,
    depart: impl Fn(Departure) -> A,
) -> Result<Smallest> {
    batch.validate(target.model.num_classes())?;
    if objectives.is_empty() {
        return Err(Error::Shape {
            what: attack,
            found: vec![0],
            expected: "at least one objective".to_owned(),
        });
    }
    if follows == Follows::Signed && !objectives.iter().all(|objective| objective.is_signed()) {
        return Err(Error::Unsuited {
            what: format!("attack {attack}"),
            with: "an objective that is not 0 on the border".to_owned(),
            allowed: "it maximises loss margin, margin-t:T, dlr or dlr-t:T",
        });
    }
    let shape = shape(batch)?;
    let clean = Images::new(&batch.images)?;
    target.cancel.check()?;
    let clean_verdicts = target.verdicts(&batch.images, &batch.labels)?;
    let judging = Cost { forward: target.model.networks(&Columns::All), ..Cost::default() };
    let mut costs = vec![judging; batch.len()];
    let mut found: Vec<Nearest> = (0..batch.len())
        .map(|row| {
            let image = clean.row(row).to_vec();
            let mut nearest =
                Nearest { norm, enough, clean: image.clone(), image, verdict: None, distance: f64::INFINITY };
            nearest.offer(clean.row(row), clean_verdicts[row]);
            nearest
        })
        .collect();
    for (number, objective) in objectives.iter().enumerate() {
        let rows: Vec<usize> =
            (0..batch.len()).filter(|&row| !found[row].is_enough() && found[row].distance > 0.0).collect();
        if rows.is_empty() {
            break;
        }
        let labels: Vec<u32> = rows.iter().map(|&row| batch.labels[row]).collect();
        let seed = steps_seed(seed, number);
        let mut states: Vec<A> = rows
            .iter()
            .map(|&row| depart(Departure { nearest: found[row].clone(), id: batch.ids[row], seed }))
            .collect();
        let mut spent = vec![Cost::default(); rows.len()];
        run(target, &*objective.select(&rows), &labels, shape, Look::Gradients, &mut states, &mut spent)?;
        for ((&row, state), spent) in rows.iter().zip(states).zip(&spent) {
            found[row] = state.nearest();
            add(&mut costs[row], spent);
        }
    }
    let mut images = clean;
    for (row, nearest) in found.iter().enumerate() {
        images.row_mut(row).copy_from_slice(&nearest.image);
    }
    Ok(Smallest {
        images: images.into_tensor()?,
        distances: found.iter().map(|nearest| nearest.distance).collect(),
        verdicts: found
            .iter()
            .zip(clean_verdicts)
            .map(|(nearest, clean)| nearest.verdict.unwrap_or(clean))
            .collect(),
        cost: costs,
    })
}
