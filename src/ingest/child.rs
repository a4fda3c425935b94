//! The conversion as a child process: a file that crashes GDAL costs one product, never the mount.
//!
//! The job goes to the child's stdin as one line of JSON; messages come back on its stdout, one per line. Before
//! the child writes, it asks for room and waits for one byte on its stdin. The parent keeps the child's stdin open: when it closes, because the parent died however suddenly, the child
//! exits. (`PR_SET_PDEATHSIG` would not do: it fires when the *thread* that spawned the child ends.)

use std::ffi::OsString;
use std::io::{self, BufRead, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};

use super::error::IngestError;
use super::job::{IngestJob, IngestProgress, Ingested};
use super::sandbox::{self, Walls};
use super::thread;
use crate::store::entry::EntryMeta;

/// The hidden verb under which the program serves as its own converter.
pub const CHILD_VERB: &str = "ingest-child";

/// Longest line a child may send: an entry with tens of thousands of classes and a 16 bit palette.
const LONGEST_LINE: u64 = 64 << 20;
/// How much of what the child printed to stderr is kept for the error message.
const STDERR_TAIL: usize = 4096;
/// Shortest time between two progress messages.
const PROGRESS_PAUSE: Duration = Duration::from_millis(50);

/// One line from child to parent.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Message {
    Sandbox(Walls),
    Progress(IngestProgress),
    /// What is worked on from now on, for the message should it be the last.
    Reading(String),
    Done(Box<EntryMeta>),
    Failed(IngestError),
}

/// Which program is started as the child.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChildProgram {
    /// The executable.
    pub path: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// Variables it gets besides those that say where GDAL's and PROJ's data are; nothing else is inherited.
    pub environment: Vec<(OsString, OsString)>,
}

impl ChildProgram {
    /// This very program with the hidden verb, also when the file it was started from has been replaced since (an upgrade
    /// of the package): the name of that would be `… (deleted)`, and another release might speak otherwise.
    pub fn current() -> Self {
        Self::current_as(CHILD_VERB)
    }

    /// The same with another hidden verb.
    pub(super) fn current_as(verb: &str) -> Self {
        let path = PathBuf::from("/proc/self/exe");
        Self { path, arguments: vec![verb.into()], environment: Vec::new() }
    }
}

/// Converts a package in a sandboxed child process. Dropping the future kills the child; what it wrote below
/// `staging` is the caller's to sweep.
///
/// # Errors
/// The child's [`IngestError`], [`IngestError::Timeout`], or [`IngestError::Child`] when it died.
pub async fn run(
    job: IngestJob,
    on_progress: impl FnMut(IngestProgress) + Send,
) -> Result<Ingested, IngestError> {
    run_with(&ChildProgram::current(), job, on_progress).await
}

/// [`run`] with another program than the running one.
///
/// # Errors
/// As [`run`].
pub async fn run_with(
    program: &ChildProgram,
    mut job: IngestJob,
    on_progress: impl FnMut(IngestProgress) + Send,
) -> Result<Ingested, IngestError> {
    let died = |reason: String| IngestError::Child { reason };
    // The child works in another directory.
    for path in [&mut job.package, &mut job.staging].into_iter().chain(&mut job.former) {
        let absolute = std::path::absolute(&*path);
        *path = absolute
            .map_err(|error| IngestError::Job { reason: format!("'{}': {error}", path.display()) })?;
    }
    let mut child =
        spawn(program, Stdio::piped()).map_err(|error| died(format!("cannot be started: {error}")))?;
    let conversation = converse(&mut child, &job, on_progress);
    let meta = match job.limits.seconds {
        None => conversation.await?,
        Some(seconds) => match tokio::time::timeout(Duration::from_secs(seconds), conversation).await {
            Ok(result) => result?,
            Err(_) => {
                // Best effort: a child that cannot be killed now is killed when it is dropped.
                let _ = child.kill().await;
                return Err(IngestError::Timeout { seconds });
            }
        },
    };
    let entry = job.staging.join("entry");
    let checked = entry.clone();
    // The child may have been taken over by a hostile file: nothing but plain files is accepted from it.
    tokio::task::spawn_blocking(move || only_plain_files(&checked))
        .await
        .map_err(|error| died(format!("left an entry that cannot be checked: {error}")))?
        .map_err(|error| died(format!("left an entry that is not to be trusted: {error}")))?;
    if meta.product != job.product || (meta.rasters.is_empty() && meta.vectors.is_empty()) {
        return Err(died("described another product than it was given".to_owned()));
    }
    Ok(Ingested { entry, meta })
}

/// Starts a child with nothing but its pipes; dropping it kills it.
pub(super) fn spawn(program: &ChildProgram, stderr: Stdio) -> io::Result<Child> {
    let data =
        sandbox::DATA_VARIABLES.iter().filter_map(|name| std::env::var_os(name).map(|value| (name, value)));
    Command::new(&program.path)
        .args(&program.arguments)
        .env_clear()
        .envs(data)
        // One arena per thread would count against the address space limit.
        .env("MALLOC_ARENA_MAX", "4")
        .env("PROJ_NETWORK", "OFF")
        // No socket can be opened in the sandbox; GDAL shall not even try what a file names.
        .env("CPL_VSIL_CURL_ALLOWED_EXTENSIONS", ".nothing")
        // The staging folder is ours alone, and not every file system can lock.
        .env("HDF5_USE_FILE_LOCKING", "FALSE")
        .env("LC_ALL", "C.UTF-8")
        .envs(program.environment.iter().map(|(name, value)| (name, value)))
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(stderr)
        .kill_on_drop(true)
        .spawn()
}

