//! An embedded CLMS on loopback; shares nothing with `clms` but the wire.
//!
//! It answers as the recorded server does (status, message and shape of every answer, check by check), runs
//! tasks through their life, and hands out generated packages like the producers'. It is what `clmsfs demo`, the
//! mount's tests and outsiders who write against the API talk to.
//!
//! * How it behaves, and misbehaves, is a [`Scenario`]: a TOML text, described in [`scenario`].
//! * What it offers is a [`World`]: the sample world, a synthetic one of any size, a folder of zips, or JSON.
//! * `/_simulator/` on the same port lets tests in other processes look and steer (none of it is counted):
//!   `GET requests` (counters by endpoint, orders and downloads per product, the last 1000 requests),
//!   `GET tokens` (every token that was ever given, to look for them where they must not be),
//!   `POST reset-log`, `PUT scenario` (TOML; replaces at once, tasks keep the delays they were ordered with),
//!   `POST revoke-tokens`.
//!
//! ```no_run
//! # async fn example() -> Result<(), clmsfs::simulator::SimulatorError> {
//! use clmsfs::simulator::{Options, start};
//!
//! let simulator = start(Options::default()).await?;
//! println!("{} {}", simulator.api(), simulator.service_key());
//! simulator.shutdown().await;
//! # Ok(())
//! # }
//! ```

mod account;
mod base64;
mod der;
mod fault;
mod grant;
mod order;
mod package;
mod query;
mod registry;
pub mod scenario;
mod search;
mod server;
mod task;
mod text;
mod world;

/// For the tests of those who read netCDF.
#[cfg(test)]
pub(crate) use package::classic;

use std::{
    fs::OpenOptions,
    io::{self, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use serde_json::Value;
use tokio::{net::TcpListener, task::JoinHandle};

pub use account::KeyError;
pub use fault::{Effect, Fault, HttpEffect, OrderEffect, Outcome};
pub use package::PackageError;
pub use scenario::{DeleteBehaviour, Endpoint, Generate, Scenario, ScenarioError};
pub use world::{FolderError, World, WorldError};

use package::Packages;
use server::{Listener, Peer, Server};

/// The user that the first service key belongs to.
pub const USER_ID: &str = "n00015mf";

/// How long a shutdown waits for answers that are under way.
const GRACE: Duration = Duration::from_secs(2);

/// How to start a simulator.
#[derive(Debug)]
pub struct Options {
    /// Where to listen; port 0 takes any free one.
    pub listen: SocketAddr,
    /// File to write the service key to (mode 0600, replaced if it is there).
    pub key_out: Option<PathBuf>,
    /// Folder of `*.zip` packages to offer beside the world, as the products of a dataset `data`
    /// (not while the scenario's `generate` replaces the world).
    pub data: Option<PathBuf>,
    /// How to behave.
    pub scenario: Scenario,
    /// What to offer; the sample world if nothing is given.
    pub world: Option<World>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
            key_out: None,
            data: None,
            scenario: Scenario::default(),
            world: None,
        }
    }
}

