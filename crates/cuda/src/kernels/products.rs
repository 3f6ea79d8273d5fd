//! Convolutions and fully connected layers.

use robin_kernels::conv2d;

use super::device::{Computed, Rectified};
use super::layers::{self, Rectifier, Shape};
use super::{Argument, Buffer, Context, Error, PACK, Real, Result};

/// A convolution of some images: `[n, h, w, in]` with weights `[out, kernel, kernel, in]`, channels filled up to packs. A
/// fully connected layer is one of images of one pixel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Product {
    /// Sizes, with channels that are multiples of [`PACK`].
    pub geometry: conv2d::Geometry,
    /// Number of images.
    pub images: usize,
}

/// What of a convolution is computed, from which operands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Pass {
    /// Input, weights to output.
    Forward,
    /// Gradient on the output, weights to gradient on the input.
    BackwardData,
    /// Input, gradient on the output to gradient on the weights.
    BackwardFilter,
}

/// What follows a product: `y = rectified(y + bias + add)`.
#[derive(Debug, Clone, Copy)]
pub struct Epilogue<'a> {
    /// One for each packed channel.
    pub bias: Option<&'a Buffer<f32>>,
    /// Another summand, as long as the output.
    pub add: Option<&'a Buffer<Real>>,
    /// What follows the sum.
    pub rectifier: Rectifier,
}

/// Parts that the images are cut into where gradients on weights are summed by our own kernel.
const FILTER_PARTS: usize = 16;

impl Product {
    /// A fully connected layer on `rows` rows.
    pub fn linear(rows: usize, inputs: usize, outputs: usize) -> Self {
        let geometry = conv2d::Geometry {
            input: [1, 1],
            in_channels: inputs,
            out_channels: outputs,
            kernel: 1,
            stride: 1,
            padding: 0,
        };
        Self { geometry, images: rows }
    }

    /// Whether it is a product of matrices.
    pub fn is_linear(&self) -> bool {
        let g = &self.geometry;
        g.input == [1, 1] && g.kernel == 1 && g.stride == 1 && g.padding == 0
    }

    /// Values of input, weights and output.
    pub fn lens(&self) -> [usize; 3] {
        let g = &self.geometry;
        [self.images * g.input_len(), g.taps() * g.out_channels, self.images * g.output_len()]
    }

    fn check(&self, lens: [usize; 3]) -> Result<()> {
        let g = &self.geometry;
        assert!(g.in_channels.is_multiple_of(PACK) && g.out_channels.is_multiple_of(PACK), "packs: {self:?}");
        assert_eq!(lens, self.lens(), "input, weights and output of {self:?}");
        let limit = i32::MAX as usize;
        match lens.into_iter().max() {
            Some(found) if found > limit => Err(Error::TooLarge { what: "a convolution", found, limit }),
            _ => Ok(()),
        }
    }

    fn sizes(&self) -> Argument {
        let (g, [out_height, out_width]) = (&self.geometry, self.geometry.output());
        let sizes = [
            g.input[0],
            g.input[1],
            g.in_channels,
            g.out_channels,
            g.kernel,
            g.stride,
            g.padding,
            out_height,
            out_width,
        ];
        Argument::Sizes(sizes.map(|size| size as i32))
    }
}

/// `y` of `x` and `w`.
///
/// # Errors
/// If the device fails.
///
/// # Panics
/// If the buffers do not fit.
pub fn forward(
    context: &Context,
    product: &Product,
    x: &Buffer<Real>,
    w: &Buffer<Real>,
    y: &Buffer<Real>,
) -> Result<()> {
    product.check([x.len(), w.len(), y.len()])?;
    let operands = [x.address(), w.address(), y.address()];
    // SAFETY: lengths were checked.
    unsafe {
        if run(context, Pass::Forward, product, operands)? == Computed::ByLibrary {
            return Ok(());
        }
        let count = y.len() / PACK;
        let arguments =
            [x.argument(), w.argument(), product.sizes(), Argument::Long(count as i64), y.argument()];
        context.launch("conv_forward", count, &arguments)
    }
}

