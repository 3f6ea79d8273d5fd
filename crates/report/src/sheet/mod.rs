//! A table in the paper's layout, which its spec names: no table has code of its own.

mod fields;
#[cfg(test)]
mod tests;
mod text;

use robin_experiments::{Table, TableCell};

use fields::{Field, Fields};
pub use text::{csv, markdown};

use crate::error::{Error, Result};

/// Lines and columns of numbers.
#[derive(Debug, Clone)]
pub struct Sheet<'a> {
    /// Names of the properties that tell lines apart.
    pub corner: Vec<&'static str>,
    /// One for each level of headings, from the top down; each level is as wide as the lines.
    pub head: Vec<Vec<Heading>>,
    /// From the top down.
    pub lines: Vec<Line<'a>>,
}

/// A heading over some columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heading {
    /// What it says.
    pub text: String,
    /// How many columns.
    pub span: usize,
}

/// One line.
#[derive(Debug, Clone)]
pub struct Line<'a> {
    /// One for each name in the corner.
    pub labels: Vec<String>,
    /// One for each column.
    pub entries: Vec<Entry<'a>>,
}

/// What stands in one place.
#[derive(Debug, Clone)]
pub enum Entry<'a> {
    /// The table has no number here.
    Nothing,
    /// A number.
    Number(Number<'a>),
    /// Difference of two numbers of this line.
    Gap {
        /// Measured.
        measured: f64,
        /// As the paper prints it.
        published: Option<f64>,
    },
}

/// An accuracy in its place.
#[derive(Debug, Clone)]
pub struct Number<'a> {
    /// Where it stands in [`Table::cells`].
    pub index: usize,
    /// The cell.
    pub cell: &'a TableCell,
    /// The strategy, if this is one of several of the cell.
    pub strategy: Option<&'a str>,
    /// Mean over seeds.
    pub accuracy: f64,
    /// What the paper prints.
    pub published: Option<f64>,
    /// Lowest of the line's strategies.
    pub strongest: bool,
}

type Keys = Vec<String>;

impl<'a> Sheet<'a> {
    /// The numbers of `table`, each in its place.
    ///
    /// # Errors
    /// [`Error::Layout`] if two numbers have the same place.
    pub fn new(table: &'a Table) -> Result<Self> {
        let layout = &Fields::of(table);
        let numbers = numbers(table, layout);
        let keys = |fields: &[Field], number: &Number<'_>| -> Keys {
            fields.iter().map(|field| property(*field, number)).collect()
        };
        let mut lines: Vec<(Keys, f64)> = Vec::new();
        let mut columns: Vec<Keys> = Vec::new();
        for number in &numbers {
            let (line, column) = (keys(&layout.lines, number), keys(&layout.columns, number));
            if !lines.iter().any(|(known, _)| *known == line) {
                lines.push((line, number.cell.epsilon.get()));
            }
            if !columns.contains(&column) {
                columns.push(column);
            }
        }
        by_budget(&mut lines, &layout.lines);
        gather(&mut columns);
        let places = with_gaps(&columns, layout);
        let mut filled = Vec::new();
        for (line, _) in lines {
            let mut entries: Vec<Entry<'a>> = Vec::new();
            for place in &places {
                entries.push(match place {
                    Place::Column(column) => {
                        let here = |number: &&Number<'a>| {
                            keys(&layout.lines, number) == line && keys(&layout.columns, number) == *column
                        };
                        let mut found = numbers.iter().filter(here);
                        let first = found.next();
                        if found.next().is_some() {
                            return Err(Error::Layout {
                                item: table.item.clone(),
                                line: line.join(", "),
                                column: column.join(", "),
                            });
                        }
                        first.map_or(Entry::Nothing, |number| Entry::Number(number.clone()))
                    }
                    Place::Gap { from, to, .. } => gap(&entries, *from, *to),
                });
            }
            mark_strongest(&mut entries, layout);
            filled.push(Line { labels: line, entries });
        }
        Ok(Self {
            corner: layout.lines.iter().map(|field| field.name()).collect(),
            head: head(&places, layout.columns.len()),
            lines: filled,
        })
    }
}

/// Every number of the table, in its order.
fn numbers<'a>(table: &'a Table, layout: &Fields) -> Vec<Number<'a>> {
    let apart = layout.lines.contains(&Field::Strategy) || layout.columns.contains(&Field::Strategy);
    let mut numbers = Vec::new();
    for (index, cell) in table.cells.iter().enumerate() {
        if apart && !cell.strategies.is_empty() {
            for (strategy, accuracy) in &cell.strategies {
                numbers.push(Number {
                    index,
                    cell,
                    strategy: Some(strategy),
                    accuracy: *accuracy,
                    published: cell.published_strategies.get(strategy).copied(),
                    strongest: false,
                });
            }
        } else {
            numbers.push(Number {
                index,
                cell,
                strategy: None,
                accuracy: cell.accuracy,
                published: cell.published,
                strongest: false,
            });
        }
    }
    numbers
}

