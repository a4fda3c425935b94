//! What the kernel says of this process, from `/proc/self`.

use std::fs;

/// Memory, descriptors, threads and time of a process; `None` for what cannot be read.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub(super) struct Process {
    /// Bytes in memory now.
    pub(super) resident: Option<u64>,
    /// Threads.
    pub(super) threads: Option<u64>,
    /// Open descriptors.
    pub(super) descriptors: Option<u64>,
    /// How many descriptors it may have.
    pub(super) most_descriptors: Option<u64>,
    /// Seconds of processor time in all, of the program and of the kernel on its behalf.
    pub(super) cpu: Option<f64>,
}

impl Process {
    /// This process now.
    pub(super) fn current() -> Self {
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let fields = fields(&stat);
        let number = |place: usize| fields.get(place - 3).and_then(|text: &&str| text.parse::<u64>().ok());
        let ticks = number(14).zip(number(15)).map(|(user, kernel)| user + kernel);
        Self {
            resident: number(24).map(|pages| pages * system(libc::_SC_PAGESIZE)),
            threads: number(20),
            descriptors: fs::read_dir("/proc/self/fd").ok().map(|listing| {
                // the listing itself has one while it is read
                (listing.count() as u64).saturating_sub(1)
            }),
            most_descriptors: most_descriptors(),
            cpu: ticks.map(|ticks| ticks as f64 / system(libc::_SC_CLK_TCK) as f64),
        }
    }
}

/// The fields of `/proc/<pid>/stat` from the third on (proc(5)). The name before them may hold anything.
fn fields(stat: &str) -> Vec<&str> {
    stat.rsplit_once(") ").map(|(_, rest)| rest.split_whitespace().collect()).unwrap_or_default()
}

/// A number of the system; 1 where it has none.
fn system(name: libc::c_int) -> u64 {
    // SAFETY: sysconf takes a number and touches no memory of ours.
    let value = unsafe { libc::sysconf(name) };
    u64::try_from(value).unwrap_or(1).max(1)
}

fn most_descriptors() -> Option<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a valid place for the answer.
    let asked = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) };
    (asked == 0).then_some(limit.rlim_cur)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_blanks_and_brackets_moves_no_field() {
        let stat = "7 (a) b) c) S 1 7 7 0 -1 0 0 0 0 0 12 34 0 0 20 0 5 0 99 1000 250 0\n";
        let fields = fields(stat);
        assert_eq!((fields[0], fields[14 - 3], fields[20 - 3], fields[24 - 3]), ("S", "12", "5", "250"));
    }

    #[test]
    fn this_process_has_all_of_it() {
        let file = fs::File::open("/dev/null").unwrap();
        let process = Process::current();
        assert!(process.resident.unwrap() > 1 << 20);
        assert!(process.threads.unwrap() >= 1 && process.descriptors.unwrap() >= 4, "{process:?}");
        assert!(process.most_descriptors.unwrap() >= process.descriptors.unwrap());
        assert!(process.cpu.is_some());
        drop(file);
    }
}
