//! Fully connected layers, by cuBLAS.

use std::ffi::c_void;
use std::sync::{Arc, Mutex, PoisonError};

use cudarc::cublas::{result, sys};
use cudarc::driver;

use super::super::device::Address;
use super::super::{Error, Pass, Precision, Product, Result, Storage};
use super::{Gpu, refused, scratch};

/// Bytes of scratch memory, of each queue its own: without it results depend on other queues.
const WORKSPACE: usize = 32 << 20;

/// cuBLAS on one queue.
pub(super) struct Blas {
    gpu: Arc<Gpu>,
    handle: Mutex<sys::cublasHandle_t>,
    workspace: Address,
}

fn failed(call: &'static str) -> impl FnOnce(result::CublasError) -> Error {
    move |result::CublasError(code)| Error::Call {
        library: "cuBLAS",
        call,
        reason: refused(&code),
        in_use: 0,
    }
}

impl Blas {
    /// On `stream` of the current context.
    pub(super) fn new(gpu: &Arc<Gpu>, stream: driver::sys::CUstream) -> Result<Self> {
        // SAFETY: looking for a library runs what it runs when it is loaded.
        if !unsafe { sys::is_culib_present() } {
            return Err(Error::MissingLibrary {
                library: "libcublas.so",
                purpose: "fully connected layers are products of matrices",
                hint: "it comes with the CUDA toolkit and with PyTorch (nvidia-cublas); put its folder on LD_LIBRARY_PATH",
            });
        }
        let _turn = gpu.turns.disturb();
        let handle = result::create_handle().map_err(failed("cublasCreate"))?;
        let workspace = scratch(WORKSPACE).inspect_err(|_| {
            // SAFETY: nobody else has the handle.
            let _ = unsafe { result::destroy_handle(handle) };
        })?;
        // Before anything else can fail: both are given back when it is dropped.
        let blas = Self { gpu: Arc::clone(gpu), handle: Mutex::new(handle), workspace };
        // SAFETY: handle and stream are alive, and so is the scratch memory until this is dropped.
        unsafe {
            result::set_stream(handle, stream.cast()).map_err(failed("cublasSetStream"))?;
            let given = sys::cublasSetWorkspace_v2(handle, workspace as *mut c_void, WORKSPACE);
            given.result().map_err(failed("cublasSetWorkspace"))?;
            // Parts of a sum are joined in f32, whatever is stored.
            let exact = sys::cublasMath_t::CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION;
            sys::cublasSetMathMode(handle, exact).result().map_err(failed("cublasSetMathMode"))?;
        }
        Ok(blas)
    }

    /// # Safety
    /// The operands are as long as the product says.
    pub(super) unsafe fn linear(
        &self,
        pass: Pass,
        product: &Product,
        precision: Precision,
        operands: [Address; 3],
    ) -> Result<()> {
        let Gemm { m, n, k, a, b } = Gemm::of(pass, product);
        let kind = match precision.storage() {
            Storage::F32 => sys::cudaDataType::CUDA_R_32F,
            Storage::Bf16 => sys::cudaDataType::CUDA_R_16BF,
        };
        let compute = match precision {
            Precision::F32 => sys::cublasComputeType_t::CUBLAS_COMPUTE_32F_PEDANTIC,
            Precision::Tf32 => sys::cublasComputeType_t::CUBLAS_COMPUTE_32F_FAST_TF32,
            Precision::Bf16 => sys::cublasComputeType_t::CUBLAS_COMPUTE_32F,
        };
        let operation = |transposed| match transposed {
            true => sys::cublasOperation_t::CUBLAS_OP_T,
            false => sys::cublasOperation_t::CUBLAS_OP_N,
        };
        let (one, zero) = (1.0_f32, 0.0_f32);
        let handle = self.handle.lock().unwrap_or_else(PoisonError::into_inner);
        let at = |operand: usize| operands[operand] as *mut c_void;
        // SAFETY: the caller's word; sizes are those of the operands.
        unsafe {
            result::gemm_ex(
                *handle,
                operation(a.transposed),
                operation(b.transposed),
                m as i32,
                n as i32,
                k as i32,
                (&raw const one).cast(),
                at(a.operand),
                kind,
                a.stride as i32,
                at(b.operand),
                kind,
                b.stride as i32,
                (&raw const zero).cast(),
                at(2),
                kind,
                m as i32,
                compute,
                sys::cublasGemmAlgo_t::CUBLAS_GEMM_DFALT,
            )
        }
        .map_err(failed("cublasGemmEx"))
    }
}

