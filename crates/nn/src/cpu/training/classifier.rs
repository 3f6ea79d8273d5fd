//! A network in training as an attacker meets it: batch norm with each batch's own statistics, gradients on the images.

use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{Device, Tensor};
use rayon::prelude::*;
use robin_core::{Classifier, Columns, Pass, Result, Scores, host};
use robin_kernels::conv2d::packed::Directions;

use super::super::layers::{self, Layer};
use super::super::lower::{INPUT, Program};
use super::super::pass::write_gradient;
use super::super::share::piece;
use super::super::slots::Slots;
use super::chunk::Chunk;
use super::{Batch, CHUNK, Lifetimes, Normed, Training, Wanted};
use crate::Parameters;

/// See [`crate::Network::freeze_with_batch_statistics`].
pub(in super::super) struct BatchClassifier {
    program: Arc<Program>,
    slots: Arc<Slots>,
    lifetimes: Arc<Lifetimes>,
    parameters: Parameters,
    /// Every step's.
    layers: Vec<Option<Arc<Layer>>>,
    /// Buffers of passes that are over.
    spare: Mutex<Vec<Vec<Chunk>>>,
}

impl BatchClassifier {
    pub(in super::super) fn new(
        (program, slots, lifetimes): (Arc<Program>, Arc<Slots>, Arc<Lifetimes>),
        parameters: Parameters,
    ) -> Self {
        let pack = |step| Some(Arc::new(layers::apart(&program, &parameters, step, Directions::Both)));
        let layers = program.steps.par_iter().with_min_len(piece()).map(pack).collect();
        Self { program, slots, lifetimes, parameters, layers, spare: Mutex::default() }
    }

    fn training(&self) -> Training<'_> {
        Training {
            program: &self.program,
            slots: &self.slots,
            lifetimes: &self.lifetimes,
            shared: self.layers.clone(),
            parameters: &self.parameters,
            normalize: super::super::normalization(&self.program, &self.parameters),
        }
    }

    fn run(&self, images: &Tensor, columns: &Columns) -> Result<BatchPass<'_>> {
        let classes = self.num_classes();
        columns.validate(classes)?;
        let n = self.program.graph.image_count(images.dims()).map_err(robin_core::Error::from)?;
        let spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut chunks = spare.unwrap_or_default();
        chunks.resize_with(n.div_ceil(CHUNK), Chunk::default);
        let mut batch = Batch { images: n, chunks: &mut chunks, norms: Vec::new() };
        let outputs = host::with_values(images, |images| self.training().forward(images, &mut batch))?;
        let outputs = outputs.map_err(robin_core::Error::from)?;
        let norms = batch.norms;
        let scores = Scores::from_vec(columns.gather(classes, outputs), n, columns.width(classes))?;
        Ok(BatchPass { classifier: self, columns: columns.clone(), scores, chunks, norms })
    }

    fn give(&self, chunks: Vec<Chunk>) {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner).push(chunks);
    }
}

impl Classifier for BatchClassifier {
    fn num_classes(&self) -> usize {
        self.program.graph.num_outputs()
    }

    fn scores(&self, images: &Tensor, columns: &Columns) -> Result<Scores> {
        let BatchPass { scores, chunks, .. } = self.run(images, columns)?;
        self.give(chunks);
        Ok(scores)
    }

    fn forward<'a>(&'a self, images: &Tensor, columns: &Columns) -> Result<Box<dyn Pass + 'a>> {
        Ok(Box::new(self.run(images, columns)?))
    }
}

struct BatchPass<'a> {
    classifier: &'a BatchClassifier,
    columns: Columns,
    scores: Scores,
    chunks: Vec<Chunk>,
    norms: Vec<Option<Normed>>,
}

impl Pass for BatchPass<'_> {
    fn scores(&self) -> &Scores {
        &self.scores
    }

    fn input_gradient(self: Box<Self>, score_gradient: &Tensor) -> Result<Tensor> {
        let Self { classifier, columns, scores, mut chunks, norms } = *self;
        let (training, program, n) = (classifier.training(), &classifier.program, scores.len());
        let given =
            host::with_values(score_gradient, |given| columns.scatter(classifier.num_classes(), given))?;
        let mut batch = Batch { images: n, chunks: &mut chunks, norms };
        training.back(&given, &mut batch, &mut Wanted::Images);
        let [c, h, w] = program.graph.input_shape();
        let mut gradient = vec![0.0; n * c * h * w];
        let std = training.normalize.as_ref().map(|[_, std]| std.as_slice());
        chunks.par_iter().zip(gradient.par_chunks_mut(CHUNK * c * h * w)).with_min_len(piece()).for_each(
            |(chunk, gradient)| {
                let found = &chunk.gradients[classifier.slots.input_gradient];
                write_gradient(found, &program.layouts[INPUT], [c, h, w], std, gradient);
            },
        );
        classifier.give(chunks);
        Ok(Tensor::from_vec(gradient, (n, c, h, w), &Device::Cpu)?)
    }
}
