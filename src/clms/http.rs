//! One exchange with the service: send, wait within limits, read a bounded answer, say what it means.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, LOCATION};
use reqwest::{Request, Response, StatusCode, Url};
use serde_json::Value;
use zeroize::Zeroizing;

use super::clock::{self, ServiceClock};
use super::coding::{Coding, gunzip};
use super::counts::{Counts, Endpoint, Response as Answered};
use super::error::ClmsError;
use super::json;

/// Longest piece of the service's words that goes into a message.
const MAX_WORDS: usize = 300;

/// Sends requests and reads whole answers.
#[derive(Debug, Clone)]
pub(super) struct Transport {
    pub(super) http: reqwest::Client,
    pub(super) clock: Arc<ServiceClock>,
    pub(super) counts: Arc<Counts>,
    /// Largest body that is read.
    pub(super) body_limit: usize,
}

/// Time limits of one exchange.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Until the answer's head has come.
    pub(super) head: Duration,
    /// Until its body is whole, counted from the head.
    pub(super) body: Duration,
}

/// A whole answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) url: Url,
    /// Our clock when the head arrived.
    pub(super) received: Timestamp,
}

/// No whole answer.
#[derive(Debug)]
pub(super) struct Failure {
    /// True when the request certainly did not reach the service.
    pub(super) unsent: bool,
    pub(super) error: ClmsError,
}

impl Transport {
    /// Sends one request and reads the answer; no repetition, no redirect.
    pub(super) async fn exchange(
        &self,
        endpoint: Endpoint,
        request: Request,
        limits: Limits,
    ) -> Result<Answer, Failure> {
        let outcome = self.attempt(request, limits).await;
        let answered = outcome.as_ref().map_or(Answered::Unreachable, |answer| Answered::of(answer.status));
        self.counts.requests.one(endpoint, answered);
        outcome
    }

    async fn attempt(&self, request: Request, limits: Limits) -> Result<Answer, Failure> {
        let url = request.url().clone();
        let response = head(&self.http, request, limits.head).await?;
        let received = Timestamp::now();
        self.clock.measure(response.headers(), received);
        let status = response.status();
        let headers = response.headers().clone();
        let body = match tokio::time::timeout(limits.body, self.read(response)).await {
            Ok(body) => body,
            Err(_) => {
                Err(unreachable(&url, format!("the answer was not whole after {} s", limits.body.as_secs())))
            }
        };
        let body = body.map_err(|error| Failure { unsent: false, error })?;
        Ok(Answer { status, headers, body, url, received })
    }

    async fn read(&self, mut response: Response) -> Result<Bytes, ClmsError> {
        let url = response.url().clone();
        let too_large = || bad_answer(&url, format!("it is larger than {} MB", self.body_limit >> 20));
        if response.content_length().is_some_and(|length| length > self.body_limit as u64) {
            return Err(too_large());
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| unreachable(&url, words(&error)))? {
            if body.len() + chunk.len() > self.body_limit {
                return Err(too_large());
            }
            body.extend_from_slice(&chunk);
        }
        // Some proxies name a coding that they do not use.
        let is_plain = matches!(body.trim_ascii_start().first(), None | Some(b'{' | b'[' | b'<'));
        match Coding::of(response.headers()) {
            Coding::Plain => Ok(body.into()),
            _ if is_plain => Ok(body.into()),
            Coding::Gzip => match gunzip(&body, self.body_limit) {
                Ok(body) => Ok(body.into()),
                Err(what) => Err(bad_answer(&url, what)),
            },
            Coding::Unknown => Err(bad_answer(&url, "it is compressed in an unknown way".to_owned())),
        }
    }
}

/// Sends a request and waits for the head of the answer.
pub(super) async fn head(
    http: &reqwest::Client,
    request: Request,
    limit: Duration,
) -> Result<Response, Failure> {
    let url = request.url().clone();
    match tokio::time::timeout(limit, http.execute(request)).await {
        Ok(Ok(response)) => Ok(response),
        Ok(Err(error)) => Err(Failure {
            unsent: error.is_connect() || error.is_builder(),
            error: unreachable(&url, words(&error)),
        }),
        Err(_) => Err(Failure {
            unsent: false,
            error: unreachable(&url, format!("no answer within {} s", limit.as_secs())),
        }),
    }
}

