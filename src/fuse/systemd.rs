//! What systemd is told (sd_notify(3)): that the mount answers, what it does, and that it is alive.

use std::env;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::mountpoint;
use crate::config::ByteSize;
use crate::control::Mounted;
use crate::control::status::{self, Status};
use crate::fetch::state::ProductState;

/// How often the line of `systemctl status` may change.
const STATUS_PAUSE: Duration = Duration::from_secs(5);

/// Whether it waits for what this process tells.
pub(super) fn is_listening() -> bool {
    env::var_os("NOTIFY_SOCKET").is_some()
}

/// Tells a state, when systemd asked for that.
pub(super) fn notify(state: &str) {
    let Ok(name) = env::var("NOTIFY_SOCKET") else { return };
    let address = match name.strip_prefix('@') {
        Some(hidden) => SocketAddr::from_abstract_name(hidden),
        None => SocketAddr::from_pathname(&name),
    };
    let sent = address.and_then(|address| UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &address));
    if let Err(error) = sent {
        tracing::warn!(%error, "systemd is not told of {state}");
    }
}

/// Tells that the settings are being read anew; `READY=1` ends that. The time keeps it apart from an earlier one (sd_notify(3)).
pub(super) fn notify_reloading() {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is a valid place for the answer.
    if unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) } == 0 {
        notify(&format!("RELOADING=1\nMONOTONIC_USEC={}{:06}", now.tv_sec, now.tv_nsec / 1000));
    }
}

/// Tells what the mount does, and that it is alive: proven by a question that travels through the kernel to the mount and back.
/// A mount that does not answer is not told alive, and systemd starts it anew.
pub(super) async fn keep_informed(mounted: Arc<Mounted>) {
    if !is_listening() {
        return;
    }
    let watchdog = watchdog(|name| env::var(name).ok(), std::process::id());
    let mut tick =
        tokio::time::interval(watchdog.map_or(STATUS_PAUSE, |limit| (limit / 3).min(STATUS_PAUSE)));
    let mut told = String::new();
    loop {
        tick.tick().await;
        if watchdog.is_some() && answers(mounted.mountpoint.clone()).await {
            notify("WATCHDOG=1");
        }
        let line = status::status(&mounted).map(|status| line(&status)).unwrap_or_default();
        if line != told {
            notify(&format!("STATUS={line}"));
            told = line;
        }
    }
}

/// Whether the mount answers. A mount that hangs keeps this waiting, and nothing else.
async fn answers(mountpoint: PathBuf) -> bool {
    let asked = tokio::task::spawn_blocking(move || mountpoint::count_blocks(&mountpoint)).await;
    match asked {
        Ok(Ok(())) => true,
        Ok(Err(error)) => {
            tracing::warn!(%error, "the mount does not answer");
            false
        }
        Err(_) => false,
    }
}

/// The time within which systemd wants a sign of life from this process.
fn watchdog(environment: impl Fn(&str) -> Option<String>, process: u32) -> Option<Duration> {
    let meant = environment("WATCHDOG_PID").is_none_or(|text| text.parse() == Ok(process));
    let limit = environment("WATCHDOG_USEC")?.parse().ok().filter(|&limit| limit > 0)?;
    meant.then(|| Duration::from_micros(limit))
}

/// One line for `systemctl status`.
fn line(status: &Status) -> String {
    let (failed, running): (Vec<_>, Vec<_>) =
        status.jobs.iter().partition(|job| job.progress.state == ProductState::Failed);
    let waiting: usize = status.jobs.iter().map(|job| job.waiting).sum();
    let cache = &status.cache;
    let mut line = format!(
        "{} ready, {} of {} used",
        cache.entries,
        ByteSize(cache.used).rounded(),
        ByteSize(cache.limit).rounded()
    );
    for (count, what) in
        [(running.len(), "being fetched"), (failed.len(), "failed"), (waiting, "waiting for them")]
    {
        if count > 0 {
            line.push_str(&format!(", {count} {what}"));
        }
    }
    line
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_watchdog_that_is_meant_for_us() {
        let environment = |limit: Option<&str>, process: Option<&str>| {
            let (limit, process) = (limit.map(str::to_owned), process.map(str::to_owned));
            move |name: &str| match name {
                "WATCHDOG_USEC" => limit.clone(),
                "WATCHDOG_PID" => process.clone(),
                _ => None,
            }
        };
        let second = Some(Duration::from_secs(1));
        assert_eq!(watchdog(environment(Some("1000000"), None), 7), second);
        assert_eq!(watchdog(environment(Some("1000000"), Some("7")), 7), second);
        assert_eq!(watchdog(environment(Some("1000000"), Some("8")), 7), None, "that of another process");
        for text in [None, Some("0"), Some("soon")] {
            assert_eq!(watchdog(environment(text, None), 7), None, "{text:?}");
        }
    }
}
