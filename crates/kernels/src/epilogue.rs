//! What becomes of a layer's sums on their way to memory: bias, another summand, rectifier, max pooling.
//!
//! Done while the sums are in registers, so that no activation is written only to be read and changed. What the
//! backward pass needs is kept as bits: one for each rectified value, four for each pooled one.

use crate::factors::TILE_ROWS;
use crate::layout::Places;
use crate::panels::Sink;

use crate::vector::{LANES, Vector};

/// Bits of the pixels of [`crate::layout::Layout`]: 16 channels in one `u16` at the place of the vector divided by [`LANES`].
pub type Bits = u16;

/// The end of a layer, for values of one [`crate::layout::Layout`].
pub struct Epilogue<'a> {
    /// Where the values go, at their places in the layout.
    pub output: &'a mut [f32],
    /// One value a channel that is added first.
    pub bias: Option<&'a [f32]>,
    /// What is added next.
    pub add: Add<'a>,
    /// What happens last.
    pub gate: Gate<'a>,
}

/// Another summand.
#[derive(Clone, Copy)]
pub enum Add<'a> {
    /// None.
    Nothing,
    /// What the output holds.
    Output,
    /// Values of the same layout.
    Values(&'a [f32]),
}

/// The last thing that happens to a value.
pub enum Gate<'a> {
    /// Nothing.
    Open,
    /// `max(x, 0)`; NaN stays NaN, so that a broken network does not look like a quiet one.
    Rectify,
    /// `max(x, 0)`, with a bit for each value above 0. The derivative at 0 is 0, as in PyTorch.
    RectifyAndMask(&'a mut [Bits]),
    /// 0 where the bit is not set: the way back through a rectifier.
    Masked(&'a [Bits]),
}

impl<'a> Epilogue<'a> {
    /// The values as they are.
    pub fn open(output: &'a mut [f32]) -> Self {
        Self { output, bias: None, add: Add::Nothing, gate: Gate::Open }
    }

    /// Finishes the vector of `channel..` that belongs at `place` of the output.
    ///
    /// # Safety
    /// The processor has the instruction set of `V`; place and channel are those of a vector.
    #[inline(always)]
    pub(crate) unsafe fn put<V: Vector>(&mut self, place: usize, channel: usize, value: V) {
        // SAFETY: as this function's.
        unsafe {
            let value = value.add(self.bias_of(channel));
            match &mut self.gate {
                Gate::Open => OpenGate.pass(self.output, self.add, place, value),
                Gate::Rectify => Rectifier.pass(self.output, self.add, place, value),
                Gate::RectifyAndMask(bits) => {
                    MarkingRectifier(bits).pass(self.output, self.add, place, value)
                }
                Gate::Masked(bits) => MaskedGate(bits).pass(self.output, self.add, place, value),
            }
        }
    }

    /// The bias of a vector of channels, or zeros.
    ///
    /// # Safety
    /// As [`Epilogue::put`].
    #[inline(always)]
    pub(crate) unsafe fn bias_of<V: Vector>(&self, channel: usize) -> V {
        // SAFETY: as this function's.
        unsafe {
            match self.bias {
                Some(bias) => V::load(bias, channel),
                None => V::zero(),
            }
        }
    }

    /// Panics unless the slices have room for the images of `to`, whose pixels are whole vectors.
    pub(crate) fn check(&self, to: &Places) {
        to.assert_whole_vectors();
        if let Some(bias) = self.bias {
            assert!(bias.len() >= to.channels, "a bias of {} values for {:?}", bias.len(), **to);
        }
        self.check_room(to.len());
    }

    /// Panics unless the slices have room for `len` values.
    pub(crate) fn check_room(&self, len: usize) {
        let output = self.output.len();
        assert!(output >= len, "an output of {output} values where {len} are written");
        if let Add::Values(values) = self.add {
            assert!(values.len() >= len, "a summand of {} values where {len} are read", values.len());
        }
        let bits = match &self.gate {
            Gate::Open | Gate::Rectify => return,
            Gate::RectifyAndMask(bits) => bits.len(),
            Gate::Masked(bits) => bits.len(),
        };
        assert!(bits >= len / LANES, "bits of {bits} vectors for {len} values");
    }
}

/// One kind of gate, for kernels that finish many values of one kind: chosen once, not for each value.
pub(crate) trait Pass {
    /// Adds the summand to `value`, which has its bias, sends it through the gate and stores it.
    ///
    /// # Safety
    /// As [`Epilogue::put`].
    unsafe fn pass<V: Vector>(&mut self, output: &mut [f32], add: Add<'_>, place: usize, value: V);
}

pub(crate) struct OpenGate;
pub(crate) struct Rectifier;
pub(crate) struct MarkingRectifier<'a>(pub(crate) &'a mut [Bits]);
pub(crate) struct MaskedGate<'a>(pub(crate) &'a [Bits]);

impl Pass for OpenGate {
    #[inline(always)]
    unsafe fn pass<V: Vector>(&mut self, output: &mut [f32], add: Add<'_>, place: usize, value: V) {
        // SAFETY: as this function's.
        unsafe { added(output, add, place, value).store(output, place) }
    }
}

