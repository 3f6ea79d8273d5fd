//! Scores of a batch in a table, and what attacks maximise of them. The formulas are in `sources/objectives.cu`.

use super::arguments::launch;
use super::{Buffer, Context, PACK, Real, Result};

/// Scores f32 `[rows, width]` and a gradient on them. A cell behind them, [`Table::spare`], takes what fills up batches; its
/// gradient is 0.
#[derive(Debug)]
pub struct Table {
    rows: usize,
    width: usize,
    scores: Buffer<f32>,
    gradient: Buffer<f32>,
}

/// What is maximised of each row of a table.
#[derive(Debug)]
pub enum Maximised {
    /// Cross-entropy against labels `[rows]`, below the table's width.
    CrossEntropy(Buffer<u32>),
    /// Weighted sum of binary losses.
    Arms {
        /// 1 or 0 for each cell, `[rows * width]`.
        targets: Buffer<u8>,
        /// Weight of each column.
        shares: Buffer<f64>,
    },
}

/// Cells of a table that take an arm's scores, one for each of its images.
#[derive(Debug)]
pub struct Cells {
    places: Buffer<u32>,
    /// All of them are below it.
    limit: usize,
}

impl Cells {
    /// `cells`, on the device.
    ///
    /// # Errors
    /// If the device fails.
    pub fn new(context: &Context, cells: &[u32]) -> Result<Self> {
        let limit = cells.iter().max().map_or(0, |&cell| cell as usize + 1);
        Ok(Self { places: context.upload(cells)?, limit })
    }
}

impl Table {
    /// An empty table.
    ///
    /// # Errors
    /// If the device fails.
    pub fn new(context: &Context, rows: usize, width: usize) -> Result<Self> {
        let cells = rows * width + 1;
        Ok(Self { rows, width, scores: context.zeros(cells)?, gradient: context.zeros(cells)? })
    }

    /// The cell behind all rows.
    pub fn spare(&self) -> u32 {
        (self.rows * self.width) as u32
    }

    /// Takes all outputs of a network, one column for each.
    ///
    /// # Errors
    /// If the device fails.
    ///
    /// # Panics
    /// If the rows do not fit; so for all functions here.
    pub fn write(&self, context: &Context, rows: &Buffer<Real>) -> Result<()> {
        let channels = self.width.next_multiple_of(PACK);
        assert_eq!(rows.len(), self.rows * channels, "rows of {} scores", self.width);
        let count = self.rows * self.width;
        // SAFETY: lengths were checked.
        unsafe {
            launch!(context, "read_scores", count;
                rows, count as i64, self.width as i32, channels as i32, &self.scores)
        }
    }

    /// The gradient on all outputs of a network, as rows.
    ///
    /// # Errors
    /// If the device fails.
    pub fn gradient(&self, context: &Context, rows: &Buffer<Real>) -> Result<()> {
        let channels = self.width.next_multiple_of(PACK);
        assert_eq!(rows.len(), self.rows * channels, "rows of {} scores", self.width);
        let count = rows.len();
        // SAFETY: lengths were checked.
        unsafe {
            launch!(context, "write_score_gradient", count;
                &self.gradient, count as i64, self.width as i32, channels as i32, rows)
        }
    }

    /// Takes an arm's scores of the images that `cells` are of: `z_1 - z_0` of two `outputs`, or the only one.
    ///
    /// # Errors
    /// If the device fails.
    pub fn write_arm(
        &self,
        context: &Context,
        rows: &Buffer<Real>,
        cells: &Cells,
        outputs: usize,
    ) -> Result<()> {
        let count = self.check_arm(rows, cells, outputs);
        // SAFETY: lengths and cells were checked.
        unsafe {
            launch!(context, "write_cells", count;
                rows, &cells.places, outputs as i32, PACK as i32, count as i64, &self.scores)
        }
    }

    /// The gradient on an arm's outputs, as rows.
    ///
    /// # Errors
    /// If the device fails.
    pub fn arm_gradient(
        &self,
        context: &Context,
        rows: &Buffer<Real>,
        cells: &Cells,
        outputs: usize,
    ) -> Result<()> {
        self.check_arm(rows, cells, outputs);
        let count = rows.len();
        // SAFETY: lengths and cells were checked.
        unsafe {
            launch!(context, "read_cells", count;
                &self.gradient, &cells.places, outputs as i32, PACK as i32, count as i64, rows)
        }
    }

    fn check_arm(&self, rows: &Buffer<Real>, cells: &Cells, outputs: usize) -> usize {
        let count = cells.places.len();
        assert!((1..=2).contains(&outputs), "an arm of {outputs} outputs");
        assert_eq!(rows.len(), count * PACK, "rows of {outputs} outputs");
        assert!(cells.limit <= self.scores.len(), "cell {} of {}", cells.limit, self.scores.len());
        count
    }

    /// Values f32 `[rows]` of what is maximised, and the gradient into the table. `bad` `[rows]` keeps the first score
    /// that is no number, or infinite.
    ///
    /// # Errors
    /// If the device fails.
    pub fn maximise(
        &self,
        context: &Context,
        maximised: &Maximised,
        bad: &Buffer<f32>,
    ) -> Result<Buffer<f32>> {
        let (count, width) = (self.rows, self.width as i32);
        assert_eq!(bad.len(), count, "marks");
        let values = context.buffer(count)?;
        let (scores, gradient) = (&self.scores, &self.gradient);
        match maximised {
            Maximised::CrossEntropy(labels) => {
                assert_eq!(labels.len(), count, "labels");
                // SAFETY: lengths were checked.
                unsafe {
                    launch!(context, "raise_cross_entropy", count;
                        scores, labels, width, count as i64, &values, gradient, bad)
                }?;
            }
            Maximised::Arms { targets, shares } => {
                assert_eq!([targets.len(), shares.len()], [count * self.width, self.width], "targets");
                // SAFETY: lengths were checked.
                unsafe {
                    launch!(context, "raise_arms", count;
                        scores, targets, shares, width, count as i64, &values, gradient, bad)
                }?;
            }
        }
        Ok(values)
    }
}

/// Images with the highest values so far; the first on a tie.
#[derive(Debug)]
pub struct Best {
    /// f32 `[rows, length]`.
    pub images: Buffer<f32>,
    /// f32 `[rows]`.
    pub values: Buffer<f32>,
}

impl Best {
    /// None yet, of `rows` images of `length` values.
    ///
    /// # Errors
    /// If the device fails.
    pub fn new(context: &Context, rows: usize, length: usize) -> Result<Self> {
        let values = context.upload(&vec![f32::NEG_INFINITY; rows])?;
        Ok(Self { images: context.zeros(rows * length)?, values })
    }

    /// Takes what is better.
    ///
    /// # Errors
    /// If the device fails.
    ///
    /// # Panics
    /// If there are not as many.
    pub fn offer(&self, context: &Context, images: &Buffer<f32>, values: &Buffer<f32>) -> Result<()> {
        let (count, rows) = (images.len(), values.len());
        assert_eq!([count, rows], [self.images.len(), self.values.len()], "images");
        let length = (count / rows.max(1)) as i32;
        // SAFETY: lengths were checked.
        unsafe {
            launch!(context, "keep_images", count;
                images, values, &self.values, length, count as i64, &self.images)?;
            launch!(context, "keep_values", rows; values, rows as i64, &self.values)
        }
    }
}
