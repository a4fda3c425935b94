//! The mounts of this user: does each of them answer.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::ask::{Answer, ask};
use super::finding::{Check, Finding, Fix, quoted};
use crate::control::registry;
use crate::fuse::mountpoint;

/// A mount, as the kernel and the list of running mounts know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    mountpoint: PathBuf,
    /// The kernel has it where this process can see it.
    is_visible: bool,
    /// Who serves it, if that is a process of this user's.
    server: Option<Server>,
}

/// The process behind a mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Server {
    pid: u32,
    /// By Ctrl-Z, SIGSTOP, or a debugger.
    is_stopped: bool,
}

/// Which mounts there are; with `wanted` that one only.
///
/// # Errors
/// The list of running mounts cannot be read.
pub(super) fn find(user: u32, wanted: Option<&Path>) -> io::Result<Vec<Seen>> {
    let mut found: BTreeMap<PathBuf, Seen> = mountpoint::mounts_of(user)
        .into_iter()
        .map(|mountpoint| (mountpoint.clone(), Seen { mountpoint, is_visible: true, server: None }))
        .collect();
    for running in registry::running()? {
        let unseen = Seen { mountpoint: running.mountpoint.clone(), is_visible: false, server: None };
        let seen = found.entry(running.mountpoint).or_insert(unseen);
        seen.server = Some(Server { pid: running.pid, is_stopped: is_stopped(running.pid) });
    }
    let wanted = wanted.map(mountpoint::without_asking).transpose()?;
    Ok(found.into_values().filter(|seen| wanted.as_ref().is_none_or(|one| *one == seen.mountpoint)).collect())
}

fn is_stopped(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, fields)| fields.starts_with(['T', 't']))
}

/// Asks all of them at once, each for so long.
pub(super) async fn ask_all(seen: Vec<Seen>, limit: Duration) -> Vec<Finding> {
    let questions = seen.into_iter().map(|seen| async move {
        let answer = if seen.is_visible { Some(ask(&seen.mountpoint, limit).await) } else { None };
        judge(&seen, answer.as_ref())
    });
    futures_util::future::join_all(questions).await
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
fn judge(seen: &Seen, answer: Option<&Answer>) -> Finding {
    let check = Check::Mounts;
    let name = seen.mountpoint.display();
    let path = quoted(&seen.mountpoint);
    match (answer, seen.server) {
        (None, server) => Finding::warning(
            check,
            format!(
                "{name} is served by process {}, but cannot be seen from here",
                server.map_or(0, |server| server.pid)
            ),
            Fix::advice(
                "take options that make a mount namespace out of the unit (ProtectSystem, PrivateTmp …), or look from its container",
            ),
        ),
        (Some(Answer::Answers(took)), _) => {
            Finding::ok(check, format!("{name} answers after {} ms", took.as_millis()))
        }
        (Some(Answer::Refused(error)), _) if error.raw_os_error() == Some(libc::ENOTCONN) => {
            Finding::problem(
                check,
                format!("{name} is dead: the process behind it has ended"),
                Fix::run(format!("clmsfs umount {path}")),
            )
        }
        (Some(Answer::Silent(limit)), Some(Server { pid, is_stopped: true })) => Finding::problem(
            check,
            format!("{name} did not answer for {} s: process {pid} is stopped", limit.as_secs_f64()),
            Fix::run(format!("kill -CONT {pid}")),
        ),
        (Some(Answer::Silent(limit)), Some(Server { pid, .. })) => Finding::problem(
            check,
            format!("{name} did not answer for {} s; process {pid} serves it", limit.as_secs_f64()),
            Fix::run(format!("kill -KILL {pid}; clmsfs umount {path}")),
        ),
        (Some(Answer::Silent(limit)), None) => Finding::problem(
            check,
            format!("{name} did not answer for {} s", limit.as_secs_f64()),
            Fix::run(format!("fusermount3 -uz {path}")),
        ),
        (Some(Answer::Refused(error)), _) => {
            Finding::problem(check, format!("{name}: {error}"), Fix::run(format!("fusermount3 -uz {path}")))
        }
        (Some(Answer::NotAsked(error)), _) => {
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
        let seen = |server| Seen { mountpoint: "/srv/clms".into(), is_visible: true, server };
        let runs = Some(Server { pid: 7, is_stopped: false });
        let stopped = Some(Server { pid: 7, is_stopped: true });
        let errno = |errno| Answer::Refused(io::Error::from_raw_os_error(errno));
        let silent = Answer::Silent(Duration::from_secs(5));
        let judged = |server, answer: &Answer| judge(&seen(server), Some(answer));
        expect(&judged(runs, &Answer::Answers(Duration::from_millis(3))), Fine, &["/srv/clms", "3 ms"]);
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
        let hidden = Seen { is_visible: false, ..seen(runs) };
        expect(&judge(&hidden, None), Warning, &["process 7", "ProtectSystem"]);
    }

    #[test]
    fn no_mount_is_fine_unless_one_was_asked_for() {
        expect(&none(None), Fine, &[]);
        expect(&none(Some(Path::new("/srv/my clms"))), Problem, &["clmsfs mount '/srv/my clms'"]);
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
