//! Every way of reading gives the same bytes, of cold and of ready files, with passthrough and without: pread, mmap, sendfile,
//! splice, copy_file_range, O_DIRECT, and the programs that use them.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::support::disk::SmallDisk;
use crate::support::packages::Pixels;
use crate::support::process::{self, Reader};
use crate::support::{Mount, Package, Stage, raster, wait};

const QUICK: &str = "queued = '10ms'\nrunning = '10ms'\n";

/// A mapped file; unmapped when dropped.
struct Map {
    start: *mut libc::c_void,
    length: usize,
}

impl Map {
    #[track_caller]
    fn of(file: &File) -> Self {
        let length = file.metadata().unwrap().len() as usize;
        // SAFETY: a new private mapping of an open file, at an address of the kernel's choice.
        let start = unsafe {
            libc::mmap(std::ptr::null_mut(), length, libc::PROT_READ, libc::MAP_PRIVATE, file.as_raw_fd(), 0)
        };
        assert!(start != libc::MAP_FAILED, "{}", std::io::Error::last_os_error());
        Self { start, length }
    }

    fn bytes(&self) -> &[u8] {
        // SAFETY: mapped until drop, that long, and nobody writes there.
        unsafe { std::slice::from_raw_parts(self.start.cast(), self.length) }
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        // SAFETY: the mapping that was made in `of`, unmapped once.
        unsafe { libc::munmap(self.start, self.length) };
    }
}

/// Copies through one of the kernel's ways of copying.
fn by_kernel(path: &Path, copy: impl Fn(i32, i32, usize) -> isize, through_pipe: bool) -> Vec<u8> {
    let source = File::open(path).unwrap();
    let mut target = tempfile::tempfile().unwrap();
    let mut pipe = [0; 2];
    // SAFETY: room for two descriptors.
    assert_eq!(unsafe { libc::pipe(pipe.as_mut_ptr()) }, 0);
    loop {
        let into = if through_pipe { pipe[1] } else { target.as_raw_fd() };
        let count = copy(source.as_raw_fd(), into, 60_000);
        assert!(count >= 0, "{}: {}", path.display(), std::io::Error::last_os_error());
        if count == 0 {
            break;
        }
        if through_pipe {
            let mut buffer = vec![0; count as usize];
            // SAFETY: the pipe is open, the buffer as long as is said.
            let read = unsafe { libc::read(pipe[0], buffer.as_mut_ptr().cast(), buffer.len()) };
            assert_eq!(read, count);
            std::io::Write::write_all(&mut target, &buffer).unwrap();
        }
    }
    for end in pipe {
        // SAFETY: both ends are ours and are closed once.
        unsafe { libc::close(end) };
    }
    let mut bytes = Vec::new();
    target.seek(SeekFrom::Start(0)).unwrap();
    target.read_to_end(&mut bytes).unwrap();
    bytes
}

fn by_sendfile(path: &Path) -> Vec<u8> {
    // SAFETY: both descriptors are open; no offset is given.
    let send = |from, to, count| unsafe { libc::sendfile(to, from, std::ptr::null_mut(), count) };
    by_kernel(path, send, false)
}

/// Reads with O_DIRECT, in blocks.
fn direct(path: &Path) -> Vec<u8> {
    process::run(
        "dd",
        &["iflag=direct".as_ref(), "bs=64K".as_ref(), "status=none".as_ref(), if_(path).as_os_str()],
    )
    .success()
    .stdout
}

fn if_(path: &Path) -> std::ffi::OsString {
    let mut text = std::ffi::OsString::from("if=");
    text.push(path);
    text
}

/// What a program makes of the file, in `folder`.
fn copied(program: &str, options: &[&str], path: &Path, folder: &Path) -> Vec<u8> {
    let target = folder.join(format!("copy-by-{program}"));
    let mut command = process::command(program);
    command.args(options).arg(path).arg(&target);
    Reader::spawn(command).finish().success();
    let bytes = std::fs::read(&target).unwrap();
    std::fs::remove_file(&target).unwrap();
    bytes
}

