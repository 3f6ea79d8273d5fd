//! Norms that measure perturbations.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// How the size of a perturbation is measured, over all pixels and channels of one image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Norm {
    /// Euclidean length.
    L2,
    /// Largest absolute change of a pixel.
    Linf,
}

impl Norm {
    /// The distance from black to white of images `shape` `[c, h, w]`: a larger budget is none.
    pub fn diameter(self, shape: [usize; 3]) -> f64 {
        match self {
            Norm::L2 => (shape.iter().product::<usize>() as f64).sqrt(),
            Norm::Linf => 1.0,
        }
    }

    /// Size of `perturbed - clean`, in pixel units, accumulated in f64.
    ///
    /// # Panics
    /// If the slices differ in length.
    pub fn distance(self, clean: &[f32], perturbed: &[f32]) -> f64 {
        assert_eq!(clean.len(), perturbed.len(), "images of one example have one length");
        let differences = clean.iter().zip(perturbed).map(|(c, p)| f64::from(*p) - f64::from(*c));
        match self {
            Norm::L2 => differences.map(|d| d * d).sum::<f64>().sqrt(),
            Norm::Linf => differences.fold(0.0, |largest, d| d.abs().max(largest)),
        }
    }
}

impl fmt::Display for Norm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Norm::L2 => "l2",
            Norm::Linf => "linf",
        })
    }
}

impl FromStr for Norm {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "l2" => Ok(Norm::L2),
            "linf" => Ok(Norm::Linf),
            _ => Err(Error::Norm { text: text.to_owned() }),
        }
    }
}
