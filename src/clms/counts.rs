//! What was asked of the service, and what it answered.

use reqwest::StatusCode;

use crate::tally::{Grid, Tally, label};

label! {
    /// What is asked.
    pub enum Endpoint {
        /// A grant for a token.
        Token = "token",
        /// A page of the catalogue.
        Catalogue = "catalogue",
        /// An order.
        Order = "order",
        /// The state of one task.
        Task = "task",
        /// All tasks of the user.
        Tasks = "tasks",
        /// The end of a task.
        Cancel = "cancel",
        /// A package, whole or in part; counted when the answer begins.
        Download = "download",
    }
}

label! {
    /// What was answered to one request, before any repetition of it.
    pub enum Response {
        /// A status of success.
        Ok = "ok",
        /// A redirect.
        Redirect = "redirect",
        /// 401: token or key are not accepted.
        Unauthorised = "unauthorised",
        /// 429: too many requests.
        RateLimited = "rate_limited",
        /// Any other status of 400 to 499.
        Refused = "refused",
        /// 500 and more.
        ServerError = "server_error",
        /// No whole answer: no network, no name, a time limit.
        Unreachable = "unreachable",
    }
}

impl Response {
    /// What a status says.
    pub(super) fn of(status: StatusCode) -> Self {
        match status.as_u16() {
            401 => Self::Unauthorised,
            429 => Self::RateLimited,
            300..400 => Self::Redirect,
            400..500 => Self::Refused,
            500.. => Self::ServerError,
            _ => Self::Ok,
        }
    }
}

label! {
    /// What became of tokens.
    pub enum TokenEvent {
        /// The service gave one.
        Granted = "granted",
        /// The service gave none: the key is refused, unusable or missing, or nobody answered.
        NotGranted = "not_granted",
        /// The service gave one and refused it later: it was given up.
        Discarded = "discarded",
    }
}

/// All of it, of one client.
#[derive(Debug, Default)]
pub struct Counts {
    /// Requests, each repetition for itself.
    pub requests: Grid<Endpoint, Response>,
    /// Tokens.
    pub tokens: Tally<TokenEvent>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_its_word() {
        let word = |status| Response::of(StatusCode::from_u16(status).expect("a status"));
        for (status, response) in [
            (200, Response::Ok),
            (206, Response::Ok),
            (302, Response::Redirect),
            (401, Response::Unauthorised),
            (404, Response::Refused),
            (429, Response::RateLimited),
            (503, Response::ServerError),
        ] {
            assert_eq!(word(status), response, "{status}");
        }
    }
}
