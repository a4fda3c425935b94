//! The client: what can be asked of the service.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use reqwest::header::{ACCEPT, ACCEPT_ENCODING, HeaderMap, HeaderValue};
use reqwest::{Method, Url};
use serde_json::{Value, json};

use super::address::{ApiAddress, LinkRules};
use super::clock::ServiceClock;
use super::counts::{Counts, Endpoint};
use super::error::ClmsError;
use super::http::{Answer, Failure, Limits, Transport, authorise, bad_answer, is_html};
use super::ids::{DatasetUid, FileId, TaskId};
use super::key::Credentials;
use super::order::{OrderOutcome, order_body, order_outcome};
use super::retry::RetryPolicy;
use super::task::{Task, tasks_from_json};
use super::token::TokenSource;
use crate::live::Live;

/// Redirects followed within the API.
const MAX_REDIRECTS: usize = 5;
/// Largest JSON answer that is read; a page of 100 full records is a few MB.
const BODY_LIMIT: usize = 128 << 20;

/// Time limits. Every wait for the network has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// For a connection, TLS included.
    pub connect: Duration,
    /// Until an answer begins.
    pub head: Duration,
    /// Until a JSON answer is whole.
    pub body: Duration,
    /// For a cancel as a whole: the service's is known to hang.
    pub cancel: Duration,
    /// Longest silence in the middle of a download.
    pub stall: Duration,
}

impl Timeouts {
    fn hurried(self, times: u32) -> Self {
        Self {
            connect: self.connect / times,
            head: self.head / times,
            body: self.body / times,
            cancel: self.cancel / times,
            // an option of its own
            stall: self.stall,
        }
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            head: Duration::from_secs(60),
            body: Duration::from_secs(180),
            cancel: Duration::from_secs(5),
            stall: Duration::from_secs(60),
        }
    }
}

/// How a [`Client`] is made.
#[derive(Debug)]
pub struct ClientOptions {
    /// Base address of the API, such as `https://land.copernicus.eu/api`.
    pub api: Url,
    /// The service key; without one only the catalogue and downloads work.
    pub credentials: Credentials,
    /// Hosts from which packages may be downloaded, besides the API's own: names, `*.` and a name for all below it, or `*`.
    pub download_hosts: Vec<String>,
    /// Time limits.
    pub timeouts: Timeouts,
    /// Repetition of requests that may be repeated.
    pub retry: RetryPolicy,
    /// `User-Agent`. The file host refuses the defaults of some libraries with 403.
    pub user_agent: String,
}

