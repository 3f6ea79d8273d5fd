//! Batch norm in training and evaluation. The formulas are in `sources/norms.cu` and [`robin_kernels::batch_norm`].

use robin_kernels::batch_norm::{EPS, MOMENTUM};

use super::arguments::launch;
use super::{Buffer, Context, PACK, Real, Result};

/// Threads that sum a tensor: the same on every device, so that sums have one order.
const SUMMING: usize = 1 << 17;

/// Parts that one thread joins.
const GROUP: usize = 32;

/// Sums over the rows of a tensor for each channel: `[2, channels]`.
#[derive(Debug)]
pub struct Sums {
    values: Buffer<f64>,
    rows: usize,
}

/// What a batch is normalised with: `[channels]` each.
#[derive(Debug)]
pub struct Statistics {
    /// Mean.
    pub mean: Buffer<f32>,
    /// `1 / sqrt(variance + eps)`.
    pub inverse: Buffer<f32>,
    /// `weight * inverse`.
    pub scale: Buffer<f32>,
    /// `bias - scale * mean`.
    pub shift: Buffer<f32>,
}

/// A batch norm's parameters, or those of a normalisation (no weight, no bias, and deviations for variances).
#[derive(Debug, Clone, Copy)]
pub struct Running<'a> {
    /// Weight and bias.
    pub trained: Option<[&'a Buffer<f32>; 2]>,
    /// Running mean.
    pub mean: &'a Buffer<f32>,
    /// Running variance, or the deviation.
    pub variance: &'a Buffer<f32>,
    /// Bias of a convolution before it.
    pub before: Option<&'a Buffer<f32>>,
}

/// `[parts, width]` joined to `[width]`, in order.
pub(super) fn joined(
    context: &Context,
    mut sums: Buffer<f64>,
    mut parts: usize,
    width: usize,
) -> Result<Buffer<f64>> {
    while parts > 1 {
        let after = parts.div_ceil(GROUP);
        let to = context.buffer::<f64>(after * width)?;
        let count = to.len();
        // SAFETY: `sums` has `parts` rows of `width`, `to` a row for each group of them.
        unsafe {
            launch!(context, "join_parts", count;
                &sums, parts as i32, width as i32, GROUP as i32, count as i64, &to)
        }?;
        (sums, parts) = (to, after);
    }
    Ok(sums)
}

fn parts(rows: usize, channels: usize) -> usize {
    (SUMMING / (channels / PACK)).clamp(1, rows.max(1))
}

/// Sums of `x` and of its squares.
///
/// # Errors
/// If the device fails.
///
/// # Panics
/// If the buffers do not fit; so for all functions here.
pub fn moments(context: &Context, x: &Buffer<Real>, channels: usize) -> Result<Sums> {
    assert!(channels.is_multiple_of(PACK) && x.len().is_multiple_of(channels), "channels");
    let rows = x.len() / channels;
    let parts = parts(rows, channels);
    let sums = context.buffer::<f64>(parts * 2 * channels)?;
    // SAFETY: lengths follow from the kernel's.
    unsafe {
        launch!(context, "moment_parts", parts * channels / PACK;
            x, rows as i64, channels as i32, parts as i32, &sums)
    }?;
    Ok(Sums { values: joined(context, sums, parts, 2 * channels)?, rows })
}

/// Sums of the gradient `g`, and of `g` times the normalised `x`.
///
/// # Errors
/// If the device fails.
pub fn slopes(
    context: &Context,
    g: &Buffer<Real>,
    x: &Buffer<Real>,
    statistics: &Statistics,
) -> Result<Sums> {
    let channels = statistics.mean.len();
    assert!(x.len() == g.len() && x.len().is_multiple_of(channels), "channels");
    let rows = x.len() / channels;
    let parts = parts(rows, channels);
    let sums = context.buffer::<f64>(parts * 2 * channels)?;
    // SAFETY: lengths follow from the kernel's.
    unsafe {
        launch!(context, "slope_parts", parts * channels / PACK;
            g, x, &statistics.mean, &statistics.inverse, rows as i64, channels as i32, parts as i32, &sums)
    }?;
    Ok(Sums { values: joined(context, sums, parts, 2 * channels)?, rows })
}

