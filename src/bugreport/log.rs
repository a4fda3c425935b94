//! The end of a mount's log: the file that its standard error goes to, or the journal.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

/// So much of a file's end is taken.
const LONGEST: u64 = 256 << 10;
/// So many lines of the journal.
const LINES: &str = "--lines=1000";

/// The log of the process that serves a mount.
pub(super) async fn of(pid: u32, limit: Duration) -> String {
    let link = PathBuf::from(format!("/proc/{pid}/fd/2"));
    let read = tokio::task::spawn_blocking(move || -> io::Result<Result<String, PathBuf>> {
        let target = fs::read_link(&link)?;
        if fs::metadata(&link)?.is_file() { end_of(&link).map(Ok) } else { Ok(Err(target)) }
    });
    match tokio::time::timeout(limit, read).await {
        Ok(Ok(Ok(Ok(text)))) => text,
        Ok(Ok(Ok(Err(target)))) if !target.to_string_lossy().starts_with("socket:") => {
            format!("the log goes to {}, which cannot be read again\n", target.display())
        }
        // into the journal, or a process of which not even its owner may look at the files
        Ok(Ok(_)) => journal(&format!("_PID={pid}"), limit).await,
        _ => format!("the file of the log did not answer within {} s\n", limit.as_secs_f64()),
    }
}

/// What mounts have said lately, where none is running.
pub(super) async fn of_all(limit: Duration) -> String {
    journal("SYSLOG_IDENTIFIER=clmsfs", limit).await
}

/// State of a process, in the kernel's words.
pub(super) fn state(pid: u32) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let state = status.lines().find_map(|line| line.strip_prefix("State:"));
    state.map_or_else(|| "gone".to_owned(), |state| state.trim().to_owned())
}

/// The last part of a file, from the beginning of a line.
fn end_of(path: &std::path::Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LONGEST)))?;
    let mut bytes = Vec::new();
    file.take(LONGEST).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let whole = if length > LONGEST { text.split_once('\n').map_or("", |(_, lines)| lines) } else { &text };
    Ok(crate::text::printable_lines(whole))
}

async fn journal(which: &str, limit: Duration) -> String {
    let output = Command::new("journalctl")
        .args(["--no-pager", "--quiet", "--output=short-iso-precise", LINES, which])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .output();
    match tokio::time::timeout(limit, output).await {
        Ok(Ok(output)) if output.stdout.is_empty() => {
            format!("the journal shows nothing of {which}; a log on a terminal cannot be read again\n")
        }
        Ok(Ok(output)) => crate::text::printable_lines(&String::from_utf8_lossy(&output.stdout)),
        Ok(Err(error)) => format!("journalctl: {error}\n"),
        Err(_) => format!("the journal did not answer within {} s\n", limit.as_secs_f64()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_long_log_begins_with_a_whole_line() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let line = |number: usize| format!("{number:07} abcdefghijklmnopqrstuvwxyz\u{1b}[2J\n");
        let all: String = (0..20_000).map(line).collect();
        fs::write(file.path(), &all).unwrap();
        let end = end_of(file.path()).unwrap();
        assert!(end.starts_with('0') && end.ends_with("z\u{fffd}[2J\n"), "{:?}", &end[..60]);
        assert!(end.len() > 200_000 && end.contains("0019999 abc"));
        fs::write(file.path(), "one\ntwo\n").unwrap();
        assert_eq!(end_of(file.path()).unwrap(), "one\ntwo\n");
    }

    #[test]
    fn states() {
        assert!(state(std::process::id()).contains('('));
        assert_eq!(state(u32::MAX), "gone");
    }
}
