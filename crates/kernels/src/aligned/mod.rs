//! Buffers whose first value begins a cache line: a vector that crosses two lines costs twice.

mod pages;

use std::ops::{Deref, DerefMut};

use pages::Pages;
pub use pages::bytes_asked_for;

use crate::sizes::MOST;

/// Values of a cache line.
const LINE: usize = 16;

/// A cache line of f32.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([f32; LINE]);

/// Lines from which on a buffer has pages of its own: 128 KB.
const MANY: usize = 1 << 11;

/// A growing buffer of f32 that begins at a cache line and ends at one.
pub struct Aligned {
    memory: Memory,
    lines: usize,
}

enum Memory {
    /// From the allocator.
    Lines(Vec<Line>),
    Pages(Pages),
}

impl Aligned {
    /// At least `len` zeros.
    ///
    /// # Panics
    /// If there is no memory for so many, as all that follows.
    pub fn zeros(len: usize) -> Self {
        Self::new(len, Pages::zeros)
    }

    /// At least `len` values of any kind, those of a former buffer perhaps: to be written before they are read.
    pub fn unset(len: usize) -> Self {
        Self::new(len, Pages::unset)
    }

    fn new(len: usize, pages: impl Fn(usize) -> Pages) -> Self {
        assert!(len <= MOST, "{len} values are more than the {MOST} of a buffer");
        let lines = len.div_ceil(LINE);
        let memory = if lines < MANY {
            Memory::Lines(vec![Line([0.0; LINE]); lines])
        } else {
            Memory::Pages(pages(lines * size_of::<Line>()))
        };
        Self { memory, lines }
    }

    /// Grows to at least `len` values; new ones are 0, old ones stay.
    pub fn grow(&mut self, len: usize) {
        if self.len() < len {
            let mut larger = Self::unset(len);
            let (old, new) = larger.split_at_mut(self.len());
            old.copy_from_slice(self);
            new.fill(0.0);
            *self = larger;
        }
    }

    /// The same bits as integers.
    pub(crate) fn words(&self) -> &[u32] {
        let values: &[f32] = self;
        // SAFETY: a u32 has the size and the alignment of an f32, and any bits are one; the borrow is that of the values.
        unsafe { std::slice::from_raw_parts(values.as_ptr().cast(), values.len()) }
    }

    /// The same, to be written.
    pub(crate) fn words_mut(&mut self) -> &mut [u32] {
        let values: &mut [f32] = self;
        // SAFETY: as in `words`; any bits are an f32.
        unsafe { std::slice::from_raw_parts_mut(values.as_mut_ptr().cast(), values.len()) }
    }
}

impl Default for Aligned {
    fn default() -> Self {
        Self::zeros(0)
    }
}

impl Clone for Aligned {
    fn clone(&self) -> Self {
        Self::from(&**self)
    }
}

impl std::fmt::Debug for Aligned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Aligned({} values)", self.len())
    }
}

impl From<&[f32]> for Aligned {
    fn from(values: &[f32]) -> Self {
        let mut aligned = Self::unset(values.len());
        let (given, rest) = aligned.split_at_mut(values.len());
        given.copy_from_slice(values);
        rest.fill(0.0);
        aligned
    }
}

impl Deref for Aligned {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        let first = match &self.memory {
            Memory::Lines(lines) => lines.as_ptr().cast(),
            Memory::Pages(pages) => pages.as_ptr(),
        };
        // SAFETY: there are as many lines, each sixteen f32 without padding (of any bits); a page begins at a line; the borrow
        // is that of the memory.
        unsafe { std::slice::from_raw_parts(first.cast(), self.lines * LINE) }
    }
}

impl DerefMut for Aligned {
    fn deref_mut(&mut self) -> &mut [f32] {
        let first = match &mut self.memory {
            Memory::Lines(lines) => lines.as_mut_ptr().cast(),
            Memory::Pages(pages) => pages.as_mut_ptr(),
        };
        // SAFETY: as in `deref`.
        unsafe { std::slice::from_raw_parts_mut(first.cast(), self.lines * LINE) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_begin_at_a_line_and_keep_what_they_hold() {
        let mut buffer = Aligned::from(&[1.0, 2.0, 3.0][..]);
        assert_eq!((buffer.len(), buffer.as_ptr() as usize % 64), (16, 0));
        buffer.grow(40);
        assert_eq!((buffer.len(), buffer[2], buffer[3], buffer[47]), (48, 3.0, 0.0, 0.0));
        buffer[47] = 5.0;
        buffer.grow(2);
        assert_eq!((buffer.len(), buffer[47], buffer.as_ptr() as usize % 64), (48, 5.0, 0));
        assert_eq!(Aligned::zeros(0).len(), 0);
    }

    #[test]
    fn large_buffers_are_zero_again_and_keep_what_they_hold_when_they_grow() {
        let (few, many) = (MANY * LINE - LINE, MANY * LINE + 1);
        for _ in 0..3 {
            let mut buffer = Aligned::zeros(many);
            assert_eq!((buffer.len(), buffer.as_ptr() as usize % 64), (many + LINE - 1, 0));
            assert!(buffer.iter().all(|&value| value == 0.0));
            buffer.fill(1.0);
        }
        let mut buffer = Aligned::zeros(few);
        buffer.fill(1.0);
        buffer.grow(many);
        let copy = buffer.clone();
        drop(buffer);
        assert!(
            copy[..few].iter().all(|&value| value == 1.0) && copy[few..].iter().all(|&value| value == 0.0)
        );
    }
}
