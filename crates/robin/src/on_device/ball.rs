//! Budgets on tensors: starts, steps, projections, sizes and the final check, without a copy of an image on the host.
//!
//! Lengths and sizes are sums in f64, as everywhere in ROBIN, but on Metal, which has none: there in f32, so that l2
//! differs in the last bits.

use candle_core::{DType, Tensor};
use robin_attacks::Start;
use robin_core::budget::{ABSOLUTE_SLACK, RELATIVE_SLACK};
use robin_core::{Batch, Budget, Error, Norm, Result, Seed, host};

/// The type that sums are made in.
fn wide(tensor: &Tensor) -> DType {
    if tensor.device().is_metal() { DType::F32 } else { DType::F64 }
}

/// `[n, c * h * w]` in the wide type.
fn wide_rows(tensor: &Tensor) -> Result<Tensor> {
    Ok(tensor.flatten_from(1)?.to_dtype(wide(tensor))?.contiguous()?)
}

/// `[n, 1]`: length of each row.
fn lengths(rows: &Tensor) -> Result<Tensor> {
    Ok(rows.sqr()?.sum_keepdim(1)?.sqrt()?)
}

/// `numerator / divisor`, elementwise.
fn over(numerator: f64, divisor: &Tensor) -> Result<Tensor> {
    Ok(((divisor.ones_like()? * numerator)? / divisor)?)
}

/// Row `choice[i]` of all `sources` one below the other, for each i.
pub(crate) fn pick(sources: &[&Tensor], choice: &[usize]) -> Result<Tensor> {
    // Of two sources only the first, in its order: nothing to do.
    if choice.len() == sources[0].dims()[0] && choice.iter().enumerate().all(|(at, &row)| at == row) {
        return Ok(sources[0].clone());
    }
    host::select(&Tensor::cat(sources, 0)?, choice)
}

/// Numbers `[n]`, one for each image, on the host.
fn numbers(tensor: &Tensor) -> Result<Vec<f64>> {
    Ok(tensor.flatten_all()?.to_dtype(DType::F32)?.to_vec1::<f32>()?.into_iter().map(f64::from).collect())
}

/// Which images of `a` and `b` differ anywhere.
pub(crate) fn rows_that_differ(a: &Tensor, b: &Tensor) -> Result<Vec<bool>> {
    let differ = a.ne(b)?.to_dtype(DType::F32)?.flatten_from(1)?.max_keepdim(1)?;
    Ok(numbers(&differ)?.into_iter().map(|differ| differ > 0.0).collect())
}

/// First points of restart number `restart`. Draws are made on the host, by example; images are not needed there.
pub(crate) fn starts(
    start: Start,
    budget: Budget,
    batch: &Batch,
    seed: Seed,
    restart: usize,
) -> Result<Tensor> {
    let clean = &batch.images;
    let (_, length) = host::image_rows("images", clean)?;
    let Some(offsets) = start.offsets(budget, &batch.ids, length, seed, restart) else {
        return Ok(clean.clone());
    };
    let wide = wide(clean);
    let offsets = Tensor::from_vec(offsets, clean.dims(), &candle_core::Device::Cpu)?;
    let offsets = offsets.to_dtype(wide)?.to_device(clean.device())?;
    let moved = (clean.to_dtype(wide)? + offsets)?.to_dtype(DType::F32)?;
    project(budget, clean, &moved)
}

/// [`Budget::project`].
pub(crate) fn project(budget: Budget, clean: &Tensor, images: &Tensor) -> Result<Tensor> {
    let epsilon = budget.epsilon.get();
    let within = match budget.norm {
        Norm::Linf => {
            // Rounded first, as one image's projection rounds it.
            let epsilon = f64::from(epsilon as f32);
            images.maximum(&(clean - epsilon)?)?.minimum(&(clean + epsilon)?)?
        }
        Norm::L2 => {
            let size = lengths(&(wide_rows(images)? - wide_rows(clean)?)?)?;
            let scale = over(epsilon, &size)?.to_dtype(DType::F32)?;
            let outside = (size.gt(epsilon)? * scale.ne(1.0_f32)?)?;
            let change = (images - clean)?.flatten_from(1)?.broadcast_mul(&scale)?;
            let moved = (clean + change.reshape(clean.dims())?)?;
            choose(&outside, &moved, images)?
        }
    };
    Ok(within.clamp(0.0_f32, 1.0_f32)?)
}

