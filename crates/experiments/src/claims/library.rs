//! Where a claim's numbers are: among a plan's places and the records that are there.

use std::collections::BTreeMap;

use robin_core::{Epsilon, Norm};
use robin_evaluation::Clean;
use serde_json::Value;

use super::asked::{Budgets, Select};
use super::contrast::{CleanAccuracy, Observed, Quantity, Side, Term, Who};
use crate::alignment::Compared as Whose;
use crate::cell::one_class::CLASS;
use crate::cell::{distances, one_class};
use crate::plan::{Plan, PlannedItem, PlannedRow};
use crate::record::{Kind, Record};
use crate::study::{StudyPart, StudyPlace};
use crate::table::{At, Found, accuracy, found, mean, misclassified_by_any, places};
use crate::{Error, Outcome, Result};

/// What there is of a plan.
pub(super) struct Library<'a> {
    items: Vec<Known<'a>>,
    records: BTreeMap<&'a str, &'a Record>,
    /// Clean evaluations by their networks.
    clean: BTreeMap<Vec<&'a str>, &'a Record>,
}

/// One item, and its numbers.
struct Known<'a> {
    item: &'a PlannedItem,
    found: Vec<Found>,
    places: Vec<At>,
    study: Vec<(StudyPlace, &'a Record)>,
}

/// Which of a classifier's strategies.
#[derive(Clone, Copy)]
enum Choice<'a> {
    All,
    Strongest,
    Named(&'a str),
}

impl<'a> Library<'a> {
    /// # Errors
    /// [`Error::Json`] if a record's results are not those of its kind.
    pub(super) fn new(plan: &'a Plan, outcome: &'a Outcome) -> Result<Self> {
        let mut items = Vec::new();
        for item in &plan.items {
            let found = found(plan, item, outcome)?;
            let places = places(item, &found);
            let study = item.study.iter().flat_map(|study| &study.places);
            let study =
                study.filter_map(|(place, cell)| Some((*place, outcome.records.get(cell)?))).collect();
            items.push(Known { item, found, places, study });
        }
        let records = outcome.records.values().map(|record| (record.key.as_str(), record)).collect();
        let evaluations = outcome.records.values().filter(|record| record.settings["kind"] == "evaluation");
        let clean = evaluations.map(|record| (networks(&record.settings["classifier"]), record)).collect();
        Ok(Self { items, records, clean })
    }

    /// Every such number of the plan, those without a record too.
    ///
    /// # Errors
    /// [`Error::Json`] if a record's results are not those of its kind.
    pub(super) fn sides(&self, select: &Select) -> Result<Vec<Side>> {
        let Some(known) = self.items.iter().find(|known| known.item.item == select.item()) else {
            return Ok(Vec::new());
        };
        match select {
            Select::Accuracy { classifier, attack, strategy, rows, at, .. } => {
                let choice = Choice::of(strategy.as_deref());
                self.accuracies(known, &[(1.0, classifier)], attack, choice, (rows.as_deref(), *at))
            }
            Select::Lead { lead: [ahead, behind], attack, strategy, rows, at, .. } => {
                let choice = Choice::of(strategy.as_deref());
                let both = [(1.0, ahead), (-1.0, behind)];
                self.accuracies(known, &both, attack, choice, (rows.as_deref(), *at))
            }
            Select::OneClass { classes, budget, standard, .. } => {
                self.one_class(known, &[(1.0, *classes)], *budget, *standard)
            }
            Select::OneClassLead { classes: [ahead, behind], budget, .. } => {
                self.one_class(known, &[(1.0, *ahead), (-1.0, *behind)], *budget, false)
            }
            Select::Distance { distance_of, .. } => {
                let of = |place: &StudyPlace| match place.part {
                    StudyPart::Distances { count, order } if count == *distance_of => Some(Some(order)),
                    _ => None,
                };
                self.studied(known, of, Quantity::Distance, &format!("distance with {distance_of} classes"))
            }
            Select::Coherence { coherence, rows, .. } => {
                let what = match coherence {
                    Whose::Arms => "coherence of robin",
                    Whose::Networks => "coherence of the ensemble",
                };
                let of =
                    |place: &StudyPlace| (place.part == StudyPart::Coherence(*coherence)).then_some(None);
                let mut found = self.studied(known, of, Quantity::Coherence, what)?;
                found.retain(|side| rows.as_ref().is_none_or(|part| side.row.contains(part)));
                Ok(found)
            }
            Select::Overlap { inside, attack, .. } => self.overlaps(known, inside, attack),
        }
    }

