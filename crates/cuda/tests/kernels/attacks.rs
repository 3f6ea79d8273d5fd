use robin_cuda::kernels::attack::{self, Ball, Watch};
use robin_cuda::kernels::batches::{Cut, Images, Outside, Rows, add_rows};

use super::{context, numbers};

const LENGTH: usize = 50;

fn size(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum::<f64>().sqrt()
}

#[test]
fn steps_move_along_the_gradient_and_stay_in_ball_and_box() {
    let Some(context) = context() else { return };
    let clean: Vec<f32> = numbers(3 * LENGTH, 1).iter().map(|v| (v + 1.0) / 2.0).collect();
    let mut gradient = numbers(3 * LENGTH, 2);
    gradient[LENGTH..2 * LENGTH].fill(0.0); // the second image has none
    let on = |values: &[f32]| context.upload(values).unwrap();
    let (on_clean, on_gradient) = (on(&clean), on(&gradient));
    for (ball, epsilon) in
        [(Ball::Linf { epsilon: 0.05, step: 0.02 }, 0.05), (Ball::L2 { epsilon: 0.3, step: 0.2 }, 0.3)]
    {
        let images = on(&clean);
        attack::step(&context, ball, &images, &on_clean, &on_gradient, LENGTH, None).unwrap();
        let once = images.to_vec().unwrap();
        assert_eq!(once[LENGTH..2 * LENGTH], clean[LENGTH..2 * LENGTH], "no gradient, no step");
        for row in [0, 2] {
            let row = row * LENGTH..(row + 1) * LENGTH;
            let length = gradient[row.clone()].iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
            for at in row {
                let moved = match ball {
                    Ball::Linf { step, .. } => (step as f32) * gradient[at].signum(),
                    Ball::L2 { step, .. } => (step / length * f64::from(gradient[at])) as f32,
                };
                let expected = (clean[at] + moved).clamp(0.0, 1.0);
                assert!((once[at] - expected).abs() < 1e-6, "{at}: {} {expected}", once[at]);
            }
        }
        for _ in 0..5 {
            attack::step(&context, ball, &images, &on_clean, &on_gradient, LENGTH, None).unwrap();
        }
        let far = images.to_vec().unwrap();
        assert!(far.iter().all(|x| (0.0..=1.0).contains(x)));
        for (far, clean) in far.chunks(LENGTH).zip(clean.chunks(LENGTH)) {
            let distance = match ball {
                Ball::L2 { .. } => size(far, clean),
                Ball::Linf { .. } => {
                    far.iter().zip(clean).fold(0.0, |most: f64, (a, b)| most.max(f64::from((a - b).abs())))
                }
            };
            assert!(distance <= epsilon * (1.0 + 1e-5) + 1e-7, "{ball:?}: {distance}");
        }
    }
}

#[test]
fn a_gradient_that_is_no_number_is_not_hidden() {
    let Some(context) = context() else { return };
    let clean = context.upload(&[0.5_f32; 2 * LENGTH]).unwrap();
    let mut gradient = [1.0_f32; 2 * LENGTH];
    for (value, ball) in [
        (f32::NAN, Ball::Linf { epsilon: 0.1, step: 0.1 }),
        (f32::INFINITY, Ball::Linf { epsilon: 0.1, step: 0.1 }),
        (f32::NAN, Ball::L2 { epsilon: 0.1, step: 0.1 }),
        (f32::INFINITY, Ball::L2 { epsilon: 0.1, step: 0.1 }),
    ] {
        gradient[3] = value;
        let images = context.upload(&[0.5_f32; 2 * LENGTH]).unwrap();
        attack::step(&context, ball, &images, &clean, &context.upload(&gradient).unwrap(), LENGTH, None)
            .unwrap();
        let found = images.to_vec().unwrap();
        assert!(found[3].is_nan(), "{value} {ball:?}");
        assert!(found[LENGTH..].iter().all(|x| x.is_finite() && *x > 0.5), "the other image: {ball:?}");
    }
}

/// Uniform by volume: size^d is uniform with mean 1/2, and no direction is preferred.
#[test]
fn l2_starts_fill_the_ball_and_depend_on_their_ids_alone() {
    const ROWS: usize = 1_000;
    const PIXELS: usize = 21; // the last block of draws is not full
    let Some(context) = context() else { return };
    let clean = context.upload(&[0.5_f32; ROWS * PIXELS]).unwrap();
    let ids: Vec<u32> = (0..ROWS as u32).flat_map(|row| [row / 2, row % 2]).collect();
    let start = |ids: &[u32], clean, images: &_| {
        let ball = Ball::L2 { epsilon: 0.4, step: 0.0 };
        attack::start(&context, ball, clean, &context.upload(ids).unwrap(), [3, 4], images).unwrap();
    };
    let images = context.buffer(ROWS * PIXELS).unwrap();
    start(&ids, &clean, &images);
    let found = images.to_vec().unwrap();
    let sizes = found.chunks(PIXELS).map(|row| size(row, &[0.5; PIXELS]) / 0.4);
    let shares: Vec<f64> = sizes.map(|size| size.powi(PIXELS as i32)).collect();
    assert!(shares.iter().all(|share| *share <= 1.0 + 1e-4));
    let mean = shares.iter().sum::<f64>() / ROWS as f64;
    assert!((mean - 0.5).abs() < 5.0 / (12.0 * ROWS as f64).sqrt(), "{mean}");
    for pixel in 0..PIXELS {
        let moves = found.iter().skip(pixel).step_by(PIXELS).map(|x| f64::from(*x) - 0.5);
        let mean = moves.sum::<f64>() / ROWS as f64;
        let deviation = 0.4 / (PIXELS as f64 + 2.0).sqrt();
        assert!(mean.abs() < 5.0 * deviation / (ROWS as f64).sqrt(), "pixel {pixel}: {mean}");
    }
    let two = context.buffer(2 * PIXELS).unwrap();
    start(&[ids[10..12].to_vec(), ids[..2].to_vec()].concat(), &clean.first(2 * PIXELS).unwrap(), &two);
    assert_eq!(two.to_vec().unwrap(), [&found[5 * PIXELS..6 * PIXELS], &found[..PIXELS]].concat());
    assert_ne!(found[..PIXELS], found[PIXELS..2 * PIXELS], "copies of an example differ");
}

