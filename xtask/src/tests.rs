use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};

use crate::{Cli, Command, exit};

fn refusal(arguments: &[&str]) -> clap::Error {
    Cli::try_parse_from(["xtask"].iter().chain(arguments)).expect_err("these arguments are wrong")
}

/// What a user sees of an error that clap does not find.
fn failure(arguments: &[&str]) -> (u8, String) {
    let cli = Cli::try_parse_from(["xtask"].iter().chain(arguments)).expect("these arguments parse");
    let Command::Reproduce(arguments) = cli.command else { panic!("not reproduce") };
    let error = anyhow::Error::from(arguments.plan(&["table-1"]).expect_err("this has no plan"));
    (exit::number(&error), format!("{error:#}"))
}

#[test]
fn an_unknown_name_is_wrong_usage_and_lists_the_valid_ones() {
    for (arguments, expected) in [
        (&["reproduce", "table-9"][..], "(one of: table-1, table-2, "),
        (&["reproduce", "table-1", "--profile", "huge"], "(one of: smoke, quick, night, paper)"),
        (&["reproduce", "table-1", "--device", "tpu"], "cpu, candle, cuda:N"),
        (&["data", "fetch", "imagenet"], "(one of: mnist, "),
    ] {
        let error = refusal(arguments);
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains(expected), "{arguments:?}: {error}");
    }
}

#[test]
#[cfg(not(feature = "cuda"))]
fn a_device_without_its_feature_names_the_feature() {
    for device in ["cuda", "cuda:0"] {
        let error = refusal(&["reproduce", "table-1", "--device", device]);
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("cargo feature `cuda`"), "{error}");
    }
}

#[test]
fn a_filter_without_a_match_lists_the_rows() {
    let (code, message) = failure(&["reproduce", "table-1", "--rows", "resnet19"]);
    assert_eq!(code, 2);
    assert!(message.contains("cifar10/resnet50/linf, mnist/cnn2/l2"), "{message}");
}

/// The command lines that `--help`, the README and its pages show, `\` at their ends joined.
fn shown() -> Vec<String> {
    fn collect(command: &clap::Command, into: &mut String) {
        into.push_str(&command.get_after_help().map(ToString::to_string).unwrap_or_default());
        into.push('\n');
        command.get_subcommands().for_each(|command| collect(command, into));
    }
    let pages = [
        include_str!("../../README.md"),
        include_str!("../../docs/researcher.md"),
        include_str!("../../docs/library.md"),
        include_str!("../../docs/ci.md"),
        include_str!("../../docs/slurm.md"),
        "",
    ];
    let mut text = pages.join("\n");
    collect(&Cli::command(), &mut text);
    let joined = text.replace("\\\n", " ").replace(" && ", "\n");
    let lines = joined.lines().filter_map(|line| line.trim().strip_prefix("cargo xtask "));
    // What stands behind two blanks or a # explains.
    let command = |line: &str| line.split('#').next().unwrap_or_default().trim().to_owned();
    lines.map(command).collect()
}

#[test]
fn every_command_that_help_and_readme_show_parses() {
    let commands = shown();
    assert!(commands.len() > 20, "{commands:?}");
    for command in &commands {
        let words = ["xtask"].into_iter().chain(command.split_whitespace());
        match Cli::try_parse_from(words) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::DisplayHelp => {}
            Err(error) => panic!("{command}: {error}"),
        }
    }
}

#[test]
fn seeds_are_a_list_without_repetition() {
    let (code, message) = failure(&["reproduce", "table-1", "--seeds", "0,1,0"]);
    assert_eq!(code, 2);
    assert!(message.contains("named twice"), "{message}");
    assert_eq!(refusal(&["reproduce", "table-1", "--seeds", "zero"]).kind(), ErrorKind::ValueValidation);
}

#[test]
fn every_command_has_an_example() {
    fn visit(command: &clap::Command) {
        let mut children = command.get_subcommands().filter(|child| child.get_name() != "help").peekable();
        if children.peek().is_none() {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(
                help.contains("Example") && help.contains("cargo xtask"),
                "{}: {help}",
                command.get_name()
            );
        }
        children.for_each(visit);
    }
    Cli::command().debug_assert();
    visit(&Cli::command());
}
