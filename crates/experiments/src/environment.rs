//! Where results come from: commit, machine, versions, time. Written beside results, never into a key.

use jiff::Timestamp;
use robin_kernels::isa::Isa;
use serde_json::{Map, Value, json};

/// The same for all cells of a run.
#[derive(Debug, Clone)]
pub struct Environment {
    fields: Map<String, Value>,
    machine: String,
}

impl Environment {
    /// Looks at this machine. `commit` is that of the sources of the running program, `None` if unknown.
    pub fn detect(commit: Option<&str>) -> Self {
        let machine = machine();
        let value = json!({
            "commit": commit,
            "machine": machine,
            "instructions": format!("{:?}", Isa::detect()).to_lowercase(),
            "versions": versions(),
            "optimised": !cfg!(debug_assertions),
        });
        let Value::Object(fields) = value else { unreachable!("an object was written") };
        Self { fields, machine }
    }

    /// The same with `fields` more in every provenance: node and job of a batch system.
    #[must_use]
    pub fn with(mut self, fields: Map<String, Value>) -> Self {
        self.fields.extend(fields);
        self
    }

    /// Processor, cores and system.
    pub fn machine(&self) -> &str {
        &self.machine
    }

    /// Provenance of one cell or measurement: what is known here, `extra`, and the time.
    pub fn provenance(&self, extra: Value) -> Map<String, Value> {
        let mut fields = self.fields.clone();
        if let Value::Object(extra) = extra {
            fields.extend(extra);
        }
        fields.insert("finished".to_owned(), Value::String(utc(Timestamp::now())));
        fields
    }
}

fn machine() -> String {
    let processor = std::fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| {
        let line = text.lines().find(|line| line.starts_with("model name"))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    });
    let processor = processor.unwrap_or_else(|| "unknown processor".to_owned());
    format!("{processor}, {} cores, {} {}", cores(), std::env::consts::OS, std::env::consts::ARCH)
}

/// Cores that this process may use.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Of ROBIN and of the dependencies that take part in the arithmetic, from the lock file.
fn versions() -> Value {
    let mut versions = Map::new();
    versions.insert("robin".to_owned(), env!("CARGO_PKG_VERSION").into());
    let lock: toml::Table = include_str!(concat!(env!("OUT_DIR"), "/Cargo.lock")).parse().unwrap_or_default();
    for package in lock.get("package").and_then(toml::Value::as_array).into_iter().flatten() {
        let field = |name: &str| package.get(name).and_then(toml::Value::as_str);
        if let (Some(name @ ("candle-core" | "gemm" | "libm" | "rayon" | "safetensors")), Some(version)) =
            (field("name"), field("version"))
        {
            // A crate that is there in two versions shows both.
            let shown = match versions.get(name).and_then(Value::as_str) {
                Some(other) => format!("{other}, {version}"),
                None => version.to_owned(),
            };
            versions.insert(name.to_owned(), shown.into());
        }
    }
    Value::Object(versions)
}

/// As `2026-01-31T12:00:00Z`.
fn utc(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_as_records_always_had_it() {
        // Known from `date -u -d @N`.
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_164_800, "2024-02-29T00:00:00Z"),
            (1_767_225_599, "2025-12-31T23:59:59Z"),
        ] {
            assert_eq!(utc(Timestamp::from_second(seconds).unwrap()), expected);
        }
    }

    #[test]
    fn versions_come_from_the_lock_file() {
        let versions = versions();
        for name in ["robin", "candle-core", "gemm", "rayon", "safetensors"] {
            assert!(versions[name].is_string(), "{name}: {versions}");
        }
    }
}
