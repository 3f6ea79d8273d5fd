//! Our kernels as PTX, or as a program of one GPU, by NVRTC. No GPU is needed for that.

use std::ffi::CString;

use cudarc::nvrtc::{result, sys};

use super::super::{Error, Result, Storage, sources};

/// What a GPU of compute capability `capability` is given: a program of its own, or PTX where NVRTC is too old to know it. PTX is
/// refused by a driver that is older than NVRTC; a program is not.
///
/// # Errors
/// As [`compile`].
pub(super) fn program(storage: Storage, capability: usize) -> Result<Vec<u8>> {
    match is_there() && newest(capability) == capability {
        true => translate(storage, &format!("sm_{capability}"), Form::Program),
        false => compile(storage, capability),
    }
}

/// PTX for GPUs of compute capability `capability` (90 for 9.0) and newer, ended with 0.
///
/// # Errors
/// [`Error::MissingLibrary`] without NVRTC, [`Error::Compile`] with its log.
pub fn compile(storage: Storage, capability: usize) -> Result<Vec<u8>> {
    let target = if is_there() { newest(capability) } else { capability };
    translate(storage, &format!("compute_{target}"), Form::Text)
}

/// What NVRTC makes of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// PTX.
    Text,
    /// Of one architecture.
    Program,
}

fn is_there() -> bool {
    // SAFETY: looking for a library runs what it runs when it is loaded.
    unsafe { sys::is_culib_present() }
}

fn translate(storage: Storage, target: &str, form: Form) -> Result<Vec<u8>> {
    if !is_there() {
        return Err(Error::MissingLibrary {
            library: "libnvrtc.so",
            purpose: "kernels are compiled for the GPU that is there",
            hint: "it comes with the CUDA toolkit and with PyTorch (nvidia-cuda-nvrtc); put its folder on LD_LIBRARY_PATH",
        });
    }
    let failed = |call| {
        move |result::NvrtcError(code)| Error::Call {
            library: "NVRTC",
            call,
            reason: format!("{code:?}"),
            in_use: 0,
        }
    };
    let source = CString::new(sources::source(storage)).expect("our sources have no 0");
    let program = result::create_program(&source, Some(c"robin.cu")).map_err(failed("nvrtcCreateProgram"))?;
    let options =
        [format!("--gpu-architecture={target}"), "--fmad=false".to_owned(), "--std=c++17".to_owned()];
    // SAFETY: the program lives until it is destroyed below.
    unsafe {
        let text = match result::compile_program(program, &options) {
            Ok(()) if form == Form::Program => binary(program).map_err(failed("nvrtcGetCUBIN")),
            Ok(()) => result::get_ptx(program).map_err(failed("nvrtcGetPTX")),
            Err(_) => {
                let log = result::get_program_log(program).map_err(failed("nvrtcGetProgramLog"))?;
                let log = log.into_iter().map(|byte| byte as u8).collect::<Vec<u8>>();
                let log = String::from_utf8_lossy(&log).trim_end_matches('\0').to_owned();
                Err(Error::Compile { target: target.to_owned(), log })
            }
        };
        result::destroy_program(program).map_err(failed("nvrtcDestroyProgram"))?;
        Ok(text?.into_iter().map(|byte| byte as u8).collect())
    }
}

/// # Safety
/// The program was compiled for one architecture.
unsafe fn binary(program: sys::nvrtcProgram) -> Result<Vec<std::ffi::c_char>, result::NvrtcError> {
    let mut size = 0;
    // SAFETY: the caller's word; there is room for what is written.
    unsafe {
        sys::nvrtcGetCUBINSize(program, &mut size).result()?;
        let mut bytes = vec![0; size];
        sys::nvrtcGetCUBIN(program, bytes.as_mut_ptr()).result()?;
        Ok(bytes)
    }
}

/// The newest architecture that NVRTC knows and a GPU of `capability` runs.
fn newest(capability: usize) -> usize {
    let mut count = 0;
    // SAFETY: both calls write what they are given room for.
    let known = unsafe {
        if sys::nvrtcGetNumSupportedArchs(&mut count).result().is_err() {
            return capability;
        }
        let mut known = vec![0; count.max(0) as usize];
        match sys::nvrtcGetSupportedArchs(known.as_mut_ptr()).result() {
            Ok(()) => known,
            Err(_) => return capability,
        }
    };
    known.into_iter().map(|arch| arch as usize).filter(|&arch| arch <= capability).max().unwrap_or(capability)
}
