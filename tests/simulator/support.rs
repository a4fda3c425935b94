//! A small client that knows the wire, for the tests only.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clmsfs::simulator::{Options, Scenario, Simulator, World, start};
use reqwest::{Method, Response};
use serde_json::{Value, json};

pub(crate) const CLC: &str = "0407d497d3c44bcd93ce8fd5bf78596a";
pub(crate) const CLC_RASTER: &str = "3d9e2413-46ca-4f6e-abf8-b6eb429a4e48";
pub(crate) const CLC_NAME: &str = "u2018_clc2018_v2020_20u1_raster100m";
pub(crate) const CLC_GPKG: &str = "71a52224-0b24-4ecf-804c-a676c0017922";

/// Delays short enough for a test, rasters small enough too.
pub(crate) const QUICK: &str = "queued = \"60ms\"\nrunning = \"60ms\"\nraster_size = 200\n";

pub(crate) async fn simulator(more: &str) -> Simulator {
    simulator_of(more, None).await
}

pub(crate) async fn simulator_of(more: &str, world: Option<World>) -> Simulator {
    let scenario = Scenario::from_toml(&format!("{QUICK}{more}")).unwrap();
    start(Options { scenario, world, ..Options::default() }).await.unwrap()
}

/// Polls until there is an answer; a state that never comes ends the test with its name.
pub(crate) async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut pace = tokio::time::interval(Duration::from_millis(10));
    loop {
        if let Some(found) = ask().await {
            return found;
        }
        assert!(Instant::now() < deadline, "waited too long for: {what}");
        pace.tick().await;
    }
}

pub(crate) fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64
}

/// A JWT signed with a service key.
pub(crate) fn sign(key: &Value, claims: &Value) -> String {
    let signer =
        jsonwebtoken::EncodingKey::from_rsa_pem(key["private_key"].as_str().unwrap().as_bytes()).unwrap();
    jsonwebtoken::encode(&jsonwebtoken::Header::new(jsonwebtoken::Algorithm::RS256), claims, &signer).unwrap()
}

/// The claims of an ordinary request for a token.
pub(crate) fn claims(key: &Value) -> Value {
    json!({
        "iss": key["client_id"], "sub": key["user_id"], "aud": key["token_uri"],
        "iat": now() - 60, "exp": now() + 3000,
    })
}

/// A client with a token.
pub(crate) struct Client {
    pub(crate) http: reqwest::Client,
    pub(crate) api: String,
    pub(crate) token: String,
}

impl Client {
    pub(crate) async fn of(simulator: &Simulator) -> Self {
        Self::with_key(simulator.api(), simulator.service_key()).await
    }

    pub(crate) async fn with_key(api: &str, key: &Value) -> Self {
        let http = client();
        let answer = token_request(&http, key).await;
        assert_eq!(answer.status(), 200);
        let token = answer.json::<Value>().await.unwrap()["access_token"].as_str().unwrap().to_owned();
        Self { http, api: api.to_owned(), token }
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.http
            .request(method, format!("{}/{path}", self.api))
            .header("Accept", "application/json")
            .bearer_auth(&self.token)
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        self.request(Method::GET, path).send().await.unwrap()
    }

    pub(crate) async fn order(&self, dataset: &str, file: &str) -> Response {
        let body = json!({ "Datasets": [{ "DatasetID": dataset, "FileID": file }] });
        self.request(Method::POST, "@datarequest_post").json(&body).send().await.unwrap()
    }

    /// Orders and expects a task.
    pub(crate) async fn ordered(&self, dataset: &str, file: &str) -> String {
        let answer = self.order(dataset, file).await;
        assert_eq!(answer.status(), 201);
        answer.json::<Value>().await.unwrap()["TaskIds"][0]["TaskID"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn status(&self, task: &str) -> Value {
        self.get(&format!("@datarequest_status_get?TaskID={task}")).await.json().await.unwrap()
    }

    /// Polls until the task says this status.
    pub(crate) async fn reaches(&self, task: &str, status: &str) -> Value {
        until(status, async || Some(self.status(task).await).filter(|task| task["Status"] == status)).await
    }

    /// Orders, waits, and gives the finished task.
    pub(crate) async fn finished(&self, dataset: &str, file: &str) -> Value {
        let task = self.ordered(dataset, file).await;
        self.reaches(&task, "Finished_ok").await
    }

    pub(crate) async fn requests(&self) -> Value {
        let url = format!("{}/_simulator/requests", self.api.trim_end_matches("/api"));
        self.http.get(url).send().await.unwrap().json().await.unwrap()
    }
}

pub(crate) fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().user_agent("clmsfs-test").build().unwrap()
}

pub(crate) async fn token_request(http: &reqwest::Client, key: &Value) -> Response {
    let form = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer".to_owned()),
        ("assertion", sign(key, &claims(key))),
    ];
    http.post(key["token_uri"].as_str().unwrap()).form(&form).send().await.unwrap()
}

pub(crate) fn link(task: &Value) -> &str {
    task["DownloadURL"].as_str().unwrap()
}
