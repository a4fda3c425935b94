//! The read-only half of what pjdfstest asks: every call that changes something is refused on every kind of node, names and
//! paths that cannot be are told apart, and no attempt to write costs an order.
//!
//! pjdfstest itself needs a file system on which it can first create what it then looks at.

use std::ffi::{CString, OsStr};
use std::io;
use std::os::unix::ffi::OsStrExt;

use std::path::{Path, PathBuf};

use crate::support::packages::Pixels;
use crate::support::process::{self, Reader};
use crate::support::{Mount, Package, Stage, xattr};

const QUICK: &str = "queued = '10ms'\nrunning = '10ms'\n";

fn c(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).unwrap()
}

/// 0, or the errno of a call that answers -1.
fn outcome(result: i32) -> i32 {
    if result == -1 { io::Error::last_os_error().raw_os_error().unwrap() } else { 0 }
}

/// The errno of open(2) with these flags; 0 where it opens.
fn open(path: &Path, flags: i32) -> i32 {
    // SAFETY: the path ends with NUL.
    let file = unsafe { libc::open(c(path).as_ptr(), flags | libc::O_CLOEXEC, 0o644) };
    if file == -1 {
        return outcome(file);
    }
    // SAFETY: just opened, closed once.
    unsafe { libc::close(file) };
    0
}

/// The errno of a call on a descriptor that was opened for reading.
fn opened(path: &Path, flags: i32, call: impl Fn(i32) -> i32) -> i32 {
    // SAFETY: the path ends with NUL.
    let file = unsafe { libc::open(c(path).as_ptr(), flags | libc::O_CLOEXEC) };
    assert!(file >= 0, "{}: {}", path.display(), io::Error::last_os_error());
    let result = outcome(call(file));
    // SAFETY: opened above, closed once.
    unsafe { libc::close(file) };
    result
}

struct Tree {
    mount: Mount,
    files: Vec<PathBuf>,
    folders: Vec<PathBuf>,
    cold: PathBuf,
    simulator: crate::support::Simulator,
    _stage: Stage,
}

/// A mount with a node of every kind.
fn tree() -> Option<Tree> {
    let stage = Stage::shared()?;
    for name in ["here", "cold"] {
        Package::new(name, Pixels::Classes, 600).write(&stage.data());
    }
    let simulator = stage.simulator(QUICK);
    let mount = stage.mount(&simulator).start();
    mount.cat("here").success();
    let (root, here, cold) = (mount.point().to_owned(), mount.product("here"), mount.product("cold"));
    let dataset = here.parent().unwrap().to_owned();
    let side: Vec<PathBuf> = crate_files(&here.join("original"));
    let mut files = vec![
        root.join("README.md"),
        root.join("catalog.json"),
        root.join(".clmsfs/version"),
        dataset.join("collection.json"),
        here.join("item.json"),
        here.join("here.tif"),
        here.join("preview.png"),
        here.join("here.zarr/zarr.json"),
        here.join("here.zarr/0/0.0"),
        cold.join("cold.zarr/zarr.json"),
        cold.join("cold.tif"),
    ];
    files.retain(|path| path.exists());
    assert!(files.len() >= 9, "{files:?}");
    files.extend(side.first().cloned());
    let folders = vec![
        root.clone(),
        root.join(".clmsfs"),
        dataset,
        here.clone(),
        here.join("here.zarr"),
        here.join("original"),
        cold.clone(),
        cold.join("cold.zarr"),
    ];
    let cold = cold.join("cold.tif");
    simulator.reset_when_quiet();
    Some(Tree { mount, files, folders, cold, simulator, _stage: stage })
}

fn crate_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(crate_files(&path)) } else { found.push(path) }
    }
    found
}

impl Tree {
    /// Nothing was ordered, nothing has changed.
    #[track_caller]
    fn untouched(&self) {
        assert_eq!(self.mount.state("cold"), "cold");
        assert_eq!(self.simulator.requests().count("post"), 0, "{:?}", self.simulator.requests());
        assert_eq!(std::fs::metadata(&self.cold).unwrap().len(), 0);
    }
}

#[track_caller]
fn expect(what: &str, path: &Path, errno: i32, allowed: &[i32]) {
    let name = |errno: &i32| io::Error::from_raw_os_error(*errno).to_string();
    let wanted: Vec<String> = allowed.iter().map(name).collect();
    assert!(allowed.contains(&errno), "{what} {}: {} instead of {wanted:?}", path.display(), name(&errno));
}

