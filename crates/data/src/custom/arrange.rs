//! Arrays as other programs save them, as u8 `[n, c, h, w]`.

use super::Preparation;

/// How an array's images lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Arrangement {
    /// `[n, c, h, w]`.
    pub(super) shape: [usize; 4],
    /// The array is `[n, h, w, c]`.
    pub(super) channels_last: bool,
}

impl Arrangement {
    /// That of an array of `shape`.
    ///
    /// # Errors
    /// What was expected and what was found, in words.
    pub(super) fn of(shape: &[usize], preparation: &Preparation) -> Result<Self, (String, String)> {
        let refuse = |expected: &str| Err((expected.to_owned(), format!("{shape:?}")));
        let first = |shape| Ok(Self { shape, channels_last: false });
        let channels = |side: usize| matches!(side, 1 | 3 | 4);
        match *shape {
            _ if shape.contains(&0) => refuse("`images` with no dimension of 0"),
            [n, height, width] => first([n, 1, height, width]),
            [n, height, width, c] if preparation.channels_last => {
                Ok(Self { shape: [n, c, height, width], channels_last: true })
            }
            [_, c, _, last] if channels(last) && !channels(c) => {
                let found = format!("{shape:?}, which looks like [n, h, w, c]: --channels-last converts it");
                Err(("`images` of [n, c, h, w]".to_owned(), found))
            }
            [n, c, height, width] => first([n, c, height, width]),
            _ => refuse("`images` of [n, c, h, w]"),
        }
    }

    /// All images of `pixels`, as `[n, c, h, w]`.
    pub(super) fn apply(&self, pixels: Vec<u8>) -> Vec<u8> {
        if !self.channels_last {
            return pixels;
        }
        let [_, c, height, width] = self.shape;
        let length = c * height * width;
        let mut all = vec![0; pixels.len()];
        for (image, all) in pixels.chunks_exact(length).zip(all.chunks_exact_mut(length)) {
            planes(image, c, all);
        }
        all
    }
}

/// One image `[h, w, c]` as `[c, h, w]`.
pub(super) fn planes(image: &[u8], channels: usize, planes: &mut [u8]) {
    let area = image.len() / channels;
    for (at, pixel) in image.iter().enumerate() {
        planes[at % channels * area + at / channels] = *pixel;
    }
}

/// Floats in `[0, 1]` that are multiples of 1/255, as images of 8 bits are; no more can be kept.
///
/// # Errors
/// The place of the first value that is none, and the value.
pub(super) fn from_floats(values: impl Iterator<Item = f32>) -> Result<Vec<u8>, (usize, f32)> {
    let byte = |(at, value): (usize, f32)| {
        let (scaled, nearest) = (value * 255.0, (value * 255.0).round());
        match (0.0..=255.0).contains(&nearest) && (scaled - nearest).abs() < 1e-3 {
            true => Ok(nearest as u8),
            false => Err((at, value)),
        }
    };
    values.enumerate().map(byte).collect()
}

/// What floats must be, in messages.
pub(super) const FLOATS: &str = "a value of 0 to 1 that is a multiple of 1/255 (images of 8 bits)";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_come_first_when_they_are_said_to_be_last() {
        let last = Preparation { channels_last: true, ..Preparation::default() };
        let pixels: Vec<u8> = (0..12).collect();
        let found = Arrangement::of(&[1, 2, 2, 3], &last).unwrap();
        assert_eq!(found.shape, [1, 3, 2, 2]);
        assert_eq!(found.apply(pixels.clone()), [0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11]);
        let (_, found) = Arrangement::of(&[1, 2, 2, 3], &Preparation::default()).unwrap_err();
        assert!(found.contains("--channels-last"), "{found}");
        let same = Arrangement::of(&[3, 2, 2], &Preparation::default()).unwrap();
        assert_eq!((same.shape, same.apply(pixels.clone())), ([3, 1, 2, 2], pixels));
    }

    #[test]
    fn floats_are_those_of_bytes() {
        let values = (0..=255).map(|byte| f32::from(byte as u8) / 255.0);
        assert_eq!(from_floats(values).unwrap(), (0..=255).collect::<Vec<u8>>());
        assert_eq!(from_floats([0.0, 0.5].into_iter()), Err((1, 0.5)));
        assert!(from_floats([f32::NAN].into_iter()).is_err() && from_floats([1.01].into_iter()).is_err());
    }
}