async fn converse(
    child: &mut Child,
    job: &IngestJob,
    on_progress: impl FnMut(IngestProgress) + Send,
) -> Result<EntryMeta, IngestError> {
    let died = |reason: String| IngestError::Child { reason };
    let (Some(mut stdin), Some(stdout), Some(mut stderr)) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err(died("has no pipes".to_owned()));
    };
    let mut line =
        serde_json::to_vec(job).map_err(|error| died(format!("cannot be told its job: {error}")))?;
    line.push(b'\n');
    // A child that dies before it has read its job is reported by how it ended, below.
    let _ = stdin.write_all(&line).await;
    let tail = async {
        let mut tail: Vec<u8> = Vec::new();
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = stderr.read(&mut buffer).await {
            tail.extend(&buffer[..length]);
            let surplus = tail.len().saturating_sub(STDERR_TAIL);
            tail.drain(..surplus);
        }
        String::from_utf8_lossy(&tail).trim().to_owned()
    };
    let mut reading = None;
    let heard = listen(BufReader::new(stdout), &mut stdin, on_progress, &mut reading);
    let (outcome, tail) = tokio::join!(heard, tail);
    // Only now: closing it tells the child to go.
    drop(stdin);
    let status = child.wait().await.map_err(|error| died(format!("cannot be waited for: {error}")))?;
    match outcome {
        Ok(Some(result)) => result,
        Ok(None) => Err(died(how_it_ended(status, reading.as_deref(), &tail))),
        Err(error) => {
            let ending = how_it_ended(status, reading.as_deref(), &tail);
            Err(died(format!("sent what cannot be understood: {error}; {ending}")))
        }
    }
}

/// Reads messages until the child closes its stdout; gives its last word, if it had one.
async fn listen(
    mut stdout: BufReader<tokio::process::ChildStdout>,
    stdin: &mut tokio::process::ChildStdin,
    mut on_progress: impl FnMut(IngestProgress) + Send,
    reading: &mut Option<String>,
) -> io::Result<Option<Result<EntryMeta, IngestError>>> {
    let mut outcome = None;
    let mut line = Vec::new();
    loop {
        line.clear();
        if (&mut stdout).take(LONGEST_LINE).read_until(b'\n', &mut line).await? == 0 {
            return Ok(outcome);
        }
        if line.len() as u64 == LONGEST_LINE {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a line without end"));
        }
        // Libraries may print to stdout as well; what is no message is not for us.
        match serde_json::from_slice(&line) {
            Ok(Message::Sandbox(walls)) if walls.landlock != "full" || !walls.system_calls => {
                tracing::info!(?walls, "the conversion's sandbox is weaker than it could be on this system");
            }
            Ok(Message::Sandbox(walls)) => tracing::debug!(?walls, "sandboxed"),
            Ok(Message::Progress(progress)) => {
                on_progress(progress);
                if let IngestProgress::Room { .. } = progress {
                    // A child that has died meanwhile is reported by how it ended.
                    let _ = stdin.write_all(b"+").await;
                }
            }
            Ok(Message::Reading(name)) => *reading = Some(name),
            Ok(Message::Done(meta)) => outcome = Some(Ok(*meta)),
            Ok(Message::Failed(error)) => outcome = Some(Err(error)),
            Err(_) => {
                tracing::debug!(line = %String::from_utf8_lossy(&line).trim_end(), "conversion process")
            }
        }
    }
}

fn how_it_ended(status: ExitStatus, reading: Option<&str>, tail: &str) -> String {
    let mut ending = match (status.signal(), status.code()) {
        (Some(libc::SIGKILL), _) => "was killed, perhaps for lack of memory".to_owned(),
        (Some(libc::SIGABRT), _) => "aborted, perhaps for lack of memory".to_owned(),
        (Some(libc::SIGXFSZ), _) => "wrote a file beyond its limit".to_owned(),
        (Some(signal), _) => format!("crashed with signal {signal}"),
        (None, Some(code)) => format!("ended with exit code {code} and without a result"),
        (None, None) => "ended without a result".to_owned(),
    };
    if let Some(name) = reading {
        ending = format!("{ending} while it worked on '{name}'");
    }
    if tail.is_empty() { ending } else { format!("{ending}; it printed: {tail}") }
}

/// Refuses links, devices and the like anywhere below a directory.
fn only_plain_files(path: &Path) -> io::Result<()> {
    let kind = std::fs::symlink_metadata(path)?.file_type();
    if kind.is_dir() {
        return std::fs::read_dir(path)?.try_for_each(|child| only_plain_files(&child?.path()));
    }
    if kind.is_file() {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::InvalidData, format!("'{}' is no plain file", path.display())))
}

