//! One attack on one classifier.

use std::path::PathBuf;
use std::time::Instant;

use robin_core::{Budget, Epsilon, Judge, Misclassified, Norm, Purpose, Seed};
use robin_data::Dataset;
use robin_evaluation::foreign::{BadGradients, GradientReport, check};
use robin_evaluation::{CostTotals, Ledger, Options, Order, Which, Witnesses};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::means::Prepared;
use super::output::Saver;
use super::subject::Description;
use super::target::Hits;
use super::{How, Images, ImagesRequest, MeansRequest, Subject, SubjectRequest, Teller, Told};
use crate::plan::settings::numerics;
use crate::run::to_json;
use crate::{Error, Result};

/// What is to be done.
#[derive(Debug, Clone)]
pub struct AttackRequest {
    /// The classifier.
    pub subject: SubjectRequest,
    /// The images.
    pub images: ImagesRequest,
    /// The attack.
    pub means: MeansRequest,
    /// How perturbations are measured.
    pub norm: Norm,
    /// The largest sizes, one attack for each.
    pub epsilons: Vec<Epsilon>,
    /// Which image of the attack counts.
    pub iterate: Which,
    /// Of all random numbers.
    pub seed: u64,
    /// What happens if the gradient is not true.
    pub bad_gradients: BadGradients,
    /// Folder for the images that were found, one folder per epsilon below it.
    pub out: Option<PathBuf>,
    /// How many of them are drawn as PNG too.
    pub pictures: usize,
}

/// What an attack within one budget did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AttackReport {
    /// Share that is right without an attack. With a target: that is not taken for it; images of the target
    /// class itself always count as standing, here and below.
    pub clean_accuracy: f64,
    /// Share that the attack does not break.
    pub robust_accuracy: f64,
    /// Number of images.
    pub n: usize,
    /// Networks run forward.
    pub forward: u64,
    /// Networks run backward.
    pub backward: u64,
    /// Wall-clock time of the attack.
    pub seconds: f64,
    /// Each image.
    pub examples: Vec<Example>,
    /// The budget's norm.
    pub norm: Norm,
    /// The budget's radius, as it was written.
    pub epsilon: Epsilon,
    /// The attack with its loss, strategy and settings.
    pub attack: String,
    /// Of a bundle, each stage in its turn; empty for an attack alone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stages: Vec<StageReport>,
    /// The classifier.
    pub classifier: Description,
    /// The images.
    pub data: Images,
    /// Whether the classifier's gradient is that of its scores; if it is not, these numbers say nothing.
    pub gradient_is_true: bool,
    /// The probe behind that.
    pub gradient: GradientReport,
}

/// One stage of a bundle.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StageReport {
    /// Its name, with the bundle's and its loss.
    pub stage: String,
    /// Images that the stages before had left standing, and that it attacked.
    pub attacked: u64,
    /// Share that neither it nor a stage before it breaks.
    pub robust_accuracy: f64,
    /// Networks run forward.
    pub forward: u64,
    /// Networks run backward.
    pub backward: u64,
    /// Wall-clock time.
    pub seconds: f64,
}

/// One image.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Example {
    /// Its place in the data set.
    pub id: u32,
    /// Its class.
    pub label: u32,
    /// What the classifier says to it.
    pub clean_prediction: u32,
    /// What it says to the perturbed image.
    pub adversarial_prediction: u32,
    /// Size of the perturbation.
    pub size: f32,
}

/// Attacks within each budget.
///
/// # Errors
/// As [`attack_each`], whatever was done by then.
pub fn attack(request: &AttackRequest, how: &How<'_>) -> Result<Vec<AttackReport>> {
    let mut reports = Vec::new();
    attack_each(request, how, &mut |report| reports.push(report))?;
    Ok(reports)
}

