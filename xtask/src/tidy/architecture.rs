//! `ARCHITECTURE.md` against the folders: a map that names what is not there misleads more than none.

/// Faults of the table under `## Crates`: its first column must name exactly the members.
pub(super) fn crate_table(text: &str, members: &[String]) -> Vec<String> {
    let arrows = arrows(text);
    let named: Vec<&str> = arrows.iter().map(|(folder, _)| folder.as_str()).collect();
    let missing = members.iter().filter(|member| !named.contains(&member.as_str()));
    let mut faults: Vec<String> = missing
        .map(|member| format!("ARCHITECTURE.md: the table under \"## Crates\" lacks `{member}`"))
        .collect();
    for (at, name) in named.iter().enumerate() {
        if !members.iter().any(|member| member == name) {
            faults.push(format!("ARCHITECTURE.md: the table names `{name}`, which does not exist"));
        }
        if named[..at].contains(name) {
            faults.push(format!("ARCHITECTURE.md: the table names `{name}` twice"));
        }
    }
    faults
}

/// The table's rows: a folder, and the folders in its last column.
pub(super) fn arrows(text: &str) -> Vec<(String, Vec<String>)> {
    let rows = section(text, "Crates").into_iter().filter(|line| line.starts_with("| `"));
    let owned = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect::<Vec<_>>();
    let parsed = rows.map(|row| {
        let cells: Vec<&str> = row.trim().trim_matches('|').split('|').collect();
        let folder = owned(backticked(cells[0])).into_iter().next().unwrap_or_default();
        (folder, cells.last().map(|cell| owned(backticked(cell))).unwrap_or_default())
    });
    parsed.collect()
}

/// Faults of the section `## Reading path`: every path in backticks must exist, and there must be some.
pub(super) fn reading_path(text: &str, exists: impl Fn(&str) -> bool) -> Vec<String> {
    let lines = section(text, "Reading path");
    let paths: Vec<&str> = lines.into_iter().flat_map(backticked).filter(|name| name.contains('/')).collect();
    if paths.is_empty() {
        return vec!["ARCHITECTURE.md: the section \"## Reading path\" names no file".to_owned()];
    }
    let absent = paths.into_iter().filter(|path| !exists(path));
    absent.map(|path| format!("ARCHITECTURE.md: `{path}` of the reading path does not exist")).collect()
}

/// The lines under a heading of second level, up to the next one.
fn section<'a>(text: &'a str, title: &str) -> Vec<&'a str> {
    let heading = format!("## {title}");
    let lines = text.lines().skip_while(|line| line.trim_end() != heading).skip(1);
    lines.take_while(|line| !line.starts_with("## ")).collect()
}

fn backticked(line: &str) -> Vec<&str> {
    line.split('`').skip(1).step_by(2).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
# Architecture

## Reading path

`xtask/src/main.rs`, then any file in `crates/attacks/src`; `main` is one match.

## Crates

| folder | what it is | depends on |
|---|---|---|
| `core` | The vocabulary; not `data`. | |
| `xtask` | The command line. | `core`, `report` |

## Invariants

| `elsewhere` | no crate |
";

    fn members(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn the_table_names_exactly_the_members() {
        assert_eq!(crate_table(TEXT, &members(&["core", "xtask"])), [""; 0]);
        let found = crate_table(TEXT, &members(&["core", "data", "xtask"]));
        assert!(matches!(&found[..], [one] if one.contains("lacks `data`")), "{found:?}");
        let found = crate_table(TEXT, &members(&["core"]));
        assert!(matches!(&found[..], [one] if one.contains("`xtask`, which does not exist")), "{found:?}");
        let twice = TEXT.replace("| `xtask`", "| `core`");
        let found = crate_table(&twice, &members(&["core"]));
        assert!(matches!(&found[..], [one] if one.contains("`core` twice")), "{found:?}");
    }

    #[test]
    fn the_last_column_holds_the_arrows() {
        let row = |folder: &str, arrows: &[&str]| (folder.to_owned(), members(arrows));
        assert_eq!(arrows(TEXT), [row("core", &[]), row("xtask", &["core", "report"])]);
    }

    #[test]
    fn the_reading_path_leads_to_files_that_exist() {
        assert_eq!(reading_path(TEXT, |_| true), [""; 0]);
        let found = reading_path(TEXT, |path| path == "xtask/src/main.rs");
        assert!(matches!(&found[..], [one] if one.contains("`crates/attacks/src`")), "{found:?}");
        assert_eq!(reading_path("# Architecture", |_| true).len(), 1, "a missing section is a fault");
    }
}
