//! What an evaluation comes to: how robust the classifier is, and whether the number can be believed. Everything here follows
//! from the report; nothing is computed anew.

use std::fmt;
use std::str::FromStr;

use robin_core::Budget;
pub use robin_evaluation::battery::Status;
use robin_evaluation::battery::{self, Finding};
use robin_evaluation::external_model::{GRADIENT_FALSE, GRADIENT_FLAT, GradientVerdict};
use robin_evaluation::{Explained, Interval, blind, weak_cw};
use serde::Serialize;

use super::EvaluateReport;
use super::attack::gradient_caveat;
use crate::caveats;

/// Every warning of an evaluation that is none of its battery's tests.
pub static WARNINGS: &[&Explained] =
    &[&GRADIENT_FALSE, &GRADIENT_FLAT, &blind::EXPLAINED, &weak_cw::EXPLAINED, &caveats::EXPLAINED];

/// The verdict on a classifier.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Verdict {
    /// Share of all images that no attack breaks.
    pub union: f64,
    /// Wilson's interval of it.
    pub interval: Interval,
    /// Share that is right without any attack.
    pub clean: f64,
    /// Number of images.
    pub n: usize,
    /// Within which budget.
    pub budget: Budget,
    /// Whether the number can be believed.
    pub belief: Belief,
    /// What speaks against it, the worst first.
    pub reasons: Vec<Reason>,
    /// How many tests of the battery had nothing to say against it.
    pub passed: usize,
    /// How many did not apply.
    pub skipped: usize,
    /// What was asked of the result.
    pub gates: Vec<Gate>,
}

/// Whether a number can be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Belief {
    /// Nothing that was tried speaks against it.
    Yes,
    /// Something should be looked at.
    Doubtful,
    /// A test that must not fail has failed.
    No,
}

/// Something that speaks against a number.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Reason {
    /// What it is called: `gradients-vanish (T13)`, `attack-blind`.
    pub title: String,
    /// [`Status::Fail`] or [`Status::Warn`].
    pub status: Status,
    /// What was found.
    pub found: String,
    /// What that means.
    pub means: &'static str,
    /// What to do.
    pub todo: &'static str,
}

/// What is asked of a result.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Gates {
    /// The lowest share of images that may withstand every attack.
    pub min_union: Option<Share>,
    /// What may not speak against the number.
    pub deny: Option<Deny>,
}

/// What is not let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deny {
    /// Failures.
    Fail,
    /// Failures and warnings.
    Warn,
}

/// A share of all images, from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Share(f64);

/// A gate, and whether the result passes it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Gate {
    /// As it was asked for: `--min-union 0.45`.
    pub gate: String,
    /// Whether the result passes.
    pub met: bool,
    /// What the result has: `union 0.4200`, `failures: 1, warnings: 0`.
    pub found: String,
    /// What it denies, if that is what it is for.
    #[serde(skip)]
    pub denies: Option<Deny>,
}

impl Verdict {
    /// The verdict of `report`, with these gates.
    pub fn of(report: &EvaluateReport, gates: &Gates) -> Self {
        let count = |status| report.battery.iter().filter(|finding| finding.status == status).count();
        let mut reasons = reasons(report);
        // Stable: failures first, each kind in the order in which it was found.
        reasons.sort_by_key(|reason| reason.status != Status::Fail);
        let belief = match reasons.first() {
            None => Belief::Yes,
            Some(reason) if reason.status == Status::Fail => Belief::No,
            Some(_) => Belief::Doubtful,
        };
        let summary = &report.summary;
        let gates = gates.judge(summary.union, &reasons);
        Self {
            union: summary.union,
            interval: summary.union_interval,
            clean: summary.clean_accuracy,
            n: summary.n,
            budget: report.budget,
            belief,
            reasons,
            passed: count(Status::Pass),
            skipped: count(Status::Skipped),
            gates,
        }
    }

    /// Whether every gate lets it through.
    pub fn is_let_through(&self) -> bool {
        self.gates.iter().all(|gate| gate.met)
    }

    /// How robust, whether to believe it, and what the gates say: one line each.
    pub fn lines(&self) -> [String; 3] {
        [self.robust(), self.believable(), self.passage()]
    }

    fn robust(&self) -> String {
        let percent = |share: f64| format!("{:.1}%", 100.0 * share);
        format!(
            "How robust: {} of {} images withstand every attack within {} (95% interval {} to {}); {} are right without one.",
            percent(self.union),
            self.n,
            self.budget,
            percent(self.interval.low),
            percent(self.interval.high),
            percent(self.clean)
        )
    }

