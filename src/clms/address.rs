//! Where requests may go: the API's address, the next page, and which download links are trusted.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use reqwest::Url;
use url::Host;

use super::error::ClmsError;
use crate::live::Live;

/// Asks a search for whole records.
pub(super) const FULL: (&str, &str) = ("fullobjects", "1");

/// The base address of the API, such as `https://land.copernicus.eu/api`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiAddress {
    /// Path without a slash at its end, no query, no fragment, no user.
    base: Url,
}

impl ApiAddress {
    /// Checks an address.
    ///
    /// # Errors
    /// [`ClmsError::Setting`] unless it is `https`, or `http` on this very machine (a simulator).
    pub fn new(mut base: Url) -> Result<Self, ClmsError> {
        let refuse = |reason: String| Err(ClmsError::Setting { name: "api-url", reason });
        if base.host_str().is_none() {
            return refuse(format!("'{base}' names no host; give one like https://land.copernicus.eu/api"));
        }
        if !base.username().is_empty() || base.password().is_some() {
            return refuse("it holds a user or password; the service key is all that is needed".to_owned());
        }
        if base.scheme() != "https" && !(base.scheme() == "http" && is_loopback(&base)) {
            return refuse(format!("'{base}' is not encrypted; use https (http is for this machine only)"));
        }
        base.set_query(None);
        base.set_fragment(None);
        let path = base.path().trim_end_matches('/').to_owned();
        base.set_path(&path);
        Ok(Self { base })
    }

    /// The base address.
    pub fn url(&self) -> &Url {
        &self.base
    }

    /// Host name, for messages.
    pub(super) fn host(&self) -> &str {
        self.base.host_str().unwrap_or("the service")
    }

    /// True when the service runs on this machine.
    pub fn is_loopback(&self) -> bool {
        is_loopback(&self.base)
    }

    /// Address of a service such as `@search`, with its query.
    pub(super) fn service(&self, name: &str, query: &[(&str, &str)]) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}/{name}", self.base.path().trim_end_matches('/')));
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    /// True when a URL has the API's scheme, host and port: only there a token may go.
    pub(super) fn is_origin_of(&self, url: &Url) -> bool {
        url.origin() == self.base.origin() && url.username().is_empty() && url.password().is_none()
    }

    /// The next page of a search: the service's path and query, at OUR address.
    ///
    /// Behind its proxy the service writes its inner host and sometimes drops or changes the path's prefix
    /// (`/api`, `/++api++`, none at all), so everything before `@search` is ours. A link that forgets to ask for whole records
    /// would lead to summaries.
    pub(super) fn next_page(&self, next: &str) -> Option<Url> {
        let stated = self.base.join(next).ok()?;
        let is_search = |segment: &str| segment == "@search" || segment.eq_ignore_ascii_case("%40search");
        stated.path_segments()?.find(|segment| is_search(segment))?;
        let query = stated.query()?;
        let mut url = self.service("@search", &[]);
        url.set_query(Some(query));
        if !stated.query_pairs().any(|(name, _)| name == FULL.0) {
            url.query_pairs_mut().append_pair(FULL.0, FULL.1);
        }
        Some(url)
    }
}

/// True for `localhost` and the loopback addresses.
pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => is_local_name(name),
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

pub(super) fn is_local_name(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost")
}

