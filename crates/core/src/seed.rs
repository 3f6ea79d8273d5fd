//! Addressed randomness: a draw is named, not consumed.
//!
//! A [`Seed`] is narrowed by purpose and index ([`Seed::derive`]), and at its end opened for one example
//! ([`Seed::stream`]). So the same example gets the same start whatever the batch, order or thread, and a
//! new draw somewhere moves nothing elsewhere.
//!
//! The generator is Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"):
//! stateless, so that a GPU can draw the same integers and uniforms at the same addresses.

use serde::{Deserialize, Serialize};

use crate::ExampleId;

/// What a draw is for. The numbers are part of the results: never reuse or change one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
#[non_exhaustive]
pub enum Purpose {
    /// A network among several (index: 0 for a single one, c + 1 for the arm of class c).
    Network = 1,
    /// Initial weights (index: parameter).
    Initialisation = 2,
    /// An epoch of training.
    Epoch = 3,
    /// Order of the examples, or of the negatives in balanced batches.
    Order = 4,
    /// Order of the positives in balanced batches (index: pass over them).
    Positives = 5,
    /// Position of the random crop.
    Crop = 6,
    /// Which examples of a batch are attacked in training (index: step).
    AttackedSubset = 7,
    /// Random start of an attack (index: restart).
    AttackStart = 8,
    /// Candidates of the random-noise attack (index: candidate).
    Noise = 9,
    /// An evaluation.
    Evaluation = 10,
    /// The training attack of a step (index: step).
    TrainingAttack = 11,
    /// Probes and toy data in tests.
    Test = 12,
    /// Whether an image is mirrored.
    Flip = 20,
    /// Order of the classes of a task (index: number of the order).
    ClassOrder = 21,
    /// Proposals and directions that an attack draws on its way (index: run).
    AttackStep = 30,
    /// One run of an attack in an evaluation's ledger (index: restart).
    AttackRun = 40,
    /// Directions in which a gradient is probed (index: direction).
    GradientProbe = 41,
    /// Classifiers and images that the evaluation tests itself with.
    Control = 42,
    /// Which images of a data set are looked at.
    Sample = 43,
    /// Points of a toy data set (index: cluster).
    ToyPoints = 50,
}

/// The root of a tree of random streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seed(u64);

impl Seed {
    /// The root seed `value`.
    pub const fn new(value: u64) -> Self {
        Self(value)
    }

    /// The seed of `purpose` number `index` below this one.
    pub fn derive(self, purpose: Purpose, index: u64) -> Self {
        // The last counter word is 1 here and 0 in streams, so that a derived seed never equals a draw.
        let [a, b, ..] = philox4x32(self.key(), [index as u32, (index >> 32) as u32, purpose as u32, 1]);
        Self(u64::from(b) << 32 | u64::from(a))
    }

    /// The stream of one example under this seed.
    pub fn stream(self, id: ExampleId) -> Stream {
        Stream { key: self.key(), id, block: 0, buffer: [0; 4], left: 0 }
    }

    /// The stream of this seed itself, for draws that belong to no example.
    pub fn root_stream(self) -> Stream {
        self.stream(ExampleId::first(0))
    }

    /// The generator's key of all streams under this seed, for a device that draws the same numbers.
    pub fn key(self) -> [u32; 2] {
        [self.0 as u32, (self.0 >> 32) as u32]
    }
}

/// Random numbers at one address, in order.
#[derive(Debug, Clone)]
pub struct Stream {
    key: [u32; 2],
    id: ExampleId,
    block: u32,
    buffer: [u32; 4],
    left: usize,
}

impl Stream {
    /// 32 random bits.
    pub fn bits(&mut self) -> u32 {
        if self.left == 0 {
            self.buffer = philox4x32(self.key, [self.block, self.id.index, self.id.occurrence, 0]);
            self.block = self.block.checked_add(1).expect("a stream holds 2^34 numbers");
            self.left = 4;
        }
        self.left -= 1;
        self.buffer[3 - self.left]
    }

    /// Uniform in `[0, 1)`, 24 bits.
    pub fn uniform(&mut self) -> f32 {
        (self.bits() >> 8) as f32 * (1.0 / (1 << 24) as f32)
    }

    /// Uniform in `[-1, 1)`, 24 bits.
    pub fn symmetric(&mut self) -> f32 {
        2.0 * self.uniform() - 1.0
    }

    /// Uniform among `0..bound` (Lemire 2019, without bias).
    ///
    /// # Panics
    /// If `bound` is 0.
    pub fn below(&mut self, bound: u32) -> u32 {
        assert!(bound > 0, "there is no number below 0");
        let threshold = bound.wrapping_neg() % bound;
        loop {
            let product = u64::from(self.bits()) * u64::from(bound);
            if product as u32 >= threshold {
                return (product >> 32) as u32;
            }
        }
    }

