//! Forward with a batch's own statistics, and back to the gradients of all weights.

use std::sync::Arc;

use robin_nn::{Error, Result};

use super::eval_mode::{back, normalization, rectifier, untrained};
use super::gradients::Gradients;
use super::plan::{INPUT, Operation, Plan, Step};
use super::tensors::Tensors;
use crate::kernels::layers::{self, Rectifier};
use crate::kernels::learning::Gradient;
use crate::kernels::norms::{self, Statistics, Sums};
use crate::kernels::products::{self, Epilogue, Product};
use crate::kernels::{Buffer, Context, Real};

/// A training pass of a network.
pub(super) struct Training<'a> {
    pub(super) context: &'a Context,
    pub(super) plan: &'a Plan,
    pub(super) tensors: &'a Tensors,
}

/// A batch on its way.
pub(super) struct Batch {
    images: usize,
    values: Vec<Option<Arc<Buffer<Real>>>>,
    steps: Vec<Kept>,
}

/// What a step keeps for the way back.
#[derive(Default)]
struct Kept {
    weights: Option<Buffer<Real>>,
    scale: Option<Buffer<f32>>,
    places: Option<Buffer<u8>>,
    norm: Option<Normed>,
}

/// A batch norm, and what it saw.
struct Normed {
    name: String,
    /// What was normalised.
    x: Arc<Buffer<Real>>,
    moments: Sums,
    statistics: Statistics,
}

