//! Access tokens: one grant at a time however many calls wait for it, renewed in good time or after a 401.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use reqwest::header::{ACCEPT, CONTENT_TYPE};
use tokio::sync::OnceCell;

use super::counts::{Endpoint, TokenEvent};
use super::error::ClmsError;
use super::http::{Answer, Limits, Transport, bad_answer};
use super::key::{Credentials, ServiceKey};
use super::retry::RetryPolicy;
use super::secret::Secret;
use super::wire;
use crate::live::Live;

/// `iat` lies this far back: the service refuses one that is only 5 s in its future (CLMS-API 8.2).
const BACK_DATED: i64 = 60;
/// Used when the service does not say how long a token lives (its default, CLMS-API 1.4).
const USUAL_LIFETIME: u64 = 3600;
/// A token is renewed this long before its end, or after three quarters of a short life.
const RENEW_BEFORE: Duration = Duration::from_secs(300);

/// An access token; clones share one secret, which is wiped with the last of them.
#[derive(Debug, Clone)]
pub(super) struct Token {
    secret: Arc<Secret>,
    renew_at: Instant,
}

impl Token {
    pub(super) fn expose(&self) -> &[u8] {
        self.secret.expose()
    }

    fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.secret, &other.secret)
    }
}

/// One grant: asked once, shared by all who wait.
struct Attempt {
    outcome: OnceCell<Outcome>,
}

struct Outcome {
    result: Result<Token, ClmsError>,
    /// A failure is given again until then, without a new grant.
    stands_until: Instant,
}

impl Attempt {
    fn open() -> Arc<Self> {
        Arc::new(Self { outcome: OnceCell::new() })
    }
}

/// Gets, keeps and renews the token.
pub(super) struct TokenSource {
    credentials: Live<Credentials>,
    transport: Transport,
    limits: Limits,
    retry: RetryPolicy,
    current: Mutex<Arc<Attempt>>,
    /// How often fresh tokens were refused since one was accepted.
    refusals: AtomicU32,
}

impl TokenSource {
    pub(super) fn new(
        credentials: Credentials,
        transport: Transport,
        limits: Limits,
        retry: RetryPolicy,
    ) -> Self {
        let (current, credentials) = (Mutex::new(Attempt::open()), Live::new(credentials));
        Self { credentials, transport, limits, retry, current, refusals: AtomicU32::new(0) }
    }

    /// A token that is good for some minutes. Concurrent callers share one grant and also its failure.
    pub(super) async fn token(&self) -> Result<Token, ClmsError> {
        loop {
            let attempt = self.current();
            let is_old = attempt.outcome.initialized();
            // If the caller that asks goes away, one of those that wait takes over.
            let outcome = attempt.outcome.get_or_init(async || self.outcome(self.counted().await)).await;
            match &outcome.result {
                Ok(token) if Instant::now() < token.renew_at => return Ok(token.clone()),
                Ok(_) => self.replace(&attempt, Attempt::open()),
                Err(error) => {
                    // Whoever waited for this very grant shares its failure, however short it stands.
                    let over = outcome.stands_until <= Instant::now();
                    if over {
                        self.replace(&attempt, Attempt::open());
                    }
                    if over && is_old {
                        continue;
                    }
                    return Err(error.clone());
                }
            }
        }
    }

    /// Uses another key from now on, and neither token nor failure of the former one. Calls that wait for a grant under way
    /// are answered by that.
    pub(super) fn set_credentials(&self, credentials: Credentials) {
        self.credentials.set(credentials);
        self.refusals.store(0, Ordering::Relaxed);
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Attempt::open();
    }

    /// Forgets a token that got a 401, unless somebody has renewed it meanwhile.
    pub(super) fn discard(&self, refused: &Token) {
        self.exchange_if_current(refused, Attempt::open);
    }

    /// Notes that a brand-new token was refused too: no further grants for a while.
    pub(super) fn condemn(&self, refused: &Token, error: &ClmsError) {
        self.exchange_if_current(refused, || {
            let outcome = self.outcome(Err(error.clone()));
            Arc::new(Attempt { outcome: OnceCell::new_with(Some(outcome)) })
        });
    }

    /// Notes that a token was accepted.
    pub(super) fn proven(&self) {
        self.refusals.store(0, Ordering::Relaxed);
    }

    /// The outcome of a grant, and how long it stands when it is a failure.
    fn outcome(&self, result: Result<Token, ClmsError>) -> Outcome {
        let stands = match &result {
            Err(ClmsError::CredentialsRefused { .. }) => self.retry.refusal,
            Err(ClmsError::TokenRefused { .. }) => {
                let before = self.refusals.fetch_add(1, Ordering::Relaxed);
                self.retry.after_token_refusals(before.saturating_add(1))
            }
            _ => Duration::ZERO,
        };
        Outcome { result, stands_until: Instant::now() + stands }
    }

