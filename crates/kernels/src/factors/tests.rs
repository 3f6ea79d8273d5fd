//! Rounding against its definition, and products of words on every instruction set.

use super::*;
use crate::bf16::round;

/// The value of a bf16.
fn widen(half: u16) -> f64 {
    f64::from(f32::from_bits(u32::from(half) << 16))
}

/// The definition, for numbers: of the two bf16 around `value` the nearer one, or that with an even last bit. Beyond the largest there is
/// infinity, at the place where the next number would be.
fn nearest(value: f32) -> u16 {
    let down = (value.to_bits() >> 16) as u16;
    let up = down + 1;
    let place = |half: u16| if half & 0x7fff == 0x7f80 { 2f64.powi(128) } else { widen(half).abs() };
    let size = f64::from(value).abs();
    if size < 2f64.powi(-56) {
        return down & 0x8000;
    }
    if value.is_infinite() {
        return down;
    }
    let (below, above) = (size - place(down), place(up) - size);
    match below.total_cmp(&above) {
        std::cmp::Ordering::Less => down,
        std::cmp::Ordering::Greater => up,
        std::cmp::Ordering::Equal if down & 1 == 0 => down,
        std::cmp::Ordering::Equal => up,
    }
}

/// Bits of f32 of every kind: borders, ties and what lies beside them for every exponent, and irregular ones.
fn awkward() -> Vec<f32> {
    let lows = [0x0000_u32, 1, 0x7fff, 0x8000, 0x8001, 0xffff];
    let highs = (0..=0xff_u32).flat_map(|exponent| [0, 1, 2, 0x3f, 0x7e, 0x7f].map(|m| exponent << 7 | m));
    let mut bits: Vec<u32> = highs.flat_map(|high| lows.map(|low| high << 16 | low)).collect();
    let mut state = 1_u32;
    bits.extend((0..100_000).map(|_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state ^ state >> 15
    }));
    bits.iter().flat_map(|bits| [*bits, *bits | 1 << 31]).map(f32::from_bits).collect()
}

#[test]
fn rounding_goes_to_the_nearest_and_ties_to_even() {
    for value in awkward() {
        let found = round(value);
        if value.is_nan() {
            assert!(widen(found).is_nan(), "{:08x} became {found:04x}", value.to_bits());
            assert_eq!(u32::from(found) >> 15, value.to_bits() >> 31);
        } else {
            assert_eq!(found, nearest(value), "{value:e} ({:08x})", value.to_bits());
        }
    }
    let of = |value: f32| f32::from_bits(u32::from(round(value)) << 16);
    assert_eq!(
        [of(1.0), of(-2.5), of(f32::MAX), of(f32::NEG_INFINITY)],
        [1.0, -2.5, f32::INFINITY, f32::NEG_INFINITY]
    );
    let smallest = 2f32.powi(-56);
    assert_eq!([of(smallest), of(-smallest)], [smallest, -smallest]);
    // One below it is gone, although bf16 has numbers down to 2^-133.
    let below = f32::from_bits(smallest.to_bits() - 1);
    assert_eq!([of(below).to_bits(), of(-below).to_bits()], [0, 1 << 31]);
}

#[test]
fn every_instruction_set_rounds_alike() {
    let mut values = awkward();
    values.truncate(values.len() / LANES * LANES);
    let pairs: Vec<u32> =
        values.chunks(2).map(|pair| u32::from(round(pair[0])) | u32::from(round(pair[1])) << 16).collect();
    for isa in Isa::available() {
        let mut words = vec![u32::MAX; pairs.len() + 1];
        round_all(isa, &values, &mut words);
        assert!(words[..pairs.len()] == pairs && words[pairs.len()] == u32::MAX, "{isa:?}");
    }
}

/// `sums` and the products of `a` and `b`, whose words are joined from rows, each of both kinds.
struct Products<'a> {
    rows: [&'a [f32]; 3],
    word: u32,
}

impl Kernel for Products<'_> {
    type Output = (Vec<u32>, Vec<f32>);

    #[inline(always)]
    unsafe fn run<V: Vector>(self) -> Self::Output {
        let (mut words, mut sums) = (vec![0; LANES], vec![0.0; LANES]);
        // SAFETY: the instruction set by this function's contract; every row has a vector.
        unsafe {
            let [lower, upper, before] = self.rows.map(|row| V::load(row, 0));
            V::store_pairs(lower, upper, &mut words, 0);
            let (x, columns) = (V::splat_pair(self.word), V::load_pairs(&words, 0));
            V::mul_add_pairs(x, columns, before).store(&mut sums, 0);
        }
        (words, sums)
    }
}

#[test]
fn a_word_is_two_fused_multiply_adds_of_the_upper_half_first() {
    let mut state = 7_u32;
    let mut number = |spread: i32| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let exponent = (state >> 8) as i32 % (2 * spread + 1) - spread;
        (f64::from(state >> 4 & 0xfff) / 2048.0 - 1.0) as f32 * 2f32.powi(exponent)
    };
    // Near each other, so that sums cancel; far from each other; and down to what is rounded to 0.
    for spread in [1, 8, 40, 62] {
        for _ in 0..500 {
            let rows = [(); 3].map(|()| (0..LANES).map(|_| number(spread)).collect::<Vec<f32>>());
            let halves = [round(number(spread)), round(number(spread))];
            let word = u32::from(halves[0]) | u32::from(halves[1]) << 16;
            let x = halves.map(|half| f32::from_bits(u32::from(half) << 16));
            for isa in Isa::available() {
                let rows = rows.each_ref().map(Vec::as_slice);
                let (words, sums) = run_pairs(isa, Products { rows, word });
                for lane in 0..LANES {
                    let factors = [rows[0][lane], rows[1][lane]].map(round);
                    assert_eq!(words[lane], u32::from(factors[0]) | u32::from(factors[1]) << 16, "{isa:?}");
                    let [lower, upper] = factors.map(|half| f32::from_bits(u32::from(half) << 16));
                    let before = rows[2][lane];
                    let expected = if isa.is_fused() {
                        x[0].mul_add(lower, x[1].mul_add(upper, before))
                    } else {
                        x[0] * lower + (x[1] * upper + before)
                    };
                    assert_eq!(sums[lane].to_bits(), expected.to_bits(), "{isa:?} lane {lane}");
                }
            }
        }
    }
}

#[test]
fn what_is_no_number_stays_none() {
    for isa in Isa::available() {
        let row = |value: f32| [value; LANES];
        let sums = |word: u16, lower: f32, upper: f32| {
            let (lower, upper, before) = (row(lower), row(upper), row(1.0));
            let word = u32::from(word) | u32::from(round(1.0)) << 16;
            run_pairs(isa, Products { rows: [&lower, &upper, &before], word }).1
        };
        assert!(sums(round(0.0), f32::NAN, 2.0).iter().all(|sum| sum.is_nan()), "{isa:?}");
        assert!(sums(round(0.0), 1.0, f32::INFINITY).iter().all(|sum| *sum == f32::INFINITY), "{isa:?}");
        assert!(sums(round(1.0), f32::NEG_INFINITY, f32::INFINITY).iter().all(|sum| sum.is_nan()), "{isa:?}");
        assert_eq!(sums(round(2.0), 3.0, 4.0), row(11.0), "{isa:?}");
    }
}
