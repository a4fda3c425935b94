//! The mounts of this user: does each of them answer.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::ask::{Answer, ask};
use super::finding::{Check, Finding, Fix, quoted};
use crate::control::registry::{self, Registered};
use crate::fuse::mountpoint;

/// A mount, as the kernel and the list of running mounts know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    mountpoint: PathBuf,
    /// The kernel has it where this process can see it.
    is_visible: bool,
    /// Who serves it, if that is a process of this user's.
    server: Option<Server>,
    /// Its control socket.
    socket: PathBuf,
}

impl Seen {
    fn new(mountpoint: PathBuf, is_visible: bool) -> Self {
        Self { mountpoint, is_visible, server: None, socket: PathBuf::new() }
    }
}

/// The process behind a mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Server {
    pid: u32,
    /// By Ctrl-Z, SIGSTOP, or a debugger.
    is_stopped: bool,
}

/// What is known of a mount after it was asked.
#[derive(Debug)]
enum Known {
    /// What it said.
    Said(Answer),
    /// It cannot be seen from here, but somebody listens at its control socket.
    Elsewhere,
    /// It is only listed: nobody listens at its control socket.
    Listed(PathBuf),
}

/// Which mounts there are; with `wanted` that one only.
///
/// # Errors
/// The list of running mounts cannot be read.
pub(super) fn find(user: u32, wanted: Option<&Path>) -> io::Result<Vec<Seen>> {
    let found = gather(mountpoint::mounts_of(user), &mountpoint::mounts(), registry::running()?);
    let wanted = wanted.map(mountpoint::without_asking).transpose()?;
    Ok(found.into_iter().filter(|seen| wanted.as_ref().is_none_or(|one| *one == seen.mountpoint)).collect())
}

/// Those that the user has mounted, and those that run: for root also the services', which another user has mounted.
/// `visible` are the mounts of all users.
fn gather(own: Vec<PathBuf>, visible: &[PathBuf], running: Vec<Registered>) -> Vec<Seen> {
    let mut found: BTreeMap<PathBuf, Seen> =
        own.into_iter().map(|mountpoint| (mountpoint.clone(), Seen::new(mountpoint, true))).collect();
    for running in running {
        let is_visible = visible.contains(&running.mountpoint);
        let new = Seen::new(running.mountpoint.clone(), is_visible);
        let seen = found.entry(running.mountpoint).or_insert(new);
        seen.socket = running.socket;
        seen.server = Some(Server { pid: running.pid, is_stopped: is_stopped(running.pid) });
    }
    found.into_values().collect()
}

fn is_stopped(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, fields)| fields.starts_with(['T', 't']))
}

/// Asks all of them at once, each for so long.
pub(super) async fn ask_all(seen: Vec<Seen>, limit: Duration) -> Vec<Finding> {
    let questions = seen.into_iter().map(|seen| async move {
        let known = if seen.is_visible {
            Known::Said(ask(&seen.mountpoint, limit).await)
        } else if is_listening(&seen.socket, limit).await {
            Known::Elsewhere
        } else {
            Known::Listed(seen.socket.clone())
        };
        judge(&seen, &known)
    });
    futures_util::future::join_all(questions).await
}

/// Whether somebody listens at a socket; he may be too busy to answer.
async fn is_listening(socket: &Path, limit: Duration) -> bool {
    let connected = tokio::time::timeout(limit, tokio::net::UnixStream::connect(socket)).await;
    let refusals = [io::ErrorKind::ConnectionRefused, io::ErrorKind::NotFound];
    !matches!(connected, Ok(Err(error)) if refusals.contains(&error.kind()))
}

/// What to say where there is nothing to ask.
pub(super) fn none(wanted: Option<&Path>) -> Finding {
    match wanted {
        None => Finding::ok(Check::Mounts, "this user has none"),
        Some(path) => Finding::problem(
            Check::Mounts,
            format!("{} is no clmsfs mount of this user", path.display()),
            Fix::run(format!("clmsfs mount {}", quoted(path))),
        ),
    }
}

/// Whether a mount is as it should be.
fn judge(seen: &Seen, known: &Known) -> Finding {
    let check = Check::Mounts;
    let name = seen.mountpoint.display();
    match known {
        Known::Said(answer) => judge_answer(seen, answer),
        Known::Elsewhere => Finding::warning(
            check,
            format!("{name} is served, but cannot be seen from here"),
            Fix::advice(
                "take options that make a mount namespace out of its unit (ProtectSystem, PrivateTmp …), or look from its container",
            ),
        ),
        Known::Listed(socket) => Finding::warning(
            check,
            format!("{name} is listed as running, and is not: it ended with its container"),
            Fix::run(format!("rm {}", quoted(socket))),
        ),
    }
}

