//! Two kinds of work on a GPU that exclude each other, each side by side with its own kind.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Recordings, and what spoils them: a recording is lost if another thread has the whole device waited for, which libraries do
/// when their handles are made or destroyed, when memory is asked of the driver itself, and when algorithms are measured.
#[derive(Debug, Default)]
pub(in super::super) struct Turns {
    /// How many there are now, by [`Kind`].
    now: Mutex<[usize; 2]>,
    changed: Condvar,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Kind {
    Recording,
    Disturbing,
}

/// A turn that ends when it is dropped.
#[derive(Debug)]
pub(in super::super) struct Turn<'a>(&'a Turns, Kind);

impl Turns {
    /// Waits until nothing of the other kind is going on. Whoever has a turn must not ask for the other one.
    pub(in super::super) fn begin(&self, kind: Kind) {
        let mut now = self.now();
        while now[1 - kind as usize] > 0 {
            now = self.changed.wait(now).unwrap_or_else(PoisonError::into_inner);
        }
        now[kind as usize] += 1;
    }

    /// Ends what [`Turns::begin`] began.
    pub(in super::super) fn end(&self, kind: Kind) {
        self.now()[kind as usize] -= 1;
        self.changed.notify_all();
    }

    /// A turn of work that would spoil recordings.
    pub(in super::super) fn disturb(&self) -> Turn<'_> {
        self.begin(Kind::Disturbing);
        Turn(self, Kind::Disturbing)
    }

    fn now(&self) -> MutexGuard<'_, [usize; 2]> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.end(self.1);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn the_same_kind_goes_on_side_by_side() {
        let turns = Turns::default();
        turns.begin(Kind::Recording);
        turns.begin(Kind::Recording);
        turns.end(Kind::Recording);
        turns.end(Kind::Recording);
        let _both = [turns.disturb(), turns.disturb()];
    }

    #[test]
    fn the_other_kind_waits() {
        let (turns, recording, spoilt) = (Turns::default(), AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let (turns, recording, spoilt) = (&turns, &recording, &spoilt);
                scope.spawn(move || {
                    for _ in 0..200 {
                        if thread % 2 == 0 {
                            turns.begin(Kind::Recording);
                            recording.fetch_add(1, Ordering::SeqCst);
                            std::thread::yield_now();
                            recording.fetch_sub(1, Ordering::SeqCst);
                            turns.end(Kind::Recording);
                        } else {
                            let _turn = turns.disturb();
                            spoilt.fetch_add(recording.load(Ordering::SeqCst), Ordering::SeqCst);
                        }
                    }
                });
            }
        });
        assert_eq!(spoilt.into_inner(), 0);
    }
}
