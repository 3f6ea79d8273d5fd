//! Images as Hugging Face's `datasets` keeps them: Parquet files with a column of PNG or JPEG images and one of labels
//! (<https://huggingface.co/docs/datasets/image_dataset>).

mod pages;

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{ByteArray, DataType};
use parquet::file::reader::{ChunkReader, FileReader, SerializedFileReader};
use serde_json::Value;

use super::packed::{self, Packed};
use super::picture::guarded;
use super::{Images, MOST_CLASSES, Reading, count_classes};
use crate::{Error, Result, Split};

/// Names of the column of images, and of the one of labels.
const IMAGES: [&str; 2] = ["image", "img"];
const LABELS: [&str; 3] = ["label", "labels", "fine_label"];
/// Rows that are read at once.
const ROWS: usize = 256;
/// Items of the metadata that names classes.
const MOST_ITEMS: usize = 1 << 20;

/// The Parquet files of `split` in the folder `path`, or in its folder `data`, in their order.
pub(super) fn find(path: &Path, split: Split) -> Vec<PathBuf> {
    let splits: &[&str] = match split {
        Split::Train => &["train"],
        Split::Test => &["test", "validation", "valid", "val"],
    };
    for folder in [path.to_owned(), path.join("data")] {
        let files: Vec<PathBuf> =
            std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
        for split in splits {
            let of_split = |path: &&PathBuf| {
                let name = path
                    .file_name()
                    .and_then(|name| name.to_str())
                    .and_then(|name| name.strip_suffix(".parquet"));
                let rest = name.and_then(|name| name.strip_prefix(split));
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-')) && path.is_file()
            };
            let mut found: Vec<PathBuf> = files.iter().filter(of_split).cloned().collect();
            if !found.is_empty() {
                found.sort();
                return found;
            }
        }
    }
    Vec::new()
}

/// Reads the first images of `files`; of the rest only the labels.
///
/// # Errors
/// [`Error::Format`] with the row for a file that is damaged or has no such columns, an image that is none, a label that is
/// no class.
pub(super) fn read(files: &[PathBuf], reading: &Reading<'_>) -> Result<Images> {
    let mut rows = Rows::new(reading.in_memory);
    let mut all = Labels::default();
    for path in files {
        let file = File::open(path).map_err(Error::io("open", path))?;
        let metadata = file.metadata().map_err(Error::io("look at", path))?;
        if !metadata.is_file() {
            let source = std::io::Error::new(std::io::ErrorKind::InvalidInput, "this is no regular file");
            return Err(Error::io("read", path)(source));
        }
        append(&path.display().to_string(), file, metadata.len(), reading.limit, &mut rows, &mut all)?;
    }
    together(rows, all, reading)
}

/// One file's `bytes`.
pub(crate) fn fuzz(bytes: &[u8]) {
    let preparation = super::Preparation::default();
    let reading = Reading::new(Split::Test, None, &preparation);
    let (mut rows, mut all) = (Rows::new(reading.in_memory), Labels::default());
    let length = bytes.len() as u64;
    let read = append("f", Bytes::copy_from_slice(bytes), length, None, &mut rows, &mut all);
    let _ = read.and_then(|()| together(rows, all, &reading));
}

fn together(rows: Rows, all: Labels, reading: &Reading<'_>) -> Result<Images> {
    if let Some(limit) = reading.limit.filter(|&limit| limit > rows.len()) {
        return Err(Error::Limit { asked: limit, available: rows.len() });
    }
    let classes = all.classes.or(reading.classes);
    let end = classes.unwrap_or(MOST_CLASSES);
    let check = |(at, label): (usize, i64)| match u16::try_from(label) {
        Ok(label) if usize::from(label) < end => Ok(label),
        _ => {
            let (file, row) = rows.place(at);
            Err(fault(file, &format!("row {row}: a label of 0 to {}", end - 1), label.to_string()))
        }
    };
    let mut labels: Vec<u16> = all.labels.into_iter().enumerate().map(check).collect::<Result<_>>()?;
    let classes = count_classes(&labels, classes);
    labels.truncate(rows.len());
    if labels.is_empty() {
        let file = rows.files.first().map_or("", |(name, _)| name);
        return Err(fault(file, "at least one row", "none".to_owned()));
    }
    let (shape, pixels) = packed::images(rows, reading)?;
    Ok(Images { shape, pixels, labels, classes })
}

