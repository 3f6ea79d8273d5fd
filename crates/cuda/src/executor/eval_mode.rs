//! A network in eval mode on a device: scores, and gradients on the images only.

use std::sync::Arc;

use robin_nn::Result;

use super::gradients::Gradients;
use super::plan::{INPUT, Operation, Plan, Step};
use super::tensors::{Tensors, copied};
use crate::kernels::layers::{self, Rectifier, Shape};
use crate::kernels::norms::{self, Running as EvalNorm};
use crate::kernels::products::{self, Epilogue, Product};
use crate::kernels::{Buffer, Context, Real};

/// What a step multiplies with.
#[derive(Debug)]
enum Layer {
    Product { weights: Buffer<Real>, bias: Option<Buffer<f32>> },
    Affine { scale: Buffer<f32>, shift: Buffer<f32> },
    Nothing,
}

/// A network in evaluation mode: batch norms are part of the products before them.
#[derive(Debug)]
pub(super) struct EvalNetwork {
    pub(super) context: Context,
    pub(super) plan: Arc<Plan>,
    layers: Arc<Vec<Layer>>,
    normalization: Option<Arc<[Buffer<f32>; 2]>>,
}

/// What the way back needs of a way forward.
#[derive(Debug)]
pub(super) struct Trace {
    images: usize,
    /// Outputs of rectifiers.
    rectified: Vec<Option<Arc<Buffer<Real>>>>,
    /// Where maxima were.
    places: Vec<Option<Buffer<u8>>>,
}

impl Trace {
    /// Images that went forward.
    pub(super) fn images(&self) -> usize {
        self.images
    }
}

impl EvalNetwork {
    /// Prepared on the device; later changes of `tensors` do not reach it.
    pub(super) fn new(context: &Context, plan: &Arc<Plan>, tensors: &Tensors) -> Result<Self> {
        let layers =
            plan.steps.iter().map(|step| Layer::new(context, step, tensors)).collect::<Result<_>>()?;
        let normalization = match &plan.normalize {
            None => None,
            Some(name) => Some(Arc::new([
                copied(context, tensors.get(name, "mean"))?,
                copied(context, tensors.get(name, "std"))?,
            ])),
        };
        let layers = Arc::new(layers);
        Ok(Self { context: context.clone(), plan: Arc::clone(plan), layers, normalization })
    }

    /// The same network with the same weights, computing in `context` on the same device.
    pub(super) fn on(&self, context: &Context) -> Self {
        let (plan, layers) = (Arc::clone(&self.plan), Arc::clone(&self.layers));
        Self { context: context.clone(), plan, layers, normalization: self.normalization.clone() }
    }

    /// The same network with weights of its own in `context`.
    pub(super) fn again(&self, context: &Context) -> Result<Self> {
        let layers = self.layers.iter().map(|layer| layer.again(context)).collect::<Result<_>>()?;
        let normalization = match self.normalization.as_deref() {
            None => None,
            Some([mean, std]) => Some(Arc::new([copied(context, mean)?, copied(context, std)?])),
        };
        let (plan, layers) = (Arc::clone(&self.plan), Arc::new(layers));
        Ok(Self { context: context.clone(), plan, layers, normalization })
    }

    /// Takes the weights of the same network as it is now.
    pub(super) fn copy_from(&self, other: &Self) -> Result<()> {
        for (to, from) in self.layers.iter().zip(other.layers.iter()) {
            match (to, from) {
                (
                    Layer::Product { weights, bias },
                    Layer::Product { weights: from_weights, bias: from_bias },
                ) => {
                    weights.copy_from(from_weights)?;
                    if let (Some(bias), Some(from)) = (bias, from_bias) {
                        bias.copy_from(from)?;
                    }
                }
                (Layer::Affine { scale, shift }, Layer::Affine { scale: from_scale, shift: from_shift }) => {
                    scale.copy_from(from_scale)?;
                    shift.copy_from(from_shift)?;
                }
                _ => {}
            }
        }
        if let (Some(to), Some(from)) = (self.normalization.as_deref(), other.normalization.as_deref()) {
            to.iter().zip(from).try_for_each(|(to, from)| to.copy_from(from))?;
        }
        Ok(())
    }

