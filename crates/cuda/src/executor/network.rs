//! A network in training on a device.

use std::cell::Cell;
use std::sync::Arc;

use candle_core::Tensor;
use robin_core::{Classifier, Scores, host};
use robin_nn::device_resident::DeviceResident;
use robin_nn::executor::check;
use robin_nn::{Gradient, Gradients, Graph, LossFn, NamedTensor, Network, Parameters, Result};

use super::attack::Attack;
use super::batch::BatchClassifier;
use super::classifier::CudaClassifier;
use super::eval_mode::EvalNetwork;
use super::plan::Plan;
use super::tensors::{self, Atlas, Tensors};
use super::training::Training;
use crate::kernels::batches::Images;
use crate::kernels::{Buffer, Context, Storage, layers};

pub(super) struct CudaNetwork {
    pub(super) context: Context,
    pub(super) plan: Arc<Plan>,
    atlas: Atlas,
    pub(super) tensors: Tensors,
    /// On the host; older than the device's if `device_moved`.
    parameters: Parameters,
    /// Whether the host's trained tensors are newer than the device's.
    host_moved: Cell<bool>,
    /// Whether the device's tensors are newer than the host's.
    pub(super) device_moved: bool,
    /// Of the optimiser on the device; empty before its first step.
    pub(super) velocities: Vec<Buffer<f32>>,
    pub(super) data: Option<Images>,
    /// The training attack of the last step.
    pub(super) attack: Option<Attack>,
}

impl CudaNetwork {
    pub(super) fn new(context: Context, graph: &Graph, parameters: Parameters) -> Result<Self> {
        let plan = Arc::new(Plan::new(graph));
        let atlas = tensors::atlas(&plan);
        let tensors = Tensors::upload(&context, &atlas, &parameters)?;
        Ok(Self {
            context,
            plan,
            atlas,
            tensors,
            parameters,
            host_moved: Cell::new(false),
            device_moved: false,
            velocities: Vec::new(),
            data: None,
            attack: None,
        })
    }

    /// Brings the device up to date.
    pub(super) fn push(&self) -> Result<()> {
        if self.host_moved.get() {
            self.tensors.upload_trained(&self.parameters.trained)?;
            self.host_moved.set(false);
        }
        Ok(())
    }

    pub(super) fn eval_mode(&self) -> Result<EvalNetwork> {
        self.push()?;
        EvalNetwork::new(&self.context, &self.plan, &self.tensors)
    }
}

impl Network for CudaNetwork {
    fn graph(&self) -> &Graph {
        &self.plan.graph
    }

    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn restore(&mut self, parameters: Parameters) -> Result<()> {
        check(&self.plan.graph, &parameters)?;
        self.tensors = Tensors::upload(&self.context, &self.atlas, &parameters)?;
        self.parameters = parameters;
        self.host_moved.set(false);
        self.device_moved = false;
        Ok(())
    }

    fn update(&mut self, change: &mut dyn FnMut(&mut [NamedTensor])) {
        change(&mut self.parameters.trained);
        self.host_moved.set(true);
    }

    fn freeze(&self) -> Result<Box<dyn Classifier>> {
        Ok(Box::new(CudaClassifier { network: self.eval_mode()? }))
    }

    fn freeze_with_batch_statistics(&self) -> Result<Box<dyn Classifier>> {
        self.push()?;
        let (context, plan) = (self.context.clone(), Arc::clone(&self.plan));
        let tensors = self.tensors.again(&context)?;
        Ok(Box::new(BatchClassifier { context, plan, tensors }))
    }

    fn train_step(&mut self, batches: &[&Tensor], loss: &mut LossFn<'_>) -> Result<Gradients> {
        self.settle()?;
        self.push()?;
        let (context, plan) = (&self.context, &*self.plan);
        let training = Training { context, plan, tensors: &self.tensors };
        let outputs = plan.graph.num_outputs();
        let (mut scores, mut on_their_way) = (Vec::new(), Vec::new());
        for images in batches {
            let n = plan.graph.image_count(images.dims())?;
            let images = context.upload(&host::to_vec(images)?)?;
            let (rows, batch) = training.forward(&images)?;
            let to = context.buffer(n * outputs)?;
            layers::read_scores(context, outputs, &rows, &to)?;
            scores.push(Scores::from_vec(to.to_vec()?, n, outputs)?);
            on_their_way.push(batch);
        }
        let score_gradients = loss(&scores)?;
        let mut sums: Option<Vec<Vec<f32>>> = None;
        for ((batch, gradient), scores) in on_their_way.iter_mut().zip(score_gradients).zip(&scores) {
            let gradient = context.upload(&host::to_vec(&gradient)?)?;
            let rows = context.buffer(scores.len() * plan.shapes[plan.output].len())?;
            layers::write_score_gradient(context, outputs, &gradient, &rows)?;
            let found = training.backward(batch, rows)?;
            let found = found
                .iter()
                .enumerate()
                .map(|(at, gradient)| Ok(self.tensors.unpack_trained(at, &gradient.to_vec(context)?)));
            let found = found.collect::<Result<Vec<Vec<f32>>>>()?;
            sums = Some(match sums {
                None => found,
                Some(mut sums) => {
                    let values = sums.iter_mut().flatten().zip(found.iter().flatten());
                    values.for_each(|(sum, value)| *sum += value);
                    sums
                }
            });
        }
        for batch in &on_their_way {
            training.move_running_statistics(batch)?;
        }
        self.tensors.download_buffers(&mut self.parameters)?;
        let none = || self.parameters.trained.iter().map(|tensor| vec![0.0; tensor.values.len()]).collect();
        Ok(Gradients(sums.unwrap_or_else(none).into_iter().map(Gradient::from).collect()))
    }

    fn resolution(&self) -> f64 {
        match self.context.precision().storage() {
            Storage::F32 => f64::from(f32::EPSILON),
            Storage::Bf16 => 1.0 / 128.0,
        }
    }

    fn settle(&mut self) -> Result<()> {
        if self.device_moved {
            self.tensors.download(&mut self.parameters)?;
            self.device_moved = false;
        }
        Ok(())
    }

    fn device_resident(&mut self) -> Option<&mut dyn DeviceResident> {
        Some(self)
    }
}
