//! Layers without weights, and what follows a product. The formulas are in `sources/layers.cu`.

use robin_kernels::max_pool2d;

use super::arguments::launch;
use super::{Buffer, Context, PACK, Real, Result};

/// How the values of an image lie on a device: `[height, width, packed channels]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Rows.
    pub height: usize,
    /// Pixels of a row.
    pub width: usize,
    /// Channels that mean something.
    pub channels: usize,
}

impl Shape {
    /// Channels, filled up to whole packs.
    pub fn packed(&self) -> usize {
        self.channels.next_multiple_of(PACK)
    }

    /// Number of pixels.
    pub fn pixels(&self) -> usize {
        self.height * self.width
    }

    /// Values of an image.
    pub fn len(&self) -> usize {
        self.pixels() * self.packed()
    }

    /// Whether an image has no values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn check(&self, images: usize, buffer: &Buffer<Real>) {
        assert_eq!(images * self.len(), buffer.len(), "{images} images of {self:?}");
    }
}

/// Images f32 `[n, c, h, w]`, normalised by mean and deviation `[c]` where they are given, into their layout.
///
/// # Errors
/// If the device fails.
///
/// # Panics
/// If the buffers do not fit; so for all functions here.
pub fn read_images(
    context: &Context,
    shape: &Shape,
    images: &Buffer<f32>,
    normalization: Option<[&Buffer<f32>; 2]>,
    to: &Buffer<Real>,
) -> Result<()> {
    shape.check(images.len() / (shape.pixels() * shape.channels), to);
    for buffer in normalization.into_iter().flatten() {
        assert_eq!(buffer.len(), shape.channels, "normalisation");
    }
    let count = to.len() / PACK;
    let [mean, deviation] = [0, 1].map(|at| normalization.map(|both| both[at]));
    // SAFETY: lengths were checked.
    unsafe {
        launch!(context, "read_images", count;
            images, mean, deviation, count as i64, shape.channels as i32, shape.pixels() as i32,
            shape.packed() as i32, to)
    }
}

/// The gradient on normalised images as one on the images f32 `[n, c, h, w]`.
///
/// # Errors
/// If the device fails.
pub fn write_image_gradient(
    context: &Context,
    shape: &Shape,
    gradient: &Buffer<Real>,
    deviation: Option<&Buffer<f32>>,
    to: &Buffer<f32>,
) -> Result<()> {
    shape.check(to.len() / (shape.pixels() * shape.channels), gradient);
    assert!(deviation.is_none_or(|deviation| deviation.len() == shape.channels), "normalisation");
    let count = to.len();
    // SAFETY: lengths were checked.
    unsafe {
        launch!(context, "write_image_gradient", count;
            gradient, deviation, count as i64, shape.channels as i32, shape.pixels() as i32,
            shape.packed() as i32, to)
    }
}

/// Whether a rectifier follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rectifier {
    /// `max(x, 0)`.
    Relu,
    /// Nothing.
    None,
}

impl Rectifier {
    fn flag(self) -> i32 {
        i32::from(self == Self::Relu)
    }
}

/// `y = rectified(y + bias + add)` in place.
///
/// # Errors
/// If the device fails.
pub fn epilogue(
    context: &Context,
    shape: &Shape,
    y: &Buffer<Real>,
    bias: Option<&Buffer<f32>>,
    add: Option<&Buffer<Real>>,
    rectifier: Rectifier,
) -> Result<()> {
    if bias.is_none() && add.is_none() && rectifier == Rectifier::None {
        return Ok(());
    }
    check_finish(shape, y, bias, add);
    let count = y.len() / PACK;
    // SAFETY: lengths were checked.
    unsafe {
        launch!(context, "finish", count; y, bias, add, rectifier.flag(), count as i64, shape.packed() as i32)
    }
}

/// Panics if the operands of [`epilogue`] do not fit.
pub(super) fn check_finish(
    shape: &Shape,
    y: &Buffer<Real>,
    bias: Option<&Buffer<f32>>,
    add: Option<&Buffer<Real>>,
) {
    assert!(y.len().is_multiple_of(shape.len()), "{shape:?}");
    assert!(bias.is_none_or(|bias| bias.len() == shape.packed()), "bias of {shape:?}");
    assert!(add.is_none_or(|add| add.len() == y.len()), "summand of {shape:?}");
}

