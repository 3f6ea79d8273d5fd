//! What a terminal shows at the end of a run: a table that fits, and what it comes to. The whole table is in its file.

use std::fmt::Write;

use anstyle::{AnsiColor, Style};
use robin_experiments::claims::Forest;
use robin_experiments::table::Comparison;
use robin_experiments::{ClaimVerdict, Figure, Profile, Table, TableCell, Verdict};

use crate::finding;
use crate::table::number;

/// Where it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Screen {
    /// Letters on a line.
    pub width: usize,
    /// Whether colours are shown; what they say is said without them too.
    pub colour: bool,
}

/// Columns that are shown where not all fit, the most telling first; others follow in the table's order.
const FIRST: [&str; 6] = ["clean", "union", "pgd20", "strongest", "autoattack", "pgd10"];

/// Most letters of a row's or classifier's name.
const LONGEST: usize = 26;

impl Screen {
    fn paint(self, style: Style, text: &str) -> String {
        match self.colour {
            true => format!("{style}{text}{style:#}"),
            false => text.to_owned(),
        }
    }
}

/// `table` on a screen: for each row its classifiers, measured and published, and ROBIN's lead; columns that do not fit are named
/// below it.
pub fn table(table: &Table, screen: Screen) -> String {
    let bold = Style::new().bold();
    let dim = Style::new().dimmed();
    let mut attacks: Vec<&str> = Vec::new();
    for cell in &table.cells {
        if !attacks.contains(&cell.attack.as_str()) {
            attacks.push(&cell.attack);
        }
    }
    let lines = lines(table);
    let names = lines.iter().map(|line| 2 + line.name.chars().count()).max().unwrap_or(0).min(LONGEST);
    let widths: Vec<usize> = attacks.iter().map(|attack| width(table, attack)).collect();
    let shown = fitting(&attacks, &widths, screen.width.saturating_sub(names));
    let mut text = format!("{}\n", screen.paint(bold, &table.run.title));
    let head: String = shown.iter().map(|&at| format!("  {:>1$}", attacks[at], widths[at])).collect();
    writeln!(text, "{}", screen.paint(dim, &format!("{:names$}{head}", ""))).expect("writing to a string");
    let mut row = "";
    for line in &lines {
        if line.row != row {
            row = &line.row;
            writeln!(text, "{}", screen.paint(bold, row)).expect("writing to a string");
        }
        text += &format!("  {:<1$}", cut(&line.name, names - 2), names - 2);
        for &at in &shown {
            let (padded, style) = entry(table, line, attacks[at], widths[at]);
            text += "  ";
            text += &screen.paint(style, &padded);
        }
        text = text.trim_end().to_owned() + "\n";
    }
    let hidden: Vec<&str> =
        (0..attacks.len()).filter(|at| !shown.contains(at)).map(|at| attacks[at]).collect();
    if !hidden.is_empty() {
        let more = format!("(more in the file: {})", hidden.join(", "));
        writeln!(text, "{}", screen.paint(dim, &more)).expect("writing to a string");
    }
    text
}

/// One line of a row.
struct Line<'a> {
    row: String,
    name: String,
    /// The numbers of one classifier at one budget; of a lead those of all classifiers there.
    cells: Vec<&'a TableCell>,
    lead: bool,
}

/// Row by row, budget by budget: each classifier, then ROBIN's lead.
fn lines(table: &Table) -> Vec<Line<'_>> {
    let mut places: Vec<(&str, f64)> = Vec::new();
    for cell in &table.cells {
        let place = (cell.row.as_str(), cell.epsilon.get());
        if !places.contains(&place) {
            places.push(place);
        }
    }
    let mut lines = Vec::new();
    for &(row, epsilon) in &places {
        let several = places.iter().filter(|place| place.0 == row).count() > 1;
        let here: Vec<&TableCell> =
            table.cells.iter().filter(|cell| cell.row == row && cell.epsilon.get() == epsilon).collect();
        let mut classifiers: Vec<&str> = here.iter().map(|cell| cell.classifier.as_str()).collect();
        classifiers.dedup();
        let budget = here.first().map_or(String::new(), |cell| cell.epsilon.to_string());
        let heading = row.replace('/', " ");
        let heading = if several { heading } else { format!("{heading} {budget}") };
        let named = |name: &str| if several { format!("{name} at {budget}") } else { name.to_owned() };
        for classifier in &classifiers {
            let cells = here.iter().copied().filter(|cell| cell.classifier == *classifier).collect();
            lines.push(Line { row: heading.clone(), name: named(classifier), cells, lead: false });
        }
        if table.comparisons.iter().any(|found| found.row == row && is_lead(found)) {
            lines.push(Line { row: heading, name: named("lead"), cells: here, lead: true });
        }
    }
    lines
}

