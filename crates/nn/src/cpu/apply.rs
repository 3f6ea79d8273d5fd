//! One step forward or back, for some images that lie in buffers.

use robin_kernels::epilogue::{Add, Bits, Epilogue, Gate, PooledEpilogue, Source};
use robin_kernels::isa::Isa;
use robin_kernels::layout::Layout;
use robin_kernels::linear::packed;
use robin_kernels::{LANES, affine, avg_pool2d, conv2d, flatten, max_pool2d};

use super::layers::Layer;
use super::lower::{Operation, Program, Step};

/// Room of the kernels; one for each thread.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    pub(super) conv2d: conv2d::packed::Scratch,
    linear: packed::Scratch,
    rounded: Vec<f32>,
}

/// What the way back needs of a step: signs and places, no activations.
#[derive(Debug, Default)]
pub(super) enum Masks {
    #[default]
    Nothing,
    /// A bit for each rectified value.
    Relu(Vec<Bits>),
    /// Four for each window.
    Windows(Vec<[Bits; 4]>),
    /// A bit for each place of each window.
    PoolingIndices(Vec<Bits>),
}

impl Masks {
    /// Room for the masks of `step` on `images` images; what there is is used again.
    pub(super) fn make_room(&mut self, step: &Step, to: &Layout, images: usize) {
        let vectors = images * to.image() / LANES;
        match (&step.operation, self) {
            (Operation::MaxPool2d(g), Self::PoolingIndices(indices)) => indices.resize(vectors * g.area(), 0),
            (operation, Self::Windows(windows)) if operation.is_pooled() => windows.resize(vectors, [0; 4]),
            (operation, Self::Relu(bits)) if step.relu && !operation.is_pooled() => bits.resize(vectors, 0),
            (operation, masks) => {
                *masks = match operation {
                    Operation::MaxPool2d(g) => Self::PoolingIndices(vec![0; vectors * g.area()]),
                    operation if operation.is_pooled() => Self::Windows(vec![[0; 4]; vectors]),
                    _ if step.relu => Self::Relu(vec![0; vectors]),
                    _ => Self::Nothing,
                }
            }
        }
    }

    pub(super) fn rectified(&self) -> &[Bits] {
        match self {
            Self::Relu(bits) => bits,
            _ => unreachable!("asked for the masks of a rectifier"),
        }
    }

    /// The gradient on a step's output as its kernels read it.
    pub(super) fn source<'a>(&'a self, gradient: &'a [f32]) -> Source<'a> {
        match self {
            Self::Windows(windows) => Source::Pooled(gradient, windows),
            _ => Source::Dense(gradient),
        }
    }

    /// The gate of a rectifier, which leaves masks if there is room for them.
    pub(super) fn rectifier(&mut self, relu: bool) -> Gate<'_> {
        match self {
            _ if !relu => Gate::Open,
            Self::Relu(bits) => Gate::RectifyAndMask(bits),
            _ => Gate::Rectify,
        }
    }
}

/// A step, its parameters and the layouts around it.
#[derive(Clone, Copy)]
pub(super) struct Applied<'a> {
    pub(super) program: &'a Program,
    pub(super) step: &'a Step,
    pub(super) layer: &'a Layer,
}

