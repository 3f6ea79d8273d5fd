//! `cargo xtask tidy`: the rules of the workspace that the compiler does not know. A rule that nothing checks
//! drifts, so every invariant of `ARCHITECTURE.md` names its check, and most of those are here.
//!
//! Each rule is a function from text to faults; this file only feeds them and prints what they say.

mod architecture;
mod circles;
mod edges;
mod manifests;
mod sources;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::terminal::say;

/// Checks the workspace at `root`, prints every fault, and fails at the end if there was one.
///
/// # Errors
/// If a rule is broken, or the workspace cannot be read.
pub(crate) fn run(root: &Path) -> Result<()> {
    let files = Files::read(root)?;
    for warning in sources::long_files(&files.rust_sources()).warnings {
        say!("warning: {warning}");
    }
    let faults = faults(root, &files)?;
    for fault in &faults {
        say!("fault: {fault}");
    }
    match faults.len() {
        0 => Ok(()),
        1 => bail!("tidy found 1 fault"),
        count => bail!("tidy found {count} faults"),
    }
}

fn faults(root: &Path, files: &Files) -> Result<Vec<String>> {
    let rust = files.rust_sources();
    let packages = edges::packages(root)?;
    let mut faults = edges::faults(&packages);
    for (path, text) in files.member_manifests() {
        faults.extend(manifests::faults(path, text));
    }
    faults.extend(sources::long_files(&rust).faults);
    faults.extend(sources::without_module_docs(&rust));
    faults.extend(circles::circles(&rust));
    faults.extend(sources::borrowed_files(&rust));
    faults.extend(sources::without_example(&rust));
    faults.extend(sources::machine_paths(&files.texts()));
    faults.extend(sources::unnamed_goldens(&files.goldens(), &rust));

    // A missing file is an empty one: it lacks everything, and the rules say so.
    let text = files.text("ARCHITECTURE.md").unwrap_or_default();
    faults.extend(architecture::crate_table(text, &files.members()));
    faults.extend(edges::undocumented(&packages, &architecture::arrows(text)));
    faults.extend(architecture::reading_path(text, |path| root.join(path).exists()));
    Ok(faults)
}

/// One file: its path below the root with forward slashes, and its text.
type Source<'a> = (&'a str, &'a str);

/// Every file of the workspace that is not made by a build; binary ones without text.
struct Files(Vec<(String, Option<String>)>);

impl Files {
    fn read(root: &Path) -> Result<Self> {
        let mut found = Vec::new();
        let mut folders = vec![root.to_path_buf()];
        while let Some(folder) = folders.pop() {
            for entry in sorted_entries(&folder)? {
                let name = entry.file_name().unwrap_or_default().to_string_lossy().into_owned();
                // In a linked worktree `.git` is a file, which names the place of the main one.
                if [".git", "target", "results", ".venv", "__pycache__", "node_modules"]
                    .contains(&name.as_str())
                {
                    continue;
                }
                if entry.is_dir() {
                    folders.push(entry);
                    continue;
                }
                let path = entry.strip_prefix(root).expect("entries lie below the root");
                let path = path.to_string_lossy().replace('\\', "/");
                let bytes = std::fs::read(&entry).with_context(|| format!("cannot read {path}"))?;
                found.push((path, String::from_utf8(bytes).ok()));
            }
        }
        found.sort();
        Ok(Self(found))
    }

    fn text(&self, path: &str) -> Option<&str> {
        self.texts().into_iter().find(|(found, _)| *found == path).map(|(_, text)| text)
    }

    fn texts(&self) -> Vec<Source<'_>> {
        self.0.iter().filter_map(|(path, text)| Some((path.as_str(), text.as_deref()?))).collect()
    }

    fn rust_sources(&self) -> Vec<Source<'_>> {
        self.texts().into_iter().filter(|(path, _)| path.ends_with(".rs")).collect()
    }

    /// Manifests below the root, but for those of a workspace of its own, which is no member.
    fn member_manifests(&self) -> Vec<Source<'_>> {
        let manifests = self.texts().into_iter().filter(|(path, _)| path.ends_with("/Cargo.toml"));
        manifests.filter(|(_, text)| !text.lines().any(|line| line == "[workspace]")).collect()
    }

    /// Members as `ARCHITECTURE.md` calls them: folders of `crates`, and `xtask`.
    fn members(&self) -> Vec<String> {
        let folders = self.member_manifests().into_iter().map(|(path, _)| {
            let folder = path.trim_end_matches("/Cargo.toml");
            folder.trim_start_matches("crates/").to_owned()
        });
        folders.collect()
    }

    /// Stems of the files in `fixtures/golden`.
    fn goldens(&self) -> Vec<String> {
        let names = self.0.iter().filter_map(|(path, _)| path.strip_prefix("fixtures/golden/"));
        names.map(|name| name.trim_end_matches(".safetensors").to_owned()).collect()
    }
}

fn sorted_entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_found_by_kind_and_built_ones_are_left_out() {
        let root = std::env::temp_dir().join(format!("robin-tidy-{}", std::process::id()));
        for (path, bytes) in [
            ("crates/core/Cargo.toml", &b"[package]"[..]),
            ("crates/core/src/lib.rs", b"//! Core."),
            ("xtask/Cargo.toml", b"[package]"),
            ("Cargo.toml", b"[workspace]"),
            ("fuzz/Cargo.toml", b"[package]\n\n[workspace]\n"),
            ("target/debug/made.rs", b""),
            (".git", b"gitdir: elsewhere"),
            ("fixtures/golden/layers.safetensors", b"\xff\xfe"),
        ] {
            let path = root.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
        let files = Files::read(&root).unwrap();
        std::fs::remove_dir_all(&root).unwrap();
        assert_eq!(files.rust_sources(), [("crates/core/src/lib.rs", "//! Core.")]);
        assert_eq!(files.members(), ["core", "xtask"]);
        assert_eq!(files.goldens(), ["layers"]);
        assert_eq!(files.text("Cargo.toml"), Some("[workspace]"));
        assert_eq!(files.text(".git"), None);
        assert_eq!(files.text("fixtures/golden/layers.safetensors"), None, "no text");
    }
}
