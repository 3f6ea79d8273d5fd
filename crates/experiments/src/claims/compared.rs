//! One comparison of a claim: its difference, the interval, and what they say.

use robin_evaluation::{Estimate, McNemar, Replicate, paired};
use serde::{Deserialize, Serialize};

use super::Verdict;
use super::asked::{Asked, Right, Test};
use super::contrast::{CleanAccuracy, Contrast, Quantity, Shared, Side, Term, Who, contrast};
use super::library::Library;
use crate::Result;

/// One comparison, with everything that it takes to make it again from the records.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Compared {
    /// Row and test budget.
    pub place: String,
    /// Of a claim that can be read in several ways, this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reading: Option<String>,
    /// What is said of the difference.
    pub asked: Test,
    /// What is subtracted from the difference of all terms: a number that was not measured.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub bound: f64,
    /// What came out.
    pub verdict: Verdict,
    /// Why nothing was decided, or what was found in place of what is claimed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// The difference with its 95% interval; `None` without records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimate: Option<Estimate>,
    /// What both sides share, which decides the interval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared: Option<Shared>,
    /// Exact, on the images of one network: where only a sign is asked for, it must agree with the interval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mcnemar: Option<McNemar>,
    /// Images that are misclassified on the left alone, where there may be none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exceptions: Option<u64>,
    /// What would decide it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub needs: Option<Needs>,
    /// What is compared.
    pub left: Vec<ComparedTerm>,
    /// What it is compared with; empty for a number that was not measured.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub right: Vec<ComparedTerm>,
    /// What the row stands in for with other data, so that it decides nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stand_in: Option<String>,
    /// The row's label.
    pub row: String,
    /// What the row stands in for, on the same data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_place_of: Option<String>,
    /// What the profile shrank.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shrunk: Vec<String>,
}

/// One number of a comparison.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ComparedTerm {
    /// 1, or -1 for what its side subtracts.
    pub sign: f64,
    /// Classifier, attack and strategy, or what else it is.
    pub what: String,
    /// How it is read from the records.
    pub quantity: Quantity,
    /// Seed by seed.
    pub seeds: Vec<ComparedSeed>,
}

/// One seed of a number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ComparedSeed {
    /// Seed and class order.
    #[serde(flatten)]
    pub who: Who,
    /// Mean over its images, as many as all terms have.
    pub value: f64,
    /// Keys of the records.
    pub records: Vec<String>,
    /// Of the networks behind it; empty where nothing says.
    pub clean: Vec<CleanAccuracy>,
}

/// What it would take to decide a comparison, if all stays as observed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Needs {
    /// Seeds, or class orders, in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seeds: Option<usize>,
    /// Test images, where no number of seeds would do, or one network of each is all there is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images: Option<usize>,
}

/// Beyond so many seeds it is said that seeds will not decide.
const MOST_SEEDS: usize = 1000;

/// Beyond so many test images nothing is said.
const MOST_IMAGES: f64 = 1e8;

/// Everything that `asked` compares. Empty if the plan has no such numbers.
pub(super) fn compare(asked: &Asked, seeds: usize, library: &Library<'_>) -> Result<Vec<Compared>> {
    let left = library.sides(&asked.left)?;
    let select = match &asked.right {
        Right::Bound(bound) => {
            return left.iter().map(|left| one(asked, seeds, left, None, *bound)).collect();
        }
        Right::Measured(select) => select,
    };
    let right = library.sides(select)?;
    let other_rows = asked.left.rows() != select.rows();
    let same = |one: &Side, other: &Side| {
        (other_rows || one.row == other.row) && one.budget == other.budget && one.readings == other.readings
    };
    let partner = |one: &Side| right.iter().find(|other| same(one, other)).cloned();
    let pairs = left.iter().filter_map(|one| Some((one, partner(one)?)));
    pairs.map(|(left, right)| one(asked, seeds, left, Some(&right), 0.0)).collect()
}

