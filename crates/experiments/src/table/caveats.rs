//! What must be said of a table's numbers lest they look better than they are.

use robin_attacks::Config;
use robin_evaluation::{cw_is_weak, pgd_is_weak};

use super::number::{At, Found, accuracy, mean, misclassified_by_any};
use crate::plan::PlannedItem;

/// Above this share of input gradients that are exactly zero an attack may be blind.
const BLIND: f64 = 0.01;

/// A sentence for each number that an attack's weakness may have made: many gradients that are zero, or CW and PGD with 20 steps
/// of which one leaves more of the same images than the other does.
pub(super) fn caveats(item: &PlannedItem, results: &[Found], places: &[At]) -> Vec<String> {
    let mut said = Vec::new();
    for at in places.iter().filter(|at| !item.columns[at.column].union) {
        let found = results.iter().filter(|found| at.holds(&found.place));
        for found in found.filter(|found| found.zero_gradients > BLIND) {
            let strategy = found.place.strategy.map_or_else(String::new, |strategy| format!(" {strategy}"));
            said.push(format!(
                "{}{strategy}, seed {}: {:.1}% of the input gradients are exactly zero, so its number may be the attack's failure",
                name(item, at),
                found.place.seed,
                100.0 * found.zero_gradients
            ));
        }
        said.extend(cw_beside_pgd(item, results, places, at));
    }
    said
}

fn cw_beside_pgd(item: &PlannedItem, results: &[Found], places: &[At], at: &At) -> Option<String> {
    let is = |at: &At, of: fn(&Config) -> bool| {
        let mut here = results.iter().filter(|found| at.holds(&found.place));
        here.any(|found| found.attack.as_ref().is_some_and(of))
    };
    if !is(at, |config| matches!(config, Config::Cw(_) | Config::CwLinf(_))) {
        return None;
    }
    let same = |other: &&At| (other.row, other.classifier, other.test) == (at.row, at.classifier, at.test);
    let pgd = places.iter().filter(same).find(|other| {
        !item.columns[other.column].union
            && is(other, |config| {
                matches!(config, Config::Pgd(robin_attacks::pgd::Settings { steps: 20, .. }))
            })
    })?;
    let mut of_cw = Vec::new();
    let mut of_pgd = Vec::new();
    let mut images = 0;
    for &seed in &item.seeds {
        let [cw, pgd] = [at, pgd].map(|at| misclassified_by_any(item, results, at, seed));
        let (cw, pgd) = (cw?, pgd?);
        images = cw.len().min(pgd.len());
        of_cw.push(accuracy(&cw[..images]));
        of_pgd.push(accuracy(&pgd[..images]));
    }
    let (cw, pgd) = (mean(&of_cw), mean(&of_pgd));
    let weak = cw_is_weak(cw, pgd).map(|weak| weak.to_string());
    let weak = weak.or_else(|| pgd_is_weak(cw, pgd).map(|weak| weak.to_string()))?;
    Some(format!("{}, {images} images: {weak}", name(item, at)))
}

fn name(item: &PlannedItem, at: &At) -> String {
    let [row, classifier, column] = [
        item.rows[at.row].row.label(),
        item.classifiers[at.classifier].name.clone(),
        item.columns[at.column].name.clone(),
    ];
    format!("{row} {classifier} {column}")
}