    /// The first of `classifiers` less the second one, if there are two, wherever all of them are asked for.
    fn accuracies(
        &self,
        known: &Known<'_>,
        classifiers: &[(f64, &String)],
        attack: &str,
        choice: Choice<'_>,
        (rows, budgets): (Option<&str>, Budgets),
    ) -> Result<Vec<Side>> {
        let item = known.item;
        let is = |at: &&At, classifier: &str| {
            let (spec, column) = (&item.classifiers[at.classifier], &item.columns[at.column]);
            // The paper claims nothing of what it has not got.
            let papers = !item.rows[at.row].row.beyond && !spec.beyond;
            papers && spec.name == classifier && column.name == attack
        };
        let mut sides = Vec::new();
        for at in known.places.iter().filter(|at| is(at, classifiers[0].1)) {
            let row = &item.rows[at.row];
            if !rows.is_none_or(|part| row.row.label().contains(part)) || !wanted(row, at.test, budgets) {
                continue;
            }
            let mut terms = Vec::new();
            for &(sign, classifier) in classifiers {
                let same =
                    |other: &&At| (other.row, other.test) == (at.row, at.test) && is(other, classifier);
                if let Some(at) = known.places.iter().find(same) {
                    terms.extend(self.accuracy(known, at, (sign, classifier, attack), choice)?);
                }
            }
            if terms.len() == classifiers.len() {
                let budget = at.test.filter(|_| budgets == Budgets::Each && row.row.test.is_some());
                sides.push(side(row, budget, Vec::new(), terms));
            }
        }
        Ok(sides)
    }

    /// The accuracy at `at`; `None` if no such strategy is planned there.
    fn accuracy(
        &self,
        known: &Known<'_>,
        at: &At,
        (sign, classifier, attack): (f64, &str, &str),
        choice: Choice<'_>,
    ) -> Result<Option<Term>> {
        let item = known.item;
        let planned = item.places.iter().filter(|(place, _)| at.holds(place));
        let strategies: Vec<_> = planned.filter_map(|(place, _)| place.strategy).collect();
        let here =
            |seed: u64| known.found.iter().filter(move |one| at.holds(&one.place) && one.place.seed == seed);
        let strategy = match choice {
            Choice::All => None,
            Choice::Named(name) => match strategies.iter().find(|strategy| strategy.to_string() == name) {
                Some(strategy) => Some(*strategy),
                None => return Ok(None),
            },
            Choice::Strongest => {
                // Of those that all seeds have which any has, the one that leaves the least.
                let leaves = |strategy| {
                    let all = item.seeds.iter().flat_map(|seed| here(*seed));
                    let of = all.filter(|one| one.place.strategy == Some(strategy));
                    mean(&of.map(|one| accuracy(&one.misclassified)).collect::<Vec<_>>())
                };
                let measured = strategies.iter().copied().filter(|strategy| leaves(*strategy).is_finite());
                measured.min_by(|a, b| leaves(*a).total_cmp(&leaves(*b)))
            }
        };
        let mut seeds = BTreeMap::new();
        for &seed in &item.seeds {
            let (misclassified, keys): (_, Vec<&str>) = match strategy {
                None => (
                    misclassified_by_any(item, &known.found, at, seed),
                    here(seed).map(|one| one.key.as_str()).collect(),
                ),
                Some(strategy) => {
                    let found = here(seed).find(|one| one.place.strategy == Some(strategy));
                    (
                        found.map(|one| one.misclassified.clone()),
                        found.map(|one| one.key.as_str()).into_iter().collect(),
                    )
                }
            };
            let Some(misclassified) = misclassified else { continue };
            let values =
                misclassified.iter().map(|misclassified| Some(f64::from(u8::from(!misclassified)))).collect();
            let clean = self.clean_of(&keys, item.rows[at.row].row.dataset.num_classes())?;
            let records = keys.into_iter().map(str::to_owned).collect();
            seeds.insert(Who { seed, order: None }, Observed { values, groups: None, records, clean });
        }
        let how = match (strategy, strategies.len()) {
            (Some(strategy), _) => format!(", {strategy}"),
            (None, 2..) if matches!(choice, Choice::All) => ", all strategies".to_owned(),
            _ => String::new(),
        };
        let images = item.rows[at.row].row.dataset.to_string();
        let what = format!("{classifier} {attack}{how}");
        Ok(Some(Term { sign, what, quantity: Quantity::Withstands, images, seeds }))
    }

