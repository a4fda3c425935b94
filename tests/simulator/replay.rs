//! The recorded exchanges, asked again: status, headers and body must come back as recorded.
//!
//! Bodies are compared as JSON (short ones byte for byte), after what must differ was put aside: times, task ids,
//! FME's numbers and links. The world is the recorded server's (`world.json`); `Host` is the recorded one, so that
//! even addresses are equal.

use std::collections::{BTreeMap, HashMap};

use clmsfs::simulator::{Scenario, Simulator, World};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{
    replay_grants::assertion,
    support::{client, simulator_of, until},
};

const HOST: &str = "127.0.0.1:18080";
const FIXTURE: &str = include_str!("../fixtures/simulator/transcripts.json");
const WORLD: &str = include_str!("../fixtures/simulator/world.json");
/// What the recorded FME did with some of the packages.
const FAULTS: &str = "
[[fault]]
file = \"IMD_FAILS\"
outcome = \"finished_nok\"
[[fault]]
file = \"IMD_REJECTED\"
outcome = \"fme_refuses\"
[[fault]]
file = \"IMD_HANG\"
outcome = \"stuck_queued\"
";

#[derive(Deserialize)]
struct Fixture {
    datasets: Vec<Value>,
    groups: BTreeMap<String, Vec<Exchange>>,
}

#[derive(Deserialize)]
struct Exchange {
    label: String,
    method: String,
    path: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    body: Option<String>,
    #[serde(default)]
    user: Option<String>,
    status: u16,
    #[serde(default)]
    answer_headers: BTreeMap<String, String>,
    answer_text: Option<String>,
    answer: Option<Value>,
    prefix: Option<String>,
    history: Option<Map<String, Value>>,
    #[serde(default)]
    repeats: usize,
}

impl Exchange {
    /// Why it cannot be replayed, if so.
    fn impossible(&self, group: &str) -> Option<&'static str> {
        let manager = self.headers.get("Authorization").is_some_and(|value| value.starts_with("Basic"));
        if manager {
            return Some("asked with a manager's password, which the simulator does not have");
        }
        if group == "09-more" && self.label == "status after" {
            return Some("shows what a manager's PATCH left behind");
        }
        None
    }
}

struct Replay {
    simulator: Simulator,
    http: reqwest::Client,
    datasets: Vec<Value>,
    /// Service keys by user.
    keys: HashMap<String, Value>,
    tokens: HashMap<String, String>,
    /// Recorded task ids → ours.
    tasks: HashMap<String, String>,
    overtaken: usize,
}

struct Answer {
    status: u16,
    headers: reqwest::header::HeaderMap,
    text: String,
}

