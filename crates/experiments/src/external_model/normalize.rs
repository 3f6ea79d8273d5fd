//! How a network normalises its images, where its weights do not say: told, recorded, and doubted.

use std::fmt;
use std::str::FromStr;

use robin_aggregation::Aggregation;
use robin_core::{Misclassified, Purpose, Seed};
use robin_data::{Dataset, DatasetName};
use robin_evaluation::{Evaluation, Options, mcnemar};
use robin_nn::{Graph, NamedTensor, Parameters};
use serde::Serialize;

use super::RunOptions;
use super::joined::joined;
use crate::{Device, Error, Result, caveats};

/// Input normalisation for weights that carry none.
#[derive(Debug, Clone, PartialEq)]
pub enum Normalize {
    /// The usual numbers of the data set.
    Dataset,
    /// Pixels as they are.
    None,
    /// Means, then deviations: one of each, or one of each per channel.
    Numbers(Vec<f32>),
}

/// What a network's first layer does to pixels from 0 to 1: `(x - mean) / std`, for each channel.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Numbers {
    /// `[c]`.
    pub mean: Vec<f32>,
    /// `[c]`.
    pub std: Vec<f32>,
}

/// Pairs that networks are trained with, one number or three, and who does. The first one of three is what the field uses
/// for CIFAR-10, and what networks trained here have.
const KNOWN: &[(&[f32], &[f32], &str)] = &[
    (&[0.0], &[1.0], "pixels as they are"),
    (&[0.5], &[0.5], "pixels from -1 to 1"),
    (&[0.1307], &[0.3081], "MNIST's own, as in PyTorch's examples"),
    (&CIFAR10.0, &CIFAR10.1, "CIFAR-10's own"),
    (&CIFAR10.0, &[0.2023, 0.1994, 0.2010], "CIFAR-10's other common deviations"),
    (&[0.485, 0.456, 0.406], &[0.229, 0.224, 0.225], "ImageNet's"),
];
const CIFAR10: ([f32; 3], [f32; 3]) = ([0.4914, 0.4822, 0.4465], [0.2470, 0.2435, 0.2616]);

/// Images on which other pairs are tried.
const TRIED: usize = 100;
/// Another pair is far better if it has so much of them more right, by more than chance.
const FAR: f64 = 0.05;
const CHANCE: f64 = 1e-3;

impl Normalize {
    /// The numbers for `channels` channels of `dataset`.
    pub(super) fn numbers(&self, channels: usize, dataset: Option<DatasetName>) -> Result<Numbers> {
        let plain = Numbers { mean: vec![0.0; channels], std: vec![1.0; channels] };
        match self {
            Self::None => Ok(plain),
            Self::Dataset => match dataset.map(|name| name.entry().normalization) {
                Some(Some((mean, std))) => Ok(Numbers { mean: mean.to_vec(), std: std.to_vec() }),
                // As networks trained here have it; of digits the field has two customs, which the trial tells apart.
                Some(None) => Ok(plain),
                None => Err(Error::Unfit {
                    option: "--normalize",
                    given: "dataset".to_owned(),
                    reason:
                        "only data sets that are known by name have usual numbers; allowed: none, MEAN,STD"
                            .to_owned(),
                }),
            },
            Self::Numbers(numbers) if numbers.len() == 2 => {
                Ok(Numbers { mean: vec![numbers[0]; channels], std: vec![numbers[1]; channels] })
            }
            Self::Numbers(numbers) if numbers.len() == 2 * channels => {
                Ok(Numbers { mean: numbers[..channels].to_vec(), std: numbers[channels..].to_vec() })
            }
            Self::Numbers(numbers) => Err(Error::Unfit {
                option: "--normalize",
                given: self.to_string(),
                reason: format!(
                    "{} numbers; allowed: 2, or {} ({channels} means, then {channels} deviations)",
                    numbers.len(),
                    2 * channels
                ),
            }),
        }
    }
}

