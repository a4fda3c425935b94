//! What running mounts tell about themselves, over their sockets.

use std::io;
use std::path::Path;
use std::time::Duration;

use super::{Page, json, log};
use crate::control::client::{Control, ControlError};
use crate::control::registry::{self, Registered};
use crate::control::status::Status;
use crate::fuse::mountpoint;

/// Pages of all running mounts of this user, or of one; each question waits for so long.
pub(super) async fn pages(wanted: Option<&Path>, limit: Duration) -> Vec<Page> {
    let running = match running(wanted, limit).await {
        Ok(running) if running.is_empty() => {
            let log = log::of_all(limit).await;
            return vec![Page::new("log.txt", "the end of the log: no mount is running", log)];
        }
        Ok(running) => running,
        Err(error) => {
            let text = format!("the list of running mounts cannot be read: {error}\n");
            return vec![Page::new("mounts.txt", "why nothing is said of mounts", text)];
        }
    };
    let numbered = running.into_iter().enumerate();
    let told = numbered.map(|(number, mount)| of(format!("mount-{}", number + 1), mount, limit));
    futures_util::future::join_all(told).await.concat()
}

async fn running(wanted: Option<&Path>, limit: Duration) -> io::Result<Vec<Registered>> {
    let listed = tokio::time::timeout(limit, tokio::task::spawn_blocking(registry::running));
    let mut running = match listed.await {
        Ok(listed) => listed.map_err(io::Error::other)??,
        Err(_) => return Err(io::ErrorKind::TimedOut.into()),
    };
    if let Some(wanted) = wanted {
        let wanted = mountpoint::without_asking(wanted)?;
        running.retain(|mount| mount.mountpoint == wanted);
    }
    Ok(running)
}

/// What one mount says, or that it does not.
async fn of(folder: String, mount: Registered, limit: Duration) -> Vec<Page> {
    let pid = mount.pid;
    let says = async {
        let control = Control::to(mount)?;
        let status = async {
            let status: Status = control.get("/status", &[]).await?;
            Ok(json(&status))
        };
        let config = control.text("/config");
        let metrics = control.text("/metrics");
        let told: (_, _, _) = tokio::try_join!(status, config, metrics)?;
        Ok::<_, ControlError>(told)
    };
    let (says, log) = tokio::join!(tokio::time::timeout(limit, says), log::of(pid, limit));
    let page = |name: &str, about, text: String| Page::new(format!("{folder}/{name}"), about, text);
    let log = page("log.txt", "the end of its log", log);
    let silent = |reason: String| page("silent.txt", "why this mount tells nothing", reason);
    match says {
        Ok(Ok((status, config, metrics))) => vec![
            page("status.json", "status and jobs of a running mount", status),
            page("config.toml", "its settings, without private ones", config),
            page("metrics.txt", "its metrics", metrics),
            log,
        ],
        Ok(Err(error)) => vec![silent(format!("{error}\n")), log],
        Err(_) => {
            let state = log::state(pid);
            vec![silent(format!("nothing came for {} s; process {pid}: {state}\n", limit.as_secs_f64())), log]
        }
    }
}
