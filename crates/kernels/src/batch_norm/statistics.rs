//! What is known of a batch, for each channel: joined from groups of images, in f64.

use super::{EPS, MOMENTUM};
use crate::layout::Layout;
use crate::sizes::filled;

/// Mean and spread of some images, for each channel.
#[derive(Debug, Clone, PartialEq)]
pub struct Moments {
    /// Number of pixels.
    pub count: usize,
    /// Their mean.
    pub mean: Vec<f64>,
    /// The sum of the squares of their distances from it.
    pub square: Vec<f64>,
}

impl Moments {
    /// Those of no images.
    ///
    /// # Panics
    /// If there is no memory for so many channels.
    pub fn none(channels: usize) -> Self {
        Self { count: 0, mean: filled(0.0, channels), square: filled(0.0, channels) }
    }

    /// Takes in the moments of the images that come next (Chan, Golub and LeVeque 1983).
    ///
    /// # Panics
    /// If the channels differ.
    pub fn join(&mut self, next: &Self) {
        let [given, more] = [&*self, next].map(|moments| [moments.mean.len(), moments.square.len()]);
        assert_eq!(more, given, "channels");
        assert_eq!(given[0], given[1], "channels");
        for channel in 0..self.mean.len() {
            self.join_channel(channel, next.count, next.mean[channel], next.square[channel]);
        }
        self.count += next.count;
    }

    pub(super) fn join_channel(&mut self, channel: usize, count: usize, mean: f64, square: f64) {
        let (before, after) = (self.count as f64, (self.count + count).max(1) as f64);
        let (apart, share) = (mean - self.mean[channel], count as f64 / after);
        self.mean[channel] += apart * share;
        self.square[channel] += square + apart * apart * before * share;
    }

    /// Moves running statistics towards these by [`MOMENTUM`], with the unbiased variance.
    ///
    /// # Panics
    /// If the channels differ, or there is one pixel, whose variance is unknown.
    pub fn update_running(&self, mean: &mut [f32], variance: &mut [f32]) {
        assert!(self.count > 1, "the variance of {} pixels", self.count);
        let (channels, there) = ([mean.len(), variance.len()], self.mean.len().min(self.square.len()));
        assert!(
            channels[0] == channels[1] && channels[0] <= there,
            "running statistics of {channels:?} channels from moments of {there}"
        );
        let step = |running: &mut f32, value: f64| {
            *running = ((1.0 - MOMENTUM) * f64::from(*running) + MOMENTUM * value) as f32;
        };
        for channel in 0..mean.len() {
            step(&mut mean[channel], self.mean[channel]);
            step(&mut variance[channel], self.square[channel] / (self.count - 1) as f64);
        }
    }
}

/// What values are normalised with, for each channel.
#[derive(Debug, Clone, PartialEq)]
pub struct Statistics {
    /// Mean.
    pub mean: Vec<f32>,
    /// `1 / sqrt(variance + eps)`.
    pub inverse_std: Vec<f32>,
    /// `a = gamma * inverse_std`.
    pub scale: Vec<f32>,
    /// `b = beta - a * mean`.
    pub shift: Vec<f32>,
}

impl Statistics {
    /// Those of a whole batch.
    ///
    /// # Panics
    /// If the channels differ, or there are no pixels.
    pub fn of(moments: &Moments, gamma: &[f32], beta: &[f32]) -> Self {
        assert!(moments.count > 0, "statistics of {} pixels", moments.count);
        let variance = moments.square.iter().map(|square| square / moments.count as f64);
        Self::new(gamma, beta, moments.mean.iter().copied(), variance)
    }

    /// Those of evaluation, from running statistics.
    ///
    /// # Panics
    /// If the channels differ.
    pub fn running(gamma: &[f32], beta: &[f32], mean: &[f32], variance: &[f32]) -> Self {
        Self::new(gamma, beta, mean.iter().map(|&m| f64::from(m)), variance.iter().map(|&v| f64::from(v)))
    }

    fn new(
        gamma: &[f32],
        beta: &[f32],
        mean: impl ExactSizeIterator<Item = f64>,
        variance: impl ExactSizeIterator<Item = f64>,
    ) -> Self {
        let channels = gamma.len();
        assert_eq!([beta.len(), mean.len(), variance.len()], [channels; 3], "channels");
        let mut all = Self { mean: vec![], inverse_std: vec![], scale: vec![], shift: vec![] };
        for (channel, (mean, variance)) in mean.zip(variance).enumerate() {
            let inverse = 1.0 / (variance + EPS).sqrt();
            let scale = f64::from(gamma[channel]) * inverse;
            all.mean.push(mean as f32);
            all.inverse_std.push(inverse as f32);
            all.scale.push(scale as f32);
            all.shift.push((f64::from(beta[channel]) - scale * mean) as f32);
        }
        all
    }

    pub(super) fn check(&self, layout: &Layout) {
        let Self { mean, inverse_std, scale, shift } = self;
        let given = [mean.len(), inverse_std.len(), scale.len(), shift.len()];
        assert_eq!(given, [layout.channels; 4], "statistics of the channels of {layout:?}");
    }
}

/// Sums over some images, for each channel.
#[derive(Debug, Clone, PartialEq)]
pub struct Sums {
    /// Number of pixels.
    pub count: usize,
    /// Sum of `g`: the gradient on `beta`.
    pub gradient: Vec<f64>,
    /// Sum of `g * yhat`: the gradient on `gamma`.
    pub product: Vec<f64>,
}

impl Sums {
    /// Those of no images.
    pub fn none(channels: usize) -> Self {
        Self { count: 0, gradient: filled(0.0, channels), product: filled(0.0, channels) }
    }

    /// Takes in the sums of the images that come next.
    ///
    /// # Panics
    /// If the channels differ.
    pub fn join(&mut self, next: &Self) {
        let [given, more] = [&*self, next].map(|sums| [sums.gradient.len(), sums.product.len()]);
        assert_eq!(more, given, "channels");
        self.count += next.count;
        for (sums, next) in [(&mut self.gradient, &next.gradient), (&mut self.product, &next.product)] {
            sums.iter_mut().zip(next).for_each(|(sum, next)| *sum += next);
        }
    }
}

/// What [`super::input_gradient`] needs of the sums of a whole batch, for each channel.
#[derive(Debug, Clone, PartialEq)]
pub struct Slopes {
    /// Mean of `g`.
    pub mean: Vec<f32>,
    /// `- inverse_std * mean of g * yhat`: what `g` gets for each unit of `y - mean`.
    pub slope: Vec<f32>,
}

impl Slopes {
    /// Of the sums and the statistics of a batch.
    ///
    /// # Panics
    /// If the channels differ, or there are no pixels.
    pub fn of(sums: &Sums, statistics: &Statistics) -> Self {
        assert!(sums.count > 0, "means over {} pixels", sums.count);
        let channels = [sums.product.len(), statistics.inverse_std.len()];
        assert_eq!(channels, [sums.gradient.len(); 2], "channels");
        let n = sums.count as f64;
        let slope = |(product, inverse): (&f64, &f32)| (-product / n * f64::from(*inverse)) as f32;
        Self {
            mean: sums.gradient.iter().map(|sum| (sum / n) as f32).collect(),
            slope: sums.product.iter().zip(&statistics.inverse_std).map(slope).collect(),
        }
    }

    pub(super) fn check(&self, layout: &Layout) {
        let given = [self.mean.len(), self.slope.len()];
        assert_eq!(given, [layout.channels; 2], "slopes of the channels of {layout:?}");
    }
}
