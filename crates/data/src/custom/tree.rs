//! Images in folders, one folder per class, as torchvision's `ImageFolder` reads them.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use image::{ColorType, DynamicImage, ImageDecoder, ImageReader, Limits, imageops::FilterType};

use super::{Images, Preparation};
use crate::{Error, Result, Split};

/// A folder of class folders.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Tree {
    root: PathBuf,
    /// Of another split, which says what classes there are.
    classes: Option<PathBuf>,
}

const TRAIN: &[&str] = &["train"];
const TEST: &[&str] = &["test", "val", "valid", "validation"];

/// The class folders of `split` that the folder `path` has: in a folder of the split's name, else in it.
pub(super) fn find(path: &Path, split: Split) -> Option<Tree> {
    let folder = |names: &[&str]| names.iter().map(|name| path.join(name)).find(|path| path.is_dir());
    let (train, test) = (folder(TRAIN), folder(TEST));
    let (root, classes) = match split {
        Split::Train if train.is_some() || test.is_some() => (train?, None),
        Split::Test if train.is_some() || test.is_some() => (test?, train),
        _ => (path.to_owned(), None),
    };
    let has_images =
        |class: &PathBuf| sorted(class).is_ok_and(|files| files.iter().any(|file| is_image(file)));
    let there = sorted(&root).is_ok_and(|classes| classes.iter().any(has_images));
    there.then_some(Tree { root, classes })
}

/// Reads the first `limit` images: the first of each class, then the second of each, so that any number of them is of all
/// classes. Only these are read.
///
/// # Errors
/// [`Error::Format`] for a file that is no image, for an image of another size than the first, and for a class that the
/// training images do not have.
pub(super) fn read(tree: &Tree, limit: Option<usize>, preparation: &Preparation) -> Result<Images> {
    let classes = classes(tree.classes.as_deref().unwrap_or(&tree.root))?;
    let number: BTreeMap<&str, u16> =
        classes.iter().enumerate().map(|(at, name)| (name.as_str(), at as u16)).collect();
    let mut files: Vec<(usize, u16, PathBuf)> = Vec::new();
    for folder in sorted(&tree.root)?.into_iter().filter(|path| path.is_dir() && !is_hidden(path)) {
        let Some(&label) = number.get(name(&folder).as_str()) else {
            let expected = "a folder of a class that the training images have".to_owned();
            let found = format!("{:?}", name(&folder));
            return Err(Error::Format { file: folder.display().to_string(), offset: 0, expected, found });
        };
        let images = sorted(&folder)?.into_iter().filter(|file| is_image(file)).enumerate();
        files.extend(images.map(|(turn, file)| (turn, label, file)));
    }
    files.sort();
    if let Some(limit) = limit {
        if limit > files.len() {
            return Err(Error::Limit { asked: limit, available: files.len() });
        }
        files.truncate(limit);
    }
    let grey = files.iter().map(|(_, _, file)| is_grey(file)).collect::<Result<Vec<_>>>()?;
    let channels = if grey.iter().all(|&grey| grey) { 1 } else { 3 };
    let (mut pixels, mut labels, mut sides) = (Vec::new(), Vec::new(), None);
    for (_, label, file) in &files {
        let image = preparation.apply(decode(file)?).map_err(|found| unreadable(file, found))?;
        let found = [image.height() as usize, image.width() as usize];
        let expected = *sides.get_or_insert(found);
        if found != expected {
            let expected = format!(
                "{} x {} pixels, as {}; --resize and --center-crop make images of one size",
                expected[0],
                expected[1],
                files[0].2.display()
            );
            let found = format!("{} x {}", found[0], found[1]);
            return Err(Error::Format { file: file.display().to_string(), offset: 0, expected, found });
        }
        let last = if channels == 1 { image.into_luma8().into_raw() } else { image.into_rgb8().into_raw() };
        (0..channels).for_each(|channel| pixels.extend(last.iter().skip(channel).step_by(channels)));
        labels.push(*label);
    }
    let [height, width] = sides.unwrap_or_default();
    Ok(Images { shape: [channels, height, width], pixels, labels, classes: classes.len() })
}

/// Names of the class folders, in the order of their labels.
fn classes(root: &Path) -> Result<Vec<String>> {
    let folders = sorted(root)?.into_iter().filter(|path| path.is_dir() && !is_hidden(path));
    let classes: Vec<String> = folders.map(|folder| name(&folder)).collect();
    match classes.len() {
        0..=65_536 => Ok(classes),
        found => Err(Error::Format {
            file: root.display().to_string(),
            offset: 0,
            expected: "at most 65536 class folders".to_owned(),
            found: found.to_string(),
        }),
    }
}

