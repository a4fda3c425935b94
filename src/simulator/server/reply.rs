//! Answers in the shapes of the recorded server.

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::Response,
};
use serde_json::{Value, json};

use crate::simulator::text;

/// JSON text with a status.
pub(crate) fn json_text(status: u16, text: String) -> Response {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// What a service of the API answers.
pub(crate) fn service(status: u16, value: &Value) -> Response {
    json_text(status, text::service(value))
}

/// `{"status": "error", "msg": ...}`.
pub(crate) fn error(status: u16, message: &str) -> Response {
    service(status, &json!({ "msg": message, "status": "error" }))
}

/// What the error view answers: `{"message", "type"}`.
pub(crate) fn view(status: u16, message: &str, kind: &str) -> Response {
    json_text(status, text::error_view(message, kind))
}

/// The 401 of an anonymous caller.
pub(crate) fn unauthorized() -> Response {
    view(401, "You are not authorized to access this resource.", "Unauthorized")
}

/// The 401 of a token that is known but too old; given on every endpoint.
pub(crate) fn expired_token() -> Response {
    oauth(401, "invalid_token", "Access token expired")
}

/// `{"error", "error_description"}` on one line.
pub(crate) fn oauth(status: u16, error: &str, description: &str) -> Response {
    json_text(status, text::one_line(&json!({ "error": error, "error_description": description })))
}

/// The 404 of an address that leads nowhere.
pub(crate) fn not_found(url: &str) -> Response {
    view(404, &format!("Resource not found: {url}"), "NotFound")
}

/// The 404 of a call that did not say `Accept: application/json`.
pub(crate) fn not_accepted() -> Response {
    json_text(404, "{\"error_type\": \"NotFound\"}".to_owned())
}

/// A web page.
pub(crate) fn html(status: u16, title: &str) -> Response {
    let page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head><title>{title}</title></head>\n<body><h1>{title}</h1></body>\n</html>\n"
    );
    let mut response = json_text(status, page);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html;charset=utf-8"));
    response
}

/// No body.
pub(crate) fn empty(status: u16) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response
}
