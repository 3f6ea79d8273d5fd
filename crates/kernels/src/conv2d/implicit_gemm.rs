//! Convolution as a product of rows that lie in the image as they are: nothing is laid out or padded.
//!
//! The gradient on the input is again such a product. Input pixels fall into `stride^2` classes by what is left of
//! their row and column over the stride; those of one class meet the same taps, of output pixels that lie side by
//! side. So each class is a small convolution of stride 1 over the gradient, whose results lie `stride` pixels apart.

mod rounded;

use std::ops::Range;

use super::Geometry;
use crate::aligned::Aligned;
use crate::epilogue::{Epilogue, EpilogueRows, PooledEpilogue, PooledRows, Source, check_values};
use crate::factors::{Factors, Word};
use crate::isa::Isa;
use crate::layout::{Layout, Places};
use crate::panels::{Panels, Rows, Sink, multiply};
use crate::sizes::product;
use crate::vector::LANES;

/// A convolution with its weights packed for one direction.
#[derive(Debug)]
pub struct ImplicitGemm {
    parts: Vec<Part>,
    /// Height, width and channels of what is read.
    reads: [usize; 3],
    /// Height, width and channels of what is written.
    writes: [usize; 3],
    /// Pixels from one result's reads to those of the next.
    read_stride: usize,
    /// Pixels from one result of a part to the next.
    write_stride: usize,
    halo: usize,
}

/// One product: which pixels it makes, and from which.
#[derive(Debug)]
struct Part {
    /// First row and column that it makes.
    first: [usize; 2],
    /// Rows and columns that it makes.
    count: [usize; 2],
    /// Row and column of the first pixel that the first result reads; may lie before the image.
    begin: [isize; 2],
    /// Height and width of what a result reads; 0 where no tap meets these pixels.
    taps: [usize; 2],
    panels: Panels,
}

/// Room for the rows of one call; kept by a thread from call to call.
#[derive(Debug, Default)]
pub struct Scratch {
    from: Vec<usize>,
    to: Vec<usize>,
    /// The images, rounded.
    rounded: Aligned,
}

/// Values that the pixels multiplied together read, about: they are to stay in a second-level cache of 1 MB while all
/// panels meet them.
const BLOCK_VALUES: usize = 80_000;

impl ImplicitGemm {
    /// Packs weights in this folder's order (`[kernel, kernel, in, out]`) for the forward pass.
    ///
    /// # Panics
    /// If the weights do not fit `g`, or the output channels are no whole vectors.
    pub fn forward(isa: Isa, g: &Geometry, weights: &[f32]) -> Self {
        g.check_weights(weights.len());
        assert!(g.out_channels.is_multiple_of(LANES), "output channels are no whole vectors: {g:?}");
        let [height, width] = g.output();
        let part = Part {
            first: [0, 0],
            count: [height, width],
            begin: [-(g.padding as isize); 2],
            taps: [g.kernel; 2],
            panels: Panels::pack(isa, weights, g.taps(), g.out_channels),
        };
        Self {
            parts: vec![part],
            reads: [g.input[0], g.input[1], g.in_channels],
            writes: [height, width, g.out_channels],
            read_stride: g.stride,
            write_stride: 1,
            halo: forward_halo(g),
        }
    }

