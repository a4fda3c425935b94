//! Connections that can be reset on purpose.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use axum::{extract::connect_info::Connected, serve};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
};

/// The other end of a connection, and the switch to cut it.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    pub(crate) address: IpAddr,
    cut: Arc<AtomicBool>,
}

impl Peer {
    /// From now on every write fails, and the kernel sends RST instead of FIN.
    pub(crate) fn reset(&self) {
        self.cut.store(true, Ordering::Relaxed);
    }
}

/// A TCP listener whose connections listen to their [`Peer`].
#[derive(Debug)]
pub(crate) struct Listener(pub(crate) TcpListener);

/// A connection of [`Listener`].
#[derive(Debug)]
pub(crate) struct Stream {
    stream: TcpStream,
    cut: Arc<AtomicBool>,
}

impl serve::Listener for Listener {
    type Io = Stream;
    type Addr = Peer;

    async fn accept(&mut self) -> (Stream, Peer) {
        let (stream, address) = serve::Listener::accept(&mut self.0).await;
        // Small answers must not wait for each other; a socket that refuses is merely slower.
        let _ = stream.set_nodelay(true);
        let cut = Arc::new(AtomicBool::new(false));
        (Stream { stream, cut: Arc::clone(&cut) }, Peer { address: address.ip(), cut })
    }

    fn local_addr(&self) -> io::Result<Peer> {
        let address: SocketAddr = self.0.local_addr()?;
        Ok(Peer { address: address.ip(), cut: Arc::default() })
    }
}

impl Connected<serve::IncomingStream<'_, Listener>> for Peer {
    fn connect_info(stream: serve::IncomingStream<'_, Listener>) -> Self {
        stream.remote_addr().clone()
    }
}

impl Stream {
    fn check(&self) -> io::Result<()> {
        if self.cut.load(Ordering::Relaxed) {
            self.stream.set_zero_linger()?;
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Ok(())
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