impl Pass for Rectifier {
    #[inline(always)]
    unsafe fn pass<V: Vector>(&mut self, output: &mut [f32], add: Add<'_>, place: usize, value: V) {
        // SAFETY: as this function's. The order of the operands lets NaN through.
        unsafe { V::zero().max(added(output, add, place, value)).store(output, place) }
    }
}

impl Pass for MarkingRectifier<'_> {
    #[inline(always)]
    unsafe fn pass<V: Vector>(&mut self, output: &mut [f32], add: Add<'_>, place: usize, value: V) {
        // SAFETY: as this function's. The order of the operands lets NaN through.
        unsafe {
            let value = added(output, add, place, value);
            *self.0.get_unchecked_mut(place / LANES) = value.above(V::zero());
            V::zero().max(value).store(output, place);
        }
    }
}

impl Pass for MaskedGate<'_> {
    #[inline(always)]
    unsafe fn pass<V: Vector>(&mut self, output: &mut [f32], add: Add<'_>, place: usize, value: V) {
        // SAFETY: as this function's.
        unsafe {
            let bits = *self.0.get_unchecked(place / LANES);
            added(output, add, place, value).keep(bits).store(output, place);
        }
    }
}

/// `value` and the summand at its place.
///
/// # Safety
/// As [`Epilogue::put`].
#[inline(always)]
unsafe fn added<V: Vector>(output: &[f32], add: Add<'_>, place: usize, value: V) -> V {
    // SAFETY: as this function's.
    unsafe {
        match add {
            Add::Nothing => value,
            Add::Output => value.add(V::load(output, place)),
            Add::Values(values) => value.add(V::load(values, place)),
        }
    }
}

/// Rectifier and 2x2 max pooling in one, for pooled values of one [`crate::layout::Layout`].
pub struct PooledEpilogue<'a> {
    /// Where the pooled values go.
    pub output: &'a mut [f32],
    /// One value a channel that is added first.
    pub bias: Option<&'a [f32]>,
    /// For each vector of pooled values, the bits of the four places (row order) where the gradient goes: the first
    /// largest, if it is above 0.
    pub bits: Option<&'a mut [[Bits; 4]]>,
}

impl PooledEpilogue<'_> {
    /// Finishes the window that becomes the vector of `channel..` at `place` of the output.
    ///
    /// # Safety
    /// As [`Epilogue::put`].
    #[inline(always)]
    pub(crate) unsafe fn put<V: Vector>(&mut self, place: usize, channel: usize, mut window: [V; 4]) {
        // SAFETY: as this function's.
        unsafe {
            let bias = match self.bias {
                Some(bias) => V::load(bias, channel),
                None => V::zero(),
            };
            // Bias first: its rounding can make a tie, whose gradient then goes to the first.
            for value in &mut window {
                *value = V::zero().max(value.add(bias));
            }
            let mut largest = window[0];
            let mut bits = [largest.above(V::zero()), 0, 0, 0];
            for place in 1..4 {
                let larger = window[place].above(largest);
                for earlier in &mut bits[..place] {
                    *earlier &= !larger;
                }
                bits[place] = larger;
                // NaN stays NaN, wherever it stands.
                largest = largest.max(window[place]).add(nan_only(largest));
            }
            if let Some(all) = &mut self.bits {
                *all.get_unchecked_mut(place / LANES) = bits;
            }
            largest.store(self.output, place);
        }
    }

    /// Panics unless the slices have room for the images of `pooled`, whose pixels are whole vectors.
    pub(crate) fn check(&self, pooled: &Places) {
        pooled.assert_whole_vectors();
        if let Some(bias) = self.bias {
            assert!(bias.len() >= pooled.channels, "a bias of {} values for {:?}", bias.len(), **pooled);
        }
        self.check_room(pooled.len());
    }

    /// Panics unless the slices have room for `len` values.
    fn check_room(&self, len: usize) {
        let output = self.output.len();
        assert!(output >= len, "an output of {output} values where {len} are written");
        if let Some(bits) = &self.bits {
            assert!(bits.len() >= len / LANES, "bits of {} vectors for {len} values", bits.len());
        }
    }
}

/// Finishes the rows of a product that are the pixels of windows: of `together` windows the first pixels, the second ones, the third and the
/// fourth, then those of the next. Window `w` becomes the pixel at `starts[w]`.
pub(crate) struct PooledRows<'a, 'b> {
    epilogue: &'a mut PooledEpilogue<'b>,
    starts: &'a [usize],
    together: usize,
    /// What has come of windows so far, in two vectors of columns: a product takes turns between no more.
    windows: [[[f32; LANES]; 4 * TILE_ROWS]; 2],
}

