//! Perturbed images as files.

use std::path::Path;

use robin_data::Dataset;
use robin_evaluation::Witnesses;

use crate::store::write_atomically;
use crate::{Error, Result};

/// Writes `adversarial.safetensors` and, of the first `pictures` witnesses, the clean and the perturbed image
/// side by side as PNG, into `folder`.
pub(super) fn save(folder: &Path, witnesses: &Witnesses, data: &Dataset, pictures: usize) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(Error::io(folder, "create the folder"))?;
    let bytes = witnesses.to_safetensors().map_err(Error::work("writing the witnesses"))?;
    write_atomically(&folder.join("adversarial.safetensors"), &bytes)?;
    let [channels, height, width] = witnesses.shape;
    let length = channels * height * width;
    for at in 0..witnesses.len().min(pictures) {
        let id = witnesses.ids[at] as usize;
        let clean = &data.pixels()[id * length..(id + 1) * length];
        let perturbed = &witnesses.images[at * length..(at + 1) * length];
        let rounded: Vec<u8> = perturbed.iter().map(|pixel| (pixel * 255.0).round() as u8).collect();
        let mut pixels = Vec::with_capacity(2 * length);
        for row in 0..height {
            for image in [clean, &rounded[..]] {
                for column in 0..width {
                    pixels.extend((0..channels).map(|c| image[(c * height + row) * width + column]));
                }
            }
        }
        let name = format!("{id}-{}-as-{}.png", witnesses.labels[at], witnesses.predictions[at]);
        write_atomically(&folder.join(name), &picture(2 * width, height, channels, &pixels)?)?;
    }
    Ok(())
}

/// The bytes of a PNG file; `pixels` `[h, w, c]` with one channel or three.
fn picture(width: usize, height: usize, channels: usize, pixels: &[u8]) -> Result<Vec<u8>> {
    let color = match channels {
        1 => png::ColorType::Grayscale,
        3 => png::ColorType::Rgb,
        _ => {
            return Err(Error::Unfit {
                option: "--png",
                given: format!("(images of {channels} channels)"),
                reason: "pictures have 1 or 3".to_owned(),
            });
        }
    };
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width as u32, height as u32);
    encoder.set_color(color);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header().map_err(Error::work("writing a picture"))?;
    writer.write_image_data(pixels).map_err(Error::work("writing a picture"))?;
    drop(writer);
    Ok(bytes)
}
