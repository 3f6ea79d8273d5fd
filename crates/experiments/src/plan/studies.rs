//! Cells of studies: what figures show and no table does.

use robin_attacks::Loss;
use robin_core::{Budget, Epsilon, Norm, Purpose, Seed};
use robin_data::{Dataset, Sampling, class_order};
use serde_json::{Value, json};

use super::Ran;
use super::cells::{Builder, Item};
use super::check::fault;
use super::check_normalize;
use super::networks::{Part, class_count, parts};
use super::resolve::Resolved;
use super::settings::{data, json, numerics};
use super::study::{PlannedStudy, StudyPart, StudyPlace};
use crate::alignment::Compared;
use crate::cell::coherence::CoherenceWork;
use crate::cell::distances::DistancesWork;
use crate::cell::one_class::{CLASS, OneClassWork};
use crate::cell::toy::{self, ToyWork};
use crate::key::Key;
use crate::spec::{AttackSpec, ClassifierKind, Recipe, Spec, StudySpec, ToySpec};
use crate::{Error, Result};

/// One row of an item under one seed.
#[derive(Clone, Copy)]
struct At<'a, 'r> {
    row: &'a Resolved<'r>,
    number: usize,
    seed: u64,
}

impl Builder<'_> {
    /// All cells of a study.
    pub(super) fn study(
        &mut self,
        item: &mut Item<'_>,
        study: &StudySpec,
        rows: &[Resolved<'_>],
    ) -> Result<PlannedStudy> {
        let profile = self.request.profile;
        let (study, shrunk) = study.shrunk(profile).map_err(|reason| fault(item.spec, "[study]", &reason))?;
        let mut places = Vec::new();
        if let StudySpec::Toy(toy) = &study {
            for seed in item.seeds.clone() {
                places.push((StudyPlace { row: 0, seed, part: StudyPart::Toy }, self.toy(item, toy, seed)?));
            }
        }
        for (number, row) in rows.iter().enumerate() {
            for seed in item.seeds.clone() {
                let at = At { row, number, seed };
                match &study {
                    StudySpec::ClassCount { .. } => self.class_counts(item, &study, at, &mut places)?,
                    StudySpec::Distances { .. } => self.distances(item, &study, at, &mut places)?,
                    StudySpec::Coherence { members, bins } => {
                        self.coherence(item, *members, *bins, at, &mut places)?;
                    }
                    StudySpec::Toy(_) => return Err(fault(item.spec, "[study]", &"a toy has no rows")),
                }
            }
        }
        Ok(PlannedStudy { spec: study, shrunk, places })
    }

    /// Section 3's task: every `MODEL[j]` at every test budget, and where asked for the same by standard training.
    fn class_counts(
        &mut self,
        item: &mut Item<'_>,
        study: &StudySpec,
        at: At<'_, '_>,
        places: &mut Vec<(StudyPlace, usize)>,
    ) -> Result<()> {
        let StudySpec::ClassCount { counts, orders, balanced, attack, standard, .. } = study else {
            return Ok(());
        };
        let spec = item.spec;
        let (named, images) = self.named(item, at.row, attack)?;
        if !matches!(named.loss, Loss::Ce | Loss::Margin) {
            return Err(fault(spec, "[study]", &format!("loss {}, allowed: ce, margin", named.loss)));
        }
        for (order, &count) in (0..*orders).flat_map(|order| counts.iter().map(move |count| (order, count))) {
            let (network, label, test) = self.model(spec, at, None, (count, order, *balanced))?;
            let test = test.take(images.min(test.len())).map_err(|error| fault(spec, attack, &error))?;
            if test.labels().iter().all(|&label| u32::from(label) != CLASS) {
                let reason = format!("none of the {} test images is of class 1 in order {order}", test.len());
                return Err(fault(spec, "[study]", &reason));
            }
            for epsilon in at.row.planned.row.tests() {
                let budget = Budget { norm: at.row.planned.row.norm, epsilon };
                let attack = (epsilon.get() > 0.0).then(|| (named.clone(), budget));
                if attack.is_some() {
                    let built = named.attack.build(budget);
                    built.map_err(|error| fault(spec, "[study]", &error))?;
                }
                let part = StudyPart::OneClass { count, order, standard: false, test: epsilon };
                let cell = self.one_class(spec, at, (network, &label), epsilon, attack, test.clone())?;
                places.push((StudyPlace { row: at.number, seed: at.seed, part }, cell));
            }
            if let Some(recipe) = standard.get(&at.row.planned.row.recipe) {
                let (network, label, test) = self.model(spec, at, Some(recipe), (count, order, *balanced))?;
                let test = test.take(images.min(test.len())).map_err(|error| fault(spec, attack, &error))?;
                let clean = Epsilon::new(0.0).map_err(|error| fault(spec, "[study]", &error))?;
                let part = StudyPart::OneClass { count, order, standard: true, test: clean };
                let cell = self.one_class(spec, at, (network, &label), clean, None, test)?;
                places.push((StudyPlace { row: at.number, seed: at.seed, part }, cell));
            }
        }
        Ok(())
    }

    fn one_class(
        &mut self,
        spec: &Spec,
        at: At<'_, '_>,
        (network, label): (usize, &str),
        epsilon: Epsilon,
        attack: Option<(AttackSpec, Budget)>,
        test: Dataset,
    ) -> Result<usize> {
        let attacked = match &attack {
            None => Value::Null,
            Some((attack, budget)) => json!({
                "attack": json("attack settings", attack)?,
                "budget": json("budget", budget)?,
            }),
        };
        let own = json!({ "judge": { "one-class": CLASS }, "attacked": attacked });
        let settings = self.settings("one-class", &[network], &test, at.seed, own)?;
        let seed = evaluation_seed(at.seed);
        let work = OneClassWork { data: test, attack, seed };
        let label = format!("{label} asked at {epsilon}");
        Ok(self.add(spec, label, settings, vec![network], work))
    }

    fn distances(
        &mut self,
        item: &mut Item<'_>,
        study: &StudySpec,
        at: At<'_, '_>,
        places: &mut Vec<(StudyPlace, usize)>,
    ) -> Result<()> {
        let StudySpec::Distances { counts, orders, balanced, attacks: names, .. } = study else {
            return Ok(());
        };
        let spec = item.spec;
        let (mut attacks, mut images) = (Vec::new(), usize::MAX);
        let norm = at.row.planned.row.norm;
        for name in names {
            let (attack, fewer) = self.named(item, at.row, name)?;
            if attack.loss != Loss::Margin {
                let reason = format!("{name} raises {}, distances are looked for with margin", attack.loss);
                return Err(fault(spec, "[study]", &reason));
            }
            attack.attack.minimal(norm).map_err(|error| fault(spec, "[study]", &error))?;
            attacks.push(attack.attack);
            images = images.min(fewer);
        }
        if attacks.is_empty() {
            return Err(fault(spec, "[study]", &"no attack"));
        }
        for (order, &count) in (0..*orders).flat_map(|order| counts.iter().map(move |count| (order, count))) {
            let (network, label, test) = self.model(spec, at, None, (count, order, *balanced))?;
            // The same images for all attacks: each example's distance is the smallest of all.
            let test = test.take(images.min(test.len())).map_err(|error| fault(spec, "[study]", &error))?;
            let own = json!({
                "judge": { "one-class": CLASS },
                "attacks": json("attack settings", &attacks)?,
                "loss": json("loss", &Loss::Margin)?,
                "norm": json("norm", &norm)?,
            });
            let settings = self.settings("distances", &[network], &test, at.seed, own)?;
            let work = DistancesWork {
                data: test,
                attacks: attacks.clone(),
                loss: Loss::Margin,
                norm,
                seed: evaluation_seed(at.seed),
            };
            let label = format!("{label} distances");
            let cell = self.add(spec, label, settings, vec![network], work);
            let part = StudyPart::Distances { count, order };
            places.push((StudyPlace { row: at.number, seed: at.seed, part }, cell));
        }
        Ok(())
    }

    fn coherence(
        &mut self,
        item: &Item<'_>,
        members: usize,
        bins: usize,
        at: At<'_, '_>,
        places: &mut Vec<(StudyPlace, usize)>,
    ) -> Result<()> {
        let spec = item.spec;
        for (name, aggregate, members) in
            [("robin", "one-vs-all", None), ("ensemble", "ensemble", Some(members))]
        {
            let kind = aggregate.parse().map_err(|error: String| fault(spec, "[study]", &error))?;
            let ClassifierKind::Aggregate(aggregation) = kind else { continue };
            let compared = Compared::of(aggregation).expect("both have a coherence");
            let parts = parts(kind, members, false, at.row.train.num_classes());
            let parts = parts.map_err(|reason| fault(spec, "[study]", &reason))?;
            let row = at.row.planned.row.label();
            let networks: Vec<usize> = parts
                .into_iter()
                .map(|part| {
                    let label = format!("{row} {name} {} seed {}", part.label, at.seed);
                    self.network(spec, at.row, &at.row.planned.ran, label, part, at.seed)
                })
                .collect::<Result<_>>()?;
            let test = at.row.test.clone();
            let own = json!({ "compared": json("what is compared", &compared)?, "bins": bins });
            let settings = self.settings("coherence", &networks, &test, at.seed, own)?;
            let work = CoherenceWork { compared, data: test, bins };
            let label = format!("{row} {name} coherence seed {}", at.seed);
            let cell = self.add(spec, label, settings, networks, work);
            let part = StudyPart::Coherence(compared);
            places.push((StudyPlace { row: at.number, seed: at.seed, part }, cell));
        }
        Ok(())
    }

    fn toy(&mut self, item: &mut Item<'_>, toy: &ToySpec, root: u64) -> Result<usize> {
        let spec = item.spec;
        let recipe = recipe(spec, &toy.recipe)?;
        let named = spec
            .attacks
            .get(&toy.attack)
            .and_then(|named| Some(AttackSpec { attack: named.of(Norm::L2)?, loss: named.loss }));
        let Some(attack) = named else {
            return Err(fault(spec, "[study]", &format!("no attack {:?} in l2", toy.attack)));
        };
        if let Some(reason) = toy::fault(toy, &attack) {
            return Err(fault(spec, "[study]", &reason));
        }
        let budget = Budget { norm: Norm::L2, epsilon: toy.epsilon };
        let config = recipe.config(budget, recipe.epochs, recipe.sampling);
        let place = format!("[recipes.{}]", toy.recipe);
        config.validate().map_err(|error| fault(spec, &place, &error))?;
        let points = toy.train_points * toy.clusters.len();
        if config.batch_size > points {
            let reason = format!("batch_size {} exceeds the {points} points", config.batch_size);
            return Err(fault(spec, &place, &reason));
        }
        if let Some(normalize) = &recipe.normalize {
            check_normalize(normalize, 1).map_err(|reason| fault(spec, &place, &reason))?;
        }
        if config.crop_padding > 0 || config.sampling == Sampling::Balanced {
            return Err(fault(
                spec,
                &place,
                &"points in the plane are not cropped, nor their batches balanced",
            ));
        }
        let settings = json!({
            "kind": "toy",
            "toy": json("toy", toy)?,
            "training": json("training settings", &config)?,
            "normalize": json("normalisation", &recipe.normalize)?,
            "attack": json("attack settings", &attack)?,
            "seed": { "root": root },
            "executor": self.request.device.executor().name(),
            "numerics": numerics(&[
                "core", "kernels", "nn", "data", "models", "attacks", "training", "evaluation", "experiments",
            ]),
        });
        let work = ToyWork {
            spec: toy.clone(),
            config,
            normalize: recipe.normalize.clone(),
            attack,
            seed: Seed::new(root),
        };
        Ok(self.add(spec, format!("points in the plane seed {root}"), settings, Vec::new(), work))
    }

    /// `MODEL[count]` under an order: where it is among the cells, its name, and the test images with its labels.
    /// `recipe` stands in for the row's.
    fn model(
        &mut self,
        spec: &Spec,
        At { row, seed, .. }: At<'_, '_>,
        instead: Option<&String>,
        (count, order, balanced): (usize, usize, bool),
    ) -> Result<(usize, String, Dataset)> {
        let classes = row.train.num_classes();
        let part = class_count(count, order, class_order(classes, Seed::new(seed), order as u64));
        let part = Part { arm: balanced && count < classes, ..part };
        let test = row.test.relabelled(&part.labels);
        let test = test.map_err(|error| fault(spec, "[study]", &error))?;
        let name = instead.map_or(String::new(), |name| format!(" {name}"));
        let label = format!("{} {}{name} seed {seed}", row.planned.row.label(), part.label);
        let Some(name) = instead else {
            let network = self.network(spec, row, &row.planned.ran, label.clone(), part, seed)?;
            return Ok((network, label, test));
        };
        let recipe = recipe(spec, name)?;
        // The profile shrank the row's own recipe; the other one is as long.
        let ran = Ran { epochs: row.planned.ran.epochs.min(recipe.epochs), ..row.planned.ran.clone() };
        let mut planned = row.planned.clone();
        planned.row.recipe.clone_from(name);
        let (train, test_images, measured) = (row.train.clone(), row.test.clone(), row.measured.clone());
        let other =
            Resolved { planned, recipe, train, test: test_images, measured, first: Default::default() };
        let network = self.network(spec, &other, &ran, label.clone(), part, seed)?;
        Ok((network, label, test))
    }

    /// The attack called `name` as the profile has it, and on how many images at most.
    fn named(&self, item: &mut Item<'_>, row: &Resolved<'_>, name: &str) -> Result<(AttackSpec, usize)> {
        let spec = item.spec;
        if !spec.attacks.contains_key(name) {
            let known = spec.attacks.keys().cloned().collect::<Vec<_>>().join(", ");
            return Err(fault(spec, "[study]", &format!("no attack {name:?} (one of: {known})")));
        }
        let norm = row.planned.row.norm;
        self.attack(item, row, name)?
            .ok_or_else(|| fault(spec, "[study]", &format!("attack {name} does not exist in {norm}")))
    }

    /// What every cell of a study with networks has in its key.
    fn settings(
        &self,
        kind: &'static str,
        networks: &[usize],
        test: &Dataset,
        root: u64,
        own: Value,
    ) -> Result<Value> {
        let keys: Vec<&Key> = networks.iter().map(|&network| &self.cells[network].key).collect();
        let own_crates: &[&str] = match kind {
            "coherence" => &["aggregation", "coherence"],
            _ => &["attacks"],
        };
        let crates = ["core", "kernels", "nn", "data", "models", "evaluation", "experiments"];
        Ok(json!({
            "kind": kind,
            "networks": json("keys", &keys)?,
            "data": data(test)?,
            "study": own,
            "seed": { "root": root },
            "executor": self.request.device.executor().name(),
            "numerics": numerics(&[&crates, own_crates].concat()),
        }))
    }
}

fn evaluation_seed(root: u64) -> Seed {
    Seed::new(root).derive(Purpose::Evaluation, 0)
}

fn recipe<'a>(spec: &'a Spec, name: &str) -> Result<&'a Recipe> {
    spec.recipes.get(name).ok_or_else(|| -> Error {
        let names = spec.recipes.keys().cloned().collect::<Vec<_>>().join(", ");
        fault(spec, "[study]", &format!("no recipe {name:?} (one of: {names})"))
    })
}
