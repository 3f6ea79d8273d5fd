//! A convolution with its weights packed for both directions, each in the implementation that serves it best.

use super::few_channels::{self, FewChannels};
use super::implicit_gemm::{self, ImplicitGemm};
use super::sparse::{self, Sparse};
use super::winograd::{self, Ending, Winograd};
use super::{Geometry, turn};
use crate::epilogue::{Add, Epilogue, Gate, PooledEpilogue, Source};
use crate::factors::Factors;
use crate::isa::Isa;
use crate::layout::Layout;
use crate::vector::LANES;

/// A convolution with its weights packed for both directions, or one of them.
#[derive(Debug)]
pub struct Packed {
    geometry: Geometry,
    forward: Option<Direction>,
    backward: Option<Backward>,
}

/// What weights are packed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Directions {
    /// Both.
    Both,
    /// The forward pass alone.
    Forward,
    /// The gradient on the input alone.
    Backward,
}

#[derive(Debug)]
enum Direction {
    Winograd(Winograd),
    Product(ImplicitGemm),
}

#[derive(Debug)]
enum Backward {
    Another(Direction),
    FewChannels(FewChannels),
    Sparse(Sparse),
}

/// How many of the gradients on a convolution's outputs are not 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gradients {
    /// Most, or nobody knows.
    Dense,
    /// Less than one of 32, and pooled 2x2.
    Sparse,
}

/// Room for one call; kept by a thread from call to call.
#[derive(Debug, Default)]
pub struct Scratch {
    winograd: winograd::Scratch,
    product: implicit_gemm::Scratch,
    few_channels: few_channels::Scratch,
    sparse: sparse::Scratch,
}

impl Packed {
    /// Packs weights in this folder's order (`[kernel, kernel, in, out]`). Output channels are whole vectors; input
    /// channels too, or those of a network's images.
    ///
    /// With [`Factors::Bf16`] products are in pairs where whole vectors of channels are multiplied, but not in kernels of 5 that
    /// [`winograd`] serves, nor for a sparse gradient. With [`Factors::Bf16Amx`] they are in all of these: [`winograd`] and [`sparse`] serve none.
    ///
    /// # Panics
    /// If the weights do not fit, or the output channels are no whole vectors.
    pub fn new(
        isa: Isa,
        geometry: Geometry,
        weights: &[f32],
        gradients: Gradients,
        directions: Directions,
        factors: Factors,
    ) -> Self {
        geometry.check_weights(weights.len());
        assert!(
            geometry.out_channels.is_multiple_of(LANES),
            "output channels are no whole vectors: {geometry:?}"
        );
        let by_winograd = factors != Factors::Bf16Amx && winograd::supports(&geometry);
        let forward = || {
            if by_winograd {
                Direction::Winograd(Winograd::new(isa, geometry, weights, factors))
            } else {
                Direction::product(
                    ImplicitGemm::forward(isa, &geometry, weights),
                    geometry.in_channels,
                    factors,
                )
            }
        };
        let backward = || {
            if gradients == Gradients::Sparse && factors != Factors::Bf16Amx && sparse::supports(&geometry) {
                Backward::Sparse(Sparse::new(isa, geometry, weights))
            } else if !geometry.in_channels.is_multiple_of(LANES) {
                Backward::FewChannels(FewChannels::new(isa, geometry, weights))
            } else if by_winograd {
                let (turned, weights) = turn(&geometry, weights);
                Backward::Another(Direction::Winograd(Winograd::new(isa, turned, &weights, factors)))
            } else {
                let layer = ImplicitGemm::backward(isa, &geometry, weights);
                Backward::Another(Direction::product(layer, geometry.out_channels, factors))
            }
        };
        Self {
            geometry,
            forward: (directions != Directions::Backward).then(forward),
            backward: (directions != Directions::Forward).then(backward),
        }
    }

    fn forward_weights(&self) -> &Direction {
        let none = || panic!("weights packed for the gradient on the input alone: {:?}", self.geometry);
        self.forward.as_ref().unwrap_or_else(none)
    }

