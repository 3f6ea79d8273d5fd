//! Tensors as plain numbers on the host, for per-example work.

use candle_core::{Device, Storage, Tensor};

use crate::{Error, Result};

/// The elements of an f32 tensor in row-major order.
///
/// # Errors
/// [`Error::Tensor`] if the tensor is not f32.
pub fn to_vec(tensor: &Tensor) -> Result<Vec<f32>> {
    Ok(tensor.flatten_all()?.to_vec1::<f32>()?)
}

/// Calls `work` with the elements of an f32 tensor in row-major order, where they lie if they lie so.
///
/// # Errors
/// [`Error::Tensor`] if the tensor is not f32.
pub fn with_values<R>(tensor: &Tensor, work: impl FnOnce(&[f32]) -> R) -> Result<R> {
    let (storage, layout) = tensor.storage_and_layout();
    if let (Storage::Cpu(values), Some((start, end))) = (&*storage, layout.contiguous_offsets()) {
        return Ok(work(&values.as_slice::<f32>()?[start..end]));
    }
    drop(storage);
    Ok(work(&to_vec(tensor)?))
}

/// Checks that `tensor` is `[n, c, h, w]` and returns `(n, c * h * w)`.
///
/// # Errors
/// [`Error::Shape`] otherwise.
pub fn image_rows(what: &'static str, tensor: &Tensor) -> Result<(usize, usize)> {
    match *tensor.dims() {
        [n, c, h, w] => Ok((n, c * h * w)),
        _ => Err(Error::Shape { what, found: tensor.dims().to_vec(), expected: "[n, c, h, w]".to_owned() }),
    }
}

/// Calls `change(row, clean, other)` for every image; `other` (same shape as `clean`) may be written.
/// Returns the written images.
///
/// # Errors
/// [`Error::Shape`] if the shapes differ.
pub fn map_images(
    clean: &Tensor,
    other: &Tensor,
    mut change: impl FnMut(usize, &[f32], &mut [f32]),
) -> Result<Tensor> {
    let (_, length) = image_rows("images", clean)?;
    if clean.dims() != other.dims() {
        return Err(Error::Shape {
            what: "perturbed images",
            found: other.dims().to_vec(),
            expected: format!("{:?}", clean.dims()),
        });
    }
    let clean_values = to_vec(clean)?;
    let mut values = to_vec(other)?;
    if length > 0 {
        for (row, (c, o)) in
            clean_values.chunks_exact(length).zip(values.chunks_exact_mut(length)).enumerate()
        {
            change(row, c, o);
        }
    }
    Ok(Tensor::from_vec(values, clean.dims(), &Device::Cpu)?)
}

/// The images (or rows of any tensor) at `rows`, in that order.
///
/// # Errors
/// [`Error::Tensor`] if an index is out of range.
pub fn select(tensor: &Tensor, rows: &[usize]) -> Result<Tensor> {
    let indices: Vec<u32> = rows.iter().map(|&row| row as u32).collect();
    let count = indices.len();
    Ok(tensor.index_select(&Tensor::from_vec(indices, count, tensor.device())?, 0)?)
}

/// `base` with the images at `rows` replaced by those of `replacement`, in that order.
///
/// # Errors
/// [`Error::Shape`] if `replacement` does not hold `rows.len()` images of the same size.
pub fn replace(base: &Tensor, rows: &[usize], replacement: &Tensor) -> Result<Tensor> {
    let (_, length) = image_rows("images", base)?;
    if replacement.elem_count() != rows.len() * length {
        return Err(Error::Shape {
            what: "replacement images",
            found: replacement.dims().to_vec(),
            expected: format!("{} images of {length} values", rows.len()),
        });
    }
    let mut values = to_vec(base)?;
    for (&row, image) in rows.iter().zip(to_vec(replacement)?.chunks_exact(length)) {
        values[row * length..(row + 1) * length].copy_from_slice(image);
    }
    Ok(Tensor::from_vec(values, base.dims(), base.device())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_seen_in_row_major_order_wherever_they_lie() {
        let whole = Tensor::arange(0.0_f32, 6.0, &Device::Cpu).and_then(|t| t.reshape((2, 3))).unwrap();
        let seen = |tensor: &Tensor| with_values(tensor, <[f32]>::to_vec).unwrap();
        assert_eq!(seen(&whole), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        assert_eq!(seen(&whole.get(1).unwrap()), [3.0, 4.0, 5.0]);
        assert_eq!(seen(&whole.t().unwrap()), [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
        assert!(with_values(&whole.to_dtype(candle_core::DType::U8).unwrap(), |_| ()).is_err());
    }
}
