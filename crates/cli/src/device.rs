//! What does the arithmetic.

use clap::Args;
use robin_experiments::{Arithmetic, Device, Error};

/// A device, and how it computes.
#[derive(Debug, Clone, Args)]
pub struct DeviceArguments {
    /// What does the arithmetic: cpu (our kernels), candle (its layers and autograd), cuda:N in a build with the feature
    /// `cuda`, candle:cuda:N in one with `candle-cuda`.
    #[arg(long, default_value = "cpu")]
    device: Device,
    /// What a GPU computes in: f32, tf32 or bf16 (sums and the optimiser's weights stay f32). With cpu, bf16 is what the products of
    /// training attacks multiply, bf16-amx the same in the order of Intel's AMX, which is fast where the processor has that; all else,
    /// evaluation too, stays f32. Part of every record's key [default: f32].
    #[arg(long, value_name = "P")]
    precision: Option<String>,
    /// On a GPU, only algorithms that give the same bits in every run, in the library's order.
    #[arg(long)]
    repeatable: bool,
}

impl DeviceArguments {
    /// The device, computing as was asked.
    pub fn device(&self) -> Result<Device, Error> {
        let (precision, repeatable) = (self.precision.as_deref(), self.repeatable);
        self.device.computing(Arithmetic { precision, repeatable })
    }

    /// The same where nothing is trained: a CPU's bf16 would change nothing but the name in records.
    pub fn device_without_training(&self) -> Result<Device, Error> {
        let device = self.device()?;
        match device.precision_of_training_attacks() {
            None => Ok(device),
            Some(precision) => Err(Error::Option {
                option: "--precision",
                value: precision.to_owned(),
                allowed: format!(
                    "f32: on a CPU {precision} is for training attacks, and nothing is trained here"
                ),
            }),
        }
    }

    /// Its name, as on the command line.
    pub fn name(&self) -> String {
        self.device.to_string()
    }

    /// The options that choose it, for another program; none for a CPU.
    pub fn ordinal(&self) -> Option<usize> {
        self.device.ordinal()
    }

    /// The precision asked for.
    pub fn precision(&self) -> &str {
        self.precision.as_deref().unwrap_or("f32")
    }

    /// Whether only repeatable algorithms are allowed.
    pub fn repeatable(&self) -> bool {
        self.repeatable
    }
}