impl Applied<'_> {
    fn from(&self) -> &Layout {
        &self.program.layouts[self.step.input]
    }

    fn to(&self) -> &Layout {
        &self.program.layouts[self.step.output]
    }

    /// Writes the step's output for `images` images `x`, and its masks where there is room for them.
    pub(super) fn forward(
        &self,
        x: &[f32],
        add: Option<&[f32]>,
        images: usize,
        output: &mut [f32],
        masks: &mut Masks,
        scratch: &mut Scratch,
    ) {
        let (isa, from, to, relu) = (Isa::detect(), self.from(), self.to(), self.step.relu);
        let add = add.map_or(Add::Nothing, Add::Values);
        match (&self.step.operation, self.layer) {
            (Operation::Conv2d { pooled: true, geometry, .. }, Layer::Conv2d(layer)) => {
                let bits = match masks {
                    Masks::Windows(windows) => Some(windows.as_mut_slice()),
                    _ => None,
                };
                let finish = PooledEpilogue { output, bias: layer.bias.as_deref(), bits };
                let whole = self.program.before_pooling(geometry, self.step.output);
                layer.packed.forward_pooled(x, from, images, &whole, to, finish, &mut scratch.conv2d);
            }
            (Operation::Conv2d { .. }, Layer::Conv2d(layer)) => {
                let finish =
                    Epilogue { output, bias: layer.bias.as_deref(), add, gate: masks.rectifier(relu) };
                layer.packed.forward(x, from, images, to, finish, &mut scratch.conv2d);
            }
            (Operation::BatchNorm2d { .. } | Operation::Normalize { .. }, Layer::Affine(affine)) => {
                let mut finish = Epilogue { output, bias: None, add, gate: masks.rectifier(relu) };
                affine.apply(isa, x, from, images, &mut finish);
            }
            (Operation::Round(rounding), _) => {
                scratch.rounded.clear();
                scratch.rounded.extend(x.iter().map(|&x| rounding.apply(x)));
                let mut finish = Epilogue { output, bias: None, add, gate: masks.rectifier(relu) };
                affine::copy(isa, &scratch.rounded, from, images, &mut finish);
            }
            (Operation::Linear { .. }, Layer::Linear { packed, bias }) => {
                let mut finish = Epilogue { output, bias: Some(bias), add, gate: masks.rectifier(relu) };
                packed.forward(x, images, &mut finish, &mut scratch.linear);
            }
            (Operation::MaxPool2d(g), _) => {
                let indices = match masks {
                    Masks::PoolingIndices(indices) => Some(indices.as_mut_slice()),
                    _ => None,
                };
                max_pool2d::direct::forward(isa, g, x, from, images, to, output, indices);
            }
            (Operation::AvgPool2d(g), _) => avg_pool2d::direct::forward(isa, g, x, from, images, to, output),
            (Operation::Flatten { channels }, _) => {
                let mut finish = Epilogue { output, bias: None, add, gate: masks.rectifier(relu) };
                flatten::forward(isa, x, from, *channels, images, &mut finish);
            }
            (Operation::Copy, _) => {
                let mut finish = Epilogue { output, bias: None, add, gate: masks.rectifier(relu) };
                affine::copy(isa, x, from, images, &mut finish);
            }
            _ => unreachable!("layers were prepared for these steps"),
        }
    }

    /// Writes the gradient on the step's input for the gradient `dy` on its output (through its own masks already,
    /// but for windows and places).
    pub(super) fn backward(
        &self,
        dy: &[f32],
        masks: &Masks,
        images: usize,
        mut dx: Epilogue<'_>,
        scratch: &mut Scratch,
    ) {
        let (isa, from, to) = (Isa::detect(), self.from(), self.to());
        match (&self.step.operation, self.layer) {
            (Operation::Conv2d { .. }, Layer::Conv2d(layer)) => {
                layer.packed.input_gradient(masks.source(dy), to, images, from, dx, &mut scratch.conv2d);
            }
            (
                Operation::BatchNorm2d { .. } | Operation::Normalize { .. } | Operation::Round(_),
                Layer::Affine(affine),
            ) => {
                affine.input_gradient(isa, dy, from, images, &mut dx);
            }
            (Operation::Linear { .. }, Layer::Linear { packed, .. }) => {
                packed.backward(dy, images, &mut dx, &mut scratch.linear);
            }
            (Operation::MaxPool2d(g), _) => {
                let Masks::PoolingIndices(indices) = masks else {
                    unreachable!("a pass that goes back kept indices")
                };
                max_pool2d::direct::input_gradient(isa, g, dy, to, indices, images, from, &mut dx);
            }
            (Operation::AvgPool2d(g), _) => {
                avg_pool2d::direct::input_gradient(isa, g, dy, to, images, from, &mut dx);
            }
            (Operation::Flatten { channels }, _) => {
                flatten::input_gradient(isa, dy, *channels, images, from, &mut dx);
            }
            _ => unreachable!("copies go back by sharing, and layers were prepared for these steps"),
        }
    }
}
