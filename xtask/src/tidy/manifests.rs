//! Members inherit lints, package fields and every version from the workspace, so that one place says them.

/// Fields of `[package]` that a member must inherit.
const INHERITED: &[&str] = &["version", "edition", "rust-version", "license", "authors"];

/// The same of a member that is published, which is every one without `publish = false`.
const PUBLISHED: &[&str] = &["readme", "repository", "keywords", "categories", "exclude", "publish"];

/// Faults of one member's manifest. Reads line by line, because our manifests write one dependency per line.
pub(super) fn faults(path: &str, manifest: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let mut inherited = Vec::new();
    let (mut lints, mut private) = (false, false);
    let mut section = "";
    for line in manifest.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if line.starts_with('[') {
            section = line;
            if section.contains("dependencies.") {
                faults.push(format!("{path}: write {section} in one line, `NAME.workspace = true`"));
            }
        } else if section.ends_with("dependencies]")
            && !inherits(line)
            && !(section == "[dev-dependencies]" && is_ours(line))
        {
            faults.push(format!("{path}: `{line}` does not inherit its version from the workspace"));
        } else if section == "[package]" {
            private |= line == "publish = false";
            let field =
                INHERITED.iter().chain(PUBLISHED).find(|field| line == format!("{field}.workspace = true"));
            inherited.extend(field);
        } else if section == "[lints]" {
            lints |= line == "workspace = true";
        }
    }
    let wanted = INHERITED.iter().chain(if private { &[][..] } else { PUBLISHED });
    let missing = wanted.filter(|field| !inherited.contains(field));
    faults.extend(missing.map(|field| format!("{path}: [package] needs `{field}.workspace = true`")));
    if !lints {
        faults.push(format!("{path}: [lints] needs `workspace = true`"));
    }
    faults
}

/// `name.workspace = true` or `name = { workspace = true, ... }`, and no version beside it.
fn inherits(line: &str) -> bool {
    let code = line.split('#').next().unwrap_or_default();
    code.contains("workspace = true") && !code.contains("version =") && !code.contains("version=")
}

/// One of our crates by its path, without a version: packaged crates go without it, so tests may turn arrows round.
fn is_ours(line: &str) -> bool {
    line.contains("path = \"../") && !line.contains("version")
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
[package]
name = "robin-made-up"
version.workspace = true
edition.workspace = true
rust-version.workspace = true
license.workspace = true
authors.workspace = true
readme.workspace = true
repository.workspace = true
keywords.workspace = true
categories.workspace = true
exclude.workspace = true
publish.workspace = true

[lints]
workspace = true

[dependencies]
robin-core.workspace = true
serde = { workspace = true, features = ["rc"] }

[target.'cfg(unix)'.dependencies]
# A comment.
rayon.workspace = true

[dev-dependencies]
robin-data = { package = "robin-ml-data", path = "../data" }
"#;

    #[test]
    fn a_manifest_that_inherits_everything_has_no_fault() {
        assert_eq!(faults("made-up", GOOD), [""; 0]);
        let private = GOOD.replace("keywords.workspace = true\n", "");
        let private = private.replace("publish.workspace = true", "publish = false");
        assert_eq!(faults("made-up", &private), [""; 0], "nobody looks for it");
    }

    #[test]
    fn whatever_is_not_inherited_is_named() {
        for (good, bad, named) in [
            ("robin-core.workspace = true", "rand = \"0.9\"", "`rand = \"0.9\"`"),
            ("robin-core.workspace = true", "rand = { version = \"0.9\" }", "rand = {"),
            ("rayon.workspace = true", "rayon = \"1\"", "`rayon = \"1\"`"),
            ("[dependencies]", "[dependencies.serde]", "[dependencies.serde]"),
            ("\nversion.workspace = true", "\nversion = \"0.2.0\"", "version.workspace"),
            ("license.workspace = true\n", "", "license.workspace"),
            ("keywords.workspace = true\n", "", "keywords.workspace"),
            ("\"../data\" }", "\"../data\", version = \"0.1.0\" }", "robin-data"),
            ("[lints]\nworkspace = true", "", "[lints]"),
        ] {
            let found = faults("made-up", &GOOD.replace(good, bad));
            assert!(found.iter().any(|fault| fault.contains(named)), "{bad}: {found:?}");
        }
    }
}
