//! One attack on one classifier.

use std::path::PathBuf;
use std::time::Instant;

use robin_attacks::Config;
use robin_core::{Budget, Epsilon, ExampleId, Misclassified, Norm, Purpose, Seed, SuccessCriterion};
use robin_data::{Dataset, LabelMap};
use robin_evaluation::external_model::{BadGradients, GradientReport, GradientVerdict, check};
use robin_evaluation::{
    CostTotals, Evaluation, Ledger, Observer, Options, Order, Progress, Run, Which, Witnesses, blind,
    scattered,
};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::attack_setup::Prepared;
use super::description::Description;
use super::found::{Counted, Example, OfClass, TargetReport, examples};
use super::output::Saver;
use super::target::Hits;
use super::{
    AttackSetupRequest, Event, Images, ImagesRequest, ModelRequest, ModelUnderTest, ObserverAdapter,
    RunOptions,
};
use crate::cell::to_json;
use crate::plan::settings::numerics;
use crate::{Error, Result, caveats};

/// What is to be done.
#[derive(Debug, Clone)]
pub struct AttackRequest {
    /// The classifier.
    pub model: ModelRequest,
    /// The images.
    pub images: ImagesRequest,
    /// The attack.
    pub setup: AttackSetupRequest,
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

/// What an attack within one budget did. Every number is counted from `examples`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AttackReport {
    /// Share of all images that is right without an attack.
    pub clean_accuracy: f64,
    /// Share of `robust_n` images that is right, and still is after the attack; `None` if there are none.
    pub robust_accuracy: Option<f64>,
    /// All images; with a target those of other classes, because nothing attacks an image of the class itself.
    pub robust_n: usize,
    /// Number of images.
    pub n: usize,
    /// How many of them were attacked.
    pub attacked: usize,
    /// With a target: how many were led to it.
    #[serde(flatten)]
    pub target: Option<TargetReport>,
    /// Networks run forward.
    pub forward: u64,
    /// Networks run backward.
    pub backward: u64,
    /// Input gradients taken.
    pub gradients: u64,
    /// How many of them were exactly zero: there the attack saw nothing.
    pub zero_gradients: u64,
    /// Their share; `None` where the attack takes none.
    pub zero_gradient_share: Option<f64>,
    /// Wall-clock time of the attack.
    pub seconds: f64,
    /// What must be said beside the numbers.
    pub warnings: Vec<String>,
    /// The same by class.
    pub classes: Vec<OfClass>,
    /// Each image.
    pub examples: Vec<Example>,
    /// The budget's norm.
    pub norm: Norm,
    /// The budget's radius, as it was written.
    pub epsilon: Epsilon,
    /// The attack with its loss, strategy and settings.
    pub attack: String,
    /// Every setting of it, those that nobody gave included; of a bundle, of each stage.
    pub settings: Vec<Config>,
    /// Which of its images counts.
    pub iterate: Which,
    /// Of all random numbers.
    pub seed: u64,
    /// Of a bundle, each stage in its turn; empty for an attack alone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stages: Vec<StageReport>,
    /// The classifier.
    pub classifier: Description,
    /// The images.
    pub data: Images,
    /// Whether nothing is false about the classifier's gradient; if it is false, these numbers say nothing.
    pub gradient_is_true: bool,
    /// The probe behind that; it may have found the gradient flat, too.
    pub gradient: GradientReport,
}

/// One stage of a bundle.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StageReport {
    /// Its name, with the bundle's and its loss.
    pub stage: String,
    /// Images that the stages before had failed on, and that it attacked.
    pub attacked: u64,
    /// Share of all images that neither it nor a stage before it breaks.
    pub robust_accuracy: f64,
    /// Networks run forward.
    pub forward: u64,
    /// Networks run backward.
    pub backward: u64,
    /// Input gradients taken.
    pub gradients: u64,
    /// How many of them were exactly zero.
    pub zero_gradients: u64,
    /// Their share; `None` where the stage takes none.
    pub zero_gradient_share: Option<f64>,
    /// Wall-clock time.
    pub seconds: f64,
}

