//! Starts and changes of the square attack, on one image.

use robin_core::{Budget, Norm, Stream};

use super::Reach;
use crate::vector::{difference, l2};

/// An image's shape and budget.
#[derive(Debug, Clone, Copy)]
pub(super) struct Canvas {
    pub(super) budget: Budget,
    /// `[c, h, w]`.
    pub(super) shape: [usize; 3],
    pub(super) reach: Reach,
}

/// A square window.
#[derive(Debug, Clone, Copy)]
struct Window {
    top: usize,
    left: usize,
    side: usize,
}

impl Canvas {
    /// linf's start: each column of each channel by plus or minus epsilon.
    pub(super) fn stripes(&self, stream: &mut Stream, clean: &[f32], image: &mut [f32]) {
        let [channels, height, width] = self.shape;
        let epsilon = self.budget.epsilon.get() as f32;
        for channel in 0..channels {
            for column in 0..width {
                let change = sign(stream) as f32 * epsilon;
                for row in 0..height {
                    image[(channel * height + row) * width + column] += change;
                }
            }
        }
        self.budget.project_image(clean, image);
    }

    /// l2's start: a grid of bumps, each channel of each with its own sign, of length epsilon together.
    pub(super) fn bumps(&self, stream: &mut Stream, clean: &[f32], image: &mut [f32]) {
        let [channels, height, width] = self.shape;
        let side = (height / 5).max(1).min(width);
        let margin = height.saturating_sub(side * 5) / 2;
        let mut change = vec![0.0; clean.len()];
        for down in 0..height / side {
            for across in 0..width / side {
                let bump = bump(stream, side);
                for channel in 0..channels {
                    let sign = sign(stream);
                    for row in 0..side {
                        for column in 0..side {
                            // The margin may push the last bumps over the edge, where they are cut off.
                            let (y, x) = (margin + down * side + row, margin + across * side + column);
                            if y < height && x < width {
                                change[(channel * height + y) * width + x] +=
                                    sign * bump[row * side + column];
                            }
                        }
                    }
                }
            }
        }
        self.place(&change, clean, image);
    }

    /// Changes one square that covers about `share` of `image`, which is within the budget before and after.
    pub(super) fn propose(&self, stream: &mut Stream, share: f64, clean: &[f32], image: &mut [f32]) {
        let [_, height, width] = self.shape;
        let side = (share * (height * width) as f64).sqrt().round() as usize;
        match self.budget.norm {
            Norm::Linf => {
                let window = self.window(stream, side.max(1));
                self.shift(stream, window, clean, image);
            }
            Norm::L2 => {
                let odd = side.max(3) | 1;
                let (to, from) = (self.window(stream, odd), self.window(stream, odd));
                self.transfer(stream, (to, from), clean, image);
            }
        }
    }

    fn window(&self, stream: &mut Stream, side: usize) -> Window {
        let [_, height, width] = self.shape;
        let side = side.min(height).min(width);
        let mut place = |length: usize| stream.below(self.reach.places(length, side)) as usize;
        Window { top: place(height), left: place(width), side }
    }

    /// linf: the whole window by plus or minus two epsilon per channel, back into the ball.
    fn shift(&self, stream: &mut Stream, window: Window, clean: &[f32], image: &mut [f32]) {
        for channel in 0..self.shape[0] {
            let change = (sign(stream) * 2.0 * self.budget.epsilon.get()) as f32;
            self.indices(window, channel).for_each(|at| image[at] += change);
        }
        self.budget.project_image(clean, image);
    }

    /// l2: empties the window `from`, and gives its mass, that of `to` and what the budget has left to a bump
    /// in `to`, in the direction of what lies there.
    fn transfer(&self, stream: &mut Stream, (to, from): (Window, Window), clean: &[f32], image: &mut [f32]) {
        let channels = self.shape[0];
        let mut change = difference(image, clean);
        let epsilon = self.budget.epsilon.get();
        let left = (epsilon * epsilon - change.iter().map(|d| d * d).sum::<f64>()).max(0.0) / channels as f64;
        let bump = bump(stream, to.side);
        for channel in 0..channels {
            let sign = sign(stream);
            let squares = |window: Window| -> f64 {
                self.indices(window, channel).map(|at| change[at] * change[at]).sum()
            };
            let inside = squares(to);
            // Both windows' mass, what they share counted once.
            let shared: f64 = self
                .indices(from, channel)
                .filter(|&at| self.holds(to, at))
                .map(|at| change[at] * change[at])
                .sum();
            let mass = inside + squares(from) - shared;
            let length = inside.sqrt() + TINY;
            let mut moved: Vec<f64> = self
                .indices(to, channel)
                .zip(&bump)
                .map(|(at, bump)| sign * bump + change[at] / length)
                .collect();
            let scale = (left + mass).sqrt() / (l2(&moved) + TINY);
            moved.iter_mut().for_each(|value| *value *= scale);
            self.indices(from, channel).for_each(|at| change[at] = 0.0);
            self.indices(to, channel).zip(moved).for_each(|(at, value)| change[at] = value);
        }
        self.place(&change, clean, image);
    }

