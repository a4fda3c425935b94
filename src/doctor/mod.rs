//! What stands in the way of a mount, and how it is mended.
//!
//! Each file is a subject. What is read of the machine is a plain struct; what it means is a pure function from there to a
//! [`Finding`], which is what the tests look at. Everything that may take long has a time limit, and [`examine`] does it at
//! once.
//!
//! ```text
//! finding.rs    the list of checks; results, fixes, the report
//! device.rs     /dev/fuse, fusermount3, fuse.conf        kernel.rs       release, passthrough, request timeout
//! converter.rs  GDAL and the walls around it             cache.rs        folder, disk, room
//! key.rs        the service key's file                   service.rs      the service's answers, token, clock
//! mounts.rs     mounts that hang or are dead; ask.rs: the process that asks them
//! updatedb.rs   limits.rs   confinement.rs   rights.rs   document.rs: docs/DOCTOR.md
//! ```

mod ask;
mod cache;
mod confinement;
mod converter;
mod device;
pub mod document;
mod finding;
mod kernel;
mod key;
mod limits;
mod mounts;
mod rights;
mod service;
mod updatedb;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub use ask::{ASK_VERB, ask_main};
pub use finding::{Check, Finding, Fix, Outcome, Report};

use crate::config::Settings;
use crate::store::layout;
use rights::Rights;
use service::{Answers, NoToken};

/// How long is waited for what this machine itself knows: a disk may hang, GDAL loads its plugins.
const LOOK: Duration = Duration::from_secs(20);
/// How long the files of the cache are counted; more of them are not.
const COUNT: Duration = Duration::from_secs(2);

/// What is looked at.
#[derive(Debug, Clone)]
pub struct Scope {
    /// Of the mounts, this one only.
    pub mount: Option<PathBuf>,
    /// The service is not asked.
    pub offline: bool,
    /// How long is waited for the service, and for each mount.
    pub limit: Duration,
}

/// The settings, or why there are none.
pub type Configured = Result<Settings, String>;

/// Looks at everything.
pub async fn examine(configured: Configured, scope: Scope) -> Report {
    let rights = Rights::read();
    let settings = configured.as_ref().ok().cloned().map(Arc::new);
    let (system, setup, mounts) =
        tokio::join!(system(rights), setup(settings, rights, &scope), mounts(rights, &scope));
    let configuration = match &configured {
        Ok(_) => Finding::ok(Check::Configuration, "the settings can be used"),
        Err(reason) => Finding::problem(
            Check::Configuration,
            reason.clone(),
            Fix::advice("mend it there (clmsfs config show tells where each value comes from)"),
        ),
    };
    Report::new([vec![configuration], system, setup, mounts].concat())
}

/// What does not depend on settings.
async fn system(rights: Rights) -> Vec<Finding> {
    let kernel = look(&[Check::RequestTimeout], || vec![kernel::request_timeout(&kernel::Kernel::read())]);
    let device = look(&[Check::FuseDevice, Check::Fusermount], move || {
        let helper = device::find_helper();
        vec![device::device(&device::open_device()), device::helper(rights, helper.as_ref())]
    });
    let gdal = look(&[Check::Gdal], || vec![converter::gdal(&converter::Gdal::read())]);
    let rest = look(&[Check::Sandbox, Check::OpenFiles, Check::Confinement, Check::Updatedb], move || {
        vec![
            converter::sandbox(&converter::Walls::read()),
            limits::open_files(&limits::read()),
            confinement::confinement(&confinement::Confinement::read(), rights),
            updatedb::updatedb(updatedb::read().as_deref()),
        ]
    });
    let (kernel, device, gdal, rest) = tokio::join!(kernel, device, gdal, rest);
    [kernel, device, gdal, rest].concat()
}

/// Checks that need the settings.
const OF_SETTINGS: &[Check] = &[
    Check::AllowOther,
    Check::Passthrough,
    Check::CacheFolder,
    Check::CacheDisk,
    Check::CacheSpace,
    Check::CacheInodes,
    Check::Key,
    Check::Api,
    Check::Token,
    Check::Clock,
    Check::DownloadHosts,
];

/// What the settings lead to: kernel features that they want, the cache, the service.
async fn setup(settings: Option<Arc<Settings>>, rights: Rights, scope: &Scope) -> Vec<Finding> {
    let Some(settings) = settings else {
        let why = "the configuration cannot be used";
        return OF_SETTINGS.iter().map(|check| Finding::not_checked(*check, why)).collect();
    };
    let wanted = Arc::clone(&settings);
    let kernel = look(&[Check::AllowOther, Check::Passthrough], move || {
        let file = std::fs::read_to_string("/etc/fuse.conf").ok();
        vec![
            device::allow_other(wanted.allow_other, rights, file.as_deref()),
            kernel::passthrough(&kernel::Kernel::read(), rights, wanted.passthrough),
        ]
    });
    let (kernel, cache, service) =
        tokio::join!(kernel, cache(Arc::clone(&settings), rights), service(Arc::clone(&settings), scope));
    [kernel, cache, service].concat()
}

