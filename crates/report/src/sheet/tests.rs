use robin_experiments::spec::Layout;
use robin_experiments::{Profile, Table};

use super::{Entry, Sheet, csv, markdown};
use crate::error::Error;
use crate::tests::table;

/// Two classifiers with two strategies, at two budgets beside a clean number.
fn sweep(layout: Layout) -> Table {
    let mut table = table(Profile::Smoke, 1);
    table.layout = layout;
    let [clean, attacked, _] = <[_; 3]>::try_from(std::mem::take(&mut table.cells)).ok().unwrap();
    for (classifier, loss) in [("multiclass", 0.1), ("robin", 0.0)] {
        for (epsilon, accuracy) in [("0/255", 0.9), ("25/255", 0.8), ("50/255", 0.5)] {
            let mut cell = if epsilon == "0/255" { clean.clone() } else { attacked.clone() };
            cell.classifier = classifier.to_owned();
            cell.epsilon = if epsilon == "0/255" { "25/255" } else { epsilon }.parse().unwrap();
            cell.train_epsilon = Some("25/255".parse().unwrap());
            cell.accuracy = accuracy - loss;
            for (name, value) in &mut cell.strategies {
                *value = cell.accuracy + if name == "softmax" { 0.0 } else { 0.01 };
            }
            cell.published = Some(0.7 - loss);
            table.cells.push(cell);
        }
    }
    table
}

/// Text of every place of every line.
fn places(sheet: &Sheet<'_>) -> Vec<Vec<String>> {
    let text = |entry: &Entry<'_>| match entry {
        Entry::Nothing => "-".to_owned(),
        Entry::Number(number) => format!("{:.2}{}", number.accuracy, if number.strongest { "*" } else { "" }),
        Entry::Gap { measured, published } => format!("{measured:+.2} {published:+.2?}"),
    };
    sheet.lines.iter().map(|line| line.entries.iter().map(text).collect()).collect()
}

fn heads(sheet: &Sheet<'_>) -> Vec<Vec<(String, usize)>> {
    let level = |level: &Vec<super::Heading>| {
        level.iter().map(|heading| (heading.text.clone(), heading.span)).collect()
    };
    sheet.head.iter().map(level).collect()
}

fn owned(pairs: &[(&str, usize)]) -> Vec<(String, usize)> {
    pairs.iter().map(|(text, span)| ((*text).to_owned(), *span)).collect()
}

#[test]
fn attacks_stand_above_classifiers() {
    let table = sweep(Layout::Attacks);
    let sheet = Sheet::new(&table).unwrap();
    assert_eq!(sheet.corner, ["data", "model", "norm", "trained at", "tested at"]);
    assert_eq!(
        heads(&sheet),
        [
            owned(&[("clean", 2), ("pgd10", 2)]),
            owned(&[("multiclass", 1), ("robin", 1), ("multiclass", 1), ("robin", 1)]),
        ]
    );
    assert_eq!(places(&sheet), [["0.80", "0.90", "0.70", "0.80"], ["-", "-", "0.40", "0.50"]]);
    assert_eq!(sheet.lines[1].labels, ["mnist", "cnn2", "linf", "25/255", "50/255"]);
}

#[test]
fn beyond_the_paper_each_classifier_has_a_line() {
    let mut table = sweep(Layout::Attacks);
    for cell in &mut table.cells {
        cell.beyond = cell.classifier == "multiclass";
    }
    let sheet = Sheet::new(&table).unwrap();
    assert_eq!(sheet.corner, ["data", "model", "norm", "trained at", "tested at", "classifier"]);
    assert_eq!(heads(&sheet), [owned(&[("clean", 1), ("pgd10", 1)])]);
    assert_eq!(sheet.lines[0].labels[5], "multiclass");
    // Budget by budget, the smallest first.
    assert_eq!(places(&sheet), [["0.80", "0.70"], ["0.90", "0.80"], ["-", "0.40"], ["-", "0.50"]]);
}

#[test]
fn a_gap_stands_behind_its_classifiers() {
    let table = sweep(Layout::Gap);
    let sheet = Sheet::new(&table).unwrap();
    assert_eq!(
        heads(&sheet)[1][..3],
        owned(&[("multiclass", 1), ("robin", 1), ("gap", 1)])[..],
        "{:?}",
        sheet.head
    );
    assert_eq!(
        places(&sheet)[1],
        ["-", "-", "-", "0.40", "0.50", "+0.10 Some(+0.10)"],
        "robin minus multiclass; none where there is no number"
    );
}

#[test]
fn the_strongest_strategy_is_marked() {
    let mut table = sweep(Layout::Strategies);
    table.cells.retain(|cell| cell.classifier == "robin");
    let softmax = 0.123;
    table.cells[1].published_strategies.insert("softmax".to_owned(), softmax);
    let sheet = Sheet::new(&table).unwrap();
    assert_eq!(
        heads(&sheet),
        [owned(&[("clean", 1), ("pgd10", 2)]), owned(&[("clean", 1), ("best-arm", 1), ("softmax", 1)])]
    );
    assert_eq!(places(&sheet), [["0.90", "0.81", "0.80*"], ["-", "0.51", "0.50*"]]);
    let Entry::Number(number) = &sheet.lines[0].entries[2] else { panic!("{:?}", sheet.lines[0]) };
    assert_eq!(number.published, Some(softmax));
    let text = markdown(&sheet);
    assert!(text.contains("| pgd10 softmax |") && text.contains("| **0.800** (0.123) |"), "{text}");
}

#[test]
fn rows_that_look_alike_are_told_apart_by_name_or_refused() {
    let mut table = sweep(Layout::Attacks);
    let mut other = table.cells.clone();
    for cell in &mut other {
        cell.row.push_str("/mart");
    }
    table.cells.extend(other.clone());
    let sheet = Sheet::new(&table).unwrap();
    assert_eq!(sheet.lines.len(), 4);
    assert_eq!(sheet.lines[3].labels[0], "mnist/cnn2/linf/mart");
    table.cells.extend(other);
    assert!(matches!(Sheet::new(&table), Err(Error::Layout { .. })));
}

#[test]
fn csv_has_every_strategy_in_full() {
    let mut table = sweep(Layout::Attacks);
    table.cells[1].row = "a \"name\", with a comma".to_owned();
    table.cells[1].strategies.insert("softmax".to_owned(), 1.0 / 3.0);
    let text = csv(&table);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 1 + 2 * (1 + 2 + 2));
    assert!(lines[3].contains(",\"a \"\"name\"\", with a comma\","), "{}", lines[3]);
    assert!(lines[3].contains(",softmax,true,0.3333333333333333,"), "{}", lines[3]);
    let columns = lines[0].split(',').count();
    let plain = lines.iter().filter(|line| !line.contains('"'));
    assert!(plain.clone().all(|line| line.split(',').count() == columns), "{text}");
    assert_eq!(plain.count(), 9, "two lines have a comma in quotes: {text}");
}