const EROFS: &[i32] = &[libc::EROFS];

#[test]
fn every_change_of_what_is_there_is_refused() {
    let Some(tree) = tree() else { return };
    for path in tree.files.iter().chain(&tree.folders) {
        let is_folder = path.is_dir();
        let is_root = *path == tree.mount.point();
        let p = c(path);
        let other = c(&path.parent().unwrap().join("another-name"));
        let beside = if is_root { c(&path.join("x")) } else { other };
        let times = [libc::timespec { tv_sec: 0, tv_nsec: 0 }; 2];
        // SAFETY: all paths end with NUL, all buffers live through the calls and are as long as is said.
        let calls: Vec<(&str, i32)> = unsafe {
            vec![
                ("chmod", outcome(libc::chmod(p.as_ptr(), 0o777))),
                ("chown", outcome(libc::chown(p.as_ptr(), 1, 1))),
                ("lchown", outcome(libc::lchown(p.as_ptr(), 1, 1))),
                ("utimensat", outcome(libc::utimensat(libc::AT_FDCWD, p.as_ptr(), times.as_ptr(), 0))),
                ("touch", outcome(libc::utimensat(libc::AT_FDCWD, p.as_ptr(), std::ptr::null(), 0))),
                (
                    "setxattr",
                    outcome(libc::setxattr(p.as_ptr(), c"user.x".as_ptr(), [0u8].as_ptr().cast(), 1, 0)),
                ),
                ("removexattr", outcome(libc::removexattr(p.as_ptr(), c"user.clmsfs.state".as_ptr()))),
                (
                    "link",
                    if is_folder { libc::EROFS } else { outcome(libc::link(p.as_ptr(), beside.as_ptr())) },
                ),
                ("truncate", if is_folder { libc::EROFS } else { outcome(libc::truncate(p.as_ptr(), 0)) }),
            ]
        };
        for (what, errno) in calls {
            expect(what, path, errno, EROFS);
        }
        // SAFETY: as above.
        let (rename, unlink, rmdir, mkdir, mknod) = unsafe {
            (
                outcome(libc::rename(p.as_ptr(), beside.as_ptr())),
                outcome(libc::unlink(p.as_ptr())),
                outcome(libc::rmdir(p.as_ptr())),
                outcome(libc::mkdir(p.as_ptr(), 0o755)),
                outcome(libc::mknod(p.as_ptr(), libc::S_IFREG | 0o644, 0)),
            )
        };
        let busy: &[i32] = &[libc::EROFS, libc::EBUSY, libc::EXDEV, libc::EINVAL];
        expect("rename", path, rename, if is_root { busy } else { EROFS });
        expect("unlink", path, unlink, if is_folder { &[libc::EISDIR, libc::EBUSY] } else { EROFS });
        expect(
            "rmdir",
            path,
            rmdir,
            if is_root {
                busy
            } else if is_folder {
                EROFS
            } else {
                &[libc::ENOTDIR]
            },
        );
        // what is there already is told before what cannot be
        expect("mkdir", path, mkdir, &[libc::EEXIST]);
        expect("mknod", path, mknod, &[libc::EEXIST]);
    }
    tree.untouched();
}

