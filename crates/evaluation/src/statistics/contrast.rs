//! How far a difference may be from what it would be with other images and other seeds.
//!
//! What is compared on the same images is subtracted image by image first, and what comes from one seed (or class order) seed by
//! seed: what the sides share is then no noise.

use serde::{Deserialize, Serialize};

use super::Z;
use super::student::student;
use crate::{Error, Result};

/// Seeds from which their scatter counts as noise. Fewer say too little of it: the interval is then one of images only, for
/// these very networks.
pub const ENOUGH_SEEDS: usize = 3;

/// What one seed (or class order) says: a number for each image, such as 1 where only the first of two classifiers is right,
/// -1 where only the second is.
#[derive(Debug, Clone, PartialEq)]
pub struct Replicate {
    /// By image, in the data set's order; `None` for one that the number is not about.
    pub values: Vec<Option<f64>>,
    /// By image, the group that it belongs to, where both groups count alike whatever their sizes; `None` where every image
    /// counts alike.
    pub groups: Option<Vec<bool>>,
}

impl Replicate {
    /// Every image counts alike.
    pub fn of(values: Vec<Option<f64>>) -> Self {
        Self { values, groups: None }
    }

    /// The mean; for each image its share in the mean's error, zero on average, with variance `sum / n^2`; and the largest
    /// weight of an image.
    fn summary(&self) -> Result<(f64, Vec<f64>, f64)> {
        let all = self.values.len() as f64;
        let group = |image: usize| self.groups.as_ref().map_or(0, |groups| usize::from(groups[image]));
        let (mut sums, mut counts) = ([0.0; 2], [0.0; 2]);
        for (image, value) in self.values.iter().enumerate() {
            if let Some(value) = value {
                sums[group(image)] += value;
                counts[group(image)] += 1.0;
            }
        }
        let groups = if self.groups.is_some() { 2 } else { 1 };
        if counts[..groups].contains(&0.0) {
            return Err(Error::Empty);
        }
        let parts = groups as f64;
        let means = [0, 1].map(|group| sums[group] / counts[group]);
        let weights = [0, 1].map(|group| 1.0 / (parts * counts[group]));
        let shares = self.values.iter().enumerate().map(|(image, value)| {
            value.map_or(0.0, |value| all * weights[group(image)] * (value - means[group(image)]))
        });
        let mean = means[..groups].iter().sum::<f64>() / parts;
        Ok((mean, shares.collect(), weights[..groups].iter().copied().fold(0.0, f64::max)))
    }
}

/// A difference with its 95% interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Estimate {
    /// Mean over seeds (or class orders).
    pub effect: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
    /// Half the width that the choice of images makes.
    pub of_images: f64,
    /// Standard deviation over seeds (n - 1 in the denominator); `None` with fewer than [`ENOUGH_SEEDS`], when the interval is
    /// one of images only.
    pub deviation: Option<f64>,
    /// Seeds.
    pub seeds: usize,
    /// Images.
    pub images: usize,
}

impl Estimate {
    /// Half the width of the interval if there were so many seeds that scatter alike, on the same images.
    pub fn reach(&self, seeds: usize) -> f64 {
        let of_seeds = self.deviation.map_or(0.0, |deviation| of_seeds(deviation, seeds));
        self.of_images.hypot(of_seeds)
    }

    /// The difference of two estimates that share neither images nor seeds.
    #[must_use]
    pub fn minus(&self, other: &Self) -> Self {
        let effect = self.effect - other.effect;
        let half = ((self.high - self.low) / 2.0).hypot((other.high - other.low) / 2.0);
        Self {
            effect,
            low: effect - half,
            high: effect + half,
            of_images: self.of_images.hypot(other.of_images),
            deviation: self.deviation.zip(other.deviation).map(|(a, b)| a.hypot(b)),
            seeds: self.seeds.min(other.seeds),
            images: self.images.min(other.images),
        }
    }
}

/// Half the width of the 95% interval of a mean of `seeds` numbers that scatter by `deviation`.
fn of_seeds(deviation: f64, seeds: usize) -> f64 {
    student(seeds - 1) * deviation / (seeds as f64).sqrt()
}