    /// Standard normal (Box and Muller 1958), through `libm` so that every platform has the same bits.
    pub fn gaussian(&mut self) -> f64 {
        let radius = 1.0 - f64::from(self.uniform()); // in (0, 1]: the logarithm is finite
        let angle = 2.0 * std::f64::consts::PI * f64::from(self.uniform());
        libm::sqrt(-2.0 * libm::log(radius)) * libm::cos(angle)
    }

    /// A uniformly random order of `0..count` (Fisher and Yates).
    ///
    /// # Panics
    /// If `count` exceeds `u32::MAX`.
    pub fn permutation(&mut self, count: usize) -> Vec<u32> {
        let count = u32::try_from(count).expect("data sets have fewer than 2^32 examples");
        let mut order: Vec<u32> = (0..count).collect();
        for last in (1..count).rev() {
            order.swap(last as usize, self.below(last + 1) as usize);
        }
        order
    }
}

/// Philox4x32 with 10 rounds: a bijection of the 128-bit counter for each key.
fn philox4x32(mut key: [u32; 2], mut counter: [u32; 4]) -> [u32; 4] {
    let product = |multiplier: u32, word: u32| {
        let wide = u64::from(multiplier) * u64::from(word);
        ((wide >> 32) as u32, wide as u32)
    };
    for round in 0..10 {
        if round > 0 {
            key = [key[0].wrapping_add(0x9E37_79B9), key[1].wrapping_add(0xBB67_AE85)];
        }
        let (high0, low0) = product(0xD251_1F53, counter[0]);
        let (high1, low1) = product(0xCD9E_8D57, counter[2]);
        counter = [high1 ^ counter[1] ^ key[0], low1, high0 ^ counter[3] ^ key[1], low0];
    }
    counter
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_abs_diff_eq;

    /// Known answers published with Random123 (kat_vectors, philox4x32 10).
    #[test]
    fn philox_gives_the_published_answers() {
        let zero = philox4x32([0; 2], [0; 4]);
        assert_eq!(zero, [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        let ones = philox4x32([u32::MAX; 2], [u32::MAX; 4]);
        assert_eq!(ones, [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
        let pi = philox4x32([0xa409_3822, 0x299f_31d0], [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344]);
        assert_eq!(pi, [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]);
    }

    #[test]
    fn addresses_are_independent_and_repeatable() {
        let seed = Seed::new(7).derive(Purpose::AttackStart, 0);
        let draw = |seed: Seed, index, occurrence| seed.stream(ExampleId { index, occurrence }).bits();
        assert_eq!(draw(seed, 3, 0), draw(seed, 3, 0));
        let others = [
            draw(seed, 4, 0),
            draw(seed, 3, 1),
            draw(Seed::new(7).derive(Purpose::AttackStart, 1), 3, 0),
            draw(Seed::new(7).derive(Purpose::Crop, 0), 3, 0),
            draw(Seed::new(8).derive(Purpose::AttackStart, 0), 3, 0),
        ];
        assert!(others.iter().all(|&other| other != draw(seed, 3, 0)), "{others:?}");
    }

    #[test]
    fn draws_have_their_moments() {
        let mut stream = Seed::new(1).root_stream();
        let count = 200_000;
        let (mut sum, mut square) = (0.0, 0.0);
        for _ in 0..count {
            let g = stream.gaussian();
            sum += g;
            square += g * g;
        }
        let n = f64::from(count);
        // Five standard errors of the mean and of the variance.
        assert!((sum / n).abs() < 5.0 / n.sqrt(), "mean {}", sum / n);
        assert_abs_diff_eq!(square / n, 1.0, epsilon = 5.0 * (2.0 / n).sqrt());
        let mean = (0..count).map(|_| f64::from(stream.uniform())).sum::<f64>() / n;
        assert_abs_diff_eq!(mean, 0.5, epsilon = 5.0 / (12.0 * n).sqrt());
    }

    #[test]
    fn below_is_uniform_and_permutations_are_permutations() {
        let mut stream = Seed::new(2).root_stream();
        let mut counts = [0_u32; 7];
        for _ in 0..70_000 {
            counts[stream.below(7) as usize] += 1;
        }
        // 10,000 expected, standard deviation 93.
        assert!(counts.iter().all(|&c| (9_500..10_500).contains(&c)), "{counts:?}");
        let mut order = stream.permutation(1000);
        assert_ne!(order, (0..1000).collect::<Vec<_>>());
        order.sort_unstable();
        assert_eq!(order, (0..1000).collect::<Vec<_>>());
    }
}
