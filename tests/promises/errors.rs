//! What goes wrong is told by the errno of open(), in `user.clmsfs.error` and in `status`; it ends, and nothing panics.
//! What the service does wrong is in `faults`; here are keys, and packages that cannot be served.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::support::packages::Pixels;
use crate::support::{Mount, Package, Simulator, Stage};

const QUICK: &str = "queued = '20ms'\nrunning = '20ms'\n";

/// No failure may keep its reader longer than this.
const BOUND: Duration = Duration::from_secs(30);

/// Requests that one failed open may cost; an endless loop costs more.
const BOUNDED: u64 = 60;

struct Broken {
    mount: Mount,
    simulator: Simulator,
    _stage: Stage,
}

/// A mount of a service with one product `broken` and the faults of the scenario.
fn broken(faults: &str) -> Option<Broken> {
    let stage = Stage::shared()?;
    Package::new("broken", Pixels::Classes, 300).write(&stage.data());
    let simulator = stage.simulator(&format!("{QUICK}{faults}"));
    let mount = stage.mount(&simulator).start();
    mount.product("broken");
    Some(Broken { mount, simulator, _stage: stage })
}

impl Broken {
    /// Opens the product and expects that errno, within the bound, with a reason in xattr and status.
    #[track_caller]
    fn refused(&self, errno: i32, words: &[&str]) -> String {
        let start = Instant::now();
        let error = match std::fs::File::open(self.mount.tif("broken")) {
            Err(error) => error,
            Ok(_) => panic!("the product opened"),
        };
        assert!(start.elapsed() < BOUND, "took {:?}", start.elapsed());
        let reason = self.mount.attribute("broken", "error");
        assert_eq!(error.raw_os_error(), Some(errno), "{error}; '{reason}'\n{}", self.mount.log());
        assert!(
            words.iter().any(|word| reason.to_lowercase().contains(word)),
            "'{reason}' has none of {words:?}"
        );
        let status = self.mount.run(&["status"]).success().text();
        assert!(status.contains("broken"), "status does not name the product:\n{status}");
        let json = self.mount.json(&["status"]).to_string();
        let quoted = serde_json::to_string(&reason).unwrap();
        assert!(
            json.contains(quoted.trim_matches('"')),
            "status --json does not give the reason '{reason}':\n{json}"
        );
        assert!(self.simulator.requests().total() < BOUNDED, "{:?}", self.simulator.requests());
        reason
    }

    /// After a failure nobody keeps asking.
    #[track_caller]
    fn calm(&self) {
        self.simulator.reset_when_quiet();
        assert_eq!(self.mount.staging(), Vec::<PathBuf>::new(), "a failure leaves nothing in staging");
    }
}

#[test]
fn a_key_that_the_service_does_not_know() {
    let Some(stage) = Stage::shared() else { return };
    Package::new("broken", Pixels::Classes, 300).write(&stage.data());
    let simulator = stage.simulator(QUICK);
    let mut key: serde_json::Value =
        serde_json::from_slice(&std::fs::read(simulator.key()).unwrap()).unwrap();
    key["client_id"] = serde_json::json!("0123456789abcdef0123456789abcdef");
    let foreign = stage.folder().join("foreign-key.json");
    std::fs::copy(simulator.key(), &foreign).unwrap();
    std::fs::write(&foreign, key.to_string()).unwrap();
    let mount = stage.mount(&simulator).credentials(&foreign).start();
    let broken = Broken { mount, simulator, _stage: stage };
    broken.mount.product("broken");
    broken.refused(libc::EACCES, &["key", "credential"]);
    assert!(!broken.mount.log().contains("PRIVATE KEY"), "the key is never logged");
}

#[test]
fn no_key_at_all_still_lists() {
    let Some(stage) = Stage::shared() else { return };
    Package::new("broken", Pixels::Classes, 300).write(&stage.data());
    let simulator = stage.simulator(QUICK);
    let mount = stage.mount(&simulator).flag("--credentials", "none").start();
    let broken = Broken { mount, simulator, _stage: stage };
    broken.mount.product("broken");
    broken.refused(libc::EACCES, &["key", "credential"]);
    assert_eq!(broken.simulator.requests().count("token"), 0);
}