fn is_lead(found: &Comparison) -> bool {
    (found.classifier.as_str(), found.baseline.as_str()) == ("robin", "multiclass")
}

/// What stands in the column `attack` of `line`, as wide as that is, and how it looks.
fn entry(table: &Table, line: &Line<'_>, attack: &str, width: usize) -> (String, Style) {
    let cell = line.cells.iter().find(|cell| cell.attack == attack);
    let (text, style) = match cell {
        None => (String::new(), Style::new()),
        Some(cell) if !line.lead => (measured(cell), Style::new()),
        Some(cell) => {
            let budget = |found: &Comparison| found.epsilon.is_none_or(|epsilon| epsilon == cell.epsilon);
            let found = table.comparisons.iter().find(|found| {
                found.row == cell.row && found.attack == attack && is_lead(found) && budget(found)
            });
            found.map_or_else(
                || (String::new(), Style::new()),
                |found| {
                    let style = match (found.verdict.as_str(), found.gap > 0.0) {
                        ("gap", true) => AnsiColor::Green.on_default(),
                        ("gap", false) => AnsiColor::Red.on_default(),
                        _ => Style::new().dimmed(),
                    };
                    let sign = if found.verdict == "gap" { "" } else { "?" };
                    (format!("{:+.3}{sign}", found.gap), style)
                },
            )
        }
    };
    (format!("{text:>width$}"), style)
}

/// Measured, and in brackets what the paper prints.
fn measured(cell: &TableCell) -> String {
    let printed = cell.published.map_or(String::new(), |published| format!(" ({})", number(published)));
    number(cell.accuracy) + &printed
}

fn width(table: &Table, attack: &str) -> usize {
    let cells = table.cells.iter().filter(|cell| cell.attack == attack).map(|cell| measured(cell).len());
    // A lead that is not decided has a mark behind it.
    cells.chain([attack.chars().count(), "+0.000?".len()]).max().unwrap_or(0)
}

/// Which columns fit into `room`, in the table's order: the most telling ones first, and one at least.
fn fitting(attacks: &[&str], widths: &[usize], room: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..attacks.len()).collect();
    order.sort_by_key(|at| FIRST.iter().position(|name| *name == attacks[*at]).unwrap_or(FIRST.len()));
    let (mut shown, mut used) = (Vec::new(), 0);
    for at in order {
        if used + 2 + widths[at] <= room || shown.is_empty() {
            used += 2 + widths[at];
            shown.push(at);
        }
    }
    shown.sort_unstable();
    shown
}

fn cut(text: &str, letters: usize) -> String {
    match text.chars().count() <= letters {
        true => text.to_owned(),
        false => text.chars().take(letters.saturating_sub(1)).chain(['…']).collect(),
    }
}

/// Lines of a figure in numbers that a screen shows.
const MOST_LINES: usize = 24;

/// The numbers of `figure` on a screen: lines are cut at its edge, and the file has all of them.
pub fn figure(figure: &Figure, screen: Screen) -> String {
    let text = crate::figure::text(figure);
    let lines: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
    let mut shown = String::new();
    for line in lines.iter().take(MOST_LINES) {
        writeln!(shown, "{}", cut(line, screen.width)).expect("writing to a string");
    }
    if lines.len() > MOST_LINES {
        writeln!(shown, "({} more lines in the file)", lines.len() - MOST_LINES)
            .expect("writing to a string");
    }
    shown
}

/// What it all comes to, in three lines: ROBIN's lead, the claims, and whether the numbers compare with the paper's,
/// of which `missing` are missing.
pub fn verdict(forest: &[Forest], claims: &[ClaimVerdict], profile: Profile, missing: usize) -> [String; 3] {
    let nothing = "No claim of the paper can be tested on these numbers.".to_owned();
    let counts = finding::claims(claims).unwrap_or_else(|| nothing.clone());
    let first = finding::sentence(forest).map(|sentence| {
        let largest = finding::largest(forest).map_or(String::new(), |largest| format!(" {largest}"));
        format!("{sentence}{largest}")
    });
    let told = || claims.iter().find(|claim| claim.verdict != Verdict::NotTestable);
    let first =
        first.or_else(|| told().map(|claim| format!("{} {}: {}", claim.text, claim.id, claim.summary)));
    let missing = match missing {
        0 => String::new(),
        count => format!(" {count} numbers are missing: the same command tries again."),
    };
    [first.unwrap_or(nothing), counts, finding::comparability(profile) + &missing]
}

#[cfg(test)]
mod tests;
