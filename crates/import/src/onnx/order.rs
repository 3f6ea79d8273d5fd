//! Which nodes the output needs, each after those that it reads.

use std::collections::{BTreeSet, HashMap};

use super::proto::Node;

/// Nodes of one network at most. Deeper than any, and what is quadratic in it stays quick.
const MOST: usize = 10_000;

/// Indices of the nodes that `output` needs, sorted so that each comes after those whose outputs it reads.
///
/// # Errors
/// A node (if one is to blame) and the reason: a value with two makers, a cycle, or too many nodes.
pub(super) fn order(nodes: &[Node], output: &str) -> Result<Vec<usize>, (Option<usize>, String)> {
    let mut makers: HashMap<&str, usize> = HashMap::new();
    for (index, node) in nodes.iter().enumerate() {
        for made in node.output.iter().filter(|name| !name.is_empty()) {
            if makers.insert(made, index).is_some() {
                return Err((Some(index), "another node has an output of this name".to_owned()));
            }
        }
    }
    let made_by = |name: &String| makers.get(name.as_str()).copied();
    let mut needed = BTreeSet::new();
    let mut open: Vec<usize> = makers.get(output).copied().into_iter().collect();
    while let Some(index) = open.pop() {
        if needed.insert(index) {
            open.extend(nodes[index].input.iter().filter_map(made_by));
        }
        if needed.len() > MOST {
            return Err((None, format!("it has more than {MOST} nodes")));
        }
    }
    let mut waits: HashMap<usize, usize> = HashMap::new();
    let mut readers: HashMap<usize, Vec<usize>> = HashMap::new();
    for &index in &needed {
        let makers: BTreeSet<usize> = nodes[index].input.iter().filter_map(made_by).collect();
        waits.insert(index, makers.len());
        makers.into_iter().for_each(|maker| readers.entry(maker).or_default().push(index));
    }
    let mut ready: BTreeSet<usize> = needed.iter().copied().filter(|index| waits[index] == 0).collect();
    let mut sorted = Vec::new();
    while let Some(index) = ready.pop_first() {
        sorted.push(index);
        for &reader in readers.get(&index).into_iter().flatten() {
            if let Some(left) = waits.get_mut(&reader) {
                *left -= 1;
                if *left == 0 {
                    ready.insert(reader);
                }
            }
        }
    }
    if sorted.len() == needed.len() {
        return Ok(sorted);
    }
    // Of those that still wait, the first; it is in a cycle, or behind one.
    let stuck = needed.into_iter().find(|index| waits[index] > 0);
    Err((stuck, "the graph has a cycle here, or before it".to_owned()))
}