    fn exchange_if_current(&self, refused: &Token, make: impl FnOnce() -> Arc<Attempt>) {
        let attempt = self.current();
        let holds = attempt
            .outcome
            .get()
            .and_then(|outcome| outcome.result.as_ref().ok())
            .is_some_and(|token| token.is_same(refused));
        if holds {
            self.transport.counts.tokens.one(TokenEvent::Discarded);
            self.replace(&attempt, make());
        }
    }

    fn current(&self) -> Arc<Attempt> {
        Arc::clone(&self.current.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn replace(&self, old: &Arc<Attempt>, new: Arc<Attempt>) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if Arc::ptr_eq(&current, old) {
            *current = new;
        }
    }

    async fn counted(&self) -> Result<Token, ClmsError> {
        let obtained = self.obtain().await;
        let event = if obtained.is_ok() { TokenEvent::Granted } else { TokenEvent::NotGranted };
        self.transport.counts.tokens.one(event);
        obtained
    }

    /// Asks for a token, with bounded repetition, and once more when the clocks turn out to differ.
    async fn obtain(&self) -> Result<Token, ClmsError> {
        let key = self.credentials.get().key()?;
        let mut attempt = 1;
        let mut clock_corrected = false;
        loop {
            let (error, asked) = match self.grant(&key).await {
                Ok(answer) if answer.status.is_success() => return self.take(&answer),
                Ok(answer) if !clock_corrected && blames_the_clock(&answer) => {
                    // The refusal's own Date header has just been measured.
                    clock_corrected = true;
                    tracing::info!(offset = ?self.transport.clock.offset(), "the service's clock differs; asking for the token again");
                    continue;
                }
                Ok(answer) => (refused(&answer), answer.retry_after()),
                Err(error) => (error, None),
            };
            let wait = self.retry.wait(attempt, asked, rand::random()).filter(|_| error.is_transient());
            let Some(wait) = wait else { return Err(error) };
            tracing::debug!(%error, ?wait, "the token request failed; trying again");
            tokio::time::sleep(wait).await;
            attempt += 1;
        }
    }

    async fn grant(&self, key: &ServiceKey) -> Result<Answer, ClmsError> {
        let issued = self.transport.clock.now().as_second() - BACK_DATED;
        let assertion = key.grant(issued).map_err(|()| ClmsError::CredentialsRefused {
            reason: "the private key cannot sign".to_owned(),
        })?;
        // No Authorization header: an expired one would poison the answer (CLMS-API 1.4).
        let request = self
            .transport
            .http
            .post(key.token_url().clone())
            .header(ACCEPT, "application/json")
            .form(&[("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"), ("assertion", &assertion)])
            .build()
            .map_err(|_| bad_answer(key.token_url(), "no request can be made of its address".to_owned()))?;
        debug_assert!(request.headers().contains_key(CONTENT_TYPE));
        let answer = self.transport.exchange(Endpoint::Token, request, self.limits).await;
        answer.map_err(|failure| failure.error)
    }

    fn take(&self, answer: &Answer) -> Result<Token, ClmsError> {
        let mut body = answer.json()?;
        let lifetime = wire::whole_number(body.get("expires_in")).unwrap_or(USUAL_LIFETIME);
        let lifetime = Duration::from_secs(lifetime.clamp(1, 24 * 3600));
        let token = match body.get_mut("access_token").map(serde_json::Value::take) {
            Some(serde_json::Value::String(token)) if !token.trim().is_empty() => Secret::new(token),
            _ => return Err(bad_answer(&answer.url, "it holds no access_token".to_owned())),
        };
        Ok(Token { secret: Arc::new(token), renew_at: Instant::now() + renew_after(lifetime) })
    }
}

/// How long a token of this lifetime is used.
fn renew_after(lifetime: Duration) -> Duration {
    lifetime - RENEW_BEFORE.min(lifetime / 4)
}

/// What the token endpoint's refusals mean (CLMS-API 1.3): 400 is about the key.
fn refused(answer: &Answer) -> ClmsError {
    match answer.status.as_u16() {
        400 if answer.json().is_ok() => ClmsError::CredentialsRefused { reason: answer.message() },
        // Not how the service refuses a key: something stands before it.
        401 | 403 => ClmsError::TokenRefused { reason: format!("it gives none: {}", answer.message()) },
        404 | 405 => {
            bad_answer(&answer.url, format!("it gives no tokens (status {})", answer.status.as_u16()))
        }
        _ => answer.refusal(),
    }
}

/// True for the refusals that a right clock would have avoided.
fn blames_the_clock(answer: &Answer) -> bool {
    if answer.status.as_u16() != 400 {
        return false;
    }
    let text = answer.message().to_ascii_lowercase();
    ["(iat)", "issue time is in the future", "issued more than", "signature has expired", "in the future"]
        .iter()
        .any(|words| text.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_renewed_before_their_end() {
        for (lifetime, used) in [(3600, 3300.0), (1200, 900.0), (100, 75.0), (1, 0.75)] {
            assert_eq!(renew_after(Duration::from_secs(lifetime)).as_secs_f64(), used);
        }
    }
}
