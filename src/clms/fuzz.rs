//! Ways for [`crate::fuzzing`] into what reads the service's answers.

use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

use super::address::{ApiAddress, LinkRules};
use super::catalogue::{Page, Round};
use super::coding::{Coding, gunzip};
use super::dataset::DatasetRecord;
use super::download::{ContentRange, content_length};
use super::ids::TaskId;
use super::key::ServiceKey;
use super::order::order_outcome;
use super::task::{Task, tasks_from_json};
use super::{clock, wire};

fn api() -> ApiAddress {
    let address = "https://land.copernicus.eu/api".parse().expect("an address");
    ApiAddress::new(address).expect("the service's own address")
}

/// The records of one page of the search.
pub(crate) fn page(answer: Value) -> Vec<DatasetRecord> {
    let Some(page) = Page::read(answer) else { return Vec::new() };
    if let Some(next) = page.next.as_deref().and_then(|next| api().next_page(next)) {
        assert!(api().is_origin_of(&next), "the next page is at our address, not at {next}");
    }
    Round::default().take(page.items, &mut std::collections::HashSet::new())
}

/// The tasks of the account.
pub(crate) fn tasks(answer: &Value) -> Vec<(TaskId, Task)> {
    let base: Url = "https://land.copernicus.eu/".parse().expect("an address");
    let alone = Task::read(answer, Some(&base)).map(|task| (TaskId::parse("1").expect("an id"), task));
    let listed = tasks_from_json(answer, Some(&base)).map_or(Vec::new(), |(tasks, _)| tasks);
    alone.into_iter().chain(listed).collect()
}

/// The answer to an order, with a status.
pub(crate) fn order(status: u16, answer: &Value) {
    let _ = order_outcome(status, answer);
}

/// A key file. Refusals never repeat any of it.
pub(crate) fn key(content: &[u8]) {
    let _ = ServiceKey::parse(content);
}

/// Headers, one a line, as the service and the download host send them; what follows an empty line is the body.
pub(crate) fn headers(bytes: &[u8]) {
    let split = bytes.windows(2).position(|pair| pair == b"\n\n");
    let (head, body) = split.map_or((bytes, &b""[..]), |at| (&bytes[..at], &bytes[at + 2..]));
    let mut headers = HeaderMap::new();
    for line in head.split(|byte| *byte == b'\n') {
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let (name, value) = (&line[..colon], line.get(colon + 1..).unwrap_or_default());
        let parsed = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value.trim_ascii()));
        if let (Ok(name), Ok(value)) = parsed {
            headers.insert(name, value);
        }
    }
    let now = "2026-11-25T00:00:00Z".parse().expect("a time");
    let wait = clock::retry_after(&headers, now);
    assert!(wait.is_none_or(|wait| wait.as_secs() <= 3600), "{wait:?} is longer than anybody waits");
    clock::ServiceClock::new().measure(&headers, now);
    let _ = (ContentRange::read(&headers), content_length(&headers));
    if Coding::of(&headers) == Coding::Gzip
        && let Ok(content) = gunzip(body, 1 << 20)
    {
        assert!(content.len() <= 1 << 20);
    }
    let rules = LinkRules::new(&api(), &["*".to_owned()]);
    for text in headers.values().filter_map(|value| value.to_str().ok()) {
        let _ = wire::parse_moment(text);
        if let Ok(url) = text.parse::<Url>()
            && rules.check(&url).is_ok()
        {
            assert!(
                url.scheme() == "https" && url.username().is_empty() && url.password().is_none(),
                "{url}"
            );
        }
    }
}
