//! Settings as they are written on the command line.

use robin_aggregation::{AGGREGATIONS, Aggregation, AggregationEntry};
use robin_attacks::StepSize;
use robin_core::Epsilon;
use robin_training::Schedule;

use crate::spec::Normalize;
use crate::training_run::TrainedKind;
use crate::{Error, Result};

/// A step size: `2/255` or `0.01` in pixels, `2.5x` for 2.5 times epsilon / steps.
///
/// # Errors
/// [`Error::Unknown`] with what is allowed.
pub fn step_size(text: &str) -> Result<StepSize> {
    let parsed = match text.strip_suffix('x') {
        Some(factor) => factor.parse().ok().map(StepSize::Relative),
        None => text.parse::<Epsilon>().ok().map(|pixels| StepSize::Absolute(pixels.get())),
    };
    parsed.ok_or_else(|| {
        unknown("step size", text, "pixels like 2/255 or 0.01, or 2.5x for 2.5 epsilon / steps")
    })
}

/// A schedule: `steps:0.5,0.75:0.1` (milestones, factor), `cosine:LAST`, `one-cycle:FIRST,PEAK,LAST`.
///
/// # Errors
/// [`Error::Unknown`] with what is allowed.
pub fn schedule(text: &str) -> Result<Schedule> {
    let numbers =
        |text: &str| text.split(',').map(|part| part.trim().parse().ok()).collect::<Option<Vec<f64>>>();
    let parsed = match text.split(':').collect::<Vec<_>>()[..] {
        ["steps", milestones, factor] => numbers(milestones)
            .zip(factor.parse().ok())
            .map(|(milestones, factor)| Schedule::Steps { milestones, factor }),
        ["cosine", last] => last.parse().ok().map(|last| Schedule::Cosine { last }),
        ["one-cycle", three] => match numbers(three).as_deref() {
            Some(&[first, peak, last]) => Some(Schedule::OneCycle { first, peak, last }),
            _ => None,
        },
        _ => None,
    };
    let valid = "steps:MILESTONE,...:FACTOR like steps:0.5:0.1, cosine:LAST, one-cycle:FIRST,PEAK,LAST";
    parsed.ok_or_else(|| unknown("schedule", text, valid))
}

/// Input normalisation: `none`, or `MEAN,.../STD,...` with one number for each channel.
///
/// # Errors
/// [`Error::Unknown`] with what is allowed.
pub fn normalize(text: &str) -> Result<Option<Normalize>> {
    if text == "none" {
        return Ok(None);
    }
    let numbers =
        |text: &str| text.split(',').map(|part| part.trim().parse().ok()).collect::<Option<Vec<f64>>>();
    let parsed = text.split_once('/').and_then(|(mean, std)| numbers(mean).zip(numbers(std)));
    let valid = "none, or MEAN,.../STD,... like 0.5,0.5,0.5/0.25,0.25,0.25";
    parsed
        .map(|(mean, std)| Some(Normalize { mean, std }))
        .ok_or_else(|| unknown("normalisation", text, valid))
}

/// `multiclass`, an aggregate by its name, `ensemble:N`, or `other:COUNT` and `other:COUNT:ORDER`.
///
/// # Errors
/// [`Error::Unknown`] with the valid names.
pub fn classifier(text: &str) -> Result<TrainedKind> {
    let written = |entry: &AggregationEntry| match entry.aggregation.takes_members() {
        true => format!("{}:N", entry.name),
        false => entry.name.to_owned(),
    };
    let aggregates: Vec<String> = AGGREGATIONS.iter().map(written).collect();
    let valid = format!("multiclass, {}, other:COUNT[:ORDER]", aggregates.join(", "));
    let refused = || unknown("classifier", text, &valid);
    let number = |text: &str| text.parse::<usize>().map_err(|_| refused());
    match text.split(':').collect::<Vec<_>>()[..] {
        ["multiclass"] => Ok(TrainedKind::MULTICLASS),
        ["other", count] => Ok(TrainedKind::Merged { count: number(count)?, order: 0 }),
        ["other", count, order] => Ok(TrainedKind::Merged { count: number(count)?, order: number(order)? }),
        [name, members] if name.parse().is_ok_and(Aggregation::takes_members) => {
            let kind = name.parse().map_err(|_| refused())?;
            Ok(TrainedKind::Classifier { kind, members: Some(number(members)?) })
        }
        _ => text.parse().map(TrainedKind::of).map_err(|_| refused()),
    }
}

fn unknown(what: &'static str, given: &str, valid: &str) -> Error {
    Error::Unknown { what, given: given.to_owned(), valid: valid.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn step_sizes_are_pixels_or_multiples() {
        assert_eq!(step_size("2/255").unwrap(), StepSize::Absolute(2.0 / 255.0));
        assert_eq!(step_size("0.01").unwrap(), StepSize::Absolute(0.01));
        assert_eq!(step_size("2.5x").unwrap(), StepSize::Relative(2.5));
        for text in ["", "x", "-1", "two"] {
            let message = step_size(text).unwrap_err().to_string();
            assert!(message.contains(&format!("{text:?}")) && message.contains("2.5x"), "{message}");
        }
    }

    #[test]
    fn schedules_and_normalisations_are_read_whole_or_refused() {
        let steps = Schedule::Steps { milestones: vec![0.5, 0.75], factor: 0.1 };
        assert_eq!(schedule("steps:0.5,0.75:0.1").unwrap(), steps);
        assert_eq!(schedule("cosine:0").unwrap(), Schedule::Cosine { last: 0.0 });
        let cycle = Schedule::OneCycle { first: 0.0, peak: 0.4, last: 0.1 };
        assert_eq!(schedule("one-cycle:0,0.4,0.1").unwrap(), cycle);
        for text in ["steps", "steps:0.5", "steps:a:0.1", "cosine", "one-cycle:0,0.4", "linear:1"] {
            assert!(schedule(text).unwrap_err().to_string().contains("one-cycle:FIRST,PEAK,LAST"), "{text}");
        }
        assert_eq!(normalize("none").unwrap(), None);
        let half = Normalize { mean: vec![0.5], std: vec![0.25] };
        assert_eq!(normalize("0.5/0.25").unwrap(), Some(half));
        assert!(normalize("0.5").unwrap_err().to_string().contains("MEAN"));
    }
}
