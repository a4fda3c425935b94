//! A mount by the real program, as a process of its own.

use std::ffi::{CString, OsString};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

use serde_json::Value;

use super::process::{self, Finished, Reader, Service};
use super::secrets::Secrets;
use super::simulator::Simulator;
use super::{wait, xattr};

/// A mount that hangs is killed after this time, so that whoever waits for it gets ENOTCONN and the test an end.
const WATCHDOG: Duration = Duration::from_secs(170);

/// The arguments of a mount.
pub(crate) struct MountBuilder {
    folder: PathBuf,
    credentials: PathBuf,
    api: String,
    /// Whose tokens must be seen nowhere.
    simulator: String,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    under: Vec<OsString>,
    /// Where all settings come from, in place of flags.
    config: Option<PathBuf>,
    watchdog: Duration,
}

impl MountBuilder {
    pub(crate) fn new(folder: &Path, simulator: &Simulator) -> Self {
        Self {
            folder: folder.to_owned(),
            credentials: simulator.key().to_owned(),
            api: simulator.api().to_owned(),
            simulator: simulator.authority().to_owned(),
            arguments: Vec::new(),
            environment: Vec::new(),
            under: Vec::new(),
            config: None,
            watchdog: WATCHDOG,
        }
    }

    /// Another time after which it is killed.
    #[allow(dead_code, reason = "of the promises none takes longer; the interop suite does")]
    pub(crate) fn watchdog(mut self, limit: Duration) -> Self {
        self.watchdog = limit;
        self
    }

    /// All settings come from this file (but for the flags that are added), so that a reload can change them.
    #[allow(dead_code, reason = "only the promises reload")]
    pub(crate) fn configured(mut self, file: &Path) -> Self {
        self.config = Some(file.to_owned());
        self
    }

    /// Runs it under another program: these words, then the mount's command line.
    pub(crate) fn under(mut self, words: &[impl AsRef<std::ffi::OsStr>]) -> Self {
        self.under = words.iter().map(|word| word.as_ref().to_owned()).collect();
        self
    }

    /// Adds a flag with its value. Given twice, the later one counts.
    pub(crate) fn flag(mut self, name: &str, value: impl AsRef<std::ffi::OsStr>) -> Self {
        if let Some(at) = self.arguments.iter().position(|argument| argument == name) {
            self.arguments.drain(at..at + 2);
        }
        self.arguments.push(name.into());
        self.arguments.push(value.as_ref().into());
        self
    }

    /// Sends the log to this file instead of the one that [`Mount::log`] reads.
    pub(crate) fn errors_to(self, path: &str) -> Self {
        self.under(&["sh", "-c", r#"log="$0"; exec "$@" 2>>"$log""#, path])
    }

    /// Adds a flag as one word, `--name=value`.
    pub(crate) fn switch(mut self, text: &str) -> Self {
        self.arguments.push(text.into());
        self
    }

    /// Another folder for the cache.
    pub(crate) fn cache(self, path: &Path) -> Self {
        self.flag("--cache-dir", path)
    }

    /// Adds a variable to its environment.
    pub(crate) fn env(mut self, name: &str, value: impl AsRef<std::ffi::OsStr>) -> Self {
        self.environment.push((name.into(), value.as_ref().into()));
        self
    }

    /// Every pause and time limit towards the service so many times shorter.
    pub(crate) fn hurry(self, times: u32) -> Self {
        self.env("CLMSFS_HURRY", times.to_string())
    }

    /// Another way to the service.
    pub(crate) fn api(mut self, url: &str) -> Self {
        self.api = url.to_owned();
        self
    }

    /// Another service key.
    pub(crate) fn credentials(mut self, path: &Path) -> Self {
        self.credentials = path.to_owned();
        self
    }

    /// Mounts, waits until it answers.
    #[track_caller]
    pub(crate) fn start(self) -> Mount {
        let (arguments, point, cache) = self.command_line();
        let pid = Arc::new(AtomicU32::new(0));
        let mut mount = Mount {
            service: start(&self.folder, &self.under, &arguments, &self.environment, &point),
            _watchdog: watch(Arc::clone(&pid), self.watchdog),
            watched: pid,
            folder: self.folder,
            arguments,
            environment: self.environment,
            under: self.under,
            credentials: self.credentials,
            simulator: self.simulator,
            point,
            cache,
        };
        mount.answers();
        mount
    }

    /// Runs it where it is expected to end by itself.
    #[track_caller]
    pub(crate) fn refused(self) -> Finished {
        let (arguments, _, _) = self.command_line();
        let mut command = process::clmsfs(&self.folder);
        command.args(arguments).envs(self.environment);
        Reader::spawn(command).finish()
    }

    /// Arguments, mount point and cache.
    fn command_line(&self) -> (Vec<OsString>, PathBuf, PathBuf) {
        let point = self.folder.join("mount");
        std::fs::create_dir_all(&point).unwrap();
        let given = self.arguments.iter().position(|argument| argument == "--cache-dir");
        let cache =
            given.map_or_else(|| self.folder.join("cache"), |at| self.arguments[at + 1].clone().into());
        let mut arguments: Vec<OsString> = vec!["mount".into(), point.clone().into()];
        if let Some(config) = &self.config {
            arguments.extend(["--config".into(), config.clone().into()]);
            arguments.extend(self.arguments.iter().cloned());
            return (arguments, point, cache);
        }
        let mut flag = |name: &str, value: OsString| {
            if !self.arguments.iter().any(|argument| argument == name) {
                arguments.extend([name.into(), value]);
            }
        };
        flag("--credentials", self.credentials.clone().into());
        flag("--api-url", self.api.clone().into());
        flag("--cache-dir", cache.clone().into());
        flag("--cache-size", "4GB".into());
        flag("--free-space-floor", "16MB".into());
        flag("--on-miss", "block".into());
        flag("--poll-min", "50ms".into());
        flag("--poll-max", "200ms".into());
        flag("--orders-per-hour", "1000".into());
        flag("--log", "debug".into());
        arguments.extend(self.arguments.iter().cloned());
        (arguments, point, cache)
    }
}

fn start(
    folder: &Path,
    under: &[OsString],
    arguments: &[OsString],
    environment: &[(OsString, OsString)],
    point: &Path,
) -> Service {
    let mut command = process::clmsfs_under(folder, under);
    command.args(arguments).envs(environment.iter().map(|(name, value)| (name, value)));
    Service::start(&format!("clmsfs mount {}", point.display()), command, &folder.join("mount.log"))
}

/// Kills the process with that id when the sender has not gone in time.
fn watch(pid: Arc<AtomicU32>, limit: Duration) -> Sender<()> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        if receiver.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
            eprintln!("the mount is killed after {limit:?}");
            process::send(pid.load(Ordering::SeqCst), libc::SIGKILL);
        }
    });
    sender
}

