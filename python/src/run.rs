//! Attacks, one after another, each on what those before have failed on.

use std::time::Duration;

use candle_core::{Device, Tensor};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use robin_aggregation::AttackDescription;
use robin_attacks::bundle::{AUTOATTACK, autoattack};
use robin_attacks::{Entry, Loss};
use robin_core::attack::Verdict;
use robin_core::{Batch, Budget, CancelToken, Columns, ExampleId, Misclassified, Seed, Target};
use robin_evaluation::{CostTotals, blind};
use serde_json::{Map, Value};

use crate::model::ModelRequest;
use crate::refused;

/// What broke an image that no attack had to.
pub(crate) const CLEAN: &str = "clean";

/// An attack by its name.
pub(crate) struct Stage {
    name: String,
    description: AttackDescription,
}

/// The attack called `name`, or the stages of the bundle that it is.
pub(crate) fn stages(
    name: &str,
    settings: &Map<String, Value>,
    loss: Option<&str>,
    strategy: &str,
) -> Result<Vec<Stage>, robin_aggregation::Error> {
    let strategy = strategy.parse()?;
    if name == AUTOATTACK && settings.is_empty() && loss.is_none() {
        let stage = |stage: robin_attacks::Stage| Stage {
            name: format!("{AUTOATTACK} {}", stage.name),
            description: AttackDescription { attack: stage.attack, loss: stage.loss, strategy },
        };
        return Ok(autoattack().into_iter().map(stage).collect());
    }
    let entry = Entry::named(name)?;
    let loss: Loss = loss.map(str::parse).transpose()?.unwrap_or(entry.loss);
    let description = AttackDescription { attack: entry.with(settings)?, loss, strategy };
    Ok(vec![Stage { name: name.to_owned(), description }])
}

/// Everything that Python said, checked as far as it can be without computing.
pub(crate) struct Job {
    pub(crate) request: ModelRequest,
    /// `[n, c, h, w]` = `shape`.
    pub(crate) images: Vec<f32>,
    pub(crate) shape: [usize; 4],
    pub(crate) labels: Vec<i64>,
    pub(crate) budget: Budget,
    pub(crate) stages: Vec<Stage>,
    pub(crate) seed: u64,
    pub(crate) batch_size: usize,
}

/// What came of it.
pub(crate) struct Done {
    pub(crate) images: Vec<f32>,
    pub(crate) predictions: Vec<u32>,
    pub(crate) clean_predictions: Vec<u32>,
    pub(crate) misclassified: Vec<bool>,
    pub(crate) misclassified_by: Vec<Option<String>>,
    pub(crate) warnings: Vec<String>,
}

/// Does `job` without Python's lock, and stops when Ctrl-C is pressed.
pub(crate) fn on_threads(py: Python<'_>, threads: Option<usize>, job: Job) -> PyResult<Done> {
    if let Some(0) = threads {
        return Err(PyValueError::new_err("threads is 0, it must be at least 1"));
    }
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.unwrap_or(0)).build().map_err(refused)?;
    let cancel = CancelToken::new();
    std::thread::scope(|scope| {
        let token = cancel.clone();
        let working = scope.spawn(move || pool.install(|| job.run(&token)));
        while !working.is_finished() {
            py.detach(|| std::thread::sleep(Duration::from_millis(20)));
            if let Err(interrupt) = py.check_signals() {
                cancel.cancel();
                // Its result is that it was stopped.
                drop(working.join());
                return Err(interrupt);
            }
        }
        working
            .join()
            .unwrap_or_else(|_| Err(PyValueError::new_err("the attack failed: see what it said above")))
    })
}

