//! Trees of images, NumPy's arrays, floats, and many classes.

use std::fs;
use std::io::{Cursor, Write};
use std::path::Path;

use image::{DynamicImage, GrayImage, ImageFormat, Rgb, RgbImage};
use safetensors::Dtype;
use safetensors::tensor::{TensorView, serialize};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::*;

fn load(path: &Path, split: Split, limit: Option<usize>, preparation: Preparation) -> Result<Dataset> {
    Choice::Own(path.to_owned()).load_prepared(split, &Source::Embedded, limit, &preparation)
}

fn plain(path: &Path, split: Split) -> Result<Dataset> {
    load(path, split, None, Preparation::default())
}

/// One colour.
fn picture(path: &Path, sides: [u32; 2], colour: u8) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    RgbImage::from_pixel(sides[0], sides[1], Rgb([colour, 0, 100])).save(path).unwrap();
}

#[test]
fn folders_are_classes_and_the_first_images_are_of_all_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for (name, colour) in
        [("train/cat/1.png", 1), ("train/cat/2.png", 2), ("train/ant/1.png", 3), ("train/bee/a.PNG", 4)]
    {
        picture(&at(name), [3, 2], colour);
    }
    picture(&at("val/bee/1.png"), [3, 2], 9);
    fs::write(at("train/ant/notes.txt"), "no image").unwrap();
    fs::create_dir(at("train/.hidden")).unwrap();
    let train = plain(folder.path(), Split::Train).unwrap();
    assert_eq!((train.labels(), train.num_classes(), train.shape()), (&[0, 1, 2, 2][..], 3, [3, 2, 3]));
    let reds: Vec<u8> = train.pixels().unwrap().chunks(18).map(|image| image[0]).collect();
    assert_eq!(reds, [3, 4, 1, 2]);
    assert_eq!(&train.pixels().unwrap()[6..18], [[0; 6], [100; 6]].concat());
    let test = plain(folder.path(), Split::Test).unwrap();
    assert_eq!((test.labels(), test.num_classes()), (&[1][..], 3));
    // Only those that are asked for are read.
    fs::write(at("train/cat/2.png"), "no image").unwrap();
    let three = load(folder.path(), Split::Train, Some(3), Preparation::default()).unwrap();
    assert_eq!(three.labels(), [0, 1, 2]);
    let error = plain(folder.path(), Split::Train).unwrap_err().to_string();
    assert!(error.contains("2.png") && error.contains("a PNG or JPEG image"), "{error}");
    // The folder of one split by itself, and a class that training does not know.
    assert_eq!(plain(&at("val"), Split::Test).unwrap().num_classes(), 1);
    picture(&at("val/cow/1.png"), [3, 2], 9);
    let error = plain(folder.path(), Split::Test).unwrap_err().to_string();
    assert!(error.contains("cow") && error.contains("training images have"), "{error}");
}

#[test]
fn images_of_several_sizes_are_resized_and_cropped_as_asked() {
    let folder = tempfile::tempdir().unwrap();
    picture(&folder.path().join("a/1.png"), [8, 4], 10);
    picture(&folder.path().join("a/2.jpg"), [5, 10], 200);
    let error = plain(folder.path(), Split::Test).unwrap_err().to_string();
    assert!(error.contains("--resize and --center-crop") && error.contains("10 x 5"), "{error}");
    let preparation = Preparation { resize: Some(4), center_crop: Some(3), channels_last: false };
    let data = load(folder.path(), Split::Test, None, preparation).unwrap();
    assert_eq!((data.shape(), data.pixels().unwrap()[4], data.num_classes()), ([3, 3, 3], 10, 1));
    assert!(data.pixels().unwrap()[27].abs_diff(200) < 8);
    assert_eq!(preparation.to_string(), "resize 4 (shorter side, bilinear, antialiased), center crop 3");
    let large = Preparation { center_crop: Some(100), ..Preparation::default() };
    assert!(load(folder.path(), Split::Test, None, large).unwrap_err().to_string().contains("cropped"));
    let mnist = Choice::Published(DatasetName::Mnist);
    let error = mnist.load_prepared(Split::Test, &Source::Embedded, None, &large).unwrap_err().to_string();
    assert!(error.contains("does not apply"), "{error}");
}

