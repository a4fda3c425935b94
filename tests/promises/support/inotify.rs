//! What happens in a folder, told by the kernel the moment it happens.

use std::collections::{HashMap, VecDeque};
use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What happened to a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Happening {
    Created,
    Deleted,
    MovedAway,
    MovedHere,
}

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) folder: PathBuf,
    pub(crate) name: String,
    pub(crate) happening: Happening,
}

/// An open queue of events.
pub(crate) struct Watch {
    queue: OwnedFd,
    folders: HashMap<i32, PathBuf>,
    events: VecDeque<Event>,
}

impl Watch {
    /// Watches `folders`, not what lies in folders inside of them.
    #[track_caller]
    pub(crate) fn new(folders: &[&Path]) -> Self {
        // SAFETY: takes a number; the answer is checked below.
        let descriptor = unsafe { libc::inotify_init1(libc::IN_CLOEXEC | libc::IN_NONBLOCK) };
        assert!(descriptor >= 0, "inotify: {}", io::Error::last_os_error());
        // SAFETY: a fresh descriptor that nobody else owns.
        let queue = unsafe { OwnedFd::from_raw_fd(descriptor) };
        let mut watch = Self { queue, folders: HashMap::new(), events: VecDeque::new() };
        for folder in folders {
            watch.add(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        }
        watch
    }

    /// Watches one more folder.
    ///
    /// # Errors
    /// What inotify_add_watch(2) says; the folder may be gone.
    pub(crate) fn add(&mut self, folder: &Path) -> io::Result<()> {
        let path = CString::new(folder.as_os_str().as_bytes()).unwrap();
        let mask = libc::IN_CREATE | libc::IN_DELETE | libc::IN_MOVED_FROM | libc::IN_MOVED_TO;
        // SAFETY: the string ends with NUL, the descriptor is ours.
        let number = unsafe { libc::inotify_add_watch(self.queue.as_raw_fd(), path.as_ptr(), mask) };
        if number < 0 {
            return Err(io::Error::last_os_error());
        }
        self.folders.insert(number, folder.to_owned());
        Ok(())
    }

    /// The next event, if one comes within `limit`.
    pub(crate) fn next(&mut self, limit: Duration) -> Option<Event> {
        if self.events.is_empty() {
            let mut wanted = libc::pollfd { fd: self.queue.as_raw_fd(), events: libc::POLLIN, revents: 0 };
            let limit = i32::try_from(limit.as_millis()).unwrap_or(i32::MAX);
            // SAFETY: one valid entry, as is said.
            if unsafe { libc::poll(&raw mut wanted, 1, limit) } > 0 {
                self.read();
            }
        }
        self.events.pop_front()
    }

    fn read(&mut self) {
        const HEAD: usize = size_of::<libc::inotify_event>();
        let mut buffer = [0u8; 1 << 16];
        // SAFETY: the buffer is as long as is said.
        let length = unsafe { libc::read(self.queue.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len()) };
        let mut rest = &buffer[..usize::try_from(length).unwrap_or(0)];
        while rest.len() >= HEAD {
            let number = |at: usize| i32::from_ne_bytes(rest[at..at + 4].try_into().expect("four bytes"));
            let (watch, mask, length) = (number(0), number(4) as u32, number(12) as usize);
            let name = rest[HEAD..HEAD + length].split(|byte| *byte == 0).next().unwrap_or_default();
            let name = String::from_utf8_lossy(name).into_owned();
            let happening = match mask {
                mask if mask & libc::IN_CREATE != 0 => Some(Happening::Created),
                mask if mask & libc::IN_DELETE != 0 => Some(Happening::Deleted),
                mask if mask & libc::IN_MOVED_FROM != 0 => Some(Happening::MovedAway),
                mask if mask & libc::IN_MOVED_TO != 0 => Some(Happening::MovedHere),
                _ => None,
            };
            if let (Some(happening), Some(folder)) = (happening, self.folders.get(&watch)) {
                self.events.push_back(Event { folder: folder.clone(), name, happening });
            }
            rest = &rest[HEAD + length..];
        }
    }
}
