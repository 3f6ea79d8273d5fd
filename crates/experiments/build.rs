//! Finds the lock file that this build follows: records name the versions that take part in the arithmetic.

use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let folder = |name: &str| PathBuf::from(env::var_os(name).expect("cargo sets it"));
    let (package, out) = (folder("CARGO_MANIFEST_DIR"), folder("OUT_DIR"));
    let lock = find(&package, &out);
    match &lock {
        Some(lock) => println!("cargo::rerun-if-changed={}", lock.display()),
        None => {
            println!("cargo::warning=no Cargo.lock found: records will not name the versions of dependencies")
        }
    }
    let text = lock.map_or_else(String::new, |lock| fs::read_to_string(lock).expect("the lock file is text"));
    fs::write(out.join("Cargo.lock"), text).expect("cargo gives a folder to write to");
}

/// In a checkout the workspace's. As a dependency that of the program that is built, above its `target` folder; a package's
/// own lock file says nothing then.
fn find(package: &Path, out: &Path) -> Option<PathBuf> {
    let workspace = package.join("../../Cargo.lock");
    let above = out.ancestors().map(|folder| folder.join("Cargo.lock"));
    std::iter::once(workspace).chain(above).find(|lock| lock.is_file())
}
