//! Some images of a batch in training, with all that their way back needs.

use robin_kernels::aligned::Aligned;
use robin_kernels::layout::Layout;

use super::super::apply::Masks;
use super::super::lower::{Operation, Program, Step, ValueId};
use super::super::slots::{Slot, Slots};

/// Values that idle buffers of a chunk may hold: 2 MB. Beyond that, buffers of one size are let go while others are in use.
const IDLE: usize = 1 << 19;

/// Buffers of one chunk. Those of values, of `inner` and of gradients are empty unless in use.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    pub(super) images: usize,
    /// Each value.
    pub(super) values: Vec<Aligned>,
    /// Of each step with something between its convolution and its output: what the convolution made, later the
    /// gradient on it.
    pub(super) inner: Vec<Aligned>,
    pub(super) masks: Vec<Masks>,
    /// The slots that the way back uses.
    pub(super) gradients: Vec<Aligned>,
    idle: Idle,
}

/// Buffers that nobody uses, with what lies in them: halos stay zero.
#[derive(Debug, Default)]
struct Idle(Vec<(Layout, Aligned)>);

impl Idle {
    /// A buffer for `images` images whose halos are zero; the rest of it may be anything.
    fn take(&mut self, layout: &Layout, images: usize) -> Aligned {
        let len = images * layout.image();
        let fits = |(idle, buffer): &(Layout, Aligned)| idle == layout && buffer.len() >= len;
        match self.0.iter().rposition(fits) {
            Some(at) => self.0.remove(at).1,
            None => {
                self.shrink(IDLE.saturating_sub(len));
                Aligned::zeros(len)
            }
        }
    }

    /// Lets the buffers go that were idle longest, until the others hold at most `len` values.
    fn shrink(&mut self, len: usize) {
        let mut held: usize = self.0.iter().map(|(_, buffer)| buffer.len()).sum();
        let excess = self.0.iter().take_while(|(_, buffer)| {
            let over = held > len;
            held -= buffer.len();
            over
        });
        let excess = excess.count();
        self.0.drain(..excess);
    }

    fn give(&mut self, layout: &Layout, buffer: &mut Aligned) {
        if !buffer.is_empty() {
            self.0.push((*layout, std::mem::take(buffer)));
            self.shrink(IDLE);
        }
    }
}

impl Chunk {
    /// Empty places for everything about `images` images, and room for masks; what there is is used again.
    pub(super) fn make_room(&mut self, program: &Program, slots: &Slots, images: usize) {
        self.images = images;
        self.values.resize_with(program.layouts.len(), Aligned::default);
        self.inner.resize_with(program.steps.len(), Aligned::default);
        self.gradients.resize_with(slots.layouts.len(), Aligned::default);
        self.masks.resize_with(program.steps.len(), Masks::default);
        for (step, masks) in program.steps.iter().zip(&mut self.masks) {
            masks.make_room(step, &program.layouts[step.output], images);
        }
    }

    /// A buffer to be put into its place.
    pub(super) fn take(&mut self, layout: &Layout) -> Aligned {
        self.idle.take(layout, self.images)
    }

    /// A buffer for a gradient, unless it is there.
    pub(super) fn open_gradient(&mut self, slots: &Slots, slot: Slot) {
        if self.gradients[slot].is_empty() {
            self.gradients[slot] = self.take(&slots.layouts[slot]);
        }
    }

    /// Lets go of a value, if it is there.
    pub(super) fn drop_value(&mut self, program: &Program, value: ValueId) {
        self.idle.give(&program.layouts[value], &mut self.values[value]);
    }

    /// Lets go of what a step's convolution made, if it is there.
    pub(super) fn drop_inner(&mut self, program: &Program, at: usize) {
        if let Some(layout) = inner_layout(program, &program.steps[at]) {
            self.idle.give(&layout, &mut self.inner[at]);
        }
    }

    /// Lets go of a gradient, if it is there.
    pub(super) fn drop_gradient(&mut self, slots: &Slots, slot: Slot) {
        self.idle.give(&slots.layouts[slot], &mut self.gradients[slot]);
    }

    /// Lets go of everything, whatever a failed step left.
    pub(super) fn clear(&mut self, program: &Program, slots: &Slots) {
        (0..self.values.len()).for_each(|value| self.drop_value(program, value));
        (0..self.inner.len()).for_each(|at| self.drop_inner(program, at));
        (0..self.gradients.len()).for_each(|slot| self.drop_gradient(slots, slot));
    }
}

/// How what a convolution makes lies where a batch norm or pooling comes before the step's output.
pub(super) fn inner_layout(program: &Program, step: &Step) -> Option<Layout> {
    match &step.operation {
        Operation::Conv2d { geometry, norm, pooled, .. } if norm.is_some() || *pooled => {
            Some(program.before_pooling(geometry, step.output))
        }
        _ => None,
    }
}
