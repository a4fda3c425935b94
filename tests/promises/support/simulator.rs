//! The simulated service as a process of its own.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::control::{self, Requests};
use super::process::{self, Service};
use super::wait;

/// A running `clmsfs simulate`.
pub(crate) struct Simulator {
    service: Service,
    api: String,
    key: PathBuf,
}

impl Simulator {
    /// Starts it on a free port of loopback.
    #[track_caller]
    pub(crate) fn start(folder: &Path, data: &Path, scenario: &str) -> Self {
        let key = folder.join("service-key.json");
        let script = folder.join("scenario.toml");
        std::fs::write(&script, scenario).unwrap();
        let mut command = process::clmsfs(folder);
        command.args(["simulate", "--listen", "127.0.0.1:0"]);
        command.arg("--key-out").arg(&key).arg("--data").arg(data).arg("--scenario").arg(&script);
        let service = Service::start("clmsfs simulate", command, &folder.join("simulator.log"));
        let line = service.line();
        let ready: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("'{line}': {error}"));
        let api = ready["api"].as_str().unwrap_or_else(|| panic!("no api in {line}")).to_owned();
        Self { service, api, key }
    }

    /// Base of the API.
    pub(crate) fn api(&self) -> &str {
        &self.api
    }

    /// The service key file.
    pub(crate) fn key(&self) -> &Path {
        &self.key
    }

    /// `127.0.0.1:port`.
    pub(crate) fn authority(&self) -> &str {
        let rest = self.api.strip_prefix("http://").expect("loopback speaks http");
        rest.split('/').next().unwrap()
    }

    /// What it was asked.
    #[track_caller]
    pub(crate) fn requests(&self) -> Requests {
        let (status, body) = control::request(self.authority(), "GET", "/_simulator/requests", "");
        assert_eq!(status, 200);
        serde_json::from_slice(&body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&body)))
    }

    /// Forgets what it was asked, once nothing comes in any more (a catalogue in the background, a last poll).
    #[track_caller]
    pub(crate) fn reset_when_quiet(&self) {
        let mut last = (self.requests().total(), std::time::Instant::now());
        wait::until_true("a simulator that nobody asks anything", || {
            let now = self.requests().total();
            if now != last.0 {
                last = (now, std::time::Instant::now());
            }
            last.1.elapsed().as_millis() >= 500
        });
        self.forget_requests();
    }

    /// Forgets what it was asked, at once.
    #[track_caller]
    pub(crate) fn forget_requests(&self) {
        self.control("POST", "/_simulator/reset-log", "");
    }

    /// Changes the scenario from now on.
    #[track_caller]
    pub(crate) fn scenario(&self, text: &str) {
        self.control("PUT", "/_simulator/scenario", text);
    }

    /// Makes every access token unknown.
    #[track_caller]
    pub(crate) fn revoke_tokens(&self) {
        self.control("POST", "/_simulator/revoke-tokens", "");
    }

    #[track_caller]
    fn control(&self, method: &str, path: &str, body: &str) {
        let (status, answer) = control::request(self.authority(), method, path, body);
        assert!(
            (200..300).contains(&status),
            "{method} {path}: {status} {}",
            String::from_utf8_lossy(&answer)
        );
    }

    /// Switches the service off: connections are refused.
    pub(crate) fn stop(&mut self) {
        self.service.kill();
    }
}
