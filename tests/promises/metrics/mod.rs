//! Metrics: sound text behind three doors, every metric documented, counters that are right and never fall.

use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpListener;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::packages::Pixels;
use crate::support::process::{Reader, run};
use crate::support::{Mount, Package, Stage, control, wait};

mod exposition;

use exposition::Page;

const QUICK: &str = "queued = '50ms'\nrunning = '50ms'";

fn scrape(point: &Path) -> Page {
    Page::read(&std::fs::read_to_string(point.join(".clmsfs/metrics")).unwrap())
}

/// Where the metrics are served, as the log tells.
fn port(mount: &Mount) -> String {
    wait::until("a word about the port", || {
        let log = mount.log();
        let (_, rest) = log.split_once("metrics are served at http://")?;
        Some(rest.split_once("/metrics")?.0.to_owned())
    })
}

/// What `docs/METRICS.md` says: labels of each metric, and the values of each label where they are listed.
fn documented() -> BTreeMap<String, BTreeMap<String, Option<BTreeSet<String>>>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/METRICS.md");
    let text = std::fs::read_to_string(path).unwrap();
    let (_, metrics) = text.split_once("## The metrics").unwrap();
    let (metrics, labels) = metrics.split_once("## Labels").unwrap();
    let words =
        |cell: &str| -> Vec<String> { cell.split('`').skip(1).step_by(2).map(str::to_owned).collect() };
    let mut all = BTreeMap::new();
    for row in metrics.lines().filter(|line| line.starts_with("| `")) {
        let names = words(row.split('|').nth(1).unwrap());
        all.insert(names[0].clone(), names[1..].iter().map(|label| (label.clone(), None)).collect());
    }
    for row in labels.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = row.split('|').collect();
        let (metric, label) = (words(cells[1]).remove(0), words(cells[2]).remove(0));
        let values: BTreeSet<String> = words(cells[3]).into_iter().collect();
        let labels: &mut BTreeMap<String, Option<BTreeSet<String>>> = all.get_mut(&metric).unwrap();
        labels.insert(label, (!values.is_empty()).then_some(values));
    }
    all
}

#[test]
fn every_door_shows_every_documented_metric() {
    let Some(stage) = Stage::shared() else { return };
    Package::new("wanted", Pixels::Classes, 64).write(&stage.data());
    let simulator = stage.simulator(QUICK);
    let mount = stage.mount(&simulator).flag("--metrics-listen", "127.0.0.1:0").start();
    mount.cat("wanted").success();
    // asked from the beginning on, in the background
    wait::until_true("a word of the disk", || {
        scrape(mount.point()).families.contains_key("clmsfs_cache_disk_free_bytes")
    });

    let port = port(&mount);
    let (status, body) = control::request(&port, "GET", "/metrics", "");
    assert_eq!(status, 200);
    let doors = [
        std::fs::read_to_string(mount.point().join(".clmsfs/metrics")).unwrap(),
        mount.run(&["metrics"]).success().text(),
        String::from_utf8(body).unwrap(),
    ];
    let documented = documented();
    for text in &doors {
        let page = Page::read(text);
        assert_eq!(
            page.families.keys().collect::<Vec<_>>(),
            documented.keys().collect::<Vec<_>>(),
            "docs/METRICS.md has other metrics"
        );
        for (name, family) in &page.families {
            let labels = &documented[name];
            assert_eq!(family.labels(), labels.keys().map(String::as_str).collect(), "{name}");
            for (label, values) in labels {
                let Some(values) = values else { continue };
                let values: BTreeSet<&str> = values.iter().map(String::as_str).collect();
                assert_eq!(family.values(label), values, "{name} by {label}");
            }
            assert!(family.help.ends_with('.'), "{name}: {}", family.help);
        }
        // nobody learns from it what is read, nor where
        for private in ["wanted", "data", mount.point().to_str().unwrap(), mount.cache().to_str().unwrap()] {
            assert!(!text.contains(&format!("\"{private}")), "{private} is in\n{text}");
        }
        assert!(mount.secrets().found_in(text).is_none());
    }
    let of = |path, method| control::request(&port, method, path, "").0;
    assert_eq!([of("/", "GET"), of("/status", "GET"), of("/metrics/", "GET")], [404; 3]);
    assert_eq!([of("/metrics", "POST"), of("/metrics", "PUT"), of("/metrics", "DELETE")], [405; 3]);
}

