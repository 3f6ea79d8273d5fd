//! A gallery from trained networks: the attack of the table on a few test images, once more.

use candle_core::Tensor;
use robin_aggregation::{Aggregation, StrategyConfig, StrategyName};
use robin_core::{
    Batch, CancelToken, Classifier, Columns, ExampleId, Misclassified, Norm, Scores, Target, host,
};
use robin_data::{Dataset, LabelMap};

use super::{Gallery, GalleryEntry, GalleryExample, Picture};
use crate::plan::{AttackedAt, EvaluationWork, Plan, PlannedAttack, PlannedItem, Work};
use crate::record::Kind;
use crate::run::{Context, aggregate, weights_sha256};
use crate::spec::{ClassifierKind, StrategySpec};
use crate::store::Store;
use crate::{Error, Outcome, Result, Watched};

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

/// Row `row` of `item` under the attack of its column `column`: the first `count` test images of different
/// classes that the one-vs-all classifier of the first seed has right. `None` where the row has no such
/// evaluation with this column, or its networks are not in `outcome`, or without their weights.
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
    let found = item.places.iter().find_map(|&(place, index)| {
        let Work::Evaluation(work) = &plan.cells[index].work else { return None };
        let wanted = place.row == row
            && item.columns[place.column].name == column
            && item.seeds.first() == Some(&place.seed)
            && work.kind == ClassifierKind::Aggregate(Aggregation::OneVsAll);
        let attack = work.attack.as_ref().filter(|attack| matches!(attack.at, AttackedAt::Itself(_)))?;
        wanted.then_some((place, index, work, attack))
    });
    let Some((place, index, work, attack)) = found else { return Ok(None) };
    let needs = &plan.cells[index].needs[..work.networks];
    let mut networks = Vec::new();
    for need in needs {
        let (Work::Network(network), Some(record)) = (&plan.cells[*need].work, outcome.records.get(need))
        else {
            return Ok(None);
        };
        if !store.weights_path(&record.key).is_file() {
            return Ok(None);
        }
        let bytes = store.load_weights(&record.key, weights_sha256(record)?)?;
        networks.push((&network.graph, bytes));
    }
    let cancel = CancelToken::default();
    let watched = Watched { index, kind: Kind::Evaluation, label: &plan.cells[index].label };
    let context = Context {
        executor: plan.device.executor(),
        batch_size: LOOKED_THROUGH,
        cancel: &cancel,
        observer: &(),
        watched: &watched,
    };
    let model = aggregate(work.kind, &networks, &context)?;
    let target = Target { model: model.as_ref(), judge: &Misclassified, cancel: &cancel };
    let planned = &item.rows[row].row;
    Ok(Some(Gallery {
        title: item.rows[row].row.label(),
        classifier: item.classifiers[place.classifier].name.clone(),
        attack: column.to_owned(),
        norm: attack.budget.norm.to_string(),
        epsilon: place.test.unwrap_or(attack.budget.epsilon).to_string(),
        classes: planned.dataset.class_names().iter().map(|name| (*name).to_owned()).collect(),
        examples: examples(&target, work, attack, count)?,
        records: needs.iter().map(|need| plan.cells[*need].key.to_string()).collect(),
    }))
}

