//! What the rows have measured, for people: `CLMSFS_FAULT_TABLE=FILE cargo test --test promises faults` adds a line a row.

use std::fs::File;
use std::io::Write;
use std::time::Duration;

use super::row::{Recovery, Sees};

/// One line.
pub(super) struct Line<'a> {
    pub(super) fault: &'a str,
    pub(super) sees: Sees,
    pub(super) struck: Duration,
    pub(super) requests: u64,
    pub(super) orders: u64,
    pub(super) message: &'a str,
    pub(super) recovery: Recovery,
    pub(super) recovered: Duration,
    pub(super) orders_after: u64,
}

/// Adds a line to the file that `$CLMSFS_FAULT_TABLE` names, if it names one.
pub(super) fn add(line: &Line<'_>) {
    let Some(path) = std::env::var_os("CLMSFS_FAULT_TABLE") else { return };
    let mut file = File::options().create(true).append(true).open(path).unwrap();
    // one write: lines of rows that run side by side stay whole
    file.write_all(format!("{}\n", text(line)).as_bytes()).unwrap();
}

fn text(line: &Line<'_>) -> String {
    let (sees, state) = match line.sees {
        Sees::Bytes => ("the right bytes".to_owned(), "ready"),
        Sees::Errno(errno) => (name(errno), "failed"),
        Sees::Waits(state) => ("waits".to_owned(), state),
    };
    let message = match line.message {
        "" => String::new(),
        message => format!(": {}", message.replace('|', "/")),
    };
    let recovery = match (line.sees, line.recovery) {
        (Sees::Bytes, Recovery::Open) => "not needed",
        (Sees::Waits(_), Recovery::Open) => "the same reader",
        (_, Recovery::Open) => "the next open",
        (_, Recovery::NotTried) => "not tried",
        (_, Recovery::Insist) => "`clmsfs fetch`",
        (_, Recovery::Cancel) => "`clmsfs cancel`, the next open",
        (_, Recovery::AsTheMessageSays) => "the command in the message, the next open",
    };
    let cost = match (line.sees, line.recovery) {
        (Sees::Bytes, _) | (_, Recovery::NotTried) => String::new(),
        _ => format!(" ({:.1} s, {} more orders)", line.recovered.as_secs_f64(), line.orders_after),
    };
    format!(
        "| {} | {sees} after {:.1} s | {} | {} | {state}{message} | {recovery}{cost} |",
        line.fault,
        line.struck.as_secs_f64(),
        line.requests,
        line.orders,
    )
}

fn name(errno: i32) -> String {
    let known = [
        (libc::EACCES, "EACCES"),
        (libc::EIO, "EIO"),
        (libc::ENETDOWN, "ENETDOWN"),
        (libc::ETIMEDOUT, "ETIMEDOUT"),
        (libc::ECANCELED, "ECANCELED"),
    ];
    known
        .iter()
        .find(|(number, _)| *number == errno)
        .map_or_else(|| errno.to_string(), |(_, name)| (*name).to_owned())
}