    /// `clean` plus `change` scaled to length epsilon, in the box.
    fn place(&self, change: &[f64], clean: &[f32], image: &mut [f32]) {
        let scale = self.budget.epsilon.get() / (l2(change) + TINY);
        for ((x, &c), d) in image.iter_mut().zip(clean).zip(change) {
            *x = (f64::from(c) + scale * d) as f32;
        }
        self.budget.project_image(clean, image);
    }

    /// Positions of a window in one channel, row by row.
    fn indices(&self, window: Window, channel: usize) -> impl Iterator<Item = usize> + use<> {
        let [_, height, width] = self.shape;
        let Window { top, left, side } = window;
        let rows = top..top + side;
        rows.flat_map(move |row| {
            (left..left + side).map(move |column| (channel * height + row) * width + column)
        })
    }

    fn holds(&self, window: Window, at: usize) -> bool {
        let [_, height, width] = self.shape;
        let (row, column) = (at / width % height, at % width);
        (window.top..window.top + window.side).contains(&row)
            && (window.left..window.left + window.side).contains(&column)
    }
}

const TINY: f64 = 1e-12;

fn sign(stream: &mut Stream) -> f64 {
    if stream.bits() & 1 == 0 { 1.0 } else { -1.0 }
}

/// A square of two opposite hills of length 1 together, lying or standing (the paper's equation for eta).
fn bump(stream: &mut Stream, side: usize) -> Vec<f64> {
    let upper = side / 2;
    let mut values = hill(upper, side);
    values.extend(hill(side - upper, side).into_iter().map(|value| -value));
    let length = l2(&values);
    values.iter_mut().for_each(|value| *value /= length);
    if stream.bits() & 1 == 0 {
        return values;
    }
    (0..side * side).map(|at| values[at % side * side + at / side]).collect()
}

/// Nested rectangles around the middle of `height` by `width`, the k-th adding `1 / k^2`; of length 1.
fn hill(height: usize, width: usize) -> Vec<f64> {
    let mut values = vec![0.0; height * width];
    let (middle_row, middle_column) = ((height / 2) as isize, (width / 2) as isize);
    let rings = (height / 2 + 1).max(width / 2 + 1) as isize;
    for ring in 0..rings {
        let weight = 1.0 / ((ring + 1) * (ring + 1)) as f64;
        let span = |middle: isize, length: usize| {
            (middle - ring).max(0) as usize..((middle + ring + 1).min(length as isize)) as usize
        };
        for row in span(middle_row, height) {
            for column in span(middle_column, width) {
                values[row * width + column] += weight;
            }
        }
    }
    let length = l2(&values).max(TINY);
    values.iter().map(|value| value / length).collect()
}

#[cfg(test)]
mod tests {
    use approx::assert_abs_diff_eq;
    use robin_core::{Purpose, Seed};

    use super::*;

    #[test]
    fn bumps_have_length_1_and_two_signs() {
        let mut stream = Seed::new(1).derive(Purpose::Test, 9).root_stream();
        for side in 1..9 {
            let bump = bump(&mut stream, side);
            assert_abs_diff_eq!(l2(&bump), 1.0, epsilon = 1e-12);
            assert_eq!(bump.iter().any(|&value| value > 0.0), side > 1);
            assert!(bump.iter().any(|&value| value < 0.0));
        }
    }

    #[test]
    fn starts_and_changes_use_up_the_budget_and_keep_to_it() {
        for (norm, shape) in [(Norm::L2, [3, 10, 10]), (Norm::Linf, [3, 10, 10]), (Norm::L2, [1, 3, 4])] {
            let budget = Budget { norm, epsilon: "0.2".parse().unwrap() };
            let canvas = Canvas { budget, shape, reach: Reach::Whole };
            let clean = vec![0.5; shape.iter().product()];
            let mut image = clean.clone();
            let mut stream = Seed::new(2).derive(Purpose::Test, 9).root_stream();
            match norm {
                Norm::L2 => canvas.bumps(&mut stream, &clean, &mut image),
                Norm::Linf => canvas.stripes(&mut stream, &clean, &mut image),
            }
            let mut changes = 0;
            for _ in 0..200 {
                let size = norm.distance(&clean, &image);
                assert_abs_diff_eq!(size, 0.2, epsilon = 1e-6);
                let before = image.clone();
                canvas.propose(&mut stream, 0.1, &clean, &mut image);
                changes += usize::from(image != before);
            }
            // A square may ask for what lies there already.
            assert!(changes > 100, "{norm} {shape:?} {changes}");
        }
    }
}
