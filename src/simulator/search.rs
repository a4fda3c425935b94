//! `@search`: which datasets match, which of them are on the page, and the links between pages.

use serde_json::{Map, Value, json};

use super::{
    query,
    world::{self, Dataset, World},
};

const DEFAULT_SIZE: i64 = 25;

/// A search that makes the real code fall over: message and type of the 500.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Crash(pub(crate) String, pub(crate) &'static str);

/// Answers a search. `url` is the endpoint's address without the query, `base` the address of the site.
pub(crate) fn answer(world: &World, url: &str, base: &str, raw_query: &str) -> Result<Value, Crash> {
    let pairs = query::parse(raw_query);
    let page = Page::read(&pairs)?;
    let found = found(world, &pairs);
    let mut answer = Map::new();
    answer.insert("@id".to_owned(), json!(canonical(url, &pairs)));
    if let Some(links) = page.links(found.len(), url, raw_query, &pairs) {
        answer.insert("batching".to_owned(), links);
    }
    let whole = pairs.iter().any(|(name, _)| name == "fullobjects");
    let fields: Vec<String> = query::all(&pairs, "metadata_fields").map(str::to_owned).collect();
    let items: Vec<Value> = found[page.range(found.len())]
        .iter()
        .map(|index| {
            let dataset = world.dataset(*index);
            if whole { world::full(world, &dataset, base) } else { world::summary(&dataset, base, &fields) }
        })
        .collect();
    answer.insert("items".to_owned(), json!(items));
    answer.insert("items_total".to_owned(), json!(found.len()));
    Ok(Value::Object(answer))
}

/// Positions of the visible datasets that match, in the order asked for.
fn found(world: &World, pairs: &[(String, String)]) -> Vec<usize> {
    let words: Vec<String> = query::last(pairs, "SearchableText")
        .map(|text| text.to_lowercase())
        .as_deref()
        .map(tokens)
        .unwrap_or_default();
    let types: Vec<&str> = query::all(pairs, "portal_type").collect();
    if !types.is_empty() && !types.contains(&"DataSet") {
        return Vec::new();
    }
    let uids: Vec<&str> = query::all(pairs, "UID").collect();
    let ids: Vec<&str> = query::all(pairs, "id").chain(query::all(pairs, "getId")).collect();
    let mut found: Vec<usize> = (0..world.len())
        .filter(|index| {
            let dataset = world.heading(*index);
            !dataset.private
                && (uids.is_empty() || uids.contains(&dataset.uid.as_str()))
                && (ids.is_empty() || ids.contains(&world::last_part(&dataset.path)))
                && has_words(&dataset, &words)
        })
        .collect();
    sort(world, pairs, &mut found);
    found
}