/// Images of `yes` where `mask` `[n, 1]` is 1, of `no` elsewhere.
fn choose(mask: &Tensor, yes: &Tensor, no: &Tensor) -> Result<Tensor> {
    let n = no.dims()[0];
    Ok(mask.reshape((n, 1, 1, 1))?.broadcast_as(no.dims())?.where_cond(yes, no)?)
}

/// One step of steepest ascent, projected; and which images had an exactly zero gradient and stay.
pub(crate) fn step(
    budget: Budget,
    step_size: f64,
    clean: &Tensor,
    gradient: &Tensor,
    images: &Tensor,
) -> Result<(Tensor, Vec<bool>)> {
    let slopes = gradient.flatten_from(1)?.contiguous()?;
    let largest = slopes.abs()?.max_keepdim(1)?;
    let moved = match budget.norm {
        Norm::Linf => {
            let sign = (gradient.gt(0.0_f32)?.to_dtype(DType::F32)?
                - gradient.lt(0.0_f32)?.to_dtype(DType::F32)?)?;
            (images + (sign * f64::from(step_size as f32))?)?
        }
        Norm::L2 => {
            let slopes = wide_rows(gradient)?;
            // Of a zero gradient this is no number, and nobody takes it.
            let scale = over(step_size, &lengths(&slopes)?)?;
            let change = slopes.broadcast_mul(&scale)?.to_dtype(DType::F32)?;
            (images + change.reshape(images.dims())?)?
        }
    };
    let next = choose(&largest.gt(0.0_f32)?, &project(budget, clean, &moved)?, images)?;
    Ok((next, numbers(&largest)?.into_iter().map(|largest| largest == 0.0).collect()))
}

/// A gradient on `images`: of their shape, and finite.
pub(crate) fn check_gradient(gradient: &Tensor, images: &Tensor) -> Result<()> {
    if gradient.dims() != images.dims() {
        return Err(Error::Shape {
            what: "input gradient",
            found: gradient.dims().to_vec(),
            expected: format!("{:?}", images.dims()),
        });
    }
    match not_finite(gradient)? {
        Some((example, value)) => Err(Error::NotFinite { what: "input gradient", example, value }),
        None => Ok(()),
    }
}

/// The first image with a number that is not finite, and what its numbers times 0 add up to.
pub(crate) fn not_finite(images: &Tensor) -> Result<Option<(usize, f32)>> {
    let sums = numbers(&(images.flatten_from(1)? * 0.0)?.sum_keepdim(1)?)?;
    Ok(sums.iter().position(|sum| !sum.is_finite()).map(|at| (at, sums[at] as f32)))
}

/// Sizes of the perturbations, `[n]`.
pub(crate) fn sizes(norm: Norm, clean: &Tensor, perturbed: &Tensor) -> Result<Vec<f64>> {
    let change = (wide_rows(perturbed)? - wide_rows(clean)?)?;
    let sizes = match norm {
        Norm::L2 => lengths(&change)?,
        Norm::Linf => change.abs()?.max_keepdim(1)?,
    };
    let sizes = sizes.flatten_all()?;
    Ok(match sizes.dtype() {
        DType::F64 => sizes.to_vec1()?,
        _ => numbers(&sizes)?,
    })
}

