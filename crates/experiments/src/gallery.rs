//! Images that people look at: clean, perturbed, and what the classifier says to both.

mod make;
mod pictures;

use serde::{Deserialize, Serialize};

pub use make::gallery;

/// A few test images of one row under every strategy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Gallery {
    /// The row: `mnist cnn2 linf 25/255`.
    pub title: String,
    /// `multiclass` or `robin`.
    pub classifier: String,
    /// The classifier that it is compared with, under the attack of the same column; `None` if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rival: Option<String>,
    /// The attack's name.
    pub attack: String,
    /// Of the attack's budget.
    pub norm: String,
    /// The attack's budget, as the paper writes it: `8/255`.
    pub epsilon: String,
    /// Names of the classes, one for each score.
    pub classes: Vec<String>,
    /// First those that one of the two classifiers withstands and the other does not.
    pub examples: Vec<GalleryExample>,
    /// Keys of the networks' records.
    pub records: Vec<String>,
}

/// One test image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GalleryExample {
    /// Its number in the test set.
    pub id: u64,
    /// True class.
    pub label: usize,
    /// As it is in the data set.
    pub clean: Picture,
    /// Predicted class of the clean image.
    pub prediction: usize,
    /// Scores of the clean image, one for each class: an arm's log-odds, or a logit.
    pub scores: Vec<f64>,
    /// One for each strategy.
    pub entries: Vec<GalleryEntry>,
    /// What the attack makes of the image for the rival.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rival: Option<GalleryEntry>,
    /// Who withstands the attack on this image, where only one of the two does: by the evaluations that the table counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only: Option<String>,
}

/// What one strategy made of an image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GalleryEntry {
    /// The strategy's name.
    pub strategy: String,
    /// The perturbed image, rounded to 8 bits for the eye; `prediction` and `scores` are of the exact one.
    pub perturbed: Picture,
    /// Predicted class.
    pub prediction: usize,
    /// Scores, one for each class.
    pub scores: Vec<f64>,
    /// Size of the perturbation in the gallery's norm, in pixels in `[0, 1]`.
    pub size: f64,
}

/// An image of 8-bit pixels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Picture {
    /// 1 (grey) or 3 (red, green, blue).
    pub channels: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// `[channels, height, width]`.
    pub pixels: Vec<u8>,
}
