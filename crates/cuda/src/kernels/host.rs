//! A device that is this processor: the same kernels, compiled by a C++ compiler and run one thread after the other.
//!
//! It is slow and there for tests, and to rehearse what a GPU will be asked for. Everything but [`super::driver`] and
//! cuDNN runs as on a GPU.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::collections::HashMap;
use std::ffi::c_void;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use libloading::Library;

use super::device::{Address, Computed, Memory};
use super::{Argument, Device, Error, Pass, Precision, Product, Result, Storage, sources};

/// Threads of a block: none of our kernels looks at it.
const BLOCK: usize = 256;

type Entry = unsafe extern "C" fn(u32, u32, *mut *mut c_void);

/// This processor as a device.
#[derive(Debug)]
pub struct Host {
    kernels: &'static Kernels,
    memory: Mutex<HashMap<Address, Layout>>,
    /// Bytes that may be allocated.
    limit: usize,
    recorder: Mutex<Recorder>,
}

#[derive(Debug, Default)]
struct Recorder {
    /// What is being recorded, if anything is.
    now: Option<Vec<Work>>,
    kept: HashMap<u64, Vec<Work>>,
    next: u64,
}

/// What can be recorded.
#[derive(Debug, Clone)]
enum Work {
    Launch { name: &'static str, storage: Storage, threads: usize, arguments: Vec<Argument> },
    Copy { from: Address, to: Address, bytes: usize },
    Clear { at: Address, bytes: usize },
}

#[derive(Debug)]
struct Kernels {
    libraries: [Library; 2],
}

/// The C++ compiler that [`Host`] uses: `CXX`, or the first of these that there is.
pub fn compiler() -> Option<PathBuf> {
    let named = std::env::var_os("CXX").map(PathBuf::from);
    let known = ["c++", "g++", "clang++"].map(PathBuf::from);
    named.into_iter().chain(known).find(|program| {
        Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success())
    })
}

impl Host {
    /// A device with as much memory as it asks for. Kernels are compiled once for a process; `None` if there is no C++
    /// compiler.
    ///
    /// # Errors
    /// [`Error::Compile`] if the kernels do not compile.
    pub fn new() -> Result<Option<Arc<Self>>> {
        Self::with_limit(usize::MAX)
    }

    /// A device with room for `limit` bytes.
    ///
    /// # Errors
    /// As [`Host::new`].
    pub fn with_limit(limit: usize) -> Result<Option<Arc<Self>>> {
        static KERNELS: OnceLock<Kernels> = OnceLock::new();
        static COMPILING: Mutex<()> = Mutex::new(());
        let _one_at_a_time = COMPILING.lock().unwrap_or_else(PoisonError::into_inner);
        if KERNELS.get().is_none() {
            let Some(compiler) = compiler() else { return Ok(None) };
            // Another thread cannot have been faster.
            let _ = KERNELS.set(Kernels::compile(&compiler)?);
        }
        let kernels = KERNELS.get().expect("they were compiled");
        Ok(Some(Arc::new(Self { kernels, memory: Mutex::default(), limit, recorder: Mutex::default() })))
    }
}

impl Kernels {
    fn compile(compiler: &Path) -> Result<Self> {
        let failed = |action: &str| {
            let action = action.to_owned();
            move |source| Error::Host { action, source }
        };
        let folder = std::env::temp_dir().join(format!("robin-kernels-{}", std::process::id()));
        std::fs::create_dir_all(&folder).map_err(failed("make a folder for kernels"))?;
        let both = [Storage::F32, Storage::Bf16].map(|storage| {
            let (text, library) = (folder.join("kernels.cpp"), folder.join(format!("{storage:?}.so")));
            std::fs::write(&text, Self::source(storage)).map_err(failed("write the kernels"))?;
            let output = Command::new(compiler)
                .args([
                    "-std=c++17",
                    "-O2",
                    "-ffp-contract=off",
                    "-fno-strict-aliasing",
                    "-shared",
                    "-fPIC",
                    "-w",
                ])
                .args(if cfg!(target_arch = "x86_64") { &["-mfma"][..] } else { &[] })
                .arg(&text)
                .arg("-o")
                .arg(&library)
                .output()
                .map_err(failed("start the C++ compiler"))?;
            if !output.status.success() {
                let log = String::from_utf8_lossy(&output.stderr).into_owned();
                return Err(Error::Compile { target: compiler.display().to_string(), log });
            }
            // SAFETY: the library was just made of our kernels, and nothing runs when it is loaded.
            unsafe { Library::new(&library) }.map_err(|error| Error::Host {
                action: "load the kernels".to_owned(),
                source: std::io::Error::other(error),
            })
        });
        // What is loaded needs its file no longer; a folder that stays is only untidy.
        let _ = std::fs::remove_dir_all(&folder);
        let [f32, bf16] = both;
        Ok(Self { libraries: [f32?, bf16?] })
    }

    fn source(storage: Storage) -> String {
        let mut text = sources::HOST.to_owned() + &sources::source(storage);
        for name in sources::names() {
            text += &format!(
                "extern \"C\" void robin_{name}(unsigned blocks, unsigned threads, void **arguments) \
                 {{ run({name}, blocks, threads, arguments); }}\n"
            );
        }
        text
    }
}

impl Host {
    fn recorder(&self) -> std::sync::MutexGuard<'_, Recorder> {
        self.recorder.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps work if it is being recorded, and does it otherwise.
    ///
    /// # Safety
    /// As [`Device`] says.
    unsafe fn ask(&self, work: Work) -> Result<()> {
        if let Some(now) = &mut self.recorder().now {
            now.push(work);
            return Ok(());
        }
        // SAFETY: the caller's word.
        unsafe { self.work(&work) }
    }

