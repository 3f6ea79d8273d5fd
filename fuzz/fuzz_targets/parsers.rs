//! One parser after another, chosen by the first byte; a single one if `ROBIN_FUZZ_TARGET` names it.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use robin_experiments::fuzz::{TARGETS, target};

/// The only parser, if one was chosen.
static CHOSEN: LazyLock<Option<fn(&[u8])>> =
    LazyLock::new(|| std::env::var("ROBIN_FUZZ_TARGET").ok().map(|name| target(&name)));

fuzz_target!(|input: &[u8]| {
    match (*CHOSEN, input.split_first()) {
        (Some(parse), _) => parse(input),
        (None, Some((choice, rest))) => TARGETS[usize::from(*choice) % TARGETS.len()].1(rest),
        (None, None) => {}
    }
});
