//! The log: lines on standard error, whose words may come from strangers.

use std::fmt;
use std::io::IsTerminal;

use tracing::field::{Field, Visit};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::Writer;

use crate::fuse::reload::SetFilter;
use crate::text;

/// Sends log lines to standard error, with colours only where a person sees them.
pub(super) fn start(filter: &str) -> SetFilter {
    let colours =
        std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|text| text.is_empty());
    let started = tracing_subscriber::fmt()
        .with_env_filter(complete(filter))
        .fmt_fields(Plain)
        .with_writer(std::io::stderr)
        .with_ansi(colours)
        .with_target(false)
        // it would complain on standard error, and panic where that is what fails: a log on a full disk must not end a mount
        .log_internal_errors(false)
        .with_filter_reloading();
    let handle = started.reload_handle();
    if started.try_init().is_err() {
        tracing::debug!("the log was started before");
    }
    Box::new(move |filter| handle.reload(complete(filter.as_str())).map_err(|error| error.to_string()))
}

/// A filter of the settings, without the chatter of a library.
fn complete(filter: &str) -> EnvFilter {
    EnvFilter::new(format!("{filter},fuser=error"))
}

/// Writes `message name=value …`; what a name or a service says never ends a line nor reaches a terminal as a command.
struct Plain;

impl<'writer> FormatFields<'writer> for Plain {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'writer>, fields: R) -> fmt::Result {
        let mut line = Line { writer, is_empty: true, result: Ok(()) };
        fields.record(&mut line);
        line.result
    }
}

struct Line<'writer> {
    writer: Writer<'writer>,
    is_empty: bool,
    result: fmt::Result,
}

impl Visit for Line<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Where in the sources of a library it was said is not a part of what was said.
        if self.result.is_err() || field.name().starts_with("log.") {
            return;
        }
        let gap = if std::mem::replace(&mut self.is_empty, false) { "" } else { " " };
        let value = text::one_line(&format!("{value:?}"));
        self.result = match field.name() {
            "message" => write!(self.writer, "{gap}{value}"),
            name => write!(self.writer, "{gap}{name}={value}"),
        };
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_name_can_neither_forge_a_line_nor_command_a_terminal() {
        let sink = Sink::default();
        let writer = sink.clone();
        let subscriber = tracing_subscriber::fmt()
            .fmt_fields(Plain)
            .with_writer(move || writer.clone())
            .with_ansi(false)
            .without_time()
            .with_target(false)
            .finish();
        let evil = "x\n2026-01-01 ERROR forged\u{1b}[2J\u{9b}31m\u{202e}fdp";
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(path = evil, error = %evil, "opened {evil}");
        });
        let text = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.trim_end().chars().all(text::is_harmless), "{text:?}");
        assert!(
            text.contains("INFO opened x 2026")
                && text.contains("path=\"x\\n2026")
                && text.contains("error=x 2026")
        );
    }
}
