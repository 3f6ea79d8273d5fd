//! What the paper claims in its text, and what our numbers say to it.
//!
//! Reading order: `asked` (what is written in `specs/claims.toml`), `library` (where its numbers are), `contrast`
//! (their difference, paired wherever images, networks or class orders are shared), `compared` (one comparison's verdict), and
//! here the verdict on a claim.

mod asked;
mod compared;
mod contrast;
mod forest;
mod library;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

pub use asked::Test;
pub use compared::{Compared, ComparedSeed, ComparedTerm, Needs};
pub use contrast::{CleanAccuracy, Quantity, Shared, Who};
pub use forest::{Forest, LeadVerdict, forest};
pub use robin_evaluation::Estimate;

use crate::{Error, Outcome, Plan, Result};
use asked::{Claim, Written};
use library::Library;

/// The claims, and how each is tested.
const CLAIMS: &str = include_str!("../specs/claims.toml");

/// One claim, tested.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClaimVerdict {
    /// Short name for links.
    pub id: String,
    /// The claim, in a sentence.
    pub text: String,
    /// Seeds, or class orders, below which nothing is decided.
    #[serde(default)]
    pub seeds: usize,
    /// What came out.
    pub verdict: Verdict,
    /// The verdict with what must be said beside it: under which reading, in how many comparisons and on what it rests.
    #[serde(default)]
    pub summary: String,
    /// What would decide it, where it is not decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub needs: Option<String>,
    /// Of a claim that can be read in several ways, the verdict on each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub readings: Vec<Reading>,
    /// The comparisons, one line each.
    pub numbers: Vec<String>,
    /// The same as data.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub comparisons: Vec<Compared>,
    /// Comparisons that this profile has no numbers for.
    #[serde(default, skip_serializing_if = "is_none")]
    pub missing: usize,
    /// Keys of the records that they were computed from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub records: Vec<String>,
}

/// One way in which a claim can be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    /// Which.
    pub reading: String,
    /// The verdict under it.
    pub verdict: Verdict,
}

/// What our numbers say to a claim; in the order in which verdicts are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The numbers disagree, beyond the noise.
    #[serde(alias = "not-held")]
    Refuted,
    /// Held under one reading, refuted under another.
    DependsOnReading,
    /// The numbers agree, beyond the noise.
    Held,
    /// Too few seeds or images to tell.
    Undecided,
    /// There are no numbers of what the claim is about, or of networks near chance, or of other data only.
    NotTestable,
}

impl Verdict {
    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Refuted => "refuted",
            Verdict::DependsOnReading => "depends on the reading",
            Verdict::Held => "held",
            Verdict::Undecided => "undecided",
            Verdict::NotTestable => "not testable",
        }
    }
}

/// Every claim with what the records of `outcome` say to it: what they contradict first.
///
/// # Errors
/// [`Error::Spec`] if the claims cannot be read, [`Error::Json`] if a record's results are not those of its kind.
pub fn judge(plan: &Plan, outcome: &Outcome) -> Result<Vec<ClaimVerdict>> {
    judge_with(CLAIMS, plan, outcome)
}

/// Refuses a text that is not claims as they are written.
pub(crate) fn check(text: &str) -> Result<()> {
    parse(text).map(drop)
}

fn parse(text: &str) -> Result<Written> {
    toml::from_str(text).map_err(|source| Error::Spec { item: "claims".to_owned(), source: Box::new(source) })
}

fn judge_with(text: &str, plan: &Plan, outcome: &Outcome) -> Result<Vec<ClaimVerdict>> {
    let written = parse(text)?;
    let library = Library::new(plan, outcome)?;
    let mut all: Vec<ClaimVerdict> =
        written.claims.iter().map(|claim| claim.judge(&library)).collect::<Result<_>>()?;
    sort(&mut all);
    Ok(all)
}

/// Lists reversals first; claims of one verdict stay in their order.
pub fn sort(claims: &mut [ClaimVerdict]) {
    claims.sort_by_key(|claim| claim.verdict);
}