type Way = (&'static str, fn(&Path, &Path) -> Vec<u8>);

const WAYS: [Way; 11] = [
    ("cat", |path, _| process::run("cat", &[path]).success().stdout),
    ("pread", |path, _| {
        let file = File::open(path).unwrap();
        let mut bytes = vec![0; file.metadata().unwrap().len() as usize];
        // from the end to the beginning
        for at in (0..bytes.len()).step_by(5000).rev() {
            let end = (at + 5000).min(bytes.len());
            file.read_exact_at(&mut bytes[at..end], at as u64).unwrap();
        }
        bytes
    }),
    ("mmap", |path, _| Map::of(&File::open(path).unwrap()).bytes().to_vec()),
    ("sendfile", |path, _| by_sendfile(path)),
    ("splice", |path, _| {
        let splice = |from, to, count| {
            // SAFETY: both descriptors are open; no offsets are given.
            unsafe { libc::splice(from, std::ptr::null_mut(), to, std::ptr::null_mut(), count, 0) }
        };
        by_kernel(path, splice, true)
    }),
    ("copy_file_range", |path, _| {
        let copy = |from, to, count| {
            // SAFETY: both descriptors are open; no offsets are given.
            let copied = unsafe {
                libc::copy_file_range(from, std::ptr::null_mut(), to, std::ptr::null_mut(), count, 0)
            };
            let refused = std::io::Error::last_os_error().raw_os_error();
            if copied < 0 && matches!(refused, Some(libc::EXDEV | libc::EOPNOTSUPP | libc::EINVAL)) {
                // between file systems of two kinds the kernel refuses since 5.19, and programs go on like this
                // SAFETY: as above.
                return unsafe { libc::sendfile(to, from, std::ptr::null_mut(), count) };
            }
            copied
        };
        by_kernel(path, copy, false)
    }),
    ("dd iflag=direct", |path, _| direct(path)),
    ("head and tail", |path, _| {
        let head =
            process::run("head", &["-c".as_ref(), "10000".as_ref(), path.as_os_str()]).success().stdout;
        let tail =
            process::run("tail", &["-c".as_ref(), "+10001".as_ref(), path.as_os_str()]).success().stdout;
        [head, tail].concat()
    }),
    ("cp --reflink=auto", |path, folder| copied("cp", &["--reflink=auto"], path, folder)),
    ("cp -a --sparse=always", |path, folder| copied("cp", &["-a", "--sparse=always"], path, folder)),
    ("install", |path, folder| copied("install", &["-m644"], path, folder)),
];

fn every_way(passthrough: &str) {
    let Some(stage) = Stage::shared() else { return };
    let name = |number: usize| format!("way{number}");
    let sources: Vec<_> = (0..WAYS.len())
        .map(|number| Package::new(&name(number), Pixels::Noise, 300).write(&stage.data()))
        .collect();
    let simulator = stage.simulator(QUICK);
    let mount = stage.mount(&simulator).switch(&format!("--passthrough={passthrough}")).start();
    let folder = stage.folder();
    for (number, (way, read)) in WAYS.iter().enumerate() {
        let tif = mount.tif(&name(number));
        assert_eq!(std::fs::metadata(&tif).unwrap().len(), 0);
        let cold = read(&tif, folder);
        let reference = std::fs::read(&tif).unwrap();
        assert!(!reference.is_empty() && cold == reference, "{way}: {} of {}", cold.len(), reference.len());
        assert!(read(&tif, folder) == reference, "{way} of a ready file");
        assert_eq!(raster::checksums(&tif), raster::checksums(&sources[number]), "{way}");
    }
    let posts: u64 = (0..WAYS.len()).map(|number| simulator.requests().posts(&name(number))).sum();
    assert!(posts <= WAYS.len() as u64);
}

#[test]
fn every_way_of_reading_cold_and_ready_files_with_passthrough() {
    every_way("true");
}

#[test]
fn every_way_of_reading_cold_and_ready_files_through_the_program() {
    every_way("false");
}

/// The kernel passes nothing through to an overlayfs, and says so at the first attempt only.
#[test]
fn the_first_open_of_all_may_be_for_sendfile_where_passthrough_is_refused() {
    let Some(stage) = Stage::shared() else { return };
    Package::new("one", Pixels::Noise, 300).write(&stage.data());
    let simulator = stage.simulator(QUICK);
    let Some(disk) = SmallDisk::overlay(stage.folder()) else { return };
    let mount = stage.mount(&simulator).switch("--passthrough=true").cache(&disk.cache()).start();
    let tif = mount.tif("one");
    assert_eq!(std::fs::metadata(&tif).unwrap().len(), 0);
    let cold = by_sendfile(&tif);
    assert!(mount.log().contains("passthrough is not available"), "{}", mount.log());
    let reference = std::fs::read(&tif).unwrap();
    assert!(!cold.is_empty() && cold == reference, "{} of {}", cold.len(), reference.len());
}

/// Documents, chunks and whatever else is no whole file of the cache are never passed through.
#[test]
fn what_was_listed_cold_and_is_no_whole_file_can_be_sent_once_it_is_here() {
    let Some(stage) = Stage::shared() else { return };
    Package::new("one", Pixels::Noise, 300).write(&stage.data());
    let simulator = stage.simulator(QUICK);
    let mount = stage.mount(&simulator).switch("--passthrough=true").start();
    let paths = ["zarr.json", ".zmetadata", ".zgroup"].map(|name| mount.zarr("one").join(name));
    assert!(paths.iter().all(|path| std::fs::metadata(path).unwrap().len() == 0));
    mount.run(&["fetch", "data/one"]).success();
    for path in &paths {
        let sent = by_sendfile(path);
        assert!(!sent.is_empty() && sent == std::fs::read(path).unwrap(), "{}", path.display());
    }
}

#[test]
fn archivers_take_ready_files_whole_and_cold_ones_empty() {
    let Some(stage) = Stage::shared() else { return };
    for name in ["here", "cold"] {
        Package::new(name, Pixels::Noise, 300).write(&stage.data());
    }
    let simulator = stage.simulator(QUICK);
    let mount = stage.mount(&simulator).start();
    let bytes = mount.cat("here").success().stdout;
    let unpacked = stage.folder().join("unpacked");
    std::fs::create_dir(&unpacked).unwrap();
    let script = r#"tar -C "$1" -cf - here/here.tif cold/cold.tif | tar -C "$2" -xf -"#;
    let mut command = process::command("sh");
    let folder = mount.product("here").parent().unwrap().to_owned();
    command.args(["-c", script, "sh"]).arg(folder).arg(&unpacked);
    Reader::spawn(command).finish().success();
    assert!(std::fs::read(unpacked.join("here/here.tif")).unwrap() == bytes);
    if std::process::Command::new("rsync").arg("--version").output().is_ok() {
        let copy = |name: &str| {
            let mut command = process::command("rsync");
            command.arg("-a").arg(mount.tif(name)).arg(unpacked.join(format!("{name}-by-rsync")));
            Reader::spawn(command).finish()
        };
        copy("here").success();
        assert!(std::fs::read(unpacked.join("here-by-rsync")).unwrap() == bytes);
        // the shipped rules do not let backup programs order
        let refused = copy("cold");
        assert!(refused.stderr.contains("Permission denied"), "{}", refused.stderr);
        assert!(!unpacked.join("cold-by-rsync").exists());
    } else {
        eprintln!("SKIPPED: rsync is not installed");
    }
    // as the README says: tar does not open what has size 0
    assert_eq!(std::fs::metadata(unpacked.join("cold/cold.tif")).unwrap().len(), 0);
    assert_eq!(simulator.requests().posts("cold"), 0);
    assert_eq!(mount.state("cold"), "cold");
}

/// Evicting is refused while the file is open or mapped, whoever asks; its bytes stay, and the room comes back with its end.
fn held(mount: &Mount, bytes: &[u8], look: impl Fn() -> Vec<u8>) {
    let refused = mount.run(&["cache", "evict", "data/one"]);
    assert!(!refused.status.success() && refused.stderr.contains("being read"), "{}", refused.stderr);
    // room is wanted by another product, too, and is not taken from this one
    let wanted = mount.cat("two");
    assert!(wanted.stderr.contains("No space left on device"), "{}", wanted.stderr);
    assert!(look() == bytes);
    assert_eq!(mount.state("one"), "ready");
}

#[test]
fn what_is_open_or_mapped_is_not_evicted_and_its_room_comes_back_when_it_is_let_go() {
    let Some(stage) = Stage::shared() else { return };
    for name in ["one", "two"] {
        Package::new(name, Pixels::Ramps, 1200).write(&stage.data());
    }
    let simulator = stage.simulator(QUICK);
    let cache = stage.folder().join("cache");
    let budget = {
        let mount = stage.mount(&simulator).start();
        mount.cat("one").success();
        mount.disk_use() * 19 / 10
    };
    std::fs::remove_dir_all(&cache).unwrap();
    for passthrough in ["true", "false"] {
        let mut mount = stage
            .mount(&simulator)
            .flag("--cache-size", budget.to_string())
            .switch(&format!("--passthrough={passthrough}"))
            .start();
        let bytes = mount.cat("one").success().stdout;
        let full = mount.disk_use();

        let open = File::open(mount.tif("one")).unwrap();
        held(&mount, &bytes, || {
            let mut read = vec![0; bytes.len()];
            open.read_exact_at(&mut read, 0).unwrap();
            read
        });
        // the mapping outlives the descriptor
        let map = Map::of(&open);
        drop(open);
        if passthrough == "false" {
            held(&mount, &bytes, || map.bytes().to_vec());
        } else {
            // with passthrough it is a mapping of the cache's file: nobody tells us of it, and the file goes from the
            // cache; its bytes are the kernel's to keep until they are let go
            wait::until_true("it is evicted", || mount.run(&["cache", "evict", "data/one"]).status.success());
            assert!(map.bytes() == bytes);
            mount.cat("one").success();
            assert!(map.bytes() == bytes);
        }
        drop(map);
        wait::until_true("it can be evicted", || mount.run(&["cache", "evict", "data/one"]).status.success());
        let left = mount.disk_use();
        // the books have grown meanwhile
        assert!(left + bytes.len() as u64 * 9 / 10 <= full, "{left} of {full}");
        assert_eq!(mount.state("one"), "cold");
        wait::until_true("the other fits", || mount.cat("two").status.success());
        assert!(mount.terminate().success());
        drop(mount);
        std::fs::remove_dir_all(&cache).unwrap();
    }
}
