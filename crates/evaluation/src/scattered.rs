//! Some examples for all of them, where a look at all would cost too much.

use robin_core::{Purpose, Seed};

/// `count` of the places from 0 to `n`, all of them if there are no more: one at random in each of `count` equal
/// stretches, so that a set that lies in any order is met all over. In an order that says nothing either: the first few
/// are scattered over the set too.
pub fn scattered(n: usize, count: usize, seed: Seed) -> Vec<u32> {
    let count = count.min(n);
    let mut stream = seed.derive(Purpose::Order, 0).root_stream();
    let begin = |stretch: usize| (stretch as u128 * n as u128 / count as u128) as usize;
    let places: Vec<u32> = (0..count)
        .map(|stretch| {
            let (from, to) = (begin(stretch), begin(stretch + 1));
            (from + stream.below((to - from) as u32) as usize) as u32
        })
        .collect();
    stream.permutation(count).into_iter().map(|at| places[at as usize]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_all_over_the_set_once_each_and_the_first_ones_too() {
        let seed = Seed::new(3);
        for (n, count) in [(10_000, 64), (65, 64), (64, 64), (7, 64), (1, 1), (0, 5)] {
            let places = scattered(n, count, seed);
            assert_eq!(places.len(), count.min(n));
            let mut sorted = places.clone();
            sorted.sort_unstable();
            let stretch = |at: usize| (at * n / sorted.len())..((at + 1) * n / sorted.len());
            assert!(sorted.iter().enumerate().all(|(at, place)| stretch(at).contains(&(*place as usize))));
            assert_eq!(places, scattered(n, count, seed), "the seed decides");
        }
        let first = &scattered(10_000, 64, seed)[..16];
        let quarters = (0..4).filter(|q| first.iter().any(|place| place / 2500 == *q)).count();
        assert_eq!(quarters, 4, "{first:?}");
        assert_ne!(scattered(10_000, 64, seed), scattered(10_000, 64, Seed::new(4)));
    }
}
