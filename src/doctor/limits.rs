//! Limits that the system sets for processes of this user.

use super::finding::{Check, Finding, Fix};

/// Fewer open files than this are used up by a few parallel readers of Zarrs.
const FEWEST_FILES: u64 = 4096;

/// The hard limit of open files; a mount raises its soft one to it.
pub(super) fn read() -> std::io::Result<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a valid place for the answer.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return Err(std::io::Error::last_os_error());
    }
    Ok(limit.rlim_max)
}

/// Whether readers can open enough files.
pub(super) fn open_files(limit: &std::io::Result<u64>) -> Finding {
    let check = Check::OpenFiles;
    match limit {
        Ok(limit) if *limit < FEWEST_FILES => Finding::warning(
            check,
            format!("the hard limit is {limit}: each file that is read takes one"),
            Fix::advice(
                "LimitNOFILE=65536 in the unit, or a 'hard nofile' line in /etc/security/limits.conf",
            ),
        ),
        Ok(u64::MAX) => Finding::ok(check, "no limit"),
        Ok(limit) => Finding::ok(check, format!("the hard limit is {limit}")),
        Err(error) => Finding::not_checked(check, format!("getrlimit: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Outcome::{NotChecked, Ok as Fine, Warning};
    use super::super::finding::tests::expect;
    use super::*;

    #[test]
    fn open_files_are_enough_or_not() {
        expect(&open_files(&Ok(4096)), Fine, &["4096"]);
        expect(&open_files(&Ok(u64::MAX)), Fine, &["no limit"]);
        expect(&open_files(&Ok(1024)), Warning, &["1024", "LimitNOFILE=65536"]);
        expect(&open_files(&Err(std::io::Error::from_raw_os_error(libc::EFAULT))), NotChecked, &[]);
        assert!(read().is_ok_and(|limit| limit > 0));
    }
}
