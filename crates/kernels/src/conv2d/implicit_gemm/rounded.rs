//! What a product of rounded factors reads: images rounded to bf16, with the halo that it needs, and a pooled gradient at its places.

use super::{ImplicitGemm, Scratch};
use crate::epilogue::Source;
use crate::layout::{Layout, Places, assert_halves};
use crate::vector::{Kernel, LANES, Vector, run_pairs};

impl ImplicitGemm {
    /// Hands the rounded images of `source`, which lie as `from` says, to `then`, and where they lie now.
    pub(super) fn with_rounded(
        &self,
        source: Source<'_>,
        from: &Layout,
        images: usize,
        scratch: &mut Scratch,
        then: impl FnOnce(&[u32], &Places, &mut Scratch),
    ) {
        let Some(part) = self.parts.first() else { return };
        let [height, width, channels] = self.reads;
        let to = Layout { height, width, channels, halo: self.halo };
        match source {
            Source::Dense(_) => {
                assert!(to == Layout { halo: to.halo, ..*from }, "{from:?}, but {to:?} is read")
            }
            Source::Pooled(..) => assert_halves(&to, from),
        }
        let (from, to) = (&from.places(images), &to.places(images));
        source.check(from);
        to.assert_whole_vectors();
        let mut rounded = std::mem::take(&mut scratch.rounded);
        rounded.grow(to.len() / 2);
        run_pairs(part.panels.isa(), Round { source, from, images, to, words: rounded.words_mut() });
        then(rounded.words(), to, scratch);
        scratch.rounded = rounded;
    }
}

struct Round<'a> {
    source: Source<'a>,
    from: &'a Places,
    images: usize,
    to: &'a Places,
    words: &'a mut [u32],
}

impl Kernel for Round<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Vector>(mut self) {
        let to = self.to;
        let side = to.halo * to.channels / 2;
        for image in 0..self.images {
            let start = image * to.image() / 2;
            let above = to.halo * to.row() / 2;
            self.words[start..start + above].fill(0);
            for row in 0..to.height {
                let at = start + above + row * to.row() / 2;
                self.words[at..at + side].fill(0);
                // SAFETY: the instruction set by this function's contract; `with_rounded` checked the source, and made room.
                unsafe { self.pixels::<V>(image, row, at + side) }
                self.words[at + to.row() / 2 - side..at + to.row() / 2].fill(0);
            }
            let below = start + above + to.height * to.row() / 2;
            self.words[below..below + above].fill(0);
        }
    }
}

impl Round<'_> {
    /// Rounds one row of pixels into words from `to` on.
    ///
    /// # Safety
    /// The processor has the instruction set of `V`; the row exists, and there is room.
    #[inline(always)]
    unsafe fn pixels<V: Vector>(&mut self, image: usize, row: usize, to: usize) {
        let Layout { width, channels, .. } = **self.to;
        let from = self.from;
        // SAFETY: as this function's.
        unsafe {
            match self.source {
                Source::Dense(values) => {
                    let from = image * from.image() + from.pixel(row, 0);
                    for at in (0..width * channels).step_by(LANES) {
                        V::load(values, from + at).store_rounded(self.words, to + at / 2);
                    }
                }
                Source::Pooled(values, bits) => {
                    for column in 0..width {
                        let exists = row / 2 < from.height && column / 2 < from.width;
                        for channel in (0..channels).step_by(LANES) {
                            let mut value = V::zero();
                            if exists {
                                let from = image * from.image() + from.pixel(row / 2, column / 2) + channel;
                                let bits = bits.get_unchecked(from / LANES)[row % 2 * 2 + column % 2];
                                value = V::load(values, from).keep(bits);
                            }
                            value.store_rounded(self.words, to + (column * channels + channel) / 2);
                        }
                    }
                }
            }
        }
    }
}