    /// Section 3's question, over all images and over both groups alike.
    fn one_class(
        &self,
        known: &Known<'_>,
        counts: &[(f64, usize)],
        budget: f64,
        wants_standard: bool,
    ) -> Result<Vec<Side>> {
        let mut sides = Vec::new();
        for (quantity, metric) in
            [(Quantity::Withstands, "all images"), (Quantity::WithstandsBalanced, "both groups alike")]
        {
            let mut of_count: Vec<Vec<Side>> = Vec::new();
            for &(sign, wanted) in counts {
                let what = match (wants_standard, budget) {
                    (true, _) => format!("{wanted} classes, trained without attacks, clean"),
                    (false, 0.0) => format!("{wanted} classes, clean"),
                    (false, budget) => format!("{wanted} classes at {budget} times the training budget"),
                };
                let select = |place: &StudyPlace| {
                    let StudyPart::OneClass { count, order, standard, test } = place.part else {
                        return None;
                    };
                    let train = known.item.rows[place.row].row.epsilon.get();
                    let at = standard || (test.get() - budget * train).abs() < 1e-9;
                    ((count, standard) == (wanted, wants_standard) && at).then_some(Some(order))
                };
                let mut found = self.studied(known, select, quantity, &what)?;
                found.iter_mut().for_each(|side| side.terms.iter_mut().for_each(|term| term.sign = sign));
                of_count.push(found);
            }
            let mut all = of_count.into_iter();
            let mut first = all.next().unwrap_or_default();
            for others in all {
                first.retain_mut(|side| {
                    let same = others.iter().find(|other| other.row == side.row);
                    same.map(|other| side.terms.extend(other.terms.clone())).is_some()
                });
            }
            first.iter_mut().for_each(|side| side.readings.push(metric.to_owned()));
            sides.extend(first);
        }
        Ok(sides)
    }

    /// What a study found at the places that `order` selects, with the class order of each.
    fn studied(
        &self,
        known: &Known<'_>,
        order: impl Fn(&StudyPlace) -> Option<Option<usize>>,
        quantity: Quantity,
        what: &str,
    ) -> Result<Vec<Side>> {
        let mut sides = Vec::new();
        for (number, row) in known.item.rows.iter().enumerate() {
            let planned = known.item.study.iter().flat_map(|study| &study.places);
            let mut planned = planned.filter(|(place, _)| place.row == number);
            if !planned.any(|(place, _)| order(place).is_some()) {
                continue;
            }
            let mut seeds = BTreeMap::new();
            for (place, record) in known.study.iter().filter(|(place, _)| place.row == number) {
                if let Some(order) = order(place) {
                    seeds.insert(Who { seed: place.seed, order }, self.observed(record, quantity)?);
                }
            }
            let images = row.row.dataset.to_string();
            let term = Term { sign: 1.0, what: what.to_owned(), quantity, images, seeds };
            let scale = (quantity != Quantity::Coherence).then(|| scale(row));
            sides.push(side(row, None, scale.into_iter().collect(), vec![term]));
        }
        Ok(sides)
    }

