//! Takes out of a text what tells who the user is, and what opens doors.
//!
//! Two ways, since neither is enough alone: words that are known (the content of the key file, names, the home folder) and
//! shapes (signed tokens, keys, e-mail addresses) that are taken out whoever they belong to.

use std::fs;
use std::path::Path;

use zeroize::Zeroizing;

use crate::config::{OPTIONS, Resolved};

/// Shorter words are in every text.
const SHORTEST: usize = 3;
/// Names that tell nothing about anybody.
const COMMON: [&str; 5] = ["root", "nobody", "clmsfs", "localhost", "localdomain"];
/// A signed token is longer than this.
const SHORTEST_TOKEN: usize = 20;

/// Knows what is taken out.
#[derive(Default)]
pub(super) struct Redactor {
    /// Longest first, so that a part does not spoil the whole.
    words: Vec<Word>,
}

struct Word {
    text: Zeroizing<String>,
    by: &'static str,
    /// Only where no letter stands on either side of it.
    is_whole: bool,
}

impl Redactor {
    /// What this machine and these settings know of the user.
    pub(super) fn of(resolved: Option<&Resolved>) -> Self {
        let mut redactor = Self::default();
        if let Some(resolved) = resolved {
            let private =
                OPTIONS.iter().filter(|spec| spec.private).map(|spec| spec.show(&resolved.settings));
            for value in private.filter(|value| value != "none") {
                redactor.hide(&value, "<redacted>", true);
            }
            if let Some(path) = &resolved.settings.credentials {
                redactor.hide_key(&Zeroizing::new(fs::read_to_string(path).unwrap_or_default()));
            }
        }
        redactor.hide_user(
            |name| std::env::var(name).ok(),
            &fs::read_to_string("/etc/passwd").unwrap_or_default(),
        );
        let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        redactor.hide_name(host.trim(), "<host>");
        redactor.hide_name(host.trim().split('.').next().unwrap_or_default(), "<host>");
        redactor
    }

    /// Every value of a key file but the address of the service; what is no key file has none.
    fn hide_key(&mut self, file: &str) {
        let Ok(serde_json::Value::Object(fields)) = serde_json::from_str(file) else { return };
        for (name, value) in &fields {
            let Some(text) = value.as_str().filter(|_| name != "token_uri") else { continue };
            for line in text.lines() {
                self.hide(line, "<key>", line.len() < SHORTEST_TOKEN);
            }
        }
    }

    /// The names and home folders of whoever asks, through sudo, too.
    fn hide_user(&mut self, environment: impl Fn(&str) -> Option<String>, passwd: &str) {
        // SAFETY: getuid takes nothing, always succeeds and touches no memory.
        let user = unsafe { libc::getuid() }.to_string();
        let users = [Some(user), environment("SUDO_UID")];
        for line in passwd.lines() {
            let fields: Vec<&str> = line.split(':').collect();
            let [name, _, number, _, _, home, ..] = fields[..] else { continue };
            if users.iter().flatten().any(|user| user == number) {
                self.hide_name(name, "<user>");
                self.hide_home(home);
            }
        }
        for name in ["USER", "LOGNAME", "SUDO_USER"] {
            self.hide_name(&environment(name).unwrap_or_default(), "<user>");
        }
        self.hide_home(&environment("HOME").unwrap_or_default());
    }

    fn hide_name(&mut self, name: &str, by: &'static str) {
        if !COMMON.contains(&name) {
            self.hide(name, by, true);
        }
    }

    fn hide_home(&mut self, home: &str) {
        let home = home.trim_end_matches('/');
        if Path::new(home).is_absolute() {
            self.hide(home, "~", true);
            if let Some(real) = fs::canonicalize(home).ok().and_then(|real| real.to_str().map(str::to_owned))
            {
                self.hide(&real, "~", true);
            }
        }
    }

