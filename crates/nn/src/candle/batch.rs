//! A network in training as an attacker meets it: batch norm with each batch's own statistics.

use candle_core::{Device, Tensor, Var};
use robin_core::{Classifier, Columns, Error, Pass, Result, Scores, host};

use super::{Mode, Weights, forward};
use crate::Graph;

/// See [`crate::Network::freeze_with_batch_statistics`].
pub(super) struct BatchClassifier {
    pub(super) graph: Graph,
    pub(super) weights: Weights,
}

impl BatchClassifier {
    /// The chosen scores, and all of them as candle tracks them.
    fn run(&self, images: &Tensor, columns: &Columns) -> Result<(Scores, Tensor)> {
        let classes = self.num_classes();
        columns.validate(classes)?;
        let outputs = forward(&self.graph, &self.weights, images, Mode::Training).map_err(Error::from)?;
        let (n, chosen) = (outputs.dims()[0], columns.gather(classes, host::to_vec(&outputs)?));
        Ok((Scores::from_vec(chosen, n, columns.width(classes))?, outputs))
    }
}

impl Classifier for BatchClassifier {
    fn num_classes(&self) -> usize {
        self.graph.num_outputs()
    }

    fn scores(&self, images: &Tensor, columns: &Columns) -> Result<Scores> {
        Ok(self.run(&images.to_device(self.weights.device())?, columns)?.0)
    }

    fn forward<'a>(&'a self, images: &Tensor, columns: &Columns) -> Result<Box<dyn Pass + 'a>> {
        let images = Var::from_tensor(&images.to_device(self.weights.device())?)?;
        let (scores, outputs) = self.run(images.as_tensor(), columns)?;
        Ok(Box::new(BatchPass { images, columns: columns.clone(), scores, outputs }))
    }
}

struct BatchPass {
    images: Var,
    columns: Columns,
    scores: Scores,
    outputs: Tensor,
}

impl Pass for BatchPass {
    fn scores(&self) -> &Scores {
        &self.scores
    }

    fn input_gradient(self: Box<Self>, score_gradient: &Tensor) -> Result<Tensor> {
        let (n, classes) = self.outputs.dims2()?;
        let given = self.columns.scatter(classes, &host::to_vec(score_gradient)?);
        let given = Tensor::from_vec(given, (n, classes), self.outputs.device())?;
        let gradients = (&self.outputs * given)?.sum_all()?.backward()?;
        let gradient = gradients.get(&self.images).ok_or(Error::GraphCut)?;
        Ok(gradient.to_device(&Device::Cpu)?)
    }
}
