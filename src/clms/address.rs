//! Where requests may go: the API's address, the next page, and which download links are trusted.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use reqwest::Url;
use url::Host;

use super::error::ClmsError;

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
    pub(super) fn is_loopback(&self) -> bool {
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
    /// (`/api`, `/++api++`, none at all), so everything before `@search` is ours.
    pub(super) fn next_page(&self, next: &str) -> Option<Url> {
        let stated = self.base.join(next).ok()?;
        let is_search = |segment: &str| segment == "@search" || segment.eq_ignore_ascii_case("%40search");
        stated.path_segments()?.find(|segment| is_search(segment))?;
        let query = stated.query()?;
        let mut url = self.service("@search", &[]);
        url.set_query(Some(query));
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

fn is_local_name(name: &str) -> bool {
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
    // Only 2000::/3 is handed out to the public internet; 2001:db8::/32 is for documentation.
    segments[0] & 0xe000 == 0x2000 && !(segments[0] == 0x2001 && segments[1] == 0xdb8)
}

fn embedded_v4(high: u16, low: u16) -> Ipv4Addr {
    Ipv4Addr::from((u32::from(high) << 16) | u32::from(low))
}

/// The rule for download links and each of their redirects.
///
/// Links must be `https` to a public address, unless the API itself is on this machine (a simulator).
///
/// # Errors
/// [`ClmsError::UnsafeLink`] with the rule that is broken.
pub(super) fn check_download_url(api_is_loopback: bool, url: &Url) -> Result<(), ClmsError> {
    let refuse = |reason: String| Err(ClmsError::UnsafeLink { reason });
    if !matches!(url.scheme(), "http" | "https") {
        return refuse(format!("'{}' is not a web address", url.scheme()));
    }
    // A user in the link would be sent as an Authorization header.
    if !url.username().is_empty() || url.password().is_some() {
        return refuse("it holds a user or password".to_owned());
    }
    if api_is_loopback {
        return Ok(());
    }
    if url.scheme() != "https" {
        return refuse(format!("{} is not encrypted", url.host_str().unwrap_or_default()));
    }
    let public = match url.host() {
        Some(Host::Domain(name)) => !is_local_name(name),
        Some(Host::Ipv4(ip)) => is_public_v4(ip),
        Some(Host::Ipv6(ip)) => is_public_v6(ip),
        None => false,
    };
    if public {
        Ok(())
    } else {
        refuse(format!("{} is an inner address", url.host_str().unwrap_or_default()))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn api(text: &str) -> ApiAddress {
        ApiAddress::new(Url::parse(text).unwrap()).unwrap()
    }

    #[test]
    fn the_next_page_is_always_at_our_address() {
        let api = api("https://land.copernicus.eu/api");
        for next in [
            "http://127.0.0.1:18080/@search?b_start=25&portal_type=DataSet",
            "https://land.copernicus.eu/api/@search?b_start=25&portal_type=DataSet",
            "http://evil.example/api/@search/?b_start=25&portal_type=DataSet",
            "https://land.copernicus.eu/++api++/en/%40search?b_start=25&portal_type=DataSet",
            "/Plone/@search?b_start=25&portal_type=DataSet",
            "//evil.example/@search?b_start=25&portal_type=DataSet",
        ] {
            let page = api.next_page(next).unwrap();
            assert_eq!(
                page.as_str(),
                "https://land.copernicus.eu/api/@search?b_start=25&portal_type=DataSet",
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
        let check = |here: bool, text: &str| check_download_url(here, &Url::parse(text).unwrap()).is_ok();
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
}
