//! The key and the token stay in the process, and nobody else gets at it: files, sockets, cores, other users.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::packages::Pixels;
use crate::support::process::{command, command_as, run};
use crate::support::proxy::Proxy;
use crate::support::{Mount, Package, Stage, wait};

const QUICK: &str = "queued = '20ms'\nrunning = '20ms'\n";
/// A user that owns nothing.
const NOBODY: u32 = 65_534;

/// Every file below a folder that can be read.
fn files(folder: &Path, found: &mut Vec<(PathBuf, Vec<u8>)>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if entry.file_type().unwrap().is_dir() {
            files(&path, found);
        } else if let Ok(bytes) = fs::read(&path) {
            found.push((path, bytes));
        }
    }
}

fn contains(bytes: &[u8], word: &str) -> bool {
    bytes.windows(word.len()).any(|window| window == word.as_bytes())
}

#[test]
fn neither_key_nor_token_is_written_anywhere() {
    let Some(stage) = Stage::shared() else { return };
    for name in ["one", "two", "three"] {
        Package::new(name, Pixels::Classes, 64).write(&stage.data());
    }
    let simulator = stage.simulator(QUICK);
    let proxy = Proxy::start(simulator.authority());
    let api = simulator.api().replace(simulator.authority(), &proxy.authority());
    // Everything that every library has to say.
    let mount = stage.mount(&simulator).api(&api).flag("--log", "trace").start();
    mount.cat("one").success();
    simulator.revoke_tokens();
    mount.cat("two").success();
    simulator.scenario(&format!("{QUICK}reject_key = true"));
    simulator.revoke_tokens();
    assert!(!mount.cat("three").status.success());

    let heard = proxy.heard();
    let tokens: Vec<&str> = heard
        .lines()
        .filter_map(|line| line.split_once(": "))
        .filter(|(name, _)| name.eq_ignore_ascii_case("authorization"))
        .filter_map(|(_, value)| value.strip_prefix("Bearer "))
        .map(str::trim)
        .collect();
    assert!(tokens.len() > 3 && tokens.iter().all(|token| token.len() > 20), "{tokens:?}");
    let key: serde_json::Value = serde_json::from_slice(&fs::read(simulator.key()).unwrap()).unwrap();
    let pem: Vec<&str> =
        key["private_key"].as_str().unwrap().lines().filter(|line| line.len() > 40).collect();
    assert!(pem.len() > 10);

    let mut written = vec![(PathBuf::from("log"), mount.log().into_bytes())];
    for verb in
        [&["status"][..], &["status", "--json"], &["jobs"], &["jobs", "--json"], &["cache", "ls"], &["ls"]]
    {
        let finished = mount.run(verb);
        written.push((verb.join(" ").into(), [&finished.stdout, finished.stderr.as_bytes()].concat()));
    }
    files(mount.cache(), &mut written);
    files(&mount.point().join(".clmsfs"), &mut written);
    let attributes = run("getfattr", &["-R".as_ref(), "-d".as_ref(), mount.point().as_os_str()]);
    written.push(("attributes".into(), attributes.stdout));
    for file in ["cmdline", "environ"] {
        let path = PathBuf::from(format!("/proc/{}/{file}", mount.pid()));
        let bytes = fs::read(&path).unwrap_or_default();
        written.push((path, bytes));
    }
    assert!(written.len() > 20 && written[0].1.len() > 10_000, "{}", written.len());
    for (what, bytes) in &written {
        let leak = tokens.iter().chain(&pem).find(|secret| contains(bytes, secret));
        assert!(leak.is_none(), "{} holds {leak:?}", what.display());
        // A signed grant, whatever it says.
        assert!(
            !contains(bytes, "eyJ0eXAi") && !contains(bytes, "eyJhbGci"),
            "{} holds a grant",
            what.display()
        );
    }
}

