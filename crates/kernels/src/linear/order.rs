//! Weights of a linear layer on images between PyTorch's order and ours: PyTorch has `[out, (c, h, w)]`, a layout's images
//! want `[(h, w, c), out]`, with channels and outputs filled up by zeros. Sixteen by sixteen weights are turned in
//! registers: such a layer may have most of a network's weights, and training turns them twice a step.

use super::Geometry;
use crate::isa::Isa;
use crate::layout::Layout;
use crate::panels::Panels;
use crate::sizes::{self, product};
use crate::vector::{Kernel, LANES, Vector, run};

/// Where the weights of one layer stand.
#[derive(Debug)]
pub struct Order {
    geometry: Geometry,
    from: Layout,
    /// For each of PyTorch's inputs our row.
    rows: Vec<usize>,
}

impl Order {
    /// The orders for a layer of PyTorch's `geometry` on images of `from`.
    ///
    /// # Panics
    /// If the layer's inputs are no channels of such images.
    pub fn new(geometry: Geometry, from: Layout) -> Self {
        let (pixels, inputs) = (from.pixels(), geometry.inputs);
        assert!(
            pixels > 0 && inputs > 0 && inputs.is_multiple_of(pixels) && inputs / pixels <= from.channels,
            "{geometry:?} on {from:?}"
        );
        let mut rows = sizes::reserved(inputs);
        rows.extend((0..inputs).map(|input| input % pixels * from.channels + input / pixels));
        Self { geometry, from, rows }
    }

    /// Inputs with those of channels that fill up a vector.
    fn inputs(&self) -> usize {
        self.from.pixels() * self.from.channels
    }

    fn check_weights(&self, len: usize) {
        let Geometry { inputs, outputs } = self.geometry;
        assert!(product(&[inputs, outputs]) == Some(len), "{len} weights of {:?}", self.geometry);
    }

    /// PyTorch's weights packed as `[(h, w, c), out]`.
    ///
    /// # Panics
    /// If the weights do not fit.
    pub fn forward(&self, isa: Isa, torch: &[f32]) -> Panels {
        let Geometry { inputs, outputs } = self.geometry;
        self.check_weights(torch.len());
        // Every row but those that fill up a vector is written.
        let new = if inputs == self.inputs() { Panels::unset } else { Panels::zeros };
        let mut panels = new(isa, self.inputs(), outputs);
        run(isa, Pack { torch, rows: &self.rows, outputs, panels: &mut panels });
        panels
    }

    /// PyTorch's weights packed as `[out, (h, w, c)]`, for the way back, with rows of zeros up to `outputs`.
    ///
    /// # Panics
    /// If the weights do not fit, or there are more of them than `outputs` rows.
    pub fn backward(&self, isa: Isa, outputs: usize, torch: &[f32]) -> Panels {
        let Geometry { inputs, outputs: given } = self.geometry;
        self.check_weights(torch.len());
        assert!(outputs >= given, "{outputs} rows for {:?}", self.geometry);
        let mut panels = Panels::unset(isa, outputs, self.inputs());
        let mut row = vec![0.0; panels.columns()];
        for o in 0..outputs {
            match torch.chunks_exact(inputs).nth(o) {
                Some(weights) => self.rows.iter().zip(weights).for_each(|(&at, weight)| row[at] = *weight),
                None => row.fill(0.0),
            }
            for (vector, values) in row.chunks_exact(LANES).enumerate() {
                panels.vector_mut(o, vector).copy_from_slice(values);
            }
        }
        panels
    }

    /// Writes `ours` `[(h, w, c), columns]`, a gradient, in PyTorch's order: outputs from `first` on, sixteen or as many as
    /// there are, to their rows `torch`.
    ///
    /// # Panics
    /// If the weights do not fit.
    pub fn to_torch(&self, isa: Isa, ours: &[f32], columns: usize, first: usize, torch: &mut [f32]) {
        let Geometry { inputs, outputs } = self.geometry;
        assert!(
            columns.is_multiple_of(LANES) && first < outputs && first <= columns.saturating_sub(LANES),
            "from {first} of {columns} columns for {:?}",
            self.geometry
        );
        let fits = product(&[self.inputs(), columns]).is_some_and(|len| len <= ours.len());
        assert!(fits, "{} values in {columns} columns for {:?}", ours.len(), self.geometry);
        let fits = product(&[inputs, LANES.min(outputs - first)]) == Some(torch.len());
        assert!(fits, "{} weights from {first} of {:?}", torch.len(), self.geometry);
        run(isa, Unpack { ours: &ours[first..], columns, rows: &self.rows, torch });
    }
}

/// Rows of sixteen outputs at a time into panels.
struct Pack<'a> {
    torch: &'a [f32],
    rows: &'a [usize],
    outputs: usize,
    panels: &'a mut Panels,
}

