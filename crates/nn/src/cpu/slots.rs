//! Which buffer holds which value when: decided once, by who reads what last.
//!
//! A slot holds values of one layout only, so that its halo stays zero for ever. Buffers are those of one thread, for
//! some images at a time.

#[cfg(test)]
pub(super) mod tests;

use robin_kernels::layout::Layout;

use super::lower::{INPUT, Operation, Program, ValueId};

/// A buffer by its number.
pub(super) type Slot = usize;

/// Slots of the values of a forward pass, and of their gradients on the way back.
#[derive(Debug)]
pub(super) struct Slots {
    /// How the values in each slot lie.
    pub(super) layouts: Vec<Layout>,
    /// Where each value is from its step to its last reader.
    pub(super) values: Vec<Slot>,
    /// The way back, in the order in which it is run.
    pub(super) back: Vec<BackStep>,
    /// Where the gradient on the scores is put.
    pub(super) output_gradient: Slot,
    /// Where the gradient on the input is at the end.
    pub(super) input_gradient: Slot,
}

/// One step of the way back.
#[derive(Debug, PartialEq)]
pub(super) enum BackStep {
    /// The gradient that step `step` hands to its input.
    Through {
        step: usize,
        /// Gradient on its output.
        from: Slot,
        to: Slot,
        /// What is added.
        add: Summand,
        /// Step whose masks say where the gradient on the input passes.
        masks: Option<usize>,
    },
    /// `to = from + add`, through masks: a gradient that reaches a value by sums alone.
    Sum { value: ValueId, from: Slot, to: Slot, add: Summand, masks: Option<usize> },
}

/// What is added to a gradient.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Summand {
    Nothing,
    /// What the destination holds.
    Destination,
    Slot(Slot),
}

impl Slots {
    pub(super) fn new(program: &Program) -> Self {
        let mut allocator = Allocator::default();
        let values = forward(program, &mut allocator);
        allocator.free_all();
        let mut back =
            Backward { program, allocator, gradients: vec![None; program.layouts.len()], steps: Vec::new() };
        let output_gradient = back.run();
        let input_gradient = back.gradients[INPUT].expect("every step reads what comes from the input").slot;
        Self { layouts: back.allocator.layouts, values, back: back.steps, output_gradient, input_gradient }
    }

    /// Values that all slots hold for one image.
    pub(super) fn len_of_image(&self) -> usize {
        self.layouts.iter().map(Layout::image).sum()
    }
}

/// Hands out slots, and takes them back.
#[derive(Default)]
struct Allocator {
    layouts: Vec<Layout>,
    /// How many still need each slot.
    users: Vec<usize>,
}

impl Allocator {
    fn take(&mut self, layout: Layout) -> Slot {
        let free =
            (0..self.layouts.len()).find(|&slot| self.users[slot] == 0 && self.layouts[slot] == layout);
        let slot = free.unwrap_or_else(|| {
            self.layouts.push(layout);
            self.users.push(0);
            self.layouts.len() - 1
        });
        self.users[slot] += 1;
        slot
    }

    fn release(&mut self, slot: Slot) {
        self.users[slot] -= 1;
    }

    fn free_all(&mut self) {
        self.users.fill(0);
    }
}

fn forward(program: &Program, allocator: &mut Allocator) -> Vec<Slot> {
    let mut last_reader = vec![0; program.layouts.len()];
    for (index, step) in program.steps.iter().enumerate() {
        last_reader[step.input] = index;
        if let Some(add) = step.add {
            last_reader[add] = index;
        }
    }
    last_reader[program.output] = program.steps.len();
    let mut slots = vec![allocator.take(program.layouts[INPUT])];
    for (index, step) in program.steps.iter().enumerate() {
        slots.push(allocator.take(program.layouts[step.output]));
        for (value, last) in last_reader[..slots.len()].iter().enumerate() {
            if *last == index && (value == step.input || Some(value) == step.add) {
                allocator.release(slots[value]);
            }
        }
    }
    slots
}

/// Gradient on a value as far as it is known.
#[derive(Debug, Clone, Copy)]
struct Gradient {
    slot: Slot,
    /// Whether it went through the masks of the value's rectifier.
    marked: bool,
}

struct Backward<'a> {
    program: &'a Program,
    allocator: Allocator,
    gradients: Vec<Option<Gradient>>,
    steps: Vec<BackStep>,
}

impl Backward<'_> {
    /// Returns the slot of the gradient on the scores.
    fn run(&mut self) -> Slot {
        let output = self.allocator.take(self.program.layouts[self.program.output]);
        self.gradients[self.program.output] = Some(Gradient { slot: output, marked: false });
        for (index, step) in self.program.steps.iter().enumerate().rev() {
            let from = self.through_marks(step.output);
            if let Some(other) = step.add {
                self.share(other, from);
            }
            if matches!(step.operation, Operation::Copy) {
                self.share(step.input, from);
            } else {
                let (to, add) = self.destination(step.input);
                let masks = self.program.rectified_by(step.input);
                self.steps.push(BackStep::Through { step: index, from, to, add, masks });
                self.gradients[step.input] = Some(Gradient { slot: to, marked: masks.is_some() });
            }
            self.allocator.release(from);
        }
        output
    }

    /// The whole gradient on `value`, all of whose readers were passed, through its own rectifier.
    fn through_marks(&mut self, value: ValueId) -> Slot {
        let gradient = self.gradients[value].expect("every value is read, or is the output");
        let masks = self.program.rectified_by(value);
        if gradient.marked || masks.is_none() {
            return gradient.slot;
        }
        let to = self.allocator.take(self.program.layouts[value]);
        self.steps.push(BackStep::Sum { value, from: gradient.slot, to, add: Summand::Nothing, masks });
        self.allocator.release(gradient.slot);
        to
    }

    /// Adds the gradient in slot `from` to that on `value`: by sharing the slot where it is the first.
    fn share(&mut self, value: ValueId, from: Slot) {
        match self.gradients[value] {
            None => {
                self.allocator.users[from] += 1;
                self.gradients[value] = Some(Gradient { slot: from, marked: false });
            }
            Some(_) => {
                let (to, add) = self.destination(value);
                let masks = self.program.rectified_by(value);
                self.steps.push(BackStep::Sum { value, from, to, add, masks });
                self.gradients[value] = Some(Gradient { slot: to, marked: masks.is_some() });
            }
        }
    }

    /// Where the next summand of the gradient on `value` goes, and what is to be added to it.
    fn destination(&mut self, value: ValueId) -> (Slot, Summand) {
        match self.gradients[value] {
            None => (self.allocator.take(self.program.layouts[value]), Summand::Nothing),
            Some(Gradient { slot, .. }) if self.allocator.users[slot] == 1 => (slot, Summand::Destination),
            Some(Gradient { slot, .. }) => {
                let to = self.allocator.take(self.program.layouts[value]);
                self.allocator.release(slot);
                (to, Summand::Slot(slot))
            }
        }
    }
}
