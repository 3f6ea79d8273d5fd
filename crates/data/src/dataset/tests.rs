use std::fs;

use robin_core::host;

use super::*;
use crate::{gzip, matlab};

/// Two MNIST-shaped examples with recognisable pixels.
fn mnist_files() -> (Vec<u8>, Vec<u8>) {
    let pixels: Vec<u8> = (0..2 * 784).map(|at| (at % 256) as u8).collect();
    (idx::write_images(2, 28, 28, &pixels), idx::write_labels(&[7, 2]))
}

fn from_mnist(images: Vec<u8>, labels: Vec<u8>) -> Result<Dataset> {
    let files = vec![("images".to_owned(), images), ("labels".to_owned(), labels)];
    Dataset::from_files(DatasetName::Mnist, Split::Test, files)
}

fn tiny() -> Dataset {
    let pixels = vec![0, 51, 102, 255, 10, 20, 30, 40, 1, 2, 3, 4];
    Dataset::from_parts(DatasetName::Mnist, Split::Test, [1, 2, 2], pixels, vec![3, 0, 3]).unwrap()
}

#[test]
fn an_idx_pair_becomes_a_data_set() {
    let (images, labels) = mnist_files();
    let data = from_mnist(images, labels).unwrap();
    assert_eq!((data.len(), data.shape(), data.labels()), (2, [1, 28, 28], &[7, 2][..]));
    assert_eq!(data.pixels().unwrap()[784..788], [16, 17, 18, 19]);
}

#[test]
fn files_that_do_not_belong_together_are_refused() {
    let (images, _) = mnist_files();
    let outcome = from_mnist(images.clone(), idx::write_labels(&[1, 2, 3]));
    assert!(matches!(outcome, Err(Error::Counts { first_count: 2, second_count: 3, .. })));
    let outcome = from_mnist(images, idx::write_labels(&[1, 10]));
    assert!(matches!(outcome, Err(Error::Format { offset: 9, .. })));
    let square = idx::write_images(2, 27, 28, &[0; 2 * 27 * 28]);
    let outcome = from_mnist(square, idx::write_labels(&[1, 2]));
    assert!(matches!(outcome, Err(Error::Format { offset: 8, .. })));
}

#[test]
fn cifar_batches_are_joined_in_their_order() {
    let batch = |label: u8| vec![label; cifar::RECORD];
    let files = vec![("one".to_owned(), [batch(4), batch(1)].concat()), ("two".to_owned(), batch(9))];
    let data = Dataset::from_files(DatasetName::Cifar10, Split::Train, files).unwrap();
    assert_eq!((data.labels(), data.shape()), (&[4, 1, 9][..], [3, 32, 32]));
    assert_eq!(data.pixels().unwrap()[2 * cifar::IMAGE..], [9; cifar::IMAGE]);
    let files = vec![("one".to_owned(), batch(4)), ("two".to_owned(), batch(10))];
    let outcome = Dataset::from_files(DatasetName::Cifar10, Split::Train, files);
    assert!(matches!(outcome, Err(Error::Format { file, offset: 0, .. }) if file == "two"));
}

#[test]
fn batches_are_pixels_over_255_in_the_order_asked_for() {
    let ids = [ExampleId::first(2), ExampleId { index: 0, occurrence: 4 }];
    let batch = tiny().batch(&ids, &LabelMap::OneVsAll { class: 3 }).unwrap();
    assert_eq!(batch.images.dims(), [2, 1, 2, 2]);
    let expected: Vec<f32> = [1, 2, 3, 4, 0, 51, 102, 255].map(|pixel: u8| f32::from(pixel) / 255.0).to_vec();
    assert_eq!(host::to_vec(&batch.images).unwrap(), expected);
    assert_eq!((batch.labels, batch.ids), (vec![1, 1], ids.to_vec()));
    assert_eq!(tiny().batch(&[ExampleId::first(1)], &LabelMap::Identity).unwrap().labels, [0]);
}