#[test]
fn grey_images_have_one_channel_and_damaged_ones_never_panic() {
    let folder = tempfile::tempdir().unwrap();
    let mut grey = Cursor::new(Vec::new());
    let image = DynamicImage::from(GrayImage::from_fn(4, 3, |x, y| [(x * 10 + y) as u8].into()));
    image.write_to(&mut grey, ImageFormat::Png).unwrap();
    let path = folder.path().join("digits/1.png");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let bytes = grey.into_inner();
    fs::write(&path, &bytes).unwrap();
    let data = plain(folder.path(), Split::Test).unwrap();
    assert_eq!((data.shape(), &data.pixels().unwrap()[..5]), ([1, 3, 4], &[0, 10, 20, 30, 1][..]));
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0xA5;
        fs::write(&path, &damaged).unwrap();
        let _ = plain(folder.path(), Split::Test);
        fs::write(&path, &bytes[..at]).unwrap();
        let cut = plain(folder.path(), Split::Test);
        assert!(cut.is_err() || at > bytes.len() / 2, "cut at {at}");
    }
}

/// One of ten million damaged pictures, made smaller: the decoder's product of a coefficient and its quantisation overflows.
#[test]
fn a_picture_on_which_the_decoder_panics_cannot_be_read_and_that_is_all() {
    let folder = tempfile::tempdir().unwrap();
    picture(&folder.path().join("ant/1.png"), [9, 17], 1);
    fs::write(folder.path().join("ant/2.jpg"), include_bytes!("overflow.jpg")).unwrap();
    let preparation = Preparation { resize: Some(8), center_crop: Some(6), ..Preparation::default() };
    let found = load(folder.path(), Split::Train, None, preparation);
    // Without overflow checks the product wraps, and there is a picture of a kind.
    if cfg!(debug_assertions) {
        let message = found.unwrap_err().to_string();
        assert!(message.contains("2.jpg") && message.contains("the decoder gave up"), "{message}");
    }
}

#[test]
fn a_picture_has_no_more_pixels_than_its_file_can_hold() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ant/1.png");
    // Nothing packs as well as one colour.
    picture(&path, [2000, 2000], 0);
    assert_eq!(plain(folder.path(), Split::Train).unwrap().shape(), [3, 2000, 2000]);
    let mut photo = Cursor::new(Vec::new());
    RgbImage::new(2000, 2000).write_to(&mut photo, ImageFormat::Jpeg).unwrap();
    let mut photo = photo.into_inner();
    fs::remove_file(&path).unwrap();
    let path = path.with_extension("jpg");
    fs::write(&path, &photo).unwrap();
    assert_eq!(plain(folder.path(), Split::Train).unwrap().shape(), [3, 2000, 2000]);
    // The header's height and width, and nothing behind it.
    let frame = photo.windows(2).position(|marker| marker == [0xff, 0xc0]).unwrap();
    photo[frame + 5..frame + 9].copy_from_slice(&[0x27, 0x10, 0x1f, 0x40]);
    photo.truncate(1000);
    fs::write(&path, &photo).unwrap();
    let message = plain(folder.path(), Split::Train).unwrap_err().to_string();
    assert!(message.contains("8000 x 10000 pixels in a file that is too short"), "{message}");
}

/// An array as NumPy saves it.
pub(super) fn npy(kind: &str, shape: &str, values: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}\n");
    [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), values].concat()
}

