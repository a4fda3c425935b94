//! The secret that opens the web page. What a browser keeps and what forms carry is derived from it, so that neither says
//! what the link was.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use aws_lc_rs::{constant_time, hmac};
use zeroize::Zeroizing;

/// Random bytes of a token; in hexadecimal twice as many letters.
const BYTES: usize = 32;

/// The secret of one mount's page.
pub(super) struct Token(Zeroizing<String>);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token")
    }
}

impl Token {
    /// The one that is kept in `file`, or a new one that is kept there from now on, readable by its owner only.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn kept_in(file: &Path) -> io::Result<Self> {
        if let Some(kept) = read(file) {
            return Ok(Self(kept));
        }
        let mut bytes = Zeroizing::new([0; BYTES]);
        rand::fill(&mut bytes[..]);
        let text = Zeroizing::new(hex(&bytes[..]));
        let fresh = file.with_extension(format!("{}.new", std::process::id()));
        if let Some(folder) = file.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        // of an earlier process of this number
        let _ = fs::remove_file(&fresh);
        let mut out = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
        out.write_all(text.as_bytes())?;
        drop(out);
        fs::rename(&fresh, file)?;
        Ok(Self(text))
    }

    /// The secret itself, for the link.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `text` is it; takes as long for every wrong text of its length.
    pub(super) fn is(&self, text: &str) -> bool {
        same(&self.0, text)
    }

    /// What a browser keeps as a cookie.
    pub(super) fn session(&self) -> String {
        self.derived("session")
    }

    /// What every form of the page carries.
    pub(super) fn form(&self) -> String {
        self.derived("form")
    }

    /// Name of the cookie: browsers tell hosts apart, but no ports, and a machine may have several mounts.
    pub(super) fn cookie_name(&self) -> String {
        format!("clmsfs-{}", &self.derived("name")[..12])
    }

    fn derived(&self, purpose: &str) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.0.as_bytes());
        hex(hmac::sign(&key, purpose.as_bytes()).as_ref())
    }
}

/// Compares without telling by the time taken where two secrets differ.
pub(super) fn same(one: &str, other: &str) -> bool {
    constant_time::verify_slices_are_equal(one.as_bytes(), other.as_bytes()).is_ok()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A token that only its owner, who is us, could have written and can read.
fn read(file: &Path) -> Option<Zeroizing<String>> {
    let mut opened = File::options().read(true).custom_flags(libc::O_NOFOLLOW).open(file).ok()?;
    let metadata = opened.metadata().ok()?;
    let is_ours = metadata.uid() == super::super::peers::own_uid() && metadata.mode() & 0o077 == 0;
    if !metadata.is_file() || !is_ours || metadata.len() != 2 * BYTES as u64 {
        return None;
    }
    let mut text = Zeroizing::new(String::new());
    opened.read_to_string(&mut text).ok()?;
    text.bytes().all(|byte| byte.is_ascii_hexdigit()).then_some(text)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_token_is_kept_for_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("run/x.web-token");
        let first = Token::kept_in(&file).unwrap();
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
        assert_eq!(first.as_str().len(), 64);
        assert!(first.is(Token::kept_in(&file).unwrap().as_str()), "a restart keeps it");
        // others could have read it
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        let second = Token::kept_in(&file).unwrap();
        assert!(!first.is(second.as_str()));
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
        fs::write(&file, "short").unwrap();
        assert!(!second.is(Token::kept_in(&file).unwrap().as_str()));
    }

    #[test]
    fn what_leaves_it_does_not_tell_it() {
        let folder = tempfile::tempdir().unwrap();
        let token = Token::kept_in(&folder.path().join("t")).unwrap();
        let told = [token.session(), token.form(), token.cookie_name(), format!("{token:?}")];
        for (number, one) in told.iter().enumerate() {
            assert!(!one.contains(token.as_str()) && !token.is(one));
            assert!(told[number + 1..].iter().all(|other| other != one));
        }
    }
}
