//! The tiles of Intel's AMX: registers of sixteen rows of 64 bytes, and an instruction that multiplies two of them (bf16) and adds
//! to a third (f32).
//!
//! A thread that computes with tiles first says how large they are, and lets them go when it is done. The compiler uses none, so what they
//! hold stays from one of the functions below to the next; they are for this file alone.

use std::arch::asm;
use std::arch::x86_64::__cpuid_count;
use std::ffi::c_long;

use super::Sink;
use super::blocks::{BLOCK, ROWS, Tiles, WORDS};
use crate::vector::{Kernel, LANES, Vector};

/// Whether the processor has tiles of bf16, and the system lets this process use them: it has to be asked, as they are more for it to keep of
/// a thread than a thread has room for by itself.
pub(crate) fn permitted() -> bool {
    /// `ARCH_REQ_XCOMP_PERM`: asks to use a component of the processor's state.
    const REQUEST: c_long = 0x1023;
    /// The tiles' number among those components.
    const TILE_DATA: c_long = 18;
    /// In `edx` of leaf 7: bf16, and the tiles themselves.
    const FEATURES: u32 = 1 << 22 | 1 << 24;
    let features = __cpuid_count(7, 0).edx;
    // SAFETY: the call takes numbers, and changes nothing but what this process may use.
    features & FEATURES == FEATURES && unsafe { libc::syscall(libc::SYS_arch_prctl, REQUEST, TILE_DATA) } == 0
}

/// Eight tiles of sixteen rows of 64 bytes.
#[repr(C, align(64))]
struct Sizes {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    row_bytes: [u16; 16],
    rows: [u8; 16],
}

static SIZES: Sizes = Sizes {
    palette: 1,
    start_row: 0,
    reserved: [0; 14],
    row_bytes: {
        let mut bytes = [0; 16];
        let mut tile = 0;
        while tile < 8 {
            bytes[tile] = 64;
            tile += 1;
        }
        bytes
    },
    rows: {
        let mut rows = [0; 16];
        let mut tile = 0;
        while tile < 8 {
            rows[tile] = ROWS as u8;
            tile += 1;
        }
        rows
    },
};

/// This thread's tiles, while it has some.
struct Configured;

impl Configured {
    /// # Safety
    /// [`permitted`] said yes.
    unsafe fn new() -> Self {
        // SAFETY: tiles by this function's contract; 64 bytes are read.
        unsafe {
            asm!("ldtilecfg [{}]", in(reg) &raw const SIZES, options(nostack, preserves_flags, readonly))
        }
        Self
    }
}

impl Drop for Configured {
    fn drop(&mut self) {
        // SAFETY: only a thread with tiles has one of these.
        unsafe { asm!("tilerelease", options(nostack, preserves_flags, nomem)) }
    }
}

// SAFETY of the functions below: this thread has tiles, by their contract, and there are eight.

/// # Safety
/// This thread has tiles, as for all that follow.
#[inline(always)]
#[allow(clippy::undocumented_unsafe_blocks, reason = "one comment above for all of them")]
unsafe fn zero<const T: u8>() {
    unsafe { asm!("tilezero tmm{t}", t = const T, options(nostack, preserves_flags)) }
}

/// Loads sixteen rows of as many words, `stride` bytes apart.
///
/// # Safety
/// They are there.
#[inline(always)]
#[allow(clippy::undocumented_unsafe_blocks, reason = "one comment above for all of them")]
unsafe fn load<const T: u8>(from: *const u32, stride: usize) {
    unsafe {
        asm!(
            "tileloadd tmm{t}, [{from} + {stride}]",
            t = const T,
            from = in(reg) from,
            stride = in(reg) stride,
            options(nostack, preserves_flags, readonly)
        );
    }
}

/// Adds the products of rows `X` with the block `W` of a panel to the sums `S`.
///
/// # Safety
/// As [`zero`].
#[inline(always)]
#[allow(clippy::undocumented_unsafe_blocks, reason = "one comment above for all of them")]
unsafe fn multiply_add<const S: u8, const X: u8, const W: u8>() {
    unsafe {
        asm!(
            "tdpbf16ps tmm{s}, tmm{x}, tmm{w}",
            s = const S,
            x = const X,
            w = const W,
            options(nostack, preserves_flags)
        );
    }
}

