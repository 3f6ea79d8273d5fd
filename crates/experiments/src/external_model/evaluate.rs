//! A classifier in full: a set of attacks in a ledger, their union, and the battery of sanity checks.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use robin_aggregation::{
    About, Aggregation, Combine, Networks, Stages, StrategyChoice, StrategyConfig, StrategyName,
};
use robin_attacks::Loss;
use robin_core::{Budget, Misclassified, Purpose, Seed};
use robin_data::Dataset;
use robin_evaluation::battery::{self, Finding, Scope};
use robin_evaluation::external_model::{BadGradients, GradientReport};
use robin_evaluation::{Evaluation, Ledger, Options, Order, Summary, Which, Witnesses};
use serde::Serialize;
use serde_json::{Value, json};

use super::attack::{gradient_caveat, prove, warn_of_budgets};
use super::attack_setup::Prepared;
use super::description::Description;
use super::found::OfClass;
use super::output::{Unsaved, other_settings};
use super::{
    AttackSetupRequest, Event, Images, ImagesRequest, ModelRequest, ModelUnderTest, ObserverAdapter,
    RunOptions, output,
};
use crate::out::{Out, check_targets, write};
use crate::plan::settings::numerics;
use crate::{Error, Result};

/// What is to be done.
#[derive(Debug, Clone)]
pub struct EvaluateRequest {
    /// The classifier.
    pub model: ModelRequest,
    /// The images.
    pub images: ImagesRequest,
    /// The budget.
    pub budget: Budget,
    /// Steps of the gradient attacks.
    pub steps: usize,
    /// Restarts of each attack of the suite.
    pub restarts: u32,
    /// Attacks beside the suite, by their names, as their authors run them on all scores.
    pub attacks: Vec<String>,
    /// Of all random numbers.
    pub seed: u64,
    /// How much of the battery.
    pub scope: Scope,
    /// What happens if the gradient is not true.
    pub bad_gradients: BadGradients,
    /// Folder of the ledger, the battery's findings and the witnesses; continued if it has some.
    pub out: PathBuf,
}

/// The verdict.
#[derive(Debug, Clone, Serialize)]
pub struct EvaluateReport {
    /// Clean accuracy, each attack, the lowest, and the union.
    pub summary: Summary,
    /// Clean accuracy and the union by class.
    pub classes: Vec<OfClass>,
    /// What must be said beside the numbers.
    pub warnings: Vec<String>,
    /// What is doubtful about images, weights and budget, in words; said before any attack.
    #[serde(skip)]
    pub caveats: Vec<String>,
    /// What each test of the battery found.
    pub battery: Vec<Finding>,
    /// On how many of the images.
    pub battery_images: usize,
    /// Whether nothing is false about the classifier's gradient; if it is false, these numbers say nothing.
    pub gradient_is_true: bool,
    /// The probe behind that; it may have found the gradient flat, too.
    pub gradient: GradientReport,
    /// The budget.
    pub budget: Budget,
    /// The classifier.
    pub classifier: Description,
    /// The images.
    pub data: Images,
}

/// Evaluates, or continues an evaluation that was interrupted.
///
/// # Errors
/// As [`evaluate_and`], whatever was done by then.
pub fn evaluate(request: &EvaluateRequest, run_options: &RunOptions<'_>) -> Result<EvaluateReport> {
    let mut verdict = None;
    evaluate_and(request, run_options, &mut |report| verdict = Some(report))?;
    Ok(verdict.expect("without an error there is a report"))
}

