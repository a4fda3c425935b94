//! How the simulated service behaves: delays, sizes, faults. Read from TOML, every key optional.
//!
//! ```toml
//! queued = "2s"              # how long a task stays Queued (default 300ms)
//! running = "3s"             # how long it stays In_progress (default 700ms)
//! raster_size = 3000         # side of a generated raster in pixels (default 3000)
//! download_rate = 1000000    # bytes per second of the file host, per connection (default: no limit)
//! range = true               # does the file host answer Range requests? (default true)
//! link_lifetime = "72h"      # after it a DownloadURL answers 404 while the task stays Finished_ok
//! token_lifetime = "1h"      # of an access token
//! delete = "answers"         # or "hangs": @datarequest_delete never answers and cancels nothing
//! reject_key = false         # true: every token request is refused, "No associated key found"
//! clock = "-10m"             # how far the service's clock is ahead of ours, or behind (default 0s)
//! link_host = "elsewhere:80" # host of every DownloadURL, or "https://elsewhere" (default: the simulator's own)
//! generate = { datasets = 10000, products = 100 }   # a synthetic catalogue instead of the sample one
//!
//! [[fault]]                  # rules; each has a matcher and exactly one effect
//! file = "IMD_*"             # glob on the product's name (any order that contains such a product)
//! outcome = "finished_nok"
//! times = 1                  # only the first N matches (default: for ever)
//! skip = 0                   # after letting this many matches pass
//!
//! [[fault]]
//! endpoint = "status"        # token | search | post | status | tasks | delete | download
//! status = 503
//! retry_after = 30
//! ```
//!
//! A scenario that replaces another (`PUT /_simulator/scenario`) also sets the pace of the tasks that are open then.
//!
//! | effect | counted | what happens |
//! |---|---|---|
//! | `outcome = "finished_nok"` | per order | ends in `Finished_nok` with a message |
//! | `outcome = "rejected"`, `"cancelled"` | per order | ends so when the queue time is over |
//! | `outcome = "stuck_queued"` | per order | stays `Queued` for ever |
//! | `outcome = "queued_with_url"` | per order | finishes, but `Status` keeps saying `Queued` |
//! | `outcome = "vanishes"` | per order | is unknown to the service when the queue time is over |
//! | `outcome = "fme_refuses"` | per order | 500 "all requests failed", the task stays `Queued` |
//! | `truncated = 0.5` | per order | the file on the host ends after that part of its bytes (its length says so) |
//! | `corrupt = true` | per order | 64 bytes in the middle of the file are inverted |
//! | `not_a_zip = true` | per order | the link answers 200 with a web page |
//! | `wrong_file_size = true` | per order | `FileSize` does not say the file's length |
//! | `wrong_crc = true` | per order | the checksums in the directories of the zip, and of the zips in it, are wrong |
//! | `expired_link = true` | per order | the link answers 404 from the beginning |
//! | `doubled = true` | per order | the order makes two tasks that are the same, and names one |
//! | `status = 500` | per request | that status with a short page, or with the text of `body`; `Retry-After` if `retry_after` is given |
//! | `malformed_json = true`, `html = true` | per request | 200 with half a JSON text, or a web page |
//! | `hang = true` | per request | no answer at all |
//! | `delay = "2s"` | per request | the answer begins so much later |
//! | `rate = 1` | per request | so many bytes of the body come in a second |
//! | `stall = true` | per request | half of the body comes, then nothing any more |
//! | `reset = true` | per request | the connection is reset; a download only after half of its bytes |
//!
//! A rule with an HTTP effect and only a `file` is about downloads; with `file` and `endpoint` it is about the
//! requests of that endpoint that concern such a product (post, status, delete, download). An order effect with
//! `endpoint = "post"` and no `file` is about every order.

use std::time::Duration;

use globset::{Glob, GlobMatcher};
use jiff::SignedDuration;
use serde::Deserialize;

use super::fault::{Effect, Fault, HttpEffect, OrderEffect, Outcome};
use super::task::Schedule;

