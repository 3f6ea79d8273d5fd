//! From a request to everything that decides the result; every mistake is found here.

use robin_core::{Budget, Norm, Purpose, Seed};
use robin_data::{Dataset, DatasetName, Flip, LabelMap, Padding, class_order};
use robin_training::{
    AttackMode, AttackStart, Config, Method, Outputs, Proportion, Validation, WeightAveraging,
};
use serde_json::{Value, json};

use super::TrainingRun;
use super::request::{MethodName, Overrides, RecipeName, Request};
use crate::cell::{Cell, NetworkWork};
use crate::external_model::images::chosen;
use crate::plan::{
    MOST_ORDERS, NetworkIdentity, Part, check_normalize, class_count, network_settings, parts,
};
use crate::role::what;
use crate::spec::{Normalize, Recipe, Row, Spec};
use crate::training_run::TrainedKind;
use crate::{Error, Result, caveats, paper_budget};

/// Table 1 has the paper's settings for every data set.
const PAPER: &str = "table-1";
/// Images held out by the strong recipe: a tenth, but not more than Rice et al. 2020 take.
const HELD_OUT: (usize, usize) = (10, 1_000);
/// Training images on which a network is measured unless said otherwise.
const MEASURED: usize = 1_000;
/// Standard deviation of the first point of TRADES' and MART's attacks, as in their reference projects.
const DEVIATION: f64 = 0.001;

impl TrainingRun {
    /// Loads the images and fills in what `request` does not say.
    ///
    /// # Errors
    /// [`Error::Option`] names the option, what it was and what is allowed; [`Error::Data`] if the images cannot be
    /// loaded.
    pub fn new(request: &Request) -> Result<Self> {
        // Names before images, which take longer.
        robin_models::find(&request.model).map_err(|error| option("--model", &request.model, error))?;
        let spec = match request.recipe.reading() {
            None => Spec::named(PAPER)?,
            Some(reading) => Spec::named(PAPER)?.read_as(reading)?,
        };
        let recipe = recipe(&spec, request)?;
        let whole = load(request)?;
        let data = chosen(&whole, request.train_images, request.sample).map_err(|_| {
            option("--train-images", &given(request.train_images), format!("1 to {}", whole.len()))
        })?;
        let arms = arms(request, data.num_classes())?;
        let budget = budget(request)?;
        let settings = Settings { spec: &spec, recipe: &recipe, request, budget };
        let cells = arms.into_iter().map(|part| settings.cell(&data, part)).collect::<Result<Vec<_>>>()?;
        let (notes, warnings) = said(request, &cells, (&data, &whole), budget);
        Ok(Self { settings: shared(request, &cells[0]), cells, device: request.device, notes, warnings })
    }
}

/// What was decided for the user, and what is doubtful.
fn said(
    request: &Request,
    cells: &[Cell],
    (data, whole): (&Dataset, &Dataset),
    budget: Budget,
) -> (Vec<String>, Vec<String>) {
    let published = request.dataset.published();
    let from = match request.overrides.normalize {
        Some(_) => "--normalize",
        None => "the recipe's",
    };
    let works: Vec<&NetworkWork> = cells.iter().filter_map(|cell| cell.work.network()).collect();
    let notes = vec![match &works[0].normalize {
        Some(Normalize { mean, std }) => {
            format!("images are normalised with mean {mean:?}, std {std:?} ({from})")
        }
        None => format!("images are not normalised: mean 0, std 1 ({from})"),
    }];
    let mut warnings: Vec<String> = caveats::images(data, Some(whole), published).collect();
    warnings.extend(caveats::budget(budget, data.shape()));
    for work in works {
        let what = "images that networks are measured on after training";
        let caveat = caveats::part(&work.measured, &work.data, what, published);
        // The same for all arms.
        warnings.extend(caveat.filter(|caveat| !warnings.contains(caveat)));
    }
    (notes, warnings)
}

