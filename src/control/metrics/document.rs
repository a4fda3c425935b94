//! `docs/METRICS.md`, written from the table of metrics.

use std::fmt::Write;

use super::definitions::METRICS;
use super::metric::{Metric, Values};

/// The text of `docs/METRICS.md`.
pub fn metrics_markdown() -> String {
    let mut text = String::from(INTRODUCTION);
    for metric in METRICS {
        let _ = writeln!(
            text,
            "| `{}`{} | {}{}{} | {} |",
            metric.name,
            labels(metric),
            metric.kind.word(),
            if metric.unit.word().is_empty() { String::new() } else { format!(", {}", metric.unit.word()) },
            match metric.stability {
                super::metric::Stability::Stable => String::new(),
                other => format!(", {}", other.word()),
            },
            metric.help
        );
    }
    text.push_str(LABELS);
    for metric in METRICS {
        for label in metric.labels {
            let values = match label.values {
                Values::Words(words) => {
                    words().iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
                }
                Values::Fixed(meaning) => meaning.to_owned(),
            };
            let _ = writeln!(text, "| `{}` | `{}` | {values} |", metric.name, label.name);
        }
    }
    text.push_str(USES);
    text
}

fn labels(metric: &Metric) -> String {
    let names: Vec<_> = metric.labels.iter().map(|label| label.name).collect();
    if names.is_empty() { String::new() } else { format!(" by `{}`", names.join("`, `")) }
}

const INTRODUCTION: &str = "\
# Metrics

<!-- Written from the table in src/control/metrics/definitions.rs; a test compares. To renew it:
     CLMSFS_WRITE_DOCS=1 cargo test --lib control::metrics -->

Every mount has the same text of metrics, in Prometheus' text format 0.0.4, behind three doors:

* `<mount>/.clmsfs/metrics`, a file: for whoever may read the mount.
* `clmsfs metrics`, over the mount's socket: for the user that mounted, and for root.
* `http://ADDR:PORT/metrics` with `--metrics-listen ADDR:PORT`: off by default.

```sh
clmsfs mount --metrics-listen 127.0.0.1:9469 ~/clms
```

```yaml
scrape_configs:
  - job_name: clmsfs
    static_configs: [{ targets: [\"127.0.0.1:9469\"] }]
```

## Who may look

The port answers `GET /metrics` to whoever can reach it, without a password and without encryption, and nothing else. It takes sixteen
connections at a time and ends each after ten seconds. What it tells: the release, when the mount began, how large cache, disk and
catalogue are, how much is read, ordered and downloaded, how many readers wait, what kinds of failures there were, and memory and
processor time. It never tells names of products, files, paths, users or hosts, and nothing of the key or the tokens. So the numbers of an open
port say how busy you are, not with what. Bind it to loopback (`127.0.0.1`, `[::1]`); for a Prometheus on another machine, to an
address of an inner network, or put a proxy with a password in front.

A port that is in use is one line on standard error and exit code 1, before anything is mounted.

## The metrics

Counters begin with 0 when the mount begins. What is `experimental` may change with any release; all else keeps name, labels and
meaning as long as the first number of the release stays. Buckets of histograms may be added.

| metric | kind | meaning |
|---|---|---|
";

const LABELS: &str = "
## Labels

Each has the values that are listed, all from the beginning: there is no label with names from outside, so the number of series does not
grow.

| metric | label | values |
|---|---|---|
";

const USES: &str = r#"
## What to watch

```yaml
groups:
  - name: clmsfs
    rules:
      - alert: ClmsfsFetchesFail          # look at clmsfs jobs
        expr: increase(clmsfs_fetch_failures_total{kind!="cancelled"}[30m]) > 3
      - alert: ClmsfsReadersWait          # look at clmsfs status
        expr: min_over_time(clmsfs_readers_waiting[1h]) > 0 and increase(clmsfs_fetches_published_total[1h]) == 0
      - alert: ClmsfsKeyRefused           # look at the key
        expr: increase(clmsfs_fetch_failures_total{kind="credentials"}[15m]) > 0
      - alert: ClmsfsCatalogueOld
        expr: time() - clmsfs_catalog_fetched_time_seconds > 3 * 86400
      - alert: ClmsfsDiskFull
        expr: clmsfs_cache_disk_free_bytes < 1e9
```

Share of opens that found everything here: `1 - sum(rate(clmsfs_cold_opens_total[1d])) / sum(rate(clmsfs_opens_total[1d]))`. Both count opens that were refused,
too; `clmsfs_cold_opens_total{answer="block"}` counts those alone that fetched or waited.

## How this is checked

`tests/promises/metrics` reads the text of a mount at work through all three doors with a strict parser of its own: HELP and TYPE once each and before the
samples, names, labels and escapes, no sample twice, whole histograms, `_total` where and only where something is counted, counters that never fall, and
every metric in this document with the labels that it says.

Prometheus' own tool is not part of the tests (20 MB to load, 96 MB installed). It was run by hand with Debian 12's `prometheus` 2.42.0: `promtool check metrics` of a
mount at work says nothing and ends with 0 (with one `_total` taken away it says `clmsfs_reads counter metrics should have "_total" suffix` and ends
with 3); `promtool check rules` finds the five rules above.
"#;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn the_document_is_what_the_table_says() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/METRICS.md");
        if std::env::var_os("CLMSFS_WRITE_DOCS").is_some() {
            std::fs::write(&path, metrics_markdown()).unwrap();
        }
        let written = std::fs::read_to_string(&path).unwrap();
        assert!(
            written == metrics_markdown(),
            "docs/METRICS.md is out of date: CLMSFS_WRITE_DOCS=1 cargo test --lib control::metrics"
        );
    }

    #[test]
    fn the_rules_in_the_document_use_metrics_that_exist() {
        let (rules, _) = USES.split_once("## How this is checked").unwrap();
        let named = rules.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        let mut count = 0;
        for name in named.filter(|word| word.starts_with("clmsfs_")) {
            assert!(METRICS.iter().any(|metric| metric.name == name), "{name}");
            count += 1;
        }
        assert!(count >= 8, "{count}");
    }
}
