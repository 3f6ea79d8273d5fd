//! What the tests share: a classifier, some images, and attacks on them.

use std::sync::OnceLock;

use candle_core::Tensor;
use robin_aggregation::{Aggregation, AttackDescription, StrategyConfig, StrategyName};
use robin_attacks::{Config, Entry, Loss, Start, StepSize};
use robin_core::{
    Adversarial, Batch, Budget, CancelToken, Classifier, Columns, Epsilon, ExampleId, Misclassified, Seed,
    Target,
};
use robin_data::{Dataset, LabelMap};
use serde_json::Value;

use super::{Finding, Scope, Test};
use crate::{Clean, Evaluation, Options, Result, Robust, scattered};

/// Images of [`Scope::Subset`] where a network's passes are cheap.
pub const SUBSET: usize = 64;

/// The fewest images of [`Scope::Subset`], however dear a pass is.
const FEWEST: usize = 8;

/// Multiply-adds of one forward pass over all images of [`Scope::Subset`]: the battery makes several thousand such passes.
const AFFORDABLE: u64 = 20_000_000_000;

/// How many images [`Scope::Subset`] should have where a forward pass of one image takes `multiply_adds`: 64, of a ResNet-18
/// for 224x224 pixels 11, never below 8.
pub fn subset_size(multiply_adds: u64) -> usize {
    let affordable = AFFORDABLE.checked_div(multiply_adds).unwrap_or(u64::MAX);
    usize::try_from(affordable).unwrap_or(SUBSET).clamp(FEWEST, SUBSET)
}

/// What the scores are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Each column is a binary classifier's log-odds: strategies against arms apply.
    Arms,
    /// Logits, or sums of several networks' scores.
    Whole,
}

/// The same classifier in f64.
pub trait Precise: Sync {
    /// Scores `[n * k]` of `images` `[n, c, h, w]`.
    ///
    /// # Errors
    /// As a classifier's.
    fn scores(&self, images: &Tensor) -> Result<Vec<f64>>;
}

/// How a classifier is tested.
#[derive(Clone, Copy)]
pub struct Settings<'a> {
    /// What its scores are.
    pub kind: Kind,
    /// The budget whose robust accuracy is doubted.
    pub budget: Budget,
    /// How much of the battery is run.
    pub scope: Scope,
    /// Images of [`Scope::Subset`]: [`SUBSET`], or [`subset_size`].
    pub images: usize,
    /// Of everything that is drawn at random, the images of [`Scope::Subset`] among it.
    pub seed: Seed,
    /// Examples per batch; decides no number.
    pub batch_size: usize,
    /// Looked at between tests, and within them as an [`Evaluation`] does.
    pub cancel: &'a CancelToken,
}

/// What every test of the battery has: the classifier, its images, budget and seed.
pub struct EvaluationContext<'a> {
    pub(super) model: &'a dyn Classifier,
    pub(super) kind: Kind,
    pub(super) data: Dataset,
    pub(super) clean: Clean,
    pub(super) budget: Budget,
    pub(super) scope: Scope,
    pub(super) seed: Seed,
    pub(super) batch_size: usize,
    pub(super) cancel: &'a CancelToken,
    pub(super) precise: Option<&'a dyn Precise>,
    base: OnceLock<Robust>,
}

impl<'a> EvaluationContext<'a> {
    /// `model` with `data`, as many as the settings say from all over it unless the scope is full.
    ///
    /// # Errors
    /// As [`Evaluation::clean`].
    pub fn new(model: &'a dyn Classifier, data: &Dataset, settings: Settings<'a>) -> Result<Self> {
        let Settings { kind, budget, scope, images, seed, batch_size, cancel } = settings;
        let data = match scope {
            Scope::Subset => subset(data, images, seed)?,
            Scope::Full => data.clone(),
        };
        let mut options = Options { batch_size, cancel, observer: &mut () };
        let clean = Evaluation { model, criterion: &Misclassified, data: &data, seed }.clean(&mut options)?;
        let base = OnceLock::new();
        Ok(Self { model, kind, data, clean, budget, scope, seed, batch_size, cancel, precise: None, base })
    }

    /// With the same classifier in f64 beside it.
    pub fn with_precise(self, precise: &'a dyn Precise) -> Self {
        Self { precise: Some(precise), ..self }
    }

    /// Runs one test.
    ///
    /// # Errors
    /// If an attack or the classifier fails; a test that fails is a finding.
    pub fn run(&self, test: &Test) -> Result<Finding> {
        self.cancel.check()?;
        let answer = (test.run)(self)?;
        Ok(Finding {
            test: test.id.to_owned(),
            name: test.name.to_owned(),
            status: answer.status,
            numbers: answer.numbers,
            note: answer.note,
        })
    }

    /// Robust accuracy by the attack that the others are compared with.
    ///
    /// # Errors
    /// As the attack's.
    pub fn base_accuracy(&self) -> Result<f64> {
        Ok(self.base()?.worst.accuracy())
    }

    /// How many images it has.
    pub fn images(&self) -> usize {
        self.data.len()
    }

