//! The device under test, in each precision.

use std::sync::Arc;

use anyhow::Context;
use robin_cuda::kernels::host::Host;
use robin_cuda::{Cuda, Precision, Selection};
use robin_experiments::Error;

/// Bytes of a rehearsal's device.
const HOST_MEMORY: usize = 8 << 30;

/// A device, and how much is asked of it.
pub(super) struct ModelUnderTest {
    pub(super) name: String,
    /// What it says of itself.
    pub(super) description: String,
    gpu: Option<usize>,
    host: Option<Arc<Host>>,
    executors: Vec<(Precision, Cuda)>,
}

impl ModelUnderTest {
    pub(super) fn open(name: &str) -> anyhow::Result<Self> {
        if name == "host" {
            // With an end to its memory, as a GPU has: an operating system promises more than there is.
            let host = Host::with_limit(HOST_MEMORY)?
                .context("a rehearsal needs a C++ compiler (CXX, c++, g++ or clang++)")?;
            let on = |precision| (precision, Cuda::on(host.clone(), precision));
            let executors = [Precision::F32, Precision::Bf16].map(on).into();
            let description = "this processor in the place of a GPU".to_owned();
            return Ok(Self { name: name.to_owned(), description, gpu: None, host: Some(host), executors });
        }
        let ordinal = name.strip_prefix("cuda:").and_then(|ordinal| ordinal.parse().ok());
        let ordinal: usize = ordinal.ok_or_else(|| Error::Unknown {
            what: "device",
            given: name.to_owned(),
            valid: "cuda:N, or host for a rehearsal".to_owned(),
        })?;
        let failed =
            |error: robin_nn::Error| Error::Device { device: name.to_owned(), reason: error.to_string() };
        let mut executors = Vec::new();
        for precision in Precision::ALL {
            executors.push((precision, Cuda::open(ordinal, precision, Selection::Fastest).map_err(failed)?));
        }
        let description = executors[0].1.context().map_err(failed)?.device().description();
        Ok(Self { name: name.to_owned(), description, gpu: Some(ordinal), host: None, executors })
    }

    /// Whether this is a GPU, and not a rehearsal.
    pub(super) fn is_gpu(&self) -> bool {
        self.gpu.is_some()
    }

    pub(super) fn ordinal(&self) -> Option<usize> {
        self.gpu
    }

    /// Each precision with its executor.
    pub(super) fn executors(&self) -> impl Iterator<Item = (Precision, &Cuda)> {
        self.executors.iter().map(|(precision, cuda)| (*precision, cuda))
    }

    /// An f32 executor whose results have the same bits in every run.
    pub(super) fn repeatable(&self) -> anyhow::Result<Cuda> {
        Ok(match (self.gpu, &self.host) {
            (Some(ordinal), _) => Cuda::open(ordinal, Precision::F32, Selection::Repeatable)?,
            (None, Some(host)) => Cuda::on(host.clone(), Precision::F32),
            (None, None) => anyhow::bail!("there is no device"),
        })
    }
}
