//! From a request's path to what is meant by it.

use crate::simulator::scenario::Endpoint;

/// How the site is addressed: this decides the addresses in answers and whether `Accept` matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Prefix {
    /// `/...`
    Root,
    /// `/api/...`
    Api,
    /// `/++api++/...`: addresses without the prefix, any `Accept`.
    Traversal,
}

/// A path, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) prefix: Prefix,
    /// Path below the prefix, without slashes at its ends; `%40` decoded, double slashes single.
    pub(crate) path: String,
    /// Ended in a slash, which answers repeat.
    pub(crate) slash: bool,
}

/// The file host's folders, both seen in answers.
const RESULTS: [&str; 2] = ["clmsdatadownload/results/", "fmedatadownload/results/"];

impl Route {
    pub(crate) fn of(raw_path: &str) -> Self {
        let decoded = decode(raw_path);
        let mut parts: Vec<&str> = decoded.split('/').filter(|part| !part.is_empty()).collect();
        let prefix = match parts.first() {
            Some(&"api") => Prefix::Api,
            Some(&"++api++") => Prefix::Traversal,
            _ => Prefix::Root,
        };
        if prefix != Prefix::Root {
            parts.remove(0);
        }
        Self { prefix, path: parts.join("/"), slash: raw_path.ends_with('/') && !parts.is_empty() }
    }

    /// Address of the site as this caller sees it.
    pub(crate) fn base(&self, host: &str) -> String {
        match self.prefix {
            Prefix::Api => format!("http://{host}/api"),
            Prefix::Root | Prefix::Traversal => format!("http://{host}"),
        }
    }

    /// Address of what was called, without the query.
    pub(crate) fn url(&self, host: &str) -> String {
        let slash = if self.slash { "/" } else { "" };
        let base = self.base(host);
        if self.path.is_empty() { base } else { format!("{base}/{}{slash}", self.path) }
    }

    /// Number of the file, on the file host.
    pub(crate) fn download(&self) -> Option<u32> {
        let name = RESULTS.iter().find_map(|folder| self.path.strip_prefix(folder))?;
        name.strip_suffix(".zip")?.parse().ok()
    }

    pub(crate) fn is_token(&self) -> bool {
        matches!(self.path.as_str(), "@@oauth2-token" | "oauth2-token")
    }

    /// The kind of request, for counters and fault rules.
    pub(crate) fn endpoint(&self) -> Endpoint {
        match self.path.as_str() {
            _ if self.is_token() => Endpoint::Token,
            "@search" => Endpoint::Search,
            "@datarequest_post" => Endpoint::Post,
            "@datarequest_status_get" => Endpoint::Status,
            "@datarequest_search" => Endpoint::Tasks,
            "@datarequest_delete" => Endpoint::Delete,
            path if path.starts_with("en/") => Endpoint::Search,
            _ if RESULTS.iter().any(|folder| self.path.starts_with(folder)) => Endpoint::Download,
            _ => Endpoint::Other,
        }
    }
}

fn decode(path: &str) -> String {
    let bytes = path.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let code = (bytes[at] == b'%').then(|| path.get(at + 1..at + 3)).flatten();
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(byte) => {
                decoded.push(byte);
                at += 3;
            }
            None => {
                decoded.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn many_spellings_of_one_endpoint() {
        for path in [
            "/api/@search",
            "/api//@search",
            "/api/%40search",
            "/@search",
            "/++api++/@search",
            "/api/@search/",
        ] {
            assert_eq!(Route::of(path).endpoint(), Endpoint::Search, "{path}");
        }
        for path in ["/@@oauth2-token", "/api/@@oauth2-token/", "/++api++/@@oauth2-token", "/oauth2-token"] {
            assert_eq!(Route::of(path).endpoint(), Endpoint::Token, "{path}");
        }
    }

    #[test]
    fn addresses_repeat_the_prefix_and_the_slash() {
        assert_eq!(Route::of("/api//%40search/").url("h:1"), "http://h:1/api/@search/");
        assert_eq!(Route::of("/++api++/@search").url("h:1"), "http://h:1/@search");
        assert_eq!(Route::of("/api").url("h:1"), "http://h:1/api");
        assert_eq!(Route::of("/api").endpoint(), Endpoint::Other);
        assert_eq!(Route::of("/clmsdatadownload/results/42078.zip").download(), Some(42078));
        assert_eq!(Route::of("/clmsdatadownload/results/x.zip").download(), None);
    }
}