/// True for addresses of the public internet; everything else must not be reached through a link we were given.
pub(super) fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let shared = a == 100 && (64..128).contains(&b);
    let protocol = a == 192 && b == 0 && c == 0;
    let benchmark = a == 198 && (b == 18 || b == 19);
    !(a == 0
        || a >= 240
        || ip.is_private()
        || ip.is_loopback()
        || ip.is_link_local()
        || ip.is_multicast()
        || ip.is_documentation()
        || shared
        || protocol
        || benchmark)
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    if let Some(inner) = ip.to_ipv4_mapped() {
        return is_public_v4(inner);
    }
    let segments = ip.segments();
    // NAT64 and 6to4 carry an IPv4 address that decides.
    if segments[..6] == [0x64, 0xff9b, 0, 0, 0, 0] {
        return is_public_v4(embedded_v4(segments[6], segments[7]));
    }
    if segments[0] == 0x2002 {
        return is_public_v4(embedded_v4(segments[1], segments[2]));
    }
    // Only 2000::/3 is handed out to the public internet. In it, 2001::/23 is for protocols (Teredo carries addresses of
    // inner networks), 2001:db8::/32 and 3fff::/20 are for documentation.
    segments[0] & 0xe000 == 0x2000
        && !(segments[0] == 0x2001 && (segments[1] < 0x200 || segments[1] == 0xdb8))
        && !(segments[0] == 0x3fff && segments[1] < 0x1000)
}

fn embedded_v4(high: u16, low: u16) -> Ipv4Addr {
    Ipv4Addr::from((u32::from(high) << 16) | u32::from(low))
}

/// Where download links, and each of their redirects, may lead.
#[derive(Debug, Clone)]
pub(super) struct LinkRules {
    api_is_loopback: bool,
    api_host: String,
    /// Shared by all clones.
    hosts: Arc<Live<Vec<String>>>,
}

impl LinkRules {
    /// The rules of a service with this address, and with file hosts of these names (`*.` and a name for all below it,
    /// `*` for any).
    pub(super) fn new(api: &ApiAddress, hosts: &[String]) -> Self {
        let hosts = Arc::new(Live::new(hosts.to_vec()));
        Self { api_is_loopback: api.is_loopback(), api_host: api.host().to_owned(), hosts }
    }

    /// Other hosts from now on, for all clones of these rules.
    pub(super) fn set_hosts(&self, hosts: Vec<String>) {
        self.hosts.set(hosts);
    }

    /// True when the service runs on this machine.
    pub(super) fn api_is_loopback(&self) -> bool {
        self.api_is_loopback
    }

    /// Links must be `https` to a public address and to a host of the list. Where the API itself is on this machine (a
    /// simulator), they may also lead to this machine, and then need no encryption.
    ///
    /// # Errors
    /// [`ClmsError::UnsafeLink`] with the rule that is broken.
    pub(super) fn check(&self, url: &Url) -> Result<(), ClmsError> {
        let refuse = |reason: String| Err(ClmsError::UnsafeLink { reason });
        if !matches!(url.scheme(), "http" | "https") {
            return refuse(format!("'{}' is not a web address", url.scheme()));
        }
        // A user in the link would be sent as an Authorization header.
        if !url.username().is_empty() || url.password().is_some() {
            return refuse("it holds a user or password".to_owned());
        }
        if self.api_is_loopback && is_loopback(url) {
            return Ok(());
        }
        let host = url.host_str().unwrap_or_default();
        if url.scheme() != "https" {
            return refuse(format!("{host} is not encrypted"));
        }
        let public = match url.host() {
            Some(Host::Domain(name)) => !is_local_name(name),
            Some(Host::Ipv4(ip)) => is_public_v4(ip),
            Some(Host::Ipv6(ip)) => is_public_v6(ip),
            None => false,
        };
        if !public {
            return refuse(format!("{host} is an inner address"));
        }
        if !self.knows(host) {
            let hosts = self.hosts.get().join(",");
            return refuse(format!(
                "{host} is not among the download_hosts ({hosts}); add it if the service has moved"
            ));
        }
        Ok(())
    }

