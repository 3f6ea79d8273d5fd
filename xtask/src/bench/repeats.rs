//! How often a measurement is repeated.

/// Seconds of a repetition from which on another one is dear.
const SLOW: f64 = 10.0;
/// Seconds that are measured if nothing else is asked for...
const BUDGET: f64 = 30.0;
/// ... within these numbers of repetitions; slow ones need only two.
const FEWEST: usize = 3;
const MOST: usize = 15;

/// Decides, from the seconds of the repetitions so far, which of them count and whether there are enough.
/// `fixtures/pytorch/bench.py` follows the same rule.
#[derive(Debug, Clone, Copy)]
pub(super) struct Repeats {
    /// The number asked for, if any.
    pub(super) asked: Option<usize>,
}

impl Repeats {
    /// Repetitions that go before the first that counts: two, one if they are slow.
    fn warm_up(seconds: &[f64]) -> usize {
        if seconds.first().is_some_and(|&first| first > SLOW) { 1 } else { 2 }
    }

    /// The repetitions that count.
    pub(super) fn measured(seconds: &[f64]) -> &[f64] {
        seconds.get(Self::warm_up(seconds)..).unwrap_or_default()
    }

    /// Whether nothing more need be done.
    pub(super) fn enough(self, seconds: &[f64]) -> bool {
        let measured = Self::measured(seconds);
        let fewest = if Self::warm_up(seconds) == 1 { 2 } else { FEWEST };
        match self.asked {
            Some(asked) => measured.len() >= asked,
            None => {
                measured.len() >= MOST || (measured.len() >= fewest && measured.iter().sum::<f64>() >= BUDGET)
            }
        }
    }

    /// No more repetitions than these are ever needed.
    pub(super) fn most(self) -> usize {
        2 + self.asked.unwrap_or(MOST)
    }
}
