//! Every metric: name, kind, unit, stability, help, labels, and where its value comes from.
//!
//! Names begin with `clmsfs_`, have base units (seconds, bytes) and, where they count, end with `_total`. Labels have few
//! values, all known beforehand: never a product, a path or a user.

use super::metric::{Dimension, Kind, Metric, Samples, Stability, Unit, Value, Values, label};
use super::reading::is_of_a_job;
use crate::clms::counts::{Endpoint, Response, TokenEvent};
use crate::fetch::counters::OrderOutcome;
use crate::fetch::failure::FailureKind;
use crate::fetch::state::ProductState;
use crate::store::eviction::Cause;
use crate::tally::Label;
use crate::vfs::counters::{ColdAnswer, Opened, Refreshed};

macro_rules! metric {
    ($name:literal, $kind:ident, $unit:ident, $stability:ident, $help:literal, $read:expr) => {
        metric!($name, $kind, $unit, $stability, $help, [], $read)
    };
    ($name:literal, $kind:ident, $unit:ident, $stability:ident, $help:literal, [$($label:expr),*], $read:expr) => {
        Metric {
            name: concat!("clmsfs_", $name),
            kind: Kind::$kind,
            unit: Unit::$unit,
            stability: Stability::$stability,
            help: $help,
            labels: &[$($label),*],
            read: $read,
        }
    };
}

const VERSION: Dimension = Dimension { name: "version", values: Values::Fixed("the release that runs") };
const STATE: Dimension = Dimension { name: "state", values: Values::Words(job_states) };

fn job_states() -> Vec<&'static str> {
    ProductState::ALL.iter().filter(|state| is_of_a_job(**state)).map(|state| state.word()).collect()
}

