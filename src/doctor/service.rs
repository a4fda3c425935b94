//! The service: does it answer, does it take the key, what time is it there.

use std::time::{Duration, Instant};

use jiff::SignedDuration;

use super::finding::{Check, Finding, Fix};
use super::key::PROFILE;
use crate::clms::{Client, ClientOptions, ClmsError, Credentials, RetryPolicy, Timeouts};
use crate::config::Settings;

/// Clocks that differ less are right: `Date` has whole seconds, and the answer was under way.
const SAME: SignedDuration = SignedDuration::from_secs(60);
/// Clocks that differ more make links and certificates look expired.
const WRONG: SignedDuration = SignedDuration::from_secs(24 * 3600);

/// Why a token was not asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoToken {
    /// There is no key.
    NoKey,
    /// The key cannot be used.
    BadKey,
}

/// What the service said.
#[derive(Debug)]
pub(super) struct Answers {
    /// How long a small question took.
    pub(super) api: Result<Duration, ClmsError>,
    /// Whether it gave a token.
    pub(super) token: Result<Result<(), ClmsError>, NoToken>,
    /// How far its clock is ahead of ours.
    pub(super) ahead: Option<SignedDuration>,
}

impl Answers {
    /// Asks for a small answer and for a token, at once, each for so long.
    ///
    /// # Errors
    /// An address that cannot be used.
    pub(super) async fn ask(
        settings: &Settings,
        key: Result<(), NoToken>,
        limit: Duration,
    ) -> Result<Self, ClmsError> {
        let mut options = ClientOptions::new(settings.api_url.clone());
        options.timeouts = Timeouts { connect: limit, head: limit, body: limit, ..Timeouts::default() };
        options.retry = RetryPolicy { attempts: 1, ..RetryPolicy::default() };
        options.credentials = settings.credentials.clone().map_or(Credentials::None, Credentials::File);
        let client = Client::new(options)?;
        let host = settings.api_url.host_str().unwrap_or("the service").to_owned();
        let late = || ClmsError::Unreachable {
            host: host.clone(),
            reason: format!("no answer within {} s", limit.as_secs_f64()),
        };
        let greeting = async {
            let start = Instant::now();
            let answer = tokio::time::timeout(limit, client.greet()).await.unwrap_or_else(|_| Err(late()));
            answer.map(|()| start.elapsed())
        };
        let token = async {
            match key {
                Err(why) => Err(why),
                Ok(()) => {
                    Ok(tokio::time::timeout(limit, client.prove_key()).await.unwrap_or_else(|_| Err(late())))
                }
            }
        };
        let (api, token) = tokio::join!(greeting, token);
        Ok(Self { api, token, ahead: client.clock_offset() })
    }
}

/// Whether it answers, in less than half of the time that it is waited for.
pub(super) fn api(settings: &Settings, answer: &Result<Duration, ClmsError>, limit: Duration) -> Finding {
    let check = Check::Api;
    let name = settings.api_url.host_str().unwrap_or("the service");
    match answer {
        Ok(took) if *took > limit / 2 => Finding::warning(
            check,
            format!("{name} answered after {:.1} s", took.as_secs_f64()),
            Fix::advice("wait, and look again: the network or the service is busy"),
        ),
        Ok(took) => Finding::ok(check, format!("{name} answered after {} ms", took.as_millis())),
        Err(error) => {
            let fix = match error {
                ClmsError::Unreachable { .. } => {
                    "check network, name server and proxy (https_proxy); what is in the cache stays readable"
                }
                ClmsError::BadAnswer { .. } | ClmsError::Refused { .. } | ClmsError::Setting { .. } => {
                    "check the setting api_url"
                }
                _ => "try again later: the service is at fault",
            };
            let (says, _) = split(error);
            Finding::problem(check, says, Fix::advice(fix))
        }
    }
}

/// The words of an error, and the way out that stands behind them.
fn split(error: &ClmsError) -> (String, String) {
    let text = error.to_string();
    match text.split_once("; ") {
        Some((says, fix)) => (says.to_owned(), fix.to_owned()),
        None => (text, String::new()),
    }
}

/// Whether it takes the key.
pub(super) fn token(answer: &Result<Result<(), ClmsError>, NoToken>) -> Finding {
    let check = Check::Token;
    match answer {
        Ok(Ok(())) => Finding::ok(check, "the service gave one for the key"),
        Ok(Err(ClmsError::CredentialsRefused { reason })) => Finding::problem(
            check,
            format!("the service refused the key: {reason}"),
            Fix::advice(format!("look whether the key still exists, or make a new one, at {PROFILE}")),
        ),
        Ok(Err(error)) => {
            let (says, fix) = split(error);
            let fix = if fix.is_empty() { "try again later".to_owned() } else { fix };
            Finding::problem(check, says, Fix::advice(fix))
        }
        Err(NoToken::NoKey) => Finding::not_checked(check, "there is no service key"),
        Err(NoToken::BadKey) => Finding::not_checked(check, "the service key cannot be used"),
    }
}

