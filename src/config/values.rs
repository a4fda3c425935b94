//! Text ↔ value for each kind of option; the messages say what would be right.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use url::{Host, Url};

use super::hosts::HostList;
use super::size::ByteSize;
use super::span::Span;

/// Memory below which a conversion has no room for a strip of pixels per thread.
const SMALLEST_INGEST: ByteSize = ByteSize(512_000_000);
/// What one small product and its staging need; a smaller budget can serve nothing.
const SMALLEST_CACHE: ByteSize = ByteSize(1_000_000);
/// The service deletes packages after this time (CLMS-API: "expires after 72 hours").
const LINK_LIFETIME: Span = Span::seconds(72 * 3600);

pub(super) fn parse<T: FromStr>(text: &str) -> Result<T, String>
where
    T::Err: Display,
{
    text.trim().parse().map_err(|error: T::Err| error.to_string())
}

pub(super) fn optional<T: FromStr>(text: &str) -> Result<Option<T>, String>
where
    T::Err: Display,
{
    if text.trim() == "none" { Ok(None) } else { parse(text).map(Some) }
}

pub(super) fn show<T: Display>(value: &T) -> String {
    value.to_string()
}

pub(super) fn show_optional<T: Display>(value: &Option<T>) -> String {
    value.as_ref().map_or_else(|| "none".to_owned(), T::to_string)
}

pub(super) fn show_path(value: &Path) -> String {
    value.display().to_string()
}

pub(super) fn show_optional_path(value: &Option<PathBuf>) -> String {
    value.as_deref().map_or_else(|| "none".to_owned(), show_path)
}

pub(super) fn boolean(text: &str) -> Result<bool, String> {
    match text.trim() {
        "true" | "yes" | "on" | "1" => Ok(true),
        "false" | "no" | "off" | "0" => Ok(false),
        other => Err(format!("'{other}' is neither 'true' nor 'false'")),
    }
}

/// Number of a user or a group; `mounter` for that of whoever mounts, as [`show_owner`] writes it.
pub(super) fn owner(text: &str) -> Result<Option<u32>, String> {
    match text.trim() {
        "mounter" => Ok(None),
        number => number.parse().map(Some).map_err(|_| {
            format!("'{number}' is not the number of a user or group; see id(1), for example: id -u ada")
        }),
    }
}

pub(super) fn show_owner(value: &Option<u32>) -> String {
    value.map_or_else(|| "mounter".to_owned(), |number| number.to_string())
}

pub(super) fn count(text: &str) -> Result<u32, String> {
    text.trim().parse().map_err(|_| format!("'{text}' is not a whole number from 0 to {}", u32::MAX))
}

/// Never repeats the text: people paste the key itself where its path belongs.
pub(super) fn credentials(text: &str) -> Result<Option<PathBuf>, String> {
    let text = text.trim();
    if text.starts_with('{') || text.contains("PRIVATE KEY") || text.contains('\n') {
        return Err("this looks like the key itself; save it to a file (chmod 600) and give the file's path"
            .to_owned());
    }
    optional_directory(text)
}

pub(super) fn optional_directory(text: &str) -> Result<Option<PathBuf>, String> {
    if text.trim() == "none" { Ok(None) } else { directory(text.trim()).map(Some) }
}

/// A path, made absolute from the working directory: a mount keeps running when its shell has moved on.
pub(super) fn directory(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() {
        return Err("the path is empty".to_owned());
    }
    if text.starts_with("~/") {
        return Err("'~' is expanded by the shell only; write the whole path".to_owned());
    }
    std::path::absolute(text).map_err(|error| format!("the path cannot be made absolute: {error}"))
}

/// https everywhere, http for the simulator on loopback; no password in the address, which is shown in logs.
pub(super) fn api_url(text: &str) -> Result<Url, String> {
    const EXAMPLE: &str = "https://land.copernicus.eu/api";
    let mut url = Url::parse(text.trim())
        .map_err(|error| format!("not an address ({error}); write for example {EXAMPLE}"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(
            "an address with user name or password is not used; put the service key into 'credentials'"
                .to_owned(),
        );
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(format!("an address without '?' and '#' is needed, for example {EXAMPLE}"));
    }
    let loopback = match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => return Err(format!("the address has no host; write for example {EXAMPLE}")),
    };
    match url.scheme() {
        "https" => {}
        "http" if loopback => {}
        "http" => {
            return Err(
                "http would send the token in the clear; use https (http is for loopback only)".to_owned()
            );
        }
        other => return Err(format!("'{other}' is not usable; write for example {EXAMPLE}")),
    }
    // One spelling: joining paths must not depend on a slash at the end.
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    Ok(url)
}

/// Whole names only: a wildcard would let a stranger's name lead a browser here.
pub(super) fn own_names(text: &str) -> Result<Option<HostList>, String> {
    let names: Option<HostList> = optional(text)?;
    match names.iter().flat_map(HostList::patterns).find(|name| name.contains('*')) {
        Some(name) => Err(format!("'{name}' stands for many; write each name, for example clms.example.org")),
        None => Ok(names),
    }
}

pub(super) fn cache_size(text: &str) -> Result<ByteSize, String> {
    at_least(text, SMALLEST_CACHE)
}

pub(super) fn ingest_memory(text: &str) -> Result<ByteSize, String> {
    at_least(text, SMALLEST_INGEST)
}

fn at_least(text: &str, smallest: ByteSize) -> Result<ByteSize, String> {
    let size: ByteSize = parse(text)?;
    if size < smallest {
        Err(format!("{size} is too little; at least {smallest} is needed"))
    } else {
        Ok(size)
    }
}

/// A pause of nothing would turn a loop into a storm on the service; one of days would outlast what it waits for.
pub(super) fn pause(text: &str) -> Result<Span, String> {
    between(text, Span::from_millis(10), Span::seconds(3600))
}

/// Downloads halt for a moment all the time; less than this would break off sound ones.
pub(super) fn stall(text: &str) -> Result<Span, String> {
    between(text, Span::seconds(1), Span::seconds(3600))
}

/// The whole catalogue is read each time: not in a loop.
pub(super) fn catalog_ttl(text: &str) -> Result<Span, String> {
    let span: Span = parse(text)?;
    let least = Span::seconds(10);
    if span < least { Err(format!("{span} is too short; at least {least}")) } else { Ok(span) }
}

fn between(text: &str, least: Span, most: Span) -> Result<Span, String> {
    let span: Span = parse(text)?;
    if span < least {
        Err(format!("{span} is too short; at least {least}"))
    } else if span > most {
        Err(format!("{span} is too long; at most {most}"))
    } else {
        Ok(span)
    }
}

pub(super) fn link_trust(text: &str) -> Result<Span, String> {
    let span: Span = parse(text)?;
    if span > LINK_LIFETIME {
        return Err(format!("{span} is longer than the {LINK_LIFETIME} that the service keeps a package"));
    }
    Ok(span)
}
