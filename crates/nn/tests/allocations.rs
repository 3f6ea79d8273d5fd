//! An attack step of the `cpu` executor allocates what it returns, and nothing else after the first ones.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use candle_core::{Device, Tensor};
use robin_core::{Classifier, Columns, Seed};
use robin_kernels::aligned::bytes_asked_for;
use robin_nn::{Bias, Convolution, Graph, GraphBuilder, Parameters, executor};

/// The system's allocator with a count.
struct Counting;

/// Bytes asked for so far.
static ALLOCATED: AtomicUsize = AtomicUsize::new(0);
/// Bytes that somebody has now, and the most since this was last set.
static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: the system's allocator does everything.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.fetch_add(layout.size(), Relaxed);
        PEAK.fetch_max(LIVE.fetch_add(layout.size(), Relaxed) + layout.size(), Relaxed);
        // SAFETY: as this function's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: as this function's.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Handles, shapes and the like: a few dozen small things, whatever the network.
const SMALL: usize = 4096;

const IMAGES: usize = 6;
const CLASSES: usize = 10;
const SIDE: usize = 16;

/// Every kind of layer and of branch.
fn network(width: usize) -> Box<dyn Classifier> {
    let conv = |graph: GraphBuilder, name: &str, channels: usize, kernel: usize, stride: usize| {
        let padding = kernel / 2;
        graph.conv2d(name, Convolution { channels, kernel, stride, padding, bias: Bias::Learned })
    };
    let graph = Graph::builder("toy", [3, SIDE, SIDE]).normalize("normalize");
    let graph = conv(graph, "stem", width, 3, 1).batch_norm2d("bn").relu();
    let graph = conv(graph, "pooled", width, 5, 1).relu().max_pool2d(2);
    let x = graph.here();
    let graph = conv(graph, "a", 2 * width, 3, 2).batch_norm2d("bn_a").relu();
    let graph = conv(graph, "b", 2 * width, 3, 1).batch_norm2d("bn_b");
    let b = graph.here();
    let graph = conv(graph.at(x), "shortcut", 2 * width, 1, 2).batch_norm2d("bn_s").add(b);
    let graph = graph.batch_norm2d("bn_c").relu().max_pool2d(2).avg_pool2d(2).flatten();
    let graph = graph.linear("hidden", 2 * width).relu().linear("fc", CLASSES).build().unwrap();
    let parameters = Parameters::initialise(&graph, Seed::new(1));
    executor("cpu").unwrap().classifier(&graph, &parameters).unwrap()
}

/// Bytes that one step asked for beyond what it returned, and the most that anybody had during it.
fn step(model: &dyn Classifier, images: &Tensor, upstream: &Tensor) -> (usize, usize) {
    let asked = || ALLOCATED.load(Relaxed) + bytes_asked_for();
    let before = asked();
    PEAK.store(LIVE.load(Relaxed), Relaxed);
    let pass = model.forward(images, &Columns::All).unwrap();
    let scores = pass.scores().tensor().clone();
    let gradient = pass.input_gradient(upstream).unwrap();
    let returned = (scores.elem_count() + gradient.elem_count()) * size_of::<f32>();
    (asked() - before - returned, PEAK.load(Relaxed))
}

#[test]
fn an_attack_step_allocates_what_it_returns() {
    // One thread, so that counts are the same in every run.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    pool.install(|| {
        let images = Tensor::full(0.5_f32, (IMAGES, 3, SIDE, SIDE), &Device::Cpu).unwrap();
        let upstream = Tensor::full(1.0_f32, (IMAGES, CLASSES), &Device::Cpu).unwrap();
        let beyond = [8, 64].map(|width| {
            let model = network(width);
            let steps: Vec<_> = (0..6).map(|_| step(&*model, &images, &upstream)).collect();
            let (bytes, peak) = steps[2];
            assert!(bytes <= SMALL, "width {width}: {steps:?}");
            for later in &steps[2..] {
                assert_eq!(*later, (bytes, peak), "width {width}: {steps:?}");
            }
            bytes
        });
        assert_eq!(beyond[0], beyond[1], "bytes beyond the returned, by width");
    });
}
