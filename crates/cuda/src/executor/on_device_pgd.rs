//! PGD against networks in eval mode, from given images to the best and the last: the host waits at its end only.

use std::any::Any;

use robin_core::{ColumnTable, Columns, ObjectiveSpec, OnDevicePgd, PgdOutcome, PgdRun, Terms};
use robin_nn::{Error, Result};

use super::attack::ball_of;
use super::classifier::{CudaClassifier, padded};
use super::eval_mode::{EvalNetwork, Trace};
use crate::kernels::attack::{self, Watch};
use crate::kernels::batches::{Rows, add_rows};
use crate::kernels::objectives::{Best, Cells, Maximised, Table};
use crate::kernels::{Buffer, Context, Error as DeviceError, PACK, Plain};

impl OnDevicePgd for CudaClassifier {
    fn run_pgd(&self, wanted: &PgdRun<'_>) -> robin_core::Result<Option<PgdOutcome>> {
        let networks = std::slice::from_ref(&self.network);
        let run = Run::new(&self.network.context, networks, None, wanted)?;
        Ok(run.map(|run| run.run_pgd(wanted)).transpose()?)
    }

    fn one_vs_all(&self, arms: &[&dyn OnDevicePgd]) -> robin_core::Result<Option<Box<dyn OnDevicePgd>>> {
        let own = &self.network.context;
        let classifiers: Option<Vec<&Self>> =
            arms.iter().map(|&arm| (arm as &dyn Any).downcast_ref::<Self>()).collect();
        let Some(classifiers) = classifiers else { return Ok(None) };
        let graph = &self.network.plan.graph;
        let fits = |other: &&Self| {
            let (context, found) = (&other.network.context, &other.network.plan.graph);
            context.device().place() == own.device().place()
                && context.precision() == own.precision()
                && found.input_shape() == graph.input_shape()
                && found.num_outputs() == graph.num_outputs()
        };
        if !classifiers.iter().all(fits) {
            return Ok(None);
        }
        // Their weights may still be on their way, on queues of their own.
        let ready = classifiers.iter().try_for_each(|other| other.network.context.synchronize());
        ready.map_err(robin_nn::Error::from)?;
        let context = own.beside();
        let networks = classifiers.iter().map(|other| other.network.on(&context)).collect();
        let own = classifiers.iter().map(|other| other.network.context.clone()).collect();
        Ok(Some(Box::new(Arms { context, networks, own, outputs: graph.num_outputs() })))
    }
}

/// A one-vs-all aggregate in one queue.
struct Arms {
    context: Context,
    networks: Vec<EvalNetwork>,
    /// Where the arms compute when they are asked one by one.
    own: Vec<Context>,
    /// 1 or 2.
    outputs: usize,
}

impl Arms {
    fn run(&self, wanted: &PgdRun<'_>) -> Result<Option<PgdOutcome>> {
        let run = Run::new(&self.context, &self.networks, Some(self.outputs), wanted)?;
        run.map(|run| run.run_pgd(wanted)).transpose()
    }
}

impl OnDevicePgd for Arms {
    fn run_pgd(&self, wanted: &PgdRun<'_>) -> robin_core::Result<Option<PgdOutcome>> {
        let found = match self.run(wanted) {
            // What the arms keep for later may be what is lacking.
            Err(Error::Device(error)) if is_out_of_memory(&*error) => {
                self.own.iter().for_each(|context| _ = context.trim());
                self.run(wanted)
            }
            found => found,
        };
        // Traces of all arms for each size of batch: the arms, asked one by one, could not get at them.
        self.context.trim();
        Ok(found?)
    }

    fn one_vs_all(&self, _arms: &[&dyn OnDevicePgd]) -> robin_core::Result<Option<Box<dyn OnDevicePgd>>> {
        Ok(None)
    }
}

fn is_out_of_memory(error: &(dyn std::error::Error + 'static)) -> bool {
    matches!(error.downcast_ref(), Some(DeviceError::OutOfMemory { .. }))
}

impl Drop for Arms {
    fn drop(&mut self) {
        // Weights go back on other queues than the one that may still read them. A device that fails here has failed before.
        let _ = self.context.synchronize();
    }
}

/// A network and the images that it runs on.
struct Job<'a> {
    network: &'a EvalNetwork,
    /// Of the batch; all of it, in order, if absent.
    rows: Option<Rows>,
    /// How many of them are no filling.
    count: usize,
    /// Where its scores belong, for an arm: its outputs, and a cell for each image.
    arm: Option<(usize, Cells)>,
}

