//! What an attack maximises: the listed losses, or a closure.

use std::fmt;
use std::sync::Arc;

use candle_core::{Tensor, Var};
use robin_attacks::Loss as Listed;
use robin_attacks::objectives::{TargetedCrossEntropy, TargetedDlr, TargetedMargin};
use robin_core::{Columns, Error, Objective, ObjectiveValues, Result, Scores};

/// A function of logits and labels, one number per image; attacks maximise it.
#[derive(Clone)]
#[non_exhaustive]
pub enum Loss {
    /// Cross-entropy.
    CrossEntropy,
    /// The largest wrong logit minus the right one; keeps its gradient where cross-entropy saturates.
    Margin,
    /// The margin over the spread of the highest logits. At least 3 classes, 4 with targets.
    Dlr,
    /// One run for each of the wrong classes that are highest on the clean image, this many, on the margin.
    MarginTargets(usize),
    /// The same on the ratio. At least 4 classes.
    DlrTargets(usize),
    /// One's own: see [`Loss::custom`].
    Custom(Custom),
}

/// A closure on logits and labels.
#[derive(Clone)]
pub struct Custom(Arc<Closure>);

type Closure = dyn Fn(&Tensor, &Tensor) -> candle_core::Result<Tensor> + Send + Sync;

impl Loss {
    /// A loss of one's own: from logits `[n, classes]` and labels `[n]` (u32) to values `[n]`, larger where an image is
    /// closer to success. With targets the labels are those. Both tensors lie on the images' device; the derivative
    /// is candle's. A value must depend on its own row alone.
    pub fn custom(
        loss: impl Fn(&Tensor, &Tensor) -> candle_core::Result<Tensor> + Send + Sync + 'static,
    ) -> Self {
        Self::Custom(Custom(Arc::new(loss)))
    }

    /// As the attacks' crate calls it; `None` for a closure.
    pub(crate) fn listed(&self) -> Option<Listed> {
        match *self {
            Self::CrossEntropy => Some(Listed::Ce),
            Self::Margin => Some(Listed::Margin),
            Self::Dlr => Some(Listed::Dlr),
            Self::MarginTargets(targets) => Some(Listed::MarginT(targets)),
            Self::DlrTargets(targets) => Some(Listed::DlrT(targets)),
            Self::Custom(_) => None,
        }
    }

    /// What to maximise for images whose clean scores are `clean`: away from `labels`, or towards `targets`.
    ///
    /// # Errors
    /// As [`Listed::prepare`].
    pub(crate) fn prepare(
        &self,
        clean: &Scores,
        labels: &[u32],
        targets: Option<&[u32]>,
    ) -> Result<Vec<Box<dyn Objective>>> {
        let (own, targets) = match (self, targets) {
            (Self::Custom(custom), _) => (custom, targets),
            (listed, None) => {
                return listed.listed().expect("all but closures are listed").prepare(clean, labels);
            }
            (listed, Some(targets)) => {
                let (labels, targets) = (labels.to_vec(), targets.to_vec());
                return Ok(vec![match listed {
                    Self::CrossEntropy => Box::new(TargetedCrossEntropy::new(targets)),
                    Self::Dlr | Self::DlrTargets(_) => Box::new(TargetedDlr::new(labels, targets)),
                    _ => Box::new(TargetedMargin::new(labels, targets)),
                }]);
            }
        };
        let labels = targets.unwrap_or(labels).to_vec();
        Ok(vec![Box::new(Own { loss: own.clone(), labels })])
    }
}

impl From<Listed> for Loss {
    fn from(listed: Listed) -> Self {
        match listed {
            Listed::Ce => Self::CrossEntropy,
            Listed::Margin => Self::Margin,
            Listed::Dlr => Self::Dlr,
            Listed::MarginT(targets) => Self::MarginTargets(targets),
            Listed::DlrT(targets) => Self::DlrTargets(targets),
        }
    }
}

impl fmt::Debug for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.listed() {
            Some(listed) => write!(f, "{listed}"),
            None => f.write_str("custom"),
        }
    }
}

/// A closure for one batch.
struct Own {
    loss: Custom,
    /// Or targets, `[n]`.
    labels: Vec<u32>,
}

impl Objective for Own {
    fn columns(&self) -> Columns {
        Columns::All
    }

    fn evaluate(&self, scores: &Scores) -> Result<ObjectiveValues> {
        let n = self.labels.len();
        let logits = Var::from_tensor(&scores.tensor().detach())?;
        let labels = Tensor::from_slice(&self.labels, n, logits.device())?;
        let values = (self.loss.0)(logits.as_tensor(), &labels)?;
        if values.dims() != [n] {
            return Err(Error::Shape {
                what: "the custom loss",
                found: values.dims().to_vec(),
                expected: format!("[{n}], one value per image: do not reduce over the batch"),
            });
        }
        let score_gradient = values.sum_all()?.backward()?.remove(&logits).ok_or(Error::GraphCut)?.detach();
        let values: Vec<f32> = values.to_dtype(candle_core::DType::F32)?.to_vec1()?;
        match values.iter().position(|value| !value.is_finite()) {
            Some(example) => {
                Err(Error::NotFinite { what: "the custom loss", example, value: values[example] })
            }
            None => Ok(ObjectiveValues { values, score_gradient }),
        }
    }

    fn select(&self, rows: &[usize]) -> Box<dyn Objective> {
        Box::new(Self { loss: self.loss.clone(), labels: rows.iter().map(|&row| self.labels[row]).collect() })
    }
}
