//! A thread that has work of its own looks at nothing else for minutes: nobody may wait for it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use candle_core::{Device, Tensor};
use robin_core::{Scores, Seed};
use robin_nn::cpu::Cpu;
use robin_nn::{Bias, Convolution, Executor, Graph, Parameters};

/// More than a chunk of a training step.
const IMAGES: usize = 70;

#[test]
fn a_training_step_does_not_wait_for_a_thread_that_works_on_something_else() {
    let conv = Convolution { channels: 16, kernel: 3, stride: 1, padding: 1, bias: Bias::Learned };
    let graph =
        Graph::builder("small", [3, 8, 8]).conv2d("conv", conv).batch_norm2d("bn").relu().max_pool2d(2);
    let graph = graph.flatten().linear("fc", 2).build().unwrap();
    let images = Tensor::ones((IMAGES, 3, 8, 8), candle_core::DType::F32, &Device::Cpu).unwrap();
    let gradient = Tensor::ones((IMAGES, 2), candle_core::DType::F32, &Device::Cpu).unwrap();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
    let (done, given_up) = (AtomicBool::new(false), Instant::now() + Duration::from_secs(20));
    let in_time = pool.broadcast(|thread| {
        if thread.index() == 1 {
            // Busy, and never looks for what others would have it do.
            while !done.load(Ordering::Acquire) && Instant::now() < given_up {
                std::hint::spin_loop();
            }
            return done.load(Ordering::Acquire);
        }
        let parameters = Parameters::initialise(&graph, Seed::new(3));
        let mut network = Cpu::F32.network(&graph, parameters).unwrap();
        for _ in 0..3 {
            network.train_step(&[&images], &mut |_: &[Scores]| Ok(vec![gradient.clone()])).unwrap();
        }
        done.store(true, Ordering::Release);
        Instant::now() < given_up
    });
    assert_eq!(in_time, [true, true], "the step waited");
}