#[test]
fn a_key_that_others_can_read_orders_nothing_until_it_is_mended() {
    let Some(stage) = Stage::shared() else { return };
    Package::new("cold", Pixels::Classes, 64).write(&stage.data());
    let simulator = stage.simulator(QUICK);
    let key = stage.folder().join("open-key.json");
    fs::copy(simulator.key(), &key).unwrap();
    fs::set_permissions(&key, Permissions::from_mode(0o600)).unwrap();
    let mount = stage.mount(&simulator).credentials(&key).start();
    mount.product("cold");
    fs::set_permissions(&key, Permissions::from_mode(0o644)).unwrap();
    let error = File::open(mount.tif("cold")).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EACCES));
    let reason = mount.attribute("cold", "error");
    assert!(reason.contains("can be read or changed by others (mode 644); run: chmod 600 '"), "{reason}");
    assert!(mount.log().contains("chmod 600"));
    assert_eq!(simulator.requests().count("token"), 0);
    // A mount does not start with such a key (bad_input.rs). The way out needs no restart.
    fs::set_permissions(&key, Permissions::from_mode(0o600)).unwrap();
    wait::until_true("the product opens once the key is private", || mount.cat("cold").status.success());
}

#[test]
fn a_credential_that_systemd_hands_over_is_taken() {
    let Some(stage) = Stage::shared() else { return };
    Package::new("cold", Pixels::Classes, 64).write(&stage.data());
    let simulator = stage.simulator(QUICK);
    let folder = stage.folder().join("credentials");
    fs::create_dir(&folder).unwrap();
    let key = folder.join("service-key.json");
    fs::copy(simulator.key(), &key).unwrap();
    // So it looks where systemd gives the unit's user access by a list.
    fs::set_permissions(&key, Permissions::from_mode(0o440)).unwrap();
    let mount = stage.mount(&simulator).credentials(&key).env("CREDENTIALS_DIRECTORY", &folder).start();
    mount.cat("cold").success();
}

/// Removes the limit of core files of a process.
fn allow_cores(pid: u32) {
    let limit = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: a valid limit, and nothing is to be written back.
    unsafe { libc::prlimit(pid as libc::pid_t, libc::RLIMIT_CORE, &raw const limit, std::ptr::null_mut()) };
}

#[test]
fn a_crash_leaves_no_core() {
    let Some(stage) = Stage::shared() else { return };
    Package::new("cold", Pixels::Classes, 64).write(&stage.data());
    // The same crash of another program, to see that cores are written here at all.
    let mut other = command("prlimit");
    other.current_dir(stage.folder()).args(["--core=unlimited:unlimited", "sh", "-c", "kill -ABRT $$"]);
    if !other.status().unwrap().core_dumped() {
        println!("SKIPPED: no cores are written on this system");
        return;
    }
    let simulator = stage.simulator(QUICK);
    let mut mount = stage.mount(&simulator).start();
    mount.cat("cold").success();
    allow_cores(mount.pid());
    mount.signal(libc::SIGABRT);
    let status = mount.ended();
    assert_eq!((status.signal(), status.core_dumped()), (Some(libc::SIGABRT), false), "{status}");
}

/// The line of mountinfo about a mount.
fn mountinfo(mount: &Mount) -> String {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let point = mount.point().to_str().unwrap();
    table.lines().find(|line| line.split(' ').nth(4) == Some(point)).unwrap().to_owned()
}

#[test]
fn mount_cache_and_socket_are_closed_to_others() {
    let Some(stage) = Stage::shared() else { return };
    Package::new("cold", Pixels::Classes, 64).write(&stage.data());
    let simulator = stage.simulator(QUICK);
    let mount = stage.mount(&simulator).start();
    let line = mountinfo(&mount);
    let options = line.split(' ').nth(5).unwrap();
    for wanted in ["nosuid", "nodev", "noexec", "noatime"] {
        assert!(options.split(',').any(|option| option == wanted), "{line}");
    }
    assert!(!line.contains("allow_other"), "{line}");
    let mode = |path: &Path| fs::symlink_metadata(path).unwrap().mode() & 0o7777;
    assert_eq!(mode(mount.cache()), 0o700);
    for folder in ["rasters", "staging"] {
        assert_eq!(mode(&mount.cache().join(folder)), 0o700, "{folder}");
    }
    let socket = socket(&mount);
    assert_eq!((mode(&socket), mode(socket.parent().unwrap())), (0o600, 0o700), "{}", socket.display());
    // Nothing can be executed, changed or made, whoever asks.
    mount.cat("cold").success();
    let tif = mount.tif("cold");
    assert_eq!(Command::new(&tif).status().unwrap_err().kind(), io::ErrorKind::PermissionDenied);
    for error in [
        File::options().write(true).open(&tif).unwrap_err(),
        fs::write(mount.point().join("new"), b"x").unwrap_err(),
        fs::remove_file(&tif).unwrap_err(),
        fs::set_permissions(&tif, Permissions::from_mode(0o4777)).unwrap_err(),
        std::os::unix::fs::chown(&tif, Some(0), None).unwrap_err(),
        std::os::unix::fs::symlink("/etc", mount.point().join("link")).unwrap_err(),
    ] {
        assert_eq!(error.raw_os_error(), Some(libc::EROFS), "{error}");
    }
    if !is_root() {
        println!("SKIPPED: only root can try it as another user");
        return;
    }
    let other = as_nobody("cat", &[&tif]);
    assert!(other.contains("Permission denied"), "{other}");
}

