//! Max pooling as a candle operation with a true gradient (candle 0.11.1's own divides it by the window's
//! area). Thin: the arithmetic is that of `robin_kernels::max_pool2d::reference`.

use candle_core::{CpuStorage, CustomOp1, DType, Layout, Result, Shape, Tensor, bail};
use robin_kernels::max_pool2d::{Geometry, reference};

/// The operation on contiguous `[n, c, h, w]`.
pub(super) struct MaxPool2d(pub(super) Geometry);

impl CustomOp1 for MaxPool2d {
    fn name(&self) -> &'static str {
        "robin-max-pool2d"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let Some((start, end)) = layout.contiguous_offsets() else {
            bail!("max_pool2d takes contiguous images")
        };
        let (n, channels, _, _) = layout.shape().dims4()?;
        let [height, width] = self.0.output();
        let pool = |values: Vec<f64>| self.each_image(&values, |x| reference::forward(&self.0, x).0);
        let storage = match storage {
            CpuStorage::F32(x) => {
                let y = pool(x[start..end].iter().map(|&x| f64::from(x)).collect());
                CpuStorage::F32(y.into_iter().map(|y| y as f32).collect())
            }
            CpuStorage::F64(x) => CpuStorage::F64(pool(x[start..end].to_vec())),
            _ => bail!("max_pool2d takes f32 or f64"),
        };
        Ok((storage, Shape::from((n, channels, height, width))))
    }

    fn bwd(&self, x: &Tensor, _y: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        let wide = |t: &Tensor| t.to_dtype(DType::F64)?.flatten_all()?.to_vec1::<f64>();
        let (x_values, dy_values) = (wide(x)?, wide(dy)?);
        let mut dy_images = dy_values.chunks_exact(self.0.output_len());
        let dx = self.each_image(&x_values, |x| {
            let dy = to_channels_last(dy_images.next().expect("an output per image"), self.0.channels);
            reference::input_gradient(&self.0, &reference::forward(&self.0, x).1, &dy)
        });
        Ok(Some(Tensor::from_vec(dx, x.shape(), x.device())?.to_dtype(x.dtype())?))
    }
}

impl MaxPool2d {
    /// Applies `change` to each image, which it sees with channels last; all else has channels first.
    fn each_image(&self, values: &[f64], mut change: impl FnMut(&[f64]) -> Vec<f64>) -> Vec<f64> {
        let channels = self.0.channels;
        let images = values.chunks_exact(self.0.input_len());
        images.flat_map(|x| to_channels_first(&change(&to_channels_last(x, channels)), channels)).collect()
    }
}

fn to_channels_last(values: &[f64], channels: usize) -> Vec<f64> {
    let area = values.len() / channels;
    (0..values.len()).map(|at| values[at % channels * area + at / channels]).collect()
}

fn to_channels_first(values: &[f64], channels: usize) -> Vec<f64> {
    let area = values.len() / channels;
    (0..values.len()).map(|at| values[at % area * channels + at / area]).collect()
}
