//! What a service manager hears of a mount (sd_notify(3)).

use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use super::wait::PATIENCE;

/// A service manager that listens.
pub(crate) struct Manager {
    path: PathBuf,
    socket: UnixDatagram,
}

impl Manager {
    /// Listens in this folder.
    pub(crate) fn new(folder: &Path) -> Self {
        let path = folder.join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { path, socket }
    }

    /// For `$NOTIFY_SOCKET`.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The next message that begins so; others before it are passed over.
    #[track_caller]
    pub(crate) fn hears(&self, beginning: &str) -> String {
        let mut buffer = [0; 4096];
        loop {
            let length =
                self.socket.recv(&mut buffer).unwrap_or_else(|error| panic!("no {beginning}: {error}"));
            let message = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if message.starts_with(beginning) {
                return message;
            }
        }
    }
}
