//! A service and a file host with bad manners: what they say is right in the end, but not as it is documented.

use serde_json::{Value, json};

use super::row::{Row, Sees};
use super::rows;
use crate::support::meddler::Answer;

/// Calls `change` for each task in an answer about tasks.
pub(super) fn each_task(answer: &mut Answer, change: fn(&mut Value)) {
    if answer.is_of("@datarequest_status_get") {
        answer.json(change);
    } else if answer.is_of("@datarequest_search") {
        answer.json(|tasks| tasks.as_object_mut().unwrap().values_mut().for_each(change));
    }
}

/// Renames every key of an object, and of those in it.
fn rename(value: &mut Value, name: fn(&str) -> String) {
    match value {
        Value::Array(list) => list.iter_mut().for_each(|inner| rename(inner, name)),
        Value::Object(fields) => {
            *fields = std::mem::take(fields)
                .into_iter()
                .map(|(key, mut inner)| {
                    rename(&mut inner, name);
                    (name(&key), inner)
                })
                .collect();
        }
        _ => {}
    }
}

/// `DownloadURL` as `download_url`.
fn snake(key: &str) -> String {
    let mut name = String::new();
    let mut before = '_';
    for letter in key.chars() {
        if letter.is_uppercase() && !before.is_uppercase() && before != '_' {
            name.push('_');
        }
        name.extend(letter.to_lowercase());
        before = letter;
    }
    name
}

