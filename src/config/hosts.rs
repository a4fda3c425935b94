//! Hosts from which packages may be downloaded.

use std::fmt;
use std::str::FromStr;

/// Names of hosts: `files.example.org` is that one, `*.example.org` all below it, `*` any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostList(Vec<String>);

impl HostList {
    /// The names, in small letters.
    pub fn patterns(&self) -> &[String] {
        &self.0
    }
}

impl fmt::Display for HostList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(","))
    }
}

impl FromStr for HostList {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names: Vec<String> = text
            .split(',')
            .map(|name| name.trim().to_ascii_lowercase())
            .filter(|name| !name.is_empty())
            .collect();
        if names.is_empty() {
            return Err("no host; write for example *.europa.eu,*.copernicus.eu".to_owned());
        }
        let is_name = |name: &str| {
            let labels = |name: &str| {
                name.split('.').all(|label| {
                    !label.is_empty()
                        && label.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '-')
                })
            };
            name == "*" || labels(name.strip_prefix("*.").unwrap_or(name))
        };
        match names.iter().find(|name| !is_name(name)) {
            Some(name) => Err(format!(
                "'{name}' is no host; write names like files.example.org or *.example.org, without https:// and without a path"
            )),
            None => Ok(Self(names)),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn names_and_wildcards_are_hosts_and_addresses_of_pages_are_not() {
        let list: HostList = " *.Europa.eu , files.example.org ".parse().unwrap();
        assert_eq!(list.to_string(), "*.europa.eu,files.example.org");
        assert_eq!("*".parse::<HostList>().unwrap().patterns(), ["*"]);
        for wrong in
            ["", ",", "https://example.org", "example.org/x", "ex*mple.org", "*.", "a..b", "*.*.eu", "a b"]
        {
            assert!(wrong.parse::<HostList>().is_err(), "{wrong}");
        }
    }
}
