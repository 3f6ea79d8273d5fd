//! A network in training as an attacker meets it: batch norm with each batch's own statistics, gradients on the images.

use std::sync::Arc;

use candle_core::{Device, Tensor};
use robin_core::{Classifier, Columns, Pass, Result, Scores, host};

use super::plan::Plan;
use super::tensors::Tensors;
use super::training::{Batch, Training};
use crate::kernels::{Context, layers};

/// See [`robin_nn::Network::freeze_with_batch_statistics`].
pub(super) struct BatchClassifier {
    pub(super) context: Context,
    pub(super) plan: Arc<Plan>,
    pub(super) tensors: Tensors,
}

impl BatchClassifier {
    fn training(&self) -> Training<'_> {
        Training { context: &self.context, plan: &self.plan, tensors: &self.tensors }
    }

    fn run(&self, images: &Tensor, columns: &Columns) -> Result<BatchPass<'_>> {
        let classes = self.num_classes();
        columns.validate(classes)?;
        let n = self.plan.graph.image_count(images.dims()).map_err(robin_core::Error::from)?;
        // No image may be added to fill a batch up: it would count.
        let (outputs, batch) = if n == 0 {
            (Vec::new(), None)
        } else {
            host::with_values(images, |images| self.outputs(images, n))??
        };
        let scores = Scores::from_vec(columns.gather(classes, outputs), n, columns.width(classes))?;
        Ok(BatchPass { classifier: self, columns: columns.clone(), scores, batch })
    }

    fn outputs(&self, images: &[f32], n: usize) -> robin_nn::Result<(Vec<f32>, Option<Batch>)> {
        let (context, classes) = (&self.context, self.num_classes());
        let (rows, batch) = self.training().forward(&context.upload(images)?)?;
        let scores = context.buffer(n * classes)?;
        layers::read_scores(context, classes, &rows, &scores)?;
        Ok((scores.to_vec()?, Some(batch)))
    }

    fn gradient(&self, batch: &mut Batch, scores: &[f32]) -> robin_nn::Result<Vec<f32>> {
        let (context, classes) = (&self.context, self.num_classes());
        let n = scores.len() / classes;
        let rows = context.buffer(n * self.plan.shapes[self.plan.output].len())?;
        layers::write_score_gradient(context, classes, &context.upload(scores)?, &rows)?;
        Ok(self.training().backward_to_images(batch, rows)?.to_vec()?)
    }
}

impl Classifier for BatchClassifier {
    fn num_classes(&self) -> usize {
        self.plan.graph.num_outputs()
    }

    fn scores(&self, images: &Tensor, columns: &Columns) -> Result<Scores> {
        Ok(self.run(images, columns)?.scores)
    }

    fn forward<'a>(&'a self, images: &Tensor, columns: &Columns) -> Result<Box<dyn Pass + 'a>> {
        Ok(Box::new(self.run(images, columns)?))
    }
}

struct BatchPass<'a> {
    classifier: &'a BatchClassifier,
    columns: Columns,
    scores: Scores,
    /// None if there are no images.
    batch: Option<Batch>,
}

impl Pass for BatchPass<'_> {
    fn scores(&self) -> &Scores {
        &self.scores
    }

    fn input_gradient(self: Box<Self>, score_gradient: &Tensor) -> Result<Tensor> {
        let Self { classifier, columns, scores, batch } = *self;
        let given =
            host::with_values(score_gradient, |given| columns.scatter(classifier.num_classes(), given))?;
        let gradient = match batch {
            None => Vec::new(),
            Some(mut batch) => classifier.gradient(&mut batch, &given).map_err(robin_core::Error::from)?,
        };
        let [c, h, w] = classifier.plan.graph.input_shape();
        Ok(Tensor::from_vec(gradient, (scores.len(), c, h, w), &Device::Cpu)?)
    }
}