/// `y = rectified(scale * x + shift + add)` for each channel.
///
/// # Errors
/// If the device fails.
pub fn affine(
    context: &Context,
    shape: &Shape,
    x: &Buffer<Real>,
    [scale, shift]: [&Buffer<f32>; 2],
    (add, rectifier): (Option<&Buffer<Real>>, Rectifier),
    y: &Buffer<Real>,
) -> Result<()> {
    assert!(y.len().is_multiple_of(shape.len()) && x.len() == y.len(), "{shape:?}");
    assert_eq!([scale.len(), shift.len()], [shape.packed(); 2], "channels of {shape:?}");
    assert!(add.is_none_or(|add| add.len() == y.len()), "summand of {shape:?}");
    let count = y.len() / PACK;
    // SAFETY: lengths were checked.
    unsafe {
        launch!(context, "affine", count;
            x, scale, shift, add, rectifier.flag(), count as i64, shape.packed() as i32, y)
    }
}

/// `dx = scale * dy` for each channel.
///
/// # Errors
/// If the device fails.
pub fn scale_channels(
    context: &Context,
    shape: &Shape,
    dy: &Buffer<Real>,
    scale: &Buffer<f32>,
    dx: &Buffer<Real>,
) -> Result<()> {
    assert!(dy.len().is_multiple_of(shape.len()) && dx.len() == dy.len(), "{shape:?}");
    assert_eq!(scale.len(), shape.packed(), "channels of {shape:?}");
    let count = dx.len() / PACK;
    // SAFETY: lengths were checked.
    unsafe { launch!(context, "scale_channels", count; dy, scale, count as i64, shape.packed() as i32, dx) }
}

/// `to = from + other`, where `rectified`, the output of a rectifier, is positive, and 0 elsewhere. `to` may be `from`.
///
/// # Errors
/// If the device fails.
pub fn join_gradients(
    context: &Context,
    from: &Buffer<Real>,
    other: Option<&Buffer<Real>>,
    rectified: Option<&Buffer<Real>>,
    to: &Buffer<Real>,
) -> Result<()> {
    let lens = [Some(from), other, rectified, Some(to)].into_iter().flatten().map(Buffer::len);
    assert!(lens.into_iter().all(|len| len == to.len()) && to.len().is_multiple_of(PACK), "gradients");
    let count = to.len() / PACK;
    // SAFETY: lengths were checked.
    unsafe { launch!(context, "join_gradients", count; from, other, rectified, count as i64, to) }
}

/// Max pooling of images; `places` is where each maximum was in its window.
///
/// # Errors
/// If the device fails.
pub fn max_pool_forward(
    context: &Context,
    g: &max_pool2d::Geometry,
    x: &Buffer<Real>,
    y: &Buffer<Real>,
    places: &Buffer<u8>,
) -> Result<()> {
    let shape = check_max_pooling(g, x, y);
    assert!(places.len() == y.len() && g.window <= 16, "places of {g:?}");
    // SAFETY: lengths were checked.
    unsafe {
        launch!(context, "max_pool_forward", y.len();
            x, y.len() as i64, shape.width as i32, shape.height as i32, shape.packed() as i32, g.window as i32,
            g.stride as i32, g.padding as i32, y, places)
    }
}

/// The gradient of [`max_pool_forward`].
///
/// # Errors
/// If the device fails.
pub fn max_pool_backward(
    context: &Context,
    g: &max_pool2d::Geometry,
    dy: &Buffer<Real>,
    places: &Buffer<u8>,
    dx: &Buffer<Real>,
) -> Result<()> {
    let shape = check_max_pooling(g, dx, dy);
    assert_eq!(places.len(), dy.len(), "places of {g:?}");
    // SAFETY: lengths were checked.
    unsafe {
        launch!(context, "max_pool_backward", dx.len();
            dy, places, dx.len() as i64, shape.width as i32, shape.height as i32, shape.packed() as i32,
            g.window as i32, g.stride as i32, g.padding as i32, dx)
    }
}

/// Average pooling of images of `shape`, which windows fill.
///
/// # Errors
/// If the device fails.
pub fn avg_pool_forward(
    context: &Context,
    shape: &Shape,
    window: usize,
    x: &Buffer<Real>,
    y: &Buffer<Real>,
) -> Result<()> {
    check_filled(shape, window, x, y);
    // SAFETY: lengths were checked.
    unsafe {
        launch!(context, "avg_pool_forward", y.len();
            x, y.len() as i64, shape.width as i32, shape.height as i32, shape.packed() as i32, window as i32, y)
    }
}