#[test]
fn a_failure_is_answered_from_memory_for_a_while() {
    let Some(broken) = broken("[[fault]]\nfile = 'broken'\noutcome = 'finished_nok'\n") else { return };
    broken.refused(libc::EIO, &["finished_nok"]);
    broken.calm();
    std::fs::File::open(broken.mount.tif("broken")).unwrap_err();
    assert_eq!(broken.simulator.requests().total(), 0, "{:?}", broken.simulator.requests());
}

#[test]
fn a_package_that_is_no_raster() {
    let Some(stage) = Stage::shared() else { return };
    let mut zip = zip::ZipWriter::new(std::fs::File::create(stage.data().join("broken.zip")).unwrap());
    zip.start_file("broken/broken.tif", zip::write::SimpleFileOptions::default()).unwrap();
    std::io::Write::write_all(&mut zip, b"II*\0this is not a TIFF at all").unwrap();
    zip.finish().unwrap();
    let simulator = stage.simulator(QUICK);
    let mount = stage.mount(&simulator).start();
    let broken = Broken { mount, simulator, _stage: stage };
    broken.refused(libc::EIO, &["raster", "tif", "gdal", "convert"]);
    broken.calm();
}

/// The product `broken` is a zip of these files; opening it is EIO, the message has the words, and nothing is cached.
fn refuses_package(files: &[(&str, Vec<u8>)], words: &[&str]) {
    let Some(stage) = Stage::shared() else { return };
    let mut zip = zip::ZipWriter::new(std::fs::File::create(stage.data().join("broken.zip")).unwrap());
    for (name, bytes) in files {
        zip.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        std::io::Write::write_all(&mut zip, bytes).unwrap();
    }
    zip.finish().unwrap();
    let simulator = stage.simulator(QUICK);
    let mount = stage.mount(&simulator).start();
    let broken = Broken { mount, simulator, _stage: stage };
    let reason = broken.refused(libc::EIO, &["p/"]);
    assert!(words.iter().all(|word| reason.contains(word)), "'{reason}' has not all of {words:?}");
    broken.calm();
    let cached: Vec<_> = std::fs::read_dir(broken.mount.cache().join("rasters")).unwrap().collect();
    assert!(cached.is_empty(), "{cached:?}");
}

/// The bytes of a raster of classes.
fn raster_bytes(name: &str, epsg: u32) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = Package::new(name, Pixels::Classes, 600).epsg(epsg).write(folder.path());
    std::fs::read(path).unwrap()
}

#[test]
fn tiles_of_two_reference_systems_are_refused_by_name() {
    let (one, other) = (raster_bytes("one", 3035), raster_bytes("other", 3857));
    let files = [("p/x_E40N30.tif", one), ("p/x_E41N30.tif", other)];
    refuses_package(&files, &["x_E41N30.tif", "EPSG:3857"]);
}

#[test]
fn a_broken_tile_is_refused_by_name() {
    let (good, mut bad) = (raster_bytes("good", 3035), raster_bytes("bad", 3035));
    bad.truncate(bad.len() * 3 / 4);
    let files = [("p/good.tif", good), ("p/bad.tif", bad)];
    refuses_package(&files, &["p/bad.tif"]);
}

#[test]
fn a_package_that_climbs_out_of_its_folder() {
    let Some(stage) = Stage::shared() else { return };
    Package::new("broken", Pixels::Classes, 64).write(&stage.data().join("inner"));
    let good = std::fs::read(stage.data().join("inner/sources/broken.tif")).unwrap();
    let mut zip = zip::ZipWriter::new(std::fs::File::create(stage.data().join("broken.zip")).unwrap());
    let options = zip::write::SimpleFileOptions::default();
    for name in ["broken/broken.tif", "../../../../escaped.txt", "/escaped.txt"] {
        zip.start_file(name, options).unwrap();
        std::io::Write::write_all(&mut zip, &good).unwrap();
    }
    zip.finish().unwrap();
    let simulator = stage.simulator(QUICK);
    let mount = stage.mount(&simulator).start();
    // Refusing the package or leaving the entry out are both fine; writing it is not.
    let _ = mount.cat("broken");
    let outside = crate::support::process::run(
        "find",
        &[stage.folder().as_os_str(), "-name".as_ref(), "escaped.txt".as_ref()],
    );
    let mount_point = mount.point().to_string_lossy().into_owned();
    for line in outside.text().lines() {
        let inside = mount.cache().join("rasters");
        assert!(line.starts_with(&mount_point) || line.starts_with(&*inside.to_string_lossy()), "{line}");
    }
    assert!(!std::path::Path::new("/escaped.txt").exists());
}
