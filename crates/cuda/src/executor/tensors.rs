//! A network's parameters on a device: PyTorch's order of values on the host, the kernels' order there.

use std::collections::HashMap;
use std::sync::Arc;

use robin_nn::graph::Layer;
use robin_nn::{NamedTensor, Parameters, Result};

use super::plan::{Operation, Plan};
use crate::kernels::layers::Shape;
use crate::kernels::{Buffer, Context, Element, PACK};

/// Where each value of a tensor lies on a device.
#[derive(Debug)]
pub(super) struct Places {
    /// Of the values in PyTorch's order.
    at: Vec<u32>,
    /// Number of values on the device.
    len: usize,
    /// What stands where no value is.
    fill: f32,
}

/// The places of all tensors of a plan, by name.
pub(super) type Atlas = Arc<HashMap<String, Places>>;

/// A tensor on a device.
#[derive(Debug)]
pub(super) struct Tensor {
    pub(super) name: String,
    pub(super) values: Buffer<f32>,
}

/// Parameters on a device, in the host's order.
#[derive(Debug)]
pub(super) struct Tensors {
    pub(super) trained: Vec<Tensor>,
    pub(super) buffers: Vec<Tensor>,
    atlas: Atlas,
    index: HashMap<String, usize>,
}

/// The places of every tensor.
pub(super) fn atlas(plan: &Plan) -> Atlas {
    let mut all = HashMap::new();
    let per_channel = |channels: usize, fill| Places {
        at: (0..channels as u32).collect(),
        len: channels.next_multiple_of(PACK),
        fill,
    };
    for node in plan.graph.nodes() {
        match &node.layer {
            Layer::Normalize { name, shape } if plan.normalize.as_ref() == Some(name) => {
                // The images themselves are not filled up.
                for part in ["mean", "std"] {
                    let at = (0..shape[0] as u32).collect();
                    all.insert(format!("{name}.{part}"), Places { at, len: shape[0], fill: 0.0 });
                }
            }
            Layer::Normalize { name, shape } => {
                all.insert(format!("{name}.mean"), per_channel(shape[0], 0.0));
                all.insert(format!("{name}.std"), per_channel(shape[0], 1.0));
            }
            Layer::BatchNorm2d { name, shape } => {
                for part in ["weight", "bias", "running_mean", "running_var"] {
                    all.insert(format!("{name}.{part}"), per_channel(shape[0], 0.0));
                }
            }
            Layer::Conv2d { name, geometry: g, bias } => {
                let shape = Shape { height: g.kernel, width: g.kernel, channels: g.in_channels };
                all.insert(format!("{name}.weight"), rows(g.out_channels, &shape));
                if *bias {
                    all.insert(format!("{name}.bias"), per_channel(g.out_channels, 0.0));
                }
            }
            Layer::Linear { name, geometry } => {
                let reads = plan.steps.iter().find(|step| match &step.operation {
                    Operation::Product { name: found, .. } => found == name,
                    _ => false,
                });
                let shape = plan.shapes[reads.expect("every layer is a step").input];
                all.insert(format!("{name}.weight"), rows(geometry.outputs, &shape));
                all.insert(format!("{name}.bias"), per_channel(geometry.outputs, 0.0));
            }
            _ => {}
        }
    }
    Arc::new(all)
}

/// Rows `[outputs, c, h, w]`, each laid out as an image of `shape`.
fn rows(outputs: usize, shape: &Shape) -> Places {
    let (pixels, packed) = (shape.pixels(), shape.packed());
    let place = |at: usize| at % pixels * packed + at / pixels;
    let row: Vec<u32> = (0..shape.channels * pixels).map(|at| place(at) as u32).collect();
    let at = (0..outputs).flat_map(|output| row.iter().map(move |at| (output * shape.len()) as u32 + at));
    Places { at: at.collect(), len: outputs.next_multiple_of(PACK) * shape.len(), fill: 0.0 }
}