/// Stores sixteen rows of as many sums, one after the other.
///
/// # Safety
/// There is room.
#[inline(always)]
#[allow(clippy::undocumented_unsafe_blocks, reason = "one comment above for all of them")]
unsafe fn store<const T: u8>(to: *mut f32) {
    unsafe {
        asm!(
            "tilestored [{to} + {stride}], tmm{t}",
            t = const T,
            to = in(reg) to,
            stride = in(reg) ROWS * size_of::<f32>(),
            options(nostack, preserves_flags)
        );
    }
}

/// The same products by tiles, two by two of them.
pub(super) struct OnAmx<'a, S>(pub(super) Tiles<'a, S>);

/// Sums of four tiles, on their way to the sink.
#[repr(C, align(64))]
struct Sums([[f32; ROWS * LANES]; 4]);

impl<S: Sink> Kernel for OnAmx<'_, S> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Vector>(mut self) {
        let (tiles, vectors) = (self.0.count.div_ceil(ROWS), self.0.vectors);
        let mut sums = Sums([[0.0; ROWS * LANES]; 4]);
        // SAFETY: whoever asks for this kernel has an instruction set with tiles; rows and vectors exist.
        unsafe {
            let _configured = Configured::new();
            for first in (0..vectors).step_by(V::PANEL) {
                for tile in (0..tiles).step_by(2) {
                    match (tiles - tile >= 2, vectors - first >= 2) {
                        (true, true) => self.tiles::<V, true, true>(tile, first, &mut sums),
                        (true, false) => self.tiles::<V, true, false>(tile, first, &mut sums),
                        (false, true) => self.tiles::<V, false, true>(tile, first, &mut sums),
                        (false, false) => self.tiles::<V, false, false>(tile, first, &mut sums),
                    }
                }
            }
        }
    }
}

impl<S: Sink> OnAmx<'_, S> {
    /// The sums of one tile of rows or two (`TALL`), and one vector of columns or two (`WIDE`).
    ///
    /// # Safety
    /// The processor has the instruction set of `V`, whose panels are of two vectors, and this thread tiles; the rows and vectors exist.
    #[inline(always)]
    unsafe fn tiles<V: Vector, const TALL: bool, const WIDE: bool>(
        &mut self,
        tile: usize,
        first: usize,
        sums: &mut Sums,
    ) {
        let Self(Tiles { copied, first: first_row, count, k, weights, ref mut sink, .. }) = *self;
        // SAFETY: as this function's: copied tiles have `k` words for each row, the panel has `k` rows of its vectors, and
        // there is room for the sums of four tiles.
        unsafe {
            zero::<0>();
            zero::<1>();
            zero::<2>();
            zero::<3>();
            let mut x = copied.as_ptr().add(tile * ROWS * k);
            let mut w = weights.as_ptr().add(first * k * LANES);
            let width = if WIDE { 2 * LANES } else { LANES };
            debug_assert!((tile + 1 + usize::from(TALL)) * ROWS * k <= copied.len());
            debug_assert!(first * k * LANES + k * width <= weights.len());
            for _ in 0..k / WORDS {
                load::<4>(x, WORDS * size_of::<u32>());
                load::<6>(w, width * size_of::<u32>());
                multiply_add::<0, 4, 6>();
                if WIDE {
                    load::<7>(w.add(LANES), width * size_of::<u32>());
                    multiply_add::<1, 4, 7>();
                }
                if TALL {
                    load::<5>(x.add(ROWS * k), WORDS * size_of::<u32>());
                    multiply_add::<2, 5, 6>();
                }
                if TALL && WIDE {
                    multiply_add::<3, 5, 7>();
                }
                x = x.add(BLOCK);
                w = w.add(WORDS * width);
            }
            let [a, b, c, d] = sums.0.each_mut();
            store::<0>(a.as_mut_ptr());
            store::<1>(b.as_mut_ptr());
            store::<2>(c.as_mut_ptr());
            store::<3>(d.as_mut_ptr());
            for v in 0..1 + usize::from(WIDE) {
                for below in 0..1 + usize::from(TALL) {
                    let row = (tile + below) * ROWS;
                    for r in 0..ROWS.min(count - row) {
                        let values = V::load(&sums.0[2 * below + v], r * LANES);
                        sink.put(first_row + row + r, (first + v) * LANES, values);
                    }
                }
            }
        }
    }
}
