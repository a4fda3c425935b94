//! System calls that a conversion never needs, taken away by a seccomp filter.
//!
//! It closes what Landlock and an empty network namespace leave open: Unix sockets that lie in the file system (our own
//! control socket, D-Bus, a container engine's), any network where namespaces are forbidden to users (Ubuntu 24.04,
//! systemd's `RestrictNamespaces`), signals and limits of other processes of the same user, modes, owners, times and
//! attributes of files that cannot be opened, and new programs and processes. A refused call answers EPERM, as a kernel
//! without that right would.
//!
//! It is a list of what is refused, not of what is allowed: libraries of other releases need other harmless calls.

use std::io;

use libc::c_long;

/// What the kernel calls the architecture this program was compiled for, `None` where the filter is not known.
const ARCHITECTURE: Option<u32> = if cfg!(target_arch = "x86_64") {
    Some(0xC000_003E)
} else if cfg!(target_arch = "aarch64") {
    Some(0xC000_00B7)
} else {
    None
};

/// Whether the filter is known for this architecture; the kernel may still be without filters.
pub const HAS_FILTER: bool = ARCHITECTURE.is_some();

/// Numbers from here on are the x32 variants of the same calls (x86_64 only).
const X32: u32 = 0x4000_0000;

/// Refused whatever the arguments.
const REFUSED: &[c_long] = &[
    // networks and Unix sockets; io_uring could open them past this filter
    libc::SYS_socket,
    libc::SYS_socketpair,
    libc::SYS_io_uring_setup,
    // other programs
    libc::SYS_execve,
    libc::SYS_execveat,
    // other processes
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_kcmp,
    libc::SYS_pidfd_open,
    libc::SYS_pidfd_getfd,
    libc::SYS_pidfd_send_signal,
    libc::SYS_kill,
    libc::SYS_tkill,
    libc::SYS_rt_sigqueueinfo,
    libc::SYS_rt_tgsigqueueinfo,
    libc::SYS_setpriority,
    libc::SYS_ioprio_set,
    libc::SYS_sched_setaffinity,
    libc::SYS_sched_setattr,
    libc::SYS_sched_setparam,
    libc::SYS_sched_setscheduler,
    libc::SYS_migrate_pages,
    libc::SYS_move_pages,
    // what Landlock does not look at, on files of the same user anywhere
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    452, // fchmodat2
    libc::SYS_fchown,
    libc::SYS_fchownat,
    libc::SYS_utimensat,
    libc::SYS_setxattr,
    libc::SYS_lsetxattr,
    libc::SYS_fsetxattr,
    463, // setxattrat
    libc::SYS_removexattr,
    libc::SYS_lremovexattr,
    libc::SYS_fremovexattr,
    466, // removexattrat
    469, // file_setattr
    libc::SYS_linkat,
    libc::SYS_symlinkat,
    libc::SYS_mknodat,
    // memory and queues shared with other processes
    libc::SYS_shmget,
    libc::SYS_shmat,
    libc::SYS_shmctl,
    libc::SYS_semget,
    libc::SYS_semctl,
    libc::SYS_msgget,
    libc::SYS_msgctl,
    libc::SYS_mq_open,
    libc::SYS_mq_unlink,
    // the system, and ways to the kernel that only root has, or that break often
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_chroot,
    libc::SYS_pivot_root,
    libc::SYS_mount,
    libc::SYS_umount2,
    428, // open_tree
    429, // move_mount
    430, // fsopen
    433, // fspick
    442, // mount_setattr
    libc::SYS_open_by_handle_at,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_personality,
    libc::SYS_quotactl,
    libc::SYS_syslog,
];

/// The same by their older names, which newer architectures do not have.
#[cfg(target_arch = "x86_64")]
const REFUSED_OLD: &[c_long] = &[
    libc::SYS_fork,
    libc::SYS_vfork,
    libc::SYS_chmod,
    libc::SYS_chown,
    libc::SYS_lchown,
    libc::SYS_utime,
    libc::SYS_utimes,
    libc::SYS_futimesat,
    libc::SYS_link,
    libc::SYS_symlink,
    libc::SYS_mknod,
];
#[cfg(not(target_arch = "x86_64"))]
const REFUSED_OLD: &[c_long] = &[];

/// clone3 keeps its flags in memory, where a filter cannot look: answered ENOSYS, whereupon libc uses clone.
const CLONE3: u32 = 435;

/// Where the kernel puts number, architecture and first argument (`struct seccomp_data`, little-endian).
const AT_NUMBER: u32 = 0;
const AT_ARCHITECTURE: u32 = 4;
const AT_FIRST: u32 = 16;

/// Refuses the calls above from now on, in this thread and in all that it starts. Needs no_new_privs.
///
/// `false` where the filter cannot be had: an unknown architecture, or a kernel without it.
///
/// # Errors
/// When the kernel has filters and refuses this one.
pub(super) fn refuse() -> io::Result<bool> {
    let Some(architecture) = ARCHITECTURE else { return Ok(false) };
    let mut program = program(architecture, std::process::id());
    let length = u16::try_from(program.len()).expect("a few hundred instructions");
    let filter = libc::sock_fprog { len: length, filter: program.as_mut_ptr() };
    // prctl rather than seccomp(2): systemd's @system-service has only the former.
    // SAFETY: `filter` and the program it points to live through the call; the kernel copies them.
    let status = unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const filter) };
    if status == 0 {
        return Ok(true);
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::EINVAL) => Ok(false),
        _ => Err(error),
    }
}

