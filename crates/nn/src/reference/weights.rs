//! Parameters as candle tensors, tracked or not.

use candle_core::{DType, Device, Tensor, Var};

use crate::executor::check_shapes;
use crate::{Graph, NamedTensor, Parameters, Result};

/// Parameters as tensors of one type, by name.
pub struct Weights(Vec<(String, Tensor)>);

impl Weights {
    /// Tensors that are not tracked.
    ///
    /// # Errors
    /// [`crate::Error::Tensor`] if a tensor's shape does not hold its values.
    pub fn constant(parameters: &Parameters, dtype: DType) -> Result<Self> {
        let tensors = parameters.trained.iter().chain(&parameters.buffers);
        Ok(Self(tensors.map(|t| Ok((t.name.clone(), tensor(t, dtype)?))).collect::<Result<_>>()?))
    }

    /// `tensors` by their names, all of one type, tracked if they are: for whoever holds weights in f64, which
    /// [`Parameters`] cannot.
    ///
    /// # Errors
    /// [`crate::Error::Weights`] if they are not those of `graph`.
    pub fn of(graph: &Graph, tensors: Vec<(String, Tensor)>) -> Result<Self> {
        let found: Vec<_> = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor.dims())).collect();
        check_shapes(graph, &found)?;
        Ok(Self(tensors))
    }

    /// `values` (f64, all trained tensors one after the other) in place of the trained values of `like`: the
    /// loss as a function of the weights, for finite differences.
    ///
    /// # Errors
    /// As [`Weights::constant`].
    pub fn wide(like: &Parameters, values: &[f64]) -> Result<Self> {
        let mut weights = Self::constant(like, DType::F64)?;
        let mut rest = values;
        for (_, tensor) in &mut weights.0[..like.trained.len()] {
            let (these, others) = rest.split_at(tensor.elem_count());
            *tensor = Tensor::from_slice(these, tensor.shape(), &Device::Cpu)?;
            rest = others;
        }
        Ok(weights)
    }

    /// Tracked tensors for what is trained, and those variables in order.
    ///
    /// # Errors
    /// As [`Weights::constant`].
    pub fn tracked(parameters: &Parameters, dtype: DType) -> Result<(Self, Vec<Var>)> {
        let mut weights = Self::constant(parameters, dtype)?;
        let mut variables = Vec::new();
        for (_, tensor) in &mut weights.0[..parameters.trained.len()] {
            let variable = Var::from_tensor(tensor)?;
            *tensor = variable.as_tensor().clone();
            variables.push(variable);
        }
        Ok((weights, variables))
    }

    /// The tensor `LAYER.PART` of a graph that the parameters were checked against.
    pub(super) fn get(&self, layer: &str, part: &str) -> &Tensor {
        let found = self
            .0
            .iter()
            .find(|(name, _)| name.strip_prefix(layer).and_then(|rest| rest.strip_prefix('.')) == Some(part));
        &found.expect("parameters were checked against the graph").1
    }
}

fn tensor(named: &NamedTensor, dtype: DType) -> Result<Tensor> {
    Ok(Tensor::from_slice(&named.values, named.shape.as_slice(), &Device::Cpu)?.to_dtype(dtype)?)
}
