//! A table on the page: the paper's layout, then every number with all that is known of it.

use robin_experiments::{Table, TableCell};

use super::links::RecordLink;
use crate::error::Result;
use crate::sheet::{Entry, Heading, Number, Sheet};
use crate::table::{duration, number, of, printed};

pub(super) struct TableView<'a> {
    pub(super) comparable: bool,
    pub(super) head: Vec<Vec<Heading>>,
    pub(super) lines: Vec<LineView<'a>>,
    pub(super) several_seeds: bool,
    /// Whether any number was printed, and whether any comes from several strategies: else there is no such column.
    pub(super) printed: bool,
    pub(super) strategies: bool,
    pub(super) details: Vec<DetailView<'a>>,
    pub(super) comparisons: Vec<ComparisonView<'a>>,
    pub(super) overlaps: Vec<String>,
    pub(super) notes: Vec<String>,
    pub(super) missing: usize,
    pub(super) interval: String,
}

pub(super) struct LineView<'a> {
    /// What tells it from the others, in one cell that stays in view.
    pub(super) label: String,
    pub(super) entries: Vec<EntryView<'a>>,
}

/// What stands in one place; empty text where there is nothing.
pub(super) struct EntryView<'a> {
    pub(super) kind: &'static str,
    /// Place of the number in the table's cells.
    pub(super) index: usize,
    pub(super) strategy: &'a str,
    /// In full, for programs.
    pub(super) value: String,
    pub(super) text: String,
    pub(super) published: String,
    pub(super) interval: String,
    pub(super) n: Option<usize>,
    pub(super) union: Option<String>,
    pub(super) strongest: bool,
}

pub(super) struct DetailView<'a> {
    pub(super) cell: &'a TableCell,
    pub(super) accuracy: String,
    pub(super) spread: String,
    pub(super) interval: String,
    pub(super) published: String,
    pub(super) union: String,
    pub(super) strategies: String,
    pub(super) budget: String,
    pub(super) ran: String,
    pub(super) seeds: String,
    pub(super) records: Vec<RecordLink<'a>>,
}

pub(super) struct ComparisonView<'a> {
    pub(super) place: String,
    pub(super) gap: String,
    pub(super) p: String,
    pub(super) verdict: &'a str,
}

impl<'a> TableView<'a> {
    pub(super) fn new(table: &'a Table) -> Result<Self> {
        let Sheet { head, lines, .. } = Sheet::new(table)?;
        let run = &table.run;
        let seeds: Vec<String> = run.seeds.iter().map(u64::to_string).collect();
        let mut notes: Vec<String> = run.notes.clone();
        let profile = table.profile;
        match run.shrunk.is_empty() {
            true => notes.push(format!("profile {profile}: nothing shrunk")),
            false => notes.extend(run.shrunk.iter().map(|line| format!("profile {profile} shrank {line}"))),
        }
        notes.push(format!("seeds: {}", seeds.join(", ")));
        notes.push(format!("device {} on {}", run.device, run.machine));
        notes.push(format!("{} of computing, summed over cells", duration(run.seconds)));
        Ok(Self {
            comparable: run.comparable,
            head,
            lines: lines
                .into_iter()
                .map(|line| LineView {
                    label: line.labels.join(" "),
                    entries: line.entries.into_iter().map(EntryView::new).collect(),
                })
                .collect(),
            several_seeds: run.seeds.len() > 1,
            printed: table.cells.iter().any(|cell| cell.published.is_some() || cell.beyond),
            strategies: table.cells.iter().any(|cell| !cell.strategies.is_empty()),
            details: table.cells.iter().map(DetailView::new).collect(),
            comparisons: table
                .comparisons
                .iter()
                .map(|found| ComparisonView {
                    place: format!(
                        "{}, {}{}: {} against {}",
                        found.row,
                        found.attack,
                        found.epsilon.map_or_else(String::new, |epsilon| format!(" at {epsilon}")),
                        found.classifier,
                        found.baseline
                    ),
                    gap: format!("{:+.3}", found.gap),
                    p: found.p.iter().map(|p| format!("{p:.2e}")).collect::<Vec<_>>().join(", "),
                    verdict: &found.verdict,
                })
                .collect(),
            overlaps: table
                .overlaps
                .iter()
                .map(|found| {
                    let [first, second] = &found.strategies;
                    let inside = found.inside().map_or_else(
                        || "nothing to compare".to_owned(),
                        |share| format!("{:.1}% of the former are among the latter", 100.0 * share),
                    );
                    let published = found.published.as_ref().map(|published| format!(" (published: {})", printed(published)));
                    format!(
                        "{}, {}, {} at {}: {first} breaks {}, {second} {}, both {} (of {} images, {} clean errors \
                         counted by each): {inside}{}",
                        found.row,
                        found.classifier,
                        found.attack,
                        found.epsilon,
                        of(found.misclassified[0], found.n),
                        of(found.misclassified[1], found.n),
                        of(found.both, found.n),
                        found.n,
                        found.clean_errors,
                        published.unwrap_or_default(),
                    )
                })
                .collect(),
            notes,
            missing: run.missing,
            interval: match run.seeds.len() {
                1 => "95% Wilson interval at n test images".to_owned(),
                count => format!("mean over {count} seeds, 95% Wilson interval at n test images"),
            },
        })
    }
}

