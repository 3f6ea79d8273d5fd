//! Sizes that are drawn, mostly such as fit each other, and slices between canaries.

use std::cell::Cell;
use std::ops::{Deref, DerefMut};

use robin_kernels::LANES;
use robin_kernels::conv2d::Geometry;
use robin_kernels::epilogue::{Add, Bits, Epilogue, Gate, PooledEpilogue, Source};
use robin_kernels::isa::Isa;
use robin_kernels::layout::Layout;

/// What no machine has, so that nobody gets as far as to allocate it, and what wraps when it is multiplied.
const HUGE: [usize; 6] = [1 << 46, 1 << 60, (1 << 62) + 32_768, usize::MAX / 2, usize::MAX - 14, usize::MAX];

/// Values of a slice at most; where more would fit, the slice is too short.
const MOST: usize = 1 << 18;

/// One draw: numbers that are used up one after the other, so that a failing one can be made smaller.
pub(crate) struct Draw {
    numbers: Vec<u32>,
    next: usize,
    /// Whether sizes may be bent at all.
    bends: bool,
}

impl Draw {
    pub(crate) fn new(numbers: Vec<u32>) -> Self {
        let bends = numbers.first().is_some_and(|number| number % 4 != 0);
        Self { numbers, next: 1, bends }
    }

    fn number(&mut self) -> usize {
        self.next += 1;
        self.numbers.get(self.next - 1).map_or(0, |&number| number as usize)
    }

    /// One of a list.
    pub(crate) fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.number() % of.len()]
    }

    /// True in one of `n` draws.
    pub(crate) fn rarely(&mut self, n: usize) -> bool {
        self.number() % n == n - 1
    }

    /// The size itself or, in one of 24 draws, an awkward one.
    pub(crate) fn bent(&mut self, size: usize) -> usize {
        if !self.bends || !self.rarely(24) {
            return size;
        }
        let near = [0, 1, size.saturating_sub(1), size.saturating_add(1), size.saturating_add(LANES)];
        let all: Vec<usize> = near.into_iter().chain(HUGE).collect();
        self.one(&all)
    }

    pub(crate) fn isa(&mut self) -> Isa {
        self.one(&Isa::available())
    }

    pub(crate) fn images(&mut self) -> usize {
        let images = self.one(&[0, 1, 1, 2, 3]);
        self.bent(images)
    }

    /// Sides of images, of which one may be 0 or 1.
    pub(crate) fn sides(&mut self) -> [usize; 2] {
        const SIDES: [usize; 12] = [6, 5, 4, 3, 9, 8, 7, 2, 1, 6, 4, 10];
        let sides = [self.one(&SIDES), self.one(&SIDES)];
        sides.map(|side| self.bent(side))
    }

    /// Channels, whole vectors.
    pub(crate) fn vectors(&mut self) -> usize {
        let channels = self.one(&[16, 32, 48, 16, 32, 80]);
        self.bent(channels)
    }

    /// Channels of any number.
    pub(crate) fn channels(&mut self) -> usize {
        let channels = self.one(&[1, 3, 16, 32, 1, 17, 2, 48]);
        self.bent(channels)
    }

    pub(crate) fn halo(&mut self) -> usize {
        let halo = self.one(&[0, 1, 2, 0, 3]);
        self.bent(halo)
    }

    /// A layout of images, in all respects as asked for but where one is bent.
    pub(crate) fn layout(&mut self, [height, width]: [usize; 2], channels: usize, halo: usize) -> Layout {
        let [height, width, channels, halo] = [height, width, channels, halo].map(|size| self.bent(size));
        Layout { height, width, channels, halo }
    }

    /// Images whose pixels are whole vectors.
    pub(crate) fn any_layout(&mut self) -> Layout {
        let (sides, channels, halo) = (self.sides(), self.vectors(), self.halo());
        self.layout(sides, channels, halo)
    }

    /// A convolution, from `in_channels` to whole vectors.
    pub(crate) fn convolution(
        &mut self,
        in_channels: usize,
        kernels: &[usize],
        strides: &[usize],
    ) -> Geometry {
        let [height, width] = self.sides();
        let (kernel, stride) = (self.one(kernels), self.one(strides));
        // Kernels as large as the image, and larger.
        let kernel = if self.rarely(16) { height.min(12) } else { kernel };
        let padding = self.one(&[0, 1, 2, 1]).min(kernel.saturating_sub(1));
        let out_channels = self.vectors();
        let [kernel, stride, padding] = [kernel, stride, padding].map(|size| self.bent(size));
        Geometry { input: [height, width], in_channels, out_channels, kernel, stride, padding }
    }

    /// Length of a slice of `wanted` values, or another; where there is no such number, or it is too large, some.
    pub(crate) fn len(&mut self, wanted: Option<usize>) -> usize {
        let wanted = wanted.filter(|&len| len <= MOST).unwrap_or(512);
        if !self.bends || !self.rarely(24) {
            return wanted;
        }
        self.one(&[wanted.saturating_sub(1), wanted + 1, wanted.saturating_sub(LANES), wanted + 3, 0])
    }

    /// Values between canaries.
    pub(crate) fn values<T: Guard>(&mut self, wanted: Option<usize>) -> Guarded<T> {
        let (len, salt) = (self.len(wanted), self.number());
        Guarded::new((0..len).map(|at| T::some(at, salt)))
    }

    /// `images` images of `layout`, halos and all of small numbers.
    pub(crate) fn images_of(&mut self, layout: &Layout, images: usize) -> Guarded<f32> {
        self.values(len_of(layout, images))
    }

    /// Slices for a [`Epilogue`] of `len` values and `channels` channels.
    pub(crate) fn ending(&mut self, len: Option<usize>, channels: usize) -> Ending {
        let vectors = len.map(|len| len / LANES);
        Ending {
            output: self.values(len),
            bias: if self.rarely(2) { Some(self.values(Some(channels))) } else { None },
            add: self.one(&[0, 1, 2, 0]),
            summand: self.values(len),
            gate: self.one(&[0, 1, 2, 3]),
            bits: self.values(vectors),
            places: self.values(vectors),
        }
    }
}