/// Checks that images are normalised once: by the network in `file`, or as `normalize` says.
pub(super) fn check_normalization(normalize: Option<&Normalize>, normalized: bool, file: &str) -> Result<()> {
    match (normalize, normalized) {
        (Some(given), true) => Err(Error::Unfit {
            option: "--normalize",
            given: given.to_string(),
            reason: format!("{file} has a normalisation of its own; leave the option out"),
        }),
        (None, false) => Err(Error::Unfit {
            option: "--normalize",
            given: "(nothing)".to_owned(),
            reason: format!(
                "{file} has no normalize.mean and normalize.std; say how its network normalises images: dataset, \
                 none, or MEAN,STD"
            ),
        }),
        _ => Ok(()),
    }
}

impl Numbers {
    /// Those that `parameters` have.
    pub(super) fn of(parameters: &Parameters) -> Option<Self> {
        let values = |name: &str| Some(parameters.get(name)?.values.clone());
        Some(Self { mean: values("normalize.mean")?, std: values("normalize.std")? })
    }

    /// As the buffers of a network's first layer.
    pub(super) fn buffers(&self) -> [NamedTensor; 2] {
        [("normalize.mean", &self.mean), ("normalize.std", &self.std)].map(|(name, values)| NamedTensor {
            name: name.to_owned(),
            shape: vec![values.len()],
            values: values.clone(),
        })
    }

    /// Pairs of [`KNOWN`] for as many channels, but this one, with their names.
    fn others(&self) -> Vec<(Self, &'static str)> {
        let channels = self.mean.len();
        let spread = |values: &[f32]| match values {
            [one] => Some(vec![*one; channels]),
            several => (several.len() == channels).then(|| several.to_vec()),
        };
        let known = KNOWN
            .iter()
            .filter_map(|(mean, std, name)| Some((Self { mean: spread(mean)?, std: spread(std)? }, *name)));
        // Numbers of digits say nothing about photographs.
        known.filter(|(pair, name)| pair != self && (channels == 1 || !name.starts_with("MNIST"))).collect()
    }

    /// As `--normalize` takes it.
    fn option(&self) -> String {
        let list = |values: &[f32]| match values {
            [first, rest @ ..] if rest.iter().all(|value| value == first) => vec![*first],
            several => several.to_vec(),
        };
        let (mut mean, mut std) = (list(&self.mean), list(&self.std));
        if mean.len() != std.len() {
            (mean, std) = (self.mean.clone(), self.std.clone());
        }
        mean.iter().chain(&std).map(ToString::to_string).collect::<Vec<_>>().join(",")
    }
}

/// `mean 0.1307, std 0.3081`.
impl fmt::Display for Numbers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |values: &[f32]| values.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        write!(f, "mean {}, std {}", list(&self.mean), list(&self.std))
    }
}

/// Tries the other known pairs on a few images, drawn at random; in words, the best of them if it is far better than `chosen`.
///
/// # Errors
/// As the classifier.
pub(super) fn far_better(
    networks: &[(Graph, Parameters)],
    (aggregate, device): (Option<Aggregation>, Device),
    chosen: &Numbers,
    data: &Dataset,
    run_options: &RunOptions<'_>,
) -> Result<Option<String>> {
    let doing = "trying other normalisations";
    let few = data
        .sample(TRIED.min(data.len()), Seed::new(0).derive(Purpose::Sample, 0))
        .map_err(Error::work(doing))?;
    let misclassified = |numbers: &Numbers| -> Result<Vec<bool>> {
        let normalised = networks.iter().map(|(graph, parameters)| {
            let mut parameters = parameters.clone();
            for buffer in numbers.buffers() {
                if let Some(own) = parameters.buffers.iter_mut().find(|own| own.name == buffer.name) {
                    own.values = buffer.values;
                }
            }
            (graph.clone(), parameters)
        });
        let model = joined(&normalised.collect::<Vec<_>>(), aggregate, device)?;
        let mut options =
            Options { batch_size: run_options.batch_size, cancel: run_options.cancel, observer: &mut () };
        let evaluation =
            Evaluation { model: model.as_ref(), criterion: &Misclassified, data: &few, seed: Seed::new(0) };
        Ok(evaluation.clean(&mut options).map_err(Error::work(doing))?.misclassified)
    };
    let right =
        |misclassified: &[bool]| misclassified.iter().filter(|misclassified| !**misclassified).count();
    let own = misclassified(chosen)?;
    let mut best: Option<(Numbers, &str, Vec<bool>)> = None;
    for (numbers, name) in chosen.others() {
        let found = misclassified(&numbers)?;
        if best.as_ref().is_none_or(|(.., so_far)| right(&found) > right(so_far)) {
            best = Some((numbers, name, found));
        }
    }
    let Some((numbers, name, found)) = best else { return Ok(None) };
    let test = mcnemar(&own, &found).map_err(Error::work(doing))?;
    let gain = (right(&found) as f64 - right(&own) as f64) / few.len() as f64;
    Ok((gain >= FAR && test.p < CHANCE).then(|| {
        format!(
            "with {chosen} {} of {} images are right, with {numbers} ({name}) {}: if the network was trained so, \
             give --normalize {}",
            right(&own),
            few.len(),
            right(&found),
            numbers.option()
        )
    }))
}

