//! The catalogue: pages, loops, broken answers, redirects, retries.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use tokio::sync::mpsc;

use crate::clms::{ClmsError, Coverage, DatasetRecord};

fn dataset(number: usize) -> Value {
    json!({"UID": format!("uid{number}"), "id": format!("dataset-{number}"), "title": format!("Dataset {number}")})
}

fn param(seen: &Seen, name: &str) -> Option<String> {
    url::form_urlencoded::parse(seen.query.as_bytes())
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
}

/// A search over `total` datasets, `size` per page, whose `next` starts with `prefix`.
fn page(seen: &Seen, total: usize, size: usize, prefix: &str) -> Value {
    let start: usize = param(seen, "b_start").unwrap().parse().unwrap();
    let items: Vec<_> = (start..total.min(start + size)).map(dataset).collect();
    let mut page = json!({"items": items, "items_total": total});
    if start + size < total {
        let next = format!("{prefix}@search?portal_type=DataSet&fullobjects=1&b_start={}", start + size);
        page["batching"] = json!({"next": next});
    }
    page
}

async fn crawl(server: &Server) -> Result<Vec<DatasetRecord>, ClmsError> {
    all(&server.client(None)).await
}

async fn all(client: &Client) -> Result<Vec<DatasetRecord>, ClmsError> {
    covered(client).await.map(|(records, _)| records)
}

async fn covered(client: &Client) -> Result<(Vec<DatasetRecord>, Coverage), ClmsError> {
    let (sender, mut pages) = mpsc::channel(1);
    let mut records = Vec::new();
    let gather = async {
        while let Some(page) = pages.recv().await {
            records.extend(page);
        }
    };
    let (searched, ()) = tokio::join!(client.catalogue(sender), gather);
    searched.map(|coverage| (records, coverage))
}

#[tokio::test]
async fn all_pages_come_from_our_address_without_a_token() {
    let server =
        Server::start(|_, seen| answer(200, &page(seen, 25, 10, "http://inner.invalid:1/++api++/"))).await;
    let records = all(&server.client_with_key()).await.unwrap();
    assert_eq!(records.len(), 25);
    assert_eq!(records[24].short_name, "dataset-24");
    assert_eq!(server.seen().len(), 3);
    for seen in server.seen() {
        assert_eq!(seen.path, "/api/@search");
        assert_eq!(seen.header("authorization"), None);
        assert_eq!(seen.header("accept"), Some("application/json"));
        assert_eq!(seen.header("accept-encoding"), Some("identity"));
        assert_eq!(seen.header("user-agent"), Some(concat!("clmsfs/", env!("CARGO_PKG_VERSION"))));
        assert_eq!(param(&seen, "fullobjects").as_deref(), Some("1"));
    }
    assert_eq!(param(&server.seen()[0], "b_size").as_deref(), Some("100"));
}

#[tokio::test]
async fn a_search_without_batching_is_one_page() {
    let server = Server::start(|_, seen| answer(200, &page(seen, 3, 10, "/"))).await;
    assert_eq!(crawl(&server).await.unwrap().len(), 3);
    assert_eq!(server.seen().len(), 1);
}

/// Numbers of the datasets that came, and whether they are all.
async fn numbers(server: &Server) -> (Vec<usize>, Coverage) {
    let (records, coverage) = covered(&server.client(None)).await.unwrap();
    let mut numbers: Vec<usize> = records
        .iter()
        .map(|record| record.short_name.trim_start_matches("dataset-").parse().unwrap())
        .collect();
    numbers.sort_unstable();
    (numbers, coverage)
}

