//! Images held out from training, and robust accuracy on them.

use robin_attacks::objectives::CrossEntropy;
use robin_attacks::{Pgd, Start};
use robin_core::{CancelToken, Classifier, Columns, ExampleId, Purpose, Seed};
use robin_data::{Dataset, LabelMap};

use crate::config::{Validation, refuse};
use crate::{Result, Tally};

/// Which images are trained on and which are held out, in file order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Division {
    pub(crate) training: Vec<u32>,
    pub(crate) held_out: Vec<u32>,
}

impl Division {
    /// The last images of every class of the data set are held out, as [`Validation::images`] says.
    pub(crate) fn new(data: &Dataset, validation: Option<&Validation>) -> Result<Self> {
        let all = 0..data.len() as u32;
        let Some(Validation { images, .. }) = validation else {
            return Ok(Self { training: all.collect(), held_out: Vec::new() });
        };
        let counts = data.class_counts();
        // Classes that no image has take no part: a restricted set has some.
        let present: Vec<usize> = (0..counts.len()).filter(|&class| counts[class] > 0).collect();
        let mut left = vec![0; counts.len()];
        for (at, &class) in present.iter().enumerate() {
            left[class] = images / present.len() + usize::from(at < images % present.len());
            if left[class] >= counts[class] {
                let allowed = "so few that every class has more images than are held out of it";
                return refuse("validation.images", images, allowed);
            }
        }
        let (mut training, mut held_out) = (Vec::new(), Vec::new());
        for index in all.rev() {
            let left = &mut left[usize::from(data.labels()[index as usize])];
            if *left > 0 {
                *left -= 1;
                held_out.push(index);
            } else {
                training.push(index);
            }
        }
        training.reverse();
        held_out.reverse();
        Ok(Self { training, held_out })
    }
}

/// Clean and robust balanced accuracy of `model` on the images `held_out`.
pub(crate) fn measure(
    model: &dyn Classifier,
    (data, labels): (&Dataset, &LabelMap),
    held_out: &[u32],
    settings: &Validation,
    batch_size: usize,
    seed: Seed,
    cancel: &CancelToken,
) -> Result<(f64, f64)> {
    let Validation { budget, steps, step_size, .. } = *settings;
    let step_size = step_size.pixels(budget.epsilon, steps)?;
    let pgd = Pgd { budget, steps, step_size, restarts: 1, start: Start::UniformInBall };
    // Under the network's seed number 0 is the evaluation of the finished network.
    let seed = seed.derive(Purpose::Evaluation, 1);
    let (mut clean, mut robust) = (Tally::new(model.num_classes()), Tally::new(model.num_classes()));
    for part in held_out.chunks(batch_size) {
        let ids: Vec<ExampleId> = part.iter().map(|&index| ExampleId::first(index)).collect();
        let batch = data.batch(&ids, labels)?;
        let predictions = model.scores(&batch.images, &Columns::All)?.arg_max()?;
        clean.add(&batch.labels, &predictions);
        let objective = CrossEntropy::new(batch.labels.clone());
        let perturbed = pgd.ascend(model, &objective, &batch, seed, cancel)?;
        budget.verify(&batch.images, &perturbed)?;
        let attacked = model.scores(&perturbed, &Columns::All)?.arg_max()?;
        // Wrong when clean is misclassified, whatever the attack made of it.
        let worst: Vec<u32> = (0..batch.len())
            .map(|row| if predictions[row] == batch.labels[row] { attacked[row] } else { predictions[row] })
            .collect();
        robust.add(&batch.labels, &worst);
    }
    Ok((clean.balanced_accuracy(), robust.balanced_accuracy()))
}

#[cfg(test)]
mod tests {
    use robin_attacks::StepSize;
    use robin_core::{Budget, Norm};
    use robin_data::{DatasetName, Split};

    use super::*;

    fn validation(images: usize) -> Validation {
        let budget = Budget { norm: Norm::L2, epsilon: "0.5".parse().unwrap() };
        Validation { images, budget, steps: 1, step_size: StepSize::STANDARD }
    }

    #[test]
    fn the_last_images_of_each_class_are_held_out() {
        let labels = vec![2, 0, 0, 1, 2, 1, 0, 2, 1, 0];
        let data =
            Dataset::from_parts(DatasetName::Mnist, Split::Train, [1, 1, 1], vec![0; 10], labels).unwrap();
        let division = Division::new(&data, Some(&validation(4))).unwrap();
        // Two of class 0, one each of 1 and 2.
        assert_eq!(division.held_out, [6, 7, 8, 9]);
        assert_eq!(division.training, [0, 1, 2, 3, 4, 5]);
        assert_eq!(Division::new(&data, None).unwrap().training, (0..10).collect::<Vec<_>>());
        let message = Division::new(&data, Some(&validation(8))).unwrap_err().to_string();
        assert!(message.contains("validation.images is 8"), "{message}");
    }
}
