//! The program's allocator.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// `mi_option_purge_delay` of mimalloc 2 and 3, for which the bindings have no name: milliseconds from a page's release to
/// its return to the system.
const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;

/// Freed memory goes back at once. An attack and the training step after it need different large buffers: kept for a while,
/// those of the one are in memory beside those of the other.
pub(crate) fn give_back_at_once() {
    // SAFETY: sets a number that the allocator reads when it frees.
    unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, 0) }
}
