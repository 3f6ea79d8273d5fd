//! What is run: a network, built-in images, and the budget that the paper has for them.

use anyhow::{Context, ensure};
use robin_core::{Budget, Norm, Seed};
use robin_data::{Dataset, DatasetName, LabelMap, Source, Split};
use robin_experiments::threads::{pool, threads};
use robin_experiments::{ITEMS, Spec, paper_budget};
use robin_nn::{Executor, Graph, Parameters};
use serde_json::{Value, json};

use super::options::Options;

/// Everything that decides how much work a repetition is.
pub(super) struct ModelUnderTest {
    pub(super) data: Dataset,
    pub(super) budget: Budget,
    pub(super) batch: usize,
    pub(super) threads: usize,
    pub(super) executor: &'static dyn Executor,
    pub(super) model: String,
    pub(super) width: usize,
}

impl ModelUnderTest {
    /// Resolves the options, for repetitions of `batch` images.
    pub(super) fn new(options: &Options, batch: usize) -> anyhow::Result<Self> {
        let width = options.width.unwrap_or(robin_models::find(&options.model)?.default_width);
        let name = match options.dataset {
            Some(name) => name,
            None => dataset_of(&options.model)?,
        };
        let data = Dataset::load(name, Split::Train, &Source::Embedded)?;
        let threads = threads(options.threads)?;
        ensure!(
            (1..=data.len()).contains(&batch),
            "--batch is {batch}, it must be from 1 to {}: there are no more built-in images",
            data.len()
        );
        let executor = options.device.device()?.executor();
        Ok(Self {
            data,
            budget: budget(name, Norm::L2)?,
            batch,
            threads,
            executor,
            model: options.model.clone(),
            width,
        })
    }

    /// The network for `labels`, with fresh weights number `address`.
    pub(super) fn network(&self, labels: &LabelMap, address: u64) -> anyhow::Result<(Graph, Parameters)> {
        let outputs = labels.num_classes(self.data.num_classes());
        let graph = robin_models::build(&self.model, Some(self.width), self.data.shape(), outputs)?;
        let parameters = Parameters::initialise(&graph, Seed::new(address));
        Ok((graph, parameters))
    }

    /// The executor as a part of a record's name; nothing for those of a CPU.
    pub(super) fn on_device(&self) -> String {
        let name = self.executor.name();
        if name == "cpu" { String::new() } else { format!("-{}", name.replace(", ", "-").replace(' ', "-")) }
    }

    /// The pool that does the work.
    pub(super) fn pool(&self) -> anyhow::Result<rayon::ThreadPool> {
        Ok(pool(Some(self.threads))?)
    }

    /// The settings, to be kept beside the numbers.
    pub(super) fn settings(&self) -> Value {
        json!({
            "model": self.model,
            "width": self.width,
            "dataset": self.data.name(),
            "batch": self.batch,
            "threads": self.threads,
            "executor": self.executor.name(),
        })
    }
}

/// The data set that the paper's tables train `model` on, or a profile the model in the place of one of theirs;
/// CIFAR-10 if there is none.
pub(super) fn dataset_of(model: &str) -> anyhow::Result<DatasetName> {
    for (item, text) in ITEMS {
        let spec = Spec::parse(item, text)?;
        if let Some(row) = spec.rows.iter().find(|row| row.model == model) {
            return Ok(row.dataset);
        }
        for (&dataset, shrink) in [&spec.smoke, &spec.quick].into_iter().flat_map(|profile| &profile.datasets)
        {
            if shrink.models.values().any(|substitute| substitute == model) {
                return Ok(dataset);
            }
        }
    }
    Ok(DatasetName::Cifar10)
}

/// The paper's budget for a data set that it has.
pub(super) fn budget(dataset: DatasetName, norm: Norm) -> anyhow::Result<Budget> {
    paper_budget(dataset, norm).with_context(|| format!("the paper has no budget for {dataset}"))
}
