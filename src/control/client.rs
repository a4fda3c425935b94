//! Talks to a running mount over its socket.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::registry::{self, Registered};

/// Why a mount cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// No mount runs.
    #[error("no clmsfs mount of this user is running: start one with clmsfs mount MOUNTPOINT")]
    NoMount,
    /// The named mount does not run.
    #[error("{} is not a running clmsfs mount of this user{}", wanted.display(), list(running))]
    Unknown {
        /// What was asked for.
        wanted: PathBuf,
        /// What runs.
        running: Vec<PathBuf>,
    },
    /// Several run and none was named.
    #[error("several mounts are running: name one with --mount{}", list(running))]
    Several {
        /// What runs.
        running: Vec<PathBuf>,
    },
    /// The runtime directory cannot be read.
    #[error("the list of running mounts cannot be read: {0}")]
    Registry(#[from] std::io::Error),
    /// The mount does not answer.
    #[error("mount {} does not answer: {reason}; look into its log, or detach it with fusermount3 -uz", mountpoint.display())]
    Silent {
        /// Which.
        mountpoint: PathBuf,
        /// Why.
        reason: String,
    },
    /// The mount refuses.
    #[error("{0}")]
    Refused(String),
}

fn list(mounts: &[PathBuf]) -> String {
    let names: Vec<_> = mounts.iter().map(|path| path.display().to_string()).collect();
    if names.is_empty() { String::new() } else { format!(" (running: {})", names.join(", ")) }
}

/// A connection to one mount.
#[derive(Debug, Clone)]
pub struct Control {
    mount: Registered,
    http: reqwest::Client,
}

impl Control {
    /// Finds the mount at `mountpoint`, or the only one that runs.
    ///
    /// # Errors
    /// [`ControlError`] when there is none or more than one.
    pub fn find(mountpoint: Option<&Path>) -> Result<Self, ControlError> {
        let mut running = registry::running()?;
        let names = |running: &[Registered]| running.iter().map(|mount| mount.mountpoint.clone()).collect();
        let mount = match mountpoint {
            Some(wanted) => {
                let full = std::path::absolute(wanted)?;
                let named = running.iter().position(|mount| mount.mountpoint == full);
                // a path inside the mount means the mount; only then is the mount itself asked, which may hang
                let inside = || innermost(&running, &full.canonicalize().unwrap_or(full.clone()));
                match named.or_else(inside) {
                    Some(position) => running.swap_remove(position),
                    None => {
                        return Err(ControlError::Unknown {
                            wanted: wanted.to_owned(),
                            running: names(&running),
                        });
                    }
                }
            }
            None if running.len() > 1 => return Err(ControlError::Several { running: names(&running) }),
            None => running.pop().ok_or(ControlError::NoMount)?,
        };
        Self::to(mount)
    }

    /// A connection to a mount that is known to run.
    ///
    /// # Errors
    /// [`ControlError::Silent`] when there can be no connections at all.
    pub fn to(mount: Registered) -> Result<Self, ControlError> {
        let http = reqwest::Client::builder()
            .unix_socket(mount.socket.clone())
            .connect_timeout(Duration::from_secs(5))
            .build()
            .map_err(|error| ControlError::Silent {
                mountpoint: mount.mountpoint.clone(),
                reason: error.to_string(),
            })?;
        Ok(Self { mount, http })
    }

    /// The mount.
    pub fn mountpoint(&self) -> &Path {
        &self.mount.mountpoint
    }

    /// Process of the mount.
    pub fn pid(&self) -> u32 {
        self.mount.pid
    }

    /// Asks `path` (`/status`, `/jobs` …).
    ///
    /// # Errors
    /// [`ControlError::Silent`], [`ControlError::Refused`].
    pub async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<T, ControlError> {
        let request = self.http.get(format!("http://clmsfs{path}")).query(query);
        self.send(request, patience(path)).await
    }

    /// Asks `path` (`/metrics`, `/config`) for a text.
    ///
    /// # Errors
    /// [`ControlError::Silent`], [`ControlError::Refused`].
    pub async fn text(&self, path: &str) -> Result<String, ControlError> {
        let request = self.http.get(format!("http://clmsfs{path}"));
        let body = self.granted(request, patience(path)).await?;
        Ok(String::from_utf8_lossy(&body).into_owned())
    }

