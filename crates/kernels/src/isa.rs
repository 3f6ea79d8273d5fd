//! The instruction sets that kernels are compiled for, chosen at run time.

use std::sync::OnceLock;

use crate::vector::{Kernel, Vector, run};

/// What the processor offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isa {
    /// 512-bit vectors with fused multiply-add.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// 256-bit vectors with fused multiply-add.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// Whatever every processor of the target has.
    Portable,
}

impl Isa {
    /// The best that this machine has; looked up once.
    pub fn detect() -> Self {
        static DETECTED: OnceLock<Isa> = OnceLock::new();
        *DETECTED.get_or_init(|| Self::available()[0])
    }

    /// All that this machine has, the best first.
    pub fn available() -> Vec<Self> {
        let mut found = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f") {
                found.push(Isa::Avx512);
            }
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                found.push(Isa::Avx2);
            }
        }
        found.push(Isa::Portable);
        found
    }

    /// Whether multiply-adds round once: then results are the same on every such machine.
    pub fn is_fused(self) -> bool {
        self != Isa::Portable || !cfg!(target_arch = "x86_64")
    }

    /// Vectors of a row of a product's tile.
    pub(crate) fn panel_vectors(self) -> usize {
        run(self, PanelVectors)
    }
}

struct PanelVectors;

impl Kernel for PanelVectors {
    type Output = usize;

    #[inline(always)]
    unsafe fn run<V: Vector>(self) -> usize {
        V::PANEL
    }
}