    fn knows(&self, host: &str) -> bool {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        host == self.api_host.trim_end_matches('.')
            || self.hosts.get().iter().any(|pattern| match pattern.strip_prefix('*') {
                Some("") => true,
                Some(ending) => host.len() > ending.len() && host.ends_with(ending),
                None => host == *pattern,
            })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn api(text: &str) -> ApiAddress {
        ApiAddress::new(Url::parse(text).unwrap()).unwrap()
    }

    /// Whether a link is followed when any host may be one of files.
    fn check(api_is_here: bool, text: &str) -> bool {
        let address = if api_is_here { "http://127.0.0.1:1/api" } else { "https://land.copernicus.eu/api" };
        LinkRules::new(&api(address), &["*".to_owned()]).check(&Url::parse(text).unwrap()).is_ok()
    }

    #[test]
    fn the_next_page_is_always_at_our_address() {
        let api = api("https://land.copernicus.eu/api");
        for next in [
            "http://127.0.0.1:18080/@search?b_start=25&portal_type=DataSet",
            "/@search?b_start=25&portal_type=DataSet&fullobjects=1",
            "https://land.copernicus.eu/api/@search?b_start=25&portal_type=DataSet",
            "http://evil.example/api/@search/?b_start=25&portal_type=DataSet",
            "https://land.copernicus.eu/++api++/en/%40search?b_start=25&portal_type=DataSet",
            "/Plone/@search?b_start=25&portal_type=DataSet",
            "//evil.example/@search?b_start=25&portal_type=DataSet",
        ] {
            let page = api.next_page(next).unwrap();
            assert_eq!(
                page.as_str(),
                "https://land.copernicus.eu/api/@search?b_start=25&portal_type=DataSet&fullobjects=1",
                "{next}"
            );
        }
        for next in ["", "https://land.copernicus.eu/api/@other?b_start=1", "@search", "javascript:alert(1)"]
        {
            assert_eq!(api.next_page(next), None, "{next}");
        }
    }

    #[test]
    fn the_api_is_encrypted_or_here() {
        for good in [
            "https://land.copernicus.eu/api/",
            "http://127.0.0.1:8080/api",
            "http://[::1]:1",
            "http://localhost",
        ] {
            let address = api(good);
            assert!(!address.service("@search", &[]).path().contains("//"), "{good}");
        }
        for bad in [
            "http://land.copernicus.eu/api",
            "https://me:secret@land.copernicus.eu/api",
            "ftp://h/",
            "mailto:x@y",
        ] {
            assert!(ApiAddress::new(Url::parse(bad).unwrap()).is_err(), "{bad}");
        }
    }

    #[test]
    fn links_into_inner_networks_are_not_trusted() {
        assert!(check(false, "https://copernicus-fme.eea.europa.eu/clmsdatadownload/results/4050.zip"));
        for bad in [
            "http://copernicus-fme.eea.europa.eu/results/1.zip",
            "https://127.0.0.1/x.zip",
            "https://localhost./x.zip",
            "https://a.localhost/x.zip",
            "https://10.1.2.3/x.zip",
            "https://169.254.169.254/latest/meta-data",
            "https://100.64.0.1/x",
            "https://0.0.0.0/x",
            "https://[::1]/x",
            "https://[::ffff:10.0.0.1]/x",
            "https://[fd00::1]/x",
            "https://[fe80::1]/x",
            "https://[64:ff9b::a00:1]/x",
            "https://2130706433/x",
            "https://me@example.org/x",
        ] {
            assert!(!check(false, bad), "{bad}");
        }
        assert!(check(true, "http://127.0.0.1:18081/results/1.zip"));
        assert!(!check(true, "file:///etc/passwd"));
    }

    #[test]
    fn no_spelling_of_an_inner_address_is_trusted() {
        let spellings = [
            // 127.0.0.1 and 169.254.169.254 as browsers and curl read them
            "https://0177.0.0.1/x",
            "https://0x7f.1/x",
            "https://0x7f000001/x",
            "https://127.1/x",
            "https://127.0.1/x",
            "https://2852039166/latest/meta-data",
            "https://0xa9fea9fe/x",
            "https://0251.0376.0251.0376/x",
            "https://169.254.169.254./x",
            "https://１２７.０.０.１/x",
            "https://127。0。0。1/x",
            "https://localhost/x",
            "https://LOCALHOST/x",
            "https://foo.localhost./x",
            "https://192.168.1.1/x",
            "https://172.16.0.1/x",
            "https://198.18.0.1/x",
            "https://224.0.0.1/x",
            "https://255.255.255.255/x",
            "https://192.0.0.8/x",
            "https://0/x",
            // the same inside of IPv6
            "https://[::]/x",
            "https://[::ffff:169.254.169.254]/x",
            "https://[::ffff:a9fe:a9fe]/x",
            "https://[::127.0.0.1]/x",
            "https://[64:ff9b::169.254.169.254]/x",
            "https://[64:ff9b:1::1]/x",
            "https://[2002:7f00:1::]/x",
            "https://[2002:a9fe:a9fe::]/x",
            "https://[2001:0:7f00:1::]/x",
            "https://[fec0::1]/x",
            "https://[fd00:ec2::254]/x",
            "https://[ff02::1]/x",
            "https://[2001:db8::1]/x",
            // who is asked stands behind the @
            "https://land.copernicus.eu@127.0.0.1/x",
            "https://land.copernicus.eu:pw@example.org/x",
            "https://land.copernicus.eu%40example.org@10.0.0.1/x",
            "https://@169.254.169.254/x",
            // not the web
            "ftp://example.org/x",
            "file:///etc/passwd",
            "gopher://example.org/x",
            "data:application/zip,PK",
            "unix:///run/clmsfs/x.sock",
            "http://example.org/x",
        ];
        for text in spellings {
            assert!(Url::parse(text).is_err() || !check(false, text), "{text}");
        }
        // A service on this machine may send to this machine and to the internet, not into other networks.
        for (text, allowed) in [
            ("http://127.0.0.1:8080/x", true),
            ("http://localhost:1/x", true),
            ("http://[::1]/x", true),
            ("https://example.org/x", true),
            ("http://example.org/x", false),
            ("http://169.254.169.254/x", false),
            ("https://10.0.0.1/x", false),
            ("http://192.168.1.1/x", false),
            ("http://me@127.0.0.1/x", false),
        ] {
            assert_eq!(check(true, text), allowed, "{text}");
        }
        // Hosts of today and names that only look inner.
        for text in [
            "https://copernicus-fme.eea.europa.eu/x",
            "https://localhost.example.org/x",
            "https://8.8.8.8/x",
            "https://[2a00:1450:4001:80b::200e]/x",
        ] {
            assert!(check(false, text), "{text}");
        }
    }

    #[test]
    fn links_lead_to_hosts_of_the_list_only() {
        let hosts = ["*.europa.eu".to_owned(), "files.example.org".to_owned()];
        let rules = LinkRules::new(&api("https://land.copernicus.eu/api"), &hosts);
        let check = |text: &str| rules.check(&Url::parse(text).unwrap());
        for text in [
            "https://copernicus-fme.eea.europa.eu/clmsdatadownload/results/4050.zip",
            "https://COPERNICUS-FME.EEA.EUROPA.EU./x",
            "https://files.example.org:8443/x",
            "https://land.copernicus.eu/x",
        ] {
            assert!(check(text).is_ok(), "{text}");
        }
        for text in [
            "https://europa.eu.example.org/x",
            "https://evileuropa.eu/x",
            "https://europa.eu/x",
            "https://x.files.example.org/x",
            "https://example.org/x",
            "https://8.8.8.8/x",
            "https://x.europa.eu@example.org/x",
            "https://example.org/.europa.eu",
            "https://example.org#.europa.eu",
            "https://example.org?x.europa.eu",
        ] {
            assert!(check(text).is_err(), "{text}");
        }
        let told = check("https://example.org/x").unwrap_err().to_string();
        assert!(
            told.contains(
                "example.org is not among the download_hosts (*.europa.eu,files.example.org); add it"
            )
        );
        // a reload changes them for whoever has a copy of the rules
        rules.clone().set_hosts(vec!["example.org".to_owned()]);
        assert!(check("https://example.org/x").is_ok() && check("https://files.example.org/x").is_err());
    }
}
