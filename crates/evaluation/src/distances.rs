//! How far examples are from the decision's border: the smallest perturbation that any of several attacks finds.

use robin_attacks::MinimalAttack;
use robin_core::{Budget, Columns, Epsilon, Error as CoreError, ExampleId, Norm, Purpose, Strategy, Target};
use robin_data::LabelMap;
use serde::{Deserialize, Serialize};

use crate::options::{Options, Progress, batches};
use crate::robust::sizes;
use crate::{Clean, CostTotals, Error, Evaluation, Result};

/// Distances of a whole data set, in its order.
///
/// They are upper bounds: a better attack may find a shorter way. An example that is wrong when clean has distance 0;
/// one for which no attack found anything is censored, and in no mean.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Distances {
    /// How distance is measured.
    pub norm: Norm,
    /// In pixel units, `[n]`; `None` where nothing was found.
    pub distances: Vec<Option<f32>>,
    /// Examples wrong when clean.
    pub clean_errors: usize,
    /// Examples for which nothing was found.
    pub censored: usize,
    /// How many examples each attack found the shortest way for, the first of equals; clean errors apart.
    pub found_by: Vec<usize>,
    /// Work spent, over all examples and attacks.
    pub cost: CostTotals,
}

impl Distances {
    /// Mean over all examples that are not censored, clean errors with 0; `None` if there is none.
    pub fn mean(&self) -> Option<f64> {
        self.mean_over(self.distances.len() - self.censored)
    }

    /// Mean over the examples that are right when clean and not censored; `None` if there is none.
    pub fn mean_of_right(&self) -> Option<f64> {
        self.mean_over(self.distances.len() - self.censored - self.clean_errors)
    }

    fn mean_over(&self, count: usize) -> Option<f64> {
        let sum: f64 = self.distances.iter().flatten().map(|&distance| f64::from(distance)).sum();
        (count > 0).then(|| sum / count as f64)
    }
}

