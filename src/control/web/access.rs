//! Who may see the page, and which requests are really the page's own: pure decisions over the headers of a request.
//!
//! Every user of a machine can connect to its loopback, and so can every web page that the user's browser has open. Hence
//! one rule for all addresses: nothing but the style sheet is answered without the secret.

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, Method, header};

use super::token::{Token, same};

/// By which names and addresses browsers may call the page. A name that is not among them may be a stranger's that was
/// made to point here (DNS rebinding); an address cannot be.
#[derive(Debug, Clone)]
pub(super) struct Hosts {
    listen: IpAddr,
    names: Vec<String>,
}

impl Hosts {
    /// Those of a page at `listen`, with further names.
    pub(super) fn new(listen: SocketAddr, names: &[String]) -> Self {
        Self { listen: listen.ip(), names: names.to_vec() }
    }

    /// Whether `host` (the header, perhaps with a port) means us. The port does not matter: it is another one at the near
    /// end of a tunnel.
    pub(super) fn mean_us(&self, host: &str) -> bool {
        let name = without_port(host);
        let bare = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(name);
        if let Ok(address) = bare.parse::<IpAddr>() {
            return address.is_loopback() || self.listen.is_unspecified() || address == self.listen;
        }
        let name = name.to_ascii_lowercase();
        name == "localhost" || self.names.contains(&name)
    }
}

/// A host without `:port`; the colons of an IPv6 address stand in brackets.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|digit| digit.is_ascii_digit()) && !name.ends_with(':') => {
            name
        }
        _ => host,
    }
}

/// Why a request is not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    /// Not called by a name of ours.
    #[error("this page is not served under that name; an administrator can add it to web_hosts")]
    Host,
    /// Without the secret.
    #[error("this page opens with a link that only the owner of the mount can ask for")]
    Stranger,
    /// An action that comes from another site's page.
    #[error("the request comes from another page than this one")]
    ForeignPage,
    /// An action without the secret of our forms.
    #[error("the form is not one of this page, or the page was restarted: go back, reload it and try again")]
    Form,
}

/// The one value of a header; `None` when it is missing, there twice or no text.
fn only<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

/// Whether the request is called by a name of ours.
pub(super) fn check_host(headers: &HeaderMap, hosts: &Hosts) -> Result<(), Refusal> {
    let host = only(headers, header::HOST.as_str()).ok_or(Refusal::Host)?;
    if hosts.mean_us(host) { Ok(()) } else { Err(Refusal::Host) }
}

/// Whether the browser has shown the secret before.
pub(super) fn check_session(headers: &HeaderMap, token: &Token) -> Result<(), Refusal> {
    let (name, session) = (token.cookie_name(), token.session());
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let known = pairs.any(|(given, value)| given == name && same(value, &session));
    if known { Ok(()) } else { Err(Refusal::Stranger) }
}

/// Whether a request that changes something comes from a page of ours, as far as the browser tells. Who sends no such
/// headers is no browser, and has the secret of the form or not.
pub(super) fn check_origin(method: &Method, headers: &HeaderMap) -> Result<(), Refusal> {
    if matches!(*method, Method::GET | Method::HEAD) {
        return Ok(());
    }
    let site = headers.get("sec-fetch-site").map(|value| value.as_bytes() == b"same-origin");
    let origin = headers.contains_key(header::ORIGIN).then(|| {
        let host = only(headers, header::HOST.as_str()).unwrap_or_default();
        let origin = only(headers, header::ORIGIN.as_str()).unwrap_or_default();
        let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host))
    });
    if site == Some(false) || origin == Some(false) { Err(Refusal::ForeignPage) } else { Ok(()) }
}

/// Whether a form carries the secret of our forms.
pub(super) fn check_form(given: &str, token: &Token) -> Result<(), Refusal> {
    if same(given, &token.form()) { Ok(()) } else { Err(Refusal::Form) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&str, &str)| {
            (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap())
        };
        let mut map = HeaderMap::new();
        pairs.iter().map(pair).for_each(|(name, value)| {
            map.append(name, value);
        });
        map
    }

    #[test]
    fn a_name_that_may_be_a_strangers_is_refused() {
        let hosts = |listen: &str| Hosts::new(listen.parse().unwrap(), &["clms.example.org".to_owned()]);
        let here = hosts("127.0.0.1:8080");
        for host in [
            "127.0.0.1:8080",
            "127.0.0.1",
            "localhost:9000",
            "LOCALHOST",
            "[::1]:8080",
            "clms.Example.org:80",
        ] {
            assert!(here.mean_us(host), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "evil.example:8080",
            "127.0.0.1.evil.example",
            "localhost.evil",
            "10.0.0.1",
            "[::2]",
            "::1x",
            "a:b:1",
        ] {
            assert!(!here.mean_us(host), "{host}");
        }
        assert!(hosts("10.0.0.1:80").mean_us("10.0.0.1") && !hosts("10.0.0.1:80").mean_us("10.0.0.2"));
        assert!(hosts("0.0.0.0:80").mean_us("192.0.2.7:80") && !hosts("0.0.0.0:80").mean_us("evil.example"));
        assert!(check_host(&headers(&[]), &here).is_err());
        assert!(check_host(&headers(&[("host", "localhost"), ("host", "localhost")]), &here).is_err());
    }

    #[test]
    fn an_action_comes_from_our_own_page() {
        let post = |pairs: &[(&str, &str)]| {
            let mut all = vec![("host", "127.0.0.1:8080")];
            all.extend_from_slice(pairs);
            check_origin(&Method::POST, &headers(&all)).is_ok()
        };
        assert!(post(&[]));
        assert!(post(&[("sec-fetch-site", "same-origin"), ("origin", "http://127.0.0.1:8080")]));
        for foreign in [
            ("sec-fetch-site", "same-site"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "none"),
            ("origin", "null"),
            ("origin", "http://127.0.0.1:9"),
            ("origin", "http://evil.example"),
            ("origin", "ftp://127.0.0.1:8080"),
        ] {
            assert!(!post(&[foreign]), "{foreign:?}");
        }
        assert!(!post(&[("origin", "http://127.0.0.1:8080"), ("origin", "http://127.0.0.1:8080")]));
        assert!(check_origin(&Method::GET, &headers(&[("sec-fetch-site", "cross-site")])).is_ok());
    }

    #[test]
    fn a_session_is_found_among_other_cookies() {
        let folder = tempfile::tempdir().unwrap();
        let token = Token::kept_in(&folder.path().join("t")).unwrap();
        let own = format!("{}={}", token.cookie_name(), token.session());
        let known = |cookies: &str| check_session(&headers(&[("cookie", cookies)]), &token).is_ok();
        assert!(known(&own) && known(&format!("a=b; {own}; c")));
        assert!(!known("") && !known(&format!("{}={}", token.cookie_name(), token.form())));
        assert!(
            !known(&format!("{}={}", token.cookie_name(), token.as_str())),
            "the link's secret is no session"
        );
        assert!(check_form(&token.form(), &token).is_ok());
        assert!(check_form("", &token).is_err() && check_form(&token.session(), &token).is_err());
    }
}