/// The images that are shown, under every strategy.
fn examples(
    target: &Target<'_>,
    work: &EvaluationWork,
    attack: &PlannedAttack,
    count: usize,
) -> Result<Vec<GalleryExample>> {
    let shown = shown(target.model, &work.data, count)?;
    let Some(batch) = shown else { return Ok(Vec::new()) };
    let clean =
        target.model.scores(&batch.images, &Columns::All).map_err(Error::work("scoring the gallery"))?;
    let predictions = target.model.predict(&batch.images).map_err(Error::work("predicting the gallery"))?;
    let pictures = pictures(&batch.images)?;
    let rows = rows_of(&clean)?;
    let mut examples: Vec<GalleryExample> = (0..batch.len())
        .map(|at| GalleryExample {
            id: u64::from(batch.ids[at].index),
            label: batch.labels[at] as usize,
            clean: pictures[at].clone(),
            prediction: predictions[at] as usize,
            scores: rows[at].clone(),
            entries: Vec::new(),
        })
        .collect();
    let base = attack.spec.attack.build(attack.budget).map_err(Error::work("preparing the attack"))?;
    for name in STRATEGIES {
        let strategy = StrategySpec::Scores(StrategyConfig::from(name));
        let prepared = strategy
            .build(attack.spec.loss, work.kind)
            .map_err(|reason| Error::Work { doing: "preparing the strategy", source: reason.into() })?;
        let objectives = prepared.prepare(&clean, &batch).map_err(Error::work("preparing the strategy"))?;
        let found = base
            .perturb(target, &objectives, &batch, work.seed)
            .map_err(Error::work("attacking the gallery"))?
            .worst;
        let scores =
            target.model.scores(&found.images, &Columns::All).map_err(Error::work("scoring the gallery"))?;
        let rows = rows_of(&scores)?;
        let perturbed = self::pictures(&found.images)?;
        let sizes = sizes(&batch.images, &found.images, attack.budget.norm)?;
        for (at, example) in examples.iter_mut().enumerate() {
            example.entries.push(GalleryEntry {
                strategy: strategy.to_string(),
                perturbed: perturbed[at].clone(),
                prediction: found.rulings[at].prediction as usize,
                scores: rows[at].clone(),
                size: sizes[at],
            });
        }
    }
    Ok(examples)
}

/// The first images of different classes that `model` has right, among the first ones; `None` if there is none.
fn shown(model: &dyn Classifier, data: &Dataset, count: usize) -> Result<Option<Batch>> {
    let first = data.len().min(LOOKED_THROUGH) as u32;
    let ids: Vec<ExampleId> = (0..first).map(ExampleId::first).collect();
    let batch = data.batch(&ids, &LabelMap::Identity).map_err(Error::work("reading the gallery's images"))?;
    let predictions = model.predict(&batch.images).map_err(Error::work("predicting the gallery"))?;
    let mut classes: Vec<u32> = Vec::new();
    let mut rows = Vec::new();
    for (row, (&label, &prediction)) in batch.labels.iter().zip(&predictions).enumerate() {
        if rows.len() < count && label == prediction && !classes.contains(&label) {
            classes.push(label);
            rows.push(row);
        }
    }
    match rows.is_empty() {
        true => Ok(None),
        false => batch.select(&rows).map(Some).map_err(Error::work("choosing the gallery's images")),
    }
}

/// `[n][m]`.
fn rows_of(scores: &Scores) -> Result<Vec<Vec<f64>>> {
    let values = scores.to_vec().map_err(Error::work("reading scores"))?;
    Ok(values
        .chunks(scores.columns())
        .map(|row| row.iter().map(|&score| f64::from(score)).collect())
        .collect())
}

/// `images` `[n, c, h, w]` in `[0, 1]`, rounded to 8 bits.
fn pictures(images: &Tensor) -> Result<Vec<Picture>> {
    let (_, channels, height, width) =
        images.dims4().map_err(Error::work("reading the shape of the gallery's images"))?;
    let values = host::to_vec(images).map_err(Error::work("reading the gallery's images"))?;
    let picture = |pixels: &[f32]| Picture {
        channels,
        height,
        width,
        pixels: pixels.iter().map(|&value| (value * 255.0).round() as u8).collect(),
    };
    Ok(values.chunks(channels * height * width).map(picture).collect())
}

/// Size of each perturbation, `[n]`.
fn sizes(clean: &Tensor, perturbed: &Tensor, norm: Norm) -> Result<Vec<f64>> {
    let (n, _) = host::image_rows("images", clean).map_err(Error::work("reading the gallery's images"))?;
    let [clean, perturbed] = [clean, perturbed].map(host::to_vec);
    let (clean, perturbed) = clean
        .and_then(|clean| Ok((clean, perturbed?)))
        .map_err(Error::work("reading the gallery's images"))?;
    let length = clean.len() / n;
    Ok(clean.chunks(length).zip(perturbed.chunks(length)).map(|(old, new)| norm.distance(old, new)).collect())
}
