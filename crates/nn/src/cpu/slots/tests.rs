//! Schedules run on symbols instead of images: every step must find what it should where it looks for it.

use super::super::lower::Step;
use super::*;
use crate::graph::Point;
use crate::{Bias, Convolution, Graph, GraphBuilder};

/// Stands for the values of a gradient. Sums and products wrap around, so they are exact.
type Symbol = [u64; 8];

/// Numbers that look random.
fn mix(seed: u64) -> u64 {
    let mixed = (seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed ^ (mixed >> 27)
}

fn plus(a: Symbol, b: Symbol) -> Symbol {
    std::array::from_fn(|at| a[at].wrapping_add(b[at]))
}

/// Back through a step's layer.
fn through(step: usize, symbol: Symbol) -> Symbol {
    symbol.map(|part| part.wrapping_mul(mix(step as u64) | 1))
}

/// Through the masks of a step's rectifier: as for numbers, once is as good as twice.
fn marked(step: Option<usize>, symbol: Symbol) -> Symbol {
    let open = step.map_or(u64::MAX, |step| mix(1000 + step as u64));
    std::array::from_fn(|at| if open >> at & 1 == 1 { symbol[at] } else { 0 })
}

fn sum(buffers: &[Option<Symbol>], value: Symbol, to: Slot, add: Summand) -> Symbol {
    let other = match add {
        Summand::Nothing => return value,
        Summand::Destination => to,
        Summand::Slot(slot) => {
            assert_ne!(slot, to, "a summand lies where the sum goes");
            slot
        }
    };
    plus(value, buffers[other].expect("a summand was written"))
}

fn check_forward(program: &Program, slots: &Slots) {
    let mut holds: Vec<Option<ValueId>> = vec![None; slots.layouts.len()];
    holds[slots.values[INPUT]] = Some(INPUT);
    for step in &program.steps {
        let to = slots.values[step.output];
        for value in std::iter::once(step.input).chain(step.add) {
            assert_eq!(holds[slots.values[value]], Some(value), "read by {step:?}");
            assert_ne!(slots.values[value], to, "{step:?} writes where it reads");
        }
        assert_eq!(slots.layouts[to], program.layouts[step.output], "{step:?}");
        holds[to] = Some(step.output);
    }
    assert_eq!(holds[slots.values[program.output]], Some(program.output));
}

fn check_backward(program: &Program, slots: &Slots) {
    let start: Symbol = std::array::from_fn(|at| mix(2000 + at as u64));
    // The gradient on each value by the chain rule.
    let mut gradients = vec![[0; 8]; program.layouts.len()];
    gradients[program.output] = start;
    for (at, step) in program.steps.iter().enumerate().rev() {
        let from = marked(program.rectified_by(step.output), gradients[step.output]);
        gradients[step.output] = from;
        let to_input = if matches!(step.operation, Operation::Copy) { from } else { through(at, from) };
        for (value, part) in std::iter::once((step.input, to_input)).chain(step.add.map(|add| (add, from))) {
            gradients[value] = plus(gradients[value], part);
        }
    }

    let mut buffers = vec![None; slots.layouts.len()];
    buffers[slots.output_gradient] = Some(start);
    for back in &slots.back {
        let (value, from, to) = match *back {
            BackStep::Through { step, from, to, .. } => {
                let Step { input, output, .. } = program.steps[step];
                assert_eq!(buffers[from], Some(gradients[output]), "{back:?} reads another gradient");
                assert_eq!(slots.layouts[from], program.layouts[output], "{back:?}");
                (input, from, to)
            }
            BackStep::Sum { value, from, to, .. } => (value, from, to),
        };
        assert_ne!(from, to, "{back:?} writes where it reads");
        assert_eq!(slots.layouts[to], program.layouts[value], "{back:?}");
        let given = buffers[from].expect("a gradient was written before it is read");
        let (BackStep::Through { add, masks, .. } | BackStep::Sum { add, masks, .. }) = *back;
        let given = if let BackStep::Through { step, .. } = *back { through(step, given) } else { given };
        buffers[to] = Some(marked(masks, sum(&buffers, given, to, add)));
    }
    assert_eq!(buffers[slots.input_gradient], Some(gradients[INPUT]), "{:?}", slots.back);
}

pub(in super::super) fn conv(graph: GraphBuilder, name: &str) -> GraphBuilder {
    let same = Convolution { channels: 4, kernel: 3, stride: 1, padding: 1, bias: Bias::None };
    graph.conv2d(name, same)
}

pub(in super::super) fn planned(graph: GraphBuilder) -> (Program, Slots) {
    let program = Program::new(&graph.flatten().linear("fc", 3).build().unwrap());
    let slots = Slots::new(&program);
    (program, slots)
}

pub(in super::super) fn begin() -> GraphBuilder {
    Graph::builder("toy", [4, 8, 8])
}

/// Layers chosen by `draw`, each reading and adding any of the points before.
pub(in super::super) fn random(draw: u64) -> GraphBuilder {
    let mut number = (0..).map(|at| mix(draw * 10_000 + at) >> 8);
    let mut next = |below: usize| (number.next().expect("endless") % below as u64) as usize;
    let mut graph = conv(begin(), "stem");
    let mut points = vec![Point::IMAGES, graph.here()];
    let mut unread = vec![graph.here()];
    for layer in 0..12 {
        let from = points[next(points.len())];
        unread.retain(|point| *point != from);
        graph = graph.at(from);
        graph = match next(5) {
            0 => conv(graph, &format!("conv{layer}")),
            1 => graph.batch_norm2d(&format!("bn{layer}")),
            2 => graph.relu(),
            _ => {
                let other = points[next(points.len())];
                unread.retain(|point| *point != other);
                graph.add(other)
            }
        };
        points.push(graph.here());
        unread.push(graph.here());
    }
    // Everything must be read by somebody.
    let last = graph.here();
    unread.into_iter().filter(|point| *point != last).fold(graph, GraphBuilder::add)
}

#[test]
fn no_step_reads_what_another_has_overwritten() {
    for draw in 0..300 {
        let (program, slots) = planned(random(draw));
        check_forward(&program, &slots);
        check_backward(&program, &slots);
    }
}

#[test]
fn a_chain_of_blocks_needs_few_slots() {
    let blocks = |count: usize| {
        let graph = (0..count).fold(conv(begin(), "stem").relu(), |graph, block| {
            let x = graph.here();
            let graph = conv(graph, &format!("a{block}")).batch_norm2d(&format!("bn_a{block}")).relu();
            conv(graph, &format!("b{block}")).batch_norm2d(&format!("bn_b{block}")).add(x).relu()
        });
        let (program, slots) = planned(graph);
        check_forward(&program, &slots);
        check_backward(&program, &slots);
        slots.layouts.len()
    };
    assert_eq!(blocks(2), blocks(20));
}

#[test]
fn gradients_of_a_diamond_are_summed() {
    let graph = conv(begin(), "stem").relu();
    let x = graph.here();
    let graph = conv(graph, "left");
    let left = graph.here();
    let (program, slots) = planned(conv(graph.at(x), "right").add(left).relu());
    check_forward(&program, &slots);
    check_backward(&program, &slots);
    // Both branches add to one slot, through the rectifier's masks: no step does nothing but sum.
    let step = |index: usize| match &slots.back[index] {
        BackStep::Through { step, to, add, masks, .. } => (*step, *to, *add, *masks),
        other => panic!("{other:?}"),
    };
    let (right, left) = (step(1), step(2));
    assert_eq!((right.0, right.2, right.3), (2, Summand::Nothing, Some(0)));
    assert_eq!((left.0, left.1, left.2, left.3), (1, right.1, Summand::Destination, Some(0)));
}
