//! What a training step keeps from its way forward, what it computes again on its way back, and when each buffer is
//! done with.
//!
//! A value behind a batch norm is a function of what lies before it and of statistics that are known by then. So the
//! way forward lets go of what a convolution made before a batch norm, and of the normalised values themselves where
//! nothing was added to them and no pooling made them small; the way back makes them again, bit for bit, just before
//! it needs them. That is about one forward pass more, of the twenty-three passes of a step with PGD-10; what is
//! kept for the whole batch are sums (a residual network's blocks), pooled images and values without a batch norm.

#[cfg(test)]
mod tests;

use super::super::lower::{INPUT, Operation, Program, Step, ValueId};
use super::super::slots::{BackStep, Slot, Slots, Summand};

/// When buffers are done with.
#[derive(Debug, PartialEq)]
pub(in super::super) struct Lifetimes {
    /// After each step on the way forward: values that nobody reads again, or that are computed again.
    pub(super) forward: Vec<Vec<ValueId>>,
    /// After the scores were read.
    pub(super) scores: Vec<ValueId>,
    /// After each step on the way back.
    pub(super) back: Vec<Done>,
}

/// What nobody reads after a step on the way back.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Done {
    pub(super) values: Vec<ValueId>,
    pub(super) gradients: Vec<Slot>,
}

impl Lifetimes {
    pub(in super::super) fn new(program: &Program, slots: &Slots) -> Self {
        let mut forward = vec![Vec::new(); program.steps.len()];
        let mut back: Vec<Done> = slots.back.iter().map(|_| Done::default()).collect();
        let mut scores = Vec::new();
        for value in 0..program.layouts.len() {
            let last_needed = last_needed(program, slots, value);
            if let Some(at) = last_needed {
                back[at].values.push(value);
            }
            let kept = last_needed.is_some() && !is_computed_again(program, value);
            match last_reader(program, value) {
                _ if kept => {}
                Some(step) if value != program.output => forward[step].push(value),
                _ => scores.push(value),
            }
        }
        release_gradients(slots, &mut back);
        Self { forward, scores, back }
    }
}

/// Whether the way back makes `value` again instead of keeping it.
pub(super) fn is_computed_again(program: &Program, value: ValueId) -> bool {
    let Some(step) = made_by(program, value).map(|step| &program.steps[step]) else { return false };
    normed_by(step).is_some() && step.add.is_none() && !step.operation.is_pooled()
}

/// Whether a step's convolution is rather computed a third time than kept for its own way back: it reads the images, which
/// have few channels.
pub(super) fn is_cheap(step: &Step) -> bool {
    step.input == INPUT
}

/// The step that makes `value`, if it is not what the network reads.
pub(super) fn made_by(program: &Program, value: ValueId) -> Option<usize> {
    program.steps.iter().position(|step| step.output == value)
}

/// Name of the batch norm in a step.
pub(super) fn normed_by(step: &Step) -> Option<&str> {
    match &step.operation {
        Operation::Conv2d { norm, .. } => norm.as_deref(),
        Operation::BatchNorm2d { name } => Some(name),
        _ => None,
    }
}

/// The last step forward that reads `value`.
fn last_reader(program: &Program, value: ValueId) -> Option<usize> {
    program.steps.iter().rposition(|step| step.input == value || step.add == Some(value))
}

/// The last step of the way back that needs `value`: for gradients on weights, for a batch norm, or to compute what was let
/// go.
fn last_needed(program: &Program, slots: &Slots, value: ValueId) -> Option<usize> {
    slots.back.iter().rposition(|back| match back {
        BackStep::Through { step, .. } => {
            let step = &program.steps[*step];
            let needs = matches!(
                step.operation,
                Operation::Conv2d { .. } | Operation::Linear { .. } | Operation::BatchNorm2d { .. }
            );
            needs && step.input == value
        }
        BackStep::Sum { .. } => false,
    })
}

/// Says after which step each gradient is read no more.
fn release_gradients(slots: &Slots, back: &mut [Done]) {
    let mut is_read_later = vec![false; slots.layouts.len()];
    for (step, done) in slots.back.iter().zip(back).rev() {
        let (BackStep::Through { from, to, add, .. } | BackStep::Sum { from, to, add, .. }) = *step;
        if !is_read_later[to] {
            // Nobody wants it: the gradient on the images.
            done.gradients.push(to);
        }
        let summand = match add {
            Summand::Nothing => None,
            Summand::Destination => Some(to),
            Summand::Slot(slot) => Some(slot),
        };
        is_read_later[to] = false;
        for slot in std::iter::once(from).chain(summand) {
            if !is_read_later[slot] && slot != to {
                done.gradients.push(slot);
            }
            is_read_later[slot] = true;
        }
    }
}