impl Drop for Blas {
    fn drop(&mut self) {
        let _turn = self.gpu.turns.disturb();
        let handle = self.handle.get_mut().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: nobody has the handle any more.
        unsafe {
            let _ = result::destroy_handle(*handle);
            let _ = driver::result::free_sync(self.workspace);
        }
    }
}

/// A product of matrices as cuBLAS has it, columns first: `[m, k] x [k, n]`; the third operand is the result `[m, n]`.
#[derive(Debug, PartialEq)]
struct Gemm {
    m: usize,
    n: usize,
    k: usize,
    a: Factor,
    b: Factor,
}

#[derive(Debug, PartialEq)]
struct Factor {
    operand: usize,
    transposed: bool,
    /// From one of its columns to the next.
    stride: usize,
}

impl Gemm {
    fn of(pass: Pass, product: &Product) -> Self {
        let (rows, inputs, outputs) =
            (product.images, product.geometry.in_channels, product.geometry.out_channels);
        let factor = |operand, transposed, stride| Factor { operand, transposed, stride };
        match pass {
            // Operands x [rows, inputs], w [outputs, inputs].
            Pass::Forward => Self {
                m: outputs,
                n: rows,
                k: inputs,
                a: factor(1, true, inputs),
                b: factor(0, false, inputs),
            },
            // Operands dy [rows, outputs], w.
            Pass::BackwardData => Self {
                m: inputs,
                n: rows,
                k: outputs,
                a: factor(1, false, inputs),
                b: factor(0, false, outputs),
            },
            // Operands x, dy.
            Pass::BackwardFilter => Self {
                m: inputs,
                n: outputs,
                k: rows,
                a: factor(0, false, inputs),
                b: factor(1, true, outputs),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computes what cuBLAS would.
    fn gemm(gemm: &Gemm, operands: [&[f64]; 2]) -> Vec<f64> {
        let at = |factor: &Factor, row: usize, column: usize| {
            let (row, column) = if factor.transposed { (column, row) } else { (row, column) };
            operands[factor.operand][column * factor.stride + row]
        };
        let mut c = vec![0.0; gemm.m * gemm.n];
        for column in 0..gemm.n {
            for row in 0..gemm.m {
                c[column * gemm.m + row] =
                    (0..gemm.k).map(|k| at(&gemm.a, row, k) * at(&gemm.b, k, column)).sum();
            }
        }
        c
    }

    #[test]
    fn rows_first_products_become_columns_first_ones() {
        use robin_kernels::linear::{Geometry, reference};

        let (rows, g) = (3, Geometry { inputs: 8, outputs: 16 });
        let product = Product::linear(rows, g.inputs, g.outputs);
        let numbers =
            |len: usize, step: f64| -> Vec<f64> { (0..len).map(|at| (at as f64 * step).sin()).collect() };
        let (x, w, dy) = (numbers(24, 0.7), numbers(128, 0.3), numbers(48, 1.1));
        let zeros = vec![0.0; g.outputs];
        let y: Vec<f64> = x.chunks(8).flat_map(|x| reference::forward(&g, &w, &zeros, x)).collect();
        assert_eq!(gemm(&Gemm::of(Pass::Forward, &product), [&x, &w]), y);
        let dx: Vec<f64> = dy.chunks(16).flat_map(|dy| reference::input_gradient(&g, &w, dy)).collect();
        assert_eq!(gemm(&Gemm::of(Pass::BackwardData, &product), [&dy, &w]), dx);
        let mut dw = vec![0.0; w.len()];
        for (x, dy) in x.chunks(8).zip(dy.chunks(16)) {
            dw.iter_mut().zip(reference::weight_gradient(&g, x, dy)).for_each(|(sum, d)| *sum += d);
        }
        let found = gemm(&Gemm::of(Pass::BackwardFilter, &product), [&x, &dy]);
        assert!(found.iter().zip(&dw).all(|(a, b)| (a - b).abs() < 1e-12));
    }
}
