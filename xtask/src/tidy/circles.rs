//! Files of a crate that import each other in a circle: nobody can read one of them without the others.
//!
//! An import, by `use` or by a path in code, leads to the file whose module it names. Two things are no circle here: a name that a crate's root or a
//! module hands on (`pub use`), by which errors and the types in them know each other; and a module with its own parts, which
//! is one room with closets.

use std::collections::{BTreeMap, BTreeSet};

use super::Source;
use super::sources::without_tests;

/// The modules from a crate's root to a file.
type Module = Vec<String>;

/// One file of a crate.
struct Room<'a> {
    path: &'a str,
    /// Paths that it imports, from the crate's root on.
    imports: Vec<Module>,
    /// Names that it hands on.
    handed_on: BTreeSet<String>,
}

/// A fault for each circle.
pub(super) fn circles(sources: &[Source<'_>]) -> Vec<String> {
    let mut houses: BTreeMap<&str, BTreeMap<Module, &Source<'_>>> = BTreeMap::new();
    for source in sources {
        let Some((house, inside)) = source.0.split_once("/src/") else { continue };
        if let Some(code) = module(inside).filter(|_| !super::sources::is_test(source.0)) {
            houses.entry(house).or_default().insert(code, source);
        }
    }
    houses.values().flat_map(of_crate).collect()
}

/// The module that the file `inside` a crate's `src` is.
fn module(inside: &str) -> Option<Module> {
    let stem = inside.strip_suffix(".rs")?;
    let mut parts: Module = stem.split('/').map(str::to_owned).collect();
    // A program of its own sees no other file.
    if parts.first().is_some_and(|first| first == "bin") {
        return None;
    }
    if parts.len() == 1 && matches!(stem, "lib" | "main") || parts.last().is_some_and(|last| last == "mod") {
        parts.pop();
    }
    Some(parts)
}

fn of_crate(files: &BTreeMap<Module, &Source<'_>>) -> Vec<String> {
    let rooms: BTreeMap<&Module, Room<'_>> = files
        .iter()
        .map(|(own, (path, text))| (own, Room::read(path, without_tests(text), own, files)))
        .collect();
    let leads_to: BTreeMap<&Module, BTreeSet<&Module>> = rooms
        .iter()
        .map(|(own, room)| {
            let homes = room.imports.iter().filter_map(|import| home(import, &rooms));
            (*own, homes.filter(|home| !home.starts_with(own) && !own.starts_with(home)).collect())
        })
        .collect();
    let reached: BTreeMap<&Module, BTreeSet<&Module>> =
        leads_to.keys().map(|from| (*from, reach(from, &leads_to))).collect();
    let mut told = BTreeSet::new();
    let mut faults = Vec::new();
    for (own, all) in &reached {
        if !all.contains(own) || !told.insert(*own) {
            continue;
        }
        let circle: Vec<&Module> = all.iter().copied().filter(|other| reached[other].contains(own)).collect();
        told.extend(circle.iter().copied());
        let paths: Vec<&str> = circle.iter().map(|module| rooms[module].path).collect();
        faults.push(format!("import each other in a circle: {}", paths.join(", ")));
    }
    faults
}

/// All that can be come to from `from`; itself only by a circle.
fn reach<'a>(
    from: &'a Module,
    leads_to: &BTreeMap<&'a Module, BTreeSet<&'a Module>>,
) -> BTreeSet<&'a Module> {
    let mut found = BTreeSet::new();
    let mut next = vec![from];
    while let Some(at) = next.pop() {
        next.extend(leads_to[at].iter().copied().filter(|other| found.insert(*other)));
    }
    found
}

/// The file whose module `import` names; `None` where that only hands the name on.
fn home<'a>(import: &[String], rooms: &BTreeMap<&'a Module, Room<'_>>) -> Option<&'a Module> {
    let (module, room) =
        (0..=import.len()).rev().find_map(|length| rooms.get_key_value(&import[..length].to_vec()))?;
    let handed_on = import.get(module.len()).is_some_and(|name| room.handed_on.contains(name));
    (!handed_on).then_some(*module)
}

impl<'a> Room<'a> {
    fn read(path: &'a str, code: &str, own: &Module, files: &BTreeMap<Module, &Source<'_>>) -> Self {
        let mut room = Self { path, imports: Vec::new(), handed_on: BTreeSet::new() };
        let code: String = code
            .lines()
            .map(|line| line.split("//").next().unwrap_or_default())
            .collect::<Vec<_>>()
            .join("\n");
        // Paths in code are imports too; those of `use` stand among them, and are read again with their braces.
        let named = code.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'));
        let named = named.filter(|word| word.starts_with("crate::") || word.starts_with("super::"));
        let named = named.map(|word| word.split("::").map(str::to_owned).collect::<Module>());
        room.imports.extend(named.filter_map(|path| from_root(&path, own, files)));
        for (hands_on, paths) in code.split_inclusive(';').filter_map(import) {
            for (path, name) in leaves(paths) {
                if hands_on {
                    room.handed_on.insert(name);
                } else {
                    room.imports.extend(from_root(&path, own, files));
                }
            }
        }
        room
    }
}

