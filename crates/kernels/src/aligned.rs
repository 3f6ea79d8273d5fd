//! Buffers whose first value begins a cache line: a vector that crosses two lines costs twice.

use std::ops::{Deref, DerefMut};

/// A cache line of f32.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([f32; 16]);

/// A growing buffer of f32 that begins at a cache line and ends at one.
#[derive(Clone, Default)]
pub struct Aligned(Vec<Line>);

impl Aligned {
    /// At least `len` zeros.
    pub fn zeros(len: usize) -> Self {
        Self(vec![Line([0.0; 16]); len.div_ceil(16)])
    }

    /// Grows to at least `len` values; new ones are 0, old ones stay.
    pub fn grow(&mut self, len: usize) {
        if self.len() < len {
            self.0.resize(len.div_ceil(16), Line([0.0; 16]));
        }
    }
}

impl std::fmt::Debug for Aligned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Aligned({} values)", self.len())
    }
}

impl From<&[f32]> for Aligned {
    fn from(values: &[f32]) -> Self {
        let mut aligned = Self::zeros(values.len());
        aligned[..values.len()].copy_from_slice(values);
        aligned
    }
}

impl Deref for Aligned {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        // SAFETY: a `Line` is sixteen f32 without padding, and the borrow is that of the vector.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr().cast(), self.0.len() * 16) }
    }
}

impl DerefMut for Aligned {
    fn deref_mut(&mut self) -> &mut [f32] {
        let len = self.0.len() * 16;
        // SAFETY: a `Line` is sixteen f32 without padding, and the borrow is that of the vector.
        unsafe { std::slice::from_raw_parts_mut(self.0.as_mut_ptr().cast(), len) }
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
}
