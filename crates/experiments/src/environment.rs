//! Where results come from: commit, machine, versions, time. Written beside results, never into a key.

use std::time::{SystemTime, UNIX_EPOCH};

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
        fields.insert("finished".to_owned(), Value::String(utc_now()));
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

fn utc_now() -> String {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs());
    utc(seconds)
}

/// Seconds since 1970 as `2026-01-31T12:00:00Z`.
fn utc(seconds: u64) -> String {
    // Hinnant, "chrono-compatible low-level date algorithms": days since 1 March of year 0, in eras of 400
    // years.
    let days = seconds / 86_400 + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_become_dates() {
        // Known from `date -u -d @N`.
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_164_800, "2024-02-29T00:00:00Z"),
            (1_767_225_599, "2025-12-31T23:59:59Z"),
        ] {
            assert_eq!(utc(seconds), expected);
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
