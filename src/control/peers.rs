//! Who may talk to the control socket.

use std::io;

use axum::serve::Listener;
use tokio::net::UnixListener;

/// Takes connections of this user and of root only, whatever mode the socket is given later.
pub(super) struct Owners(UnixListener);

impl Owners {
    /// Of this listener.
    pub(super) fn new(listener: UnixListener) -> Self {
        Self(listener)
    }
}

impl Listener for Owners {
    type Io = tokio::net::UnixStream;
    type Addr = tokio::net::unix::SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (stream, address) = Listener::accept(&mut self.0).await;
            match stream.peer_cred() {
                Ok(peer) if may_control(peer.uid(), own_uid()) => return (stream, address),
                Ok(peer) => tracing::warn!(uid = peer.uid(), "another user is kept off the control socket"),
                Err(error) => tracing::warn!(%error, "nobody knows who is at the control socket"),
            }
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.0.local_addr()
    }
}

fn may_control(peer: u32, own: u32) -> bool {
    peer == own || peer == 0
}

/// The user that this process acts for.
pub(super) fn own_uid() -> u32 {
    // SAFETY: geteuid takes nothing, always succeeds and touches no memory.
    unsafe { libc::geteuid() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owner_and_root_may_control() {
        assert!(may_control(1000, 1000) && may_control(0, 1000) && may_control(0, 0));
        assert!(!may_control(1001, 1000) && !may_control(1000, 0));
    }
}