/// [`Budget::verify`]: finite, in the box, within epsilon up to rounding. Returns the sizes `[n]`.
///
/// # Errors
/// As [`Budget::verify`]; pixels are not counted here, so [`Error::OutsideBox`] names the first.
pub(crate) fn verify(budget: Budget, clean: &Tensor, perturbed: &Tensor) -> Result<Vec<f64>> {
    if let Some((example, value)) = not_finite(perturbed)? {
        return Err(Error::NotFinite { what: "perturbed pixel", example, value });
    }
    let rows = perturbed.flatten_from(1)?;
    for extreme in [rows.min_keepdim(1)?, rows.max_keepdim(1)?] {
        let numbers = numbers(&extreme)?;
        if let Some(example) = numbers.iter().position(|value| !(0.0..=1.0).contains(value)) {
            return Err(Error::OutsideBox { example, pixel: 0, value: numbers[example] as f32 });
        }
    }
    let sizes = sizes(budget.norm, clean, perturbed)?;
    let epsilon = budget.epsilon.get();
    let allowed = epsilon * (1.0 + RELATIVE_SLACK) + ABSOLUTE_SLACK;
    match sizes.iter().position(|&size| size > allowed) {
        Some(example) => Err(Error::OverBudget { example, norm: budget.norm, size: sizes[example], epsilon }),
        None => Ok(sizes),
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;
    use robin_core::ExampleId;

    use super::*;

    fn images(seed: u64) -> Tensor {
        let mut stream = Seed::new(seed).root_stream();
        let values: Vec<f32> = (0..5 * 3 * 4 * 4).map(|_| 1.2 * stream.uniform() - 0.1).collect();
        Tensor::from_vec(values, (5, 3, 4, 4), &Device::Cpu).unwrap()
    }

    fn budgets() -> Vec<Budget> {
        let of = |norm| {
            ["0", "0.05", "0.5", "3"].map(|epsilon| Budget { norm, epsilon: epsilon.parse().unwrap() })
        };
        [Norm::L2, Norm::Linf].into_iter().flat_map(of).collect()
    }

    #[test]
    fn projections_and_sizes_are_those_of_the_host_bit_for_bit() {
        let clean = images(1).clamp(0.0_f32, 1.0_f32).unwrap();
        for budget in budgets() {
            let far = images(2);
            let ours = project(budget, &clean, &far).unwrap();
            let theirs = budget.project(&clean, &far).unwrap();
            assert_eq!(host::to_vec(&ours).unwrap(), host::to_vec(&theirs).unwrap(), "{budget}");
            let mut expected = Vec::new();
            host::map_images(&clean, &theirs, |_, clean, image| {
                expected.push(budget.norm.distance(clean, image))
            })
            .unwrap();
            assert_eq!(verify(budget, &clean, &ours).unwrap(), expected, "{budget}");
        }
    }

    #[test]
    fn what_no_budget_allows_is_refused_with_its_image() {
        let clean = images(1).clamp(0.1_f32, 0.9_f32).unwrap();
        let budget = Budget { norm: Norm::Linf, epsilon: "0.05".parse().unwrap() };
        let with = |row: usize, by: f64| {
            let mut rows: Vec<Tensor> = (0..5).map(|row| clean.narrow(0, row, 1).unwrap()).collect();
            rows[row] = (&rows[row] + by).unwrap();
            Tensor::cat(&rows, 0).unwrap()
        };
        assert!(verify(budget, &clean, &with(3, 0.05)).is_ok());
        let refused = |row, by| verify(budget, &clean, &with(row, by)).unwrap_err();
        assert!(matches!(refused(3, 0.06), Error::OverBudget { example: 3, .. }));
        assert!(matches!(refused(2, 2.0), Error::OutsideBox { example: 2, .. }));
        assert!(matches!(refused(4, f64::NAN), Error::NotFinite { example: 4, .. }));
    }

    #[test]
    fn only_images_with_a_gradient_move() {
        let clean = images(1).clamp(0.0_f32, 1.0_f32).unwrap();
        let mut rows: Vec<Tensor> = (0..5).map(|row| images(3).narrow(0, row, 1).unwrap()).collect();
        rows[1] = rows[1].zeros_like().unwrap();
        let gradient = Tensor::cat(&rows, 0).unwrap();
        for budget in budgets().into_iter().filter(|budget| budget.epsilon.get() > 0.0) {
            let (next, zero) = step(budget, 0.03, &clean, &gradient, &clean).unwrap();
            assert_eq!(zero, [false, true, false, false, false]);
            let moved = rows_that_differ(&next, &clean).unwrap();
            assert_eq!(moved, [true, false, true, true, true], "{budget}");
        }
    }

    #[test]
    fn starts_are_drawn_by_example() {
        let clean = images(1).clamp(0.0_f32, 1.0_f32).unwrap();
        let ids = (0..5).map(ExampleId::first).collect();
        let batch = Batch::new(clean, vec![0; 5], ids).unwrap();
        for budget in budgets() {
            let start = |batch: &Batch| starts(Start::UniformInBall, budget, batch, Seed::new(4), 1).unwrap();
            let whole = start(&batch);
            let part = start(&batch.select(&[3, 0]).unwrap());
            let same = rows_that_differ(&part, &host::select(&whole, &[3, 0]).unwrap()).unwrap();
            assert_eq!(same, [false, false], "{budget}");
        }
    }
}