/// `y` of `x` and `w`, and what follows it: in one call where the device's library can, and is quicker so.
///
/// # Errors
/// If the device fails.
///
/// # Panics
/// If the buffers do not fit.
pub fn finished(
    context: &Context,
    product: &Product,
    x: &Buffer<Real>,
    w: &Buffer<Real>,
    epilogue: Epilogue<'_>,
    y: &Buffer<Real>,
) -> Result<()> {
    let Epilogue { bias, add, rectifier } = epilogue;
    let [height, width] = product.geometry.output();
    let shape = Shape { height, width, channels: product.geometry.out_channels };
    let apart = || {
        forward(context, product, x, w, y)?;
        layers::epilogue(context, &shape, y, bias, add, rectifier)
    };
    let (Some(bias), Rectifier::Relu, 1..) = (bias, rectifier, product.images) else { return apart() };
    product.check([x.len(), w.len(), y.len()])?;
    layers::check_finish(&shape, y, Some(bias), add);
    let operands = [x.address(), w.address(), y.address()];
    let rectified = Rectified { bias: bias.address(), add: add.map(Buffer::address) };
    // SAFETY: lengths were checked.
    with_room(context, || unsafe {
        context.device().rectified_product(product, context.precision(), operands, rectified, &apart)
    })
}

/// The gradient `dx` on the input of `dy` and `w`.
///
/// # Errors
/// If the device fails.
///
/// # Panics
/// If the buffers do not fit.
pub fn backward_data(
    context: &Context,
    product: &Product,
    dy: &Buffer<Real>,
    w: &Buffer<Real>,
    dx: &Buffer<Real>,
) -> Result<()> {
    product.check([dx.len(), w.len(), dy.len()])?;
    let operands = [dy.address(), w.address(), dx.address()];
    // SAFETY: lengths were checked.
    unsafe {
        if run(context, Pass::BackwardData, product, operands)? == Computed::ByLibrary {
            return Ok(());
        }
        let count = dx.len() / PACK;
        let arguments =
            [dy.argument(), w.argument(), product.sizes(), Argument::Long(count as i64), dx.argument()];
        context.launch("conv_backward_data", count, &arguments)
    }
}

/// The gradient `dw` on the weights of `x` and `dy`.
///
/// # Errors
/// If the device fails.
///
/// # Panics
/// If the buffers do not fit.
pub fn backward_filter(
    context: &Context,
    product: &Product,
    x: &Buffer<Real>,
    dy: &Buffer<Real>,
    dw: &Buffer<Real>,
) -> Result<()> {
    product.check([x.len(), dw.len(), dy.len()])?;
    if product.images == 0 {
        return dw.clear();
    }
    let operands = [x.address(), dy.address(), dw.address()];
    // SAFETY: lengths were checked; the sums are as long as their kernel says.
    unsafe {
        if run(context, Pass::BackwardFilter, product, operands)? == Computed::ByLibrary {
            return Ok(());
        }
        let parts = product.images.clamp(1, FILTER_PARTS);
        let sums = context.buffer::<f64>(parts * dw.len())?;
        let count = sums.len() / PACK;
        let numbers = [product.images as i32, parts as i32].map(Argument::Int);
        let arguments = [
            x.argument(),
            dy.argument(),
            product.sizes(),
            numbers[0],
            numbers[1],
            Argument::Long(count as i64),
            sums.argument(),
        ];
        context.launch("conv_filter_parts", count, &arguments)?;
        let joined = super::norms::joined(context, sums, parts, dw.len())?;
        let count = dw.len();
        let arguments = [joined.argument(), Argument::Long(count as i64), dw.argument()];
        context.launch("sums_to_reals", count, &arguments)
    }
}

/// # Safety
/// The operands are as long as the product says.
unsafe fn run(context: &Context, pass: Pass, product: &Product, operands: [u64; 3]) -> Result<Computed> {
    if product.images == 0 {
        return Ok(Computed::ByLibrary);
    }
    // SAFETY: the caller's word.
    with_room(context, || unsafe { context.device().product(pass, product, context.precision(), operands) })
}

fn with_room<T>(context: &Context, compute: impl Fn() -> Result<T>) -> Result<T> {
    let computed = match compute() {
        // A library asks the driver for its scratch memory, which may lie in what is kept here for later.
        Err(Error::OutOfMemory { .. }) if context.trim() => {
            context.synchronize()?;
            compute()
        }
        computed => computed,
    };
    computed.map_err(|error| context.with_memory(error))
}
