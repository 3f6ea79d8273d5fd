//! Whether other threads of the pool would take parts of a loop.

use robin_core::occupancy;

pub(super) use occupancy::piece;

/// Threads among which a loop may be shared.
pub(super) fn threads() -> usize {
    if occupancy::all_busy() { 1 } else { rayon::current_num_threads() }
}

/// Does both, side by side if a thread would take one of them.
pub(super) fn join<A: Send, B: Send>(
    one: impl FnOnce() -> A + Send,
    other: impl FnOnce() -> B + Send,
) -> (A, B) {
    if occupancy::all_busy() { (one(), other()) } else { rayon::join(one, other) }
}
