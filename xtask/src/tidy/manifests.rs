//! Members inherit lints, package fields and every version from the workspace, so that one place says them.

/// Fields of `[package]` that a member must inherit.
const INHERITED: &[&str] = &["version", "edition", "rust-version", "license", "authors", "publish"];

/// Faults of one member's manifest. Reads line by line, because our manifests write one dependency per line.
pub(super) fn faults(path: &str, manifest: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let mut inherited = Vec::new();
    let mut lints = false;
    let mut section = "";
    for line in manifest.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if line.starts_with('[') {
            section = line;
            if section.contains("dependencies.") {
                faults.push(format!("{path}: write {section} in one line, `NAME.workspace = true`"));
            }
        } else if section.ends_with("dependencies]") && !inherits(line) {
            faults.push(format!("{path}: `{line}` does not inherit its version from the workspace"));
        } else if section == "[package]" {
            let field = INHERITED.iter().find(|field| line == format!("{field}.workspace = true"));
            inherited.extend(field);
        } else if section == "[lints]" {
            lints |= line == "workspace = true";
        }
    }
    let missing = INHERITED.iter().filter(|field| !inherited.contains(field));
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
publish.workspace = true

[lints]
workspace = true

[dependencies]
robin-core.workspace = true
serde = { workspace = true, features = ["rc"] }

[target.'cfg(unix)'.dependencies]
# A comment.
rayon.workspace = true
"#;

    #[test]
    fn a_manifest_that_inherits_everything_has_no_fault() {
        assert_eq!(faults("made-up", GOOD), [""; 0]);
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
            ("[lints]\nworkspace = true", "", "[lints]"),
        ] {
            let found = faults("made-up", &GOOD.replace(good, bad));
            assert!(found.iter().any(|fault| fault.contains(named)), "{bad}: {found:?}");
        }
    }
}