#[test]
fn nothing_new_can_be_made() {
    let Some(tree) = tree() else { return };
    for folder in &tree.folders {
        let path = folder.join("new");
        let p = c(&path);
        let to = c(&tree.files[0]);
        // SAFETY: all paths end with NUL.
        let calls = unsafe {
            [
                ("mkdir", outcome(libc::mkdir(p.as_ptr(), 0o755))),
                ("mkfifo", outcome(libc::mkfifo(p.as_ptr(), 0o644))),
                ("mknod", outcome(libc::mknod(p.as_ptr(), libc::S_IFREG | 0o644, 0))),
                ("mknod of a socket", outcome(libc::mknod(p.as_ptr(), libc::S_IFSOCK | 0o644, 0))),
                ("symlink", outcome(libc::symlink(c"x".as_ptr(), p.as_ptr()))),
                ("link", outcome(libc::link(to.as_ptr(), p.as_ptr()))),
                ("rename", outcome(libc::rename(to.as_ptr(), p.as_ptr()))),
            ]
        };
        for (what, errno) in calls {
            expect(what, &path, errno, EROFS);
        }
        for flags in [libc::O_RDONLY, libc::O_WRONLY, libc::O_RDWR, libc::O_WRONLY | libc::O_EXCL] {
            expect("open O_CREAT", &path, open(&path, flags | libc::O_CREAT), EROFS);
        }
        expect(
            "open O_TMPFILE",
            folder,
            open(folder, libc::O_TMPFILE | libc::O_RDWR),
            &[libc::EROFS, libc::EOPNOTSUPP],
        );
        expect("open", &path, open(&path, libc::O_RDONLY), &[libc::ENOENT]);
        // SAFETY: as above.
        let (unlink, rmdir) =
            unsafe { (outcome(libc::unlink(p.as_ptr())), outcome(libc::rmdir(p.as_ptr()))) };
        expect("unlink", &path, unlink, &[libc::ENOENT, libc::EROFS]);
        expect("rmdir", &path, rmdir, &[libc::ENOENT, libc::EROFS]);
    }
    tree.untouched();
}

#[test]
fn open_flags_that_write_are_refused_without_an_order() {
    let Some(tree) = tree() else { return };
    for path in &tree.files {
        for flags in [
            libc::O_WRONLY,
            libc::O_RDWR,
            libc::O_WRONLY | libc::O_APPEND,
            libc::O_WRONLY | libc::O_TRUNC,
            libc::O_RDWR | libc::O_TRUNC,
            libc::O_RDWR | libc::O_CREAT,
            libc::O_WRONLY | libc::O_NONBLOCK,
        ] {
            expect(&format!("open {flags:#o}"), path, open(path, flags), EROFS);
        }
        expect("O_CREAT|O_EXCL", path, open(path, libc::O_CREAT | libc::O_EXCL), &[libc::EEXIST]);
        expect("O_DIRECTORY", path, open(path, libc::O_DIRECTORY), &[libc::ENOTDIR]);
        expect("O_PATH", path, open(path, libc::O_PATH), &[0]);
        expect("O_PATH|O_NOFOLLOW", path, open(path, libc::O_PATH | libc::O_NOFOLLOW), &[0]);
    }
    for folder in &tree.folders {
        expect("O_RDONLY", folder, open(folder, libc::O_RDONLY | libc::O_DIRECTORY), &[0]);
        for flags in [libc::O_WRONLY, libc::O_RDWR, libc::O_RDONLY | libc::O_TRUNC, libc::O_CREAT] {
            expect(&format!("open {flags:#o}"), folder, open(folder, flags), &[libc::EISDIR]);
        }
    }
    tree.untouched();
}

/// Found with this test: the kernel opened first and truncated then, so that the product was ordered to be refused.
#[test]
fn opening_a_cold_file_to_empty_it_orders_nothing() {
    let Some(tree) = tree() else { return };
    for path in &tree.files {
        expect("O_RDONLY|O_TRUNC", path, open(path, libc::O_RDONLY | libc::O_TRUNC), EROFS);
    }
    tree.untouched();
}

#[test]
fn descriptors_that_read_cannot_write() {
    let Some(tree) = tree() else { return };
    for path in tree.files.iter().filter(|path| !path.to_string_lossy().contains("/cold/")) {
        let read = |call: &dyn Fn(i32) -> i32| opened(path, libc::O_RDONLY, call);
        let byte = [0u8];
        // SAFETY: the descriptor is open in each call, the buffer one byte long.
        unsafe {
            expect(
                "write",
                path,
                read(&|fd| libc::write(fd, byte.as_ptr().cast(), 1) as i32),
                &[libc::EBADF],
            );
            expect("ftruncate", path, read(&|fd| libc::ftruncate(fd, 0)), &[libc::EINVAL, libc::EBADF]);
            expect("fallocate", path, read(&|fd| libc::fallocate(fd, 0, 0, 1)), &[libc::EBADF]);
            expect("fchmod", path, read(&|fd| libc::fchmod(fd, 0o777)), EROFS);
            expect("fchown", path, read(&|fd| libc::fchown(fd, 1, 1)), EROFS);
            expect("futimens", path, read(&|fd| libc::futimens(fd, std::ptr::null())), EROFS);
            let set = |fd| libc::fsetxattr(fd, c"user.x".as_ptr(), byte.as_ptr().cast(), 1, 0);
            expect("fsetxattr", path, read(&set), EROFS);
            expect(
                "fremovexattr",
                path,
                read(&|fd| libc::fremovexattr(fd, c"user.clmsfs.state".as_ptr())),
                EROFS,
            );
            let map = |fd| {
                let length = 1;
                let flags = libc::MAP_SHARED;
                let start = libc::mmap(std::ptr::null_mut(), length, libc::PROT_WRITE, flags, fd, 0);
                if start == libc::MAP_FAILED { -1 } else { libc::munmap(start, length) }
            };
            expect("mmap to write", path, read(&map), &[libc::EACCES]);
            // and what only looks like writing is fine
            expect("flock", path, read(&|fd| libc::flock(fd, libc::LOCK_SH | libc::LOCK_NB)), &[0]);
            expect("fsync", path, read(&|fd| libc::fsync(fd)), &[0]);
        }
    }
    tree.untouched();
}