/// A running mount. Dropped, it is unmounted, its process is killed, and both must leave nothing behind.
pub(crate) struct Mount {
    service: Service,
    _watchdog: Sender<()>,
    watched: Arc<AtomicU32>,
    folder: PathBuf,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    under: Vec<OsString>,
    credentials: PathBuf,
    simulator: String,
    point: PathBuf,
    cache: PathBuf,
}

impl Mount {
    #[track_caller]
    fn answers(&mut self) {
        self.watched.store(self.service.id(), Ordering::SeqCst);
        let line = self.service.line();
        assert_eq!(line, format!("mounted {}", self.point.display()));
    }

    /// The mount point.
    pub(crate) fn point(&self) -> &Path {
        &self.point
    }

    /// The cache's folder.
    pub(crate) fn cache(&self) -> &Path {
        &self.cache
    }

    /// The id of its process.
    pub(crate) fn pid(&self) -> u32 {
        self.service.id()
    }

    /// Sends its process a signal.
    pub(crate) fn signal(&self, signal: i32) {
        self.service.signal(signal);
    }

    /// The log of all runs.
    pub(crate) fn log(&self) -> String {
        self.service.log()
    }

    /// What must be seen nowhere.
    pub(crate) fn secrets(&self) -> Secrets {
        Secrets::of(&self.credentials, &self.simulator)
    }

    /// The folder of a product, in whatever dataset it is. The catalogue may still be on its way.
    #[track_caller]
    pub(crate) fn product(&self, name: &str) -> PathBuf {
        wait::until(format!("a product {name} in the tree"), || {
            let datasets = std::fs::read_dir(&self.point).ok()?;
            datasets
                .filter_map(Result::ok)
                .map(|dataset| dataset.path().join(name))
                .find(|folder| folder.join("item.json").exists())
        })
    }

    /// The GeoTIFF of a product.
    #[track_caller]
    pub(crate) fn tif(&self, name: &str) -> PathBuf {
        self.product(name).join(format!("{name}.tif"))
    }

    /// The Zarr of a product.
    #[track_caller]
    pub(crate) fn zarr(&self, name: &str) -> PathBuf {
        self.product(name).join(format!("{name}.zarr"))
    }

    /// `user.clmsfs.<name>` of a product.
    #[track_caller]
    pub(crate) fn attribute(&self, product: &str, name: &str) -> String {
        xattr::get(&self.product(product), &format!("user.clmsfs.{name}")).unwrap_or_default()
    }

    /// State of a product.
    #[track_caller]
    pub(crate) fn state(&self, product: &str) -> String {
        self.attribute(product, "state")
    }

    /// Waits for one of the states; also returns when the product has failed.
    #[track_caller]
    pub(crate) fn reaches(&self, product: &str, states: &[&str]) -> String {
        let folder = self.product(product);
        wait::until(format!("{product} in state {states:?}"), || {
            let state = xattr::get(&folder, "user.clmsfs.state").ok()?;
            let error = xattr::get(&folder, "user.clmsfs.error").unwrap_or_default();
            assert!(state != "failed" || states.contains(&"failed"), "{product} failed: {error}");
            states.contains(&state.as_str()).then_some(state)
        })
    }

