//! Where the full data sets live when nobody says.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

use crate::{Error, Result};

/// `ROBIN_DATA`, else `robin` in the platform's cache folder: `$XDG_CACHE_HOME` or `~/.cache`, on macOS
/// `~/Library/Caches`, on Windows `%LOCALAPPDATA%`. The folder need not exist.
///
/// # Errors
/// [`Error::NoDataDir`] if neither is known.
pub fn default_dir() -> Result<PathBuf> {
    choose(std::env::consts::OS, |name| env::var_os(name))
}

fn choose(platform: &str, variable: impl Fn(&str) -> Option<OsString>) -> Result<PathBuf> {
    let folder = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(chosen) = folder("ROBIN_DATA") {
        return Ok(chosen);
    }
    let (cache, tried) = match platform {
        "windows" => (folder("LOCALAPPDATA"), "LOCALAPPDATA"),
        "macos" => (folder("HOME").map(|home| home.join("Library/Caches")), "HOME"),
        _ => {
            // The XDG specification says that a relative path is to be ignored.
            let named = folder("XDG_CACHE_HOME").filter(|path| path.has_root());
            (named.or_else(|| folder("HOME").map(|home| home.join(".cache"))), "HOME")
        }
    };
    cache.map(|cache| cache.join("robin")).ok_or(Error::NoDataDir { tried })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(platform: &str, variables: &[(&str, &str)]) -> Option<String> {
        let find = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value))
        };
        choose(platform, find).ok().map(|path| path.display().to_string().replace('\\', "/"))
    }

    #[test]
    fn the_users_word_comes_first_then_the_platforms() {
        let home = ("HOME", "/home/u");
        assert_eq!(chosen("linux", &[("ROBIN_DATA", "data"), home]).unwrap(), "data");
        assert_eq!(chosen("linux", &[("ROBIN_DATA", ""), home]).unwrap(), "/home/u/.cache/robin");
        assert_eq!(chosen("linux", &[("XDG_CACHE_HOME", "/c"), home]).unwrap(), "/c/robin");
        assert_eq!(chosen("linux", &[("XDG_CACHE_HOME", "c"), home]).unwrap(), "/home/u/.cache/robin");
        assert_eq!(chosen("macos", &[home]).unwrap(), "/home/u/Library/Caches/robin");
        assert_eq!(chosen("windows", &[("LOCALAPPDATA", "C:/l")]).unwrap(), "C:/l/robin");
        assert_eq!(chosen("linux", &[]), None);
    }
}
