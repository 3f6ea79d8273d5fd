//! Large buffers in pages of their own.
//!
//! A step's buffers follow each other quickly, and a fresh page costs as much as writing it a few times; so freed pages are
//! kept for the next buffer of about their size. But an attack's buffers are not those of the training after it, and what an
//! allocator keeps of either came to a third of a network's peak memory. So pages are kept only as long as all pages
//! together are no more than were in use at once before: they never raise the peak.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use memmap2::MmapMut;

/// All pages of the process.
static BOOK: Mutex<Book> = Mutex::new(Book { used: 0, most: 0, asked: 0, freed: VecDeque::new(), idle: 0 });

struct Book {
    /// Bytes in use, and the most that ever were.
    used: usize,
    most: usize,
    /// Bytes asked for so far.
    asked: usize,
    /// What was freed, the latest at the end, and its bytes.
    freed: VecDeque<MmapMut>,
    idle: usize,
}

/// Bytes that buffers with pages of their own asked for so far: what a global allocator does not see of them.
pub fn bytes_asked_for() -> usize {
    BOOK.lock().unwrap_or_else(PoisonError::into_inner).asked
}

/// Bytes from the beginning of a page on.
pub(super) struct Pages(Option<MmapMut>);

impl Pages {
    /// At least `bytes` zeros.
    pub(super) fn zeros(bytes: usize) -> Self {
        let found = BOOK.lock().unwrap_or_else(PoisonError::into_inner).take(bytes);
        if let Some(mut pages) = found {
            pages[..bytes].fill(0);
            return Self(Some(pages));
        }
        let Ok(fresh) = MmapMut::map_anon(bytes) else {
            let layout =
                std::alloc::Layout::array::<u8>(bytes).expect("a buffer smaller than the address space");
            std::alloc::handle_alloc_error(layout)
        };
        // Fewer, larger pages where the system has them; where it has none, ordinary ones do.
        #[cfg(target_os = "linux")]
        let _ = fresh.advise(memmap2::Advice::HugePage);
        Self(Some(fresh))
    }

    pub(super) fn as_ptr(&self) -> *const u8 {
        self.0.as_ref().expect("there until it is dropped").as_ptr()
    }

    pub(super) fn as_mut_ptr(&mut self) -> *mut u8 {
        self.0.as_mut().expect("there until it is dropped").as_mut_ptr()
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        let pages = self.0.take().expect("there until it is dropped");
        BOOK.lock().unwrap_or_else(PoisonError::into_inner).give(pages);
    }
}

impl Book {
    /// The smallest freed pages of at least `bytes` bytes that are not much larger. If there are none, makes room for new ones.
    fn take(&mut self, bytes: usize) -> Option<MmapMut> {
        self.asked += bytes;
        let sizes = self.freed.iter().map(|pages| pages.len()).enumerate();
        let fit =
            sizes.filter(|&(_, len)| len >= bytes && len <= bytes + bytes / 4).min_by_key(|&(_, len)| len);
        let found = fit.and_then(|(at, _)| self.freed.remove(at));
        self.idle -= found.as_ref().map_or(0, |pages| pages.len());
        self.used += found.as_ref().map_or(bytes, |pages| pages.len());
        self.most = self.most.max(self.used);
        while self.used + self.idle > self.most {
            let oldest = self.freed.pop_front().expect("what is used is no more than the most that ever was");
            self.idle -= oldest.len();
        }
        found
    }

    fn give(&mut self, pages: MmapMut) {
        self.used -= pages.len();
        self.idle += pages.len();
        self.freed.push_back(pages);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pages of so many bytes, from a book or new.
    fn open(book: &mut Book, bytes: usize) -> (MmapMut, bool) {
        match book.take(bytes) {
            Some(pages) => (pages, true),
            None => (MmapMut::map_anon(bytes).unwrap(), false),
        }
    }

    #[test]
    fn freed_pages_are_used_again_and_never_raise_the_peak() {
        let mut book = Book { used: 0, most: 0, asked: 0, freed: VecDeque::new(), idle: 0 };
        let ((first, _), (second, _)) = (open(&mut book, 1000), open(&mut book, 5000));
        assert_eq!((book.used, book.most), (6000, 6000));
        book.give(first);
        book.give(second);
        assert_eq!((book.used, book.idle), (0, 6000));
        // Of about the size of the second.
        let (again, used) = open(&mut book, 4000);
        assert!(used && again.len() == 5000);
        // Of no size that is there; the first goes, since 1000 and 5000 and 900 are more than ever were in use.
        let (fresh, used) = open(&mut book, 700);
        assert!(!used);
        assert_eq!((book.used, book.idle, book.most, book.freed.len()), (5700, 0, 6000, 0));
        book.give(again);
        book.give(fresh);
        assert_eq!((book.used, book.idle), (0, 5700));
        let (large, _) = open(&mut book, 9000);
        assert_eq!((book.used, book.idle, book.most), (9000, 0, 9000));
        book.give(large);
    }
}
