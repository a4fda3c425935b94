//! The token endpoint's checks in the recorded order, as a pure function.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use serde_json::{Map, Value};

use super::{account::Accounts, base64};

const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// Why no token is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// `{"error": "invalid_request", ...}`, 400.
    Request(String),
    /// `{"error": "invalid_grant", ...}`, 400.
    Grant(String),
    /// The code fell over: status, message, type.
    Crash(u16, String, &'static str),
}

/// What was sent, and by what it is judged.
pub(crate) struct Grant<'a> {
    pub(crate) grant_type: Option<&'a str>,
    pub(crate) assertion: Option<&'a str>,
    /// The token endpoint's own address.
    pub(crate) audience: &'a str,
    pub(crate) now: SystemTime,
    /// Pretend that no key is known.
    pub(crate) reject_key: bool,
}

impl Grant<'_> {
    /// The `client_id` that may have a token.
    pub(crate) fn check(&self, accounts: &Accounts) -> Result<String, Refusal> {
        match self.grant_type {
            None | Some("") => return Err(Refusal::Request("Missing 'grant_type'".to_owned())),
            Some(JWT_BEARER) => {}
            Some(_) => {
                return Err(Refusal::Request(format!("Only grant type '{JWT_BEARER}' is supported")));
            }
        }
        let assertion = self
            .assertion
            .filter(|assertion| !assertion.is_empty())
            .ok_or_else(|| Refusal::Request("Missing 'assertion'".to_owned()))?;
        let jwt = Jwt::parse(assertion)?;
        if jwt.header.get("alg").and_then(Value::as_str) != Some("RS256") {
            return Err(Refusal::Request("Only RS256 signature algorithm is supported".to_owned()));
        }
        let issuer = jwt.claims.get("iss").ok_or_else(|| missing_key("iss"))?;
        let client_id = issuer.as_str().unwrap_or_default();
        let key = accounts
            .key(client_id)
            .filter(|_| !self.reject_key)
            .ok_or_else(|| grant("No associated key found"))?;
        UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &key.public)
            .verify(jwt.signed.as_bytes(), &jwt.signature)
            .map_err(|_| grant("Signature verification failed"))?;
        let now = self.now.duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
        let (issued, expires) = (number(&jwt.claims, "iat")?, number(&jwt.claims, "exp")?);
        if issued.is_some_and(|issued| issued > now) {
            return Err(grant("The token is not yet valid (iat)"));
        }
        if expires.is_some_and(|expires| expires <= now) {
            return Err(grant("Signature has expired"));
        }
        match jwt.claims.get("aud") {
            None | Some(Value::Null) => return Err(grant("Token is missing the \"aud\" claim")),
            Some(Value::String(audience)) if audience == self.audience => {}
            Some(Value::String(_)) => return Err(grant("Audience doesn't match")),
            Some(_) => return Err(Refusal::Crash(500, String::new(), "AssertionError")),
        }
        let expires = expires.ok_or_else(|| grant("Missing 'exp' claim"))?;
        let issued = issued.ok_or_else(|| grant("Missing 'iat' claim"))?;
        if expires - now > 24.0 * 3600.0 {
            return Err(grant("JWT expiration is more than a day in the future"));
        }
        if now - issued > 3600.0 {
            return Err(grant("JWT was issued more than an hour in the past"));
        }
        if jwt.claims.contains_key("nbf") {
            return Err(grant("The 'nbf' claim is not suppported"));
        }
        if jwt.claims.contains_key("scope") {
            return Err(grant("Scopes are not supported yet"));
        }
        let subject = jwt.claims.get("sub").ok_or_else(|| missing_key("sub"))?;
        if subject.as_str() != Some(&key.user_id) {
            return Err(grant("JWT subject doesn't match user_id of service key."));
        }
        Ok(client_id.to_owned())
    }
}

fn grant(description: &str) -> Refusal {
    Refusal::Grant(description.to_owned())
}

fn missing_key(claim: &str) -> Refusal {
    Refusal::Crash(503, format!("'{claim}'"), "KeyError")
}

/// A numeric claim; texts make the real code fall over.
fn number(claims: &Map<String, Value>, name: &str) -> Result<Option<f64>, Refusal> {
    match claims.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Number(number)) => Ok(number.as_f64()),
        Some(_) => Err(Refusal::Crash(
            500,
            "'str' object cannot be interpreted as an integer".to_owned(),
            "TypeError",
        )),
    }
}

struct Jwt<'a> {
    signed: &'a str,
    header: Map<String, Value>,
    claims: Map<String, Value>,
    signature: Vec<u8>,
}

impl<'a> Jwt<'a> {
    fn parse(text: &'a str) -> Result<Self, Refusal> {
        let crash = |message: &str| Refusal::Crash(500, message.to_owned(), "DecodeError");
        let (signed, signature) = text.rsplit_once('.').ok_or_else(|| crash("Not enough segments"))?;
        let (header, claims) = signed.split_once('.').ok_or_else(|| crash("Not enough segments"))?;
        let header = base64::decode_url_safe(header).ok_or_else(|| crash("Invalid header padding"))?;
        let header = serde_json::from_slice(&header).map_err(|_| crash("Invalid header string"))?;
        let claims = base64::decode_url_safe(claims).ok_or_else(|| crash("Invalid payload padding"))?;
        let claims = serde_json::from_slice(&claims).map_err(|_| crash("Invalid payload string"))?;
        let signature = base64::decode_url_safe(signature).ok_or_else(|| crash("Invalid crypto padding"))?;
        Ok(Self { signed, header, claims, signature })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn check(grant_type: Option<&str>, assertion: Option<&str>) -> Refusal {
        let grant =
            Grant { grant_type, assertion, audience: "http://x", now: SystemTime::now(), reject_key: false };
        grant.check(&Accounts::default()).unwrap_err()
    }

    fn jwt(header: &str, claims: &str) -> String {
        let part = |text: &str| base64::url_safe(text.as_bytes()).trim_end_matches('=').to_owned();
        format!("{}.{}.AAAA", part(header), part(claims))
    }

    #[test]
    fn the_first_thing_wrong_is_what_is_said() {
        assert_eq!(check(None, None), Refusal::Request("Missing 'grant_type'".to_owned()));
        assert_eq!(check(Some(JWT_BEARER), Some("")), Refusal::Request("Missing 'assertion'".to_owned()));
        let refusal = check(Some(JWT_BEARER), Some("garbage"));
        assert_eq!(refusal, Refusal::Crash(500, "Not enough segments".to_owned(), "DecodeError"));
        let refusal = check(Some(JWT_BEARER), Some("a.b.c"));
        assert_eq!(refusal, Refusal::Crash(500, "Invalid header padding".to_owned(), "DecodeError"));
        let refusal = check(Some(JWT_BEARER), Some(&jwt("{\"alg\":\"HS256\"}", "{}")));
        assert_eq!(refusal, Refusal::Request("Only RS256 signature algorithm is supported".to_owned()));
        let refusal = check(Some(JWT_BEARER), Some(&jwt("{\"alg\":\"RS256\"}", "{}")));
        assert_eq!(refusal, Refusal::Crash(503, "'iss'".to_owned(), "KeyError"));
        let refusal = check(Some(JWT_BEARER), Some(&jwt("{\"alg\":\"RS256\"}", "{\"iss\":\"x\"}")));
        assert_eq!(refusal, Refusal::Grant("No associated key found".to_owned()));
    }
}