/// Values of `images` images of `layout`, if that is a number: in wide integers, not as the layout counts them.
pub(crate) fn len_of(layout: &Layout, images: usize) -> Option<usize> {
    let Layout { height, width, channels, halo } = *layout;
    let [height, width, channels, halo, images] = [height, width, channels, halo, images].map(|n| n as u128);
    let pixels = (height + 2 * halo).checked_mul(width + 2 * halo)?;
    let vectors = pixels.checked_mul(channels)?.div_ceil(16) | 1;
    usize::try_from(vectors.checked_mul(16)?.checked_mul(images)?).ok()
}

/// The product of sizes, if it is a number.
pub(crate) fn product(factors: &[usize]) -> Option<usize> {
    factors.iter().try_fold(1, |product: usize, &factor| product.checked_mul(factor))
}

/// Slices that a kernel ends in.
pub(crate) struct Ending {
    pub(crate) output: Guarded<f32>,
    bias: Option<Guarded<f32>>,
    add: usize,
    summand: Guarded<f32>,
    gate: usize,
    bits: Guarded<Bits>,
    places: Guarded<[Bits; 4]>,
}

impl Ending {
    /// A finish that writes them.
    pub(crate) fn finish(&mut self) -> Epilogue<'_> {
        Epilogue {
            output: &mut self.output,
            bias: self.bias.as_deref(),
            add: [Add::Nothing, Add::Output, Add::Values(&self.summand)][self.add],
            gate: match self.gate {
                0 => Gate::Open,
                1 => Gate::Rectify,
                2 => Gate::RectifyAndMask(&mut self.bits),
                _ => Gate::Masked(&self.bits),
            },
        }
    }

    /// A finish that pools.
    pub(crate) fn pooled(&mut self) -> PooledEpilogue<'_> {
        let bits = if self.gate < 2 { Some(&mut self.places[..]) } else { None };
        PooledEpilogue { output: &mut self.output, bias: self.bias.as_deref(), bits }
    }

    /// Gradients that come in, of the layout that a [`PooledEpilogue`] or a [`Epilogue`] wrote.
    pub(crate) fn source(&self, pooled: bool) -> Source<'_> {
        if pooled { Source::Pooled(&self.output, &self.places) } else { Source::Dense(&self.output) }
    }
}

