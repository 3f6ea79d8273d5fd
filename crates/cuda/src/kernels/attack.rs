//! Steps of PGD on images f32 `[n, length]`, and where it begins. The formulas are in `sources/attack.cu`.

use super::arguments::launch;
use super::{Buffer, Context, Result};

/// Threads that sum the squares of one image: the same on every device, so that sums have one order.
const PARTS: usize = 64;

/// A norm with its radius and step, in pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Ball {
    /// Largest change.
    Linf {
        /// Radius.
        epsilon: f64,
        /// Length of a step.
        step: f64,
    },
    /// Euclidean length.
    L2 {
        /// Radius.
        epsilon: f64,
        /// Length of a step.
        step: f64,
    },
}

/// What is noticed of each image of an attack, `[n]`.
#[derive(Debug)]
pub struct Watch {
    /// Gradients that were exactly zero.
    pub zeros: Buffer<u32>,
    /// The first score that was no number, or infinite; 0 if none was.
    pub scores: Buffer<f32>,
    /// The length of the first gradient that was no number, or infinite, of scores that were; 0 if none was.
    pub gradients: Buffer<f32>,
}

impl Watch {
    /// Nothing yet, of `rows` images.
    ///
    /// # Errors
    /// If the device fails.
    pub fn new(context: &Context, rows: usize) -> Result<Self> {
        Ok(Self {
            zeros: context.zeros(rows)?,
            scores: context.zeros(rows)?,
            gradients: context.zeros(rows)?,
        })
    }
}

/// One step of steepest ascent of every image, and its projection onto the ball around `clean` and into the box. Gradients are
/// watched where `watch` is given.
///
/// # Errors
/// If the device fails.
///
/// # Panics
/// If the buffers do not fit; so for all functions here.
pub fn step(
    context: &Context,
    ball: Ball,
    images: &Buffer<f32>,
    clean: &Buffer<f32>,
    gradient: &Buffer<f32>,
    length: usize,
    watch: Option<&Watch>,
) -> Result<()> {
    check(length, &[images, clean, gradient]);
    let count = images.len();
    let lengths = match (ball, watch) {
        (Ball::Linf { .. }, None) => None,
        _ => Some(lengths(context, gradient, None, length)?),
    };
    if let (Some(Watch { zeros, scores, gradients }), Some(lengths)) = (watch, &lengths) {
        let rows = lengths.len();
        assert_eq!([zeros.len(), scores.len(), gradients.len()], [rows; 3], "what is watched");
        // SAFETY: lengths were checked.
        unsafe { launch!(context, "watch_lengths", rows; lengths, scores, rows as i64, zeros, gradients) }?;
    }
    match ball {
        // SAFETY: lengths were checked.
        Ball::Linf { epsilon, step } => unsafe {
            launch!(context, "step_linf", count;
                images, clean, gradient, step as f32, epsilon as f32, count as i64)
        },
        Ball::L2 { step, .. } => {
            // SAFETY: lengths were checked; in l2 there are some.
            unsafe {
                launch!(context, "step_l2", count;
                    images, gradient, lengths.as_ref(), step, length as i32, count as i64)
            }?;
            project(context, ball, images, clean, lengths.as_ref(), length)
        }
    }
}

/// Onto the ball around `clean`, then into the box; in l2 but for images whose gradient has length 0, where lengths are given.
/// Steps and uniform starts in linf project by themselves.
fn project(
    context: &Context,
    ball: Ball,
    images: &Buffer<f32>,
    clean: &Buffer<f32>,
    gradients: Option<&Buffer<f64>>,
    length: usize,
) -> Result<()> {
    let count = images.len();
    let epsilon = match ball {
        Ball::L2 { epsilon, .. } => epsilon,
        // SAFETY: lengths were checked.
        Ball::Linf { epsilon, .. } => unsafe {
            return launch!(context, "project_linf", count; images, clean, epsilon as f32, count as i64);
        },
    };
    let lengths = lengths(context, images, Some(clean), length)?;
    // SAFETY: lengths were checked.
    unsafe {
        launch!(context, "project_l2", count;
            images, clean, &lengths, gradients, epsilon, length as i32, count as i64)
    }
}

