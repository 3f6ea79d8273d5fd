//! How numbers are stored and multiplied: a named choice that is recorded with every result.

use std::fmt;
use std::str::FromStr;

/// What a network computes in. Sums are f32 or wider, and the optimiser's weights f32, in each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Precision {
    /// f32 throughout.
    #[default]
    F32,
    /// Stored as f32; factors of products are rounded to 10 bits of mantissa (NVIDIA's TF32).
    Tf32,
    /// Activations, their gradients and the weights in products are stored as bf16.
    Bf16,
}

/// The type of stored activations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Storage {
    /// Four bytes.
    F32,
    /// Two bytes: the upper half of an f32, rounded to the nearest, ties to even.
    Bf16,
}

impl Precision {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::F32, Self::Tf32, Self::Bf16];

    /// Its name on the command line and in records.
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Tf32 => "tf32",
            Self::Bf16 => "bf16",
        }
    }

    /// The type of stored activations.
    pub const fn storage(self) -> Storage {
        match self {
            Self::F32 | Self::Tf32 => Storage::F32,
            Self::Bf16 => Storage::Bf16,
        }
    }
}

impl Storage {
    /// Bytes of one value.
    pub const fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::Bf16 => 2,
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Precision {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|precision| precision.name() == text)
            .ok_or_else(|| format!("precision {text:?} is unknown (one of: f32, tf32, bf16)"))
    }
}
