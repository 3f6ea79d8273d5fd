//! Which crate may depend on which: the arrows of `ARCHITECTURE.md`, checked on `cargo metadata`.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// Arrows between our crates that would undo the design, each with the reason.
const FORBIDDEN: &[(&str, &str, &str)] = &[
    ("robin-attacks", "robin-models", "an attack that knows an architecture is another threat model"),
    ("robin-aggregation", "robin-models", "an aggregate takes any classifier"),
    ("robin-training", "robin-models", "training takes any network"),
    ("robin-models", "robin-kernels", "a model names layers, never a kernel or a layout"),
];

/// Crates of the command line's side.
const EDGE: &[&str] = &["robin-experiments", "robin-report", "robin-cli", "xtask"];

/// Crates that belong to the command line's side only.
const EDGE_ONLY: &[&str] = &["clap", "anyhow", "toml"];

/// A member of the workspace with its dependencies.
#[derive(Debug)]
pub(super) struct Package {
    name: String,
    dependencies: Vec<Dependency>,
}

#[derive(Debug)]
struct Dependency {
    name: String,
    for_tests: bool,
}

/// The members of the workspace at `root`, as cargo sees them.
///
/// # Errors
/// If cargo does not run or answers something else than package metadata.
pub(super) fn packages(root: &Path) -> Result<Vec<Package>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--locked", "--format-version", "1", "--no-deps"])
        .current_dir(root)
        .output()
        .context("cannot run cargo metadata")?;
    if !output.status.success() {
        bail!("cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    parse(&serde_json::from_slice(&output.stdout).context("cargo metadata did not print JSON")?)
}

fn parse(metadata: &Value) -> Result<Vec<Package>> {
    let list = |value: &Value, key: &str| value[key].as_array().cloned().with_context(|| format!("no {key}"));
    let name = |value: &Value| value["name"].as_str().map(own_name).context("no name");
    list(metadata, "packages")?
        .iter()
        .map(|package| {
            let dependencies = list(package, "dependencies")?
                .iter()
                .map(|d| Ok(Dependency { name: name(d)?, for_tests: d["kind"].as_str() == Some("dev") }))
                .collect::<Result<_>>()?;
            Ok(Package { name: name(package)?, dependencies })
        })
        .collect()
}

/// What a package is called here: on the registry ours have a prefix, because names such as `robin-core` are taken.
fn own_name(package: &str) -> String {
    match package.strip_prefix("robin-ml") {
        Some(rest) => format!("robin{rest}"),
        None => package.to_owned(),
    }
}

/// Every dependency that the rules forbid.
pub(super) fn faults(packages: &[Package]) -> Vec<String> {
    let mut faults = Vec::new();
    for Package { name: from, dependencies } in packages {
        // Tests may build what the crate itself must not know.
        for Dependency { name: to, .. } in dependencies.iter().filter(|d| !d.for_tests) {
            if let Some((_, _, reason)) = FORBIDDEN.iter().find(|(f, t, _)| f == from && t == to) {
                faults.push(format!("{from} must not depend on {to}: {reason}"));
            }
            if from == "robin-core" && to.starts_with("robin-") {
                faults
                    .push(format!("robin-core must not depend on {to}: it is the vocabulary of all others"));
            }
            if to == "robin-experiments" && !EDGE.contains(&from.as_str()) {
                faults.push(format!("{from} must not depend on {to}: only {} may", EDGE[1..].join(", ")));
            }
            if to == "robin-cuda" && !["robin-experiments", "xtask"].contains(&from.as_str()) {
                faults.push(format!(
                    "{from} must not depend on {to}: experiments opens it, and all others know an `Executor`"
                ));
            }
            if to == "robin-cli" && from != "xtask" {
                faults.push(format!(
                    "{from} must not depend on {to}: it is a program, only xtask has its commands too"
                ));
            }
            if EDGE_ONLY.contains(&to.as_str()) && !EDGE.contains(&from.as_str()) {
                faults.push(format!("{from} must not depend on {to}: only {} may", EDGE.join(", ")));
            }
            if to == "robin-testkit" {
                faults.push(format!("{from} depends on robin-testkit: it is for [dev-dependencies] only"));
            }
        }
    }
    faults
}

/// Every crate whose arrows are not those that `documented` gives for its folder.
pub(super) fn undocumented(packages: &[Package], documented: &[(String, Vec<String>)]) -> Vec<String> {
    let mut faults = Vec::new();
    for Package { name, dependencies } in packages {
        let folder = name.trim_start_matches("robin-");
        // A folder without a row is a fault of the table itself.
        let Some((_, arrows)) = documented.iter().find(|(row, _)| row == folder) else { continue };
        let ours = dependencies.iter().filter(|d| !d.for_tests).filter_map(|d| d.name.strip_prefix("robin-"));
        let (mut ours, mut arrows): (Vec<&str>, Vec<&str>) =
            (ours.collect(), arrows.iter().map(String::as_str).collect());
        ours.sort_unstable();
        arrows.sort_unstable();
        if ours != arrows {
            faults.push(format!(
                "ARCHITECTURE.md: `{folder}` depends on [{}], the table says [{}]",
                ours.join(", "),
                arrows.join(", ")
            ));
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn faults_of(from: &str, to: &str, kind: Option<&str>) -> Vec<String> {
        let dependency = json!({"name": to, "kind": kind});
        let metadata = json!({"packages": [{"name": from, "dependencies": [dependency]}]});
        faults(&parse(&metadata).unwrap())
    }

    #[test]
    fn packages_go_by_their_own_names() {
        for (package, own) in [("robin-ml-core", "robin-core"), ("robin-ml", "robin"), ("serde", "serde")] {
            assert_eq!(own_name(package), own);
        }
        assert_eq!(faults_of("robin-ml-core", "robin-ml-data", None).len(), 1);
    }

    #[test]
    fn each_forbidden_arrow_is_one_fault() {
        for (from, to) in [
            ("robin-attacks", "robin-models"),
            ("robin-aggregation", "robin-models"),
            ("robin-training", "robin-models"),
            ("robin-models", "robin-kernels"),
            ("robin-core", "robin-data"),
            ("robin-training", "robin-experiments"),
            ("robin-data", "clap"),
            ("robin-nn", "anyhow"),
            ("robin-attacks", "toml"),
            ("robin-nn", "robin-testkit"),
            ("robin-report", "robin-cli"),
            ("robin-training", "robin-cuda"),
        ] {
            let found = faults_of(from, to, None);
            assert!(matches!(&found[..], [one] if one.contains(from) && one.contains(to)), "{found:?}");
            assert_eq!(faults_of(from, to, Some("build")).len(), 1, "{from} -> {to}");
            assert_eq!(faults_of(from, to, Some("dev")).len(), 0, "{from} -> {to} in tests");
        }
    }

    #[test]
    fn the_arrows_of_the_design_are_allowed() {
        for (from, to) in [
            ("robin-models", "robin-nn"),
            ("robin-nn", "robin-kernels"),
            ("robin-experiments", "robin-models"),
            ("robin-experiments", "robin-cuda"),
            ("robin-experiments", "toml"),
            ("robin-report", "robin-experiments"),
            ("robin-cli", "robin-report"),
            ("robin-cli", "clap"),
            ("xtask", "robin-cli"),
            ("xtask", "robin-experiments"),
            ("xtask", "clap"),
        ] {
            assert_eq!(faults_of(from, to, None), [""; 0], "{from} -> {to}");
        }
    }

    #[test]
    fn the_documented_arrows_are_the_ones_there_are() {
        let dependencies = json!([
            {"name": "robin-nn", "kind": null},
            {"name": "robin-core", "kind": null},
            {"name": "serde", "kind": null},
            {"name": "robin-testkit", "kind": "dev"}
        ]);
        let metadata = json!({"packages": [{"name": "robin-data", "dependencies": dependencies}]});
        let packages = parse(&metadata).unwrap();
        let row = |arrows: &[&str]| {
            [("data".to_owned(), arrows.iter().map(|&arrow| arrow.to_owned()).collect::<Vec<_>>())]
        };
        assert_eq!(undocumented(&packages, &row(&["core", "nn"])), [""; 0]);
        let found = undocumented(&packages, &row(&["core"]));
        assert_eq!(found, ["ARCHITECTURE.md: `data` depends on [core, nn], the table says [core]"]);
    }

    #[test]
    fn other_json_is_an_error_and_not_an_empty_workspace() {
        assert!(parse(&json!({"error": "something else"})).is_err());
    }
}