fn sort(world: &World, pairs: &[(String, String)], found: &mut [usize]) {
    let field = |index: &usize, name: &str| {
        world.dataset(*index).fields.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    match query::last(pairs, "sort_on") {
        Some("sortable_title" | "Title" | "title") => {
            found.sort_by_cached_key(|index| world.heading(*index).title.to_lowercase());
        }
        Some("id" | "getId") => found.sort_by_cached_key(|index| world.heading(*index).path.clone()),
        Some(name @ ("created" | "modified" | "effective")) => {
            found.sort_by_cached_key(|index| field(index, name))
        }
        _ => return,
    }
    if matches!(query::last(pairs, "sort_order"), Some("descending" | "reverse")) {
        found.reverse();
    }
}

/// All words must occur; one that ends in `*` is a beginning.
fn has_words(dataset: &Dataset, words: &[String]) -> bool {
    if words.is_empty() {
        return true;
    }
    let text = format!("{} {} {}", dataset.title, dataset.description, world::last_part(&dataset.path))
        .to_lowercase();
    let known = tokens(&text);
    words.iter().all(|word| match word.strip_suffix('*') {
        Some(beginning) => known.iter().any(|token| token.starts_with(beginning)),
        None => known.contains(word),
    })
}

fn tokens(text: &str) -> Vec<String> {
    text.split(|character: char| !character.is_alphanumeric() && character != '*')
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

/// The endpoint's address with the query, without what batches or sorts.
fn canonical(url: &str, pairs: &[(String, String)]) -> String {
    const DROPPED: [&str; 5] = ["b_size", "b_start", "sort_on", "sort_order", "sort_limit"];
    let kept = pairs.iter().filter(|(name, value)| !DROPPED.contains(&name.as_str()) && !value.is_empty());
    let query = query::encode(kept.map(|(name, value)| (name.as_str(), value.as_str())));
    if query.is_empty() { url.to_owned() } else { format!("{url}?{query}") }
}

/// Which part of the results is wanted.
#[derive(Debug, Clone, Copy)]
struct Page {
    start: usize,
    size: usize,
}

impl Page {
    fn read(pairs: &[(String, String)]) -> Result<Self, Crash> {
        let start = number(pairs, "b_start", 0)?;
        let size = number(pairs, "b_size", DEFAULT_SIZE)?;
        if size < 0 {
            let message = "Having an orphan size higher than batch size is undefined";
            return Err(Crash(message.to_owned(), "AssertionError"));
        }
        Ok(Self { start: usize::try_from(start).unwrap_or(0), size: usize::try_from(size).unwrap_or(0) })
    }

    fn range(self, total: usize) -> std::ops::Range<usize> {
        let start = self.start.min(total);
        start..start.saturating_add(self.size).min(total)
    }

    /// `None` when everything fits on one page; the numbers follow plone.batching.
    fn links(self, total: usize, url: &str, raw_query: &str, pairs: &[(String, String)]) -> Option<Value> {
        if total <= self.size {
            return None;
        }
        let link = |start: usize| {
            let start = start.to_string();
            let rest = pairs.iter().filter(|(name, _)| name != "b_start");
            let rest = rest.map(|(name, value)| (name.as_str(), value.as_str()));
            format!("{url}?{}", query::encode([("b_start", start.as_str())].into_iter().chain(rest)))
        };
        // A size of nothing still steps by the default size.
        let step = if self.size == 0 { DEFAULT_SIZE as usize } else { self.size };
        let first = self.start.min(total);
        let here = if raw_query.is_empty() { url.to_owned() } else { format!("{url}?{raw_query}") };
        let mut links = json!({
            "@id": here, "first": link(0), "last": link((total.div_ceil(step) - 1) * self.size),
        });
        if first.saturating_add(step) < total {
            links["next"] = json!(link(first + step));
        }
        if first > 0 {
            links["prev"] = json!(link(first.saturating_sub(step)));
        }
        Some(links)
    }
}

fn number(pairs: &[(String, String)], name: &str, default: i64) -> Result<i64, Crash> {
    query::last(pairs, name).map_or(Ok(default), |text| {
        text.trim()
            .parse()
            .map_err(|_| Crash(format!("invalid literal for int() with base 10: '{text}'"), "ValueError"))
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::simulator::scenario::Generate;

    fn search(datasets: u32, raw_query: &str) -> Value {
        let world = World::synthetic(Generate { datasets, products: 1 });
        answer(&world, "http://h/api/@search", "http://h/api", raw_query).unwrap()
    }

    fn links(datasets: u32, raw_query: &str) -> Vec<(String, String)> {
        let answer = search(datasets, raw_query);
        let batching = answer["batching"].as_object().cloned().unwrap_or_default();
        ["first", "prev", "next", "last"]
            .into_iter()
            .filter_map(|name| {
                let start =
                    batching.get(name)?.as_str()?.split("b_start=").nth(1)?.split('&').next()?.to_owned();
                Some((name.to_owned(), start))
            })
            .collect()
    }

    fn expect(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter().map(|(name, start)| ((*name).to_owned(), (*start).to_owned())).collect()
    }

    #[test]
    fn the_links_of_the_recordings() {
        assert_eq!(links(32, "x=1"), expect(&[("first", "0"), ("next", "25"), ("last", "25")]));
        assert_eq!(links(32, "b_start=25"), expect(&[("first", "0"), ("prev", "0"), ("last", "25")]));
        assert_eq!(links(32, "b_start=100"), expect(&[("first", "0"), ("prev", "7"), ("last", "25")]));
        assert_eq!(links(32, "b_size=0"), expect(&[("first", "0"), ("next", "25"), ("last", "0")]));
        assert_eq!(
            links(32, "b_size=10&b_start=10"),
            expect(&[("first", "0"), ("prev", "0"), ("next", "20"), ("last", "30")])
        );
        assert_eq!(links(25, ""), []);
    }

    #[test]
    fn following_next_visits_every_dataset_once() {
        let mut seen = Vec::new();
        let mut query = "portal_type=DataSet&b_size=7".to_owned();
        loop {
            let answer = search(33, &query);
            seen.extend(answer["items"].as_array().unwrap().iter().map(|item| item["title"].to_string()));
            match answer["batching"]["next"].as_str() {
                Some(next) => query = next.split_once('?').unwrap().1.to_owned(),
                None => break,
            }
        }
        assert_eq!(seen.len(), 33);
        seen.dedup();
        assert_eq!(seen.len(), 33);
    }

    #[test]
    fn oddities() {
        let world = World::synthetic(Generate { datasets: 1, products: 1 });
        let crash = |query: &str| answer(&world, "u", "b", query).unwrap_err().1;
        assert_eq!(crash("b_size=-1"), "AssertionError");
        assert_eq!(crash("b_size=abc"), "ValueError");
        assert_eq!(search(3, "portal_type=Nope")["items_total"], 0);
        assert_eq!(search(30, "SearchableText=dataset+0001*")["items_total"], 10);
        assert!(search(3, "fullobjects=0")["items"][0].get("parent").is_some());
        assert_eq!(search(2, "sort_on=id&b_size=1")["@id"], "http://h/api/@search");
    }
}
