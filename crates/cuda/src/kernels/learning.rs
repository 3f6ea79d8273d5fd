//! Losses and the optimiser. The formulas are in `sources/learning.cu`.

use super::arguments::launch;
use super::{Buffer, Context, PACK, Real, Result, batches, layers};

/// Losses f64 `[n]`, and the first highest score `[n]`.
#[derive(Debug)]
pub struct Losses {
    /// Cross-entropy of each example.
    pub values: Buffer<f64>,
    /// Prediction of each example.
    pub predictions: Buffer<u32>,
}

/// What of a cross-entropy is wanted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CrossEntropy {
    /// Number of classes.
    pub classes: usize,
    /// Share of the target that all classes have alike.
    pub smoothing: f64,
    /// Factor of the gradient: 1 for an attack, 1 / n for the mean of a batch.
    pub weight: f64,
}

impl CrossEntropy {
    /// The gradient on `rows` of scores, into `gradient`.
    ///
    /// # Errors
    /// If the device fails.
    ///
    /// # Panics
    /// If the buffers do not fit. Labels must be below the number of classes.
    pub fn gradient(
        &self,
        context: &Context,
        rows: &Buffer<Real>,
        labels: &Buffer<u32>,
        gradient: &Buffer<Real>,
    ) -> Result<()> {
        self.run(context, rows, labels, None, gradient)
    }

    /// The same, with losses and predictions.
    ///
    /// # Errors
    /// If the device fails.
    ///
    /// # Panics
    /// As [`CrossEntropy::gradient`].
    pub fn losses(
        &self,
        context: &Context,
        rows: &Buffer<Real>,
        labels: &Buffer<u32>,
        gradient: &Buffer<Real>,
    ) -> Result<Losses> {
        let losses =
            Losses { values: context.buffer(labels.len())?, predictions: context.buffer(labels.len())? };
        self.run(context, rows, labels, Some(&losses), gradient)?;
        Ok(losses)
    }

    fn run(
        &self,
        context: &Context,
        rows: &Buffer<Real>,
        labels: &Buffer<u32>,
        losses: Option<&Losses>,
        gradient: &Buffer<Real>,
    ) -> Result<()> {
        let channels = self.classes.next_multiple_of(PACK);
        let count = labels.len();
        assert_eq!([rows.len(), gradient.len()], [count * channels; 2], "rows of {} scores", self.classes);
        let (values, predictions) = (losses.map(|l| &l.values), losses.map(|l| &l.predictions));
        // SAFETY: lengths were checked.
        unsafe {
            launch!(context, "cross_entropy", count;
                rows, labels, self.classes as i32, channels as i32, self.smoothing, self.weight, count as i64,
                values, predictions, gradient)
        }
    }
}

/// A gradient as its layer makes it.
#[derive(Debug)]
pub enum Gradient {
    /// Of products.
    Reals(Buffer<Real>),
    /// Of sums over channels, or of several batches.
    Floats(Buffer<f32>),
}

impl Gradient {
    /// Number of values.
    pub fn len(&self) -> usize {
        match self {
            Self::Reals(values) => values.len(),
            Self::Floats(values) => values.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Its sum with another one of the same parameter, in f32.
    ///
    /// # Errors
    /// If the device fails.
    ///
    /// # Panics
    /// If they are not as long.
    pub fn plus(self, context: &Context, other: Self) -> Result<Self> {
        let floats = |gradient| match gradient {
            Self::Reals(values) => layers::to_floats(context, &values),
            Self::Floats(values) => Ok(values),
        };
        let (sum, other) = (floats(self)?, floats(other)?);
        assert_eq!(sum.len(), other.len(), "gradients of one parameter");
        batches::add_rows(context, &other, None, (1, other.len()), &sum)?;
        Ok(Self::Floats(sum))
    }

    /// As f32 on the host.
    ///
    /// # Errors
    /// If the device fails.
    pub fn to_vec(&self, context: &Context) -> Result<Vec<f32>> {
        match self {
            Self::Reals(values) => layers::to_floats(context, values)?.to_vec(),
            Self::Floats(values) => values.to_vec(),
        }
    }

    /// Adds to `found` how many values are no number or infinite.
    ///
    /// # Errors
    /// If the device fails.
    pub fn count_bad(&self, context: &Context, found: &Buffer<u32>) -> Result<()> {
        assert_eq!(found.len(), 1, "a counter");
        let count = self.len();
        // SAFETY: the counter was checked.
        unsafe {
            match self {
                Self::Reals(g) => launch!(context, "count_bad_reals", count; g, count as i64, found),
                Self::Floats(g) => launch!(context, "count_bad_floats", count; g, count as i64, found),
            }
        }
    }
}

/// Settings of stochastic gradient descent, as `torch.optim.SGD` has them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sgd {
    /// Learning rate.
    pub rate: f32,
    /// Momentum.
    pub momentum: f32,
    /// Weight decay.
    pub weight_decay: f32,
}

impl Sgd {
    /// One step: `g = gradient + weight_decay w; v = momentum v + g; w = w - rate v`.
    ///
    /// # Errors
    /// If the device fails.
    ///
    /// # Panics
    /// If the buffers do not fit.
    pub fn step(
        &self,
        context: &Context,
        weights: &Buffer<f32>,
        gradient: &Gradient,
        velocity: &Buffer<f32>,
    ) -> Result<()> {
        let count = weights.len();
        assert_eq!([gradient.len(), velocity.len()], [count; 2], "weights");
        let Self { rate, momentum, weight_decay } = *self;
        // SAFETY: lengths were checked.
        unsafe {
            match gradient {
                Gradient::Reals(g) => launch!(context, "sgd_reals", count;
                    weights, g, velocity, rate, momentum, weight_decay, count as i64),
                Gradient::Floats(g) => launch!(context, "sgd_floats", count;
                    weights, g, velocity, rate, momentum, weight_decay, count as i64),
            }
        }
    }
}
