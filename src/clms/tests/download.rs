//! Downloads: ranges, lost links, silence, redirects, and no credentials.

use futures_util::StreamExt;

use super::*;
use crate::clms::{ClmsError, Ranges};

const FILE: &[u8] = b"PK\x03\x04 the outer zip";

fn file() -> Response<Body> {
    Response::builder()
        .header("content-type", "application/zip")
        .header("etag", "\"1\"")
        .body(Body::from(FILE))
        .unwrap()
}

fn part(seen: &Seen) -> Response<Body> {
    let from: usize = seen
        .header("range")
        .and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok())
        .unwrap_or(0);
    if from >= FILE.len() {
        let mut response = empty(416);
        response.headers_mut().insert("content-range", format!("bytes */{}", FILE.len()).parse().unwrap());
        return response;
    }
    Response::builder()
        .status(206)
        .header("content-range", format!("bytes {from}-{}/{}", FILE.len() - 1, FILE.len()))
        .body(Body::from(&FILE[from..]))
        .unwrap()
}

async fn collect(download: crate::clms::Download) -> Result<Vec<u8>, ClmsError> {
    let mut bytes = Vec::new();
    let mut stream = std::pin::pin!(download.into_stream());
    while let Some(chunk) = stream.next().await {
        bytes.extend_from_slice(&chunk?);
    }
    Ok(bytes)
}

#[tokio::test]
async fn a_file_comes_whole_and_without_credentials() {
    let server = Server::start(|_, _| file()).await;
    let client = server.client_with_key();
    let mut download = client.download(&server.url("/results/1.zip"), 0).await.unwrap();
    assert_eq!(
        (download.start, download.total, download.ranges),
        (0, Some(FILE.len() as u64), Ranges::Unknown)
    );
    assert_eq!(download.etag.as_deref(), Some("\"1\""));
    let mut bytes = Vec::new();
    while let Some(chunk) = download.chunk().await.unwrap() {
        bytes.extend_from_slice(&chunk);
    }
    assert_eq!(bytes, FILE);
    let seen = server.seen();
    assert_eq!(seen.len(), 1, "no token was asked for");
    assert_eq!(
        (seen[0].header("authorization"), seen[0].header("cookie"), seen[0].header("range")),
        (None, None, None)
    );
    assert!(seen[0].header("user-agent").unwrap().starts_with("clmsfs/"));
    assert_eq!(seen[0].header("accept-encoding"), Some("identity"));
}

#[tokio::test]
async fn a_download_is_resumed_where_the_host_can() {
    let server = Server::start(|_, seen| part(seen)).await;
    let client = server.client(None);
    let download = client.download(&server.url("/1.zip"), 5).await.unwrap();
    assert_eq!(
        (download.start, download.total, download.ranges),
        (5, Some(FILE.len() as u64), Ranges::Honoured)
    );
    assert_eq!(collect(download).await.unwrap(), &FILE[5..]);

    // Everything is there already.
    let download = client.download(&server.url("/1.zip"), FILE.len() as u64).await.unwrap();
    assert_eq!(download.start, FILE.len() as u64);
    assert_eq!(collect(download).await.unwrap(), b"");

    // More is there than the file has: it starts again, and says so.
    let server =
        Server::start(|_, seen| if seen.header("range").is_some() { empty(416) } else { file() }).await;
    let download = client.download(&server.url("/1.zip"), 4000).await.unwrap();
    assert_eq!((download.start, download.ranges), (0, Ranges::Ignored));
    assert_eq!(collect(download).await.unwrap(), FILE);
}

#[tokio::test]
async fn a_host_that_ignores_ranges_starts_from_zero() {
    let server = Server::start(|_, _| file()).await;
    let download = server.client(None).download(&server.url("/1.zip"), 5).await.unwrap();
    assert_eq!((download.start, download.ranges), (0, Ranges::Ignored));
    assert_eq!(collect(download).await.unwrap(), FILE);
}