    /// Packs the same weights for the gradient on the input.
    ///
    /// # Panics
    /// If the weights do not fit `g`, or the input channels are no whole vectors.
    pub fn backward(isa: Isa, g: &Geometry, weights: &[f32]) -> Self {
        g.check_weights(weights.len());
        assert!(g.in_channels.is_multiple_of(LANES), "input channels are no whole vectors: {g:?}");
        check_classes(g);
        let mut parts = Vec::new();
        for row in 0..g.stride.min(g.input[0]) {
            for column in 0..g.stride.min(g.input[1]) {
                let classes = [Class::new(g, row), Class::new(g, column)];
                let taps = [classes[0].taps.len(), classes[1].taps.len()];
                let plane = g.in_channels * g.out_channels;
                let mut matrix = Aligned::zeros(taps[0] * taps[1] * plane);
                let pairs = classes[0].taps.iter().flat_map(|u| classes[1].taps.iter().map(move |v| (u, v)));
                for ((u, v), to) in pairs.zip(matrix.chunks_exact_mut(plane)) {
                    let tap = &weights[(u * g.kernel + v) * plane..][..plane];
                    super::transpose(tap, g.in_channels, g.out_channels, to);
                }
                parts.push(Part {
                    first: [row, column],
                    count: [Class::count(g, 0, row), Class::count(g, 1, column)],
                    begin: [classes[0].begin, classes[1].begin],
                    taps,
                    panels: Panels::pack(isa, &matrix, taps[0] * taps[1] * g.out_channels, g.in_channels),
                });
            }
        }
        let [height, width] = g.output();
        Self {
            parts,
            reads: [height, width, g.out_channels],
            writes: [g.input[0], g.input[1], g.in_channels],
            read_stride: 1,
            write_stride: g.stride,
            halo: backward_halo(g),
        }
    }

    /// The same with weights rounded to bf16, and images when they come: products of `factors` in pairs of channels.
    ///
    /// # Panics
    /// If the channels that are read are no whole vectors, or it is rounded already, or `factors` are not.
    pub fn rounded(mut self, factors: Factors) -> Self {
        let channels = self.reads[2];
        assert!(channels.is_multiple_of(LANES), "{channels} channels are no whole vectors to be rounded");
        self.parts.iter_mut().for_each(|part| part.panels = part.panels.rounded(factors));
        self
    }

    /// What products multiply.
    pub(crate) fn factors(&self) -> Factors {
        self.parts.first().map_or(Factors::F32, |part| part.panels.factors())
    }

    /// The weights `[kernel * kernel * in, out]` of a forward pass.
    pub(super) fn forward_weights(&self) -> &Panels {
        &self.parts[0].panels
    }

    /// Pixels that are multiplied together, at most.
    fn rows(&self) -> usize {
        // Neighbours share what they read, but for a step of the stride.
        let fresh = self.read_stride.saturating_mul(self.read_stride).saturating_mul(self.reads[2]);
        let values = if self.factors().are_pairs() { 2 * BLOCK_VALUES } else { BLOCK_VALUES };
        (values / fresh).clamp(56, 448)
    }

    /// In which order `per_image` pixels of `images` images are multiplied. Tiles of AMX read rows that lie equally far from each other, as
    /// one pixel of many images does.
    fn order(&self, images: usize, per_image: usize) -> [Groups; 2] {
        let together = self.factors().images_together();
        let whole = images / together * together;
        [
            Groups { image: 0, together, count: images / together * per_image, per_image },
            Groups { image: whole, together: 1, count: (images - whole) * per_image, per_image },
        ]
    }

    /// Multiplies `images` images of `source`, which lie as `from` says, and finishes each result at its place of `to`.
    ///
    /// # Panics
    /// If a layout or a slice does not fit; if the gradient is pooled and products are of f32.
    pub fn run(
        &self,
        source: Source<'_>,
        from: &Layout,
        images: usize,
        to: &Layout,
        epilogue: &mut Epilogue<'_>,
        scratch: &mut Scratch,
    ) {
        assert!(
            [to.height, to.width, to.channels] == self.writes,
            "{to:?}, but {:?} is written",
            self.writes
        );
        let to = &to.places(images);
        epilogue.check(to);
        if self.factors().are_pairs() {
            self.with_rounded(source, from, images, scratch, |words, from, scratch| {
                self.multiply(words, from, images, to, epilogue, scratch);
            });
        } else {
            let Source::Dense(values) = source else {
                panic!("this convolution takes no pooling along: {from:?}")
            };
            let fits = [from.height, from.width, from.channels] == self.reads;
            assert!(fits, "{from:?}, but {:?} is read", self.reads);
            assert!(from.halo >= self.halo, "{from:?} has a halo of less than {}", self.halo);
            let from = &from.places(images);
            check_values(values, from);
            self.multiply(values, from, images, to, epilogue, scratch);
        }
    }

