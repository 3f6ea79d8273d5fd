//! Images and labels as they are given, checked where they lie.

use candle_core::{DType, Module, Tensor};
use robin_core::{ExampleId, Scores, host};

use crate::attacks::Targets;
use crate::on_device::ball;
use crate::{Error, Result};

/// Images f32 `[n, c, h, w]` in `[0, 1]`, with labels that the module has.
#[derive(Debug, Clone)]
pub(crate) struct Input {
    pub(crate) images: Tensor,
    pub(crate) labels: Vec<u32>,
    /// Of the module: the columns of its logits.
    pub(crate) classes: usize,
    /// Of clean images, on the host, where they are compared.
    pub(crate) clean: Scores,
}

impl Input {
    /// Checks everything, and asks the module about the clean images, `batch_size` at a time.
    pub(crate) fn new<M: Module + ?Sized>(
        module: &M,
        images: &Tensor,
        labels: &Tensor,
        batch_size: usize,
    ) -> Result<Self> {
        let (n, length) = host::image_rows("images", images)?;
        if images.dtype() != DType::F32 {
            return Err(Error::Type { found: images.dtype() });
        }
        if n == 0 || length == 0 {
            return Err(Error::Empty);
        }
        let images = images.detach().contiguous()?;
        in_the_box(&images)?;
        if labels.dims() != [n] {
            return Err(Error::Labels { found: labels.dims().to_vec(), images: n });
        }
        let labels: Vec<u32> = labels.to_dtype(DType::U32)?.to_vec1()?;
        let logits = logits(module, &images, batch_size)?;
        let classes = logits.dims()[1];
        if let Some((example, &label)) = labels.iter().enumerate().find(|(_, y)| **y as usize >= classes) {
            return Err(robin_core::Error::Label { example, label, classes }.into());
        }
        let clean = Scores::new(logits)?;
        Ok(Self { images, labels, classes, clean })
    }

    pub(crate) fn len(&self) -> usize {
        self.labels.len()
    }

    /// Addresses of the images' random numbers: their places.
    pub(crate) fn ids(&self) -> Vec<ExampleId> {
        (0..self.len() as u32).map(ExampleId::first).collect()
    }

    /// One target for each image, which is not its label.
    pub(crate) fn targets(&self, targets: &Targets) -> Result<Vec<u32>> {
        let each = match targets {
            Targets::One(class) => vec![*class; self.len()],
            Targets::Each(classes) => classes.clone(),
        };
        if each.len() != self.len() {
            return Err(Error::Targets { found: each.len(), images: self.len() });
        }
        for (image, (&class, &label)) in each.iter().zip(&self.labels).enumerate() {
            if class as usize >= self.classes {
                let classes = self.classes;
                return Err(robin_core::Error::Label { example: image, label: class, classes }.into());
            }
            if class == label {
                return Err(Error::OwnTarget { image, class });
            }
        }
        Ok(each)
    }
}

fn in_the_box(images: &Tensor) -> Result<()> {
    let all = images.flatten_all()?;
    let (lowest, highest) = (all.min(0)?.to_scalar::<f32>()?, all.max(0)?.to_scalar::<f32>()?);
    if ball::not_finite(images)?.is_some() {
        return Err(Error::Pixels { lowest: f32::NAN, highest });
    }
    if lowest < 0.0 || highest > 1.0 {
        return Err(Error::Pixels { lowest, highest });
    }
    Ok(())
}

/// Logits `[n, classes]` of the clean images.
fn logits<M: Module + ?Sized>(module: &M, images: &Tensor, batch_size: usize) -> Result<Tensor> {
    let n = images.dims()[0];
    let mut parts: Vec<Tensor> = Vec::new();
    for from in (0..n).step_by(checked(batch_size)?) {
        let rows = batch_size.min(n - from);
        let part = module.forward(&images.narrow(0, from, rows)?)?.detach().to_dtype(DType::F32)?;
        let classes = parts.first().map(|first| first.dims()[1]);
        match *part.dims() {
            [found, columns] if found == rows && columns > 1 && classes.is_none_or(|k| k == columns) => {}
            _ => return Err(Error::Logits { found: part.dims().to_vec(), images: rows }),
        }
        parts.push(part);
    }
    Ok(Tensor::cat(&parts, 0)?)
}

/// A size of batches that there can be.
pub(crate) fn checked(batch_size: usize) -> Result<usize> {
    match batch_size {
        1..=robin_evaluation::MOST_BATCH => Ok(batch_size),
        asked => Err(robin_evaluation::Error::BatchSize { asked }.into()),
    }
}
