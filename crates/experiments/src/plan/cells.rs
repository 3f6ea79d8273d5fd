//! The graph of cells: one network per classifier part, one evaluation per attack and strategy.

use std::collections::HashMap;

use robin_core::{Purpose, Seed};
use robin_data::{Dataset, LabelMap, Sampling};
use serde_json::{Value, json};

use super::resolve::{Loader, Resolved, resolve, section};
use super::settings::{NetworkIdentity, check_normalize, data, json, network_settings};
use super::{Cell, EvaluationWork, NetworkWork, Place, Plan, PlannedAttack, Ran, Request, Work};
use crate::key::Key;
use crate::spec::{AttackSpec, ClassifierKind, ClassifierSpec, Column, DataPlace, Row, Spec};
use crate::{Error, Result};

/// Resolves `spec`: the body of [`Plan::new`].
pub(super) fn plan(spec: &Spec, request: &Request) -> Result<Plan> {
    check_columns(spec)?;
    let profile = request.profile;
    let section = section(spec, profile);
    let seeds = match (&request.seeds, section) {
        (Some(seeds), _) => seeds.clone(),
        (None, Some(section)) => section.seeds.clone(),
        (None, None) => spec.seeds.clone(),
    };
    check_seeds(&seeds)?;
    let rows = chosen_rows(spec, request.rows.as_deref())?;
    let mut loader = Loader::new(section.map_or(DataPlace::Folder, |section| section.data), request);
    let resolved: Vec<Resolved<'_>> =
        rows.into_iter().map(|row| resolve(spec, row, profile, &mut loader)).collect::<Result<_>>()?;

    let mut builder = Builder { spec, request, cells: Vec::new(), known: HashMap::new() };
    let mut parts = Vec::new();
    for row in &resolved {
        for &seed in &seeds {
            for classifier in &spec.classifiers {
                parts.push(builder.networks(row, classifier, seed)?);
            }
        }
    }
    // Networks first, so that cells can be run in order.
    let mut parts = parts.into_iter();
    for (index, row) in resolved.iter().enumerate() {
        for &seed in &seeds {
            for (classifier, _) in spec.classifiers.iter().enumerate() {
                let networks = parts.next().expect("one list of networks per row, seed and classifier");
                for column in 0..spec.columns.len() {
                    let place = Place { row: index, classifier, column, seed, strategy: None };
                    builder.evaluations(row, place, &networks)?;
                }
            }
        }
    }
    Ok(Plan {
        item: spec.item.clone(),
        title: spec.title.clone(),
        profile,
        seeds,
        device: request.device,
        rows: resolved.into_iter().map(|row| row.planned).collect(),
        classifiers: spec.classifiers.clone(),
        columns: spec.columns.clone(),
        cells: builder.cells,
    })
}

struct Builder<'a> {
    spec: &'a Spec,
    request: &'a Request,
    cells: Vec<Cell>,
    /// Rows may share networks.
    known: HashMap<Key, usize>,
}