async fn cache(settings: Arc<Settings>, rights: Rights) -> Vec<Finding> {
    let path = settings.cache_dir.clone();
    let counted = tokio::task::spawn_blocking(move || layout::disk_usage(&path));
    let used = tokio::time::timeout(COUNT, counted).await.ok().and_then(Result::ok);
    let checks = [Check::CacheFolder, Check::CacheDisk, Check::CacheSpace, Check::CacheInodes];
    look(&checks, move || {
        let path = &settings.cache_dir;
        let mut findings = vec![cache::folder(path, &cache::Folder::read(path), rights)];
        match cache::Disk::read(path) {
            Ok(disk) => findings.extend([
                cache::kind(&disk),
                cache::space(&disk, used, settings.cache_size, settings.free_space_floor),
                cache::inodes(&disk),
            ]),
            Err(error) => {
                let unknown =
                    |check: &Check| Finding::not_checked(*check, format!("{}: {error}", path.display()));
                findings.extend(checks[1..].iter().map(unknown));
            }
        }
        findings
    })
    .await
}

async fn service(settings: Arc<Settings>, scope: &Scope) -> Vec<Finding> {
    let named = Arc::clone(&settings);
    let read = tokio::task::spawn_blocking(move || {
        let file = named.credentials.as_deref().map(key::KeyFile::read);
        let usable = match &file {
            None => Err(NoToken::NoKey),
            Some(file) if file.is_usable() => Ok(()),
            Some(_) => Err(NoToken::BadKey),
        };
        (key::key(file.as_ref()), usable)
    });
    let (key, usable) = match tokio::time::timeout(LOOK, read).await {
        Ok(Ok(read)) => read,
        _ => (late(Check::Key), Err(NoToken::BadKey)),
    };
    let hosts = service::download_hosts(&settings);
    let unasked =
        |why: &str| [Check::Api, Check::Token, Check::Clock].map(|check| Finding::not_checked(check, why));
    let answers = if scope.offline {
        unasked("--offline")
    } else {
        match Answers::ask(&settings, usable, scope.limit).await {
            Ok(answers) => [
                service::api(&settings, &answers.api, scope.limit),
                service::token(&answers.token),
                service::clock(answers.ahead),
            ],
            Err(error) => unasked(&error.to_string()),
        }
    };
    [vec![key, hosts], answers.to_vec()].concat()
}

async fn mounts(rights: Rights, scope: &Scope) -> Vec<Finding> {
    let wanted = scope.mount.clone();
    let found = tokio::task::spawn_blocking(move || mounts::find(rights.user, wanted.as_deref()));
    match tokio::time::timeout(LOOK, found).await {
        Ok(Ok(Ok(seen))) if seen.is_empty() => vec![mounts::none(scope.mount.as_deref())],
        Ok(Ok(Ok(seen))) => mounts::ask_all(seen, scope.limit).await,
        Ok(Ok(Err(error))) => vec![Finding::not_checked(
            Check::Mounts,
            format!("the list of running mounts cannot be read: {error}"),
        )],
        _ => vec![late(Check::Mounts)],
    }
}

/// Reads and judges off the runtime's threads, within [`LOOK`].
async fn look(checks: &[Check], read: impl FnOnce() -> Vec<Finding> + Send + 'static) -> Vec<Finding> {
    match tokio::time::timeout(LOOK, tokio::task::spawn_blocking(read)).await {
        Ok(Ok(findings)) => findings,
        _ => checks.iter().map(|check| late(*check)).collect(),
    }
}

fn late(check: Check) -> Finding {
    Finding::not_checked(check, format!("the system did not answer within {} s", LOOK.as_secs()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn scope() -> Scope {
        // a mount that is not there, so that those of other tests are left alone
        Scope { mount: Some("/nowhere/clms".into()), offline: true, limit: Duration::from_secs(1) }
    }

    fn outcomes(report: &Report) -> Vec<Check> {
        report.findings.iter().map(|finding| finding.check).collect()
    }

    #[tokio::test]
    async fn every_check_is_told_once_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let mut settings = Settings::resolve(&Default::default(), |_| None, None).unwrap().settings;
        settings.cache_dir = dir.path().join("cache");
        let report = examine(Ok(settings), scope()).await;
        assert_eq!(outcomes(&report), Check::ALL);
        assert_eq!(report.findings.last().unwrap().outcome, Outcome::Problem, "no such mount");
        let unfixed = report.findings.iter().find(|finding| {
            matches!(finding.outcome, Outcome::Warning | Outcome::Problem) && finding.fix.is_none()
        });
        assert_eq!(unfixed, None);
        assert!(!dir.path().join("cache").exists(), "it changes nothing");
    }

    #[tokio::test]
    async fn without_settings_the_rest_is_told() {
        let report = examine(Err("config.toml:3: 'cash_size' is not an option".to_owned()), scope()).await;
        assert_eq!(outcomes(&report), Check::ALL);
        assert_eq!(report.findings[0].outcome, Outcome::Problem);
        let not_checked = report.findings.iter().filter(|finding| finding.outcome == Outcome::NotChecked);
        let not_checked: Vec<Check> = not_checked.map(|finding| finding.check).collect();
        assert!(OF_SETTINGS.iter().all(|check| not_checked.contains(check)), "{not_checked:?}");
    }
}
