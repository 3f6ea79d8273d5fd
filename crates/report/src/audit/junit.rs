//! The audit as JUnit's XML, which continuous integration shows test by test.

use robin_experiments::external_model::verdict::{Deny, Gate};

use super::{ReasonView, TestView, View};

/// One suite: what is known before any attack, each test of the battery, each gate.
pub(super) fn suite(view: &View<'_>) -> String {
    let denies_warnings = view.verdict.gates.iter().any(|gate| gate.denies == Some(Deny::Warn));
    let fails = |word: &str| word == "FAIL" || word == "WARN" && denies_warnings;
    let mut cases: Vec<Case> = Vec::new();
    for TestView { title, word, note, means, todo, .. } in &view.tests {
        let outcome = match *word {
            "does not apply" => Outcome::Skipped(note),
            word if fails(word) => Outcome::Failed(note, format!("{means} {todo}")),
            "pass" => Outcome::Passed(note.to_string()),
            word => Outcome::Passed(format!("{word}: {note}")),
        };
        cases.push(Case { class: "battery", name: title, outcome });
    }
    // What speaks against the number beside the battery.
    let beside = view
        .reasons
        .iter()
        .filter(|ReasonView { reason, .. }| view.tests.iter().all(|test| test.title != reason.title));
    for ReasonView { word, reason } in beside {
        let outcome = match fails(word) {
            true => Outcome::Failed(&reason.found, format!("{} {}", reason.means, reason.todo)),
            false => Outcome::Passed(format!("{word}: {}", reason.found)),
        };
        cases.push(Case { class: "warnings", name: &reason.title, outcome });
    }
    for Gate { gate, met, found, .. } in &view.verdict.gates {
        let outcome = match met {
            true => Outcome::Passed(found.clone()),
            false => Outcome::Failed(found, view.lines.join("\n")),
        };
        cases.push(Case { class: "gates", name: gate, outcome });
    }
    let count = |which: fn(&Outcome<'_>) -> bool| cases.iter().filter(|case| which(&case.outcome)).count();
    let attributes = format!(
        "name=\"robin audit\" tests=\"{}\" failures=\"{}\" errors=\"0\" skipped=\"{}\"",
        cases.len(),
        count(|outcome| matches!(outcome, Outcome::Failed(..))),
        count(|outcome| matches!(outcome, Outcome::Skipped(_)))
    );
    let cases: String = cases.iter().map(Case::xml).collect();
    let lines = text(&view.lines.join("\n"));
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n<testsuite {attributes}>\n{cases}\
         <system-out>{lines}</system-out>\n</testsuite>\n</testsuites>\n"
    )
}

struct Case<'a> {
    class: &'static str,
    name: &'a str,
    outcome: Outcome<'a>,
}

enum Outcome<'a> {
    /// With what was found.
    Passed(String),
    /// With the reason.
    Skipped(&'a str),
    /// With what was found, and what it means.
    Failed(&'a str, String),
}

impl Case<'_> {
    fn xml(&self) -> String {
        let inside = match &self.outcome {
            Outcome::Passed(found) => format!("<system-out>{}</system-out>", text(found)),
            Outcome::Skipped(reason) => format!("<skipped message=\"{}\"/>", text(reason)),
            Outcome::Failed(found, meaning) => {
                format!("<failure message=\"{}\">{}</failure>", text(found), text(meaning))
            }
        };
        format!("<testcase classname=\"{}\" name=\"{}\">{inside}</testcase>\n", self.class, text(self.name))
    }
}

/// `text` between tags or in quotes; characters that XML cannot have become blanks.
fn text(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\n' => escaped += "&#10;",
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}
