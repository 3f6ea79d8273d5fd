//! One table as Markdown, which a terminal shows just as well.

use std::fmt::Write;

use comfy_table::{CellAlignment, ColumnConstraint, Table as Grid, presets::ASCII_MARKDOWN};
use robin_experiments::spec::PrintedOverlap;
use robin_experiments::{Table, TableCell};

/// The paper's layout, then every number with interval and n, then how they came about.
pub fn markdown(table: &Table) -> String {
    let mut text = format!("# {}\n\n", table.run.title);
    if !table.run.comparable {
        let profile = table.profile;
        writeln!(text, "**Profile {profile}: not comparable with the published numbers.**\n")
            .expect("writing to a string");
    }
    text.push_str(
        "Accuracy, and the published one in brackets. In a cell `union` = withstands every strategy of this attack at once; \
         `n` where an attack was made on fewer images than the row has.\n\n",
    );
    text.push_str(&overview(table).to_string());
    text.push_str("\n\nWith 95% Wilson interval at n test images");
    text.push_str(match table.run.seeds.len() {
        1 => ".\n\n",
        _ => "; accuracy is the mean over seeds, spread its standard deviation.\n\n",
    });
    text.push_str(&details(table).to_string());
    text.push_str("\n\n");
    if !table.comparisons.is_empty() {
        text.push_str(
            "Differences, of the shares that withstand every strategy; p is McNemar's, by seed.\n\n",
        );
        text.push_str(&differences(table).to_string());
        text.push_str("\n\n");
    }
    if !table.overlaps.is_empty() {
        text.push_str("Examples broken by two strategies, clean errors included; sums over seeds.\n\n");
        text.push_str(&overlaps(table).to_string());
        text.push_str("\n\n");
    }
    text.push_str(&footer(table));
    text
}

/// One line per pair of classifiers, attack and budget.
fn differences(table: &Table) -> Grid {
    let mut grid = grid();
    grid.set_header(["row", "attack", "tested at", "classifiers", "difference", "p", "verdict"]);
    for found in &table.comparisons {
        let budget = found.epsilon.map_or_else(|| "-".to_owned(), |epsilon| epsilon.to_string());
        let p: Vec<String> = found.p.iter().map(|p| format!("{p:.2e}")).collect();
        grid.add_row([
            found.row.clone(),
            found.attack.clone(),
            budget,
            format!("{} - {}", found.classifier, found.baseline),
            format!("{:+.3}", found.gap),
            p.join(", "),
            found.verdict.clone(),
        ]);
    }
    keep_whole(&mut grid);
    grid
}

/// One line per row, attack and pair of strategies.
fn overlaps(table: &Table) -> Grid {
    let mut grid = grid();
    grid.set_header([
        "row",
        "attack",
        "n",
        "wrong when clean",
        "first",
        "second",
        "both",
        "first inside second",
        "published",
    ]);
    for found in &table.overlaps {
        let [first, second] = &found.strategies;
        grid.add_row([
            found.row.clone(),
            format!("{} {}", found.attack, found.epsilon),
            found.n.to_string(),
            found.clean_errors.to_string(),
            format!("{first} {}", of(found.misclassified[0], found.n)),
            format!("{second} {}", of(found.misclassified[1], found.n)),
            of(found.both, found.n),
            found.inside().map_or_else(|| "-".to_owned(), number),
            found.published.as_ref().map_or_else(|| "-".to_owned(), printed),
        ]);
    }
    keep_whole(&mut grid);
    grid
}

/// What the paper prints of an overlap, clean errors included.
pub(crate) fn printed(PrintedOverlap { n, misclassified: [first, second], both }: &PrintedOverlap) -> String {
    let [first, second, both] = [*first, *second, *both].map(|count| of(count, *n));
    format!("{first} and {second}, both {both}, of {n}")
}

/// A count, and which share of `n` it is: counts over several seeds compare with printed ones by their shares.
pub(crate) fn of(count: usize, n: usize) -> String {
    format!("{count} ({})", number(count as f64 / n as f64))
}

