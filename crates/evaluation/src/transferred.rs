//! Accuracy on images that were made to mislead another classifier.

use robin_attacks::{Aim, transfer};
use robin_core::{Attack, Classifier, Columns, ExampleId};
use robin_data::LabelMap;

use crate::options::{Options, Progress, batches};
use crate::robust::sizes;
use crate::{Clean, CostTotals, Evaluation, Result, Robust};

/// What became of a data set whose images were changed to mislead a surrogate.
#[derive(Debug, Clone, PartialEq)]
pub struct Transferred {
    /// Verdicts on the judged classifier; `worst` and `last` are the same, because it was asked once.
    pub robust: Robust,
    /// How many of the attacked examples were predicted as their target; `None` without targets.
    pub hits: Option<u64>,
}

impl Evaluation<'_> {
    /// Shows the classifier every example that it has right when clean, after `attack` on `surrogate`
    /// ([`robin_attacks::transfer()`]); one that it has wrong is left alone. Misclassified is what is
    /// misclassified, whatever the criterion says. `clean` is [`Evaluation::clean`]'s answer.
    ///
    /// # Errors
    /// [`Error::Examples`](crate::Error::Examples) if `clean` is of other data, [`Error::Empty`](crate::Error::Empty),
    /// [`Error::BatchSize`](crate::Error::BatchSize); otherwise as [`robin_attacks::transfer()`].
    pub fn transferred(
        &self,
        clean: &Clean,
        surrogate: &dyn Classifier,
        attack: &dyn Attack,
        aim: Aim,
        options: &mut Options<'_>,
    ) -> Result<Transferred> {
        let &Self { model, data, seed, .. } = self;
        let attacked = clean.attackable(data.len())?;
        let mut outcome = clean.untouched();
        let mut cost = CostTotals::default();
        let mut hits: Option<u64> = None;
        let mut done = data.len() - attacked.len();
        let mut misclassified = done;
        let networks = surrogate.networks(&Columns::All);
        for examples in batches(options.batch_size, &attacked)? {
            options.cancel.check()?;
            let ids: Vec<ExampleId> = examples.iter().map(|&index| ExampleId::first(index)).collect();
            let batch = data.batch(&ids, &LabelMap::Identity)?;
            let found = transfer(surrogate, attack, aim, model, &batch, seed, options.cancel)?;
            let sizes = sizes(attack.budget(), &batch.images, &found.images)?;
            for (at, id) in batch.ids.iter().enumerate() {
                let example = id.index as usize;
                outcome.misclassified[example] = !found.robust[at];
                outcome.predictions[example] = found.predictions[at];
                outcome.sizes[example] = sizes[at];
                cost.add(&CostTotals::of(&found.cost[at], networks, networks));
            }
            if let Some(hit) = &found.hit {
                *hits.get_or_insert(0) += hit.iter().filter(|hit| **hit).count() as u64;
            }
            done += batch.len();
            misclassified += found.robust.iter().filter(|robust| !**robust).count();
            options.observer.progress(&Progress { done, of: data.len(), misclassified });
        }
        Ok(Transferred { robust: Robust { worst: outcome.clone(), last: outcome, cost }, hits })
    }
}
