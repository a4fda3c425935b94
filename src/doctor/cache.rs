//! The cache's folder, and the disk below it.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::finding::{Check, Finding, Fix, quoted};
use super::rights::Rights;
use crate::config::ByteSize;
use crate::store::disk::Trouble;
use crate::store::{StoreError, layout};

/// Fewer free inodes than this end a fetch in its middle.
const FEWEST_INODES: u64 = 1_000;
/// With fewer than this it is a matter of some packages.
const FEW_INODES: u64 = 20_000;

/// What was read of the folder.
#[derive(Debug)]
pub(super) enum Folder {
    /// It is not there yet.
    New {
        /// The nearest folder above that is there.
        above: PathBuf,
        /// Whether this user may make something in it.
        may_make: bool,
    },
    /// It is there.
    There {
        /// Permissions.
        mode: u32,
        /// User.
        owner: u32,
        /// Whether its content is a cache that this release can use.
        content: Result<(), StoreError>,
    },
    /// It cannot be looked at.
    Hidden {
        /// Why.
        reason: String,
    },
}

impl Folder {
    pub(super) fn read(path: &Path) -> Self {
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => Self::There {
                mode: metadata.mode() & 0o7777,
                owner: metadata.uid(),
                content: layout::inspect(path),
            },
            Ok(_) => Self::Hidden { reason: "is no folder".to_owned() },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let above = nearest(path);
                Self::New { may_make: is_writable(&above), above }
            }
            Err(error) => Self::Hidden { reason: format!("cannot be looked at: {error}") },
        }
    }
}

/// The path itself, or the nearest folder above it that is there.
pub(super) fn nearest(path: &Path) -> PathBuf {
    path.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/")).to_owned()
}

fn is_writable(path: &Path) -> bool {
    let Ok(text) = CString::new(path.as_os_str().as_bytes()) else { return false };
    // SAFETY: `text` is NUL-terminated and lives through the call.
    unsafe { libc::faccessat(libc::AT_FDCWD, text.as_ptr(), libc::W_OK | libc::X_OK, libc::AT_EACCESS) == 0 }
}

/// Whether the folder can be the cache.
pub(super) fn folder(path: &Path, found: &Folder, rights: Rights) -> Finding {
    let check = Check::CacheFolder;
    let name = path.display();
    let elsewhere = || Fix::advice("name a folder of your own with --cache-dir (cache_dir in the file)");
    match found {
        Folder::New { may_make: true, .. } => Finding::ok(check, format!("{name} will be made")),
        Folder::New { above, may_make: false } => {
            Finding::problem(check, format!("{name} cannot be made in {}", above.display()), elsewhere())
        }
        Folder::Hidden { reason } => Finding::problem(check, format!("{name} {reason}"), elsewhere()),
        Folder::There { owner, .. } if *owner != rights.user && !rights.is_root() => {
            Finding::problem(check, format!("{name} belongs to another user ({owner})"), elsewhere())
        }
        Folder::There { content: Err(error), .. } => refused(path, error, elsewhere()),
        Folder::There { mode, .. } if mode & 0o077 != 0 => Finding::warning(
            check,
            format!("{name} can be looked into by others (mode {mode:03o})"),
            Fix::run(format!("chmod 700 {}", quoted(path))),
        ),
        Folder::There { .. } => Finding::ok(check, format!("{name}, closed to others")),
    }
}

/// Why the store would refuse the folder.
fn refused(path: &Path, error: &StoreError, elsewhere: Fix) -> Finding {
    let name = path.display();
    let (says, fix) = match error {
        StoreError::Version { found, .. } => (
            format!("{name} has the format '{found}', which this release does not know"),
            Fix::advice("use the clmsfs that wrote it, or another folder with --cache-dir"),
        ),
        StoreError::Foreign { found, .. } => {
            (format!("{name} is not a cache: it holds {}", found.display()), elsewhere)
        }
        StoreError::Io { path, source } => {
            let fix = Trouble::of(source).map_or(elsewhere, |trouble| Fix::advice(trouble.way_out()));
            (format!("{}: {source}", path.display()), fix)
        }
        other => (other.to_string(), elsewhere),
    };
    Finding::problem(Check::CacheFolder, says, fix)
}

/// What statfs(2) says of the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Disk {
    /// Kind of file system, by the numbers of linux/magic.h.
    kind: i64,
    /// Bytes in all.
    total: u64,
    /// Bytes that are free for this user.
    free: u64,
    /// Inodes in all; 0 where they are made as needed.
    inodes: u64,
    /// Inodes that are free.
    free_inodes: u64,
}