    /// Finishes the outputs (layout `to`) of `images` images `x` (layout `from`).
    ///
    /// # Panics
    /// If a layout or a slice does not fit, or the weights were packed for the other direction.
    pub fn forward(
        &self,
        x: &[f32],
        from: &Layout,
        images: usize,
        to: &Layout,
        epilogue: Epilogue<'_>,
        scratch: &mut Scratch,
    ) {
        self.forward_weights().run(Source::Dense(x), from, images, to, epilogue, scratch);
    }

    /// Finishes the outputs pooled 2x2 (layout `pooled`; before pooling they would lie as `to` says).
    ///
    /// # Panics
    /// As [`Packed::forward`], or if neither [`winograd::supports`] nor [`few_channels::pools`].
    #[allow(clippy::too_many_arguments, reason = "three layouts")]
    pub fn forward_pooled(
        &self,
        x: &[f32],
        from: &Layout,
        images: usize,
        to: &Layout,
        pooled: &Layout,
        epilogue: PooledEpilogue<'_>,
        scratch: &mut Scratch,
    ) {
        match self.forward_weights() {
            Direction::Winograd(layer) => {
                let mut ending = Ending::Pooled(epilogue, *pooled);
                layer.convolve(Source::Dense(x), from, images, to, &mut ending, &mut scratch.winograd);
            }
            Direction::Product(layer) if layer.factors().are_pairs() => {
                layer.run_pooled(x, from, images, pooled, epilogue, &mut scratch.product);
            }
            Direction::Product(layer) => {
                let weights = layer.forward_weights();
                few_channels::forward::run_pooled(&self.geometry, weights, x, from, images, pooled, epilogue);
            }
        }
    }

    /// Finishes the gradient on `images` images (layout `to`) for the gradient `dy` on their outputs (layout `from`).
    ///
    /// # Panics
    /// If a layout or a slice does not fit, or the weights were packed for the other direction; if the gradient is pooled and [`Packed::forward_pooled`] says
    /// no. On images of few channels, a finish can only add to its output.
    pub fn input_gradient(
        &self,
        dy: Source<'_>,
        from: &Layout,
        images: usize,
        to: &Layout,
        mut epilogue: Epilogue<'_>,
        scratch: &mut Scratch,
    ) {
        let Some(backward) = &self.backward else {
            panic!("weights packed for the forward pass alone: {:?}", self.geometry)
        };
        match backward {
            Backward::Another(direction) => direction.run(dy, from, images, to, epilogue, scratch),
            Backward::Sparse(layer) => {
                let Source::Pooled(values, bits) = dy else {
                    panic!("a sparse gradient is a pooled one: {:?}", self.geometry)
                };
                layer.run((values, bits), from, images, to, &mut epilogue, &mut scratch.sparse);
            }
            Backward::FewChannels(layer) => {
                let mode = match epilogue.add {
                    Add::Nothing => few_channels::Mode::Write,
                    Add::Output => few_channels::Mode::Add,
                    Add::Values(_) => panic!(
                        "a gradient on images of few channels adds to its output only: {:?}",
                        self.geometry
                    ),
                };
                let plain = epilogue.bias.is_none() && matches!(epilogue.gate, Gate::Open);
                assert!(
                    plain,
                    "a gradient on images of few channels has no bias and no gate: {:?}",
                    self.geometry
                );
                layer.run(dy, from, images, to, epilogue.output, mode, &mut scratch.few_channels);
            }
        }
    }
}

impl Direction {
    /// A product that reads images of so many channels.
    fn product(layer: ImplicitGemm, channels: usize, factors: Factors) -> Self {
        let pairs = factors.are_pairs() && channels.is_multiple_of(LANES);
        Self::Product(if pairs { layer.rounded(factors) } else { layer })
    }

    fn run(
        &self,
        source: Source<'_>,
        from: &Layout,
        images: usize,
        to: &Layout,
        mut epilogue: Epilogue<'_>,
        scratch: &mut Scratch,
    ) {
        match self {
            Self::Winograd(layer) => {
                let mut ending = Ending::Pixels(epilogue);
                layer.convolve(source, from, images, to, &mut ending, &mut scratch.winograd);
            }
            Self::Product(layer) => {
                layer.run(source, from, images, to, &mut epilogue, &mut scratch.product);
            }
        }
    }
}