    fn hide(&mut self, text: &str, by: &'static str, is_whole: bool) {
        if text.len() >= SHORTEST && !self.words.iter().any(|word| *word.text == text) {
            self.words.push(Word { text: Zeroizing::new(text.to_owned()), by, is_whole });
            self.words.sort_by_key(|word| std::cmp::Reverse(word.text.len()));
        }
    }

    /// The text without all of that.
    pub(super) fn clean(&self, text: &str) -> String {
        let known = self.words.iter().fold(text.to_owned(), |text, word| word.take_out(&text));
        without_shapes(&without_keys(&known))
    }
}

impl Word {
    fn take_out(&self, text: &str) -> String {
        let is_letter = |letter: char| letter.is_alphanumeric() || letter == '_';
        let mut clean = String::with_capacity(text.len());
        let mut end = 0;
        for (at, found) in text.match_indices(self.text.as_str()) {
            let after = at + found.len();
            let touches = text[..at].chars().next_back().is_some_and(is_letter)
                || text[after..].chars().next().is_some_and(|letter| is_letter(letter) || letter == '-');
            if self.is_whole && touches {
                continue;
            }
            clean.push_str(&text[end..at]);
            clean.push_str(self.by);
            end = after;
        }
        clean.push_str(&text[end..]);
        clean
    }
}

/// Without keys in PEM form; one that is cut off goes with all that is behind it.
fn without_keys(text: &str) -> String {
    const BEGIN: &str = "-----BEGIN ";
    const END: &str = "-----END ";
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, key)) = rest.split_once(BEGIN) {
        clean.push_str(before);
        clean.push_str("<key>");
        let behind = key.split_once(END).map_or("", |(_, behind)| behind);
        rest = behind.split_once("-----").map_or("", |(_, behind)| behind);
    }
    clean + rest
}

/// Without signed tokens, what stands behind `Bearer`, and e-mail addresses.
fn without_shapes(text: &str) -> String {
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || "._%+-@".contains(letter);
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    let mut is_announced = false;
    while !rest.is_empty() {
        let length = rest.find(|letter| !is_part(letter)).unwrap_or(rest.len());
        let (word, behind) = rest.split_at(length);
        match word.find("eyJ").filter(|at| word.len() - at >= SHORTEST_TOKEN) {
            _ if word.is_empty() => {}
            _ if is_announced => clean.push_str("<token>"),
            Some(at) => {
                clean.push_str(&word[..at]);
                clean.push_str("<token>");
            }
            None if is_address(word) => clean.push_str("<e-mail>"),
            None => clean.push_str(word),
        }
        is_announced = (word.is_empty() && is_announced) || word.eq_ignore_ascii_case("bearer");
        let next = behind.find(is_part).unwrap_or(behind.len());
        // a token follows its announcement after a blank, or not at all
        is_announced &= behind[..next].chars().all(char::is_whitespace);
        clean.push_str(&behind[..next]);
        rest = &behind[next..];
    }
    clean
}