    /// Multiplies `images` images `x`, which lie as `from` says, and finishes each window of 2x2 results at its place of `pooled`.
    ///
    /// # Panics
    /// If a layout or a slice does not fit, products are of f32, or it is no forward pass.
    pub(super) fn run_pooled(
        &self,
        x: &[f32],
        from: &Layout,
        images: usize,
        pooled: &Layout,
        mut epilogue: PooledEpilogue<'_>,
        scratch: &mut Scratch,
    ) {
        let [height, width, channels] = self.writes;
        let forward = self.write_stride == 1 && self.parts.len() == 1;
        let fits = [pooled.height, pooled.width, pooled.channels] == [height / 2, width / 2, channels];
        assert!(forward && fits, "{pooled:?} after 2x2 pooling of {:?}", self.writes);
        let pooled = &pooled.places(images);
        epilogue.check(pooled);
        let part = &self.parts[0];
        self.with_rounded(Source::Dense(x), from, images, scratch, |words, from, scratch| {
            for groups in self.order(images, pooled.pixels()) {
                for block in groups.blocks(self.rows() / 4) {
                    scratch.from.clear();
                    scratch.to.clear();
                    for (images, window) in block.map(|group| groups.locate(group)) {
                        let (row, column) = (window / pooled.width, window % pooled.width);
                        let place = |image| image * pooled.image() + pooled.pixel(row, column);
                        scratch.to.extend(images.clone().map(place));
                        for (below, beside) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                            let start = part.reads_from(self, from, 2 * row + below, 2 * column + beside);
                            scratch.from.extend(images.clone().map(|image| image * from.image() + start));
                        }
                    }
                    let mut sink = PooledRows::new(&mut epilogue, &scratch.to, groups.together);
                    part.multiply(words, from, &mut scratch.from, &mut sink);
                }
            }
        });
    }

    fn multiply<W: Word>(
        &self,
        words: &[W],
        from: &Places,
        images: usize,
        to: &Places,
        epilogue: &mut Epilogue<'_>,
        scratch: &mut Scratch,
    ) {
        for part in &self.parts {
            for groups in self.order(images, part.count[0] * part.count[1]) {
                for block in groups.blocks(self.rows()) {
                    scratch.from.clear();
                    scratch.to.clear();
                    for (images, pixel) in block.map(|group| groups.locate(group)) {
                        let (row, column) = (pixel / part.count[1], pixel % part.count[1]);
                        let start = part.reads_from(self, from, row, column);
                        let [row, column] = [row, column].map(|step| step * self.write_stride);
                        let place = to.pixel(part.first[0] + row, part.first[1] + column);
                        scratch.from.extend(images.clone().map(|image| image * from.image() + start));
                        scratch.to.extend(images.map(|image| image * to.image() + place));
                    }
                    let mut sink = EpilogueRows { epilogue, starts: &scratch.to, columns: &[] };
                    part.multiply(words, from, &mut scratch.from, &mut sink);
                }
            }
        }
    }
}

/// The pixels of some images: groups of one pixel each, of `together` images.
struct Groups {
    /// The first image.
    image: usize,
    together: usize,
    /// How many groups.
    count: usize,
    /// Pixels of an image.
    per_image: usize,
}

impl Groups {
    /// Cuts them into blocks of about as many groups, of at most `rows` pixels if a group has not more.
    fn blocks(&self, rows: usize) -> impl Iterator<Item = Range<usize>> + use<> {
        let (count, blocks) = (self.count, self.count.div_ceil((rows / self.together).max(1)));
        (0..blocks).map(move |block| block * count / blocks..(block + 1) * count / blocks)
    }

    /// The images of a group, and their pixel's number.
    fn locate(&self, group: usize) -> (Range<usize>, usize) {
        let image = self.image + group / self.per_image * self.together;
        (image..image + self.together, group % self.per_image)
    }
}