impl Disk {
    /// Of the folder, or where it will be.
    pub(super) fn read(path: &Path) -> io::Result<Self> {
        let text = CString::new(nearest(path).as_os_str().as_bytes())?;
        let mut answer = std::mem::MaybeUninit::<libc::statfs>::uninit();
        // SAFETY: `text` is NUL-terminated and `answer` has room for a statfs.
        if unsafe { libc::statfs(text.as_ptr(), answer.as_mut_ptr()) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: statfs answered 0, so it filled the structure.
        let answer = unsafe { answer.assume_init() };
        let block = u64::try_from(answer.f_bsize).unwrap_or(0);
        Ok(Self {
            kind: answer.f_type,
            total: answer.f_blocks.saturating_mul(block),
            free: answer.f_bavail.saturating_mul(block),
            inodes: answer.f_files,
            free_inodes: answer.f_ffree,
        })
    }
}

/// File systems that a cache is badly kept on: number, name, and why.
const ODD_KINDS: [(i64, &str, &str); 9] = [
    (0x0102_1994, "tmpfs", IN_MEMORY),
    (0x8584_58f6, "ramfs", IN_MEMORY),
    (0x6969, "NFS", NETWORK),
    (0xff53_4d42, "CIFS", NETWORK),
    (0xfe53_4d42, "SMB", NETWORK),
    (0x0102_1997, "9p", NETWORK),
    (0x00c3_6400, "CephFS", NETWORK),
    (0x6573_5546, "FUSE", "locks, syncs and passthrough are that file system's"),
    (0x794c_7630, "overlayfs", "a container's own layer goes with the container, and has no passthrough"),
];
const IN_MEMORY: &str = "it takes memory, and is gone when the machine restarts";
const NETWORK: &str = "slower than a disk, and only as safe as its locks";

/// Whether the disk is one to keep a cache on.
pub(super) fn kind(disk: &Disk) -> Finding {
    let check = Check::CacheDisk;
    match ODD_KINDS.iter().find(|(number, ..)| *number == disk.kind) {
        None => Finding::ok(check, "a local file system"),
        Some((_, name, why)) => Finding::warning(
            check,
            format!("the cache lies on {name}: {why}"),
            Fix::advice("name a folder on a local disk with --cache-dir"),
        ),
    }
}

/// Whether the disk has room for the cache; `used` is what the cache takes already, where that could be counted.
pub(super) fn space(disk: &Disk, used: Option<u64>, budget: ByteSize, floor: ByteSize) -> Finding {
    let check = Check::CacheSpace;
    let free = ByteSize(disk.free).rounded();
    if disk.free < floor.bytes() {
        return Finding::problem(
            check,
            format!("{free} free, and free_space_floor is {floor}: nothing is fetched"),
            Fix::advice("make room on the disk, evict (clmsfs cache evict), or lower free_space_floor"),
        );
    }
    let room = disk.free - floor.bytes();
    if let Some(reach) = used.map(|used| used.saturating_add(room)).filter(|reach| *reach < budget.bytes()) {
        return Finding::warning(
            check,
            format!("cache_size is {budget}, and the disk has room for {}", ByteSize(reach).rounded()),
            Fix::advice("lower cache_size, or make room: what is fetched beyond pushes other products out"),
        );
    }
    if budget.bytes() > disk.total {
        return Finding::warning(
            check,
            format!("cache_size is {budget}, and the whole disk {}", ByteSize(disk.total).rounded()),
            Fix::advice("lower cache_size"),
        );
    }
    let used =
        used.map_or_else(String::new, |used| format!("{} of {budget} used, ", ByteSize(used).rounded()));
    Finding::ok(check, format!("{used}{free} free on the disk"))
}

/// Whether the disk has inodes for the cache.
pub(super) fn inodes(disk: &Disk) -> Finding {
    let check = Check::CacheInodes;
    let free = disk.free_inodes;
    let fix = || Fix::advice("delete small files (df -i shows where inodes are used up)");
    match (disk.inodes, free) {
        (0, _) => Finding::ok(check, "this file system makes them as needed"),
        (_, ..FEWEST_INODES) => Finding::problem(check, format!("only {free} are free"), fix()),
        (_, ..FEW_INODES) => Finding::warning(check, format!("only {free} are free"), fix()),
        _ => Finding::ok(check, format!("{free} are free")),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::super::finding::Outcome::{Ok as Fine, Problem, Warning};
    use super::super::finding::tests::expect;
    use super::*;

    const GB: u64 = 1_000_000_000;
    const DISK: Disk =
        Disk { kind: 0xef53, total: 500 * GB, free: 100 * GB, inodes: 1_000_000, free_inodes: 900_000 };

    #[test]
    fn a_folder_is_judged_as_a_mount_would() {
        let rights = Rights::read();
        let dir = tempfile::tempdir().unwrap();
        let judged = |path: &Path| folder(path, &Folder::read(path), rights);
        let new = dir.path().join("a/b");
        expect(&judged(&new), Fine, &["will be made"]);
        let cache = dir.path().join("cache");
        drop(layout::CacheDir::open(&cache).unwrap());
        expect(&judged(&cache), Fine, &["closed to others"]);
        fs::set_permissions(&cache, fs::Permissions::from_mode(0o755)).unwrap();
        expect(&judged(&cache), Warning, &["mode 755", "chmod 700 /"]);
        fs::write(cache.join("VERSION"), "clmsfs-cache 99\n").unwrap();
        expect(&judged(&cache), Problem, &["'clmsfs-cache 99'", "use the clmsfs that wrote it"]);
        fs::remove_file(cache.join("VERSION")).unwrap();
        fs::create_dir(cache.join("VERSION")).unwrap();
        expect(&judged(&cache), Problem, &["Is a directory", "--cache-dir"]);
        let home = dir.path().join("home");
        fs::create_dir(&home).unwrap();
        fs::write(home.join("thesis.tex"), "").unwrap();
        expect(&judged(&home), Problem, &["is not a cache", "thesis.tex", "--cache-dir"]);
        expect(&judged(&home.join("thesis.tex")), Problem, &["is no folder"]);
        expect(&judged(&home.join("thesis.tex/x")), Problem, &["Not a directory"]);
    }

    #[test]
    fn a_folder_of_somebody_else() {
        let path = Path::new("/srv/cache");
        let there = |owner| Folder::There { mode: 0o700, owner, content: Ok(()) };
        expect(&folder(path, &there(7), Rights::USER), Problem, &["another user (7)", "--cache-dir"]);
        expect(&folder(path, &there(7), Rights::ROOT), Fine, &[]);
        expect(&folder(path, &there(1000), Rights::USER), Fine, &[]);
        let closed = Folder::New { above: "/srv".into(), may_make: false };
        expect(&folder(path, &closed, Rights::USER), Problem, &["cannot be made in /srv"]);
    }

    #[test]
    fn kinds_of_disks() {
        let on = |number| kind(&Disk { kind: number, ..DISK });
        expect(&on(0xef53), Fine, &[]);
        expect(&on(0x9123_683e), Fine, &[]);
        expect(&on(0x0102_1994), Warning, &["tmpfs", "--cache-dir"]);
        expect(&on(0x6969), Warning, &["NFS"]);
        assert_eq!(Disk::read(Path::new("/proc/self/new")).unwrap().kind, 0x9fa0, "of the folder above");
    }

    #[test]
    fn room() {
        let judged = |free: u64, used: Option<u64>, budget: u64, floor: u64| {
            let used = used.map(|used| used * GB);
            space(&Disk { free: free * GB, ..DISK }, used, ByteSize(budget * GB), ByteSize(floor * GB))
        };
        expect(&judged(100, Some(20), 50, 1), Fine, &["20.0 GB of 50GB used", "100.0 GB free"]);
        expect(&judged(31, Some(20), 50, 1), Fine, &[]);
        expect(&judged(100, None, 50, 1), Fine, &["100.0 GB free"]);
        expect(&judged(1, Some(49), 50, 2), Problem, &["1.0 GB free", "nothing is fetched", "cache evict"]);
        expect(&judged(30, Some(20), 50, 1), Warning, &["50GB", "room for 49.0 GB"]);
        expect(&judged(30, None, 501, 1), Warning, &["whole disk 500.0 GB"]);
    }

    #[test]
    fn inodes_run_out() {
        let judged = |inodes, free_inodes| self::inodes(&Disk { inodes, free_inodes, ..DISK });
        expect(&judged(0, 0), Fine, &["as needed"]);
        expect(&judged(1_000_000, 20_000), Fine, &["20000"]);
        expect(&judged(1_000_000, 19_999), Warning, &["df -i"]);
        expect(&judged(1_000_000, 999), Problem, &["only 999"]);
    }
}
