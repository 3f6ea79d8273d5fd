//! What a product of rounded factors reads: images rounded to bf16, with the halo that it needs, and a pooled gradient at its places.

use super::{ImplicitGemm, Scratch};
use crate::epilogue::Source;
use crate::gradient::{Dense, Gradient, Pooled, check_source};
use crate::layout::{Layout, Places};
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
        let to = &Layout { height, width, channels, halo: self.halo }.places(images);
        let layout = &from.places(images);
        check_source(source, layout, to);
        to.assert_whole_vectors();
        let mut rounded = std::mem::take(&mut scratch.rounded);
        rounded.grow(to.len() / 2);
        let (isa, words) = (part.panels.isa(), rounded.words_mut());
        match source {
            Source::Dense(values) => {
                run_pairs(isa, Round { gradient: Dense { values, layout }, images, to, words });
            }
            Source::Pooled(values, bits) => {
                run_pairs(isa, Round { gradient: Pooled { values, bits, layout }, images, to, words });
            }
        }
        then(rounded.words(), to, scratch);
        scratch.rounded = rounded;
    }
}

struct Round<'a, G> {
    gradient: G,
    images: usize,
    to: &'a Places,
    words: &'a mut [u32],
}

impl<G: Gradient> Kernel for Round<'_, G> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let Self { gradient, images, to, words } = self;
        let (row_words, pixel, side) = (to.row() / 2, to.channels / 2, to.halo * to.channels / 2);
        for image in 0..images {
            let start = image * to.image() / 2;
            let first = start + to.halo * row_words;
            words[start..first].fill(0);
            for row in 0..to.height {
                let at = first + row * row_words;
                words[at..at + side].fill(0);
                for column in 0..to.width {
                    let (from, at) = (gradient.pixel(image, row, column), at + side + column * pixel);
                    for channel in (0..to.channels).step_by(LANES) {
                        // SAFETY: the instruction set by this function's contract; `with_rounded` checked the source, and made
                        // room.
                        unsafe { gradient.load::<V>(from, channel).store_rounded(words, at + channel / 2) }
                    }
                }
                words[at + row_words - side..at + row_words].fill(0);
            }
            let below = first + to.height * row_words;
            words[below..below + to.halo * row_words].fill(0);
        }
    }
}