/// What stands in slices, and around them.
pub(crate) trait Guard: Copy {
    /// What nothing writes; read among values, it makes results NaN.
    const CANARY: Self;

    fn is_canary(self) -> bool;

    /// A small number.
    fn some(at: usize, salt: usize) -> Self;
}

impl Guard for f32 {
    const CANARY: Self = f32::from_bits(0x7fc0_dead);

    fn is_canary(self) -> bool {
        self.to_bits() == Self::CANARY.to_bits()
    }

    fn some(at: usize, salt: usize) -> Self {
        ((at * 7919 + salt % 1009) % 17) as f32 / 8.0 - 1.0
    }
}

impl Guard for f64 {
    const CANARY: Self = f64::from_bits(0x7ff8_dead_dead_dead);

    fn is_canary(self) -> bool {
        self.to_bits() == Self::CANARY.to_bits()
    }

    fn some(at: usize, salt: usize) -> Self {
        f64::from(f32::some(at, salt))
    }
}

impl Guard for Bits {
    const CANARY: Self = 0xa5c3;

    fn is_canary(self) -> bool {
        self == Self::CANARY
    }

    fn some(at: usize, salt: usize) -> Self {
        (at * 40_503 + salt) as u16
    }
}

impl Guard for [Bits; 4] {
    const CANARY: Self = [0xa5c3; 4];

    fn is_canary(self) -> bool {
        self == Self::CANARY
    }

    /// One bit of a window's four, as a pooling has it.
    fn some(at: usize, salt: usize) -> Self {
        let first = Bits::some(at, salt);
        [first, !first & 0x0f0f, 0, !first & 0xf0f0]
    }
}

impl Guard for usize {
    const CANARY: Self = 0xdead_beef;

    fn is_canary(self) -> bool {
        self == Self::CANARY
    }

    fn some(at: usize, salt: usize) -> Self {
        (at * 31 + salt) % 4
    }
}

thread_local! {
    static DAMAGED: Cell<bool> = const { Cell::new(false) };
}

/// Whether a canary of this thread was written over since somebody asked.
pub(crate) fn damaged() -> bool {
    DAMAGED.replace(false)
}

/// A slice between canaries. Without them (`ROBIN_BORDERS_MARGIN=0`) the slice is an allocation of its own, whose borders a
/// memory checker knows.
pub(crate) struct Guarded<T: Guard> {
    all: Vec<T>,
    margin: usize,
}

impl<T: Guard> Guarded<T> {
    fn new(values: impl ExactSizeIterator<Item = T>) -> Self {
        let margin = std::env::var("ROBIN_BORDERS_MARGIN").map_or(80, |text| text.parse().unwrap());
        let mut all = Vec::with_capacity(values.len() + 2 * margin);
        all.resize(margin, T::CANARY);
        all.extend(values);
        all.resize(all.len() + margin, T::CANARY);
        Self { all, margin }
    }
}

impl<T: Guard> Deref for Guarded<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.all[self.margin..self.all.len() - self.margin]
    }
}

impl<T: Guard> DerefMut for Guarded<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        let end = self.all.len() - self.margin;
        &mut self.all[self.margin..end]
    }
}

impl<T: Guard> Drop for Guarded<T> {
    fn drop(&mut self) {
        let (before, rest) = self.all.split_at(self.margin);
        let behind = &rest[rest.len() - self.margin..];
        if !before.iter().chain(behind).all(|value| value.is_canary()) {
            DAMAGED.set(true);
        }
    }
}