/// The paper's settings for the request's images and model.
fn recipe(spec: &Spec, request: &Request) -> Result<Recipe> {
    let for_photographs = request.recipe.for_photographs();
    let mut rows = spec.rows.iter();
    let row = match request.dataset.published() {
        Some(name) => {
            // A set that the paper does not have is trained as the one that it has of such images.
            let papers = if name.is_of_photographs() { DatasetName::Cifar10 } else { DatasetName::Mnist };
            let like = if spec.rows.iter().any(|row| row.dataset == name) { name } else { papers };
            let of_set = spec.rows.iter().filter(move |row| row.dataset == like);
            of_set.clone().find(|row| row.model == request.model).or_else(|| of_set.clone().next())
        }
        None => {
            let like = if for_photographs { DatasetName::Cifar10 } else { DatasetName::Mnist };
            rows.find(|row| row.dataset == like)
        }
    };
    let reads = |row: &&Row| spec.readings[&request.recipe.to_string()].recipes.contains_key(&row.recipe);
    if for_photographs && row.as_ref().is_some_and(|row| !reads(row)) {
        let allowed = "paper, momentum or strong: this one is for photographs (cifar10, cifar100, or images of your own)";
        return Err(option("--recipe", &request.recipe, allowed));
    }
    let recipe = row.and_then(|row| spec.recipes.get(&row.recipe));
    let recipe =
        recipe.ok_or_else(|| option("--dataset", &request.dataset, "a data set that the paper has"))?;
    if request.dataset.published().is_none() && request.overrides.epochs.is_none() {
        let allowed = "a number: the paper has none for images of your own";
        return Err(option("--epochs", &"not given", allowed));
    }
    Ok(recipe.clone())
}

/// All images, of which some are chosen.
fn load(request: &Request) -> Result<Dataset> {
    let Request { dataset, source, split, classes, .. } = request;
    let load = || {
        let whole = dataset.load(*split, source, None)?;
        classes.map_or_else(|| Ok(whole.clone()), |classes| whole.with_classes(classes))
    };
    let whole = load().map_err(|error| match error {
        robin_data::Error::Classes { asked, least } => {
            option("--classes", &asked, format!("{least} (one more than the largest label) to 65536"))
        }
        other => {
            let place = match (source, dataset.published()) {
                (robin_data::Source::Folder(folder), Some(_)) => folder.display().to_string(),
                (robin_data::Source::Embedded, Some(_)) => "embedded".to_owned(),
                (_, None) => "your own".to_owned(),
            };
            Error::Data { dataset: format!("{dataset}, {split}"), place, source: Box::new(other) }
        }
    })?;
    match caveats::one_class(&whole) {
        Some(reason) => Err(Error::Unfit { option: "--dataset", given: dataset.to_string(), reason }),
        None => Ok(whole),
    }
}

/// The networks, in their aggregate's order.
fn arms(request: &Request, classes: usize) -> Result<Vec<Part>> {
    let refuse = |reason: String| option("--classifier", &request.classifier, reason);
    let all = match request.classifier {
        TrainedKind::Classifier { kind, members } => {
            parts(kind, members, false, classes).map_err(|reason| refuse(format!("another: {reason}")))?
        }
        TrainedKind::Merged { count, order } if (2..=classes).contains(&count) && order < MOST_ORDERS => {
            vec![class_count(count, order, class_order(classes, Seed::new(request.seed), order as u64))]
        }
        TrainedKind::Merged { .. } => {
            let allowed = format!("other:2 to other:{classes}, with an order of 0 to {}", MOST_ORDERS - 1);
            return Err(refuse(allowed));
        }
    };
    let Some(arms) = &request.arms else { return Ok(all) };
    if request.classifier != TrainedKind::ONE_VS_ALL {
        return Err(option("--arm", &list(arms), "nothing: it is for one-vs-all"));
    }
    let distinct = arms.iter().enumerate().all(|(at, class)| !arms[..at].contains(class));
    if arms.is_empty() || !arms.iter().all(|&class| (class as usize) < classes) || !distinct {
        let allowed = format!("classes 0 to {}, each once", classes.saturating_sub(1));
        return Err(option("--arm", &list(arms), allowed));
    }
    let mut numbered: Vec<(u32, Part)> = (0..).zip(all).collect();
    numbered.retain(|(class, _)| arms.contains(class));
    Ok(numbered.into_iter().map(|(_, part)| part).collect())
}

/// The budget that is trained for, and measured with.
fn budget(request: &Request) -> Result<Budget> {
    let norm = request.overrides.norm.unwrap_or(Norm::L2);
    if let Some(epsilon) = request.overrides.epsilon {
        return Ok(Budget { norm, epsilon });
    }
    request.dataset.published().and_then(|dataset| paper_budget(dataset, norm)).ok_or_else(|| {
        let allowed = "a radius like 8/255: the paper has none for these images";
        option("--epsilon", &"not given", allowed)
    })
}