impl Kernel for Pack<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let Self { torch, rows, outputs, panels } = self;
        let stride = rows.len();
        for first in (0..outputs).step_by(LANES) {
            let count = LANES.min(outputs - first);
            for (tile, rows) in rows.chunks(LANES).enumerate() {
                // SAFETY: the instruction set by this function's contract; whole vectors lie in the slices, since the others
                // are loaded value by value, and a place is one of the panels'.
                unsafe {
                    let mut tile_rows = [V::zero(); LANES];
                    for (o, row) in tile_rows.iter_mut().enumerate().take(count) {
                        *row = load(torch, (first + o) * stride + tile * LANES, rows.len());
                    }
                    V::transpose(&mut tile_rows);
                    for (&row, values) in rows.iter().zip(&tile_rows) {
                        let at = panels.place(row, first / LANES);
                        values.store(panels.words_mut(), at);
                    }
                }
            }
        }
    }
}

/// Sixteen outputs of ours into as many of PyTorch's rows, or as many as there are.
struct Unpack<'a> {
    ours: &'a [f32],
    columns: usize,
    rows: &'a [usize],
    torch: &'a mut [f32],
}

impl Kernel for Unpack<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let Self { ours, columns, rows, torch } = self;
        let stride = rows.len();
        for (tile, rows) in rows.chunks(LANES).enumerate() {
            // SAFETY: the instruction set by this function's contract; `to_torch` checked that ours has a vector at every row.
            unsafe {
                let mut values = [V::zero(); LANES];
                for (value, row) in values.iter_mut().zip(rows) {
                    *value = V::load(ours, row * columns);
                }
                V::transpose(&mut values);
                for (to, values) in torch.chunks_exact_mut(stride).zip(&values) {
                    store(*values, to, tile * LANES, rows.len());
                }
            }
        }
    }
}

/// `count` values from `at` on, then zeros.
///
/// # Safety
/// The processor has the instruction set of `V`.
#[inline(always)]
unsafe fn load<V: Vector>(values: &[f32], at: usize, count: usize) -> V {
    let values = &values[at..at + count];
    if count == LANES {
        // SAFETY: as this function's; there are sixteen.
        return unsafe { V::load(values, 0) };
    }
    let mut padded = [0.0; LANES];
    padded[..count].copy_from_slice(values);
    // SAFETY: as above.
    unsafe { V::load(&padded, 0) }
}

/// Stores the first `count` of `vector` from `at` on.
///
/// # Safety
/// The processor has the instruction set of `V`.
#[inline(always)]
unsafe fn store<V: Vector>(vector: V, values: &mut [f32], at: usize, count: usize) {
    let values = &mut values[at..at + count];
    if count == LANES {
        // SAFETY: as this function's; there are sixteen.
        return unsafe { vector.store(values, 0) };
    }
    let mut all = [0.0; LANES];
    // SAFETY: as above.
    unsafe { vector.store(&mut all, 0) };
    values.copy_from_slice(&all[..count]);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every weight is a number of its own, and stands where the orders say.
    #[test]
    fn every_weight_is_found_where_the_orders_say() {
        let layouts = [(7, 7, 64_usize, 0), (3, 5, 16, 1), (1, 1, 48, 0), (5, 4, 3, 0), (4, 4, 32, 2)];
        for (height, width, channels, halo) in layouts {
            let from = Layout { height, width, channels, halo };
            for (used, outputs) in [(channels, 40_usize), (channels - 1, 33), (channels, 10), (1, 16)] {
                let (pixels, columns) = (from.pixels(), outputs.next_multiple_of(LANES));
                let g = Geometry { inputs: used * pixels, outputs };
                let torch: Vec<f32> = (1..=g.inputs * outputs).map(|at| at as f32).collect();
                let of = |pixel: usize, c: usize, o: usize| {
                    let inside = c < used && o < outputs;
                    if inside { torch[o * g.inputs + c * pixels + pixel] } else { 0.0 }
                };
                for isa in Isa::available() {
                    // What a former buffer left must not be seen.
                    drop(crate::aligned::Aligned::from(&vec![f32::NAN; 1 << 18][..]));
                    let order = Order::new(g, from);
                    let mut forward = order.forward(isa, &torch);
                    let mut backward = order.backward(isa, columns, &torch);
                    let mut ours = vec![0.0; pixels * channels * columns];
                    for (row, values) in ours.chunks_exact_mut(columns).enumerate() {
                        let (pixel, c) = (row / channels, row % channels);
                        for (o, value) in values.iter_mut().enumerate() {
                            *value = of(pixel, c, o);
                            assert_eq!(forward.vector_mut(row, o / LANES)[o % LANES], *value, "{from:?}");
                            assert_eq!(backward.vector_mut(o, row / LANES)[row % LANES], *value, "{from:?}");
                        }
                    }
                    let mut again = vec![f32::NAN; torch.len()];
                    for (block, again) in again.chunks_mut(LANES * g.inputs).enumerate() {
                        order.to_torch(isa, &ours, columns, block * LANES, again);
                    }
                    assert_eq!(again, torch, "{isa:?} {from:?}");
                }
            }
        }
    }
}
