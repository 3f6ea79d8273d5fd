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
        let cropped = RandomCrop { padding }.apply(&clean, Seed::new(seed)).unwrap();
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
    fn a_crop_depends_on_its_own_address_alone(seed: u64) {
        let clean = batch(6, 2, 5, 5);
        let crop = |batch: &Batch| images(&RandomCrop { padding: 3 }.apply(batch, Seed::new(seed)).unwrap());
        let together = crop(&clean);
        prop_assert_eq!(&together, &crop(&clean));
        let rows = [4, 1];
        let apart = crop(&clean.select(&rows).unwrap());
        prop_assert_eq!(apart, vec![together[4].clone(), together[1].clone()]);
    }
}

#[test]
fn no_padding_changes_nothing() {
    let clean = batch(2, 1, 4, 4);
    let same = RandomCrop { padding: 0 }.apply(&clean, Seed::new(1)).unwrap();
    assert_eq!(images(&same), images(&clean));
}

#[test]
fn all_positions_occur_and_differ_between_copies_and_seeds() {
    // One image under many occurrences: 9 positions at padding 1.
    let one = batch(1, 1, 3, 3);
    let copies: Vec<ExampleId> = (0..300).map(|occurrence| ExampleId { index: 0, occurrence }).collect();
    let copies = Batch::new(one.images.repeat((300, 1, 1, 1)).unwrap(), vec![0; 300], copies).unwrap();
    let crop = |seed| images(&RandomCrop { padding: 1 }.apply(&copies, Seed::new(seed)).unwrap());
    let bits = |image: &Vec<f32>| image.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
    let distinct: HashSet<Vec<u32>> = crop(1).iter().map(bits).collect();
    assert_eq!(distinct.len(), 9);
    assert_ne!(crop(1), crop(2));
}