#[test]
fn examples_and_classes_that_there_are_not_are_refused() {
    let data = tiny();
    let beyond = data.batch(&[ExampleId::first(3)], &LabelMap::Identity);
    assert!(matches!(beyond, Err(Error::Index { index: 3, available: 3 })));
    // Also when the pixels are there, but `take` has left them out.
    let left_out = data.take(2).unwrap().batch(&[ExampleId::first(2)], &LabelMap::Identity);
    assert!(matches!(left_out, Err(Error::Index { index: 2, available: 2 })));
    let class = data.batch(&[ExampleId::first(0)], &LabelMap::OneVsAll { class: 10 });
    assert!(matches!(class, Err(Error::Class { class: 10, classes: 10 })));
    for limit in [0, 4] {
        assert!(matches!(data.take(limit), Err(Error::Limit { available: 3, .. })));
    }
}

#[test]
fn the_hash_is_that_of_exactly_these_examples() {
    let data = tiny();
    let two = data.take(2).unwrap();
    assert_ne!(two.sha256().unwrap(), data.sha256().unwrap());
    let rebuilt = Dataset::from_parts(
        DatasetName::Mnist,
        Split::Test,
        [1, 2, 2],
        two.pixels().unwrap().to_vec(),
        vec![3, 0],
    );
    assert_eq!(rebuilt.unwrap().sha256().unwrap(), two.sha256().unwrap());
    assert_eq!(data.take(3).unwrap().sha256().unwrap(), data.sha256().unwrap());
    let labels = data.labels().iter().map(|&label| label as u8).collect();
    let pixels = data.pixels().unwrap().to_vec();
    let reshaped = Dataset::from_parts(DatasetName::Mnist, Split::Test, [1, 4, 1], pixels, labels);
    assert_ne!(reshaped.unwrap().sha256().unwrap(), data.sha256().unwrap());
}

/// Whatever has a name is read by its format: two images of each, the second of the last class.
#[test]
fn every_format_of_a_named_set_is_read() {
    for &name in DatasetName::ALL {
        let ([c, h, w], last) = (name.shape(), name.num_classes() as u8 - 1);
        let pixels: Vec<u8> = (0..2 * c * h * w).map(|at| at as u8).collect();
        let file = |contents: Vec<u8>| ("f".to_owned(), contents);
        let record = |at: usize, label: &[u8]| [label, &pixels[at * c * h * w..][..c * h * w]].concat();
        let files = match name.entry().format {
            Format::Idx => {
                vec![file(idx::write_images(2, h, w, &pixels)), file(idx::write_labels(&[0, last]))]
            }
            Format::Cifar(cifar::Records::Cifar10) => {
                vec![file(record(0, &[0])), file(record(1, &[last]))]
            }
            // The coarse label, whatever it is, is passed over.
            Format::Cifar(cifar::Records::Cifar100) => {
                vec![file([record(0, &[19, 0]), record(1, &[3, last])].concat())]
            }
            Format::Matlab => vec![file(matlab::tests::written(&pixels, &[0, last]))],
        };
        let data = Dataset::from_files(name, Split::Test, files).unwrap();
        assert_eq!(
            (data.labels(), data.num_classes()),
            (&[0, last.into()][..], name.num_classes()),
            "{name}"
        );
        assert_eq!(data.pixels().unwrap()[..], pixels[..], "{name}");
    }
}

#[test]
fn a_folder_without_the_files_says_how_to_get_them() {
    let folder = tempfile::tempdir().unwrap();
    for &name in DatasetName::ALL {
        let outcome = Dataset::load(name, Split::Train, &Source::Folder(folder.path().to_owned()));
        let message = outcome.unwrap_err().to_string();
        assert!(message.contains(&format!("cargo xtask data fetch {name}")), "{message}");
        assert!(message.contains(canonical::files(name)[0].name), "{message}");
    }
}

#[test]
fn files_that_are_not_the_published_ones_are_not_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let source = Source::Folder(folder.path().to_owned());
    let load = || Dataset::load(DatasetName::Mnist, Split::Test, &source);
    let own = DatasetName::Mnist.folder(folder.path());
    fs::create_dir(&own).unwrap();
    let [images, labels] = canonical::split_files(DatasetName::Mnist, Split::Test) else {
        panic!("two files")
    };

    let (path, packed) = (own.join(images.name), own.join(format!("{}.gz", images.name)));
    fs::write(&path, [0; 100]).unwrap();
    assert!(matches!(load(), Err(Error::Format { offset: 100, .. })), "truncated");
    fs::write(&path, vec![0; images.size as usize + 1]).unwrap();
    assert!(matches!(load(), Err(Error::Format { offset, .. }) if offset == images.size), "oversized");
    // Well formed, the right size, and still not MNIST.
    let forged = idx::write_images(10_000, 28, 28, &vec![0; images.size as usize - 16]);
    fs::write(&path, &forged).unwrap();
    assert!(matches!(load(), Err(Error::Checksum { file, .. }) if file.ends_with(images.name)));
    fs::remove_file(&path).unwrap();
    fs::write(&packed, gzip::pack(&forged)).unwrap();
    assert!(matches!(load(), Err(Error::Checksum { file, .. }) if file.ends_with(".gz")));
    assert!(!own.join(labels.name).exists());
}

