//! What the kernel is and was built with.

use std::io::Read;

use super::finding::{Check, Finding, Fix};
use super::rights::Rights;

/// First release that can read files past the program (FUSE passthrough).
const PASSTHROUGH: (u32, u32) = (6, 9);
/// What it has to be built with.
const OPTION: &str = "CONFIG_FUSE_PASSTHROUGH";
/// Longest configuration of a kernel that is read.
const LONGEST_CONFIG: u64 = 4 << 20;

/// What was read of the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Kernel {
    /// As `uname -r` shows it.
    pub(super) release: String,
    /// Built with [`OPTION`]; `None` where its configuration is nowhere to be read.
    passthrough: Option<bool>,
    /// `fs.fuse.default_request_timeout` in seconds; `None` in kernels without it.
    default_timeout: Option<u64>,
    /// `fs.fuse.max_request_timeout`, likewise.
    max_timeout: Option<u64>,
}

impl Kernel {
    pub(super) fn read() -> Self {
        let release = read("/proc/sys/kernel/osrelease").unwrap_or_default();
        let timeout = |name: &str| read(&format!("/proc/sys/fs/fuse/{name}"))?.parse().ok();
        Self {
            passthrough: configuration(&release).map(|text| is_built(&text)),
            default_timeout: timeout("default_request_timeout"),
            max_timeout: timeout("max_request_timeout"),
            release,
        }
    }
}

fn read(path: &str) -> Option<String> {
    std::fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

/// With what the running kernel was built, where it says so.
fn configuration(release: &str) -> Option<String> {
    let installed = [format!("/boot/config-{release}"), format!("/lib/modules/{release}/config")];
    installed.iter().find_map(|path| std::fs::read_to_string(path).ok()).or_else(|| {
        let file = std::fs::File::open("/proc/config.gz").ok()?;
        let mut text = String::new();
        flate2::read::GzDecoder::new(file).take(LONGEST_CONFIG).read_to_string(&mut text).ok()?;
        Some(text)
    })
}

fn is_built(configuration: &str) -> bool {
    configuration.lines().any(|line| line.strip_prefix(OPTION).is_some_and(|rest| rest.starts_with("=y")))
}

/// Major and minor number of a release.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|letter: char| !letter.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// Whether reads go past the program; `is_wanted` is the setting.
pub(super) fn passthrough(kernel: &Kernel, rights: Rights, is_wanted: bool) -> Finding {
    let check = Check::Passthrough;
    let slower = "reads go through the program, which is slower";
    if !is_wanted {
        return Finding::ok(check, "the setting passthrough is off");
    }
    match version(&kernel.release) {
        None => return Finding::not_checked(check, format!("'{}' is no release of Linux", kernel.release)),
        Some(version) if version < PASSTHROUGH => {
            return Finding::warning(
                check,
                format!("Linux {} cannot do it: {slower}", kernel.release),
                Fix::advice("boot Linux 6.9 or newer"),
            );
        }
        Some(_) => {}
    }
    if kernel.passthrough == Some(false) {
        return Finding::warning(
            check,
            format!("Linux {} was built without {OPTION}: {slower}", kernel.release),
            Fix::advice("boot a kernel that has it: grep FUSE_PASSTHROUGH /boot/config-*"),
        );
    }
    if !rights.may_mount {
        return Finding::warning(
            check,
            format!("only root and CAP_SYS_ADMIN have it: {slower}"),
            Fix::advice(
                "mount as a service (systemd/clmsfs@.service gives the right), or through /etc/fstab",
            ),
        );
    }
    Finding::ok(check, format!("Linux {} reads ready files by itself", kernel.release))
}

/// Whether the kernel lets a reader wait.
pub(super) fn request_timeout(kernel: &Kernel) -> Finding {
    let check = Check::RequestTimeout;
    let set: Vec<(&str, u64)> =
        [("default_request_timeout", kernel.default_timeout), ("max_request_timeout", kernel.max_timeout)]
            .into_iter()
            .filter_map(|(name, seconds)| Some((name, seconds.filter(|seconds| *seconds > 0)?)))
            .collect();
    if set.is_empty() {
        return Finding::ok(check, "the kernel lets readers wait");
    }
    let words: Vec<String> =
        set.iter().map(|(name, seconds)| format!("fs.fuse.{name} is {seconds}")).collect();
    let command: Vec<String> = set.iter().map(|(name, _)| format!("fs.fuse.{name}=0")).collect();
    Finding::problem(
        check,
        format!("{}: the kernel ends the whole mount when a reader waits longer", words.join(", ")),
        Fix::run(format!("sudo sysctl -w {}", command.join(" "))),
    )
}

#[cfg(test)]
mod tests {
    use super::super::finding::Outcome::{NotChecked, Ok as Fine, Problem, Warning};
    use super::super::finding::tests::expect;
    use super::*;

    fn kernel(release: &str) -> Kernel {
        Kernel {
            release: release.to_owned(),
            passthrough: Some(true),
            default_timeout: Some(0),
            max_timeout: Some(0),
        }
    }

    #[test]
    fn native_speed() {
        let root = |release: &str| passthrough(&kernel(release), Rights::ROOT, true);
        for release in ["6.9.0", "6.18.44-fc-v669", "7.0-rc1", "10.1"] {
            expect(&root(release), Fine, &[release]);
        }
        for release in ["6.8.12-amd64", "5.15.0", "4.19"] {
            expect(&root(release), Warning, &["6.9 or newer"]);
        }
        expect(&root("FreeBSD"), NotChecked, &["FreeBSD"]);
        expect(&passthrough(&kernel("6.18.4"), Rights::USER, true), Warning, &["systemd/clmsfs@.service"]);
        expect(&passthrough(&kernel("5.1.4"), Rights::USER, false), Fine, &["off"]);
        let without = Kernel { passthrough: Some(false), ..kernel("6.12.1") };
        expect(&passthrough(&without, Rights::ROOT, true), Warning, &[OPTION]);
        let unknown = Kernel { passthrough: None, ..kernel("6.12.1") };
        expect(&passthrough(&unknown, Rights::ROOT, true), Fine, &[]);
    }

    #[test]
    fn the_configuration_says_so_or_not() {
        assert!(is_built("CONFIG_FUSE_FS=y\nCONFIG_FUSE_PASSTHROUGH=y\n"));
        assert!(!is_built("# CONFIG_FUSE_PASSTHROUGH is not set\nCONFIG_FUSE_PASSTHROUGH_X=y\n"));
    }

    #[test]
    fn readers_may_wait() {
        expect(&request_timeout(&kernel("6.18.4")), Fine, &[]);
        let old = Kernel { default_timeout: None, max_timeout: None, ..kernel("6.1.0") };
        expect(&request_timeout(&old), Fine, &[]);
        let limited = Kernel { default_timeout: Some(60), ..kernel("6.18.4") };
        expect(
            &request_timeout(&limited),
            Problem,
            &["is 60", "sysctl -w fs.fuse.default_request_timeout=0"],
        );
        let both = Kernel { max_timeout: Some(9), ..limited };
        expect(
            &request_timeout(&both),
            Problem,
            &["default_request_timeout=0 fs.fuse.max_request_timeout=0"],
        );
    }

    #[test]
    fn this_kernel_is_one() {
        assert!(version(&Kernel::read().release).is_some());
    }
}
