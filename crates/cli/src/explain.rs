//! `cargo xtask explain`: what a name in a verdict or a warning means, and what to do.

use clap::Args;
use robin_evaluation::{Explained, battery};
use robin_experiments::Error;
use robin_experiments::external_model::verdict::WARNINGS;

use crate::terminal::answer;
use crate::train;

/// What is explained.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cargo xtask explain gradients-vanish\n  cargo xtask explain T13\n  cargo xtask explain"
)]
pub struct Arguments {
    /// A test of the battery, by its name or number, or a warning [default: list them all].
    #[arg(value_name = "NAME")]
    name: Option<String>,
}

/// Prints it.
///
/// # Errors
/// [`Error::Unknown`] lists the names.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let Some(name) = &arguments.name else {
        for (title, Explained { means, .. }) in all() {
            // The first sentence will do for a list.
            answer!("{title}: {}.", means.split(". ").next().unwrap_or(means).trim_end_matches('.'))?;
        }
        return Ok(());
    };
    let test = battery::test(name);
    let Some((title, explained)) = all().find(|(_, explained)| {
        explained.name == name || test.is_some_and(|test| test.explained.name == explained.name)
    }) else {
        let valid = all().map(|(_, explained)| explained.name).collect::<Vec<_>>().join(", ");
        return Err(Error::Unknown { what: "name", given: name.clone(), valid }.into());
    };
    answer!("{title}")?;
    if let Some(test) = test {
        answer!("Asks whether {}.", test.name)?;
    }
    answer!("What it means: {}", explained.means)?;
    answer!("What to do: {}", explained.todo)?;
    Ok(())
}

/// Everything that has a name, with what it is called.
pub(crate) fn all() -> impl Iterator<Item = (String, &'static Explained)> {
    let tests = battery::TESTS.iter().map(|test| (battery::title(test.id), test.explained));
    let warnings = WARNINGS.iter().chain(train::WARNINGS).copied();
    tests.chain(warnings.map(|explained| (explained.name.to_owned(), explained)))
}
