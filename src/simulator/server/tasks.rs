//! Ordering, watching and cancelling.

use std::{collections::BTreeSet, sync::Arc};

use axum::{
    http::{HeaderValue, header},
    response::Response,
};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Behaviour, Server, reply, request::Call};
use crate::simulator::{
    fault::{OrderEffect, Outcome},
    order::{self, CutOut, Order, OrderedPackage, Refusal},
    package::{Part, Recipe, Theme},
    registry::Entry,
    scenario::Endpoint,
    task::{File, Made, STATUS_WORDS, Task, View},
    world,
};

/// The products that a request is about, for fault rules.
pub(crate) fn products_of(
    server: &Server,
    behaviour: &Behaviour,
    call: &Call,
    endpoint: Endpoint,
) -> Vec<String> {
    let of_task = |id: Option<&str>| {
        id.and_then(|id| server.registry().get(id).map(|entry| entry.products.clone())).unwrap_or_default()
    };
    match endpoint {
        Endpoint::Status => of_task(call.parameter("TaskID")),
        Endpoint::Delete => of_task(task_id(&call.body).ok().flatten().as_deref()),
        Endpoint::Download => call
            .route
            .download()
            .and_then(|id| server.registry().by_fme_id(id).map(|entry| entry.products.clone()))
            .unwrap_or_default(),
        Endpoint::Post => order::check(&behaviour.world, &call.body, Vec::new())
            .map(|order| products(&order))
            .unwrap_or_default(),
        _ => Vec::new(),
    }
}

fn products(order: &Order) -> Vec<String> {
    order.packages.iter().map(|ordered| ordered.package.name.clone()).collect()
}

fn refused(refusal: &Refusal) -> Response {
    match refusal {
        Refusal::Message(message) => reply::error(400, message),
        Refusal::Crash(message, kind) => reply::view(500, message, kind),
    }
}

/// What goes to FME as one task.
#[derive(Clone)]
struct Job {
    datasets: Vec<Value>,
    products: Vec<String>,
    parts: Vec<Part>,
    effects: Vec<OrderEffect>,
}

pub(crate) fn post(server: &Arc<Server>, behaviour: &Behaviour, call: &Call, user: &str) -> Response {
    let now = Timestamp::now();
    let mut registry = server.registry();
    let order = match order::check(&behaviour.world, &call.body, registry.open_datasets(user, now)) {
        Ok(order) => order,
        Err(refusal) => return refused(&refusal),
    };
    server.log().ordered(&products(&order));
    let (mut taken, mut failed) = (Vec::new(), Vec::new());
    for job in jobs(order, behaviour) {
        let outcome = job.effects.iter().find_map(|effect| match effect {
            OrderEffect::Outcome(outcome) => Some(*outcome),
            _ => None,
        });
        let outcome = outcome.unwrap_or_default();
        let twin = job.effects.contains(&OrderEffect::Doubled).then(|| job.clone());
        let mut register = |job: &Job| {
            let fme_id = registry.next_fme_id();
            registry.add(Entry {
                task: Task {
                    user_id: user.to_owned(),
                    datasets: job.datasets.clone(),
                    registered: now,
                    fme_id,
                    schedule: behaviour.scenario.schedule(),
                    outcome,
                    cancelled: None,
                    file: File::InTheMaking,
                    download_url: format!("{}/clmsdatadownload/results/{fme_id}.zip", call.origin()),
                },
                products: job.products.clone(),
                effects: job.effects.clone(),
                outer: None,
            })
        };
        if let Some(twin) = twin {
            let id = register(&twin);
            tokio::spawn(make(Arc::clone(server), id, twin.parts, behaviour.scenario.raster_size));
        }
        let id = register(&job);
        if outcome == Outcome::FmeRefuses {
            failed.push(json!({ "TaskID": id }));
            continue;
        }
        tokio::spawn(make(Arc::clone(server), id.clone(), job.parts, behaviour.scenario.raster_size));
        taken.push(json!({ "TaskID": id }));
    }
    if taken.is_empty() && !failed.is_empty() {
        return reply::error(500, "Error, all requests failed");
    }
    reply::service(201, &json!({ "ErrorTaskIds": failed, "TaskIds": taken }))
}

/// At most two: all packages, and all cut-outs.
fn jobs(order: Order, behaviour: &Behaviour) -> Vec<Job> {
    let mut jobs = Vec::new();
    if !order.packages.is_empty() {
        let products = products(&order);
        let mut stems = BTreeSet::new();
        let parts = order.packages.iter().map(part).filter(|part| stems.insert(part.stem.clone())).collect();
        let effects = behaviour.faults.of_order(&products);
        let datasets = order.packages.into_iter().map(|ordered| ordered.stored).collect();
        jobs.push(Job { datasets, products, parts, effects });
    }
    if !order.cut_outs.is_empty() {
        let parts =
            order.cut_outs.iter().enumerate().map(|(index, cut_out)| cut_out_part(index, cut_out)).collect();
        let datasets = order.cut_outs.into_iter().map(|cut_out| cut_out.stored).collect();
        let effects = behaviour.faults.of_order(&[]);
        jobs.push(Job { datasets, products: Vec::new(), parts, effects });
    }
    jobs
}