rows! {
    keys_in_another_case: Row {
        fault: "tasks with all keys in lower case",
        meddle: Some(|answer| each_task(answer, |task| rename(task, |key| key.to_lowercase()))),
        requests: 12,
        ..Row::PLAIN
    };
    keys_in_another_spelling: Row {
        fault: "tasks and orders with keys like download_url and task_ids",
        meddle: Some(|answer| {
            each_task(answer, |task| rename(task, snake));
            if answer.is_of("@datarequest_post") {
                answer.json(|order| rename(order, snake));
            }
        }),
        requests: 12,
        ..Row::PLAIN
    };
    ids_in_another_case: Row {
        fault: "tasks that name dataset and file in upper case",
        meddle: Some(|answer| {
            each_task(answer, |task| {
                for id in ["DatasetID", "FileID"] {
                    let upper = task["Datasets"][0][id].as_str().unwrap().to_uppercase();
                    task["Datasets"][0][id] = json!(upper);
                }
            });
        }),
        requests: 12,
        ..Row::PLAIN
    };
    states_in_another_spelling: Row {
        fault: "states like 'FINISHED OK' and 'in-progress'",
        meddle: Some(|answer| {
            answer.replace("Finished_ok", " FINISHED OK ");
            answer.replace("In_progress", "in-progress");
        }),
        requests: 12,
        ..Row::PLAIN
    };
    failures_in_another_spelling: Row {
        fault: "a failure called 'finished nok'",
        scenario: "[[fault]]\nfile = 'broken'\noutcome = 'finished_nok'",
        meddle: Some(|answer| answer.replace("Finished_nok", "finished nok")),
        sees: Sees::Errno(libc::EIO),
        words: &["finished_nok"],
        ..Row::PLAIN
    };
    ids_as_numbers: Row {
        fault: "the task's id is a number",
        meddle: Some(|answer| {
            if answer.is_of("@datarequest_post") {
                answer.json(|order| {
                    let id: u64 = order["TaskIds"][0]["TaskID"].as_str().unwrap().parse().unwrap();
                    order["TaskIds"][0]["TaskID"] = json!(id);
                });
            }
        }),
        requests: 12,
        ..Row::PLAIN
    };
    ids_as_fractions: Row {
        fault: "the task's id is a number with a point: it is looked for",
        meddle: Some(|answer| {
            if answer.is_of("@datarequest_post") {
                answer.json(|order| order["TaskIds"][0]["TaskID"] = json!(1.5));
            }
        }),
        requests: 12,
        ..Row::PLAIN
    };
    times_as_numbers: Row {
        fault: "times as milliseconds since 1970, as in mails, or as nonsense",
        meddle: Some(|answer| {
            each_task(answer, |task| {
                task["RegistrationDateTime"] = json!(1_795_338_319_000_u64);
                if task.get("FinalizationDateTime").is_some() {
                    task["FinalizationDateTime"] = json!("Sun, 22 Nov 2026 09:05:19 GMT");
                }
                task["FMETaskId"] = json!("no number");
                task["FileSize"] = json!({ "value": "12 MB" });
            });
        }),
        requests: 12,
        ..Row::PLAIN
    };
    wrapped_task: Row {
        fault: "the state of a task comes under its id, in a list, or as an item",
        meddle: Some(|answer| {
            if answer.is_of("@datarequest_status_get") {
                let id = answer.target.rsplit('=').next().unwrap_or_default().to_owned();
                let number = answer.number;
                answer.json(|task| {
                    *task = match number % 3 {
                        0 => json!({ (id): task.take() }),
                        1 => json!([task.take()]),
                        _ => json!({ "status": "ok", "item": task.take() }),
                    };
                });
            }
        }),
        requests: 12,
        ..Row::PLAIN
    };
    errors_with_a_status_of_success: Row {
        fault: "errors that come with status 200: three of the search, three of the state",
        meddle: Some(|answer| {
            let asks = answer.is_of("@datarequest_search") || answer.is_of("@datarequest_status_get");
            if asks && answer.number < 3 {
                answer.body = br#"{"status": "error", "msg": "The server is busy, try later"}"#.to_vec();
            }
        }),
        requests: 20,
        ..Row::PLAIN
    };
    errors_with_a_status_of_success_for_good: Row {
        fault: "search of tasks: an error that comes with status 200, for good",
        meddle: Some(|answer| {
            if answer.is_of("@datarequest_search") {
                answer.body = br#"{"status": "error", "msg": "The server is busy, try later"}"#.to_vec();
            }
        }),
        sees: Sees::Errno(libc::EIO),
        words: &["holds no list of tasks"],
        orders: 0,
        requests: 8,
        ..Row::PLAIN
    };
    unknown_for_a_moment: Row {
        fault: "the service does not know the task, for a moment",
        meddle: Some(|answer| {
            if answer.is_of("@datarequest_status_get") && answer.number == 0 {
                answer.status = 404;
                answer.body = br#"{"status": "error", "msg": "Error, the task does not exist"}"#.to_vec();
            }
        }),
        requests: 12,
        ..Row::PLAIN
    };
    firewall_for_a_moment: Row {
        fault: "search of tasks: 403 and a web page, twice",
        scenario: "[[fault]]\nendpoint = 'tasks'\nstatus = 403\ntimes = 2",
        requests: 12,
        ..Row::PLAIN
    };
    json_of_python: Row {
        fault: "JSON with NaN and with Latin-1 letters",
        meddle: Some(|answer| {
            each_task(answer, |task| {
                task["FileSize"] = json!("@number@");
                task["Datasets"][0]["DatasetTitle"] = json!("For@letter@t");
            });
            answer.replace("\"@number@\"", "NaN");
            let text = answer.text();
            if let Some((before, after)) = text.split_once("@letter@") {
                answer.body = [before.as_bytes(), b"\xea", after.as_bytes()].concat();
            }
        }),
        requests: 12,
        ..Row::PLAIN
    };
    coding_that_is_not_used: Row {
        fault: "answers that are said to be compressed (gzip, br), and are not",
        meddle: Some(|answer| {
            let coding = if answer.number % 2 == 0 { "gzip" } else { "br" };
            answer.header("Content-Encoding", coding);
        }),
        requests: 12,
        ..Row::PLAIN
    };
    without_length: Row {
        fault: "every answer in chunks, without a length",
        meddle: Some(|answer| {
            let chunk = format!("{:x}\r\n", answer.body.len()).into_bytes();
            if !answer.body.is_empty() {
                answer.body = [&chunk, &answer.body[..], b"\r\n0\r\n\r\n"].concat();
                answer.header("Transfer-Encoding", "chunked");
            }
        }),
        requests: 12,
        ..Row::PLAIN
    };
    chunks_that_break_off: Row {
        fault: "download in chunks that break off, twice",
        meddle: Some(|answer| {
            if answer.is_package() && answer.number < 2 {
                let half = answer.body.len() / 2;
                let chunk = format!("{half:x}\r\n").into_bytes();
                answer.body = [&chunk, &answer.body[..half], b"\r\n"].concat();
                answer.header("Transfer-Encoding", "chunked");
            }
        }),
        requests: 20,
        ..Row::PLAIN
    };
    longer_than_it_is: Row {
        fault: "download: Content-Length says more than comes, twice",
        meddle: Some(|answer| {
            if answer.is_package() && answer.number < 2 {
                let length = answer.body.len() + 1000;
                answer.header("Content-Length", &length.to_string());
                answer.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("content-range"));
                answer.status = 200;
            }
        }),
        requests: 20,
        ..Row::PLAIN
    };
    shorter_than_it_is: Row {
        fault: "download: Content-Length says less than there is, once",
        meddle: Some(|answer| {
            if answer.is_package() && answer.number == 0 {
                let length = answer.body.len() - 100;
                answer.header("Content-Length", &length.to_string());
            }
        }),
        requests: 20,
        ..Row::PLAIN
    };
    another_part_than_asked_for: Row {
        fault: "download: breaks off, and the rest is another part (206) than was asked for",
        meddle: Some(|answer| {
            if !answer.is_package() {
                return;
            }
            if answer.number == 0 {
                answer.body.truncate(answer.body.len() / 2);
                answer.header("Content-Length", "99999");
            } else if answer.range.is_some() {
                let length = answer.body.len();
                answer.header("Content-Range", &format!("bytes 7-{}/{}", length + 6, length + 7));
            }
        }),
        requests: 20,
        ..Row::PLAIN
    };
    part_that_nobody_names: Row {
        fault: "download: breaks off, and the rest comes without Content-Range",
        meddle: Some(|answer| {
            if !answer.is_package() {
                return;
            }
            if answer.number == 0 {
                answer.body.truncate(answer.body.len() / 2);
                answer.header("Content-Length", "99999");
            } else {
                answer.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("content-range"));
            }
        }),
        requests: 20,
        ..Row::PLAIN
    };
    another_total: Row {
        fault: "download: breaks off, and the rest is of a file of another size, once",
        meddle: Some(|answer| {
            if !answer.is_package() {
                return;
            }
            match answer.number {
                0 => {
                    answer.body.truncate(answer.body.len() / 2);
                    answer.header("Content-Length", "99999");
                }
                1 => {
                    let old = answer.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-range"));
                    let part = old.map(|(_, value)| value.split('/').next().unwrap_or_default().to_owned());
                    if let Some(part) = part {
                        answer.header("Content-Range", &format!("{part}/500000"));
                    }
                }
                _ => {}
            }
        }),
        requests: 30,
        ..Row::PLAIN
    };
    gzip_around_the_zip: Row {
        fault: "download: gzip around the zip, and Content-Encoding says so",
        meddle: Some(|answer| {
            if answer.is_package() && answer.range.is_none() {
                let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                std::io::Write::write_all(&mut gzip, &answer.body).unwrap();
                answer.body = gzip.finish().unwrap();
                answer.header("Content-Encoding", "gzip");
            }
        }),
        requests: 12,
        ..Row::PLAIN
    };
    another_host: Row {
        fault: "download: the link leads on to another host",
        meddle: Some(|answer| {
            if answer.is_package() && !answer.target.contains("moved") {
                answer.status = 302;
                let place = format!("http://{}{}?moved=1", answer.host, answer.target);
                answer.header("Location", &place.replace("127.0.0.1", "localhost"));
                answer.body.clear();
            }
        }),
        requests: 14,
        ..Row::PLAIN
    };
    link_in_circles: Row {
        fault: "download: the link leads in circles",
        meddle: Some(|answer| {
            if answer.is_of("/results/") {
                answer.status = 302;
                let target = answer.target.clone();
                answer.header("Location", &target);
                answer.body.clear();
            }
        }),
        sees: Sees::Errno(libc::EIO),
        words: &["leads to nothing but other links"],
        // each of five looks at each of two links is six requests
        requests: 100,
        orders: 2,
        ..Row::PLAIN
    };
    no_http_at_all: Row {
        fault: "an answer that is no HTTP at all, to each question once",
        meddle: Some(|answer| {
            if answer.number == 0 && !answer.is_of("@datarequest_post") {
                answer.raw = Some(b"220 mail.example ESMTP ready\r\n".to_vec());
            }
        }),
        requests: 20,
        ..Row::PLAIN
    };
    hints_before_the_answer: Row {
        fault: "informational answers (103) before each answer",
        meddle: Some(|answer| {
            let mut raw = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n".to_vec();
            raw.extend(format!("HTTP/1.1 {} X\r\nConnection: close\r\n", answer.status).into_bytes());
            for (name, value) in &answer.headers {
                raw.extend(format!("{name}: {value}\r\n").into_bytes());
            }
            raw.extend(format!("Content-Length: {}\r\n\r\n", answer.body.len()).into_bytes());
            raw.extend(&answer.body);
            answer.raw = Some(raw);
        }),
        requests: 12,
        ..Row::PLAIN
    };
}