#[test]
fn counters_tell_what_happened_and_never_fall() {
    let Some(stage) = Stage::shared() else { return };
    for name in ["one", "two", "broken"] {
        Package::new(name, Pixels::Noise, 400).write(&stage.data());
    }
    let simulator =
        stage.simulator(&format!("{QUICK}\n[[fault]]\nfile = 'broken'\noutcome = 'finished_nok'"));
    let mount = stage.mount(&simulator).switch("--passthrough=false").start();
    mount.product("one");
    let before = scrape(mount.point());
    let over = AtomicBool::new(false);
    let pages = std::thread::scope(|scope| {
        let (point, over) = (mount.point(), &over);
        let watching = scope.spawn(move || {
            let mut pages = vec![scrape(point)];
            while !over.load(Ordering::SeqCst) {
                pages.push(scrape(point));
            }
            pages
        });
        let readers =
            [mount.tif("one"), mount.tif("one"), mount.tif("two")].map(|tif| Reader::start("cat", &[tif]));
        for reader in readers {
            reader.finish().success();
        }
        assert!(!mount.cat("broken").status.success());
        mount.cat("one").success();
        let refused = run("sh", &["-c".as_ref(), "echo x > \"$0\"".as_ref(), mount.tif("one").as_os_str()]);
        assert!(!refused.status.success());
        wait::until_true("readers that have closed", || {
            mount.run(&["cache", "evict", "data/two"]).status.success()
        });
        over.store(true, Ordering::SeqCst);
        watching.join().unwrap()
    });
    assert!(pages.len() > 3, "{} scrapes", pages.len());
    for pair in pages.windows(2) {
        let (earlier, later) = (pair[0].rising(), pair[1].rising());
        assert_eq!(earlier.keys().collect::<Vec<_>>(), later.keys().collect::<Vec<_>>(), "series come or go");
        for (series, value) in &earlier {
            assert!(later[series] >= *value, "{series:?} fell from {value} to {}", later[series]);
        }
    }

    let page = scrape(mount.point());
    let asked = simulator.requests();
    for (ours, theirs) in [
        ("catalogue", "search"),
        ("order", "post"),
        ("cancel", "delete"),
        ("download", "download"),
        ("token", "token"),
    ] {
        let counted = page.sum("clmsfs_service_requests_total", "endpoint", ours);
        assert_eq!(counted, asked.count(theirs) as f64, "{ours}");
    }
    let value = |name: &str, labels: &[(&str, &str)]| page.value(&format!("clmsfs_{name}"), labels);
    assert_eq!(value("tokens_total", &[("event", "granted")]), asked.count("token") as f64);
    assert_eq!(value("orders_total", &[("outcome", "accepted")]), 3.0);
    assert_eq!(value("downloaded_bytes_total", &[]), asked.download_bytes() as f64);
    assert_eq!(value("fetches_total", &[]), 3.0);
    assert_eq!(value("fetches_published_total", &[]), 2.0);
    assert_eq!(value("fetches_failed_total", &[]), 1.0);
    assert_eq!(value("fetch_failures_total", &[("kind", "service")]), 1.0);
    assert_eq!(value("jobs", &[("state", "failed")]), 1.0);
    assert_eq!(
        value("jobs_active", &[]) + value("readers_waiting", &[]) + value("converter_processes", &[]),
        0.0
    );
    let counts = |name: &str| page.count(&format!("clmsfs_{name}"));
    assert_eq!(counts("fetch_duration_seconds"), 2.0);
    assert_eq!(counts("conversion_duration_seconds"), 2.0);
    // the second reader of 'one' may have come late
    let waited = counts("open_wait_duration_seconds");
    assert!((3.0..=4.0).contains(&waited), "{waited}");
    assert_eq!(value("cold_opens_total", &[("answer", "block")]), waited);
    let opened = |outcome: &str| {
        let of = |page: &Page| page.value("clmsfs_opens_total", &[("outcome", outcome)]);
        of(&page) - of(&before)
    };
    assert_eq!(opened("through_mount"), 4.0);
    assert_eq!((opened("failed"), opened("refused"), opened("passthrough")), (1.0, 1.0, 0.0));
    let size = std::fs::metadata(mount.tif("one")).unwrap().len() as f64;
    let read = value("read_bytes_total", &[]);
    assert!(read >= size && value("reads_total", &[]) > 0.0, "{read} of {size}");
    assert_eq!(value("cache_evictions_total", &[("cause", "asked")]), 1.0);
    assert!(value("cache_evicted_bytes_total", &[]) > 0.0);
    assert_eq!(value("cache_entries", &[]), 1.0);
    assert!(value("process_resident_memory_bytes", &[]) > 1e6 && value("process_threads", &[]) > 1.0);
}

#[test]
fn a_port_in_use_is_one_line_before_anything_is_mounted() {
    let Some(stage) = Stage::shared() else { return };
    let simulator = stage.simulator(QUICK);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let refused = stage.mount(&simulator).flag("--metrics-listen", &address).refused();
    assert_eq!((refused.status.code(), refused.text().as_str()), (Some(1), ""));
    let told = format!("clmsfs: failed to mount: metrics cannot be served at {address}: ");
    assert!(refused.stderr.starts_with(&told) && refused.stderr.lines().count() == 1, "{}", refused.stderr);
    assert!(refused.stderr.contains("--metrics-listen"), "{}", refused.stderr);
    assert!(!stage.folder().join("cache").exists(), "nothing was begun");
    let no_address = stage.mount(&simulator).flag("--metrics-listen", "9469").refused();
    assert_eq!(no_address.status.code(), Some(2), "{}", no_address.stderr);
    assert!(no_address.stderr.contains("127.0.0.1:8080"), "{}", no_address.stderr);
}
