//! Arrays as other programs save them, as u8 `[n, c, h, w]`.

use super::Preparation;

/// Shape `[n, c, h, w]` and pixels of `pixels` in `shape`.
///
/// # Errors
/// What was expected and what was found, in words.
pub(super) fn arrange(
    shape: &[usize],
    pixels: Vec<u8>,
    preparation: &Preparation,
) -> Result<([usize; 4], Vec<u8>), (String, String)> {
    let refuse = |expected: &str| Err((expected.to_owned(), format!("{shape:?}")));
    let channels = |side: usize| matches!(side, 1 | 3 | 4);
    match *shape {
        _ if shape.contains(&0) => refuse("`images` with no dimension of 0"),
        [n, height, width] => Ok(([n, 1, height, width], pixels)),
        [n, height, width, c] if preparation.channels_last => {
            let mut planes = vec![0; pixels.len()];
            let area = height * width;
            for (image, planes) in pixels.chunks_exact(area * c).zip(planes.chunks_exact_mut(area * c)) {
                for (at, pixel) in image.iter().enumerate() {
                    planes[at % c * area + at / c] = *pixel;
                }
            }
            Ok(([n, c, height, width], planes))
        }
        [_, c, _, last] if channels(last) && !channels(c) => {
            let found = format!("{shape:?}, which looks like [n, h, w, c]: --channels-last converts it");
            Err(("`images` of [n, c, h, w]".to_owned(), found))
        }
        [n, c, height, width] => Ok(([n, c, height, width], pixels)),
        _ => refuse("`images` of [n, c, h, w]"),
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
        let (shape, found) = arrange(&[1, 2, 2, 3], pixels.clone(), &last).unwrap();
        assert_eq!((shape, found), ([1, 3, 2, 2], vec![0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11]));
        let (_, found) = arrange(&[1, 2, 2, 3], pixels.clone(), &Preparation::default()).unwrap_err();
        assert!(found.contains("--channels-last"), "{found}");
        let (shape, same) = arrange(&[3, 2, 2], pixels.clone(), &Preparation::default()).unwrap();
        assert_eq!((shape, same), ([3, 1, 2, 2], pixels));
    }

    #[test]
    fn floats_are_those_of_bytes() {
        let values = (0..=255).map(|byte| f32::from(byte as u8) / 255.0);
        assert_eq!(from_floats(values).unwrap(), (0..=255).collect::<Vec<u8>>());
        assert_eq!(from_floats([0.0, 0.5].into_iter()), Err((1, 0.5)));
        assert!(from_floats([f32::NAN].into_iter()).is_err() && from_floats([1.01].into_iter()).is_err());
    }
}