/// Evaluates, or continues an evaluation that was interrupted, and hands over the report even if it cannot be saved.
///
/// # Errors
/// As [`super::attack_each`]; [`Error::OtherSettings`] if the folder holds another evaluation. What is written
/// is written whole, after every run and every test.
pub fn evaluate_and(
    request: &EvaluateRequest,
    run_options: &RunOptions<'_>,
    done: &mut (dyn FnMut(EvaluateReport) + Send),
) -> Result<()> {
    let EvaluateRequest { budget, steps, restarts, seed, .. } = request;
    Error::check_count("--restarts", *restarts as usize, robin_attacks::MOST_RUNS)?;
    let (data, images) = request.images.load()?;
    // What is said before any attack is about what was asked for.
    let heard = Mutex::new(Vec::new());
    let on_event = |event: &Event<'_>| {
        if let Event::Warning(text) = event {
            heard.lock().unwrap_or_else(PoisonError::into_inner).push((*text).to_owned());
        }
        (run_options.on_event)(event);
    };
    let listening = RunOptions { on_event: &on_event, ..*run_options };
    let model = ModelUnderTest::load(&request.model, &data, &images, &listening)?;
    warn_of_budgets(&[*budget], &data, &listening);
    let heard = heard.into_inner().unwrap_or_else(PoisonError::into_inner);
    let classes = model.classifier.num_classes();
    let planned = planned(request, &model, classes)?;
    let mut settings = json!({
        "classifier": model.description.identity()?,
        "data": &images,
        "budget": budget,
        "steps": steps,
        "restarts": restarts,
        "seed": seed,
        "scope": request.scope,
        "numerics": numerics(&["core", "kernels", "nn", "data", "models", "attacks", "aggregation", "evaluation"]),
    });
    // Said where it is not the usual number, so that a folder of before goes on.
    if request.scope == Scope::Subset && images_of_battery(&model) != battery::SUBSET {
        settings["battery_images"] = images_of_battery(&model).into();
    }
    if !request.attacks.is_empty() {
        settings["attacks"] = request.attacks.clone().into();
    }
    // Until the end, so that two of them never write into one folder; with room for every image in f32, and for words.
    let needed = 4 * data.len() * data.shape().iter().product::<usize>() + (16 << 20);
    let out = Out::open(&request.out, needed as u64)?;
    let files = FILES.map(|name| request.out.join(name));
    let there =
        |_: &Path| Ok(FILES.iter().find(|name| request.out.join(name).exists()).map(ToString::to_string));
    out.claim("settings.json", &settings, there, other_settings(request.out.join("settings.json")))?;
    check_targets(files)?;
    let gradient = prove(&model, &data, request.bad_gradients, *seed, run_options)?;

    let mut unsaved = Unsaved::default();
    let ledger = attacks(request, &model, &data, &planned, run_options, (&settings, &mut unsaved))?;
    let (battery, battery_images) = battery(request, &model, &data, run_options, &mut unsaved)?;
    let summary = ledger.summary(*budget).map_err(Error::work("summing up"))?;
    let union = ledger.union(*budget);
    let rows = (0..ledger.len()).map(|at| (ledger.labels[at], !ledger.clean.misclassified[at], !union[at]));
    let mut warnings: Vec<String> = gradient_caveat(&gradient).into_iter().collect();
    for attack in &summary.attacks {
        if let Some(blind) = attack.blind {
            let warning = format!("{}: {blind}", attack.attack);
            (run_options.on_event)(&Event::Warning(&warning));
            warnings.push(warning);
        }
    }
    warnings.extend(summary.weak_cw.as_ref().map(ToString::to_string));
    let report = EvaluateReport {
        classes: OfClass::count(rows, classes),
        caveats: heard,
        warnings,
        summary,
        battery,
        battery_images,
        gradient_is_true: gradient.is_true(),
        gradient,
        budget: *budget,
        classifier: model.description,
        data: images,
    };
    let text =
        serde_json::to_string_pretty(&report).map_err(|source| Error::Json { what: "the report", source })?;
    done(report);
    let path = request.out.join("report.json");
    unsaved.note(&path, write(&path, text.as_bytes()), run_options);
    unsaved.finish()
}

/// How many images the battery takes of more.
fn images_of_battery(model: &ModelUnderTest) -> usize {
    battery::subset_size(model.multiply_adds)
}

/// What an evaluation writes beside its settings.
const FILES: [&str; 4] = ["ledger.json", "battery.json", "adversarial.safetensors", "report.json"];