    /// One record of a study.
    fn observed(&self, record: &Record, quantity: Quantity) -> Result<Observed> {
        let key = record.key.as_str().to_owned();
        if quantity == Quantity::Coherence {
            let values: Vec<Option<f64>> = read(&record.results["cosines"], "coherence")?;
            let clean = self.clean_of_networks(&networks(&record.settings), record)?;
            return Ok(Observed { values, groups: None, records: vec![key], clean });
        }
        let clean: Clean = read(&record.results["clean_examples"], "the examples of section 3's task")?;
        let own = groups(&clean);
        let accuracy = balanced(&clean.misclassified, &own);
        // "No" to everything is right for one group of two.
        let learned = CleanAccuracy { record: key.clone(), accuracy, chance: 0.5 };
        let values = match quantity {
            Quantity::Distance => {
                distances::read(record)?.distances.iter().map(|found| found.map(f64::from)).collect()
            }
            _ => {
                let (clean, robust) = one_class::examples(record)?;
                let misclassified = robust.map_or(clean.misclassified, |robust| robust.worst.misclassified);
                misclassified.iter().map(|misclassified| Some(f64::from(u8::from(!misclassified)))).collect()
            }
        };
        let groups = (quantity == Quantity::WithstandsBalanced).then_some(own);
        Ok(Observed { values, groups, records: vec![key], clean: vec![learned] })
    }

    /// Of what one strategy breaks, what another one breaks too.
    fn overlaps(&self, known: &Known<'_>, [first, second]: &[String; 2], attack: &str) -> Result<Vec<Side>> {
        let item = known.item;
        let mut sides = Vec::new();
        for at in known.places.iter().filter(|at| item.columns[at.column].name == attack) {
            let row = &item.rows[at.row];
            let mut seeds = BTreeMap::new();
            for &seed in &item.seeds {
                let of = |name: &str| {
                    let mut here =
                        known.found.iter().filter(|one| at.holds(&one.place) && one.place.seed == seed);
                    here.find(|one| one.place.strategy.is_some_and(|strategy| strategy.to_string() == name))
                };
                let (Some(one), Some(other)) = (of(first), of(second)) else { continue };
                let record = self.records[one.key.as_str()];
                let wrong: Clean = read(&record.results["clean_examples"], "the results of an evaluation")?;
                let images = one.misclassified.iter().zip(&other.misclassified).zip(&wrong.misclassified);
                let value = |((one, other), wrong): ((&bool, &bool), &bool)| {
                    (*one && !wrong).then(|| f64::from(u8::from(*other)))
                };
                let values: Vec<Option<f64>> = images.map(value).collect();
                if values.iter().all(Option::is_none) {
                    continue;
                }
                let keys = [one.key.as_str(), other.key.as_str()];
                let clean = self.clean_of(&keys, row.row.dataset.num_classes())?;
                let records = keys.map(str::to_owned).to_vec();
                seeds.insert(Who { seed, order: None }, Observed { values, groups: None, records, clean });
            }
            let what = format!("broken by {first}, and by {second} too");
            let images = row.row.dataset.to_string();
            let term = Term { sign: 1.0, what, quantity: Quantity::MisclassifiedToo, images, seeds };
            let budget = at.test.filter(|_| row.row.test.is_some());
            sides.push(side(row, budget, Vec::new(), vec![term]));
        }
        Ok(sides)
    }

    /// Clean accuracy of the classifier that the evaluations `keys` are of, and of the one that their attack was made on.
    fn clean_of(&self, keys: &[&str], classes: usize) -> Result<Vec<CleanAccuracy>> {
        let Some(record) = keys.first().map(|key| self.records[key]) else { return Ok(Vec::new()) };
        let mut all = vec![clean_accuracy(record, record.key.as_str(), classes)?];
        let surrogate = &record.settings["attacked"]["surrogate"];
        if !surrogate.is_null() {
            all.extend(self.clean_of_networks(&networks(surrogate), record)?);
        }
        Ok(all)
    }