impl Evaluation<'_> {
    /// Looks for the smallest perturbation of every example with every attack, and keeps the smaller one.
    /// `clean` is [`Evaluation::clean`]'s answer.
    ///
    /// An example's result depends on the seed and its place in the data set, not on the batch size.
    ///
    /// # Errors
    /// [`Error::Attacks`] without attacks, or with attacks of several norms; [`Error::Illegal`] if an image leaves the
    /// box, [`Error::Examples`], [`Error::Empty`], [`Error::BatchSize`]; otherwise as the classifier's, the strategy's
    /// and the attacks'.
    pub fn distances(
        &self,
        clean: &Clean,
        attacks: &[Box<dyn MinimalAttack>],
        strategy: &dyn Strategy,
        options: &mut Options<'_>,
    ) -> Result<Distances> {
        let &Self { model, criterion, data, seed } = self;
        let norms: Vec<Norm> = attacks.iter().map(MinimalAttack::norm).collect();
        let Some(&norm) = norms.first().filter(|first| norms.iter().all(|norm| norm == *first)) else {
            return Err(Error::Attacks { norms });
        };
        let attacked = clean.attackable(data.len())?;
        let mut nearest: Vec<Option<(f32, usize)>> = vec![None; data.len()];
        let mut cost = CostTotals::default();
        let clean_errors = data.len() - attacked.len();
        let mut done = clean_errors;
        for examples in batches(options.batch_size, &attacked)? {
            options.cancel.check()?;
            let ids: Vec<ExampleId> = examples.iter().map(|&index| ExampleId::first(index)).collect();
            let batch = data.batch(&ids, &LabelMap::Identity)?;
            let scores = model.scores(&batch.images, &Columns::All)?;
            let objectives = strategy.prepare(&scores, &batch)?;
            let networks = model.networks(&Columns::All);
            let per_gradient =
                objectives.iter().map(|objective| model.networks(&objective.columns())).max().unwrap_or(1);
            let target = Target { model, criterion, cancel: options.cancel };
            for (number, attack) in attacks.iter().enumerate() {
                let seed = seed.derive(Purpose::AttackRun, number as u64);
                let found = attack.smallest(&target, &objectives, &batch, seed, None)?;
                if found.verdicts.len() != batch.len() || found.cost.len() != batch.len() {
                    let (given, returned) = (batch.len(), found.verdicts.len().min(found.cost.len()));
                    return Err(Error::Returned { what: "verdicts", given, returned });
                }
                // The box and finite pixels; any size is allowed.
                let anywhere = Budget { norm, epsilon: Epsilon::new(f64::from(f32::MAX))? };
                anywhere
                    .verify(&batch.images, &found.images)
                    .map_err(|source| illegal(&batch.ids, source))?;
                // Measured here, whatever the attack says.
                let sizes = sizes(anywhere, &batch.images, &found.images)?;
                for ((id, verdict), size) in batch.ids.iter().zip(&found.verdicts).zip(sizes) {
                    let best = &mut nearest[id.index as usize];
                    if verdict.misclassified && best.is_none_or(|(distance, _)| size < distance) {
                        *best = Some((size, number));
                    }
                }
                // The clean scores are computed once for all attacks.
                let (attacked, clean_forward) = if number == 0 { (1, networks) } else { (0, 0) };
                for spent in &found.cost {
                    cost.add(&CostTotals { attacked, ..CostTotals::of(spent, clean_forward, per_gradient) });
                }
            }
            done += batch.len();
            let misclassified = clean_errors + nearest.iter().flatten().count();
            options.observer.progress(&Progress { done, of: data.len(), misclassified });
        }
        let count = |number: usize| nearest.iter().flatten().filter(|(_, by)| *by == number).count();
        let found_by: Vec<usize> = (0..attacks.len()).map(count).collect();
        let of = |example: usize| match clean.misclassified[example] {
            true => Some(0.0),
            false => nearest[example].map(|(distance, _)| distance),
        };
        Ok(Distances {
            norm,
            distances: (0..data.len()).map(of).collect(),
            clean_errors,
            censored: attacked.len() - found_by.iter().sum::<usize>(),
            found_by,
            cost,
        })
    }
}

fn illegal(ids: &[ExampleId], source: CoreError) -> Error {
    match source {
        CoreError::NotFinite { example, .. } | CoreError::OutsideBox { example, .. } => {
            Error::Illegal { index: ids[example].index, source }
        }
        other => Error::Core(other),
    }
}

#[cfg(test)]
mod tests {
    use approx::assert_abs_diff_eq;
    use robin_attacks::{Config, Loss};
    use robin_core::{CancelToken, Misclassified, OneClass, Seed, SuccessCriterion};
    use robin_data::{Dataset, Split};
    use robin_testkit::Linear;

    use super::*;
    use crate::OneClassStrategy;

    fn ddn() -> Box<dyn MinimalAttack> {
        let config = Config::Ddn(robin_attacks::ddn::Settings {
            steps: 60,
            radius_rate: 0.05,
            first_radius: 0.5,
            levels: None,
        });
        config.minimal(Norm::L2).unwrap()
    }

    fn fmn(norm: Norm) -> Box<dyn MinimalAttack> {
        let config = Config::Fmn(robin_attacks::fmn::Settings {
            steps: 60,
            first_step: 0.5,
            last_step: 0.001,
            first_rate: 0.05,
            last_rate: 0.001,
        });
        config.minimal(norm).unwrap()
    }

    /// Three classes along the first of two pixels, with borders at 0.4 (0 and 1) and 0.6 (1 and 2).
    fn line() -> Linear {
        Linear::new(vec![-1.0, 0.0, 0.0, 0.0, 1.0, 0.0], vec![0.4, 0.0, -0.6], [1, 1, 2])
    }

