//! Ways out of the sandbox, each of them tried from inside: what a converter that a hostile file has taken over could do.

use std::ffi::CString;
use std::io;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::process::Command;

use super::child::{block_on, package, program};
use super::*;
use crate::ingest::child::run_with;

/// Tells the child where somebody listens: `<tcp port> <abstract name>`.
const LISTENERS: &str = "CLMSFS_TEST_LISTENERS";

/// The child's part: enters the sandbox and says what worked nevertheless.
pub(super) fn look_around() {
    let mut line = String::new();
    io::stdin().read_line(&mut line).unwrap();
    let job: IngestJob = serde_json::from_str(&line).unwrap();
    let walls = sandbox::enter(job.ground()).unwrap();
    let mut tried = Tried::default();
    if walls.landlock != "none" {
        files(&mut tried, &job);
    }
    if walls.system_calls {
        files_that_cannot_be_opened(&mut tried, &job);
        networks(&mut tried, &job);
        processes(&mut tried);
        the_system(&mut tried);
    }
    rights(&mut tried, &job);
    eprint!("{walls:?}; {} tried; holes: {:?}", tried.number, tried.holes);
    std::process::abort();
}

/// What was tried, and what worked.
#[derive(Default)]
struct Tried {
    number: usize,
    holes: Vec<&'static str>,
}

impl Tried {
    fn must_fail(&mut self, what: &'static str, worked: bool) {
        self.number += 1;
        if worked {
            self.holes.push(what);
        }
    }

    /// A system call with a result as `libc` gives it.
    fn call(&mut self, what: &'static str, result: i64) {
        self.must_fail(what, result >= 0);
    }
}

fn text(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).unwrap()
}

fn parent() -> i32 {
    // SAFETY: takes nothing and always succeeds.
    unsafe { libc::getppid() }
}

/// What Landlock keeps shut.
fn files(tried: &mut Tried, job: &IngestJob) {
    let outside = job.staging.parent().unwrap();
    let secret = outside.join("secret");
    tried.must_fail("read a stranger's file", fs::read(&secret).is_ok());
    tried.must_fail("read by way of ..", fs::read(job.staging.join("../secret")).is_ok());
    tried.must_fail("list a stranger's folder", fs::read_dir(outside).is_ok());
    tried.must_fail("write outside", fs::write(outside.join("new"), b"x").is_ok());
    tried.must_fail("append outside", fs::OpenOptions::new().append(true).open(&secret).is_ok());
    tried.must_fail("make a folder outside", fs::create_dir(outside.join("folder")).is_ok());
    tried.must_fail("delete outside", fs::remove_file(&secret).is_ok());
    tried.must_fail("move in", fs::rename(&secret, job.staging.join("secret")).is_ok());
    let mine = job.staging.join("mine");
    tried.must_fail("no staging", fs::write(&mine, b"x").is_err());
    tried.must_fail("move out", fs::rename(&mine, outside.join("mine")).is_ok());
    tried.must_fail("write the package", fs::OpenOptions::new().write(true).open(&job.package).is_ok());
    tried.must_fail("no package", fs::read(&job.package).is_err());
    for path in
        ["/etc/passwd", "/etc/shadow", "/proc/self/environ", "/proc/self/mem", "/proc/thread-self/status"]
    {
        tried.must_fail("read the system's files", fs::File::open(path).is_ok());
    }
    for path in ["/dev/fuse", "/dev/mem", "/dev/kmsg", "/dev/tty"] {
        tried.must_fail("open a device", fs::File::open(path).is_ok());
    }
    tried.must_fail("look into the parent", fs::File::open(format!("/proc/{}/mem", parent())).is_ok());
    tried.must_fail("list the parent's files", fs::read_dir(format!("/proc/{}/fd", parent())).is_ok());
    // SAFETY: the text ends with NUL and lives through the call.
    tried.call("truncate outside", unsafe { libc::truncate(text(&secret).as_ptr(), 0) }.into());
    let link = |from: &Path| std::os::unix::fs::symlink(from, job.staging.join("symlink"));
    tried.must_fail("make a symbolic link", link(Path::new("/etc/passwd")).is_ok());
    tried.must_fail("make a hard link", fs::hard_link(&job.package, job.staging.join("hard")).is_ok());
    for kind in [libc::S_IFCHR, libc::S_IFIFO, libc::S_IFSOCK] {
        let path = text(&job.staging.join("node"));
        // SAFETY: as above.
        tried.call(
            "make a device, pipe or socket",
            unsafe { libc::mknod(path.as_ptr(), kind | 0o600, 259) }.into(),
        );
    }
}

