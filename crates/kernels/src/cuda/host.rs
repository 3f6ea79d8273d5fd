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
        Ok(Some(Arc::new(Self { kernels, memory: Mutex::default(), limit })))
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

impl Device for Host {
    fn description(&self) -> String {
        "this processor, one thread after the other".to_owned()
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
        // SAFETY: the caller's word.
        unsafe { std::ptr::copy_nonoverlapping(from.as_ptr(), to as *mut u8, from.len()) };
        Ok(())
    }

    unsafe fn download(&self, from: Address, to: &mut [u8]) -> Result<()> {
        // SAFETY: the caller's word.
        unsafe { std::ptr::copy_nonoverlapping(from as *const u8, to.as_mut_ptr(), to.len()) };
        Ok(())
    }

    unsafe fn copy(&self, from: Address, to: Address, bytes: usize) -> Result<()> {
        // SAFETY: the caller's word.
        unsafe { std::ptr::copy(from as *const u8, to as *mut u8, bytes) };
        Ok(())
    }

    unsafe fn clear(&self, at: Address, bytes: usize) -> Result<()> {
        // SAFETY: the caller's word.
        unsafe { std::ptr::write_bytes(at as *mut u8, 0, bytes) };
        Ok(())
    }

    unsafe fn launch(
        &self,
        name: &'static str,
        storage: Storage,
        threads: usize,
        arguments: &[Argument],
    ) -> Result<()> {
        let library = &self.kernels.libraries[storage as usize];
        // SAFETY: every function of this prefix has this type.
        let entry = unsafe { library.get::<Entry>(format!("robin_{name}\0").as_bytes()) };
        let entry = entry.map_err(|_| Error::UnknownKernel { name })?;
        let mut arguments = arguments.to_vec();
        let mut pointers: Vec<*mut c_void> = arguments.iter_mut().map(Argument::as_mut_ptr).collect();
        let blocks = threads.div_ceil(BLOCK) as u32;
        // SAFETY: the caller's word.
        unsafe { entry(blocks, BLOCK as u32, pointers.as_mut_ptr()) };
        Ok(())
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
        Ok(())
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
