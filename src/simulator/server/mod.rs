//! The HTTP side: one handler that understands a request, applies faults and asks the right endpoint.

mod catalogue;
mod control;
mod download;
mod listener;
mod log;
mod manner;
mod reply;
mod request;
mod route;
mod tasks;
mod token;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
    time::Instant,
};

use axum::{
    Router,
    extract::{ConnectInfo, Request, State},
    http::{HeaderValue, Method, StatusCode, header},
    response::Response,
};
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::{
    account::{Accounts, Caller},
    fault::{Faults, HttpEffect},
    package::Packages,
    registry::Registry,
    scenario::{DeleteBehaviour, Endpoint, Scenario},
    world::World,
};
pub(crate) use listener::{Listener, Peer};
use manner::Manner;
use request::Call;
use route::Prefix;

/// The behaviour in force; replaced as a whole.
#[derive(Debug)]
pub(crate) struct Behaviour {
    pub(crate) scenario: Scenario,
    pub(crate) faults: Faults,
    pub(crate) world: Arc<World>,
}

impl Behaviour {
    pub(crate) fn new(scenario: Scenario, world: Arc<World>) -> Self {
        let faults = Faults::new(scenario.faults.clone());
        Self { scenario, faults, world }
    }
}

/// Everything that the handlers share.
#[derive(Debug)]
pub(crate) struct Server {
    behaviour: RwLock<Arc<Behaviour>>,
    /// The world that is served when a scenario does not ask for a synthetic one.
    pub(crate) own_world: Arc<World>,
    accounts: Mutex<Accounts>,
    registry: Mutex<Registry>,
    log: Mutex<log::Log>,
    pub(crate) packages: Packages,
    /// Host and port for callers that send no `Host`.
    pub(crate) authority: String,
    pub(crate) closing: CancellationToken,
}

impl Server {
    pub(crate) fn new(
        scenario: Scenario,
        own_world: Arc<World>,
        packages: Packages,
        authority: String,
    ) -> Self {
        let world = served_world(&scenario, &own_world);
        Self {
            behaviour: RwLock::new(Arc::new(Behaviour::new(scenario, world))),
            own_world,
            accounts: Mutex::default(),
            registry: Mutex::default(),
            log: Mutex::default(),
            packages,
            authority,
            closing: CancellationToken::new(),
        }
    }

    pub(crate) fn behaviour(&self) -> Arc<Behaviour> {
        Arc::clone(&self.behaviour.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces behaviour, fault counts included; tasks that are still open follow the new pace.
    pub(crate) fn set_scenario(&self, scenario: Scenario) {
        self.registry().repace(scenario.schedule(), Timestamp::now());
        let world = if scenario.generate == self.behaviour().scenario.generate {
            Arc::clone(&self.behaviour().world)
        } else {
            served_world(&scenario, &self.own_world)
        };
        *self.behaviour.write().unwrap_or_else(PoisonError::into_inner) =
            Arc::new(Behaviour::new(scenario, world));
    }

    pub(crate) fn accounts(&self) -> MutexGuard<'_, Accounts> {
        lock(&self.accounts)
    }

    pub(crate) fn registry(&self) -> MutexGuard<'_, Registry> {
        lock(&self.registry)
    }

    pub(crate) fn log(&self) -> MutexGuard<'_, log::Log> {
        lock(&self.log)
    }

    /// Waits until the simulator closes: an answer that never comes.
    async fn hang(&self) -> Response {
        self.closing.cancelled().await;
        reply::empty(503)
    }
}

/// A poisoned lock only means that a handler died; its data is whole, for nothing is left half done in them.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn served_world(scenario: &Scenario, own: &Arc<World>) -> Arc<World> {
    scenario.generate.map_or_else(|| Arc::clone(own), |size| Arc::new(World::synthetic(size)))
}

/// The whole service as a router.
pub(crate) fn router(server: Arc<Server>) -> Router {
    Router::new().fallback(answer).with_state(server)
}

async fn answer(
    State(server): State<Arc<Server>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    request: Request,
) -> Response {
    let call = match Call::read(request, peer, &server.authority).await {
        Ok(call) => call,
        Err(refusal) => return refusal,
    };
    if call.route.path.starts_with("_simulator/") && call.route.prefix == Prefix::Root {
        return control::answer(&server, &call);
    }
    let endpoint = call.route.endpoint();
    let number = server.log().arrived(&log::Arrival {
        method: call.method.as_str(),
        target: &call.target,
        user_agent: call.header("user-agent"),
        range: call.header("range"),
        endpoint,
    });
    let behaviour = server.behaviour();
    let products = tasks::products_of(&server, &behaviour, &call, endpoint);
    let mut response = match behaviour.faults.of_request(endpoint, &products) {
        None => dispatch(&server, &behaviour, &call, endpoint, &Manner::default()).await,
        Some(effect) => match Manner::of(&effect, endpoint) {
            Some(manner) => {
                manner.begin(&server).await;
                let response = dispatch(&server, &behaviour, &call, endpoint, &manner).await;
                // the file host sends its bodies in that manner itself
                if endpoint == Endpoint::Download { response } else { manner.slow(&server, response).await }
            }
            None => struck(&server, &call, effect).await,
        },
    };
    put_date(&behaviour, &mut response);
    if call.method == Method::HEAD && endpoint != Endpoint::Download {
        *response.body_mut() = axum::body::Body::empty();
    }
    server.log().answered(number, response.status().as_u16());
    response
}

