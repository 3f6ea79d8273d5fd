//! Several attacks as one number.

use crate::{Error, Outcome, Result, accuracy};

/// The attack with the lowest accuracy.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lowest {
    /// Its position; the first of equals.
    pub attack: usize,
    /// Its accuracy.
    pub accuracy: f64,
}

/// What the paper prints for a set of attacks: the lowest accuracy among them. Never below [`union`]'s.
///
/// # Errors
/// [`Error::Empty`] without attacks or examples, [`Error::Examples`] if they differ in their number of
/// examples.
pub fn paper(attacks: &[&Outcome]) -> Result<Lowest> {
    check(attacks)?;
    let accuracies = attacks.iter().map(|outcome| outcome.accuracy()).enumerate();
    let lowest = accuracies.min_by(|(_, a), (_, b)| a.total_cmp(b));
    let (attack, accuracy) = lowest.ok_or(Error::Empty)?;
    Ok(Lowest { attack, accuracy })
}

/// The worst case of each example: misclassified if any attack breaks it, `[n]`. Its [`accuracy`] is our headline.
///
/// # Errors
/// As [`paper`].
pub fn union(attacks: &[&Outcome]) -> Result<Vec<bool>> {
    let n = check(attacks)?;
    let misclassified: Vec<bool> =
        (0..n).map(|example| attacks.iter().any(|outcome| outcome.misclassified[example])).collect();
    debug_assert!(attacks.iter().all(|outcome| accuracy(&misclassified) <= outcome.accuracy()));
    Ok(misclassified)
}

/// The common number of examples.
fn check(attacks: &[&Outcome]) -> Result<usize> {
    let expected = attacks.first().map_or(0, |outcome| outcome.len());
    if expected == 0 {
        return Err(Error::Empty);
    }
    match attacks.iter().map(|outcome| outcome.len()).find(|&found| found != expected) {
        Some(found) => Err(Error::Examples { what: "an attack's outcome", found, expected }),
        None => Ok(expected),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(misclassified: &[bool]) -> Outcome {
        let n = misclassified.len();
        Outcome { misclassified: misclassified.to_vec(), predictions: vec![0; n], sizes: vec![0.0; n] }
    }

    #[test]
    fn the_union_is_per_example_and_the_paper_takes_one_attack() {
        let first = outcome(&[true, false, false, false]);
        let second = outcome(&[false, true, true, false]);
        let third = outcome(&[true, true, false, false]);
        let all = [&first, &second, &third];
        assert_eq!(paper(&all).unwrap(), Lowest { attack: 1, accuracy: 0.5 });
        let union = union(&all).unwrap();
        assert_eq!(union, [true, true, true, false]);
        assert_eq!(accuracy(&union), 0.25);
    }

    #[test]
    fn what_cannot_be_joined_is_refused() {
        let (four, three) = (outcome(&[true; 4]), outcome(&[true; 3]));
        assert!(matches!(union(&[&four, &three]), Err(Error::Examples { found: 3, expected: 4, .. })));
        assert!(matches!(paper(&[&four, &three]), Err(Error::Examples { found: 3, expected: 4, .. })));
        assert!(matches!(paper(&[]), Err(Error::Empty)));
        assert!(matches!(union(&[&outcome(&[])]), Err(Error::Empty)));
    }
}
