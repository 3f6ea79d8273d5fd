//! An audit as people and machines read it: one page that begins with the verdict, the same as Markdown, and JUnit's XML.
//!
//! What is shown is prepared here as plain text (`View`); `templates/audit.html` and `markdown` say how it looks.

mod junit;
mod markdown;
#[cfg(test)]
mod tests;

use askama::Template;
use robin_experiments::external_model::verdict::{Belief, Reason, Status, Verdict, titled};
use robin_experiments::external_model::{EvaluateReport, OfClass};

use crate::error::Result;

/// An evaluation, and what it comes to.
#[derive(Debug, Clone, Copy)]
pub struct Audit<'a> {
    /// What it comes to.
    pub verdict: &'a Verdict,
    /// The evaluation.
    pub report: &'a EvaluateReport,
    /// Where it comes from, as pairs of what and which: command, commit, machine.
    pub provenance: &'a [(String, String)],
}

/// What both pages answer.
const QUESTION: &str = "How robust is it, and can the number be believed?";

/// The files beside the page, which `evaluate` writes too.
const FILES: [(&str, &str); 4] = [
    ("report.json", "every number of this page"),
    ("ledger.json", "what became of each image under each attack"),
    ("battery.json", "what each test found"),
    ("adversarial.safetensors", "the adversarial images; `verify-witnesses` checks them without an attack"),
];

impl Audit<'_> {
    /// One page of HTML that needs nothing else, and no script.
    ///
    /// # Errors
    /// [`crate::Error::Template`] if it cannot be filled in.
    pub fn html(&self) -> Result<String> {
        Ok(View::new(self).render()?)
    }

    /// The same as Markdown.
    pub fn markdown(&self) -> String {
        markdown::page(&View::new(self))
    }

    /// Gradient, gates and every test of the battery as JUnit's XML: what fails, and what a gate does not let through, is a
    /// failure.
    pub fn junit(&self) -> String {
        junit::suite(&View::new(self))
    }
}

/// The page in plain text.
#[derive(Template)]
#[template(path = "audit.html")]
struct View<'a> {
    question: &'static str,
    belief: &'static str,
    lines: [String; 3],
    verdict: &'a Verdict,
    reasons: Vec<ReasonView<'a>>,
    accuracies: Vec<AccuracyView>,
    tests: Vec<TestView<'a>>,
    classes: Vec<ClassView>,
    facts: Vec<(String, String)>,
    files: [(&'static str, &'static str); 4],
}

struct ReasonView<'a> {
    word: &'static str,
    reason: &'a Reason,
}

struct AccuracyView {
    what: String,
    accuracy: String,
    interval: String,
    more: String,
}

struct TestView<'a> {
    title: String,
    word: &'static str,
    asks: &'a str,
    note: &'a str,
    means: &'static str,
    todo: &'static str,
    numbers: Vec<(&'a str, String)>,
}

struct ClassView {
    class: u32,
    n: usize,
    right: usize,
    robust: usize,
}

impl<'a> View<'a> {
    fn new(audit: &Audit<'a>) -> Self {
        let Audit { verdict, report, provenance } = *audit;
        Self {
            question: QUESTION,
            belief: match verdict.belief {
                Belief::Yes => "yes",
                Belief::Doubtful => "doubtful",
                Belief::No => "no",
            },
            lines: verdict.lines(),
            verdict,
            reasons: verdict
                .reasons
                .iter()
                .map(|reason| ReasonView { word: word(reason.status), reason })
                .collect(),
            accuracies: accuracies(report),
            tests: titled(&report.battery)
                .map(|(title, explained, finding)| TestView {
                    title,
                    word: word(finding.status),
                    asks: &finding.name,
                    note: &finding.note,
                    means: explained.map_or("", |explained| explained.means),
                    todo: explained.map_or("", |explained| explained.todo),
                    numbers: finding
                        .numbers
                        .iter()
                        .map(|(name, value)| (name.as_str(), value.to_string()))
                        .collect(),
                })
                .collect(),
            classes: report
                .classes
                .iter()
                .map(|&OfClass { class, n, right, robust }| ClassView { class, n, right, robust })
                .collect(),
            facts: facts(report, provenance),
            files: FILES,
        }
    }
}

fn word(status: Status) -> &'static str {
    match status {
        Status::Pass => "pass",
        Status::Warn => "WARN",
        Status::Fail => "FAIL",
        Status::Skipped => "does not apply",
    }
}

/// Clean images, each attack, the lowest, and the union last.
fn accuracies(report: &EvaluateReport) -> Vec<AccuracyView> {
    let summary = &report.summary;
    let row = |what: &str, accuracy: f64, interval: Option<(f64, f64)>, more: String| AccuracyView {
        what: what.to_owned(),
        accuracy: format!("{accuracy:.4}"),
        interval: interval.map_or(String::new(), |(low, high)| format!("{low:.4} to {high:.4}")),
        more,
    };
    let mut rows = vec![row(
        "clean",
        summary.clean_accuracy,
        Some((summary.clean_interval.low, summary.clean_interval.high)),
        "without any attack".to_owned(),
    )];
    for attack in &summary.attacks {
        let staged = if attack.staged { "on what stood; " } else { "" };
        let zero = attack.zero_gradient_share.map_or("takes no gradients".to_owned(), |share| {
            format!("{:.1}% of its gradients are zero", 100.0 * share)
        });
        let interval = Some((attack.interval.low, attack.interval.high));
        rows.push(row(&attack.attack, attack.accuracy, interval, format!("{staged}{zero}")));
    }
    rows.push(row("lowest of one attack", summary.paper, None, "what papers print".to_owned()));
    let union = Some((summary.union_interval.low, summary.union_interval.high));
    rows.push(row(
        "union of all attacks",
        summary.union,
        union,
        "withstands every one of them: the headline".to_owned(),
    ));
    rows
}

/// What was audited, and where the numbers come from.
fn facts(report: &EvaluateReport, provenance: &[(String, String)]) -> Vec<(String, String)> {
    let (classifier, data) = (&report.classifier, &report.data);
    let normalised = match &classifier.normalization[..] {
        [] => "inside the model, if at all".to_owned(),
        all => all.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
    };
    let drawn = data.sample.map_or("not drawn at random".to_owned(), |seed| format!("drawn by seed {seed}"));
    let mut facts = vec![
        ("model".to_owned(), classifier.model.clone()),
        ("joined by".to_owned(), classifier.aggregate.clone().unwrap_or("one network".to_owned())),
        ("SHA-256 of the weights".to_owned(), classifier.weights_sha256.join(", ")),
        ("images are normalised with".to_owned(), normalised),
        ("device".to_owned(), classifier.device.clone()),
        ("images".to_owned(), format!("{} of {}, {}, {drawn}", data.n, data.dataset, data.split)),
        ("SHA-256 of the images".to_owned(), data.sha256.clone()),
        ("prepared".to_owned(), data.prepared.clone().unwrap_or("as they are".to_owned())),
        ("budget".to_owned(), report.budget.to_string()),
    ];
    facts.extend(provenance.iter().cloned());
    facts
}
