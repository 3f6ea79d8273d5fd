//! Convolutions by cuDNN, channels last (feature `cudnn`).

pub(super) mod chosen;
mod descriptors;
mod rectified;
mod trials;
mod ways;

use std::ffi::c_void;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cudarc::cudnn::{result, sys};
use cudarc::driver;

use super::algorithms::Trial;
use super::device::Address;
use super::driver::{Gpu, refused, scratch};
use super::{Error, Pass, Precision, Product, Result, Selection};
use chosen::{Algorithm, Key};
use descriptors::Descriptors;
pub(super) use rectified::Rectifying;

/// As cuDNN counts: 9.x.
const VERSIONS: std::ops::Range<usize> = 90_000..100_000;

/// The most bytes of scratch memory that an algorithm may use.
const WORKSPACE: usize = 512 << 20;

/// cuDNN on one queue.
pub(super) struct Cudnn {
    gpu: Arc<Gpu>,
    selection: Selection,
    state: Mutex<State>,
}

struct State {
    gpu: Arc<Gpu>,
    handle: sys::cudnnHandle_t,
    workspace: Address,
    bytes: usize,
    /// Smaller scratch memory of before, which a recording may still write to.
    outgrown: Vec<Address>,
}

/// What a convolution runs with.
struct Ready<'a> {
    state: MutexGuard<'a, State>,
    descriptors: Descriptors,
    algorithm: Algorithm,
    /// Bytes of the scratch memory.
    workspace: usize,
}

pub(super) fn failed(call: &'static str) -> impl FnOnce(result::CudnnError) -> Error {
    move |result::CudnnError(code)| Error::Call { library: "cuDNN", call, reason: refused(&code), in_use: 0 }
}

impl Cudnn {
    /// On `stream` of the current context.
    pub(super) fn new(gpu: &Arc<Gpu>, stream: driver::sys::CUstream, selection: Selection) -> Result<Self> {
        // SAFETY: looking for a library runs what it runs when it is loaded.
        if !unsafe { sys::is_culib_present() } {
            return Err(Error::MissingLibrary {
                library: "libcudnn.so.9",
                purpose: "this build computes convolutions with cuDNN",
                hint: "it comes with cuDNN 9 and with PyTorch (nvidia-cudnn); put its folder on LD_LIBRARY_PATH",
            });
        }
        let version = result::get_version();
        if !VERSIONS.contains(&version) {
            return Err(Error::Call {
                library: "cuDNN",
                call: "cudnnGetVersion",
                reason: format!("it is {version}, and this program speaks to cuDNN 9"),
                in_use: 0,
            });
        }
        let _turn = gpu.turns.disturb();
        let handle = result::create_handle().map_err(failed("cudnnCreate"))?;
        let state = State { gpu: Arc::clone(gpu), handle, workspace: 0, bytes: 0, outgrown: Vec::new() };
        // SAFETY: both are alive.
        unsafe { result::set_stream(handle, stream.cast()) }.map_err(failed("cudnnSetStream"))?;
        Ok(Self { gpu: Arc::clone(gpu), selection, state: Mutex::new(state) })
    }

    /// Computes a pass of a convolution; while work is recorded, one that was computed before.
    ///
    /// # Safety
    /// The operands are as long as the product says.
    pub(super) unsafe fn convolution(
        &self,
        pass: Pass,
        product: &Product,
        precision: Precision,
        operands: [Address; 3],
        is_recording: bool,
    ) -> Result<()> {
        // SAFETY: the caller's word.
        unsafe {
            let ready = self.prepare(pass, product, precision, operands, is_recording)?;
            ready.state.run(&ready.descriptors, pass, ready.algorithm, ready.workspace, operands)
        }
    }

