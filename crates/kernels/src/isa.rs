//! The instruction sets that kernels are compiled for, chosen at run time.

#[cfg(target_arch = "x86_64")]
mod tiles;

use std::fmt;
use std::sync::OnceLock;

/// An instruction set that this machine's processor has: there is no other way to one than to ask the processor
/// ([`Isa::detect`], [`Isa::available`]), but for [`Isa::PORTABLE`], which every processor of the target has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Isa(Kind);

/// Which one, to those who compile for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// [`Kind::Avx512Bf16`] with AMX's tiles of bf16, which only products in their order use.
    #[cfg(target_arch = "x86_64")]
    Amx,
    /// [`Kind::Avx512`] with an instruction for products of pairs of bf16, which alone are compiled for it.
    #[cfg(target_arch = "x86_64")]
    Avx512Bf16,
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
    /// Plain arithmetic, which needs nothing that a processor of the target may lack.
    pub const PORTABLE: Self = Self(Kind::Portable);

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
                let others = is_x86_feature_detected!("avx512bw") && is_x86_feature_detected!("avx512vl");
                if others && is_x86_feature_detected!("avx512bf16") {
                    if tiles::permitted() {
                        found.push(Self(Kind::Amx));
                    }
                    found.push(Self(Kind::Avx512Bf16));
                }
                found.push(Self(Kind::Avx512));
            }
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                found.push(Self(Kind::Avx2));
            }
        }
        found.push(Self::PORTABLE);
        found
    }

    /// Whether multiply-adds round once: then results are the same on every such machine.
    #[cfg(test)]
    pub(crate) fn is_fused(self) -> bool {
        self != Self::PORTABLE || !cfg!(target_arch = "x86_64")
    }

    /// Whether a thread may compute with AMX's tiles.
    #[cfg(target_arch = "x86_64")]
    pub(crate) fn has_tiles(self) -> bool {
        self.0 == Kind::Amx
    }

    /// Which one it is; whoever got it from an `Isa` knows that the processor has it.
    pub(crate) fn kind(self) -> Kind {
        self.0
    }
}

impl fmt::Debug for Isa {
    /// Its name alone: records have it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_available_is_there_and_says_its_name() {
        let all = Isa::available();
        assert_eq!((all[0], all.last()), (Isa::detect(), Some(&Isa::PORTABLE)));
        let names: Vec<String> = all.iter().map(|isa| format!("{isa:?}")).collect();
        assert!(
            names.iter().all(|name| ["Amx", "Avx512Bf16", "Avx512", "Avx2", "Portable"].contains(&&**name)),
            "{names:?}"
        );
    }
}
