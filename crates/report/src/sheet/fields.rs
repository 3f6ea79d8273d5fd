//! Which properties of its numbers make a table's lines, and which its columns.

use std::collections::BTreeSet;

use robin_experiments::spec::Layout;
use robin_experiments::{Table, TableCell};

/// Lines and columns of one table.
pub(super) struct Fields {
    /// What tells lines apart, from left to right.
    pub(super) lines: Vec<Field>,
    /// What tells columns apart, from the top down. With [`Field::Strategy`] each strategy has a column of its
    /// own, and the strongest of a line is marked.
    pub(super) columns: Vec<Field>,
    /// A column with the accuracy of the second classifier minus that of the first.
    pub(super) gap: Option<[String; 2]>,
}

/// A property of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    /// The row's name in the spec.
    Row,
    /// The data set.
    Dataset,
    /// The row's architecture.
    Model,
    /// Of the budget.
    Norm,
    /// The budget in training, in pixels in `[0, 1]`.
    TrainEpsilon,
    /// The budget in test, in pixels in `[0, 1]`.
    Epsilon,
    /// The budget in test on the scale that the paper prints.
    PrintedEpsilon,
    /// The classifier's name.
    Classifier,
    /// `clean`, or the attack.
    Attack,
    /// What the attack maximises.
    Strategy,
}

impl Field {
    /// Heading of its column.
    pub(super) fn name(self) -> &'static str {
        match self {
            Field::Row => "row",
            Field::Dataset => "data",
            Field::Model => "model",
            Field::Norm => "norm",
            Field::TrainEpsilon => "trained at",
            Field::Epsilon => "tested at",
            Field::PrintedEpsilon => "as printed",
            Field::Classifier => "classifier",
            Field::Attack => "attack",
            Field::Strategy => "strategy",
        }
    }
}

impl Fields {
    /// What `table` asks for, with the properties that it needs to tell its numbers apart.
    pub(super) fn of(table: &Table) -> Self {
        let cells = &table.cells;
        let mut lines = match names_tell(cells) {
            true => vec![Field::Dataset, Field::Model, Field::Norm],
            false => vec![Field::Row, Field::Norm],
        };
        if cells.iter().any(|cell| cell.train_epsilon.is_some()) {
            lines.push(Field::TrainEpsilon);
        }
        lines.push(Field::Epsilon);
        if cells.iter().any(|cell| cell.printed_epsilon.is_some()) {
            lines.push(Field::PrintedEpsilon);
        }
        let mut classifiers: Vec<&String> = Vec::new();
        for cell in cells {
            if !classifiers.contains(&&cell.classifier) {
                classifiers.push(&cell.classifier);
            }
        }
        let (columns, gap) = match (table.layout, classifiers.as_slice()) {
            // The paper's two classifiers stand side by side; with more, each has a line.
            (Layout::Attacks, _) if cells.iter().any(|cell| cell.beyond) => {
                lines.push(Field::Classifier);
                (vec![Field::Attack], None)
            }
            (Layout::Attacks, _) | (Layout::Gap, [] | [_]) => (vec![Field::Attack, Field::Classifier], None),
            (Layout::Gap, [first, second, ..]) => {
                let gap = [(*first).clone(), (*second).clone()];
                (vec![Field::Attack, Field::Classifier], Some(gap))
            }
            (Layout::Strategies, [] | [_]) => (vec![Field::Attack, Field::Strategy], None),
            (Layout::Strategies, _) => (vec![Field::Attack, Field::Classifier, Field::Strategy], None),
        };
        Self { lines, columns, gap }
    }
}

/// Whether data set, model and budgets tell all numbers of one classifier and attack apart.
fn names_tell(cells: &[TableCell]) -> bool {
    let mut seen = BTreeSet::new();
    cells.iter().all(|cell| {
        let train = cell.train_epsilon.unwrap_or(cell.epsilon).to_string();
        let budget = (cell.norm.to_string(), train, cell.epsilon.to_string());
        let who = (cell.dataset.to_string(), cell.model.as_str());
        seen.insert((who, budget, cell.classifier.as_str(), cell.attack.as_str()))
    })
}