    /// What a pass needs, its algorithm chosen.
    ///
    /// # Safety
    /// The operands are as long as the product says.
    unsafe fn prepare(
        &self,
        pass: Pass,
        product: &Product,
        precision: Precision,
        operands: [Address; 3],
        is_recording: bool,
    ) -> Result<Ready<'_>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let selection = self.selection;
        let key = Key::of(selection, pass, product, precision);
        let math = trials::math(precision);
        let mut descriptors = Descriptors::new(product, precision)?;
        descriptors.set_math(math)?;
        let known = self.gpu.algorithms.known(&key);
        let Trial { algorithm, workspace, .. } = match known {
            Some(known) => known,
            None if is_recording => return Err(not_while_recording("an algorithm would be chosen")),
            None => {
                let _turn = self.gpu.turns.disturb();
                self.gpu.algorithms.choose(&key, selection, WORKSPACE, || {
                    state.make_room_to_measure()?;
                    // SAFETY: the caller's word, and the scratch memory is that long.
                    unsafe { trials::run(&state, &descriptors, pass, precision, selection, operands) }
                })?
            }
        };
        if workspace > state.bytes {
            if is_recording {
                return Err(not_while_recording("scratch memory would be asked for"));
            }
            let _turn = self.gpu.turns.disturb();
            state.make_room(workspace)?;
        }
        // f32 is f32, whatever cuDNN would allow itself.
        descriptors.set_math(if precision == Precision::F32 { math } else { algorithm.math })?;
        Ok(Ready { state, descriptors, algorithm, workspace })
    }
}

fn not_while_recording(what: &str) -> Error {
    Error::Call { library: "cuDNN", call: "recording", reason: what.to_owned(), in_use: 0 }
}

impl State {
    /// As much scratch memory as algorithms may use, or what there is of it: some need none.
    fn make_room_to_measure(&mut self) -> Result<()> {
        let mut bytes = WORKSPACE;
        while bytes >= WORKSPACE / 32 {
            match self.make_room(bytes) {
                Err(Error::OutOfMemory { .. }) => bytes /= 2,
                done => return done,
            }
        }
        Ok(())
    }

    /// Sees to it that there are `bytes` of scratch memory. What there was is kept, because a recording knows its address;
    /// each is twice as long as the one before, so all of them together are not more than twice the last.
    fn make_room(&mut self, bytes: usize) -> Result<()> {
        if bytes <= self.bytes {
            return Ok(());
        }
        let bytes = bytes.next_power_of_two();
        let larger = scratch(bytes)?;
        if self.workspace != 0 {
            self.outgrown.push(self.workspace);
        }
        (self.workspace, self.bytes) = (larger, bytes);
        Ok(())
    }

    /// # Safety
    /// The operands are as long as the descriptors say, and there is scratch memory.
    unsafe fn run(
        &self,
        d: &Descriptors,
        pass: Pass,
        algorithm: Algorithm,
        bytes: usize,
        operands: [Address; 3],
    ) -> Result<()> {
        let (one, zero) = (1.0_f32, 0.0_f32);
        let (one, zero): (*const c_void, *const c_void) = ((&raw const one).cast(), (&raw const zero).cast());
        let [a, b, c] = operands.map(|operand| operand as *mut c_void);
        let (handle, scratch) = (self.handle, self.workspace as *mut c_void);
        // SAFETY: the caller's word. Numbers of algorithms came from cuDNN.
        unsafe {
            match pass {
                Pass::Forward => sys::cudnnConvolutionForward(
                    handle,
                    one,
                    d.x,
                    a,
                    d.w,
                    b,
                    d.convolution,
                    trials::forward(algorithm.number),
                    scratch,
                    bytes,
                    zero,
                    d.y,
                    c,
                ),
                Pass::BackwardData => sys::cudnnConvolutionBackwardData(
                    handle,
                    one,
                    d.w,
                    b,
                    d.y,
                    a,
                    d.convolution,
                    trials::backward_data(algorithm.number),
                    scratch,
                    bytes,
                    zero,
                    d.x,
                    c,
                ),
                Pass::BackwardFilter => sys::cudnnConvolutionBackwardFilter(
                    handle,
                    one,
                    d.x,
                    a,
                    d.y,
                    b,
                    d.convolution,
                    trials::backward_filter(algorithm.number),
                    scratch,
                    bytes,
                    zero,
                    d.w,
                    c,
                ),
            }
        }
        .result()
        .map_err(failed("cudnnConvolution"))
    }
}

impl Drop for State {
    fn drop(&mut self) {
        let _turn = self.gpu.turns.disturb();
        // SAFETY: nobody has the handle any more, nor the memory, in which work was waited for.
        unsafe {
            let _ = result::destroy_handle(self.handle);
            for address in self.outgrown.drain(..).chain([self.workspace]).filter(|address| *address != 0) {
                let _ = driver::result::free_sync(address);
            }
        }
    }
}
