//! Products with weights that were packed once, for both directions.
//!
//! The input is read where it lies: an image of a [`Layout`] is one row of the product, in as many runs as the image
//! has rows. So flattening moves nothing; the weights have their inputs in the image's order instead.

use crate::aligned::Aligned;
use crate::epilogue::{Epilogue, EpilogueRows, check_values};
use crate::factors::{Factors, Word, round_all};
use crate::isa::Isa;
use crate::layout::{Layout, Places};
use crate::panels::{Panels, Rows, multiply};
use crate::sizes::product;
use crate::vector::LANES;

/// A layer with its weights packed.
#[derive(Debug)]
pub struct Packed {
    from: Layout,
    to: Layout,
    forward: Panels,
    backward: Panels,
    /// Where each vector of an image's inputs lies, from the image's first pixel.
    columns: Vec<usize>,
}

/// Room for the rows of one call; kept by a thread from call to call.
#[derive(Debug, Default)]
pub struct Scratch {
    from: Vec<usize>,
    to: Vec<usize>,
    /// What is multiplied, rounded.
    rounded: Aligned,
}

impl Packed {
    /// Packs weights `[height * width * channels, outputs]` (of `from`, in that order) for inputs that lie as `from` says.
    ///
    /// # Panics
    /// If the weights do not fit, or as [`Packed::from_panels`].
    pub fn new(isa: Isa, from: Layout, outputs: usize, weights: &[f32]) -> Self {
        // Fewer than an image has values.
        let inputs = from.pixels() * from.channels;
        let fits = product(&[inputs, outputs]) == Some(weights.len());
        assert!(fits, "{} weights from {from:?} to {outputs} outputs", weights.len());
        let mut transposed = vec![0.0; weights.len()];
        crate::conv2d::transpose(weights, inputs, outputs, &mut transposed);
        let forward = Panels::pack(isa, weights, inputs, outputs);
        Self::from_panels(from, forward, Panels::pack(isa, &transposed, outputs, inputs))
    }

    /// A layer from inputs that lie as `from` says, from its weights packed as `[inputs, outputs]` (`forward`) and as
    /// `[outputs, inputs]` (`backward`): inputs in the order of a layout's pixels, outputs whole vectors.
    ///
    /// # Panics
    /// If the matrices do not fit, or `outputs` is no number of whole vectors; if `from` has a halo and pixels that are no whole vectors.
    pub fn from_panels(from: Layout, forward: Panels, backward: Panels) -> Self {
        let (inputs, outputs) = (from.pixels() * from.channels, forward.columns());
        assert_eq!(
            [forward.rows(), backward.rows()],
            [inputs, outputs],
            "weights from {from:?} to whole vectors"
        );
        assert_eq!(backward.columns(), inputs.next_multiple_of(LANES), "weights from {from:?}");
        let whole = from.channels.is_multiple_of(LANES);
        assert!(from.halo == 0 || whole, "a halo between pixels that are no whole vectors: {from:?}");
        assert!(inputs > 0 && outputs > 0, "weights from {from:?} to {outputs} outputs");
        let (run, row) = (from.width * from.channels, from.row());
        let columns = (0..inputs).step_by(LANES).map(|input| {
            // Without a halo the rows are one run.
            if from.halo == 0 { input } else { input / run * row + input % run }
        });
        Self {
            from,
            to: Layout { height: 1, width: 1, channels: outputs, halo: 0 },
            forward,
            backward,
            columns: columns.collect(),
        }
    }

    /// The same for products of `factors`: where they are rounded to bf16, weights are at once, and what they are multiplied with when it
    /// comes. A layer on images whose pixels are no whole vectors, a network's first, stays as it is.
    ///
    /// # Panics
    /// If it is rounded already and to be again.
    pub fn rounded(self, factors: Factors) -> Self {
        if !factors.are_pairs() || !self.from.channels.is_multiple_of(LANES) {
            return self;
        }
        Self { forward: self.forward.rounded(factors), backward: self.backward.rounded(factors), ..self }
    }

    /// How the outputs lie.
    pub fn to(&self) -> Layout {
        self.to
    }

    /// Finishes the outputs of `images` images `x`.
    ///
    /// # Panics
    /// If a slice does not fit.
    pub fn forward(&self, x: &[f32], images: usize, epilogue: &mut Epilogue<'_>, scratch: &mut Scratch) {
        let (from, to) = (&self.from.places(images), &self.to.places(images));
        check_values(x, from);
        epilogue.check(to);
        scratch.place(images, from, to);
        let mut sink = EpilogueRows { epilogue, starts: &scratch.to, columns: &[] };
        let panels = &self.forward;
        match panels.factors() {
            Factors::F32 => multiply(image_rows(x, from, &scratch.from), panels, &mut sink),
            Factors::Bf16 | Factors::Bf16Amx => {
                let words =
                    round_rows(panels.isa(), &x[..from.len()], &mut scratch.rounded, &mut scratch.from);
                multiply(image_rows(words, from, &scratch.from), panels, &mut sink);
            }
        }
    }

    /// Finishes the gradients on the inputs of `images` images, for the gradients `dy` on their outputs.
    ///
    /// # Panics
    /// If a slice does not fit, or the finish has a bias: pixels that are no whole vectors have none.
    pub fn backward(&self, dy: &[f32], images: usize, epilogue: &mut Epilogue<'_>, scratch: &mut Scratch) {
        let (from, to) = (&self.from.places(images), &self.to.places(images));
        check_values(dy, to);
        if let Some(bias) = epilogue.bias {
            panic!("a bias of {} values on a gradient on {:?}", bias.len(), self.from);
        }
        // An image without a halo may end within a vector; the vectors behind it up to the next image are whole.
        epilogue.check_room(from.len());
        scratch.place(images, from, to);
        let mut sink = EpilogueRows { epilogue, starts: &scratch.from, columns: &self.columns };
        let (panels, length) = (&self.backward, self.to.channels);
        match panels.factors() {
            Factors::F32 => multiply(Rows::plain(dy, &scratch.to, length), panels, &mut sink),
            Factors::Bf16 | Factors::Bf16Amx => {
                let words = round_rows(panels.isa(), &dy[..to.len()], &mut scratch.rounded, &mut scratch.to);
                multiply(Rows::plain(words, &scratch.to, length / 2), panels, &mut sink);
            }
        }
    }
}

/// Images of `from` as rows: as many runs as an image has rows.
fn image_rows<'a, W: Word>(words: &'a [W], from: &Layout, starts: &'a [usize]) -> Rows<'a, W> {
    let run_length = from.width * from.channels / W::WIDE;
    Rows { words, starts, runs: from.height, run_length, run_stride: from.row() / W::WIDE }
}

/// Rounds `values` into `rounded`, where rows begin at half their places.
fn round_rows<'a>(isa: Isa, values: &[f32], rounded: &'a mut Aligned, starts: &mut [usize]) -> &'a [u32] {
    rounded.grow(values.len() / 2);
    round_all(isa, values, rounded.words_mut());
    starts.iter_mut().for_each(|start| *start /= 2);
    rounded.words()
}

impl Scratch {
    fn place(&mut self, images: usize, from: &Places, to: &Places) {
        self.from.clear();
        self.from.extend((0..images).map(|image| image * from.image() + from.pixel(0, 0)));
        self.to.clear();
        self.to.extend((0..images).map(|image| image * to.image()));
    }
}