/// The mean over `replicates`, all of them on the same images, with its interval: Student's t over seeds and the normal
/// distribution over images, added as independent noise is. What scatters over both, image by image and seed by seed, counts
/// in either, so that the interval is rather too wide than too narrow.
///
/// `counts` says that values are differences of yes and no. Then two more images are thought of, one each way (as Bonett and
/// Price 2012 do for paired proportions), so that no disagreement among a few images is not taken for none at all.
///
/// # Errors
/// [`Error::Empty`] without replicates or images, or if a group has none; [`Error::Examples`] if lengths differ.
pub fn paired(replicates: &[Replicate], counts: bool) -> Result<Estimate> {
    let images = replicates.first().map_or(0, |first| first.values.len());
    if images == 0 {
        return Err(Error::Empty);
    }
    let seeds = replicates.len();
    let (mut means, mut shares, mut weight) = (Vec::new(), vec![0.0; images], 0.0);
    for replicate in replicates {
        for found in [replicate.values.len(), replicate.groups.as_ref().map_or(images, Vec::len)] {
            if found != images {
                return Err(Error::Examples { what: "a seed's numbers", found, expected: images });
            }
        }
        let (mean, of_image, largest) = replicate.summary()?;
        means.push(mean);
        shares.iter_mut().zip(of_image).for_each(|(sum, share)| *sum += share / seeds as f64);
        weight += largest / seeds as f64;
    }
    let effect = means.iter().sum::<f64>() / seeds as f64;
    let squares: f64 = shares.iter().map(|share| share * share).sum();
    let thought_of = if counts { 2.0 * weight * weight } else { 0.0 };
    let of_images = Z * (squares / (images as f64).powi(2) + thought_of).sqrt();
    let deviation = (seeds >= ENOUGH_SEEDS).then(|| {
        let squares: f64 = means.iter().map(|mean| (mean - effect).powi(2)).sum();
        (squares / (seeds - 1) as f64).sqrt()
    });
    let half = of_images.hypot(deviation.map_or(0.0, |deviation| of_seeds(deviation, seeds)));
    Ok(Estimate { effect, low: effect - half, high: effect + half, of_images, deviation, seeds, images })
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_abs_diff_eq;

    /// `up` images at 1 and `down` at -1 of `n`.
    fn split(up: usize, down: usize, n: usize) -> Replicate {
        let value = |image| {
            if image < up {
                1.0
            } else if image < up + down {
                -1.0
            } else {
                0.0
            }
        };
        Replicate::of((0..n).map(|image| Some(value(image))).collect())
    }

    #[test]
    fn of_one_seed_only_disagreement_is_noise() {
        let found = paired(&[split(60, 40, 1000)], true).unwrap();
        assert_abs_diff_eq!(found.effect, 0.02, epsilon = 1e-12);
        // Discordant pairs over n^2, less the square of the mean, and two more images.
        let expected = Z * (100.0_f64 - 0.4 + 2.0).sqrt() / 1000.0;
        assert_abs_diff_eq!(found.high - found.effect, expected, epsilon = 1e-12);
        assert_eq!((found.deviation, found.seeds, found.images), (None, 1, 1000));
        let equal = paired(&[split(0, 0, 1000)], true).unwrap();
        assert!(equal.low < 0.0 && equal.high > 0.002, "none among 1,000 is not none at all: {equal:?}");
        assert_eq!(paired(&[split(0, 0, 1000)], false).unwrap().high, 0.0);
    }

    #[test]
    fn seeds_and_images_are_both_noise() {
        let found = paired(&[split(30, 0, 1000), split(50, 0, 1000), split(70, 0, 1000)], true).unwrap();
        let over_seeds = student(2) * 0.02 / 3.0_f64.sqrt();
        assert_abs_diff_eq!(found.effect, 0.05, epsilon = 1e-12);
        assert_abs_diff_eq!(found.deviation.unwrap(), 0.02, epsilon = 1e-12);
        let half = found.high - found.effect;
        assert_abs_diff_eq!(half, over_seeds.hypot(found.of_images), epsilon = 1e-12);
        assert!((found.reach(3) - half).abs() < 1e-12 && found.reach(30) < half, "more seeds, less noise");
        // The same images differ under every seed: more seeds do not make these images more.
        let alike = paired(&vec![split(50, 0, 1000); 9], true).unwrap();
        let one = paired(&[split(50, 0, 1000)], true).unwrap();
        assert_abs_diff_eq!(alike.high, one.high, epsilon = 1e-12);
    }

    #[test]
    fn groups_count_alike_and_missing_images_not_at_all() {
        let values: Vec<Option<f64>> = [1.0, 0.0, 0.0, 0.0, 1.0].into_iter().map(Some).collect();
        let groups = Some(vec![true, true, false, false, false]);
        let found = paired(&[Replicate { values, groups }], false).unwrap();
        assert_abs_diff_eq!(found.effect, f64::midpoint(0.5, 1.0 / 3.0), epsilon = 1e-12);
        // A quarter of each group's variance of the mean.
        let expected = Z * (0.25 * (0.25 / 2.0 + (2.0 / 9.0) / 3.0_f64)).sqrt();
        assert_abs_diff_eq!(found.of_images, expected, epsilon = 1e-12);

        let some = Replicate::of(vec![Some(0.2), None, Some(0.4), None]);
        let found = paired(&[some], false).unwrap();
        assert_abs_diff_eq!(found.effect, 0.3, epsilon = 1e-12);
        assert_abs_diff_eq!(found.of_images, Z * (0.01_f64 / 2.0).sqrt(), epsilon = 1e-12);
        assert!(matches!(paired(&[Replicate::of(vec![None])], false), Err(Error::Empty)));
        assert!(matches!(paired(&[], false), Err(Error::Empty)));
        let short = paired(&[split(1, 0, 3), split(1, 0, 2)], true);
        assert!(matches!(short, Err(Error::Examples { found: 2, expected: 3, .. })));
    }

    #[test]
    fn what_shares_nothing_has_the_noise_of_both() {
        let [one, other] = [split(60, 0, 100), split(40, 0, 100)].map(|side| paired(&[side], true).unwrap());
        let found = one.minus(&other);
        assert_abs_diff_eq!(found.effect, 0.2, epsilon = 1e-12);
        assert_abs_diff_eq!(found.high - found.effect, one.of_images.hypot(other.of_images), epsilon = 1e-12);
    }
}