/// A scenario that cannot be understood.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// Not TOML, an unknown key, or a value of the wrong kind; the text names line and key.
    #[error("the scenario cannot be understood: {0}")]
    Toml(#[from] toml::de::Error),
    /// A duration like `2s` or `1h 30m` was expected.
    #[error("the scenario's {key} is not a duration: {source}; write for example 300ms, 2s or 72h")]
    Duration {
        /// The key with the bad value.
        key: &'static str,
        /// What is wrong with it.
        source: humantime::DurationError,
    },
    /// A fault without exactly one effect, or without a matcher.
    #[error("fault {index} of the scenario cannot be understood: {problem}")]
    Fault {
        /// Position of the rule, counted from 1.
        index: usize,
        /// What to change.
        problem: String,
    },
}

/// How the service behaves; see the [module's documentation](self) for the TOML form.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// Time in `Queued`.
    pub queued: Duration,
    /// Time in `In_progress`.
    pub running: Duration,
    /// Side of a generated raster in pixels.
    pub raster_size: u32,
    /// Bytes per second and connection of the file host; `None`: as fast as it goes.
    pub download_rate: Option<u64>,
    /// Whether the file host honours `Range`.
    pub range: bool,
    /// How long a `DownloadURL` works, from the task's end.
    pub link_lifetime: Duration,
    /// How long an access token works.
    pub token_lifetime: Duration,
    /// What `@datarequest_delete` does.
    pub delete: DeleteBehaviour,
    /// Refuse every service key.
    pub reject_key: bool,
    /// How far the service's clock is ahead of ours.
    pub clock: SignedDuration,
    /// Host, and perhaps port, of the links, where it is not the simulator's own.
    pub link_host: Option<String>,
    /// Serve a synthetic catalogue of this size instead of the sample one.
    pub generate: Option<Generate>,
    /// The rules of misbehaviour, in order.
    pub faults: Vec<Fault>,
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            queued: Duration::from_millis(300),
            running: Duration::from_millis(700),
            raster_size: 3000,
            download_rate: None,
            range: true,
            link_lifetime: Duration::from_secs(72 * 3600),
            token_lifetime: Duration::from_secs(3600),
            delete: DeleteBehaviour::Answers,
            reject_key: false,
            clock: SignedDuration::ZERO,
            link_host: None,
            generate: None,
            faults: Vec::new(),
        }
    }
}

/// What `@datarequest_delete` does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeleteBehaviour {
    /// 204, as recorded.
    Answers,
    /// Never answers, as seen in production.
    Hangs,
}

/// Size of a synthetic catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Generate {
    /// Number of datasets.
    pub datasets: u32,
    /// Number of products of each.
    pub products: u32,
}

impl Scenario {
    /// The pace of tasks.
    pub(crate) fn schedule(&self) -> Schedule {
        Schedule { queued: self.queued, running: self.running }
    }

    /// Reads the TOML form.
    ///
    /// # Errors
    /// [`ScenarioError`] names the key or the rule and what to write instead.
    pub fn from_toml(text: &str) -> Result<Self, ScenarioError> {
        let file: File = toml::from_str(text)?;
        let default = Self::default();
        let faults = file
            .fault
            .into_iter()
            .enumerate()
            .map(|(index, rule)| {
                rule.checked().map_err(|problem| ScenarioError::Fault { index: index + 1, problem })
            })
            .collect::<Result<_, _>>()?;
        Ok(Self {
            queued: duration("queued", file.queued, default.queued)?,
            running: duration("running", file.running, default.running)?,
            raster_size: file.raster_size.unwrap_or(default.raster_size).clamp(16, 20_000),
            download_rate: file.download_rate.map(|rate| rate.max(1)),
            range: file.range.unwrap_or(default.range),
            link_lifetime: duration("link_lifetime", file.link_lifetime, default.link_lifetime)?,
            token_lifetime: duration("token_lifetime", file.token_lifetime, default.token_lifetime)?,
            delete: file.delete.unwrap_or(default.delete),
            reject_key: file.reject_key.unwrap_or(default.reject_key),
            clock: clock(file.clock)?,
            link_host: file.link_host,
            generate: file.generate,
            faults,
        })
    }
}

