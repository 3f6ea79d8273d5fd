use clap::error::ErrorKind;
use clap::{FromArgMatches, ValueEnum};
use robin_experiments::training_run::TrainingRun;

use crate::list::{What, entries};
use crate::robin::{Command, Robin, command, pages};
use crate::{Command as Shared, exit, explain};

fn parse(arguments: &[&str]) -> Result<Shared, clap::Error> {
    let matches = command().try_get_matches_from(["robin"].iter().chain(arguments))?;
    match Robin::from_arg_matches(&matches)?.command {
        Command::Shared(command) => Ok(*command),
        other => panic!("{other:?} is of robin alone"),
    }
}

fn refusal(arguments: &[&str]) -> clap::Error {
    parse(arguments).expect_err("these arguments are wrong")
}

/// Every command and what stands below its help.
fn helps() -> Vec<(String, String)> {
    fn collect(command: &clap::Command, into: &mut Vec<(String, String)>) {
        let children: Vec<_> = command.get_subcommands().filter(|child| child.get_name() != "help").collect();
        if children.is_empty() {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            into.push((command.get_name().to_owned(), help));
        }
        children.into_iter().for_each(|child| collect(child, into));
    }
    let mut helps = Vec::new();
    collect(&command(), &mut helps);
    helps
}

#[test]
fn every_command_has_an_example_in_the_name_of_robin() {
    command().debug_assert();
    for (name, help) in helps() {
        assert!(help.contains("Example") && help.contains("robin "), "{name}: {help}");
        let others = help.matches("cargo xtask ").count();
        assert_eq!(others, help.matches("cargo xtask reproduce").count(), "{name}: {help}");
    }
}

#[test]
fn every_command_that_help_and_readme_show_parses() {
    // Of the README what stands in blocks of code.
    let mut text = include_str!("../../../README.md").split("```").skip(1).step_by(2).collect::<String>();
    for (_, help) in helps() {
        text += &format!("\n{help}\n");
    }
    let joined = text.replace("\\\n", " ").replace(" && ", "\n");
    let lines = joined.lines().filter_map(|line| line.trim().strip_prefix("robin "));
    // What stands behind two blanks, a # or a pipe explains, or is somebody else's.
    let shown: Vec<&str> =
        lines.map(|line| line.split(['#', '|', '>']).next().unwrap_or_default().trim()).collect();
    assert!(shown.len() > 15, "{shown:?}");
    for line in &shown {
        let words = ["robin"].into_iter().chain(line.split_whitespace());
        match command().try_get_matches_from(words) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::DisplayHelp => {}
            Err(error) => panic!("{line}: {error}"),
        }
    }
    let whole = shown.iter().filter(|line| line.starts_with("evaluate --model")).map(|line| {
        match parse(&line.split_whitespace().collect::<Vec<_>>()).unwrap() {
            Shared::Evaluate(arguments) => arguments.is_whole(),
            other => panic!("{other:?}"),
        }
    });
    let whole: Vec<bool> = whole.collect();
    assert!(!whole.is_empty() && whole.iter().all(|whole| *whole), "{whole:?}");
}

#[test]
fn every_list_has_the_names_that_options_take() {
    for (what, known) in [
        (What::Attacks, &["pgd", "square", "autoattack"][..]),
        (What::Models, &["cnn2-small", "resnet18", "wide-resnet-28-10"]),
        (What::Datasets, &["mnist", "cifar10"]),
        (What::Strategies, &["softmax", "best-arm", "top2"]),
        (What::Items, &["table-1", "figure-8"]),
    ] {
        let entries = entries(what).unwrap();
        for name in known {
            assert!(
                entries.iter().any(|(found, summary)| found == name && summary.len() > 10),
                "{entries:?}"
            );
        }
    }
    assert_eq!(What::value_variants().len(), 5, "one line above for each");
}

#[test]
fn every_name_that_is_explained_is_there_once() {
    let names: Vec<&str> = explain::all().map(|(_, explained)| explained.name).collect();
    for name in ["gradients-vanish", "attack-blind", "input-doubtful", "catastrophic-overfitting"] {
        assert!(names.contains(&name), "{names:?}");
    }
    let once: std::collections::BTreeSet<&str> = names.iter().copied().collect();
    assert_eq!(once.len(), names.len(), "{names:?}");
}

