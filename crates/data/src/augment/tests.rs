use std::collections::HashSet;

use proptest::prelude::*;
use robin_core::ExampleId;

use super::*;

/// `n` images of distinct positive pixels, so that every window is recognised.
fn batch(n: usize, channels: usize, height: usize, width: usize) -> Batch {
    let values: Vec<f32> = (0..n * channels * height * width).map(|at| (at + 1) as f32 / 65_536.0).collect();
    let images = Tensor::from_vec(values, (n, channels, height, width), &Device::Cpu).unwrap();
    let ids = (0..n as u32).map(|index| ExampleId { index, occurrence: index % 3 }).collect();
    Batch::new(images, vec![0; n], ids).unwrap()
}

fn images(batch: &Batch) -> Vec<Vec<f32>> {
    let length = batch.images.elem_count() / batch.len();
    host::to_vec(&batch.images).unwrap().chunks(length).map(<[f32]>::to_vec).collect()
}

/// Only a crop, as the paper has it.
fn crop_of(crop_padding: usize) -> Augmentation {
    Augmentation { crop_padding, ..Augmentation::NONE }
}

/// Crop, reflected padding and mirroring together.
fn everything(crop_padding: usize) -> Augmentation {
    Augmentation { crop_padding, padding: Padding::Reflect, flip: Flip::Horizontal }
}

/// The window of `image` moved by (`down`, `right`), straight from the definition.
fn window(image: &[f32], [c, h, w]: [usize; 3], down: isize, right: isize) -> Vec<f32> {
    let at = |plane: usize, y: usize, x: usize| {
        let (y, x) = (y as isize + down, x as isize + right);
        let inside = (0..h as isize).contains(&y) && (0..w as isize).contains(&x);
        if inside { image[(plane * h + y as usize) * w + x as usize] } else { 0.0 }
    };
    (0..c * h * w).map(|i| at(i / (h * w), i / w % h, i % w)).collect()
}

proptest! {
    #[test]
    fn every_crop_is_a_window_of_the_padded_image(
        channels in 1usize..4, height in 1usize..7, width in 1usize..7, padding in 0usize..9, seed: u64,
    ) {
        let clean = batch(3, channels, height, width);
        let padding = padding.min(height).min(width);
        let cropped = crop_of(padding).apply(&clean, Seed::new(seed)).unwrap();
        prop_assert_eq!(cropped.images.dims(), clean.images.dims());
        prop_assert_eq!(&cropped.ids, &clean.ids);
        let reach = padding as isize;
        for (before, after) in images(&clean).iter().zip(images(&cropped)) {
            let found = (-reach..=reach).any(|down| {
                (-reach..=reach)
                    .any(|right| window(before, [channels, height, width], down, right) == after)
            });
            prop_assert!(found, "no window of {:?} is {:?}", before, after);
        }
    }

    #[test]
    fn what_becomes_of_an_image_depends_on_its_own_address_alone(seed: u64) {
        let clean = batch(6, 2, 5, 5);
        let crop = |batch: &Batch| images(&everything(3).apply(batch, Seed::new(seed)).unwrap());
        let together = crop(&clean);
        prop_assert_eq!(&together, &crop(&clean));
        let rows = [4, 1];
        let apart = crop(&clean.select(&rows).unwrap());
        prop_assert_eq!(apart, vec![together[4].clone(), together[1].clone()]);
    }
}

#[test]
fn no_padding_and_no_flip_change_nothing() {
    let clean = batch(2, 1, 4, 4);
    let same = Augmentation::NONE.apply(&clean, Seed::new(1)).unwrap();
    assert_eq!(images(&same), images(&clean));
}

#[test]
fn all_positions_occur_and_differ_between_copies_and_seeds() {
    // One image under many occurrences: 9 positions at padding 1.
    let one = batch(1, 1, 3, 3);
    let copies: Vec<ExampleId> = (0..300).map(|occurrence| ExampleId { index: 0, occurrence }).collect();
    let copies = Batch::new(one.images.repeat((300, 1, 1, 1)).unwrap(), vec![0; 300], copies).unwrap();
    let crop = |seed| images(&crop_of(1).apply(&copies, Seed::new(seed)).unwrap());
    let bits = |image: &Vec<f32>| image.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
    let distinct: HashSet<Vec<u32>> = crop(1).iter().map(bits).collect();
    assert_eq!(distinct.len(), 9);
    assert_ne!(crop(1), crop(2));
}

