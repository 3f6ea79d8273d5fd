//! Some images of a batch in training, with all that their way back needs.

use robin_kernels::aligned::Aligned;
use robin_kernels::layout::Layout;

use super::super::apply::Marks;
use super::super::lower::{Operation, Program, Step};
use super::super::slots::Slots;

/// Buffers of one chunk; kept from step to step.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    pub(super) images: usize,
    /// Each value; the weights' gradients need them.
    pub(super) values: Vec<Aligned>,
    /// Of each step with something between its convolution and its output: what the convolution made, later the
    /// gradient on it.
    pub(super) inner: Vec<Aligned>,
    pub(super) marks: Vec<Marks>,
    /// The slots that the way back uses.
    pub(super) gradients: Vec<Aligned>,
}

impl Chunk {
    /// Makes room for `images` images; what there is is used again.
    pub(super) fn make_room(&mut self, program: &Program, slots: &Slots, images: usize) {
        self.images = images;
        let grow = |buffers: &mut Vec<Aligned>, layouts: &mut dyn Iterator<Item = Option<Layout>>| {
            for (at, layout) in layouts.enumerate() {
                if buffers.len() <= at {
                    buffers.push(Aligned::default());
                }
                if let Some(layout) = layout {
                    buffers[at].grow(images * layout.image());
                }
            }
        };
        grow(&mut self.values, &mut program.layouts.iter().map(|layout| Some(*layout)));
        grow(&mut self.inner, &mut program.steps.iter().map(|step| inner_layout(program, step)));
        let used = slots.used_on_the_way_back();
        let layouts = slots.layouts.iter().enumerate();
        grow(&mut self.gradients, &mut layouts.map(|(slot, layout)| used.contains(&slot).then_some(*layout)));
        self.marks.resize_with(program.steps.len(), Marks::default);
        for (step, marks) in program.steps.iter().zip(&mut self.marks) {
            marks.make_room(step, &program.layouts[step.output], images);
        }
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