/// A simulator that cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum SimulatorError {
    /// The address is taken or not of this machine.
    #[error("cannot listen on {address}: {source}; port 0 takes any free one")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The key file cannot be written.
    #[error("the service key cannot be written to {}: {source}; name another file with --key-out", path.display())]
    KeyFile {
        /// The file asked for.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is no room for packages.
    #[error("no folder for packages can be made: {0}; set TMPDIR to a place with room")]
    Spool(#[source] io::Error),
    /// The data folder cannot be listed.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// No key could be made.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// A running simulator; it stops when [`Simulator::shutdown`] is called or the value is dropped.
#[derive(Debug)]
pub struct Simulator {
    server: Arc<Server>,
    api: String,
    token_uri: String,
    key: Value,
    key_path: Option<PathBuf>,
    serving: JoinHandle<io::Result<()>>,
}

/// Starts a simulator; when this returns, it answers.
///
/// # Errors
/// [`SimulatorError`] when the address, the key file or the data folder cannot be used.
pub async fn start(options: Options) -> Result<Simulator, SimulatorError> {
    let listen_failed = |source| SimulatorError::Listen { address: options.listen, source };
    let listener = TcpListener::bind(options.listen).await.map_err(listen_failed)?;
    let address = listener.local_addr().map_err(listen_failed)?;
    let host = match address.ip() {
        ip if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        ip => ip,
    };
    let authority = SocketAddr::new(host, address.port()).to_string();

    let mut world = options.world.unwrap_or_else(World::sample);
    if let Some(folder) = &options.data {
        world.add_folder(folder)?;
    }
    let packages = Packages::new().map_err(SimulatorError::Spool)?;
    let server = Arc::new(Server::new(options.scenario, Arc::new(world), packages, authority.clone()));

    let token_uri = format!("http://{authority}/@@oauth2-token");
    let key = issue_key(&server, &token_uri, USER_ID, None).await?;
    if let Some(path) = &options.key_out {
        write_key(path, &key).map_err(|source| SimulatorError::KeyFile { path: path.clone(), source })?;
    }

    let app = server::router(Arc::clone(&server)).into_make_service_with_connect_info::<Peer>();
    let closing = server.closing.clone();
    let serving = tokio::spawn(async move {
        axum::serve(Listener(listener), app).with_graceful_shutdown(closing.cancelled_owned()).await
    });
    let api = format!("http://{authority}/api");
    Ok(Simulator { server, api, token_uri, key, key_path: options.key_out, serving })
}

impl Simulator {
    /// Base address of the API, `http://127.0.0.1:PORT/api`.
    pub fn api(&self) -> &str {
        &self.api
    }

    /// Where the service key was written, if that was asked for.
    pub fn key_path(&self) -> Option<&Path> {
        self.key_path.as_deref()
    }

    /// The service key in the form that the real service hands out.
    pub fn service_key(&self) -> &Value {
        &self.key
    }

    /// Issues a key to another user, or one that works from some addresses only (`10.0.0.0/8, 192.168.1.1`).
    ///
    /// # Errors
    /// [`KeyError`] when the cryptographic library fails.
    pub async fn issue_key(&self, user_id: &str, ip_range: Option<&str>) -> Result<Value, KeyError> {
        issue_key(&self.server, &self.token_uri, user_id, ip_range).await
    }

    /// Changes the behaviour at once; counts of fault rules begin anew.
    pub fn set_scenario(&self, scenario: Scenario) {
        self.server.set_scenario(scenario);
    }

    /// Counters and the last requests, as `GET /_simulator/requests` gives them.
    pub fn requests(&self) -> Value {
        serde_json::to_value(&*self.server.log()).unwrap_or_default()
    }

    /// Stops: no new connection is taken, answers under way get two seconds.
    pub async fn shutdown(mut self) {
        self.server.closing.cancel();
        if tokio::time::timeout(GRACE, &mut self.serving).await.is_err() {
            tracing::debug!("some connections did not end by themselves");
        }
    }

    /// Serves until the listener fails, which it hardly ever does.
    ///
    /// Generated packages lie in a temporary folder that goes when the simulator is dropped: a program that ends
    /// on a signal should catch it and call [`Simulator::shutdown`], or drop this future, first.
    pub async fn wait(mut self) {
        if let Ok(Err(error)) = (&mut self.serving).await {
            tracing::error!(%error, "the simulator stopped serving");
        }
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.server.closing.cancel();
        self.serving.abort();
    }
}

/// Makes a key off the async threads (it takes tens of milliseconds) and lets the service know it.
async fn issue_key(
    server: &Server,
    token_uri: &str,
    user_id: &str,
    ip_range: Option<&str>,
) -> Result<Value, KeyError> {
    let (token_uri, user_id, ip_range) =
        (token_uri.to_owned(), user_id.to_owned(), ip_range.map(str::to_owned));
    let made =
        tokio::task::spawn_blocking(move || account::make_key(&user_id, &token_uri, ip_range.as_deref()));
    let (client_id, key, json) = made.await.map_err(|_| KeyError)??;
    server.accounts().add_key(client_id, key);
    Ok(json)
}

/// Never readable by others, not even for a moment: written aside with mode 0600, then renamed.
fn write_key(path: &Path, key: &Value) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.part", std::process::id()));
    let aside = path.with_file_name(name);
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&aside)?;
    file.write_all(format!("{key:#}\n").as_bytes())?;
    drop(file);
    std::fs::rename(&aside, path)
}
