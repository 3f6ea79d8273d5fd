//! Scores of classes before any softmax.

use candle_core::{Device, Tensor};

use crate::{Error, Result, host};

/// Unnormalised scores `[n, m]` (f32): logits of a network, or the arms' log-odds of an aggregate. Never
/// probabilities: a saturated probability has no gradient, which looks like robustness and is not.
#[derive(Debug, Clone)]
pub struct Scores(Tensor);

impl Scores {
    /// Wraps a tensor `[n, m]`.
    ///
    /// # Errors
    /// [`Error::Shape`] if it has another rank.
    pub fn new(tensor: Tensor) -> Result<Self> {
        match tensor.rank() {
            2 => Ok(Self(tensor)),
            _ => Err(Error::Shape {
                what: "scores",
                found: tensor.dims().to_vec(),
                expected: "[n, m]".to_owned(),
            }),
        }
    }

    /// Scores from row-major values on the host.
    ///
    /// # Errors
    /// [`Error::Tensor`] if there are not `n * m` values.
    pub fn from_vec(values: Vec<f32>, n: usize, m: usize) -> Result<Self> {
        Self::new(Tensor::from_vec(values, (n, m), &Device::Cpu)?)
    }

    /// The tensor `[n, m]`.
    pub fn tensor(&self) -> &Tensor {
        &self.0
    }

    /// Number of examples.
    pub fn len(&self) -> usize {
        self.0.dims()[0]
    }

    /// Whether there is no example.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of columns.
    pub fn columns(&self) -> usize {
        self.0.dims()[1]
    }

    /// Row-major values on the host, all finite.
    ///
    /// # Errors
    /// [`Error::NotFinite`] names the first example with a NaN or an infinity.
    pub fn to_vec(&self) -> Result<Vec<f32>> {
        let values = host::to_vec(&self.0)?;
        match values.iter().position(|value| !value.is_finite()) {
            Some(at) => {
                Err(Error::NotFinite { what: "score", example: at / self.columns(), value: values[at] })
            }
            None => Ok(values),
        }
    }

    /// Column of the highest score of each example; the first one on a tie.
    ///
    /// # Errors
    /// [`Error::NotFinite`] if a score is not finite.
    pub fn arg_max(&self) -> Result<Vec<u32>> {
        let values = self.to_vec()?;
        Ok(values.chunks_exact(self.columns()).map(|row| ranked(row)[0]).collect())
    }
}

/// Columns of `row` from the highest to the lowest score; ties keep the lower column first.
pub fn ranked(row: &[f32]) -> Vec<u32> {
    let mut order: Vec<u32> = (0..row.len() as u32).collect();
    order.sort_by(|&a, &b| row[b as usize].total_cmp(&row[a as usize]).then(a.cmp(&b)));
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arg_max_takes_the_first_of_a_tie_and_refuses_nan() {
        let scores = Scores::from_vec(vec![1.0, 2.0, 2.0, -1.0, -3.0, -2.0], 2, 3).unwrap();
        assert_eq!(scores.arg_max().unwrap(), [1, 0]);
        let misclassified = Scores::from_vec(vec![1.0, 2.0, f32::NAN, 0.0], 2, 2).unwrap();
        assert!(matches!(misclassified.arg_max(), Err(Error::NotFinite { example: 1, .. })));
    }
}
