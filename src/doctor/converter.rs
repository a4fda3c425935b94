//! What conversions need: GDAL, and walls around it.

use std::io;

use super::finding::{Check, Finding, Fix};
use crate::ingest::{DRIVERS, HAS_FILTER};

/// Oldest GDAL that conversions are tested with.
const OLDEST: (u32, u32) = (3, 6);

/// The GDAL that is linked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Gdal {
    /// Its release: `3.6.2`.
    pub(super) release: String,
    /// Drivers that conversions use and that are not there.
    missing: Vec<&'static str>,
}

impl Gdal {
    /// Loads all of its drivers, plugins among them, as a conversion does.
    pub(super) fn read() -> Self {
        gdal::DriverManager::register_all();
        let is_missing = |name: &&str| gdal::DriverManager::get_driver_by_name(name).is_err();
        Self {
            release: gdal::version::version_info("RELEASE_NAME"),
            missing: DRIVERS.into_iter().filter(is_missing).collect(),
        }
    }
}

/// Whether conversions can read what producers deliver.
pub(super) fn gdal(found: &Gdal) -> Finding {
    let check = Check::Gdal;
    if !found.missing.is_empty() {
        return Finding::problem(
            check,
            format!("GDAL {} has no driver for {}", found.release, found.missing.join(", ")),
            Fix::advice("install a complete GDAL (Debian, Ubuntu: apt-get install --reinstall libgdal-dev)"),
        );
    }
    let mut numbers = found.release.split('.').filter_map(|number| number.parse::<u32>().ok());
    if (numbers.next(), numbers.next()) < (Some(OLDEST.0), Some(OLDEST.1)) {
        return Finding::warning(
            check,
            format!("GDAL {} is older than those that conversions are tested with", found.release),
            Fix::advice("build with GDAL 3.6 or newer (Debian 12, Ubuntu 24.04)"),
        );
    }
    Finding::ok(check, format!("GDAL {} with all {} drivers", found.release, DRIVERS.len()))
}

/// The walls that this kernel offers.
#[derive(Debug)]
pub(super) struct Walls {
    /// Version of Landlock's interface.
    landlock: io::Result<i32>,
    /// Whether system calls can be refused.
    seccomp: bool,
}

impl Walls {
    pub(super) fn read() -> Self {
        /// `LANDLOCK_CREATE_RULESET_VERSION` of linux/landlock.h.
        const ASK_VERSION: libc::c_uint = 1;
        // SAFETY: with this flag the call takes no memory and makes nothing; it answers a number.
        let version = unsafe {
            libc::syscall(
                libc::SYS_landlock_create_ruleset,
                std::ptr::null::<libc::c_void>(),
                0usize,
                ASK_VERSION,
            )
        };
        let landlock = if version < 0 { Err(io::Error::last_os_error()) } else { Ok(version as i32) };
        let actions = std::fs::read_to_string("/proc/sys/kernel/seccomp/actions_avail").unwrap_or_default();
        Self { landlock, seccomp: HAS_FILTER && actions.split_whitespace().any(|action| action == "errno") }
    }
}

/// Whether a hostile package is walled in.
pub(super) fn sandbox(walls: &Walls) -> Finding {
    let check = Check::Sandbox;
    match (&walls.landlock, walls.seccomp) {
        (Ok(version), true) => {
            Finding::ok(check, format!("Landlock {version} and seccomp wall in conversions"))
        }
        (Ok(_), false) => Finding::warning(
            check,
            "no seccomp filter on this machine: a conversion may make any system call",
            Fix::advice("use a kernel with CONFIG_SECCOMP_FILTER, on x86_64 or aarch64"),
        ),
        (Err(error), _) => {
            let fix = match error.raw_os_error() {
                Some(libc::EOPNOTSUPP) => {
                    "boot with landlock in the kernel's list of security modules: lsm=landlock,…"
                }
                Some(libc::EPERM) => "allow the landlock_* system calls in this container or unit",
                _ => "use a kernel with CONFIG_SECURITY_LANDLOCK (Linux 5.13 or newer)",
            };
            Finding::warning(
                check,
                "no Landlock here: a conversion can read what its user can read",
                Fix::advice(fix),
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Outcome::{Ok as Fine, Problem, Warning};
    use super::super::finding::tests::expect;
    use super::*;

    fn found(release: &str, missing: &[&'static str]) -> Gdal {
        Gdal { release: release.to_owned(), missing: missing.to_vec() }
    }

    #[test]
    fn drivers_and_age() {
        for release in ["3.6.2", "3.12.0", "4.0.0dev"] {
            expect(&gdal(&found(release, &[])), Fine, &[release, "all 5"]);
        }
        expect(&gdal(&found("3.4.1", &[])), Warning, &["3.4.1", "3.6 or newer"]);
        expect(&gdal(&found("3.6.2", &["netCDF", "GPKG"])), Problem, &["netCDF, GPKG", "libgdal"]);
    }

    #[test]
    fn what_is_linked_here_has_all_drivers() {
        assert_eq!(Gdal::read().missing, [""; 0]);
        // so the check above can fail
        assert!(gdal::DriverManager::get_driver_by_name("no such driver").is_err());
    }

    #[test]
    fn walls() {
        let walls = |landlock: Result<i32, i32>, seccomp| {
            sandbox(&Walls { landlock: landlock.map_err(io::Error::from_raw_os_error), seccomp })
        };
        expect(&walls(Ok(6), true), Fine, &["Landlock 6"]);
        expect(&walls(Ok(6), false), Warning, &["CONFIG_SECCOMP_FILTER"]);
        expect(&walls(Err(libc::ENOSYS), true), Warning, &["5.13"]);
        expect(&walls(Err(libc::EOPNOTSUPP), true), Warning, &["lsm=landlock"]);
        expect(&walls(Err(libc::EPERM), true), Warning, &["container"]);
    }
}