/// Attacks within each budget.
///
/// # Errors
/// As [`attack_each`], whatever was done by then.
pub fn attack(request: &AttackRequest, run_options: &RunOptions<'_>) -> Result<Vec<AttackReport>> {
    let mut reports = Vec::new();
    attack_each(request, run_options, &mut |report| reports.push(report))?;
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
    run_options: &RunOptions<'_>,
    done: &mut (dyn FnMut(AttackReport) + Send),
) -> Result<()> {
    if request.epsilons.is_empty() {
        return Err(Error::Unfit {
            option: "--epsilon",
            given: "(nothing)".to_owned(),
            reason: "at least one radius is needed".to_owned(),
        });
    }
    if !request.setup.is_bundle() {
        request.setup.config()?;
    }
    let budgets: Vec<Budget> =
        request.epsilons.iter().map(|&epsilon| Budget { norm: request.norm, epsilon }).collect();
    let (data, images) = request.images.load()?;
    let model = ModelUnderTest::load(&request.model, &data, &images, run_options)?;
    warn_of_budgets(&budgets, &data, run_options);
    let classes = model.classifier.num_classes();
    let prepare = |&budget: &Budget| request.setup.prepare(budget, model.aggregate, classes);
    let attacks = budgets.iter().map(prepare).collect::<Result<Vec<_>>>()?;
    let mut saver = match &request.out {
        Some(folder) => {
            let settings = settings(request, &model.description, &images, attacks.first())?;
            Some(Saver::open(folder, &budgets, &settings, &data, request.pictures)?)
        }
        None => None,
    };
    let gradient = prove(&model, &data, request.bad_gradients, request.seed, run_options)?;

    let target = request.setup.target;
    let criterion: Box<dyn SuccessCriterion> = match target {
        Some(class) => Box::new(Hits(class)),
        None => Box::new(Misclassified),
    };
    let mut observer = Attacked { observer: ObserverAdapter(run_options.on_event), left_out: 0 };
    let mut options =
        Options { batch_size: run_options.batch_size, cancel: run_options.cancel, observer: &mut observer };
    let evaluation = Evaluation {
        model: model.classifier.as_ref(),
        criterion: criterion.as_ref(),
        data: &data,
        seed: Seed::new(request.seed).derive(Purpose::Evaluation, 0),
    };
    (run_options.on_event)(&Event::Begins("clean images"));
    let mut clean = Ledger::begin(&Evaluation { criterion: &Misclassified, ..evaluation }, &mut options)
        .map_err(Error::work("measuring clean accuracy"))?;
    if target.is_some() {
        let decisions = clean.clean.predictions.iter().zip(&clean.labels);
        clean.clean.misclassified =
            decisions.map(|(&said, &label)| criterion.misclassified(said, label)).collect();
        observer.left_out = clean.clean.misclassified.iter().filter(|left_out| **left_out).count();
    }
    let mut options =
        Options { batch_size: run_options.batch_size, cancel: run_options.cancel, observer: &mut observer };
    let label = request.setup.label();
    for (budget, prepared) in budgets.into_iter().zip(attacks) {
        let begun = Instant::now();
        let mut ledger = clean.clone();
        let mut witnesses = Witnesses::new(budget, &images.sha256, data.shape());
        let mut stage_seconds = Vec::new();
        for stage in &prepared {
            (run_options.on_event)(&Event::Begins(&format!("{}, {budget}", stage.label)));
            let (setup, begun) = (stage.setup(request.iterate), Instant::now());
            let (order, kept) = (Order::Standing, request.out.is_some().then_some(&mut witnesses));
            ledger
                .run(&evaluation, &setup, 0, order, kept, &mut options)
                .map_err(Error::work("attacking"))?;
            stage_seconds.push(begun.elapsed().as_secs_f64());
        }
        let seconds = begun.elapsed().as_secs_f64();
        let examples = examples(&ledger, target, prepared.len() > 1);
        let counted = Counted::of(&examples, target, classes);
        let mut warnings: Vec<String> = gradient_caveat(&gradient).into_iter().collect();
        for (stage_run, stage) in ledger.runs.iter().zip(&prepared) {
            if let Some(blind) = blind(&stage_run.cost(), stage.loss) {
                let warning = format!("{}, {budget}: {blind}", stage.label);
                (run_options.on_event)(&Event::Warning(&warning));
                warnings.push(warning);
            }
        }
        let stages = match prepared.len() {
            1 => Vec::new(),
            _ => ledger.runs.iter().zip(stage_seconds).map(StageReport::of).collect(),
        };
        let Counted { clean_accuracy, robust_accuracy, robust_n, target, classes, cost } = counted;
        debug_assert!(
            target.is_some() || robust_accuracy == Some(robin_evaluation::accuracy(&ledger.union(budget)))
        );
        done(AttackReport {
            clean_accuracy,
            robust_accuracy,
            robust_n,
            n: examples.len(),
            attacked: cost.attacked as usize,
            target,
            forward: cost.forward,
            backward: cost.backward,
            gradients: cost.gradients,
            zero_gradients: cost.zero_gradients,
            zero_gradient_share: zero_gradient_share(&cost),
            seconds,
            warnings,
            classes,
            examples,
            norm: budget.norm,
            epsilon: budget.epsilon,
            attack: label.clone(),
            settings: prepared.iter().map(|stage| stage.config).collect(),
            iterate: request.iterate,
            seed: request.seed,
            stages,
            classifier: model.description.clone(),
            data: images.clone(),
            gradient_is_true: gradient.is_true(),
            gradient,
        });
        if let Some(saver) = &mut saver {
            saver.save(witnesses, &data, run_options);
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
        "attack": request.setup.label(),
        "stages": stages,
        "target": request.setup.target,
        "norm": request.norm,
        "iterate": format!("{:?}", request.iterate).to_lowercase(),
        "seed": request.seed,
        "numerics": numerics(&["core", "kernels", "nn", "data", "models", "attacks", "aggregation", "evaluation"]),
    }))
}