impl Builder<'_> {
    /// The networks of one classifier, and where they are among the cells.
    fn networks(&mut self, row: &Resolved<'_>, classifier: &ClassifierSpec, seed: u64) -> Result<Vec<usize>> {
        let classes = row.train.num_classes();
        match classifier.kind {
            ClassifierKind::Single => {
                let label = format!("{} {} seed {seed}", row.planned.row.label(), classifier.name);
                let sampling = row.recipe.sampling;
                Ok(vec![self.network(row, label, LabelMap::Identity, sampling, seed, 0)?])
            }
            ClassifierKind::OneVsAll => (0..classes as u32)
                .map(|class| {
                    let label =
                        format!("{} {} arm {class} seed {seed}", row.planned.row.label(), classifier.name);
                    let sampling = row.recipe.arm_sampling;
                    // Address 0 is the network with all classes, so that no arm begins with its weights.
                    let address = u64::from(class) + 1;
                    self.network(row, label, LabelMap::OneVsAll { class }, sampling, seed, address)
                })
                .collect(),
        }
    }

    fn network(
        &mut self,
        row: &Resolved<'_>,
        label: String,
        labels: LabelMap,
        sampling: Sampling,
        root: u64,
        address: u64,
    ) -> Result<usize> {
        let outputs = labels.num_classes(row.train.num_classes());
        let graph = row.graph(&self.spec.item, outputs)?;
        let budget = row.planned.row.budget();
        let config = row.recipe.config(budget, row.planned.ran.epochs, sampling);
        let attack = self.spec.training_set.clone();
        attack.attack.build(budget).map_err(|error| self.fault("[training_set]", &error))?;
        let recipe = format!("[recipes.{}]", row.planned.row.recipe);
        config.validate().map_err(|error| self.fault(&recipe, &error))?;
        if config.batch_size > row.train.len() {
            let reason = format!("batch_size {} exceeds the {} images", config.batch_size, row.train.len());
            return Err(self.fault(&recipe, &reason));
        }
        if sampling == Sampling::Balanced && outputs != 2 {
            return Err(
                self.fault(&recipe, &format!("balanced sampling needs 2 classes, there are {outputs}"))
            );
        }
        let normalize = row.recipe.normalize.clone();
        if let Some(normalize) = &normalize {
            check_normalize(normalize, row.train.shape()[0])
                .map_err(|reason| self.fault(&recipe, &reason))?;
        }
        let seed = Seed::new(root).derive(Purpose::Network, address);
        let (data, measured) = (row.train.clone(), row.measured.clone());
        let work = NetworkWork { graph, normalize, data, labels, config, seed, measured, attack, budget };
        let Ran { model, width, .. } = &row.planned.ran;
        let identity = NetworkIdentity { model, width: *width, root, address };
        let settings = network_settings(&work, &identity, self.request.device)?;
        Ok(self.add(label, settings, Vec::new(), Work::Network(Box::new(work))))
    }

    /// One cell for a clean column, one per strategy for an attack.
    fn evaluations(&mut self, row: &Resolved<'_>, place: Place, networks: &[usize]) -> Result<()> {
        let classifier = &self.spec.classifiers[place.classifier];
        let column = &self.spec.columns[place.column];
        let images = column.images.unwrap_or(row.test.len()).min(row.test.len());
        let test = row.test.take(images).map_err(|error| self.fault(&column.name, &error))?;
        let prefix =
            format!("{} {} {} seed {}", row.planned.row.label(), classifier.name, column.name, place.seed);
        let (Some(attack), Some(loss)) = (column.attack, column.loss) else {
            return self.evaluation(prefix, place, classifier.kind, test, None, networks);
        };
        let budget = row.planned.row.budget();
        attack.build(budget).map_err(|error| self.fault(&format!("column {}", column.name), &error))?;
        for &strategy in &classifier.strategies {
            let place = Place { strategy: Some(strategy), ..place };
            let planned = PlannedAttack { spec: AttackSpec { attack, loss }, budget, strategy };
            let label = format!("{prefix} {strategy}");
            self.evaluation(label, place, classifier.kind, test.clone(), Some(planned), networks)?;
        }
        Ok(())
    }

    fn evaluation(
        &mut self,
        label: String,
        place: Place,
        kind: ClassifierKind,
        test: Dataset,
        attack: Option<PlannedAttack>,
        networks: &[usize],
    ) -> Result<()> {
        let keys: Vec<&Key> = networks.iter().map(|&network| &self.cells[network].key).collect();
        let attacked = match &attack {
            None => Value::Null,
            Some(planned) => json!({
                "attack": json("attack settings", &planned.spec)?,
                "budget": json("budget", &planned.budget)?,
                "strategy": json("strategy", &planned.strategy)?,
            }),
        };
        let settings = json!({
            "kind": "evaluation",
            "classifier": { "kind": json("classifier", &kind)?, "networks": json("keys", &keys)? },
            "data": data(&test),
            "attacked": attacked,
            "judge": "misclassified",
            "seed": { "root": place.seed },
            "executor": self.request.device.executor().name(),
            "numerics": {
                "core": robin_core::NUMERICS,
                "kernels": robin_kernels::NUMERICS,
                "nn": robin_nn::NUMERICS,
                "data": robin_data::NUMERICS,
                "models": robin_models::NUMERICS,
                "attacks": robin_attacks::NUMERICS,
                "aggregation": robin_aggregation::NUMERICS,
                "evaluation": robin_evaluation::NUMERICS,
                "experiments": crate::NUMERICS,
            },
        });
        let seed = Seed::new(place.seed).derive(Purpose::Evaluation, 0);
        let work = EvaluationWork { place, kind, data: test, attack, seed };
        self.add(label, settings, networks.to_vec(), Work::Evaluation(Box::new(work)));
        Ok(())
    }

    fn add(&mut self, label: String, settings: Value, needs: Vec<usize>, work: Work) -> usize {
        let key = Key::of(&settings);
        // Evaluations are not merged: each has its own place in the table.
        if matches!(work, Work::Network(_))
            && let Some(&index) = self.known.get(&key)
        {
            return index;
        }
        self.known.insert(key.clone(), self.cells.len());
        self.cells.push(Cell { label, key, settings, needs, work });
        self.cells.len() - 1
    }

    fn fault(&self, place: &str, reason: &dyn std::fmt::Display) -> Error {
        Error::Setting { item: self.spec.item.clone(), place: place.to_owned(), reason: reason.to_string() }
    }
}

