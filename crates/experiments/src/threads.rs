//! How many threads compute: as many as were asked for, within what the machine can use.

use std::sync::Once;

use crate::environment::cores;
use crate::{Error, Result};

/// Threads that every machine starts without a thought, however few its cores: a training of ten arms that each want a
/// thread, on two cores.
const ALWAYS: usize = 64;

/// Threads for each core, at most.
const A_CORE: usize = 4;

/// The threads that `--threads` asks for, one per core without it; warns once of more than there are cores.
///
/// # Errors
/// [`Error::Zero`] for none, [`Error::TooMany`] for more than four a core, where that is more than 64.
pub fn threads(asked: Option<usize>) -> Result<usize> {
    static WARNED: Once = Once::new();
    let (cores, threads) = (cores(), within("--threads", asked, cores())?);
    if threads > cores {
        WARNED.call_once(|| {
            tracing::warn!(
                threads,
                cores,
                "more threads than cores: they wait for each other, and gain nothing"
            );
        });
    }
    Ok(threads)
}

/// Jobs side by side on `threads` threads that `--jobs` asks for, one a thread without it.
///
/// # Errors
/// As [`threads`].
pub fn jobs(asked: Option<usize>, threads: usize) -> Result<usize> {
    within("--jobs", asked, threads)
}

/// A pool of as many threads as were asked for.
///
/// # Errors
/// As [`threads`], or [`Error::Threads`] if the system starts no more.
pub fn pool(asked: Option<usize>) -> Result<rayon::ThreadPool> {
    let threads = threads(asked)?;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    pool.map_err(|source| Error::Threads { threads, source })
}

fn within(option: &'static str, asked: Option<usize>, otherwise: usize) -> Result<usize> {
    let (cores, asked) = (cores(), asked.unwrap_or(otherwise));
    let most = cores.saturating_mul(A_CORE).max(ALWAYS);
    match asked {
        0 => Err(Error::Zero { option }),
        asked if asked > most => Err(Error::TooMany { option, asked, most, cores }),
        asked => Ok(asked),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_machine_can_use_is_refused_with_what_it_has() {
        assert_eq!(
            (threads(None).unwrap(), threads(Some(64)).unwrap(), jobs(None, 3).unwrap()),
            (cores(), 64, 3)
        );
        let most = (4 * cores()).max(64);
        for asked in [most + 1, 100_000, usize::MAX] {
            for error in [
                threads(Some(asked)).unwrap_err(),
                jobs(Some(asked), 1).unwrap_err(),
                pool(Some(asked)).unwrap_err(),
            ] {
                let text = error.to_string();
                let numbers = [asked, most, cores()].map(|number| number.to_string());
                assert!(error.is_usage() && numbers.iter().all(|number| text.contains(number)), "{text}");
            }
        }
        for error in [threads(Some(0)).unwrap_err(), jobs(Some(0), 1).unwrap_err()] {
            assert!(matches!(error, Error::Zero { .. }), "{error}");
        }
        assert_eq!(pool(Some(3)).unwrap().current_num_threads(), 3);
    }
}
