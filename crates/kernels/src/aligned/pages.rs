//! Large buffers from a region of huge pages that is mapped once.
//!
//! A step's buffers follow each other quickly, those of its attack are of other sizes than those of the training after it, and
//! fresh pages, one by one, cost up to 7% of a step (`benchmarks/NOTES.md`). So freed bytes join their free neighbours and
//! serve the next buffer of any size, the smallest place that is large enough first: the region grows little beyond the most
//! bytes ever in use at once, and after a step or two nothing is asked of the system any more.

use std::collections::BTreeMap;
use std::ptr::NonNull;
use std::sync::{Mutex, PoisonError};

use memmap2::MmapMut;

/// All large buffers of the process.
static BOOK: Mutex<Book> = Mutex::new(Book { slabs: Vec::new(), asked: 0 });

/// Bytes of an ordinary page: buffers begin at one.
const PAGE: usize = 1 << 12;

/// Bytes of a huge page.
const HUGE: usize = 1 << 21;

/// Addresses mapped at once; those that no buffer has had yet cost no memory.
const SLAB: usize = if cfg!(target_os = "linux") { 1 << 30 } else { 1 << 26 };

struct Book {
    slabs: Vec<Slab>,
    /// Bytes asked for so far.
    asked: usize,
}

/// A mapping that stays until the process ends.
struct Slab {
    /// Its first byte, at the beginning of a huge page.
    first: NonNull<u8>,
    /// Bytes from the first that some buffer had; behind them all are still 0.
    touched: usize,
    /// Where nobody is: the place in bytes from the first, and its length. No two of them touch.
    free: BTreeMap<usize, usize>,
}

// SAFETY: a slab's memory is the process's, and reached through the buffers alone, each of which has its own bytes.
unsafe impl Send for Slab {}

/// Bytes that large buffers asked for so far: what a global allocator does not see of them.
pub fn bytes_asked_for() -> usize {
    BOOK.lock().unwrap_or_else(PoisonError::into_inner).asked
}

/// Bytes from the beginning of a page on, nobody else's until they are dropped.
#[derive(Debug)]
pub(super) struct Pages {
    first: NonNull<u8>,
    slab: usize,
    start: usize,
    len: usize,
}

// SAFETY: they own their bytes, as a box does.
unsafe impl Send for Pages {}
// SAFETY: as above; a shared reference only reads.
unsafe impl Sync for Pages {}

impl Pages {
    /// At least `bytes` zeros.
    pub(super) fn zeros(bytes: usize) -> Self {
        let (pages, used) = Self::take(bytes);
        // SAFETY: `used` bytes are no more than there are, and nobody else has them.
        unsafe { pages.first.write_bytes(0, used) };
        pages
    }

    /// At least `bytes` bytes, zeros or what a former buffer left.
    pub(super) fn unset(bytes: usize) -> Self {
        Self::take(bytes).0
    }

    /// At least `bytes` bytes, and how many of them somebody had before; the others are 0.
    fn take(bytes: usize) -> (Self, usize) {
        let found = BOOK.lock().unwrap_or_else(PoisonError::into_inner).take(bytes, SLAB);
        // One buffer too large is no reason to end the process, as an allocator's error would.
        found.unwrap_or_else(|error| panic!("no memory for a buffer of {bytes} bytes: {error}"))
    }

    pub(super) fn as_ptr(&self) -> *const u8 {
        self.first.as_ptr()
    }

    pub(super) fn as_mut_ptr(&mut self) -> *mut u8 {
        self.first.as_ptr()
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        let mut book = BOOK.lock().unwrap_or_else(PoisonError::into_inner);
        book.slabs[self.slab].give(self.start, self.len);
    }
}

impl Book {
    /// Pages of at least `bytes` bytes (at most `isize::MAX` and a line), and how many of them somebody had before; the smallest place that is large enough,
    /// among those that need the fewest bytes that nobody had yet. If there is none, maps at least `slab` bytes more.
    fn take(&mut self, bytes: usize, slab: usize) -> std::io::Result<(Pages, usize)> {
        let len = bytes.next_multiple_of(PAGE);
        let places =
            self.slabs.iter().enumerate().flat_map(|(at, slab)| slab.places(len).map(move |key| (key, at)));
        let (start, at) = match places.min() {
            Some(((_, _, start), at)) => (start, at),
            None => {
                self.slabs.push(Slab::new(len, slab)?);
                (0, self.slabs.len() - 1)
            }
        };
        self.asked += bytes;
        let slab = &mut self.slabs[at];
        let used = slab.touched.saturating_sub(start).min(len);
        // SAFETY: the place lies within the slab.
        let first = unsafe { slab.first.add(start) };
        slab.take(start, len);
        Ok((Pages { first, slab: at, start, len }, used))
    }
}