async fn struck(server: &Server, call: &Call, effect: HttpEffect) -> Response {
    match effect {
        HttpEffect::Status { code, retry_after, body } => {
            let text = StatusCode::from_u16(code).ok().and_then(|status| status.canonical_reason());
            let mut response = match body {
                Some(body) => reply::json_text(code, body),
                None => reply::html(code, text.unwrap_or("Simulated fault")),
            };
            if let Some(seconds) = retry_after {
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
            }
            response
        }
        HttpEffect::MalformedJson => reply::json_text(200, "{\"items\": [{\"@id\": \"http".to_owned()),
        HttpEffect::Html => reply::html(200, "Copernicus Land Monitoring Service"),
        HttpEffect::Hang => server.hang().await,
        HttpEffect::Reset => {
            call.peer.reset();
            reply::empty(200)
        }
        HttpEffect::Delay(_) | HttpEffect::Rate(_) | HttpEffect::Stall => {
            unreachable!("these are manners of a right answer")
        }
    }
}

/// The service's own clock, where it is not ours.
fn put_date(behaviour: &Behaviour, response: &mut Response) {
    if behaviour.scenario.clock.is_zero() {
        return;
    }
    let now = Timestamp::now() + behaviour.scenario.clock;
    let text = now.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    if let Ok(date) = HeaderValue::from_str(&text) {
        response.headers_mut().insert(header::DATE, date);
    }
}

async fn dispatch(
    server: &Arc<Server>,
    behaviour: &Behaviour,
    call: &Call,
    endpoint: Endpoint,
    manner: &Manner,
) -> Response {
    if endpoint == Endpoint::Download {
        return download::answer(server, behaviour, call, manner);
    }
    let caller = server.accounts().caller(call.header("authorization"), call.peer.address, Instant::now());
    if caller == Caller::Expired {
        return reply::expired_token();
    }
    if endpoint == Endpoint::Token {
        return token::answer(server, behaviour, call);
    }
    if call.method == Method::OPTIONS {
        return options();
    }
    if call.route.prefix != Prefix::Traversal && !call.accepts_json() {
        return call.refuse_accept();
    }
    let user = match &caller {
        Caller::User(user) => Some(user.as_str()),
        _ => None,
    };
    let hangs = behaviour.scenario.delete == DeleteBehaviour::Hangs;
    match (&call.method, call.route.path.as_str(), user) {
        (&Method::GET, "@search", _) => catalogue::search(behaviour, call),
        (&Method::GET, "@get_catalogapi_dates", _) => catalogue::dates(call),
        (&Method::POST, "@datarequest_post", Some(user)) => tasks::post(server, behaviour, call, user),
        (&Method::GET, "@datarequest_status_get", Some(_)) => tasks::status(server, behaviour, call),
        (&Method::GET, "@datarequest_search", Some(user)) => tasks::search(server, behaviour, call, user),
        (&Method::DELETE, "@datarequest_delete", Some(_)) if hangs => server.hang().await,
        (&Method::DELETE, "@datarequest_delete", Some(user)) => tasks::delete(server, call, user),
        (&Method::GET, "@format_conversion_table", Some(_)) => catalogue::formats(),
        (&Method::GET, "@projections", Some(_)) => catalogue::projections(behaviour, call),
        (&Method::GET, "@nuts_name", Some(_)) => catalogue::nuts_name(call),
        (&Method::GET, "@get-time-series-metadata", Some(_)) => catalogue::time_series(behaviour, call),
        (&Method::GET, "@get-download-file-urls", Some(_)) => catalogue::file_urls(behaviour, call),
        // Plain users and strangers alike are refused what managers may do.
        (&Method::PATCH, "@datarequest_status_patch", _)
        | (&Method::GET, "@datarequest_inspect", _)
        | (&Method::DELETE, "@delete_data", _)
        | (&Method::POST, "@datarequest_post", None)
        | (&Method::DELETE, "@datarequest_delete", None)
        | (
            &Method::GET,
            "@datarequest_status_get"
            | "@datarequest_search"
            | "@format_conversion_table"
            | "@projections"
            | "@nuts_name"
            | "@get-time-series-metadata"
            | "@get-download-file-urls",
            None,
        ) => reply::unauthorized(),
        (&Method::GET, "", _) => catalogue::site(call),
        (&Method::GET, _, _) => catalogue::object(behaviour, call),
        _ => reply::not_found(&call.url()),
    }
}

fn options() -> Response {
    let mut response = reply::empty(200);
    let headers = response.headers_mut();
    let allowed =
        "GET, HEAD, POST, PUT, DELETE, OPTIONS, TRACE, PROPFIND, PROPPATCH, MKCOL, COPY, MOVE, LOCK, UNLOCK";
    headers.insert(header::ALLOW, HeaderValue::from_static(allowed));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("none"));
    headers.insert("dav", HeaderValue::from_static("1,2"));
    response
}
