//! The service answers, but not with what was asked for.

use super::row::{Recovery, Row, Sees};
use super::rows;

rows! {
    busy_search: Row {
        fault: "search of tasks: 429 without Retry-After, three times",
        scenario: "[[fault]]\nendpoint = 'tasks'\nstatus = 429\ntimes = 3",
        ..Row::PLAIN
    };
    busy_search_for_good: Row {
        fault: "search of tasks: 429 without Retry-After, for good",
        scenario: "[[fault]]\nendpoint = 'tasks'\nstatus = 429",
        sees: Sees::Errno(libc::ENETDOWN),
        words: &["limits the rate"],
        orders: 0,
        requests: 6,
        ..Row::PLAIN
    };
    busy_order: Row {
        fault: "order: 429 without Retry-After, three times",
        scenario: "[[fault]]\nendpoint = 'post'\nstatus = 429\ntimes = 3",
        ..Row::PLAIN
    };
    busy_status_for_good: Row {
        fault: "state of the task: 429 without Retry-After, for good",
        scenario: "[[fault]]\nendpoint = 'status'\nstatus = 429",
        sees: Sees::Waits("queued"),
        words: &["limits the rate"],
        orders_after: 0,
        ..Row::PLAIN
    };
    busy_status_that_says_when: Row {
        fault: "state of the task: 429 with Retry-After: 1, twice",
        scenario: "[[fault]]\nendpoint = 'status'\nstatus = 429\nretry_after = 1\ntimes = 2",
        requests: 15,
        ..Row::PLAIN
    };
    busy_search_that_says_when: Row {
        fault: "search of tasks: 429 with Retry-After: 3600",
        scenario: "[[fault]]\nendpoint = 'tasks'\nstatus = 429\nretry_after = 3600",
        sees: Sees::Errno(libc::ENETDOWN),
        words: &["wait 3600 s"],
        orders: 0,
        requests: 2,
        recovery: Recovery::Insist,
        ..Row::PLAIN
    };
    busy_download_that_says_when: Row {
        fault: "download: 429 with Retry-After: 1, twice",
        scenario: "[[fault]]\nendpoint = 'download'\nstatus = 429\nretry_after = 1\ntimes = 2",
        requests: 15,
        ..Row::PLAIN
    };
    busy_token: Row {
        fault: "token: 429, then 503",
        scenario: "[[fault]]\nendpoint = 'token'\nstatus = 429\ntimes = 1
            [[fault]]\nendpoint = 'token'\nstatus = 503\ntimes = 1",
        ..Row::PLAIN
    };
    burst_at_the_search: Row {
        fault: "search of tasks: 500, 502, 503",
        scenario: "[[fault]]\nendpoint = 'tasks'\nstatus = 500\ntimes = 1
            [[fault]]\nendpoint = 'tasks'\nstatus = 502\ntimes = 1
            [[fault]]\nendpoint = 'tasks'\nstatus = 503\ntimes = 1",
        ..Row::PLAIN
    };
    failing_search: Row {
        fault: "search of tasks: 503 for good",
        scenario: "[[fault]]\nendpoint = 'tasks'\nstatus = 503",
        sees: Sees::Errno(libc::EIO),
        words: &["status 503"],
        orders: 0,
        requests: 6,
        ..Row::PLAIN
    };
    burst_at_the_order: Row {
        fault: "order: 500, then 502",
        scenario: "[[fault]]\nendpoint = 'post'\nstatus = 500\ntimes = 1
            [[fault]]\nendpoint = 'post'\nstatus = 502\ntimes = 1",
        ..Row::PLAIN
    };
    failing_order: Row {
        fault: "order: 503 for good",
        scenario: "[[fault]]\nendpoint = 'post'\nstatus = 503",
        sees: Sees::Errno(libc::EIO),
        words: &["status 503"],
        orders: 0,
        ..Row::PLAIN
    };
    failing_status: Row {
        fault: "state of the task: 502 for good",
        scenario: "[[fault]]\nendpoint = 'status'\nstatus = 502",
        sees: Sees::Waits("queued"),
        words: &["status 502"],
        orders_after: 0,
        ..Row::PLAIN
    };
    burst_at_the_download: Row {
        fault: "download: 503 eight times",
        scenario: "[[fault]]\nendpoint = 'download'\nstatus = 503\ntimes = 8",
        ..Row::PLAIN
    };
    failing_download: Row {
        fault: "download: 500 for good",
        scenario: "[[fault]]\nendpoint = 'download'\nstatus = 500",
        sees: Sees::Errno(libc::ENETDOWN),
        words: &["status 500"],
        orders_after: 0,
        ..Row::PLAIN
    };
    half_a_json_to_the_search: Row {
        fault: "search of tasks: malformed JSON for good",
        scenario: "[[fault]]\nendpoint = 'tasks'\nmalformed_json = true",
        sees: Sees::Errno(libc::EIO),
        words: &["json breaks off"],
        orders: 0,
        requests: 6,
        ..Row::PLAIN
    };
    half_a_json_to_the_order: Row {
        fault: "order: malformed JSON for good",
        scenario: "[[fault]]\nendpoint = 'post'\nmalformed_json = true",
        sees: Sees::Errno(libc::EIO),
        words: &["json"],
        orders: 0,
        ..Row::PLAIN
    };
    half_a_json_as_a_state: Row {
        fault: "state of the task: malformed JSON for good",
        scenario: "[[fault]]\nendpoint = 'status'\nmalformed_json = true",
        sees: Sees::Errno(libc::EIO),
        words: &["json breaks off"],
        ..Row::PLAIN
    };
    half_a_json_as_a_state_now_and_then: Row {
        fault: "state of the task: malformed JSON three times",
        scenario: "[[fault]]\nendpoint = 'status'\nmalformed_json = true\ntimes = 3",
        ..Row::PLAIN
    };
    half_a_json_as_a_token: Row {
        fault: "token: malformed JSON for good",
        scenario: "[[fault]]\nendpoint = 'token'\nmalformed_json = true",
        sees: Sees::Errno(libc::EIO),
        words: &["json breaks off"],
        before: Some(|scene| scene.simulator.revoke_tokens()),
        orders: 0,
        requests: 10,
        ..Row::PLAIN
    };
    page_as_the_search: Row {
        fault: "search of tasks: HTML for good",
        scenario: "[[fault]]\nendpoint = 'tasks'\nhtml = true",
        sees: Sees::Errno(libc::EIO),
        words: &["web page"],
        orders: 0,
        requests: 6,
        ..Row::PLAIN
    };
    page_as_a_state: Row {
        fault: "state of the task: HTML for good",
        scenario: "[[fault]]\nendpoint = 'status'\nhtml = true",
        sees: Sees::Errno(libc::EIO),
        words: &["web page"],
        ..Row::PLAIN
    };
    page_as_the_order: Row {
        fault: "order: HTML once",
        scenario: "[[fault]]\nendpoint = 'post'\nhtml = true\ntimes = 1",
        ..Row::PLAIN
    };
    everything_at_once: Row {
        fault: "each endpoint: 429, 500, HTML, half a JSON, then right",
        scenario: "[[fault]]\nendpoint = 'tasks'\nstatus = 429\ntimes = 1
            [[fault]]\nendpoint = 'tasks'\nstatus = 500\ntimes = 1
            [[fault]]\nendpoint = 'tasks'\nhtml = true\ntimes = 1
            [[fault]]\nendpoint = 'tasks'\nmalformed_json = true\ntimes = 1
            [[fault]]\nendpoint = 'post'\nstatus = 429\ntimes = 1
            [[fault]]\nendpoint = 'post'\nstatus = 500\ntimes = 1
            [[fault]]\nendpoint = 'post'\nhtml = true\ntimes = 1
            [[fault]]\nendpoint = 'status'\nstatus = 429\ntimes = 1
            [[fault]]\nendpoint = 'status'\nstatus = 500\ntimes = 1
            [[fault]]\nendpoint = 'status'\nhtml = true\ntimes = 1
            [[fault]]\nendpoint = 'status'\nmalformed_json = true\ntimes = 1
            [[fault]]\nendpoint = 'download'\nstatus = 429\ntimes = 1
            [[fault]]\nendpoint = 'download'\nstatus = 500\ntimes = 1
            [[fault]]\nendpoint = 'download'\nhtml = true\ntimes = 1",
        orders: 1,
        ..Row::PLAIN
    };
}
