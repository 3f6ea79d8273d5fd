//! Requests that can be done but are seldom meant: numbers on another scale, a part of the images that does not stand for
//! them. What cannot be is refused where it is read; here is what is said of the rest.

use robin_core::Budget;
use robin_data::{Dataset, DatasetName, skew};
use robin_evaluation::Explained;

/// For those who ask what such a warning means.
pub(crate) const EXPLAINED: Explained = Explained {
    name: "input-doubtful",
    means: "The images, the normalisation, the weights or the budget are such as can be meant and seldom are: a scale of 0 to \
            255 where 1 is meant, a part of the images that does not stand for them, classes without images. The message says \
            which.",
    todo: "Compare with how the model was trained (--normalize, --resize, --center-crop), draw images at random (--sample), and \
           write epsilon in pixels from 0 to 1, like 8/255.",
};

/// Refuses means and deviations that pixels from 0 to 1 cannot have; in words, with what was probably meant. A deviation
/// may be far below what pixels have: it may undo a scale.
pub(crate) fn normalisation(mean: &[f64], std: &[f64]) -> Result<(), String> {
    let legal =
        mean.iter().all(|mean| (0.0..=1.0).contains(mean)) && std.iter().all(|std| *std > 0.0 && *std <= 1.0);
    if legal {
        return Ok(());
    }
    let bytes = |values: &[f64]| values.iter().all(|value| (0.0..=255.0).contains(value));
    let meant = if bytes(mean) && bytes(std) && std.iter().all(|std| *std > 1.0) {
        let list =
            |values: &[f64]| values.iter().map(|value| format!("{:.4}", value / 255.0)).collect::<Vec<_>>();
        let (mean, std) = (list(mean), list(std));
        format!("; divided by 255 they are mean {}, std {}", mean.join(", "), std.join(", "))
    } else {
        String::new()
    };
    Err(format!(
        "mean {mean:?}, std {std:?}: pixels go from 0 to 1, so allowed are means from 0 to 1 and std above 0, at most 1, like \
         mean 0.4914, std 0.2470{meant}"
    ))
}

/// A budget for images `shape` `[c, h, w]` that reaches from any image to any other, in words.
pub(crate) fn budget(budget: Budget, shape: [usize; 3]) -> Option<String> {
    let (epsilon, diameter) = (budget.epsilon.get(), budget.norm.diameter(shape));
    if epsilon < diameter {
        return None;
    }
    // Pixels of 0 to 255 are what people have in mind who write whole numbers.
    let bytes = epsilon.fract() == 0.0 && (1.0..=255.0).contains(&epsilon);
    let meant = if bytes { format!("; {epsilon}/255 was meant?") } else { String::new() };
    Some(format!(
        "{budget} reaches from any image to any other ({diameter:.4} from black to white, pixels go from 0 to 1){meant}"
    ))
}

/// Classes that no example has.
pub(crate) fn missing(data: &Dataset) -> Vec<usize> {
    data.class_counts().iter().enumerate().filter(|(_, count)| **count == 0).map(|(class, _)| class).collect()
}

/// Why images of one class cannot be used, in words.
pub(crate) fn one_class(data: &Dataset) -> Option<String> {
    (data.num_classes() < 2).then(|| {
        "every label is 0, so there is one class and nothing that an image could be taken for; if there are more \
         classes, say how many by --classes N"
            .to_owned()
    })
}

/// What is doubtful about `data`, which was chosen from `whole`, in words; `None` if no more than `data` was read, as the
/// first so many of each class.
pub(crate) fn images(
    data: &Dataset,
    whole: Option<&Dataset>,
    published: Option<DatasetName>,
) -> impl Iterator<Item = String> {
    let absent = missing(whole.unwrap_or(data));
    let absent = (!absent.is_empty()).then(|| {
        let names = names(&absent, published);
        match whole {
            Some(_) => format!("no image of the whole set is of {names}"),
            None => format!("none of the {} images that were read is of {names}: take more", data.len()),
        }
    });
    let part = whole.and_then(|whole| part(data, whole, "images", published));
    absent.into_iter().chain(part).chain(dark(data))
}

/// Whether `data`, so many `what` of `whole`, stands for it, class by class; in words if not.
pub(crate) fn part(
    data: &Dataset,
    whole: &Dataset,
    what: &str,
    published: Option<DatasetName>,
) -> Option<String> {
    let (counts, all) = (data.class_counts(), whole.class_counts());
    let (n, of) = (data.len(), whole.len());
    let remedy = "draw them at random by --sample SEED, or take more";
    let lacking: Vec<usize> =
        (0..all.len()).filter(|&class| all[class] > 0 && counts.get(class) == Some(&0)).collect();
    if !lacking.is_empty() {
        let names = names(&lacking, published);
        return Some(format!("none of the {n} {what} is of {names}, of all {of} some are: {remedy}"));
    }
    let found = skew(&counts, &all)?;
    Some(format!(
        "the {n} {what} are no sample of all {of}: {:.1}% of them are of {}, of all {:.1}%: {remedy}",
        100.0 * found.share,
        names(&[found.class], published),
        100.0 * found.expected
    ))
}