fn duration(key: &'static str, text: Option<String>, default: Duration) -> Result<Duration, ScenarioError> {
    match text {
        None => Ok(default),
        Some(text) => {
            humantime::parse_duration(&text).map_err(|source| ScenarioError::Duration { key, source })
        }
    }
}

/// A duration with a sign.
fn clock(text: Option<String>) -> Result<SignedDuration, ScenarioError> {
    let Some(text) = text else { return Ok(SignedDuration::ZERO) };
    let (behind, size) = match text.strip_prefix('-') {
        Some(size) => (true, size),
        None => (false, text.strip_prefix('+').unwrap_or(&text)),
    };
    let size = duration("clock", Some(size.to_owned()), Duration::ZERO)?;
    let size = SignedDuration::try_from(size).unwrap_or(SignedDuration::MAX);
    Ok(if behind { -size } else { size })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    queued: Option<String>,
    running: Option<String>,
    raster_size: Option<u32>,
    download_rate: Option<u64>,
    range: Option<bool>,
    link_lifetime: Option<String>,
    token_lifetime: Option<String>,
    delete: Option<DeleteBehaviour>,
    reject_key: Option<bool>,
    clock: Option<String>,
    link_host: Option<String>,
    generate: Option<Generate>,
    #[serde(default)]
    fault: Vec<Rule>,
}

/// The endpoints that a fault can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Endpoint {
    /// `@@oauth2-token`.
    Token,
    /// `@search` and single objects.
    Search,
    /// `@datarequest_post`.
    Post,
    /// `@datarequest_status_get`.
    Status,
    /// `@datarequest_search`.
    Tasks,
    /// `@datarequest_delete`.
    Delete,
    /// The file host.
    Download,
    /// Everything else; not nameable in a rule.
    #[serde(skip_deserializing)]
    Other,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    file: Option<String>,
    endpoint: Option<Endpoint>,
    times: Option<u64>,
    #[serde(default)]
    skip: u64,
    outcome: Option<Outcome>,
    status: Option<u16>,
    retry_after: Option<u64>,
    malformed_json: Option<bool>,
    html: Option<bool>,
    hang: Option<bool>,
    reset: Option<bool>,
    truncated: Option<f64>,
    corrupt: Option<bool>,
    not_a_zip: Option<bool>,
    wrong_file_size: Option<bool>,
    expired_link: Option<bool>,
    wrong_crc: Option<bool>,
    doubled: Option<bool>,
    body: Option<String>,
    delay: Option<String>,
    rate: Option<u64>,
    stall: Option<bool>,
}

impl Rule {
    fn checked(self) -> Result<Fault, String> {
        let effect = self.effect()?;
        let file: Option<GlobMatcher> = match &self.file {
            Some(glob) => Some(Glob::new(glob).map_err(|error| error.to_string())?.compile_matcher()),
            None => None,
        };
        let endpoint = match (&effect, self.endpoint, &file) {
            (_, None, None) => return Err("name a `file` or an `endpoint`".to_owned()),
            (Effect::Order(_), Some(endpoint), _) if endpoint != Endpoint::Post => {
                return Err("this effect belongs to an order: use `file`, or endpoint = \"post\"".to_owned());
            }
            (Effect::Order(_), _, _) => Endpoint::Post,
            (Effect::Http(_), Some(endpoint), _) => endpoint,
            (Effect::Http(_), None, _) => Endpoint::Download,
        };
        Ok(Fault { file, endpoint, times: self.times, skip: self.skip, effect })
    }