/// All of them, in the order in which they are written.
pub(super) const METRICS: &[Metric] = &[
    // the mount
    metric!("build_info", Gauge, Number, Stable, "Always 1; the label tells the release.", [VERSION], |r| {
        Samples::Labelled(vec![(vec![r.status.version.clone().into()], Value::Whole(1))])
    }),
    metric!(
        "start_time_seconds",
        Gauge,
        Seconds,
        Stable,
        "When the mount began, in seconds since 1970.",
        |r| { Samples::one(r.status.since as f64 / 1000.0) }
    ),
    // the catalogue
    metric!("catalog_datasets", Gauge, Number, Stable, "Datasets in the catalogue.", |r| {
        Samples::one(r.status.datasets)
    }),
    metric!("catalog_products", Gauge, Number, Stable, "Products in the catalogue.", |r| {
        Samples::one(r.status.products)
    }),
    metric!(
        "catalog_datasets_unpacked",
        Gauge,
        Number,
        Experimental,
        "Datasets somebody has looked into, whose records are in memory.",
        |r| Samples::one(r.status.unpacked)
    ),
    metric!(
        "catalog_fetched_time_seconds",
        Gauge,
        Seconds,
        Stable,
        "When the catalogue was read from the service, in seconds since 1970: its age is time() less this. Absent while there is none.",
        |r| Samples::known(r.status.catalog_fetched.map(|milliseconds| milliseconds as f64 / 1000.0))
    ),
    metric!(
        "catalog_refreshes_total",
        Counter,
        Number,
        Stable,
        "Attempts to read the catalogue anew since the mount answers. After a failed one the older catalogue stays.",
        [label::<Refreshed>("outcome")],
        |r| Samples::tally(&r.files().refreshes)
    ),
    // the service
    metric!(
        "service_requests_total",
        Counter,
        Number,
        Stable,
        "Requests to the service and the download hosts, each repetition for itself.",
        [label::<Endpoint>("endpoint"), label::<Response>("outcome")],
        |r| Samples::grid(&r.service().requests)
    ),
    metric!(
        "tokens_total",
        Counter,
        Number,
        Stable,
        "Access tokens: given by the service, not given, given up because the service refused them.",
        [label::<TokenEvent>("event")],
        |r| Samples::tally(&r.service().tokens)
    ),
    metric!(
        "orders_total",
        Counter,
        Number,
        Stable,
        "Orders sent, by what became of them; 'adopted' is a task of the account that made an order unnecessary.",
        [label::<OrderOutcome>("outcome")],
        |r| Samples::tally(&r.engine().orders)
    ),
    // fetches
    metric!("jobs", Gauge, Number, Stable, "Fetches under way and failed, by state.", [STATE], |r| {
        let sample = |(state, count): (ProductState, usize)| (vec![state.word().into()], count.into());
        Samples::Labelled(r.jobs_by_state().into_iter().map(sample).collect())
    }),
    metric!("jobs_active", Gauge, Number, Stable, "Fetches under way.", |r| {
        Samples::one(r.status.jobs.iter().filter(|job| job.progress.state.is_under_way()).count())
    }),
    metric!("readers_waiting", Gauge, Number, Stable, "Readers that wait in open().", |r| {
        Samples::one(r.status.jobs.iter().map(|job| job.waiting).sum::<usize>())
    }),
    metric!(
        "fetches_total",
        Counter,
        Number,
        Stable,
        "Fetches started, those that a start of the mount goes on with included.",
        |r| Samples::one(r.engine().fetches.get())
    ),
    metric!("fetches_published_total", Counter, Number, Stable, "Fetches that brought a product.", |r| {
        Samples::one(r.engine().published.get())
    }),
    metric!(
        "fetches_failed_total",
        Counter,
        Number,
        Stable,
        "Fetches that ended without a product, cancelled ones included.",
        |r| Samples::one(r.engine().failed.get())
    ),
    metric!(
        "fetch_failures_total",
        Counter,
        Number,
        Stable,
        "The same by the kind of failure.",
        [label::<FailureKind>("kind")],
        |r| Samples::tally(&r.engine().failures)
    ),
    metric!(
        "fetch_duration_seconds",
        Histogram,
        Seconds,
        Stable,
        "How long fetches took that brought a product, the service's queue included.",
        |r| Samples::Classes(r.engine().durations.read())
    ),
    metric!(
        "downloaded_bytes_total",
        Counter,
        Bytes,
        Stable,
        "Bytes of packages that were downloaded.",
        |r| { Samples::one(r.engine().downloaded.get()) }
    ),
    metric!(
        "conversion_duration_seconds",
        Histogram,
        Seconds,
        Stable,
        "How long it took to unpack and convert a package, failed conversions included.",
        |r| Samples::Classes(r.engine().conversions.read())
    ),
    metric!(
        "converter_processes",
        Gauge,
        Number,
        Experimental,
        "Conversions at work, each in a process of its own.",
        |r| Samples::one(r.engine().converting.get())
    ),
    // readers
    metric!(
        "opens_total",
        Counter,
        Number,
        Stable,
        "Answers to open(). With 'passthrough' the kernel reads the file by itself; the others that succeed are 'through_mount' and 'memory'.",
        [label::<Opened>("outcome")],
        |r| Samples::tally(&r.files().opens)
    ),
    metric!(
        "cold_opens_total",
        Counter,
        Number,
        Stable,
        "Decisions of the rules about open() of a file that was not here; what became of each is in clmsfs_opens_total.",
        [label::<ColdAnswer>("answer")],
        |r| Samples::tally(&r.files().cold)
    ),
    metric!(
        "open_wait_duration_seconds",
        Histogram,
        Seconds,
        Stable,
        "How long readers waited in open() for a fetch, whatever its end was.",
        |r| Samples::Classes(r.files().waits.read())
    ),
    metric!(
        "reads_total",
        Counter,
        Number,
        Stable,
        "Reads that came to the mount. What the kernel reads by itself (passthrough, its page cache) is not known here.",
        |r| Samples::one(r.files().reads.get())
    ),
    metric!("read_bytes_total", Counter, Bytes, Stable, "Bytes that these reads gave.", |r| {
        Samples::one(r.files().read_bytes.get())
    }),
    metric!(
        "read_errors_total",
        Counter,
        Number,
        Stable,
        "Reads that failed: the cache's disk failed.",
        |r| { Samples::one(r.files().read_errors.get()) }
    ),
    // the cache
    metric!("cache_limit_bytes", Gauge, Bytes, Stable, "Budget of the cache.", |r| {
        Samples::one(r.status.cache.limit)
    }),
    metric!("cache_used_bytes", Gauge, Bytes, Stable, "Everything that counts against the budget.", |r| {
        Samples::one(r.status.cache.used)
    }),
    metric!("cache_reserved_bytes", Gauge, Bytes, Stable, "Reserved for fetches under way.", |r| {
        Samples::one(r.status.cache.reserved)
    }),
    metric!("cache_pinned_bytes", Gauge, Bytes, Stable, "Bytes of products that are pinned.", |r| {
        Samples::one(r.status.cache.pinned_bytes)
    }),
    metric!("cache_entries", Gauge, Number, Stable, "Products in the cache.", |r| {
        Samples::one(r.status.cache.entries)
    }),
    metric!("cache_pinned_entries", Gauge, Number, Stable, "Products in the cache that are pinned.", |r| {
        Samples::one(r.status.cache.pinned)
    }),
    metric!(
        "cache_evictions_total",
        Counter,
        Number,
        Stable,
        "Products that left the cache, by cause.",
        [label::<Cause>("cause")],
        |r| Samples::tally(&r.departures().entries)
    ),
    metric!("cache_evicted_bytes_total", Counter, Bytes, Stable, "Bytes that these products had.", |r| {
        Samples::one(r.departures().bytes.get())
    }),
    metric!(
        "cache_disk_free_bytes",
        Gauge,
        Bytes,
        Stable,
        "Free bytes of the cache's disk, as it said within the last ten seconds. Absent while it gives no answer.",
        |r| Samples::known(r.status.cache.disk_free)
    ),
    // the process
    metric!("process_resident_memory_bytes", Gauge, Bytes, Stable, "Memory of the mount's process.", |r| {
        Samples::known(r.process.resident)
    }),
    metric!(
        "process_cpu_seconds_total",
        Counter,
        Seconds,
        Stable,
        "Processor time of the mount's process.",
        |r| { Samples::known(r.process.cpu) }
    ),
    metric!("process_open_fds", Gauge, Number, Stable, "Open descriptors of the mount's process.", |r| {
        Samples::known(r.process.descriptors)
    }),
    metric!("process_max_fds", Gauge, Number, Stable, "How many descriptors it may have.", |r| {
        Samples::known(r.process.most_descriptors)
    }),
    metric!("process_threads", Gauge, Number, Experimental, "Threads of the mount's process.", |r| {
        Samples::known(r.process.threads)
    }),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_rules_and_are_there_once() {
        let mut names: Vec<_> = METRICS.iter().map(|metric| metric.name).collect();
        for metric in METRICS {
            let name = metric.name;
            assert!(name.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{name}");
            assert_eq!(name.ends_with("_total"), metric.kind == Kind::Counter, "{name}");
            let base = name.trim_end_matches("_total");
            assert!(base.ends_with(metric.unit.word()), "{name} is in {}", metric.unit.word());
            let has_unit = ["_bytes", "_seconds"].iter().any(|unit| base.ends_with(unit));
            assert_eq!(has_unit, metric.unit != Unit::Number, "{name}");
            assert!(metric.help.ends_with('.') && !metric.help.contains(['\n', '|']), "{name}");
            assert!(metric.kind != Kind::Histogram || metric.labels.is_empty(), "{name}");
        }
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), METRICS.len());
    }

    #[test]
    fn labels_have_few_and_plain_values() {
        for (metric, label) in METRICS.iter().flat_map(|m| m.labels.iter().map(move |label| (m.name, label)))
        {
            assert!(label.name.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{metric}");
            let Values::Words(words) = label.values else { continue };
            let words = words();
            assert!((2..=20).contains(&words.len()), "{metric}: {words:?}");
            assert!(
                words.iter().all(|word| word.chars().all(|c| c.is_ascii_lowercase() || c == '_')),
                "{words:?}"
            );
            let unique: std::collections::HashSet<_> = words.iter().collect();
            assert_eq!(unique.len(), words.len(), "{metric}: {words:?}");
        }
    }
}
