//! Attacks as searches: one state per example, which says where to look next and learns what was seen there.
//!
//! An example's state meets nothing of its neighbours, so no result can depend on them; a state that is done
//! is not looked at any more, which saves its passes and moves nothing else.

use candle_core::{Device, Tensor};
use rayon::prelude::*;
use robin_core::attack::Verdict;
use robin_core::occupancy::piece;
use robin_core::{
    Adversarial, Ascent, Batch, Columns, Cost, Error, ExampleId, Objective, ObjectiveValues, Result, Scores,
    Seed, Target, host,
};

use crate::images::Images;
use crate::joined::{Joined, Proposal};

/// The search for one example.
pub(crate) trait Search: Send {
    /// The image to look at, in the box; `None` once the search is done.
    fn point(&self) -> Option<&[f32]>;

    /// What was seen at [`Search::point`]: moves on.
    fn observe(&mut self, seen: &Seen<'_>);
}

/// One look at one image.
pub(crate) struct Seen<'a> {
    /// The objective.
    pub(crate) value: f32,
    /// Its gradient on the image, or its direction; empty if only values were wanted.
    pub(crate) gradient: &'a [f32],
    pub(crate) verdict: Verdict,
}

/// What a look is to bring, apart from the judge's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    Values,
    /// The gradient itself, for those who take the objective as linear.
    Gradients,
    /// The direction that the objective says, for those who climb: see [`Objective::ascent`].
    Directions,
}

/// Runs searches to their ends. `objective`, `labels`, `states` and `costs` are of the same examples; images
/// have `[c, h, w]` = `shape`.
pub(crate) fn run<S: Search>(
    target: &Target<'_>,
    objective: &dyn Objective,
    labels: &[u32],
    shape: [usize; 3],
    look: Look,
    states: &mut [S],
    costs: &mut [Cost],
) -> Result<()> {
    let mut active: Vec<usize> = Vec::new();
    let mut selected: Option<Box<dyn Objective>> = None;
    loop {
        let open: Vec<usize> = (0..states.len()).filter(|&row| states[row].point().is_some()).collect();
        if open.is_empty() {
            return Ok(());
        }
        target.cancel.check()?;
        if open != active || selected.is_none() {
            selected = Some(objective.select(&open));
            active = open;
        }
        let objective = selected.as_deref().expect("it was selected above");
        let images = stack(states, &active, shape)?;
        let labels: Vec<u32> = active.iter().map(|&row| labels[row]).collect();
        let looked = look_at(target, objective, &images, &labels, look)?;
        let length = shape.iter().product::<usize>().max(1);
        let mut seen: Vec<Option<Seen<'_>>> = (0..states.len()).map(|_| None).collect();
        for (at, &row) in active.iter().enumerate() {
            let gradient = looked.gradient.get(at * length..(at + 1) * length).unwrap_or_default();
            costs[row].forward += looked.cost.forward;
            costs[row].backward += looked.cost.backward;
            let flat = look != Look::Values && gradient.iter().all(|&slope| slope == 0.0);
            costs[row].zero_gradients += u32::from(flat);
            seen[row] = Some(Seen { value: looked.values[at], gradient, verdict: looked.verdicts[at] });
        }
        states.par_iter_mut().zip(&seen).with_min_len(piece()).for_each(|(state, seen)| {
            if let Some(seen) = seen {
                state.observe(seen);
            }
        });
    }
}

/// The points of the states at `rows`, `[rows, c, h, w]`.
fn stack<S: Search>(states: &[S], rows: &[usize], [c, h, w]: [usize; 3]) -> Result<Tensor> {
    let points = rows.iter().flat_map(|&row| states[row].point().unwrap_or_default());
    let values: Vec<f32> = points.copied().collect();
    Ok(Tensor::from_vec(values, (rows.len(), c, h, w), &Device::Cpu)?)
}

struct Looked {
    values: Vec<f32>,
    /// `[n * c * h * w]`, or empty.
    gradient: Vec<f32>,
    verdicts: Vec<Verdict>,
    /// Of each example.
    cost: Cost,
}

