//! Tells the program which commit it is built from, so that a record names the code that made it and not the
//! checkout that happens to be there when it runs.

use std::path::Path;
use std::process::Command;

/// What makes the program, below the workspace.
const SOURCES: [&str; 4] = ["crates", "xtask", "Cargo.toml", "Cargo.lock"];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let commit = commit().unwrap_or_default();
    println!("cargo::rustc-env=ROBIN_COMMIT={commit}");
}

/// The commit, and whether the sources differ from it; `None` outside a checkout of this workspace.
fn commit() -> Option<String> {
    // A copy of the sources inside somebody else's repository is no checkout of ours.
    if git(&["rev-parse", "--show-prefix"])? != "crates/cli/" {
        return None;
    }
    for source in SOURCES {
        println!("cargo::rerun-if-changed=../../{source}");
    }
    // HEAD moves with a checkout, its log with a commit too. A file that is not there would always count as
    // changed.
    for name in ["HEAD", "logs/HEAD"] {
        let path = git(&["rev-parse", "--git-path", name])?;
        if Path::new(&path).exists() {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    let commit = git(&["rev-parse", "HEAD"])?;
    let sources = SOURCES.map(|source| format!("../../{source}"));
    let mut status = vec!["status", "--porcelain", "--untracked-files=no", "--"];
    status.extend(sources.iter().map(String::as_str));
    let clean = git(&status)?.is_empty();
    Some(if clean { commit } else { format!("{commit} with changes") })
}

/// What git prints, run in this folder; `None` if it is not there or fails.
fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
