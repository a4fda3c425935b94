//! A browser as far as these tests need one: requests with chosen headers, a cookie, forms.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::support::Mount;
use crate::support::wait::PATIENCE;

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The one value of a header, empty when it is missing.
    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> &str {
        let mut values = self.headers.iter().filter(|(given, _)| given.eq_ignore_ascii_case(name));
        let value = values.next().map_or("", |(_, value)| value);
        assert!(values.next().is_none(), "{name} is there twice: {:?}", self.headers);
        value
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Itself, if it has that status.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{:?}\n{}", self.headers, self.text());
        self
    }
}

/// The file of a mount's secret, which outlives the mount; dropped, it is deleted.
#[derive(Debug)]
pub(crate) struct Secret {
    pub(crate) text: String,
    pub(crate) file: PathBuf,
}

impl Secret {
    #[track_caller]
    pub(crate) fn of(mount: &Mount) -> Self {
        let link = mount.json(&["web"])["link"].as_str().expect("a link").to_owned();
        let text = link.split("token=").nth(1).expect("a secret in the link").to_owned();
        let folder = clmsfs::control::registry::directory().unwrap();
        let mut files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let file = files.find(|path| std::fs::read(path).is_ok_and(|bytes| bytes == text.as_bytes()));
        Self { text, file: file.expect("the secret is kept") }
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.file);
    }
}

/// A browser that was let in, or not.
#[derive(Debug, Clone)]
pub(crate) struct Browser {
    authority: String,
    cookie: String,
    pub(crate) secret: Arc<Secret>,
}

impl Browser {
    /// Comes by the link of `clmsfs web`.
    #[track_caller]
    pub(crate) fn of(mount: &Mount) -> Self {
        let link = mount.json(&["web"])["link"].as_str().expect("a link").to_owned();
        let (authority, target) = link.strip_prefix("http://").unwrap().split_once('/').unwrap();
        let secret = Arc::new(Secret::of(mount));
        let stranger = Self { authority: authority.to_owned(), cookie: String::new(), secret };
        let answer = stranger.get(&format!("/{target}")).expect(303);
        assert_eq!(answer.header("location"), "/", "the secret does not stay in the address");
        let cookie = answer.header("set-cookie");
        assert!(cookie.ends_with("; Path=/; HttpOnly; SameSite=Strict"), "{cookie}");
        Self { cookie: cookie.split(';').next().unwrap().to_owned(), ..stranger }
    }

    /// The same without the cookie.
    pub(crate) fn stranger(&self) -> Self {
        Self { cookie: String::new(), ..self.clone() }
    }

    pub(crate) fn authority(&self) -> &str {
        &self.authority
    }

    #[track_caller]
    pub(crate) fn get(&self, target: &str) -> Answer {
        self.send("GET", target, &[], "")
    }

    /// The page, which must be there.
    #[track_caller]
    pub(crate) fn page(&self, target: &str) -> String {
        self.get(target).expect(200).text()
    }

    /// The secret that the forms of a page carry.
    #[track_caller]
    pub(crate) fn form_secret(&self, target: &str) -> String {
        let page = self.page(target);
        let (_, rest) = page.split_once(r#"name="secret" value=""#).expect("a page with a form");
        rest.split('"').next().unwrap().to_owned()
    }

    /// Presses a button of a product's page, as a browser without scripts does.
    #[track_caller]
    pub(crate) fn press(&self, action: &str, id: &str) -> Answer {
        let secret = self.form_secret(&format!("/datasets/{id}"));
        self.submit(&[], &secret, action, id)
    }

    /// Sends the form with these headers besides.
    #[track_caller]
    pub(crate) fn submit(&self, headers: &[(&str, &str)], secret: &str, action: &str, id: &str) -> Answer {
        let body = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs([("secret", secret), ("action", action), ("id", id), ("from", "product")])
            .finish();
        let mut all = vec![("Content-Type", "application/x-www-form-urlencoded")];
        all.extend_from_slice(headers);
        self.send("POST", "/act", &all, &body)
    }

    /// Sends a request; headers given here take the place of those that a browser sends by itself.
    #[track_caller]
    pub(crate) fn send(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut stream = self.begin(method, target, headers, body);
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("an answer has a head");
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok()).expect("a status");
        let header =
            |line: &str| line.split_once(": ").map(|(name, value)| (name.to_owned(), value.to_owned()));
        let headers = lines.filter_map(header).collect();
        Answer { status, headers, body: bytes.split_off(end + 4) }
    }

    /// Sends a request whose answer goes on for as long as somebody reads it.
    pub(crate) fn begin(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> TcpStream {
        let mut stream = TcpStream::connect(&self.authority).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        // HTTP/1.0: the answer is not chunked and ends with the connection
        let mut text = format!("{method} {target} HTTP/1.0\r\nContent-Length: {}\r\n", body.len());
        let given = |name: &str| headers.iter().any(|(other, _)| other.eq_ignore_ascii_case(name));
        if !given("host") {
            text.push_str(&format!("Host: {}\r\n", self.authority));
        }
        if !self.cookie.is_empty() {
            text.push_str(&format!("Cookie: {}\r\n", self.cookie));
        }
        for (name, value) in headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        write!(stream, "{text}\r\n{body}").unwrap();
        stream
    }

    /// Follows the events of a page.
    pub(crate) fn follow(&self, target: &str) -> Events {
        Events { lines: BufReader::new(self.begin("GET", target, &[], "")) }
    }
}

/// A stream of events.
pub(crate) struct Events {
    lines: BufReader<TcpStream>,
}

impl Events {
    /// The next event: the regions that have changed. `None` when `end` is past; signs of life come in between.
    #[track_caller]
    fn next_before(&mut self, end: Instant) -> Option<serde_json::Value> {
        while Instant::now() < end {
            let mut line = String::new();
            assert!(self.lines.read_line(&mut line).unwrap() > 0, "the events have ended");
            if let Some(data) = line.strip_prefix("data: ") {
                return Some(serde_json::from_str(data).unwrap());
            }
        }
        None
    }

    /// The next event.
    #[track_caller]
    pub(crate) fn next(&mut self) -> serde_json::Value {
        self.next_before(Instant::now() + PATIENCE).expect("an event in time")
    }

    /// Reads on until a region has these words, through however many events.
    #[track_caller]
    pub(crate) fn until(&mut self, region: &str, words: &str) {
        let end = Instant::now() + PATIENCE;
        let mut last = String::new();
        while let Some(changed) = self.next_before(end) {
            last = changed[region]["html"].as_str().map_or(last, str::to_owned);
            if last.contains(words) {
                return;
            }
        }
        panic!("'{words}' never came; last:\n{last}");
    }
}
