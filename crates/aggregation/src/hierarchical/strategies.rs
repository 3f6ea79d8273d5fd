//! Attacks on the stages of a hierarchical classifier (paper C), judged by its routed decision.

use std::fmt;
use std::str::FromStr;

use candle_core::{Device, Tensor};
use robin_attacks::Loss;
use robin_core::{
    Batch, ColumnTable, Columns, Error as CoreError, Objective, ObjectiveValues, Result as CoreResult,
    Scores, Strategy,
};

use super::Split;
use crate::{Error, Result};

/// Which stages are attacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stages {
    /// `stage-1`: the coarse network's loss against the true group.
    First,
    /// `stage-2`: the loss of the true group's fine network.
    Second,
    /// `stage-1-2`: the first, and the second where it failed.
    Both,
}

impl Stages {
    /// All of them.
    pub const ALL: &'static [Self] = &[Self::First, Self::Second, Self::Both];

    /// The name as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::First => "stage-1",
            Self::Second => "stage-2",
            Self::Both => "stage-1-2",
        }
    }

    /// The fewest scores that its loss compares at once. A group of one class has nothing to be confused with, and does
    /// not count; without any other there is no bound.
    pub fn compared(self, split: &Split) -> usize {
        let coarse = matches!(self, Self::First | Self::Both).then(|| split.groups().len());
        let fine = split.groups().iter().map(Vec::len).filter(|&classes| classes > 1);
        let fine = (self != Self::First).then(|| fine.min()).flatten();
        coarse.into_iter().chain(fine).min().unwrap_or(usize::MAX)
    }

    /// The strategy against a classifier with this split. One network runs per step.
    pub fn build(self, loss: Loss, split: &Split) -> Box<dyn Strategy> {
        Box::new(Staged { stages: self, loss, split: split.clone() })
    }
}

impl fmt::Display for Stages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Stages {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let known = Self::ALL.iter().copied().find(|stages| stages.as_str() == text);
        known.ok_or_else(|| Error::StageStrategy { text: text.to_owned() })
    }
}

struct Staged {
    stages: Stages,
    loss: Loss,
    split: Split,
}

impl Strategy for Staged {
    fn prepare(&self, clean: &Scores, batch: &Batch) -> CoreResult<Vec<Box<dyn Objective>>> {
        let classes = self.split.num_classes();
        if clean.len() != batch.len() || clean.columns() != classes {
            return Err(CoreError::Shape {
                what: "clean scores",
                found: clean.tensor().dims().to_vec(),
                expected: format!("[{}, {classes}], for strategy {}", batch.len(), self.stages),
            });
        }
        clean.to_vec()?; // finite
        if let Some((example, &label)) =
            batch.labels.iter().enumerate().find(|(_, l)| **l as usize >= classes)
        {
            return Err(CoreError::Label { example, label, classes });
        }
        let groups = self.split.groups().len();
        let part = |row: &dyn Fn(usize) -> (Vec<u32>, u32)| {
            let rows = batch.labels.iter().map(|&label| row(label as usize)).collect();
            Box::new(Part::new(self.loss, rows)) as Box<dyn Objective>
        };
        let first = || {
            part(&|label| {
                let columns = (classes..classes + groups).map(|column| column as u32).collect();
                (columns, self.split.place(label).0 as u32)
            })
        };
        let second = || {
            part(&|label| {
                let (group, at) = self.split.place(label);
                let offset = (classes + groups) as u32;
                (self.split.groups()[group].iter().map(|class| offset + class).collect(), at as u32)
            })
        };
        Ok(match self.stages {
            Stages::First => vec![first()],
            Stages::Second => vec![second()],
            Stages::Both => vec![first(), second()],
        })
    }
}

/// A loss over columns of each example's own, as many as it has.
struct Part {
    loss: Loss,
    /// Columns of each example, and the position of the right one among them.
    rows: Vec<(Vec<u32>, u32)>,
}

impl Part {
    fn new(loss: Loss, rows: Vec<(Vec<u32>, u32)>) -> Self {
        Self { loss, rows }
    }

    fn width(&self) -> usize {
        self.rows.iter().map(|(columns, _)| columns.len()).max().unwrap_or(1)
    }
}

impl Objective for Part {
    fn columns(&self) -> Columns {
        let width = self.width();
        // Shorter rows repeat their last column, which costs nothing and is not looked at.
        let row = |(columns, _): &(Vec<u32>, u32)| {
            (0..width).map(|at| columns[at.min(columns.len() - 1)]).collect::<Vec<_>>()
        };
        Columns::PerExample(ColumnTable { width, indices: self.rows.iter().flat_map(row).collect() })
    }

    fn evaluate(&self, scores: &Scores) -> CoreResult<ObjectiveValues> {
        let (n, width) = (self.rows.len(), self.width());
        if scores.len() != n || scores.columns() != width {
            return Err(CoreError::Shape {
                what: "scores",
                found: scores.tensor().dims().to_vec(),
                expected: format!("[{n}, {width}]"),
            });
        }
        let (mut values, mut gradient) = (Vec::with_capacity(n), vec![0.0; n * width]);
        for (row, ((columns, right), scores)) in
            self.rows.iter().zip(scores.to_vec()?.chunks_exact(width)).enumerate()
        {
            let count = columns.len();
            // A group of one class has nothing to be confused with.
            if count < 2 {
                values.push(0.0);
                continue;
            }
            let own = Scores::from_vec(scores[..count].to_vec(), 1, count)?;
            let found = self.loss.against(vec![*right]).evaluate(&own)?;
            values.extend(found.values);
            let slopes = robin_core::host::to_vec(&found.score_gradient)?;
            gradient[row * width..row * width + count].copy_from_slice(&slopes);
        }
        Ok(ObjectiveValues { values, score_gradient: Tensor::from_vec(gradient, (n, width), &Device::Cpu)? })
    }

    fn select(&self, rows: &[usize]) -> Box<dyn Objective> {
        Box::new(Self::new(self.loss, rows.iter().map(|&row| self.rows[row].clone()).collect()))
    }
}
