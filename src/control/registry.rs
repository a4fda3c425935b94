//! Which mounts run on this machine, and where their sockets are: one small file per mount.
//!
//! For root in `/run/clmsfs`, for a service of systemd in its `$RUNTIME_DIRECTORY` (`/run/clmsfs-<name>`), for others in
//! `$XDG_RUNTIME_DIR/clmsfs`, which is `/run/user/<uid>/clmsfs` also where the variable is missing (cron, su), else in a private
//! directory below the system's temporary one. Root sees those of services, too.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Where the mounts of root are registered.
const OF_ROOT: &str = "/run/clmsfs";

/// A mount that runs, or ran until it died.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registered {
    /// Where it is mounted.
    pub mountpoint: PathBuf,
    /// Its process.
    pub pid: u32,
    /// When the process started, in clock ticks since the machine did: a later process may get the same number.
    pub started: u64,
    /// Its socket.
    pub socket: PathBuf,
}

impl Registered {
    /// Takes its socket away, and nothing outside of this directory, whatever the file says.
    fn remove_socket(&self, directory: &Path) {
        if self.socket.parent() == Some(directory) {
            let _ = fs::remove_file(&self.socket);
        }
    }

    /// The number alone proves nothing where a mount ran in another pid namespace than it is looked for in (a container's
    /// first process is number 1 there). A socket takes connections as long as its process lives, also one that hangs.
    fn is_alive(&self) -> bool {
        start_of(self.pid) == Some(self.started) && takes_connections(&self.socket)
    }

    fn read(file: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(file).ok()?).ok()
    }
}

/// Whether somebody has this socket open for connections. One who takes none any more (a stopped process) is not waited for.
fn takes_connections(socket: &Path) -> bool {
    // SAFETY: an address of zeros is one without a name.
    let mut address: libc::sockaddr_un = unsafe { std::mem::zeroed() };
    address.sun_family = libc::AF_UNIX as libc::sa_family_t;
    let name = socket.as_os_str().as_bytes();
    // what the kernel reads ends with a zero
    if name.len() >= address.sun_path.len() {
        return false;
    }
    for (place, byte) in address.sun_path.iter_mut().zip(name) {
        *place = *byte as libc::c_char;
    }
    let kind = libc::SOCK_STREAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: socket(2) takes numbers only.
    let descriptor = unsafe { libc::socket(libc::AF_UNIX, kind, 0) };
    if descriptor < 0 {
        return false;
    }
    // SAFETY: it was opened above, and nobody else has it.
    let own = unsafe { OwnedFd::from_raw_fd(descriptor) };
    let length = size_of::<libc::sockaddr_un>() as libc::socklen_t;
    // SAFETY: the address lives through the call and is as long as is said.
    let status = unsafe { libc::connect(own.as_raw_fd(), (&raw const address).cast(), length) };
    // the queue of those who wait to be taken is full
    status == 0 || io::Error::last_os_error().kind() == io::ErrorKind::WouldBlock
}

/// When a process started, in clock ticks since the machine did; `None` when it has ended.
fn start_of(pid: u32) -> Option<u64> {
    parse_start(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// State and start of `/proc/<pid>/stat` (fields 3 and 22 of proc(5)). The name before them may hold anything.
fn parse_start(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    // a zombie serves nobody, it only waits for its parent
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    fields.nth(22 - 4)?.parse().ok()
}

fn own_uid() -> u32 {
    // SAFETY: geteuid takes nothing, always succeeds and touches no memory.
    unsafe { libc::geteuid() }
}

/// Whether it is a directory of this user's, and not only a link to one.
fn is_own(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir() && metadata.uid() == own_uid())
}

/// Where the mounts of `uid` are registered; the first place that `is_own`. A variable may be that of another user, whose
/// session a bare su has left in place.
fn place(uid: u32, env: impl Fn(&str) -> Option<PathBuf>, is_own: impl Fn(&Path) -> bool) -> PathBuf {
    if uid == 0 {
        return PathBuf::from(OF_ROOT);
    }
    let own = |path: &PathBuf| is_own(path);
    if let Some(of_service) = env("RUNTIME_DIRECTORY").filter(own) {
        return of_service;
    }
    let of_session = PathBuf::from(format!("/run/user/{uid}"));
    let runtime = env("XDG_RUNTIME_DIR").filter(own).or(Some(of_session).filter(own));
    runtime.map_or_else(|| temporary(uid), |runtime| runtime.join("clmsfs"))
}

/// Where they are registered as long as the user has no runtime directory.
fn temporary(uid: u32) -> PathBuf {
    std::env::temp_dir().join(format!("clmsfs-{uid}"))
}

/// The directory of this user's mounts, created with mode 0700.
///
/// # Errors
/// What creating it says; a directory of somebody else is refused.
pub fn directory() -> io::Result<PathBuf> {
    let uid = own_uid();
    let path = place(uid, |name| std::env::var_os(name).map(PathBuf::from), is_own);
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&path)?;
    let metadata = fs::symlink_metadata(&path)?;
    if !metadata.is_dir() || metadata.uid() != uid {
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            format!("{} belongs to somebody else", path.display()),
        ));
    }
    // it was there before, perhaps made by another hand
    if metadata.mode() & 0o077 != 0 {
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700))?;
    }
    Ok(path)
}