    /// Waits until nothing is left but ready and cold.
    #[track_caller]
    pub(crate) fn ready(&self, product: &str) {
        self.reaches(product, &["ready"]);
    }

    /// Reads the GeoTIFF of a product with another process.
    #[track_caller]
    pub(crate) fn cat(&self, product: &str) -> Finished {
        process::run("cat", &[self.tif(product)])
    }

    /// kill -9: the mount point stays behind, dead.
    pub(crate) fn kill(&mut self) {
        self.service.kill();
    }

    /// Starts it anew with the same arguments on the same mount point, without any cleaning up in between.
    #[track_caller]
    pub(crate) fn start_again(&mut self) {
        self.begin_again();
        self.answers();
    }

    /// [`Self::start_again`] without waiting until it answers.
    #[track_caller]
    pub(crate) fn begin_again(&mut self) {
        self.service.kill();
        self.service = start(&self.folder, &self.under, &self.arguments, &self.environment, &self.point);
        self.watched.store(self.service.id(), Ordering::SeqCst);
    }

    /// Ends it in order, by a signal.
    #[track_caller]
    pub(crate) fn terminate(&mut self) -> std::process::ExitStatus {
        self.service.signal(libc::SIGTERM);
        self.service.wait()
    }

    /// Waits for the process's end.
    #[track_caller]
    pub(crate) fn ended(&mut self) -> std::process::ExitStatus {
        self.service.wait()
    }

    /// A verb that talks to this mount.
    pub(crate) fn verb(&self, arguments: &[&str]) -> Command {
        let mut command = process::clmsfs(&self.folder);
        command.args(arguments).arg("--mount").arg(&self.point);
        command
    }

    /// Runs such a verb to its end.
    #[track_caller]
    pub(crate) fn run(&self, arguments: &[&str]) -> Finished {
        Reader::spawn(self.verb(arguments)).finish()
    }

    /// Runs such a verb with `--json`.
    #[track_caller]
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let mut arguments = arguments.to_vec();
        arguments.push("--json");
        let text = self.run(&arguments).success().text();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{arguments:?}: {error}\n{text}"))
    }

    /// Bytes of real blocks below the cache's folder, as `du -s` counts them.
    pub(crate) fn disk_use(&self) -> u64 {
        disk_use(&self.cache)
    }

    /// What lies in staging.
    pub(crate) fn staging(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.cache.join("staging")).into_iter().flatten();
        entries.filter_map(Result::ok).map(|entry| entry.path()).collect()
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        detach(&self.point);
        self.service.kill();
        detach(&self.point);
        let left = processes_of(&self.cache);
        for pid in &left {
            process::send(*pid, libc::SIGKILL);
        }
        if std::thread::panicking() {
            return;
        }
        assert!(!self.log().contains("panicked at"), "the mount panicked:\n{}", self.log());
        if let Some(secret) = self.secrets().found_in(&self.log()) {
            panic!("the log holds a secret, {secret}");
        }
        assert!(left.is_empty(), "processes {left:?} outlived their mount");
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        assert!(
            !mounts.contains(&*self.point.to_string_lossy()),
            "{} is still mounted",
            self.point.display()
        );
    }
}

/// Detaches whatever is mounted there, also when its server is dead.
pub(crate) fn detach(point: &Path) {
    let name = CString::new(point.as_os_str().as_bytes()).unwrap();
    // SAFETY: the string ends with NUL.
    let outcome = unsafe { libc::umount2(name.as_ptr(), libc::MNT_DETACH) };
    if outcome != 0 && std::io::Error::last_os_error().raw_os_error() == Some(libc::EPERM) {
        let _ = Command::new("fusermount3").arg("-uzq").arg(point).status();
    }
}

/// Processes that name the cache's folder in their arguments, once the orphans had a moment to see their parent gone.
fn processes_of(cache: &Path) -> Vec<u32> {
    let wanted = cache.to_string_lossy().into_owned();
    let find = || -> Vec<u32> {
        let processes = std::fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok);
        processes
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .filter(|pid| {
                let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
                String::from_utf8_lossy(&line).contains(&wanted)
            })
            .collect()
    };
    let start = std::time::Instant::now();
    loop {
        let found = find();
        if found.is_empty() || start.elapsed() > Duration::from_secs(2) {
            return found;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Bytes of real blocks below a folder.
pub(crate) fn disk_use(folder: &Path) -> u64 {
    // What is renamed while we walk must not count twice.
    walk(folder, &mut std::collections::HashSet::new())
}

fn walk(folder: &Path, seen: &mut std::collections::HashSet<u64>) -> u64 {
    let mut total = 0;
    // Files come and go while we look; what is gone does not count.
    for entry in std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok) {
        let Ok(metadata) = std::fs::symlink_metadata(entry.path()) else { continue };
        if !seen.insert(metadata.ino()) {
            continue;
        }
        total += metadata.blocks() * 512;
        if metadata.is_dir() {
            total += walk(&entry.path(), seen);
        }
    }
    total
}