/// The filter, for a process of this id.
fn program(architecture: u32, own: u32) -> Vec<libc::sock_filter> {
    const LOAD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    const RETURN: u32 = libc::BPF_RET | libc::BPF_K;
    const EQUAL: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    const AT_LEAST: u32 = libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K;
    const HAS_BITS: u32 = libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K;
    let step = |code: u32, k: u32, jt: u8, jf: u8| libc::sock_filter { code: code as u16, jt, jf, k };
    let errno = |errno: i32| step(RETURN, libc::SECCOMP_RET_ERRNO | errno as u32, 0, 0);
    let allow = step(RETURN, libc::SECCOMP_RET_ALLOW, 0, 0);
    let load = |at: u32| step(LOAD, at, 0, 0);
    let number = |number: c_long| u32::try_from(number).expect("numbers of system calls are small");

    let mut program = vec![
        load(AT_ARCHITECTURE),
        step(EQUAL, architecture, 1, 0),
        step(RETURN, libc::SECCOMP_RET_KILL_PROCESS, 0, 0),
        load(AT_NUMBER),
    ];
    if cfg!(target_arch = "x86_64") {
        program.extend([step(AT_LEAST, X32, 0, 1), errno(libc::EPERM)]);
    }
    program.extend([step(EQUAL, CLONE3, 0, 1), errno(libc::ENOSYS)]);
    // threads, no processes
    program.extend([
        step(EQUAL, number(libc::SYS_clone), 0, 4),
        load(AT_FIRST),
        step(HAS_BITS, libc::CLONE_THREAD as u32, 0, 1),
        allow,
        errno(libc::EPERM),
    ]);
    // abort() signals its own process
    program.extend([
        step(EQUAL, number(libc::SYS_tgkill), 0, 4),
        load(AT_FIRST),
        step(EQUAL, own, 0, 1),
        allow,
        errno(libc::EPERM),
    ]);
    // getrlimit() and setrlimit() ask with 0
    program.extend([
        step(EQUAL, number(libc::SYS_prlimit64), 0, 5),
        load(AT_FIRST),
        step(EQUAL, 0, 1, 0),
        step(EQUAL, own, 0, 1),
        allow,
        errno(libc::EPERM),
    ]);
    for &refused in REFUSED.iter().chain(REFUSED_OLD) {
        program.extend([step(EQUAL, number(refused), 0, 1), errno(libc::EPERM)]);
    }
    program.push(allow);
    program
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// What the kernel would do with the program: the value that is returned.
    fn run(program: &[libc::sock_filter], architecture: u32, number: u32, first: u32) -> u32 {
        let (mut at, mut loaded) = (0usize, 0u32);
        loop {
            let step = program[at];
            at += 1;
            let jump = |taken: bool| usize::from(if taken { step.jt } else { step.jf });
            match u32::from(step.code) {
                0x20 => loaded = [number, architecture, 0, 0, first][step.k as usize / 4],
                0x06 => return step.k,
                0x15 => at += jump(loaded == step.k),
                0x35 => at += jump(loaded >= step.k),
                0x45 => at += jump(loaded & step.k != 0),
                other => panic!("instruction {other:#x}"),
            }
        }
    }

    #[test]
    fn the_filter_refuses_what_it_names_and_allows_the_rest() {
        let Some(architecture) = ARCHITECTURE else {
            println!("SKIPPED: no filter on this architecture");
            return;
        };
        let (own, allowed, refused) = (4711, libc::SECCOMP_RET_ALLOW, libc::SECCOMP_RET_ERRNO | 1);
        let program = program(architecture, own);
        let answer = |number: c_long, first: u32| run(&program, architecture, number as u32, first);
        for &number in REFUSED.iter().chain(REFUSED_OLD) {
            assert_eq!(answer(number, 0), refused, "call {number}");
        }
        for number in [libc::SYS_read, libc::SYS_write, libc::SYS_openat, libc::SYS_mmap, libc::SYS_futex] {
            assert_eq!(answer(number, 0), allowed, "call {number}");
        }
        assert_eq!(answer(libc::SYS_clone, libc::CLONE_THREAD as u32 | libc::CLONE_VM as u32), allowed);
        assert_eq!(answer(libc::SYS_clone, libc::SIGCHLD as u32), refused);
        assert_eq!(answer(c_long::from(CLONE3), 0), libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32);
        assert_eq!((answer(libc::SYS_tgkill, own), answer(libc::SYS_tgkill, own + 1)), (allowed, refused));
        assert_eq!(answer(libc::SYS_prlimit64, 0), allowed);
        assert_eq!((answer(libc::SYS_prlimit64, own), answer(libc::SYS_prlimit64, 1)), (allowed, refused));
        // Another architecture's numbers mean other calls.
        let foreign = run(&program, 0x4000_0003, libc::SYS_read as u32, 0);
        assert_eq!(foreign, libc::SECCOMP_RET_KILL_PROCESS);
        if cfg!(target_arch = "x86_64") {
            assert_eq!(answer(c_long::from(X32) + libc::SYS_read, 0), refused);
        }
    }
}
