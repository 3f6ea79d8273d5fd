//! Products with weights that were packed once, for both directions.

use super::Geometry;
use crate::panels::{Begin, Panels, Rows, multiply};

/// A layer with its weights packed.
#[derive(Debug)]
pub struct Packed {
    geometry: Geometry,
    forward: Panels,
    backward: Panels,
    bias: Vec<f32>,
}

impl Packed {
    /// Packs weights `[out, in]` and a bias `[out]`.
    ///
    /// # Panics
    /// If a slice does not fit `geometry`.
    pub fn new(geometry: Geometry, weights: &[f32], bias: &[f32]) -> Self {
        let Geometry { inputs, outputs } = geometry;
        assert_eq!(bias.len(), outputs, "bias of {geometry:?}");
        Self {
            geometry,
            forward: Panels::pack_transposed(weights, inputs, outputs),
            backward: Panels::pack(weights, outputs, inputs),
            bias: bias.to_vec(),
        }
    }

    /// The sizes.
    pub fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// Writes the outputs `[n, out]` of `x` `[n, in]`.
    ///
    /// # Panics
    /// If a slice does not fit.
    pub fn forward(&self, x: &[f32], y: &mut [f32]) {
        rows_times(x, self.geometry.inputs, &self.forward, Begin::Bias(&self.bias), y);
    }

    /// Writes the gradients `[n, in]` on `x` for the gradients `dy` `[n, out]`.
    ///
    /// # Panics
    /// If a slice does not fit.
    pub fn input_gradient(&self, dy: &[f32], dx: &mut [f32]) {
        rows_times(dy, self.geometry.outputs, &self.backward, Begin::Zero, dx);
    }
}

fn rows_times(x: &[f32], length: usize, panels: &Panels, begin: Begin<'_>, y: &mut [f32]) {
    let starts: Vec<usize> = (0..x.len() / length).map(|row| row * length).collect();
    let rows = Rows { values: x, starts: &starts, runs: 1, run_length: length, run_stride: 0 };
    multiply(rows, panels, begin, y);
}
