//! Some of an aggregate's scores, as if they were all.

use robin_core::{Columns, Objective, ObjectiveSpec, ObjectiveValues, Result, Scores};

/// An objective on the chosen columns alone; labels inside it are positions among them.
pub(super) struct View {
    columns: Columns,
    inner: Box<dyn Objective>,
}

impl View {
    pub(super) fn new(columns: Columns, inner: Box<dyn Objective>) -> Self {
        Self { columns, inner }
    }
}

impl Objective for View {
    fn columns(&self) -> Columns {
        self.columns.clone()
    }

    fn evaluate(&self, scores: &Scores) -> Result<ObjectiveValues> {
        self.inner.evaluate(scores)
    }

    fn spec(&self) -> Option<ObjectiveSpec> {
        // The inner one sees no other columns than these.
        let inner = self.inner.spec().filter(|spec| spec.columns == Columns::All)?;
        Some(ObjectiveSpec { columns: self.columns.clone(), ..inner })
    }

    fn is_signed(&self) -> bool {
        self.inner.is_signed()
    }

    fn select(&self, rows: &[usize]) -> Box<dyn Objective> {
        Box::new(Self { columns: self.columns.select(rows), inner: self.inner.select(rows) })
    }
}