fn look_at(
    target: &Target<'_>,
    objective: &dyn Objective,
    images: &Tensor,
    labels: &[u32],
    look: Look,
) -> Result<Looked> {
    let columns = objective.columns();
    let networks = target.model.networks(&columns);
    let mut cost = Cost { forward: networks, ..Cost::default() };
    let (values, gradient, scores) = match look {
        Look::Values => {
            let scores = target.model.scores(images, &columns)?;
            (objective.evaluate(&scores)?.values, Vec::new(), Some(scores))
        }
        Look::Gradients => {
            cost.backward = networks;
            let pass = target.model.forward(images, &columns)?;
            let ObjectiveValues { values, score_gradient } = objective.evaluate(pass.scores())?;
            let scores = pass.scores().clone();
            let gradient = pass.input_gradient(&score_gradient)?;
            (values, Images::new(images)?.gradient(&gradient)?, Some(scores))
        }
        Look::Directions => {
            cost.backward = networks;
            let Ascent { values, direction, scores } = objective.ascent(target.model, images)?;
            (values, Images::new(images)?.gradient(&direction)?, scores)
        }
    };
    let verdicts = match scores.and_then(|scores| decide(target, &columns, &scores, labels)) {
        Some(verdicts) => verdicts,
        None => {
            cost.forward += target.model.networks(&Columns::All);
            target.verdicts(images, labels)?
        }
    };
    Ok(Looked { values, gradient, verdicts, cost })
}

/// The judge's word from the scores that are there already. `None` if they are not all, or if the classifier
/// will not decide by scores alone; it is then asked about the images.
fn decide(target: &Target<'_>, columns: &Columns, scores: &Scores, labels: &[u32]) -> Option<Vec<Verdict>> {
    if columns != &Columns::All {
        return None;
    }
    let predictions = target.model.decide(scores).ok()?;
    let verdicts = predictions.into_iter().zip(labels).map(|(prediction, &label)| Verdict {
        prediction,
        misclassified: target.criterion.misclassified(prediction, label),
    });
    Some(verdicts.collect())
}

/// `[c, h, w]` of a batch.
pub(crate) fn shape(batch: &Batch) -> Result<[usize; 3]> {
    match *batch.images.dims() {
        [_, c, h, w] => Ok([c, h, w]),
        _ => host::image_rows("images", &batch.images).map(|_| [0; 3]),
    }
}

/// A search within a budget, for one objective. Its first misclassified image ends it.
pub(crate) trait Climb: Search {
    /// The image with the highest objective, or the misclassified one: what the tables show.
    fn worst(&self) -> Proposal<'_>;
    /// The final point.
    fn last(&self) -> Proposal<'_>;
}

/// What a climb starts from.
pub(crate) struct Beginning<'a> {
    pub(crate) clean: &'a [f32],
    pub(crate) shape: [usize; 3],
    pub(crate) id: ExampleId,
    /// Number of the run.
    pub(crate) restart: usize,
}

/// Climbs once for each restart and objective, joined per example: misclassified by one of them is enough.
pub(crate) fn climb<C: Climb>(
    attack: &'static str,
    restarts: usize,
    look: Look,
    target: &Target<'_>,
    objectives: &[Box<dyn Objective>],
    batch: &Batch,
    begin: impl Fn(&Beginning<'_>) -> C,
) -> Result<Adversarial> {
    batch.validate(target.model.num_classes())?;
    if objectives.is_empty() || restarts == 0 {
        return Err(Error::Shape {
            what: attack,
            found: vec![objectives.len(), restarts],
            expected: "at least one objective and one run".to_owned(),
        });
    }
    let shape = shape(batch)?;
    let clean = Images::new(&batch.images)?;
    let mut joined = Joined::new(batch)?;
    for restart in 0..restarts {
        for objective in objectives {
            let rows = joined.open_rows();
            if rows.is_empty() {
                return joined.finish();
            }
            let labels: Vec<u32> = rows.iter().map(|&row| batch.labels[row]).collect();
            let beginning = |&row: &usize| {
                begin(&Beginning { clean: clean.row(row), shape, id: batch.ids[row], restart })
            };
            let mut states: Vec<C> = rows.iter().map(beginning).collect();
            let mut costs = vec![Cost::default(); rows.len()];
            run(target, &*objective.select(&rows), &labels, shape, look, &mut states, &mut costs)?;
            for (at, &row) in rows.iter().enumerate() {
                add(joined.cost_mut(row), &costs[at]);
                joined.offer(row, &states[at].worst(), &states[at].last());
            }
        }
    }
    joined.finish()
}

/// Adds up work.
pub(crate) fn add(sum: &mut Cost, cost: &Cost) {
    sum.forward += cost.forward;
    sum.backward += cost.backward;
    sum.zero_gradients += cost.zero_gradients;
}

/// The stream in which an example's run draws its steps.
pub(crate) fn steps_seed(seed: Seed, restart: usize) -> Seed {
    seed.derive(robin_core::Purpose::AttackStep, restart as u64)
}
