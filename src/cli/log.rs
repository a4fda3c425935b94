//! The log: lines on standard error, whose words may come from strangers.
//!
//! A journal gets the priority of each line in front (`<6>`, sd-daemon(3)) and no time, for it has its own; everything else gets
//! the time and the level, with colours where a person sees them.

use std::fmt;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::fuse::reload::SetFilter;
use crate::text;

/// Whether standard error is a journal's: it may become one when a mount leaves its terminal.
static TO_JOURNAL: AtomicBool = AtomicBool::new(false);

/// Sends log lines to standard error, with colours only where a person sees them.
pub(super) fn start(filter: &str) -> SetFilter {
    let stream = std::env::var("JOURNAL_STREAM").ok();
    if stream.is_some_and(|stream| is_stream(&stream, std::io::stderr().as_raw_fd())) {
        goes_to_journal();
    }
    let colours = super::output::has_colours(&std::io::stderr());
    let started = tracing_subscriber::fmt()
        .with_env_filter(complete(filter))
        .with_ansi(colours)
        // it would complain on standard error, and panic where that is what fails: a log on a full disk must not end a mount
        .log_internal_errors(false)
        .event_format(Lines { to_journal: &TO_JOURNAL })
        .fmt_fields(Plain)
        .with_writer(std::io::stderr)
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

/// From now on standard error is a journal's.
pub(super) fn goes_to_journal() {
    TO_JOURNAL.store(true, Ordering::Relaxed);
}

/// Whether a descriptor is the very stream that `$JOURNAL_STREAM` names by device and inode (systemd.exec(5)). The
/// variable is inherited by programs whose standard error leads elsewhere.
fn is_stream(named: &str, descriptor: i32) -> bool {
    let mut stat = std::mem::MaybeUninit::<libc::stat>::uninit();
    // SAFETY: `stat` is a valid place for the answer; a wrong descriptor is an error and no more.
    if unsafe { libc::fstat(descriptor, stat.as_mut_ptr()) } != 0 {
        return false;
    }
    // SAFETY: fstat has filled it in.
    let stat = unsafe { stat.assume_init() };
    named == format!("{}:{}", stat.st_dev, stat.st_ino)
}

/// How a line begins.
struct Lines {
    to_journal: &'static AtomicBool,
}

impl<S, N> FormatEvent<S, N> for Lines
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
        let level = *event.metadata().level();
        if self.to_journal.load(Ordering::Relaxed) {
            write!(writer, "<{}>", priority(level))?;
        } else if writer.has_ansi_escapes() {
            write!(writer, "\x1b[2m")?;
            SystemTime.format_time(&mut writer)?;
            write!(writer, "\x1b[0m \x1b[{}m{level:>5}\x1b[0m ", colour(level))?;
        } else {
            SystemTime.format_time(&mut writer)?;
            write!(writer, " {level:>5} ")?;
        }
        context.format_fields(writer.by_ref(), event)?;
        writeln!(writer)
    }
}

/// The priority of syslog(3) that a level has.
fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        _ => 7,
    }
}

/// The number of a level's colour.
fn colour(level: Level) -> u8 {
    match level {
        Level::ERROR => 31,
        Level::WARN => 33,
        Level::INFO => 32,
        Level::DEBUG => 34,
        _ => 35,
    }
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

    /// What `act` logs.
    fn logged(to_journal: bool, colours: bool, act: impl FnOnce()) -> String {
        static JOURNAL: AtomicBool = AtomicBool::new(true);
        static TERMINAL: AtomicBool = AtomicBool::new(false);
        let sink = Sink::default();
        let writer = sink.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(colours)
            .event_format(Lines { to_journal: if to_journal { &JOURNAL } else { &TERMINAL } })
            .fmt_fields(Plain)
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, act);
        String::from_utf8(sink.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn a_name_can_neither_forge_a_line_nor_command_a_terminal() {
        let evil = "x\n2026-01-01 ERROR forged\n<0>forged\u{1b}[2J\u{9b}31m\u{202e}fdp";
        for to_journal in [false, true] {
            let text = logged(to_journal, false, || {
                tracing::info!(path = evil, error = %evil, "opened {evil}");
            });
            assert_eq!(text.lines().count(), 1, "{text}");
            assert!(text.trim_end().chars().all(text::is_harmless), "{text:?}");
            assert!(text.contains("opened x 2026"), "{text}");
            assert!(text.contains("path=\"x\\n2026") && text.contains("error=x 2026"), "{text}");
        }
    }

    #[test]
    fn a_journal_gets_priorities_and_everybody_else_the_time() {
        let all = || {
            tracing::error!("one");
            tracing::warn!("two");
            tracing::info!(a = 1, "three");
        };
        assert_eq!(logged(true, false, all), "<3>one\n<4>two\n<6>three a=1\n");
        // A mount that leaves its terminal began with colours.
        assert_eq!(logged(true, true, || tracing::info!("three")), "<6>three\n");
        let text = logged(false, false, all);
        let line = text.lines().nth(2).unwrap();
        let (time, rest) = line.split_once("  ").unwrap();
        assert_eq!(rest, "INFO three a=1");
        assert!(time.parse::<jiff::Timestamp>().is_ok(), "{time}");
        assert!(logged(false, true, all).contains("\u{1b}[31mERROR\u{1b}[0m one"));
    }

    #[test]
    fn only_the_stream_that_is_named_is_a_journal() {
        use std::os::unix::fs::MetadataExt;
        let (one, other) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        let metadata = one.metadata().unwrap();
        let named = format!("{}:{}", metadata.dev(), metadata.ino());
        assert!(is_stream(&named, one.as_raw_fd()));
        assert!(!is_stream(&named, other.as_raw_fd()));
        assert!(!is_stream(&named, -1) && !is_stream("", one.as_raw_fd()));
    }
}