    /// `subset` or `full`, by scope.
    pub(super) fn choose<T>(&self, subset: T, full: T) -> T {
        match self.scope {
            Scope::Subset => subset,
            Scope::Full => full,
        }
    }

    /// The budget with another radius.
    pub(super) fn scaled(&self, factor: f64) -> Result<Budget> {
        Ok(Budget { norm: self.budget.norm, epsilon: Epsilon::new(self.budget.epsilon.get() * factor)? })
    }

    /// The attack that the others are compared with: PGD with 20 steps on the margin of all scores.
    pub(super) fn base(&self) -> Result<&Robust> {
        if let Some(base) = self.base.get() {
            return Ok(base);
        }
        let found = self.attack(pgd(20, 1), self.budget, Loss::Margin, StrategyName::Softmax.into())?;
        Ok(self.base.get_or_init(|| found))
    }

    /// An attack on the classifier.
    pub(super) fn attack(
        &self,
        config: Config,
        budget: Budget,
        loss: Loss,
        strategy: StrategyConfig,
    ) -> Result<Robust> {
        self.attack_on(self.model, config, budget, loss, strategy)
    }

    /// An attack on another classifier with the same clean decisions.
    pub(super) fn attack_on(
        &self,
        model: &dyn Classifier,
        config: Config,
        budget: Budget,
        loss: Loss,
        strategy: StrategyConfig,
    ) -> Result<Robust> {
        let description = AttackDescription { attack: config, loss, strategy: strategy.into() };
        let (attack, strategy) = description.build(budget, self.aggregate(), model.num_classes())?;
        let mut options = Options { batch_size: self.batch_size, cancel: self.cancel, observer: &mut () };
        self.on(model).quietly(&self.clean, attack.as_ref(), strategy.as_ref(), &mut options)
    }

    /// What decides which strategies there are: any aggregate of arms stands for all.
    fn aggregate(&self) -> Option<Aggregation> {
        (self.kind == Kind::Arms).then_some(Aggregation::OneVsAll)
    }

    /// What a test measures by itself: `model` on the same images.
    pub(super) fn on<'b>(&'b self, model: &'b dyn Classifier) -> Evaluation<'b> {
        Evaluation { model, criterion: &Misclassified, data: &self.data, seed: self.seed }
    }

    /// The examples that are right when clean; `limit` from all over them, if there are more.
    pub(super) fn right(&self, limit: usize) -> Result<Batch> {
        let right: Vec<u32> =
            (0..self.images() as u32).filter(|&at| !self.clean.misclassified[at as usize]).collect();
        let mut chosen = scattered(right.len(), limit, self.seed);
        chosen.sort_unstable();
        let ids: Vec<ExampleId> = chosen.iter().map(|&at| ExampleId::first(right[at as usize])).collect();
        Ok(self.data.batch(&ids, &LabelMap::Identity)?)
    }

    /// An attack on `batch` with its images.
    pub(super) fn perturb(
        &self,
        config: Config,
        loss: Loss,
        strategy: StrategyConfig,
        batch: &Batch,
    ) -> Result<Adversarial> {
        let target = Target { model: self.model, criterion: &Misclassified, cancel: self.cancel };
        let scores = self.model.scores(&batch.images, &Columns::All)?;
        let description = AttackDescription { attack: config, loss, strategy: strategy.into() };
        let (attack, strategy) =
            description.build(self.budget, self.aggregate(), self.model.num_classes())?;
        let objectives = strategy.prepare(&scores, batch)?;
        Ok(attack.perturb(&target, &objectives, batch, self.seed)?)
    }
}

/// `images` from all over `data`, in its order: the first ones may be of one class.
fn subset(data: &Dataset, images: usize, seed: Seed) -> Result<Dataset> {
    if data.len() <= images {
        return Ok(data.clone());
    }
    let mut places = scattered(data.len(), images, seed);
    places.sort_unstable();
    let places: Vec<usize> = places.into_iter().map(|at| at as usize).collect();
    Ok(data.select(&places)?)
}

/// PGD as the tables have it.
pub(super) fn pgd(steps: usize, restarts: usize) -> Config {
    Config::Pgd(robin_attacks::pgd::Settings {
        steps,
        restarts,
        step_size: StepSize::STANDARD,
        start: Start::UniformInBall,
    })
}

/// The listed attack `name` with other `settings`; `None` if it is not on the list or has no such setting.
pub(super) fn listed(name: &str, settings: &[(&str, Value)]) -> Option<Config> {
    let settings = settings.iter().map(|(field, setting)| ((*field).to_owned(), setting.clone())).collect();
    Entry::named(name).and_then(|entry| entry.with(&settings)).ok()
}

/// A number with its name.
pub(super) fn number(name: &str, value: f64) -> (String, f64) {
    (name.to_owned(), value)
}

/// How many of `first` are not in `second`.
pub(super) fn only_in(first: &[bool], second: &[bool]) -> usize {
    first.iter().zip(second).filter(|(first, second)| **first && !**second).count()
}