impl Slab {
    /// Maps `wanted` bytes or, if that is more and the system allows it, `size`.
    fn new(wanted: usize, size: usize) -> std::io::Result<Self> {
        let mut size = size.max(wanted).next_multiple_of(HUGE);
        let map = loop {
            match MmapMut::map_anon(size + HUGE) {
                Ok(map) => break map,
                Err(_) if size / 2 >= wanted.next_multiple_of(HUGE) => {
                    size = (size / 2).next_multiple_of(HUGE)
                }
                Err(error) => return Err(error),
            }
        };
        // Fewer, larger pages where the system has them; where it has none, ordinary ones do.
        #[cfg(target_os = "linux")]
        let _ = map.advise(memmap2::Advice::HugePage);
        let map = Box::leak(Box::new(map));
        let before = map.as_ptr().align_offset(HUGE);
        let first = NonNull::from(&mut map[before..]).cast();
        Ok(Self { first, touched: 0, free: BTreeMap::from([(0, size)]) })
    }

    /// What `len` bytes at each place that has them cost: bytes that nobody had, and those of the place; then where it begins.
    fn places(&self, len: usize) -> impl Iterator<Item = (usize, usize, usize)> {
        let fresh = move |start: usize| (start + len).saturating_sub(self.touched);
        let large = self.free.iter().filter(move |&(_, &free)| free >= len);
        large.map(move |(&start, &free)| (fresh(start), free, start))
    }

    /// Takes the first `len` bytes of the free place at `start`.
    fn take(&mut self, start: usize, len: usize) {
        let free = self.free.remove(&start).expect("a free place");
        if free > len {
            self.free.insert(start + len, free - len);
        }
        self.touched = self.touched.max(start + len);
    }

    /// Frees `len` bytes at `start`, which join what is free before and behind them.
    fn give(&mut self, start: usize, len: usize) {
        let behind = self.free.remove(&(start + len)).unwrap_or(0);
        let before = self.free.range(..start).next_back().map(|(&at, &free)| (at, free));
        match before.filter(|&(at, free)| at + free == start) {
            Some((at, free)) => self.free.insert(at, free + len + behind),
            None => self.free.insert(start, len + behind),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: usize = 2 * HUGE;

    fn give(book: &mut Book, pages: Pages) {
        book.slabs[pages.slab].give(pages.start, pages.len);
        std::mem::forget(pages); // it is of this book, not of the process's
    }

    #[test]
    fn places_join_and_serve_again() {
        let mut book = Book { slabs: Vec::new(), asked: 0 };
        let take = |book: &mut Book, bytes| book.take(bytes, SIZE).unwrap();
        let [(a, _), (b, _), (c, used)] = [1, 2, 3].map(|pages| take(&mut book, pages * PAGE - 5));
        assert_eq!((a.start, b.start, c.start, used), (0, PAGE, 3 * PAGE, 0));
        assert_eq!(a.first.as_ptr() as usize % HUGE, 0);
        // Of two places the smaller one; both rather than bytes that nobody had.
        give(&mut book, a);
        give(&mut book, c);
        let (d, used) = take(&mut book, PAGE);
        assert_eq!((d.start, used), (0, PAGE));
        let (e, used) = take(&mut book, 2 * PAGE);
        assert_eq!((e.start, used), (3 * PAGE, 2 * PAGE));
        // What is free on both sides becomes one.
        give(&mut book, d);
        give(&mut book, e);
        give(&mut book, b);
        assert_eq!(book.slabs[0].free, BTreeMap::from([(0, SIZE)]));
        let (f, used) = take(&mut book, 8 * PAGE);
        assert_eq!((f.start, used, book.slabs[0].touched), (0, 6 * PAGE, 8 * PAGE));
        // What no slab has is mapped.
        let (g, used) = take(&mut book, 2 * SIZE);
        assert_eq!((g.slab, g.start, used, book.slabs.len()), (1, 0, 0, 2));
        assert_eq!(book.asked, 6 * PAGE - 15 + 3 * PAGE + 8 * PAGE + 2 * SIZE);
        give(&mut book, f);
        give(&mut book, g);
    }

    #[test]
    fn what_the_system_refuses_is_asked_for_in_smaller_pieces() {
        let slab = Slab::new(PAGE, 1 << 60).unwrap();
        assert!(slab.free[&0] >= PAGE && slab.free[&0] < 1 << 60, "{:?}", slab.free);
        assert!(Slab::new(1 << 60, 1 << 60).is_err());
    }

    #[test]
    fn buffers_of_many_threads_never_meet() {
        std::thread::scope(|scope| {
            for thread in 0..4_u8 {
                scope.spawn(move || {
                    for round in 0..50 {
                        let bytes = PAGE * (1 + (round * 7 + usize::from(thread) * 3) % 11);
                        let mut pages = Pages::zeros(bytes);
                        // SAFETY: these bytes are this buffer's.
                        let values = unsafe { std::slice::from_raw_parts_mut(pages.as_mut_ptr(), bytes) };
                        assert!(values.iter().all(|&value| value == 0));
                        values.fill(thread + 1);
                        std::thread::yield_now();
                        assert!(values.iter().all(|&value| value == thread + 1));
                    }
                });
            }
        });
    }
}
