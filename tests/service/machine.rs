//! A Debian with a real systemd, booted in systemd-nspawn, without a network.
//!
//! Its root is an overlay of `target/service-root`. Mounts and processes are in namespaces of unshare(1), which dies with the
//! thread that started it, however that ends, and takes all of them with it; what the machine wrote is in a temporary folder.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::support::process::{self, Finished, Reader};
use crate::support::wait;

/// For what takes long on a busy machine: booting, installing.
const LONG: Duration = Duration::from_secs(600);
/// Number of the signal that makes systemd power off: SIGRTMIN+4 (systemd(1)).
const POWER_OFF: i32 = 4;

/// A machine that runs.
pub(crate) struct Machine {
    folder: TempDir,
    lower: String,
    /// unshare(1), in whose namespaces everything is.
    outermost: Child,
    /// The machine's first process, as seen from outside.
    leader: u32,
}

impl Machine {
    /// With the package installed.
    pub(crate) fn installed() -> Self {
        let machine = Self::boot(&format!("{}:{}", root("ready"), root("bare")));
        machine.run("dpkg --install /root/clmsfs.deb").success();
        machine
    }

    /// As it is delivered, without anything that the package needs.
    pub(crate) fn bare() -> Self {
        let machine = Self::boot(&root("bare"));
        machine.run("useradd --create-home ada").success();
        machine
    }

    fn boot(lower: &str) -> Self {
        let within = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let folder = tempfile::Builder::new().prefix("machine-").tempdir_in(within).unwrap();
        for name in ["upper", "work", "merged"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        let home = folder.path().join("upper/root");
        fs::create_dir(&home).unwrap();
        fs::copy(root("clmsfs.deb"), home.join("clmsfs.deb")).unwrap();
        // that of this machine may be root's alone
        let fuse = folder.path().join("fuse");
        process::run("mknod", &["-m", "666", fuse.to_str().unwrap(), "c", "10", "229"]).success();
        let (outermost, leader) = start(folder.path(), lower);
        let machine = Self { folder, lower: lower.to_owned(), outermost, leader };
        machine.wait_until_up();
        machine
    }

    /// Powers it off and on.
    pub(crate) fn reboot(&mut self) {
        self.power_off();
        (self.outermost, self.leader) = start(self.folder.path(), &self.lower);
        self.wait_until_up();
    }

    fn wait_until_up(&self) {
        // 'degraded' where a unit of Debian's does not like containers; 'offline' where systemd is not there yet
        wait::until_true("the machine is up", || {
            let state = self.run_for("systemctl is-system-running --wait", LONG).text();
            ["running\n", "degraded\n"].contains(&state.as_str())
        });
    }

    /// Runs a command line of the shell as root.
    #[track_caller]
    pub(crate) fn run(&self, line: &str) -> Finished {
        self.run_for(line, LONG)
    }

    #[track_caller]
    fn run_for(&self, line: &str, limit: Duration) -> Finished {
        Reader::spawn(self.command(&["sh", "-c", line])).finish_within(limit)
    }

    /// Runs a command line of the shell as an ordinary user.
    #[track_caller]
    pub(crate) fn as_ada(&self, line: &str) -> Finished {
        let words =
            ["setpriv", "--reuid=ada", "--regid=ada", "--clear-groups", "--inh-caps=-all", "sh", "-c", line];
        Reader::spawn(self.command(&words)).finish_within(LONG)
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = process::command("nsenter");
        command.args(["--target", &self.leader.to_string(), "--all", "--", "env", "-i"]);
        command.args([
            "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
            "LC_ALL=C.UTF-8",
            "DEBIAN_FRONTEND=noninteractive",
        ]);
        command.args(words);
        command
    }

    /// A property of a unit.
    #[track_caller]
    pub(crate) fn property(&self, unit: &str, name: &str) -> String {
        let text = self.run(&format!("systemctl show --value --property {name} {unit}")).success().text();
        text.trim_end().to_owned()
    }

    /// What a unit has logged.
    pub(crate) fn journal(&self, unit: &str) -> String {
        self.run(&format!("journalctl --no-pager --output cat --unit {unit}")).text()
    }

    /// A path of it, seen from outside: also below its mounts.
    pub(crate) fn path(&self, inside: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{inside}", self.leader))
    }

    /// Its mounts of ours, a line each.
    pub(crate) fn mounts(&self) -> Vec<String> {
        let table = fs::read_to_string(format!("/proc/{}/mountinfo", self.leader)).unwrap();
        table.lines().filter(|line| line.contains(" - fuse.clmsfs ")).map(str::to_owned).collect()
    }

    /// The command lines of its processes of ours.
    pub(crate) fn processes(&self) -> Vec<String> {
        let line = "grep -lz ^/usr/bin/clmsfs /proc/[0-9]*/cmdline 2>/dev/null";
        self.run(line).text().lines().map(str::to_owned).collect()
    }

    fn power_off(&mut self) {
        process::send(self.leader, libc::SIGRTMIN() + POWER_OFF);
        wait::until_true("the machine is off", || self.outermost.try_wait().unwrap().is_some());
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let leader = self.leader.to_string();
            let mut journal = Command::new("timeout");
            journal.args([
                "20",
                "nsenter",
                "--target",
                &leader,
                "--all",
                "--",
                "journalctl",
                "--no-pager",
                "--lines",
                "60",
            ]);
            // the test tells what failed; this only helps
            let told = journal.output().map(|output| output.stdout).unwrap_or_default();
            let console = fs::read_to_string(self.folder.path().join("console")).unwrap_or_default();
            eprintln!("{console}\n{}", String::from_utf8_lossy(&told));
        }
        let _ = self.outermost.kill();
        let _ = self.outermost.wait();
    }
}

