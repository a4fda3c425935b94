//! Facts about the system, its tables of mounts, and the cache: numbers and versions, no names of files.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::Page;
use crate::config::Settings;
use crate::control::registry;
use crate::fuse::mountpoint;

/// How long is waited for them: a disk may hang.
const LOOK: Duration = Duration::from_secs(10);

/// All of them.
pub(super) async fn pages(settings: Option<Settings>) -> Vec<Page> {
    let system = look("system.json", "versions of clmsfs, GDAL, kernel and system", || pretty(&system()));
    let mounts = look(
        "mounts.txt",
        "lines of the kernel about mounts of this user, and for root about those of services",
        || {
            // those of services, which root manages, were mounted by another user
            let places: Vec<_> = registry::running()
                .unwrap_or_default()
                .into_iter()
                .map(|running| running.mountpoint)
                .collect();
            // SAFETY: geteuid takes nothing, always succeeds and touches no memory.
            let lines = mountpoint::lines_of(unsafe { libc::geteuid() }, &places);
            if lines.is_empty() { "none\n".to_owned() } else { lines.join("\n") + "\n" }
        },
    );
    let cache = look("cache.json", "sizes and counts of the cache", move || {
        pretty(&settings.map_or(Value::Null, |settings| cache(&settings.cache_dir)))
    });
    let (system, mounts, cache) = tokio::join!(system, mounts, cache);
    vec![system, mounts, cache]
}

async fn look(name: &str, about: &'static str, read: impl FnOnce() -> String + Send + 'static) -> Page {
    let text = match tokio::time::timeout(LOOK, tokio::task::spawn_blocking(read)).await {
        Ok(Ok(text)) => text,
        _ => format!("nothing came for {} s\n", LOOK.as_secs()),
    };
    Page::new(name, about, text)
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

fn system() -> Value {
    let line = |path: &str| fs::read_to_string(path).ok().map(|text| text.trim().to_owned());
    let distribution = line("/etc/os-release").and_then(|text| {
        let name = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
        Some(name.trim_matches('"').to_owned())
    });
    json!({
        "clmsfs": env!("CARGO_PKG_VERSION"),
        "gdal": gdal::version::version_info("RELEASE_NAME"),
        "kernel": line("/proc/sys/kernel/osrelease"),
        "architecture": std::env::consts::ARCH,
        "system": distribution,
        "cores": std::thread::available_parallelism().map(usize::from).ok(),
        "load": line("/proc/loadavg"),
        "memory": line("/proc/meminfo").and_then(|text| Some(text.lines().next()?.to_owned())),
        "container": Path::new("/.dockerenv").exists() || Path::new("/run/.containerenv").exists(),
    })
}

/// The cache as a whole: nothing is opened but `VERSION`.
fn cache(path: &Path) -> Value {
    let size = |name: &str| fs::metadata(path.join(name)).ok().map(|metadata| metadata.len());
    let count = |name: &str| fs::read_dir(path.join(name)).ok().map(Iterator::count);
    let age = |name: &str| {
        let modified = fs::metadata(path.join(name)).and_then(|metadata| metadata.modified()).ok()?;
        modified.elapsed().ok().map(|age| age.as_secs())
    };
    json!({
        "version": fs::read_to_string(path.join("VERSION")).ok().map(|text| text.trim().chars().take(60).collect::<String>()),
        "ledger_bytes": size("ledger.sqlite"),
        "ledger_log_bytes": size("ledger.sqlite-wal"),
        "catalog_bytes": size("catalog.json"),
        "catalog_age_seconds": age("catalog.json"),
        "entries": count("rasters"),
        "fetches_under_way": count("staging"),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_cache_is_counted_and_nothing_in_it_named() {
        let dir = tempfile::tempdir().unwrap();
        drop(crate::store::layout::CacheDir::open(dir.path()).unwrap());
        fs::create_dir(dir.path().join("rasters/a-telling-name")).unwrap();
        fs::write(dir.path().join("catalog.json"), "1234").unwrap();
        let facts = cache(dir.path());
        assert_eq!((&facts["entries"], &facts["catalog_bytes"]), (&json!(1), &json!(4)));
        assert_eq!((&facts["version"], &facts["ledger_bytes"]), (&json!("clmsfs-cache 1"), &Value::Null));
        assert!(!facts.to_string().contains("telling"));
        assert_eq!(cache(Path::new("/nowhere"))["entries"], Value::Null);
    }

    #[test]
    fn versions_are_known() {
        let facts = system();
        for name in ["clmsfs", "gdal", "kernel"] {
            assert!(facts[name].as_str().is_some_and(|text| text.contains('.')), "{facts}");
        }
    }
}