/// The child's whole life: reads its job from stdin, walls itself in, converts, and answers on stdout.
///
/// The program calls it for [`CHILD_VERB`] before it starts a runtime or any other thread: threads that exist
/// already would stay outside the sandbox.
pub fn child_main() -> ExitCode {
    let job: IngestJob = match read_line() {
        Ok(job) => job,
        Err(error) => return tell_and_exit(&Message::Failed(IngestError::Job { reason: error.to_string() })),
    };
    IS_CHILD.store(true, Ordering::Relaxed);
    // Loaded before the walls go up, as are all shared libraries.
    register_drivers();
    match sandbox::enter(job.ground()) {
        Ok(walls) => tell(&Message::Sandbox(walls)),
        Err(error) => {
            let reason = format!("cannot be sandboxed: {error}");
            return tell_and_exit(&Message::Failed(IngestError::Child { reason }));
        }
    }
    let (grant, granted) = mpsc::channel();
    thread::start(move || leave_with_parent(&grant));
    let mut last: Option<Instant> = None;
    let mut was_converting = false;
    let mut progress = |progress: IngestProgress| {
        if let IngestProgress::Room { .. } = progress {
            tell(&Message::Progress(progress));
            // The other end only goes away together with this process.
            let _ = granted.recv();
            return;
        }
        if let IngestProgress::Copied { .. } | IngestProgress::Took { .. } = progress {
            tell(&Message::Progress(progress));
            return;
        }
        let is_end = match progress {
            IngestProgress::Extracting { done, total } | IngestProgress::Converting { done, total } => {
                done == total
            }
            IngestProgress::Room { .. } | IngestProgress::Copied { .. } | IngestProgress::Took { .. } => {
                false
            }
        };
        let is_converting = matches!(progress, IngestProgress::Converting { .. });
        // the log says when a stage begins
        let begins = std::mem::replace(&mut was_converting, is_converting) != is_converting;
        if begins || is_end || last.is_none_or(|last| last.elapsed() >= PROGRESS_PAUSE) {
            last = Some(Instant::now());
            tell(&Message::Progress(progress));
        }
    };
    let message = match super::ingest(&job, &mut progress) {
        Ok(meta) => Message::Done(Box::new(meta)),
        Err(error) => Message::Failed(error),
    };
    tell_and_exit(&message)
}

/// Reads what the parent says in one line.
pub(super) fn read_line<T: DeserializeOwned>() -> io::Result<T> {
    let mut line = Vec::new();
    io::stdin().lock().take(LONGEST_LINE).read_until(b'\n', &mut line)?;
    Ok(serde_json::from_slice(&line)?)
}

/// The drivers that GDAL is left with: whatever a file claims to be, nothing else can open it.
pub const DRIVERS: [&str; 5] = ["GTiff", "netCDF", "GPKG", "OpenFileGDB", "ESRI Shapefile"];

/// Registers all drivers (some builds of GDAL have netCDF as a plugin, which nothing else finds) and takes all away
/// that are not wanted.
fn register_drivers() {
    gdal::DriverManager::register_all();
    for number in (0..gdal::DriverManager::count()).rev() {
        let Ok(driver) = gdal::DriverManager::get_driver(number) else { continue };
        if !DRIVERS.contains(&driver.short_name().as_str()) {
            gdal::DriverManager::deregister_driver(&driver);
        }
    }
    gdal::DriverManager::prevent_auto_registration();
}

/// Set where this process is the child.
static IS_CHILD: AtomicBool = AtomicBool::new(false);

/// Tells the parent, if there is one, what file is worked on: should it be the end of the child, the message can
/// name the file.
pub(super) fn say_what_is_read(name: &str) {
    if IS_CHILD.load(Ordering::Relaxed) {
        tell(&Message::Reading(name.to_owned()));
    }
}

/// Hands on the parent's grants of room, one byte each, and ends the process as soon as the parent's end of
/// stdin is closed.
pub(super) fn leave_with_parent(grant: &mpsc::Sender<()>) {
    let mut buffer = [0; 64];
    loop {
        match io::stdin().read(&mut buffer) {
            // Nobody waits for a grant any more when the conversion is over.
            Ok(length @ 1..) => {
                for _ in 0..length {
                    let _ = grant.send(());
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(0) | Err(_) => std::process::exit(2),
        }
    }
}

/// Tells the parent something, in one line.
pub(super) fn tell(message: &impl Serialize) {
    let Ok(mut line) = serde_json::to_vec(message) else { return };
    line.push(b'\n');
    let mut stdout = io::stdout().lock();
    if stdout.write_all(&line).and_then(|()| stdout.flush()).is_err() {
        // Nobody listens any more.
        std::process::exit(2);
    }
}

fn tell_and_exit(message: &Message) -> ExitCode {
    tell(message);
    match message {
        Message::Failed(_) => ExitCode::FAILURE,
        Message::Sandbox(_) | Message::Progress(_) | Message::Reading(_) | Message::Done(_) => {
            ExitCode::SUCCESS
        }
    }
}
