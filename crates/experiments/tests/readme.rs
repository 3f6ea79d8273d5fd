//! README and the pages beside it: short, led by the finding, and true to the committed evidence.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// Above a table that shows committed numbers stands where they are.
const MARK: &str = "<!-- evidence: ";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// README, and every page in `docs`.
fn pages() -> Vec<(PathBuf, String)> {
    let docs = fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let pages = docs.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    pages
        .chain([root().join("README.md")])
        .map(|path| (path.clone(), fs::read_to_string(path).unwrap()))
        .collect()
}

fn cells(line: &str) -> Vec<&str> {
    line.trim().trim_matches('|').split('|').map(str::trim).collect()
}

/// What a page may write in the cell of a number: measured, published in brackets, the union where it is another number.
fn written(cell: &Value) -> Vec<String> {
    let number = |name: &str| cell[name].as_f64().map(|value| format!("{value:.3}"));
    let accuracy = number("accuracy").unwrap();
    let with = |text: String| match number("published") {
        Some(published) => format!("{text} ({published})"),
        None => text,
    };
    let short = with(accuracy);
    let long = format!("{short}, union {}", number("union").unwrap());
    vec![short, long]
}

#[test]
fn tables_of_pages_say_what_the_evidence_says() {
    let mut checked = 0;
    for (path, text) in pages() {
        let lines: Vec<&str> = text.lines().collect();
        for (at, line) in lines.iter().enumerate().filter(|(_, line)| line.starts_with(MARK)) {
            let file = line[MARK.len()..].split_whitespace().next().unwrap();
            let table: Value =
                serde_json::from_str(&read(&format!("crates/experiments/evidence/{file}"))).unwrap();
            let rows: Vec<Vec<&str>> = lines[at + 1..]
                .iter()
                .skip_while(|line| line.is_empty())
                .take_while(|line| line.starts_with('|'))
                .map(|line| cells(line))
                .collect();
            let [head, _, rows @ ..] = &rows[..] else { panic!("{}: no table below {line}", path.display()) };
            for row in rows {
                let (label, classifier) = (row[0], row[1]);
                for (attack, shown) in head.iter().zip(row).skip(2) {
                    let of = |cell: &&Value| {
                        let name = |field: &str| cell[field].as_str().unwrap();
                        let row = format!(
                            "{} {} {} {}",
                            name("dataset"),
                            name("model"),
                            name("norm"),
                            name("epsilon")
                        );
                        row == label && name("classifier") == classifier && name("attack") == *attack
                    };
                    let cell = table["cells"].as_array().unwrap().iter().find(of);
                    let cell = cell
                        .unwrap_or_else(|| panic!("{}: no {label} {classifier} {attack}", path.display()));
                    let allowed = written(cell);
                    assert!(
                        allowed.iter().any(|text| text == shown),
                        "{}: {label} {classifier} {attack} is {shown}, the evidence has {allowed:?}",
                        path.display()
                    );
                    checked += 1;
                }
            }
        }
    }
    assert!(checked >= 12, "{checked}");
}

#[test]
fn the_readme_is_short_and_begins_with_what_it_is_about() {
    let readme = read("README.md");
    let words = readme.split_whitespace().count();
    assert!(words <= 900, "{words} words");
    let tables = readme.lines().filter(|line| line.starts_with("|--")).count();
    assert!(tables <= 3, "{tables} tables");
    let first: Vec<&str> = readme.lines().take(30).collect();
    let first = first.join("\n");
    for piece in [
        "](docs/forest.svg)",
        "cargo xtask reproduce table-1",
        "cargo xtask report",
        "arxiv.org/abs/2002.09422",
        "MNIST",
    ] {
        assert!(first.contains(piece), "{piece} is not in the first 30 lines");
    }
}

#[test]
fn what_pages_lead_to_is_there() {
    let mut checked = 0;
    for (path, text) in pages() {
        let targets = text.match_indices("](").map(|(at, _)| text[at + 2..].split(')').next().unwrap());
        for target in targets.filter(|target| !target.contains("://") && !target.starts_with('#')) {
            let file = path.parent().unwrap().join(target.split('#').next().unwrap());
            assert!(file.exists(), "{}: {target}", path.display());
            checked += 1;
        }
    }
    assert!(checked >= 15, "{checked}");
}
