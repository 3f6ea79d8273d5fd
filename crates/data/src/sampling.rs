//! How an epoch is cut into batches.

use robin_core::{ExampleId, Purpose, Seed};
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Which examples share a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sampling {
    /// One random order of all examples.
    Plain,
    /// Half of each batch has label 1, half has label 0 (paper, appendix B.3).
    Balanced,
}

/// The batches of one epoch: `floor(n / batch_size)` of exactly `batch_size` examples; what is left over
/// sits out this epoch. `labels` `[n]` are the mapped ones, `seed` is the training's, `epoch` counts from 0.
///
/// Balanced batches list their positives first. The positives go through one fresh permutation after
/// another, an example's `occurrence` being the number of the pass; negatives come from a single
/// permutation and are not repeated.
///
/// # Errors
/// [`Error::BatchSize`] if it is 0, exceeds the examples, or is odd in balanced sampling, which also refuses
/// other labels than 0 and 1 ([`Error::NotBinary`]), no positives ([`Error::NoPositives`]) and too few
/// negatives ([`Error::TooFewNegatives`]).
pub fn epoch(
    labels: &[u32],
    sampling: Sampling,
    batch_size: usize,
    epoch: usize,
    seed: Seed,
) -> Result<Vec<Vec<ExampleId>>> {
    let examples = labels.len();
    if batch_size == 0 || batch_size > examples {
        let allowed = "it must be at least 1 and at most their number";
        return Err(Error::BatchSize { batch_size, examples, allowed });
    }
    let seed = seed.derive(Purpose::Epoch, epoch as u64);
    let batches = examples / batch_size;
    match sampling {
        Sampling::Plain => {
            let order = seed.derive(Purpose::Order, 0).root_stream().permutation(examples);
            let batches = order.chunks_exact(batch_size);
            Ok(batches.map(|batch| batch.iter().copied().map(ExampleId::first).collect()).collect())
        }
        Sampling::Balanced => balanced(labels, batch_size, batches, seed),
    }
}