fn part(ordered: &OrderedPackage) -> Part {
    Part {
        stem: world::package_stem(&ordered.package.path).to_owned(),
        recipe: Arc::clone(&ordered.package.recipe),
    }
}

fn cut_out_part(index: usize, cut_out: &CutOut) -> Part {
    let corner = |position: usize| cut_out.stored["BoundingBox"][position].as_f64();
    let (west, north, east) = match (corner(0), corner(1), corner(2), corner(3)) {
        (Some(west), Some(first), Some(east), Some(second)) => (west, first.max(second), east),
        _ => (9.0, 47.0, 10.0),
    };
    let area = if cut_out.stored.get("BoundingBox").is_some() { "bbox" } else { "nuts" };
    let uid = cut_out.stored["DatasetID"].as_str().unwrap_or("dataset");
    let degrees = (east - west).abs().clamp(0.01, 20.0);
    let recipe = Recipe::CutOut { theme: Theme::Imperviousness, west, north, degrees };
    Part { stem: format!("{uid}_{area}_{index}"), recipe: Arc::new(recipe) }
}

/// Makes the task's file in the background and notes how it went.
async fn make(server: Arc<Server>, id: String, parts: Vec<Part>, raster_size: u32) {
    let made = tokio::select! {
        made = server.packages.outer(parts, raster_size) => made,
        () = server.closing.cancelled() => return,
    };
    let at = Timestamp::now();
    let mut registry = server.registry();
    match made {
        Ok(outer) => {
            let wrong =
                registry.get(&id).is_some_and(|entry| entry.effects.contains(&OrderEffect::WrongFileSize));
            let file_size = if wrong { outer.bytes + 1000 } else { outer.bytes };
            registry.set_file(&id, File::Made(Made { at, file_size }), Some(Arc::new(outer)));
        }
        Err(error) => {
            tracing::warn!(task = %id, %error, "failed to make a package");
            registry.set_file(&id, File::Failed(at), None);
        }
    }
}

/// A task as it is told: by the service's clock, with a link to its file host.
fn told(behaviour: &Behaviour, task: &Task, view: &View) -> Value {
    let mut json = task.json(view, behaviour.scenario.clock);
    if let (Some(host), Some(Value::String(link))) =
        (&behaviour.scenario.link_host, json.get_mut("DownloadURL"))
        && let Some((_, path)) = link.trim_start_matches("http://").split_once('/')
    {
        *link = if host.contains("://") { format!("{host}/{path}") } else { format!("http://{host}/{path}") };
    }
    json
}

/// Any user may read any task.
pub(crate) fn status(server: &Server, behaviour: &Behaviour, call: &Call) -> Response {
    let Some(id) = call.parameter("TaskID").filter(|id| !id.is_empty()) else {
        return reply::error(400, "Error, TaskID not defined");
    };
    let registry = server.registry();
    match registry.get(id).and_then(|entry| Some((entry, entry.task.at(Timestamp::now())?))) {
        Some((entry, view)) => reply::service(200, &told(behaviour, &entry.task, &view)),
        None => reply::error(404, "Error, the task does not exist"),
    }
}

pub(crate) fn search(server: &Server, behaviour: &Behaviour, call: &Call, user: &str) -> Response {
    let status = call.parameter("status").filter(|status| !status.is_empty());
    if status.is_some_and(|status| !STATUS_WORDS.contains(&status)) {
        return reply::error(400, "Error, status not recognized");
    }
    let write = |task: &Task, view: &View| told(behaviour, task, view);
    reply::service(200, &Value::Object(server.registry().search(user, status, Timestamp::now(), write)))
}

/// The id in a DELETE body, as a text or as a number.
fn task_id(body: &[u8]) -> Result<Option<String>, Refusal> {
    Ok(match order::body(body)?.get("TaskID") {
        Some(Value::String(id)) if !id.is_empty() => Some(id.clone()),
        Some(Value::Number(id)) => Some(id.to_string()),
        _ => None,
    })
}

/// 403 for an unknown task and 404 for somebody else's: swapped, and so on the real service.
pub(crate) fn delete(server: &Server, call: &Call, user: &str) -> Response {
    let id = match task_id(&call.body) {
        Ok(Some(id)) => id,
        Ok(None) => return reply::error(400, "Error, TaskID not defined"),
        Err(refusal) => return refused(&refusal),
    };
    let now = Timestamp::now();
    let mut registry = server.registry();
    let known = registry.get_mut(&id).filter(|entry| entry.task.at(now).is_some());
    let Some(entry) = known else { return reply::error(403, "Error, TaskID not registered") };
    if !entry.task.user_id.contains(user) {
        return reply::error(404, "Error, permission denied");
    }
    entry.task.cancelled = Some(now);
    let mut response = reply::empty(204);
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}