impl Part {
    fn is_empty(&self) -> bool {
        self.taps.contains(&0)
    }

    /// Hands the results of pixels whose reads begin at the values `starts` of `from` to `sink`.
    fn multiply<W: Word, S: Sink>(&self, words: &[W], from: &Places, starts: &mut [usize], sink: &mut S) {
        starts.iter_mut().for_each(|start| *start /= W::WIDE);
        // With no taps, every sum is 0.
        let rows = Rows {
            words,
            starts,
            runs: self.taps[0].min(self.panels.rows()),
            run_length: if self.is_empty() { 0 } else { self.taps[1] * from.channels / W::WIDE },
            run_stride: from.row() / W::WIDE,
        };
        multiply(rows, &self.panels, sink);
    }

    /// Where, in an image, the reads of the result in a row and column of this part begin.
    fn reads_from(&self, gemm: &ImplicitGemm, from: &Places, row: usize, column: usize) -> usize {
        // An empty part reads nothing, and its beginning means nothing.
        let begin = if self.is_empty() { [0, 0] } else { self.begin };
        let first = begin.map(|begin| (begin + from.halo as isize) as usize);
        let read = [first[0] + row * gemm.read_stride, first[1] + column * gemm.read_stride];
        read[0] * from.row() + read[1] * from.channels
    }
}

/// Classes of input pixels, at most: each is a product of its own.
const CLASSES: usize = 1 << 16;

/// Panics if there are more classes of input pixels than anybody would wait for.
fn check_classes(g: &Geometry) {
    let classes = g.input.map(|side| side.min(g.stride));
    let few = product(&classes).is_some_and(|count| count <= CLASSES);
    assert!(few, "{classes:?} classes of pixels are more than {CLASSES}: {g:?}");
}

/// The input rows (or columns) `residue, residue + stride, ...`: which taps they meet, of which outputs.
struct Class {
    /// Taps in the order of the outputs that they belong to.
    taps: Vec<usize>,
    /// The first of those outputs, for the first row of the class.
    begin: isize,
}

/// How wide a halo the input of a convolution must have for the forward pass.
///
/// # Panics
/// If it is no convolution: nothing is multiplied, or no buffer can hold the images.
pub fn forward_halo(g: &Geometry) -> usize {
    g.check();
    let outputs = g.output();
    let beyond = |side: usize| (outputs[side].max(1) - 1) * g.stride + g.kernel;
    let most = [0, 1].map(|side| beyond(side).saturating_sub(g.input[side] + g.padding));
    most[0].max(most[1]).max(g.padding)
}

/// How wide a halo the gradient on the output must have for the backward pass.
///
/// # Panics
/// As [`forward_halo`].
pub fn backward_halo(g: &Geometry) -> usize {
    g.check();
    check_classes(g);
    let mut widest = 0;
    for side in 0..2 {
        for residue in 0..g.stride.min(g.input[side]) {
            let class = Class::new(g, residue);
            if class.taps.is_empty() {
                continue;
            }
            let end = class.begin + (Class::count(g, side, residue) - 1 + class.taps.len()) as isize;
            widest = widest.max(-class.begin).max(end - g.output()[side] as isize);
        }
    }
    widest as usize
}

impl Class {
    /// Rows (side 0) or columns (side 1) of a class.
    fn count(g: &Geometry, side: usize, residue: usize) -> usize {
        (g.input[side] - residue).div_ceil(g.stride)
    }

    fn new(g: &Geometry, residue: usize) -> Self {
        // Input row `r` meets tap `u` of output `(r + padding - u) / stride`, where that is whole.
        let shifted = residue + g.padding;
        let mut taps: Vec<usize> = (0..g.kernel).filter(|u| u % g.stride == shifted % g.stride).collect();
        taps.reverse();
        let begin = taps.first().map_or(0, |&u| (shifted as isize - u as isize) / g.stride as isize);
        Self { taps, begin }
    }
}
