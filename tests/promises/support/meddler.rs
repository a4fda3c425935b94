//! A proxy that changes what the service says, for manners that the simulator does not have.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// One answer on its way, to be changed.
pub(crate) struct Answer {
    /// Path and query of the request.
    pub(crate) target: String,
    /// Its `Host`.
    pub(crate) host: String,
    /// Its `Range`, if it had one.
    pub(crate) range: Option<String>,
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// Sent in place of all that.
    pub(crate) raw: Option<Vec<u8>>,
    /// How many answers to such a target came before.
    pub(crate) number: usize,
}

impl Answer {
    /// True for answers of that endpoint: `@datarequest_post`, `results/` …
    pub(crate) fn is_of(&self, endpoint: &str) -> bool {
        self.target.contains(endpoint)
    }

    /// True for the packages.
    pub(crate) fn is_package(&self) -> bool {
        self.is_of("/results/") && matches!(self.status, 200 | 206)
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON, changed.
    pub(crate) fn json(&mut self, change: impl FnOnce(&mut serde_json::Value)) {
        let Ok(mut value) = serde_json::from_slice(&self.body) else { return };
        change(&mut value);
        self.body = value.to_string().into_bytes();
    }

    /// Changes a text; packages are none.
    pub(crate) fn replace(&mut self, old: &str, new: &str) {
        if self.is_package() {
            return;
        }
        self.body = self.text().replace(old, new).into_bytes();
    }

    pub(crate) fn header(&mut self, name: &str, value: &str) {
        self.headers.retain(|(other, _)| !other.eq_ignore_ascii_case(name));
        self.headers.push((name.to_owned(), value.to_owned()));
    }

    fn bytes(mut self) -> Vec<u8> {
        if let Some(raw) = self.raw {
            return raw;
        }
        let has = |name: &str| self.headers.iter().any(|(other, _)| other.eq_ignore_ascii_case(name));
        if !has("transfer-encoding") && !has("content-length") {
            self.headers.push(("Content-Length".to_owned(), self.body.len().to_string()));
        }
        let mut bytes = format!("HTTP/1.1 {} X\r\nConnection: close\r\n", self.status).into_bytes();
        for (name, value) in &self.headers {
            bytes.extend(format!("{name}: {value}\r\n").into_bytes());
        }
        bytes.extend(b"\r\n");
        bytes.extend(self.body);
        bytes
    }
}

type Meddle = dyn Fn(&mut Answer) + Send + Sync;

/// Forwards requests to the simulator and answers what `meddle` makes of the answers.
pub(crate) struct Meddler {
    authority: String,
    on: Arc<AtomicBool>,
    ended: Arc<AtomicBool>,
}

impl Meddler {
    /// Starts it; it meddles from [`Meddler::begin`] on.
    pub(crate) fn start(target: &str, meddle: Arc<Meddle>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let authority = listener.local_addr().unwrap().to_string();
        let (on, ended) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (target, meddles, stop) = (target.to_owned(), Arc::clone(&on), Arc::clone(&ended));
        let seen: Arc<Mutex<std::collections::HashMap<String, usize>>> = Arc::default();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if stop.load(Ordering::SeqCst) {
                    break;
                }
                let (target, meddle) = (target.clone(), Arc::clone(&meddle));
                let (meddles, seen) = (Arc::clone(&meddles), Arc::clone(&seen));
                std::thread::spawn(move || {
                    let Ok(mut answer) = exchange(&stream, &target) else { return };
                    if meddles.load(Ordering::SeqCst) {
                        let path = answer.target.split('?').next().unwrap_or_default().to_owned();
                        let count = &mut *seen.lock().unwrap();
                        let number = count.entry(path).or_default();
                        answer.number = *number;
                        *number += 1;
                        meddle(&mut answer);
                    }
                    let _ = (&stream).write_all(&answer.bytes());
                });
            }
        });
        Self { authority, on, ended }
    }

    pub(crate) fn authority(&self) -> &str {
        &self.authority
    }

    pub(crate) fn begin(&self) {
        self.on.store(true, Ordering::SeqCst);
    }

    pub(crate) fn end(&self) {
        self.on.store(false, Ordering::SeqCst);
    }
}

impl Drop for Meddler {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        // The listening thread wakes up by one more connection and closes its socket.
        let _ = TcpStream::connect(&self.authority);
    }
}

/// One request, handed on with the caller's `Host`, and its answer.
fn exchange(stream: &TcpStream, target: &str) -> std::io::Result<Answer> {
    let mut from = BufReader::new(stream);
    let (mut line, mut head, mut host) = (String::new(), String::new(), String::new());
    let (mut length, mut range) = (0, None);
    from.read_line(&mut line)?;
    loop {
        let mut header = String::new();
        if from.read_line(&mut header)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let Some((name, value)) = header.trim_end().split_once(':') else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().unwrap_or(0),
            "range" => range = Some(value.trim().to_owned()),
            "host" => value.trim().clone_into(&mut host),
            "connection" => continue,
            _ => {}
        }
        head.push_str(&header);
    }
    let mut body = vec![0; length];
    from.read_exact(&mut body)?;
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();

    let mut service = TcpStream::connect(target)?;
    write!(service, "{}{head}Connection: close\r\n\r\n", line)?;
    service.write_all(&body)?;
    let mut answer = BufReader::new(service);
    line.clear();
    answer.read_line(&mut line)?;
    let status = line.split(' ').nth(1).and_then(|code| code.parse().ok());
    let mut headers = Vec::new();
    loop {
        let mut header = String::new();
        answer.read_line(&mut header)?;
        let Some((name, value)) = header.trim_end().split_once(':') else { break };
        // what the answer's bytes are is said anew
        if !["connection", "content-length"].contains(&name.to_ascii_lowercase().as_str()) {
            headers.push((name.to_owned(), value.trim().to_owned()));
        }
    }
    let mut body = Vec::new();
    answer.read_to_end(&mut body)?;
    let status = status.ok_or(std::io::ErrorKind::InvalidData)?;
    Ok(Answer { target: path, host, range, status, headers, body, raw: None, number: 0 })
}
