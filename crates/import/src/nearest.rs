//! Which of many names was meant.

/// The one of `names` that is nearest to `name`, by the number of single-character edits.
pub(crate) fn nearest<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let wanted: Vec<char> = name.chars().take(LONGEST).collect();
    names.take(MOST).min_by_key(|other| edits(&wanted, other))
}

/// Names that are compared, and characters of each: enough for any network, and bounded for any file.
const MOST: usize = 4096;
const LONGEST: usize = 128;

fn edits(a: &[char], b: &str) -> usize {
    let mut row: Vec<usize> = (0..=a.len()).collect();
    for (j, other) in b.chars().take(LONGEST).enumerate() {
        let mut diagonal = row[0];
        row[0] = j + 1;
        for (i, one) in a.iter().enumerate() {
            let replaced = diagonal + usize::from(*one != other);
            diagonal = row[i + 1];
            row[i + 1] = replaced.min(row[i] + 1).min(diagonal + 1);
        }
    }
    row[a.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fewest_edits_win() {
        let names = ["layer1.0.conv1.weight", "layer1.0.conv2.weight", "fc.weight"];
        assert_eq!(nearest("layer1.0.conv_1.weight", names.into_iter()), Some(names[0]));
        assert_eq!(nearest("linear.weight", names[2..].iter().copied()), Some("fc.weight"));
        assert_eq!(nearest("x", std::iter::empty()), None);
        let kitten: Vec<char> = "kitten".chars().collect();
        assert_eq!(edits(&kitten, "sitting"), 3);
    }
}
