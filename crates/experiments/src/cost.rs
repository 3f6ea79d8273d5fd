//! What a plan will take, before it is begun: space, and time on this machine.

mod timing;

use std::collections::{BTreeMap, BTreeSet};

use crate::cell::network::products;
use crate::cell::{Amount, Cell, NetworkWork};
use crate::threads::pool;
use crate::{Plan, Result};
use timing::Timing;

/// Room for a short record, and for the files that replace one another when reports are written.
const RECORD_BYTES: u64 = 64 << 10;

/// Bytes that the `missing` cells will write, with a tenth to spare, where `jobs` networks are trained side by side: each has a
/// checkpoint of weights, momentum and averaged weights, and its predecessor until it is whole.
pub(crate) fn bytes(cells: &[Cell], missing: &BTreeSet<usize>, jobs: usize) -> u64 {
    let cells = || missing.iter().map(|&index| &cells[index]);
    let written: u64 = cells().map(|cell| RECORD_BYTES + cell.work.result_bytes()).sum();
    let networks = cells().filter_map(|cell| cell.work.network());
    let largest = networks.map(NetworkWork::weights_bytes).max().unwrap_or(0);
    let written = written + jobs as u64 * 2 * 3 * largest;
    written + written / 10 + (1 << 20)
}

/// Relative amount of work of every cell, for progress bars.
pub fn weights(plan: &Plan) -> Vec<f64> {
    // Of the three products of a training pass (forward, back to the layer's input, back to its weights) a
    // pass of an attack has two.
    let rough = Timing { attack: 1.0, training: 1.5, freeze: 0.0 };
    let of = |cell: &Cell| {
        let products = network(&plan.cells, cell).map_or(0.0, |work| products(&work.graph));
        products * rough.of(amount(cell))
    };
    plan.cells.iter().map(of).collect()
}

/// The network that a cell trains, or the first one that it needs: those of an aggregate are alike, so one stands for all. A toy
/// has none of the list.
fn network<'a>(cells: &'a [Cell], cell: &'a Cell) -> Option<&'a NetworkWork> {
    let needed = || cell.needs.iter().find_map(|&need| cells[need].work.network());
    cell.work.network().or_else(needed)
}

/// The work of one cell.
fn amount(cell: &Cell) -> Amount {
    cell.work.amount(cell.needs.len().max(1) as f64)
}

/// Seconds of one thread that each of the `missing` cells takes, while `threads` threads are busy with a network each. The
/// passes of an attack and of training are timed apart, in just that way, for each architecture: so the estimate knows what
/// threads take from one another, but not that the last cell may be alone, and not how many examples are wrong when clean, which
/// are not attacked.
///
/// # Errors
/// If an architecture cannot be run.
pub(crate) fn each(plan: &Plan, missing: &BTreeSet<usize>, threads: usize) -> Result<BTreeMap<usize, f64>> {
    let pool = pool(Some(threads))?;
    let mut timed: BTreeMap<(String, u64), Timing> = BTreeMap::new();
    let mut seconds = BTreeMap::new();
    for &index in missing {
        let cell = &plan.cells[index];
        // A toy is seconds.
        let Some(first) = network(&plan.cells, cell) else {
            seconds.insert(index, 0.0);
            continue;
        };
        let kind = (first.graph.name().to_owned(), first.weights_bytes());
        let timing = match timed.get(&kind) {
            Some(&timing) => timing,
            None => {
                let timing = Timing::measure(plan.device.executor(), first, &pool)?;
                timed.insert(kind, timing);
                timing
            }
        };
        seconds.insert(index, timing.of(amount(cell)) * threads as f64);
    }
    Ok(seconds)
}

#[cfg(test)]
mod tests;