/// A part of what scripts/service-root has made.
fn root(name: &str) -> String {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("service-root").join(name);
    assert!(path.exists(), "{} is missing: run make test-systemd", path.display());
    path.to_str().unwrap().to_owned()
}

/// Boots, and returns the outermost process and the machine's first one.
fn start(folder: &Path, lower: &str) -> (Child, u32) {
    let shown = folder.display();
    let script = format!(
        "mount -t tmpfs tmpfs /run
        mount -t overlay overlay -o 'lowerdir={lower},upperdir={shown}/upper,workdir={shown}/work' '{shown}/merged'
        systemd-nspawn --quiet --directory '{shown}/merged' --machine '{}' --boot --register=no --keep-unit \
            --settings=no --link-journal=no --private-network --console=pipe \
            --bind '{shown}/fuse:/dev/fuse' --bind /dev/autofs",
        shown.to_string().rsplit('/').next().unwrap().replace('_', "-"),
    );
    let console = fs::File::options().create(true).append(true).open(folder.join("console")).unwrap();
    let mut command = process::command("unshare");
    command.args(["--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--mount-proc"]);
    command.args(["sh", "-euc", &script]);
    command.stdin(Stdio::null()).stdout(console.try_clone().unwrap()).stderr(console);
    let mut outermost = command.spawn().unwrap();
    let leader = wait::until("the machine's first process", || {
        if let Some(status) = outermost.try_wait().unwrap() {
            panic!("systemd-nspawn: {status}\n{}", fs::read_to_string(folder.join("console")).unwrap());
        }
        leader_below(outermost.id())
    });
    (outermost, leader)
}

/// The descendant that is number 1 in a namespace within that of unshare(1).
fn leader_below(outermost: u32) -> Option<u32> {
    fs::read_dir("/proc").unwrap().filter_map(Result::ok).find_map(|entry| {
        let process = entry.file_name().to_str()?.parse().ok()?;
        let numbers = field(process, "NSpid:")?;
        let is_first = numbers.split_whitespace().count() >= 3 && numbers.ends_with("\t1");
        let mut ancestors =
            std::iter::successors(Some(process), |child| field(*child, "PPid:")?.trim().parse().ok());
        (is_first && ancestors.any(|ancestor| ancestor == outermost)).then_some(process)
    })
}

/// A line of `/proc/<process>/status`.
fn field(process: u32, name: &str) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned)
}

/// Writes a file of the machine, with the folders above it.
pub(crate) fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
}
