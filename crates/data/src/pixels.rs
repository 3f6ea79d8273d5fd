//! Where a set's pixels are: in memory, or where they were found.

use std::borrow::Cow;
use std::fmt::Debug;
use std::sync::Arc;

use crate::Result;

/// Sets of more bytes than this are not brought into memory, where their file allows that: 1 GiB.
pub(crate) const IN_MEMORY: usize = 1 << 30;

/// Images that stay where they are and are read when somebody asks for one: a set may be larger than memory.
pub(crate) trait ImageStore: Debug + Send + Sync {
    /// Writes image number `at`, u8 `[c, h, w]`, into `image`, which is as long.
    ///
    /// # Errors
    /// Those of reading; what was found wrong with this image.
    fn read(&self, at: usize, image: &mut [u8]) -> Result<()>;
}

/// The pixels of a set, image after image; a clone shares them.
#[derive(Debug, Clone)]
pub(crate) enum Pixels {
    /// u8 `[n, c, h, w]`.
    Memory(Arc<[u8]>),
    /// Those `rows` of a store, in that order.
    Stored { store: Arc<dyn ImageStore>, rows: Arc<[u32]> },
}

impl Pixels {
    /// All `count` images of a store.
    pub(crate) fn stored(store: impl ImageStore + 'static, count: u32) -> Self {
        Self::Stored { store: Arc::new(store), rows: (0..count).collect() }
    }

    /// Image number `at` of those of `length` bytes.
    pub(crate) fn image(&self, at: usize, length: usize) -> Result<Cow<'_, [u8]>> {
        match self {
            Self::Memory(pixels) => Ok(Cow::Borrowed(&pixels[at * length..][..length])),
            Self::Stored { store, rows } => {
                let mut image = vec![0; length];
                store.read(rows[at] as usize, &mut image)?;
                Ok(Cow::Owned(image))
            }
        }
    }

    /// The images at `places`, in that order.
    pub(crate) fn select(&self, places: &[usize], length: usize) -> Self {
        match self {
            Self::Memory(pixels) => {
                let image = |&at: &usize| &pixels[at * length..][..length];
                Self::Memory(places.iter().flat_map(image).copied().collect())
            }
            Self::Stored { store, rows } => {
                Self::Stored { store: Arc::clone(store), rows: places.iter().map(|&at| rows[at]).collect() }
            }
        }
    }

    /// The first `count` images in one piece: what is stored is brought into memory for it.
    pub(crate) fn first(&self, count: usize, length: usize) -> Result<Cow<'_, [u8]>> {
        match self {
            Self::Memory(pixels) => Ok(Cow::Borrowed(&pixels[..count * length])),
            Self::Stored { .. } => {
                let mut all = Vec::with_capacity(count * length);
                for at in 0..count {
                    all.extend_from_slice(&self.image(at, length)?);
                }
                Ok(Cow::Owned(all))
            }
        }
    }
}
