//! A network in eval mode as an attacker on the host meets it.

use candle_core::{Device, Tensor};
use robin_core::{Classifier, Columns, OnDevicePgd, Pass, Result, Scores, host};
use robin_nn::Error;

use super::eval_mode::{EvalNetwork, Trace};
use crate::kernels::layers;

pub(super) struct CudaClassifier {
    pub(super) network: EvalNetwork,
}

impl CudaClassifier {
    fn run(&self, images: &Tensor, columns: &Columns, trace: Option<&mut Option<Trace>>) -> Result<Scores> {
        let classes = self.num_classes();
        columns.validate(classes)?;
        let n = self.network.plan.graph.image_count(images.dims())?;
        let outputs = if n == 0 {
            Vec::new()
        } else {
            host::with_values(images, |images| self.outputs(images, n, trace))??
        };
        Scores::from_vec(columns.gather(classes, outputs), n, columns.width(classes))
    }

    fn outputs(
        &self,
        images: &[f32],
        n: usize,
        trace: Option<&mut Option<Trace>>,
    ) -> robin_nn::Result<Vec<f32>> {
        let context = &self.network.context;
        let mut images = images.to_vec();
        images.resize(images.len() / n * padded(n), 0.0);
        let images = context.upload(&images)?;
        let rows = self.network.forward(&images, trace)?;
        let classes = self.network.plan.graph.num_outputs();
        let scores = context.buffer(padded(n) * classes)?;
        layers::read_scores(context, classes, &rows, &scores)?;
        let mut scores = scores.to_vec()?;
        scores.truncate(n * classes);
        Ok(scores)
    }
}

/// Images that are computed for `n`: a few sizes only, since algorithms are chosen for each. What is added is black.
pub(super) fn padded(n: usize) -> usize {
    n.next_multiple_of(if n <= 64 { 8 } else { 32 })
}

impl Classifier for CudaClassifier {
    fn num_classes(&self) -> usize {
        self.network.plan.graph.num_outputs()
    }

    fn scores(&self, images: &Tensor, columns: &Columns) -> Result<Scores> {
        self.run(images, columns, None)
    }

    fn forward<'a>(&'a self, images: &Tensor, columns: &Columns) -> Result<Box<dyn Pass + 'a>> {
        let mut trace = None;
        let scores = self.run(images, columns, Some(&mut trace))?;
        Ok(Box::new(CudaPass { classifier: self, columns: columns.clone(), scores, trace }))
    }

    fn on_device_pgd(&self) -> Option<&dyn OnDevicePgd> {
        Some(self)
    }
}

struct CudaPass<'a> {
    classifier: &'a CudaClassifier,
    columns: Columns,
    scores: Scores,
    /// None if there are no images.
    trace: Option<Trace>,
}

impl CudaPass<'_> {
    fn gradient(&self, scores: &[f32]) -> robin_nn::Result<Vec<f32>> {
        let Some(trace) = &self.trace else { return Ok(Vec::new()) };
        let (network, n) = (&self.classifier.network, self.scores.len());
        let (context, classes) = (&network.context, network.plan.graph.num_outputs());
        let mut scores = scores.to_vec();
        scores.resize(padded(n) * classes, 0.0);
        let scores = context.upload(&scores)?;
        let rows = context.buffer(padded(n) * network.plan.shapes[network.plan.output].len())?;
        layers::write_score_gradient(context, classes, &scores, &rows)?;
        let mut gradient = network.backward(trace, rows)?.to_vec()?;
        gradient.truncate(n * network.plan.graph.input_shape().iter().product::<usize>());
        Ok(gradient)
    }
}

impl Pass for CudaPass<'_> {
    fn scores(&self) -> &Scores {
        &self.scores
    }

    fn input_gradient(self: Box<Self>, score_gradient: &Tensor) -> Result<Tensor> {
        let graph = &self.classifier.network.plan.graph;
        let n = self.scores.len();
        let gradient = host::with_values(score_gradient, |given| {
            self.gradient(&self.columns.scatter(graph.num_outputs(), given))
        })?
        .map_err(|error: Error| robin_core::Error::from(error))?;
        let [c, h, w] = graph.input_shape();
        Ok(Tensor::from_vec(gradient, (n, c, h, w), &Device::Cpu)?)
    }
}
