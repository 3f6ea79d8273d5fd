//! No public function reads or writes beyond what it was given, in release builds either, whatever sizes and slices it gets:
//! it computes, with the canaries around every slice intact, or it refuses with the sizes that do not fit.
//!
//! `cargo test --release -p robin-ml-kernels --test borders`. With `ROBIN_BORDERS_MARGIN=0` slices have no canaries but borders
//! that a memory checker sees: `scripts/memory-check.sh`. `PROPTEST_CASES` says how many draws each function gets.

mod convolutions;
mod draw;
mod found;
mod layers;
mod sizes;

use std::any::Any;
use std::cell::Cell;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use draw::{Draw, Guard, damaged};
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

/// Functions, and what calls them with what was drawn.
type Case = (&'static [&'static str], fn(&mut Draw));

/// What a test says of its own, as opposed to a refusal.
const WRONG: &str = "wrong: ";

/// Panics unless all results are numbers: what is read beyond a slice is none.
fn assert_finite<T: Guard + Into<f64>>(values: &[T]) {
    let at = values.iter().position(|&value| !value.into().is_finite());
    assert!(at.is_none(), "{WRONG}value {at:?} of {} is no number", values.len());
}

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// What `case` makes of a draw: whether it computed, or what is wrong.
fn outcome(case: fn(&mut Draw), numbers: Vec<u32>) -> Result<bool, String> {
    QUIET.set(true);
    let result = catch_unwind(AssertUnwindSafe(|| case(&mut Draw::new(numbers))));
    QUIET.set(false);
    if damaged() {
        return Err("something was written beyond a slice".to_owned());
    }
    let Err(panic) = result else { return Ok(true) };
    let message = message(panic.as_ref());
    let names_sizes = message.chars().any(|char| char.is_ascii_digit());
    // What the language finds by itself is no border: in release builds it finds less, or later.
    let own =
        ["attempt to ", "index out of bounds", "range ", "slice ", "source slice", "chunk size", "mid > len"];
    if message.starts_with(WRONG) || !names_sizes || own.iter().any(|own| message.starts_with(own)) {
        return Err(message);
    }
    Ok(false)
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
}

/// What `work` refuses with.
fn refusal<T>(work: impl FnOnce() -> T) -> String {
    let result = catch_unwind(AssertUnwindSafe(work));
    message(result.err().expect("these sizes do not fit").as_ref())
}

fn all() -> impl Iterator<Item = &'static Case> {
    [convolutions::CASES, layers::CASES, sizes::CASES].into_iter().flatten()
}

#[test]
fn nothing_is_read_or_written_beyond_a_border() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if !QUIET.get() {
            usual(info);
        }
    }));
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(300);
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let mut wrong = Vec::new();
    for (names, case) in all() {
        // The same draws every time: a border is not a matter of luck.
        let mut runner =
            TestRunner::new_with_rng(config.clone(), TestRng::deterministic_rng(RngAlgorithm::ChaCha));
        let (computed, drawn) = (Cell::new(0), Cell::new(0));
        let numbers = proptest::collection::vec(proptest::num::u32::ANY, 96);
        let result = runner.run(&numbers, |numbers| {
            let computes = outcome(*case, numbers).map_err(TestCaseError::fail)?;
            drawn.set(drawn.get() + 1);
            computed.set(computed.get() + u32::from(computes));
            Ok(())
        });
        match result {
            Ok(()) => {}
            Err(TestError::Fail(reason, numbers)) => {
                wrong.push(format!("{names:?}: {reason}\ndrawn: {numbers:?}"));
                continue;
            }
            Err(other) => panic!("{names:?}: {other}"),
        }
        let (computed, drawn) = (computed.get(), drawn.get());
        // Of a handful, as a memory checker gets, none may fit.
        if drawn >= 100 && 10 * computed < drawn {
            wrong.push(format!("{names:?} computed only {computed} of {drawn} draws"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_public_function_goes_without_a_case() {
    let mut there = BTreeSet::new();
    public_functions(Path::new(env!("CARGO_MANIFEST_DIR")).join("src").as_path(), "", &mut there);
    let called: BTreeSet<String> =
        all().flat_map(|(names, _)| *names).map(|name| (*name).to_owned()).collect();
    let missing: Vec<_> = there.difference(&called).collect();
    let gone: Vec<_> = called.difference(&there).collect();
    assert!(
        there.len() > 90 && missing.is_empty() && gone.is_empty(),
        "without a case: {missing:#?}, gone: {gone:#?}"
    );
}

/// Collects `module::Type::function` of every `pub fn` below `folder`.
fn public_functions(folder: &Path, module: &str, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        let inner =
            if ["lib", "mod"].contains(&name) { module.to_owned() } else { format!("{module}{name}::") };
        if path.is_dir() {
            public_functions(&path, &inner, found);
            continue;
        }
        let mut owner = String::new();
        for line in std::fs::read_to_string(&path).unwrap().lines() {
            if let Some(block) = line.strip_prefix("impl") {
                let block = block.rsplit(" for ").next().unwrap();
                let block = block.trim_start_matches(|char| char != ' ').trim();
                let end = block.find(|char: char| !char.is_alphanumeric()).unwrap_or(block.len());
                owner = format!("{}::", &block[..end]);
            } else if line.starts_with('}') {
                owner.clear();
            }
            let code = line.trim_start();
            let code = code.strip_prefix("pub const fn ").or_else(|| code.strip_prefix("pub fn "));
            if let Some(rest) = code {
                let end = rest.find(['(', '<']).unwrap();
                found.insert(format!("{inner}{owner}{}", &rest[..end]));
            }
        }
    }
}
