//! `/_simulator/`: looking and steering from another process.

use serde_json::Value;

use crate::support::{CLC, CLC_RASTER, Client, simulator};

#[tokio::test(flavor = "multi_thread")]
async fn a_scenario_is_replaced_at_once_and_a_bad_one_is_refused() {
    let simulator = simulator("").await;
    let client = Client::of(&simulator).await;
    let url = format!("{}/_simulator/scenario", simulator.api().trim_end_matches("/api"));
    let put = async |text: &str| client.http.put(&url).body(text.to_owned()).send().await.unwrap();
    let answer = put("[[fault]]\nendpoint = \"tasks\"\nstatus = 500\n").await;
    assert_eq!(answer.status(), 204);
    assert_eq!(client.get("@datarequest_search").await.status(), 500);
    let answer = put("qeued = \"1s\"").await;
    assert_eq!(answer.status(), 400);
    assert!(answer.json::<Value>().await.unwrap()["msg"].as_str().unwrap().contains("qeued"));
    assert_eq!(client.get("@datarequest_search").await.status(), 500);
    assert_eq!(put("").await.status(), 204);
    assert_eq!(client.get("@datarequest_search").await.status(), 200);
    assert_eq!(put("generate = { datasets = 7, products = 1 }").await.status(), 204);
    assert_eq!(client.get("@search").await.json::<Value>().await.unwrap()["items_total"], 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_scenario_sets_the_pace_of_open_tasks() {
    let simulator = simulator("").await;
    let client = Client::of(&simulator).await;
    let url = format!("{}/_simulator/scenario", simulator.api().trim_end_matches("/api"));
    let put = async |text: &str| client.http.put(&url).body(text.to_owned()).send().await.unwrap();
    assert_eq!(put("queued = '1h'\nraster_size = 200").await.status(), 204);
    let task = client.ordered(CLC, CLC_RASTER).await;
    assert_eq!(client.status(&task).await["Status"], "Queued");
    assert_eq!(put("queued = '1ms'\nrunning = '1ms'").await.status(), 204);
    client.reaches(&task, "Finished_ok").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_revoked_and_the_log_is_emptied() {
    let simulator = simulator("").await;
    let client = Client::of(&simulator).await;
    client.finished(CLC, CLC_RASTER).await;
    let base = simulator.api().trim_end_matches("/api").to_owned();
    let post = async |path: &str| client.http.post(format!("{base}/_simulator/{path}")).send().await.unwrap();
    assert_eq!(post("revoke-tokens").await.json::<Value>().await.unwrap()["revoked"], 1);
    assert_eq!(client.get("@datarequest_search").await.status(), 401);
    assert_eq!(client.get("@search?b_size=1").await.status(), 200);
    assert!(client.requests().await["total"].as_u64().unwrap() > 4);
    assert_eq!(post("reset-log").await.status(), 204);
    let log = client.requests().await;
    assert_eq!((log["total"].as_u64(), log["requests"].as_array().map(Vec::len)), (Some(0), Some(0)));
    assert_eq!(client.http.get(format!("{base}/_simulator/nothing")).send().await.unwrap().status(), 404);
}