fn balanced(labels: &[u32], batch_size: usize, batches: usize, seed: Seed) -> Result<Vec<Vec<ExampleId>>> {
    let examples = labels.len();
    if !batch_size.is_multiple_of(2) {
        let allowed = "balanced batches have an even size";
        return Err(Error::BatchSize { batch_size, examples, allowed });
    }
    if let Some((index, &label)) = labels.iter().enumerate().find(|(_, label)| **label > 1) {
        return Err(Error::NotBinary { index, label });
    }
    let with_label = |wanted: u32| -> Vec<u32> {
        (0..examples as u32).filter(|&index| labels[index as usize] == wanted).collect()
    };
    let (positives, negatives) = (with_label(1), with_label(0));
    if positives.is_empty() {
        return Err(Error::NoPositives { examples });
    }
    let half = batch_size / 2;
    let needed = batches * half;
    if needed > negatives.len() {
        return Err(Error::TooFewNegatives { batches, needed, available: negatives.len() });
    }
    let order = seed.derive(Purpose::Order, 0).root_stream().permutation(negatives.len());
    let negatives = order.into_iter().map(|at| ExampleId::first(negatives[at as usize]));
    let positives = (0u32..).flat_map(|pass| {
        let order = seed.derive(Purpose::Positives, pass.into()).root_stream().permutation(positives.len());
        let positives = &positives;
        order.into_iter().map(move |at| ExampleId { index: positives[at as usize], occurrence: pass })
    });
    let (mut positives, mut negatives) = (positives, negatives);
    Ok((0..batches)
        .map(|_| positives.by_ref().take(half).chain(negatives.by_ref().take(half)).collect())
        .collect())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    /// Labels with `positives` ones somewhere among `negatives` zeros.
    fn labels(positives: usize, negatives: usize) -> Vec<u32> {
        let order = Seed::new(99).derive(Purpose::Test, 0).root_stream().permutation(positives + negatives);
        order.into_iter().map(|at| u32::from((at as usize) < positives)).collect()
    }

    proptest! {
        #[test]
        fn plain_epochs_show_nobody_twice(n in 1usize..200, batch in 1usize..40, number in 0usize..5, seed: u64) {
            prop_assume!(batch <= n);
            let made = epoch(&labels(0, n), Sampling::Plain, batch, number, Seed::new(seed)).unwrap();
            prop_assert_eq!(made.len(), n / batch);
            prop_assert!(made.iter().all(|ids| ids.len() == batch));
            let seen: HashSet<u32> = made.concat().iter().map(|id| id.index).collect();
            prop_assert_eq!(seen.len(), n / batch * batch);
            prop_assert!(made.concat().iter().all(|id| (id.index as usize) < n && id.occurrence == 0));
        }

        #[test]
        fn balanced_epochs_keep_their_laws(
            positives in 1usize..60, negatives in 60usize..200, half in 1usize..20, number in 0usize..5, seed: u64,
        ) {
            let labels = labels(positives, negatives);
            let made = epoch(&labels, Sampling::Balanced, 2 * half, number, Seed::new(seed)).unwrap();
            prop_assert_eq!(made.len(), labels.len() / (2 * half));
            let mut passes = vec![0u32; labels.len()];
            for ids in &made {
                prop_assert_eq!(ids.len(), 2 * half);
                let ones = ids.iter().filter(|id| labels[id.index as usize] == 1).count();
                prop_assert_eq!(ones, half);
                for id in ids {
                    // Occurrences count up one by one, so no address comes twice.
                    prop_assert_eq!(id.occurrence, passes[id.index as usize]);
                    passes[id.index as usize] += 1;
                }
            }
            let shown = |label: u32| -> Vec<u32> {
                passes.iter().zip(&labels).filter(|(_, l)| **l == label).map(|(p, _)| *p).collect()
            };
            prop_assert!(shown(0).iter().all(|&count| count <= 1), "a negative was repeated");
            let ones = shown(1);
            let (least, most) = (ones.iter().min().unwrap(), ones.iter().max().unwrap());
            prop_assert!(most - least <= 1, "a pass began before the last one ended: {:?}", ones);
        }

        #[test]
        fn epochs_are_repeatable_and_differ(seed: u64) {
            let labels = labels(20, 100);
            for sampling in [Sampling::Plain, Sampling::Balanced] {
                let make = |number, seed| epoch(&labels, sampling, 8, number, Seed::new(seed)).unwrap();
                prop_assert_eq!(make(3, seed), make(3, seed));
                prop_assert_ne!(make(3, seed), make(4, seed));
                prop_assert_ne!(make(3, seed), make(3, seed ^ 1));
            }
        }
    }

    #[test]
    fn passes_over_the_positives_have_orders_of_their_own() {
        let labels = labels(10, 90);
        let made = epoch(&labels, Sampling::Balanced, 20, 0, Seed::new(5)).unwrap();
        let orders: HashSet<Vec<u32>> =
            made.iter().map(|ids| ids[..10].iter().map(|id| id.index).collect()).collect();
        assert_eq!(orders.len(), 5);
    }

    #[test]
    fn what_cannot_be_sampled_is_refused() {
        let make = |labels: &[u32], sampling, batch| epoch(labels, sampling, batch, 0, Seed::new(1));
        let (plain, balanced) = (Sampling::Plain, Sampling::Balanced);
        for batch in [0, 5] {
            assert!(matches!(make(&[0, 1, 0, 1], plain, batch), Err(Error::BatchSize { .. })));
        }
        assert!(matches!(make(&[0, 1, 0, 1], balanced, 3), Err(Error::BatchSize { batch_size: 3, .. })));
        assert!(matches!(make(&[0, 1, 2, 1], balanced, 2), Err(Error::NotBinary { index: 2, label: 2 })));
        assert!(matches!(make(&[0; 4], balanced, 2), Err(Error::NoPositives { examples: 4 })));
        assert!(matches!(
            make(&[1, 1, 0, 1], balanced, 2),
            Err(Error::TooFewNegatives { batches: 2, needed: 2, available: 1 })
        ));
    }
}
