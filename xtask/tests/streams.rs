//! What becomes of the program when nobody listens: streams that are closed or full, and signals.

#![cfg(unix)]

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

/// The program on the images inside it.
fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.args(arguments).stdin(Stdio::null());
    command
}

/// A pipe whose reader has left.
fn closed() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

/// Where nothing can be written; only Linux has it.
fn full() -> Option<Stdio> {
    Some(OpenOptions::new().write(true).open("/dev/full").ok()?.into())
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

const INFO: [&str; 4] = ["data", "info", "mnist", "--embedded"];

#[test]
fn a_reader_that_leaves_ends_the_program_quietly() {
    for arguments in [&INFO[..], &["--help"], &["data", "--help"]] {
        let output = program(arguments).stdout(closed()).output().unwrap();
        assert_eq!((output.status.code(), said(&output)), (Some(141), String::new()), "{arguments:?}");
    }
}

#[test]
fn a_result_that_cannot_be_printed_is_an_error_and_no_panic() {
    for arguments in [&INFO[..], &["--help"]] {
        let Some(full) = full() else { return };
        let output = program(arguments).stdout(full).output().unwrap();
        let text = said(&output);
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.starts_with("error: cannot write the result to standard output: "), "{text}");
    }
}

#[test]
fn what_is_said_on_the_way_fails_no_work() {
    let place = tempfile::tempdir().unwrap();
    let train = |out: &str, stderr: Stdio| {
        let mut command =
            program(&["train", "--dataset", "mnist", "--embedded", "--model", "cnn2-small", "--width", "4"]);
        command.args([
            "--train-images",
            "64",
            "--epochs",
            "1",
            "--steps",
            "1",
            "--measured-images",
            "8",
            "--batch",
            "32",
        ]);
        // Traces too, which a subscriber would complain about.
        command.env("RUST_LOG", "debug").arg("--out").arg(place.path().join(out)).stderr(stderr);
        command.output().unwrap()
    };
    let straight = train("straight", Stdio::piped());
    assert!(straight.status.success(), "{}", said(&straight));
    for (name, stream) in [("closed", Some(closed())), ("full", full())] {
        let Some(stream) = stream else { continue };
        let output = train(name, stream);
        assert_eq!((output.status.code(), &output.stdout), (Some(0), &straight.stdout), "{name}");
    }
    // An error is still one, though nobody hears of it.
    let output = program(&["data", "info", "nowhere.safetensors"]).stderr(closed()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn a_request_for_a_checkpoint_ends_nothing() {
    let place = tempfile::tempdir().unwrap();
    let weights = place.path().join("weights.safetensors");
    let graph = robin_models::build("cnn2-small", Some(4), [1, 28, 28], 10).unwrap();
    let parameters = robin_nn::Parameters::initialise(&graph, robin_core::Seed::new(0));
    std::fs::write(&weights, parameters.to_safetensors().unwrap()).unwrap();
    let attack =
        ["--attack", "pgd", "--steps", "10000", "--norm", "linf", "--epsilon", "0.1", "--threads", "1"];
    let mut child =
        program(&["attack", "--model", "cnn2-small", "--dataset", "mnist", "--embedded", "--weights"])
            .arg(&weights)
            .args(attack)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
    // Once it says something it is at work, which takes minutes.
    let mut said = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    let sent = Command::new("kill").args(["-USR1", &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
    std::thread::sleep(Duration::from_millis(500));
    let ended = child.try_wait().unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(ended.is_none(), "{ended:?}: {line}");
}
