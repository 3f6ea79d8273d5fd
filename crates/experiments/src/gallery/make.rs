//! A gallery from trained networks: the attack of the table on a few test images, once more.

use robin_aggregation::{Aggregation, StrategyChoice, StrategyName};
use robin_core::{Batch, CancelToken, Classifier, Columns, ExampleId, Misclassified, Target};

use super::pictures::{pictures, rows_of, sizes};
use super::{Gallery, GalleryEntry, GalleryExample};
use crate::cell::evaluation::{AttackedAt, PlannedAttack, verdicts};
use crate::cell::network::weights_sha256;
use crate::cell::{EvaluationWork, TrainedNetwork, aggregate};
use crate::plan::{Place, Plan, PlannedItem};
use crate::spec::ClassifierKind;
use crate::store::Store;
use crate::{Error, Outcome, Result};

/// Test images that are looked through for those that are shown.
const LOOKED_THROUGH: usize = 100;

/// The strategies of the paper, in the order of its Table 3.
const STRATEGIES: [StrategyName; 6] = [
    StrategyName::BestArm,
    StrategyName::Top2,
    StrategyName::Softmax,
    StrategyName::HighestArm,
    StrategyName::AverageGradient,
    StrategyName::SoftmaxTop2,
];

/// Row `row` of `item` under the attack of its column `column`: `count` test images that the one-vs-all classifier of the first
/// seed has right. First one that it withstands and the row's single network does not, and one the other way round, if there
/// are; then the first ones of different classes. `None` where the row has no such evaluation with this column, or its networks
/// are not in `outcome`, or without their weights.
///
/// Random starts are those of the evaluation: what is shown is what was counted.
///
/// # Errors
/// [`Error::Damaged`] for weights that are not those of the record; [`Error::Work`] if the attack fails.
pub fn gallery(
    plan: &Plan,
    item: &PlannedItem,
    row: usize,
    column: &str,
    count: usize,
    outcome: &Outcome,
    store: &Store,
) -> Result<Option<Gallery>> {
    let source = Source { plan, item, outcome, store };
    let load = |kind| source.load(row, column, kind);
    let Some(own) = load(ClassifierKind::Aggregate(Aggregation::OneVsAll))? else { return Ok(None) };
    let rival = load(ClassifierKind::Single)?.filter(|rival| rival.place.test == own.place.test);
    let planned = &item.rows[row].row;
    let name = |subject: &ModelUnderTest<'_>| item.classifiers[subject.place.classifier].name.clone();
    let budget = own.attack.budget;
    let mut examples = Vec::new();
    if let Some((batch, only)) = shown(&source, &own, rival.as_ref(), count)? {
        examples = own.attacked(&batch)?;
        for (example, only) in examples.iter_mut().zip(only) {
            example.only = only;
        }
        if let Some(rival) = &rival {
            let strategy = StrategyName::Softmax.into();
            let entries = rival.entries(&batch, strategy)?;
            for (example, entry) in examples.iter_mut().zip(entries) {
                example.rival = Some(entry);
            }
        }
    }
    Ok(Some(Gallery {
        title: item.rows[row].row.label(),
        classifier: name(&own),
        rival: rival.as_ref().map(name),
        attack: column.to_owned(),
        norm: budget.norm.to_string(),
        epsilon: own.place.test.unwrap_or(budget.epsilon).to_string(),
        classes: planned.dataset.class_names().iter().map(|name| (*name).to_owned()).collect(),
        examples,
        records: own.records.into_iter().chain(rival.into_iter().flat_map(|rival| rival.records)).collect(),
    }))
}

/// Where classifiers come from.
struct Source<'a> {
    plan: &'a Plan,
    item: &'a PlannedItem,
    outcome: &'a Outcome,
    store: &'a Store,
}

/// A classifier, with the evaluation that its images are shown of.
struct ModelUnderTest<'a> {
    place: Place,
    work: &'a EvaluationWork,
    attack: &'a PlannedAttack,
    model: Box<dyn Classifier>,
    records: Vec<String>,
}

impl<'a> Source<'a> {
    /// The classifier of a kind under the attack of a column; `None` where it is not there with its weights.
    fn load(&self, row: usize, column: &str, kind: ClassifierKind) -> Result<Option<ModelUnderTest<'a>>> {
        let Self { plan, item, outcome, store } = *self;
        let found = item.places.iter().find_map(|&(place, index)| {
            let work = plan.cells[index].work.evaluation()?;
            let wanted = place.row == row
                && item.columns[place.column].name == column
                && item.seeds.first() == Some(&place.seed)
                && !item.classifiers[place.classifier].beyond
                && work.kind == kind;
            let attack = work.attack.as_ref().filter(|attack| matches!(attack.at, AttackedAt::Itself(_)))?;
            wanted.then_some((place, index, work, attack))
        });
        let Some((place, index, work, attack)) = found else { return Ok(None) };
        let needs = &plan.cells[index].needs[..work.networks];
        let mut networks = Vec::new();
        for need in needs {
            let (Some(work), Some(record)) = (plan.cells[*need].work.network(), outcome.records.get(need))
            else {
                return Ok(None);
            };
            if !store.weights_path(&record.key).is_file() {
                return Ok(None);
            }
            let weights = store.load_weights(&record.key, weights_sha256(record)?)?;
            networks.push(TrainedNetwork { work, weights });
        }
        let label = &plan.cells[index].label;
        let model = aggregate(work.kind, &networks, plan.device.executor(), label)?;
        let records = needs.iter().map(|need| plan.cells[*need].key.to_string()).collect();
        Ok(Some(ModelUnderTest { place, work, attack, model, records }))
    }

    /// Which of the first images the evaluations of `subject`'s place have misclassified, with any strategy; `None` where one of them
    /// has no record.
    fn misclassified(&self, subject: &ModelUnderTest<'_>) -> Result<Option<Vec<bool>>> {
        let mut misclassified = vec![false; LOOKED_THROUGH.min(subject.work.data.len())];
        let here =
            |place: &Place| Place { strategy: None, ..*place } == Place { strategy: None, ..subject.place };
        for (_, index) in self.item.places.iter().filter(|(place, _)| here(place)) {
            let Some(record) = self.outcome.records.get(index) else { return Ok(None) };
            let (own, _) = verdicts(record)?;
            misclassified.iter_mut().zip(own).for_each(|(misclassified, own)| *misclassified |= own);
        }
        Ok(Some(misclassified))
    }
}