/// What stays the same from step to step.
struct Run<'a> {
    context: &'a Context,
    /// Values of an image.
    length: usize,
    /// Images, and with those that fill up the batch.
    images: [usize; 2],
    table: Table,
    maximised: Maximised,
    jobs: Vec<Job<'a>>,
}

impl<'a> Run<'a> {
    /// `None` for an objective or columns that are maximised on the host. `outputs` are those of an arm.
    fn new(
        context: &'a Context,
        networks: &'a [EvalNetwork],
        outputs: Option<usize>,
        wanted: &PgdRun<'_>,
    ) -> Result<Option<Self>> {
        let ObjectiveSpec { columns, terms } = wanted.spec;
        let classes = match outputs {
            Some(_) => networks.len(),
            None => networks[0].plan.graph.num_outputs(),
        };
        let length: usize = networks[0].plan.graph.input_shape().iter().product();
        let n = wanted.clean.len() / length;
        let width = columns.width(classes);
        let fits = columns.validate(classes).is_ok() && n > 0 && width > 0;
        // The host says what is wrong with a formula that it refuses too.
        if !fits || (outputs.is_none() && *columns != Columns::All) || !is_table_of(columns, n) {
            return Ok(None);
        }
        let rows = padded(n);
        let table = Table::new(context, rows, width)?;
        let jobs = match outputs {
            None => vec![Job { network: &networks[0], rows: None, count: rows, arm: None }],
            Some(outputs) => jobs(context, networks, outputs, columns, &table, rows)?,
        };
        let maximised = match terms {
            Terms::CrossEntropy { labels }
                if width >= 2 && labels.len() == n && labels.iter().all(|&y| (y as usize) < width) =>
            {
                Maximised::CrossEntropy(context.upload(&filled(labels, rows))?)
            }
            Terms::Arms { targets, shares } if targets.len() == n * width && shares.len() == width => {
                let targets: Vec<u8> = targets.iter().map(|&target| u8::from(target)).collect();
                let targets = context.upload(&filled(&targets, rows * width))?;
                Maximised::Arms { targets, shares: context.upload(shares)? }
            }
            _ => return Ok(None),
        };
        Ok(Some(Self { context, length, images: [n, rows], table, maximised, jobs }))
    }

    fn run_pgd(&self, wanted: &PgdRun<'_>) -> Result<PgdOutcome> {
        let (context, length, [n, rows]) = (self.context, self.length, self.images);
        let put = |values: &[f32]| context.upload(&filled(values, rows * length));
        let (clean, images) = (put(wanted.clean)?, put(wanted.start)?);
        let (best, watch) = (Best::new(context, rows, length)?, Watch::new(context, rows)?);
        let ball = ball_of(wanted.budget, wanted.step_size);
        for _ in 0..wanted.steps {
            wanted.cancel.check()?;
            let traces = self.forward(&images, true)?;
            let values = self.table.maximise(context, &self.maximised, &watch.scores)?;
            best.offer(context, &images, &values)?;
            let gradient = self.backward(traces)?;
            attack::step(context, ball, &images, &clean, &gradient, length, Some(&watch))?;
        }
        self.forward(&images, false)?;
        let values = self.table.maximise(context, &self.maximised, &watch.scores)?;
        best.offer(context, &images, &values)?;
        // The gradient goes first: an image that it spoilt has no scores either.
        for (what, found) in [("input gradient", &watch.gradients), ("score", &watch.scores)] {
            let found = found.to_vec()?;
            if let Some(example) = found[..n].iter().position(|value| *value != 0.0) {
                return Err(robin_core::Error::NotFinite { what, example, value: found[example] }.into());
            }
        }
        Ok(PgdOutcome {
            best: first(&best.images, n * length)?,
            best_values: first(&best.values, n)?,
            last: first(&images, n * length)?,
            last_values: first(&values, n)?,
            zero_gradients: first(&watch.zeros, n)?,
        })
    }

