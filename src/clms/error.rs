//! What can go wrong with the service, in words that fit after "failed to …: ".

use std::path::PathBuf;
use std::time::Duration;

/// Every failure of the service's client. Cloneable, because callers that share one token share its failure.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClmsError {
    /// The call needs a service key and none was given.
    #[error(
        "no service key is configured; make one at https://land.copernicus.eu (profile, API tokens) and name its file with --credentials, or keep it as /etc/clmsfs/NAME-key.json for the service clmsfs@NAME"
    )]
    NoCredentials,
    /// The service does not accept the key or the token made from it.
    #[error(
        "the service refused the credentials: {reason}; check that the service key still exists in your profile at https://land.copernicus.eu"
    )]
    CredentialsRefused {
        /// The service's own words, or ours when it gave none.
        reason: String,
    },
    /// The service gives tokens and refuses them, or gives none without a word about the key. It may pass.
    #[error(
        "the service refuses the tokens that it gives: {reason}; if this lasts, check in your profile at https://land.copernicus.eu whether the service key is bound to other IP addresses"
    )]
    TokenRefused {
        /// The service's own words, or ours when it gave none.
        reason: String,
    },
    /// The key file cannot be used.
    #[error("the service key file {} {reason}", path.display())]
    KeyFile {
        /// The file as it was named.
        path: PathBuf,
        /// What is wrong with it and what to do; never a part of the file.
        reason: String,
    },
    /// An option of the client cannot be used.
    #[error("the setting {name} is not usable: {reason}")]
    Setting {
        /// Name of the option.
        name: &'static str,
        /// Why, and what to give instead.
        reason: String,
    },
    /// No answer: name not found, no route, refused, TLS failure, timeout, or an answer that broke off.
    #[error(
        "{host} cannot be reached ({reason}); check the network, the proxy settings and the service's state"
    )]
    Unreachable {
        /// Host that was called.
        host: String,
        /// What happened.
        reason: String,
    },
    /// The service asks for patience (429).
    #[error("the service limits the rate of requests{}", retry_after.map_or_else(String::new, |wait| format!("; it asks to wait {} s", wait.as_secs())))]
    RateLimited {
        /// How long it asks to wait, when it says so.
        retry_after: Option<Duration>,
    },
    /// The service failed (5xx).
    #[error("the service failed with status {status}: {msg}; try again later")]
    Server {
        /// HTTP status.
        status: u16,
        /// The service's words, or empty.
        msg: String,
        /// How long it asks to wait, when it says so.
        retry_after: Option<Duration>,
    },
    /// The service refused the request (4xx); repeating it will not help.
    #[error("the service refused the request with status {status}: {msg}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// The service's words.
        msg: String,
    },
    /// An answer that is not what the service's interface promises.
    #[error("the answer of {host} cannot be used: {what}; check that the API address is right")]
    BadAnswer {
        /// Host that answered.
        host: String,
        /// What is wrong with the answer.
        what: String,
    },
    /// The download link does not lead to a file (any more). Ask the task's status again or order again.
    #[error("the download link is lost: {reason}; the product has to be ordered again")]
    LinkLost {
        /// What the file host answered.
        reason: String,
    },
    /// The download link points where a service on the internet has no business (or is not encrypted).
    #[error("the download link is not trusted: {reason}")]
    UnsafeLink {
        /// Which rule it breaks.
        reason: String,
    },
    /// An order was sent and nobody knows whether it was taken: look for it among the tasks before ordering again.
    #[error(
        "the outcome of the order is not known ({reason}); look for it among the tasks before ordering again"
    )]
    UnknownOutcome {
        /// What happened after the order was sent.
        reason: String,
        /// True when the service did answer with success, though with nothing useful: as far as anybody knows it was taken.
        answered: bool,
    },
}

impl ClmsError {
    /// True when the same call may succeed later without anybody doing anything.
    ///
    /// [`ClmsError::UnknownOutcome`] is not transient: it has to be reconciled with the tasks first.
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::RateLimited { .. } | Self::Server { .. })
    }

    /// How long the service asks to be left in peace, when it says so.
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after } | Self::Server { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn waiting_helps_only_against_transient_failures() {
        let host = "h".to_owned();
        assert!(ClmsError::Unreachable { host: host.clone(), reason: String::new() }.is_transient());
        assert!(ClmsError::RateLimited { retry_after: None }.is_transient());
        assert!(ClmsError::Server { status: 503, msg: String::new(), retry_after: None }.is_transient());
        assert!(!ClmsError::UnknownOutcome { reason: String::new(), answered: false }.is_transient());
        assert!(!ClmsError::LinkLost { reason: String::new() }.is_transient());
        assert!(!ClmsError::Refused { status: 400, msg: String::new() }.is_transient());
        assert!(!ClmsError::BadAnswer { host, what: String::new() }.is_transient());
    }

    #[test]
    fn messages_are_fragments_that_name_the_way_out() {
        let text = ClmsError::RateLimited { retry_after: Some(Duration::from_secs(7)) }.to_string();
        assert_eq!(text, "the service limits the rate of requests; it asks to wait 7 s");
        let text = ClmsError::NoCredentials.to_string();
        assert!(text.contains("--credentials"), "{text}");
    }
}
