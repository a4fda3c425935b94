//! Every metric in one table: name, kind, help, and how it is measured. Prometheus text format 0.0.4.

use std::fmt::Write;

use super::status::Status;

/// Kind of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Goes up and down.
    Gauge,
    /// Only goes up while the mount lives.
    Counter,
}

struct Metric {
    /// Name with its unit, as Prometheus wants it.
    name: &'static str,
    kind: Kind,
    help: &'static str,
    value: fn(&Status) -> f64,
}

/// All of them; names and meanings are stable from release 0.1 on.
const METRICS: &[Metric] = &[
    Metric {
        name: "clmsfs_start_time_seconds",
        kind: Kind::Gauge,
        help: "When the mount began, in seconds since 1970.",
        value: |s| s.since as f64 / 1000.0,
    },
    Metric {
        name: "clmsfs_catalog_datasets",
        kind: Kind::Gauge,
        help: "Datasets in the catalogue.",
        value: |s| s.datasets as f64,
    },
    Metric {
        name: "clmsfs_catalog_products",
        kind: Kind::Gauge,
        help: "Products in the catalogue.",
        value: |s| s.products as f64,
    },
    Metric {
        name: "clmsfs_catalog_datasets_unpacked",
        kind: Kind::Gauge,
        help: "Datasets somebody has looked into, whose records are in memory.",
        value: |s| s.unpacked as f64,
    },
    Metric {
        name: "clmsfs_cache_limit_bytes",
        kind: Kind::Gauge,
        help: "Budget of the cache.",
        value: |s| s.cache.limit as f64,
    },
    Metric {
        name: "clmsfs_cache_used_bytes",
        kind: Kind::Gauge,
        help: "Everything that counts against the budget.",
        value: |s| s.cache.used as f64,
    },
    Metric {
        name: "clmsfs_cache_reserved_bytes",
        kind: Kind::Gauge,
        help: "Reserved for fetches under way.",
        value: |s| s.cache.reserved as f64,
    },
    Metric {
        name: "clmsfs_cache_entries",
        kind: Kind::Gauge,
        help: "Products in the cache.",
        value: |s| s.cache.entries as f64,
    },
    Metric {
        name: "clmsfs_jobs_active",
        kind: Kind::Gauge,
        help: "Fetches under way.",
        value: |s| s.jobs.iter().filter(|job| job.progress.state.is_under_way()).count() as f64,
    },
    Metric {
        name: "clmsfs_readers_waiting",
        kind: Kind::Gauge,
        help: "Readers that wait in open().",
        value: |s| s.jobs.iter().map(|job| job.waiting).sum::<usize>() as f64,
    },
    Metric {
        name: "clmsfs_fetches_total",
        kind: Kind::Counter,
        help: "Fetches started.",
        value: |s| s.totals.fetches as f64,
    },
    Metric {
        name: "clmsfs_fetches_published_total",
        kind: Kind::Counter,
        help: "Fetches that brought a product.",
        value: |s| s.totals.published as f64,
    },
    Metric {
        name: "clmsfs_fetches_failed_total",
        kind: Kind::Counter,
        help: "Fetches that failed.",
        value: |s| s.totals.failed as f64,
    },
    Metric {
        name: "clmsfs_downloaded_bytes_total",
        kind: Kind::Counter,
        help: "Bytes downloaded from the service.",
        value: |s| s.totals.downloaded as f64,
    },
];

/// All metrics of a mount as text.
pub fn text(status: &Status) -> String {
    let mut text = String::new();
    for metric in METRICS {
        let kind = match metric.kind {
            Kind::Gauge => "gauge",
            Kind::Counter => "counter",
        };
        let value = (metric.value)(status);
        let _ = writeln!(text, "# HELP {0} {1}\n# TYPE {0} {kind}\n{0} {value}", metric.name, metric.help);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_rules_and_are_there_once() {
        let mut names: Vec<_> = METRICS.iter().map(|metric| metric.name).collect();
        for metric in METRICS {
            assert!(metric.name.starts_with("clmsfs_"), "{}", metric.name);
            assert!(metric.name.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{}", metric.name);
            assert_eq!(metric.name.ends_with("_total"), metric.kind == Kind::Counter, "{}", metric.name);
            assert!(metric.help.ends_with('.'));
        }
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), METRICS.len());
    }
}