/// One line per row and classifier, one column per attack.
fn overview(table: &Table) -> Grid {
    let mut attacks: Vec<&str> = Vec::new();
    for cell in &table.cells {
        if !attacks.contains(&cell.attack.as_str()) {
            attacks.push(&cell.attack);
        }
    }
    let mut grid = grid();
    grid.set_header(["row", "classifier"].into_iter().chain(attacks.iter().copied()));
    let mut lines: Vec<(String, &str)> = Vec::new();
    for cell in &table.cells {
        let line = (row(cell), cell.classifier.as_str());
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    for (label, classifier) in lines {
        let numbers = attacks.iter().map(|attack| {
            let found = table
                .cells
                .iter()
                .find(|cell| row(cell) == label && cell.classifier == classifier && cell.attack == *attack);
            found.map_or_else(
                || "-".to_owned(),
                |cell| {
                    let mut text =
                        format!("{} ({})", number(cell.accuracy), published(cell.published, cell, "-"));
                    if cell.strategies.len() > 1 {
                        write!(text, ", union {}", number(cell.union)).expect("writing to a string");
                    }
                    if cell.n < cell.ran.ran.test_images {
                        write!(text, ", n = {}", cell.n).expect("writing to a string");
                    }
                    text
                },
            )
        });
        grid.add_row([label.clone(), classifier.to_owned()].into_iter().chain(numbers));
    }
    keep_whole(&mut grid);
    grid
}

/// One line per number.
fn details(table: &Table) -> Grid {
    let mut grid = grid();
    let mut header = vec![
        "row",
        "classifier",
        "attack",
        "accuracy",
        "95% interval",
        "n",
        "published",
        "union",
        "strategies",
    ];
    let several = table.run.seeds.len() > 1;
    if several {
        header.insert(4, "spread");
    }
    grid.set_header(&header);
    for cell in &table.cells {
        // The strongest strategy is the accuracy; the others stand beside it.
        let strategies = match cell.strategies.len() {
            0 => "-".to_owned(),
            _ => cell
                .strategies
                .iter()
                .map(|(name, accuracy)| format!("{name} {}", number(*accuracy)))
                .collect::<Vec<_>>()
                .join(", "),
        };
        let mut line = vec![
            row(cell),
            cell.classifier.clone(),
            cell.attack.clone(),
            number(cell.accuracy),
            format!("[{}, {}]", number(cell.low), number(cell.high)),
            cell.n.to_string(),
            published(cell.published, cell, "-"),
            number(cell.union),
            strategies,
        ];
        if several {
            line.insert(4, cell.spread().map_or_else(|| "-".to_owned(), number));
        }
        grid.add_row(line);
    }
    for (at, name) in header.iter().enumerate() {
        if matches!(*name, "accuracy" | "n" | "published" | "union" | "spread")
            && let Some(column) = grid.column_mut(at)
        {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    keep_whole(&mut grid);
    grid
}

fn footer(table: &Table) -> String {
    let run = &table.run;
    let profile = table.profile;
    let shrunk = match run.shrunk.is_empty() {
        true => format!("- profile {profile}: nothing shrunk\n"),
        false => run.shrunk.iter().map(|line| format!("- profile {profile} shrank {line}\n")).collect(),
    };
    let seeds: Vec<String> = run.seeds.iter().map(u64::to_string).collect();
    let count = match seeds.len() {
        1 => "1 seed".to_owned(),
        count => format!("{count} seeds"),
    };
    let mut text = format!(
        "{shrunk}- {count} ({})\n- device {} on {}\n- {} of computing, summed over cells\n",
        seeds.join(", "),
        run.device,
        run.machine,
        duration(run.seconds),
    );
    for note in &run.notes {
        writeln!(text, "- {note}").expect("writing to a string");
    }
    if run.missing > 0 {
        writeln!(text, "- **{} numbers are missing: their cells were not finished**", run.missing)
            .expect("writing to a string");
    }
    text
}

/// `3 h 05 min`, `4 min 07 s`, or `12.3 s`.
pub fn duration(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match whole {
        3_600.. => format!("{} h {:02} min", whole / 3_600, whole / 60 % 60),
        60.. => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{seconds:.1} s"),
    }
}

fn grid() -> Grid {
    let mut grid = Grid::new();
    grid.load_style(ASCII_MARKDOWN);
    grid
}

/// A line of a Markdown table must not be broken, however narrow the terminal.
fn keep_whole(grid: &mut Grid) {
    for column in grid.column_iter_mut() {
        column.set_constraint(ColumnConstraint::ContentWidth);
    }
}

/// What tells a line from the others: the row's name where it has one of its own.
fn row(cell: &TableCell) -> String {
    let TableCell { dataset, model, norm, epsilon, row, .. } = cell;
    if *row == format!("{dataset}/{model}/{norm}") {
        return format!("{dataset} {model} {norm} {epsilon}");
    }
    format!("{} {epsilon}", row.replace('/', " "))
}

pub(crate) fn number(accuracy: f64) -> String {
    format!("{accuracy:.3}")
}

/// What the paper prints of `cell`, or of one of its strategies; `none` where it prints nothing.
pub(crate) fn published(printed: Option<f64>, cell: &TableCell, none: &str) -> String {
    match printed {
        Some(accuracy) => number(accuracy),
        None if cell.beyond => "beyond".to_owned(),
        None => none.to_owned(),
    }
}
