//! The child's side of the wall: what GDAL may touch while it reads files of strangers.
//!
//! In this order: memory, file and core limits; no network (an empty network namespace where permitted, Landlock
//! rules for TCP besides); no capabilities and no new privileges; Landlock, so that only the staging folder can be
//! written (regular files and folders only: no links, no devices), only the package (written too when it is to be consumed) and the system's
//! shared data can be read, and the product's former entry where there is one; at last the system calls that no conversion needs
//! ([`super::system_calls`]). Kernels without Landlock or namespaces give less; the others work everywhere.

use std::io;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetStatus, Scope, path_beneath_rules,
};
use serde::{Deserialize, Serialize};

use super::job::{AheadJob, IngestJob, Limits};
use super::system_calls;

/// Address space beyond the memory limit: program text, libraries, stacks, allocator arenas.
const HEAD_ROOM: u64 = 2 << 30;

/// Open files without which not even the sandbox's own rules could be made.
const FEWEST_FILES: u64 = 64;

/// What GDAL, PROJ and the C library read while they work.
const READABLE: [&str; 7] =
    ["/usr/share", "/usr/lib", "/usr/lib64", "/usr/local/share", "/usr/local/lib", "/lib", "/lib64"];
/// Single files of the same kind.
const READABLE_FILES: [&str; 4] = ["/etc/ld.so.cache", "/etc/localtime", "/dev/urandom", "/dev/null"];
/// Variables that name more folders of GDAL's and PROJ's data.
pub(super) const DATA_VARIABLES: [&str; 4] = ["PROJ_DATA", "PROJ_LIB", "GDAL_DATA", "LD_LIBRARY_PATH"];

/// What is within the walls.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ground<'a> {
    /// Read.
    pub(super) package: &'a Path,
    /// Written too.
    pub(super) consume: bool,
    /// Everything below is written.
    pub(super) staging: &'a Path,
    /// Read.
    pub(super) former: Option<&'a Path>,
    pub(super) limits: &'a Limits,
}

impl IngestJob {
    pub(super) fn ground(&self) -> Ground<'_> {
        let Self { package, staging, limits, consume, .. } = self;
        Ground { package, staging, limits, consume: *consume, former: self.former.as_deref() }
    }
}

impl AheadJob {
    pub(super) fn ground(&self) -> Ground<'_> {
        let Self { package, staging, limits, .. } = self;
        Ground { package, staging, limits, consume: false, former: None }
    }
}

/// Which walls stand; told to the parent for its log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Walls {
    /// "full", "partial" or "none".
    pub(super) landlock: String,
    /// True when the process is in a network namespace of its own, with nothing in it.
    pub(super) network_namespace: bool,
    /// True when system calls are refused that no conversion needs, those of networks among them.
    pub(super) system_calls: bool,
}

/// Enters the sandbox, for good. Call it before any other thread exists: threads that already run stay outside.
///
/// # Errors
/// When one of the walls that every kernel has cannot be built.
pub(super) fn enter(ground: Ground<'_>) -> io::Result<Walls> {
    limit_resources(ground.limits)?;
    let network_namespace = leave_network();
    drop_capabilities()?;
    forbid_new_privileges()?;
    let landlock = restrict_files(ground)?;
    let system_calls = system_calls::refuse()?;
    Ok(Walls { landlock: landlock.to_owned(), network_namespace, system_calls })
}

fn limit_resources(limits: &Limits) -> io::Result<()> {
    limit(libc::RLIMIT_AS, limits.memory_bytes.saturating_add(HEAD_ROOM))?;
    limit(libc::RLIMIT_NOFILE, limits.open_files.max(FEWEST_FILES))?;
    limit(libc::RLIMIT_CORE, 0)?;
    // No single file is larger than all that may be unpacked, give or take what does not compress.
    limit(libc::RLIMIT_FSIZE, limits.unpacked_bytes.saturating_mul(2))?;
    // SAFETY: takes a number, changes only this process' priority; a refusal is harmless.
    let _ = unsafe { libc::nice(15) };
    Ok(())
}