/// Whether `statement` hands on what it imports, and the paths that it imports; `None` if it imports nothing.
fn import(statement: &str) -> Option<(bool, &str)> {
    let at = statement
        .rfind("use ")
        .filter(|&at| statement[..at].chars().next_back().is_none_or(char::is_whitespace))?;
    let before = statement[..at].trim_end();
    let line = before.rsplit('\n').next().unwrap_or_default().trim();
    let public = line.starts_with("pub") && (line == "pub" || line.ends_with(')'));
    let alone =
        public || line.is_empty() || line.ends_with(']') || line.ends_with('}') || line.ends_with('{');
    alone.then(|| (public, statement[at + 4..].trim_end_matches(';').trim()))
}

/// Every path of `a::{b, c::{d as e}}`, with the name that it has here.
fn leaves(paths: &str) -> Vec<(Module, String)> {
    let (mut found, mut stack, mut path) = (Vec::new(), Vec::new(), Module::new());
    let mut word = String::new();
    let mut finish = |word: &mut String, path: &Module| {
        let text = std::mem::take(word);
        let (name, here) = text.split_once(" as ").unwrap_or((&text, &text));
        let (name, here) = (name.trim(), here.trim());
        if !name.is_empty() {
            let full = path.iter().cloned().chain((name != "self").then(|| name.to_owned())).collect();
            found.push((full, here.to_owned()));
        }
    };
    let mut letters = paths.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            ':' => {
                letters.next();
                path.push(std::mem::take(&mut word).trim().to_owned());
            }
            '{' => stack.push(path.len()),
            ',' | '}' => {
                finish(&mut word, &path);
                path.truncate(stack.last().copied().unwrap_or(0));
                if letter == '}' {
                    stack.pop();
                    path.truncate(stack.last().copied().unwrap_or(0));
                }
            }
            '\n' => word.push(' '),
            _ => word.push(letter),
        }
    }
    finish(&mut word, &path);
    found
}

/// `path` as the module `own` means it, from the crate's root on; `None` if it leads out of the crate.
fn from_root(path: &[String], own: &Module, files: &BTreeMap<Module, &Source<'_>>) -> Option<Module> {
    let (first, mut rest) = path.split_first()?;
    let mut base = match first.as_str() {
        "crate" => Module::new(),
        "self" => own.clone(),
        "super" => own[..own.len().checked_sub(1)?].to_vec(),
        child => {
            let module: Module = own.iter().cloned().chain([child.to_owned()]).collect();
            return files.contains_key(&module).then(|| own.iter().chain(path).cloned().collect());
        }
    };
    while let Some(("super", more)) = rest.split_first().map(|(first, more)| (first.as_str(), more)) {
        base.pop()?;
        rest = more;
    }
    Some(base.into_iter().chain(rest.iter().cloned()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: (&str, &str) = ("crates/a/src/lib.rs", "mod b;\nmod c;\nmod d;\npub use b::B;");

    #[test]
    fn a_circle_is_found_with_all_that_are_in_it() {
        let found = circles(&[
            ROOT,
            ("crates/a/src/b.rs", "use crate::c::{self, C};\npub struct B;"),
            ("crates/a/src/c.rs", "use super::d::deep::{Deep as D};\npub struct C;"),
            ("crates/a/src/d/mod.rs", "pub(crate) mod deep;\npub struct D;"),
            ("crates/a/src/d/deep.rs", "use crate::b::B;\npub struct Deep;"),
        ]);
        let all = "crates/a/src/b.rs, crates/a/src/c.rs, crates/a/src/d/deep.rs";
        assert_eq!(found, [format!("import each other in a circle: {all}")]);
    }

    #[test]
    fn parts_names_that_are_handed_on_tests_comments_and_other_crates_make_none() {
        let found = circles(&[
            ROOT,
            ("crates/a/src/b.rs", "use std::fmt;\nuse super::c;\n// use crate::d::D;\npub struct B;"),
            ("crates/a/src/c.rs", "use crate::B;\n\n#[cfg(test)]\nmod tests {\n    use crate::b::B;\n}\n"),
            ("crates/a/src/c/tests.rs", "use crate::b::B;"),
            ("crates/a/src/d/mod.rs", "pub mod deep;\nuse deep::Deep;\npub struct D;"),
            ("crates/a/src/d/deep.rs", "use super::D;\npub struct Deep;"),
            ("crates/b/src/lib.rs", "use a::D;"),
        ]);
        assert_eq!(found, [""; 0]);
    }
}