/// What a folder has, by name.
fn sorted(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).map_err(Error::io("read", folder))?;
    let paths = entries.map(|entry| entry.map(|entry| entry.path()));
    let mut paths = paths.collect::<std::io::Result<Vec<_>>>().map_err(Error::io("read", folder))?;
    paths.sort();
    Ok(paths)
}

fn name(path: &Path) -> String {
    path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

fn is_hidden(path: &Path) -> bool {
    name(path).starts_with('.')
}

fn is_image(path: &Path) -> bool {
    let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
    !is_hidden(path) && matches!(extension.as_deref(), Some("png" | "jpg" | "jpeg")) && path.is_file()
}

/// Bytes of the largest image, as a file and in memory: 256 MB.
const LARGEST: u64 = 1 << 28;

/// How many bytes of pixels a byte of a file may be: PNG's deflate packs 1032 into one; JPEG has at least one bit for each
/// block of 64 values, so at most 1366 where two of three channels have a sixteenth of the values.
const MOST_PACKED: u64 = 2048;

fn bytes(file: &Path) -> Result<Vec<u8>> {
    robin_files::read(file, LARGEST).map_err(Error::io("read", file))
}

fn reader(bytes: Vec<u8>) -> Result<ImageReader<Cursor<Vec<u8>>>, String> {
    let mut reader =
        ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|error| error.to_string())?;
    let mut limits = Limits::default();
    limits.max_alloc = Some(LARGEST);
    reader.limits(limits);
    Ok(reader)
}

/// What a decoder that is not ours says. Some of them panic on a file that nobody would write: the one for JPEG multiplies
/// without looking, which a build with overflow checks stops. Such a file cannot be read, and that is all.
fn guarded<T>(work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err("a damaged one, on which the decoder gave up".to_owned()))
}

fn colour_of(bytes: Vec<u8>) -> Result<ColorType, String> {
    guarded(|| Ok(reader(bytes)?.into_decoder().map_err(|error| error.to_string())?.color_type()))
}

fn image_of(bytes: Vec<u8>) -> Result<DynamicImage, String> {
    let allowed = LARGEST.min(bytes.len() as u64 * MOST_PACKED);
    guarded(|| {
        let decoder = reader(bytes)?.into_decoder().map_err(|error| error.to_string())?;
        // Before any pixel is decoded: a header may say anything.
        if decoder.total_bytes() > allowed {
            let (width, height) = decoder.dimensions();
            return Err(format!("{width} x {height} pixels in a file that is too short for them"));
        }
        DynamicImage::from_decoder(decoder).map_err(|error| error.to_string())
    })
}

/// One image, resized and cropped.
pub(crate) fn fuzz(bytes: &[u8]) {
    let preparation = Preparation { resize: Some(8), center_crop: Some(6), ..Preparation::default() };
    let colour = colour_of(bytes.to_vec());
    let image = image_of(bytes.to_vec()).and_then(|image| preparation.apply(image));
    let _ = (colour, image);
}

fn unreadable(file: &Path, found: String) -> Error {
    let expected = "a PNG or JPEG image".to_owned();
    Error::Format { file: file.display().to_string(), offset: 0, expected, found }
}

fn is_grey(file: &Path) -> Result<bool> {
    let colour = colour_of(bytes(file)?).map_err(|error| unreadable(file, error))?;
    Ok(matches!(colour, ColorType::L8 | ColorType::L16 | ColorType::La8 | ColorType::La16))
}

fn decode(file: &Path) -> Result<DynamicImage> {
    image_of(bytes(file)?).map_err(|error| unreadable(file, error))
}

impl Preparation {
    /// Resizes, then crops.
    fn apply(&self, image: DynamicImage) -> Result<DynamicImage, String> {
        let mut image = image;
        if let Some(side) = self.resize {
            let (width, height) = (image.width(), image.height());
            let (short, long) = (width.min(height), width.max(height));
            let long = u64::from(side) * u64::from(long) / u64::from(short.max(1));
            let long = u32::try_from(long).ok().filter(|&long| long <= 1 << 15);
            let long = long.ok_or_else(|| format!("{width} x {height} pixels, to be resized to {side}"))?;
            let (width, height) = if width <= height { (side, long) } else { (long, side) };
            image = image.resize_exact(width, height, FilterType::Triangle);
        }
        if let Some(side) = self.center_crop {
            let (width, height) = (image.width(), image.height());
            if width < side || height < side {
                return Err(format!("{width} x {height} pixels, of which {side} x {side} are to be cropped"));
            }
            // Halves to the even side, as Python rounds.
            let start = |room: u32| if room % 4 == 3 { room.div_ceil(2) } else { room / 2 };
            image = image.crop_imm(start(width - side), start(height - side), side, side);
        }
        Ok(image)
    }
}
