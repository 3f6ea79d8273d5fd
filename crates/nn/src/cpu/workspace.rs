//! Buffers that a thread keeps from pass to pass, so that a step allocates nothing once it has run.

use std::cell::RefCell;

use robin_kernels::aligned::Aligned;
use robin_kernels::layout::Layout;

use super::apply::Scratch;

/// One thread's buffers.
#[derive(Debug, Default)]
pub(super) struct Workspace {
    /// The layouts that the slots were made for.
    layouts: Vec<Layout>,
    pub(super) slots: Vec<Aligned>,
    pub(super) scratch: Scratch,
}

thread_local! {
    static WORKSPACE: RefCell<Workspace> = RefCell::default();
}

/// Calls `work` with this thread's buffers, whose slots have room for `images` images of `layouts`. The slots' halos are
/// zero, and must stay so.
pub(super) fn with<R>(layouts: &[Layout], images: usize, work: impl FnOnce(&mut Workspace) -> R) -> R {
    WORKSPACE.with_borrow_mut(|workspace| {
        if workspace.layouts != layouts {
            // Another network: its halos lie elsewhere.
            workspace.slots = layouts.iter().map(|layout| Aligned::zeros(images * layout.image())).collect();
            workspace.layouts = layouts.to_vec();
        }
        for (slot, layout) in workspace.slots.iter_mut().zip(layouts) {
            slot.grow(images * layout.image());
        }
        work(workspace)
    })
}

/// Values of a thread's slots that stay where another part of the program may want the memory: 8 MB.
const HELD: usize = 2 << 20;

/// Lets this thread's slots go if they are large and nobody uses them.
pub(super) fn leave() {
    WORKSPACE.with(|workspace| {
        let Ok(mut workspace) = workspace.try_borrow_mut() else { return };
        if workspace.slots.iter().map(|slot| slot.len()).sum::<usize>() > HELD {
            workspace.slots = Vec::new();
            workspace.layouts = Vec::new();
        }
    });
}

/// Calls `work` with this thread's scratch alone.
pub(super) fn with_scratch<R>(work: impl FnOnce(&mut Scratch) -> R) -> R {
    WORKSPACE.with_borrow_mut(|workspace| work(&mut workspace.scratch))
}