#[test]
fn names_and_paths_that_cannot_be_are_told_apart() {
    let Some(tree) = tree() else { return };
    let long = |length: usize| "n".repeat(length);
    for folder in &tree.folders {
        let errno = |name: &str| {
            let path = folder.join(name);
            let found = std::fs::symlink_metadata(&path);
            found.err().and_then(|error| error.raw_os_error()).unwrap_or(0)
        };
        expect("255 bytes", folder, errno(&long(255)), &[libc::ENOENT]);
        for length in [256, 1000] {
            expect("a long name", folder, errno(&long(length)), &[libc::ENAMETOOLONG]);
            let path = folder.join(long(length));
            expect("open", folder, open(&path, libc::O_RDONLY), &[libc::ENAMETOOLONG]);
            // SAFETY: the paths end with NUL.
            let (mkdir, rename) = unsafe {
                let from = c(&tree.files[0]);
                (
                    outcome(libc::mkdir(c(&path).as_ptr(), 0o755)),
                    outcome(libc::rename(from.as_ptr(), c(&path).as_ptr())),
                )
            };
            expect("mkdir", folder, mkdir, &[libc::ENAMETOOLONG]);
            expect("rename", folder, rename, &[libc::ENAMETOOLONG]);
        }
        expect("4096 bytes", folder, errno(&"./".repeat(2048)), &[libc::ENAMETOOLONG]);
        expect("no such name", folder, errno("nobody/knows"), &[libc::ENOENT]);
        let strange = folder.join(OsStr::from_bytes(b"\xff\xfe\x01"));
        let error = std::fs::symlink_metadata(&strange).unwrap_err();
        expect("not UTF-8", folder, error.raw_os_error().unwrap(), &[libc::ENOENT]);
        expect("empty", folder, open(Path::new(""), libc::O_RDONLY), &[libc::ENOENT]);
    }
    for file in &tree.files {
        let below = file.join("x");
        expect("below a file", &below, open(&below, libc::O_RDONLY), &[libc::ENOTDIR]);
        let slash = PathBuf::from(format!("{}/", file.display()));
        expect("a slash after a file", &slash, open(&slash, libc::O_PATH), &[libc::ENOTDIR]);
        let target = std::fs::read_link(file).unwrap_err();
        expect("readlink", file, target.raw_os_error().unwrap(), &[libc::EINVAL]);
    }
    // links from outside lead in, and circles of them end
    let folder = tree.mount.point().parent().unwrap();
    let (link, circle) = (folder.join("link"), folder.join("circle"));
    std::os::unix::fs::symlink(tree.mount.point(), &link).unwrap();
    std::os::unix::fs::symlink(&circle, &circle).unwrap();
    assert!(link.join("README.md").is_file());
    expect("a circle", &circle, open(&circle.join("README.md"), libc::O_RDONLY), &[libc::ELOOP]);
    expect("O_NOFOLLOW", &link, open(&link, libc::O_RDONLY | libc::O_NOFOLLOW), &[libc::ELOOP]);
    expect("O_NOFOLLOW", &link, open(&link.join("README.md"), libc::O_RDONLY | libc::O_NOFOLLOW), &[0]);
    tree.untouched();
}