    fn believable(&self) -> String {
        let titles = |status| {
            let mut titles: Vec<&str> = Vec::new();
            for Reason { title, .. } in self.reasons.iter().filter(|reason| reason.status == status) {
                // Two attacks may have the same to be said of them.
                if !titles.contains(&title.as_str()) {
                    titles.push(title);
                }
            }
            titles.join(", ")
        };
        let (fail, warn) = (titles(Status::Fail), titles(Status::Warn));
        match self.belief {
            Belief::Yes => {
                format!(
                    "Can it be believed: yes, {} tests pass and {} do not apply.",
                    self.passed, self.skipped
                )
            }
            Belief::Doubtful => format!("Can it be believed: WITH DOUBTS; look at {warn}."),
            Belief::No if warn.is_empty() => format!("Can it be believed: NO; {fail} failed."),
            Belief::No => format!("Can it be believed: NO; {fail} failed; look also at {warn}."),
        }
    }

    fn passage(&self) -> String {
        if self.gates.is_empty() {
            return "Let through: no gate was set (--min-union, --deny).".to_owned();
        }
        let gates: Vec<String> = self.gates.iter().map(ToString::to_string).collect();
        let word = if self.is_let_through() { "yes" } else { "NO" };
        format!("Let through: {word}; {}.", gates.join("; "))
    }
}

impl fmt::Display for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { gate, met, found, .. } = self;
        write!(f, "{gate} {} ({found})", if *met { "met" } else { "NOT MET" })
    }
}

/// What an evaluation warns of beside the battery, by name.
pub fn warnings(report: &EvaluateReport) -> Vec<Reason> {
    let caveats = report.caveats.iter().map(|found| (&caveats::EXPLAINED, Status::Warn, found.clone()));
    let gradient = gradient_caveat(&report.gradient).map(|found| match report.gradient.verdict {
        GradientVerdict::False => (&GRADIENT_FALSE, Status::Fail, found),
        GradientVerdict::Flat => (&GRADIENT_FLAT, Status::Fail, found),
        GradientVerdict::True => (&GRADIENT_FLAT, Status::Warn, found),
    });
    let blind = report.summary.attacks.iter().filter_map(|attack| {
        let blind = attack.blind?;
        Some((&blind::EXPLAINED, Status::Warn, format!("{}: {blind}", attack.attack)))
    });
    let weak = report.summary.weak_cw.map(|weak| (&weak_cw::EXPLAINED, Status::Warn, weak.to_string()));
    let all = caveats.chain(gradient).chain(blind).chain(weak);
    all.map(|(explained, status, found)| Reason::new(explained.name.to_owned(), explained, status, found))
        .collect()
}

/// Everything that speaks against the number, as it was found.
fn reasons(report: &EvaluateReport) -> Vec<Reason> {
    let mut reasons = warnings(report);
    for (title, explained, Finding { status, note, .. }) in titled(&report.battery) {
        if let (Some(explained), Status::Warn | Status::Fail) = (explained, status) {
            reasons.push(Reason::new(title, explained, *status, note.clone()));
        }
    }
    reasons
}

impl Reason {
    fn new(title: String, explained: &Explained, status: Status, found: String) -> Self {
        Self { title, status, found, means: explained.means, todo: explained.todo }
    }
}

/// What people call each test that found something, what is behind its name if that is on the list, and what it found.
pub fn titled(battery: &[Finding]) -> impl Iterator<Item = (String, Option<&'static Explained>, &Finding)> {
    battery.iter().map(|finding| {
        let explained = battery::test(&finding.test).map(|test| test.explained);
        (battery::title(&finding.test), explained, finding)
    })
}

impl Gates {
    fn judge(&self, union: f64, reasons: &[Reason]) -> Vec<Gate> {
        let share = self.min_union.map(|Share(least)| Gate {
            gate: format!("--min-union {least}"),
            met: union >= least,
            found: format!("union {union:.4}"),
            denies: None,
        });
        let of = |status| reasons.iter().filter(|reason| reason.status == status).count();
        let (failures, warnings) = (of(Status::Fail), of(Status::Warn));
        let denied = self.deny.map(|deny| Gate {
            gate: format!("--deny {deny}"),
            met: failures == 0 && (deny == Deny::Fail || warnings == 0),
            found: format!("failures: {failures}, warnings: {warnings}"),
            denies: Some(deny),
        });
        share.into_iter().chain(denied).collect()
    }
}