/// Short and unique: a socket's path may have 107 bytes only.
fn stem(mountpoint: &Path) -> String {
    let digest = Sha256::digest(mountpoint.as_os_str().as_encoded_bytes());
    digest[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Where the socket of a mount by this process belongs. No other process uses the same, not even one that served
/// this mount point before and is not quite gone.
///
/// # Errors
/// See [`directory`].
pub fn socket(mountpoint: &Path) -> io::Result<PathBuf> {
    Ok(directory()?.join(format!("{}-{}.sock", stem(mountpoint), std::process::id())))
}

/// Where the secret of the web page of a mount belongs. It outlives the mount, so that a browser that was let in once is
/// let in after a restart.
///
/// # Errors
/// See [`directory`].
pub fn web_token(mountpoint: &Path) -> io::Result<PathBuf> {
    Ok(directory()?.join(format!("{}.web-token", stem(mountpoint))))
}

/// Whoever changes the directory holds this lock: what is seen dead is then still so when it is removed.
fn lock(directory: &Path) -> io::Result<fs::File> {
    let file = fs::OpenOptions::new().create(true).append(true).open(directory.join("lock"))?;
    file.lock()?;
    Ok(file)
}

/// Keeps a mount registered; dropping it takes the file and the socket away.
#[derive(Debug)]
pub struct Registration {
    file: PathBuf,
    registered: Registered,
}

impl Registration {
    /// Registers a mount of this process.
    ///
    /// # Errors
    /// What writing the file says.
    pub fn new(mountpoint: &Path, socket: &Path) -> io::Result<Self> {
        Self::within(&directory()?, mountpoint, socket)
    }

    fn within(directory: &Path, mountpoint: &Path, socket: &Path) -> io::Result<Self> {
        let file = directory.join(format!("{}.json", stem(mountpoint)));
        let pid = std::process::id();
        let started = start_of(pid).ok_or_else(|| io::Error::other("/proc does not show this process"))?;
        let registered =
            Registered { mountpoint: mountpoint.to_owned(), pid, started, socket: socket.to_owned() };
        let text = serde_json::to_vec(&registered)?;
        let fresh = file.with_extension(format!("{pid}.new"));
        let _lock = lock(directory)?;
        // that of a mount that was killed: nobody would find its socket any more
        if let Some(former) = Registered::read(&file).filter(|former| !former.is_alive()) {
            former.remove_socket(directory);
        }
        fs::write(&fresh, text)?;
        fs::rename(&fresh, &file)?;
        Ok(Self { file, registered })
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let _lock = self.file.parent().map(lock);
        // the mount point may have a new mount already
        if Registered::read(&self.file).as_ref() == Some(&self.registered) {
            let _ = fs::remove_file(&self.file);
        }
        let _ = fs::remove_file(&self.registered.socket);
    }
}

/// All living mounts of this user, for root those of services, too. What dead ones left behind is removed.
///
/// # Errors
/// See [`directory`].
pub fn running() -> io::Result<Vec<Registered>> {
    let directory = directory()?;
    let mut running = living(&directory)?;
    if directory == Path::new(OF_ROOT) {
        running.extend(of_services(Path::new("/run"))?);
    }
    // a mount may have begun before its user had a session, or goes on after it
    let temporary = temporary(own_uid());
    if directory != temporary && is_own(&temporary) {
        running.extend(living(&temporary)?);
    }
    running.sort_by(by_mountpoint);
    Ok(running)
}

/// Living mounts of services, whose directories systemd has made in `run`. They belong to another user: root looks, and
/// neither locks nor removes anything there.
fn of_services(run: &Path) -> io::Result<Vec<Registered>> {
    let is_ours = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.starts_with("clmsfs-") && fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir())
    };
    let directories = fs::read_dir(run)?.filter_map(Result::ok).map(|entry| entry.path()).filter(is_ours);
    let files = directories.filter_map(|directory| registrations(&directory).ok()).flatten();
    Ok(files.filter_map(|file| Registered::read(&file)).filter(Registered::is_alive).collect())
}