/// `ada@example.org`, but not a unit of systemd (`clmsfs@srv-clms.service`).
fn is_address(word: &str) -> bool {
    let word = word.trim_end_matches('.');
    let Some((name, host)) = word.split_once('@') else { return false };
    let Some((domain, top)) = host.rsplit_once('.') else { return false };
    let is_unit = matches!(top, "service" | "mount" | "automount" | "socket" | "timer" | "slice" | "scope");
    !name.is_empty() && !domain.is_empty() && top.len() >= 2 && !is_unit
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_user_is_nowhere_to_be_read() {
        let mut redactor = Redactor::default();
        // SAFETY: takes nothing, always succeeds.
        let number = unsafe { libc::getuid() };
        let passwd = format!("eve:x:4711:1::/home/eve:\nada:x:{number}:1000:Ada:/users/ada:/bin/sh\n");
        let environment = |name: &str| match name {
            "HOME" => Some("/home/ada/".to_owned()),
            "SUDO_USER" => Some("alan".to_owned()),
            _ => None,
        };
        redactor.hide_user(environment, &passwd);
        let text =
            "/home/ada/clms, '/users/ada', ada:alan and Adam, /home/adam, ada_2, /home/eve, ada-lovelace";
        assert_eq!(
            redactor.clean(text),
            "~/clms, '~', <user>:<user> and Adam, /home/adam, ada_2, /home/eve, ada-lovelace"
        );
    }

    #[test]
    fn names_that_tell_nothing_stay() {
        let mut redactor = Redactor::default();
        for name in ["root", "clmsfs", "", "me"] {
            redactor.hide_name(name, "<user>");
        }
        let text = "root clmsfs fuse.clmsfs me";
        assert_eq!(redactor.clean(text), text);
    }

    #[test]
    fn nothing_of_a_key_file_is_left() {
        let mut redactor = Redactor::default();
        let line = "MIIEowIBAAKCAQEAx0123456789abcdefghijklmnop";
        let key = serde_json::json!({
            "client_id": "0c9d2f", "user_id": "n00ada", "title": "my laptop", "token_uri": "https://land.copernicus.eu/@@oauth2-token",
            "private_key": format!("-----BEGIN RSA PRIVATE KEY-----\n{line}\n-----END RSA PRIVATE KEY-----\n"),
        });
        redactor.hide_key(&key.to_string());
        let cleaned = redactor.clean(&format!("{key}\nx{line}x iss=0c9d2f sub=\"n00ada\" (my laptop)"));
        for secret in [line, "0c9d2f", "n00ada", "my laptop", "BEGIN"] {
            assert!(!cleaned.contains(secret), "{cleaned}");
        }
        assert!(cleaned.contains("@@oauth2-token"), "{cleaned}");
    }

    #[test]
    fn shapes_are_taken_out_whoever_they_belong_to() {
        let clean = |text: &str| Redactor::default().clean(text);
        let token = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJ4In0.c2ln_-x";
        assert_eq!(clean(&format!("assertion={token}&x")), "assertion=<token>&x");
        assert_eq!(clean(&format!("(Authorization: Bearer {token})")), "(Authorization: Bearer <token>)");
        assert_eq!(clean("authorization: bearer  abc.def, ok"), "authorization: bearer  <token>, ok");
        assert_eq!(clean("the bearer: abc"), "the bearer: abc");
        assert_eq!(clean("eyJshort"), "eyJshort");
        assert_eq!(clean("ask ada.l+x@mail.example.org."), "ask <e-mail>");
        assert_eq!(
            clean("unit clmsfs@srv-clms.service a@b @datarequest_post"),
            "unit clmsfs@srv-clms.service a@b @datarequest_post"
        );
        assert_eq!(clean("a -----BEGIN X KEY-----\nMIIE\n-----END X KEY----- b"), "a <key> b");
        assert_eq!(clean("a -----BEGIN X KEY-----\nMIIE"), "a <key>");
    }

    proptest! {
        #[test]
        fn a_secret_is_found_wherever_it_stands(before in any::<String>(), after in any::<String>()) {
            let mut redactor = Redactor::default();
            let line = "MIIEowIBAAKCAQEAx0123456789abcdefghijklmnop";
            redactor.hide(line, "<key>", false);
            let token = "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.e30.x";
            let cleaned = redactor.clean(&format!("{before}{line}{after} {token} {before}{token}{after}"));
            prop_assert!(!cleaned.contains(line) && !cleaned.contains("eyJ0eXAi"), "{cleaned}");
        }

        #[test]
        fn what_holds_no_secret_stays(text in "[ -?A-Za-z\n]*") {
            prop_assume!(!text.contains("-----") && !text.contains("eyJ") && !text.to_lowercase().contains("bearer"));
            prop_assert_eq!(Redactor::default().clean(&text), text);
        }
    }
}