impl<'a, 'b> PooledRows<'a, 'b> {
    /// # Panics
    /// If more than [`TILE_ROWS`] windows are together.
    pub(crate) fn new(epilogue: &'a mut PooledEpilogue<'b>, starts: &'a [usize], together: usize) -> Self {
        assert!((1..=TILE_ROWS).contains(&together), "{together} windows at a time");
        Self { epilogue, starts, together, windows: [[[0.0; LANES]; 4 * TILE_ROWS]; 2] }
    }
}

impl Sink for PooledRows<'_, '_> {
    fn check(&self, rows: usize, columns: usize) {
        let windows = self.starts.len();
        assert!(
            rows == 4 * windows && windows.is_multiple_of(self.together),
            "{rows} rows for {windows} windows"
        );
        if let Some(bias) = self.epilogue.bias {
            assert!(bias.len() >= columns, "a bias of {} values for {columns} columns", bias.len());
        }
        self.epilogue.check_room(self.starts.iter().max().map_or(0, |highest| highest + columns));
    }

    #[inline(always)]
    unsafe fn put<V: Vector>(&mut self, row: usize, column: usize, sums: V) {
        // SAFETY: as this function's; `check` found a start for every window, and room.
        unsafe {
            let Self { windows, starts, epilogue, together } = self;
            let (windows, within) = (&mut windows[column / LANES % 2], row % (4 * *together));
            if within < 3 * *together {
                sums.store(&mut windows[within], 0);
            } else {
                let first = within - 3 * *together;
                let before = [0, 1, 2].map(|pixel| V::load(&windows[first + pixel * *together], 0));
                let [a, b, c] = before;
                let window = row / (4 * *together) * *together + first;
                epilogue.put(*starts.get_unchecked(window) + column, column, [a, b, c, sums]);
            }
        }
    }
}

/// NaN where `value` is NaN, 0 elsewhere.
///
/// # Safety
/// The processor has the instruction set of `V`.
#[inline(always)]
pub(crate) unsafe fn nan_only<V: Vector>(value: V) -> V {
    // SAFETY: as this function's.
    unsafe { value.keep(value.nan()) }
}

/// The gradient on a layer's output as the layer's backward pass reads it.
#[derive(Clone, Copy)]
pub enum Source<'a> {
    /// Values of a layout.
    Dense(&'a [f32]),
    /// Gradients on pooled values, of the layout after pooling, and the bits of [`PooledEpilogue`].
    Pooled(&'a [f32], &'a [[Bits; 4]]),
}

impl Source<'_> {
    /// Panics unless it has the values of the images of `from`; of a pooled one, whole vectors of them.
    pub(crate) fn check(&self, from: &Places) {
        match self {
            Source::Dense(values) => check_values(values, from),
            Source::Pooled(values, bits) => check_pooled(values, bits, from),
        }
    }
}

/// Panics unless `values` has those of the images of `from`.
pub(crate) fn check_values(values: &[f32], from: &Places) {
    let (given, len) = (values.len(), from.len());
    assert!(
        given >= len,
        "{given} values for {} images of {:?}, which have {len}",
        len / from.image(),
        **from
    );
}

/// Panics unless `values` and `bits` have those of the images of `from`, whose pixels are whole vectors.
pub(crate) fn check_pooled(values: &[f32], bits: &[[Bits; 4]], from: &Places) {
    from.assert_whole_vectors();
    check_values(values, from);
    assert!(bits.len() >= from.len() / LANES, "bits of {} vectors for {} values", bits.len(), from.len());
}

/// Finishes the rows of a product: row `r` lies at `starts[r]`, its vectors of columns at `columns` from there.
pub(crate) struct EpilogueRows<'a, 'b> {
    pub(crate) epilogue: &'a mut Epilogue<'b>,
    pub(crate) starts: &'a [usize],
    /// Where each vector of columns lies, from the row's start; side by side if empty.
    pub(crate) columns: &'a [usize],
}

impl Sink for EpilogueRows<'_, '_> {
    fn check(&self, rows: usize, columns: usize) {
        let (Some(&highest), true) = (self.starts.iter().max(), columns > 0) else {
            return assert!(rows == 0 || columns == 0, "no starts for {rows} rows");
        };
        assert!(self.starts.len() >= rows, "{} starts for {rows} rows", self.starts.len());
        let reach = match self.columns.iter().max() {
            None => columns,
            Some(&last) => {
                assert!(
                    self.columns.len() >= columns / LANES,
                    "{} places for {columns} columns",
                    self.columns.len()
                );
                last + LANES
            }
        };
        if let Some(bias) = self.epilogue.bias {
            assert!(bias.len() >= columns, "a bias of {} values for {columns} columns", bias.len());
        }
        self.epilogue.check_room(highest + reach);
    }

    #[inline(always)]
    unsafe fn put<V: Vector>(&mut self, row: usize, column: usize, sums: V) {
        // SAFETY: as this function's; `check` found a start for every row, a place for every vector of columns, and room.
        unsafe {
            let start = *self.starts.get_unchecked(row);
            let along =
                if self.columns.is_empty() { column } else { *self.columns.get_unchecked(column / LANES) };
            self.epilogue.put(start + along, column, sums);
        }
    }
}
