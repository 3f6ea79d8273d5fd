//! AMX's tiles, which a process has to ask for.

/// Whether the processor has tiles of bf16, and the system lets this process use them: it has to be asked, as they are more for it to keep of
/// a thread than a thread has room for by itself. Only Linux is.
#[cfg(target_os = "linux")]
pub(crate) fn permitted() -> bool {
    use std::arch::x86_64::__cpuid_count;
    use std::ffi::c_long;

    /// `ARCH_REQ_XCOMP_PERM`: asks to use a component of the processor's state.
    const REQUEST: c_long = 0x1023;
    /// The tiles' number among those components.
    const TILE_DATA: c_long = 18;
    /// In `edx` of leaf 7: bf16, and the tiles themselves.
    const FEATURES: u32 = 1 << 22 | 1 << 24;
    let features = __cpuid_count(7, 0).edx;
    // SAFETY: the call takes numbers, and changes nothing but what this process may use.
    features & FEATURES == FEATURES && unsafe { libc::syscall(libc::SYS_arch_prctl, REQUEST, TILE_DATA) } == 0
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn permitted() -> bool {
    false
}