    /// Asks `path` with a body.
    ///
    /// # Errors
    /// [`ControlError::Silent`], [`ControlError::Refused`].
    pub async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, ControlError> {
        let request = self.http.post(format!("http://clmsfs{path}")).json(body);
        self.send(request, patience(path)).await
    }

    /// Asks the mount to go away.
    ///
    /// # Errors
    /// [`ControlError::Silent`].
    pub async fn stop(&self) -> Result<(), ControlError> {
        let request = self.http.post("http://clmsfs/stop");
        self.exchange(request, patience("/stop")).await.map(|_| ())
    }

    async fn send<T: DeserializeOwned>(
        &self,
        request: reqwest::RequestBuilder,
        patience: Option<Duration>,
    ) -> Result<T, ControlError> {
        let body = self.granted(request, patience).await?;
        serde_json::from_slice(&body).map_err(|error| self.silent(format!("its answer is unusable: {error}")))
    }

    /// The answer, if it is no refusal.
    async fn granted(
        &self,
        request: reqwest::RequestBuilder,
        patience: Option<Duration>,
    ) -> Result<Vec<u8>, ControlError> {
        let (status, body) = self.exchange(request, patience).await?;
        if status.is_success() {
            Ok(body)
        } else {
            Err(ControlError::Refused(String::from_utf8_lossy(&body).into_owned()))
        }
    }

    /// Sends a request and reads the whole answer, both within `patience`.
    async fn exchange(
        &self,
        request: reqwest::RequestBuilder,
        patience: Option<Duration>,
    ) -> Result<(reqwest::StatusCode, Vec<u8>), ControlError> {
        let exchange = async {
            let answer = request.send().await?;
            let status = answer.status();
            Ok((status, answer.bytes().await?.to_vec()))
        };
        let answer = match patience {
            None => exchange.await,
            Some(patience) => tokio::time::timeout(patience, exchange)
                .await
                .map_err(|_| self.silent(format!("nothing came for {} s", patience.as_secs_f64())))?,
        };
        answer.map_err(|error: reqwest::Error| self.silent(error.to_string()))
    }

    fn silent(&self, reason: String) -> ControlError {
        ControlError::Silent { mountpoint: self.mount.mountpoint.clone(), reason }
    }
}

/// Longest wait for a whole answer; `None` where the work itself may take hours.
fn patience(path: &str) -> Option<Duration> {
    match path {
        "/cache/verify" => None,
        // these write to disk, or ask the service
        "/reload" | "/fetch" | "/refresh" | "/cancel" | "/cache/evict" | "/cache/pin" | "/cache/unpin" => {
            Some(Duration::from_secs(30))
        }
        // answered from memory
        _ => Some(Duration::from_secs(10)),
    }
}

/// Which of the mounts `path` lies in: a mount may be inside another one's folder.
fn innermost(running: &[Registered], path: &Path) -> Option<usize> {
    let around = running.iter().enumerate().filter(|(_, mount)| path.starts_with(&mount.mountpoint));
    around.max_by_key(|(_, mount)| mount.mountpoint.components().count()).map(|(position, _)| position)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn mount(mountpoint: &str, socket: &Path) -> Registered {
        Registered { mountpoint: mountpoint.into(), pid: 1, started: 0, socket: socket.to_owned() }
    }

    #[test]
    fn a_path_belongs_to_the_innermost_mount() {
        let running = ["/mnt", "/mnt/a/clms", "/mnt/a"].map(|path| mount(path, Path::new("/s")));
        let found = |path: &str| innermost(&running, Path::new(path));
        assert_eq!(found("/mnt/a/clms/x"), Some(1));
        assert_eq!(found("/mnt/a/clmsx"), Some(2));
        assert_eq!(found("/mnt/b"), Some(0));
        assert_eq!(found("/mn"), None);
    }

    #[tokio::test]
    async fn a_mount_that_never_answers_is_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("s");
        // takes connections and says nothing
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let http = reqwest::Client::builder().unix_socket(socket.clone()).build().unwrap();
        let control = Control { mount: mount("/mnt", &socket), http };
        let request = control.http.get("http://clmsfs/status");
        let waited = control.send::<u32>(request, Some(Duration::from_millis(50)));
        let ended = tokio::time::timeout(Duration::from_secs(20), waited).await.unwrap();
        let Err(ControlError::Silent { reason, .. }) = ended else { panic!("{ended:?}") };
        assert!(reason.contains("0.05 s"), "{reason}");
        assert!(["/status", "/stop", "/fetch"].iter().all(|path| patience(path).is_some()));
    }
}
