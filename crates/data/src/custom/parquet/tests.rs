use super::*;
use crate::Dataset;
use crate::custom::{Choice, Preparation};

const HUGGING_FACE: &[u8] = include_bytes!("hugging-face.parquet");
const OTHERS: [&[u8]; 3] =
    [include_bytes!("snappy.parquet"), include_bytes!("gzip.parquet"), include_bytes!("pages-2.parquet")];
const ZSTD: &[u8] = include_bytes!("zstd.parquet");

fn load(path: &Path, split: Split, limit: Option<usize>) -> Result<Dataset> {
    let source = crate::Source::Embedded;
    Choice::Own(path.to_owned()).load_prepared(split, &source, limit, &Preparation::default())
}

#[test]
fn files_that_others_wrote_are_read_with_their_classes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.parquet");
    for bytes in [HUGGING_FACE].into_iter().chain(OTHERS) {
        std::fs::write(&path, bytes).unwrap();
        let data = load(&path, Split::Test, None).unwrap();
        assert_eq!((data.labels(), data.shape(), data.num_classes()), (&[0, 2, 1, 1, 0][..], [3, 2, 3], 4));
        for at in 0..5 {
            // Pixel, then channel, in the file.
            let last = |at: usize| (0..18).map(move |value| value + 20 * at as u8);
            let first: Vec<u8> = (0..3).flat_map(|c| last(at).skip(c).step_by(3)).collect();
            assert_eq!(data.image(at).unwrap()[..], first[..], "{at}");
        }
        // Of a part only that part's images are read.
        let two = load(&path, Split::Test, Some(2)).unwrap();
        assert_eq!((two.labels(), two.num_classes()), (&[0, 2][..], 4));
        assert!(matches!(load(&path, Split::Test, Some(6)), Err(Error::Limit { asked: 6, available: 5 })));
    }
    std::fs::write(&path, ZSTD).unwrap();
    let message = load(&path, Split::Test, None).unwrap_err().to_string();
    assert!(message.contains("x.parquet") && message.contains("zstd"), "{message}");
}

#[test]
fn shards_are_found_in_order_and_the_split_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    std::fs::write(data.join("train-00001-of-00002.parquet"), OTHERS[0]).unwrap();
    std::fs::write(data.join("train-00000-of-00002.parquet"), HUGGING_FACE).unwrap();
    std::fs::write(data.join("validation-00000-of-00001.parquet"), OTHERS[1]).unwrap();
    let train = load(folder.path(), Split::Train, None).unwrap();
    assert_eq!(train.labels(), [0, 2, 1, 1, 0, 0, 2, 1, 1, 0]);
    assert_eq!(load(folder.path(), Split::Test, None).unwrap().len(), 5);
    let error = std::fs::write(data.join("train-00001-of-00002.parquet"), &OTHERS[0][..400]);
    error.unwrap();
    let message = load(folder.path(), Split::Train, None).unwrap_err().to_string();
    assert!(message.contains("train-00001-of-00002.parquet"), "{message}");
}

#[test]
fn a_set_that_is_too_large_is_unpacked_aside_and_is_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.parquet");
    std::fs::write(&path, HUGGING_FACE).unwrap();
    let whole = load(&path, Split::Test, None).unwrap();
    let preparation = Preparation::default();
    for in_memory in [0, 200] {
        let reading = Reading { in_memory, ..Reading::new(Split::Test, None, &preparation) };
        let data = crate::custom::load(&path, &reading).unwrap();
        assert_eq!(data.is_in_memory(), in_memory == 200, "90 bytes of pixels");
        assert_eq!(data.sha256().unwrap(), whole.sha256().unwrap());
    }
}

#[test]
fn damaged_files_are_errors_with_their_name() {
    for bytes in [HUGGING_FACE].into_iter().chain(OTHERS) {
        for at in 0..bytes.len() {
            let mut damaged = bytes.to_vec();
            damaged[at] ^= 0x55;
            fuzz(&damaged);
            fuzz(&bytes[..at]);
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.parquet");
    for (bytes, said) in [(&b"PAR1"[..], "x.parquet"), (b"", "x.parquet"), (&HUGGING_FACE[1..], "x.parquet")]
    {
        std::fs::write(&path, bytes).unwrap();
        let message = load(&path, Split::Test, None).unwrap_err().to_string();
        assert!(message.contains(said) && message.contains("a Parquet file"), "{message}");
    }
}

#[test]
fn columns_that_are_missing_are_named() {
    let schema =
        parquet::schema::parser::parse_message_type("message m { REQUIRED INT64 label; REQUIRED INT64 x; }");
    let mut bytes = Vec::new();
    let mut writer = parquet::file::writer::SerializedFileWriter::new(
        &mut bytes,
        schema.unwrap().into(),
        Default::default(),
    )
    .unwrap();
    let mut group = writer.next_row_group().unwrap();
    while let Some(mut column) = group.next_column().unwrap() {
        column.typed::<parquet::data_type::Int64Type>().write_batch(&[1], None, None).unwrap();
        column.close().unwrap();
    }
    group.close().unwrap();
    writer.close().unwrap();
    let (mut rows, mut all) = (Rows::new(0), Labels::default());
    let length = bytes.len() as u64;
    let error = append("f", Bytes::from(bytes), length, None, &mut rows, &mut all).unwrap_err().to_string();
    assert!(error.contains("images (image, img)") && error.contains("columns [label, x]"), "{error}");
}

/// A file of rows with these labels, whose images are not looked at.
fn labelled(labels: &[i64]) -> Bytes {
    use parquet::data_type::{ByteArrayType, Int64Type};
    let schema = "message m { REQUIRED BYTE_ARRAY image; REQUIRED INT64 label; }";
    let schema = parquet::schema::parser::parse_message_type(schema).unwrap();
    let mut bytes = Vec::new();
    let mut writer =
        parquet::file::writer::SerializedFileWriter::new(&mut bytes, schema.into(), Default::default())
            .unwrap();
    let mut group = writer.next_row_group().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    let images = vec![ByteArray::from("no image"); labels.len()];
    column.typed::<ByteArrayType>().write_batch(&images, None, None).unwrap();
    column.close().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<Int64Type>().write_batch(labels, None, None).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    writer.close().unwrap();
    bytes.into()
}

/// Also where fewer images than labels were read.
#[test]
fn a_label_that_is_no_class_is_named_with_its_file_and_row() {
    let preparation = Preparation::default();
    for (classes, limit, label, said) in [
        (None, None, -1, "row 1: a label of 0 to 65535, found -1"),
        (None, Some(2), 65_536, "row 1: a label of 0 to 65535, found 65536"),
        (Some(3), Some(2), 3, "row 1: a label of 0 to 2, found 3"),
    ] {
        let reading = Reading { classes, ..Reading::new(Split::Test, limit, &preparation) };
        let (mut rows, mut all) = (Rows::new(0), Labels::default());
        for (name, labels) in [("first", [0, 1, 2]), ("second", [0, label, 1])] {
            let bytes = labelled(&labels);
            append(name, bytes.clone(), bytes.len() as u64, limit, &mut rows, &mut all).unwrap();
        }
        let message = together(rows, all, &reading).unwrap_err().to_string();
        assert!(message.contains("second") && message.contains(said), "{message}");
    }
}
