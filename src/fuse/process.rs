//! What the serving process asks of the kernel for itself.

/// Every open file of the mount costs a descriptor, also with passthrough: the usual soft limit of 1024 is little.
pub(super) fn raise_file_limit() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a valid place for the answer and a valid value for the second call.
    let raised = unsafe {
        libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) == 0 && {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) == 0
        }
    };
    if !raised {
        tracing::warn!("the limit of open files stays as it is");
    }
}

/// No core dump and no debugger of the same user gets at the memory: the service key and tokens pass through it.
///
/// Only root can look then. What we read of `/proc/self` stays readable for this process itself.
pub(super) fn keep_memory_private() {
    // SAFETY: prctl with numbers only.
    if unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0) } != 0 {
        tracing::warn!("a core dump may hold the service key");
    }
}