fn npz(arrays: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    for (name, bytes) in arrays {
        writer.start_file(format!("{name}.npy"), stored).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

#[test]
fn numpys_arrays_are_read_from_archives_and_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("digits.npz");
    let labels = npy("<i8", "(2,)", &[7i64.to_le_bytes(), 300i64.to_le_bytes()].concat());
    let arrays = [
        ("x_train", npy("|u1", "(1, 2, 3)", &[0; 6])),
        ("y_train", npy("|u1", "(1,)", &[1])),
        ("x_test", npy("|u1", "(2, 2, 3)", &(0..12).collect::<Vec<u8>>())),
        ("y_test", labels.clone()),
    ];
    fs::write(&path, npz(&arrays)).unwrap();
    let data = plain(&path, Split::Test).unwrap();
    assert_eq!((data.shape(), data.labels(), data.num_classes()), ([1, 2, 3], &[7, 300][..], 301));
    assert_eq!(data.pixels().unwrap(), (0..12).collect::<Vec<u8>>());
    assert_eq!(plain(&path, Split::Train).unwrap().len(), 1);
    // What NumPy's own `savez_compressed` wrote, of the same test images.
    fs::write(&path, include_bytes!("compressed.npz")).unwrap();
    assert_eq!(plain(&path, Split::Test).unwrap().sha256().unwrap(), data.sha256().unwrap());
    // Channels last, floats, and labels beside the images.
    let floats: Vec<u8> = (0..12).flat_map(|at: u8| (f32::from(at) / 255.0).to_le_bytes()).collect();
    fs::write(folder.path().join("fog.npy"), npy("<f4", "(1, 2, 2, 3)", &floats)).unwrap();
    fs::write(folder.path().join("labels.npy"), npy("|u1", "(1,)", &[4])).unwrap();
    let fog = folder.path().join("fog.npy");
    let error = plain(&fog, Split::Test).unwrap_err().to_string();
    assert!(error.contains("--channels-last"), "{error}");
    let last = Preparation { channels_last: true, ..Preparation::default() };
    let data = load(&fog, Split::Test, None, last).unwrap();
    assert_eq!((data.shape(), &data.pixels().unwrap()[..4]), ([3, 2, 2], &[0, 3, 6, 9][..]));
    fs::write(folder.path().join("labels.npy"), labels).unwrap();
    assert!(matches!(load(&fog, Split::Test, None, last), Err(Error::Counts { .. })));
}

#[test]
fn bad_arrays_name_file_and_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.npy");
    fs::write(folder.path().join("labels.npy"), npy("|u1", "(1,)", &[0])).unwrap();
    let message = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        let message = plain(&path, Split::Test).unwrap_err().to_string();
        assert!(message.contains("a.npy, byte "), "{message}");
        message
    };
    let good = npy("|u1", "(1, 1, 2, 2)", &[1, 2, 3, 4]);
    (0..good.len()).for_each(|cut| drop(message(&good[..cut])));
    message(&[&good[..], &[0]].concat());
    for at in 0..good.len() {
        // Whatever becomes of it, it is no panic.
        let mut damaged = good.clone();
        damaged[at] ^= 0x55;
        fs::write(&path, damaged).unwrap();
        let _ = plain(&path, Split::Test);
    }
    assert!(message(&npy(">f4", "(1, 1, 1, 1)", &[0; 4])).contains("little-endian"));
    assert!(message(&npy("|u1", "(99999999999, 99999999999)", &[])).contains("header"));
    assert!(message(&npy("|u1", "(0, 1, 2, 2)", &[])).contains("no dimension of 0"));
    assert!(message(&npy("<f4", "(1, 1, 1, 1)", &0.3f32.to_le_bytes())).contains("multiple of 1/255"));
    let archive = folder.path().join("b.npz");
    fs::write(&archive, npz(&[("pictures", good)])).unwrap();
    let error = plain(&archive, Split::Test).unwrap_err().to_string();
    assert!(error.contains("images_test") && error.contains("arrays [pictures]"), "{error}");
}

#[test]
fn safetensors_may_have_floats_and_many_classes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("own.safetensors");
    let pixels: Vec<u8> = [0.0f32, 1.0, 51.0 / 255.0, 0.0].iter().flat_map(|v| v.to_le_bytes()).collect();
    let save = |images: &[u8], label: i64| {
        let label = label.to_le_bytes();
        let images = TensorView::new(Dtype::F32, vec![1, 1, 2, 2], images).unwrap();
        let labels = TensorView::new(Dtype::I64, vec![1], &label).unwrap();
        fs::write(&path, serialize([("images", images), ("labels", labels)], None).unwrap()).unwrap();
        plain(&path, Split::Test)
    };
    let data = save(&pixels, 65_535).unwrap();
    assert_eq!(
        (&data.pixels().unwrap()[..], data.labels(), data.num_classes()),
        (&[0, 255, 51, 0][..], &[65_535][..], 65_536)
    );
    assert!(save(&pixels, 65_536).unwrap_err().to_string().contains("a label of 0 to 65535, found 65536"));
    let grey: Vec<u8> = [0.5f32; 4].iter().flat_map(|v| v.to_le_bytes()).collect();
    assert!(save(&grey, 0).unwrap_err().to_string().contains("multiple of 1/255"));
}

#[test]
fn idx_names_may_have_a_dot() {
    let folder = tempfile::tempdir().unwrap();
    let images = crate::idx::write_images(1, 1, 2, &[5, 6]);
    fs::write(folder.path().join("train-images.idx3-ubyte"), images).unwrap();
    fs::write(folder.path().join("train-labels.idx1-ubyte"), crate::idx::write_labels(&[1])).unwrap();
    for path in [folder.path().to_owned(), folder.path().join("train")] {
        assert_eq!(plain(&path, Split::Train).unwrap().pixels().unwrap()[..], [5, 6]);
    }
}

#[test]
fn digests_of_bytes_are_what_they_were() {
    let data = |labels: Vec<u16>| {
        Dataset::with_labels("x", 300, Split::Test, [1, 1, 1], vec![1; labels.len()], labels).unwrap()
    };
    let old = Dataset::new("x", 10, Split::Test, [1, 1, 1], vec![1, 1], vec![3, 4]).unwrap();
    assert_eq!(data(vec![3, 4]).sha256().unwrap(), old.sha256().unwrap());
    assert_ne!(data(vec![3, 260]).sha256().unwrap(), data(vec![3, 4]).sha256().unwrap());
}