fn property(field: Field, number: &Number<'_>) -> String {
    let Number { cell, strategy, .. } = number;
    match field {
        Field::Dataset => cell.dataset.to_string(),
        Field::Model => cell.model.clone(),
        Field::Norm => cell.norm.to_string(),
        Field::Row => cell.row.clone(),
        Field::TrainEpsilon => cell.train_epsilon.unwrap_or(cell.epsilon).to_string(),
        Field::Epsilon => cell.epsilon.to_string(),
        Field::PrintedEpsilon => cell.printed_epsilon.clone().unwrap_or_else(|| cell.epsilon.to_string()),
        Field::Classifier => cell.classifier.clone(),
        Field::Attack => cell.attack.clone(),
        Field::Strategy => strategy.unwrap_or("clean").to_owned(),
    }
}

/// Brings lines together that only their budget in test and their classifier tell apart, the smallest budget first.
fn by_budget(lines: &mut [(Keys, f64)], fields: &[Field]) {
    let moves = |field: &Field| matches!(field, Field::Epsilon | Field::PrintedEpsilon | Field::Classifier);
    let group = |keys: &Keys| -> Keys {
        keys.iter().zip(fields).filter(|(_, field)| !moves(field)).map(|(key, _)| key.clone()).collect()
    };
    let seen: Vec<Keys> = lines.iter().map(|(keys, _)| group(keys)).collect();
    let rank = |keys: &Keys| seen.iter().position(|other| *other == group(keys));
    lines.sort_by(|(one, first), (other, second)| rank(one).cmp(&rank(other)).then(first.total_cmp(second)));
}

/// Brings columns together that share their upper headings, in the order of first appearance.
fn gather(columns: &mut [Keys]) {
    let seen = columns.to_vec();
    let rank = |column: &Keys| -> Vec<usize> {
        (1..=column.len())
            .map(|level| {
                seen.iter()
                    .position(|other| other[..level] == column[..level])
                    .expect("a column is among all")
            })
            .collect()
    };
    columns.sort_by_key(rank);
}

enum Place {
    Column(Keys),
    /// Between two columns, given by their place.
    Gap {
        from: usize,
        to: usize,
        upper: Keys,
    },
}

/// The columns, and a gap behind each group that has both classifiers.
fn with_gaps(columns: &[Keys], layout: &Fields) -> Vec<Place> {
    let plain = || columns.iter().cloned().map(Place::Column).collect::<Vec<_>>();
    let Some([first, second]) = &layout.gap else { return plain() };
    let Some(level) = layout.columns.iter().position(|field| *field == Field::Classifier) else {
        return plain();
    };
    let mut places: Vec<Place> = Vec::new();
    for group in columns.chunk_by(|a, b| a[..level] == b[..level]) {
        let start = places.len();
        places.extend(group.iter().cloned().map(Place::Column));
        let place = |name: &String| group.iter().position(|column| column[level] == *name);
        if let (Some(from), Some(to)) = (place(first), place(second)) {
            places.push(Place::Gap { from: start + from, to: start + to, upper: group[0][..level].to_vec() });
        }
    }
    places
}

fn gap<'a>(entries: &[Entry<'a>], from: usize, to: usize) -> Entry<'a> {
    let (Entry::Number(from), Entry::Number(to)) = (&entries[from], &entries[to]) else {
        return Entry::Nothing;
    };
    Entry::Gap {
        measured: to.accuracy - from.accuracy,
        published: to.published.zip(from.published).map(|(to, from)| to - from),
    }
}

fn mark_strongest(entries: &mut [Entry<'_>], layout: &Fields) {
    if !layout.columns.contains(&Field::Strategy) {
        return;
    }
    let lowest = entries
        .iter()
        .filter_map(|entry| match entry {
            Entry::Number(number) if number.strategy.is_some() => Some(number.accuracy),
            _ => None,
        })
        .fold(f64::INFINITY, f64::min);
    for entry in entries {
        if let Entry::Number(number) = entry {
            number.strongest = number.strategy.is_some() && number.accuracy == lowest;
        }
    }
}

fn head(places: &[Place], levels: usize) -> Vec<Vec<Heading>> {
    let text = |place: &Place, level: usize| -> Keys {
        match place {
            Place::Column(column) => column[..=level].to_vec(),
            Place::Gap { upper, .. } => {
                let mut keys = upper.clone();
                keys.resize(levels, "gap".to_owned());
                keys[..=level].to_vec()
            }
        }
    };
    (0..levels)
        .map(|level| {
            places
                .chunk_by(|a, b| text(a, level) == text(b, level))
                .map(|group| {
                    let name = text(&group[0], level).pop().unwrap_or_default();
                    Heading { text: name, span: group.len() }
                })
                .collect()
        })
        .collect()
}
