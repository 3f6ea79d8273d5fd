//! What the program is called. Texts of libraries and commands say `cargo xtask`, which has every command; as `robin` the
//! program puts its own name in place of it wherever it has the command itself.

use std::sync::atomic::{AtomicBool, Ordering};

use clap::Subcommand;

/// How texts are written.
const WRITTEN: &str = "cargo xtask ";
/// What stands in its place.
const ROBIN: &str = "robin ";

static IS_ROBIN: AtomicBool = AtomicBool::new(false);

/// From now on this process is called `robin`.
pub fn is_robin() {
    IS_ROBIN.store(true, Ordering::Relaxed);
}

/// `text` as this process says it.
pub fn named(text: String) -> String {
    if IS_ROBIN.load(Ordering::Relaxed) { as_robin(&text) } else { text }
}

/// `text` with the name of `robin` where it names a command that `robin` has.
pub fn as_robin(text: &str) -> String {
    let mut parts = text.split(WRITTEN);
    let mut named = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let command = part.split(|c: char| !c.is_ascii_lowercase() && c != '-').next().unwrap_or_default();
        named += if crate::Command::has_subcommand(command) { ROBIN } else { WRITTEN };
        named += part;
    }
    named
}

/// `command` and everything below it, with examples as `robin` has them.
pub fn help_as_robin(mut command: clap::Command) -> clap::Command {
    if let Some(help) = command.get_after_help().map(|help| as_robin(&help.to_string())) {
        command = command.after_help(help);
    }
    command.mut_subcommands(help_as_robin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_commands_that_robin_has_are_renamed() {
        for (written, said) in [
            ("run `cargo xtask data fetch mnist` first", "run `robin data fetch mnist` first"),
            ("cargo xtask attack && cargo xtask reproduce", "robin attack && cargo xtask reproduce"),
            ("cargo xtask verify-witnesses", "robin verify-witnesses"),
            ("`cargo xtask-cuda` builds", "`cargo xtask-cuda` builds"),
            ("cargo xtask ", "cargo xtask "),
            ("nothing", "nothing"),
        ] {
            assert_eq!(as_robin(written), said);
        }
    }
}