impl Job {
    fn run(self, cancel: &CancelToken) -> PyResult<Done> {
        let [n, c, h, w] = self.shape;
        let model = self.request.classifier([c, h, w])?;
        let batch = self.batch(model.num_classes())?;
        let (aggregate, classes) = (self.request.aggregate, model.num_classes());
        // Whatever does not fit is said before any work.
        let built: Vec<_> = self
            .stages
            .iter()
            .map(|stage| stage.description.build(self.budget, aggregate, classes).map(|built| (stage, built)))
            .collect::<Result<_, _>>()
            .map_err(refused)?;
        let rows: Vec<usize> = (0..n).collect();
        let mut clean_predictions = Vec::new();
        for rows in rows.chunks(self.batch_size) {
            cancel.check().map_err(refused)?;
            let part = batch.select(rows).map_err(refused)?;
            clean_predictions.extend(model.predict(&part.images).map_err(refused)?);
        }
        let misclassified: Vec<bool> =
            clean_predictions.iter().zip(&batch.labels).map(|(said, label)| said != label).collect();
        let mut done = Done {
            predictions: clean_predictions.clone(),
            misclassified_by: misclassified.iter().map(|misclassified| misclassified.then(|| CLEAN.to_owned())).collect(),
            clean_predictions,
            misclassified,
            images: self.images.clone(),
            warnings: Vec::new(),
        };
        let target = Target { model: model.as_ref(), criterion: &Misclassified, cancel };
        for (stage, (attack, strategy)) in built {
            let mut cost = CostTotals::default();
            let correct: Vec<usize> = (0..n).filter(|&row| !done.misclassified[row]).collect();
            for rows in correct.chunks(self.batch_size) {
                let part = batch.select(rows).map_err(refused)?;
                let clean = model.scores(&part.images, &Columns::All).map_err(refused)?;
                let objectives = strategy.prepare(&clean, &part).map_err(refused)?;
                let found =
                    attack.perturb(&target, &objectives, &part, Seed::new(self.seed)).map_err(refused)?;
                self.budget.verify(&part.images, &found.worst.images).map_err(refused)?;
                let networks = |columns: &Columns| model.networks(columns);
                let per_gradient = objectives.iter().map(|one| networks(&one.columns())).max().unwrap_or(1);
                for one in &found.cost {
                    cost.add(&CostTotals::of(one, networks(&Columns::All), per_gradient));
                }
                let images: Vec<f32> = robin_core::host::to_vec(&found.worst.images).map_err(refused)?;
                let length = c * h * w;
                for (at, &row) in rows.iter().enumerate() {
                    let Verdict { prediction, misclassified } = found.worst.verdicts[at];
                    done.predictions[row] = prediction;
                    done.images[row * length..][..length].copy_from_slice(&images[at * length..][..length]);
                    if misclassified {
                        done.misclassified[row] = true;
                        done.misclassified_by[row] = Some(stage.name.clone());
                    }
                }
            }
            if let Some(said) = blind(&cost, stage.description.loss) {
                done.warnings.push(format!("{}: {said}", stage.name));
            }
        }
        Ok(done)
    }

    fn batch(&self, classes: usize) -> PyResult<Batch> {
        let [n, ..] = self.shape;
        let wrong = |text: String| PyValueError::new_err(text);
        if n == 0 || self.images.is_empty() {
            return Err(wrong("there are no images".to_owned()));
        }
        if self.batch_size == 0 {
            return Err(wrong("batch_size is 0, it must be at least 1".to_owned()));
        }
        if self.labels.len() != n {
            return Err(wrong(format!("{} labels for {n} images", self.labels.len())));
        }
        if let Some(at) = self.images.iter().position(|pixel| !(0.0..=1.0).contains(pixel)) {
            let pixel = self.images[at];
            return Err(wrong(format!(
                "a pixel is {pixel}; allowed: 0 to 1 (divide bytes by 255; normalisation is the model's, or mean= and std=)"
            )));
        }
        let label = |&label: &i64| {
            u32::try_from(label).ok().filter(|&label| (label as usize) < classes).ok_or_else(|| {
                wrong(format!("a label is {label}; the model has {classes} classes: 0 to {}", classes - 1))
            })
        };
        let labels = self.labels.iter().map(label).collect::<PyResult<_>>()?;
        let images = Tensor::from_slice(&self.images, &self.shape[..], &Device::Cpu).map_err(refused)?;
        Batch::new(images, labels, (0..n as u32).map(ExampleId::first).collect()).map_err(refused)
    }
}
