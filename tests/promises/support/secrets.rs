//! What must be seen nowhere: the private key, tokens, signed grants.

use std::path::Path;

use super::control;

/// Texts that no log, no message and no file may hold.
pub(crate) struct Secrets(Vec<String>);

impl Secrets {
    /// The lines of a key file's private key, and every token that the simulator at `authority` has given, if it runs.
    pub(crate) fn of(key: &Path, authority: &str) -> Self {
        let key: serde_json::Value =
            std::fs::read(key).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        let lines = key["private_key"].as_str().unwrap_or_default().lines();
        let mut texts: Vec<String> =
            lines.filter(|line| line.len() > 20 && !line.starts_with("-----")).map(str::to_owned).collect();
        if let Ok((200, body)) = control::try_request(authority, "GET", "/_simulator/tokens", "") {
            texts.extend(serde_json::from_slice::<Vec<String>>(&body).expect("tokens are a list"));
        }
        Self(texts)
    }

    /// How many there are: a check against none proves nothing.
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// The beginning of a secret in a text, if there is one. A signed grant is one, too.
    pub(crate) fn found_in(&self, text: &str) -> Option<String> {
        let grant = ["eyJ0eXAi", "eyJhbGci", "PRIVATE KEY"].into_iter().find(|word| text.contains(word));
        let secret = self.0.iter().find(|secret| text.contains(secret.as_str()));
        grant.map(str::to_owned).or_else(|| secret.map(|secret| format!("{}…", &secret[..8])))
    }
}
