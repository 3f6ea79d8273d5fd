//! A small real subset of MNIST and CIFAR-10, compiled in, so that everything runs without a network.
//!
//! The first images of each class in file order, as many of each class, in the files' own order: of MNIST
//! 2,000 training and 1,000 test images, of CIFAR-10 2,000 and 500. `subset/NOTICE` of this crate has their terms.

use std::fs;
use std::io;
use std::path::Path;

use crate::entry::{EmbeddedFile, Format};
use crate::{Dataset, DatasetName, Error, Result, Source, Split, gzip, idx, temporary_file};
use robin_files::checksum::sha256;

fn split_files(name: DatasetName, split: Split) -> &'static [EmbeddedFile] {
    name.entry().embedded[split.index()]
}

/// How many examples of each class the subset has; 0 of a data set that has no part inside the program.
pub fn per_class(name: DatasetName, split: Split) -> usize {
    name.entry().per_class[split.index()]
}

/// The files of one split with their decompressed contents, checked.
///
/// # Errors
/// [`Error::NoSubset`] for a data set that has none.
pub(crate) fn files(name: DatasetName, split: Split) -> Result<Vec<(String, Vec<u8>)>> {
    if split_files(name, split).is_empty() {
        return Err(Error::NoSubset { dataset: name });
    }
    split_files(name, split).iter().map(|file| Ok((file.path.to_owned(), file.contents()?))).collect()
}

impl EmbeddedFile {
    fn contents(&self) -> Result<Vec<u8>> {
        if self.bytes.is_empty() {
            return Err(Error::NotBuiltIn { file: self.path.to_owned() });
        }
        let contents = gzip::unpack(self.path, self.bytes, self.size)?;
        let found = sha256(&contents);
        if found == self.sha256 {
            return Ok(contents);
        }
        let (file, expected) = (self.path.to_owned(), self.sha256.to_owned());
        Err(Error::Checksum { file, size: self.size, expected, found })
    }
}

/// Makes the subset's files in `subset_dir` from the full sets in `data_dir`. A file whose contents are
/// right already is left alone, whatever made its gzip.
///
/// Returns path inside `subset_dir` and SHA-256 of the contents of each file, which must be those in this
/// module's source.
///
/// # Errors
/// Those of [`Dataset::load`]; [`Error::Io`] if a file cannot be written.
pub fn generate(data_dir: &Path, subset_dir: &Path) -> Result<Vec<(&'static str, String)>> {
    let mut made = Vec::new();
    for (file, contents) in subset(data_dir)? {
        let path = subset_dir.join(file.path);
        if !holds(&path, &contents)? {
            let folder = path.parent().expect("every file is in a folder");
            fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
            temporary_file::write(&path, &gzip::pack(&contents)).map_err(Error::io("write", &path))?;
        }
        made.push((file.path, sha256(&contents)));
    }
    Ok(made)
}

/// Compares the files in `subset_dir`, and those compiled in, with what [`generate`] would make.
///
/// # Errors
/// [`Error::FixturesDiffer`] naming every file that differs; otherwise as [`generate`].
pub fn check(data_dir: &Path, subset_dir: &Path) -> Result<()> {
    let mut files = Vec::new();
    for (file, contents) in subset(data_dir)? {
        if !holds(&subset_dir.join(file.path), &contents)? {
            files.push(file.path.to_owned());
        }
        if sha256(&contents) != file.sha256 {
            files.push(format!("the checksum of {} in embedded.rs", file.path));
        }
    }
    if files.is_empty() { Ok(()) } else { Err(Error::FixturesDiffer { files }) }
}

/// Whether the gzip file at `path` exists and decompresses to `contents`.
fn holds(path: &Path, contents: &[u8]) -> Result<bool> {
    match fs::File::open(path) {
        Ok(file) => Ok(gzip::unpack("", file, contents.len() as u64).is_ok_and(|found| found == contents)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Error::io("open", path)(error)),
    }
}

