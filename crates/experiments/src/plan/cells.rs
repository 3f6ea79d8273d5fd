//! The graph of cells: one network per classifier part, one evaluation per attack, test budget and strategy.

use std::collections::HashMap;

use robin_core::{Budget, Purpose, Seed};
use robin_data::Dataset;
use robin_training::{Config, Method};
use serde_json::{Value, json};

use super::check::{check, fault};
use super::chosen::{all_rows, check_attack_images, check_seeds, chosen_rows, hint};
use super::networks::{Part, parts};
use super::resolve::{Loader, Resolved, resolve};
use super::settings::{NetworkIdentity, check_normalize, data, json, network_settings, numerics};
use super::{Place, Plan, PlannedItem, Ran, Request};
use crate::cell::evaluation::{AttackedAt, PlannedAttack};
use crate::cell::{Cell, EvaluationWork, NetworkWork, Work};
use crate::key::Key;
use crate::spec::{AttackSpec, ClassifierKind, DataPlace, Row, Spec, StageSpec, Transfer};
use crate::{Error, Result};

/// Resolves `specs`: the body of [`Plan::new`].
pub(super) fn plan(specs: &[Spec], request: &Request) -> Result<Plan> {
    specs.iter().try_for_each(check)?;
    let wanted = specs.iter().map(|spec| as_asked(spec, request)).collect::<Result<Vec<_>>>()?;
    check_attack_images(&wanted, request)?;
    let mut builder = Builder { request, cells: Vec::new(), known: HashMap::new() };
    let mut loaders: HashMap<DataPlace, Loader> = HashMap::new();
    let mut items = Vec::new();
    for spec in &wanted {
        let place = spec.profile(request.profile).map_or(DataPlace::Folder, |section| section.data);
        let loader = loaders.entry(place).or_insert_with(|| Loader::new(place, request));
        items.extend(builder.item(spec, loader)?);
    }
    if items.is_empty() {
        return Err(Error::NoRow {
            filter: request.rows.clone().unwrap_or_default(),
            item: specs.iter().map(|spec| spec.item.as_str()).collect::<Vec<_>>().join(", "),
            rows: all_rows(&wanted, request.profile),
            hint: hint(specs, request),
        });
    }
    Ok(Plan { profile: request.profile, device: request.device, items, cells: builder.cells })
}

/// What the request and its profile leave of `spec`, with its recipes as they are read.
fn as_asked(spec: &Spec, request: &Request) -> Result<Spec> {
    let spec = match request.beyond {
        true => spec.clone(),
        false => spec.clone().of_the_paper(),
    };
    let spec = spec.in_profile(request.profile);
    match spec.reading(request).map(str::to_owned) {
        None => Ok(spec),
        Some(reading) => spec.read_as(&reading),
    }
}

pub(super) struct Builder<'a> {
    pub(super) request: &'a Request,
    pub(super) cells: Vec<Cell>,
    /// Rows, classifiers and items share cells.
    known: HashMap<Key, usize>,
}

/// What the cells of one item are made from.
pub(super) struct Item<'a> {
    pub(super) spec: &'a Spec,
    pub(super) seeds: Vec<u64>,
    /// By row, seed and classifier; `None` for a classifier that the row has not.
    networks: HashMap<(usize, u64, usize), Vec<usize>>,
    places: Vec<(Place, usize)>,
    shrunk_attacks: Vec<(String, String)>,
}