struct Settings<'a> {
    spec: &'a Spec,
    recipe: &'a Recipe,
    request: &'a Request,
    budget: Budget,
}

impl Settings<'_> {
    fn cell(&self, data: &Dataset, part: Part) -> Result<Cell> {
        let (request, over) = (self.request, &self.request.overrides);
        let Part { label, labels, address, .. } = &part;
        // Some networks learn from some classes only.
        let data =
            &data.restricted(labels).map_err(|error| option("--classifier", &request.classifier, error))?;
        let outputs = labels.num_classes(data.num_classes());
        let graph =
            robin_models::build(&request.model, request.width, data.shape(), outputs).map_err(|error| {
                match error {
                    robin_models::Error::Width { width, step, .. } => option(
                        "--width",
                        &width,
                        format!(
                            "positive multiples of {step} for {}, at most {}",
                            request.model,
                            robin_models::MOST_WIDTH
                        ),
                    ),
                    robin_models::Error::Size { width, values, .. } => option(
                        "--width",
                        &width,
                        format!("at most {} parameters; this makes {values}", robin_models::MOST_VALUES),
                    ),
                    other => {
                        let given = format!("{} for images of {:?}", request.model, data.shape());
                        option("--model", &given, other)
                    }
                }
            })?;
        let config = self.config(data, &part)?;
        self.check(&config, data, labels, outputs)?;
        let normalize = over.normalize.clone().unwrap_or_else(|| self.recipe.normalize.clone());
        if let Some(normalize) = &normalize {
            check_normalize(normalize, data.shape()[0])
                .and_then(|()| caveats::normalisation(&normalize.mean, &normalize.std))
                .map_err(|reason| option("--normalize", &"this", reason))?;
        }
        let measured = over.measured_images.unwrap_or(MEASURED.min(data.len()));
        let allowed = format!("1 to {}", data.len());
        let measured = data.take(measured).map_err(|_| option("--measured-images", &measured, allowed))?;
        let attack = match config.method {
            Method::Standard {} => None,
            _ => {
                let attack = self.spec.training_set.clone();
                let built = attack.attack.build(self.budget);
                built.map_err(|error| option("--epsilon", &self.budget.epsilon, error))?;
                Some((attack, self.budget))
            }
        };

        let name = if label.is_empty() { "multiclass".to_owned() } else { label.replace(' ', "-") };
        let seed = Seed::new(request.seed).derive(Purpose::Network, *address);
        let (data, labels) = (data.clone(), labels.clone());
        let work = NetworkWork { graph, normalize, data, labels, config, seed, measured, attack };
        let width = match request.width {
            Some(width) => width,
            None => {
                robin_models::find(&request.model).map_err(Error::work("finding the model"))?.default_width
            }
        };
        let identity =
            NetworkIdentity { model: &request.model, width, root: request.seed, address: *address };
        let mut settings = network_settings(&work, &identity, request.device)?;
        // Left out where there is none, so that the keys of such networks are what they always were.
        if let Some(seed) = request.sample {
            settings["data"]["sample"] = json!(seed);
        }
        Ok(Cell::new("train", name, &settings, Vec::new(), work))
    }

    /// The training settings of one network.
    fn config(&self, data: &Dataset, part: &Part) -> Result<Config> {
        let (request, over) = (self.request, &self.request.overrides);
        let strong = request.recipe == RecipeName::Strong;
        let photographs = request.dataset.published().is_some_and(DatasetName::is_of_photographs);
        let usual = if part.arm { self.recipe.arm_sampling } else { self.recipe.sampling };
        let sampling = over.sampling.unwrap_or(usual);
        let epochs = over.epochs.unwrap_or(self.recipe.epochs);
        let mut config = self.recipe.config(self.budget, epochs, sampling);
        config.method = self.method(&config.method)?;
        config.outputs = part.outputs;
        config.attack_mode = over.attack_mode.unwrap_or_default();
        let set = |field: &mut f64, value: Option<f64>| *field = value.unwrap_or(*field);
        set(&mut config.learning_rate, over.learning_rate);
        set(&mut config.momentum, over.momentum);
        set(&mut config.weight_decay, over.weight_decay);
        set(&mut config.label_smoothing, over.label_smoothing);
        config.batch_size = over.batch_size.unwrap_or(config.batch_size);
        config.crop_padding = over.crop_padding.unwrap_or(config.crop_padding);
        let modern = strong && photographs;
        config.padding = over.padding.unwrap_or(if modern { Padding::Reflect } else { config.padding });
        let usual = if modern { Flip::Horizontal } else { config.flip };
        config.flip = over.flip.unwrap_or(flip(request.dataset.published(), usual));
        if let Some(schedule) = &over.schedule {
            config.schedule = schedule.clone();
        }
        config.weight_averaging = match over.weight_averaging {
            None | Some(0.0) => None,
            Some(decay) => Some(WeightAveraging { decay }),
        };
        let (part, most) = HELD_OUT;
        let held_out = over.validation.unwrap_or(if strong { (data.len() / part).min(most) } else { 0 });
        if held_out > 0 {
            let (steps, step_size) = self.attack();
            config.validation = Some(Validation { images: held_out, budget: self.budget, steps, step_size });
        }
        Ok(config)
    }

    /// Steps of attacks in training and validation, and their length.
    fn attack(&self) -> (usize, robin_attacks::StepSize) {
        let over = &self.request.overrides;
        let crate::spec::Method::PgdAt { steps, step_size, .. } = self.recipe.method else {
            unreachable!("the recipes of table 1 are adversarial training: its tests say so")
        };
        let strong = self.request.recipe == RecipeName::Strong && self.budget.norm == Norm::Linf;
        let own = if strong { robin_attacks::StepSize::Absolute(2.0 / 255.0) } else { step_size };
        (over.steps.unwrap_or(steps), over.step_size.unwrap_or(own))
    }

    /// The method, and no option that it has no use for.
    fn method(&self, base: &Method) -> Result<Method> {
        let over = &self.request.overrides;
        let Overrides { method, lambda, proportion, .. } = over;
        let name = method.unwrap_or(MethodName::PgdAt);
        let useless = |option_name, value: String, allowed: &str| {
            Err(option(option_name, &value, format!("nothing with method {name}: {allowed}")))
        };
        if let (Some(lambda), MethodName::Standard | MethodName::PgdAt) = (lambda, name) {
            return useless("--lambda", lambda.to_string(), "it is for trades and mart");
        }
        if let (Some(share), true) = (proportion, name != MethodName::PgdAt) {
            return useless("--proportion", format!("{share:?}").to_lowercase(), "it is for pgd-at");
        }
        if let (Some(steps), MethodName::Standard, None) = (over.steps, name, over.validation) {
            return useless("--steps", steps.to_string(), "it has no attack");
        }
        let (steps, step_size) = self.attack();
        let budget = self.budget;
        let (lambda, start) = (lambda.unwrap_or(1.0), AttackStart::Gaussian { deviation: DEVIATION });
        Ok(match name {
            MethodName::Standard => Method::Standard {},
            MethodName::Trades => Method::Trades { budget, steps, step_size, lambda, start },
            MethodName::Mart => Method::Mart { budget, steps, step_size, lambda, start },
            MethodName::PgdAt => {
                let own = match (self.request.recipe, base) {
                    (RecipeName::Strong, _) => Proportion::All,
                    (_, Method::PgdAt { proportion, .. }) => *proportion,
                    _ => Proportion::All,
                };
                Method::PgdAt { budget, steps, step_size, proportion: proportion.unwrap_or(own) }
            }
        })
    }

    /// What the settings say about one another and about the images.
    fn check(&self, config: &Config, data: &Dataset, labels: &LabelMap, outputs: usize) -> Result<()> {
        config.validate().map_err(|error| match error {
            robin_training::Error::Setting { field: "outputs", .. } => {
                option("--classifier", &"shared-trunk", "multiclass and one-vs-all with trades and mart")
            }
            robin_training::Error::Setting { field, value, allowed } => option(flag(field), &value, allowed),
            robin_training::Error::Attack(error) => option("--step-size", &"this", error),
            other => Error::work("checking the settings")(other),
        })?;
        let attacked =
            !matches!(config.method, Method::Standard {}) && config.attack_mode == AttackMode::Eval;
        if let (Some(precision), false) = (self.request.device.precision_of_training_attacks(), attacked) {
            let allowed =
                "f32: nothing of this training is in bf16, which is for attacks in attack mode eval";
            return Err(option("--precision", &precision, allowed));
        }
        let held_out = config.validation.as_ref().map_or(0, |validation| validation.images);
        if held_out >= data.len() {
            return Err(option("--validation", &held_out, format!("0 to {}", data.len() - 1)));
        }
        let trained_on = data.len() - held_out;
        if config.batch_size > trained_on {
            let allowed = format!("1 to {trained_on}, the images that are trained on");
            return Err(option("--batch", &config.batch_size, allowed));
        }
        let [_, height, width] = data.shape();
        config
            .augmentation()
            .validate(height, width)
            .map_err(|error| option("--crop-padding", &config.crop_padding, error))?;
        let mapped = labels.apply_all(data.labels()).map_err(Error::work("mapping the labels"))?;
        if let (2, Some(&first)) = (outputs, mapped.first())
            && mapped.iter().all(|&label| label == first)
        {
            return Err(self.nothing_to_learn(data, labels, config.outputs, first));
        }
        // Whether every epoch can be filled with batches, which balanced ones may not be.
        robin_data::epoch(&mapped, config.sampling, config.batch_size, 0, Seed::new(0))
            .map_err(|error| option("--sampling", &format!("{:?}", config.sampling).to_lowercase(), error))?;
        Ok(())
    }
}

