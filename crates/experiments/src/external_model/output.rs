//! Perturbed images as files, in a folder that belongs to one attack.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use robin_core::Budget;
use robin_data::Dataset;
use robin_evaluation::Witnesses;
use serde_json::Value;

use super::{Event, RunOptions};
use crate::out::{Out, anything, check_targets, write};
use crate::{Error, Result};

const WITNESSES: &str = "adversarial.safetensors";

/// Where the images that an attack finds are saved, and how many of them are drawn.
pub(super) struct Saver {
    out: Out,
    settings: Value,
    pictures: usize,
    unsaved: Unsaved,
}

/// What could not be written. The work goes on, since its numbers can be printed all the same, and what comes next is
/// written with it.
#[derive(Default)]
pub(super) struct Unsaved(BTreeMap<PathBuf, Error>);

impl Saver {
    /// Opens `folder` for an attack with `settings` within each of `budgets` on `data`: makes it that attack's, and
    /// proves that everything can be saved.
    ///
    /// # Errors
    /// [`Error::OtherSettings`] if another attack's images are there; [`Error::Occupied`] if some are of which nobody
    /// knows whose; [`Error::Unfit`] for images that cannot be drawn; otherwise as [`Out::open`].
    pub(super) fn open(
        folder: &Path,
        budgets: &[Budget],
        settings: &Value,
        data: &Dataset,
        pictures: usize,
    ) -> Result<Self> {
        let length: usize = data.shape().iter().product();
        if pictures > 0 {
            color(data.shape()[0])?;
        }
        // Every image in f32 where all are misclassified; pictures have two each, and headers.
        let needed =
            budgets.len() * (4 * length * data.len() + pictures.min(data.len()) * (2 * length + 256));
        let out = Out::open(folder, needed as u64 + (1 << 20))?;
        let below = |budget: &Budget| folder.join(name(budget));
        let there =
            |_: &Path| budgets.iter().find_map(|budget| anything(&below(budget)).transpose()).transpose();
        out.claim("run.json", settings, there, other_settings(folder.join("run.json")))?;
        for budget in budgets {
            let folder = out.folder(name(budget))?;
            check_targets([folder.join(WITNESSES)])?;
        }
        Ok(Self { out, settings: settings.clone(), pictures, unsaved: Unsaved::default() })
    }

    /// Writes `adversarial.safetensors` and, of the first witnesses, the clean and the perturbed image side by side as
    /// PNG, into the folder of their budget.
    pub(super) fn save(&mut self, mut witnesses: Witnesses, data: &Dataset, run_options: &RunOptions<'_>) {
        let folder = self.out.path().join(name(&witnesses.budget));
        witnesses.made_by = Some(self.settings.clone());
        self.unsaved.note(&folder, save(&folder, &witnesses), run_options);
        self.unsaved.note(&folder.join("*.png"), draw(&folder, &witnesses, data, self.pictures), run_options);
    }

    /// Whether everything was saved.
    ///
    /// # Errors
    /// The first that was not.
    pub(super) fn finish(self) -> Result<()> {
        self.unsaved.finish()
    }
}

impl Unsaved {
    /// Remembers whether `what` was written; says at once if it was not.
    pub(super) fn note(&mut self, what: &Path, written: Result<()>, run_options: &RunOptions<'_>) -> bool {
        match written {
            Ok(()) => {
                self.0.remove(what);
                true
            }
            Err(error) => {
                (run_options.on_event)(&Event::Warning(&error.chain()));
                self.0.insert(what.to_owned(), error);
                false
            }
        }
    }

    /// # Errors
    /// The first that is not written now.
    pub(super) fn finish(self) -> Result<()> {
        self.0.into_values().next().map_or(Ok(()), Err)
    }
}

/// The refusal of a folder whose settings, in `path`, are others.
pub(super) fn other_settings(path: PathBuf) -> impl FnOnce(crate::out::Difference) -> Error {
    move |(field, found, expected)| Error::OtherSettings { path, field, found, expected }
}

/// The folder of a budget.
fn name(budget: &Budget) -> String {
    budget.to_string().replace(['/', ' '], "-")
}

/// Writes `adversarial.safetensors` into `folder`.
pub(super) fn save(folder: &Path, witnesses: &Witnesses) -> Result<()> {
    let bytes = witnesses.to_safetensors().map_err(Error::work("writing the witnesses"))?;
    write(&folder.join(WITNESSES), &bytes)
}

/// Draws the first `pictures` witnesses.
fn draw(folder: &Path, witnesses: &Witnesses, data: &Dataset, pictures: usize) -> Result<()> {
    let [channels, height, width] = witnesses.shape;
    let length = channels * height * width;
    for at in 0..witnesses.len().min(pictures) {
        let id = witnesses.ids[at] as usize;
        let clean = data.image(id).map_err(Error::work("reading a clean image"))?;
        let perturbed = &witnesses.images[at * length..(at + 1) * length];
        let rounded: Vec<u8> = perturbed.iter().map(|pixel| (pixel * 255.0).round() as u8).collect();
        let mut pixels = Vec::with_capacity(2 * length);
        for row in 0..height {
            for image in [&clean[..], &rounded[..]] {
                for column in 0..width {
                    pixels.extend((0..channels).map(|c| image[(c * height + row) * width + column]));
                }
            }
        }
        let name = format!("{id}-{}-as-{}.png", witnesses.labels[at], witnesses.predictions[at]);
        write(&folder.join(name), &picture(2 * width, height, channels, &pixels)?)?;
    }
    Ok(())
}

/// The bytes of a PNG file; `pixels` `[h, w, c]` with one channel or three.
fn picture(width: usize, height: usize, channels: usize, pixels: &[u8]) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width as u32, height as u32);
    encoder.set_color(color(channels)?);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header().map_err(Error::work("writing a picture"))?;
    writer.write_image_data(pixels).map_err(Error::work("writing a picture"))?;
    drop(writer);
    Ok(bytes)
}

/// What pictures of so many channels are.
fn color(channels: usize) -> Result<png::ColorType> {
    match channels {
        1 => Ok(png::ColorType::Grayscale),
        3 => Ok(png::ColorType::Rgb),
        _ => Err(Error::Unfit {
            option: "--png",
            given: format!("(images of {channels} channels)"),
            reason: "pictures have 1 or 3".to_owned(),
        }),
    }
}