/// The attacks of an evaluation: what the paper has, and what it should have feared.
fn suite(steps: usize, aggregate: Option<Aggregation>) -> Vec<AttackSetupRequest> {
    let scores = |name: StrategyName| StrategyChoice::Scores(name.into());
    let pgd = |loss, strategy| AttackSetupRequest::new("pgd", json!({ "steps": steps }), loss, strategy);
    let mut suite = vec![
        pgd(Loss::Ce, scores(StrategyName::Softmax)),
        pgd(Loss::Margin, scores(StrategyName::Softmax)),
        pgd(Loss::Margin, scores(StrategyName::MarginT)),
    ];
    match aggregate.map(Aggregation::about) {
        Some(About { networks: Networks::Stages(_), .. }) => {
            suite.push(pgd(Loss::Ce, StrategyChoice::Stages(Stages::Both)));
        }
        Some(About { arms: true, .. }) => {
            suite.push(pgd(Loss::Ce, scores(StrategyName::BestArm)));
            suite.push(pgd(Loss::Ce, scores(StrategyName::Top2)));
            suite.push(pgd(Loss::Margin, scores(StrategyName::Reweighted)));
            let normalised =
                StrategyConfig { combine: Combine::Normalised, ..StrategyName::AverageGradient.into() };
            suite.push(pgd(Loss::Margin, StrategyChoice::Scores(normalised)));
        }
        _ => {}
    }
    suite.push(AttackSetupRequest::new(
        "random-noise",
        json!({}),
        Loss::Margin,
        scores(StrategyName::Softmax),
    ));
    suite
}

/// One run of an evaluation.
struct Planned {
    prepared: Prepared,
    restart: u32,
    order: Order,
}

/// Every run, in its order: bundles first, so that their stages meet what they themselves have failed on and
/// nothing else; then the suite, and what was asked for beside it, on all examples.
fn planned(request: &EvaluateRequest, model: &ModelUnderTest, classes: usize) -> Result<Vec<Planned>> {
    let prepare = |setup: &AttackSetupRequest| setup.prepare(request.budget, model.aggregate, classes);
    let asked: Vec<AttackSetupRequest> =
        request.attacks.iter().map(|name| AttackSetupRequest::usual(name)).collect();
    let (bundles, alone): (Vec<_>, Vec<_>) = asked.iter().partition(|setup| setup.is_bundle());
    if bundles.len() > 1
        || (1..alone.len()).any(|at| alone[..at].iter().any(|m| m.attack == alone[at].attack))
    {
        return Err(Error::Unfit {
            option: "--attack",
            given: request.attacks.join(","),
            reason: "one of them stands there twice".to_owned(),
        });
    }
    let mut planned = Vec::new();
    for setup in bundles {
        let stages = prepare(setup)?.into_iter();
        planned.extend(stages.map(|prepared| Planned { prepared, restart: 0, order: Order::Standing }));
    }
    for setup in &suite(request.steps, model.aggregate) {
        for restart in 0..request.restarts {
            let runs = prepare(setup)?.into_iter();
            planned.extend(runs.map(|prepared| Planned { prepared, restart, order: Order::Each }));
        }
    }
    for setup in alone {
        let runs = prepare(setup)?.into_iter();
        planned.extend(runs.map(|prepared| Planned { prepared, restart: 0, order: Order::Each }));
    }
    Ok(planned)
}

