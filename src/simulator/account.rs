//! Service keys and access tokens.

use std::{
    collections::HashMap,
    net::IpAddr,
    time::{Duration, Instant},
};

use aws_lc_rs::{
    digest,
    encoding::{AsDer, Pkcs8V1Der},
    rsa::{KeyPair, KeySize},
    signature::KeyPair as _,
};
use serde_json::{Value, json};

use super::{base64, der};

/// A key that cannot be made.
#[derive(Debug, thiserror::Error)]
#[error("no service key can be made: the cryptographic library failed")]
pub struct KeyError;

/// What the service knows of an issued key.
#[derive(Debug, Clone)]
pub(crate) struct IssuedKey {
    /// PKCS#1 public key in DER.
    pub(crate) public: Vec<u8>,
    pub(crate) user_id: String,
    ip_range: Option<String>,
}

/// Makes an RSA-2048 service key: what the service keeps, and the JSON that the user gets once.
pub(crate) fn make_key(
    user_id: &str,
    token_uri: &str,
    ip_range: Option<&str>,
) -> Result<(String, IssuedKey, Value), KeyError> {
    let pair = KeyPair::generate(KeySize::Rsa2048).map_err(|_| KeyError)?;
    let pkcs8: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| KeyError)?;
    let private = der::pkcs1_of_pkcs8(pkcs8.as_ref()).ok_or(KeyError)?;
    let public = pair.public_key().as_ref().to_vec();
    let client_id = format!("{:032x}", rand::random::<u128>());
    let key_id =
        hex(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, der::pem("PUBLIC KEY", &public).as_bytes()));
    let json = json!({
        "client_id": client_id,
        "ip_range": ip_range,
        "issued": jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.%6f").to_string(),
        "key_id": key_id,
        "private_key": der::pem("RSA PRIVATE KEY", private),
        "title": "clmsfs simulator",
        "token_uri": token_uri,
        "user_id": user_id,
    });
    let key = IssuedKey { public, user_id: user_id.to_owned(), ip_range: ip_range.map(str::to_owned) };
    Ok((client_id, key, json))
}

fn hex(digest: digest::Digest) -> String {
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Who a request comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Caller {
    Anonymous,
    User(String),
    /// The token is known but too old; every endpoint answers 401.
    Expired,
}

#[derive(Debug)]
struct Token {
    user_id: String,
    ip_range: Option<String>,
    expires: Instant,
}

/// The keys and tokens of all users.
#[derive(Debug, Default)]
pub(crate) struct Accounts {
    keys: HashMap<String, IssuedKey>,
    tokens: HashMap<String, Token>,
    /// Every token that was ever given, for those who look for them where they must not be.
    given: Vec<String>,
}

impl Accounts {
    pub(crate) fn add_key(&mut self, client_id: String, key: IssuedKey) {
        self.keys.insert(client_id, key);
    }

    pub(crate) fn key(&self, client_id: &str) -> Option<&IssuedKey> {
        self.keys.get(client_id)
    }

    /// A new token for the key's user; expired tokens of everybody are thrown away on the way, as recorded.
    pub(crate) fn issue_token(
        &mut self,
        client_id: &str,
        now: Instant,
        lifetime: Duration,
    ) -> Option<String> {
        let key = self.keys.get(client_id)?;
        let mut bytes = [0; 64];
        rand::fill(&mut bytes);
        let text = base64::url_safe(&bytes);
        let token =
            Token { user_id: key.user_id.clone(), ip_range: key.ip_range.clone(), expires: now + lifetime };
        self.tokens.retain(|_, token| token.expires > now);
        self.tokens.insert(text.clone(), token);
        self.given.push(text.clone());
        Some(text)
    }

    /// The caller behind an `Authorization` header: `bearer` in any case, the last word is the token.
    pub(crate) fn caller(&self, authorization: Option<&str>, address: IpAddr, now: Instant) -> Caller {
        let token = authorization
            .filter(|value| value.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case("bearer ")))
            .and_then(|value| value.split_whitespace().next_back())
            .and_then(|word| self.tokens.get(word));
        match token {
            None => Caller::Anonymous,
            Some(token) if token.expires <= now => Caller::Expired,
            Some(token) if !in_range(token.ip_range.as_deref(), address) => Caller::Anonymous,
            Some(token) => Caller::User(token.user_id.clone()),
        }
    }

    /// Every token that was ever given.
    pub(crate) fn given(&self) -> &[String] {
        &self.given
    }

    /// Forgets every token: their owners are anonymous now.
    pub(crate) fn revoke_tokens(&mut self) -> usize {
        std::mem::take(&mut self.tokens).len()
    }
}

