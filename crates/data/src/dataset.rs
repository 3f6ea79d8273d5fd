//! Images and labels in memory, and batches of them.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use candle_core::{Device, Tensor};
use robin_core::{Batch, ExampleId, Seed};
use sha2::{Digest, Sha256};

use crate::canonical;
use crate::{DatasetName, Error, LabelMap, Result, Split, cifar, embedded, idx};
use robin_files::checksum::hex;

/// One split of a data set: u8 images `[n, c, h, w]` and labels `[n]`, in file order. Immutable; a clone
/// shares the pixels.
#[derive(Debug, Clone)]
pub struct Dataset {
    name: Arc<str>,
    classes: usize,
    split: Split,
    shape: [usize; 3],
    len: usize,
    /// `len * c * h * w` or more.
    pixels: Arc<[u8]>,
    /// `len` or more.
    labels: Arc<[u16]>,
    /// Of these `len` examples, once somebody has asked.
    sha256: Arc<OnceLock<String>>,
}

/// Where images come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The subset compiled into the program (see [`embedded`]).
    Embedded,
    /// The full set, in this data folder: `mnist/train-images-idx3-ubyte` and so on (also `.gz`), or
    /// `cifar-10-batches-bin/data_batch_1.bin` and so on (also `.gz`).
    Folder(PathBuf),
}

impl Dataset {
    /// Loads one split and checks the SHA-256 of everything read.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::Checksum`], [`Error::Format`] or [`Error::Io`], naming the file.
    pub fn load(name: DatasetName, split: Split, source: &Source) -> Result<Self> {
        let files = match source {
            Source::Embedded => embedded::files(name, split)?,
            Source::Folder(data_dir) => {
                let folder = name.folder(data_dir);
                let files = canonical::split_files(name, split).iter();
                files
                    .map(|file| Ok((folder.join(file.name).display().to_string(), file.read(name, &folder)?)))
                    .collect::<Result<_>>()?
            }
        };
        let data = Self::from_files(name, split, files)?;
        tracing::debug!(%name, %split, examples = data.len, "data set loaded");
        Ok(data)
    }

    /// Examples in the manner of a published data set, for tests and tools: [`Dataset::new`] with its name and
    /// classes.
    ///
    /// # Errors
    /// As [`Dataset::new`].
    pub fn from_parts(
        name: DatasetName,
        split: Split,
        shape: [usize; 3],
        pixels: Vec<u8>,
        labels: Vec<u8>,
    ) -> Result<Self> {
        Self::new(&name.to_string(), name.num_classes(), split, shape, pixels, labels)
    }

    /// A data set of these examples, called `name` in records. `shape` is `[c, h, w]`, `pixels`
    /// `[n, c, h, w]`, `labels` `[n]`, below `classes`.
    ///
    /// # Errors
    /// [`Error::Counts`] if the lengths do not agree, [`Error::Class`] for a label not below `classes`.
    pub fn new(
        name: &str,
        classes: usize,
        split: Split,
        shape: [usize; 3],
        pixels: Vec<u8>,
        labels: Vec<u8>,
    ) -> Result<Self> {
        Self::with_labels(name, classes, split, shape, pixels, labels.into_iter().map(u16::from).collect())
    }

    /// As [`Dataset::new`], of up to 65,536 classes.
    ///
    /// # Errors
    /// As [`Dataset::new`].
    pub fn with_labels(
        name: &str,
        classes: usize,
        split: Split,
        shape: [usize; 3],
        pixels: Vec<u8>,
        labels: Vec<u16>,
    ) -> Result<Self> {
        // Anybody's sizes: a product that wraps would fit what it should not.
        let length = shape.iter().try_fold(1_usize, |length, &side| length.checked_mul(side));
        if length.and_then(|length| length.checked_mul(labels.len())) != Some(pixels.len()) {
            return Err(Error::Counts {
                first: "pixels".to_owned(),
                first_count: pixels.len() / length.unwrap_or(usize::MAX).max(1),
                second: "labels".to_owned(),
                second_count: labels.len(),
            });
        }
        if let Some(&label) = labels.iter().find(|&&label| usize::from(label) >= classes) {
            return Err(Error::Class { class: label.into(), classes });
        }
        let (len, pixels, labels) = (labels.len(), pixels.into(), labels.into());
        Ok(Self { name: name.into(), classes, split, shape, len, pixels, labels, sha256: Arc::default() })
    }