#[derive(Debug, Default)]
struct Labels {
    /// As they stand in the files.
    labels: Vec<i64>,
    /// How many the first file's metadata names.
    classes: Option<usize>,
}

/// Appends the images and labels of `file`, of `length` bytes.
fn append(
    name: &str,
    file: impl ChunkReader + 'static,
    length: u64,
    limit: Option<usize>,
    rows: &mut Rows,
    all: &mut Labels,
) -> Result<()> {
    let damaged = |found: String| fault(name, "a Parquet file", found);
    let file = Arc::new(file);
    let open = || SerializedFileReader::new(Shared(Arc::clone(&file))).map_err(|error| error.to_string());
    let reader = guarded(open).map_err(damaged)?;
    let schema = reader.metadata().file_metadata().schema_descr();
    let columns: Vec<String> = schema.columns().iter().map(|column| column.path().string()).collect();
    let find = |names: &[&str], part: &str| {
        names.iter().find_map(|name| columns.iter().position(|column| column == &format!("{name}{part}")))
    };
    let image = find(&IMAGES, ".bytes").or_else(|| find(&IMAGES, ""));
    let (Some(image), Some(label)) = (image, find(&LABELS, "")) else {
        let expected =
            format!("columns of images ({}) and labels ({})", IMAGES.join(", "), LABELS.join(", "));
        return Err(fault(name, &expected, format!("columns [{}]", columns.join(", "))));
    };
    if all.classes.is_none() {
        all.classes = class_names(&reader, &columns[label]);
    }
    let first = all.labels.len();
    rows.files.push((name.to_owned(), first));
    for group in 0..reader.num_row_groups() {
        let wanted = limit.map_or(usize::MAX, |limit| limit.saturating_sub(rows.len()));
        pages::check(&*file, reader.metadata().row_group(group), [image, label]).map_err(damaged)?;
        // A row is a byte at least in any file that somebody made, so that a short one does not fill the memory.
        let most = usize::try_from(length).unwrap_or(usize::MAX).saturating_sub(all.labels.len() - first);
        let labels = guarded(|| labels(column(&reader, group, label)?, most)).map_err(damaged)?;
        let wanted = wanted.min(labels.len());
        let images = || images(column(&reader, group, image)?, wanted, rows);
        let found = guarded(images).map_err(damaged)?;
        if found != wanted {
            let expected = format!("{} images in group {group}, as many as labels", labels.len());
            return Err(fault(name, &expected, found.to_string()));
        }
        all.labels.extend(labels);
    }
    Ok(())
}

/// How many classes the file's metadata names for the column `label`.
fn class_names<R: ChunkReader + 'static>(reader: &SerializedFileReader<R>, label: &str) -> Option<usize> {
    let entries = reader.metadata().file_metadata().key_value_metadata()?;
    let text = entries.iter().find(|entry| entry.key == "huggingface")?.value.as_ref()?;
    robin_files::json::check(text, MOST_ITEMS).ok()?;
    let value: Value = serde_json::from_str(text).ok()?;
    let names = value.pointer("/info/features")?.get(label)?.get("names")?.as_array()?;
    Some(names.len()).filter(|count| (1..=MOST_CLASSES).contains(count))
}

fn column<R: ChunkReader + 'static>(
    reader: &SerializedFileReader<R>,
    group: usize,
    column: usize,
) -> Result<ColumnReader, String> {
    let group = reader.get_row_group(group).map_err(|error| error.to_string())?;
    group.get_column_reader(column).map_err(|error| error.to_string())
}

/// All labels of a column, at most `most`.
fn labels(column: ColumnReader, most: usize) -> Result<Vec<i64>, String> {
    match column {
        ColumnReader::Int64ColumnReader(column) => values(column, most),
        ColumnReader::Int32ColumnReader(column) => {
            Ok(values(column, most)?.into_iter().map(i64::from).collect())
        }
        _ => Err("labels of another type than INT64 or INT32".to_owned()),
    }
}

fn values<T: DataType>(mut column: ColumnReaderImpl<T>, most: usize) -> Result<Vec<T::T>, String> {
    let mut all = Vec::new();
    loop {
        match next(&mut column, ROWS)? {
            found if found.is_empty() => return Ok(all),
            found => all.extend(found),
        }
        if all.len() > most {
            return Err("more rows than the file has bytes".to_owned());
        }
    }
}