/// Pixels that were probably stored as 0 to 1, in words.
fn dark(data: &Dataset) -> Option<String> {
    // One that is bright is enough; where each has to be read and none is, a hundred are.
    let looked = if data.is_in_memory() { data.len() } else { data.len().min(100) };
    let brightest = |at: usize| data.image(at).ok()?.iter().max().copied();
    let mut largest = 0;
    for found in (0..looked).filter_map(brightest) {
        largest = largest.max(found);
        if largest > 1 {
            return None;
        }
    }
    Some(format!(
        "the largest pixel is {largest} of 255, so every image is black to the eye: pixels are bytes from 0 to 255, \
             and these were probably made from 0 to 1 (multiply by 255)"
    ))
}

/// `class 3`, `classes 3 (cat), 5 (dog)`: labels, with their names where they have some.
fn names(classes: &[usize], published: Option<DatasetName>) -> String {
    let one = |&class: &usize| match published.and_then(|name| name.class_names().get(class)) {
        Some(name) if *name != class.to_string() => format!("{class} ({name})"),
        _ => class.to_string(),
    };
    let list = classes.iter().map(one).collect::<Vec<_>>().join(", ");
    if classes.len() == 1 { format!("class {list}") } else { format!("classes {list}") }
}

#[cfg(test)]
mod tests {
    use robin_core::{Norm, Seed};
    use robin_data::Split;

    use super::*;

    /// Ten classes of 100, sorted.
    fn sorted() -> Dataset {
        let labels: Vec<u8> = (0..1000).map(|at| (at / 100) as u8).collect();
        Dataset::new("own:sorted", 10, Split::Test, [1, 1, 1], vec![200; 1000], labels).unwrap()
    }

    #[test]
    fn budgets_beyond_the_box_are_doubted_with_what_was_meant() {
        let said = |norm, epsilon: &str, shape| {
            budget(Budget { norm, epsilon: epsilon.parse().unwrap() }, shape).unwrap_or_default()
        };
        let digits = [1, 28, 28];
        for (epsilon, meant) in
            [("8", "8/255 was meant?"), ("255", "255/255 was meant?"), ("1", "1/255 was meant?")]
        {
            assert!(said(Norm::Linf, epsilon, digits).contains(meant), "{epsilon}");
        }
        assert!(said(Norm::L2, "28", digits).contains("reaches from any image to any other"));
        assert!(said(Norm::L2, "28", [3, 32, 32]).is_empty() && said(Norm::L2, "27.9", digits).is_empty());
        assert!(
            said(Norm::Linf, "254/255", digits).is_empty() && said(Norm::Linf, "0.99", digits).is_empty()
        );
    }

    #[test]
    fn a_prefix_that_lacks_classes_is_doubted_by_their_names() {
        let (data, cifar) = (sorted(), Some(DatasetName::Cifar10));
        let said = |data: &Dataset, published| part(data, &sorted(), "images", published).unwrap_or_default();
        let prefix = data.take(100).unwrap();
        let text = said(&prefix, None);
        assert!(
            text.contains("none of the 100 images is of classes 1, 2, 3,") && text.contains("--sample"),
            "{text}"
        );
        assert!(said(&data.take(850).unwrap(), cifar).contains("class 9 (truck)"));
        let text = said(&data.take(901).unwrap(), cifar);
        assert!(text.contains("class 9 (truck)") && text.contains("0.1%"), "{text}");
        for seed in 0..20 {
            assert_eq!(said(&data.sample(100, Seed::new(seed)).unwrap(), None), "", "seed {seed}");
        }
        assert_eq!(said(&data, None), "", "all of it is itself");
        assert_eq!(missing(&prefix), (1..10).collect::<Vec<_>>());
        let eleven = data.with_classes(11).unwrap();
        assert_eq!(part(&eleven, &eleven, "images", None), None, "a class that is nowhere is not left out");
        let text = images(&eleven, Some(&eleven), None).collect::<Vec<_>>();
        assert_eq!(text, ["no image of the whole set is of class 10"]);
    }

    #[test]
    fn pixels_from_0_to_1_are_doubted() {
        let with = |pixel| {
            let data =
                Dataset::new("own:x", 2, Split::Test, [1, 1, 2], vec![0, pixel, 0, 0], vec![0, 1]).unwrap();
            dark(&data).unwrap_or_default()
        };
        assert!(with(1).contains("the largest pixel is 1 of 255") && with(0).contains("0 of 255"));
        assert_eq!(with(2), "");
    }

    #[test]
    fn one_class_is_none() {
        let data = Dataset::new("own:x", 1, Split::Test, [1, 1, 1], vec![9, 9], vec![0, 0]).unwrap();
        assert!(one_class(&data).unwrap().contains("--classes N"));
        assert_eq!(one_class(&data.with_classes(2).unwrap()), None);
    }
}
