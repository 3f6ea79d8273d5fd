//! Threads that share work, and whether one of them has nothing to do.
//!
//! Networks train side by side, one on each thread of a pool, and a thread without one helps the others. While every
//! thread has a network of its own, nobody is there to help: parts of a loop handed out all the same are taken by a
//! thread that happens to wait for a moment, whose caches hold another network's values, and then both wait for each other.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The threads of a pool.
#[derive(Debug, Clone)]
pub struct Occupancy {
    threads: usize,
    /// Threads that have work of their own.
    busy: Arc<AtomicUsize>,
}

thread_local! {
    static MINE: RefCell<Option<Occupancy>> = const { RefCell::new(None) };
}

impl Occupancy {
    /// A pool of `threads` threads, none of which has work of its own.
    pub fn new(threads: usize) -> Self {
        Self { threads, busy: Arc::default() }
    }

    /// Does `work`, this thread's own. This thread then belongs to the pool, whose every thread is to call this or
    /// [`Occupancy::enter`].
    pub fn work<R>(&self, work: impl FnOnce() -> R) -> R {
        self.enter();
        self.busy.fetch_add(1, Ordering::Relaxed);
        let _leave = Leave(&self.busy);
        work()
    }

    /// Makes this thread one of the pool.
    pub fn enter(&self) {
        MINE.set(Some(self.clone()));
    }
}

/// Takes one from the busy threads, after a panic too.
struct Leave<'a>(&'a AtomicUsize);

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Whether every thread of this thread's pool has work of its own, so that nobody would take parts of a loop. No result may
/// depend on it.
pub fn all_busy() -> bool {
    let all = |occupancy: &Occupancy| occupancy.busy.load(Ordering::Relaxed) >= occupancy.threads;
    MINE.with_borrow(|mine| mine.as_ref().is_some_and(all))
}

/// Items that a loop is to leave together at least, for rayon's `with_min_len`: all, or any number.
pub fn piece() -> usize {
    if all_busy() { usize::MAX } else { 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loops_stay_whole_while_every_thread_of_the_crew_works() {
        let occupancy = Occupancy::new(2);
        assert_eq!(piece(), 1, "in no pool");
        occupancy.work(|| {
            assert_eq!(piece(), 1, "the other thread is idle");
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    assert_eq!(piece(), 1, "not yet of the pool");
                    occupancy.work(|| assert_eq!(piece(), usize::MAX));
                    assert_eq!(piece(), 1, "idle again");
                    let panic = std::panic::catch_unwind(|| occupancy.work(|| panic!("on purpose")));
                    assert!(panic.is_err() && piece() == 1, "after a panic");
                });
            });
        });
    }
}
