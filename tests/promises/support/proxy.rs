//! A wire that can be cut: a TCP forwarder between the mount and the service.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Forwards connections to another address until it is cut.
pub(crate) struct Proxy {
    address: SocketAddr,
    target: String,
    delay: Duration,
    wire: Option<Wire>,
    heard: Heard,
}

/// What went to the service.
type Heard = Arc<Mutex<Vec<u8>>>;

struct Wire {
    cut: Arc<AtomicBool>,
    open: Arc<Mutex<Vec<TcpStream>>>,
    thread: std::thread::JoinHandle<()>,
}

impl Proxy {
    /// Starts forwarding to `target` (`127.0.0.1:port`) on a free port.
    pub(crate) fn start(target: &str) -> Self {
        Self::far(target, Duration::ZERO)
    }

    /// The same over a long line: every answer begins so much later.
    pub(crate) fn far(target: &str, delay: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let heard = Heard::default();
        let wire = Some(forward(listener, target.to_owned(), delay, &heard));
        Self { address, target: target.to_owned(), delay, wire, heard }
    }

    /// `127.0.0.1:port` of this side.
    pub(crate) fn authority(&self) -> String {
        self.address.to_string()
    }

    /// From now on connections are refused, and those that are open break.
    pub(crate) fn cut(&mut self) {
        let Some(wire) = self.wire.take() else { return };
        wire.cut.store(true, Ordering::SeqCst);
        // The listening thread wakes up by one more connection, sees the mark and closes its socket.
        let _ = TcpStream::connect(self.address);
        let _ = wire.thread.join();
        for stream in wire.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Mends it, on the same port.
    #[track_caller]
    pub(crate) fn mend(&mut self) {
        let listener = super::wait::until("the proxy's port", || TcpListener::bind(self.address).ok());
        self.wire = Some(forward(listener, self.target.clone(), self.delay, &self.heard));
    }

    /// From now on it leads to another service. What is open breaks.
    #[track_caller]
    pub(crate) fn lead_to(&mut self, target: &str) {
        self.cut();
        target.clone_into(&mut self.target);
        self.mend();
    }

    /// Everything that was sent to the service so far.
    pub(crate) fn heard(&self) -> String {
        String::from_utf8_lossy(&self.heard.lock().unwrap()).into_owned()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.cut();
    }
}

fn forward(listener: TcpListener, target: String, delay: Duration, heard: &Heard) -> Wire {
    let heard = Arc::clone(heard);
    let (cut, open) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
    let (mark, streams) = (Arc::clone(&cut), Arc::clone(&open));
    let thread = std::thread::spawn(move || {
        for inner in listener.incoming().map_while(Result::ok) {
            if mark.load(Ordering::SeqCst) {
                break;
            }
            let Ok(outer) = TcpStream::connect(&target) else { continue };
            let pair = [inner.try_clone(), outer.try_clone()];
            streams.lock().unwrap().extend(pair.into_iter().flatten());
            pump(&inner, &outer, Duration::ZERO, Some(Arc::clone(&heard)));
            pump(&outer, &inner, delay, None);
        }
    });
    Wire { cut, open, thread }
}

fn pump(from: &TcpStream, to: &TcpStream, delay: Duration, heard: Option<Heard>) {
    let (Ok(mut from), Ok(mut to)) = (from.try_clone(), to.try_clone()) else { return };
    std::thread::spawn(move || {
        let mut buffer = [0; 16_384];
        let mut last = None::<Instant>;
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            if let Some(heard) = &heard {
                heard.lock().unwrap().extend(&buffer[..length]);
            }
            // What follows at once belongs to the same answer.
            if last.is_none_or(|last| last.elapsed() > Duration::from_millis(1)) {
                std::thread::sleep(delay);
            }
            last = Some(Instant::now());
            if to.write_all(&buffer[..length]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    });
}