/// The files of registered mounts.
fn registrations(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let files = fs::read_dir(directory)?.filter_map(Result::ok).map(|entry| entry.path());
    Ok(files.filter(|file| file.extension().is_some_and(|extension| extension == "json")).collect())
}

fn by_mountpoint(a: &Registered, b: &Registered) -> std::cmp::Ordering {
    a.mountpoint.cmp(&b.mountpoint)
}

fn living(directory: &Path) -> io::Result<Vec<Registered>> {
    let _lock = lock(directory)?;
    let mut running = Vec::new();
    for file in registrations(directory)? {
        let Some(registered) = Registered::read(&file) else { continue };
        if registered.is_alive() {
            running.push(registered);
            continue;
        }
        let _ = fs::remove_file(&file);
        registered.remove_socket(directory);
    }
    running.sort_by(by_mountpoint);
    Ok(running)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn the_start_stands_behind_any_name() {
        let stat =
            |state: &str| format!("7 (a) R b) {state} 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20");
        assert_eq!(parse_start(&stat("S")), Some(4711));
        assert_eq!(parse_start(&stat("Z")), None, "a zombie");
        assert_eq!(parse_start("7 (a) S 1"), None);
        assert!(start_of(std::process::id()).is_some());
    }

    #[test]
    fn the_place_is_found_without_the_variables_of_a_session() {
        let (session, service, temporary) = ("/run/user/7", "/run/clmsfs-lab", temporary(7));
        let env = |variables: &'static [(&str, &str)]| {
            move |name: &str| variables.iter().find(|(given, _)| *given == name).map(|(_, path)| path.into())
        };
        let found = |uid, variables, own: &[&str]| {
            place(uid, env(variables), |path| own.iter().any(|one| path == Path::new(one)))
        };
        let of_session = Path::new("/run/user/7/clmsfs");
        assert_eq!(found(7, &[("XDG_RUNTIME_DIR", "/run/user/7")], &[session]), of_session);
        assert_eq!(found(7, &[], &[session]), of_session, "cron");
        assert_eq!(found(7, &[("XDG_RUNTIME_DIR", "/run/user/1000")], &[session]), of_session, "su");
        assert_eq!(
            found(7, &[("XDG_RUNTIME_DIR", "/home/own")], &["/home/own"]),
            Path::new("/home/own/clmsfs")
        );
        assert_eq!(found(7, &[("XDG_RUNTIME_DIR", "/run/user/7")], &[]), temporary, "no session");
        assert_eq!(
            found(7, &[("RUNTIME_DIRECTORY", "/run/clmsfs-lab")], &[service, session]),
            Path::new(service)
        );
        assert_eq!(found(0, &[("RUNTIME_DIRECTORY", "/run/clmsfs-lab")], &[service]), Path::new(OF_ROOT));
    }

    /// Whoever looked waited for it, and held the lock for which everybody else waited.
    #[test]
    fn a_stopped_mount_lives_and_keeps_nobody_waiting() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("s-1.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        // SAFETY: listen(2) takes numbers only; the descriptor is open.
        assert_eq!(unsafe { libc::listen(listener.as_raw_fd(), 0) }, 0);
        let registration = Registration::within(dir.path(), Path::new("/mnt/clms"), &socket).unwrap();
        // the one place in the queue is taken and never left
        let _first = std::os::unix::net::UnixStream::connect(&socket).unwrap();
        let (tell, told) = std::sync::mpsc::channel();
        let directory = dir.path().to_owned();
        std::thread::spawn(move || tell.send(living(&directory).unwrap()));
        let living = told.recv_timeout(std::time::Duration::from_secs(20)).expect("an answer");
        assert_eq!(living, std::slice::from_ref(&registration.registered));
    }

    #[test]
    fn a_process_that_got_the_number_of_a_dead_mount_is_not_taken_for_it() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("s-1.sock");
        let _listener = UnixListener::bind(&socket).unwrap();
        let mountpoint = Path::new("/mnt/clms");
        let registration = Registration::within(dir.path(), mountpoint, &socket).unwrap();
        assert_eq!(living(dir.path()).unwrap(), std::slice::from_ref(&registration.registered));
        let earlier =
            Registered { started: registration.registered.started - 1, ..registration.registered.clone() };
        fs::write(&registration.file, serde_json::to_vec(&earlier).unwrap()).unwrap();
        assert_eq!(living(dir.path()).unwrap(), []);
        assert_eq!(names(dir.path()), ["lock"], "what the dead left is gone");
    }

    /// Those of containers were called running for ever: their number is 1, and there always is a process 1.
    #[test]
    fn a_mount_whose_socket_nobody_listens_at_is_dead() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("s-1.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let registration = Registration::within(dir.path(), Path::new("/mnt/clms"), &socket).unwrap();
        assert_eq!(living(dir.path()).unwrap(), std::slice::from_ref(&registration.registered));
        drop(listener);
        assert_eq!(living(dir.path()).unwrap(), []);
        assert_eq!(names(dir.path()), ["lock"], "what the dead left is gone");
    }

    /// Each kill -9 left a socket behind that nobody ever took away.
    #[test]
    fn the_socket_of_a_killed_mount_goes_when_the_next_one_is_registered() {
        let dir = tempfile::tempdir().unwrap();
        let sockets = ["s-1.sock", "s-2.sock"].map(|name| dir.path().join(name));
        let _listeners = sockets.each_ref().map(|socket| UnixListener::bind(socket).unwrap());
        let first = Registration::within(dir.path(), Path::new("/mnt/clms"), &sockets[0]).unwrap();
        let killed = Registered { started: first.registered.started - 1, ..first.registered.clone() };
        fs::write(&first.file, serde_json::to_vec(&killed).unwrap()).unwrap();
        let _second = Registration::within(dir.path(), Path::new("/mnt/clms"), &sockets[1]).unwrap();
        assert!(!sockets[0].exists() && sockets[1].exists());
        std::mem::forget(first);
    }

    #[test]
    fn those_of_services_are_seen_and_left_alone() {
        let run = tempfile::tempdir().unwrap();
        let [service, other] = ["clmsfs-lab", "other"].map(|name| run.path().join(name));
        for directory in [&service, &other] {
            fs::create_dir(directory).unwrap();
            let socket = directory.join("s-1.sock");
            std::mem::forget(UnixListener::bind(&socket).unwrap());
            std::mem::forget(Registration::within(directory, Path::new("/srv/lab"), &socket).unwrap());
        }
        let seen = of_services(run.path()).unwrap();
        assert_eq!(seen.len(), 1);
        assert!(seen[0].socket.starts_with(&service), "{seen:?}");
        let dead = Registered { started: seen[0].started - 1, ..seen[0].clone() };
        let file = registrations(&service).unwrap().remove(0);
        fs::write(&file, serde_json::to_vec(&dead).unwrap()).unwrap();
        assert_eq!(of_services(run.path()).unwrap(), []);
        assert!(file.exists() && dead.socket.exists());
    }

    #[test]
    fn a_late_farewell_leaves_the_next_mount_registered() {
        let dir = tempfile::tempdir().unwrap();
        let sockets = ["s-1.sock", "s-2.sock"].map(|name| dir.path().join(name));
        let mountpoint = Path::new("/mnt/clms");
        let _listeners = sockets.each_ref().map(|socket| UnixListener::bind(socket).unwrap());
        let first = Registration::within(dir.path(), mountpoint, &sockets[0]).unwrap();
        let second = Registration::within(dir.path(), mountpoint, &sockets[1]).unwrap();
        drop(first);
        assert_eq!(living(dir.path()).unwrap(), std::slice::from_ref(&second.registered));
        drop(second);
        assert_eq!(names(dir.path()), ["lock"]);
    }
}
