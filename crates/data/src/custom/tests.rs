use std::fs;

use safetensors::Dtype;
use safetensors::tensor::{TensorView, serialize};
use tempfile::TempDir;

use super::*;
use crate::{gzip, idx};

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, bytes: &[u8]) -> &Self {
        fs::write(self.0.path().join(name), bytes).unwrap();
        self
    }

    /// Loads the folder, or `name` in it.
    fn load(&self, name: &str, split: Split) -> Result<Dataset> {
        let choice: Choice = self.0.path().join(name).display().to_string().parse().unwrap();
        choice.load(split, &Source::Embedded, None)
    }

    fn message(&self, name: &str, split: Split) -> String {
        self.load(name, split).unwrap_err().to_string()
    }
}

fn images(count: usize) -> Vec<u8> {
    idx::write_images(count, 2, 3, &(0..count * 6).map(|at| at as u8).collect::<Vec<_>>())
}

/// A safetensors file of `n` images of 2 channels, 1 x 2 pixels.
fn tensors(n: usize, dtype: Dtype, labels: &[u8], classes: Option<&str>) -> Vec<u8> {
    let pixels: Vec<u8> = (0..n * 4).map(|at| at as u8).collect();
    let count = labels.len() * 8 / dtype.bitsize();
    let images = TensorView::new(Dtype::U8, vec![n, 2, 1, 2], &pixels).unwrap();
    let labels = TensorView::new(dtype, vec![count], labels).unwrap();
    let metadata = classes.map(|classes| [("classes".to_owned(), classes.to_owned())].into());
    serialize([("images", images), ("labels", labels)], metadata).unwrap()
}

#[test]
fn a_choice_is_a_name_or_a_path_and_prints_as_it_was_written() {
    for &name in DatasetName::ALL {
        assert_eq!(name.to_string().parse::<Choice>().unwrap(), Choice::Published(name));
    }
    for text in ["mnist", "data/fashion", "./mnist"] {
        assert_eq!(text.parse::<Choice>().unwrap().to_string(), text);
    }
    assert_eq!("./mnist".parse::<Choice>().unwrap().published(), None);
    assert!("".parse::<Choice>().is_err());
    let data = Choice::Published(DatasetName::Mnist).load(Split::Test, &Source::Embedded, Some(7)).unwrap();
    assert_eq!((data.len(), data.name()), (7, "mnist"));
}

#[test]
fn idx_pairs_are_found_by_folder_by_prefix_and_by_file() {
    let folder = Folder::new();
    folder
        .write("train-images-idx3-ubyte", &images(3))
        .write("train-labels-idx1-ubyte", &idx::write_labels(&[4, 0, 1]));
    folder.write("t10k-images-idx3-ubyte.gz", &gzip::pack(&images(2)));
    folder.write("t10k-labels-idx1-ubyte.gz", &gzip::pack(&idx::write_labels(&[1, 2])));
    let train = folder.load("", Split::Train).unwrap();
    assert_eq!((train.len(), train.shape(), train.num_classes()), (3, [1, 2, 3], 5));
    assert_eq!((train.labels(), &train.pixels().unwrap()[..3]), (&[4, 0, 1][..], &[0, 1, 2][..]));
    // The test images have no class 4, but the task has.
    let test = folder.load("", Split::Test).unwrap();
    assert_eq!((test.len(), test.labels(), test.num_classes()), (2, &[1, 2][..], 5));
    for name in ["train", "train-images-idx3-ubyte"] {
        assert_eq!(folder.load(name, Split::Train).unwrap().sha256().unwrap(), train.sha256().unwrap());
    }
    assert_eq!(folder.load("t10k", Split::Test).unwrap().sha256().unwrap(), test.sha256().unwrap());
    // The plain files win where both are there.
    folder.write("train-images-idx3-ubyte.gz", b"no gzip");
    assert_eq!(folder.load("", Split::Train).unwrap().sha256().unwrap(), train.sha256().unwrap());
}

#[test]
fn bad_idx_pairs_name_file_and_offset() {
    let folder = Folder::new();
    folder.write("a-images-idx3-ubyte", &images(3));
    assert!(folder.message("a", Split::Train).contains("a-labels-idx1-ubyte"), "no labels");
    folder.write("a-labels-idx1-ubyte", &idx::write_labels(&[0, 1]));
    let message = folder.message("a", Split::Train);
    assert!(message.contains("3 examples") && message.contains("has 2"), "{message}");
    folder.write("a-images-idx3-ubyte", &images(3)[..20]);
    assert!(folder.message("a", Split::Train).contains("a-images-idx3-ubyte, byte 20: expected 34 bytes"));
    folder.write("a-images-idx3-ubyte", &idx::write_images(0, 2, 3, &[]));
    assert!(folder.message("a", Split::Train).contains("byte 4: expected at least one image, found 0"));
    folder.write("a-images-idx3-ubyte", &idx::write_images(2, 0, 3, &[]));
    assert!(folder.message("a", Split::Train).contains("byte 8: expected at least one row"));
    folder.write("b-images-idx3-ubyte.gz", &gzip::pack(&images(3))[..30]);
    folder.write("b-labels-idx1-ubyte", &idx::write_labels(&[0, 1, 2]));
    let message = folder.message("b", Split::Train);
    assert!(message.contains("b-images-idx3-ubyte.gz, byte") && message.contains("gzip"), "{message}");
    // A label that the training images do not have is no class.
    folder
        .write("train-images-idx3-ubyte", &images(1))
        .write("train-labels-idx1-ubyte", &idx::write_labels(&[1]));
    folder
        .write("test-images-idx3-ubyte", &images(2))
        .write("test-labels-idx1-ubyte", &idx::write_labels(&[1, 2]));
    assert!(
        folder.message("", Split::Test).contains("test-labels-idx1-ubyte, byte 9: expected a label below 2")
    );
}