/// The images that are shown, with who alone withstands the attack on each; `None` if there is none.
fn shown(
    source: &Source<'_>,
    own: &ModelUnderTest<'_>,
    rival: Option<&ModelUnderTest<'_>>,
    count: usize,
) -> Result<Option<(Batch, Vec<Option<String>>)>> {
    let data = &own.work.data;
    let first = data.len().min(LOOKED_THROUGH) as u32;
    let ids: Vec<ExampleId> = (0..first).map(ExampleId::first).collect();
    let batch = data
        .batch(&ids, &robin_data::LabelMap::Identity)
        .map_err(Error::work("reading the gallery's images"))?;
    let right = |subject: &ModelUnderTest<'_>| -> Result<Vec<bool>> {
        let said = subject.model.predict(&batch.images).map_err(Error::work("predicting the gallery"))?;
        Ok(said.iter().zip(&batch.labels).map(|(said, label)| said == label).collect())
    };
    let own_right = right(own)?;
    let mut rows: Vec<(usize, Option<String>)> = Vec::new();
    if let Some(rival) = rival
        && let (Some(mine), Some(other)) = (source.misclassified(own)?, source.misclassified(rival)?)
    {
        let rival_right = right(rival)?;
        let name =
            |subject: &ModelUnderTest<'_>| source.item.classifiers[subject.place.classifier].name.clone();
        for (withstands, breaks, who) in [(&mine, &other, own), (&other, &mine, rival)] {
            let alone =
                |row: &usize| own_right[*row] && rival_right[*row] && !withstands[*row] && breaks[*row];
            rows.extend((0..first as usize).find(alone).map(|row| (row, Some(name(who)))));
        }
    }
    rows.truncate(count);
    for (row, &is_right) in own_right.iter().enumerate().take(first as usize) {
        let fresh = !rows.iter().any(|(other, _)| batch.labels[*other] == batch.labels[row]);
        if rows.len() < count && is_right && fresh {
            rows.push((row, None));
        }
    }
    if rows.is_empty() {
        return Ok(None);
    }
    let (rows, only): (Vec<usize>, Vec<Option<String>>) = rows.into_iter().unzip();
    let batch = batch.select(&rows).map_err(Error::work("choosing the gallery's images"))?;
    Ok(Some((batch, only)))
}

impl ModelUnderTest<'_> {
    /// The images of `batch` under every strategy.
    fn attacked(&self, batch: &Batch) -> Result<Vec<GalleryExample>> {
        let clean =
            self.model.scores(&batch.images, &Columns::All).map_err(Error::work("scoring the gallery"))?;
        let predictions = self.model.predict(&batch.images).map_err(Error::work("predicting the gallery"))?;
        let (pictures, rows) = (pictures(&batch.images)?, rows_of(&clean)?);
        let mut examples: Vec<GalleryExample> = (0..batch.len())
            .map(|at| GalleryExample {
                id: u64::from(batch.ids[at].index),
                label: batch.labels[at] as usize,
                clean: pictures[at].clone(),
                prediction: predictions[at] as usize,
                scores: rows[at].clone(),
                entries: Vec::new(),
                rival: None,
                only: None,
            })
            .collect();
        for name in STRATEGIES {
            let entries = self.entries(batch, name.into())?;
            examples.iter_mut().zip(entries).for_each(|(example, entry)| example.entries.push(entry));
        }
        Ok(examples)
    }

    /// What the attack with `strategy` makes of the images.
    fn entries(&self, batch: &Batch, strategy: StrategyChoice) -> Result<Vec<GalleryEntry>> {
        let Self { work, attack, model, .. } = self;
        let cancel = CancelToken::default();
        let target = Target { model: model.as_ref(), criterion: &Misclassified, cancel: &cancel };
        let description = attack.spec.by(strategy);
        let (base, prepared) = description
            .build(attack.budget, work.kind.aggregate(), model.num_classes())
            .map_err(Error::work("preparing the attack"))?;
        let clean = model.scores(&batch.images, &Columns::All).map_err(Error::work("scoring the gallery"))?;
        let objectives = prepared.prepare(&clean, batch).map_err(Error::work("preparing the strategy"))?;
        let found = base
            .perturb(&target, &objectives, batch, work.seed)
            .map_err(Error::work("attacking the gallery"))?
            .worst;
        let scores =
            model.scores(&found.images, &Columns::All).map_err(Error::work("scoring the gallery"))?;
        let (rows, perturbed) = (rows_of(&scores)?, pictures(&found.images)?);
        let sizes = sizes(&batch.images, &found.images, attack.budget.norm)?;
        let entry = |at: usize| GalleryEntry {
            strategy: strategy.to_string(),
            perturbed: perturbed[at].clone(),
            prediction: found.verdicts[at].prediction as usize,
            scores: rows[at].clone(),
            size: sizes[at],
        };
        Ok((0..batch.len()).map(entry).collect())
    }
}
