//! Images inside the page.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use robin_experiments::gallery::Picture;

/// `picture` as the address of a PNG that is part of the address.
///
/// # Errors
/// What is wrong with it, in words.
pub(crate) fn data_uri(picture: &Picture) -> Result<String, String> {
    let Picture { channels, height, width, pixels } = picture;
    let colour = match channels {
        1 => png::ColorType::Grayscale,
        3 => png::ColorType::Rgb,
        _ => return Err(format!("{channels} channels; 1 (grey) or 3 (red, green, blue) can be shown")),
    };
    let plane = height * width;
    if pixels.len() != channels * plane || plane == 0 {
        return Err(format!("{} pixels for [{channels}, {height}, {width}]", pixels.len()));
    }
    let interleaved: Vec<u8> =
        (0..plane).flat_map(|at| (0..*channels).map(move |channel| pixels[channel * plane + at])).collect();
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, *width as u32, *height as u32);
    encoder.set_color(colour);
    encoder.set_depth(png::BitDepth::Eight);
    let written = encoder.write_header().and_then(|mut writer| {
        writer.write_image_data(&interleaved)?;
        writer.finish()
    });
    written.map_err(|error| error.to_string())?;
    Ok(format!("data:image/png;base64,{}", STANDARD.encode(bytes)))
}

/// How much a difference may be magnified until one of `perturbed` leaves the range of a pixel; 1 where nothing
/// differs.
pub(crate) fn magnification(clean: &Picture, perturbed: &[&Picture]) -> u32 {
    let largest = perturbed
        .iter()
        .flat_map(|picture| picture.pixels.iter().zip(&clean.pixels))
        .map(|(new, old)| new.abs_diff(*old))
        .max()
        .unwrap_or(0);
    127_u32.checked_div(u32::from(largest)).unwrap_or(1).max(1)
}

/// `perturbed - clean`, times `factor`, around middle grey.
pub(crate) fn difference(clean: &Picture, perturbed: &Picture, factor: u32) -> Picture {
    let pixels = clean
        .pixels
        .iter()
        .zip(&perturbed.pixels)
        .map(|(old, new)| {
            let shown = 128 + (i32::from(*new) - i32::from(*old)) * factor as i32;
            shown.clamp(0, 255) as u8
        })
        .collect();
    Picture { pixels, ..clean.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(pixels: &[u8]) -> Picture {
        Picture { channels: 3, height: 1, width: 2, pixels: pixels.to_vec() }
    }

    #[test]
    fn a_picture_is_shown_with_its_channels_in_place() {
        let uri = data_uri(&picture(&[1, 2, 3, 4, 5, 6])).unwrap();
        let bytes = STANDARD.decode(uri.strip_prefix("data:image/png;base64,").unwrap()).unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
        let mut pixels = vec![0; 6];
        reader.next_frame(&mut pixels).unwrap();
        assert_eq!(pixels, [1, 3, 5, 2, 4, 6], "red, green, blue of one pixel, then of the next");
        let error = data_uri(&picture(&[1, 2, 3])).unwrap_err();
        assert_eq!(error, "3 pixels for [3, 1, 2]");
    }

    #[test]
    fn a_difference_is_magnified_as_far_as_it_fits() {
        let (clean, perturbed) = (picture(&[100; 6]), picture(&[100, 108, 92, 100, 104, 100]));
        let factor = magnification(&clean, &[&perturbed]);
        assert_eq!(factor, 15);
        assert_eq!(difference(&clean, &perturbed, factor).pixels, [128, 248, 8, 128, 188, 128]);
        assert_eq!(magnification(&clean, &[&clean]), 1);
    }
}