/// The next values, which must be there.
fn next<T: DataType>(column: &mut ColumnReaderImpl<T>, rows: usize) -> Result<Vec<T::T>, String> {
    let (mut found, mut defined, mut repeated) = (Vec::new(), Vec::new(), Vec::new());
    let read = column.read_records(rows, Some(&mut defined), Some(&mut repeated), &mut found);
    let (records, values, _) = read.map_err(|error| error.to_string())?;
    if records != values {
        return Err(format!(
            "{} rows without a value (an image may be a path only)",
            records - values.min(records)
        ));
    }
    Ok(found)
}

/// Appends `wanted` images of a column; how many there were of them.
fn images(column: ColumnReader, wanted: usize, rows: &mut Rows) -> Result<usize, String> {
    let ColumnReader::ByteArrayColumnReader(mut column) = column else {
        return Err("images of another type than BYTE_ARRAY".to_owned());
    };
    let mut count = 0;
    while count < wanted {
        let found: Vec<ByteArray> = next(&mut column, ROWS.min(wanted - count))?;
        if found.is_empty() {
            break;
        }
        count += found.len();
        found.iter().try_for_each(|image| rows.push(image.data())).map_err(|error| error.to_string())?;
    }
    Ok(count)
}

/// A file that several readers share.
#[derive(Debug)]
struct Shared<R>(Arc<R>);

impl<R: ChunkReader> parquet::file::reader::Length for Shared<R> {
    fn len(&self) -> u64 {
        self.0.len()
    }
}

impl<R: ChunkReader> ChunkReader for Shared<R> {
    type T = R::T;

    fn get_read(&self, start: u64) -> parquet::errors::Result<Self::T> {
        self.0.get_read(start)
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        self.0.get_bytes(start, length)
    }
}

/// Packed images, one after another: in memory, or in a temporary file without a name where they are too many.
#[derive(Debug)]
struct Rows {
    /// Name of each file, and its first row.
    files: Vec<(String, usize)>,
    /// Where each image ends.
    ends: Vec<u64>,
    memory: Vec<u8>,
    /// Where they are once there are more than `in_memory` bytes.
    file: Option<Mutex<File>>,
    in_memory: usize,
}

impl Rows {
    fn new(in_memory: usize) -> Self {
        Self { files: Vec::new(), ends: Vec::new(), memory: Vec::new(), file: None, in_memory }
    }

    fn push(&mut self, image: &[u8]) -> std::io::Result<()> {
        let end = self.ends.last().copied().unwrap_or(0) + image.len() as u64;
        if self.file.is_none() && end > self.in_memory as u64 {
            let mut file = tempfile::tempfile()?;
            file.write_all(&std::mem::take(&mut self.memory))?;
            self.file = Some(Mutex::new(file));
        }
        match &mut self.file {
            None => self.memory.extend_from_slice(image),
            Some(file) => file.get_mut().unwrap_or_else(PoisonError::into_inner).write_all(image)?,
        }
        self.ends.push(end);
        Ok(())
    }

    /// File and row of image `at`.
    fn place(&self, at: usize) -> (&str, usize) {
        let file = self.files.iter().rev().find(|(_, first)| *first <= at);
        file.map_or(("", at), |(name, first)| (name, at - first))
    }
}

impl Packed for Rows {
    fn len(&self) -> usize {
        self.ends.len()
    }

    fn name(&self, at: usize) -> String {
        let (file, row) = self.place(at);
        format!("{file}, row {row}")
    }

    fn bytes(&self, at: usize) -> Result<Vec<u8>> {
        let start = at.checked_sub(1).map_or(0, |before| self.ends[before]);
        let (from, to) = (start as usize, self.ends[at] as usize);
        let Some(file) = &self.file else { return Ok(self.memory[from..to].to_vec()) };
        let mut bytes = vec![0; to - from];
        let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
        let read = file.seek(SeekFrom::Start(start)).and_then(|_| file.read_exact(&mut bytes));
        read.map_err(Error::io("read back", Path::new("a temporary file of images")))?;
        Ok(bytes)
    }
}

fn fault(file: &str, expected: &str, found: String) -> Error {
    Error::Format { file: file.to_owned(), offset: 0, expected: expected.to_owned(), found }
}

#[cfg(test)]
mod tests;
