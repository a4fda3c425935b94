//! `--metrics-listen`: the metrics over plain HTTP, `GET /metrics` and nothing else.
//!
//! Whoever reaches the port may ask, so nobody gets much: few connections at a time, each for a short while.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Sleep;

use super::{Mounted, metrics};

/// Connections at a time.
const CONNECTIONS: usize = 16;
/// How long a connection lasts, whatever is said on it: a silent one must not keep others out.
const LIFETIME: Duration = Duration::from_secs(10);
/// Pause after the system gave no connection (no descriptors left), as axum makes one.
const BREATH: Duration = Duration::from_secs(1);

/// The port cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("metrics cannot be served at {address}: {source}{}", advice(source))]
pub struct PortError {
    address: SocketAddr,
    source: io::Error,
}

fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "; another program or mount has this port: name another one with --metrics-listen"
        }
        io::ErrorKind::AddrNotAvailable => {
            "; this machine has no such address: name one of its own with --metrics-listen, such as 127.0.0.1"
        }
        io::ErrorKind::PermissionDenied => {
            "; ports below 1024 are for root: name a higher one with --metrics-listen"
        }
        _ => "",
    }
}

/// A port that is ours, and answers nothing yet.
#[derive(Debug)]
pub struct Port(TcpListener);

impl Port {
    /// Takes the port.
    ///
    /// # Errors
    /// [`PortError`] when it cannot be had.
    pub async fn take(address: SocketAddr) -> Result<Self, PortError> {
        TcpListener::bind(address).await.map(Self).map_err(|source| PortError { address, source })
    }

    /// Answers until the mount stops.
    pub fn serve(self, mounted: Arc<Mounted>) {
        if let Ok(address) = self.0.local_addr() {
            tracing::info!("metrics are served at http://{address}/metrics");
            if !address.ip().is_loopback() {
                tracing::warn!(
                    "whoever reaches that address may read the metrics; docs/METRICS.md says what they tell"
                );
            }
        }
        let stop = mounted.stop.clone();
        let router = Router::new().route("/metrics", get(answer)).with_state(mounted);
        let visitors = Visitors { listener: self.0, places: Arc::new(Semaphore::new(CONNECTIONS)) };
        tokio::spawn(async move {
            let serving =
                axum::serve(visitors, router).with_graceful_shutdown(async move { stop.cancelled().await });
            if let Err(error) = serving.await {
                tracing::error!(%error, "the metrics' port is gone");
            }
        });
    }
}

async fn answer(State(mounted): State<Arc<Mounted>>) -> Response {
    match metrics::text(&mounted) {
        Some(text) => ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        None => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

/// Lets a few in at a time.
struct Visitors {
    listener: TcpListener,
    places: Arc<Semaphore>,
}

impl Listener for Visitors {
    type Io = Visit;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Visit, SocketAddr) {
        let place = Arc::clone(&self.places).acquire_owned().await.expect("nobody closes the places");
        loop {
            match self.listener.accept().await {
                Ok((stream, address)) => {
                    let end = Box::pin(tokio::time::sleep(LIFETIME));
                    return (Visit { stream, end, _place: place }, address);
                }
                Err(error) => {
                    tracing::debug!(%error, "a visitor of the metrics was lost");
                    tokio::time::sleep(BREATH).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection that ends in time.
struct Visit {
    stream: TcpStream,
    end: Pin<Box<Sleep>>,
    _place: OwnedSemaphorePermit,
}

impl Visit {
    /// Ready when the time is over; whoever waits for the stream is woken then, too.
    fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        ready!(self.end.as_mut().poll(context));
        Poll::Ready(io::ErrorKind::TimedOut.into())
    }
}

impl AsyncRead for Visit {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Poll::Ready(over) = self.poll_end(context) {
            return Poll::Ready(Err(over));
        }
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Visit {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if let Poll::Ready(over) = self.poll_end(context) {
            return Poll::Ready(Err(over));
        }
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn a_port_in_use_is_told_with_the_way_out() {
        let first = Port::take(([127, 0, 0, 1], 0).into()).await.unwrap();
        let address = first.0.local_addr().unwrap();
        let told = Port::take(address).await.unwrap_err().to_string();
        assert!(told.contains(&address.to_string()) && told.contains("--metrics-listen"), "{told}");
        assert!(!told.contains('\n'));
    }

    #[tokio::test]
    async fn who_says_nothing_keeps_nobody_out_for_long() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut visitors = Visitors { listener, places: Arc::new(Semaphore::new(1)) };
        let _silent = TcpStream::connect(address).await.unwrap();
        let (mut visit, _) = visitors.accept().await;
        let _next = TcpStream::connect(address).await.unwrap();
        tokio::time::pause();
        // time goes on by itself as soon as everybody waits for it
        let read = tokio::spawn(async move { visit.read(&mut [0; 8]).await });
        visitors.accept().await;
        assert_eq!(read.await.unwrap().unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
