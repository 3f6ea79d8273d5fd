use serde_json::json;

use std::path::Path;

use super::board::Board;
use super::*;
use crate::plan::Request;
use crate::{Plan, Profile, Spec};

fn plan() -> Plan {
    let request = Request {
        profile: Profile::Smoke,
        rows: Some("mnist".to_owned()),
        beyond: false,
        seeds: None,
        reading: None,
        attack_images: Default::default(),
        device: "cpu".parse().unwrap(),
        data_dir: None,
    };
    Plan::new(&[Spec::named("table-1").unwrap()], &request).unwrap()
}

fn record(plan: &Plan, index: usize) -> Record {
    let cell = &plan.cells[index];
    Record {
        kind: cell.kind(),
        key: cell.key.clone(),
        settings: cell.settings(),
        results: json!({}),
        provenance: serde_json::Map::new(),
    }
}

fn saved(plan: &Plan, index: usize) -> Done {
    Done { record: record(plan, index), unsaved: None }
}

fn position(plan: &Plan, label: &str) -> usize {
    plan.cells.iter().position(|cell| cell.label == label).unwrap()
}

#[test]
fn a_failed_network_takes_along_what_needs_it_and_nothing_else() {
    let plan = plan();
    let all: BTreeSet<usize> = (0..plan.cells.len()).collect();
    let board = Board::new(&plan.cells, BTreeMap::new(), all);
    let failing = position(&plan, "mnist/cnn2/l2 robin arm 3 seed 0");
    let never = CancelToken::new();
    let mut order = Vec::new();
    while let Some(index) = board.take(&never) {
        order.push(index);
        let panic = Error::Panic { message: "on purpose".to_owned() };
        board.put(index, if index == failing { Err(panic) } else { Ok(saved(&plan, index)) });
    }
    assert!(order.is_sorted(), "cells are taken in order: {order:?}");
    let outcome = board.into_outcome(false);
    let robin_l2 = |label: &str| label.starts_with("mnist/cnn2/l2 robin") && !label.contains(" arm ");
    let lost = plan.cells.iter().filter(|cell| robin_l2(&cell.label)).count();
    assert_eq!(lost, 1 + 2 * 3 + 2);
    assert_eq!(outcome.failures.len(), 1 + lost);
    for (label, error) in &outcome.failures {
        match error {
            Error::Dependency { label: cause } => {
                assert!(robin_l2(label) && cause == &plan.cells[failing].label, "{label}: {cause}");
            }
            _ => assert_eq!(label, &plan.cells[failing].label),
        }
    }
    assert_eq!(outcome.records.len(), plan.cells.len() - outcome.failures.len());
}

#[test]
fn an_evaluation_waits_for_all_of_its_networks() {
    let plan = plan();
    let clean = position(&plan, "mnist/cnn2/l2 robin clean seed 0");
    let (first, rest) = plan.cells[clean].needs.split_first().unwrap();
    let there = rest.iter().map(|&need| (need, record(&plan, need))).collect();
    let board = Board::new(&plan.cells, there, [*first, clean].into());
    let never = CancelToken::new();
    assert_eq!(board.take(&never), Some(*first));
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| board.take(&never));
        board.put(*first, Ok(saved(&plan, *first)));
        assert_eq!(waiting.join().unwrap(), Some(clean));
    });
}

#[test]
fn what_was_computed_counts_although_it_could_not_be_saved() {
    let plan = plan();
    let clean = position(&plan, "mnist/cnn2/l2 robin clean seed 0");
    let needs: BTreeSet<usize> = plan.cells[clean].needs.iter().copied().collect();
    let board = Board::new(&plan.cells, BTreeMap::new(), needs.iter().copied().chain([clean]).collect());
    let never = CancelToken::new();
    let mut taken = 0;
    while let Some(index) = board.take(&never) {
        let unsaved = Some(Error::io(Path::new("file"), "write")(std::io::ErrorKind::StorageFull.into()));
        board.put(index, Ok(Done { unsaved, ..saved(&plan, index) }));
        taken += 1;
    }
    let outcome = board.into_outcome(false);
    assert_eq!((taken, outcome.records.len(), outcome.computed), (needs.len() + 1, needs.len() + 1, taken));
    assert!(outcome.failures.iter().all(|(_, error)| error.to_string() == "file: cannot write"));
    assert_eq!(outcome.failures.len(), taken);
}

#[test]
fn nothing_is_taken_after_a_stop() {
    let plan = plan();
    let board = Board::new(&plan.cells, BTreeMap::new(), [0, 1].into());
    let cancel = CancelToken::new();
    assert_eq!(board.take(&cancel), Some(0));
    cancel.cancel();
    assert_eq!(board.take(&cancel), None);
    board.put(0, Err(Error::Cancelled));
    let outcome = board.into_outcome(true);
    assert!(outcome.cancelled && outcome.failures.is_empty() && outcome.computed == 0);
}
