//! Fetching the file behind a link: no token, no cookie, no inner network, and a limit on silence.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderMap, RANGE};
use reqwest::{ClientBuilder, Response, Url, redirect};
use tokio::time::Instant;

use super::address::{LinkRules, is_local_name, is_public};
use super::client::Client;
use super::clock;
use super::counts::{Endpoint, Response as Answered};
use super::error::ClmsError;
use super::http::{bad_answer, head, host, is_html, unreachable};

/// Slower than so many bytes in a second, over the whole stall limit, a download is as good as silent: a new
/// connection costs nothing and may be faster.
const SLOWEST: u64 = 100;
/// What every zip begins with.
const ZIP: &[u8] = b"PK";
/// Redirects followed on the way to the file.
const MAX_REDIRECTS: usize = 5;

/// Does the file host send parts of a file?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ranges {
    /// It answered with the part that was asked for, or says that it can.
    Honoured,
    /// It sent the whole file although a part was asked for, or says that it cannot.
    Ignored,
    /// The whole file was asked for and it says nothing.
    Unknown,
}

/// A download that has begun.
#[derive(Debug)]
pub struct Download {
    /// Offset in the file of the first byte that will come: what was asked for, or 0 when ranges are ignored.
    pub start: u64,
    /// Size of the whole file, when the host says so.
    pub total: Option<u64>,
    /// Can a broken download be resumed?
    pub ranges: Ranges,
    /// The host's mark of this version of the file. A hint only: hosts of several machines give several marks to one
    /// file, so a resumed download is proven by the checksums of its package.
    pub etag: Option<String>,
    body: Body,
}

#[derive(Debug)]
struct Body {
    /// Read ahead, to be given out first.
    first: Option<Bytes>,
    /// `None` once everything has come.
    response: Option<Response>,
    url: Url,
    received: u64,
    expected: Option<u64>,
    stall: Duration,
    /// When the speed was last judged, and how much had come by then.
    judged: Option<(Instant, u64)>,
}

impl Download {
    /// The next bytes, `None` at the end. Can be dropped and called again without losing bytes.
    ///
    /// # Errors
    /// [`ClmsError::Unreachable`] when nothing came for the stall limit or the answer broke off (resume then).
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, ClmsError> {
        self.body.next().await
    }

    /// The bytes as a stream; it ends after the first error.
    pub fn into_stream(self) -> impl Stream<Item = Result<Bytes, ClmsError>> + Send {
        futures_util::stream::unfold(Some(self.body), async |body| {
            let mut body = body?;
            match body.next().await {
                Ok(Some(bytes)) => Some((Ok(bytes), Some(body))),
                Ok(None) => None,
                Err(error) => Some((Err(error), None)),
            }
        })
    }
}

#[cfg(test)]
impl Download {
    /// A download whose bytes come from `stream`, for tests of what is done with downloads.
    pub(crate) fn from_stream<S>(url: &Url, start: u64, total: Option<u64>, stream: S) -> Self
    where
        S: Stream<Item = std::io::Result<Bytes>> + Send + 'static,
    {
        let response = Response::from(axum::http::Response::new(reqwest::Body::wrap_stream(stream)));
        let stall = Duration::from_secs(60);
        let url = url.clone();
        let body = Body {
            first: None,
            response: Some(response),
            url,
            received: 0,
            expected: None,
            stall,
            judged: None,
        };
        Self { start, total, ranges: Ranges::Unknown, etag: None, body }
    }
}

