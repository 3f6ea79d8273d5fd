//! What cuDNN's algorithms are worth, measured or proposed.

use std::ffi::c_void;

use cudarc::cudnn::sys;

use super::super::algorithms::Trial;
use super::super::device::Address;
use super::super::{Pass, Precision, Result, Selection};
use super::{Algorithm, Descriptors, State, failed};

/// More than cuDNN has.
const MOST: usize = 16;

/// What products may be computed with: f32 without tensor cores, TF32 and bf16 with them.
pub(super) fn math(precision: Precision) -> sys::cudnnMathType_t {
    match precision {
        Precision::F32 => sys::cudnnMathType_t::CUDNN_FMA_MATH,
        Precision::Tf32 | Precision::Bf16 => sys::cudnnMathType_t::CUDNN_TENSOR_OP_MATH,
    }
}

macro_rules! algorithms {
    ($name:ident, $of:ident: $($number:ident),*) => {
        /// The algorithm of this number. Only numbers that cuDNN gave are asked for; the first stands for any other.
        pub(super) fn $name(number: u32) -> sys::$of {
            [$(sys::$of::$number),*].into_iter().find(|known| *known as u32 == number).unwrap_or([$(sys::$of::$number),*][0])
        }
    };
}

algorithms!(forward, cudnnConvolutionFwdAlgo_t:
    CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM, CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM,
    CUDNN_CONVOLUTION_FWD_ALGO_GEMM, CUDNN_CONVOLUTION_FWD_ALGO_DIRECT, CUDNN_CONVOLUTION_FWD_ALGO_FFT,
    CUDNN_CONVOLUTION_FWD_ALGO_FFT_TILING, CUDNN_CONVOLUTION_FWD_ALGO_WINOGRAD,
    CUDNN_CONVOLUTION_FWD_ALGO_WINOGRAD_NONFUSED);
algorithms!(backward_data, cudnnConvolutionBwdDataAlgo_t:
    CUDNN_CONVOLUTION_BWD_DATA_ALGO_0, CUDNN_CONVOLUTION_BWD_DATA_ALGO_1,
    CUDNN_CONVOLUTION_BWD_DATA_ALGO_FFT, CUDNN_CONVOLUTION_BWD_DATA_ALGO_FFT_TILING,
    CUDNN_CONVOLUTION_BWD_DATA_ALGO_WINOGRAD, CUDNN_CONVOLUTION_BWD_DATA_ALGO_WINOGRAD_NONFUSED);
algorithms!(backward_filter, cudnnConvolutionBwdFilterAlgo_t:
    CUDNN_CONVOLUTION_BWD_FILTER_ALGO_0, CUDNN_CONVOLUTION_BWD_FILTER_ALGO_1,
    CUDNN_CONVOLUTION_BWD_FILTER_ALGO_FFT, CUDNN_CONVOLUTION_BWD_FILTER_ALGO_3,
    CUDNN_CONVOLUTION_BWD_FILTER_ALGO_WINOGRAD, CUDNN_CONVOLUTION_BWD_FILTER_ALGO_WINOGRAD_NONFUSED,
    CUDNN_CONVOLUTION_BWD_FILTER_ALGO_FFT_TILING);

/// Has cuDNN run its algorithms, and measure them. For repeatable ones the measured times count for nothing: they come in an
/// order of their own.
///
/// # Safety
/// The operands are as long as the descriptors say; the last is written.
pub(super) unsafe fn run(
    state: &State,
    d: &Descriptors,
    pass: Pass,
    precision: Precision,
    selection: Selection,
    operands: [Address; 3],
) -> Result<Vec<Trial<Algorithm>>> {
    let [a, b, c] = operands.map(|operand| operand as *mut c_void);
    let (handle, scratch, bytes, most) =
        (state.handle, state.workspace as *mut c_void, state.bytes, MOST as i32);
    let mut count = 0_i32;
    macro_rules! trials {
        ($of:ident, $find:ident($($with:expr),*)) => {{
            // SAFETY: the structures are numbers, for which zeros stand; cuDNN writes `count` of them.
            let mut found: [sys::$of; MOST] = unsafe { std::mem::zeroed() };
            // SAFETY: the caller's word.
            let status = unsafe {
                sys::$find(handle, $($with,)* most, &mut count, found.as_mut_ptr(), scratch, bytes)
            };
            status.result().map_err(failed(stringify!($find)))?;
            found[..(count.max(0) as usize).min(MOST)].iter().map(|p| Trial {
                algorithm: Algorithm { number: p.algo as u32, math: p.mathType },
                time: match p.status.result() {
                    Ok(()) => Ok(p.time),
                    Err(error) => Err(format!("{:?}", error.0)),
                },
                workspace: p.memory,
                repeatable: p.determinism == sys::cudnnDeterminism_t::CUDNN_DETERMINISTIC,
            }).collect()
        }};
    }
    let conv = d.convolution;
    let trials: Vec<Trial<Algorithm>> = match pass {
        Pass::Forward => trials!(
            cudnnConvolutionFwdAlgoPerf_t,
            cudnnFindConvolutionForwardAlgorithmEx(d.x, a, d.w, b, conv, d.y, c)
        ),
        Pass::BackwardData => trials!(
            cudnnConvolutionBwdDataAlgoPerf_t,
            cudnnFindConvolutionBackwardDataAlgorithmEx(d.w, b, d.y, a, conv, d.x, c)
        ),
        Pass::BackwardFilter => trials!(
            cudnnConvolutionBwdFilterAlgoPerf_t,
            cudnnFindConvolutionBackwardFilterAlgorithmEx(d.x, a, d.y, b, conv, d.w, c)
        ),
    };
    // What was measured with another arithmetic than it will run with says nothing.
    let fits =
        |trial: &Trial<Algorithm>| precision != Precision::F32 || trial.algorithm.math == math(precision);
    let mut trials = match trials.iter().any(|trial| trial.time.is_ok() && fits(trial)) {
        true => trials.into_iter().filter(fits).collect(),
        false => trials,
    };
    if selection == Selection::Repeatable {
        // Number 1 is the implicit product with prepared places, or its counterpart backward: quick, and known for every size.
        trials.sort_by_key(|trial| (trial.algorithm.number != 1, trial.algorithm.number));
    }
    Ok(trials)
}