#[tokio::test]
async fn endless_searches_end() {
    // Names itself as the next page.
    let itself = Server::start(|_, _| {
        answer(
            200,
            &json!({"items": [dataset(1)], "items_total": 9, "batching": {"next": "/@search?b_start=5"}}),
        )
    })
    .await;
    // Breaks off.
    let short = Server::start(|_, _| answer(200, &json!({"items": [dataset(1)], "items_total": 9}))).await;
    for server in [&itself, &short] {
        assert_eq!(numbers(server).await, (vec![1], Coverage::Partial));
        assert!(server.seen().len() <= 6, "two rounds of three pages");
    }
    // Always a new next page, never an item (`b_size=0` of the real service).
    let never = Server::start(|number, _| {
        answer(200, &json!({"items": [], "items_total": 9, "batching": {"next": format!("/@search?b_start={number}1")}}))
    })
    .await;
    let error = crawl(&never).await.unwrap_err();
    assert!(matches!(error, ClmsError::BadAnswer { .. }), "{error}");
    assert_eq!(never.seen().len(), 1);
    // Goes on naming a next page after the last item.
    let beyond = Server::start(|number, _| {
        answer(200, &json!({"items": [dataset(1)], "items_total": 1, "batching": {"next": format!("/@search?b_start={number}1")}}))
    })
    .await;
    assert_eq!(numbers(&beyond).await, (vec![1], Coverage::Complete));
}

#[tokio::test]
async fn pages_are_found_without_links_and_without_a_right_count() {
    type Change = fn(&mut Value);
    let changes: [(&str, Change); 10] = [
        ("no batching", |page| _ = page.as_object_mut().unwrap().remove("batching")),
        ("count too small", |page| page["items_total"] = json!(1)),
        ("count zero", |page| page["items_total"] = json!(0)),
        ("no count", |page| page["items_total"] = json!(null)),
        ("count as text", |page| page["items_total"] = json!("250")),
        ("a link of a query only", |page| {
            if page["batching"].is_object() {
                page["batching"]["next"] = json!("?b_start=200");
            }
        }),
        ("a link in an object", |page| {
            if let Some(next) = page.pointer("/batching/next").cloned() {
                page["batching"]["next"] = json!({"@id": next});
            }
        }),
        ("a link to the first page", |page| {
            if page["batching"].is_object() {
                page["batching"]["next"] =
                    json!("/@search?portal_type=DataSet&fullobjects=1&b_size=100&b_start=0");
            }
        }),
        ("a link to a page that was seen under another address", |page| {
            if page["batching"].is_object() {
                page["batching"]["next"] = json!("/@search?b_start=0&portal_type=DataSet");
            }
        }),
        ("an object of items", |page| {
            let items = page["items"].as_array().unwrap().iter().enumerate();
            page["items"] = items.map(|(number, item)| (number.to_string(), item.clone())).collect();
        }),
    ];
    for (what, change) in changes {
        let server = Server::start(move |_, seen| {
            let mut page = page(seen, 250, 100, "/");
            change(&mut page);
            answer(200, &page)
        })
        .await;
        assert_eq!(numbers(&server).await, ((0..250).collect(), Coverage::Complete), "{what}");
        assert!(server.seen().len() <= 5, "{what}: {} requests", server.seen().len());
    }
    // Summaries wherever whole records were not asked for, and links that do not ask or that lead to summaries all the same.
    for next in ["/@search?b_start=", "/@search?fullobjects=1&summaries=1&b_start="] {
        let server = Server::start(move |_, seen| {
            let mut page = page(seen, 250, 100, "/");
            if param(seen, "fullobjects").is_none() || param(seen, "summaries").is_some() {
                page["items"].as_array_mut().unwrap().iter_mut().for_each(|item| item["UID"] = json!(null));
            }
            if page["batching"].is_object() {
                let start: usize = param(seen, "b_start").unwrap().parse().unwrap();
                page["batching"]["next"] = json!(format!("{next}{}", start + 100));
            }
            answer(200, &page)
        })
        .await;
        assert_eq!(numbers(&server).await, ((0..250).collect(), Coverage::Complete), "{next}");
        assert!(server.seen().len() <= 4, "{next}: {} requests", server.seen().len());
    }
    // Smaller pages than were asked for, without links.
    let server = Server::start(|_, seen| {
        let mut page = page(seen, 60, 25, "/");
        page["batching"] = json!(null);
        answer(200, &page)
    })
    .await;
    assert_eq!(numbers(&server).await, ((0..60).collect(), Coverage::Complete));
    // A bare list.
    let server = Server::start(|_, _| answer(200, &json!([dataset(0), dataset(1)]))).await;
    assert_eq!(numbers(&server).await, ((0..2).collect(), Coverage::Complete));
}