fn chosen_rows<'a>(spec: &'a Spec, filter: Option<&str>) -> Result<Vec<&'a Row>> {
    let Some(filter) = filter else { return Ok(spec.rows.iter().collect()) };
    let parts: Vec<&str> = filter.split(',').map(str::trim).collect();
    let matches = |row: &&Row| parts.iter().any(|part| !part.is_empty() && row.label().contains(part));
    let rows: Vec<&Row> = spec.rows.iter().filter(matches).collect();
    if rows.is_empty() {
        return Err(Error::NoRow {
            filter: filter.to_owned(),
            item: spec.item.clone(),
            rows: spec.rows.iter().map(Row::label).collect::<Vec<_>>().join(", "),
        });
    }
    Ok(rows)
}

fn check_seeds(seeds: &[u64]) -> Result<()> {
    let reason = if seeds.is_empty() {
        "at least one seed is needed"
    } else if seeds.iter().enumerate().any(|(at, seed)| seeds[..at].contains(seed)) {
        "a seed is named twice"
    } else {
        return Ok(());
    };
    Err(Error::Seeds { given: seeds.to_vec(), reason })
}

/// What TOML's types cannot say about columns and classifiers.
fn check_columns(spec: &Spec) -> Result<()> {
    let fault = |place: String, reason: &str| {
        Err(Error::Setting { item: spec.item.clone(), place, reason: reason.to_owned() })
    };
    for (at, Column { name, attack, loss, images }) in spec.columns.iter().enumerate() {
        let place = || format!("column {name}");
        if attack.is_some() != loss.is_some() {
            return fault(place(), "an attack needs a loss, and a loss an attack");
        }
        if *images == Some(0) {
            return fault(place(), "images is 0");
        }
        if spec.columns[..at].iter().any(|other| other.name == *name) {
            return fault(place(), "named twice");
        }
    }
    for (at, classifier) in spec.classifiers.iter().enumerate() {
        let place = || format!("classifier {}", classifier.name);
        if classifier.strategies.is_empty() {
            return fault(place(), "no strategy");
        }
        if spec.classifiers[..at].iter().any(|other| other.name == classifier.name) {
            return fault(place(), "named twice");
        }
    }
    for row in &spec.rows {
        for (classifier, printed) in &row.published {
            if !spec.classifiers.iter().any(|known| known.name == *classifier) {
                return fault(
                    format!("row {}", row.label()),
                    &format!("published.{classifier} is no classifier"),
                );
            }
            if let Some((column, value)) = printed.iter().find(|(_, value)| !(0.0..=1.0).contains(*value)) {
                let reason = format!("published.{classifier}.{column} = {value} is no accuracy");
                return fault(format!("row {}", row.label()), &reason);
            }
        }
    }
    Ok(())
}
