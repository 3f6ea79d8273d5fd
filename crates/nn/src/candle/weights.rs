//! Parameters as candle tensors, tracked or not.

use std::collections::HashMap;

use candle_core::{DType, Device, Tensor, Var};
use candle_nn::VarBuilder;

use crate::executor::check_shapes;
use crate::{Graph, NamedTensor, Parameters, Result};

/// Parameters as tensors of one type on one device, by name: what candle's layers are built from.
#[derive(Clone)]
pub struct Weights {
    builder: VarBuilder<'static>,
    dtype: DType,
    device: Device,
}

impl Weights {
    /// Tensors on the CPU that are not tracked.
    ///
    /// # Errors
    /// [`crate::Error::Tensor`] if a tensor's shape does not hold its values.
    pub fn constant(parameters: &Parameters, dtype: DType) -> Result<Self> {
        Self::on(parameters, dtype, &Device::Cpu)
    }

    /// The same on `device`.
    ///
    /// # Errors
    /// As [`Weights::constant`], and if the device has no room.
    pub fn on(parameters: &Parameters, dtype: DType, device: &Device) -> Result<Self> {
        let tensors = parameters.trained.iter().chain(&parameters.buffers);
        let tensors = tensors.map(|t| Ok((t.name.clone(), tensor(t, dtype, device)?)));
        Ok(Self::named(tensors.collect::<Result<_>>()?, dtype, device))
    }

    fn named(tensors: HashMap<String, Tensor>, dtype: DType, device: &Device) -> Self {
        let builder = VarBuilder::from_tensors(tensors, dtype, device);
        Self { builder, dtype, device: device.clone() }
    }

    /// Their type.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Where they are.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// `tensors` by their names, all of one type, tracked if they are: for whoever holds weights in f64, which
    /// [`Parameters`] cannot.
    ///
    /// # Errors
    /// [`crate::Error::Weights`] if they are not those of `graph`.
    pub fn of(graph: &Graph, tensors: Vec<(String, Tensor)>) -> Result<Self> {
        let found: Vec<_> = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor.dims())).collect();
        check_shapes(graph, &found)?;
        let one = tensors.first().map(|(_, tensor)| (tensor.dtype(), tensor.device().clone()));
        let (dtype, device) = one.unwrap_or((DType::F32, Device::Cpu));
        Ok(Self::named(tensors.into_iter().collect(), dtype, &device))
    }

    /// `values` (f64, all trained tensors one after the other) in place of the trained values of `like`: the
    /// loss as a function of the weights, for finite differences.
    ///
    /// # Errors
    /// As [`Weights::constant`].
    pub fn wide(like: &Parameters, values: &[f64]) -> Result<Self> {
        let mut rest = values;
        let mut tensors = HashMap::new();
        for named in &like.trained {
            let (these, others) = rest.split_at(named.values.len());
            let trained = Tensor::from_slice(these, named.shape.as_slice(), &Device::Cpu)?;
            tensors.insert(named.name.clone(), trained);
            rest = others;
        }
        for named in &like.buffers {
            tensors.insert(named.name.clone(), tensor(named, DType::F64, &Device::Cpu)?);
        }
        Ok(Self::named(tensors, DType::F64, &Device::Cpu))
    }

    /// Tracked tensors on `device` for what is trained, and those variables in order (candle's own map of variables has none).
    ///
    /// # Errors
    /// As [`Weights::on`].
    pub fn tracked(parameters: &Parameters, dtype: DType, device: &Device) -> Result<(Self, Vec<Var>)> {
        let mut tensors = HashMap::new();
        let mut variables = Vec::new();
        for named in &parameters.trained {
            let variable = Var::from_tensor(&tensor(named, dtype, device)?)?;
            tensors.insert(named.name.clone(), variable.as_tensor().clone());
            variables.push(variable);
        }
        for named in &parameters.buffers {
            tensors.insert(named.name.clone(), tensor(named, dtype, device)?);
        }
        Ok((Self::named(tensors, dtype, device), variables))
    }

    /// What candle builds `layer` from.
    pub(super) fn layer(&self, layer: &str) -> VarBuilder<'static> {
        self.builder.pp(layer)
    }
}

fn tensor(named: &NamedTensor, dtype: DType, device: &Device) -> Result<Tensor> {
    Ok(Tensor::from_slice(&named.values, named.shape.as_slice(), device)?.to_dtype(dtype)?)
}