fn one(asked: &Asked, wanted: usize, left: &Side, right: Option<&Side>, bound: f64) -> Result<Compared> {
    let rights: &[Term] = right.map_or(&[], |right| &right.terms);
    let found = contrast(&left.terms, rights)?;
    let paired = found.as_ref().filter(|found| found.shared != Shared::Nothing);
    let who = paired.map_or(&[][..], |found| &found.who);
    let images = found.as_ref().map_or(usize::MAX, |found| found.estimate.images);
    let compared = |term: &Term| ComparedTerm {
        sign: term.sign,
        what: term.what.clone(),
        quantity: term.quantity,
        seeds: seeds_of(term, who, images),
    };
    let readings: Vec<&str> = asked.reading.iter().chain(&left.readings).map(String::as_str).collect();
    let other_data = left.other_data.as_ref().or_else(|| right?.other_data.as_ref());
    let mut compared = Compared {
        place: match (left.budget, right.filter(|right| right.row != left.row)) {
            (Some(budget), _) => format!("{} at {budget}", left.row),
            (None, Some(right)) => format!("{} and {}", left.row, right.row),
            (None, None) => left.row.clone(),
        },
        reading: (!readings.is_empty()).then(|| readings.join(", ")),
        asked: asked.test,
        bound,
        verdict: Verdict::NotTestable,
        why: None,
        estimate: None,
        shared: None,
        mcnemar: None,
        exceptions: None,
        needs: None,
        row: left.row.clone(),
        in_place_of: left.in_place_of.clone(),
        shrunk: left.shrunk.clone(),
        stand_in: other_data.cloned(),
        left: left.terms.iter().map(compared).collect(),
        right: rights.iter().map(compared).collect(),
    };
    let Some(mut found) = found else {
        compared.why = Some("no numbers yet".to_owned());
        return Ok(compared);
    };
    for end in [&mut found.estimate.effect, &mut found.estimate.low, &mut found.estimate.high] {
        *end -= bound;
    }
    compared.shared = Some(found.shared);
    compared.estimate = Some(found.estimate);
    compared.mcnemar = found.mcnemar.filter(|_| asked.test.is_of_sign());
    compared.exceptions = (asked.test == Test::Inside).then_some(found.exceptions);
    if let Some(of) = other_data {
        compared.why = Some(format!("stands in for {of}"));
    } else if let Some(why) = too_little_learned(compared.terms()) {
        compared.why = Some(why);
    } else {
        compared.decide(wanted, &found);
    }
    Ok(compared)
}

/// The seeds of `term` that count, or all that it has where another term has none of them.
fn seeds_of(term: &Term, who: &[Who], images: usize) -> Vec<ComparedSeed> {
    let own: Vec<Who> =
        term.seeds.keys().filter(|one| who.is_empty() || who.contains(one)).copied().collect();
    own.iter()
        .map(|who| {
            let observed = &term.seeds[who];
            let images = images.min(observed.values.len());
            let values = observed.values[..images].to_vec();
            let groups = observed.groups.as_ref().map(|groups| groups[..images].to_vec());
            let value = paired(&[Replicate { values, groups }], false).map_or(f64::NAN, |found| found.effect);
            ComparedSeed {
                who: *who,
                value,
                records: observed.records.clone(),
                clean: observed.clean.clone(),
            }
        })
        .collect()
}

/// Why the networks behind `terms` say nothing of robustness; `None` if they do.
fn too_little_learned<'a>(terms: impl Iterator<Item = &'a ComparedTerm>) -> Option<String> {
    for (term, seed) in terms.flat_map(|term| term.seeds.iter().map(move |seed| (term, seed))) {
        if seed.clean.is_empty() {
            return Some(format!("nothing says whether the networks of {} are near chance", term.what));
        }
        if let Some(clean) = seed.clean.iter().find(|clean| !clean.has_learned()) {
            return Some(format!(
                "near chance: clean accuracy {:.3} behind {}, where guessing has {:.1}",
                clean.accuracy, term.what, clean.chance
            ));
        }
    }
    None
}

impl Compared {
    /// Of both sides.
    pub fn terms(&self) -> impl Iterator<Item = &ComparedTerm> {
        self.left.iter().chain(&self.right)
    }

    fn decide(&mut self, wanted: usize, found: &Contrast) {
        let estimate = &found.estimate;
        if self.asked == Test::Inside {
            self.verdict = if found.exceptions == 0 { Verdict::Held } else { Verdict::Refuted };
            self.why = (found.exceptions > 0).then(|| format!("{} images are not", found.exceptions));
            return;
        }
        if estimate.seeds < wanted {
            self.verdict = Verdict::Undecided;
            self.why = Some(format!("{} of {wanted} {}", estimate.seeds, self.seeds_are(wanted)));
            self.needs = Some(Needs { seeds: Some(wanted), images: None });
            return;
        }
        let by_interval = self.asked.holds(estimate.low, estimate.high);
        let by_count = self.mcnemar.is_none_or(|test| test.p < McNemar::SIGNIFICANT);
        match by_interval.filter(|_| by_count) {
            Some(true) => self.verdict = Verdict::Held,
            Some(false) => {
                self.verdict = Verdict::Refuted;
                self.why = Some(self.asked.refuted(estimate.effect).to_owned());
            }
            None => {
                self.verdict = Verdict::Undecided;
                self.why = Some("within noise".to_owned());
                self.needs = needs(estimate, self.asked.distance(estimate.effect));
            }
        }
    }

