//! Orders, tasks, cancels.

use super::*;
use crate::clms::{ClmsError, DatasetUid, FileId, OrderOutcome, TaskId, TaskOutcome};

fn ids() -> (DatasetUid, FileId) {
    (
        DatasetUid::parse("0407d497d3c44bcd93ce8fd5bf78596a").unwrap(),
        FileId::parse("3d9e2413-46ca-4f6e-abf8-b6eb429a4e48").unwrap(),
    )
}

async fn queue(answer_to: impl Fn(usize, &Seen) -> Response<Body> + Send + Sync + 'static) -> Server {
    Server::start(move |number, seen| match seen.path.as_str() {
        "/@@oauth2-token" => token_answer("t"),
        _ => answer_to(number, seen),
    })
    .await
}

#[tokio::test]
async fn an_order_names_its_file_and_gives_its_task() {
    let server =
        queue(|_, _| answer(201, &json!({"TaskIds": [{"TaskID": "14909741217"}], "ErrorTaskIds": []}))).await;
    let (dataset, file) = ids();
    let outcome = server.client_with_key().order(&dataset, &file).await.unwrap();
    assert_eq!(outcome, OrderOutcome::Accepted(TaskId::parse("14909741217").unwrap()));
    let seen = server.seen();
    assert_eq!(seen[1].method, "POST");
    assert_eq!(seen[1].header("content-type"), Some("application/json"));
    let body: Value = serde_json::from_slice(&seen[1].body).unwrap();
    assert_eq!(body, json!({"Datasets": [{"DatasetID": dataset, "FileID": file}]}));
}

#[tokio::test]
async fn an_order_that_may_have_arrived_is_never_sent_again() {
    let (dataset, file) = ids();
    for status in [500, 502, 503, 504] {
        let server = queue(move |_, _| answer(status, &json!({"message": "conflict"}))).await;
        let error = server.client_with_key().order(&dataset, &file).await.unwrap_err();
        assert!(matches!(error, ClmsError::UnknownOutcome { .. }), "{status}: {error}");
        assert!(!error.is_transient());
        assert_eq!(server.count("@datarequest_post"), 1);
    }
    for (answer_to, is_the_services) in [(html as fn(u16) -> _, false), (empty, true)] {
        let server = queue(move |_, _| answer_to(201)).await;
        let error = server.client_with_key().order(&dataset, &file).await.unwrap_err();
        assert!(
            matches!(error, ClmsError::UnknownOutcome { answered, .. } if answered == is_the_services),
            "{error}"
        );
    }

    let tokens = Server::start(|_, _| token_answer("t")).await;
    for (bytes, hang) in
        [(&b""[..], false), (b"", true), (b"HTTP/1.1 201 Created\r\ncontent-length: 99\r\n\r\n{", false)]
    {
        let (address, count) = raw_server(bytes, hang).await;
        let api = Url::parse(&format!("http://{address}/api")).unwrap();
        let client = client(api, Some(key_for(tokens.url("/@@oauth2-token").as_str())));
        let error = client.order(&dataset, &file).await.unwrap_err();
        assert!(matches!(error, ClmsError::UnknownOutcome { .. }), "{error}");
        assert_eq!(*count.lock().unwrap(), 1);
    }
}

#[tokio::test]
async fn an_order_that_was_not_looked_at_is_sent_again_once() {
    let server = queue(|number, _| match number {
        1 => answer(401, &json!({"type": "Unauthorized"})),
        _ => answer(201, &json!({"TaskIds": [{"TaskID": "5"}]})),
    })
    .await;
    let (dataset, file) = ids();
    let outcome = server.client_with_key().order(&dataset, &file).await.unwrap();
    assert_eq!(outcome, OrderOutcome::Accepted(TaskId::parse("5").unwrap()));
    assert_eq!(server.count("@datarequest_post"), 2);
}

#[tokio::test]
async fn without_a_connection_an_order_was_not_placed() {
    let tokens = Server::start(|_, _| token_answer("t")).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let api = Url::parse(&format!("http://{address}/api")).unwrap();
    let client = client(api, Some(key_for(tokens.url("/@@oauth2-token").as_str())));
    let (dataset, file) = ids();
    let error = client.order(&dataset, &file).await.unwrap_err();
    assert!(matches!(error, ClmsError::Unreachable { .. }), "{error}");
}

