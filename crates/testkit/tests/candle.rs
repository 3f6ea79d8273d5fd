//! The faults of candle 0.11.1 that `clippy.toml` forbids operations for, one test each. A test that fails here
//! after an update of candle means that the fault is mended: remove the entry with the test.
#![allow(clippy::disallowed_methods, reason = "this file is the evidence for the list")]

use candle_core::{Device, Tensor, Var};

fn ramp(height: usize, width: usize) -> Var {
    let values = Tensor::arange(1.0_f32, (height * width + 1) as f32, &Device::Cpu).unwrap();
    Var::from_tensor(&values.reshape((1, 1, height, width)).unwrap()).unwrap()
}

/// Gradient of the sum of `operation(x)`, flattened; `None` if there is none.
fn gradient(x: &Var, operation: impl Fn(&Tensor) -> candle_core::Result<Tensor>) -> Option<Vec<f32>> {
    let gradients = operation(x.as_tensor()).unwrap().sum_all().unwrap().backward().ok()?;
    Some(gradients.get(x)?.flatten_all().unwrap().to_vec1().unwrap())
}

#[test]
fn max_pool2d_divides_its_gradient_by_the_area_of_the_window() {
    let found = gradient(&ramp(2, 2), |x| x.max_pool2d(2)).unwrap();
    assert_eq!(found, [0.0, 0.0, 0.0, 0.25], "right would be 1 at the maximum");
}

#[test]
fn max_pool2d_gives_every_tie_the_whole_gradient() {
    let equal = Var::from_tensor(&ramp(2, 2).ones_like().unwrap()).unwrap();
    let sum: f32 = gradient(&equal, |x| x.max_pool2d(2)).unwrap().iter().sum();
    assert_eq!(sum, 4.0, "right would be 1 in sum");
}

#[test]
fn pools_whose_stride_is_not_their_window_have_no_gradient() {
    assert_eq!(gradient(&ramp(5, 5), |x| x.max_pool2d_with_stride(3, 2)), None);
    assert_eq!(gradient(&ramp(5, 5), |x| x.avg_pool2d_with_stride(3, 2)), None);
}

#[test]
fn avg_pool2d_is_wrong_on_sides_that_the_window_does_not_divide() {
    let found = gradient(&ramp(3, 3), |x| x.avg_pool2d(2));
    // One window over the upper left corner: a quarter in its four places.
    let right = [0.25, 0.25, 0.0, 0.25, 0.25, 0.0, 0.0, 0.0, 0.0];
    assert_ne!(found.as_deref(), Some(&right[..]));
}

#[test]
fn upsampling_loses_what_another_use_of_its_input_contributes() {
    let both = |first: bool| {
        let x = ramp(2, 2);
        let found = gradient(&x, |x| {
            let (up, plain) = (x.upsample_nearest2d(4, 4)?.sum_all()?, x.sum_all()?);
            if first { up + plain } else { plain + up }
        });
        found.unwrap()
    };
    // Four copies and the plain use make 5.
    assert!(both(true).iter().chain(&both(false)).any(|&g| g != 5.0));
}
