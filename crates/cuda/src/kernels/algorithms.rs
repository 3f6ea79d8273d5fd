//! Which of several algorithms computes a product: found out once for each size, and remembered.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};

use super::{Error, Result};

/// How an algorithm is chosen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Selection {
    /// The fastest one, measured. Another run may choose another, whose sums have another order.
    #[default]
    Fastest,
    /// The first, in an order that does not change, of those that run and give the same bits in every run.
    Repeatable,
}

/// An algorithm that was tried, or proposed.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial<A> {
    /// What the library calls it.
    pub algorithm: A,
    /// Milliseconds measured or expected; or why it cannot be used.
    pub time: Result<f32, String>,
    /// Bytes of scratch memory.
    pub workspace: usize,
    /// Whether it gives the same bits in every run.
    pub repeatable: bool,
}

/// Remembers for each key what was chosen.
#[derive(Debug)]
pub struct AlgorithmCache<K, A> {
    chosen: Mutex<HashMap<K, Trial<A>>>,
}

impl<K, A> Default for AlgorithmCache<K, A> {
    fn default() -> Self {
        Self { chosen: Mutex::default() }
    }
}

impl<K: Clone + Eq + Hash + fmt::Debug, A: Clone + fmt::Debug> AlgorithmCache<K, A> {
    /// The algorithm for `key`: what was chosen before, or the best of what `trials` finds, which is called once for each
    /// key, also by several threads. `workspace` is the most bytes that it may use. Failures are not remembered.
    ///
    /// # Errors
    /// As `trials`; [`Error::NoAlgorithm`] if none of them can be used.
    pub fn choose(
        &self,
        key: &K,
        selection: Selection,
        workspace: usize,
        trials: impl FnOnce() -> Result<Vec<Trial<A>>>,
    ) -> Result<Trial<A>> {
        let mut chosen = self.chosen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = chosen.get(key) {
            return Ok(known.clone());
        }
        let trials = trials()?;
        let usable = |trial: &&Trial<A>| {
            trial.time.is_ok()
                && trial.workspace <= workspace
                && (selection == Selection::Fastest || trial.repeatable)
        };
        let time = |trial: &Trial<A>| trial.time.clone().unwrap_or(f32::INFINITY);
        let best = match selection {
            Selection::Fastest => trials.iter().filter(usable).min_by(|a, b| time(a).total_cmp(&time(b))),
            Selection::Repeatable => trials.iter().find(usable),
        };
        let best = best.ok_or_else(|| Error::NoAlgorithm {
            what: format!("{key:?}"),
            tried: trials.iter().map(|trial| refusal(trial, workspace)).collect::<Vec<_>>().join(", "),
        })?;
        chosen.insert(key.clone(), best.clone());
        Ok(best.clone())
    }

    /// What was chosen for `key` before.
    pub fn known(&self, key: &K) -> Option<Trial<A>> {
        self.chosen.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }
}

fn refusal<A: fmt::Debug>(trial: &Trial<A>, workspace: usize) -> String {
    match &trial.time {
        Err(reason) => format!("{:?}: {reason}", trial.algorithm),
        Ok(_) if trial.workspace > workspace => {
            format!("{:?}: needs {} bytes, {workspace} are allowed", trial.algorithm, trial.workspace)
        }
        Ok(_) => format!("{:?}: not repeatable", trial.algorithm),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trial(algorithm: u8, time: f32, workspace: usize, repeatable: bool) -> Trial<u8> {
        Trial { algorithm, time: Ok(time), workspace, repeatable }
    }

    fn refused(algorithm: u8) -> Trial<u8> {
        Trial { algorithm, time: Err("not supported".to_owned()), workspace: 0, repeatable: true }
    }

    fn all() -> Vec<Trial<u8>> {
        vec![refused(0), trial(1, 0.5, 10, true), trial(2, 0.2, 10, false), trial(3, 0.1, 1000, true)]
    }

    #[test]
    fn the_fastest_that_fits_is_measured_once_and_remembered() {
        let cache = AlgorithmCache::default();
        let mut measured = 0;
        for _ in 0..3 {
            let found = cache.choose(&"conv", Selection::Fastest, 100, || {
                measured += 1;
                Ok(all())
            });
            assert_eq!(found.unwrap().algorithm, 2);
        }
        assert_eq!(measured, 1);
        assert_eq!(cache.choose(&"other", Selection::Fastest, 1000, || Ok(all())).unwrap().algorithm, 3);
        assert_eq!(cache.known(&"other").map(|known| known.algorithm), Some(3));
        assert!(cache.known(&"third").is_none());
    }

    #[test]
    fn a_repeatable_choice_takes_the_first_proposal_and_no_clock() {
        let cache = AlgorithmCache::default();
        let found = cache.choose(&1, Selection::Repeatable, 1000, || Ok(all())).unwrap();
        assert_eq!(found.algorithm, 1);
    }

    #[test]
    fn where_nothing_can_be_used_everything_is_named_and_tried_again_later() {
        let cache = AlgorithmCache::default();
        let trials = vec![refused(0), trial(1, 0.5, 10, false), trial(2, 0.1, 1000, true)];
        let error = cache.choose(&"key", Selection::Repeatable, 100, || Ok(trials)).unwrap_err().to_string();
        for part in
            ["\"key\"", "0: not supported", "1: not repeatable", "2: needs 1000 bytes, 100 are allowed"]
        {
            assert!(error.contains(part), "{error}");
        }
        assert!(cache.choose(&"key", Selection::Fastest, 100, || Ok(all())).is_ok());
    }

    #[test]
    fn threads_that_ask_at_the_same_time_measure_once() {
        let cache = AlgorithmCache::default();
        let measured = std::sync::atomic::AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    cache.choose(&0, Selection::Fastest, 100, || {
                        measured.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                        Ok(all())
                    })
                });
            }
        });
        assert_eq!(measured.into_inner(), 1);
    }
}