#[tokio::test]
async fn refusals_of_an_order_keep_the_services_words() {
    let (dataset, file) = ids();
    let server =
        queue(|_, _| answer(400, &json!({"status": "error", "msg": "Error, the FileID is not valid"}))).await;
    let error = server.client_with_key().order(&dataset, &file).await.unwrap_err();
    assert_eq!(error, ClmsError::Refused { status: 400, msg: "Error, the FileID is not valid".into() });

    let server = queue(|_, _| answer(429, &json!({}))).await;
    let error = server.client_with_key().order(&dataset, &file).await.unwrap_err();
    assert_eq!(error, ClmsError::RateLimited { retry_after: None });
    assert_eq!(server.count("@datarequest_post"), 3, "who limits the rate has not looked at the order");

    let server = queue(|_, _| redirect("/api/elsewhere")).await;
    let error = server.client_with_key().order(&dataset, &file).await.unwrap_err();
    assert!(matches!(error, ClmsError::BadAnswer { .. }), "{error}");
    assert_eq!(server.count("elsewhere"), 0, "an order does not follow redirects");
}

#[tokio::test]
async fn a_task_is_found_missing_or_unknown() {
    let server = queue(|_, seen| match seen.query.as_str() {
        "TaskID=1" => answer(200, &json!({"Status": "Finished_ok", "DownloadURL": "https://h/1.zip"})),
        "TaskID=2" => answer(404, &json!({"status": "error", "msg": "Error, the task does not exist"})),
        _ => html(404),
    })
    .await;
    let client = server.client_with_key();
    let task = |id: &str| TaskId::parse(id).unwrap();
    let found = client.task(&task("1")).await.unwrap().unwrap();
    assert!(matches!(found.outcome(), TaskOutcome::Finished { .. }));
    assert_eq!(client.task(&task("2")).await.unwrap(), None);
    // A proxy's 404 does not mean that the task is gone: it would be ordered and paid for again.
    assert!(client.task(&task("3")).await.is_err());
}

#[tokio::test]
async fn the_history_may_hold_anything() {
    let server = queue(|_, _| {
        answer(
            200,
            &json!({
                "1": {"Status": "Finished_ok", "Datasets": [{"DatasetID": "d", "BoundingBox": [0, 1, 2, 3]}]},
                "2": {"Status": "QUEUED", "Datasets": {"DatasetID": "d"}, "cdse_task_role": "child"},
                "3": {"Status": null},
                "4": {},
                "5": null,
                "": {"Status": "Queued"},
                "6": {"Status": "Queued", "Datasets": "text", "FileSize": {"a": 1}, "RegistrationDateTime": 5}
            }),
        )
    })
    .await;
    let tasks = server.client_with_key().tasks().await.unwrap();
    let ids: Vec<_> = tasks.iter().map(|(id, _)| id.as_str()).collect();
    assert_eq!(ids, ["1", "2", "3", "4", "6"]);
}

#[tokio::test]
async fn a_cancel_sends_its_body_and_understands_the_swap() {
    let server = queue(|_, seen| {
        let body: Value = serde_json::from_slice(&seen.body).unwrap();
        match body["TaskID"].as_str().unwrap() {
            "1" => empty(204),
            "2" => answer(403, &json!({"status": "error", "msg": "Error, TaskID not registered"})),
            "3" => answer(404, &json!({"status": "error", "msg": "Error, permission denied"})),
            _ => html(403),
        }
    })
    .await;
    let client = server.client_with_key();
    let cancel = async |id: &str| client.cancel(&TaskId::parse(id).unwrap()).await;
    cancel("1").await.unwrap();
    cancel("2").await.unwrap();
    assert!(cancel("3").await.unwrap_err().to_string().contains("another user"));
    assert!(matches!(cancel("4").await.unwrap_err(), ClmsError::Refused { status: 403, .. }));
    assert!(
        server.seen().iter().filter(|seen| seen.path.ends_with("delete")).all(|seen| seen.method == "DELETE")
    );
}

#[tokio::test]
async fn a_cancel_that_hangs_is_given_up_soon() {
    let tokens = Server::start(|_, _| token_answer("t")).await;
    let (address, count) = raw_server(b"", true).await;
    let api = Url::parse(&format!("http://{address}/api")).unwrap();
    let mut options = quick(api, Some(key_for(tokens.url("/@@oauth2-token").as_str())));
    options.timeouts.head = Duration::from_secs(600);
    let client = Client::new(options).unwrap();
    let begun = std::time::Instant::now();
    client.cancel(&TaskId::parse("1").unwrap()).await.unwrap_err();
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    assert_eq!(*count.lock().unwrap(), 1);
}
