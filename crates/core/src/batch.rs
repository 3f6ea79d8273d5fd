//! Images with their labels and addresses.

use candle_core::Tensor;

use crate::{Error, Result, host};

/// Where an example's random numbers live: its place in the data set, and which copy of it this is when a
/// balanced epoch shows it several times (copies must differ).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ExampleId {
    /// Index in the data set's file order.
    pub index: u32,
    /// 0 for the first time in an epoch, 1 for the second...
    pub occurrence: u32,
}

impl ExampleId {
    /// The example at `index`, first occurrence.
    pub fn first(index: u32) -> Self {
        Self { index, occurrence: 0 }
    }
}

/// Examples that are processed together. No result of an example may depend on its companions.
#[derive(Debug, Clone)]
pub struct Batch {
    /// `[n, c, h, w]`, f32 in `[0, 1]`.
    pub images: Tensor,
    /// True classes, `[n]`.
    pub labels: Vec<u32>,
    /// Addresses, `[n]`.
    pub ids: Vec<ExampleId>,
}

impl Batch {
    /// A batch whose parts agree in length.
    ///
    /// # Errors
    /// [`Error::Shape`] if they do not, or if `images` is not `[n, c, h, w]`.
    pub fn new(images: Tensor, labels: Vec<u32>, ids: Vec<ExampleId>) -> Result<Self> {
        let (n, _) = host::image_rows("images", &images)?;
        for (what, found) in [("labels", labels.len()), ("example ids", ids.len())] {
            if found != n {
                return Err(Error::Shape { what, found: vec![found], expected: format!("[{n}]") });
            }
        }
        Ok(Self { images, labels, ids })
    }

    /// Number of examples.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no example.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The examples at `rows`, in that order.
    ///
    /// # Errors
    /// [`Error::Tensor`] if a row is out of range.
    pub fn select(&self, rows: &[usize]) -> Result<Self> {
        Ok(Self {
            images: host::select(&self.images, rows)?,
            labels: rows.iter().map(|&row| self.labels[row]).collect(),
            ids: rows.iter().map(|&row| self.ids[row]).collect(),
        })
    }

    /// Checks what an attack takes for granted: finite pixels in `[0, 1]`, labels below `classes`.
    ///
    /// # Errors
    /// [`Error::OutsideBox`], [`Error::NotFinite`] or [`Error::Label`] for the first offender.
    pub fn validate(&self, classes: usize) -> Result<()> {
        let (_, length) = host::image_rows("images", &self.images)?;
        for (at, &value) in host::to_vec(&self.images)?.iter().enumerate() {
            let (example, pixel) = (at / length, at % length);
            if !value.is_finite() {
                return Err(Error::NotFinite { what: "pixel", example, value });
            }
            if !(0.0..=1.0).contains(&value) {
                return Err(Error::OutsideBox { example, pixel, value });
            }
        }
        match self.labels.iter().enumerate().find(|(_, label)| **label as usize >= classes) {
            Some((example, &label)) => Err(Error::Label { example, label, classes }),
            None => Ok(()),
        }
    }
}
