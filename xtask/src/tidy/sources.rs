//! Rules on the text of files: length, module documentation, paths of machines, goldens that nobody reads.

use super::Source;

/// A file longer than this is looked at again.
const LOOK_AGAIN: usize = 400;
/// A file longer than this is split.
const SPLIT: usize = 600;

/// What [`long_files`] found.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Lengths {
    /// Files above 400 lines.
    pub(super) warnings: Vec<String>,
    /// Files above 600 lines.
    pub(super) faults: Vec<String>,
}

/// Measures every file without its tests: files and folders called `tests` do not count, nor does what follows
/// a file's `#[cfg(test)]` module.
pub(super) fn long_files(sources: &[Source<'_>]) -> Lengths {
    let mut lengths = Lengths::default();
    for (path, text) in sources.iter().filter(|(path, _)| !is_test(path)) {
        match without_tests(text).lines().count() {
            count if count > SPLIT => {
                lengths.faults.push(format!("{path} has {count} lines without tests: split above {SPLIT}"));
            }
            count if count > LOOK_AGAIN => {
                lengths
                    .warnings
                    .push(format!("{path} has {count} lines without tests: would parts be clearer?"));
            }
            _ => {}
        }
    }
    lengths
}

/// What stands before a file's `#[cfg(test)]` module.
pub(super) fn without_tests(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default()
}

pub(super) fn is_test(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.split('/').any(|part| part == "tests")
}

/// The roots of crates and of programs must begin by saying what they are.
pub(super) fn without_module_docs(sources: &[Source<'_>]) -> Vec<String> {
    let roots =
        sources.iter().filter(|(path, _)| path.ends_with("src/lib.rs") || path.ends_with("src/main.rs"));
    let silent = roots.filter(|(_, text)| !text.starts_with("//! "));
    silent.map(|(path, _)| format!("{path} does not start with module documentation (`//! `)")).collect()
}

/// A library begins with what it is for and a program that runs, then comes the order to read it in. (The module for Python
/// is none: its programs are Python's.)
pub(super) fn without_example(sources: &[Source<'_>]) -> Vec<String> {
    let libraries =
        sources.iter().filter(|(path, _)| path.starts_with("crates/") && path.ends_with("src/lib.rs"));
    let silent = libraries.filter(|(_, text)| !opens_with_example(text));
    silent
        .map(|(path, _)| {
            format!("{path}: its documentation needs an example that runs (a block of ``` alone), before the reading order")
        })
        .collect()
}

fn opens_with_example(text: &str) -> bool {
    let mut fenced = false;
    for line in text.lines().map_while(|line| line.strip_prefix("//!")).map(str::trim) {
        match line.strip_prefix("```") {
            // What is not run says so behind the fence.
            Some("") if !fenced => return true,
            Some(_) => fenced = !fenced,
            None if !fenced && line.starts_with("Reading order") => return false,
            None => {}
        }
    }
    false
}

/// Files of the program that are compiled in from outside their crate: a package has only what is below its own folder.
pub(super) fn borrowed_files(sources: &[Source<'_>]) -> Vec<String> {
    let mut faults = Vec::new();
    for (path, text) in sources.iter().filter(|(path, _)| path.starts_with("crates/") && !is_test(path)) {
        // `crates`, the crate, and the file itself are no folders that a path may leave.
        let depth = path.split('/').count().saturating_sub(3);
        for (number, line) in text.lines().enumerate() {
            let included = line.split_once("include_str!(").or_else(|| line.split_once("include_bytes!("));
            if included.is_some_and(|(_, from)| from.matches("../").count() > depth) {
                faults.push(format!("{path}:{}: a file outside the crate is compiled in", number + 1));
            }
        }
    }
    faults
}

/// Paths that exist on somebody's machine only, and paths that leave the repository's folder for a neighbour's.
pub(super) fn machine_paths(sources: &[Source<'_>]) -> Vec<String> {
    let mut faults = Vec::new();
    for (path, text) in sources {
        for (number, line) in text.lines().enumerate() {
            if let Some(found) = machine_path(line) {
                faults.push(format!("{path}:{}: {found} is a path of one machine", number + 1));
            }
        }
    }
    faults
}

fn machine_path(line: &str) -> Option<String> {
    // Put together here, so that this file does not break its own rule.
    let folders = ["home", "root", "work", "Users", "mnt"].map(|folder| format!("/{folder}/"));
    let neighbour = ["..", "shared"].join("/");
    let windows = ["C:", "Users"].join("\\");
    let absolute = |folder: &str| {
        let starts =
            |before: &str| before.chars().next_back().is_none_or(|c| !goes_on(c) && !"/.~}*".contains(c));
        // Examples write anybody's folder so.
        let anybody = |after: &str| matches!(after.split(|c| !goes_on(c)).next(), Some("u" | "user" | "you"));
        line.match_indices(folder).any(|(at, _)| starts(&line[..at]) && !anybody(&line[at + folder.len()..]))
    };
    let found = folders.into_iter().find(|folder| absolute(folder));
    found.or_else(|| [neighbour, windows].into_iter().find(|part| line.contains(part.as_str())))
}

/// Whether a character belongs to a name in a path.
fn goes_on(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '-'
}

/// Goldens whose name stands in no file that calls `golden(`.
pub(super) fn unnamed_goldens(goldens: &[String], sources: &[Source<'_>]) -> Vec<String> {
    let named = |golden: &String| {
        let name = format!("\"{golden}\"");
        // The test kit's tests, and those of this file, are about goldens and not about what is in them.
        let about = |path: &str| path.starts_with("crates/testkit/") || path.starts_with("xtask/");
        let mut readers = sources.iter().filter(|(path, _)| !about(path));
        readers.any(|(_, text)| text.contains("golden(") && text.contains(&name))
    };
    let forgotten = goldens.iter().filter(|golden| !named(golden));
    forgotten.map(|golden| format!("fixtures/golden/{golden}.safetensors is named by no test")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_measured_without_their_tests() {
        let (short, long, longer) = ("//\n".repeat(400), "//\n".repeat(401), "//\n".repeat(601));
        let tested = format!("{short}#[cfg(test)]\nmod tests {{\n{longer}");
        let found = long_files(&[
            ("a/src/short.rs", &short),
            ("a/src/tested.rs", &tested),
            ("a/src/conv2d/tests.rs", &longer),
            ("a/tests/laws.rs", &longer),
            ("a/src/long.rs", &long),
            ("a/src/longer.rs", &longer),
        ]);
        assert!(
            matches!(&found.warnings[..], [one] if one.starts_with("a/src/long.rs has 401")),
            "{found:?}"
        );
        assert!(
            matches!(&found.faults[..], [one] if one.starts_with("a/src/longer.rs has 601")),
            "{found:?}"
        );
    }

    #[test]
    fn crate_roots_begin_with_documentation() {
        let found = without_module_docs(&[
            ("crates/a/src/lib.rs", "//! What it is."),
            ("crates/b/src/lib.rs", "pub mod c;\n//! Too late."),
            ("crates/b/src/c.rs", "pub struct C;"),
            ("xtask/src/main.rs", "fn main() {}"),
        ]);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].starts_with("crates/b/src/lib.rs") && found[1].starts_with("xtask/src/main.rs"));
    }

    #[test]
    fn libraries_show_a_program_that_runs_before_anything_else() {
        let found = without_example(&[
            ("crates/a/src/lib.rs", "//! What.\n//!\n//! ```\n//! f();\n//! ```\n//! Reading order: b."),
            ("crates/b/src/lib.rs", "//! What.\n//!\n//! Reading order: b.\n//!\n//! ```\n//! f();\n//! ```"),
            ("crates/c/src/lib.rs", "//! What.\n//!\n//! ```text\n//! f();\n//! ```\n"),
            ("crates/d/src/lib.rs", "//! What.\npub fn f() {}\n//! ```"),
            ("xtask/src/main.rs", "//! A program."),
        ]);
        assert!(found.len() == 3 && found.iter().all(|fault| !fault.starts_with("crates/a")), "{found:?}");
    }

    #[test]
    fn what_is_compiled_in_lies_in_its_crate() {
        let include = |path: &str| format!("const A: &str = include_{}!(\"{path}\");", "str");
        let (near, far) = (include("../specs/a.toml"), include("../../../Cargo.lock"));
        let found = borrowed_files(&[
            ("crates/a/src/near.rs", &near),
            ("crates/a/src/far.rs", &far),
            ("crates/a/src/b/tests.rs", &far),
            ("xtask/src/c.rs", &far),
        ]);
        assert!(matches!(&found[..], [one] if one.starts_with("crates/a/src/far.rs:1:")), "{found:?}");
    }

    #[test]
    fn paths_of_machines_are_found_with_their_line() {
        let home = format!("fine\nlet data = \"/{}/somebody/mnist\";", "home");
        let neighbour = format!("see {}/{}/SPEC.md", "..", "shared");
        let found = machine_paths(&[("a.rs", &home), ("b.md", &neighbour)]);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].starts_with("a.rs:2:") && found[1].starts_with("b.md:1:"), "{found:?}");
        let relative = format!(
            "crates/{0}/src, https://example.org/{0}/x, ~/{0}/x, $HOME/{0}/, /home/user/data",
            "work"
        );
        assert_eq!(machine_paths(&[("c.md", &relative)]), [""; 0]);
    }

    #[test]
    fn a_golden_must_be_named_where_goldens_are_read() {
        let goldens = ["layers".to_owned(), "cnn2".to_owned()];
        let reader = ("crates/nn/src/tests.rs", "for name in [\"layers\"] { golden(name); }");
        let other = ("crates/models/src/lib.rs", "build(\"cnn2\")");
        let testkit = ("crates/testkit/src/golden.rs", "golden(\"cnn2\")");
        let found = unnamed_goldens(&goldens, &[reader, other, testkit]);
        assert_eq!(found, ["fixtures/golden/cnn2.safetensors is named by no test"]);
    }
}