    fn effect(&self) -> Result<Effect, String> {
        let flag = |value: Option<bool>, effect: Effect| value.filter(|on| *on).map(|_| effect);
        if self.retry_after.is_some() && self.status.is_none() {
            return Err("`retry_after` needs a `status`".to_owned());
        }
        if self.body.is_some() && self.status.is_none() {
            return Err("`body` needs a `status`".to_owned());
        }
        let delay = self.delay.as_deref().map(humantime::parse_duration).transpose();
        let delay = delay.map_err(|error| format!("`delay` is not a duration: {error}"))?;
        if let Some(status) = self.status
            && !(200..600).contains(&status)
        {
            return Err(format!("`status` {status} is not between 200 and 599"));
        }
        if let Some(part) = self.truncated
            && !(0.0..1.0).contains(&part)
        {
            return Err(format!("`truncated` {part} is not at least 0 and below 1"));
        }
        let mut effects = [
            self.outcome.map(|outcome| Effect::Order(OrderEffect::Outcome(outcome))),
            self.truncated.map(|part| Effect::Order(OrderEffect::Truncated(part))),
            flag(self.corrupt, Effect::Order(OrderEffect::Corrupt)),
            flag(self.not_a_zip, Effect::Order(OrderEffect::NotAZip)),
            flag(self.wrong_file_size, Effect::Order(OrderEffect::WrongFileSize)),
            flag(self.expired_link, Effect::Order(OrderEffect::ExpiredLink)),
            flag(self.wrong_crc, Effect::Order(OrderEffect::WrongCrc)),
            flag(self.doubled, Effect::Order(OrderEffect::Doubled)),
            self.status.map(|code| {
                let (retry_after, body) = (self.retry_after, self.body.clone());
                Effect::Http(HttpEffect::Status { code, retry_after, body })
            }),
            delay.map(|delay| Effect::Http(HttpEffect::Delay(delay))),
            self.rate.map(|rate| Effect::Http(HttpEffect::Rate(rate.max(1)))),
            flag(self.stall, Effect::Http(HttpEffect::Stall)),
            flag(self.malformed_json, Effect::Http(HttpEffect::MalformedJson)),
            flag(self.html, Effect::Http(HttpEffect::Html)),
            flag(self.hang, Effect::Http(HttpEffect::Hang)),
            flag(self.reset, Effect::Http(HttpEffect::Reset)),
        ]
        .into_iter()
        .flatten();
        match (effects.next(), effects.next()) {
            (Some(effect), None) => Ok(effect),
            (None, _) => Err("name an effect, for example status = 500".to_owned()),
            (Some(_), Some(_)) => Err("name one effect only; write two rules for two".to_owned()),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_text_is_the_default() {
        let scenario = Scenario::from_toml("").unwrap();
        assert_eq!(scenario.queued, Scenario::default().queued);
        assert!(scenario.range && scenario.faults.is_empty());
    }

    #[test]
    fn every_key_of_the_documentation_is_understood() {
        let text: String = include_str!("scenario.rs")
            .lines()
            .skip_while(|line| !line.contains("```toml"))
            .skip(1)
            .take_while(|line| !line.contains("```"))
            .map(|line| format!("{}\n", line.trim_start_matches("//!")))
            .collect();
        let scenario = Scenario::from_toml(&text).unwrap();
        assert_eq!(scenario.running, Duration::from_secs(3));
        assert_eq!(scenario.generate, Some(Generate { datasets: 10_000, products: 100 }));
        assert_eq!(scenario.clock, SignedDuration::from_mins(-10));
        assert_eq!(scenario.faults.len(), 2);
    }

    #[test]
    fn bad_rules_say_what_to_write() {
        for (text, word) in [
            ("[[fault]]\nfile = \"x\"", "effect"),
            ("[[fault]]\nstatus = 500", "endpoint"),
            ("[[fault]]\nfile = \"x\"\nstatus = 500\nhang = true", "one effect"),
            ("[[fault]]\nendpoint = \"token\"\ncorrupt = true", "order"),
            ("[[fault]]\nfile = \"x\"\ntruncated = 1.5", "truncated"),
            ("[[fault]]\nfile = \"x\"\nhang = true\nretry_after = 1", "status"),
            ("[[fault]]\nfile = \"x\"\nhang = true\nbody = \"\"", "status"),
            ("[[fault]]\nfile = \"x\"\ndelay = \"soon\"", "delay"),
            ("clock = \"late\"", "clock"),
            ("queued = \"soon\"", "queued"),
            ("quequed = \"1s\"", "quequed"),
        ] {
            let message = Scenario::from_toml(text).unwrap_err().to_string();
            assert!(message.contains(word), "{text}: {message}");
        }
    }
}
