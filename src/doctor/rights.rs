//! What this process may do.

/// CAP_SYS_ADMIN of capabilities(7): to mount, and to have the kernel read files itself.
const SYS_ADMIN: u32 = 21;

/// The rights that decide which ways are open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rights {
    /// Effective user.
    pub(super) user: u32,
    /// May mount by itself.
    pub(super) may_mount: bool,
}

impl Rights {
    pub(super) fn read() -> Self {
        // SAFETY: geteuid takes nothing, always succeeds and touches no memory.
        let user = unsafe { libc::geteuid() };
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        Self { user, may_mount: capabilities(&status).is_some_and(|set| set & (1 << SYS_ADMIN) != 0) }
    }

    pub(super) const fn is_root(self) -> bool {
        self.user == 0
    }

    /// Root, who may do everything.
    #[cfg(test)]
    pub(super) const ROOT: Self = Self { user: 0, may_mount: true };
    /// An ordinary user.
    #[cfg(test)]
    pub(super) const USER: Self = Self { user: 1000, may_mount: false };
}

/// The effective capabilities in `/proc/<pid>/status`.
fn capabilities(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_effective_set_is_read() {
        let status = "Name:\tcat\nCapPrm:\t0000000000000000\nCapEff:\t000001ffffffffff\n";
        assert_eq!(capabilities(status), Some(0x1ff_ffff_ffff));
        assert_eq!(capabilities("Name:\tcat\n"), None);
    }
}
