//! Numbers that claims are about, image by image, and their differences.

use std::collections::{BTreeMap, BTreeSet};

use robin_core::Epsilon;
use robin_evaluation::{Estimate, McNemar, Replicate, paired};
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// What an image's number is, so that others can read it from the records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Quantity {
    /// 1 for an image that no record has misclassified, 0 for another: by `worst` of the attack, or clean where there was none.
    Withstands,
    /// The same of section 3's question; the mean is over both groups alike where a record's groups say so.
    WithstandsBalanced,
    /// The smallest perturbation found.
    Distance,
    /// Coherence of the gradients.
    Coherence,
    /// Of what is misclassified under the first record's attack and was right when clean: 1 where it is under the second record's too.
    #[serde(rename = "broken-too")]
    MisclassifiedToo,
}

impl Quantity {
    /// Whether an image's number is yes or no.
    fn counts(self) -> bool {
        !matches!(self, Self::Distance | Self::Coherence)
    }
}

/// A seed, and for section 3's networks a class order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Who {
    /// Root seed.
    pub seed: u64,
    /// Number of the class order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<usize>,
}

/// Clean accuracy of networks behind a number, and where it is written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CleanAccuracy {
    /// An evaluation's key, or that of a network whose training images were measured.
    pub record: String,
    /// Over both groups alike for section 3's networks.
    pub accuracy: f64,
    /// What guessing has.
    pub chance: f64,
}

/// More than this above chance a network has learned anything.
const LEARNED: f64 = 0.15;

impl CleanAccuracy {
    /// Whether the networks have learned enough for their robustness to say anything.
    pub fn has_learned(&self) -> bool {
        self.accuracy >= self.chance + LEARNED
    }
}

/// One seed's numbers.
#[derive(Debug, Clone)]
pub(super) struct Observed {
    pub(super) values: Vec<Option<f64>>,
    /// The groups that count alike.
    pub(super) groups: Option<Vec<bool>>,
    pub(super) records: Vec<String>,
    pub(super) clean: Vec<CleanAccuracy>,
}

/// One number, with a sign.
#[derive(Debug, Clone)]
pub(super) struct Term {
    pub(super) sign: f64,
    pub(super) what: String,
    pub(super) quantity: Quantity,
    /// Name of the data set whose test images these are, from the first one on.
    pub(super) images: String,
    pub(super) seeds: BTreeMap<Who, Observed>,
}

/// One side of a comparison: a number, or a difference of two.
#[derive(Debug, Clone)]
pub(super) struct Side {
    /// The row's label.
    pub(super) row: String,
    /// The test budget, where each of a row's is compared with itself.
    pub(super) budget: Option<Epsilon>,
    /// How it is to be read, where that is not said.
    pub(super) readings: Vec<String>,
    /// What the row stands in for with other data, so that it decides nothing.
    pub(super) other_data: Option<String>,
    /// What the row stands in for, with the same data.
    pub(super) in_place_of: Option<String>,
    /// What the profile shrank.
    pub(super) shrunk: Vec<String>,
    pub(super) terms: Vec<Term>,
}

/// What two sides share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shared {
    /// Images, and at least three seeds or class orders, whose scatter counts.
    ImagesAndSeeds,
    /// Images, of fewer networks than say anything of others.
    Images,
    /// Nothing: independent samples.
    Nothing,
}

/// The terms of both sides as one difference.
pub(super) struct Contrast {
    pub(super) estimate: Estimate,
    pub(super) shared: Shared,
    /// Of two accuracies of one network each, or of two attacks on it.
    pub(super) mcnemar: Option<McNemar>,
    /// Images, over all seeds, that only the left side's breaks.
    pub(super) exceptions: u64,
    /// The seeds that all terms have.
    pub(super) who: Vec<Who>,
}

/// The difference of `left` and `right`; `None` while no seed has all of its terms.
pub(super) fn contrast(left: &[Term], right: &[Term]) -> Result<Option<Contrast>> {
    let failed = Error::work("comparing numbers of a claim");
    let all: Vec<&Term> = left.iter().chain(right).collect();
    let counts = all.iter().all(|term| term.quantity.counts());
    let who = common(&all);
    if !who.is_empty() {
        let joined: Option<Vec<Replicate>> = who.iter().map(|who| subtract(left, right, *who)).collect();
        if let Some(replicates) = joined {
            let estimate = paired(&replicates, counts).map_err(failed)?;
            let [up, down] = [1.0, -1.0].map(|sign| {
                replicates.iter().flat_map(|one| &one.values).filter(|v| **v == Some(sign)).count() as u64
            });
            let two = matches!((left, right), ([one], [other]) if one.quantity == Quantity::Withstands
                && other.quantity == Quantity::Withstands);
            return Ok(Some(Contrast {
                shared: if estimate.deviation.is_some() { Shared::ImagesAndSeeds } else { Shared::Images },
                mcnemar: (two && who.len() == 1).then(|| McNemar::of(up, down)),
                exceptions: down,
                estimate,
                who,
            }));
        }
    }
    let mut sides = Vec::new();
    for side in [left, right] {
        let who = common(&side.iter().collect::<Vec<_>>());
        let replicates: Option<Vec<Replicate>> = who.iter().map(|who| subtract(side, &[], *who)).collect();
        match replicates {
            Some(replicates) if !replicates.is_empty() => {
                sides.push((
                    paired(&replicates, counts).map_err(Error::work("comparing numbers of a claim"))?,
                    who,
                ));
            }
            _ => return Ok(None),
        }
    }
    let (estimate, who) = (sides[0].0.minus(&sides[1].0), sides[0].1.clone());
    Ok(Some(Contrast { estimate, shared: Shared::Nothing, mcnemar: None, exceptions: 0, who }))
}

/// The seeds that all of `terms` have.
fn common(terms: &[&Term]) -> Vec<Who> {
    let Some((first, others)) = terms.split_first() else { return Vec::new() };
    let everywhere = |who: &&Who| others.iter().all(|term| term.seeds.contains_key(who));
    first.seeds.keys().filter(everywhere).copied().collect()
}

/// The difference under one seed, image by image; `None` if the terms are of different images. An attack on fewer images is one
/// on the first of them.
fn subtract(left: &[Term], right: &[Term], who: Who) -> Option<Replicate> {
    let terms: Vec<(f64, &Term, &Observed)> = left
        .iter()
        .map(|term| (term.sign, term))
        .chain(right.iter().map(|term| (-term.sign, term)))
        .map(|(sign, term)| Some((sign, term, term.seeds.get(&who)?)))
        .collect::<Option<_>>()?;
    let names: BTreeSet<&str> = terms.iter().map(|(_, term, _)| term.images.as_str()).collect();
    let images = terms.iter().map(|(.., observed)| observed.values.len()).min()?;
    let groups: Vec<Option<&[bool]>> =
        terms.iter().map(|(.., observed)| observed.groups.as_ref().map(|groups| &groups[..images])).collect();
    if names.len() > 1 || groups.windows(2).any(|two| two[0] != two[1]) {
        return None;
    }
    let value =
        |image: usize| terms.iter().map(|(sign, _, observed)| Some(sign * observed.values[image]?)).sum();
    Some(Replicate { values: (0..images).map(value).collect(), groups: groups[0].map(<[bool]>::to_vec) })
}
