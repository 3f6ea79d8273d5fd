//! A network in eval mode: scores, and gradients on the images only.

use std::sync::{Mutex, PoisonError};

use candle_core::{Device, Tensor};
use robin_core::{Classifier, Columns, Pass, Result, Scores, host};

use super::pass::{EvalNetwork, Trace};

pub(super) struct CpuClassifier {
    network: EvalNetwork,
    /// Traces of passes that are over, for the next one to use again.
    traces: Mutex<Vec<Trace>>,
}

impl CpuClassifier {
    pub(super) fn new(network: EvalNetwork) -> Self {
        Self { network, traces: Mutex::default() }
    }

    fn run(&self, images: &Tensor, columns: &Columns, trace: Option<&mut Trace>) -> Result<Scores> {
        let classes = self.num_classes();
        columns.validate(classes)?;
        let n = self.network.program.graph.image_count(images.dims()).map_err(robin_core::Error::from)?;
        let outputs = host::with_values(images, |images| self.network.forward(images, trace))?;
        Scores::from_vec(columns.gather(classes, outputs), n, columns.width(classes))
    }
}

impl Classifier for CpuClassifier {
    fn num_classes(&self) -> usize {
        self.network.program.graph.num_outputs()
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
        let network = &self.classifier.network;
        let (n, classes) = (self.scores.len(), network.program.graph.num_outputs());
        let gradient = host::with_values(score_gradient, |given| match &self.columns {
            Columns::All => network.backward(&self.trace, given),
            columns => network.backward(&self.trace, &columns.scatter(classes, given)),
        })?;
        self.classifier.traces.lock().unwrap_or_else(PoisonError::into_inner).push(self.trace);
        let [c, h, w] = network.program.graph.input_shape();
        Ok(Tensor::from_vec(gradient, (n, c, h, w), &Device::Cpu)?)
    }
}