#[test]
fn starts_stay_in_the_box() {
    let Some(context) = context() else { return };
    let clean = context.upload(&[0.01_f32; 2 * LENGTH]).unwrap();
    let ids = context.upload(&[0, 0, 1, 0]).unwrap();
    for ball in [Ball::Linf { epsilon: 0.5, step: 0.0 }, Ball::L2 { epsilon: 5.0, step: 0.0 }] {
        let images = context.buffer(2 * LENGTH).unwrap();
        attack::start(&context, ball, &clean, &ids, [1, 2], &images).unwrap();
        let found = images.to_vec().unwrap();
        assert!(found.iter().all(|x| (0.0..=1.0).contains(x)) && found.contains(&0.0), "{ball:?}");
    }
}

#[test]
fn rows_are_gathered_and_put_back() {
    let Some(context) = context() else { return };
    let all = numbers(4 * 3, 3);
    let on = context.upload(&all).unwrap();
    let rows = Rows::new(&context, &[3, 1]).unwrap();
    let some = rows.gather(&context, &on, 3).unwrap();
    assert_eq!(some.to_vec().unwrap(), [&all[9..], &all[3..6]].concat());
    let to = context.zeros::<f32>(12).unwrap();
    // As many as there are images, whatever follows.
    let rows = Rows::new(&context, &[0, 2, 2]).unwrap();
    rows.scatter(&context, &some, 3, &to).unwrap();
    assert_eq!(to.to_vec().unwrap(), [&all[9..], &[0.0; 3], &all[3..6], &[0.0; 3]].concat());
    add_rows(&context, &some, Some(&rows), (2, 3), &to).unwrap();
    add_rows(&context, &some, None, (1, 3), &to).unwrap();
    let sum = |at: usize, times: f32| all[at..at + 3].iter().map(|x| times * x).collect::<Vec<_>>();
    let expected = [sum(9, 3.0), vec![0.0; 3], sum(3, 2.0), vec![0.0; 3]].concat();
    let found = to.to_vec().unwrap();
    assert!(found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-6), "{found:?} {expected:?}");
}

#[test]
fn gradients_that_are_zero_are_counted() {
    let Some(context) = context() else { return };
    let clean = context.upload(&[0.5_f32; 2 * LENGTH]).unwrap();
    let mut gradient = [0.0_f32; 2 * LENGTH];
    gradient[LENGTH + 3] = 1e-30;
    let gradient = context.upload(&gradient).unwrap();
    for ball in [Ball::Linf { epsilon: 0.1, step: 0.1 }, Ball::L2 { epsilon: 0.1, step: 0.1 }] {
        // Beyond the ball, where it stays as it makes no step.
        let mut before = vec![0.5_f32; 2 * LENGTH];
        before[0] = if matches!(ball, Ball::L2 { .. }) { 0.9 } else { 0.55 };
        let (images, watch) = (context.upload(&before).unwrap(), Watch::new(&context, 2).unwrap());
        for _ in 0..3 {
            attack::step(&context, ball, &images, &clean, &gradient, LENGTH, Some(&watch)).unwrap();
        }
        assert_eq!(watch.zeros.to_vec().unwrap(), [3, 0], "{ball:?}");
        assert_eq!(images.to_vec().unwrap()[..LENGTH], before[..LENGTH], "{ball:?}");
        assert_eq!(watch.gradients.to_vec().unwrap(), [0.0, 0.0]);
        let overflowing = context.upload(&[f32::INFINITY; 2 * LENGTH]).unwrap();
        attack::step(&context, ball, &images, &clean, &overflowing, LENGTH, Some(&watch)).unwrap();
        assert_eq!(watch.gradients.to_vec().unwrap(), [f32::INFINITY; 2], "{ball:?}");
    }
}

#[test]
fn a_batch_is_what_the_data_set_holds_where_nothing_is_cut() {
    let Some(context) = context() else { return };
    let data: Vec<u8> = (0..=255).cycle().take(3 * 2 * 4 * 5).collect();
    let images = Images { values: context.upload(&data).unwrap(), shape: [2, 4, 5] };
    let cut = Cut { padding: 0, outside: Outside::Zeros, crop: [0; 2], flip: None };
    let (batch, _) = images.batch(&context, &[2, 0, 0, 1], &cut).unwrap();
    let expected: Vec<f32> = data[80..].iter().chain(&data[..40]).map(|&v| f32::from(v) / 255.0).collect();
    assert_eq!(batch.to_vec().unwrap(), expected);
}