fn limit(resource: libc::__rlimit_resource_t, most: u64) -> io::Result<()> {
    let mut current = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `current` is a valid rlimit to be filled.
    check(unsafe { libc::getrlimit(resource, &mut current) })?;
    let most = most.min(current.rlim_max);
    let wanted = libc::rlimit { rlim_cur: most, rlim_max: most };
    // SAFETY: `wanted` is a valid rlimit.
    check(unsafe { libc::setrlimit(resource, &wanted) })
}

/// Moves into an empty network namespace: as root directly, else through a user namespace if the system allows.
fn leave_network() -> bool {
    // SAFETY: unshare has no memory arguments.
    let unshare = |flags| unsafe { libc::unshare(flags) } == 0;
    unshare(libc::CLONE_NEWNET) || unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNET)
}

fn drop_capabilities() -> io::Result<()> {
    // The bounding set first, while we may: nothing can be gained back by executing a program.
    for capability in 0..64 {
        // SAFETY: prctl with numbers only; an unknown or forbidden one fails without harm.
        unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) };
    }
    // SAFETY: as above.
    unsafe { libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) };
    /// `struct __user_cap_header_struct` and two `struct __user_cap_data_struct` of linux/capability.h.
    #[repr(C)]
    struct Header {
        version: u32,
        pid: i32,
    }
    const VERSION_3: u32 = 0x2008_0522;
    let header = Header { version: VERSION_3, pid: 0 };
    let none = [0u32; 6];
    // SAFETY: both pointers are to memory of the layout that version 3 prescribes.
    let status = unsafe { libc::syscall(libc::SYS_capset, &raw const header, none.as_ptr()) };
    check(status as i32)
}

fn forbid_new_privileges() -> io::Result<()> {
    // A limit of core files means nothing to a handler of crashes that reads from a pipe.
    // SAFETY: prctl with numbers only.
    check(unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0) })?;
    // SAFETY: prctl with numbers only.
    check(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) })
}

fn restrict_files(ground: Ground<'_>) -> io::Result<&'static str> {
    let abi = ABI::V6;
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let write: BitFlags<AccessFs> = read
        | AccessFs::WriteFile
        | AccessFs::Truncate
        | AccessFs::MakeReg
        | AccessFs::MakeDir
        | AccessFs::RemoveFile
        | AccessFs::RemoveDir
        | AccessFs::Refer;
    let data = DATA_VARIABLES
        .iter()
        .filter_map(std::env::var_os)
        .flat_map(|value| std::env::split_paths(&value).collect::<Vec<PathBuf>>())
        .filter(|path| path.is_absolute() && path.as_path() != Path::new("/"));
    let readable = READABLE
        .iter()
        .chain(&READABLE_FILES)
        .map(PathBuf::from)
        .chain(data)
        .chain([ground.package.to_owned()])
        .chain(ground.former.map(Path::to_owned))
        .collect::<Vec<_>>();
    // A package that is to be consumed is given back to the disk while it is read.
    let consumed = ground.consume.then_some(ground.package);
    let give_back = AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::Truncate;
    let restrict = || {
        Ruleset::default()
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(AccessFs::from_all(abi))?
            .handle_access(AccessNet::from_all(abi))?
            .scope(Scope::from_all(abi))?
            .create()?
            .add_rules(path_beneath_rules(readable, read))?
            .add_rules(path_beneath_rules([ground.staging], write))?
            .add_rules(path_beneath_rules(consumed, give_back))?
            .restrict_self()
    };
    let status = restrict().map_err(|error: landlock::RulesetError| io::Error::other(error.to_string()))?;
    Ok(match status.ruleset {
        RulesetStatus::FullyEnforced => "full",
        RulesetStatus::PartiallyEnforced => "partial",
        RulesetStatus::NotEnforced => "none",
    })
}

fn check(status: i32) -> io::Result<()> {
    if status == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