#[test]
fn the_manual_has_a_page_for_the_program_and_each_command() {
    let pages = pages().unwrap();
    let names: Vec<&str> = pages.iter().map(|(name, _)| name.as_str()).collect();
    for name in ["robin", "robin-audit", "robin-data-fetch", "robin-man"] {
        assert!(names.contains(&name), "{names:?}");
    }
    let (_, audit) = pages.iter().find(|(name, _)| name == "robin-audit").unwrap();
    assert!(
        audit.contains(".TH") && audit.contains("min\\-union") && audit.contains("Exit codes"),
        "{audit}"
    );
}

#[test]
fn options_of_an_audit_that_are_wrong_are_named_with_what_is_allowed() {
    let audit =
        ["audit", "--model", "net.onnx", "--dataset", "mnist", "--norm", "linf", "--epsilon", "8/255"];
    assert!(matches!(parse(&audit), Ok(Shared::Audit(_))));
    for (option, value, expected) in [
        ("--min-union", "45%", "0.45"),
        ("--min-union", "-0.1", "0.45"),
        ("--deny", "skip", "warn"),
        ("--battery", "half", "subset"),
    ] {
        let error = refusal(&[&audit[..], &[option, value]].concat());
        assert_eq!(error.exit_code(), 2);
        let text = error.to_string();
        assert!(text.contains(option) && text.contains(expected), "{option} {value}: {text}");
    }
}

#[test]
fn work_that_fails_is_not_wrong_usage() {
    let failed = robin_experiments::Error::Dependency { label: "a network".to_owned() };
    assert_eq!(exit::number(&failed.into()), 1);
    assert_eq!(exit::number(&robin_experiments::Error::Cancelled.into()), 130);
    assert_eq!(exit::number(&exit::Interrupted.into()), 130);
    assert_eq!(exit::number(&robin_data::Error::Cancelled.into()), 130);
    assert_eq!(exit::number(&exit::Unmet { gates: Vec::new() }.into()), 3);
}

const TRAIN: [&str; 8] =
    ["train", "--dataset", "mnist", "--model", "cnn2-small", "--embedded", "--out", "unused"];

#[test]
fn wrong_options_of_a_training_name_the_option_and_what_is_allowed() {
    for (option, value, expected) in [
        ("--epsilon", "-1", "8/255"),
        ("--norm", "l1", "l2"),
        ("--method", "pgd", "standard, pgd-at, trades, mart"),
        ("--recipe", "weak", "paper, momentum, fast, single-step, strong"),
        ("--classifier", "robin", "multiclass, one-vs-all"),
        ("--step-size", "big", "2.5x"),
        ("--schedule", "linear", "cosine:LAST"),
        ("--flip", "vertical", "horizontal"),
        ("--width", "-4", "--width"),
        ("--epochs", "many", "--epochs"),
    ] {
        let error = refusal(&[&TRAIN[..], &[option, value]].concat());
        assert_eq!(error.exit_code(), 2);
        let text = error.to_string();
        assert!(text.contains(option) && text.contains(expected), "{option} {value}: {text}");
    }
    let both = refusal(&[&TRAIN[..], &["--data-dir", "data"]].concat());
    assert!(both.to_string().contains("--embedded"), "{both}");
}

#[test]
fn settings_of_a_training_that_contradict_each_other_are_wrong_usage() {
    for (options, expected) in [
        (&["--width", "0"][..], "--width is 0"),
        (&["--lambda", "6"], "--lambda is 6"),
        (&["--learning-rate", "-0.1"], "--learning-rate is -0.1"),
        (&["--arm", "3"], "--arm is 3"),
        (&["--validation", "5000"], "--validation is 5000, allowed is 0 to 1999"),
        (&["--model", "resnet18", "--train-images", "0"], "--train-images is 0"),
    ] {
        let arguments: Vec<&str> = match options.contains(&"--model") {
            true => {
                TRAIN.iter().filter(|part| !matches!(**part, "--model" | "cnn2-small")).copied().collect()
            }
            false => TRAIN.to_vec(),
        };
        let parsed = parse(&[&arguments[..], options].concat()).expect("these arguments parse");
        let Shared::Train(arguments) = parsed else { panic!("not train") };
        let error = TrainingRun::new(&arguments.request().unwrap()).expect_err("this cannot be trained");
        assert!(error.to_string().contains(expected), "{error}");
        assert_eq!(exit::number(&error.into()), 2);
    }
}