/// One image of 3 x 4 with pixels 0 to 11, as `copies` different examples.
fn counting(copies: u32) -> Batch {
    let one = Tensor::arange(0f32, 12.0, &Device::Cpu).unwrap().reshape((1, 1, 3, 4)).unwrap();
    let ids = (0..copies).map(ExampleId::first).collect();
    Batch::new(one.repeat((copies as usize, 1, 1, 1)).unwrap(), vec![0; copies as usize], ids).unwrap()
}

#[test]
fn reflected_padding_is_that_of_pytorch() {
    // torch.nn.functional.pad(torch.arange(12.).reshape(1, 1, 3, 4), (2, 2, 2, 2), mode="reflect")
    let padded: [[u8; 8]; 7] = [
        [10, 9, 8, 9, 10, 11, 10, 9],
        [6, 5, 4, 5, 6, 7, 6, 5],
        [2, 1, 0, 1, 2, 3, 2, 1],
        [6, 5, 4, 5, 6, 7, 6, 5],
        [10, 9, 8, 9, 10, 11, 10, 9],
        [6, 5, 4, 5, 6, 7, 6, 5],
        [2, 1, 0, 1, 2, 3, 2, 1],
    ];
    let window = |top: usize, left: usize| -> Vec<u8> {
        (0..12).map(|at| padded[top + at / 4][left + at % 4]).collect()
    };
    let all: HashSet<Vec<u8>> = (0..25).map(|at| window(at / 5, at % 5)).collect();
    let augmentation = Augmentation { flip: Flip::None, ..everything(2) };
    let found: HashSet<Vec<u8>> = images(&augmentation.apply(&counting(1000), Seed::new(3)).unwrap())
        .into_iter()
        .map(|image| image.into_iter().map(|value| value as u8).collect())
        .collect();
    assert_eq!(found, all);
}

#[test]
fn half_of_the_images_are_mirrored_and_where_they_are_cut_does_not_move() {
    let mirrored = |image: &[f32]| -> Vec<f32> {
        image.chunks(4).flat_map(|row| row.iter().rev().copied().collect::<Vec<_>>()).collect()
    };
    for padding in [0, 1] {
        let seed = Seed::new(11);
        let straight = images(&crop_of(padding).apply(&counting(1000), seed).unwrap());
        let flipping = Augmentation { flip: Flip::Horizontal, ..crop_of(padding) };
        let flipped = images(&flipping.apply(&counting(1000), seed).unwrap());
        let mut count = 0;
        for (before, after) in straight.iter().zip(&flipped) {
            if before != after {
                assert_eq!(&mirrored(before), after);
                count += 1;
            }
        }
        // 500 expected, five standard deviations of 15.8.
        assert!((421..=579).contains(&count), "{count}");
    }
}

#[test]
fn the_crop_of_the_paper_is_bit_for_bit_what_it_was_before_the_other_choices_came() {
    let cropped = crop_of(3).apply(&batch(5, 2, 6, 5), Seed::new(7)).unwrap();
    let bytes: Vec<u8> =
        host::to_vec(&cropped.images).unwrap().iter().flat_map(|v| v.to_le_bytes()).collect();
    let expected = "7333ab1135c48783f94067964a4a0e7b732e7fd86e9647a569f07c454bbac7f5";
    assert_eq!(robin_files::checksum::sha256(&bytes), expected);
}

#[test]
fn padding_wider_than_the_image_is_refused() {
    let message = everything(3).apply(&counting(1), Seed::new(1)).unwrap_err().to_string();
    assert!(message.contains("crop_padding 3") && message.contains("3 x 4: allowed is 0 to 2"), "{message}");
    assert!(everything(2).apply(&counting(1), Seed::new(1)).is_ok());
    assert!(crop_of(3).apply(&counting(1), Seed::new(1)).is_ok());
    for padding in [4, 1_000_000, usize::MAX] {
        let message = crop_of(padding).apply(&counting(1), Seed::new(1)).unwrap_err().to_string();
        assert!(message.contains(&format!("crop_padding {padding} ")), "{message}");
        assert!(message.contains("3 x 4: allowed is 0 to 3"), "{message}");
    }
}