impl Training<'_> {
    /// Rows of scores of `images` f32 `[n, c, h, w]`, and what the way back needs.
    pub(super) fn forward(&self, images: &Buffer<f32>) -> Result<(Arc<Buffer<Real>>, Batch)> {
        let Self { context, plan, tensors } = *self;
        let n = images.len() / plan.graph.input_shape().iter().product::<usize>();
        let mut batch = Batch { images: n, values: vec![None; plan.shapes.len()], steps: Vec::new() };
        let input = context.buffer(n * plan.shapes[INPUT].len())?;
        let normalize = plan.normalize.as_ref();
        let numbers = normalize.map(|name| [tensors.get(name, "mean"), tensors.get(name, "std")]);
        layers::read_images(context, &plan.shapes[INPUT], images, numbers, &input)?;
        batch.values[INPUT] = Some(Arc::new(input));
        for step in &plan.steps {
            let (output, kept) = self.step_forward(step, &batch)?;
            batch.values[step.output] = Some(output);
            batch.steps.push(kept);
        }
        let rows = batch.values[plan.output].clone().expect("the output is a value");
        Ok((rows, batch))
    }

    fn step_forward(&self, step: &Step, batch: &Batch) -> Result<(Arc<Buffer<Real>>, Kept)> {
        let Self { context, plan, tensors } = *self;
        let n = batch.images;
        let value = |id: usize| batch.values[id].as_ref().expect("steps are in order");
        let (x, add) = (value(step.input), step.add.map(|add| &**value(add)));
        let (before, after) = (&plan.shapes[step.input], &plan.shapes[step.output]);
        let y = context.buffer(n * after.len())?;
        let mut kept = Kept::default();
        let rectifier = rectifier(step);
        match &step.operation {
            Operation::Product { name, geometry, bias, norm } => {
                let product = Product { geometry: *geometry, images: n };
                let (weights, outputs) = (tensors.get(name, "weight"), geometry.out_channels);
                let weights = norms::fold_weights(context, weights, None, outputs)?;
                let bias = bias.then(|| tensors.get(name, "bias"));
                let finish = match norm {
                    None => Epilogue { bias, add, rectifier },
                    Some(_) => Epilogue { bias, add: None, rectifier: Rectifier::None },
                };
                products::finished(context, &product, x, &weights, finish, &y)?;
                kept.weights = Some(weights);
                match norm {
                    None => {}
                    Some(norm) => {
                        let (z, normed) = self.normalize(norm, Arc::new(y), step, add)?;
                        kept.norm = Some(normed);
                        return Ok((z, kept));
                    }
                }
            }
            Operation::BatchNorm { name } => {
                let (z, normed) = self.normalize(name, Arc::clone(x), step, add)?;
                kept.norm = Some(normed);
                return Ok((z, kept));
            }
            Operation::Normalize { name } => {
                let [scale, shift] = normalization(context, tensors, name)?;
                layers::affine(context, after, x, [&scale, &shift], (add, rectifier), &y)?;
                kept.scale = Some(scale);
            }
            operation => {
                kept.places = untrained(context, operation, (before, after), (x, add), rectifier, &y)?;
            }
        }
        Ok((Arc::new(y), kept))
    }

    fn normalize(
        &self,
        name: &str,
        x: Arc<Buffer<Real>>,
        step: &Step,
        add: Option<&Buffer<Real>>,
    ) -> Result<(Arc<Buffer<Real>>, Normed)> {
        let Self { context, plan, tensors } = *self;
        let shape = &plan.shapes[step.output];
        if x.len() / shape.packed() < 2 {
            return Err(Error::BatchStatistics {
                graph: plan.graph.name().to_owned(),
                layer: name.to_owned(),
            });
        }
        let moments = norms::moments(context, &x, shape.packed())?;
        let (weight, bias) = (tensors.get(name, "weight"), tensors.get(name, "bias"));
        let statistics = moments.statistics(context, weight, bias)?;
        let y = context.buffer(x.len())?;
        let both = [&statistics.scale, &statistics.shift];
        layers::affine(context, shape, &x, both, (add, rectifier(step)), &y)?;
        Ok((Arc::new(y), Normed { name: name.to_owned(), x, moments, statistics }))
    }

    /// Gradients of all weights, in order, for the gradient on rows of scores. Activations are let go on the way.
    pub(super) fn backward(&self, batch: &mut Batch, rows: Buffer<Real>) -> Result<Vec<Gradient>> {
        let mut found: Vec<Option<Gradient>> = self.tensors.trained.iter().map(|_| None).collect();
        self.back(batch, rows, Some(&mut found))?;
        let whole = |gradient: Option<Gradient>| gradient.expect("every weight is read");
        Ok(found.into_iter().map(whole).collect())
    }

    /// Gradient f32 `[n, c, h, w]` on the images instead, through the batch's statistics.
    pub(super) fn backward_to_images(&self, batch: &mut Batch, rows: Buffer<Real>) -> Result<Buffer<f32>> {
        let Self { context, plan, tensors } = *self;
        let n = batch.images;
        let input = self.back(batch, rows, None)?.take(INPUT, None)?;
        let std = plan.normalize.as_ref().map(|name| tensors.get(name, "std"));
        let to = context.buffer(n * plan.graph.input_shape().iter().product::<usize>())?;
        layers::write_image_gradient(context, &plan.shapes[INPUT], &input, std, &to)?;
        Ok(to)
    }

    /// All the way back: to the weights, which `found` takes, or to the images without it.
    fn back(
        &self,
        batch: &mut Batch,
        rows: Buffer<Real>,
        mut found: Option<&mut [Option<Gradient>]>,
    ) -> Result<Gradients<'_>> {
        let Self { context, plan, tensors } = *self;
        let n = batch.images;
        let mut gradients = Gradients::new(context, plan.shapes.len());
        gradients.put(plan.output, rows);
        for (step, kept) in plan.steps.iter().zip(&batch.steps).rev() {
            let output = batch.values[step.output].take();
            let mut g = gradients.take(step.output, output.as_deref().filter(|_| step.relu))?;
            if let Some(add) = step.add {
                gradients.share(add, &g)?;
            }
            if let Some(normed) = &kept.norm {
                g = Arc::new(self.norm_backward(normed, &g, found.as_deref_mut())?);
            }
            let before = &plan.shapes[step.input];
            match &step.operation {
                Operation::Copy | Operation::BatchNorm { .. } => {
                    gradients.share(step.input, &g)?;
                    continue;
                }
                Operation::Product { name, geometry, bias, .. } => {
                    let product = Product { geometry: *geometry, images: n };
                    if let Some(found) = found.as_deref_mut() {
                        let x = batch.values[step.input].as_ref().expect("values stay until they are made");
                        let dw = context.buffer(geometry.taps() * geometry.out_channels)?;
                        products::backward_filter(context, &product, x, &g, &dw)?;
                        found[tensors.trained_index(name, "weight")] = Some(Gradient::Reals(dw));
                        if *bias {
                            // The first row of the sums is that of the gradient itself.
                            let sums = norms::moments(context, &g, geometry.out_channels)?;
                            let db = sums.gradients(context)?.first(geometry.out_channels)?;
                            found[tensors.trained_index(name, "bias")] = Some(Gradient::Floats(db));
                        }
                        if step.input == INPUT {
                            // Nobody asks for the gradient on the images.
                            continue;
                        }
                    }
                    let dx = context.buffer(n * before.len())?;
                    let weights = kept.weights.as_ref().expect("a product keeps its weights");
                    products::backward_data(context, &product, &g, weights, &dx)?;
                    gradients.add(step.input, dx)?;
                }
                operation => {
                    let dx = context.buffer(n * before.len())?;
                    match &kept.scale {
                        Some(scale) => layers::scale_channels(context, before, &g, scale, &dx)?,
                        None => back(context, operation, before, (&g, kept.places.as_ref()), &dx)?,
                    }
                    gradients.add(step.input, dx)?;
                }
            }
        }
        Ok(gradients)
    }

    fn norm_backward(
        &self,
        normed: &Normed,
        g: &Buffer<Real>,
        found: Option<&mut [Option<Gradient>]>,
    ) -> Result<Buffer<Real>> {
        let Self { context, tensors, .. } = *self;
        let Normed { name, x, statistics, .. } = normed;
        let slopes = norms::slopes(context, g, x, statistics)?;
        let dx = context.buffer(x.len())?;
        norms::backward(context, g, x, statistics, &slopes, &dx)?;
        if let Some(found) = found {
            let sums = slopes.gradients(context)?;
            let channels = sums.len() / 2;
            found[tensors.trained_index(name, "bias")] = Some(Gradient::Floats(sums.first(channels)?));
            found[tensors.trained_index(name, "weight")] = Some(Gradient::Floats(sums.last(channels)?));
        }
        Ok(dx)
    }

    /// Moves the running statistics towards those of a batch.
    pub(super) fn move_running_statistics(&self, batch: &Batch) -> Result<()> {
        for normed in batch.steps.iter().filter_map(|kept| kept.norm.as_ref()) {
            let running = |part| self.tensors.get(&normed.name, part);
            normed.moments.move_running(self.context, running("running_mean"), running("running_var"))?;
        }
        Ok(())
    }
}