/// The length of each image of `a`, or of its difference from `b`.
fn lengths(
    context: &Context,
    a: &Buffer<f32>,
    b: Option<&Buffer<f32>>,
    length: usize,
) -> Result<Buffer<f64>> {
    let sums = context.buffer::<f64>(a.len() / length * PARTS)?;
    let count = sums.len();
    // SAFETY: there are `PARTS` sums for each row.
    unsafe {
        launch!(context, "square_parts", count; a, b, length as i32, PARTS as i32, count as i64, &sums)
    }?;
    let rows = a.len() / length;
    let lengths = context.buffer::<f64>(rows)?;
    // SAFETY: as above.
    unsafe { launch!(context, "roots", rows; &sums, PARTS as i32, rows as i64, &lengths) }?;
    Ok(lengths)
}

/// Uniform points of the ball around each clean image, in the box, from the stream of its id under `key`. In linf pixel number
/// p is draw number p, bit for bit as on the host; in l2 pixel number p is made of draws 2p and 2p + 1 and the distance of
/// the one after them, equal to the host's up to rounding.
///
/// # Errors
/// If the device fails.
pub fn start(
    context: &Context,
    ball: Ball,
    clean: &Buffer<f32>,
    ids: &Buffer<u32>,
    key: [u32; 2],
    images: &Buffer<f32>,
) -> Result<()> {
    let (rows, length) = check_ids(ids, clean, images);
    let ([key0, key1], size) = (key, length as i32);
    match ball {
        Ball::Linf { epsilon, .. } => {
            let count = rows * length.div_ceil(4);
            // SAFETY: lengths were checked.
            unsafe {
                launch!(context, "start_linf", count;
                    clean, ids, key0, key1, epsilon, size, count as i64, images)
            }
        }
        Ball::L2 { epsilon, .. } => {
            let draws = gaussians(context, ids, key, (rows, length))?;
            let scales = lengths(context, &draws, None, length)?;
            // SAFETY: there is a length for each row.
            unsafe {
                launch!(context, "ball_scales", rows;
                    ids, key0, key1, epsilon, size, rows as i64, &scales)
            }?;
            move_scaled(context, clean, &draws, &scales, images)?;
            project(context, ball, images, clean, None, length)
        }
    }
}

/// Each clean image with every pixel moved by `deviation` times a standard normal number, then onto the ball and into the box:
/// pixel number p is made of draws 2p and 2p + 1 of the stream of its id under `key`, equal to the host's up to rounding.
///
/// # Errors
/// If the device fails.
pub fn noisy_start(
    context: &Context,
    ball: Ball,
    clean: &Buffer<f32>,
    ids: &Buffer<u32>,
    (key, deviation): ([u32; 2], f64),
    images: &Buffer<f32>,
) -> Result<()> {
    let (rows, length) = check_ids(ids, clean, images);
    let draws = gaussians(context, ids, key, (rows, length))?;
    let scales = context.upload(&vec![deviation; rows])?;
    move_scaled(context, clean, &draws, &scales, images)?;
    project(context, ball, images, clean, None, length)
}

/// A standard normal number for each pixel.
fn gaussians(
    context: &Context,
    ids: &Buffer<u32>,
    [key0, key1]: [u32; 2],
    (rows, length): (usize, usize),
) -> Result<Buffer<f32>> {
    let draws = context.buffer(rows * length)?;
    let count = rows * length.div_ceil(2);
    // SAFETY: there is a draw for each pixel, and an id for each row.
    unsafe { launch!(context, "gaussians", count; ids, key0, key1, length as i32, count as i64, &draws) }?;
    Ok(draws)
}

/// `clean + scale * draws`, a scale for each image.
fn move_scaled(
    context: &Context,
    clean: &Buffer<f32>,
    draws: &Buffer<f32>,
    scales: &Buffer<f64>,
    images: &Buffer<f32>,
) -> Result<()> {
    let count = images.len();
    let length = (count / scales.len().max(1)) as i32;
    // SAFETY: the callers made all of them as long.
    unsafe { launch!(context, "move_scaled", count; clean, draws, scales, length, count as i64, images) }
}

/// Number of images and their length.
fn check_ids(ids: &Buffer<u32>, clean: &Buffer<f32>, images: &Buffer<f32>) -> (usize, usize) {
    let rows = ids.len() / 2;
    let length = clean.len() / rows.max(1);
    check(length, &[clean, images]);
    assert!(rows * length == clean.len() && ids.len() == 2 * rows, "ids of {rows} images");
    (rows, length)
}

fn check(length: usize, buffers: &[&Buffer<f32>]) {
    let len = buffers[0].len();
    assert!(length > 0 && len.is_multiple_of(length), "{len} values of images of {length}");
    assert!(buffers.iter().all(|buffer| buffer.len() == len), "images of one batch");
}