    /// Rows of scores of `images` f32 `[n, c, h, w]`; what the way back needs is kept if `trace` is asked for.
    pub(super) fn forward(
        &self,
        images: &Buffer<f32>,
        mut trace: Option<&mut Option<Trace>>,
    ) -> Result<Arc<Buffer<Real>>> {
        let (context, plan) = (&self.context, &self.plan);
        let n = images.len() / plan.graph.input_shape().iter().product::<usize>();
        let mut values: Vec<Option<Arc<Buffer<Real>>>> = vec![None; plan.shapes.len()];
        let mut kept = Trace {
            images: n,
            rectified: vec![None; plan.shapes.len()],
            places: plan.steps.iter().map(|_| None).collect(),
        };
        let input = context.buffer(n * plan.shapes[INPUT].len())?;
        let normalization = self.normalization.as_deref().map(|[mean, std]| [mean, std]);
        layers::read_images(context, &plan.shapes[INPUT], images, normalization, &input)?;
        values[INPUT] = Some(Arc::new(input));
        for (at, (step, layer)) in plan.steps.iter().zip(self.layers.iter()).enumerate() {
            let output = Arc::new(context.buffer(n * plan.shapes[step.output].len())?);
            {
                let value = |id: usize| values[id].as_deref().expect("steps are in order");
                let add = step.add.map(value);
                kept.places[at] = self.apply(step, layer, n, (value(step.input), add), &output)?;
            }
            if step.relu && trace.is_some() {
                kept.rectified[step.output] = Some(Arc::clone(&output));
            }
            values[step.output] = Some(output);
            for value in [Some(step.input), step.add].into_iter().flatten() {
                if plan.last_reader[value] == at {
                    values[value] = None;
                }
            }
        }
        if let Some(trace) = trace.as_mut() {
            **trace = Some(kept);
        }
        Ok(values[plan.output].take().expect("the output is a value"))
    }

    fn apply(
        &self,
        step: &Step,
        layer: &Layer,
        n: usize,
        (x, add): (&Buffer<Real>, Option<&Buffer<Real>>),
        y: &Buffer<Real>,
    ) -> Result<Option<Buffer<u8>>> {
        let (context, plan) = (&self.context, &self.plan);
        let (before, after) = (&plan.shapes[step.input], &plan.shapes[step.output]);
        let rectifier = rectifier(step);
        match (&step.operation, layer) {
            (Operation::Product { geometry, .. }, Layer::Product { weights, bias }) => {
                let finish = Epilogue { bias: bias.as_ref(), add, rectifier };
                let product = Product { geometry: *geometry, images: n };
                products::finished(context, &product, x, weights, finish, y)?;
            }
            (_, Layer::Affine { scale, shift }) => {
                layers::affine(context, after, x, [scale, shift], (add, rectifier), y)?;
            }
            (operation, _) => return untrained(context, operation, (before, after), (x, add), rectifier, y),
        }
        Ok(None)
    }

    /// Gradient f32 `[n, c, h, w]` on the images for the gradient on rows of scores.
    pub(super) fn backward(&self, trace: &Trace, rows: Buffer<Real>) -> Result<Buffer<f32>> {
        let (context, plan) = (&self.context, &self.plan);
        let n = trace.images;
        let mut gradients = Gradients::new(context, plan.shapes.len());
        gradients.put(plan.output, rows);
        for (at, (step, layer)) in plan.steps.iter().zip(self.layers.iter()).enumerate().rev() {
            let rectified = trace.rectified[step.output].as_deref();
            let g = gradients.take(step.output, rectified)?;
            if let Some(add) = step.add {
                gradients.share(add, &g)?;
            }
            let (before, after) = (&plan.shapes[step.input], &plan.shapes[step.output]);
            if step.operation == Operation::Copy {
                gradients.share(step.input, &g)?;
                continue;
            }
            let dx = context.buffer(n * before.len())?;
            match (&step.operation, layer) {
                (Operation::Product { geometry, .. }, Layer::Product { weights, .. }) => {
                    let product = Product { geometry: *geometry, images: n };
                    products::backward_data(context, &product, &g, weights, &dx)?;
                }
                (_, Layer::Affine { scale, .. }) => layers::scale_channels(context, after, &g, scale, &dx)?,
                (operation, _) => back(context, operation, before, (&g, trace.places[at].as_ref()), &dx)?,
            }
            gradients.add(step.input, dx)?;
        }
        let input = gradients.take(INPUT, None)?;
        let shape = plan.graph.input_shape();
        let to = context.buffer(n * shape.iter().product::<usize>())?;
        let std = self.normalization.as_deref().map(|[_, std]| std);
        layers::write_image_gradient(context, &plan.shapes[INPUT], &input, std, &to)?;
        Ok(to)
    }
}