/// Whether the clocks agree.
pub(super) fn clock(ahead: Option<SignedDuration>) -> Finding {
    let check = Check::Clock;
    let Some(ahead) = ahead else {
        return Finding::not_checked(check, "the service has not said what time it is");
    };
    let size = ahead.abs();
    if size <= SAME {
        return Finding::ok(check, format!("within {} s of the service's", size.as_secs()));
    }
    // seconds are of no interest, and not known that well
    let minutes = size.unsigned_abs().as_secs().saturating_add(30) / 60;
    let words = humantime::format_duration(Duration::from_secs(minutes.saturating_mul(60)));
    let says = format!(
        "this clock is {words} {} the service's",
        if ahead.is_positive() { "behind" } else { "ahead of" }
    );
    let fix = Fix::run("sudo timedatectl set-ntp true");
    if size <= WRONG { Finding::warning(check, says, fix) } else { Finding::problem(check, says, fix) }
}

/// Whether the packages' hosts are the service's.
pub(super) fn download_hosts(settings: &Settings) -> Finding {
    let check = Check::DownloadHosts;
    let hosts = &settings.download_hosts;
    if hosts.patterns().iter().any(|pattern| pattern == "*") {
        return Finding::warning(
            check,
            "packages may come from any host",
            Fix::advice("name the hosts in download_hosts, or leave the setting out"),
        );
    }
    let is_own = |host: &str| {
        let names =
            |pattern: &String| pattern.strip_prefix('*').map_or(*pattern == host, |end| host.ends_with(end));
        hosts.patterns().iter().any(names)
    };
    let service = settings.api_url.host_str().unwrap_or_default();
    let is_copernicus = service.ends_with(".copernicus.eu");
    if is_copernicus && !is_own("files.copernicus.eu") && !is_own("files.europa.eu") {
        return Finding::warning(
            check,
            format!("{hosts} has neither *.europa.eu nor *.copernicus.eu"),
            Fix::advice("leave download_hosts out, unless all packages come from these hosts"),
        );
    }
    Finding::ok(check, hosts.to_string())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::finding::Outcome::{NotChecked, Ok as Fine, Problem, Warning};
    use super::super::finding::tests::expect;
    use super::*;
    use crate::config::{PartialSettings, Source};

    fn settings(options: &[(&str, &str)]) -> Settings {
        let mut partial = PartialSettings::default();
        for (name, text) in options {
            partial.set(name, text, Source::Default).unwrap();
        }
        Settings::resolve(&partial, |_| None, None).unwrap().settings
    }

    #[test]
    fn answers_late_ones_and_none() {
        let judged = |answer| api(&settings(&[]), &answer, Duration::from_secs(5));
        expect(&judged(Ok(Duration::from_millis(120))), Fine, &["land.copernicus.eu", "120 ms"]);
        expect(&judged(Ok(Duration::from_secs(4))), Warning, &["4.0 s"]);
        let host = "land.copernicus.eu".to_owned();
        let gone = ClmsError::Unreachable { host: host.clone(), reason: "connection refused".to_owned() };
        expect(&judged(Err(gone)), Problem, &["connection refused", "https_proxy"]);
        let page = ClmsError::BadAnswer { host, what: "it is a web page".to_owned() };
        expect(&judged(Err(page)), Problem, &["web page", "api_url"]);
        let down = ClmsError::Server { status: 503, msg: String::new(), retry_after: None };
        expect(&judged(Err(down)), Problem, &["503", "later"]);
    }

    #[test]
    fn tokens() {
        expect(&token(&Ok(Ok(()))), Fine, &[]);
        let refused = ClmsError::CredentialsRefused { reason: "No associated key found".to_owned() };
        expect(&token(&Ok(Err(refused))), Problem, &["No associated key", "API tokens"]);
        let bound = ClmsError::TokenRefused { reason: "Forbidden".to_owned() };
        expect(&token(&Ok(Err(bound))), Problem, &["Forbidden", "IP addresses"]);
        expect(&token(&Err(NoToken::NoKey)), NotChecked, &["no service key"]);
        expect(&token(&Err(NoToken::BadKey)), NotChecked, &["cannot be used"]);
    }

    #[test]
    fn clocks() {
        let ahead = |seconds| clock(Some(SignedDuration::from_secs(seconds)));
        expect(&clock(None), NotChecked, &[]);
        expect(&ahead(0), Fine, &[]);
        expect(&ahead(-60), Fine, &["60 s"]);
        expect(&ahead(600), Warning, &["10m behind", "set-ntp"]);
        expect(&ahead(-61), Warning, &["1m ahead of", "set-ntp"]);
        expect(&ahead(86_401), Problem, &["1day behind"]);
    }

    #[test]
    fn hosts() {
        let judged = |hosts: &str| download_hosts(&settings(&[("download_hosts", hosts)]));
        expect(&download_hosts(&settings(&[])), Fine, &["*.europa.eu"]);
        expect(&judged("*"), Warning, &["any host"]);
        expect(&judged("mirror.example.org"), Warning, &["mirror.example.org has neither"]);
        expect(&judged("files.example.org,*.europa.eu"), Fine, &[]);
        let own = settings(&[("download_hosts", "localhost"), ("api_url", "http://127.0.0.1:1/api")]);
        expect(&download_hosts(&own), Fine, &["localhost"]);
    }
}
