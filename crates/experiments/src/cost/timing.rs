//! How long one example takes on this machine, measured as a run would work: one network on each thread.

use std::time::Instant;

use rayon::ThreadPool;
use robin_attacks::Loss;
use robin_core::occupancy::Occupancy;
use robin_core::{Batch, Columns, ExampleId, Scores};
use robin_nn::Executor;

use crate::cell::{Amount, NetworkWork};
use crate::{Error, Result};

/// Examples of a timed batch: enough for every kernel to be at its speed, few enough for wide networks.
const EXAMPLES: usize = 32;

/// Each pass is timed up to so many times...
const REPEATS: usize = 3;

/// ... until this many seconds are gone.
const ENOUGH: f64 = 0.5;

/// Seconds of the machine as a whole: what a thread takes, divided by the number of threads.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timing {
    /// A forward pass with the gradient on the images, for one example.
    pub(super) attack: f64,
    /// A forward pass with the gradient on the weights, for one example.
    pub(super) training: f64,
    /// Preparing new weights for an attack.
    pub(super) freeze: f64,
}

impl Timing {
    /// Times the architecture of `work` on every thread of `pool` at once.
    pub(super) fn measure(executor: &dyn Executor, work: &NetworkWork, pool: &ThreadPool) -> Result<Self> {
        let threads = pool.current_num_threads() as f64;
        let mut slowest = Self { attack: 0.0, training: 0.0, freeze: 0.0 };
        let occupancy = Occupancy::new(pool.current_num_threads());
        for found in pool.broadcast(|_| occupancy.work(|| one_thread(executor, work))) {
            let found = found?;
            slowest.attack = slowest.attack.max(found.attack / threads);
            slowest.training = slowest.training.max(found.training / threads);
            slowest.freeze = slowest.freeze.max(found.freeze / threads);
        }
        Ok(slowest)
    }

    /// Seconds for an amount of work.
    pub(super) fn of(self, amount: Amount) -> f64 {
        self.attack * amount.attack + self.training * amount.training + self.freeze * amount.freeze
    }
}

fn one_thread(executor: &dyn Executor, work: &NetworkWork) -> Result<Timing> {
    let failed = || Error::work::<robin_nn::Error>("timing a network");
    let mut network = executor.network(&work.graph, work.parameters()).map_err(failed())?;
    let batch = first_batch(work)?;
    let examples = batch.len() as f64;
    let objective = Loss::Ce.against(batch.labels.clone());

    // An executor may prepare new weights when they come or when they are asked for.
    let freeze = best(|| {
        network.update(&mut |_| ());
        network.freeze().map(drop).map_err(failed())
    })?;
    let model = network.freeze().map_err(failed())?;
    let attack = best(|| {
        let pass = model.forward(&batch.images, &Columns::All)?;
        let gradient = objective.evaluate(pass.scores())?.score_gradient;
        pass.input_gradient(&gradient).map(drop)
    })
    .map_err(Error::work::<robin_core::Error>("timing a network"))?;
    let mut loss = |scores: &[Scores]| Ok(vec![objective.evaluate(&scores[0])?.score_gradient]);
    let training = best(|| network.train_step(&[&batch.images], &mut loss).map(drop).map_err(failed()))?;
    Ok(Timing { attack: attack / examples, training: training / examples, freeze })
}

/// Seconds of the fastest run.
fn best<E>(mut run: impl FnMut() -> Result<(), E>) -> Result<f64, E> {
    let (mut best, begin) = (f64::INFINITY, Instant::now());
    for _ in 0..REPEATS {
        let start = Instant::now();
        run()?;
        best = best.min(start.elapsed().as_secs_f64());
        if begin.elapsed().as_secs_f64() > ENOUGH {
            break;
        }
    }
    Ok(best)
}

fn first_batch(work: &NetworkWork) -> Result<Batch> {
    let count = work.data.len().min(EXAMPLES) as u32;
    let ids: Vec<ExampleId> = (0..count).map(ExampleId::first).collect();
    work.data.batch(&ids, &work.labels).map_err(Error::work("loading a batch"))
}