#[tokio::test]
async fn a_count_that_is_too_large_is_told_and_costs_two_rounds() {
    let server = Server::start(|_, seen| {
        let mut page = page(seen, 25, 10, "/");
        page["items_total"] = json!(40);
        answer(200, &page)
    })
    .await;
    assert_eq!(numbers(&server).await, ((0..25).collect(), Coverage::Partial));
    assert_eq!(server.seen().len(), 8);
}

#[tokio::test]
async fn datasets_that_moved_between_pages_are_found_in_another_round() {
    // In the first round the second page begins too early: it repeats three and the last three are missed.
    let server = Server::start(|number, seen| {
        let mut page = page(seen, 20, 10, "/");
        if number == 1 {
            page["items"] = (7..17).map(dataset).collect();
        }
        answer(200, &page)
    })
    .await;
    assert_eq!(numbers(&server).await, ((0..20).collect(), Coverage::Complete));
    // It loses some.
    let server = Server::start(|number, seen| {
        let mut page = page(seen, 20, 10, "/");
        if number == 0 {
            page["items"] = (3..10).map(dataset).collect();
        }
        answer(200, &page)
    })
    .await;
    assert_eq!(numbers(&server).await, ((0..20).collect(), Coverage::Complete));
    assert!(server.seen().len() <= 7);
}

#[tokio::test]
async fn broken_and_repeated_items_are_left_out() {
    let server = Server::start(|_, _| {
        let items = json!([dataset(1), null, 7, {"title": "no uid"}, dataset(1), dataset(2)]);
        answer(200, &json!({"items": items, "items_total": 6}))
    })
    .await;
    assert_eq!(numbers(&server).await, (vec![1, 2], Coverage::Complete));
}

#[tokio::test]
async fn a_byte_order_mark_blanks_and_gzip_are_no_obstacle() {
    for (mark, wrapped) in [(&b"\xef\xbb\xbf"[..], false), (b"\r\n \n", false), (b"\xef\xbb\xbf\n", true)] {
        let server = Server::start(move |_, seen| {
            let text = [mark, page(seen, 3, 10, "/").to_string().as_bytes(), b"\n\n"].concat();
            if !wrapped {
                return Response::new(Body::from(text));
            }
            let mut response = Response::new(Body::from(crate::clms::coding::tests::gzip(&text)));
            response.headers_mut().insert("content-encoding", "gzip".parse().unwrap());
            response
        })
        .await;
        assert_eq!(crawl(&server).await.unwrap().len(), 3, "{mark:?}, wrapped: {wrapped}");
    }
}

