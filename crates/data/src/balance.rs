//! Whether a part of a data set stands for the whole, class by class.

/// A class that a part has far more or fewer of than the whole.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Skew {
    /// The class.
    pub class: usize,
    /// Its share of the part.
    pub share: f64,
    /// Its share of the whole.
    pub expected: f64,
}

/// A count counts as far from what was expected beyond this factor.
const FACTOR: f64 = 1.5;
/// Normal quantile of one chance in ten thousand, one-sided.
const QUANTILE: f64 = 3.72;

/// The class of which a part with `part` examples of each class differs most from a whole with `whole` of each, if no random
/// draw would: Pearson's chi-squared beyond one chance in ten thousand (by Wilson and Hilferty 1931, smaller where the part is
/// much of the whole), and a count off by more than half.
pub fn skew(part: &[usize], whole: &[usize]) -> Option<Skew> {
    let (n, all) = (part.iter().sum::<usize>() as f64, whole.iter().sum::<usize>() as f64);
    let classes: Vec<usize> = (0..whole.len()).filter(|&class| whole[class] > 0).collect();
    let freedom = classes.len().saturating_sub(1) as f64;
    if n == 0.0 || n >= all || freedom == 0.0 {
        return None;
    }
    let expected = |class: usize| n * whole[class] as f64 / all;
    let chi2: f64 =
        classes.iter().map(|&class| (part[class] as f64 - expected(class)).powi(2) / expected(class)).sum();
    // Drawn without repeats, counts vary less.
    let chi2 = chi2 * (all - 1.0) / (all - n);
    let spread = 2.0 / (9.0 * freedom);
    if ((chi2 / freedom).cbrt() - (1.0 - spread)) / spread.sqrt() <= QUANTILE {
        return None;
    }
    let off = |class: usize| {
        let (found, expected) = (part[class] as f64, expected(class));
        (found / expected).max(expected / found)
    };
    let class = classes.into_iter().max_by(|&a, &b| off(a).total_cmp(&off(b)))?;
    (off(class) > FACTOR).then(|| Skew {
        class,
        share: part[class] as f64 / n,
        expected: whole[class] as f64 / all,
    })
}

#[cfg(test)]
mod tests {
    use robin_core::{Purpose, Seed};

    use super::*;

    #[test]
    fn a_prefix_of_sorted_labels_is_no_sample_and_a_draw_is_one() {
        let whole = [1000; 10];
        let sorted = skew(&[100, 0, 0, 0, 0, 0, 0, 0, 0, 0], &whole).unwrap();
        assert!(sorted.expected == 0.1 && (sorted.share == 0.0 || sorted.share == 1.0), "{sorted:?}");
        assert!(skew(&[60, 60, 60, 60, 60, 60, 60, 60, 60, 60], &whole).is_none());
        assert_eq!(
            skew(&[300, 300, 300, 100, 100, 100, 100, 100, 100, 100], &whole).unwrap().share,
            300.0 / 1600.0
        );
        let labels: Vec<usize> = (0..10_000).map(|at| at / 1000).collect();
        for seed in 0..200 {
            let order = Seed::new(seed).derive(Purpose::Test, 0).root_stream().permutation(labels.len());
            for n in [10, 100, 1000, 9000] {
                let mut part = [0; 10];
                order[..n].iter().for_each(|&at| part[labels[at as usize]] += 1);
                assert_eq!(skew(&part, &whole), None, "seed {seed}, {n}: {part:?}");
            }
        }
    }

    #[test]
    fn what_is_whole_or_has_one_class_cannot_be_skewed() {
        assert_eq!(skew(&[3, 1], &[3, 1]), None);
        assert_eq!(skew(&[3, 0], &[9, 0]), None);
        assert_eq!(skew(&[0, 0], &[9, 1]), None);
    }
}