    /// Puts the files of one split (name for messages, contents) together, in their canonical order.
    pub(crate) fn from_files(name: DatasetName, split: Split, files: Vec<(String, Vec<u8>)>) -> Result<Self> {
        let (pixels, labels) = match name {
            DatasetName::Mnist => {
                let [(images_file, images), (labels_file, labels)] =
                    <[_; 2]>::try_from(files).expect("MNIST has two files per split");
                mnist(name, images_file, images, labels_file, labels)?
            }
            DatasetName::Cifar10 => {
                let (mut pixels, mut labels) = (Vec::new(), Vec::new());
                for (file, bytes) in files {
                    cifar::append(&file, &bytes, cifar::Records::Cifar10, &mut pixels, &mut labels)?;
                }
                (pixels, labels)
            }
        };
        Self::from_parts(name, split, name.shape(), pixels, labels)
    }

    /// What it is called, for people and records; [`Dataset::sha256`] says what it is.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Which half of it.
    pub fn split(&self) -> Split {
        self.split
    }

    /// Number of examples.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no example.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Image shape `[c, h, w]`.
    pub fn shape(&self) -> [usize; 3] {
        self.shape
    }

    /// Number of classes of the data set (also of those that no example has).
    pub fn num_classes(&self) -> usize {
        self.classes
    }

    /// True classes, `[n]`, before any label map.
    pub fn labels(&self) -> &[u16] {
        &self.labels[..self.len]
    }

