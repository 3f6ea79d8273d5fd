//! Images in folders, one folder per class, as torchvision's `ImageFolder` reads them.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use super::packed::{self, Packed};
use super::picture::{self, Picture};
use super::{Images, Reading};
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

/// Reads the first images: the first of each class, then the second of each, so that any number of them is of all classes.
/// Only these are read.
///
/// # Errors
/// [`Error::Format`] for a file that is no image, for an image of another size than the first, and for a class that the
/// training images do not have.
pub(super) fn read(tree: &Tree, reading: &Reading<'_>) -> Result<Images> {
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
    if let Some(limit) = reading.limit {
        if limit > files.len() {
            return Err(Error::Limit { asked: limit, available: files.len() });
        }
        files.truncate(limit);
    }
    let labels = files.iter().map(|(_, label, _)| *label).collect();
    let files = Files(files.into_iter().map(|(.., file)| file).collect());
    let (shape, pixels) = packed::images(files, reading)?;
    Ok(Images { shape, pixels, labels, classes: classes.len() })
}

/// The files of images, in their order.
#[derive(Debug)]
struct Files(Vec<PathBuf>);

impl Packed for Files {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn name(&self, at: usize) -> String {
        self.0[at].display().to_string()
    }

    fn bytes(&self, at: usize) -> Result<Vec<u8>> {
        robin_files::read(&self.0[at], picture::LARGEST).map_err(Error::io("read", &self.0[at]))
    }

    /// Of a file no more than its header is read.
    fn header(&self, at: usize) -> Result<Result<Picture, String>> {
        let path = &self.0[at];
        let length = std::fs::metadata(path).map_err(Error::io("look at", path))?;
        if !length.is_file() || length.len() > picture::LARGEST {
            return Ok(Err(format!("{} bytes", length.len())));
        }
        Ok(Picture::of(File::open(path).map_err(Error::io("open", path))?, length.len()))
    }
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
