//! What TOML's types cannot say about an item.

use std::collections::BTreeSet;

use crate::spec::{Column, PrintedOverlap, Row, Spec, StudySpec, Transfer};
use crate::{Error, Profile, Result};

/// How many times a row's width a classifier's may be.
const MOST_WIDER: f64 = 100.0;

/// Refuses an item that names what there is not, or says a thing twice.
pub(super) fn check(spec: &Spec) -> Result<()> {
    columns(spec)?;
    classifiers(spec)?;
    for row in &spec.rows {
        published(spec, row).map_err(|reason| fault(spec, &format!("row {}", row.label()), &reason))?;
    }
    let labels: Vec<String> = spec.rows.iter().map(Row::label).collect();
    if let Some(twice) = twice(&labels) {
        return Err(fault(spec, &format!("row {twice}"), &"two rows of one name; give one a `name`"));
    }
    for profile in Profile::ALL {
        let shrunk = spec.profile(profile).into_iter().flat_map(|section| section.attacks.keys());
        if let Some(unknown) = shrunk.into_iter().find(|name| !spec.attacks.contains_key(*name)) {
            return Err(fault(spec, &format!("[{profile}.attacks.{unknown}]"), &"there is no such attack"));
        }
    }
    for pair in &spec.compare {
        if let Some(name) = pair.iter().find(|name| !has_classifier(spec, name)) {
            return Err(fault(spec, "compare", &format!("{name} is no classifier")));
        }
    }
    Ok(())
}

/// What is wrong with an item, and where.
pub(super) fn fault(spec: &Spec, place: &str, reason: &dyn std::fmt::Display) -> Error {
    Error::Setting { item: spec.item.clone(), place: place.to_owned(), reason: reason.to_string() }
}

fn columns(spec: &Spec) -> Result<()> {
    for Column {
        name,
        attack,
        union,
        transfer,
        classifiers,
        strategies,
        published: _,
        beyond,
        profiles: _,
    } in &spec.columns
    {
        let place = format!("column {name}");
        if let Some(attack) = attack
            && !spec.attacks.contains_key(attack)
        {
            let known = spec.attacks.keys().cloned().collect::<Vec<_>>().join(", ");
            return Err(fault(spec, &place, &format!("no attack {attack:?} (one of: {known})")));
        }
        if attack.is_none() && (transfer.is_some() || strategies.is_some()) {
            return Err(fault(spec, &place, &"clean accuracy has neither strategies nor a transfer"));
        }
        if *union && (attack.is_some() || transfer.is_some() || strategies.is_some()) {
            return Err(fault(spec, &place, &"a union has no attack of its own"));
        }
        let staged =
            attack.as_ref().and_then(|name| spec.attacks.get(name)).is_some_and(|a| !a.then.is_empty());
        if transfer.is_some() && staged {
            return Err(fault(spec, &place, &"an attack of several stages cannot be transferred"));
        }
        let stages = attack.iter().filter_map(|name| spec.attacks.get(name)).flat_map(|attack| &attack.then);
        for strategy in stages.filter_map(|stage| stage.strategy) {
            if !spec.classifiers.iter().any(|classifier| classifier.strategies.contains(&strategy)) {
                return Err(fault(spec, &place, &format!("no classifier is attacked with {strategy}")));
            }
        }
        if transfer.is_some() && strategies.is_some() {
            return Err(fault(spec, &place, &"a transferred attack has no strategies"));
        }
        let from = transfer.iter().map(|Transfer { from, .. }| from);
        let stays = |name: &String| spec.classifiers.iter().any(|known| known.name == *name && !known.beyond);
        if !beyond && from.clone().any(|name| has_classifier(spec, name) && !stays(name)) {
            return Err(fault(
                spec,
                &place,
                &"transferred from what is beyond the paper, and not itself beyond",
            ));
        }
        if let Some(unknown) =
            classifiers.iter().flatten().chain(from).find(|name| !has_classifier(spec, name))
        {
            return Err(fault(spec, &place, &format!("{unknown} is no classifier")));
        }
    }
    let names: Vec<String> = spec.columns.iter().map(|column| column.name.clone()).collect();
    match twice(&names) {
        Some(name) => Err(fault(spec, &format!("column {name}"), &"named twice")),
        None => Ok(()),
    }
}