    /// Pixels 0 to 255, `[n, c, h, w]`.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels[..self.len * self.image_length()]
    }

    /// Examples of each class, by label.
    pub fn class_counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.num_classes()];
        for &label in self.labels() {
            counts[usize::from(label)] += 1;
        }
        counts
    }

    /// SHA-256, hex, over shape, number, labels and pixels of exactly these examples: equal for equal
    /// examples, wherever they were loaded from. Labels are bytes if all of them are below 256, else pairs of bytes.
    pub fn sha256(&self) -> &str {
        self.sha256.get_or_init(|| {
            let mut digest = Sha256::new();
            for size in self.shape.iter().chain([&self.len]) {
                digest.update((*size as u64).to_le_bytes());
            }
            let narrow: Result<Vec<u8>, _> = self.labels().iter().map(|&label| u8::try_from(label)).collect();
            match narrow {
                Ok(bytes) => digest.update(bytes),
                Err(_) => self.labels().iter().for_each(|label| digest.update(label.to_le_bytes())),
            }
            digest.update(self.pixels());
            hex(&digest.finalize())
        })
    }

    /// The first `limit` examples in file order, sharing the pixels.
    ///
    /// # Errors
    /// [`Error::Limit`] if `limit` is 0 or more than there are.
    pub fn take(&self, limit: usize) -> Result<Self> {
        if limit == 0 || limit > self.len {
            return Err(Error::Limit { asked: limit, available: self.len });
        }
        if limit == self.len {
            return Ok(self.clone());
        }
        Ok(Self { len: limit, sha256: Arc::default(), ..self.clone() })
    }

    /// `count` examples drawn at random without repeats, in the order of the draw: so the first ones of a sample are one too.
    ///
    /// # Errors
    /// [`Error::Limit`] if `count` is 0 or more than there are.
    pub fn sample(&self, count: usize, seed: Seed) -> Result<Self> {
        if count == 0 || count > self.len {
            return Err(Error::Limit { asked: count, available: self.len });
        }
        let order = seed.root_stream().permutation(self.len);
        let (length, drawn) = (self.image_length(), &order[..count]);
        let image = |&at: &u32| &self.pixels[at as usize * length..][..length];
        let pixels: Vec<u8> = drawn.iter().flat_map(image).copied().collect();
        let labels = drawn.iter().map(|&at| self.labels[at as usize]).collect();
        Self::with_labels(&self.name, self.classes, self.split, self.shape, pixels, labels)
    }

    /// The same examples, of `classes` classes: a subset need not have an example of the highest.
    ///
    /// # Errors
    /// [`Error::Classes`] unless every label is below `classes`, and `classes` at most 65,536.
    pub fn with_classes(&self, classes: usize) -> Result<Self> {
        let least = self.labels().iter().max().map_or(1, |&label| usize::from(label) + 1);
        if !(least..=1 << 16).contains(&classes) {
            return Err(Error::Classes { asked: classes, least });
        }
        Ok(Self { classes, ..self.clone() })
    }

    /// The examples that `map` says something about, in file order, with the labels that they have here. An
    /// example's id is its place among them.
    ///
    /// # Errors
    /// Those of [`LabelMap::validate`]; [`Error::NoExamples`] if none is left.
    pub fn restricted(&self, map: &LabelMap) -> Result<Self> {
        map.validate(self.classes)?;
        let kept: Vec<usize> = (0..self.len).filter(|&at| map.keeps(self.labels[at])).collect();
        if kept.is_empty() {
            return Err(Error::NoExamples { map: format!("{map:?}"), examples: self.len });
        }
        if kept.len() == self.len {
            return Ok(self.clone());
        }
        let length = self.image_length();
        let pixels =
            kept.iter().flat_map(|&at| &self.pixels[at * length..(at + 1) * length]).copied().collect();
        let labels = kept.iter().map(|&at| self.labels[at]).collect();
        Self::with_labels(&self.name, self.classes, self.split, self.shape, pixels, labels)
    }

    /// [`Dataset::restricted`] with the labels and the number of classes of `map`.
    ///
    /// # Errors
    /// As [`Dataset::restricted`].
    pub fn relabelled(&self, map: &LabelMap) -> Result<Self> {
        let kept = self.restricted(map)?;
        let classes = map.num_classes(self.classes);
        // A map never has more classes than its data set, whose labels are of 16 bits.
        let labels: Arc<[u16]> =
            map.apply_all(kept.labels())?.into_iter().map(|label| label as u16).collect();
        Ok(Self { classes, labels, sha256: Arc::default(), ..kept })
    }

    /// Examples `ids` in that order: images f32 `[n, c, h, w]`, pixel / 255, on the CPU; labels through
    /// `labels`.
    ///
    /// # Errors
    /// [`Error::Index`] for an example that there is not, those of [`LabelMap::validate`], and
    /// [`Error::NotKept`] for an example that the map says nothing about.
    pub fn batch(&self, ids: &[ExampleId], labels: &LabelMap) -> Result<Batch> {
        labels.validate(self.num_classes())?;
        let length = self.image_length();
        let mut values = Vec::with_capacity(ids.len() * length);
        let mut mapped = Vec::with_capacity(ids.len());
        for id in ids {
            let at = id.index as usize;
            if at >= self.len {
                return Err(Error::Index { index: id.index, available: self.len });
            }
            let image = &self.pixels[at * length..(at + 1) * length];
            values.extend(image.iter().map(|&pixel| f32::from(pixel) / 255.0));
            mapped.push(labels.apply(self.labels[at])?);
        }
        let [channels, height, width] = self.shape;
        let images = Tensor::from_vec(values, (ids.len(), channels, height, width), &Device::Cpu)?;
        Ok(Batch::new(images, mapped, ids.to_vec())?)
    }

    fn image_length(&self) -> usize {
        self.shape.iter().product()
    }
}

/// Pixels and labels of an IDX pair that must be of `name`'s shape and agree in number.
fn mnist(
    name: DatasetName,
    images_file: String,
    images: Vec<u8>,
    labels_file: String,
    labels: Vec<u8>,
) -> Result<(Vec<u8>, Vec<u8>)> {
    let images = idx::images(&images_file, images)?;
    let [_, height, width] = name.shape();
    if (images.rows, images.columns) != (height, width) {
        return Err(Error::Format {
            file: images_file,
            offset: 8,
            expected: format!("images of {height} x {width}"),
            found: format!("{} x {}", images.rows, images.columns),
        });
    }
    let labels = idx::labels(&labels_file, labels, name.num_classes())?;
    if labels.len() != images.count {
        return Err(Error::Counts {
            first: images_file,
            first_count: images.count,
            second: labels_file,
            second_count: labels.len(),
        });
    }
    Ok((images.pixels, labels))
}

#[cfg(test)]
mod tests;
