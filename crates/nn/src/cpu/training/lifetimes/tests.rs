//! A training step on names instead of images: whatever a step reads is there, and at the end nothing is.

use std::collections::BTreeSet;

use super::super::super::slots::tests::{begin, conv, planned, random};
use super::*;

/// What is in memory, and how often each convolution before a batch norm was computed.
struct Run<'a> {
    program: &'a Program,
    values: BTreeSet<ValueId>,
    inner: BTreeSet<usize>,
    computed: Vec<usize>,
    /// The most values that were there at once.
    peak: usize,
}

impl Run<'_> {
    fn has_inner(&self, at: usize) -> bool {
        matches!(self.program.steps[at].operation, Operation::Conv2d { norm: Some(_), .. })
    }

    fn compute(&mut self, at: usize) {
        let step = &self.program.steps[at];
        assert!(self.values.contains(&step.input), "{step:?} reads what is not there");
        assert!(step.add.is_none_or(|add| self.values.contains(&add)), "{step:?} adds what is not there");
        self.computed[at] += 1;
        self.values.insert(step.output);
        self.peak = self.peak.max(self.values.len() + self.inner.len());
    }

    /// As `Training::inner_again`.
    fn inner_again(&mut self, at: usize) {
        if !self.inner.contains(&at) {
            self.value_again(self.program.steps[at].input);
            self.computed[at] += 1;
            self.inner.insert(at);
        }
    }

    /// As `Training::value_again`.
    fn value_again(&mut self, value: ValueId) {
        if self.values.contains(&value) {
            return;
        }
        let at = made_by(self.program, value).expect("the images are there");
        assert!(is_computed_again(self.program, value), "value {value} is not there");
        match self.has_inner(at) {
            true => self.inner_again(at),
            false => self.value_again(self.program.steps[at].input),
        }
        self.values.insert(value);
        self.peak = self.peak.max(self.values.len() + self.inner.len());
        if is_cheap(&self.program.steps[at]) {
            self.inner.remove(&at);
        }
    }
}

fn run<'a>(program: &'a Program, slots: &Slots) -> Run<'a> {
    let lifetimes = Lifetimes::new(program, slots);
    let mut run = Run {
        program,
        values: BTreeSet::from([INPUT]),
        inner: BTreeSet::new(),
        computed: vec![0; program.steps.len()],
        peak: 0,
    };
    for (at, done) in lifetimes.forward.iter().enumerate() {
        run.compute(at);
        done.iter().for_each(|value| assert!(run.values.remove(value), "{value} is let go twice"));
    }
    assert!(run.values.contains(&program.output));
    lifetimes.scores.iter().for_each(|value| assert!(run.values.remove(value), "{value} is let go twice"));

    let mut gradients = BTreeSet::from([slots.output_gradient]);
    for (back, done) in slots.back.iter().zip(&lifetimes.back) {
        let (BackStep::Through { from, to, add, .. } | BackStep::Sum { from, to, add, .. }) = *back;
        match add {
            Summand::Nothing => assert!(gradients.insert(to), "{back:?} writes over what is still read"),
            Summand::Destination => assert!(gradients.contains(&to), "{back:?}"),
            Summand::Slot(slot) => {
                assert!(gradients.contains(&slot), "{back:?}");
                assert!(gradients.insert(to), "{back:?} writes over what is still read");
            }
        }
        assert!(gradients.contains(&from), "{back:?} reads a gradient that is not there");
        if let BackStep::Through { step, .. } = *back {
            let input = program.steps[step].input;
            match program.steps[step].operation {
                Operation::Conv2d { norm: Some(_), .. } => run.inner_again(step),
                Operation::Conv2d { .. } | Operation::Linear { .. } | Operation::BatchNorm2d { .. } => {
                    run.value_again(input);
                }
                _ => {}
            }
            if matches!(program.steps[step].operation, Operation::Conv2d { .. } | Operation::Linear { .. }) {
                assert!(run.values.contains(&input), "{back:?} has no input for its weights' gradient");
            }
            run.inner.remove(&step);
        }
        done.values.iter().for_each(|value| assert!(run.values.remove(value), "{value} is let go twice"));
        done.gradients.iter().for_each(|slot| assert!(gradients.remove(slot), "{slot} is let go twice"));
    }
    assert!(run.values.is_empty() && run.inner.is_empty() && gradients.is_empty(), "{:?}", run.values);
    run
}

#[test]
fn whatever_is_read_is_there_and_nothing_is_left() {
    for draw in 0..300 {
        let (program, slots) = planned(random(draw));
        let run = run(&program, &slots);
        for (at, &count) in run.computed.iter().enumerate() {
            let step = &program.steps[at];
            let again = usize::from(run.has_inner(at)) * (1 + usize::from(is_cheap(step)));
            assert!(count <= 1 + again, "{step:?}: {count} times");
        }
    }
}

#[test]
fn a_chain_of_blocks_keeps_one_value_for_each() {
    let peak = |blocks: usize| {
        let graph = (0..blocks).fold(conv(begin(), "stem").batch_norm2d("bn").relu(), |graph, block| {
            let x = graph.here();
            let graph = conv(graph, &format!("a{block}")).batch_norm2d(&format!("bn_a{block}")).relu();
            conv(graph, &format!("b{block}")).batch_norm2d(&format!("bn_b{block}")).add(x).relu()
        });
        let (program, slots) = planned(graph);
        run(&program, &slots).peak
    };
    assert_eq!(peak(20) - peak(10), 10);
}