impl Body {
    async fn next(&mut self) -> Result<Option<Bytes>, ClmsError> {
        if let Some(first) = self.first.take() {
            return Ok(Some(first));
        }
        let Some(response) = &mut self.response else { return Ok(None) };
        let broken_off = |reason: String| Err(unreachable(&self.url, reason));
        match tokio::time::timeout(self.stall, response.chunk()).await {
            Err(_) => broken_off(format!("no byte came for {} s", self.stall.as_secs())),
            Ok(Err(_)) => broken_off(format!("the download broke off after {} bytes", self.received)),
            Ok(Ok(Some(bytes))) => {
                self.received += bytes.len() as u64;
                if self.expected.is_some_and(|expected| self.received > expected) {
                    return Err(bad_answer(&self.url, "it sends more bytes than it announced".to_owned()));
                }
                self.judge()?;
                Ok(Some(bytes))
            }
            Ok(Ok(None)) => {
                self.response = None;
                match self.expected {
                    Some(expected) if self.received < expected => {
                        broken_off(format!("the download ended after {} of {expected} bytes", self.received))
                    }
                    _ => Ok(None),
                }
            }
        }
    }
}

impl Body {
    /// As many bytes as a judgement takes, or all there are.
    async fn beginning(&mut self) -> Result<Bytes, ClmsError> {
        let mut first = BytesMut::new();
        while first.len() < ZIP.len() {
            let Some(bytes) = self.next().await? else { break };
            first.extend_from_slice(&bytes);
        }
        Ok(first.freeze())
    }

    /// Gives up a connection that is hardly better than a silent one.
    fn judge(&mut self) -> Result<(), ClmsError> {
        let (since, before) = *self.judged.get_or_insert_with(|| (Instant::now(), self.received));
        if since.elapsed() < self.stall {
            return Ok(());
        }
        let came = self.received - before;
        self.judged = Some((Instant::now(), self.received));
        if came >= SLOWEST.saturating_mul(self.stall.as_secs()) {
            return Ok(());
        }
        Err(unreachable(&self.url, format!("only {came} bytes came in {} s", self.stall.as_secs())))
    }
}

impl Client {
    /// Starts the download of a link from byte `range_from` on.
    ///
    /// Check [`Download::start`]: hosts may ignore ranges and send everything.
    ///
    /// # Errors
    /// [`ClmsError::LinkLost`] for every 4xx that does not pass, web pages and redirects without an end, [`ClmsError::UnsafeLink`] for links (or redirects) that
    /// lead into inner networks or are not encrypted, [`ClmsError::Server`], [`ClmsError::RateLimited`] and
    /// [`ClmsError::Unreachable`] when several attempts failed.
    pub async fn download(&self, url: &Url, range_from: u64) -> Result<Download, ClmsError> {
        self.links.check(url)?;
        let mut attempt = 1;
        loop {
            let (error, asked) = match self.begin(url, range_from).await {
                Ok(download) => return Ok(download),
                Err(error) => {
                    let asked = error.retry_after();
                    (error, asked)
                }
            };
            let wait = self.retry.wait(attempt, asked, rand::random()).filter(|_| error.is_transient());
            let Some(wait) = wait else { return Err(error) };
            tracing::debug!(%error, ?wait, attempt, "the download did not begin; trying again");
            tokio::time::sleep(wait).await;
            attempt += 1;
        }
    }

    async fn begin(&self, url: &Url, from: u64) -> Result<Download, ClmsError> {
        let response = self.ask(url, from).await?;
        let part = ContentRange::read(response.headers());
        match (response.status().as_u16(), part) {
            (206, Some(ContentRange { start: Some(start), total })) if start == from => {
                self.downloading(response, from, total, Ranges::Honoured).await
            }
            // Another part than was asked for, or nobody knows which.
            (206, _) if from > 0 => {
                let response = self.ask(url, 0).await?;
                self.whole(response, from).await
            }
            // Nothing after `from`: either everything is there already, or the file is another one.
            (416, Some(ContentRange { total: Some(total), .. })) if from > 0 && total == from => {
                Ok(Download {
                    start: from,
                    total: Some(total),
                    ranges: Ranges::Honoured,
                    etag: etag(response.headers()),
                    body: Body {
                        first: None,
                        response: None,
                        url: url.clone(),
                        received: 0,
                        expected: Some(0),
                        stall: *self.stall.get(),
                        judged: None,
                    },
                })
            }
            (416, _) if from > 0 => {
                let response = self.ask(url, 0).await?;
                self.whole(response, from).await
            }
            _ => self.whole(response, from).await,
        }
    }

