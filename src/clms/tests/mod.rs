//! The client against small servers on loopback that misbehave in one way each.
#![allow(clippy::unwrap_used)]

mod download;
mod key;
mod queue;
mod search;
mod token;
mod transcripts;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::KeyPair as _;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, Response};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use url::Url;

use super::{Client, ClientOptions, RetryPolicy, ServiceKey, Timeouts};

/// A request as the server saw it.
#[derive(Debug, Clone)]
struct Seen {
    method: String,
    path: String,
    query: String,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Seen {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    fn form(&self, name: &str) -> Option<String> {
        url::form_urlencoded::parse(&self.body)
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
    }
}

/// A server on loopback: `answer(number of the request, request)`.
struct Server {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    async fn start<F>(answer: F) -> Self
    where
        F: Fn(usize, &Seen) -> Response<Body> + Send + Sync + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (log, answer) = (Arc::clone(&seen), Arc::new(answer));
        let app = axum::Router::new().fallback(move |request: Request| {
            let (log, answer) = (Arc::clone(&log), Arc::clone(&answer));
            async move {
                let (head, body) = request.into_parts();
                let body = axum::body::to_bytes(body, 1 << 20).await.unwrap().to_vec();
                let seen = Seen {
                    method: head.method.to_string(),
                    path: head.uri.path().to_owned(),
                    query: head.uri.query().unwrap_or_default().to_owned(),
                    headers: head.headers,
                    body,
                };
                let number = {
                    let mut log = log.lock().unwrap();
                    log.push(seen.clone());
                    log.len() - 1
                };
                answer(number, &seen)
            }
        });
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { address, seen }
    }

    fn url(&self, path: &str) -> Url {
        Url::parse(&format!("http://{}{path}", self.address)).unwrap()
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    fn count(&self, path: &str) -> usize {
        self.seen().iter().filter(|seen| seen.path.ends_with(path)).count()
    }

    fn client(&self, key: Option<ServiceKey>) -> Client {
        client(self.url("/api"), key)
    }

    fn client_with_key(&self) -> Client {
        self.client(Some(key_for(self.url("/@@oauth2-token").as_str())))
    }
}

/// Quick limits: a test that hits one of them does not take long.
fn client(api: Url, key: Option<ServiceKey>) -> Client {
    Client::new(quick(api, key)).unwrap()
}

fn quick(api: Url, key: Option<ServiceKey>) -> ClientOptions {
    let mut options = ClientOptions::new(api);
    options.credentials = key.into();
    options.retry = RetryPolicy {
        attempts: 3,
        base: Duration::from_millis(1),
        cap: Duration::from_millis(4),
        patience: Duration::from_secs(2),
        ..RetryPolicy::default()
    };
    options.timeouts = Timeouts {
        connect: Duration::from_secs(2),
        head: Duration::from_secs(4),
        body: Duration::from_secs(4),
        cancel: Duration::from_millis(300),
        stall: Duration::from_millis(300),
    };
    options
}

/// Sends the same bytes to everyone (after the request's head has come), then closes or hangs.
async fn raw_server(bytes: &'static [u8], then_hang: bool) -> (SocketAddr, Arc<Mutex<usize>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let count = Arc::new(Mutex::new(0));
    let counter = Arc::clone(&count);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            *counter.lock().unwrap() += 1;
            tokio::spawn(async move {
                let mut head = Vec::new();
                let mut buffer = [0; 4096];
                while !head.windows(4).any(|four| four == b"\r\n\r\n") {
                    match stream.read(&mut buffer).await {
                        Ok(0) | Err(_) => return,
                        Ok(read) => head.extend_from_slice(&buffer[..read]),
                    }
                }
                let _ = stream.write_all(bytes).await;
                let _ = stream.flush().await;
                if then_hang {
                    std::future::pending::<()>().await;
                }
            });
        }
    });
    (address, count)
}

fn answer(status: u16, body: &Value) -> Response<Body> {
    Response::builder()
        .status(status)
        .header("content-type", "application/json")
        .body(Body::from(body.to_string()))
        .unwrap()
}

fn empty(status: u16) -> Response<Body> {
    Response::builder().status(status).body(Body::empty()).unwrap()
}

fn html(status: u16) -> Response<Body> {
    Response::builder()
        .status(status)
        .header("content-type", "text/html; charset=utf-8")
        .body(Body::from("<!DOCTYPE html><html><body>Login</body></html>"))
        .unwrap()
}

fn redirect(to: &str) -> Response<Body> {
    Response::builder().status(302).header("location", to).body(Body::empty()).unwrap()
}

fn token_answer(token: &str) -> Response<Body> {
    answer(200, &json!({"access_token": token, "expires_in": 3600, "token_type": "Bearer"}))
}

/// One RSA key for all tests; making one takes a while.
fn rsa() -> &'static KeyPair {
    static KEY: OnceLock<KeyPair> = OnceLock::new();
    KEY.get_or_init(|| KeyPair::generate(KeySize::Rsa2048).unwrap())
}

fn pkcs8_der() -> Vec<u8> {
    let der: Pkcs8V1Der<'_> = rsa().as_der().unwrap();
    der.as_ref().to_vec()
}

fn public_der() -> Vec<u8> {
    rsa().public_key().as_ref().to_vec()
}

fn pem(label: &str, der: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in der.chunks(3) {
        let bits = (0..3).fold(0u32, |bits, i| bits << 8 | u32::from(*group.get(i).unwrap_or(&0)));
        for i in 0..4 {
            let letter = ALPHABET[(bits >> (18 - 6 * i)) as usize & 63] as char;
            text.push(if i <= group.len() { letter } else { '=' });
        }
    }
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

fn key_json(token_uri: &str, private_key: &str) -> Value {
    json!({
        "client_id": "675e4411aff9743ade32a0acfd072b46", "ip_range": null, "issued": "2026-11-22T09:00:00",
        "key_id": "da39a3ee", "private_key": private_key, "title": "test", "token_uri": token_uri, "user_id": "n00015mf"
    })
}

fn write_key(path: &std::path::Path, content: &str, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, content).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn key_for(token_uri: &str) -> ServiceKey {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key.json");
    write_key(&path, &key_json(token_uri, &pem("PRIVATE KEY", &pkcs8_der())).to_string(), 0o600);
    ServiceKey::load(&path).unwrap()
}
