//! Sizes that come from outside are multiplied checked, once for each call: a product that wrapped would pass every
//! comparison with a slice.

/// Values that a buffer can hold at most. The sum of a few such numbers is a number too, and so are their bytes.
pub(crate) const MOST: usize = isize::MAX as usize / size_of::<f32>();

/// The product of `factors`, if a buffer can hold so many values.
pub(crate) fn product(factors: &[usize]) -> Option<usize> {
    let product = factors.iter().try_fold(1, |product: usize, &factor| product.checked_mul(factor));
    product.filter(|&product| product <= MOST)
}

/// The same where a product beyond [`MOST`] is the caller's fault.
///
/// # Panics
/// If it is, with what the product is of and the factors.
pub(crate) fn values(what: &str, factors: &[usize]) -> usize {
    product(factors).unwrap_or_else(|| {
        panic!("{what}: {factors:?} multiplied is more than the {MOST} values of a buffer")
    })
}

/// An empty vector with room for `len` values.
///
/// # Panics
/// If there is no memory for so many: the allocator's own answer would end the process.
pub(crate) fn reserved<T>(len: usize) -> Vec<T> {
    let mut values = Vec::new();
    let reserved = values.try_reserve_exact(len);
    reserved.unwrap_or_else(|error| panic!("no memory for {len} times {} bytes: {error}", size_of::<T>()));
    values
}

/// `len` times `value`, made as [`reserved`] says.
pub(crate) fn filled<T: Clone>(value: T, len: usize) -> Vec<T> {
    let mut values = reserved(len);
    values.resize(len, value);
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_product_is_one_that_a_buffer_can_hold() {
        assert_eq!(product(&[]), Some(1));
        assert_eq!(product(&[3, 5, 7]), Some(105));
        assert_eq!(product(&[MOST]), Some(MOST));
        assert_eq!(product(&[MOST + 1]), None);
        // Wrapped it would be 0 or small, and a factor of 0 does not excuse the others.
        assert_eq!([product(&[1 << 32, 1 << 32]), product(&[1 << 60, 16, 1])], [None, None]);
        assert_eq!(product(&[usize::MAX, 2, 0]), None);
    }
}
