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
    /// Each batch has as many examples of one label as of another: of an arm half (paper, appendix B.3).
    Balanced,
}

/// The batches of one epoch: `floor(n / batch_size)` of exactly `batch_size` examples; what is left over
/// sits out this epoch. `labels` `[n]` are the mapped ones, `seed` is the training's, `epoch` counts from 0.
///
/// In balanced batches the numbers of two labels differ by one at most, where the batch cannot be shared out evenly. The
/// examples of a label go through one fresh permutation after another, an example's `occurrence` being the number of the pass.
/// There are at least labels 0 and 1.
///
/// # Errors
/// [`Error::BatchSize`] if it is 0 or exceeds the examples; [`Error::MissingLabel`] if a label up to the largest one has no
/// example, in balanced sampling.
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
    let count = labels.iter().max().map_or(0, |&most| most + 1).max(2);
    let mut of_label: Vec<Vec<u32>> = vec![Vec::new(); count as usize];
    for (index, &label) in (0u32..).zip(labels) {
        of_label[label as usize].push(index);
    }
    if let Some(label) = of_label.iter().position(Vec::is_empty) {
        return Err(Error::MissingLabel { label, examples });
    }
    let mut of_label: Vec<_> =
        (0u32..).zip(&of_label).map(|(label, of_it)| passes(label, of_it, seed)).collect();
    let (each, over) = (batch_size / of_label.len(), batch_size % of_label.len());
    let batch = |number: usize| {
        // What is over goes around.
        let mut shares = vec![each; of_label.len()];
        (number * over..(number + 1) * over).for_each(|turn| shares[turn % of_label.len()] += 1);
        // An arm's positives stand first, as they always did.
        let mut ids: Vec<(usize, ExampleId)> = Vec::with_capacity(batch_size);
        for (label, (source, share)) in of_label.iter_mut().zip(shares).enumerate() {
            ids.extend(source.take(share).map(|id| (label ^ 1, id)));
        }
        ids.sort_by_key(|(place, _)| *place);
        ids.into_iter().map(|(_, id)| id).collect()
    };
    Ok((0..batches).map(batch).collect())
}

/// The examples `of_it` that have `label`, in one fresh permutation after another.
fn passes(label: u32, of_it: &[u32], seed: Seed) -> impl Iterator<Item = ExampleId> {
    (0u32..).flat_map(move |pass| {
        let address = (u64::from(label ^ 1) << 32) | u64::from(pass);
        let seed = match (label, pass) {
            // Negatives are seldom used up; their first pass has the order that it always had.
            (0, 0) => seed.derive(Purpose::Order, 0),
            _ => seed.derive(Purpose::Positives, address),
        };
        let order = seed.root_stream().permutation(of_it.len());
        order.into_iter().map(move |at| ExampleId { index: of_it[at as usize], occurrence: pass })
    })
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
            counts in prop::collection::vec(1usize..60, 2..6), batch in 1usize..40, number in 0usize..5, seed: u64,
        ) {
            let labels: Vec<u32> =
                (0u32..).zip(&counts).flat_map(|(label, &count)| std::iter::repeat_n(label, count)).collect();
            prop_assume!(batch <= labels.len());
            let made = epoch(&labels, Sampling::Balanced, batch, number, Seed::new(seed)).unwrap();
            prop_assert_eq!(made.len(), labels.len() / batch);
            let mut passes = vec![0u32; labels.len()];
            let spread = |counts: &[usize]| counts.iter().max().unwrap() - counts.iter().min().unwrap();
            let mut shown = vec![0; counts.len()];
            for ids in &made {
                prop_assert_eq!(ids.len(), batch);
                let mut here = vec![0; counts.len()];
                for id in ids {
                    here[labels[id.index as usize] as usize] += 1;
                    // Occurrences count up one by one, so no address comes twice.
                    prop_assert_eq!(id.occurrence, passes[id.index as usize]);
                    passes[id.index as usize] += 1;
                }
                prop_assert!(spread(&here) <= 1, "{:?}", here);
                shown.iter_mut().zip(here).for_each(|(shown, here)| *shown += here);
            }
            prop_assert!(spread(&shown) <= 1, "what is over goes around: {:?}", shown);
            for label in 0..counts.len() as u32 {
                let of_it: Vec<usize> =
                    passes.iter().zip(&labels).filter(|(_, l)| **l == label).map(|(p, _)| *p as usize).collect();
                prop_assert!(spread(&of_it) <= 1, "a pass began before the last one ended: {:?}", of_it);
            }
        }

        /// What an arm was always trained on: its records say so.
        #[test]
        fn batches_of_an_arm_are_what_they_were(seed: u64) {
            let labels = labels(7, 60);
            let of_label = |wanted: u32| -> Vec<u32> {
                (0..labels.len() as u32).filter(|&index| labels[index as usize] == wanted).collect()
            };
            let (ones, zeros) = (of_label(1), of_label(0));
            let made = epoch(&labels, Sampling::Balanced, 8, 2, Seed::new(seed)).unwrap();
            let seed = Seed::new(seed).derive(Purpose::Epoch, 2);
            let negatives = seed.derive(Purpose::Order, 0).root_stream().permutation(zeros.len());
            let positives = (0..5).flat_map(|pass| {
                let order = seed.derive(Purpose::Positives, pass).root_stream().permutation(ones.len());
                order.into_iter().map(|at| ones[at as usize]).collect::<Vec<_>>()
            });
            let positives: Vec<u32> = positives.collect();
            for (number, ids) in made.iter().enumerate() {
                let found: Vec<u32> = ids.iter().map(|id| id.index).collect();
                let zeros = negatives[4 * number..][..4].iter().map(|&at| zeros[at as usize]);
                let expected: Vec<u32> = positives[4 * number..][..4].iter().copied().chain(zeros).collect();
                prop_assert_eq!(found, expected);
            }
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
        for (labels, missing) in [([0; 4], 1), ([1; 4], 0), ([0, 1, 3, 3], 2)] {
            let found = make(&labels, balanced, 2);
            assert!(matches!(found, Err(Error::MissingLabel { label, examples: 4 }) if label == missing));
        }
    }
}
