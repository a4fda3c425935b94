//! Who opens a file: what `/proc` tells about the thread that FUSE names.

use std::path::Path;

use crate::config::Opener;

/// Reads `/proc` for the thread `pid` that FUSE gave (a thread id, PROGRAMS section 1).
///
/// A process in another pid namespace has pid 0 and stays unnamed; no rule by name matches it then.
pub fn opener(pid: u32, uid: u32, gid: u32) -> Opener {
    let proc =
        |pid: u32, file: &str| std::fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
    let name = |pid: u32| crate::text::printable(proc(pid, "comm").trim_end_matches('\n'));
    if pid == 0 {
        return Opener { pid, tgid: 0, comm: String::new(), thread: String::new(), exe: None, uid, gid };
    }
    let tgid = field(&proc(pid, "status"), "Tgid:").and_then(|text| text.parse().ok()).unwrap_or(pid);
    let exe = std::fs::read_link(Path::new("/proc").join(tgid.to_string()).join("exe")).ok();
    Opener { pid, tgid, comm: name(tgid), thread: name(pid), exe, uid, gid }
}

/// A field of `/proc/<pid>/status`.
fn field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim)
}

/// True when the thread `pid` is about to die or to be interrupted by a signal that ends a wait, or is gone.
///
/// `(SigPnd|ShdPnd) & ~(SigBlk|SigIgn)` holds INT, TERM, HUP, QUIT or KILL (FUSE, "Waiting readers must stay killable").
pub fn is_told_to_die(pid: u32) -> bool {
    match std::fs::read_to_string(format!("/proc/{pid}/status")) {
        Ok(status) => dies(&status),
        Err(error) => {
            error.kind() == std::io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ESRCH)
        }
    }
}

fn dies(status: &str) -> bool {
    const DEADLY: [i32; 5] = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT, libc::SIGKILL];
    let deadly: u64 = DEADLY.iter().map(|signal| 1u64 << (signal - 1)).sum();
    let mask = |name| field(status, name).and_then(|text| u64::from_str_radix(text, 16).ok()).unwrap_or(0);
    let pending = mask("SigPnd:") | mask("ShdPnd:");
    let harmless = mask("SigBlk:") | mask("SigIgn:");
    let gone = field(status, "State:").is_some_and(|state| state.starts_with(['Z', 'X']));
    pending & !harmless & deadly != 0 || gone
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(pending: u64, shared: u64, blocked: u64, ignored: u64) -> String {
        format!(
            "Name:\tcat\nState:\tD (disk sleep)\nSigPnd:\t{pending:016x}\nShdPnd:\t{shared:016x}\n\
             SigBlk:\t{blocked:016x}\nSigIgn:\t{ignored:016x}\n"
        )
    }

    #[test]
    fn only_signals_that_end_a_wait_count() {
        let int = 1 << (libc::SIGINT - 1);
        let usr1 = 1 << (libc::SIGUSR1 - 1);
        assert!(!dies(&status(0, 0, 0, 0)));
        assert!(dies(&status(int, 0, 0, 0)));
        assert!(dies(&status(0, 1 << (libc::SIGKILL - 1), 0, 0)));
        assert!(!dies(&status(usr1, usr1, 0, 0)));
        assert!(!dies(&status(int, 0, int, 0)));
        assert!(!dies(&status(int, 0, 0, int)));
    }

    #[test]
    fn this_test_is_alive_and_has_a_name() {
        let me = std::process::id();
        assert!(!is_told_to_die(me));
        assert!(is_told_to_die(u32::MAX));
        let opener = opener(me, 1, 2);
        assert_eq!((opener.tgid, opener.uid, opener.gid), (me, 1, 2));
        assert!(!opener.comm.is_empty() && opener.exe.is_some());
    }
}
