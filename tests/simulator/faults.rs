//! Every fault does what its rule says, as often as it says.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{
    CLC, CLC_GPKG, CLC_NAME, CLC_RASTER, Client, client, link, simulator, token_request, until,
};

fn rule(matcher: &str, effect: &str) -> String {
    format!("[[fault]]\n{matcher}\n{effect}\n")
}

fn on_clc(effect: &str) -> String {
    rule(&format!("file = \"{CLC_NAME}\"\ntimes = 1"), effect)
}

#[tokio::test(flavor = "multi_thread")]
async fn outcomes() {
    for (outcome, status) in
        [("finished_nok", "Finished_nok"), ("rejected", "Rejected"), ("cancelled", "Cancelled")]
    {
        let simulator = simulator(&on_clc(&format!("outcome = \"{outcome}\""))).await;
        let client = Client::of(&simulator).await;
        let task = client.ordered(CLC, CLC_RASTER).await;
        let ended = client.reaches(&task, status).await;
        assert!(ended["FinalizationDateTime"].is_string() && ended.get("DownloadURL").is_none());
        // Once only: the next order is fine.
        client.finished(CLC, CLC_RASTER).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn queued_for_ever_and_finished_although_queued() {
    let rules = on_clc("outcome = \"stuck_queued\"")
        + &rule("file = \"*geoPackage\"", "outcome = \"queued_with_url\"");
    let simulator = simulator(&rules).await;
    let client = Client::of(&simulator).await;
    let stuck = client.ordered(CLC, CLC_RASTER).await;
    let race = client.ordered(CLC, CLC_GPKG).await;
    let raced = until("a link", async || {
        Some(client.status(&race).await).filter(|task| task["DownloadURL"].is_string())
    })
    .await;
    assert_eq!(raced["Status"], "Queued");
    assert_eq!(client.http.get(link(&raced)).send().await.unwrap().status(), 200);
    assert_eq!(client.status(&stuck).await["Status"], "Queued");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_vanishes() {
    let simulator = simulator(&on_clc("outcome = \"vanishes\"")).await;
    let client = Client::of(&simulator).await;
    let task = client.ordered(CLC, CLC_RASTER).await;
    let path = format!("@datarequest_status_get?TaskID={task}");
    until("a 404", async || (client.get(&path).await.status() == 404).then_some(())).await;
    assert_eq!(client.get("@datarequest_search").await.json::<Value>().await.unwrap(), json!({}));
}

#[tokio::test(flavor = "multi_thread")]
async fn fme_refuses_and_the_task_stays() {
    let simulator = simulator(&on_clc("outcome = \"fme_refuses\"")).await;
    let client = Client::of(&simulator).await;
    let answer = client.order(CLC, CLC_RASTER).await;
    assert_eq!(answer.status(), 500);
    assert_eq!(answer.json::<Value>().await.unwrap()["msg"], "Error, all requests failed");
    let history: Value = client.get("@datarequest_search").await.json().await.unwrap();
    let (_, task) = history.as_object().unwrap().iter().next().unwrap();
    assert_eq!(task["Status"], "Queued");
    assert!(task.get("FMETaskId").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn files_go_wrong() {
    for effect in [
        "truncated = 0.5",
        "corrupt = true",
        "not_a_zip = true",
        "wrong_file_size = true",
        "expired_link = true",
    ] {
        let simulator = simulator(&on_clc(effect)).await;
        let client = Client::of(&simulator).await;
        let bad = client.finished(CLC, CLC_RASTER).await;
        let good = client.finished(CLC, CLC_RASTER).await;
        let fetch = async |task: &Value| {
            let answer = client.http.get(link(task)).send().await.unwrap();
            (answer.status().as_u16(), answer.bytes().await.unwrap())
        };
        let (status, bytes) = fetch(&bad).await;
        let (_, right) = fetch(&good).await;
        let size = bad["FileSize"].as_u64().unwrap();
        assert_eq!(right.len() as u64, good["FileSize"].as_u64().unwrap());
        match effect.split(' ').next().unwrap() {
            "truncated" => assert_eq!(bytes.len(), right.len() / 2),
            "corrupt" => {
                let different = bytes.iter().zip(&right).filter(|(left, right)| left != right).count();
                assert_eq!((bytes.len(), different), (right.len(), 64));
            }
            "not_a_zip" => assert!(status == 200 && bytes.starts_with(b"<!DOCTYPE html>")),
            "wrong_file_size" => assert!(size != bytes.len() as u64 && bytes == right),
            _ => assert_eq!(
                (status, client.http.get(link(&bad)).send().await.unwrap().status().as_u16()),
                (404, 404)
            ),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_go_wrong() {
    let rules = rule("endpoint = \"status\"\ntimes = 1", "status = 503\nretry_after = 7")
        + &rule("endpoint = \"search\"\ntimes = 1", "malformed_json = true")
        + &rule("endpoint = \"tasks\"\nskip = 1\ntimes = 1", "html = true")
        + &rule("endpoint = \"post\"\ntimes = 1", "reset = true");
    let simulator = simulator(&rules).await;
    let client = Client::of(&simulator).await;
    let answer = client.get("@datarequest_status_get?TaskID=1").await;
    assert_eq!((answer.status().as_u16(), &answer.headers()["retry-after"]), (503, &"7".parse().unwrap()));
    assert_eq!(client.get("@datarequest_status_get?TaskID=1").await.status(), 404);
    assert!(client.get("@search").await.json::<Value>().await.is_err());
    assert!(client.get("@search").await.json::<Value>().await.is_ok());
    assert_eq!(client.get("@datarequest_search").await.text().await.unwrap(), "{}");
    assert!(client.get("@datarequest_search").await.text().await.unwrap().contains("<html"));
    let body = json!({ "Datasets": [] });
    let post = || client.request(Method::POST, "@datarequest_post").json(&body).send();
    assert!(post().await.is_err());
    assert_eq!(post().await.unwrap().status(), 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_breaks_in_the_middle_and_can_be_resumed() {
    let simulator = simulator(&on_clc("reset = true")).await;
    let client = Client::of(&simulator).await;
    let done = client.finished(CLC, CLC_RASTER).await;
    let mut broken = client.http.get(link(&done)).send().await.unwrap();
    let mut got = Vec::new();
    while let Ok(Some(piece)) = broken.chunk().await {
        got.extend(piece);
    }
    let size = done["FileSize"].as_u64().unwrap() as usize;
    assert!(got.len() <= size / 2, "{} of {size}", got.len());
    let rest =
        client.http.get(link(&done)).header("Range", format!("bytes={}-", got.len())).send().await.unwrap();
    assert_eq!(rest.status(), 206);
    got.extend(rest.bytes().await.unwrap());
    assert_eq!(got.len(), size);
    assert_eq!(&got[..2], b"PK");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_hangs_ends_with_the_simulator() {
    let simulator = simulator(&(rule("endpoint = \"search\"", "hang = true") + "")).await;
    let hanging = tokio::spawn(
        client().get(format!("{}/@search", simulator.api())).header("Accept", "application/json").send(),
    );
    until("the request to arrive", async || (simulator.requests()["endpoints"]["search"] == 1).then_some(()))
        .await;
    assert!(simulator.requests()["requests"][0]["status"].is_null());
    assert!(!hanging.is_finished());
    simulator.shutdown().await;
    assert_eq!(hanging.await.unwrap().unwrap().status(), 503);
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelling_can_hang_without_effect() {
    let simulator = simulator("delete = \"hangs\"\n").await;
    let client = Client::of(&simulator).await;
    let task = client.ordered(CLC, CLC_RASTER).await;
    let cancel = client.request(Method::DELETE, "@datarequest_delete").json(&json!({ "TaskID": task }));
    let hanging = tokio::spawn(cancel.send());
    client.reaches(&task, "Finished_ok").await;
    assert!(!hanging.is_finished());
    hanging.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejected_key() {
    let simulator = simulator("reject_key = true\n").await;
    let answer = token_request(&client(), simulator.service_key()).await;
    assert_eq!(answer.status(), 400);
    assert_eq!(answer.json::<Value>().await.unwrap()["error_description"], "No associated key found");
}