#[test]
fn a_map_restricts_and_relabels() {
    let (pixels, labels) = (vec![10, 11, 12, 13, 14], vec![7, 2, 0, 7, 2]);
    let data = Dataset::from_parts(DatasetName::Mnist, Split::Train, [1, 1, 1], pixels, labels).unwrap();
    let pair = LabelMap::OneVsOne { a: 7, b: 2 };
    let kept = data.restricted(&pair).unwrap();
    assert_eq!(
        (&kept.pixels().unwrap()[..], kept.labels(), kept.num_classes()),
        (&[10, 11, 13, 14][..], &[7, 2, 7, 2][..], 10)
    );
    let mapped = data.relabelled(&pair).unwrap();
    assert_eq!((mapped.labels(), mapped.num_classes()), (&[1, 0, 1, 0][..], 2));
    assert_ne!(mapped.sha256().unwrap(), kept.sha256().unwrap());
    // A batch of an example that has no label in the network's task is refused, not mislabelled.
    let third = [ExampleId::first(2)];
    assert!(matches!(data.batch(&third, &pair), Err(Error::NotKept { label: 0, .. })));
    assert_eq!(kept.batch(&third, &pair).unwrap().labels, [1]);
    let nobody = data.restricted(&LabelMap::OneVsOne { a: 8, b: 9 });
    assert!(matches!(nobody, Err(Error::NoExamples { examples: 5, .. })));
    // Everything kept: the same examples, the same hash.
    let all = data.restricted(&LabelMap::OneVsAll { class: 7 }).unwrap();
    assert_eq!(all.sha256().unwrap(), data.sha256().unwrap());
}

#[test]
fn a_sample_is_drawn_without_repeats_and_repeatably() {
    let labels: Vec<u8> = (0..100).map(|at| at / 10).collect();
    let data =
        Dataset::from_parts(DatasetName::Mnist, Split::Test, [1, 1, 1], (0..100).collect(), labels).unwrap();
    let draw = |count, seed| data.sample(count, Seed::new(seed)).unwrap();
    let sample = draw(40, 1);
    assert_eq!(
        (sample.pixels().unwrap(), sample.sha256().unwrap()),
        (draw(40, 1).pixels().unwrap(), draw(40, 1).sha256().unwrap())
    );
    assert_ne!(sample.pixels().unwrap(), draw(40, 2).pixels().unwrap());
    let mut drawn = sample.pixels().unwrap().to_vec();
    drawn.sort_unstable();
    drawn.dedup();
    assert_eq!(drawn.len(), 40, "no image twice");
    for (pixel, label) in sample.pixels().unwrap().iter().zip(sample.labels()) {
        assert_eq!(u16::from(pixel / 10), *label, "an image keeps its label");
    }
    // The first ones of a larger sample: a prefix of a sample is a sample.
    assert_eq!(draw(100, 1).take(40).unwrap().pixels().unwrap(), sample.pixels().unwrap());
    for count in [0, 101] {
        assert!(matches!(data.sample(count, Seed::new(1)), Err(Error::Limit { available: 100, .. })));
    }
}

#[test]
fn a_number_of_classes_may_be_more_than_the_labels_show() {
    let data = tiny();
    assert_eq!(data.with_classes(4).unwrap().num_classes(), 4);
    let more = data.with_classes(65_536).unwrap();
    assert_eq!((more.num_classes(), more.sha256().unwrap()), (65_536, data.sha256().unwrap()));
    for classes in [0, 3, 65_537] {
        assert!(matches!(data.with_classes(classes), Err(Error::Classes { least: 4, .. })), "{classes}");
    }
}