    /// Clean accuracy of what `networks` make up, by any evaluation of it; else of each alone, by an evaluation or on its
    /// training images. Empty if that is nowhere.
    fn clean_of_networks(&self, networks: &[&str], of: &Record) -> Result<Vec<CleanAccuracy>> {
        let classes = of.settings["data"]["name"]
            .as_str()
            .and_then(|name| name.parse::<robin_data::DatasetName>().ok())
            .map_or(10, robin_data::DatasetName::num_classes);
        let evaluated = |networks: &[&str]| {
            let found = self.clean.get(networks)?;
            Some(clean_accuracy(found, found.key.as_str(), classes))
        };
        if let Some(all) = evaluated(networks) {
            return Ok(vec![all?]);
        }
        let mut each = Vec::new();
        for network in networks {
            let on_training_images = || {
                let record = self.records.get(network).filter(|record| record.kind == Kind::Network)?;
                let outputs = record.results["training_set"]["clean"]["accuracy"].as_f64();
                // An arm's is right nine times in ten without knowing anything.
                let is_arm = of.settings["study"]["compared"] == "arms";
                outputs.filter(|_| !is_arm).map(|accuracy| {
                    Ok(CleanAccuracy {
                        record: (*network).to_owned(),
                        accuracy,
                        chance: 1.0 / classes as f64,
                    })
                })
            };
            match evaluated(&[network]).or_else(on_training_images) {
                Some(found) => each.push(found?),
                None => return Ok(Vec::new()),
            }
        }
        Ok(each)
    }
}

impl<'a> Choice<'a> {
    fn of(strategy: Option<&'a str>) -> Self {
        match strategy {
            None => Self::All,
            Some("strongest") => Self::Strongest,
            Some(name) => Self::Named(name),
        }
    }
}

fn side(row: &PlannedRow, budget: Option<Epsilon>, readings: Vec<String>, terms: Vec<Term>) -> Side {
    // `CIFAR-10 with resnet18: ...` or `cifar10/resnet18/l2`.
    let name = |text: &str| text.to_lowercase().replace('-', "");
    let same_data = |of: &String| name(of).starts_with(&row.row.dataset.to_string());
    let stand_in = row.row.stand_in.clone();
    Side {
        row: row.row.label(),
        budget,
        readings,
        other_data: stand_in.clone().filter(|of| !same_data(of)),
        in_place_of: stand_in.filter(same_data),
        shrunk: row.shrunk.clone(),
        terms,
    }
}

/// Whether a row's test budget is asked for; clean accuracy always is.
fn wanted(row: &PlannedRow, test: Option<Epsilon>, budgets: Budgets) -> bool {
    let Some(test) = test else { return true };
    let train = row.row.epsilon.get();
    let beyond = row.row.tests().into_iter().map(Epsilon::get).filter(|epsilon| *epsilon > train);
    match budgets {
        Budgets::Each => true,
        Budgets::Training => test.get() == train,
        Budgets::Next => beyond.reduce(f64::min) == Some(test.get()),
        Budgets::Largest => beyond.reduce(f64::max) == Some(test.get()),
    }
}

/// On which scale the paper's l2 budgets are taken to be in section 3's figures, which do not say.
fn scale(row: &PlannedRow) -> String {
    let Norm::L2 = row.row.norm else { return format!("{} {}", row.row.norm, row.row.epsilon) };
    match row.row.label().ends_with("-halved") {
        true => "l2 budgets halved".to_owned(),
        false => "l2 budgets as printed".to_owned(),
    }
}

/// Which images are of section 3's class, by who is wrong: its own images where the answer is another class, all others where
/// it is this one.
fn groups(clean: &Clean) -> Vec<bool> {
    let answers = clean.predictions.iter().map(|class| *class != CLASS);
    clean.misclassified.iter().zip(answers).map(|(misclassified, other)| *misclassified == other).collect()
}

fn balanced(misclassified: &[bool], groups: &[bool]) -> f64 {
    let share = |wanted: bool| {
        let of: Vec<bool> = misclassified
            .iter()
            .zip(groups)
            .filter(|(_, group)| **group == wanted)
            .map(|(b, _)| *b)
            .collect();
        accuracy(&of)
    };
    f64::midpoint(share(true), share(false))
}

fn networks(settings: &Value) -> Vec<&str> {
    settings["networks"].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

fn clean_accuracy(record: &Record, key: &str, classes: usize) -> Result<CleanAccuracy> {
    let accuracy = read(&record.results["clean"]["accuracy"], "clean accuracy")?;
    Ok(CleanAccuracy { record: key.to_owned(), accuracy, chance: 1.0 / classes as f64 })
}

fn read<T: serde::de::DeserializeOwned>(value: &Value, what: &'static str) -> Result<T> {
    serde_json::from_value(value.clone()).map_err(|source| Error::Json { what, source })
}
