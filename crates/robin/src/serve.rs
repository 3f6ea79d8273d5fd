//! The module as attacks meet it: it stays on the caller's thread, and an attack on a thread of its own asks it.
//!
//! So a module need not be `Sync` (`candle_nn::Sequential` is not), nor a callback `Send`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use candle_core::{Device, Module, Tensor};
use robin_core::{Classifier, Columns, Error, Objective, ObjectiveValues, Result, Scores};

/// One look of an attack at the module, as a callback hears of it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Step {
    /// Number of the look, from 0; restarts, stages and batches go on counting.
    pub number: usize,
    /// What is maximised, for each image that is still attacked.
    pub objective: Vec<f32>,
}

/// What an attack asks of the caller's thread.
enum Message {
    Forward { images: Tensor, answer: Sender<candle_core::Result<Tensor>> },
    Step(Step),
}

/// Runs `work` on a thread of its own with `module` as a classifier of `classes` classes, whose images are on `device`;
/// `on_step` hears of every look whose objective goes through [`Served::tell`].
///
/// # Panics
/// As `work`, `module` and `on_step` do.
pub(crate) fn serve<M: Module + ?Sized, R: Send>(
    module: &M,
    shape: &Shape,
    mut on_step: Option<&mut (dyn FnMut(&Step) + '_)>,
    work: impl FnOnce(&Served) -> R + Send,
) -> R {
    let (ask, asked): (Sender<Message>, Receiver<Message>) = channel();
    let served = Served { ask, shape: shape.clone(), told: on_step.is_some().then(Arc::default) };
    thread::scope(|scope| {
        let working = scope.spawn(move || work(&served));
        for message in asked {
            match message {
                // Nobody waits for the answer only if the attack is gone, which its thread will tell.
                Message::Forward { images, answer } => drop(answer.send(module.forward(&images))),
                Message::Step(step) => {
                    if let Some(on_step) = on_step.as_deref_mut() {
                        on_step(&step);
                    }
                }
            }
        }
        working.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// What is known of a module.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    pub(crate) classes: usize,
    pub(crate) device: Device,
    /// Images in each pass, the last pass filled up with black ones; `None`: as many as there are. candle's products sum in
    /// an order that depends on the number of rows, so only passes of one size are the same bit for bit.
    pub(crate) block: Option<usize>,
}

/// A module on another thread.
pub(crate) struct Served {
    ask: Sender<Message>,
    shape: Shape,
    /// Looks so far, if somebody wants to hear of them.
    told: Option<Arc<AtomicUsize>>,
}

impl Served {
    /// The same objective, whose values a callback hears of.
    pub(crate) fn tell(&self, objective: Box<dyn Objective>) -> Box<dyn Objective> {
        match &self.told {
            Some(count) => {
                Box::new(CountedObjective { inner: objective, ask: self.ask.clone(), count: count.clone() })
            }
            None => objective,
        }
    }

    /// All logits `[n, classes]` of `images` on the module's device.
    fn logits(&self, images: &Tensor) -> Result<Tensor> {
        let Some(block) = self.shape.block else { return self.pass(images) };
        let n = images.dims()[0];
        let mut parts = Vec::new();
        for from in (0..n).step_by(block) {
            let rows = block.min(n - from);
            let part = images.narrow(0, from, rows)?;
            let filled = if rows == block { part } else { part.pad_with_zeros(0, 0, block - rows)? };
            parts.push(self.pass(&filled.contiguous()?)?.narrow(0, 0, rows)?);
        }
        Ok(Tensor::cat(&parts, 0)?)
    }

    fn pass(&self, images: &Tensor) -> Result<Tensor> {
        let (answer, answered) = channel();
        let gone = || Error::Classifier("the module is gone: its thread ended".into());
        self.ask.send(Message::Forward { images: images.clone(), answer }).map_err(|_| gone())?;
        let logits = answered.recv().map_err(|_| gone())??;
        let (found, n) = (logits.dims().to_vec(), images.dims()[0]);
        if found != [n, self.shape.classes] {
            let expected = format!("[{n}, {}]", self.shape.classes);
            return Err(Error::Shape { what: "the module's logits", found, expected });
        }
        Ok(logits.to_dtype(candle_core::DType::F32)?)
    }
}

impl Classifier for Served {
    fn num_classes(&self) -> usize {
        self.shape.classes
    }

    fn scores(&self, images: &Tensor, columns: &Columns) -> Result<Scores> {
        columns.validate(self.shape.classes)?;
        let all = self.logits(&images.to_device(&self.shape.device)?)?;
        Scores::new(columns.gather_tensor(&all, 0)?)
    }
}

/// An objective that says what it finds.
struct CountedObjective {
    inner: Box<dyn Objective>,
    ask: Sender<Message>,
    count: Arc<AtomicUsize>,
}

impl Objective for CountedObjective {
    fn columns(&self) -> Columns {
        self.inner.columns()
    }

    fn evaluate(&self, scores: &Scores) -> Result<ObjectiveValues> {
        let found = self.inner.evaluate(scores)?;
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        // A caller that is gone hears nothing, and the next pass says so.
        self.ask.send(Message::Step(Step { number, objective: found.values.clone() })).ok();
        Ok(found)
    }

    fn select(&self, rows: &[usize]) -> Box<dyn Objective> {
        Box::new(Self { inner: self.inner.select(rows), ask: self.ask.clone(), count: self.count.clone() })
    }

    fn is_signed(&self) -> bool {
        self.inner.is_signed()
    }
}
