//! Parsers under files that nobody would write: valid ones, changed at random.
//!
//! A corpus of small valid inputs is cut, flipped, spliced and filled with numbers that break sums, under one seed, so that
//! every run tries the same inputs. No input may panic the parser, hold more than [`MOST_BYTES`] of memory at once, or
//! take longer than [`LONGEST`].

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use robin_core::{Purpose, Seed, Stream};

/// Memory that one input may hold at once.
pub const MOST_BYTES: usize = 500_000_000;
/// Time that one input may take.
pub const LONGEST: Duration = Duration::from_secs(2);
/// Inputs of a target unless the environment says otherwise.
const INPUTS: u64 = 100_000;
/// The variable that says otherwise.
const VARIABLE: &str = "ROBIN_FUZZ_INPUTS";
/// No input grows beyond this.
const LONGEST_INPUT: usize = 1 << 16;

thread_local! {
    /// Bytes that this thread has and has not given back, and the most since this was last set. Threads that free what
    /// others asked for may go below 0.
    static LIVE: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

/// The system's allocator, counting for each thread: a test that fuzzes makes it its `#[global_allocator]`.
#[derive(Debug)]
pub struct Counting;

fn count(bytes: isize) {
    // At a thread's end its counters are gone, and nobody asks for them.
    let _ = LIVE.try_with(|live| {
        live.set(live.get() + bytes);
        let _ = PEAK.try_with(|peak| peak.set(peak.get().max(live.get())));
    });
}

// SAFETY: the system's allocator does everything; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: as this function's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: as this function's.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// Runs `parse` on every input of `corpus`, then on as many changed ones as `ROBIN_FUZZ_INPUTS` says, else 100,000.
///
/// # Panics
/// With the number of the input and its bytes, if it panics, takes too much memory or too long. If the corpus is empty, or
/// the variable is no number.
#[allow(clippy::print_stdout, reason = "seen with --nocapture, by those who asked for more inputs")]
pub fn fuzz(target: &str, corpus: &[Vec<u8>], parse: fn(&[u8])) {
    assert!(!corpus.is_empty(), "{target} has a corpus");
    let inputs = std::env::var(VARIABLE).map_or(INPUTS, |text| text.parse().expect("a number of inputs"));
    for input in corpus {
        check(target, "of the corpus", input, parse);
    }
    let seed = Seed::new(0x0f02).derive(Purpose::Test, target.len() as u64);
    let (begun, mut peak, mut slowest) = (Instant::now(), 0, Duration::ZERO);
    for number in 0..inputs {
        let input = mutated(corpus, &mut seed.derive(Purpose::Test, number).root_stream());
        let (bytes, time) = check(target, &number.to_string(), &input, parse);
        (peak, slowest) = (peak.max(bytes), slowest.max(time));
    }
    println!(
        "{target}: {inputs} inputs in {:.1} s, at most {:.1} MB and {:.0} ms for one",
        begun.elapsed().as_secs_f64(),
        peak as f64 / 1e6,
        slowest.as_secs_f64() * 1e3
    );
}

/// The most memory in bytes that `work` held at once on this thread, beyond what was there before. Of a program whose
/// allocator is [`Counting`].
pub fn memory_of(work: impl FnOnce()) -> usize {
    let before = LIVE.get();
    PEAK.set(before);
    work();
    usize::try_from(PEAK.get() - before).unwrap_or(0)
}

/// Runs one input; its memory and time.
fn check(target: &str, name: &str, input: &[u8], parse: fn(&[u8])) -> (usize, Duration) {
    let what = || format!("{target}, input {name}: {:02x?}", &input[..input.len().min(4096)]);
    let run = || {
        let begun = Instant::now();
        let held = memory_of(|| {
            let outcome = catch_unwind(AssertUnwindSafe(|| parse(input)));
            assert!(outcome.is_ok(), "panicked: {}", what());
        });
        let time = begun.elapsed();
        assert!(held <= MOST_BYTES, "held {held} bytes: {}", what());
        (held, time)
    };
    let (held, mut time) = run();
    // A machine that does other work too may stop anybody for a while, but not always.
    for _ in 0..3 {
        if time <= LONGEST {
            break;
        }
        time = run().1;
    }
    assert!(time <= LONGEST, "took {time:?}: {}", what());
    (held, time)
}

/// Numbers at which sums and sizes break.
const NUMBERS: &[u64] = &[
    0,
    1,
    2,
    7,
    8,
    9,
    15,
    16,
    127,
    128,
    255,
    256,
    257,
    1023,
    1024,
    4095,
    4096,
    32767,
    32768,
    65535,
    65536,
    1 << 20,
    1 << 24,
    (1 << 26) + 1,
    100_000_000,
    i32::MAX as u64,
    1 << 31,
    u32::MAX as u64,
    1 << 32,
    1 << 40,
    i64::MAX as u64,
    1 << 63,
    u64::MAX - 7,
    u64::MAX,
];
/// The same, and more, in text.
const TEXTS: &[&str] = &[
    "0",
    "-0",
    "1",
    "-1",
    "0.5",
    "1e400",
    "1e-400",
    "1e308",
    "-1e308",
    "NaN",
    "inf",
    "4294967296",
    "9999999999999999999",
    "18446744073709551615",
    "18446744073709551616",
    "-9223372036854775809",
    "0.1e1",
    "255",
    "256",
    "1000001",
    "null",
    "true",
    "\"\"",
    "[]",
    "{}",
    "[[[[[[[[",
    "{\"a\":{\"a\":",
    "\\u0000",
    "\u{fffd}",
    "é",
    "\n",
    ",",
    ":",
    "/",
    "__metadata__",
];

/// One of `corpus`, changed a few times.
fn mutated(corpus: &[Vec<u8>], stream: &mut Stream) -> Vec<u8> {
    let pick = |stream: &mut Stream| &corpus[below(stream, corpus.len())];
    let mut input = pick(stream).clone();
    for _ in 0..=below(stream, 5) {
        let at = below(stream, input.len() + 1);
        let end = at + below(stream, (input.len() - at).min(64) + 1);
        match below(stream, 12) {
            0 | 1 => {
                if let Some(byte) = input.get_mut(at) {
                    *byte ^= 1 << below(stream, 8);
                }
            }
            2 => {
                let value = stream.bits() as u8;
                if let Some(byte) = input.get_mut(at) {
                    *byte = value;
                }
            }
            3 | 4 => {
                let number = NUMBERS[below(stream, NUMBERS.len())];
                let bytes: &[u8] = match below(stream, 4) {
                    0 => &number.to_le_bytes(),
                    1 => &number.to_be_bytes(),
                    2 => &(number as u32).to_le_bytes(),
                    _ => &(number as u32).to_be_bytes(),
                };
                input.iter_mut().skip(at).zip(bytes).for_each(|(to, from)| *to = *from);
            }
            5 => drop(input.drain(at..end)),
            6 => {
                let part = input[at..end].to_vec();
                let to = below(stream, input.len() + 1);
                input.splice(to..to, part);
            }
            7 => {
                let part: Vec<u8> = (0..below(stream, 9)).map(|_| stream.bits() as u8).collect();
                input.splice(at..at, part);
            }
            8 => input.truncate(at),
            9 => {
                let other = pick(stream);
                let from = below(stream, other.len() + 1);
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
            // A number in text becomes another.
            10 => {
                let is_digit = |byte: &u8| byte.is_ascii_digit() || *byte == b'.';
                if let Some(from) = input[at..].iter().position(is_digit).map(|from| at + from) {
                    let length = input[from..].iter().take_while(|byte| is_digit(byte)).count();
                    let text = TEXTS[below(stream, TEXTS.len())];
                    input.splice(from..from + length, text.bytes());
                }
            }
            _ => {
                let text = TEXTS[below(stream, TEXTS.len())];
                input.splice(at..at, text.bytes());
            }
        }
        input.truncate(LONGEST_INPUT);
    }
    input
}

fn below(stream: &mut Stream, bound: usize) -> usize {
    stream.below(bound as u32) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_are_the_same_in_every_run_and_differ_among_themselves() {
        let corpus = [b"{\"a\": 12}".to_vec(), vec![0; 40]];
        let made = || -> Vec<Vec<u8>> {
            (0..500).map(|n| mutated(&corpus, &mut Seed::new(n).root_stream())).collect()
        };
        assert_eq!(made(), made());
        let distinct: std::collections::HashSet<Vec<u8>> = made().into_iter().collect();
        assert!(distinct.len() > 300, "{}", distinct.len());
    }

    #[test]
    #[should_panic(expected = "panicked: t, input of the corpus: [07]")]
    fn a_panic_is_told_with_its_input() {
        fuzz("t", &[vec![7]], |input| assert_ne!(input, [7]));
    }
}