/// What Landlock does not look at.
fn files_that_cannot_be_opened(tried: &mut Tried, job: &IngestJob) {
    let secret = job.staging.parent().unwrap().join("secret");
    let path = text(&secret);
    let mode = <fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o777);
    tried.must_fail("change a mode", fs::set_permissions(&secret, mode).is_ok());
    tried.must_fail("change an owner", std::os::unix::fs::chown(&secret, Some(1), None).is_ok());
    // SAFETY: the texts end with NUL, the value has one byte, a null pointer means "now".
    unsafe {
        tried
            .call("change times", libc::utimensat(libc::AT_FDCWD, path.as_ptr(), std::ptr::null(), 0).into());
        let value = b"x".as_ptr().cast();
        let set = libc::setxattr(path.as_ptr(), c"user.x".as_ptr(), value, 1, 0);
        tried.call("set an attribute", set.into());
    }
}

fn networks(tried: &mut Tried, job: &IngestJob) {
    let listeners = std::env::var(LISTENERS).unwrap();
    let (port, name) = listeners.split_once(' ').unwrap();
    tried.must_fail("connect by TCP", TcpStream::connect(("127.0.0.1", port.parse().unwrap())).is_ok());
    tried.must_fail("have a UDP socket", UdpSocket::bind("127.0.0.1:0").is_ok());
    let socket = job.staging.parent().unwrap().join("socket");
    tried.must_fail("connect to a socket in the file system", UnixStream::connect(socket).is_ok());
    let hidden = SocketAddr::from_abstract_name(name).unwrap();
    tried.must_fail("connect to an abstract socket", UnixStream::connect_addr(&hidden).is_ok());
    for family in [libc::AF_NETLINK, libc::AF_PACKET, libc::AF_VSOCK, libc::AF_ALG] {
        // SAFETY: takes numbers.
        tried.call("have another socket", unsafe { libc::socket(family, libc::SOCK_RAW, 0) }.into());
    }
    // SAFETY: the parameters are a place of more than their 120 bytes.
    let ring = unsafe { libc::syscall(libc::SYS_io_uring_setup, 8, [0u8; 256].as_mut_ptr()) };
    tried.call("have a ring", ring);
}

fn processes(tried: &mut Tried) {
    tried.must_fail("run a program", Command::new("/bin/true").status().is_ok());
    let nothing = std::ptr::null::<u8>();
    let limit = libc::rlimit { rlim_cur: 3, rlim_max: 3 };
    let parent = parent();
    // SAFETY: numbers, null pointers where these are allowed, and a valid limit. A child of a fork that worked leaves at once.
    unsafe {
        let exec = libc::execv(c"/bin/true".as_ptr(), [std::ptr::null()].as_ptr());
        tried.call("become a program", exec.into());
        let fork = libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0);
        if fork == 0 {
            libc::_exit(0);
        }
        tried.call("make a process", fork);
        tried.call("signal the parent", libc::kill(parent, 0).into());
        tried.call("signal everybody", libc::kill(-1, 0).into());
        tried.call("signal a thread of the parent", libc::syscall(libc::SYS_tgkill, parent, parent, 0));
        tried.call("trace the parent", libc::ptrace(libc::PTRACE_SEIZE, parent, nothing, nothing));
        let read = libc::syscall(libc::SYS_process_vm_readv, parent, nothing, 0, nothing, 0, 0);
        tried.call("read the parent's memory", read);
        tried.call("hold the parent", libc::syscall(libc::SYS_pidfd_open, parent, 0));
        let limited = libc::prlimit(parent, libc::RLIMIT_NOFILE, &raw const limit, std::ptr::null_mut());
        tried.call("limit the parent", limited.into());
        tried.call("slow the parent down", libc::setpriority(libc::PRIO_PROCESS, parent as u32, 19).into());
    }
}