/// Says which budgets reach from any image to any other.
pub(super) fn warn_of_budgets(budgets: &[Budget], data: &Dataset, run_options: &RunOptions<'_>) {
    let caveats = budgets.iter().filter_map(|&budget| caveats::budget(budget, data.shape()));
    caveats.for_each(|caveat| (run_options.on_event)(&Event::Warning(&caveat)));
}

/// Says how far an attack is among the images that it is about.
struct Attacked<'a> {
    observer: ObserverAdapter<'a>,
    /// Images that an attack with a target leaves out.
    left_out: usize,
}

impl Observer for Attacked<'_> {
    fn progress(&mut self, &Progress { done, of, misclassified }: &Progress) {
        let of_those = |count: usize| count.saturating_sub(self.left_out);
        let (done, of, misclassified) = (of_those(done), of_those(of), of_those(misclassified));
        self.observer.progress(&Progress { done, of, misclassified });
    }
}

impl StageReport {
    fn of((run, seconds): (&Run, f64)) -> Self {
        let cost = run.cost();
        Self {
            stage: run.attack.clone(),
            attacked: cost.attacked,
            // Every stage carries on what the ones before have found.
            robust_accuracy: run.outcome.accuracy(),
            forward: cost.forward,
            backward: cost.backward,
            gradients: cost.gradients,
            zero_gradients: cost.zero_gradients,
            zero_gradient_share: zero_gradient_share(&cost),
            seconds,
        }
    }
}

fn zero_gradient_share(cost: &CostTotals) -> Option<f64> {
    (cost.gradients > 0).then(|| cost.zero_gradient_share())
}

/// The checks before any attack.
pub(super) fn prove(
    model: &ModelUnderTest,
    data: &Dataset,
    bad_gradients: BadGradients,
    seed: u64,
    run_options: &RunOptions<'_>,
) -> Result<GradientReport> {
    (run_options.on_event)(&Event::Begins("is the gradient true?"));
    let seed = Seed::new(seed);
    let ids: Vec<_> = scattered(data.len(), PROBED, seed).into_iter().map(ExampleId::first).collect();
    let batch = data.batch(&ids, &LabelMap::Identity).map_err(Error::work("reading some of the images"))?;
    let report = check(model.classifier.as_ref(), &batch, bad_gradients, seed)
        .map_err(Error::work("checking the classifier"))?;
    if let Some(caveat) = gradient_caveat(&report) {
        (run_options.on_event)(&Event::Warning(&caveat));
    }
    Ok(report)
}

/// Images from all over the set that the gradient is probed at, at most.
const PROBED: usize = 64;

/// From this share of flat probes on it is said.
const FLAT: f64 = 0.05;

/// What to say about a gradient that is not as it should be.
pub(super) fn gradient_caveat(report: &GradientReport) -> Option<String> {
    let GradientReport { verdict, flat_share, images, moved, flat, .. } = *report;
    let said = format!("{:.1}% of the probes ({images} images)", 100.0 * flat_share);
    match verdict {
        GradientVerdict::False => {
            Some("the classifier's gradient is NOT that of its scores: all results are marked".to_owned())
        }
        GradientVerdict::Flat => Some(format!(
            "the classifier is FLAT: on {said} neither its scores nor its gradient move, {moved} of {} do; gradients lead \
             nowhere, and what attacks by gradients leave correct is not robust by their word",
            moved + flat
        )),
        GradientVerdict::True if flat_share >= FLAT => {
            Some(format!("the classifier is flat on {said}: neither its scores nor its gradient move there"))
        }
        GradientVerdict::True => None,
    }
}