pub(super) fn rectifier(step: &Step) -> Rectifier {
    if step.relu { Rectifier::Relu } else { Rectifier::None }
}

/// A step without parameters; returns where maxima were.
pub(super) fn untrained(
    context: &Context,
    operation: &Operation,
    (before, after): (&Shape, &Shape),
    (x, add): (&Buffer<Real>, Option<&Buffer<Real>>),
    rectifier: Rectifier,
    y: &Buffer<Real>,
) -> Result<Option<Buffer<u8>>> {
    match operation {
        Operation::MaxPool(g) => {
            let places = context.buffer(y.len())?;
            layers::max_pool_forward(context, g, x, y, &places)?;
            return Ok(Some(places));
        }
        Operation::AvgPool { window } => layers::avg_pool_forward(context, before, *window, x, y)?,
        Operation::Flatten => layers::flatten_forward(context, before, x, y)?,
        _ => {
            y.copy_from(x)?;
            layers::epilogue(context, after, y, None, add, rectifier)?;
        }
    }
    Ok(None)
}

/// The gradient on the input of a step without parameters, other than a copy.
pub(super) fn back(
    context: &Context,
    operation: &Operation,
    before: &Shape,
    (g, places): (&Buffer<Real>, Option<&Buffer<u8>>),
    dx: &Buffer<Real>,
) -> Result<()> {
    match operation {
        Operation::MaxPool(geometry) => {
            let places = places.expect("a max pooling keeps its places");
            layers::max_pool_backward(context, geometry, g, places, dx)?;
        }
        Operation::AvgPool { window } => layers::avg_pool_backward(context, before, *window, g, dx)?,
        Operation::Flatten => layers::flatten_backward(context, before, g, dx)?,
        _ => unreachable!("{operation:?} has parameters, or is a copy"),
    }
    Ok(())
}

impl Layer {
    /// A copy in `context`.
    fn again(&self, context: &Context) -> Result<Self> {
        Ok(match self {
            Layer::Product { weights, bias } => Layer::Product {
                weights: copied(context, weights)?,
                bias: bias.as_ref().map(|bias| copied(context, bias)).transpose()?,
            },
            Layer::Affine { scale, shift } => {
                Layer::Affine { scale: copied(context, scale)?, shift: copied(context, shift)? }
            }
            Layer::Nothing => Layer::Nothing,
        })
    }

    fn new(context: &Context, step: &Step, tensors: &Tensors) -> Result<Self> {
        Ok(match &step.operation {
            Operation::Product { name, geometry, bias, norm } => {
                let (weights, outputs) = (tensors.get(name, "weight"), geometry.out_channels);
                let bias = bias.then(|| tensors.get(name, "bias"));
                match norm {
                    None => Layer::Product {
                        weights: norms::fold_weights(context, weights, None, outputs)?,
                        bias: bias.map(|bias| copied(context, bias)).transpose()?,
                    },
                    Some(norm) => {
                        let [scale, shift] = batch_norm(tensors, norm, bias).fold(context)?;
                        let weights = norms::fold_weights(context, weights, Some(&scale), outputs)?;
                        Layer::Product { weights, bias: Some(shift) }
                    }
                }
            }
            Operation::BatchNorm { name } => {
                let [scale, shift] = batch_norm(tensors, name, None).fold(context)?;
                Layer::Affine { scale, shift }
            }
            Operation::Normalize { name } => normalize(context, tensors, name)?,
            _ => Layer::Nothing,
        })
    }
}

fn batch_norm<'a>(tensors: &'a Tensors, name: &str, before: Option<&'a Buffer<f32>>) -> EvalNorm<'a> {
    EvalNorm {
        trained: Some([tensors.get(name, "weight"), tensors.get(name, "bias")]),
        mean: tensors.get(name, "running_mean"),
        variance: tensors.get(name, "running_var"),
        before,
    }
}

fn normalize(context: &Context, tensors: &Tensors, name: &str) -> Result<Layer> {
    let [scale, shift] = normalization(context, tensors, name)?;
    Ok(Layer::Affine { scale, shift })
}

/// Scale and shift of a normalisation that is not at the images.
pub(super) fn normalization(context: &Context, tensors: &Tensors, name: &str) -> Result<[Buffer<f32>; 2]> {
    let (mean, variance) = (tensors.get(name, "mean"), tensors.get(name, "std"));
    Ok(EvalNorm { trained: None, mean, variance, before: None }.fold(context)?)
}
