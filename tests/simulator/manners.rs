//! Answers that come late, slowly or not to their end, a clock that differs, and links to another host.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{CLC, CLC_NAME, CLC_RASTER, Client, client, link, now, sign, simulator, token_request};

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_begins_later_and_is_right() {
    let simulator = simulator("[[fault]]\nendpoint = 'tasks'\ndelay = '300ms'\ntimes = 1").await;
    let client = Client::of(&simulator).await;
    let begun = Instant::now();
    assert_eq!(client.get("@datarequest_search").await.json::<Value>().await.unwrap(), json!({}));
    assert!(begun.elapsed() >= Duration::from_millis(300));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_comes_byte_by_byte_or_only_half() {
    let simulator = simulator(
        "[[fault]]\nendpoint = 'tasks'\nrate = 1\ntimes = 1\n[[fault]]\nendpoint = 'tasks'\nstall = true\ntimes = 1",
    )
    .await;
    let client = Client::of(&simulator).await;
    let begun = Instant::now();
    let slow = client.get("@datarequest_search").await;
    assert_eq!(slow.content_length(), Some(2));
    assert_eq!(slow.text().await.unwrap(), "{}");
    assert!(begun.elapsed() >= Duration::from_secs(1), "the second byte takes a second");
    let mut half = client.get("@datarequest_search").await;
    assert_eq!(half.chunk().await.unwrap().unwrap(), "{");
    let rest = tokio::spawn(async move { half.chunk().await });
    assert_eq!(client.get("@datarequest_search").await.text().await.unwrap(), "{}");
    assert!(!rest.is_finished());
    simulator.shutdown().await;
    assert!(rest.await.unwrap().is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_stalls_after_half_and_can_be_resumed() {
    let simulator =
        simulator(&format!("[[fault]]\nfile = '{CLC_NAME}'\nendpoint = 'download'\nstall = true\ntimes = 1"))
            .await;
    let client = Client::of(&simulator).await;
    let done = client.finished(CLC, CLC_RASTER).await;
    let size = done["FileSize"].as_u64().unwrap();
    let mut stalled = client.http.get(link(&done)).send().await.unwrap();
    let mut got = 0;
    while got < size / 2 {
        got += stalled.chunk().await.unwrap().unwrap().len() as u64;
    }
    assert_eq!(got, size / 2);
    let rest = client.http.get(link(&done)).header("Range", format!("bytes={got}-")).send().await.unwrap();
    assert_eq!(rest.bytes().await.unwrap().len() as u64, size - got);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_has_a_body_of_its_own() {
    let simulator =
        simulator("[[fault]]\nendpoint = 'tasks'\nstatus = 401\nbody = '{\"error\": \"invalid_token\"}'")
            .await;
    let answer = Client::of(&simulator).await.get("@datarequest_search").await;
    assert_eq!(answer.status(), 401);
    assert_eq!(answer.json::<Value>().await.unwrap()["error"], "invalid_token");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_makes_two_tasks_that_poison_the_next() {
    let simulator = simulator(
        "[[fault]]\nendpoint = 'post'\ndoubled = true\ntimes = 1\n[[fault]]\nendpoint = 'post'\noutcome = 'stuck_queued'",
    )
    .await;
    let client = Client::of(&simulator).await;
    let named = client.ordered(CLC, CLC_RASTER).await;
    let tasks: Value = client.get("@datarequest_search").await.json().await.unwrap();
    let tasks = tasks.as_object().unwrap();
    assert!(tasks.len() == 2 && tasks.contains_key(&named));
    let next = client.order(CLC, CLC_RASTER).await;
    assert_eq!(next.status(), 400);
    assert!(next.text().await.unwrap().contains("at least twice"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_checksum_is_all_that_is_wrong() {
    let simulator = simulator(&format!("[[fault]]\nfile = '{CLC_NAME}'\nwrong_crc = true\ntimes = 1")).await;
    let client = Client::of(&simulator).await;
    let mut files = Vec::new();
    for _ in 0..2 {
        let done = client.finished(CLC, CLC_RASTER).await;
        files.push(client.http.get(link(&done)).send().await.unwrap().bytes().await.unwrap());
    }
    let different = files[0].iter().zip(&files[1]).filter(|(left, right)| left != right).count();
    assert!(files[0].len() == files[1].len() && different % 4 == 0 && different >= 8, "{different}");
    let read = |bytes: &[u8]| {
        let mut zip = zip::ZipArchive::new(std::io::Cursor::new(bytes)).unwrap();
        let mut member = zip.by_index(0).unwrap();
        std::io::copy(&mut member, &mut std::io::sink())
    };
    assert!(read(&files[0]).unwrap_err().to_string().contains("hecksum"));
    assert!(read(&files[1]).is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_has_a_clock_of_its_own() {
    let simulator = simulator("clock = '-10m'").await;
    let answer = token_request(&client(), simulator.service_key()).await;
    assert_eq!(answer.status(), 400);
    let date = answer.headers()["date"].to_str().unwrap().to_owned();
    let date = jiff::fmt::rfc2822::parse(&date).unwrap().timestamp().as_second();
    assert!((now() - 610..=now() - 590).contains(&date), "{date}");
    assert!(answer.text().await.unwrap().contains("not yet valid"));
    let key = simulator.service_key();
    let claims = json!({
        "iss": key["client_id"], "sub": key["user_id"], "aud": key["token_uri"],
        "iat": now() - 660, "exp": now() + 2000,
    });
    let form = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer".to_owned()),
        ("assertion", sign(key, &claims)),
    ];
    let answer = client().post(key["token_uri"].as_str().unwrap()).form(&form).send().await.unwrap();
    assert_eq!(answer.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn links_lead_to_another_host_while_the_scenario_says_so() {
    let simulator = simulator("link_host = 'files.example:81'").await;
    let client = Client::of(&simulator).await;
    let task = client.ordered(CLC, CLC_RASTER).await;
    let done = client.reaches(&task, "Finished_ok").await;
    assert!(link(&done).starts_with("http://files.example:81/clmsdatadownload/results/"), "{}", link(&done));
    simulator.set_scenario(clmsfs::simulator::Scenario::default());
    let done = client.reaches(&task, "Finished_ok").await;
    assert_eq!(client.http.get(link(&done)).send().await.unwrap().status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_that_were_given_can_be_looked_for() {
    let simulator = simulator("").await;
    let client = Client::of(&simulator).await;
    let url = format!("{}/_simulator/tokens", simulator.api().trim_end_matches("/api"));
    let given: Value = client.http.get(url).send().await.unwrap().json().await.unwrap();
    assert_eq!(given, json!([client.token]));
}