    async fn ask(&self, url: &Url, from: u64) -> Result<Response, ClmsError> {
        let mut request = self.bare.get(url.clone());
        if from > 0 {
            request = request.header(RANGE, format!("bytes={from}-"));
        }
        let request =
            request.build().map_err(|_| ClmsError::UnsafeLink { reason: "it is no address".to_owned() })?;
        let answer = head(&self.bare, request, self.timeouts.head).await;
        let answered = answer.as_ref().map_or(Answered::Unreachable, |answer| Answered::of(answer.status()));
        self.counts.requests.one(Endpoint::Download, answered);
        answer.map_err(|failure| match failure.error {
            // The redirect policy and the resolver can only speak through an error's text.
            ClmsError::Unreachable { reason, .. } if reason.contains(UNSAFE_WORDS) => {
                ClmsError::UnsafeLink { reason }
            }
            // Asked again it would lead round again: another link is needed, not patience.
            ClmsError::Unreachable { reason, .. } if reason.contains(CIRCLE_WORDS) => {
                ClmsError::LinkLost { reason: format!("{} leads to nothing but other links", host(url)) }
            }
            error => error,
        })
    }

    /// The answer to a request for the whole file, or to a range that was ignored.
    async fn whole(&self, response: Response, asked_from: u64) -> Result<Download, ClmsError> {
        let status = response.status().as_u16();
        let lost = |reason: String| Err(ClmsError::LinkLost { reason });
        let asked = || clock::retry_after(response.headers(), jiff::Timestamp::now());
        match status {
            200 => {
                let accepts = response.headers().get("accept-ranges").and_then(|value| value.to_str().ok());
                let ranges = match accepts {
                    _ if asked_from > 0 => Ranges::Ignored,
                    Some(unit) if unit.eq_ignore_ascii_case("bytes") => Ranges::Honoured,
                    Some(_) => Ranges::Ignored,
                    None => Ranges::Unknown,
                };
                let total = content_length(response.headers());
                self.downloading(response, 0, total, ranges).await
            }
            429 => Err(ClmsError::RateLimited { retry_after: asked() }),
            500.. => {
                let msg = "the file host failed".to_owned();
                Err(ClmsError::Server { status, msg, retry_after: asked() })
            }
            408 | 425 => {
                Err(ClmsError::Refused { status, msg: "the file host does not take the request".to_owned() })
            }
            400..500 => lost(format!("{} answers with status {status}", host(response.url()))),
            _ => Err(bad_answer(response.url(), format!("it has the unexpected status {status}"))),
        }
    }

    async fn downloading(
        &self,
        response: Response,
        start: u64,
        total: Option<u64>,
        ranges: Ranges,
    ) -> Result<Download, ClmsError> {
        let url = response.url().clone();
        let said_html = is_html(response.headers(), b"");
        let expected = match total {
            Some(total) => Some(total.saturating_sub(start)),
            None => content_length(response.headers()),
        };
        let etag = etag(response.headers());
        let stall = *self.stall.get();
        let response = Some(response);
        let mut body = Body { first: None, response, url, received: 0, expected, stall, judged: None };
        // Some hosts call every file a web page: the first bytes tell what it is. A part of a file does not begin with them.
        if said_html && start == 0 {
            let first = body.beginning().await?;
            if !first.starts_with(ZIP) {
                let reason = format!("{} answers with a web page", host(&body.url));
                return Err(ClmsError::LinkLost { reason });
            }
            body.first = Some(first);
        }
        Ok(Download { start, total, ranges, etag, body })
    }
}