fn the_system(tried: &mut Tried) {
    let nothing = std::ptr::null::<u8>();
    // SAFETY: numbers, texts that end with NUL, and null pointers, which the kernel refuses by itself.
    unsafe {
        tried.call("have a user namespace", libc::unshare(libc::CLONE_NEWUSER).into());
        tried.call("have a mount namespace", libc::unshare(libc::CLONE_NEWNS).into());
        let tmpfs = c"tmpfs".as_ptr();
        tried.call("mount", libc::mount(tmpfs, c"/tmp".as_ptr(), tmpfs, 0, nothing.cast()).into());
        tried.call("unmount", libc::umount2(c"/proc".as_ptr(), libc::MNT_DETACH).into());
        tried.call("change the root", libc::chroot(c"/".as_ptr()).into());
        tried.call("load a program into the kernel", libc::syscall(libc::SYS_bpf, 0, nothing, 0));
        tried.call("have the keys", libc::syscall(libc::SYS_keyctl, 0, -3, 1));
        tried.call("share memory", libc::shmget(libc::IPC_PRIVATE, 4096, 0o600).into());
        tried.call("measure", libc::syscall(libc::SYS_perf_event_open, nothing, 0, -1, -1, 0));
        tried.call("handle page faults", libc::syscall(libc::SYS_userfaultfd, 0));
    }
}

fn rights(tried: &mut Tried, job: &IngestJob) {
    // SAFETY: numbers only. The bare system call: glibc's setuid insists that all threads (the test's own ones stand
    // outside the walls) change together.
    unsafe {
        tried.must_fail("have new privileges", libc::prctl(libc::PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1);
        tried.must_fail("change user", libc::syscall(libc::SYS_setuid, 12_345) == 0);
    }
    let limit = |resource| {
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: `limit` is a place for the answer.
        unsafe { libc::getrlimit(resource, &raw mut limit) };
        limit.rlim_max
    };
    tried.must_fail("leave a core", limit(libc::RLIMIT_CORE) != 0);
    tried.must_fail("have all memory", limit(libc::RLIMIT_AS) > job.limits.memory_bytes + (2 << 30));
    tried.must_fail("open thousands of files", limit(libc::RLIMIT_NOFILE) > job.limits.open_files);
    let all = usize::try_from(job.limits.memory_bytes).unwrap() + (2 << 30);
    let (read, private) = (libc::PROT_READ, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: a new mapping of nothing in particular.
    let mapped = unsafe { libc::mmap(std::ptr::null_mut(), all, read, private, -1, 0) };
    tried.must_fail("map more than the limit", mapped != libc::MAP_FAILED);
}

#[test]
fn the_walls_hold() {
    let shop = Workshop::new();
    let (package, _) = package(&shop);
    fs::write(shop.path("secret"), b"secret").unwrap();
    let before = fs::metadata(shop.path("secret")).unwrap();
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let socket = UnixListener::bind(shop.path("socket")).unwrap();
    let name = format!("clmsfs-walls-{}", std::process::id());
    let hidden = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    // The listeners are there: what fails below fails for the walls.
    drop(TcpStream::connect(tcp.local_addr().unwrap()).unwrap());
    drop(UnixStream::connect(shop.path("socket")).unwrap());
    for listener in [tcp.accept().is_ok(), socket.accept().is_ok()] {
        assert!(listener);
    }
    let mut program = program("look around");
    let listeners = format!("{} {name}", tcp.local_addr().unwrap().port());
    program.environment.push((LISTENERS.into(), listeners.into()));
    let error = block_on(run_with(&program, shop.job(&package), |_| {})).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("holes: []"), "{text}");
    println!("{}", text.split("printed: ").last().unwrap());
    tcp.set_nonblocking(true).unwrap();
    socket.set_nonblocking(true).unwrap();
    hidden.set_nonblocking(true).unwrap();
    assert!(tcp.accept().is_err() && socket.accept().is_err() && hidden.accept().is_err(), "nobody came");
    if text.contains("landlock: \"none\"") {
        println!("SKIPPED: this kernel has no landlock, so reading and writing files was not tried");
        return;
    }
    assert_eq!(fs::read(shop.path("secret")).unwrap(), b"secret");
    let after = fs::metadata(shop.path("secret")).unwrap();
    assert_eq!(
        (before.permissions(), before.modified().unwrap()),
        (after.permissions(), after.modified().unwrap())
    );
}
