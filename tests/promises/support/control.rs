//! The simulator's control endpoints, over plain HTTP/1.0 on a socket.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde::Deserialize;

/// Sends one request to `authority` (`127.0.0.1:port`) and returns status and body.
///
/// # Panics
/// The service cannot be reached or does not speak HTTP.
#[track_caller]
pub(crate) fn request(authority: &str, method: &str, path: &str, body: &str) -> (u16, Vec<u8>) {
    try_request(authority, method, path, body)
        .unwrap_or_else(|error| panic!("{method} {path}: no simulator at {authority}: {error}"))
}

/// [`request`] to a service that may have ended.
///
/// # Errors
/// It cannot be reached, or breaks off.
///
/// # Panics
/// It does not speak HTTP.
pub(crate) fn try_request(
    authority: &str,
    method: &str,
    path: &str,
    body: &str,
) -> std::io::Result<(u16, Vec<u8>)> {
    let mut stream = TcpStream::connect(authority)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    // HTTP/1.0: the answer is neither chunked nor followed by another.
    write!(
        stream,
        "{method} {path} HTTP/1.0\r\nHost: {authority}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let head = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("an answer has a head");
    let status = String::from_utf8_lossy(&answer[..head])
        .split(' ')
        .nth(1)
        .and_then(|code| code.parse().ok())
        .expect("an answer has a status");
    Ok((status, answer.split_off(head + 4)))
}

/// What the simulator was asked since its log was reset.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Requests {
    total: u64,
    endpoints: BTreeMap<String, u64>,
    posts: BTreeMap<String, u64>,
    downloads: BTreeMap<String, u64>,
    download_bytes: u64,
    requests: Vec<Line>,
}

/// One request.
#[derive(Debug, Clone, Deserialize)]
struct Line {
    endpoint: String,
    range: Option<String>,
    status: Option<u16>,
}

impl Requests {
    /// Requests to one endpoint: token, search, post, status, tasks, delete, download.
    pub(crate) fn count(&self, endpoint: &str) -> u64 {
        self.endpoints.get(endpoint).copied().unwrap_or(0)
    }

    /// Requests to all endpoints together.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// Orders for a product that the service took.
    pub(crate) fn posts(&self, product: &str) -> u64 {
        self.posts.get(product).copied().unwrap_or(0)
    }

    /// Downloads of a product, whole or in part.
    pub(crate) fn downloads(&self, product: &str) -> u64 {
        self.downloads.get(product).copied().unwrap_or(0)
    }

    /// Bytes of packages that went over the wire.
    pub(crate) fn download_bytes(&self) -> u64 {
        self.download_bytes
    }

    /// Requests to an endpoint that have no answer yet.
    pub(crate) fn unanswered(&self, endpoint: &str) -> usize {
        self.requests.iter().filter(|line| line.endpoint == endpoint && line.status.is_none()).count()
    }

    /// Downloads that asked for the rest of a file and got it.
    pub(crate) fn resumed(&self) -> usize {
        let rest = |line: &&Line| {
            line.endpoint == "download"
                && line.status == Some(206)
                && line.range.as_deref().is_some_and(|range| !range.starts_with("bytes=0-"))
        };
        self.requests.iter().filter(rest).count()
    }
}
