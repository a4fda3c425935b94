//! What the real server code answered, word for word: a small part in `tests/fixtures/clms`, all of it where
//! the recordings are at hand.

use std::path::PathBuf;

use super::*;
use crate::clms::order::order_outcome;
use crate::clms::task::tasks_from_json;
use crate::clms::{DatasetRecord, OrderOutcome, Task, TaskOutcome};

struct Exchange {
    label: String,
    method: String,
    path: String,
    status: u16,
    body: String,
}

fn exchanges(text: &str) -> Vec<Exchange> {
    text.lines()
        .map(|line| {
            let line: Value = serde_json::from_str(line).unwrap();
            let text =
                |pointer: &str| line.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
            Exchange {
                label: text("/label"),
                method: text("/request/method"),
                path: text("/request/path"),
                status: line.pointer("/response/status").and_then(Value::as_u64).unwrap() as u16,
                body: text("/response/body"),
            }
        })
        .collect()
}

#[derive(Debug, Default, PartialEq)]
struct Counts {
    datasets: usize,
    files: usize,
    tasks: usize,
    finished: usize,
    accepted: usize,
    duplicates: usize,
    refused: usize,
}

/// Reads every answer as the client would and counts what it understood.
fn read(exchanges: &[Exchange]) -> Counts {
    let mut counts = Counts::default();
    for exchange in exchanges {
        let Ok(body) = serde_json::from_str::<Value>(&exchange.body) else { continue };
        let service = exchange
            .path
            .split('?')
            .next()
            .unwrap()
            .rsplit('/')
            .find(|part| !part.is_empty())
            .unwrap_or_default();
        match (exchange.method.as_str(), service, exchange.status) {
            ("GET", "@search" | "%40search", 200) => {
                for item in body["items"].as_array().unwrap() {
                    if let Ok(record) = DatasetRecord::from_json(item.clone()) {
                        counts.datasets += 1;
                        counts.files += record.files.iter().filter(|file| file.id.is_some()).count();
                    } else {
                        assert!(item.get("UID").is_none(), "{}", exchange.label);
                    }
                }
            }
            ("GET", "@datarequest_status_get", 200) => {
                let task = Task::from_json(&body).unwrap();
                assert!(task.registered.is_some(), "{}", exchange.label);
                counts.tasks += 1;
            }
            ("GET", "@datarequest_search", 200) => {
                let (tasks, odd) = tasks_from_json(&body, None).unwrap();
                assert_eq!(odd, 0, "{}", exchange.label);
                for (_, task) in tasks {
                    counts.tasks += 1;
                    counts.finished += usize::from(matches!(task.outcome(), TaskOutcome::Finished { .. }));
                    assert!(
                        !matches!(task.status, crate::clms::TaskStatus::Unknown(_)),
                        "{}",
                        exchange.label
                    );
                }
            }
            ("POST", "@datarequest_post", status) => match order_outcome(status, &body) {
                Some(OrderOutcome::Accepted(_) | OrderOutcome::AcceptedWithoutId) => {
                    assert_eq!(status, 201);
                    counts.accepted += 1;
                }
                Some(OrderOutcome::Duplicate) => counts.duplicates += 1,
                Some(OrderOutcome::Refused { .. }) => counts.refused += 1,
                None => assert_ne!(status, 201, "{}", exchange.label),
            },
            _ => {}
        }
    }
    counts
}

#[test]
fn the_recorded_exchanges_are_understood() {
    let fixture = exchanges(include_str!("../../../tests/fixtures/clms/exchanges.jsonl"));
    let counts = read(&fixture);
    assert!(counts.datasets >= 3 && counts.files >= 4, "{counts:?}");
    assert!(counts.tasks > 12 && counts.finished >= 1, "{counts:?}");
    assert!(counts.accepted >= 4 && counts.duplicates >= 1 && counts.refused >= 1, "{counts:?}");
}

#[test]
fn all_transcripts_are_understood() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/transcripts");
    let Ok(entries) = std::fs::read_dir(&folder) else {
        println!("skipped: no recordings in {}", folder.display());
        return;
    };
    let mut all = Vec::new();
    for entry in entries {
        all.extend(exchanges(&std::fs::read_to_string(entry.unwrap().path()).unwrap()));
    }
    let counts = read(&all);
    println!("{} exchanges: {counts:?}", all.len());
    assert!(counts.datasets > 50 && counts.tasks > 200, "{counts:?}");
    // Counted without our types: every 201 was an acceptance, every such sentence a refusal.
    let orders = || all.iter().filter(|one| one.method == "POST" && one.path.contains("@datarequest_post"));
    assert_eq!(counts.accepted, orders().filter(|one| one.status == 201).count());
    assert_eq!(counts.duplicates, orders().filter(|one| one.body.contains("at least twice")).count());
    assert_eq!(counts.refused, orders().filter(|one| one.body.contains("all requests failed")).count());
}
