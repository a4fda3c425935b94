//! Keys, tokens and clocks.

use super::row::{Row, Sees, until_asked};
use super::rows;

/// The 401 of a caller whom the service does not know (CLMS-API 1.4).
const ANONYMOUS: &str = "[[fault]]\nendpoint = 'status'\nstatus = 401\ntimes = 1
    body = '{\"message\": \"You are not authorized to access this resource.\", \"type\": \"Unauthorized\"}'";
/// The 401 of a token that was good once.
const EXPIRED: &str = "[[fault]]\nendpoint = 'status'\nstatus = 401\ntimes = 1
    body = '{\"error\": \"invalid_token\", \"error_description\": \"Access token expired\"}'";
const LONG: &str = "queued = '1s'\n";

/// A token storm gets users of other programs banned.
fn few_tokens(scene: &super::row::Scene, most: u64) {
    let requests = scene.simulator.requests();
    assert!(requests.count("token") <= most, "{requests:?}");
}

rows! {
    unknown_token: Row {
        fault: "401 in the shape of a stranger, in mid-wait",
        scenario: ANONYMOUS,
        requests: 20,
        check: Some(|scene| few_tokens(scene, 2)),
        ..Row::PLAIN
    };
    expired_token: Row {
        fault: "401 in the shape of an expired token, in mid-wait",
        scenario: EXPIRED,
        requests: 20,
        check: Some(|scene| few_tokens(scene, 2)),
        ..Row::PLAIN
    };
    tokens_revoked_in_mid_wait: Row {
        fault: "tokens revoked in mid-wait",
        scenario: LONG,
        meanwhile: Some(|scene| {
            scene.simulator.revoke_tokens();
            until_asked(scene, "token", 1);
        }),
        check: Some(|scene| few_tokens(scene, 2)),
        ..Row::PLAIN
    };
    /// Each renewed token is refused, too, for a while: the key is good and the order stands, so the reader waits.
    burst_of_401_in_mid_wait: Row {
        fault: "state of the task: 401 ten times, although tokens are given",
        scenario: "[[fault]]\nendpoint = 'status'\nstatus = 401\ntimes = 10",
        check: Some(|scene| few_tokens(scene, 12)),
        ..Row::PLAIN
    };
    refused_tokens_in_mid_wait_are_told: Row {
        fault: "state of the task: 401 for good, although tokens are given",
        scenario: "[[fault]]\nendpoint = 'status'\nstatus = 401",
        sees: Sees::Waits("queued"),
        words: &["refuses the tokens that it gives"],
        hurry: 5,
        orders_after: 0,
        ..Row::PLAIN
    };
    refused_tokens_in_mid_wait_end_the_wait: Row {
        fault: "state of the task: 401 for minutes, although tokens are given",
        scenario: "[[fault]]\nendpoint = 'status'\nstatus = 401",
        sees: Sees::Errno(libc::EACCES),
        words: &["refuses the tokens that it gives"],
        hurry: 60,
        orders_after: 0,
        check: Some(|scene| few_tokens(scene, 30)),
        ..Row::PLAIN
    };
    burst_of_401_at_the_token: Row {
        fault: "token: 401 twice",
        scenario: "[[fault]]\nendpoint = 'token'\nstatus = 401\ntimes = 2",
        ..Row::PLAIN
    };
    burst_of_401_at_the_order: Row {
        fault: "order: 401 three times, although tokens are given",
        scenario: "[[fault]]\nendpoint = 'post'\nstatus = 401\ntimes = 3",
        ..Row::PLAIN
    };
    refused_tokens: Row {
        fault: "search of tasks: 401 for good, although tokens are given",
        scenario: "[[fault]]\nendpoint = 'tasks'\nstatus = 401",
        sees: Sees::Errno(libc::EACCES),
        words: &["ip addresses"],
        orders: 0,
        requests: 12,
        ..Row::PLAIN
    };
    refused_key: Row {
        fault: "key refused",
        scenario: "reject_key = true",
        sees: Sees::Errno(libc::EACCES),
        words: &["no associated key found"],
        before: Some(|scene| scene.simulator.revoke_tokens()),
        orders: 0,
        requests: 3,
        hurry: 40,
        ..Row::PLAIN
    };
    key_revoked_in_mid_wait: Row {
        fault: "key revoked in mid-wait",
        scenario: LONG,
        sees: Sees::Errno(libc::EACCES),
        words: &["no associated key found"],
        meanwhile: Some(|scene| {
            scene.simulator.scenario("queued = '1h'\nreject_key = true");
            scene.simulator.revoke_tokens();
        }),
        orders_after: 0,
        hurry: 40,
        ..Row::PLAIN
    };
    /// A grant is dated by our clock: the service's is ten minutes behind, so that it comes from its future.
    clock_ahead: Row {
        fault: "our clock ten minutes ahead",
        scenario: "clock = '-10m'",
        before: Some(|scene| scene.simulator.revoke_tokens()),
        requests: 20,
        check: Some(|scene| few_tokens(scene, 2)),
        ..Row::PLAIN
    };
    clock_behind: Row {
        fault: "our clock ten minutes behind",
        scenario: "clock = '10m'",
        before: Some(|scene| scene.simulator.revoke_tokens()),
        requests: 20,
        check: Some(|scene| few_tokens(scene, 2)),
        ..Row::PLAIN
    };
    clock_that_jumps_in_mid_wait: Row {
        fault: "our clock jumps ten minutes ahead in mid-wait, and the token is gone",
        scenario: LONG,
        meanwhile: Some(|scene| {
            scene.simulator.scenario("queued = '500ms'\nclock = '-10m'");
            scene.simulator.revoke_tokens();
            until_asked(scene, "token", 1);
        }),
        check: Some(|scene| few_tokens(scene, 4)),
        ..Row::PLAIN
    };
}