impl Claim {
    fn judge(&self, library: &Library<'_>) -> Result<ClaimVerdict> {
        let (mut comparisons, mut numbers, mut missing) = (Vec::new(), Vec::new(), 0);
        for asked in &self.compare {
            let found = compared::compare(asked, self.seeds, library)?;
            if found.is_empty() {
                missing += 1;
                numbers.push(format!("{}: no such number in this profile", asked.left.item()));
            }
            numbers.extend(found.iter().map(Compared::words));
            comparisons.extend(found);
        }
        numbers.dedup();
        let mut readings: Vec<Reading> = Vec::new();
        for comparison in &comparisons {
            if let Some(reading) = &comparison.reading
                && !readings.iter().any(|known| known.reading == *reading)
            {
                let of: Vec<&Compared> =
                    comparisons.iter().filter(|other| other.reading.as_ref() == Some(reading)).collect();
                readings.push(Reading { reading: reading.clone(), verdict: join(&of, false) });
            }
        }
        let verdict = match readings.len() {
            0 | 1 => join(&comparisons.iter().collect::<Vec<_>>(), missing > 0),
            _ => over_readings(&comparisons, &readings, missing > 0),
        };
        let keys = comparisons.iter().flat_map(Compared::terms).flat_map(|term| &term.seeds);
        let records: BTreeSet<String> = keys
            .flat_map(|seed| seed.records.iter().chain(seed.clean.iter().map(|clean| &clean.record)))
            .cloned()
            .collect();
        Ok(ClaimVerdict {
            id: self.id.clone(),
            text: self.text.clone(),
            seeds: self.seeds,
            verdict,
            summary: summary(verdict, &readings, &comparisons),
            needs: (verdict == Verdict::Undecided).then(|| needs(&comparisons, missing > 0)).flatten(),
            readings,
            numbers,
            comparisons,
            missing,
            records: records.into_iter().collect(),
        })
    }
}

/// The comparisons that can decide something: those of rows that stand in with other data only where there is nothing else.
fn deciding<'a>(comparisons: &[&'a Compared]) -> Vec<&'a Compared> {
    let own: Vec<&Compared> = comparisons.iter().copied().filter(|one| one.stand_in.is_none()).collect();
    if own.is_empty() { comparisons.to_vec() } else { own }
}

/// The verdict on several comparisons, all of which must hold: one that cannot be made leaves the others undecided.
fn join(comparisons: &[&Compared], missing: bool) -> Verdict {
    let all = deciding(comparisons);
    let has = |verdict| all.iter().any(|one| one.verdict == verdict);
    let not_testable = missing || has(Verdict::NotTestable) || all.is_empty();
    match (has(Verdict::Refuted), has(Verdict::Held), not_testable, has(Verdict::Undecided)) {
        (true, ..) => Verdict::Refuted,
        (_, true, false, false) => Verdict::Held,
        (_, false, _, false) => Verdict::NotTestable,
        _ => Verdict::Undecided,
    }
}

/// A claim holds if it does under every reading, and is refuted if it is under every one that decides anything; under which it
/// does what is said where they disagree.
fn over_readings(comparisons: &[Compared], readings: &[Reading], missing: bool) -> Verdict {
    let apart: Vec<&Compared> = comparisons.iter().filter(|one| one.reading.is_none()).collect();
    let mut verdicts: Vec<Verdict> = readings.iter().map(|reading| reading.verdict).collect();
    if !apart.is_empty() {
        verdicts.push(join(&apart, missing));
    }
    let has = |verdict| verdicts.contains(&verdict);
    match (has(Verdict::Refuted), has(Verdict::Held)) {
        (true, true) => Verdict::DependsOnReading,
        (true, false) => Verdict::Refuted,
        (false, true) if !missing && verdicts.iter().all(|one| *one == Verdict::Held) => Verdict::Held,
        (false, false) if !has(Verdict::Undecided) => Verdict::NotTestable,
        _ => Verdict::Undecided,
    }
}

