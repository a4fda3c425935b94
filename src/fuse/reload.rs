//! Takes new settings over while the mount runs: all of them or, where one of them is wrong, none.

use std::sync::Arc;

use tokio::sync::mpsc;

use crate::clms::{Client, ServiceKey};
use crate::config::{ConfigErrors, LogFilter, Renewal, Resolved, Settings};
use crate::control::Mounted;
use crate::control::reload::{Report, Request};
use crate::vfs::Vfs;

use super::parts::{credentials, engine_options, limits, vfs_options};
use super::systemd;

/// Changes which log lines are written.
pub type SetFilter = Box<dyn Fn(&LogFilter) -> Result<(), String> + Send + Sync>;

/// What a reload needs of whoever runs the mount: it knows the command line and the log.
pub struct Reread {
    /// Puts the settings together anew.
    pub settings: Box<dyn Fn() -> Result<Resolved, ConfigErrors> + Send + Sync>,
    /// Changes which log lines are written.
    pub log: SetFilter,
}

/// Answers requests to read the settings anew, one after another.
pub(super) struct Reloader {
    pub(super) reread: Reread,
    pub(super) mounted: Arc<Mounted>,
    pub(super) client: Arc<Client>,
    pub(super) vfs: Arc<Vfs>,
}

impl Reloader {
    /// Serves until the mount ends.
    pub(super) async fn serve(self, mut requests: mpsc::Receiver<Request>) {
        let reloader = Arc::new(self);
        while let Some(request) = requests.recv().await {
            systemd::notify_reloading();
            let working = Arc::clone(&reloader);
            // reads files, and deletes what has to leave the cache
            let done = tokio::task::spawn_blocking(move || working.reload()).await;
            let report = done.unwrap_or_else(|panic| Report::refused(vec![panic.to_string()]));
            tell(&report);
            systemd::notify("READY=1");
            if let Some(answer) = request.answer {
                // whoever asked may have gone
                let _ = answer.send(report);
            }
        }
    }

    fn reload(&self) -> Report {
        let fresh = match (self.reread.settings)() {
            Ok(fresh) => fresh,
            Err(errors) => return Report::refused(errors.all().iter().map(ToString::to_string).collect()),
        };
        // a mount would not start with it either
        if let Some(Err(error)) = fresh.settings.credentials.as_deref().map(ServiceKey::load) {
            return Report::refused(vec![error.to_string()]);
        }
        let Renewal { settings, taken, left, rules_changed } = self.mounted.settings().renewed(fresh);
        let remarks = self.take_over(&settings.settings);
        self.mounted.settings.send_replace(Arc::new(settings));
        Report { errors: Vec::new(), changed: taken, rules_changed, waiting: left, remarks }
    }

    /// Puts settings in force; what is to be said of it.
    fn take_over(&self, settings: &Settings) -> Vec<String> {
        let mut remarks = Vec::new();
        if let Err(error) = (self.reread.log)(&settings.log) {
            remarks.push(format!("the log stays as it was: {error}"));
        }
        self.vfs.follow(vfs_options(settings));
        self.client.set_download_hosts(settings.download_hosts.patterns().to_vec());
        self.client.set_stall(settings.download_stall.duration());
        // also where the path is the same: the file may be another one
        self.client.set_credentials(credentials(settings));
        let engine = self.vfs.engine();
        engine.follow(engine_options(settings));
        if let Err(error) = engine.inventory().set_limits(limits(settings)) {
            remarks.push(format!("the cache is larger than its budget until that can be helped: {error}"));
        }
        remarks
    }
}

/// One line in the log for each thing that whoever runs the mount should know.
fn tell(report: &Report) {
    for error in &report.errors {
        tracing::error!("the settings are not reloaded, nothing is changed: {error}");
    }
    if !report.is_in_force() {
        return;
    }
    tracing::info!("the settings are reloaded: {}", report.changes());
    if let Some(waiting) = report.waits() {
        tracing::warn!("these wait for the next mount, and stay as they were: {waiting}");
    }
    for remark in &report.remarks {
        tracing::warn!("{remark}");
    }
}