#[tokio::test]
async fn another_part_than_asked_for_is_not_taken_but_the_whole_file_is() {
    for stated in [Some("bytes 0-3/23"), None] {
        let server = Server::start(move |_, seen| {
            if seen.header("range").is_none() {
                return file();
            }
            let mut part = Response::builder().status(206);
            if let Some(stated) = stated {
                part = part.header("content-range", stated);
            }
            part.body(Body::from(&FILE[..4])).unwrap()
        })
        .await;
        let download = server.client(None).download(&server.url("/1.zip"), 5).await.unwrap();
        assert_eq!((download.start, download.ranges), (0, Ranges::Ignored));
        assert_eq!(collect(download).await.unwrap(), FILE);
    }
}

#[tokio::test]
async fn a_zip_that_its_host_calls_a_web_page_is_a_zip() {
    let server = Server::start(|_, _| {
        let mut response = file();
        response.headers_mut().insert("content-type", "text/html".parse().unwrap());
        response
    })
    .await;
    let download = server.client(None).download(&server.url("/1.zip"), 0).await.unwrap();
    assert_eq!(download.total, Some(FILE.len() as u64));
    assert_eq!(collect(download).await.unwrap(), FILE);

    // A part of it, which begins like nothing in particular.
    let server = Server::start(|_, seen| {
        let mut response = part(seen);
        response.headers_mut().insert("content-type", "text/html".parse().unwrap());
        response
    })
    .await;
    let download = server.client(None).download(&server.url("/1.zip"), 5).await.unwrap();
    assert_eq!(collect(download).await.unwrap(), &FILE[5..]);

    // Byte by byte.
    let server = Server::start(|_, _| {
        let bytes = futures_util::stream::iter(FILE).then(async |byte| {
            tokio::time::sleep(Duration::from_millis(10)).await;
            Ok::<_, std::io::Error>(std::slice::from_ref(byte))
        });
        Response::builder().header("content-type", "text/html").body(Body::from_stream(bytes)).unwrap()
    })
    .await;
    let download = server.client(None).download(&server.url("/1.zip"), 0).await.unwrap();
    assert_eq!(collect(download).await.unwrap(), FILE);
}

#[tokio::test]
async fn lost_links_are_told_from_passing_failures() {
    for status in [400, 401, 402, 403, 404, 405, 410, 416, 451] {
        let server = Server::start(move |_, _| empty(status)).await;
        let error = server.client(None).download(&server.url("/1.zip"), 0).await.unwrap_err();
        assert!(matches!(error, ClmsError::LinkLost { .. }), "{status}: {error}");
        assert_eq!(server.seen().len(), 1);
    }
    let server = Server::start(|_, _| html(200)).await;
    let error = server.client(None).download(&server.url("/1.zip"), 0).await.unwrap_err();
    assert!(matches!(error, ClmsError::LinkLost { .. }), "{error}");
    for status in [202, 302, 408, 425] {
        let server = Server::start(move |_, _| empty(status)).await;
        let error = server.client(None).download(&server.url("/1.zip"), 0).await.unwrap_err();
        assert!(
            matches!(error, ClmsError::Refused { .. } | ClmsError::BadAnswer { .. }),
            "{status}: {error}"
        );
    }

    let server = Server::start(|number, _| if number < 2 { empty(503) } else { file() }).await;
    let download = server.client(None).download(&server.url("/1.zip"), 0).await.unwrap();
    assert_eq!(collect(download).await.unwrap(), FILE);
}