    /// What replicates are called.
    fn seeds_are(&self, count: usize) -> &'static str {
        let orders = self.terms().flat_map(|term| &term.seeds).any(|seed| seed.who.order.is_some());
        match (orders, count) {
            (true, 1) => "class order",
            (true, _) => "class orders",
            (false, 1) => "seed",
            (false, _) => "seeds",
        }
    }

    /// One line: the numbers, the difference with its interval, what was asked and what came out.
    pub(super) fn words(&self) -> String {
        let reading = self.reading.as_ref().map_or(String::new(), |reading| format!(" [{reading}]"));
        let why = self.why.as_ref().map_or(String::new(), |why| format!(": {why}"));
        let verdict = format!("{}{why}", self.verdict.name());
        let needs = self.needs.map_or(String::new(), |needs| format!("; {}", self.needs_words(needs)));
        let Some(estimate) = &self.estimate else {
            return format!("{}{reading}: asked {}; {verdict}", self.place, self.asked.words());
        };
        let side = |terms: &[ComparedTerm]| -> String {
            let of = |term: &ComparedTerm| format!("{} {:.3}", term.what, term.mean());
            let (more, less): (Vec<_>, Vec<_>) = terms.iter().partition(|term| term.sign > 0.0);
            let all = |terms: Vec<&ComparedTerm>| terms.into_iter().map(of).collect::<Vec<_>>().join(" + ");
            if less.is_empty() { all(more) } else { format!("{} less {}", all(more), all(less)) }
        };
        let mut numbers = side(&self.left);
        if !self.right.is_empty() {
            numbers += &format!(" against {}", side(&self.right));
        }
        if self.bound != 0.0 {
            numbers += &format!(" against {}", self.bound);
        }
        let by = match self.shared {
            Some(Shared::ImagesAndSeeds) => "paired over images and ",
            Some(Shared::Images) => "paired over images, ",
            _ => "",
        };
        let mcnemar = self.mcnemar.map_or(String::new(), |test| format!(", McNemar's p {:.2e}", test.p));
        let seeds = match (estimate.seeds, self.seeds_are(1)) {
            (1, "seed") => "one network".to_owned(),
            (count, _) => format!("{count} {}", self.seeds_are(count)),
        };
        format!(
            "{}{reading}: {numbers}: {:+.4} [{:+.4}, {:+.4}] ({by}{seeds}, {} images{mcnemar}); asked {}; {verdict}{needs}",
            self.place,
            estimate.effect,
            estimate.low,
            estimate.high,
            estimate.images,
            self.asked.words(),
        )
    }

    pub(super) fn needs_words(&self, needs: Needs) -> String {
        match (needs.seeds, needs.images) {
            (Some(seeds), None) if self.estimate.is_none_or(|found| found.deviation.is_none()) => {
                format!("at least {seeds} {} are asked for", self.seeds_are(seeds))
            }
            (Some(seeds), None) => format!("about {seeds} {} would decide it", self.seeds_are(seeds)),
            (_, Some(images)) => format!("about {images} test images would decide it"),
            (None, None) => "no number of seeds or images is in sight".to_owned(),
        }
    }

    /// Whether it rests on one network of each, or on two.
    pub(super) fn is_of_few(&self) -> bool {
        self.shared == Some(Shared::Images)
    }
}

impl ComparedTerm {
    /// Mean over its seeds.
    pub fn mean(&self) -> f64 {
        self.seeds.iter().map(|seed| seed.value).sum::<f64>() / self.seeds.len() as f64
    }
}

/// What an interval needs to reach no further than `distance`.
fn needs(estimate: &Estimate, distance: f64) -> Option<Needs> {
    let most = |images: f64| (images.is_finite() && images < MOST_IMAGES).then(|| images.ceil() as usize);
    let images = |reach: f64| most(estimate.images as f64 * (reach / distance).powi(2));
    let seeds = (estimate.deviation.is_some())
        .then(|| (estimate.seeds + 1..=MOST_SEEDS).find(|&seeds| estimate.reach(seeds) < distance))
        .flatten();
    let images = match seeds {
        Some(_) => None,
        None => images(estimate.of_images),
    };
    Some(Needs { seeds, images })
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(value: &f64) -> bool {
    *value == 0.0
}
