//! The public catalogue and the small services around it.

use axum::response::Response;
use serde_json::{Map, Value, json};

use super::{Behaviour, reply, request::Call};
use crate::simulator::{
    order,
    search::{self, Crash},
    world,
};

pub(crate) fn search(behaviour: &Behaviour, call: &Call) -> Response {
    match search::answer(&behaviour.world, &call.url(), &call.base(), &call.raw_query) {
        Ok(answer) => reply::service(200, &answer),
        Err(Crash(message, kind)) => reply::view(500, &message, kind),
    }
}

/// The site itself.
pub(crate) fn site(call: &Call) -> Response {
    reply::service(200, &world::site(&call.base()))
}

/// One object by its path: 401 if it is private, whoever asks.
pub(crate) fn object(behaviour: &Behaviour, call: &Call) -> Response {
    match behaviour.world.by_path(&call.route.path) {
        Some(dataset) if dataset.private => reply::unauthorized(),
        Some(dataset) => reply::service(200, &world::full(&behaviour.world, &dataset, &call.base())),
        None => reply::not_found(&call.url()),
    }
}

pub(crate) fn formats() -> Response {
    reply::service(200, &order::format_table())
}

pub(crate) fn projections(behaviour: &Behaviour, call: &Call) -> Response {
    let list = match call.parameter("uid").filter(|uid| !uid.is_empty()) {
        None => order::projections(None),
        Some(uid) => behaviour
            .world
            .by_uid(uid)
            .map(|dataset| order::projections(Some(dataset.as_ref())))
            .unwrap_or_default(),
    };
    reply::service(200, &json!(list))
}

pub(crate) fn nuts_name(call: &Call) -> Response {
    let names: Map<String, Value> = call
        .parameter("nuts_ids")
        .unwrap_or_default()
        .split(',')
        .map(str::trim)
        .filter(|code| !code.is_empty())
        .map(|code| (code.to_owned(), json!(order::nuts_name(code))))
        .collect();
    reply::service(200, &Value::Object(names))
}

/// What a WMS without a time axis leads to; the simulator has no map services.
pub(crate) fn time_series(behaviour: &Behaviour, call: &Call) -> Response {
    let Some(uid) = call.parameter("dataset").filter(|uid| !uid.is_empty()) else {
        return reply::error(400, "dataset is required");
    };
    match behaviour.world.by_uid(uid) {
        None => reply::error(400, "The requested dataset is not valid"),
        Some(dataset) => {
            let field = |name: &str, default: Value| dataset.fields.get(name).cloned().unwrap_or(default);
            reply::service(
                200,
                &json!({
                    "download_limit_temporal_extent": field("download_limit_temporal_extent", json!(30)),
                    "mapviewer_istimeseries": field("mapviewer_istimeseries", json!(false)),
                }),
            )
        }
    }
}

/// Public; the simulator knows no acquisition dates.
pub(crate) fn dates(call: &Call) -> Response {
    match call.parameter("byoc") {
        None | Some("") => reply::error(400, "byoc is required"),
        Some(_) => reply::service(200, &json!({ "metadata": {}, "dates": [], "cached": null })),
    }
}

/// Direct links: none of the simulated sources has any, which the service says with 200.
pub(crate) fn file_urls(behaviour: &Behaviour, call: &Call) -> Response {
    let error = |message: &str| reply::service(400, &json!({ "message": message, "status": "error" }));
    let parameter = |name| call.parameter(name).filter(|value| !value.is_empty());
    let Some(uid) = parameter("dataset_uid") else {
        return error("Required parameters are missing: dataset_uid is mandatory");
    };
    let Some(dataset) = behaviour.world.by_uid(uid) else { return error("Dataset does not exist") };
    let Some(id) = parameter("download_information_id") else {
        return error("Required parameters are missing: download_information_id is mandatory");
    };
    let known = world::items(&dataset, "dataset_download_information");
    if !known.iter().any(|item| item.get("@id").and_then(Value::as_str) == Some(id)) {
        return error("Dataset collection does not exist");
    }
    reply::error(200, "There is no content between the selected dates, expand the date range to get links.")
}