impl<'a> EntryView<'a> {
    fn new(entry: Entry<'a>) -> Self {
        let nothing = Self {
            kind: "nothing",
            index: 0,
            strategy: "",
            value: String::new(),
            text: "–".to_owned(),
            published: String::new(),
            interval: String::new(),
            n: None,
            union: None,
            strongest: false,
        };
        match entry {
            Entry::Nothing => nothing,
            Entry::Gap { measured, published } => Self {
                kind: "gap",
                text: format!("{measured:+.3}"),
                value: measured.to_string(),
                published: published.map_or_else(String::new, |gap| format!("{gap:+.3}")),
                ..nothing
            },
            Entry::Number(Number { index, cell, strategy, accuracy, published, strongest }) => {
                // The interval belongs to the strongest strategy's number.
                let own = strategy.is_none() || strategy == cell.strategy.as_deref();
                Self {
                    kind: "number",
                    index,
                    strategy: strategy.unwrap_or(""),
                    value: accuracy.to_string(),
                    text: number(accuracy),
                    published: crate::table::published(published, cell, ""),
                    interval: match own {
                        true => format!("{}–{}", number(cell.low), number(cell.high)),
                        false => String::new(),
                    },
                    n: Some(cell.n),
                    union: (strategy.is_none() && cell.strategies.len() > 1).then(|| number(cell.union)),
                    strongest,
                }
            }
        }
    }
}

impl<'a> DetailView<'a> {
    fn new(cell: &'a TableCell) -> Self {
        let dash = || "–".to_owned();
        let strategies: Vec<String> = cell
            .strategies
            .iter()
            .map(|(name, accuracy)| {
                let printed =
                    cell.published_strategies.get(name).map(|value| format!(" ({})", number(*value)));
                format!("{name} {}{}", number(*accuracy), printed.unwrap_or_default())
            })
            .collect();
        let mut budget = format!("{} {}", cell.norm, cell.epsilon);
        if let Some(train) = cell.train_epsilon {
            budget.push_str(&format!(", trained at {train}"));
        }
        if let Some(printed) = &cell.printed_epsilon {
            budget.push_str(&format!(", printed as {printed}"));
        }
        let ran = &cell.ran.ran;
        let mut what = format!(
            "{}, width {}, {} training images, {} epochs",
            ran.model, ran.width, ran.train_images, ran.epochs
        );
        if let Some(stand_in) = &cell.stand_in {
            what.push_str(&format!("; stands in for {stand_in}"));
        }
        let seeds: Vec<String> = cell
            .ran
            .seeds
            .iter()
            .map(|seed| format!("{}: {} (union {})", seed.seed, number(seed.accuracy), number(seed.union)))
            .collect();
        Self {
            cell,
            accuracy: number(cell.accuracy),
            spread: cell.spread().map_or_else(dash, number),
            interval: format!("{}–{}", number(cell.low), number(cell.high)),
            published: crate::table::published(cell.published, cell, "–"),
            union: number(cell.union),
            strategies: match strategies.is_empty() {
                true => dash(),
                false => strategies.join(", "),
            },
            budget,
            ran: what,
            seeds: seeds.join("; "),
            records: RecordLink::all(&cell.records),
        }
    }
}
