//! Images on the page: clean, perturbed, what changed, and what the classifier says.

use robin_experiments::Gallery;
use robin_experiments::gallery::{GalleryEntry, GalleryExample};

use super::links::RecordLink;
use crate::error::{Error, Result};
use crate::picture::{data_uri, difference, magnification};

pub(super) struct GalleryView<'a> {
    pub(super) gallery: &'a Gallery,
    pub(super) records: Vec<RecordLink<'a>>,
    pub(super) examples: Vec<ExampleView<'a>>,
}

pub(super) struct ExampleView<'a> {
    pub(super) id: u64,
    pub(super) label: &'a str,
    pub(super) factor: u32,
    pub(super) clean: ImageView<'a>,
    pub(super) entries: Vec<ImageView<'a>>,
    /// Who alone withstands the attack, in words; empty where both do, or neither.
    pub(super) only: String,
}

/// One image with what is said to it.
pub(super) struct ImageView<'a> {
    pub(super) strategy: String,
    pub(super) image: String,
    /// What changed, magnified; none for the clean image.
    pub(super) difference: Option<String>,
    pub(super) prediction: &'a str,
    pub(super) right: bool,
    pub(super) size: String,
    pub(super) bars: Vec<BarView<'a>>,
}

/// One class's score as a bar from the middle: to the right where it is positive.
pub(super) struct BarView<'a> {
    pub(super) class: &'a str,
    pub(super) score: String,
    /// Percent of the whole width.
    pub(super) from: f64,
    pub(super) length: f64,
    pub(super) mark: &'static str,
}

impl<'a> GalleryView<'a> {
    pub(super) fn new(gallery: &'a Gallery) -> Result<Self> {
        let examples = gallery
            .examples
            .iter()
            .map(|example| {
                view(gallery, example).map_err(|problem| Error::Picture {
                    gallery: gallery.title.clone(),
                    example: example.id,
                    problem,
                })
            })
            .collect::<Result<_>>()?;
        Ok(Self { gallery, records: RecordLink::all(&gallery.records), examples })
    }
}

/// The score that fills a bar.
fn largest<'a>(scores: impl Iterator<Item = &'a f64>) -> f64 {
    scores.fold(0.0, |largest, score| score.abs().max(largest))
}

fn view<'a>(
    gallery: &'a Gallery,
    example: &'a GalleryExample,
) -> std::result::Result<ExampleView<'a>, String> {
    let class = |index: usize| {
        gallery
            .classes
            .get(index)
            .map(String::as_str)
            .ok_or_else(|| format!("class {index} of {} classes", gallery.classes.len()))
    };
    let perturbed: Vec<_> =
        example.entries.iter().chain(&example.rival).map(|entry| &entry.perturbed).collect();
    for picture in &perturbed {
        if picture.pixels.len() != example.clean.pixels.len() {
            return Err(format!(
                "{} pixels, the clean image has {}",
                picture.pixels.len(),
                example.clean.pixels.len()
            ));
        }
    }
    let factor = magnification(&example.clean, &perturbed);
    // The rival's logits have a scale of their own.
    let own = largest(example.entries.iter().flat_map(|entry| &entry.scores).chain(&example.scores));
    let bars = |scores: &[f64], prediction: usize, largest: f64| {
        if scores.len() != gallery.classes.len() {
            return Err(format!("{} scores for {} classes", scores.len(), gallery.classes.len()));
        }
        let bar = |(index, score): (usize, &f64)| {
            let length = if largest > 0.0 { 50.0 * score.abs() / largest } else { 0.0 };
            BarView {
                class: &gallery.classes[index],
                score: format!("{score:.2}"),
                from: if *score < 0.0 { 50.0 - length } else { 50.0 },
                length,
                mark: match (index == example.label, index == prediction) {
                    (true, _) => "label",
                    (false, true) => "wrong",
                    (false, false) => "other",
                },
            }
        };
        Ok(scores.iter().enumerate().map(bar).collect::<Vec<_>>())
    };
    let clean = ImageView {
        strategy: "clean".to_owned(),
        image: data_uri(&example.clean)?,
        difference: None,
        prediction: class(example.prediction)?,
        right: example.prediction == example.label,
        size: String::new(),
        bars: bars(&example.scores, example.prediction, own)?,
    };
    let entry = |strategy: String, entry: &GalleryEntry, largest: f64| {
        Ok::<_, String>(ImageView {
            strategy,
            image: data_uri(&entry.perturbed)?,
            difference: Some(data_uri(&difference(&example.clean, &entry.perturbed, factor))?),
            prediction: class(entry.prediction)?,
            right: entry.prediction == example.label,
            size: format!("{:.4}", entry.size),
            bars: bars(&entry.scores, entry.prediction, largest)?,
        })
    };
    let mut entries = Vec::new();
    if let (Some(rival), Some(name)) = (&example.rival, &gallery.rival) {
        entries.push(entry(name.clone(), rival, largest(rival.scores.iter()))?);
    }
    for found in &example.entries {
        entries.push(entry(format!("{}, {}", gallery.classifier, found.strategy), found, own)?);
    }
    let only = match (&example.only, &gallery.rival) {
        (Some(only), Some(rival)) => {
            let other = if only == rival { &gallery.classifier } else { rival };
            format!("{only} withstands {}, {other} does not", gallery.attack)
        }
        _ => String::new(),
    };
    Ok(ExampleView { id: example.id, label: class(example.label)?, factor, clean, entries, only })
}
