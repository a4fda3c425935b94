//! `/_simulator/`: what tests in other processes ask and change. Not counted, no token needed.

use axum::{http::Method, response::Response};
use serde_json::json;

use super::{Server, log::Log, reply, request::Call};
use crate::simulator::{Scenario, text};

pub(crate) fn answer(server: &Server, call: &Call) -> Response {
    match (&call.method, call.route.path.as_str()) {
        (&Method::GET, "_simulator/requests") => match serde_json::to_value(&*server.log()) {
            Ok(log) => reply::json_text(200, text::service(&log)),
            Err(error) => reply::error(500, &error.to_string()),
        },
        (&Method::POST, "_simulator/reset-log") => {
            *server.log() = Log::default();
            reply::empty(204)
        }
        (&Method::PUT, "_simulator/scenario") => {
            let text = String::from_utf8_lossy(&call.body);
            match Scenario::from_toml(&text) {
                Ok(scenario) => {
                    server.set_scenario(scenario);
                    reply::empty(204)
                }
                Err(error) => reply::error(400, &format!("failed to {error}")),
            }
        }
        (&Method::POST, "_simulator/revoke-tokens") => {
            let revoked = server.accounts().revoke_tokens();
            reply::service(200, &json!({ "revoked": revoked }))
        }
        (&Method::GET, "_simulator/tokens") => reply::service(200, &json!(server.accounts().given())),
        _ => reply::error(
            404,
            "known here: GET requests, GET tokens, POST reset-log, PUT scenario, POST revoke-tokens",
        ),
    }
}