/// Every run that the ledger in the folder does not have yet.
fn attacks(
    request: &EvaluateRequest,
    model: &ModelUnderTest,
    data: &Dataset,
    planned: &[Planned],
    run_options: &RunOptions<'_>,
    (settings, unsaved): (&Value, &mut Unsaved),
) -> Result<Ledger> {
    let evaluation = Evaluation {
        model: model.classifier.as_ref(),
        criterion: &Misclassified,
        data,
        seed: Seed::new(request.seed).derive(Purpose::Evaluation, 0),
    };
    let mut observer = ObserverAdapter(run_options.on_event);
    let mut options =
        Options { batch_size: run_options.batch_size, cancel: run_options.cancel, observer: &mut observer };
    let path = request.out.join("ledger.json");
    let mut ledger = match read(&path)? {
        Some(text) => Ledger::from_json(&text).map_err(Error::work("reading the ledger"))?,
        None => {
            (run_options.on_event)(&Event::Begins("clean images"));
            Ledger::begin(&evaluation, &mut options).map_err(Error::work("measuring clean accuracy"))?
        }
    };
    let witness_path = request.out.join("adversarial.safetensors");
    let mut witnesses = if ledger.runs.is_empty() {
        Witnesses::new(request.budget, &ledger.data_sha256, data.shape())
    } else {
        // Without them the runs that are there would never have any.
        let bytes = std::fs::read(&witness_path)
            .map_err(Error::io(&witness_path, "read what the ledger's runs found"))?;
        Witnesses::from_safetensors(&bytes, "adversarial.safetensors")
            .map_err(Error::work("reading the witnesses"))?
    };
    witnesses.made_by = Some(settings.clone());
    for Planned { prepared, restart, order } in planned {
        let label = &prepared.label;
        if ledger.runs.iter().any(|run| run.attack == *label && run.restart == *restart) {
            continue;
        }
        (run_options.on_event)(&Event::Begins(&format!("{label}, restart {restart}")));
        let (setup, kept) = (prepared.setup(Which::Worst), Some(&mut witnesses));
        ledger
            .run(&evaluation, &setup, *restart, *order, kept, &mut options)
            .map_err(Error::work("attacking"))?;
        // Witnesses first: one without its run is found again, a run without its witness never.
        if unsaved.note(&request.out, output::save(&request.out, &witnesses), run_options) {
            let text = ledger.to_json().map_err(Error::work("writing the ledger"))?;
            unsaved.note(&path, write(&path, text.as_bytes()), run_options);
        }
    }
    Ok(ledger)
}

/// Every test of the battery, by the finding in the folder if it has one, and on how many images.
fn battery(
    request: &EvaluateRequest,
    model: &ModelUnderTest,
    data: &Dataset,
    run_options: &RunOptions<'_>,
    unsaved: &mut Unsaved,
) -> Result<(Vec<Finding>, usize)> {
    let path = request.out.join("battery.json");
    let json = |source| Error::Json { what: "the battery's findings", source };
    let mut findings: Vec<Finding> = match read(&path)? {
        Some(text) => serde_json::from_str(&text).map_err(json)?,
        None => Vec::new(),
    };
    let kind = match model.aggregate.map(Aggregation::about) {
        Some(About { log_odds: true, .. }) => battery::Kind::Arms,
        _ => battery::Kind::Whole,
    };
    let settings = battery::Settings {
        kind,
        budget: request.budget,
        scope: request.scope,
        images: images_of_battery(model),
        seed: Seed::new(request.seed),
        batch_size: run_options.batch_size,
        cancel: run_options.cancel,
    };
    let context = battery::EvaluationContext::new(model.classifier.as_ref(), data, settings)
        .map_err(Error::work("preparing the battery"))?;
    let context = match &model.precise {
        Some(precise) => context.with_precise(precise),
        None => context,
    };
    if context.images() < data.len() {
        let note = format!(
            "the battery takes {} of the {} images, from all over them",
            context.images(),
            data.len()
        );
        (run_options.on_event)(&Event::Note(&note));
    }
    for test in battery::TESTS {
        if findings.iter().any(|finding| finding.test == test.id) {
            continue;
        }
        (run_options.on_event)(&Event::Begins(&format!(
            "battery {}: {}",
            battery::title(test.id),
            test.name
        )));
        findings.push(context.run(test).map_err(Error::work("running the battery"))?);
        let text = serde_json::to_string_pretty(&findings).map_err(json)?;
        unsaved.note(&path, write(&path, text.as_bytes()), run_options);
    }
    Ok((findings, context.images()))
}

fn read(path: &Path) -> Result<Option<String>> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::Io { path: path.to_owned(), action: "read", source }),
    }
}