impl fmt::Display for Normalize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dataset => f.pad("dataset"),
            Self::None => f.pad("none"),
            Self::Numbers(numbers) => {
                f.pad(&numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(","))
            }
        }
    }
}

impl FromStr for Normalize {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let refuse =
            |reason: String| Err(Error::Unfit { option: "--normalize", given: text.to_owned(), reason });
        let numbers =
            || text.split(',').map(|part| part.trim().parse::<f32>().ok()).collect::<Option<Vec<_>>>();
        match text {
            "dataset" => Ok(Self::Dataset),
            "none" => Ok(Self::None),
            _ => match numbers().filter(|numbers| numbers.len().is_multiple_of(2)) {
                Some(numbers) => {
                    let (mean, std) = numbers.split_at(numbers.len() / 2);
                    let wide = |values: &[f32]| values.iter().map(|&v| f64::from(v)).collect::<Vec<_>>();
                    match caveats::normalisation(&wide(mean), &wide(std)) {
                        Ok(()) => Ok(Self::Numbers(numbers)),
                        Err(reason) => refuse(reason),
                    }
                }
                None => refuse("allowed: dataset, none, or MEAN,STD, with points in numbers".to_owned()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        text.parse::<Normalize>().unwrap_err().to_string()
    }

    #[test]
    fn numbers_of_another_scale_are_refused_with_those_that_were_meant() {
        let message = refusal("125.3,63");
        assert!(message.contains("pixels go from 0 to 1") && message.contains("0.4914"), "{message}");
        assert!(refusal("0.5,0").contains("std") && refusal("0.5,-1").contains("std"));
        assert!(refusal("-0.1,1").contains("mean") && refusal("nan,1").contains("mean"));
        assert!(refusal("0.5").contains("MEAN,STD") && refusal("0.5,0.5,0.5").contains("MEAN,STD"));
        "0,1".parse::<Normalize>().unwrap();
        // Pixels from 0 to 255.
        "0,0.00392157".parse::<Normalize>().unwrap();
    }

    #[test]
    fn every_known_pair_is_tried_but_the_chosen_one() {
        let numbers =
            |text: &str, channels| text.parse::<Normalize>().unwrap().numbers(channels, None).unwrap();
        let others = |text: &str, channels| -> Vec<String> {
            numbers(text, channels).others().iter().map(|(pair, _)| pair.option()).collect()
        };
        assert_eq!(others("none", 1), ["0.5,0.5", "0.1307,0.3081"]);
        assert_eq!(others("0.1307,0.3081", 1), ["0,1", "0.5,0.5"]);
        let photographs = Normalize::Dataset.numbers(3, Some(DatasetName::Cifar10)).unwrap();
        assert_eq!(
            photographs.others().len(),
            4,
            "as they are, from -1 to 1, the other deviations, ImageNet's"
        );
        assert!(photographs.to_string().starts_with("mean 0.4914, 0.4822, 0.4465, std 0.247"));
        for (pair, _) in photographs.others() {
            assert_eq!(numbers(&pair.option(), 3), pair, "as the option takes it");
        }
    }
}
