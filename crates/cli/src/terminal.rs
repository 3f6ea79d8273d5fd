//! The one place that writes to the terminal, and knows that it may not be there.
//!
//! What is said on the way goes to standard error by [`say!`], and never fails the work: whoever has closed the stream does
//! not want to know. A result goes to standard output by [`answer!`], which says whether it arrived: if the reader has left
//! (`| head -1`) the program ends as quietly as any other, and on a full disk it says so.

#![allow(clippy::disallowed_methods, reason = "the one place for them")]

use std::fmt;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::sync::{Mutex, PoisonError};

use console::Term;
use indicatif::MultiProgress;
use robin_report::summary::Screen;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::{Format, FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

use crate::program;

/// Says something on the way, on a line of its own.
#[macro_export]
macro_rules! say {
    ($($text:tt)*) => { $crate::terminal::speak(format_args!($($text)*)) };
}

/// Gives a result, on a line of its own, or says why it could not.
#[macro_export]
macro_rules! answer {
    ($($text:tt)*) => { $crate::terminal::deliver(format_args!("{}\n", format_args!($($text)*))) };
}

pub use {answer, say};

/// A result that nobody got.
#[derive(Debug)]
pub enum Lost {
    /// Whoever read the results has stopped reading.
    Closed,
    /// The results had nowhere to go.
    Unwritten(io::Error),
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("nobody reads standard output any more"),
            Self::Unwritten(error) => write!(f, "cannot write the result to standard output: {error}"),
        }
    }
}

impl std::error::Error for Lost {}

/// The bars that are drawn, above which everything must be said: a line between them is drawn over, and they are never cleared.
static BARS: Mutex<Option<MultiProgress>> = Mutex::new(None);

/// New bars, which [`say!`] knows from now on.
pub fn bars() -> MultiProgress {
    let bars = MultiProgress::new();
    *BARS.lock().unwrap_or_else(PoisonError::into_inner) = Some(bars.clone());
    bars
}

/// Behind [`say!`].
pub fn speak(text: fmt::Arguments<'_>) {
    let text = program::named(text.to_string());
    let bars = BARS.lock().unwrap_or_else(PoisonError::into_inner).clone();
    // Not by `suspend`, which panics where the terminal is gone.
    if !bars.is_some_and(|bars| !bars.is_hidden() && bars.println(&text).is_ok()) {
        // One piece, so that lines of several threads do not mix.
        let _ = io::stderr().write_all(format!("{text}\n").as_bytes());
    }
}

/// Behind [`answer!`]; adds nothing to `text`.
pub fn deliver(text: fmt::Arguments<'_>) -> Result<(), Lost> {
    arrived(give(&mut io::stdout().lock(), text))
}

fn give(stream: &mut impl Write, text: fmt::Arguments<'_>) -> io::Result<()> {
    stream.write_fmt(text)?;
    // What lies in a buffer when the program ends is lost without a word.
    stream.flush()
}

/// What came of writing a result.
pub fn arrived(written: io::Result<()>) -> Result<(), Lost> {
    written.map_err(|error| match error.kind() {
        ErrorKind::BrokenPipe => Lost::Closed,
        _ => Lost::Unwritten(error),
    })
}

/// Whether somebody watches what is said on the way.
pub fn is_watched() -> bool {
    io::stderr().is_terminal()
}

/// Whether somebody watches the results.
pub fn answers_are_watched() -> bool {
    io::stdout().is_terminal()
}

/// How wide the results' stream is, and whether it shows colours: a file or a pipe does not, nor does anything under `NO_COLOR`.
pub fn screen() -> Screen {
    const OF_FILES: usize = 100;
    let term = Term::stdout();
    let width = term.size_checked().map_or(OF_FILES, |(_, columns)| usize::from(columns));
    Screen { width, colour: term.features().colors_supported() }
}

/// Says on standard error what the libraries trace, by `filter`.
pub fn trace(filter: tracing_subscriber::EnvFilter) {
    // What cannot be said is not worth a panic, which is what the complaint about it would end in.
    let say = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    let say = say.log_internal_errors(false).with_ansi(Term::stderr().features().colors_supported());
    say.event_format(Sentences).init();
}

/// Warnings as sentences; what `RUST_LOG` asks for beyond them as the library writes it.
struct Sentences;

impl<S, N> FormatEvent<S, N> for Sentences
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let kind = match *event.metadata().level() {
            Level::ERROR => "error",
            Level::WARN => "warning",
            _ => return Format::default().format_event(context, writer, event),
        };
        write!(writer, "{kind}: ")?;
        context.field_format().format_fields(writer.by_ref(), event)?;
        // Of which cell it is.
        for span in context.event_scope().into_iter().flat_map(|scope| scope.from_root()) {
            if let Some(fields) =
                span.extensions().get::<FormattedFields<N>>().filter(|fields| !fields.is_empty())
            {
                write!(writer, " ({fields})")?;
            }
        }
        writeln!(writer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stream that fails in one way, at once or when flushed.
    struct Broken(ErrorKind, bool);

    impl Write for Broken {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.1 { Ok(bytes.len()) } else { Err(self.0.into()) }
        }

        fn flush(&mut self) -> io::Result<()> {
            Err(self.0.into())
        }
    }

    #[test]
    fn a_result_that_does_not_arrive_is_an_error_of_its_kind() {
        for late in [false, true] {
            let given = |kind| arrived(give(&mut Broken(kind, late), format_args!("result")));
            assert!(matches!(given(ErrorKind::BrokenPipe), Err(Lost::Closed)));
            assert!(matches!(given(ErrorKind::StorageFull), Err(Lost::Unwritten(_))));
        }
        let mut stream = Vec::new();
        arrived(give(&mut stream, format_args!("result"))).unwrap();
        assert_eq!(stream, b"result");
    }
}
