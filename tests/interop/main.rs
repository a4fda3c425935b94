//! Every tool of a GIS user opens every kind of package: one mount over the simulator, all tools at once.
//!
//! `kinds.py` writes the packages and what is true of them, the scripts in `tools/` and [`zarrs_reader`] tell what each
//! tool finds, [`known`] names the failures that are the tools' own, and [`table`] makes the table of
//! `docs/FORMATS.md` of it. A new kind is a function in `kinds.py`, a new tool a script and a line in [`tools`].
//!
//! `CLMSFS_INTEROP_TOOLS=qgis,gdal` runs these scripts only; what is named must be there then.

#![allow(clippy::unwrap_used)]

mod decoys;
mod findings;
mod known;
#[path = "../promises/support/mod.rs"]
#[allow(dead_code, unused_imports, reason = "made for the promises; this suite needs less of it")]
mod support;
mod table;
mod tools;
mod zarrs_reader;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;

use findings::Findings;
use support::process::Reader;
use support::{Mount, Stage, python};
use tools::{Data, Tools};

/// Tools run several at a time on few processors.
const LIMIT: Duration = Duration::from_secs(400);

#[test]
fn every_tool_opens_every_kind() {
    let Some(stage) = Stage::shared() else { return };
    let Some(interpreter) = python::interpreter() else { return };
    let Some(tools) = Tools::present(&interpreter) else { return };
    let start = Instant::now();
    let step = |what: &str| println!("{:>6.1} s  {what}", start.elapsed().as_secs_f64());

    let kinds = kinds(&stage, &interpreter);
    let simulator = stage.simulator("queued = '20ms'\nrunning = '20ms'");
    let mount = stage.mount(&simulator).watchdog(LIMIT).start();
    let mounted = mount.product(&kinds[0].name).parent().unwrap().to_owned();
    step(&format!("{} kinds are packed and mounted", kinds.len()));

    let cold = catalogue(&tools, &mount);
    assert_eq!(cold["ready"], 0, "{cold}");
    assert!(
        cold["items"].as_u64().unwrap() > kinds.len() as u64,
        "{cold}: the sample's products are missing"
    );
    step(&format!("the cold catalogue is valid: {cold}"));

    let products: Vec<String> = kinds.iter().map(|kind| format!("data/{}", kind.name)).collect();
    let mut fetch = vec!["fetch", "data/decoy"];
    fetch.extend(products.iter().map(String::as_str));
    Reader::spawn(mount.verb(&fetch)).finish_within(LIMIT).success();
    step("every kind is ready");

    let lines = tools.run(&stage.folder().join("manifest.json"), &mounted, LIMIT);
    step("every tool has read every kind");

    let ready = catalogue(&tools, &mount);
    assert_eq!(ready["ready"], kinds.len() + 1, "{ready}: the kinds and the decoy");
    assert_eq!((&ready["items"], &ready["collections"]), (&cold["items"], &cold["collections"]));
    step(&format!("the ready catalogue is valid: {ready}"));

    let can_fail = decoys::checks_that_fail(&stage, &tools, &mounted, LIMIT);
    let idle = known::never_failing(&can_fail, &tools);
    assert!(idle.is_empty(), "checks that found nothing wrong where everything is:\n{}", idle.join("\n"));
    step("every check can fail");

    let findings = Findings::new(&kinds, &tools, lines);
    let surprises = known::judge(&findings, &tools);
    assert!(surprises.is_empty(), "{} surprises:\n{}", surprises.len(), surprises.join("\n"));
    table::compare_or_write(&kinds, &tools, &findings);
}

/// A kind of package, a row of the table.
#[derive(Debug)]
struct Kind {
    /// Name of the product.
    name: String,
    /// What the row says.
    title: String,
    /// From a real package, which is not on every machine.
    real: bool,
    /// What it holds.
    data: Vec<Data>,
}

/// Writes the packages into the stage's data folder.
fn kinds(stage: &Stage, interpreter: &Path) -> Vec<Kind> {
    let real = std::env::var_os("CLMSFS_REAL_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/real"), PathBuf::from);
    let mut arguments = vec![stage.folder().as_os_str()];
    if real.is_dir() {
        arguments.push(real.as_os_str());
    } else {
        println!("SKIPPED: no real packages in {} (set CLMSFS_REAL_DATA)", real.display());
    }
    python::script(interpreter, "kinds.py", &arguments).success();
    let manifest = std::fs::read(stage.folder().join("manifest.json")).unwrap();
    let manifest: Vec<Value> = serde_json::from_slice(&manifest).unwrap();
    let text = |kind: &Value, key: &str| kind[key].as_str().unwrap().to_owned();
    manifest
        .iter()
        .map(|kind| Kind {
            name: text(kind, "kind"),
            title: text(kind, "title"),
            real: kind["real"].as_bool().unwrap(),
            data: [("rasters", Data::Rasters), ("vectors", Data::Vectors)]
                .into_iter()
                .filter(|(key, _)| !kind[key].as_array().unwrap().is_empty())
                .map(|(_, data)| data)
                .collect(),
        })
        .collect()
}

/// Validates the whole mount as STAC, with pystac and stac-validator; the counts of what there is.
fn catalogue(tools: &Tools, mount: &Mount) -> Value {
    let catalog = mount.point().join("catalog.json");
    let arguments = [OsStr::new("--catalogue"), catalog.as_os_str(), tools.schemas.as_os_str()];
    let told = python::script(&tools.newest, "tools/stac.py", &arguments).success().text();
    serde_json::from_str(&told).unwrap_or_else(|error| panic!("{error}: {told}"))
}
