//! What a person sees on a terminal, and what a file or a pipe gets: run on a pseudo-terminal of a given width.

#![cfg(unix)]

use std::fs::File;
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use nix::pty::{Winsize, openpty};

/// Longer than anything here takes, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// The program on a terminal of `width` columns; `environment` beside the usual one.
struct OnTerminal {
    child: Child,
    output: Receiver<Vec<u8>>,
}

impl OnTerminal {
    fn new(arguments: &[&str], width: u16, environment: &[(&str, &str)]) -> Self {
        let size = Winsize { ws_row: 24, ws_col: width, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(Some(&size), None::<&nix::sys::termios::Termios>).unwrap();
        let end = || Stdio::from(pty.slave.try_clone().unwrap());
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command.args(arguments).stdin(end()).stdout(end()).stderr(end());
        command.env_remove("NO_COLOR").env_remove("RUST_LOG").env("TERM", "xterm-256color");
        let child = command.envs(environment.iter().copied()).spawn().unwrap();
        // The command keeps copies of the program's end until it is gone.
        drop(command);
        let mut master = File::from(pty.master);
        let (sender, output) = channel();
        std::thread::spawn(move || {
            let mut piece = [0; 4096];
            // Linux ends with an error once the last program has left.
            while let Ok(count @ 1..) = master.read(&mut piece) {
                if sender.send(piece[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self { child, output }
    }

    /// Hands what the program writes to `see`, until that says that it is enough or the program ends.
    fn watch(&self, mut see: impl FnMut(&[u8]) -> bool) {
        let begin = Instant::now();
        loop {
            match self.output.recv_timeout(Duration::from_millis(200)) {
                Ok(bytes) if see(&bytes) => return,
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => assert!(begin.elapsed() < PATIENCE, "nothing more came"),
            }
        }
    }

    fn interrupt(&self) {
        let sent = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }
}

impl Drop for OnTerminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What stands on a terminal: the sequences that progress bars use.
struct Display {
    width: usize,
    lines: Vec<Vec<char>>,
    row: usize,
    column: usize,
    /// A sequence that has begun.
    sequence: Option<String>,
    /// Bytes of a letter that has begun.
    letter: Vec<u8>,
}

impl Display {
    fn new(width: usize) -> Self {
        Self { width, lines: vec![Vec::new()], row: 0, column: 0, sequence: None, letter: Vec::new() }
    }

    fn feed(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.letter.push(byte);
            let Ok(text) = std::str::from_utf8(&self.letter) else { continue };
            let letter = text.chars().next().unwrap();
            self.letter.clear();
            self.put(letter);
        }
    }

    fn put(&mut self, letter: char) {
        if let Some(sequence) = &mut self.sequence {
            if letter == '[' && sequence.is_empty() || letter.is_ascii_digit() || matches!(letter, ';' | '?')
            {
                sequence.push(letter);
            } else {
                let sequence = self.sequence.take().unwrap_or_default();
                self.control(&sequence, letter);
            }
            return;
        }
        match letter {
            '\u{1b}' => self.sequence = Some(String::new()),
            '\r' => self.column = 0,
            '\n' => self.down(1),
            _ => {
                if self.column == self.width {
                    self.down(1);
                    self.column = 0;
                }
                let line = &mut self.lines[self.row];
                if line.len() <= self.column {
                    line.resize(self.column + 1, ' ');
                }
                line[self.column] = letter;
                self.column += 1;
            }
        }
    }

    fn control(&mut self, sequence: &str, end: char) {
        let count = sequence.trim_start_matches('[').parse().unwrap_or(1);
        match end {
            'A' => self.row = self.row.saturating_sub(count),
            'B' => self.down(count),
            'K' if sequence == "[2" => self.lines[self.row].clear(),
            'K' => self.lines[self.row].truncate(self.column),
            'J' => self.lines.truncate(self.row + 1),
            'G' => self.column = count - 1,
            // Colours, and whether the cursor is seen.
            'm' | 'h' | 'l' => {}
            other => panic!("the display does not know {sequence}{other}"),
        }
    }

    fn down(&mut self, count: usize) {
        self.row += count;
        while self.lines.len() <= self.row {
            self.lines.push(Vec::new());
        }
    }

    fn count(&self, text: &str) -> usize {
        self.lines.iter().filter(|line| line.iter().collect::<String>().contains(text)).count()
    }

    fn text(&self) -> String {
        self.lines.iter().map(|line| line.iter().collect::<String>() + "\n").collect()
    }
}

fn reproduce(folder: &tempfile::TempDir, item: &[&'static str]) -> Vec<String> {
    let out = folder.path().join("results").display().to_string();
    ["reproduce"]
        .into_iter()
        .chain(item.iter().copied())
        .chain(["--threads", "2", "--out"])
        .map(str::to_owned)
        .chain([out])
        .collect()
}

fn words(arguments: &[String]) -> Vec<&str> {
    arguments.iter().map(String::as_str).collect()
}

/// Long enough to be interrupted.
const LONG: [&str; 3] = ["table-1", "--rows", "mnist/cnn2/linf"];

/// Seconds: networks in the plane.
const SHORT: [&str; 1] = ["figure-2"];

#[test]
fn one_overall_bar_survives_and_an_interruption_says_how_to_go_on() {
    for width in [80, 200] {
        let folder = tempfile::tempdir().unwrap();
        let mut run = OnTerminal::new(&words(&reproduce(&folder, &LONG)), width, &[]);
        let mut display = Display::new(usize::from(width));
        let (mut most, mut frames) = (0, 0);
        run.watch(|bytes| {
            display.feed(bytes);
            most = most.max(display.count(" gone, "));
            frames += usize::from(display.count("epoch ") > 0 && display.count(" gone, ") == 1);
            frames > 20
        });
        assert_eq!(most, 1, "{width} columns:\n{}", display.text());
        let longest = display.lines.iter().map(Vec::len).max().unwrap();
        assert!(longest <= usize::from(width));
        run.interrupt();
        // The bars may be drawn over it before the end.
        let mut heard = false;
        run.watch(|bytes| {
            display.feed(bytes);
            heard |= display.text().contains("stopping (again to stop at once)");
            false
        });
        assert_eq!(run.child.wait().unwrap().code(), Some(130), "{}", display.text());
        let text = display.text();
        assert!(heard, "{text}");
        assert!(text.contains("interrupted; give the same command again to continue"), "{text}");
        assert_eq!(display.count(" gone, "), 0, "the bar is gone:\n{text}");
        assert!(!folder.path().join("results/running-smoke.json").exists());
    }
}

#[test]
fn the_verdict_stands_last_and_colours_can_be_declined() {
    let folder = tempfile::tempdir().unwrap();
    // The second time everything is there.
    for (environment, colours) in [(&[][..], true), (&[("NO_COLOR", "1")][..], false)] {
        let mut run = OnTerminal::new(&words(&reproduce(&folder, &SHORT)), 80, environment);
        let (mut display, mut whole) = (Display::new(80), Vec::new());
        run.watch(|bytes| {
            display.feed(bytes);
            whole.extend_from_slice(bytes);
            false
        });
        assert_eq!(run.child.wait().unwrap().code(), Some(0), "{}", display.text());
        let text = display.text();
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        let at = |piece: &str| {
            lines.iter().position(|line| line.contains(piece)).unwrap_or_else(|| panic!("{piece}:\n{text}"))
        };
        let (heading, verdict, files) =
            (at("# Figure 2"), at("Profile smoke did less than the paper"), at("Files: "));
        assert!(heading < verdict && verdict < files, "{text}");
        assert!(lines.len() - verdict <= 8, "little follows the verdict:\n{text}");
        let whole = String::from_utf8(whole).unwrap();
        let coloured = whole.split('\u{1b}').skip(1).any(|part| {
            part.trim_start_matches(|letter: char| letter == '[' || letter == ';' || letter.is_ascii_digit())
                .starts_with('m')
        });
        assert!(colours || !coloured, "{whole:?}");
    }
}

#[test]
fn a_pipe_gets_no_control_character() {
    let folder = tempfile::tempdir().unwrap();
    let mut arguments = reproduce(&folder, &SHORT);
    // More threads than cores are warned of, on any machine that runs this.
    let at = arguments.iter().position(|word| word == "2").unwrap();
    arguments[at] = "64".to_owned();
    let output = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(&arguments)
        .env("TERM", "xterm-256color")
        .env_remove("NO_COLOR")
        .env_remove("RUST_LOG")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for stream in [&output.stdout, &output.stderr] {
        let text = String::from_utf8(stream.clone()).unwrap();
        assert!(
            !text.is_empty() && !text.chars().any(|letter| letter.is_control() && letter != '\n'),
            "{text:?}"
        );
    }
    let said = String::from_utf8(output.stderr).unwrap();
    if std::thread::available_parallelism().unwrap().get() < 64 {
        assert!(said.contains("warning: more threads than cores: they wait for each other"), "{said}");
    }
    assert!(!said.contains("{ "), "no value is said as the program writes it for itself: {said}");
}
