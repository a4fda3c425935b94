//! Programs with an end: every child is killed with the test, every wait has a limit.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use super::wait::PATIENCE;

/// The program under test.
pub(crate) const CLMSFS: &str = env!("CARGO_BIN_EXE_clmsfs");

/// A command whose process dies with the thread that starts it, also when that is killed.
///
/// setpriv(1) arranges that and becomes the program. Code of our own between fork and exec would do it, too, but it makes
/// the standard library fork; and a fork while another test's thread is in PROJ never returns in the child, because PROJ
/// takes a lock of its own there.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    command
}

/// The same as another user, with a group of the same number and no others. For root.
#[allow(dead_code, reason = "the interop suite and the soak run as one user")]
pub(crate) fn command_as(user: u32, program: impl AsRef<OsStr>) -> Command {
    let user = user.to_string();
    let mut command = Command::new("setpriv");
    command.args(["--reuid", &user, "--regid", &user, "--clear-groups", "--pdeathsig", "KILL", "--"]);
    command.arg(program);
    command
}

/// `clmsfs` without anything of the user's own settings.
pub(crate) fn clmsfs(home: &Path) -> Command {
    within(home, CLMSFS.as_ref())
}

/// [`clmsfs`] as the last argument of another command, if there is one.
pub(crate) fn clmsfs_under(home: &Path, outer: &[OsString]) -> Command {
    let [program, arguments @ ..] = outer else { return clmsfs(home) };
    let mut command = within(home, program);
    command.args(arguments).arg(CLMSFS);
    command
}

/// A program in the environment of [`clmsfs`].
pub(crate) fn within(home: &Path, program: &OsStr) -> Command {
    let mut command = command(program);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CLMSFS_") || name.to_string_lossy().starts_with("XDG_") {
            command.env_remove(name);
        }
    }
    command.env("HOME", home).env_remove("NOTIFY_SOCKET").env("RUST_BACKTRACE", "1");
    command
}

/// A service in the background: lines of its standard output can be awaited, its log is kept in a file.
pub(crate) struct Service {
    child: Child,
    lines: Receiver<String>,
    log: PathBuf,
    name: String,
}

impl Service {
    /// Starts it; its standard error goes to the end of `log`.
    pub(crate) fn start(name: &str, mut command: Command, log: &Path) -> Self {
        let errors = File::options().create(true).append(true).open(log).unwrap();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()
            .unwrap_or_else(|error| panic!("{name} cannot be started: {error}"));
        let output = child.stdout.take().unwrap();
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Self { child, lines, log: log.to_owned(), name: name.to_owned() }
    }

    /// The next line of its standard output.
    #[track_caller]
    pub(crate) fn line(&self) -> String {
        self.lines
            .recv_timeout(PATIENCE)
            .unwrap_or_else(|error| panic!("{} said nothing ({error}); its log:\n{}", self.name, self.log()))
    }

    /// Everything it wrote to standard error.
    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// kill -9.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: i32) {
        send(self.child.id(), signal);
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn wait(&mut self) -> ExitStatus {
        wait_for(&mut self.child, PATIENCE)
            .unwrap_or_else(|| panic!("{} did not end; its log:\n{}", self.name, self.log()))
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("---- log of {} ----\n{}", self.name, self.log());
        }
    }
}

/// Sends a signal to a process of ours.
pub(crate) fn send(pid: u32, signal: i32) {
    // SAFETY: kill takes plain numbers; the process is a child that was not waited for, so the id is still its own.
    unsafe {
        libc::kill(pid as libc::pid_t, signal);
    }
}

/// How a reader ended.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
    pub(crate) elapsed: Duration,
}

impl Finished {
    /// Standard output as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Itself, if the program succeeded.
    #[track_caller]
    pub(crate) fn success(self) -> Self {
        assert!(self.status.success(), "{}\n{}\n{}", self.status, self.text(), self.stderr);
        self
    }

    /// The signal that ended the program.
    pub(crate) fn signal(&self) -> Option<i32> {
        self.status.signal()
    }
}

/// A reader that runs beside the test.
pub(crate) struct Reader {
    child: Child,
    start: Instant,
    stdout: Option<std::thread::JoinHandle<Vec<u8>>>,
    stderr: Option<std::thread::JoinHandle<Vec<u8>>>,
    what: String,
}

impl Reader {
    /// Starts a program with arguments.
    pub(crate) fn start<A: AsRef<OsStr>>(program: &str, arguments: &[A]) -> Self {
        let mut command = command(program);
        command.args(arguments);
        Self::spawn(command)
    }

    /// Starts a prepared command.
    pub(crate) fn spawn(mut command: Command) -> Self {
        let what = format!("{command:?}");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let start = Instant::now();
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{what} cannot be started: {error}"));
        let stdout = Some(drain(child.stdout.take().unwrap()));
        let stderr = Some(drain(child.stderr.take().unwrap()));
        Self { child, start, stdout, stderr, what }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: i32) {
        send(self.child.id(), signal);
    }

    /// Whether it still runs.
    pub(crate) fn runs(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn finish(self) -> Finished {
        self.finish_within(PATIENCE)
    }

    /// Waits for its end, for so long.
    #[track_caller]
    pub(crate) fn finish_within(mut self, limit: Duration) -> Finished {
        let status = wait_for(&mut self.child, limit)
            .unwrap_or_else(|| panic!("{} did not end within {limit:?}", self.what));
        let elapsed = self.start.elapsed();
        let text = |pipe: Option<std::thread::JoinHandle<Vec<u8>>>| pipe.unwrap().join().unwrap();
        let stdout = text(self.stdout.take());
        let stderr = String::from_utf8_lossy(&text(self.stderr.take())).into_owned();
        Finished { status, stdout, stderr, elapsed }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let _ = self.child.kill();
        // Bounded: a reader that cannot be killed must fail its test, not hang it.
        let _ = wait_for(&mut self.child, Duration::from_secs(5));
    }
}

/// Runs a program to its end.
#[track_caller]
pub(crate) fn run<A: AsRef<OsStr>>(program: &str, arguments: &[A]) -> Finished {
    Reader::start(program, arguments).finish()
}

fn drain(mut pipe: impl Read + Send + 'static) -> std::thread::JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = pipe.read_to_end(&mut bytes);
        bytes
    })
}

fn wait_for(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    let start = Instant::now();
    // Short naps at first: some tests measure ends of a few milliseconds.
    let mut nap = Duration::from_micros(200);
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) if start.elapsed() < limit => std::thread::sleep(nap),
            _ => return None,
        }
        nap = (nap * 2).min(Duration::from_millis(5));
    }
}