impl ClientOptions {
    /// The defaults for an API address.
    pub fn new(api: Url) -> Self {
        Self {
            api,
            credentials: Credentials::None,
            download_hosts: vec!["*".to_owned()],
            timeouts: Timeouts::default(),
            retry: RetryPolicy::default(),
            user_agent: concat!("clmsfs/", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }

    /// The same with all time limits and waits of our own making so many times shorter: for tests against a simulator.
    #[must_use]
    pub fn hurried(self, times: u32) -> Self {
        let times = times.max(1);
        Self { timeouts: self.timeouts.hurried(times), retry: self.retry.hurried(times), ..self }
    }
}

/// The client of the service. Share it in an `Arc`; all calls can be dropped at any time.
pub struct Client {
    pub(super) api: ApiAddress,
    pub(super) links: LinkRules,
    transport: Transport,
    pub(super) tokens: TokenSource,
    /// Knows no token and no cookie; see `download.rs`.
    pub(super) bare: reqwest::Client,
    pub(super) timeouts: Timeouts,
    /// In place of that of `timeouts`.
    pub(super) stall: Live<Duration>,
    pub(super) retry: RetryPolicy,
    pub(super) counts: Arc<Counts>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("api", &self.api.url().as_str()).finish_non_exhaustive()
    }
}

/// May a request be sent again when nobody knows whether it arrived?
#[derive(Clone, Copy, PartialEq, Eq)]
enum Replay {
    /// Yes: asking twice changes nothing.
    Safe,
    /// No: only when it certainly was not sent or not looked at (no connection, 401).
    Never,
}

pub(super) struct Call {
    endpoint: Endpoint,
    method: Method,
    url: Url,
    body: Option<Value>,
    authorised: bool,
    replay: Replay,
    limits: Limits,
    retry: RetryPolicy,
}

impl Client {
    /// Makes a client; does not touch the network.
    ///
    /// # Errors
    /// [`ClmsError::Setting`] for an address or user agent that cannot be used, or when TLS has no roots.
    pub fn new(options: ClientOptions) -> Result<Self, ClmsError> {
        let ClientOptions { api, credentials, download_hosts, timeouts, retry, user_agent } = options;
        let api = ApiAddress::new(api)?;
        let links = LinkRules::new(&api, &download_hosts);
        let setting = |error: reqwest::Error| ClmsError::Setting {
            name: "user-agent or TLS roots",
            reason: std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string),
        };
        let builder = || {
            let builder = reqwest::Client::builder()
                .user_agent(&user_agent)
                // without a word about it a server may compress as it likes
                .default_headers(HeaderMap::from_iter([(
                    ACCEPT_ENCODING,
                    HeaderValue::from_static("identity"),
                )]))
                .connect_timeout(timeouts.connect)
                .referer(false)
                .retry(reqwest::retry::never());
            // A proxy cannot reach a service on this machine.
            if api.is_loopback() { builder.no_proxy() } else { builder }
        };
        let http = builder().redirect(reqwest::redirect::Policy::none()).build().map_err(setting)?;
        let bare = super::download::bare_client(builder(), &links).build().map_err(setting)?;
        let counts = Arc::new(Counts::default());
        let transport = Transport {
            http,
            clock: Arc::new(ServiceClock::new()),
            counts: Arc::clone(&counts),
            body_limit: BODY_LIMIT,
        };
        let limits = Limits { head: timeouts.head, body: timeouts.body };
        let tokens = TokenSource::new(credentials, transport.clone(), limits, retry);
        let stall = Live::new(timeouts.stall);
        Ok(Self { api, links, transport, tokens, bare, timeouts, stall, retry, counts })
    }

    /// Uses another key from now on, or reads the file of the same one anew: the token that is there is not used any more.
    pub fn set_credentials(&self, credentials: Credentials) {
        self.tokens.set_credentials(credentials);
    }

    /// Other hosts from which packages may be downloaded, besides the API's own; downloads under way go on.
    pub fn set_download_hosts(&self, hosts: Vec<String>) {
        self.links.set_hosts(hosts);
    }

    /// Another limit to silence, for downloads that begin from now on.
    pub fn set_stall(&self, stall: Duration) {
        self.stall.set(stall);
    }

    /// The API's address.
    pub fn api(&self) -> &ApiAddress {
        &self.api
    }

    /// How far the service's clock is ahead of ours, once an answer has been seen.
    pub fn clock_offset(&self) -> Option<SignedDuration> {
        self.transport.clock.offset()
    }

    /// What it has asked and what was answered.
    pub fn counts(&self) -> &Arc<Counts> {
        &self.counts
    }