/// An error with its causes, without addresses (a query may hold more than a log should).
fn words(error: &reqwest::Error) -> String {
    let mut cause = std::error::Error::source(error);
    let mut text = String::new();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(&inner_text);
        }
        cause = inner.source();
    }
    if text.is_empty() {
        text = if error.is_timeout() { "timeout".to_owned() } else { "the connection failed".to_owned() };
    }
    text
}

pub(super) fn unreachable(url: &Url, reason: String) -> ClmsError {
    ClmsError::Unreachable { host: host(url), reason }
}

pub(super) fn bad_answer(url: &Url, what: String) -> ClmsError {
    ClmsError::BadAnswer { host: host(url), what }
}

pub(super) fn host(url: &Url) -> String {
    url.host_str().unwrap_or("the service").to_owned()
}

/// True for a web page in place of data, by its type or its first character.
pub(super) fn is_html(headers: &HeaderMap, body: &[u8]) -> bool {
    let named = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).is_some_and(|kind| {
        let kind = kind.trim_start().to_ascii_lowercase();
        kind.starts_with("text/html") || kind.starts_with("application/xhtml")
    });
    named || body.trim_ascii_start().starts_with(b"<")
}

impl Answer {
    /// The body without the byte order mark that some proxies and editors put before it.
    fn text(&self) -> &[u8] {
        self.body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&self.body)
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// [`ClmsError::BadAnswer`] for HTML, broken or cut JSON.
    pub(super) fn json(&self) -> Result<Value, ClmsError> {
        json::parse(self.text()).map_err(|error| {
            let what = if self.body.is_empty() {
                "it is empty".to_owned()
            } else if is_html(&self.headers, self.text()) {
                "it is a web page (HTML) in place of JSON".to_owned()
            } else if error.is_eof() {
                "its JSON breaks off".to_owned()
            } else {
                format!("its JSON is broken at line {}, column {}", error.line(), error.column())
            };
            bad_answer(&self.url, what)
        })
    }

    /// The service's words about a failure: `msg`, `message` or `error_description` (CLMS-API 1.3, 3).
    pub(super) fn message(&self) -> String {
        let said = json::parse(self.text()).ok().and_then(|body| {
            ["msg", "message", "error_description", "error"]
                .iter()
                .find_map(|key| body.get(*key)?.as_str().map(str::to_owned))
        });
        let text = match said {
            Some(text) => text,
            None if is_html(&self.headers, &self.body) => "a web page in place of an answer".to_owned(),
            None => self.status.canonical_reason().unwrap_or("no reason given").to_owned(),
        };
        text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).take(MAX_WORDS).collect()
    }

    pub(super) fn retry_after(&self) -> Option<Duration> {
        clock::retry_after(&self.headers, self.received)
    }

    /// The address of a redirect, resolved; `None` when this is none.
    pub(super) fn redirect(&self) -> Option<Url> {
        let moved = matches!(self.status.as_u16(), 301 | 302 | 303 | 307 | 308);
        let location = self.headers.get(LOCATION).filter(|_| moved)?;
        self.url.join(location.to_str().ok()?).ok()
    }

    /// What a status other than success means.
    pub(super) fn refusal(&self) -> ClmsError {
        let status = self.status.as_u16();
        match status {
            401 => ClmsError::CredentialsRefused { reason: self.message() },
            429 => ClmsError::RateLimited { retry_after: self.retry_after() },
            500.. => ClmsError::Server { status, msg: self.message(), retry_after: self.retry_after() },
            400..500 => ClmsError::Refused { status, msg: self.message() },
            _ => match self.redirect() {
                Some(to) => {
                    bad_answer(&self.url, format!("it redirects to {}", to.origin().ascii_serialization()))
                }
                None => bad_answer(&self.url, format!("it has the unexpected status {status}")),
            },
        }
    }
}

/// Attaches a token so that it is not printed with the request.
pub(super) fn authorise(request: &mut Request, token: &[u8]) -> Result<(), ClmsError> {
    let text = Zeroizing::new([b"Bearer ", token].concat());
    let value = reqwest::header::HeaderValue::from_bytes(&text);
    let mut value = value.map_err(|_| bad_answer(request.url(), "its token is no text".to_owned()))?;
    value.set_sensitive(true);
    request.headers_mut().insert(AUTHORIZATION, value);
    Ok(())
}
