//! The formulas as loops, in f64: the judge of every other implementation. Values are `[pixels of all images, channels]`.

use super::EPS;

/// Mean and biased variance of each channel.
pub fn moments(y: &[f64], channels: usize) -> (Vec<f64>, Vec<f64>) {
    check(y, channels);
    let n = (y.len() / channels) as f64;
    let (mut mean, mut variance) = (vec![0.0; channels], vec![0.0; channels]);
    y.iter().enumerate().for_each(|(at, y)| mean[at % channels] += y / n);
    y.iter().enumerate().for_each(|(at, y)| variance[at % channels] += (y - mean[at % channels]).powi(2) / n);
    (mean, variance)
}

fn check(y: &[f64], channels: usize) {
    let whole = channels > 0 && y.len().is_multiple_of(channels);
    assert!(whole, "{} values are no pixels of {channels} channels", y.len());
}

/// Normalised values before `gamma` and `beta`.
fn normalized(y: &[f64], channels: usize) -> Vec<f64> {
    let (mean, variance) = moments(y, channels);
    let value = |(at, y): (usize, &f64)| (y - mean[at % channels]) / (variance[at % channels] + EPS).sqrt();
    y.iter().enumerate().map(value).collect()
}

/// Output with the statistics of the batch.
pub fn forward(y: &[f64], gamma: &[f64], beta: &[f64]) -> Vec<f64> {
    let c = gamma.len();
    assert!(beta.len() == c, "{} values of beta for {c} channels", beta.len());
    normalized(y, c).iter().enumerate().map(|(at, y)| gamma[at % c] * y + beta[at % c]).collect()
}

/// Gradients on `y`, `gamma` and `beta` for the gradient `g` on the output.
pub fn backward(y: &[f64], gamma: &[f64], g: &[f64]) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
    let c = gamma.len();
    check(y, c);
    assert!(g.len() == y.len(), "{} gradients on {} values", g.len(), y.len());
    let n = (y.len() / c) as f64;
    let (yhat, (_, variance)) = (normalized(y, c), moments(y, c));
    let (mut dgamma, mut dbeta) = (vec![0.0; c], vec![0.0; c]);
    for (at, g) in g.iter().enumerate() {
        dgamma[at % c] += g * yhat[at];
        dbeta[at % c] += g;
    }
    let value = |(at, g): (usize, &f64)| {
        let (channel, yhat) = (at % c, yhat[at]);
        let a = gamma[channel] / (variance[channel] + EPS).sqrt();
        a * (g - dbeta[channel] / n - yhat * dgamma[channel] / n)
    };
    let dy = g.iter().enumerate().map(value).collect();
    (dy, dgamma, dbeta)
}