#[test]
fn cifar100_has_a_hundred_fine_classes() {
    let folder = Folder::new();
    let record = |fine: u8| [vec![1, fine], vec![9; cifar::IMAGE]].concat();
    folder.write("train.bin", &[record(5), record(98)].concat()).write("test.bin", &record(0));
    let train = folder.load("", Split::Train).unwrap();
    assert_eq!((train.labels(), train.shape(), train.num_classes()), (&[5, 98][..], [3, 32, 32], 100));
    assert_eq!(folder.load("test.bin", Split::Test).unwrap().num_classes(), 100);
    folder.write("test.bin", &record(0)[1..]);
    assert!(
        folder.message("", Split::Test).contains("test.bin, byte 3073: expected a positive multiple of 3074")
    );
}

#[test]
fn safetensors_are_read_with_every_type_of_label() {
    let folder = Folder::new();
    for (dtype, labels) in [
        (Dtype::U8, vec![2, 0]),
        (Dtype::I32, [2i32.to_le_bytes(), 0i32.to_le_bytes()].concat()),
        (Dtype::U32, [2u32.to_le_bytes(), 0u32.to_le_bytes()].concat()),
        (Dtype::I64, [2i64.to_le_bytes(), 0i64.to_le_bytes()].concat()),
    ] {
        folder.write("own.safetensors", &tensors(2, dtype, &labels, None));
        let data = folder.load("own.safetensors", Split::Train).unwrap();
        assert_eq!((data.labels(), data.shape(), data.num_classes()), (&[2, 0][..], [2, 1, 2], 3));
        assert_eq!(
            (&data.pixels().unwrap()[..], data.name()),
            (&[0, 1, 2, 3, 4, 5, 6, 7][..], "own:own.safetensors")
        );
    }
    folder.write("own.safetensors", &tensors(2, Dtype::U8, &[2, 0], Some("7")));
    assert_eq!(folder.load("own.safetensors", Split::Train).unwrap().num_classes(), 7);
}

#[test]
fn bad_safetensors_name_file_offset_and_what_was_expected() {
    let folder = Folder::new();
    let message = |bytes: &[u8]| {
        folder.write("x.safetensors", bytes);
        let message = folder.message("x.safetensors", Split::Train);
        assert!(message.contains("x.safetensors, byte ") || message.contains("examples"), "{message}");
        message
    };
    let good = tensors(2, Dtype::U8, &[2, 0], None);
    for cut in 0..good.len() {
        message(&good[..cut]);
    }
    assert!(message(&[&good[..], &[0]].concat()).contains(&format!("byte {}", good.len() + 1)));
    assert!(
        message(&tensors(2, Dtype::F32, &[0; 8], None))
            .contains("`labels` of U8, I32, U32 or I64 [n], found F32 [2]")
    );
    assert!(message(&tensors(3, Dtype::U8, &[2, 0], None)).contains("has 3 examples, its `labels` has 2"));
    assert!(message(&tensors(0, Dtype::U8, &[], None)).contains("no dimension of 0"));
    for classes in ["0", "65537", "ten"] {
        assert!(
            message(&tensors(2, Dtype::U8, &[2, 0], Some(classes)))
                .contains("metadata `classes` of 1 to 65536")
        );
    }
    let beyond = tensors(2, Dtype::U8, &[0, 3], Some("3"));
    let found = message(&beyond);
    assert!(
        found.contains(&format!("byte {}: expected a label of 0 to 2, found 3", beyond.len() - 1)),
        "{found}"
    );
    let negative = tensors(1, Dtype::I64, &(-1i64).to_le_bytes(), None);
    assert!(message(&negative).contains("expected a label of 0 to 65535, found -1"));
    let pixels = TensorView::new(Dtype::U8, vec![1, 4], &[0; 4]).unwrap();
    let flat = serialize([("images", pixels.clone()), ("labels", pixels.clone())], None).unwrap();
    assert!(message(&flat).contains("`images` of U8 or F32 [n, c, h, w], found U8 [1, 4]"));
    let other = serialize([("data", pixels)], None).unwrap();
    assert!(message(&other).contains("a tensor `images` (u8 or f32 [n, c, h, w]), found tensors [data]"));
}

#[test]
fn paths_that_lead_nowhere_or_to_several_places_say_what_was_looked_for() {
    let folder = Folder::new();
    let message = folder.message("", Split::Test);
    for name in ["mnist", "t10k-images-idx3-ubyte", "test.bin", "test.safetensors"] {
        assert!(message.contains(name), "{message}");
    }
    let message = folder.message("svhn", Split::Train);
    assert!(message.contains("one of mnist, ") && message.contains("svhn-images-idx3-ubyte"), "{message}");
    folder.write("pictures.zip", b"PK");
    assert!(folder.message("pictures.zip", Split::Train).contains(".npy, .parquet, .bin or"));
    folder.write("train.bin", b"").write("train.safetensors", b"");
    let message = folder.message("", Split::Train);
    assert!(message.contains("could be any of") && message.contains("train.bin"), "{message}");
}
