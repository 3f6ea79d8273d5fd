//! Images and labels, and batches of them.

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use candle_core::{Device, Tensor};
use rayon::prelude::*;
use robin_core::{Batch, ExampleId, Seed};
use sha2::{Digest, Sha256};

use crate::canonical;
use crate::entry::Format;
use crate::pixels::Pixels;
use crate::{DatasetName, Error, LabelMap, Result, Split, cifar, embedded, idx, matlab};
use robin_files::checksum::hex;

/// One split of a data set: u8 images `[n, c, h, w]` and labels `[n]`, in file order. Immutable; a clone
/// shares the pixels, which a large set reads where it was found (see [`crate::custom`]).
#[derive(Debug, Clone)]
pub struct Dataset {
    name: Arc<str>,
    classes: usize,
    split: Split,
    shape: [usize; 3],
    len: usize,
    /// Of `len` images or more.
    pixels: Pixels,
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
        Self::of(name, classes, split, shape, Pixels::Memory(pixels.into()), labels)
    }

    /// One image of `shape` for each of `labels`.
    ///
    /// # Errors
    /// [`Error::Class`].
    pub(crate) fn of(
        name: &str,
        classes: usize,
        split: Split,
        shape: [usize; 3],
        pixels: Pixels,
        labels: Vec<u16>,
    ) -> Result<Self> {
        if let Some(&label) = labels.iter().find(|&&label| usize::from(label) >= classes) {
            return Err(Error::Class { class: label.into(), classes });
        }
        let (len, labels) = (labels.len(), labels.into());
        Ok(Self { name: name.into(), classes, split, shape, len, pixels, labels, sha256: Arc::default() })
    }

    /// Puts the files of one split (name for messages, contents) together, in their canonical order.
    pub(crate) fn from_files(name: DatasetName, split: Split, files: Vec<(String, Vec<u8>)>) -> Result<Self> {
        let (pixels, labels) = match name.entry().format {
            Format::Idx => {
                let [(images_file, images), (labels_file, labels)] =
                    <[_; 2]>::try_from(files).expect("there are two files per split");
                idx_pair(name, images_file, images, labels_file, labels)?
            }
            Format::Cifar(records) => {
                let (mut pixels, mut labels) = (Vec::new(), Vec::new());
                for (file, bytes) in files {
                    cifar::append(&file, &bytes, records, &mut pixels, &mut labels)?;
                }
                (pixels, labels)
            }
            Format::Matlab => {
                let [(file, bytes)] = <[_; 1]>::try_from(files).expect("there is one file per split");
                matlab::digits(&file, &bytes)?
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

    /// Pixels 0 to 255 of image number `at`, `[c, h, w]`.
    ///
    /// # Errors
    /// [`Error::Index`]; of a set that is not [in memory](Dataset::is_in_memory) those of reading and decoding.
    pub fn image(&self, at: usize) -> Result<Cow<'_, [u8]>> {
        if at >= self.len {
            let index = u32::try_from(at).unwrap_or(u32::MAX);
            return Err(Error::Index { index, available: self.len });
        }
        self.pixels.image(at, self.image_length())
    }

    /// Pixels 0 to 255 of all images, `[n, c, h, w]`: a set that is not [in memory](Dataset::is_in_memory) is brought there.
    ///
    /// # Errors
    /// Those of reading and decoding, where it is not in memory yet.
    pub fn pixels(&self) -> Result<Cow<'_, [u8]>> {
        self.pixels.first(self.len, self.image_length())
    }

    /// Whether its pixels are in memory; else each image is read when somebody asks for it.
    pub fn is_in_memory(&self) -> bool {
        matches!(self.pixels, Pixels::Memory(_))
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
    ///
    /// # Errors
    /// As [`Dataset::image`]: all are read once.
    pub fn sha256(&self) -> Result<&str> {
        if let Some(known) = self.sha256.get() {
            return Ok(known);
        }
        let mut digest = Sha256::new();
        for size in self.shape.iter().chain([&self.len]) {
            digest.update((*size as u64).to_le_bytes());
        }
        let narrow: Result<Vec<u8>, _> = self.labels().iter().map(|&label| u8::try_from(label)).collect();
        match narrow {
            Ok(bytes) => digest.update(bytes),
            Err(_) => self.labels().iter().for_each(|label| digest.update(label.to_le_bytes())),
        }
        for at in 0..self.len {
            digest.update(self.image(at)?);
        }
        Ok(self.sha256.get_or_init(|| hex(&digest.finalize())))
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
        let drawn: Vec<usize> = order[..count].iter().map(|&at| at as usize).collect();
        self.select(&drawn)
    }

    /// The examples at `places`, in that order.
    ///
    /// # Errors
    /// [`Error::Index`] for a place where there is none.
    pub fn select(&self, places: &[usize]) -> Result<Self> {
        if let Some(&at) = places.iter().find(|&&at| at >= self.len) {
            let index = u32::try_from(at).unwrap_or(u32::MAX);
            return Err(Error::Index { index, available: self.len });
        }
        let pixels = self.pixels.select(places, self.image_length());
        let labels = places.iter().map(|&at| self.labels[at]).collect();
        Self::of(&self.name, self.classes, self.split, self.shape, pixels, labels)
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
        self.select(&kept)
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
    /// [`Error::NotKept`] for an example that the map says nothing about; those of [`Dataset::image`].
    pub fn batch(&self, ids: &[ExampleId], labels: &LabelMap) -> Result<Batch> {
        labels.validate(self.num_classes())?;
        let length = self.image_length();
        let mut values = vec![0.0; ids.len() * length];
        let mut mapped = Vec::with_capacity(ids.len());
        let fill = |(values, id): (&mut [f32], &ExampleId)| {
            let image = self.image(id.index as usize)?;
            values.iter_mut().zip(image.iter()).for_each(|(value, &pixel)| *value = f32::from(pixel) / 255.0);
            Ok::<(), Error>(())
        };
        match self.is_in_memory() {
            true => values.chunks_exact_mut(length.max(1)).zip(ids).try_for_each(fill)?,
            // Decoding a photograph takes as long as some networks' passes.
            false => values.par_chunks_exact_mut(length.max(1)).zip(ids).try_for_each(fill)?,
        }
        for id in ids {
            mapped.push(labels.apply(self.labels[id.index as usize])?);
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
fn idx_pair(
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