impl Settings<'_> {
    /// A network for two labels, of which its images have one: it would report 100% and know nothing.
    fn nothing_to_learn(&self, data: &Dataset, labels: &LabelMap, outputs: Outputs, label: u32) -> Error {
        let what = what(labels, outputs);
        let counts = data.class_counts();
        let there: Vec<u32> =
            (0..).zip(&counts).filter(|(_, count)| **count > 0).map(|(class, _)| class).collect();
        let leave_out = match labels {
            LabelMap::OneVsAll { .. } if there.len() > 1 => {
                format!("leave it out by --arm {}, ", list(&there))
            }
            _ => String::new(),
        };
        Error::Unfit {
            option: "--classifier",
            given: self.request.classifier.to_string(),
            reason: format!(
                "{what} has nothing to learn: all of its {} training images have label {label}, because there are images of \
                 class {} only; {leave_out}draw images at random by --sample SEED, or take more",
                data.len(),
                list(&there)
            ),
        }
    }
}

/// The option that sets a field of the training settings.
fn flag(field: &'static str) -> &'static str {
    match field {
        "batch_size" => "--batch",
        "epochs" => "--epochs",
        "learning_rate" => "--learning-rate",
        "momentum" => "--momentum",
        "weight_decay" => "--weight-decay",
        "label_smoothing" => "--label-smoothing",
        "steps" | "validation.steps" => "--steps",
        "lambda" => "--lambda",
        "attack_mode" => "--attack-mode",
        "milestones" | "factor" | "last" | "first" | "peak" => "--schedule",
        "weight_averaging.decay" => "--weight-averaging",
        "validation.images" => "--validation",
        other => other,
    }
}

/// The recipe's flip, where the images are what they were in a mirror.
pub(super) fn flip(dataset: Option<DatasetName>, usual: Flip) -> Flip {
    match dataset.is_none_or(DatasetName::may_be_mirrored) {
        true => usual,
        false => Flip::None,
    }
}

/// What all networks of the run have in common: the settings of one of them without its class.
fn shared(request: &Request, cell: &Cell) -> Value {
    let mut settings = cell.settings();
    if let Some(fields) = settings.as_object_mut() {
        fields.shift_remove("labels");
    }
    settings["kind"] = json!("training-run");
    settings["classifier"] = json!(request.classifier.to_string());
    settings["seed"] = json!({ "root": request.seed });
    settings
}

fn given(images: Option<usize>) -> String {
    images.map_or("not given".to_owned(), |images| images.to_string())
}

fn list(arms: &[u32]) -> String {
    arms.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

fn option(option: &'static str, value: &dyn std::fmt::Display, allowed: impl std::fmt::Display) -> Error {
    Error::Option { option, value: value.to_string(), allowed: allowed.to_string() }
}