/// Every file of the subset with its contents, from the full sets.
fn subset(data_dir: &Path) -> Result<Vec<(&'static EmbeddedFile, Vec<u8>)>> {
    let source = Source::Folder(data_dir.to_owned());
    let mut made = Vec::new();
    for &name in DatasetName::ALL.iter().filter(|name| name.has_subset()) {
        for split in [Split::Train, Split::Test] {
            let data = Dataset::load(name, split, &source)?;
            let contents = encode(name, &data, &first_of_each(&data, per_class(name, split)))?;
            made.extend(split_files(name, split).iter().zip(contents));
        }
    }
    Ok(made)
}

/// Indices of the first `count` examples of each class, in file order.
fn first_of_each(data: &Dataset, count: usize) -> Vec<usize> {
    let mut left = vec![count; data.num_classes()];
    let mut chosen = Vec::new();
    for (index, &label) in data.labels().iter().enumerate() {
        let left = &mut left[usize::from(label)];
        if *left > 0 {
            *left -= 1;
            chosen.push(index);
        }
    }
    chosen
}

/// The examples `indices` as files of the data set's own format.
fn encode(name: DatasetName, data: &Dataset, indices: &[usize]) -> Result<Vec<Vec<u8>>> {
    let chosen = data.select(indices)?;
    let ([channels, height, width], pixels) = (data.shape(), chosen.pixels()?);
    // Both have ten classes.
    let labels: Vec<u8> = chosen.labels().iter().map(|&label| label as u8).collect();
    Ok(match name.entry().format {
        Format::Idx => {
            vec![idx::write_images(labels.len(), height, width, &pixels), idx::write_labels(&labels)]
        }
        // Of all others the one with a single label is inside.
        Format::Cifar(_) | Format::Matlab => {
            let records = labels.iter().zip(pixels.chunks_exact(channels * height * width));
            vec![records.flat_map(|(label, image)| std::iter::once(label).chain(image)).copied().collect()]
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_subset_has_its_counts_and_is_balanced() {
        for &name in DatasetName::ALL {
            if !name.has_subset() {
                let error = Dataset::load(name, Split::Test, &Source::Embedded).unwrap_err().to_string();
                assert!(error.contains(&format!("data fetch {name}")), "{error}");
                continue;
            }
            for split in [Split::Train, Split::Test] {
                let data = Dataset::load(name, split, &Source::Embedded).unwrap();
                assert_eq!(data.class_counts(), vec![per_class(name, split); 10], "{name} {split}");
                assert_eq!(data.pixels().unwrap().len(), data.len() * data.shape().iter().product::<usize>());
            }
        }
        // The first labels of the published files, which all are among the first 200 of their class.
        let first =
            |name| Dataset::load(name, Split::Train, &Source::Embedded).unwrap().labels()[..10].to_vec();
        assert_eq!(first(DatasetName::Mnist), [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]);
        assert_eq!(first(DatasetName::Cifar10), [6, 9, 9, 4, 1, 1, 2, 7, 8, 3]);
    }

    #[test]
    fn the_embedded_bytes_stay_under_ten_megabytes() {
        let files = DatasetName::ALL.iter().flat_map(|name| name.entry().embedded).flatten();
        let size: usize = files.map(|file| file.bytes.len()).sum();
        assert!(size < 10_000_000, "{size}");
    }

    #[test]
    fn a_changed_byte_is_noticed() {
        let good = &DatasetName::Mnist.entry().embedded[1][1];
        let mut contents = good.contents().unwrap();
        contents[100] ^= 1;
        let packed: &'static [u8] = Box::leak(gzip::pack(&contents).into_boxed_slice());
        let changed = EmbeddedFile { bytes: packed, ..*good };
        assert!(matches!(changed.contents(), Err(Error::Checksum { .. })));
    }

    #[test]
    fn the_first_of_each_class_keep_file_order() {
        let labels = vec![1, 0, 1, 1, 0, 2, 0, 2];
        let data =
            Dataset::from_parts(DatasetName::Mnist, Split::Test, [1, 1, 1], labels.clone(), labels).unwrap();
        let chosen = first_of_each(&data, 2);
        assert_eq!(chosen, [0, 1, 2, 4, 5, 7]);
        assert_eq!(
            encode(DatasetName::Mnist, &data, &chosen).unwrap()[1],
            idx::write_labels(&[1, 0, 1, 0, 2, 2])
        );
    }
}
