//! Numbers computed by PyTorch, from `fixtures/golden`; `fixtures/pytorch/README.md` says what each is.

use std::path::Path;

use candle_core::{Device, Tensor};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};

/// Reads `fixtures/golden/FILE.safetensors`.
///
/// # Panics
/// If the file is missing or is no safetensors file.
#[track_caller]
pub fn golden(file: &str) -> Golden {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/golden");
    let path = folder.join(format!("{file}.safetensors"));
    let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("golden file {file:?}: {error}"));
    if let Err(error) = SafeTensors::deserialize(&bytes) {
        panic!("golden file {file:?} is no safetensors file: {error}");
    }
    Golden { file: file.to_owned(), bytes }
}

/// The named tensors of one golden file. Every accessor panics on a name or element type that is not there.
#[derive(Debug, Clone)]
pub struct Golden {
    file: String,
    bytes: Vec<u8>,
}

impl Golden {
    /// All names, sorted.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> =
            self.tensors().names().into_iter().map(|name| name.to_string()).collect();
        names.sort_unstable();
        names
    }

    /// Names below `prefix` without it, sorted: `under("weights.")` gives `conv1.bias`, `conv1.weight`...
    pub fn under(&self, prefix: &str) -> Vec<String> {
        self.names().iter().filter_map(|name| name.strip_prefix(prefix).map(str::to_owned)).collect()
    }

    /// Shape of a tensor.
    ///
    /// # Panics
    /// If there is none of this name.
    #[track_caller]
    pub fn shape(&self, name: &str) -> Vec<usize> {
        self.view(name, None).shape().to_vec()
    }

    /// Row-major values of an f32 tensor.
    ///
    /// # Panics
    /// If there is none of this name, or its elements are not f32.
    #[track_caller]
    pub fn f32(&self, name: &str) -> Vec<f32> {
        let view = self.view(name, Some(Dtype::F32));
        view.data().as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect()
    }

    /// Row-major values of an f64 tensor (the names that end in `.float64`).
    ///
    /// # Panics
    /// If there is none of this name, or its elements are not f64.
    #[track_caller]
    pub fn f64(&self, name: &str) -> Vec<f64> {
        let view = self.view(name, Some(Dtype::F64));
        view.data().as_chunks().0.iter().map(|&bytes| f64::from_le_bytes(bytes)).collect()
    }

    /// Row-major values of an integer tensor: labels, or the `[stride, padding]` of a convolution.
    ///
    /// # Panics
    /// If there is none of this name, its elements are not i64, or one is negative or above `u32::MAX`.
    #[track_caller]
    pub fn integers(&self, name: &str) -> Vec<u32> {
        let view = self.view(name, Some(Dtype::I64));
        let values = view.data().as_chunks().0.iter().map(|&bytes| i64::from_le_bytes(bytes));
        values.map(|value| u32::try_from(value).expect("goldens hold small non-negative integers")).collect()
    }

    /// An f32 tensor on the CPU.
    ///
    /// # Panics
    /// As [`Golden::f32`].
    #[track_caller]
    pub fn tensor(&self, name: &str) -> Tensor {
        Tensor::from_vec(self.f32(name), self.shape(name), &Device::Cpu)
            .expect("a safetensors file has as many values as its shapes say")
    }

    fn tensors(&self) -> SafeTensors<'_> {
        SafeTensors::deserialize(&self.bytes).expect("`golden` has parsed these bytes once")
    }

    #[track_caller]
    fn view(&self, name: &str, dtype: Option<Dtype>) -> TensorView<'_> {
        let file = &self.file;
        let Ok(view) = self.tensors().tensor(name) else {
            panic!("golden file {file:?} has no tensor {name:?}, but {:?}", self.names());
        };
        if let Some(dtype) = dtype {
            assert_eq!(view.dtype(), dtype, "element type of {name:?} in golden file {file:?}");
        }
        view
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_element_type_is_read_with_its_shape() {
        let objectives = golden("objectives");
        assert_eq!(objectives.f32("binary.score"), [-200.0, -20.0, -1.0, 0.0, 1.0, 20.0, 200.0]);
        assert_eq!(objectives.integers("ten.labels"), [3, 1, 0, 5, 9, 9]);
        assert_eq!(objectives.shape("ten.logits"), [6, 10]);
        assert_eq!(objectives.tensor("ten.logits").dims(), [6, 10]);
        // softplus(0), known without PyTorch.
        assert_eq!(objectives.f64("binary.positive.float64")[3], std::f64::consts::LN_2);
        assert_eq!(objectives.under("binary.positive_"), ["gradient", "gradient.float64"]);
    }

    #[test]
    fn a_wrong_file_name_or_element_type_panics() {
        let panics = |f: &(dyn Fn() + std::panic::RefUnwindSafe)| std::panic::catch_unwind(f).is_err();
        assert!(panics(&|| drop(golden("no-such-file"))));
        assert!(panics(&|| drop(golden("objectives").f32("no-such-tensor"))));
        assert!(panics(&|| drop(golden("objectives").f32("ten.labels"))));
    }
}