fn summary(verdict: Verdict, readings: &[Reading], comparisons: &[Compared]) -> String {
    let mut said = vec![match readings {
        [] | [_] => verdict.name().to_owned(),
        _ => {
            let mut kinds: Vec<Verdict> = readings.iter().map(|reading| reading.verdict).collect();
            kinds.sort_unstable();
            kinds.dedup();
            let under = |kind: &Verdict| {
                let of = readings.iter().filter(|reading| reading.verdict == *kind);
                let names: Vec<&str> = of.map(|reading| reading.reading.as_str()).collect();
                format!("{} under {}", kind.name(), names.join(" and under "))
            };
            match kinds.as_slice() {
                [one] => format!("{} under every reading", one.name()),
                several => several.iter().map(under).collect::<Vec<_>>().join("; "),
            }
        }
    }];
    let all = deciding(&comparisons.iter().collect::<Vec<_>>());
    let count = |wanted: Verdict| all.iter().filter(|one| one.verdict == wanted).count();
    if all.len() > 1 {
        let kinds = [Verdict::Refuted, Verdict::Held, Verdict::Undecided, Verdict::NotTestable];
        let counts = kinds.iter().filter(|kind| count(**kind) > 0);
        let counts: Vec<String> = counts.map(|kind| format!("{} {}", kind.name(), count(*kind))).collect();
        said.push(format!("of {} comparisons {}", all.len(), counts.join(", ")));
    }
    let largest = |one: &&&Compared| one.estimate.map_or(0.0, |found| found.effect.abs());
    let refuted = all.iter().filter(|one| one.verdict == Verdict::Refuted);
    if let Some(worst) = refuted.max_by(|a, b| largest(a).total_cmp(&largest(b)))
        && let (Some(why), Some(found)) = (&worst.why, worst.estimate)
    {
        said.push(format!(
            "{why} at {} by {:+.3} [{:+.3}, {:+.3}]",
            worst.place, found.effect, found.low, found.high
        ));
    }
    let decided: Vec<&&Compared> =
        all.iter().filter(|one| matches!(one.verdict, Verdict::Held | Verdict::Refuted)).collect();
    if !decided.is_empty() && decided.iter().all(|one| one.is_of_few()) {
        said.push("on one network of each, or two: others may differ".to_owned());
    }
    let replaced: BTreeSet<String> = decided
        .iter()
        .filter_map(|one| Some(format!("{} in the place of {}", one.row, one.in_place_of.as_ref()?)))
        .collect();
    said.extend(replaced.into_iter().map(|row| format!("on {row}")));
    if verdict == Verdict::NotTestable {
        let whys: BTreeSet<&str> = comparisons.iter().filter_map(|one| one.why.as_deref()).collect();
        said.extend(whys.into_iter().map(str::to_owned));
        if comparisons.is_empty() {
            said.push("no such number in this profile".to_owned());
        }
    }
    said.join("; ")
}

/// What would decide the comparisons that are not decided.
fn needs(comparisons: &[Compared], missing: bool) -> Option<String> {
    let all = deciding(&comparisons.iter().collect::<Vec<_>>());
    let wanting: Vec<(&Compared, Needs)> = all.iter().filter_map(|one| Some((*one, one.needs?))).collect();
    let most = |key: fn(&Needs) -> Option<usize>| {
        wanting.iter().filter(|(_, needs)| key(needs).is_some()).max_by_key(|(_, needs)| key(needs))
    };
    let mut said = Vec::new();
    if let Some((one, needs)) = most(|needs| needs.seeds) {
        said.push(one.needs_words(Needs { images: None, ..*needs }));
    }
    if let Some((one, needs)) = most(|needs| needs.images) {
        said.push(one.needs_words(*needs));
    }
    let hopeless =
        wanting.iter().filter(|(_, needs)| needs.seeds.is_none() && needs.images.is_none()).count();
    if hopeless > 0 {
        said.push(format!("{hopeless} differences are too small for any number of images"));
    }
    if missing || all.iter().any(|one| one.verdict == Verdict::NotTestable) {
        said.push("comparisons that cannot be made yet".to_owned());
    }
    (!said.is_empty()).then(|| said.join("; "))
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_none(count: &usize) -> bool {
    *count == 0
}