fn classifiers(spec: &Spec) -> Result<()> {
    for classifier in &spec.classifiers {
        let place = format!("classifier {}", classifier.name);
        if classifier.strategies.is_empty() {
            return Err(fault(spec, &place, &"no strategy"));
        }
        if let Some(factor) = classifier.width_factor
            && !(factor > 0.0 && factor <= MOST_WIDER)
        {
            let reason = format!("width_factor is {factor}, allowed: a number > 0, at most {MOST_WIDER}");
            return Err(fault(spec, &place, &reason));
        }
        let labels: Vec<String> = spec.rows.iter().map(Row::label).collect();
        if let Some(unknown) = classifier.rows.iter().flatten().find(|row| !labels.contains(row)) {
            return Err(fault(spec, &place, &format!("{unknown} is no row")));
        }
    }
    let names: Vec<String> = spec.classifiers.iter().map(|classifier| classifier.name.clone()).collect();
    match twice(&names) {
        Some(name) => Err(fault(spec, &format!("classifier {name}"), &"named twice")),
        None => Ok(()),
    }
}

/// What is said of the published numbers of `row`.
fn published(spec: &Spec, row: &Row) -> Result<(), String> {
    let tests = row.tests().len();
    if let Some(printed) = &row.printed
        && printed.test.len() != tests
    {
        return Err(format!("{} printed test budgets for {tests}", printed.test.len()));
    }
    if let Some(PrintedOverlap { n, misclassified, both }) = row.published_overlap {
        let attacks = spec.columns.iter().filter(|column| column.attack.is_some()).count();
        let found = [spec.overlaps.len(), spec.classifiers.len(), attacks, tests];
        if found != [1; 4] {
            return Err(format!(
                "published_overlap: which of {found:?} pairs of strategies, classifiers, attacks and test budgets?"
            ));
        }
        if misclassified.iter().any(|&misclassified| misclassified > n || both > misclassified) {
            return Err(format!("published_overlap: {both} in {misclassified:?} in {n} cannot be"));
        }
    }
    if let Some(mean) = row.published_coherence {
        if !matches!(spec.study, Some(StudySpec::Coherence { .. })) {
            return Err("published_coherence of an item that does not measure it".to_owned());
        }
        if !(-1.0..=1.0).contains(&mean) {
            return Err(format!("published_coherence = {mean} is no cosine"));
        }
    }
    let illegal = |value: &&f64| !(0.0..=1.0).contains(*value);
    let legal = |place: &str, values: &[Option<f64>]| match values.iter().flatten().find(illegal) {
        Some(value) => Err(format!("published.{place} = {value} is no accuracy")),
        None if values.len() != 1 && values.len() != tests => {
            Err(format!("published.{place} has {} numbers for {tests} test budgets", values.len()))
        }
        None => Ok(()),
    };
    let column = |place: &str, name: &str| match spec.columns.iter().any(|column| column.name == name) {
        true => Ok(()),
        false => Err(format!("published.{place} is no column")),
    };
    let classifiers = row.published.keys().chain(row.published_strategies.keys());
    if let Some(unknown) = classifiers.into_iter().find(|name| !has_classifier(spec, name)) {
        return Err(format!("published.{unknown} is no classifier"));
    }
    for (classifier, columns) in &row.published {
        for (name, printed) in columns {
            let place = format!("{classifier}.{name}");
            column(&place, name)?;
            legal(&place, &printed.values())?;
        }
    }
    for (classifier, columns) in &row.published_strategies {
        for (name, strategies) in columns {
            column(&format!("{classifier}.{name}"), name)?;
            let attacked = spec.classifiers.iter().filter(|known| known.name == *classifier);
            let known: Vec<String> =
                attacked.flat_map(|known| &known.strategies).map(ToString::to_string).collect();
            for (strategy, values) in strategies {
                if !known.contains(strategy) {
                    return Err(format!(
                        "published.{classifier}.{name}.{strategy} is no strategy of {classifier}"
                    ));
                }
                let values: Vec<Option<f64>> = values.iter().copied().map(Some).collect();
                legal(&format!("{classifier}.{name}.{strategy}"), &values)?;
            }
        }
    }
    Ok(())
}

fn has_classifier(spec: &Spec, name: &str) -> bool {
    spec.classifiers.iter().any(|classifier| classifier.name == *name)
}

fn twice(names: &[String]) -> Option<&String> {
    let mut seen = BTreeSet::new();
    names.iter().find(|name| !seen.insert(*name))
}
