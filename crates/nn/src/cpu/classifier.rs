//! A frozen network: scores, and gradients on the images only.

use std::sync::{Mutex, PoisonError};

use candle_core::{Device, Tensor};
use robin_core::{Classifier, Columns, Pass, Result, Scores, host};

use super::pass::{Frozen, Trace};
use crate::columns::{pick, spread};

pub(super) struct CpuClassifier {
    frozen: Frozen,
    /// Traces of passes that are over, for the next one to use again.
    traces: Mutex<Vec<Trace>>,
}

impl CpuClassifier {
    pub(super) fn new(frozen: Frozen) -> Self {
        Self { frozen, traces: Mutex::default() }
    }

    fn run(&self, images: &Tensor, columns: &Columns, trace: Option<&mut Trace>) -> Result<Scores> {
        let classes = self.num_classes();
        columns.validate(classes)?;
        let n = self.frozen.program.graph.image_count(images.dims()).map_err(robin_core::Error::from)?;
        let outputs = host::with_values(images, |images| self.frozen.forward(images, trace))?;
        Scores::from_vec(pick(columns, classes, outputs), n, columns.width(classes))
    }
}

impl Classifier for CpuClassifier {
    fn num_classes(&self) -> usize {
        self.frozen.program.graph.num_outputs()
    }

    fn scores(&self, images: &Tensor, columns: &Columns) -> Result<Scores> {
        self.run(images, columns, None)
    }

    fn forward<'a>(&'a self, images: &Tensor, columns: &Columns) -> Result<Box<dyn Pass + 'a>> {
        let spare = self.traces.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut trace = spare.unwrap_or_default();
        let scores = self.run(images, columns, Some(&mut trace))?;
        Ok(Box::new(CpuPass { classifier: self, columns: columns.clone(), scores, trace }))
    }
}

struct CpuPass<'a> {
    classifier: &'a CpuClassifier,
    columns: Columns,
    scores: Scores,
    trace: Trace,
}

impl Pass for CpuPass<'_> {
    fn scores(&self) -> &Scores {
        &self.scores
    }

    fn input_gradient(self: Box<Self>, score_gradient: &Tensor) -> Result<Tensor> {
        let frozen = &self.classifier.frozen;
        let (n, classes) = (self.scores.len(), frozen.program.graph.num_outputs());
        let gradient = host::with_values(score_gradient, |given| match &self.columns {
            Columns::All => frozen.backward(&self.trace, given),
            columns => frozen.backward(&self.trace, &spread(columns, classes, given)),
        })?;
        self.classifier.traces.lock().unwrap_or_else(PoisonError::into_inner).push(self.trace);
        let [c, h, w] = frozen.program.graph.input_shape();
        Ok(Tensor::from_vec(gradient, (n, c, h, w), &Device::Cpu)?)
    }
}