impl Places {
    /// Values as they lie on the device.
    pub(super) fn pack(&self, values: &[f32]) -> Vec<f32> {
        let mut packed = vec![self.fill; self.len];
        self.at.iter().zip(values).for_each(|(&at, &value)| packed[at as usize] = value);
        packed
    }

    /// Values in PyTorch's order.
    pub(super) fn unpack(&self, packed: &[f32]) -> Vec<f32> {
        self.at.iter().map(|&at| packed[at as usize]).collect()
    }
}

impl Tensors {
    pub(super) fn upload(context: &Context, atlas: &Atlas, parameters: &Parameters) -> Result<Self> {
        let put = |tensor: &NamedTensor| -> Result<Tensor> {
            let values = context.upload(&atlas[&tensor.name].pack(&tensor.values))?;
            Ok(Tensor { name: tensor.name.clone(), values })
        };
        let trained = parameters.trained.iter().map(put).collect::<Result<Vec<_>>>()?;
        let buffers = parameters.buffers.iter().map(put).collect::<Result<Vec<_>>>()?;
        let names = trained.iter().chain(&buffers).enumerate();
        let index = names.map(|(at, tensor)| (tensor.name.clone(), at)).collect();
        Ok(Self { trained, buffers, atlas: Arc::clone(atlas), index })
    }

    /// A copy in `context`, which later changes do not reach.
    pub(super) fn again(&self, context: &Context) -> Result<Self> {
        let copy = |tensor: &Tensor| -> Result<Tensor> {
            Ok(Tensor { name: tensor.name.clone(), values: copied(context, &tensor.values)? })
        };
        Ok(Self {
            trained: self.trained.iter().map(copy).collect::<Result<_>>()?,
            buffers: self.buffers.iter().map(copy).collect::<Result<_>>()?,
            atlas: Arc::clone(&self.atlas),
            index: self.index.clone(),
        })
    }

    /// Overwrites the trained tensors with the host's.
    pub(super) fn upload_trained(&self, host: &[NamedTensor]) -> Result<()> {
        for (tensor, host) in self.trained.iter().zip(host) {
            tensor.values.fill_from(&self.atlas[&host.name].pack(&host.values))?;
        }
        Ok(())
    }

    /// Overwrites the host's values with those on the device.
    pub(super) fn download(&self, parameters: &mut Parameters) -> Result<()> {
        let both = self.trained.iter().zip(&mut parameters.trained);
        for (tensor, host) in both.chain(self.buffers.iter().zip(&mut parameters.buffers)) {
            host.values = self.atlas[&host.name].unpack(&tensor.values.to_vec()?);
        }
        Ok(())
    }

    /// Overwrites the host's buffers with those on the device.
    pub(super) fn download_buffers(&self, parameters: &mut Parameters) -> Result<()> {
        for (tensor, host) in self.buffers.iter().zip(&mut parameters.buffers) {
            host.values = self.atlas[&host.name].unpack(&tensor.values.to_vec()?);
        }
        Ok(())
    }

    /// Values of the trained tensor number `at` in PyTorch's order.
    pub(super) fn unpack_trained(&self, at: usize, packed: &[f32]) -> Vec<f32> {
        self.atlas[&self.trained[at].name].unpack(packed)
    }

    /// Values for the trained tensor number `at` as they lie on the device.
    pub(super) fn pack_trained(&self, at: usize, values: &[f32]) -> Vec<f32> {
        self.atlas[&self.trained[at].name].pack(values)
    }

    /// The number of the trained tensor `name.part`.
    pub(super) fn trained_index(&self, name: &str, part: &str) -> usize {
        self.index[&format!("{name}.{part}")]
    }

    pub(super) fn get(&self, name: &str, part: &str) -> &Buffer<f32> {
        let at = self.index[&format!("{name}.{part}")];
        let tensor = self.trained.get(at).unwrap_or_else(|| &self.buffers[at - self.trained.len()]);
        &tensor.values
    }
}

/// A copy of a buffer.
pub(super) fn copied<T: Element>(context: &Context, of: &Buffer<T>) -> Result<Buffer<T>> {
    let copy = context.buffer(of.len())?;
    copy.copy_from(of)?;
    Ok(copy)
}