impl Sums {
    /// Of a tensor with weight and bias `[channels]`.
    ///
    /// # Errors
    /// If the device fails.
    pub fn statistics(
        &self,
        context: &Context,
        weight: &Buffer<f32>,
        bias: &Buffer<f32>,
    ) -> Result<Statistics> {
        let channels = self.values.len() / 2;
        assert_eq!([weight.len(), bias.len()], [channels; 2], "channels");
        let [mean, inverse, scale, shift] = [(); 4].map(|()| context.buffer::<f32>(channels));
        let all = Statistics { mean: mean?, inverse: inverse?, scale: scale?, shift: shift? };
        // SAFETY: lengths were checked.
        unsafe {
            launch!(context, "batch_statistics", channels;
                &self.values, weight, bias, self.rows as f64, EPS, channels as i32, &all.mean, &all.inverse,
                &all.scale, &all.shift)
        }?;
        Ok(all)
    }

    /// Moves running mean and variance towards these moments.
    ///
    /// # Errors
    /// If the device fails.
    pub fn move_running(&self, context: &Context, mean: &Buffer<f32>, variance: &Buffer<f32>) -> Result<()> {
        let channels = self.values.len() / 2;
        assert_eq!([mean.len(), variance.len()], [channels; 2], "channels");
        assert!(self.rows > 1, "the variance of {} rows", self.rows);
        // SAFETY: lengths were checked.
        unsafe {
            launch!(context, "move_running", channels;
                &self.values, self.rows as f64, MOMENTUM, channels as i32, mean, variance)
        }
    }

    /// The first row (`bias`: sums of the gradient), and the second (`weight`: of its products) as f32.
    ///
    /// # Errors
    /// If the device fails.
    pub fn gradients(&self, context: &Context) -> Result<Buffer<f32>> {
        let to = context.buffer(self.values.len())?;
        // SAFETY: both are as long.
        unsafe { launch!(context, "sums_to_floats", to.len(); &self.values, to.len() as i64, &to) }?;
        Ok(to)
    }
}

/// Gradient on the input of a batch norm for the gradient `g` on its output.
///
/// # Errors
/// If the device fails.
pub fn backward(
    context: &Context,
    g: &Buffer<Real>,
    x: &Buffer<Real>,
    statistics: &Statistics,
    slopes: &Sums,
    dx: &Buffer<Real>,
) -> Result<()> {
    let channels = statistics.mean.len();
    assert!(x.len() == g.len() && x.len() == dx.len() && 2 * channels == slopes.values.len(), "channels");
    let count = x.len() / PACK;
    // SAFETY: lengths were checked.
    unsafe {
        launch!(context, "norm_backward", count;
            g, x, &statistics.mean, &statistics.inverse, &statistics.scale, &slopes.values, slopes.rows as f64,
            count as i64, channels as i32, dx)
    }
}

impl Running<'_> {
    /// Scale and shift of evaluation.
    ///
    /// # Errors
    /// If the device fails.
    pub fn fold(&self, context: &Context) -> Result<[Buffer<f32>; 2]> {
        let channels = self.mean.len();
        let buffers = [Some(self.variance), self.before]
            .into_iter()
            .chain(self.trained.map(|t| t.map(Some)).into_iter().flatten());
        assert!(buffers.flatten().all(|buffer| buffer.len() == channels), "channels");
        let [scale, shift] = [context.buffer(channels)?, context.buffer(channels)?];
        let [weight, bias] = [0, 1].map(|at| self.trained.map(|both| both[at]));
        // SAFETY: lengths were checked.
        unsafe {
            launch!(context, "fold_norm", channels;
                weight, bias, self.mean, self.variance, self.before, EPS, channels as i32, &scale, &shift)
        }?;
        Ok([scale, shift])
    }
}

/// Weights `[out, length]` as products read them, each output's times its `scale`.
///
/// # Errors
/// If the device fails.
pub fn fold_weights(
    context: &Context,
    weights: &Buffer<f32>,
    scale: Option<&Buffer<f32>>,
    outputs: usize,
) -> Result<Buffer<Real>> {
    assert!(weights.len().is_multiple_of(outputs), "weights of {outputs} outputs");
    assert!(scale.is_none_or(|scale| scale.len() == outputs), "scales of {outputs} outputs");
    let to = context.buffer(weights.len())?;
    let length = (weights.len() / outputs) as i64;
    // SAFETY: lengths were checked.
    unsafe { launch!(context, "fold_weights", to.len(); weights, scale, to.len() as i64, length, &to) }?;
    Ok(to)
}
