//! The service key: a JSON file the user stores once (CLMS-API 1.1).

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use reqwest::Url;
use serde::{Deserialize, Serialize};

use super::address::is_loopback;
use super::error::ClmsError;
use super::secret::Secret;

/// A key file is 2.5 KB; more than this is some other file.
const MAX_FILE: u64 = 64 * 1024;

/// A parsed and tested service key. Its private part is never printed.
pub struct ServiceKey {
    client_id: String,
    user_id: String,
    /// Exactly as in the file: the service compares it as text with the audience of the grant.
    token_uri: String,
    token_url: Url,
    signer: EncodingKey,
}

/// The fields of the file that are used; the others (`issued`, `title`, `key_id`, `ip_range`) are not needed.
#[derive(Deserialize)]
struct KeyFile {
    client_id: String,
    user_id: String,
    token_uri: String,
    private_key: String,
}

/// Where the service key comes from.
#[derive(Debug, Default)]
pub enum Credentials {
    /// Nowhere: only the catalogue and downloads work.
    #[default]
    None,
    /// A key that was read before.
    Key(Arc<ServiceKey>),
    /// A file that is read whenever a token is needed: a missing or replaced key never asks for a restart.
    File(PathBuf),
}

impl Credentials {
    /// The key as it is now.
    ///
    /// # Errors
    /// [`ClmsError::NoCredentials`], or [`ClmsError::KeyFile`] when the file cannot be used.
    pub fn key(&self) -> Result<Arc<ServiceKey>, ClmsError> {
        match self {
            Self::None => Err(ClmsError::NoCredentials),
            Self::Key(key) => Ok(Arc::clone(key)),
            Self::File(path) => ServiceKey::load(path).map(Arc::new),
        }
    }
}

impl From<Option<ServiceKey>> for Credentials {
    fn from(key: Option<ServiceKey>) -> Self {
        key.map_or(Self::None, |key| Self::Key(Arc::new(key)))
    }
}

/// The claims of a grant (CLMS-API 1.2). No `nbf`, no `scope`: both are refused.
#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    iat: i64,
    exp: i64,
}

impl ServiceKey {
    /// Reads and checks a key file.
    ///
    /// # Errors
    /// [`ClmsError::KeyFile`]: unreadable, readable by others, not a key file, or with an unusable private key.
    pub fn load(path: &Path) -> Result<Self, ClmsError> {
        let refuse = |reason: String| ClmsError::KeyFile { path: path.to_owned(), reason };
        let cannot_read = |error: std::io::Error| {
            refuse(format!(
                "cannot be read: {error}; name the key that you saved, or leave credentials out to look around only"
            ))
        };
        let mut file = File::open(path).map_err(cannot_read)?;
        // On the open file, so that what was checked is what is read.
        let meta = file.metadata().map_err(cannot_read)?;
        if !meta.is_file() {
            return Err(refuse("is not a file: name the key file itself".to_owned()));
        }
        let systemd = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
        if !is_private(meta.mode(), path, systemd.as_deref()) {
            let mode = meta.mode() & 0o777;
            return Err(refuse(format!(
                "can be read or changed by others (mode {mode:03o}); run: chmod 600 '{}' (and create a new key at the service if they may have)",
                path.display()
            )));
        }
        if meta.len() > MAX_FILE {
            return Err(refuse("is too large for a service key".to_owned()));
        }
        // Room for all of it: a buffer that grows leaves copies behind.
        let mut text = Secret::with_capacity(meta.len() as usize + 1);
        text.read_from(file.by_ref().take(MAX_FILE)).map_err(cannot_read)?;
        Self::parse(text.expose()).map_err(refuse)
    }

    /// Parses the content of a key file; the error never repeats any of it.
    pub(super) fn parse(content: &[u8]) -> Result<Self, String> {
        // serde's own message could quote the file.
        let KeyFile { client_id, user_id, token_uri, private_key } =
            serde_json::from_slice(content).map_err(|error| {
                format!(
                    "is not a service key in JSON (problem at line {}, column {}); it needs client_id, user_id, token_uri and private_key as downloaded from https://land.copernicus.eu",
                    error.line(),
                    error.column()
                )
            })?;
        let private_key = Secret::new(private_key);
        for (name, value) in [("client_id", &client_id), ("user_id", &user_id), ("token_uri", &token_uri)] {
            if value.trim().is_empty() {
                return Err(format!("has an empty {name}; download the key again"));
            }
        }
        let token_url =
            Url::parse(&token_uri).map_err(|_| "has a token_uri that is no web address".to_owned())?;
        let secure =
            token_url.scheme() == "https" || (token_url.scheme() == "http" && is_loopback(&token_url));
        if !secure || !token_url.username().is_empty() || token_url.password().is_some() {
            return Err("has a token_uri that is not an https address".to_owned());
        }
        let signer = EncodingKey::from_rsa_pem(private_key.expose()).map_err(|_| {
            "holds a private_key that is no RSA key in PEM form; download the key again".to_owned()
        })?;
        let key = Self { client_id, user_id, token_uri, token_url, signer };
        // A damaged key shows only when it signs; better now than at the first order.
        key.grant(0).map_err(|()| "holds a damaged private_key; download the key again".to_owned())?;
        Ok(key)
    }

    /// Where grants are sent; nowhere else.
    pub(super) fn token_url(&self) -> &Url {
        &self.token_url
    }

    /// A signed grant issued at `issued` (seconds since 1970, the service's clock), good for an hour from then.
    pub(super) fn grant(&self, issued: i64) -> Result<String, ()> {
        let claims = Claims {
            iss: &self.client_id,
            sub: &self.user_id,
            aud: &self.token_uri,
            iat: issued,
            exp: issued + 3600,
        };
        jsonwebtoken::encode(&Header::new(Algorithm::RS256), &claims, &self.signer).map_err(|_| ())
    }
}

/// Whether nobody but its owner may read or change a file of this mode.
///
/// A credential that systemd hands over (`LoadCredential=`, below `$CREDENTIALS_DIRECTORY`) is root's, with an access
/// control list for the unit's user; the list's mask shows as the group's right to read.
fn is_private(mode: u32, path: &Path, systemd: Option<&Path>) -> bool {
    let of_systemd = systemd.is_some_and(|folder| folder.is_absolute() && path.parent() == Some(folder));
    let shown = if of_systemd { mode & !0o040 } else { mode };
    shown & 0o077 == 0
}

impl fmt::Debug for ServiceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceKey")
            .field("user_id", &self.user_id)
            .field("token_uri", &self.token_uri)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_of_systemd_is_private() {
        let folder = Path::new("/run/credentials/clmsfs@srv-clms.service");
        let key = folder.join("service-key.json");
        for mode in [0o100_400, 0o100_440] {
            assert!(is_private(mode, &key, Some(folder)), "{mode:o}");
        }
        for mode in [0o100_444, 0o100_460, 0o100_404, 0o100_450] {
            assert!(!is_private(mode, &key, Some(folder)), "{mode:o}");
        }
        // Only what lies there itself, and only where systemd said so.
        assert!(!is_private(0o100_440, &folder.join("x/service-key.json"), Some(folder)));
        assert!(!is_private(0o100_440, &key, None));
        assert!(!is_private(0o100_440, Path::new("service-key.json"), Some(Path::new(""))));
    }
}
