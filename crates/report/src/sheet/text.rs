//! Tables as Markdown in the paper's layout, and as CSV with one line for each number.

use std::fmt::Write;

use robin_experiments::Table;

use super::{Entry, Sheet};
use crate::table::number;

/// The sheet alone, as a Markdown table: measured, and published in brackets.
pub fn markdown(sheet: &Sheet<'_>) -> String {
    let mut text = String::new();
    let line = |text: &mut String, cells: &[String]| {
        let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
        writeln!(text, "| {} |", cells.join(" | ")).expect("writing to a string");
    };
    let columns = sheet.head.first().map_or(0, |level| level.iter().map(|heading| heading.span).sum());
    // Markdown has one line of headings: the levels are joined.
    let mut names = vec![Vec::new(); columns];
    for level in &sheet.head {
        let mut at = 0;
        for heading in level {
            for name in &mut names[at..at + heading.span] {
                if name.last() != Some(&heading.text) {
                    name.push(heading.text.clone());
                }
            }
            at += heading.span;
        }
    }
    let corner = sheet.corner.iter().map(|name| (*name).to_owned());
    let header: Vec<String> = corner.chain(names.iter().map(|name| name.join(" "))).collect();
    line(&mut text, &header);
    let rule = (0..header.len()).map(|at| if at < sheet.corner.len() { "---" } else { "--:" }.to_owned());
    line(&mut text, &rule.collect::<Vec<_>>());
    for row in &sheet.lines {
        let entries = row.entries.iter().map(|entry| match entry {
            Entry::Nothing => "-".to_owned(),
            Entry::Number(found) => {
                let measured = number(found.accuracy);
                let measured = if found.strongest { format!("**{measured}**") } else { measured };
                format!("{measured} ({})", found.published.map_or_else(|| "-".to_owned(), number))
            }
            Entry::Gap { measured, published } => {
                let signed = |gap: f64| format!("{gap:+.3}");
                format!("{} ({})", signed(*measured), published.map_or_else(|| "-".to_owned(), signed))
            }
        });
        line(&mut text, &row.labels.iter().cloned().chain(entries).collect::<Vec<_>>());
    }
    text
}

/// Columns of the CSV.
const NAMES: [&str; 23] = [
    "item",
    "profile",
    "comparable",
    "row",
    "dataset",
    "model",
    "norm",
    "train_epsilon",
    "epsilon",
    "printed_epsilon",
    "classifier",
    "attack",
    "strategy",
    "strongest",
    "accuracy",
    "low",
    "high",
    "n",
    "seeds",
    "union",
    "published",
    "beyond",
    "records",
];

/// One line for each number and strategy, every property in a column of its own; numbers in full.
pub fn csv(table: &Table) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let mut write = |fields: &[String]| writer.write_record(fields).expect("memory takes what is written");
    write(&NAMES.map(str::to_owned));
    for cell in &table.cells {
        let strategies: Vec<(&str, f64)> = match cell.strategies.is_empty() {
            true => vec![("", cell.accuracy)],
            false => cell.strategies.iter().map(|(name, accuracy)| (name.as_str(), *accuracy)).collect(),
        };
        for (strategy, accuracy) in strategies {
            let strongest = cell.strategy.as_deref().is_none_or(|name| name == strategy);
            // Interval, union and published number are those of the strongest strategy.
            let of_strongest = |value: Option<f64>| {
                value.filter(|_| strongest).map_or_else(String::new, |value| value.to_string())
            };
            let fields = [
                table.item.clone(),
                table.profile.to_string(),
                table.run.comparable.to_string(),
                cell.row.clone(),
                cell.dataset.to_string(),
                cell.model.clone(),
                cell.norm.to_string(),
                cell.train_epsilon.unwrap_or(cell.epsilon).to_string(),
                cell.epsilon.to_string(),
                cell.printed_epsilon.clone().unwrap_or_default(),
                cell.classifier.clone(),
                cell.attack.clone(),
                strategy.to_owned(),
                strongest.to_string(),
                accuracy.to_string(),
                of_strongest(Some(cell.low)),
                of_strongest(Some(cell.high)),
                cell.n.to_string(),
                cell.ran.seeds.len().to_string(),
                of_strongest(Some(cell.union)),
                match cell.published_strategies.get(strategy) {
                    Some(published) => published.to_string(),
                    None => of_strongest(cell.published),
                },
                cell.beyond.to_string(),
                cell.records.join(" "),
            ];
            write(&fields);
        }
    }
    let bytes = writer.into_inner().expect("memory takes what is written");
    String::from_utf8(bytes).expect("every field is text")
}