/// Whether the address is in a list of addresses and CIDR blocks; no list allows all.
fn in_range(list: Option<&str>, address: IpAddr) -> bool {
    list.is_none_or(|list| {
        list.split(',').any(|block| {
            let (network, length) = block.trim().split_once('/').unwrap_or((block.trim(), ""));
            match (network.parse(), address) {
                (Ok(IpAddr::V4(network)), IpAddr::V4(address)) => {
                    let length = length.parse().unwrap_or(32_u32).min(32);
                    let mask = u32::MAX.checked_shl(32 - length).unwrap_or(0);
                    network.to_bits() & mask == address.to_bits() & mask
                }
                (Ok(network), address) => network == address,
                (Err(_), _) => false,
            }
        })
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn accounts(ip_range: Option<&str>) -> (Accounts, String) {
        let mut accounts = Accounts::default();
        let key =
            IssuedKey { public: Vec::new(), user_id: "n0".to_owned(), ip_range: ip_range.map(str::to_owned) };
        accounts.add_key("c".to_owned(), key);
        let token = accounts.issue_token("c", Instant::now(), Duration::from_secs(60)).unwrap();
        (accounts, token)
    }

    #[test]
    fn a_token_lives_expires_and_is_purged_by_the_next() {
        let (mut accounts, token) = accounts(None);
        assert_eq!(token.len(), 88);
        let header = format!("bEARER {token}");
        let now = Instant::now();
        let later = now + Duration::from_secs(61);
        assert_eq!(accounts.caller(Some(&header), HERE, now), Caller::User("n0".to_owned()));
        assert_eq!(accounts.caller(Some(&header), HERE, later), Caller::Expired);
        accounts.issue_token("c", later, Duration::from_secs(1)).unwrap();
        assert_eq!(accounts.caller(Some(&header), HERE, later), Caller::Anonymous);
        assert_eq!(accounts.caller(Some("Basic x"), HERE, now), Caller::Anonymous);
    }

    #[test]
    fn a_token_from_elsewhere_is_anonymous() {
        let (accounts, token) = accounts(Some("10.0.0.0/8, 192.168.1.1"));
        let header = format!("Bearer {token}");
        let caller = |address: &str| accounts.caller(Some(&header), address.parse().unwrap(), Instant::now());
        assert_eq!(caller("10.200.3.4"), Caller::User("n0".to_owned()));
        assert_eq!(caller("192.168.1.1"), Caller::User("n0".to_owned()));
        assert_eq!(caller("127.0.0.1"), Caller::Anonymous);
    }

    #[test]
    fn a_key_is_pkcs1_and_has_the_fields_of_the_service() {
        let (client_id, _, json) = make_key("n00015mf", "http://x/@@oauth2-token", None).unwrap();
        assert_eq!(client_id.len(), 32);
        assert!(json["private_key"].as_str().unwrap().starts_with("-----BEGIN RSA PRIVATE KEY-----\n"));
        let mut fields: Vec<_> = json.as_object().unwrap().keys().cloned().collect();
        fields.sort();
        assert_eq!(
            fields,
            ["client_id", "ip_range", "issued", "key_id", "private_key", "title", "token_uri", "user_id"]
        );
    }
}