/// Attacks within each budget, and hands over each report when its attack is done, whatever happens afterwards.
///
/// # Errors
/// [`Error::Unfit`] and [`Error::Unknown`] for a request that cannot be; [`Error::OtherSettings`] and
/// [`Error::Occupied`] if the folder belongs to another attack; [`Error::Data`], [`Error::Io`] and [`Error::Work`]
/// otherwise. Files are written whole or not at all; that one cannot be written is found before the work as far as
/// it can be known, and said at the end if not.
pub fn attack_each(
    request: &AttackRequest,
    how: &How<'_>,
    done: &mut (dyn FnMut(AttackReport) + Send),
) -> Result<()> {
    if request.epsilons.is_empty() {
        return Err(Error::Unfit {
            option: "--epsilon",
            given: "(nothing)".to_owned(),
            reason: "at least one radius is needed".to_owned(),
        });
    }
    if !request.means.is_bundle() {
        request.means.config()?;
    }
    let budgets: Vec<Budget> =
        request.epsilons.iter().map(|&epsilon| Budget { norm: request.norm, epsilon }).collect();
    let (data, images) = request.images.load()?;
    let subject = Subject::load(
        &request.subject,
        data.shape(),
        data.num_classes(),
        request.images.dataset.published(),
    )?;
    let prepare = |&budget: &Budget| request.means.prepare(budget, subject.aggregate, data.num_classes());
    let attacks = budgets.iter().map(prepare).collect::<Result<Vec<_>>>()?;
    let mut saver = match &request.out {
        Some(folder) => {
            let settings = settings(request, &subject.description, &images, attacks.first())?;
            Some(Saver::open(folder, &budgets, &settings, &data, request.pictures)?)
        }
        None => None,
    };
    let gradient = prove(&subject, &data, request.bad_gradients, request.seed, how)?;

    let judge: Box<dyn Judge> = match request.means.target {
        Some(class) => Box::new(Hits(class)),
        None => Box::new(Misclassified),
    };
    let mut teller = Teller(how.tell);
    let mut options = Options { batch_size: how.batch_size, cancel: how.cancel, observer: &mut teller };
    let model = subject.classifier.as_ref();
    (how.tell)(&Told::Begins("clean images"));
    let clean = Ledger::begin(model, judge.as_ref(), &data, &mut options)
        .map_err(Error::work("measuring clean accuracy"))?;
    let seed = Seed::new(request.seed).derive(Purpose::Evaluation, 0);
    let label = request.means.label();
    for (budget, prepared) in budgets.into_iter().zip(attacks) {
        let begun = Instant::now();
        let mut ledger = clean.clone();
        let mut witnesses = Witnesses::new(budget, data.sha256(), data.shape());
        let mut stage_seconds = Vec::new();
        for stage in &prepared {
            (how.tell)(&Told::Begins(&format!("{}, {budget}", stage.label)));
            let (means, begun) = (stage.means(request.iterate), Instant::now());
            let (order, kept) = (Order::Standing, request.out.is_some().then_some(&mut witnesses));
            ledger
                .run(model, judge.as_ref(), &means, &data, 0, order, seed, kept, &mut options)
                .map_err(Error::work("attacking"))?;
            stage_seconds.push(begun.elapsed().as_secs_f64());
        }
        let seconds = begun.elapsed().as_secs_f64();
        let summary = ledger.summary(budget).map_err(Error::work("summing up"))?;
        let mut cost = CostTotals::default();
        summary.attacks.iter().for_each(|stage| cost.add(&stage.cost));
        let stages = summary.attacks.iter().zip(stage_seconds).map(|(stage, seconds)| StageReport {
            stage: stage.attack.clone(),
            attacked: stage.cost.attacked,
            robust_accuracy: stage.accuracy,
            forward: stage.cost.forward,
            backward: stage.cost.backward,
            seconds,
        });
        // Every stage carries on what the ones before have found.
        let outcome = &ledger.runs.last().expect("an attack has at least one stage").outcome;
        done(AttackReport {
            clean_accuracy: summary.clean_accuracy,
            robust_accuracy: summary.union,
            n: summary.n,
            forward: cost.forward,
            backward: cost.backward,
            seconds,
            examples: (0..ledger.len())
                .map(|at| Example {
                    id: at as u32,
                    label: ledger.labels[at],
                    clean_prediction: ledger.clean.predictions[at],
                    adversarial_prediction: outcome.predictions[at],
                    size: outcome.sizes[at],
                })
                .collect(),
            norm: budget.norm,
            epsilon: budget.epsilon,
            attack: label.clone(),
            stages: if prepared.len() > 1 { stages.collect() } else { Vec::new() },
            classifier: subject.description.clone(),
            data: images.clone(),
            gradient_is_true: gradient.is_true(),
            gradient,
        });
        if let Some(saver) = &mut saver {
            saver.save(witnesses, &data, how);
        }
    }
    saver.map_or(Ok(()), Saver::finish)
}

/// Everything that decides which images are found, but for the budget's size: what a folder of them is for.
fn settings(
    request: &AttackRequest,
    classifier: &Description,
    images: &Images,
    stages: Option<&Vec<Prepared>>,
) -> Result<Value> {
    // By their names, so that a setting in which two runs differ can be named.
    let stages: Map<String, Value> = stages
        .into_iter()
        .flatten()
        .map(|stage| Ok((stage.label.clone(), to_json("the attack", &stage.config())?)))
        .collect::<Result<_>>()?;
    Ok(json!({
        "format": "robin-attack/1",
        "classifier": classifier,
        "data": images,
        "attack": request.means.label(),
        "stages": stages,
        "target": request.means.target,
        "norm": request.norm,
        "iterate": format!("{:?}", request.iterate).to_lowercase(),
        "seed": request.seed,
        "numerics": numerics(&["core", "kernels", "nn", "data", "models", "attacks", "aggregation", "evaluation"]),
    }))
}

/// The checks before any attack.
pub(super) fn prove(
    subject: &Subject,
    data: &Dataset,
    bad_gradients: BadGradients,
    seed: u64,
    how: &How<'_>,
) -> Result<GradientReport> {
    (how.tell)(&Told::Begins("is the gradient true?"));
    let ids: Vec<_> = (0..data.len().min(8) as u32).map(robin_core::ExampleId::first).collect();
    let batch =
        data.batch(&ids, &robin_data::LabelMap::Identity).map_err(Error::work("reading the first images"))?;
    let report = check(subject.classifier.as_ref(), &batch, bad_gradients, Seed::new(seed))
        .map_err(Error::work("checking the classifier"))?;
    if !report.is_true() {
        (how.tell)(&Told::Warning(
            "the classifier's gradient is NOT that of its scores: all results are marked",
        ));
    }
    Ok(report)
}