#[test]
fn access_and_stat_tell_what_holds() {
    let Some(tree) = tree() else { return };
    for path in tree.files.iter().chain(&tree.folders) {
        let folder = path.is_dir();
        // SAFETY: the path ends with NUL.
        let access = |mode| outcome(unsafe { libc::access(c(path).as_ptr(), mode) });
        expect("F_OK", path, access(libc::F_OK), &[0]);
        expect("R_OK", path, access(libc::R_OK), &[0]);
        expect("W_OK", path, access(libc::W_OK), EROFS);
        expect("X_OK", path, access(libc::X_OK), if folder { &[0] } else { &[libc::EACCES] });
        let mut told = std::mem::MaybeUninit::<libc::statx>::zeroed();
        // SAFETY: the path ends with NUL, `told` has room for the answer.
        let told = unsafe {
            let status = libc::statx(libc::AT_FDCWD, c(path).as_ptr(), 0, libc::STATX_ALL, told.as_mut_ptr());
            assert_eq!(outcome(status), 0);
            told.assume_init()
        };
        let plain = std::fs::metadata(path).unwrap();
        use std::os::unix::fs::MetadataExt;
        assert_eq!((told.stx_ino, told.stx_size), (plain.ino(), plain.len()), "{}", path.display());
        let (kind, mode) = (u32::from(told.stx_mode) & libc::S_IFMT, u32::from(told.stx_mode) & 0o7777);
        assert_eq!((kind, mode), if folder { (libc::S_IFDIR, 0o555) } else { (libc::S_IFREG, 0o444) });
        assert!(told.stx_mtime.tv_sec >= 0);
        assert!(xattr::list(path).is_ok());
    }
    // noexec, whatever the bits say
    let script = tree.mount.point().join("README.md");
    let refused = std::process::Command::new(&script).spawn().map(|_| ()).unwrap_err();
    assert_eq!(refused.raw_os_error(), Some(libc::EACCES), "{refused}");
    tree.untouched();
}

#[test]
fn other_users_are_refused_as_well() {
    let Some(stage) = Stage::shared() else { return };
    // SAFETY: takes nothing, always succeeds.
    if unsafe { libc::geteuid() } != 0 {
        eprintln!("SKIPPED: only root can become somebody else");
        return;
    }
    use std::os::unix::fs::PermissionsExt;
    Package::new("here", Pixels::Classes, 300).write(&stage.data());
    let simulator = stage.simulator(QUICK);
    std::fs::set_permissions(stage.folder(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let nobody = |program: &str, arguments: &[&OsStr]| {
        let mut command = process::command_as(65_534, program);
        command.args(arguments).current_dir("/");
        Reader::spawn(command).finish()
    };
    // without allow_other the mount is the owner's alone
    let mut mount = stage.mount(&simulator).start();
    mount.cat("here").success();
    let (tif, folder) = (mount.tif("here"), mount.product("here"));
    let refused = nobody("cat", &[tif.as_os_str()]);
    assert!(refused.stderr.contains("Permission denied"), "{}", refused.stderr);
    assert!(mount.terminate().success());
    drop(mount);

    let mount = stage.mount(&simulator).switch("--allow-other").start();
    nobody("cat", &[tif.as_os_str()]).success();
    let new = folder.join("new");
    for (program, arguments) in [
        ("touch", vec![new.as_os_str()]),
        ("mkdir", vec![new.as_os_str()]),
        ("rm", vec!["-f".as_ref(), tif.as_os_str()]),
        ("chmod", vec!["777".as_ref(), tif.as_os_str()]),
        ("truncate", vec!["-s0".as_ref(), tif.as_os_str()]),
        ("mv", vec![tif.as_os_str(), new.as_os_str()]),
        ("ln", vec![tif.as_os_str(), new.as_os_str()]),
    ] {
        let ended = nobody(program, &arguments);
        let told = &ended.stderr;
        assert!(!ended.status.success(), "{program}");
        let refused = ["Read-only", "Operation not permitted", "Permission denied"];
        assert!(refused.iter().any(|words| told.contains(words)), "{program}: {told}");
    }
    let mut command = process::command_as(65_534, "setfattr");
    command.args(["-n", "user.clmsfs.pinned", "-v", "1"]).arg(&folder).current_dir("/");
    let pinned = Reader::spawn(command).finish();
    assert!(!pinned.status.success(), "pins are the owner's: {}", pinned.stderr);
    assert_eq!(mount.attribute("here", "pinned"), "0");
    assert_eq!(mount.state("here"), "ready");
}