    /// Orders one pre-packaged file.
    ///
    /// Sent once: repeated here only when it certainly did not arrive (no connection) or was not looked at (401).
    /// Callers must not send two orders at the same time and should compare with [`Client::tasks`] afterwards.
    ///
    /// # Errors
    /// [`ClmsError::UnknownOutcome`] when nobody knows whether the order was taken, [`ClmsError::Refused`] with
    /// the service's words, [`ClmsError::RateLimited`] (not taken), or the failures of any request.
    pub async fn order(&self, dataset: &DatasetUid, file: &FileId) -> Result<OrderOutcome, ClmsError> {
        let call = Call {
            endpoint: Endpoint::Order,
            method: Method::POST,
            url: self.api.service("@datarequest_post", &[]),
            body: Some(order_body(dataset, file)),
            authorised: true,
            replay: Replay::Never,
            limits: self.limits(),
            retry: self.retry,
        };
        let answer = self.call(&call).await?;
        let status = answer.status.as_u16();
        let body = answer.json();
        if let Some(outcome) = body.as_ref().ok().and_then(|body| order_outcome(status, body)) {
            return Ok(outcome);
        }
        match status {
            200..300 | 500.. => {
                let said = match &body {
                    Ok(_) => answer.message(),
                    Err(_) => "the answer is no JSON".to_owned(),
                };
                // a web page is a proxy's word, not the service's
                let answered = status < 300 && !is_html(&answer.headers, &answer.body);
                Err(ClmsError::UnknownOutcome { reason: format!("status {status}: {said}"), answered })
            }
            _ => Err(answer.refusal()),
        }
    }

    /// A task by its id, `None` when the service does not know it.
    ///
    /// # Errors
    /// The failures of any request.
    pub async fn task(&self, id: &TaskId) -> Result<Option<Task>, ClmsError> {
        let url = self.api.service("@datarequest_status_get", &[("TaskID", id.as_str())]);
        let answer = self.call(&self.get(Endpoint::Task, url, true)).await?;
        if answer.status.as_u16() == 404 {
            // "msg" is how the service itself says it; other 404s come from proxies or a wrong address.
            let said_so = answer.json().is_ok_and(|body| body.get("msg").is_some());
            return if said_so { Ok(None) } else { Err(answer.refusal()) };
        }
        let body = success(&answer)?;
        Task::of_answer(&body, id, Some(self.api.url()))
            .map(Some)
            .ok_or_else(|| bad_answer(&answer.url, format!("it holds no task ({})", answer.message())))
    }

    /// All tasks of the user, of all times and kinds, in no particular order.
    ///
    /// # Errors
    /// The failures of any request.
    pub async fn tasks(&self) -> Result<Vec<(TaskId, Task)>, ClmsError> {
        let url = self.api.service("@datarequest_search", &[]);
        let answer = self.call(&self.get(Endpoint::Tasks, url, true)).await?;
        let body = success(&answer)?;
        let (tasks, odd) = tasks_from_json(&body, Some(self.api.url()))
            .ok_or_else(|| bad_answer(&answer.url, "it holds no list of tasks".to_owned()))?;
        if odd > 0 {
            tracing::warn!(odd, kept = tasks.len(), "the history holds entries that are no tasks; left out");
        }
        Ok(tasks)
    }

    /// Cancels a task. Best effort with a short time limit; cancelling twice, or a task the service has forgotten, is fine.
    ///
    /// # Errors
    /// [`ClmsError::Refused`] when the task belongs to another user, or the failures of any request.
    pub async fn cancel(&self, id: &TaskId) -> Result<(), ClmsError> {
        let limit = self.timeouts.cancel;
        let call = Call {
            endpoint: Endpoint::Cancel,
            method: Method::DELETE,
            url: self.api.service("@datarequest_delete", &[]),
            body: Some(json!({"TaskID": id})),
            authorised: true,
            replay: Replay::Safe,
            limits: Limits { head: limit, body: limit },
            retry: RetryPolicy { attempts: 1, ..self.retry },
        };
        let answer =
            tokio::time::timeout(limit, self.call(&call)).await.map_err(|_| ClmsError::Unreachable {
                host: self.api.host().to_owned(),
                reason: format!("no answer to the cancel within {} s", limit.as_secs()),
            })??;
        let msg = answer.message();
        match answer.status.as_u16() {
            200..300 => Ok(()),
            // The service swaps the two: 403 means unknown, 404 means somebody else's (CLMS-API 3.5).
            403 if msg.contains("not registered") => {
                tracing::debug!(task = %id, "the service does not know the task any more; nothing to cancel");
                Ok(())
            }
            404 if msg.contains("permission denied") => {
                Err(ClmsError::Refused { status: 404, msg: "the task belongs to another user".to_owned() })
            }
            _ => Err(answer.refusal()),
        }
    }

