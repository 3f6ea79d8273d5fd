//! A hundred thousand damaged files of each kind: no panic, no long time, no large memory.

#![allow(clippy::print_stdout, reason = "says what was tried")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::{Cursor, Read, Write};
use std::panic::catch_unwind;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use robin_core::{Purpose, Seed};
use robin_import::onnx::Model;
use robin_import::state_dict::StateDict;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

/// The system's allocator with a count.
struct Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: the system's allocator does everything.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        PEAK.fetch_max(LIVE.fetch_add(layout.size(), Relaxed) + layout.size(), Relaxed);
        // SAFETY: as this function's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        PEAK.fetch_max(LIVE.fetch_add(layout.size(), Relaxed) + layout.size(), Relaxed);
        // SAFETY: as this function's.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: as this function's.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const INPUTS: u64 = 100_000;

/// Of one input, on a machine that has other things to do.
const LONGEST: Duration = Duration::from_secs(10);

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name)).unwrap()
}

/// Numbers of one input.
struct Numbers(u64);

impl Numbers {
    fn of(input: u64) -> Self {
        let mut stream = Seed::new(input).derive(Purpose::Test, 0).root_stream();
        Self(u64::from(stream.bits()) << 32 | u64::from(stream.bits()) | 1)
    }

    /// Below `count`, by xorshift.
    fn below(&mut self, count: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 8) as usize % count.max(1)
    }
}

/// One to eight changes.
fn mutate(seed: &[u8], input: u64) -> Vec<u8> {
    let mut numbers = Numbers::of(input);
    let mut bytes = seed.to_vec();
    for _ in 0..=numbers.below(8) {
        let at = numbers.below(bytes.len());
        let end = bytes.len().min(at + 1 + numbers.below(24));
        if bytes.is_empty() {
            return bytes;
        }
        match numbers.below(9) {
            0 => bytes[at] ^= 1 << numbers.below(8),
            1 => bytes[at] = [0, 1, 0x7F, 0x80, 0xFE, 0xFF][numbers.below(6)],
            2 => bytes[at] = numbers.below(256) as u8,
            3 => drop(bytes.drain(at..end)),
            4 => {
                let again = bytes[at..end].to_vec();
                drop(bytes.splice(at..at, again));
            }
            5 => {
                // Another part of the file in this place.
                let from = numbers.below(bytes.len());
                let part = bytes[from..bytes.len().min(from + end - at)].to_vec();
                drop(bytes.splice(at..end, part));
            }
            6 => bytes.truncate(at),
            7 => bytes[at..end].fill(0xFF),
            // A large number as protocol buffers write it.
            _ => drop(bytes.splice(at..end, [0xFF, 0xFF, 0xFF, 0xFF, 0x0F])),
        }
    }
    bytes
}

fn fuzz(what: &str, seed: &[u8], make: impl Fn(&[u8], u64) -> Vec<u8>, read: fn(Vec<u8>) -> bool) {
    PEAK.store(LIVE.load(Relaxed), Relaxed);
    let (begun, mut slowest, mut read_whole) = (Instant::now(), Duration::ZERO, 0);
    for input in 0..INPUTS {
        let bytes = make(seed, input);
        let started = Instant::now();
        match catch_unwind(|| read(bytes)) {
            Ok(whole) => read_whole += u64::from(whole),
            Err(_) => panic!("{what}: input {input} panics"),
        }
        slowest = slowest.max(started.elapsed());
        assert!(slowest < LONGEST, "{what}: input {input} took {slowest:?}");
    }
    let peak = PEAK.load(Relaxed) >> 20;
    println!(
        "{what}: {INPUTS} inputs in {:.0?}, slowest {slowest:.0?}, {read_whole} read as a network, peak {peak} MB",
        begun.elapsed()
    );
    assert!(peak < 1000, "{what}: {peak} MB");
    // Seeds that nothing is read of would show nothing.
    assert!(read_whole > INPUTS / 1000 && read_whole < INPUTS, "{what}: {read_whole}");
}

fn onnx(bytes: Vec<u8>) -> bool {
    let network = |images| Model::parse(bytes.clone(), "fuzzed.onnx", None)?.network(images, None);
    let (own, _) = (network(None), network(Some([3, 8, 8])));
    own.inspect_err(|error| assert!(error.to_string().len() < 4000)).is_ok()
}

fn state_dict(bytes: Vec<u8>) -> bool {
    let tensors = StateDict::parse(&bytes, "fuzzed.pt");
    let network =
        tensors.and_then(|tensors| tensors.network("mlp", [1, 2, 2], Some(&[vec![0.0], vec![1.0]])));
    network.inspect_err(|error| assert!(error.to_string().lines().count() <= 5)).is_ok()
}

/// The same archive with another pickle in it.
fn with_pickle(seed: &[u8], input: u64) -> Vec<u8> {
    let mut archive = ZipArchive::new(Cursor::new(seed)).unwrap();
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for at in 0..archive.len() {
        let mut entry = archive.by_index(at).unwrap();
        let name = entry.name().unwrap().into_owned();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
        writer.start_file(name.as_str(), options).unwrap();
        let bytes = if name.ends_with("data.pkl") { mutate(&bytes, input) } else { bytes };
        writer.write_all(&bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

#[test]
fn damaged_files_are_refused_in_bounded_time_and_memory() {
    // One after the other: the count is that of the whole program.
    fuzz("ONNX models", &fixture("tiny.onnx"), mutate, onnx);
    fuzz("state_dicts", &fixture("mlp-tiny.pt"), mutate, state_dict);
    fuzz("pickles in state_dicts", &fixture("mlp-tiny.pt"), with_pickle, state_dict);
}