/// The gradient of [`avg_pool_forward`].
///
/// # Errors
/// If the device fails.
pub fn avg_pool_backward(
    context: &Context,
    shape: &Shape,
    window: usize,
    dy: &Buffer<Real>,
    dx: &Buffer<Real>,
) -> Result<()> {
    check_filled(shape, window, dx, dy);
    // SAFETY: lengths were checked.
    unsafe {
        launch!(context, "avg_pool_backward", dx.len();
            dy, dx.len() as i64, shape.width as i32, shape.height as i32, shape.packed() as i32, window as i32, dx)
    }
}

/// The shape of the images before.
fn check_max_pooling(g: &max_pool2d::Geometry, image: &Buffer<Real>, pooled: &Buffer<Real>) -> Shape {
    let of = |[height, width]: [usize; 2]| Shape { height, width, channels: g.channels };
    let (before, after) = (of(g.input), of(g.output()));
    assert!(!after.is_empty() && g.stride > 0 && 2 * g.padding <= g.window, "{g:?}");
    let images = pooled.len() / after.len();
    before.check(images, image);
    after.check(images, pooled);
    before
}

fn check_pooling(shape: &Shape, window: usize, image: &Buffer<Real>, pooled: &Buffer<Real>) {
    assert!((1..=shape.height.min(shape.width)).contains(&window), "window {window} of {shape:?}");
    let after = Shape { height: shape.height / window, width: shape.width / window, ..*shape };
    let images = pooled.len() / after.len();
    shape.check(images, image);
    after.check(images, pooled);
}

fn check_filled(shape: &Shape, window: usize, image: &Buffer<Real>, pooled: &Buffer<Real>) {
    check_pooling(shape, window, image, pooled);
    assert!(shape.height.is_multiple_of(window) && shape.width.is_multiple_of(window), "{shape:?}");
}

/// Images of `shape` as rows in the order channel, row, pixel.
///
/// # Errors
/// If the device fails.
pub fn flatten_forward(context: &Context, shape: &Shape, x: &Buffer<Real>, y: &Buffer<Real>) -> Result<()> {
    let length = check_flat(shape, x, y);
    // SAFETY: lengths were checked.
    unsafe {
        launch!(context, "flatten_forward", y.len();
            x, y.len() as i64, shape.channels as i32, shape.pixels() as i32, shape.packed() as i32, length, y)
    }
}

/// The gradient of [`flatten_forward`].
///
/// # Errors
/// If the device fails.
pub fn flatten_backward(
    context: &Context,
    shape: &Shape,
    dy: &Buffer<Real>,
    dx: &Buffer<Real>,
) -> Result<()> {
    let length = check_flat(shape, dx, dy);
    // SAFETY: lengths were checked.
    unsafe {
        launch!(context, "flatten_backward", dx.len();
            dy, dx.len() as i64, shape.channels as i32, shape.pixels() as i32, shape.packed() as i32, length, dx)
    }
}

fn check_flat(shape: &Shape, image: &Buffer<Real>, flat: &Buffer<Real>) -> i32 {
    let row = Shape { height: 1, width: 1, channels: shape.channels * shape.pixels() };
    let images = flat.len() / row.len();
    shape.check(images, image);
    row.check(images, flat);
    row.len() as i32
}

/// Scores `[n, given]` out of rows.
///
/// # Errors
/// If the device fails.
pub fn read_scores(context: &Context, given: usize, rows: &Buffer<Real>, scores: &Buffer<f32>) -> Result<()> {
    let channels = given.next_multiple_of(PACK);
    assert_eq!(scores.len() / given * channels, rows.len(), "rows of {given} scores");
    let count = scores.len();
    // SAFETY: lengths were checked.
    unsafe {
        launch!(context, "read_scores", count; rows, count as i64, given as i32, channels as i32, scores)
    }
}

/// The gradient `[n, given]` on scores as rows.
///
/// # Errors
/// If the device fails.
pub fn write_score_gradient(
    context: &Context,
    given: usize,
    gradient: &Buffer<f32>,
    rows: &Buffer<Real>,
) -> Result<()> {
    let channels = given.next_multiple_of(PACK);
    assert_eq!(gradient.len() / given * channels, rows.len(), "rows of {given} scores");
    let count = rows.len();
    // SAFETY: lengths were checked.
    unsafe {
        launch!(context, "write_score_gradient", count; gradient, count as i64, given as i32, channels as i32, rows)
    }
}

/// Stored activations as f32.
///
/// # Errors
/// If the device fails.
pub fn to_floats(context: &Context, x: &Buffer<Real>) -> Result<Buffer<f32>> {
    let y = context.buffer(x.len())?;
    // SAFETY: both are as long.
    unsafe { launch!(context, "reals_to_floats", x.len(); x, x.len() as i64, &y) }?;
    Ok(y)
}