    fn measured(
        attacks: &[Box<dyn MinimalAttack>],
        criterion: &dyn SuccessCriterion,
        batch_size: usize,
    ) -> Distances {
        let pixels = vec![128, 9, 255, 9, 77, 9, 77, 9, 51, 9];
        let data = Dataset::new("line", 3, Split::Test, [1, 1, 2], pixels, vec![1, 2, 0, 1, 0]).unwrap();
        let cancel = CancelToken::new();
        let mut options = Options { batch_size, cancel: &cancel, observer: &mut () };
        let evaluation = Evaluation { model: &line(), criterion, data: &data, seed: Seed::new(1) };
        let clean = evaluation.clean(&mut options).unwrap();
        let strategy = OneClassStrategy { class: 0, loss: Loss::Margin };
        evaluation.distances(&clean, attacks, &strategy, &mut options).unwrap()
    }

    #[test]
    fn distances_are_those_to_the_border_that_counts() {
        let criterion = OneClass { class: 0 };
        let found = measured(&[ddn(), fmn(Norm::L2)], &criterion, 2);
        // From 128/255, 255/255 and so on to 0.4; the fourth one is a clean error.
        let exact = [128, 255, 77, 0, 51].map(|pixel: u8| (f64::from(pixel) / 255.0 - 0.4).abs());
        for (at, (found, exact)) in found.distances.iter().zip(exact).enumerate() {
            let found = f64::from(found.unwrap());
            let exact = if at == 3 { 0.0 } else { exact };
            assert!(found >= exact - 1e-6 && found <= exact + 2e-3, "{at}: {found} {exact}");
        }
        assert_eq!((found.clean_errors, found.censored), (1, 0));
        assert_eq!(found.found_by.iter().sum::<usize>(), 4);
        let sum: f64 = found.distances.iter().flatten().map(|&d| f64::from(d)).sum();
        assert_abs_diff_eq!(found.mean().unwrap(), sum / 5.0, epsilon = 1e-12);
        assert_abs_diff_eq!(found.mean_of_right().unwrap(), sum / 4.0, epsilon = 1e-12);
        let other = measured(&[ddn(), fmn(Norm::L2)], &criterion, 5);
        assert_eq!(found, other, "the batch size is seen");
    }

    /// The smaller of two attacks is never larger than either.
    #[test]
    fn more_attacks_never_lengthen_a_way() {
        let criterion = OneClass { class: 0 };
        let [one, both] =
            [measured(&[ddn()], &criterion, 5), measured(&[ddn(), fmn(Norm::L2)], &criterion, 5)];
        assert!(one.distances.iter().zip(&both.distances).all(|(one, both)| both <= one), "{one:?} {both:?}");
    }

    /// A judge whom nothing breaks.
    struct Mild;

    impl SuccessCriterion for Mild {
        fn misclassified(&self, _: u32, _: u32) -> bool {
            false
        }
    }

    #[test]
    fn what_is_never_misclassified_is_censored_and_in_no_mean() {
        let found = measured(&[ddn()], &Mild, 3);
        assert_eq!((found.censored, found.clean_errors, found.mean()), (5, 0, None));
        assert!(found.distances.iter().all(Option::is_none));
    }

    #[test]
    fn attacks_of_several_norms_or_none_are_refused() {
        let data = Dataset::new("line", 3, Split::Test, [1, 1, 2], vec![9, 9], vec![0]).unwrap();
        let cancel = CancelToken::new();
        let mut options = Options { batch_size: 1, cancel: &cancel, observer: &mut () };
        let model = line();
        let evaluation =
            Evaluation { model: &model, criterion: &Misclassified, data: &data, seed: Seed::new(0) };
        let clean = evaluation.clean(&mut options).unwrap();
        let strategy = OneClassStrategy { class: 0, loss: Loss::Margin };
        let mut refused = |attacks: &[Box<dyn MinimalAttack>]| {
            evaluation.distances(&clean, attacks, &strategy, &mut options).unwrap_err().to_string()
        };
        assert!(refused(&[]).contains("one norm"));
        assert!(refused(&[ddn(), fmn(Norm::Linf)]).contains("Linf"));
    }
}
