//! A service whose left hand does not know yet what its right hand has done: what it says is right a little later. None of
//! it costs a second order.

use serde_json::json;

use super::manners::each_task;
use super::row::Row;
use super::rows;

rows! {
    unknown_for_a_while: Row {
        fault: "the service does not know the task, five times",
        meddle: Some(|answer| {
            if answer.is_of("@datarequest_status_get") && answer.number < 5 {
                answer.status = 404;
                answer.body = br#"{"status": "error", "msg": "Error, the task does not exist"}"#.to_vec();
            }
        }),
        requests: 20,
        ..Row::PLAIN
    };
    link_later_than_its_state: Row {
        fault: "a task is finished five answers before it has a link",
        meddle: Some(|answer| {
            if answer.is_of("@datarequest_status_get") && answer.number < 5 {
                answer.json(|task| {
                    task["Status"] = json!("Finished_ok");
                    task["DownloadURL"] = json!(null);
                });
            }
        }),
        requests: 20,
        ..Row::PLAIN
    };
    file_later_than_its_link: Row {
        fault: "download: 404, three times",
        meddle: Some(|answer| {
            if answer.is_of("/results/") && answer.number < 3 {
                answer.status = 404;
                answer.body.clear();
                answer.header("Content-Length", "0");
            }
        }),
        requests: 20,
        ..Row::PLAIN
    };
    order_later_than_its_answer: Row {
        fault: "order: 201 without a task, which shows up in the third search",
        meddle: Some(|answer| {
            if answer.is_of("@datarequest_post") {
                answer.json(|order| order["TaskIds"] = json!([]));
            }
            if answer.is_of("@datarequest_search") && answer.number < 2 {
                answer.body = b"{}".to_vec();
            }
        }),
        requests: 20,
        ..Row::PLAIN
    };
    file_that_is_not_named: Row {
        fault: "a task that does not say which file it is for",
        meddle: Some(|answer| each_task(answer, |task| task["Datasets"][0]["FileID"] = json!(null))),
        requests: 12,
        ..Row::PLAIN
    };
    datasets_with_keys: Row {
        fault: "a task whose datasets are an object with keys",
        meddle: Some(|answer| each_task(answer, |task| task["Datasets"] = json!({"0": task["Datasets"][0]}))),
        requests: 12,
        ..Row::PLAIN
    };
    history_with_more_than_tasks: Row {
        fault: "search of tasks: an empty history with an @id",
        meddle: Some(|answer| {
            if answer.is_of("@datarequest_search") {
                answer.json(|tasks| tasks["@id"] = json!("http://inner.invalid/@datarequest_search"));
            }
        }),
        requests: 12,
        ..Row::PLAIN
    };
    rest_that_is_called_a_web_page: Row {
        fault: "download: breaks off, and the rest is called text/html",
        meddle: Some(|answer| {
            if answer.is_package() && answer.range.is_none() {
                let length = answer.body.len();
                answer.header("Content-Length", &length.to_string());
                answer.body.truncate(length / 2);
            } else if answer.is_package() {
                answer.header("Content-Type", "text/html");
            }
        }),
        requests: 20,
        ..Row::PLAIN
    };
}