    /// # Safety
    /// As [`Device`] says.
    unsafe fn work(&self, work: &Work) -> Result<()> {
        // SAFETY: the caller's word.
        unsafe {
            match *work {
                Work::Copy { from, to, bytes } => std::ptr::copy(from as *const u8, to as *mut u8, bytes),
                Work::Clear { at, bytes } => std::ptr::write_bytes(at as *mut u8, 0, bytes),
                Work::Launch { name, storage, threads, ref arguments } => {
                    let library = &self.kernels.libraries[storage as usize];
                    // Every function of this prefix has this type.
                    let entry = library.get::<Entry>(format!("robin_{name}\0").as_bytes());
                    let entry = entry.map_err(|_| Error::UnknownKernel { name })?;
                    let mut arguments = arguments.clone();
                    let mut pointers: Vec<*mut c_void> =
                        arguments.iter_mut().map(Argument::as_mut_ptr).collect();
                    entry(threads.div_ceil(BLOCK) as u32, BLOCK as u32, pointers.as_mut_ptr());
                }
            }
        }
        Ok(())
    }

    /// Refuses what a GPU refuses while it records.
    fn not_recording(&self, call: &'static str) -> Result<()> {
        match self.recorder().now {
            None => Ok(()),
            Some(_) => Err(Error::Call {
                library: "the host",
                call,
                reason: "work is being recorded".to_owned(),
                in_use: 0,
            }),
        }
    }
}

impl Device for Host {
    fn description(&self) -> String {
        "this processor, one thread after the other".to_owned()
    }

    fn place(&self) -> usize {
        std::ptr::from_ref(self) as usize
    }

    fn allocate(&self, bytes: usize) -> Result<Option<Address>> {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let used: usize = memory.values().map(Layout::size).sum();
        let Ok(layout) = Layout::from_size_align(bytes.max(1), 256) else { return Ok(None) };
        if bytes > self.limit.saturating_sub(used) {
            return Ok(None);
        }
        // SAFETY: the size is not 0.
        let address = unsafe { alloc_zeroed(layout) } as Address;
        if address == 0 {
            return Ok(None);
        }
        memory.insert(address, layout);
        Ok(Some(address))
    }

    unsafe fn release(&self, address: Address) {
        let layout = self.memory.lock().unwrap_or_else(PoisonError::into_inner).remove(&address);
        if let Some(layout) = layout {
            // SAFETY: it was allocated so.
            unsafe { dealloc(address as *mut u8, layout) };
        }
    }

    fn memory(&self) -> Memory {
        let memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let used: usize = memory.values().map(Layout::size).sum();
        Memory { free: self.limit.saturating_sub(used), total: self.limit }
    }

    unsafe fn upload(&self, from: &[u8], to: Address) -> Result<()> {
        self.not_recording("upload")?;
        // SAFETY: the caller's word.
        unsafe { std::ptr::copy_nonoverlapping(from.as_ptr(), to as *mut u8, from.len()) };
        Ok(())
    }

    unsafe fn download(&self, from: Address, to: &mut [u8]) -> Result<()> {
        self.not_recording("download")?;
        // SAFETY: the caller's word.
        unsafe { std::ptr::copy_nonoverlapping(from as *const u8, to.as_mut_ptr(), to.len()) };
        Ok(())
    }

    unsafe fn copy(&self, from: Address, to: Address, bytes: usize) -> Result<()> {
        // SAFETY: the caller's word.
        unsafe { self.ask(Work::Copy { from, to, bytes }) }
    }

    unsafe fn clear(&self, at: Address, bytes: usize) -> Result<()> {
        // SAFETY: the caller's word.
        unsafe { self.ask(Work::Clear { at, bytes }) }
    }

    unsafe fn launch(
        &self,
        name: &'static str,
        storage: Storage,
        threads: usize,
        arguments: &[Argument],
    ) -> Result<()> {
        let arguments = arguments.to_vec();
        // SAFETY: the caller's word.
        unsafe { self.ask(Work::Launch { name, storage, threads, arguments }) }
    }

    unsafe fn product(
        &self,
        _pass: Pass,
        _product: &Product,
        _precision: Precision,
        _operands: [Address; 3],
    ) -> Result<Computed> {
        Ok(Computed::NotYet)
    }

    fn synchronize(&self) -> Result<()> {
        self.not_recording("synchronize")
    }

    fn begin_recording(&self) -> Result<bool> {
        self.not_recording("begin_recording")?;
        self.recorder().now = Some(Vec::new());
        Ok(true)
    }

    fn end_recording(&self) -> Result<u64> {
        let mut recorder = self.recorder();
        let work = recorder.now.take().unwrap_or_default();
        recorder.next += 1;
        let number = recorder.next;
        recorder.kept.insert(number, work);
        Ok(number)
    }

    unsafe fn replay(&self, recording: u64) -> Result<()> {
        let work = self.recorder().kept.get(&recording).cloned().unwrap_or_default();
        // SAFETY: the caller's word.
        work.iter().try_for_each(|work| unsafe { self.work(work) })
    }

    fn forget(&self, recording: u64) {
        self.recorder().kept.remove(&recording);
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let memory = self.memory.get_mut().unwrap_or_else(PoisonError::into_inner);
        for (address, layout) in memory.drain() {
            // SAFETY: it was allocated so, and nobody can use it any more.
            unsafe { dealloc(address as *mut u8, layout) };
        }
    }
}
