//! The page as Markdown.

use super::{AccuracyView, ClassView, ReasonView, TestView, View};

/// The page; begins with the verdict.
pub(super) fn page(view: &View<'_>) -> String {
    let mut page = format!("# {}\n\n", view.question);
    let mut line = |text: String| {
        page += &text;
        page.push('\n');
    };
    view.lines.iter().for_each(|verdict| line(format!("- {}", plain(verdict))));
    if !view.reasons.is_empty() {
        line("\n## What speaks against the number\n".to_owned());
        for ReasonView { word, reason } in &view.reasons {
            line(format!("- **{word} {}**: {}", plain(&reason.title), plain(&reason.found)));
            line(format!("  - What it means: {}", plain(reason.means)));
            line(format!("  - What to do: {}", plain(reason.todo)));
        }
    }
    line("\n## Accuracy\n".to_owned());
    line("| under | accuracy | 95% interval | |\n|---|---|---|---|".to_owned());
    for AccuracyView { what, accuracy, interval, more } in &view.accuracies {
        line(row(&[what, accuracy, interval, more]));
    }
    line(format!("\n{} images, within {}.", view.verdict.n, view.verdict.budget));
    line("\n## Tests\n".to_owned());
    line("| test | answer | asks whether | found |\n|---|---|---|---|".to_owned());
    for TestView { title, word, asks, note, .. } in &view.tests {
        line(row(&[title, word, asks, note]));
    }
    line("\n## Classes\n".to_owned());
    line("| class | images | right | robust |\n|---|---|---|---|".to_owned());
    for ClassView { class, n, right, robust } in &view.classes {
        line(format!("| {class} | {n} | {right} | {robust} |"));
    }
    line("\n## What was audited\n".to_owned());
    view.facts.iter().for_each(|(what, which)| line(format!("- {what}: {}", plain(which))));
    line("\n## Files\n".to_owned());
    view.files.iter().for_each(|(name, what)| line(format!("- [{name}]({name}): {what}")));
    page
}

fn row(cells: &[&str]) -> String {
    let cells: Vec<String> = cells.iter().map(|cell| plain(cell)).collect();
    format!("| {} |", cells.join(" | "))
}

/// `text` as it stands, on one line: nothing in it is taken for Markdown or HTML.
pub(super) fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' | '`' | '|' | '*' | '_' | '[' | ']' | '<' | '>' | '#' | '~' => {
                plain.push('\\');
                plain.push(c);
            }
            '&' => plain += "&amp;",
            c if c.is_control() => plain.push(' '),
            c => plain.push(c),
        }
    }
    plain
}