/// `Content-Range: bytes 5-9/10`, `bytes */10`, `bytes 5-9/*`.
pub(super) struct ContentRange {
    start: Option<u64>,
    total: Option<u64>,
}

impl ContentRange {
    pub(super) fn read(headers: &HeaderMap) -> Option<Self> {
        Self::parse(headers.get(CONTENT_RANGE)?.to_str().ok()?)
    }

    fn parse(text: &str) -> Option<Self> {
        let (range, total) = text.trim().strip_prefix("bytes")?.trim().split_once('/')?;
        let start = range.split_once('-').and_then(|(start, _)| start.trim().parse().ok());
        Some(Self { start, total: total.trim().parse().ok() })
    }
}

pub(super) fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.trim().parse().ok()
}

fn etag(headers: &HeaderMap) -> Option<String> {
    headers.get(ETAG)?.to_str().ok().map(str::to_owned)
}

/// Marks errors of the redirect policy and the resolver.
const UNSAFE_WORDS: &str = "the download link is not trusted";

/// Marks errors of a link that leads to ever more links.
const CIRCLE_WORDS: &str = "too many redirects";

/// Gives a builder the rules for downloads: checked and bounded redirects, no inner addresses by DNS.
pub(super) fn bare_client(builder: ClientBuilder, links: &LinkRules) -> ClientBuilder {
    let (rules, api_is_loopback) = (links.clone(), links.api_is_loopback());
    let builder = builder.redirect(redirect::Policy::custom(move |attempt| {
        if attempt.previous().len() > MAX_REDIRECTS {
            return attempt.error(CIRCLE_WORDS);
        }
        match rules.check(attempt.url()) {
            Ok(()) => attempt.follow(),
            Err(error) => attempt.error(error),
        }
    }));
    // A service on this machine needs no proxy, and only this machine's own names may lead to it. With a proxy it is the
    // proxy that resolves names, and its own name may well be an inner one.
    if !api_is_loopback && proxy_is_set() {
        builder
    } else {
        builder.dns_resolver(PublicOnly { api_is_loopback })
    }
}

fn proxy_is_set() -> bool {
    ["https_proxy", "HTTPS_PROXY", "http_proxy", "all_proxy", "ALL_PROXY"]
        .iter()
        .any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
}

/// Resolves names to public addresses only, so that a link cannot name an inner host by a public name. The addresses
/// that are looked at are those that are connected to: there is no second question that could be answered differently.
struct PublicOnly {
    api_is_loopback: bool,
}

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        let may_be_local = self.api_is_loopback && is_local_name(name.as_str());
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let public: Vec<SocketAddr> =
                found.iter().copied().filter(|address| may_be_local || is_public(address.ip())).collect();
            if public.is_empty() && !found.is_empty() {
                let reason = format!("{} has an inner address", name.as_str());
                return Err(ClmsError::UnsafeLink { reason }.into());
            }
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn content_ranges() {
        let parse = |text: &str| ContentRange::parse(text).map(|range| (range.start, range.total));
        assert_eq!(parse("bytes 5-9/10"), Some((Some(5), Some(10))));
        assert_eq!(parse("bytes */10"), Some((None, Some(10))));
        assert_eq!(parse("bytes 5-9/*"), Some((Some(5), None)));
        assert_eq!(parse("lines 5-9/10"), None);
        assert_eq!(parse("bytes"), None);
    }

    #[test]
    fn the_marker_is_in_the_message() {
        let text = ClmsError::UnsafeLink { reason: String::new() }.to_string();
        assert!(text.contains(UNSAFE_WORDS));
    }

    #[tokio::test]
    async fn a_public_name_for_an_inner_host_is_refused() {
        let resolve = |api_is_loopback| PublicOnly { api_is_loopback }.resolve("localhost".parse().unwrap());
        assert!(resolve(false).await.err().unwrap().to_string().contains(UNSAFE_WORDS));
        // A service on this machine may well name it.
        assert!(resolve(true).await.is_ok());
    }
}