#[tokio::test(flavor = "multi_thread")]
async fn every_recorded_exchange_is_answered_alike() {
    let fixture: Fixture = serde_json::from_str(FIXTURE).unwrap();
    let (mut replayed, mut folded, mut overtaken) = (0, 0, 0);
    let mut left_out: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut wrong = Vec::new();
    for (group, exchanges) in &fixture.groups {
        let mut replay = Replay::new(fixture.datasets.clone()).await;
        for exchange in exchanges {
            if let Some(reason) = exchange.impossible(group) {
                left_out.entry(reason).or_default().push(exchange.label.clone());
                continue;
            }
            replay.prepare(group, exchange);
            match replay.check(exchange).await {
                Ok(()) => replayed += 1,
                Err(difference) => wrong.push(format!("{group} / {}: {difference}", exchange.label)),
            }
            folded += exchange.repeats;
        }
        overtaken += replay.overtaken;
        replay.simulator.shutdown().await;
    }
    println!("{replayed} exchanges replayed, standing for {} recorded ones", replayed + folded);
    println!("{overtaken} polls met a task that was already further on");
    for (reason, labels) in &left_out {
        println!("{} left out ({reason}): {}", labels.len(), labels.join(", "));
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
    let left: usize = left_out.values().map(Vec::len).sum();
    assert_eq!(replayed + folded + left, 332);
    assert!(left <= 10, "{left} left out");
}

impl Replay {
    async fn new(datasets: Vec<Value>) -> Self {
        let scenario = format!("queued = \"1h\"\n{FAULTS}");
        let world = World::from_json(WORLD).unwrap();
        let simulator = simulator_of("", Some(world)).await;
        simulator.set_scenario(Scenario::from_toml(&scenario).unwrap());
        let mut keys = HashMap::from([("first".to_owned(), simulator.service_key().clone())]);
        keys.insert("second".to_owned(), simulator.issue_key("n0002abc", None).await.unwrap());
        keys.insert(
            "elsewhere".to_owned(),
            simulator.issue_key("n00015mf", Some("10.0.0.0/8")).await.unwrap(),
        );
        let mut replay = Self {
            simulator,
            http: client(),
            datasets,
            keys,
            tokens: HashMap::new(),
            tasks: HashMap::new(),
            overtaken: 0,
        };
        for user in ["first", "second", "elsewhere"] {
            let jwt = assertion("ok", &replay.keys[user], HOST);
            let request =
                replay.http.post(format!("{}/@@oauth2-token", replay.origin())).header("Host", HOST);
            let form =
                [("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"), ("assertion", jwt.as_str())];
            let answer: Value = request.form(&form).send().await.unwrap().json().await.unwrap();
            replay.tokens.insert(user.to_owned(), answer["access_token"].as_str().unwrap().to_owned());
        }
        replay
    }

    fn origin(&self) -> &str {
        self.simulator.api().trim_end_matches("/api")
    }

    /// The pace that FME had at this point of the recording.
    fn prepare(&self, group: &str, exchange: &Exchange) {
        let pace = match (group, exchange.label.as_str()) {
            ("05-datarequest", "mixed prepackaged + area") => "queued = \"600ms\"\nrunning = \"600ms\"",
            ("05-datarequest", "slow to cancel") => "queued = \"100ms\"\nrunning = \"1h\"",
            _ => return,
        };
        self.simulator
            .set_scenario(Scenario::from_toml(&format!("raster_size = 64\n{pace}\n{FAULTS}")).unwrap());
    }

    /// Replaces recorded task ids by ours.
    fn ours(&self, text: &str) -> String {
        self.tasks.iter().fold(text.to_owned(), |text, (recorded, ours)| text.replace(recorded, ours))
    }

    async fn ask(&self, exchange: &Exchange) -> Answer {
        let user = exchange.user.as_deref().unwrap_or("first");
        let jwt = || {
            assertion(
                &exchange.label,
                &self.keys[if exchange.label.contains("iprange") { "elsewhere" } else { user }],
                HOST,
            )
        };
        let mut path = self.ours(&exchange.path);
        if path.contains("<JWT>") {
            path = path.replace("<JWT>", &jwt());
        }
        let method = exchange.method.parse().unwrap();
        let mut request = self.http.request(method, format!("{}{path}", self.origin())).header("Host", HOST);
        for (name, value) in &exchange.headers {
            let mut value = value.replace("<token>", &self.tokens[user]);
            if exchange.label.contains("lower-case scheme") {
                value = value.replace("Bearer", "bearer");
            }
            request = request.header(name, value);
        }
        if let Some(body) = &exchange.body {
            let body = self.ours(body);
            request = match exchange.label.as_str() {
                "latin1 bytes" => request.body(
                    body.replace('\u{fffd}', "?")
                        .bytes()
                        .map(|byte| if byte == b'?' { 0xe9 } else { byte })
                        .collect::<Vec<u8>>(),
                ),
                _ if body.contains("<JWT>") => request.body(body.replace("<JWT>", &jwt())),
                _ => request.body(body),
            };
        }
        let answer = request.send().await.unwrap();
        Answer {
            status: answer.status().as_u16(),
            headers: answer.headers().clone(),
            text: answer.text().await.unwrap(),
        }
    }

    async fn check(&mut self, exchange: &Exchange) -> Result<(), String> {
        // Asking about tasks is asking until the recorded state is there.
        let about_tasks =
            exchange.method == "GET" && exchange.path.contains("@datarequest_s") && exchange.status == 200;
        if !about_tasks || exchange.history.is_some() {
            let answer = self.ask(exchange).await;
            return self.compare(exchange, &answer);
        }
        let mut last = String::new();
        let mut overtaken = false;
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        let matched = until("a recorded state", async || {
            let answer = self.ask(exchange).await;
            let compared = self.equal(exchange, &answer);
            if let Err(difference) = &compared {
                overtaken = rank(exchange.answer.as_ref().or(parsed(exchange).as_ref()))
                    < rank(parse(&answer.text).as_ref());
                if !overtaken && std::time::Instant::now() < deadline {
                    return None;
                }
                return Some(Err(difference.clone()));
            }
            Some(compared)
        })
        .await;
        if let Err(difference) = matched {
            last = difference;
        }
        if overtaken && exchange.label.contains("poll") {
            self.overtaken += 1;
            return Ok(());
        }
        if last.is_empty() { Ok(()) } else { Err(last) }
    }

    fn compare(&mut self, exchange: &Exchange, answer: &Answer) -> Result<(), String> {
        self.learn(exchange, answer);
        self.equal(exchange, answer)
    }

    /// Pairs recorded task ids with ours.
    fn learn(&mut self, exchange: &Exchange, answer: &Answer) {
        let Some(ours) = parse(&answer.text) else { return };
        if let Some(recorded) = parsed(exchange) {
            for list in ["TaskIds", "ErrorTaskIds"] {
                let ids = |value: &Value| -> Vec<String> {
                    let list = value[list].as_array().cloned().unwrap_or_default();
                    list.iter().filter_map(|task| task["TaskID"].as_str().map(str::to_owned)).collect()
                };
                self.tasks.extend(ids(&recorded).into_iter().zip(ids(&ours)));
            }
        }
        // A task that FME refused was never named: it is the one that is new in the history.
        if let (Some(history), Some(found)) = (&exchange.history, ours.as_object()) {
            let unknown: Vec<_> =
                history.keys().filter(|id| !self.tasks.contains_key(*id)).cloned().collect();
            let unnamed: Vec<_> =
                found.keys().filter(|id| !self.tasks.values().any(|known| &known == id)).cloned().collect();
            if unknown.len() == unnamed.len() {
                self.tasks.extend(unknown.into_iter().zip(unnamed));
            }
        }
    }

    fn equal(&self, exchange: &Exchange, answer: &Answer) -> Result<(), String> {
        if answer.status != exchange.status {
            return Err(format!("status {} instead of {}: {}", answer.status, exchange.status, answer.text));
        }
        for (name, value) in &exchange.answer_headers {
            let found = answer.headers.get(name).and_then(|value| value.to_str().ok());
            if found != Some(value) {
                return Err(format!("header {name} is {found:?} instead of {value}"));
            }
        }
        if let Some(history) = &exchange.history {
            let expected: BTreeMap<String, Value> = history
                .iter()
                .map(|(id, index)| (self.ours(id), self.datasets[index.as_u64().unwrap() as usize].clone()))
                .collect();
            let found: BTreeMap<String, Value> = parse(&answer.text)
                .and_then(|value| value.as_object().cloned())
                .unwrap_or_default()
                .into_iter()
                .map(|(id, task)| (id, task["Datasets"].clone()))
                .collect();
            return differ(&json!(expected), &json!(found));
        }
        if let Some(prefix) = &exchange.prefix {
            let (prefix, text) = (without_times(prefix), without_times(&answer.text));
            let at = prefix.bytes().zip(text.bytes()).position(|(left, right)| left != right);
            return match at {
                None if text.len() >= prefix.len() => Ok(()),
                _ => {
                    let at = at.unwrap_or(text.len()).saturating_sub(60);
                    let part = |text: &str| text.chars().skip(at).take(160).collect::<String>();
                    Err(format!("recorded …{}… here …{}…", part(&prefix), part(&text)))
                }
            };
        }
        if let Some(expected) = &exchange.answer_text
            && parse(expected).is_none_or(|value| !has_volatile(&value))
            && &answer.text != expected
        {
            return Err(format!("recorded {expected:?} here {:?}", answer.text));
        }
        match (parsed(exchange), parse(&answer.text)) {
            (Some(recorded), Some(ours)) => differ(&self.neutral(recorded), &self.neutral(ours)),
            (None, _) => Ok(()),
            (Some(_), None) => Err(format!("not JSON: {}", answer.text)),
        }
    }

    /// Puts aside what must differ, after looking whether it has the right form.
    fn neutral(&self, value: Value) -> Value {
        match value {
            Value::Array(items) => items.into_iter().map(|item| self.neutral(item)).collect(),
            Value::Object(map) => {
                let number = map.get("FMETaskId").cloned();
                map.into_iter()
                    .map(|(name, value)| {
                        let name = self.tasks.get(&name).cloned().unwrap_or(name);
                        let value = match name.as_str() {
                            "Datasets" if value.is_number() => {
                                self.datasets[value.as_u64().unwrap() as usize].clone()
                            }
                            "RegistrationDateTime" | "FinalizationDateTime" => {
                                json!(without_times(value.as_str().unwrap()))
                            }
                            "created" | "modified" | "CreationDate" | "Date" | "ModificationDate" => {
                                json!("<time>")
                            }
                            "FMETaskId" | "FileSize" => {
                                json!(value.as_u64().is_some_and(|number| number > 0))
                            }
                            "TaskID" => json!(
                                self.tasks
                                    .get(value.as_str().unwrap())
                                    .cloned()
                                    .unwrap_or(value.as_str().unwrap().to_owned())
                            ),
                            "DownloadURL" => {
                                let end =
                                    format!("/clmsdatadownload/results/{}.zip", number.as_ref().unwrap());
                                json!(value.as_str().unwrap().ends_with(&end))
                            }
                            "access_token" => {
                                json!(value == "<88 chars>" || value.as_str().unwrap().len() == 88)
                            }
                            _ => self.neutral(value),
                        };
                        (name, value)
                    })
                    .collect::<Map<_, _>>()
                    .into()
            }
            other => other,
        }
    }
}

fn parse(text: &str) -> Option<Value> {
    serde_json::from_str(text).ok()
}

fn parsed(exchange: &Exchange) -> Option<Value> {
    exchange.answer.clone().or_else(|| parse(exchange.answer_text.as_ref()?))
}

fn has_volatile(value: &Value) -> bool {
    let text = value.to_string();
    ["TaskID", "access_token", "DateTime", "created"].iter().any(|name| text.contains(name))
}

/// How far a task is: FME known, status.
fn rank(task: Option<&Value>) -> Option<(usize, bool)> {
    let status = task?.get("Status")?.as_str()?;
    let order = ["Queued", "In_progress", "Finished_ok", "Finished_nok", "Cancelled"];
    let position = order.iter().position(|known| *known == status)?;
    Some((position, task?.get("FMETaskId").is_some()))
}

/// Every `2026-11-22T09:05:19.290220+00:00` becomes a pattern of the same length.
fn without_times(text: &str) -> String {
    let is_time = |bytes: &[u8]| {
        bytes.iter().zip(b"0000-00-00T00:00:00").all(|(byte, form)| match form {
            b'0' => byte.is_ascii_digit(),
            _ => byte == form,
        })
    };
    let mut bytes = text.as_bytes().to_vec();
    let mut at = 0;
    while at + 19 <= bytes.len() {
        if is_time(&bytes[at..at + 19]) {
            let end =
                bytes[at..].iter().position(|byte| *byte == b'"').map_or(bytes.len(), |length| at + length);
            for byte in &mut bytes[at..end] {
                if byte.is_ascii_digit() {
                    *byte = b'0';
                }
            }
            at = end;
        } else {
            at += 1;
        }
    }
    String::from_utf8(bytes).unwrap()
}

fn differ(recorded: &Value, ours: &Value) -> Result<(), String> {
    match (recorded, ours) {
        (Value::Object(left), Value::Object(right)) => {
            for (name, value) in left {
                let other = right.get(name).ok_or_else(|| format!("{name} is missing"))?;
                differ(value, other).map_err(|difference| format!("{name}: {difference}"))?;
            }
            match right.keys().find(|name| !left.contains_key(*name)) {
                Some(name) => Err(format!("{name} is too much")),
                None => Ok(()),
            }
        }
        (Value::Array(left), Value::Array(right)) if left.len() == right.len() => {
            left.iter().zip(right).try_for_each(|(left, right)| differ(left, right))
        }
        _ if recorded == ours => Ok(()),
        _ => Err(format!("recorded {recorded} here {ours}")),
    }
}