impl Builder<'_> {
    /// One item; `None` if no row of it is asked for.
    fn item(&mut self, spec: &Spec, loader: &mut Loader) -> Result<Option<PlannedItem>> {
        let section = spec.profile(self.request.profile);
        let seeds = match (&self.request.seeds, section) {
            (Some(seeds), _) => seeds.clone(),
            (None, Some(section)) => section.seeds.clone(),
            (None, None) => spec.seeds.clone(),
        };
        check_seeds(&seeds)?;
        let rows: Vec<&Row> = chosen_rows(spec, self.request);
        // A study of the plane has no rows at all.
        if rows.is_empty() && (!spec.rows.is_empty() || self.request.rows.is_some()) {
            return Ok(None);
        }
        let resolved: Vec<Resolved<'_>> =
            rows.into_iter().map(|row| resolve(spec, row, self.request, loader)).collect::<Result<_>>()?;
        let mut item =
            Item { spec, seeds, networks: HashMap::new(), places: Vec::new(), shrunk_attacks: Vec::new() };
        // Networks first, so that they are shared before evaluations need them.
        for (at, row) in resolved.iter().enumerate() {
            for seed in item.seeds.clone() {
                for classifier in 0..spec.classifiers.len() {
                    if let Some(networks) = self.networks(spec, row, classifier, seed)? {
                        item.networks.insert((at, seed, classifier), networks);
                    }
                }
            }
        }
        for (at, row) in resolved.iter().enumerate() {
            for seed in item.seeds.clone() {
                for classifier in 0..spec.classifiers.len() {
                    for column in 0..spec.columns.len() {
                        let place = Place { row: at, classifier, column, test: None, seed, strategy: None };
                        self.evaluations(&mut item, row, place)?;
                    }
                }
            }
        }
        let study = spec.study.as_ref().map(|study| self.study(&mut item, study, &resolved)).transpose()?;
        Ok(Some(PlannedItem {
            item: spec.item.clone(),
            title: spec.title.clone(),
            layout: spec.layout,
            seeds: item.seeds,
            rows: resolved.into_iter().map(|row| row.planned).collect(),
            classifiers: spec.classifiers.clone(),
            columns: spec.columns.clone(),
            places: item.places,
            figures: spec.figures.clone(),
            compare: spec.compare.clone(),
            overlaps: spec.overlaps.clone(),
            study,
            notes: spec.notes.clone(),
            beyond_notes: spec.beyond_notes.clone(),
            shrunk_attacks: item.shrunk_attacks,
        }))
    }

    /// The networks of one classifier, and where they are among the cells; `None` if the row has not got it.
    fn networks(
        &mut self,
        spec: &Spec,
        row: &Resolved<'_>,
        classifier: usize,
        seed: u64,
    ) -> Result<Option<Vec<usize>>> {
        let Some(ran) = &row.planned.classifiers[classifier] else { return Ok(None) };
        let classifier = &spec.classifiers[classifier];
        let (members, wider) = (classifier.members, classifier.width_factor.is_some());
        let parts = parts(classifier.kind, members, wider, row.train.num_classes())
            .map_err(|reason| fault(spec, &format!("classifier {}", classifier.name), &reason))?;
        let networks = parts.into_iter().map(|part| {
            let ran = match classifier.equal_steps {
                true => Ran { epochs: epochs_of_equal_steps(spec, row, ran, &part)?, ..ran.clone() },
                false => ran.clone(),
            };
            let label = [&row.planned.row.label(), &classifier.name, &part.label]
                .map(String::as_str)
                .into_iter()
                .filter(|text| !text.is_empty())
                .collect::<Vec<_>>()
                .join(" ");
            self.network(spec, row, &ran, format!("{label} seed {seed}"), part, seed)
        });
        networks.collect::<Result<Vec<_>>>().map(Some)
    }

    pub(super) fn network(
        &mut self,
        spec: &Spec,
        row: &Resolved<'_>,
        ran: &Ran,
        label: String,
        Part { labels, address, arm, outputs: meaning, .. }: Part,
        root: u64,
    ) -> Result<usize> {
        let outputs = labels.num_classes(row.train.num_classes());
        let graph = row.graph(&spec.item, ran, outputs)?;
        let budget = row.planned.row.budget();
        let sampling = if arm { row.recipe.arm_sampling } else { row.recipe.sampling };
        let config = Config { outputs: meaning, ..row.recipe.config(budget, ran.epochs, sampling) };
        let attack = match config.method {
            Method::Standard {} => None,
            _ => {
                let attack = spec.training_set.clone();
                attack.attack.build(budget).map_err(|error| fault(spec, "[training_set]", &error))?;
                Some((attack, budget))
            }
        };
        let recipe = format!("[recipes.{}]", row.planned.row.recipe);
        config.validate().map_err(|error| fault(spec, &recipe, &error))?;
        let [_, height, width] = row.train.shape();
        let crop = config.augmentation().validate(height, width);
        crop.map_err(|error| fault(spec, &recipe, &error))?;
        // Some networks learn from some classes only.
        let kept = |images: &Dataset| {
            images.restricted(&labels).map_err(|error| fault(spec, &format!("network {label}"), &error))
        };
        let (data, measured) = (kept(&row.train)?, kept(&row.measured)?);
        if config.batch_size > data.len() {
            let reason = format!("batch_size {} exceeds the {} images", config.batch_size, data.len());
            return Err(fault(spec, &recipe, &reason));
        }
        let normalize = row.recipe.normalize.clone();
        if let Some(normalize) = &normalize {
            check_normalize(normalize, row.train.shape()[0])
                .map_err(|reason| fault(spec, &recipe, &reason))?;
        }
        let seed = Seed::new(root).derive(Purpose::Network, address);
        let work = NetworkWork { graph, normalize, data, labels, config, seed, measured, attack };
        let identity = NetworkIdentity { model: &ran.model, width: ran.width, root, address };
        let settings = network_settings(&work, &identity, self.request.device)?;
        Ok(self.add(spec, label, settings, Vec::new(), work))
    }

    /// One cell for a clean column; for an attack one per test budget and strategy.
    fn evaluations(&mut self, item: &mut Item<'_>, row: &Resolved<'_>, place: Place) -> Result<()> {
        let spec = item.spec;
        let classifier = &spec.classifiers[place.classifier];
        let column = &spec.columns[place.column];
        let named = column.classifiers.as_ref().is_none_or(|names| names.contains(&classifier.name));
        let measured = named && !column.union;
        let key = (place.row, place.seed, place.classifier);
        let Some(networks) = item.networks.get(&key).filter(|_| measured).cloned() else { return Ok(()) };
        let prefix =
            format!("{} {} {} seed {}", row.planned.row.label(), classifier.name, column.name, place.seed);
        let Some(name) = &column.attack else {
            let wanted = Wanted { place, kind: classifier.kind, attack: None, surrogates: Vec::new() };
            return self.evaluation(item, prefix, wanted, row.test.clone(), networks);
        };
        let Some((attack, images)) = self.attack(item, row, name)? else { return Ok(()) };
        let test = row.first_images(images).map_err(|error| fault(spec, &column.name, &error))?;
        let tests = row.planned.row.tests();
        let tried =
            |stage: &&StageSpec| stage.strategy.is_none_or(|own| classifier.strategies.contains(&own));
        let then: Vec<StageSpec> = spec.attacks[name].then.iter().filter(tried).cloned().collect();
        for epsilon in &tests {
            let budget = Budget { norm: row.planned.row.norm, epsilon: *epsilon };
            let place = Place { test: Some(*epsilon), ..place };
            let built = attack.attack.build(budget);
            built.map_err(|error| fault(spec, &format!("column {}", column.name), &error))?;
            let (aggregate, classes) = (classifier.kind.aggregate(), row.train.num_classes());
            // Rows of one test budget have the labels that they always had.
            let prefix = if tests.len() == 1 { prefix.clone() } else { format!("{prefix} at {epsilon}") };
            for stage in &then {
                let usual = column.strategies.as_ref().unwrap_or(&classifier.strategies);
                let fits = usual
                    .iter()
                    .try_for_each(|&usual| stage.by(usual).build(budget, aggregate, classes).map(drop));
                fits.map_err(|error| fault(spec, &format!("column {}", column.name), &error))?;
            }
            let planned = |at| PlannedAttack { spec: attack.clone(), then: then.clone(), budget, at };
            if let Some(Transfer { from, aim }) = &column.transfer {
                let surrogate = spec.classifiers.iter().position(|other| other.name == *from);
                let surrogate = surrogate.expect("the spec was checked");
                let surrogates = item.networks.get(&(place.row, place.seed, surrogate)).cloned();
                let Some(surrogates) = surrogates else { continue };
                let at = AttackedAt::Surrogate { kind: spec.classifiers[surrogate].kind, aim: *aim };
                let wanted = Wanted { place, kind: classifier.kind, attack: Some(planned(at)), surrogates };
                self.evaluation(item, prefix, wanted, test.clone(), networks.clone())?;
                continue;
            }
            for &strategy in column.strategies.as_ref().unwrap_or(&classifier.strategies) {
                let fits = attack.by(strategy).strategy(aggregate, classes).map(drop);
                fits.map_err(|error| fault(spec, &format!("classifier {}", classifier.name), &error))?;
                let place = Place { strategy: Some(strategy), ..place };
                let attack = Some(planned(AttackedAt::Itself(strategy)));
                let wanted = Wanted { place, kind: classifier.kind, attack, surrogates: Vec::new() };
                let label = format!("{prefix} {strategy}");
                self.evaluation(item, label, wanted, test.clone(), networks.clone())?;
            }
        }
        Ok(())
    }

    /// The attack called `name` in the row's norm, as the profile has it, and on how many images at most; `None` where
    /// the norm has no such attack.
    pub(super) fn attack(
        &self,
        item: &mut Item<'_>,
        row: &Resolved<'_>,
        name: &str,
    ) -> Result<Option<(AttackSpec, usize)>> {
        let spec = item.spec;
        let named = &spec.attacks[name];
        let Some(mut attack) = named.of(row.planned.row.norm) else { return Ok(None) };
        let mut images = named.images.unwrap_or(usize::MAX);
        let (profile, norm) = (self.request.profile, row.planned.row.norm);
        let mut said = Vec::new();
        if let Some(shrink) = spec.profile(profile).and_then(|section| section.attacks.get(name)) {
            let place = format!("[{profile}.attacks.{name}]");
            let applied = shrink.apply(&attack, norm);
            (attack, said) = applied.map_err(|reason| fault(spec, &place, &reason))?;
            if let Some(fewer) = shrink.images {
                if fewer == 0 || fewer > images {
                    return Err(fault(spec, &place, &format!("images {fewer} does not shrink {images}")));
                }
                images = fewer;
                said.push(format!("the first {fewer} images"));
            }
        }
        if let Some(&fewer) = self.request.attack_images.get(name) {
            let there = images.min(row.test.len());
            if fewer == 0 || fewer > there {
                return Err(Error::AttackImages { attack: name.to_owned(), asked: fewer, there });
            }
            images = fewer;
            said.push(format!("as asked for, the first {fewer} images (else {there})"));
        }
        let line = (name.to_owned(), format!("{name} in {norm}: {}", said.join(", ")));
        if !said.is_empty() && !item.shrunk_attacks.contains(&line) {
            item.shrunk_attacks.push(line);
        }
        Ok(Some((AttackSpec { attack, loss: named.loss }, images)))
    }

    fn evaluation(
        &mut self,
        item: &mut Item<'_>,
        label: String,
        Wanted { place, kind, attack, surrogates }: Wanted,
        test: Dataset,
        networks: Vec<usize>,
    ) -> Result<()> {
        let keys = |networks: &[usize]| -> Vec<&Key> {
            networks.iter().map(|&network| &self.cells[network].key).collect()
        };
        let attacked = match &attack {
            None => Value::Null,
            Some(planned) => {
                let mut attacked = json!({
                    "attack": json("attack settings", &planned.spec)?,
                    "budget": json("budget", &planned.budget)?,
                });
                // Left out where there is none, so that the keys of single attacks are what they always were.
                if !planned.then.is_empty() {
                    attacked["then"] = json("further attacks", &planned.then)?;
                }
                match planned.at {
                    AttackedAt::Itself(strategy) => attacked["strategy"] = json("strategy", &strategy)?,
                    AttackedAt::Surrogate { kind, aim } => {
                        attacked["surrogate"] = json!({
                            "kind": json("classifier", &kind)?,
                            "networks": json("keys", &keys(&surrogates))?,
                            "aim": json("aim", &aim)?,
                        });
                    }
                }
                attacked
            }
        };
        let settings = json!({
            "kind": "evaluation",
            "classifier": { "kind": json("classifier", &kind)?, "networks": json("keys", &keys(&networks))? },
            "data": data(&test)?,
            "attacked": attacked,
            "judge": "misclassified",
            "seed": { "root": place.seed },
            "executor": self.request.device.executor().name(),
            "numerics": numerics(&[
                "core", "kernels", "nn", "data", "models", "attacks", "aggregation", "evaluation", "experiments",
            ]),
        });
        let seed = Seed::new(place.seed).derive(Purpose::Evaluation, 0);
        let work = EvaluationWork { kind, networks: networks.len(), data: test, attack, seed };
        let needs = networks.into_iter().chain(surrogates).collect();
        let index = self.add(item.spec, label, settings, needs, work);
        item.places.push((place, index));
        Ok(())
    }

    pub(super) fn add(
        &mut self,
        spec: &Spec,
        label: String,
        settings: Value,
        needs: Vec<usize>,
        work: impl Work + 'static,
    ) -> usize {
        let cell = Cell::new(&spec.item, label, &settings, needs, work);
        *self.known.entry(cell.key.clone()).or_insert_with(|| {
            self.cells.push(cell);
            self.cells.len() - 1
        })
    }
}

/// Passes over the images of `part` that are as many steps as the row's passes over all images.
fn epochs_of_equal_steps(spec: &Spec, row: &Resolved<'_>, ran: &Ran, part: &Part) -> Result<usize> {
    let own = row.train.restricted(&part.labels);
    let own = own.map_err(|error| fault(spec, &format!("network {}", part.label), &error))?;
    let batches = |images: &Dataset| (images.len() / row.recipe.batch_size).max(1);
    Ok((ran.epochs * batches(&row.train) + batches(&own) / 2) / batches(&own))
}

/// One evaluation of an item.
struct Wanted {
    place: Place,
    kind: ClassifierKind,
    attack: Option<PlannedAttack>,
    surrogates: Vec<usize>,
}