#[tokio::test]
async fn silence_in_the_middle_is_noticed() {
    let (address, _) = raw_server(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nabc", true).await;
    let url = Url::parse(&format!("http://{address}/1.zip")).unwrap();
    let client = client(url.clone(), None);
    let mut download = client.download(&url, 0).await.unwrap();
    assert_eq!(download.chunk().await.unwrap().unwrap(), "abc");
    let error = download.chunk().await.unwrap_err();
    assert!(error.to_string().contains("no byte came"), "{error}");
}

#[tokio::test]
async fn a_download_that_breaks_off_is_no_end() {
    for bytes in [
        &b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nabc"[..],
        b"HTTP/1.1 206 Partial Content\r\ncontent-range: bytes 5-9/10\r\nconnection: close\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n",
    ] {
        let (address, _) = raw_server(bytes, false).await;
        let url = Url::parse(&format!("http://{address}/1.zip")).unwrap();
        let from = if bytes.starts_with(b"HTTP/1.1 206") { 5 } else { 0 };
        let download = client(url.clone(), None).download(&url, from).await.unwrap();
        let error = collect(download).await.unwrap_err();
        assert!(error.is_transient(), "{error}");
    }
}

#[tokio::test]
async fn redirects_are_bounded_and_checked() {
    let server = Server::start(|_, seen| match seen.path.as_str() {
        "/1.zip" => redirect("/2.zip"),
        "/2.zip" => file(),
        "/file" => redirect("file:///etc/passwd"),
        "/user" => redirect("http://me:secret@127.0.0.1/2.zip"),
        _ => redirect("/round"),
    })
    .await;
    let client = server.client(None);
    let download = client.download(&server.url("/1.zip"), 0).await.unwrap();
    assert_eq!(collect(download).await.unwrap(), FILE);
    client.download(&server.url("/file"), 0).await.unwrap_err();
    let error = client.download(&server.url("/user"), 0).await.unwrap_err();
    assert!(matches!(error, ClmsError::UnsafeLink { .. }), "{error}");
    let before = server.seen().len();
    client.download(&server.url("/round"), 0).await.unwrap_err();
    assert!(server.seen().len() - before <= 3 * 7, "at most three attempts of six redirects");
}

#[tokio::test]
async fn a_service_on_the_internet_cannot_send_us_into_inner_networks() {
    let server = Server::start(|_, _| file()).await;
    let client = client(Url::parse("https://land.copernicus.eu/api").unwrap(), None);
    let mut links = vec![server.url("/1.zip").to_string()];
    links.push(format!("https://localhost:{}/1.zip", server.address.port()));
    for link in links {
        let error = client.download(&Url::parse(&link).unwrap(), 0).await.unwrap_err();
        assert!(matches!(error, ClmsError::UnsafeLink { .. }), "{link}: {error}");
    }
    assert_eq!(server.seen().len(), 0);
}

#[tokio::test]
async fn redirects_into_inner_networks_are_not_followed() {
    let server = Server::start(|_, seen| match seen.path.as_str() {
        "/1.zip" => redirect("/secret"),
        _ => file(),
    })
    .await;
    // The rules for a service on the internet; the first request, which `download` would refuse, is made by hand.
    let api = crate::clms::ApiAddress::new(Url::parse("https://land.copernicus.eu/api").unwrap()).unwrap();
    let rules = crate::clms::address::LinkRules::new(&api, &["*".to_owned()]);
    let bare =
        crate::clms::download::bare_client(reqwest::Client::builder().no_proxy(), &rules).build().unwrap();
    bare.get(server.url("/1.zip")).send().await.unwrap_err();
    assert_eq!(server.count("secret"), 0);
}

#[tokio::test]
async fn a_host_that_is_hardly_better_than_silent_is_left() {
    let server = Server::start(|_, _| {
        let drops = futures_util::stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            Some((Ok::<_, std::io::Error>("P"), ()))
        });
        Response::new(Body::from_stream(drops))
    })
    .await;
    let mut options = quick(server.url("/api"), None);
    options.timeouts.stall = Duration::from_secs(1);
    let client = Client::new(options).unwrap();
    let download = client.download(&server.url("/results/1.zip"), 0).await.unwrap();
    let error = collect(download).await.unwrap_err();
    assert!(
        matches!(&error, ClmsError::Unreachable { reason, .. } if reason.contains("bytes came in")),
        "{error}"
    );
}