    fn limits(&self) -> Limits {
        Limits { head: self.timeouts.head, body: self.timeouts.body }
    }

    pub(super) fn get(&self, endpoint: Endpoint, url: Url, authorised: bool) -> Call {
        Call {
            endpoint,
            method: Method::GET,
            url,
            body: None,
            authorised,
            replay: Replay::Safe,
            limits: self.limits(),
            retry: self.retry,
        }
    }

    pub(super) async fn json(&self, call: &Call) -> Result<Value, ClmsError> {
        success(&self.call(call).await?)
    }

    /// Sends a call until it has an answer that is not worth another attempt.
    async fn call(&self, call: &Call) -> Result<Answer, ClmsError> {
        let mut attempt = 1;
        let mut renewed = false;
        loop {
            let token = if call.authorised { Some(self.tokens.token().await?) } else { None };
            let (error, asked) = match self
                .follow(call, token.as_ref().map(super::token::Token::expose))
                .await
            {
                Ok(answer) if answer.status.as_u16() == 401 => {
                    let Some(token) = token else { return Ok(answer) };
                    if renewed {
                        let error = ClmsError::TokenRefused { reason: answer.message() };
                        self.tokens.condemn(&token, &error);
                        return Err(error);
                    }
                    renewed = true;
                    self.tokens.discard(&token);
                    continue;
                }
                Ok(answer)
                    if !answer.status.is_success()
                        && answer.refusal().is_transient()
                        // whoever limits the rate has not looked at the request
                        && (call.replay == Replay::Safe || answer.status.as_u16() == 429) =>
                {
                    (answer.refusal(), answer.retry_after())
                }
                Ok(answer) => {
                    if answer.status.is_success() && token.is_some() {
                        self.tokens.proven();
                    }
                    return Ok(answer);
                }
                Err(Failure { unsent, error }) => {
                    if call.replay == Replay::Never && !unsent {
                        return Err(ClmsError::UnknownOutcome { reason: error.to_string(), answered: false });
                    }
                    (error, None)
                }
            };
            let wait = call.retry.wait(attempt, asked, rand::random()).filter(|_| error.is_transient());
            let Some(wait) = wait else { return Err(error) };
            tracing::debug!(%error, ?wait, attempt, "the request failed; trying again");
            tokio::time::sleep(wait).await;
            attempt += 1;
        }
    }

    /// One exchange; a GET follows redirects that stay at the API's origin, nothing else does.
    async fn follow(&self, call: &Call, token: Option<&[u8]>) -> Result<Answer, Failure> {
        let mut url = call.url.clone();
        for _ in 0..=MAX_REDIRECTS {
            let unsent = |error| Failure { unsent: true, error };
            let mut builder = self
                .transport
                .http
                .request(call.method.clone(), url.clone())
                .header(ACCEPT, "application/json");
            if let Some(body) = &call.body {
                builder = builder.json(body);
            }
            let mut request = builder
                .build()
                .map_err(|_| unsent(bad_answer(&url, "no request can be made of its address".to_owned())))?;
            if let Some(token) = token {
                authorise(&mut request, token).map_err(unsent)?;
            }
            let answer = self.transport.exchange(call.endpoint, request, call.limits).await?;
            match answer.redirect() {
                Some(to) if call.method == Method::GET && self.api.is_origin_of(&to) => url = to,
                _ => return Ok(answer),
            }
        }
        Err(Failure { unsent: false, error: bad_answer(&call.url, "it redirects in circles".to_owned()) })
    }
}

/// The JSON of an answer with a status of success.
fn success(answer: &Answer) -> Result<Value, ClmsError> {
    if answer.status.is_success() { answer.json() } else { Err(answer.refusal()) }
}