fn judge_answer(seen: &Seen, answer: &Answer) -> Finding {
    let check = Check::Mounts;
    let name = seen.mountpoint.display();
    let path = quoted(&seen.mountpoint);
    match (answer, seen.server) {
        (Answer::Answers, _) => Finding::ok(check, format!("{name} answers")),
        (Answer::Refused(error), _) if error.raw_os_error() == Some(libc::ENOTCONN) => Finding::problem(
            check,
            format!("{name} is dead: the process behind it has ended"),
            Fix::run(format!("clmsfs umount {path}")),
        ),
        (Answer::Silent(limit), Some(Server { pid, is_stopped: true })) => Finding::problem(
            check,
            format!("{name} did not answer for {} s: process {pid} is stopped", limit.as_secs_f64()),
            Fix::run(format!("kill -CONT {pid}")),
        ),
        (Answer::Silent(limit), Some(Server { pid, .. })) => Finding::problem(
            check,
            format!("{name} did not answer for {} s; process {pid} serves it", limit.as_secs_f64()),
            Fix::run(format!("kill -KILL {pid}; clmsfs umount {path}")),
        ),
        (Answer::Silent(limit), None) => Finding::problem(
            check,
            format!("{name} did not answer for {} s", limit.as_secs_f64()),
            Fix::run(format!("fusermount3 -uz {path}")),
        ),
        (Answer::Refused(error), _) => {
            Finding::problem(check, format!("{name}: {error}"), Fix::run(format!("fusermount3 -uz {path}")))
        }
        (Answer::NotAsked(error), _) => {
            Finding::not_checked(check, format!("{name} could not be asked: {error}"))
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::finding::Outcome::{NotChecked, Ok as Fine, Problem, Warning};
    use super::super::finding::tests::expect;
    use super::*;

    #[test]
    fn each_kind_of_answer_has_its_way_out() {
        let seen = |server| Seen { server, ..Seen::new("/srv/clms".into(), true) };
        let runs = Some(Server { pid: 7, is_stopped: false });
        let stopped = Some(Server { pid: 7, is_stopped: true });
        let errno = |errno| Answer::Refused(io::Error::from_raw_os_error(errno));
        let silent = Answer::Silent(Duration::from_secs(5));
        let judged = |server, answer: &Answer| judge_answer(&seen(server), answer);
        expect(&judged(runs, &Answer::Answers), Fine, &["/srv/clms answers"]);
        expect(&judged(None, &errno(libc::ENOTCONN)), Problem, &["dead", "clmsfs umount /srv/clms"]);
        expect(&judged(stopped, &silent), Problem, &["5 s", "stopped", "kill -CONT 7"]);
        expect(&judged(runs, &silent), Problem, &["process 7", "kill -KILL 7; clmsfs umount /srv/clms"]);
        expect(&judged(None, &silent), Problem, &["fusermount3 -uz /srv/clms"]);
        expect(&judged(runs, &errno(libc::EIO)), Problem, &["Input/output error", "fusermount3 -uz"]);
        expect(
            &judged(runs, &Answer::NotAsked(io::Error::other("no more processes"))),
            NotChecked,
            &["no more"],
        );
        expect(&judge(&seen(runs), &Known::Elsewhere), Warning, &["cannot be seen", "ProtectSystem"]);
        let left = Known::Listed("/run/clmsfs/a.sock".into());
        expect(&judge(&seen(runs), &left), Warning, &["is not", "rm /run/clmsfs/a.sock"]);
    }

    /// Healthy services were told to root as broken: another user has mounted them.
    #[test]
    fn what_another_user_has_mounted_is_seen_where_it_runs() {
        let running = |mountpoint: &str| Registered {
            mountpoint: mountpoint.into(),
            pid: std::process::id(),
            started: 0,
            socket: "/run/s".into(),
        };
        let visible = ["/mnt/own", "/srv/service", "/home/ada/clms"].map(PathBuf::from);
        let seen =
            gather(vec!["/mnt/own".into()], &visible, vec![running("/srv/service"), running("/elsewhere")]);
        let told: Vec<_> = seen
            .iter()
            .map(|seen| (seen.mountpoint.to_str().unwrap(), seen.is_visible, seen.server.is_some()))
            .collect();
        assert_eq!(
            told,
            [("/elsewhere", false, true), ("/mnt/own", true, false), ("/srv/service", true, true)]
        );
    }

    #[test]
    fn no_mount_is_fine_unless_one_was_asked_for() {
        expect(&none(None), Fine, &[]);
        expect(&none(Some(Path::new("/srv/my clms"))), Problem, &["clmsfs mount '/srv/my clms'"]);
    }

    #[tokio::test]
    async fn a_socket_that_nobody_listens_at_is_known() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("s");
        let limit = Duration::from_secs(60);
        assert!(!is_listening(&socket, limit).await, "it is not there");
        let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        assert!(is_listening(&socket, limit).await, "though it answers nothing");
        drop(listener);
        assert!(!is_listening(&socket, limit).await, "its file stays behind");
    }

    #[test]
    fn a_stopped_process_is_known() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        assert!(!is_stopped(child.id()));
        // SAFETY: the number of a child that was not waited for.
        unsafe { libc::kill(child.id() as libc::pid_t, libc::SIGSTOP) };
        while !is_stopped(child.id()) {
            assert!(child.try_wait().unwrap().is_none(), "it ended in place of being stopped");
            std::thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
