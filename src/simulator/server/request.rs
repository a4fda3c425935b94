//! A request, read as a whole.

use axum::{
    body::Bytes,
    extract::Request,
    http::{HeaderMap, Method},
    response::Response,
};

use super::{
    listener::Peer,
    reply,
    route::{Prefix, Route},
};
use crate::simulator::query;

/// No request of this service is larger.
const LARGEST_BODY: usize = 16 << 20;

/// What was asked.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) route: Route,
    /// Path and query as they came.
    pub(crate) target: String,
    pub(crate) raw_query: String,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) body: Bytes,
    pub(crate) host: String,
    pub(crate) peer: Peer,
    headers: HeaderMap,
}

impl Call {
    pub(crate) async fn read(request: Request, peer: Peer, authority: &str) -> Result<Self, Response> {
        let (parts, body) = request.into_parts();
        let body = axum::body::to_bytes(body, LARGEST_BODY)
            .await
            .map_err(|_| reply::html(413, "Request Entity Too Large"))?;
        let host = parts.headers.get("host").and_then(|host| host.to_str().ok()).unwrap_or(authority);
        let raw_query = parts.uri.query().unwrap_or_default().to_owned();
        Ok(Self {
            method: parts.method,
            route: Route::of(parts.uri.path()),
            target: parts.uri.to_string(),
            query: query::parse(&raw_query),
            raw_query,
            body,
            host: host.to_owned(),
            peer,
            headers: parts.headers,
        })
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// A parameter of the query.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        query::last(&self.query, name)
    }

    /// Address of the site as the caller sees it.
    pub(crate) fn base(&self) -> String {
        self.route.base(&self.host)
    }

    /// Address of what was called.
    pub(crate) fn url(&self) -> String {
        self.route.url(&self.host)
    }

    /// Exactly `application/json`, parameters allowed: anything else never reaches the API.
    pub(crate) fn accepts_json(&self) -> bool {
        self.header("accept").is_some_and(|accept| {
            !accept.contains(',')
                && accept.split(';').next().is_some_and(|kind| kind.trim() == "application/json")
        })
    }

    /// The 404 that a call without the right `Accept` gets: a page for browsers, JSON for the rest.
    pub(crate) fn refuse_accept(&self) -> Response {
        match self.header("accept") {
            Some(accept) if accept.contains("text/html") => {
                reply::html(404, "Copernicus Land Monitoring Service")
            }
            _ => reply::not_accepted(),
        }
    }

    /// The parameters of a form body, or of the query where there is no form.
    pub(crate) fn form(&self) -> Vec<(String, String)> {
        let mut pairs = self.query.clone();
        let is_form = self
            .header("content-type")
            .is_some_and(|kind| kind.to_ascii_lowercase().starts_with("application/x-www-form-urlencoded"));
        if is_form {
            pairs.extend(query::parse(&String::from_utf8_lossy(&self.body)));
        }
        pairs
    }

    /// Scheme and host, without a prefix.
    pub(crate) fn origin(&self) -> String {
        Route { prefix: Prefix::Root, path: String::new(), slash: false }.base(&self.host)
    }
}