impl fmt::Display for Deny {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Fail => "fail",
            Self::Warn => "warn",
        })
    }
}

impl FromStr for Deny {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "fail" => Ok(Self::Fail),
            "warn" => Ok(Self::Warn),
            _ => Err("it must be fail, or warn, which denies failures too".to_owned()),
        }
    }
}

impl FromStr for Share {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
        share.map(Self).ok_or_else(|| "it must be a share of the images from 0 to 1, like 0.45".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(status: Status) -> Reason {
        Reason {
            title: "gradients-vanish (T13)".to_owned(),
            status,
            found: "50%".to_owned(),
            means: "m",
            todo: "t",
        }
    }

    fn gates(min_union: Option<&str>, deny: Option<&str>) -> Gates {
        Gates {
            min_union: min_union.map(|text| text.parse().unwrap()),
            deny: deny.map(|text| text.parse().unwrap()),
        }
    }

    #[test]
    fn gates_let_through_what_they_say() {
        let (fail, warn) = (reason(Status::Fail), reason(Status::Warn));
        for (gates, reasons, met) in [
            (gates(None, None), vec![fail.clone()], true),
            (gates(Some("0.45"), None), vec![fail.clone()], true),
            (gates(Some("0.4501"), None), vec![], false),
            (gates(None, Some("fail")), vec![warn.clone()], true),
            (gates(None, Some("fail")), vec![warn.clone(), fail.clone()], false),
            (gates(None, Some("warn")), vec![warn.clone()], false),
            (gates(Some("0.1"), Some("warn")), vec![fail], false),
            (gates(Some("0"), Some("warn")), vec![], true),
        ] {
            assert_eq!(gates.judge(0.45, &reasons).iter().all(|gate| gate.met), met, "{gates:?} {reasons:?}");
        }
        let said = gates(Some("0.5"), Some("warn")).judge(0.45, &[warn]);
        assert_eq!(said[0].to_string(), "--min-union 0.5 NOT MET (union 0.4500)");
        assert_eq!(said[1].to_string(), "--deny warn NOT MET (failures: 0, warnings: 1)");
    }

    #[test]
    fn gates_that_are_none_are_refused() {
        for text in ["1.1", "-0.1", "NaN", "45%", ""] {
            assert!(text.parse::<Share>().unwrap_err().contains("0.45"), "{text}");
        }
        assert!("skip".parse::<Deny>().unwrap_err().contains("fail"));
    }

    #[test]
    fn every_warning_says_what_it_means_and_what_to_do_by_a_name_of_its_own() {
        for (at, Explained { name, means, todo }) in WARNINGS.iter().enumerate() {
            assert!(WARNINGS[..at].iter().all(|other| other.name != *name), "{name}");
            assert!(battery::test(name).is_none(), "{name} is a test's");
            assert!([means, todo].iter().all(|text| text.len() > 40 && text.ends_with('.')), "{name}");
        }
    }

    #[test]
    fn three_lines_say_it_all() {
        let verdict = |reasons: Vec<Reason>, belief| Verdict {
            union: 0.42,
            interval: Interval { low: 0.35, high: 0.49 },
            clean: 0.93,
            n: 200,
            budget: Budget { norm: robin_core::Norm::Linf, epsilon: "8/255".parse().unwrap() },
            belief,
            gates: gates(Some("0.45"), None).judge(0.42, &reasons),
            reasons,
            passed: 18,
            skipped: 2,
        };
        let [robust, believable, through] =
            verdict(vec![reason(Status::Fail), reason(Status::Warn)], Belief::No).lines();
        assert!(robust.contains("42.0% of 200 images") && robust.contains("35.0% to 49.0%"), "{robust}");
        assert!(believable.contains("NO; gradients-vanish (T13) failed"), "{believable}");
        assert!(through.contains("NO; --min-union 0.45 NOT MET"), "{through}");
        // Of two attacks that are blind the name is said once.
        let twice = verdict(vec![reason(Status::Warn), reason(Status::Warn)], Belief::Doubtful);
        let [_, believable, _] = twice.lines();
        assert_eq!(believable.matches(&twice.reasons[0].title).count(), 1, "{believable}");
        let [_, believable, _] = verdict(Vec::new(), Belief::Yes).lines();
        assert!(believable.contains("yes, 18 tests pass and 2 do not apply"), "{believable}");
    }
}
