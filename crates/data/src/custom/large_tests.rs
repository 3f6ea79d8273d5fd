//! Sets that stay in their files are those that are brought into memory.

use std::fs;
use std::path::Path;

use image::{Rgb, RgbImage};
use robin_core::{ExampleId, Seed};
use safetensors::tensor::{TensorView, serialize};
use tempfile::TempDir;

use super::more_tests::npy;
use super::*;
use crate::{LabelMap, idx};

/// Of each format that is read in part the path of a set of four images or so, and what is to be done to them.
fn sets(folder: &TempDir) -> Vec<(std::path::PathBuf, Preparation)> {
    let at = |name: &str| folder.path().join(name);
    let pixels: Vec<u8> = (0..48).map(|at| at * 5).collect();
    let floats: Vec<u8> = pixels.iter().flat_map(|&at| (f32::from(at) / 255.0).to_le_bytes()).collect();
    let doubles: Vec<u8> = pixels.iter().flat_map(|&at| (f64::from(at) / 255.0).to_le_bytes()).collect();
    let labels = [2, 0, 1, 1];
    fs::write(at("a-images-idx3-ubyte"), idx::write_images(4, 3, 4, &pixels)).unwrap();
    fs::write(at("a-labels-idx1-ubyte"), idx::write_labels(&labels)).unwrap();
    for (name, kind, values, shape) in [
        ("u8", "|u1", &pixels, "(4, 3, 2, 2)"),
        ("floats", "<f4", &floats, "(4, 3, 2, 2)"),
        ("last", "<f8", &doubles, "(4, 2, 2, 3)"),
    ] {
        fs::write(at(&format!("{name}-images.npy")), npy(kind, shape, values)).unwrap();
        fs::write(at(&format!("{name}-labels.npy")), npy("|u1", "(4,)", &labels)).unwrap();
    }
    let tensors = |dtype, values| {
        let images = TensorView::new(dtype, vec![4, 3, 2, 2], values).unwrap();
        let labels = TensorView::new(safetensors::Dtype::U8, vec![4], &labels).unwrap();
        serialize([("images", images), ("labels", labels)], None).unwrap()
    };
    fs::write(at("u8.safetensors"), tensors(safetensors::Dtype::U8, &pixels)).unwrap();
    fs::write(at("f32.safetensors"), tensors(safetensors::Dtype::F32, &floats)).unwrap();
    for (name, sides, colour) in
        [("ant/1.png", [5, 4], 7), ("ant/2.png", [4, 9], 90), ("bee/1.jpg", [6, 6], 200)]
    {
        fs::create_dir_all(at("tree").join(name).parent().unwrap()).unwrap();
        RgbImage::from_fn(sides[0], sides[1], |x, y| Rgb([colour, (x * 9) as u8, (y * 20) as u8]))
            .save(at("tree").join(name))
            .unwrap();
    }
    let plain = Preparation::default();
    let last = Preparation { channels_last: true, ..plain };
    let cropped = Preparation { resize: Some(4), center_crop: Some(3), ..plain };
    let arrays = ["a", "u8-images.npy", "floats-images.npy", "u8.safetensors", "f32.safetensors"];
    let mut sets: Vec<_> = arrays.iter().map(|name| (at(name), plain)).collect();
    sets.extend([(at("last-images.npy"), last), (at("tree"), cropped)]);
    sets
}

fn read(path: &Path, preparation: &Preparation, in_memory: usize) -> Result<Dataset> {
    load(path, &Reading { in_memory, ..Reading::new(Split::Test, None, preparation) })
}

#[test]
fn a_set_in_its_file_is_the_set_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    for (path, preparation) in sets(&folder) {
        let name = path.display();
        let (near, far) =
            (read(&path, &preparation, IN_MEMORY).unwrap(), read(&path, &preparation, 0).unwrap());
        assert!(near.is_in_memory() && !far.is_in_memory(), "{name}");
        assert_eq!(
            (near.labels(), near.shape(), near.num_classes()),
            (far.labels(), far.shape(), far.num_classes())
        );
        assert_eq!(near.sha256().unwrap(), far.sha256().unwrap(), "{name}");
        assert_eq!(near.pixels().unwrap(), far.pixels().unwrap(), "{name}");
        let ids: Vec<ExampleId> = [2, 0, 2, 1].map(ExampleId::first).to_vec();
        let values = |data: &Dataset| {
            let batch = data.batch(&ids, &LabelMap::Identity).unwrap();
            (batch.images.flatten_all().unwrap().to_vec1::<f32>().unwrap(), batch.labels)
        };
        assert_eq!(values(&near), values(&far), "{name}");
        let parts = |data: &Dataset| {
            let sample = data.sample(2, Seed::new(4)).unwrap().select(&[1, 0, 1]).unwrap();
            let map = LabelMap::OneVsOne { a: 1, b: 0 };
            [sample, data.take(2).unwrap(), data.restricted(&map).unwrap().relabelled(&map).unwrap()]
                .map(|part| (part.sha256().unwrap().to_owned(), part.labels().to_vec()))
        };
        assert_eq!(parts(&near), parts(&far), "{name}");
        assert!(matches!(far.image(9), Err(Error::Index { index: 9, .. })));
    }
}

#[test]
fn what_is_wrong_with_one_image_is_told_when_it_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a-images.npy");
    let values: Vec<u8> = [0.0f32, 1.0, 0.5, 1.0].iter().flat_map(|v| v.to_le_bytes()).collect();
    fs::write(&path, npy("<f4", "(2, 1, 1, 2)", &values)).unwrap();
    fs::write(folder.path().join("a-labels.npy"), npy("|u1", "(2,)", &[0, 1])).unwrap();
    let preparation = Preparation::default();
    let data = read(&path, &preparation, 0).unwrap();
    assert_eq!(data.image(0).unwrap()[..], [0, 255]);
    let message = data.image(1).unwrap_err().to_string();
    assert!(message.contains("a-images.npy, byte ") && message.contains("found 0.5"), "{message}");
    assert!(data.sha256().is_err() && data.pixels().is_err());
    // A file that became shorter meanwhile, and one that always was.
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 12]).unwrap();
    let message = data.image(0).map(|image| image.to_vec()).unwrap_err().to_string();
    assert!(message.contains("a-images.npy"), "{message}");
    let message = read(&path, &preparation, 0).unwrap_err().to_string();
    assert!(message.contains("2 images of 1 x 1 x 2"), "{message}");
}
