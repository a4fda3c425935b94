//! The token endpoint.

use std::time::Instant;

use axum::{
    http::{HeaderValue, Method, header},
    response::Response,
};
use jiff::Timestamp;
use serde_json::json;

use super::{Behaviour, Server, reply, request::Call};
use crate::simulator::{
    grant::{Grant, Refusal},
    query, text,
};

pub(crate) fn answer(server: &Server, behaviour: &Behaviour, call: &Call) -> Response {
    let form = call.form();
    if call.method != Method::POST {
        return no_store(reply::oauth(405, "invalid_request", "POST only"));
    }
    let audience = format!("{}/@@oauth2-token", call.base());
    let grant = Grant {
        grant_type: query::last(&form, "grant_type"),
        assertion: query::last(&form, "assertion"),
        audience: &audience,
        now: (Timestamp::now() + behaviour.scenario.clock).into(),
        reject_key: behaviour.scenario.reject_key,
    };
    let lifetime = behaviour.scenario.token_lifetime;
    let mut accounts = server.accounts();
    let token = grant.check(&accounts).and_then(|client_id| {
        accounts
            .issue_token(&client_id, Instant::now(), lifetime)
            .ok_or_else(|| Refusal::Grant("Service key user not found.".to_owned()))
    });
    no_store(match token {
        Ok(token) => {
            let answer =
                json!({ "access_token": token, "expires_in": lifetime.as_secs(), "token_type": "Bearer" });
            reply::json_text(200, text::one_line(&answer))
        }
        Err(Refusal::Request(description)) => reply::oauth(400, "invalid_request", &description),
        Err(Refusal::Grant(description)) => reply::oauth(400, "invalid_grant", &description),
        Err(Refusal::Crash(status, message, kind)) => {
            return if call.accepts_json() {
                reply::view(status, &message, kind)
            } else {
                reply::json_text(status, text::one_line(&json!({ "error_type": kind })))
            };
        }
    })
}

fn no_store(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    response
}