    /// Scores of all jobs into the table; what the way back needs, if it is wanted.
    fn forward(&self, images: &Buffer<f32>, traced: bool) -> Result<Vec<Option<Trace>>> {
        let pass = |job: &Job<'_>| -> Result<Option<Trace>> {
            let own =
                job.rows.as_ref().map(|rows| rows.gather(self.context, images, self.length)).transpose()?;
            let mut trace = None;
            let outputs =
                job.network.forward(own.as_ref().unwrap_or(images), traced.then_some(&mut trace))?;
            match &job.arm {
                None => self.table.write(self.context, &outputs)?,
                Some((count, cells)) => self.table.write_arm(self.context, &outputs, cells, *count)?,
            }
            Ok(trace)
        };
        self.jobs.iter().map(pass).collect()
    }

    /// The gradient on the images, summed in the order of the jobs.
    fn backward(&self, traces: Vec<Option<Trace>>) -> Result<Buffer<f32>> {
        let (context, length) = (self.context, self.length);
        let sum = context.zeros(self.images[1] * length)?;
        for (job, trace) in self.jobs.iter().zip(traces) {
            let trace = trace.expect("it was asked for");
            let plan = &job.network.plan;
            let rows = context.buffer(trace.images() * plan.shapes[plan.output].len())?;
            match &job.arm {
                None => self.table.gradient(context, &rows)?,
                Some((count, cells)) => self.table.arm_gradient(context, &rows, cells, *count)?,
            }
            let gradient = job.network.backward(&trace, rows)?;
            add_rows(context, &gradient, job.rows.as_ref(), (job.count, length), &sum)?;
        }
        Ok(sum)
    }
}

/// The jobs of a one-vs-all aggregate: an arm runs on the images whose columns name it.
fn jobs<'a>(
    context: &Context,
    networks: &'a [EvalNetwork],
    outputs: usize,
    columns: &Columns,
    table: &Table,
    rows: usize,
) -> Result<Vec<Job<'a>>> {
    debug_assert!(outputs <= PACK);
    let all = |arm: usize, width: usize, column: usize| -> Result<Job<'a>> {
        let cells: Vec<u32> = (0..rows).map(|row| (row * width + column) as u32).collect();
        let cells = Cells::new(context, &cells)?;
        Ok(Job { network: &networks[arm], rows: None, count: rows, arm: Some((outputs, cells)) })
    };
    match columns {
        Columns::All => (0..networks.len()).map(|arm| all(arm, networks.len(), arm)).collect(),
        Columns::One(arm) => Ok(vec![all(*arm, 1, 0)?]),
        Columns::PerExample(ColumnTable { width, indices }) => {
            let some = |arm: usize| -> Option<Result<Job<'a>>> {
                let named = indices.iter().enumerate().filter(|(_, named)| **named as usize == arm);
                let mut cells: Vec<u32> = named.map(|(cell, _)| cell as u32).collect();
                let mut places: Vec<u32> = cells.iter().map(|cell| cell / *width as u32).collect();
                let (count, first) = (cells.len(), *places.first()?);
                cells.resize(padded(count), table.spare());
                places.resize(padded(count), first);
                Some(
                    Rows::new(context, &places)
                        .and_then(|rows| {
                            let cells = Cells::new(context, &cells)?;
                            Ok(Job {
                                network: &networks[arm],
                                rows: Some(rows),
                                count,
                                arm: Some((outputs, cells)),
                            })
                        })
                        .map_err(Into::into),
                )
            };
            (0..networks.len()).filter_map(some).collect()
        }
    }
}

/// Whether columns of each example's own choice are those of `n` examples, none of which names a column twice.
fn is_table_of(columns: &Columns, n: usize) -> bool {
    let Columns::PerExample(table) = columns else { return true };
    let once = |row: &[u32]| row.iter().enumerate().all(|(at, column)| !row[..at].contains(column));
    table.indices.len() == n * table.width && table.indices.chunks(table.width.max(1)).all(once)
}

/// The first `count` values, on the host.
fn first<T: Plain>(buffer: &Buffer<T>, count: usize) -> Result<Vec<T>> {
    let mut values = buffer.to_vec()?;
    values.truncate(count);
    Ok(values)
}

/// `values`, and zeros up to `count`.
fn filled<T: Copy + Default>(values: &[T], count: usize) -> Vec<T> {
    let mut all = values.to_vec();
    all.resize(count, T::default());
    all
}