fn is_root() -> bool {
    // SAFETY: takes nothing and always succeeds.
    unsafe { libc::geteuid() == 0 }
}

/// The control socket of a mount.
fn socket(mount: &Mount) -> PathBuf {
    let runtime = clmsfs::control::registry::directory().unwrap();
    let ending = format!("-{}.sock", mount.pid());
    let names = fs::read_dir(runtime).unwrap().map(|entry| entry.unwrap().path());
    names.filter(|path| path.to_str().unwrap().ends_with(&ending)).last().unwrap()
}

/// What a program says when another user runs it.
fn as_nobody(program: &str, arguments: &[&Path]) -> String {
    let mut command = command_as(NOBODY, program);
    command.args(arguments).current_dir("/");
    let output = command.output().unwrap();
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

#[test]
fn other_users_read_but_neither_pin_nor_control() {
    let Some(stage) = Stage::shared() else { return };
    if !is_root() {
        println!("SKIPPED: only root can try it as another user");
        return;
    }
    Package::new("cold", Pixels::Classes, 64).write(&stage.data());
    let simulator = stage.simulator(QUICK);
    let mount = stage.mount(&simulator).flag("--on-miss", "block").flag("-o", "allow_other").start();
    assert!(mountinfo(&mount).contains("allow_other"));
    mount.cat("cold").success();
    fs::set_permissions(stage.folder(), Permissions::from_mode(0o755)).unwrap();
    let product = mount.product("cold");
    assert!(as_nobody("ls", &[&product]).contains("cold.tif"));
    // No file gives its cache away: what others may read they read through the mount.
    let cached = as_nobody("ls", &[mount.cache()]);
    assert!(cached.contains("Permission denied"), "{cached}");
    let pin = ["-n", "user.clmsfs.pinned", "-v", "1"].map(Path::new);
    let refused = as_nobody("setfattr", &[&pin[..], &[&product]].concat());
    assert!(refused.contains("Operation not permitted"), "{refused}");
    assert_eq!(mount.attribute("cold", "pinned"), "0");
    // Even with a socket that somebody has opened to all.
    let socket = socket(&mount);
    let hello = "import socket, sys\ns = socket.socket(socket.AF_UNIX)\ns.connect(sys.argv[1])\n\
        s.sendall(b'GET /status HTTP/1.0\\r\\nHost: x\\r\\n\\r\\n')\nprint(s.recv(100))";
    let talk = |socket: &Path| as_nobody("/usr/bin/python3", &[Path::new("-c"), Path::new(hello), socket]);
    assert!(talk(&socket).contains("PermissionError"), "{}", talk(&socket));
    // A second way to the same socket: the folder of the first belongs to other tests, too.
    let open = stage.folder().join("open.sock");
    fs::hard_link(&socket, &open).or_else(|_| std::os::unix::fs::symlink(&socket, &open)).unwrap();
    fs::set_permissions(&socket, Permissions::from_mode(0o666)).unwrap();
    let answer = talk(&open);
    assert!(!answer.contains("200 OK"), "{answer}");
    if answer.contains("PermissionError") {
        println!("SKIPPED: the socket could not be linked, so its own check was not reached");
    } else {
        wait::until_true("a word about it", || mount.log().contains("kept off the control socket"));
    }
    mount.run(&["status"]).success();
}