#[tokio::test]
async fn broken_answers_are_named() {
    type Make = fn() -> Response<Body>;
    let cases: [(Make, &str); 4] = [
        (|| html(200), "web page"),
        (|| Response::new(Body::from(r#"{"items": [{"UID": "#)), "breaks off"),
        (|| Response::new(Body::from(r#"{"items": ]"#)), "broken at line"),
        (|| answer(200, &json!({"error": 1})), "no items"),
    ];
    for (make, words) in cases {
        let server = Server::start(move |_, _| make()).await;
        let error = crawl(&server).await.unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
        assert!(!error.is_transient());
        assert_eq!(server.seen().len(), 1, "asking again would not help");
    }
}

#[tokio::test]
async fn an_answer_cut_on_the_way_is_asked_for_again() {
    let (address, count) = raw_server(
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n{\"items\": [",
        false,
    )
    .await;
    let api = Url::parse(&format!("http://{address}/api")).unwrap();
    let error = all(&client(api, None)).await.unwrap_err();
    assert!(matches!(error, ClmsError::Unreachable { .. }), "{error}");
    assert_eq!(*count.lock().unwrap(), 3);
}

#[tokio::test]
async fn silence_ends() {
    for bytes in
        [&b""[..], b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n{"]
    {
        let (address, _) = raw_server(bytes, true).await;
        let mut options = ClientOptions::new(Url::parse(&format!("http://{address}/api")).unwrap());
        options.timeouts.head = Duration::from_millis(100);
        options.timeouts.body = Duration::from_millis(100);
        options.retry.attempts = 1;
        let error = all(&Client::new(options).unwrap()).await.unwrap_err();
        assert!(matches!(error, ClmsError::Unreachable { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_body_without_end_is_cut() {
    let (address, _) = raw_server(
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 999999999999\r\n\r\n{",
        true,
    )
    .await;
    let api = Url::parse(&format!("http://{address}/api")).unwrap();
    let error = all(&client(api, None)).await.unwrap_err();
    assert!(error.to_string().contains("larger than"), "{error}");
}

#[tokio::test]
async fn passing_failures_are_tried_again_and_lasting_ones_are_not() {
    for status in [429, 500, 502, 503] {
        let server = Server::start(move |number, seen| match number {
            0 | 1 => answer(status, &json!({"message": "later"})),
            _ => answer(200, &page(seen, 1, 10, "/")),
        })
        .await;
        assert_eq!(crawl(&server).await.unwrap().len(), 1);
        assert_eq!(server.seen().len(), 3);
    }
    for status in [400, 403, 404] {
        let server = Server::start(move |_, _| answer(status, &json!({"msg": "no"}))).await;
        let error = crawl(&server).await.unwrap_err();
        assert_eq!(error, ClmsError::Refused { status, msg: "no".into() });
        assert_eq!(server.seen().len(), 1);
    }
    let server = Server::start(|_, _| html(503)).await;
    assert!(matches!(crawl(&server).await.unwrap_err(), ClmsError::Server { status: 503, .. }));
    assert_eq!(server.seen().len(), 3, "attempts are bounded");
}

#[tokio::test]
async fn retry_after_is_honoured_or_handed_up() {
    let limited = |wait: &'static str| {
        move |number: usize, seen: &Seen| {
            if number > 0 {
                return answer(200, &page(seen, 1, 10, "/"));
            }
            let mut response = answer(429, &json!({}));
            response.headers_mut().insert("retry-after", wait.parse().unwrap());
            response
        }
    };
    let server = Server::start(limited("1")).await;
    let begun = std::time::Instant::now();
    crawl(&server).await.unwrap();
    assert!(begun.elapsed() >= Duration::from_secs(1));

    let server = Server::start(limited("600")).await;
    let error = crawl(&server).await.unwrap_err();
    assert_eq!(error, ClmsError::RateLimited { retry_after: Some(Duration::from_secs(600)) });
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn redirects_keep_the_token_inside_the_api_and_stop_at_its_border() {
    let other = Server::start(|_, _| answer(200, &json!({}))).await;
    let outside = other.url("/api/@datarequest_search").to_string();
    let where_to = Arc::new(Mutex::new("/api/moved".to_owned()));
    let target = Arc::clone(&where_to);
    let server = Server::start(move |_, seen| match seen.path.as_str() {
        "/@@oauth2-token" => token_answer("t"),
        "/api/@datarequest_search" => redirect(&target.lock().unwrap()),
        _ => answer(200, &json!({})),
    })
    .await;
    let client = server.client_with_key();
    client.tasks().await.unwrap();
    let moved = server.seen().into_iter().find(|seen| seen.path == "/api/moved").unwrap();
    assert_eq!(moved.header("authorization"), Some("Bearer t"));

    *where_to.lock().unwrap() = outside;
    let error = client.tasks().await.unwrap_err();
    assert!(error.to_string().contains("redirects to"), "{error}");
    assert_eq!(other.seen().len(), 0);

    *where_to.lock().unwrap() = "/api/@datarequest_search".to_owned();
    assert!(client.tasks().await.unwrap_err().to_string().contains("circles"));
}

#[tokio::test]
async fn no_service_at_all_is_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let api = Url::parse(&format!("http://{address}/api")).unwrap();
    let error = all(&client(api, None)).await.unwrap_err();
    assert!(error.is_transient(), "{error}");
    assert!(error.to_string().contains("127.0.0.1"), "{error}");
}

#[tokio::test]
async fn calls_can_be_dropped_in_the_middle() {
    let count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    let server = Server::start(move |_, seen| {
        counter.fetch_add(1, Ordering::SeqCst);
        answer(200, &page(seen, 1, 10, "/"))
    })
    .await;
    let client = server.client(None);
    drop(all(&client));
    assert_eq!(count.load(Ordering::SeqCst), 0);
    assert_eq!(all(&client).await.unwrap().len(), 1);
}
