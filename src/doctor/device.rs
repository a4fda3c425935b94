//! The way to the kernel: `/dev/fuse`, and `fusermount3` for those who may not mount.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;

use super::finding::{Check, Finding, Fix, quoted};
use super::rights::Rights;

/// Opens the device as a mount would.
pub(super) fn open_device() -> io::Result<()> {
    File::options().read(true).write(true).open("/dev/fuse").map(drop)
}

/// What opening `/dev/fuse` means.
pub(super) fn device(opened: &io::Result<()>) -> Finding {
    let check = Check::FuseDevice;
    let Err(error) = opened else { return Finding::ok(check, "/dev/fuse can be opened") };
    match error.raw_os_error() {
        Some(libc::ENOENT) => Finding::problem(
            check,
            "/dev/fuse is not there",
            Fix::advice("run: modprobe fuse; for a container: docker run --device /dev/fuse …"),
        ),
        Some(libc::ENODEV | libc::ENXIO) => {
            Finding::problem(check, "the kernel has no FUSE", Fix::run("modprobe fuse"))
        }
        Some(libc::EACCES) => Finding::problem(
            check,
            "/dev/fuse may not be opened by this user",
            Fix::run("sudo chmod 666 /dev/fuse"),
        ),
        Some(libc::EPERM) => Finding::problem(
            check,
            "/dev/fuse is closed to this container or unit",
            Fix::advice("docker run --device /dev/fuse …; in a unit: DeviceAllow=/dev/fuse rw"),
        ),
        _ => Finding::problem(
            check,
            format!("/dev/fuse cannot be opened: {error}"),
            Fix::advice("look into dmesg for what the kernel says about fuse"),
        ),
    }
}

/// The program that mounts for users.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Helper {
    path: PathBuf,
    is_setuid_root: bool,
}

/// Looks for `fusermount3` where a mount would.
pub(super) fn find_helper() -> Option<Helper> {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let mut candidates = std::env::split_paths(&folders).map(|folder| folder.join("fusermount3"));
    candidates.find_map(|path| {
        let metadata = fs::metadata(&path).ok().filter(fs::Metadata::is_file)?;
        let is_setuid_root = metadata.uid() == 0 && metadata.permissions().mode() & 0o4000 != 0;
        Some(Helper { path, is_setuid_root })
    })
}

/// Whether somebody mounts for this user.
pub(super) fn helper(rights: Rights, helper: Option<&Helper>) -> Finding {
    let check = Check::Fusermount;
    match helper {
        _ if rights.may_mount => Finding::ok(check, "not needed: this process may mount by itself"),
        _ if rights.is_root() => Finding::problem(
            check,
            "this root may not mount (no CAP_SYS_ADMIN)",
            Fix::advice("docker run --cap-add SYS_ADMIN --device /dev/fuse …"),
        ),
        None => Finding::problem(
            check,
            "fusermount3 is not installed; it mounts for users who are not root",
            Fix::run("sudo apt-get install fuse3"),
        ),
        Some(Helper { path, is_setuid_root: false }) => Finding::problem(
            check,
            format!("{} is not setuid root", path.display()),
            Fix::run(format!("sudo chown root {0} && sudo chmod u+s {0}", quoted(path))),
        ),
        Some(Helper { path, is_setuid_root: true }) => {
            Finding::ok(check, format!("{} mounts for this user", path.display()))
        }
    }
}

/// Whether `allow_other` is granted to this user; `file` is the text of `/etc/fuse.conf`.
pub(super) fn allow_other(is_wanted: bool, rights: Rights, file: Option<&str>) -> Finding {
    let check = Check::AllowOther;
    if !is_wanted {
        return Finding::ok(check, "not needed: the setting allow_other is off");
    }
    if rights.may_mount {
        return Finding::ok(check, "not needed: this process may mount by itself");
    }
    let is_granted = file.unwrap_or_default().lines().any(|line| line.trim() == "user_allow_other");
    if is_granted {
        return Finding::ok(check, "user_allow_other is in /etc/fuse.conf");
    }
    Finding::problem(
        check,
        "allow_other is set, but user_allow_other is not in /etc/fuse.conf",
        Fix::run("echo user_allow_other | sudo tee -a /etc/fuse.conf"),
    )
}

#[cfg(test)]
mod tests {
    use super::super::finding::Outcome::{Ok as Fine, Problem};
    use super::super::finding::tests::expect;
    use super::*;

    #[test]
    fn the_device() {
        expect(&device(&Ok(())), Fine, &[]);
        for (errno, words) in [
            (libc::ENOENT, ["not there", "modprobe fuse"]),
            (libc::ENODEV, ["no FUSE", "modprobe fuse"]),
            (libc::EACCES, ["may not be opened", "chmod 666 /dev/fuse"]),
            (libc::EPERM, ["closed to this container", "DeviceAllow=/dev/fuse rw"]),
            (libc::EIO, ["Input/output error", "dmesg"]),
        ] {
            expect(&device(&Err(io::Error::from_raw_os_error(errno))), Problem, &words);
        }
    }

    #[test]
    fn who_mounts() {
        let found = |is_setuid_root| Helper { path: "/usr/bin/fusermount3".into(), is_setuid_root };
        expect(&helper(Rights::ROOT, None), Fine, &["not needed"]);
        let caged = Rights { may_mount: false, ..Rights::ROOT };
        expect(&helper(caged, Some(&found(true))), Problem, &["--cap-add SYS_ADMIN"]);
        expect(&helper(Rights::USER, None), Problem, &["install fuse3"]);
        expect(&helper(Rights::USER, Some(&found(false))), Problem, &["chmod u+s /usr/bin/fusermount3"]);
        expect(&helper(Rights::USER, Some(&found(true))), Fine, &["/usr/bin/fusermount3"]);
    }

    #[test]
    fn other_users() {
        let granted = Some("# comment\nmount_max = 7\n  user_allow_other\n");
        expect(&allow_other(false, Rights::USER, None), Fine, &["off"]);
        expect(&allow_other(true, Rights::ROOT, None), Fine, &["not needed"]);
        expect(&allow_other(true, Rights::USER, granted), Fine, &["fuse.conf"]);
        for refused in [None, Some("#user_allow_other\n")] {
            expect(&allow_other(true, Rights::USER, refused), Problem, &["tee -a /etc/fuse.conf"]);
        }
    }
}
