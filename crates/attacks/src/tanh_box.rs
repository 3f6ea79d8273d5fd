//! The box `[0, 1]` as the image of all real numbers, and Adam on it: what Carlini and Wagner's attacks walk on.

use crate::vector::widen;

/// Keeps the numbers behind pixels 0 and 1 finite, so that those pixels can move (as in the authors' program).
const MARGIN: f64 = 1e-6;

/// An image `x = (tanh(start + moved) + 1) / 2`, moved by Adam (Kingma & Ba 2015, without weight decay).
#[derive(Debug, Clone)]
pub(crate) struct TanhBox {
    start: Vec<f64>,
    moved: Vec<f64>,
    first: Vec<f64>,
    second: Vec<f64>,
    /// Steps since the last [`TanhBox::forget`].
    steps: i32,
    image: Vec<f32>,
}

const FIRST_DECAY: f64 = 0.9;
const SECOND_DECAY: f64 = 0.999;
const FLOOR: f64 = 1e-8;

impl TanhBox {
    pub(crate) fn new(clean: &[f32]) -> Self {
        let start = widen(clean).iter().map(|x| libm::atanh((2.0 * x - 1.0) * (1.0 - MARGIN))).collect();
        let zero = vec![0.0; clean.len()];
        let mut this = Self {
            start,
            moved: zero.clone(),
            first: zero.clone(),
            second: zero,
            steps: 0,
            image: clean.to_vec(),
        };
        this.render();
        this
    }

    /// In the box.
    pub(crate) fn image(&self) -> &[f32] {
        &self.image
    }

    /// Back to the clean image.
    pub(crate) fn restart(&mut self) {
        self.moved.fill(0.0);
        self.forget();
        self.render();
    }

    /// Starts the optimiser anew where it is.
    pub(crate) fn forget(&mut self) {
        self.first.fill(0.0);
        self.second.fill(0.0);
        self.steps = 0;
    }

    /// One step down `slope`, the derivative of what is lowered on the image's pixels.
    pub(crate) fn descend(&mut self, step_size: f64, slope: impl Fn(usize) -> f64) {
        self.steps += 1;
        let first_bias = 1.0 - FIRST_DECAY.powi(self.steps);
        let second_bias = 1.0 - SECOND_DECAY.powi(self.steps);
        for at in 0..self.moved.len() {
            let tanh = libm::tanh(self.start[at] + self.moved[at]);
            let g = slope(at) * (1.0 - tanh * tanh) / 2.0;
            self.first[at] = FIRST_DECAY * self.first[at] + (1.0 - FIRST_DECAY) * g;
            self.second[at] = SECOND_DECAY * self.second[at] + (1.0 - SECOND_DECAY) * g * g;
            let spread = (self.second[at] / second_bias).sqrt() + FLOOR;
            self.moved[at] -= step_size * self.first[at] / first_bias / spread;
        }
        self.render();
    }

    fn render(&mut self) {
        for ((x, start), moved) in self.image.iter_mut().zip(&self.start).zip(&self.moved) {
            *x = ((libm::tanh(start + moved) + 1.0) / 2.0) as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_abs_diff_eq;

    #[test]
    fn it_begins_at_the_clean_image_and_black_and_white_pixels_can_move() {
        let clean = [0.0, 1.0, 0.5, 0.25];
        let mut image = TanhBox::new(&clean);
        assert!(image.image().iter().zip(clean).all(|(x, c)| (x - c).abs() < 1e-6));
        let goal = [0.5, 0.5, 0.1, 0.9];
        for _ in 0..2000 {
            let now = image.image().to_vec();
            image.descend(0.01, |at| 2.0 * (f64::from(now[at]) - goal[at]));
        }
        assert!(image.image().iter().zip(goal).all(|(&x, goal)| (f64::from(x) - goal).abs() < 1e-3));
        image.restart();
        assert!(image.image().iter().zip(clean).all(|(x, c)| (x - c).abs() < 1e-6));
    }

    /// The first step of Adam has the length of the step size, whatever the slope.
    #[test]
    fn the_first_step_is_as_long_as_it_was_asked_to_be() {
        for slope in [1e-3, 1.0, 1e6] {
            let mut image = TanhBox::new(&[0.5]);
            image.descend(0.01, |_| slope);
            let expected = (libm::tanh(-0.01) + 1.0) / 2.0;
            assert_abs_diff_eq!(f64::from(image.image()[0]), expected, epsilon = 1e-6);
        }
    }
}
