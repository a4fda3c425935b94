//! What goes wrong is told by the errno of open(), in `user.clmsfs.error` and in `status`; it ends, and nothing panics.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::support::packages::Pixels;
use crate::support::proxy::Proxy;
use crate::support::{Mount, Package, Simulator, Stage, raster, wait};

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
fn a_service_that_refuses_the_key() {
    let Some(broken) = broken("reject_key = true") else { return };
    broken.refused(libc::EACCES, &["key", "credential"]);
    assert_eq!(broken.simulator.requests().posts("broken"), 0);
    assert!(broken.simulator.requests().count("token") <= 4, "a token storm gets users banned");
    broken.calm();
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
    let mount = stage.mount(&simulator).credentials(&stage.folder().join("no-such-key.json")).start();
    let broken = Broken { mount, simulator, _stage: stage };
    broken.mount.product("broken");
    broken.refused(libc::EACCES, &["key", "credential"]);
    assert_eq!(broken.simulator.requests().count("token"), 0);
}

#[test]
fn an_expired_token_is_renewed_without_anybody_noticing() {
    let Some(stage) = Stage::shared() else { return };
    Package::new("one", Pixels::Classes, 64).write(&stage.data());
    Package::new("two", Pixels::Classes, 64).write(&stage.data());
    let simulator = stage.simulator(QUICK);
    let mount = stage.mount(&simulator).start();
    mount.cat("one").success();
    simulator.revoke_tokens();
    mount.cat("two").success();
    assert!(simulator.requests().count("token") <= 3, "{:?}", simulator.requests());
}

#[test]
fn a_key_that_was_revoked_meanwhile() {
    let Some(broken) = broken("") else { return };
    // The catalogue is public; from now on every token and the key itself are unknown.
    broken.simulator.scenario(&format!("{QUICK}reject_key = true"));
    broken.simulator.revoke_tokens();
    broken.refused(libc::EACCES, &["key", "credential"]);
    broken.calm();
}

#[test]
fn a_service_that_cannot_be_reached_and_comes_back() {
    let Some(stage) = Stage::shared() else { return };
    let source = Package::new("broken", Pixels::Classes, 300).write(&stage.data());
    let simulator = stage.simulator(QUICK);
    let mut proxy = Proxy::start(simulator.authority());
    let api = simulator.api().replace(simulator.authority(), &proxy.authority());
    let mount = stage.mount(&simulator).api(&api).start();
    mount.product("broken");
    proxy.cut();
    let start = Instant::now();
    let error = std::fs::File::open(mount.tif("broken")).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::ENETDOWN), "{error}");
    assert!(start.elapsed() < BOUND, "took {:?}", start.elapsed());
    let reason = mount.attribute("broken", "error");
    assert!(!reason.is_empty());

    proxy.mend();
    wait::until_true("the product opens once the service is back", || mount.cat("broken").status.success());
    assert_eq!(raster::checksums(&mount.tif("broken")), raster::checksums(&source));
}

/// A fault that does not go away: EIO, a reason, no loop, nothing left behind.
fn stays_broken(fault: &str, words: &[&str], posts: u64) {
    let Some(broken) = broken(&format!("[[fault]]\n{fault}\n")) else { return };
    broken.refused(libc::EIO, words);
    let requests = broken.simulator.requests();
    assert!(requests.posts("broken") <= posts, "{requests:?}");
    broken.calm();
    // Asked again at once it answers from memory instead of ordering anew.
    let start = Instant::now();
    std::fs::File::open(broken.mount.tif("broken")).unwrap_err();
    assert!(start.elapsed() < BOUND);
    assert!(broken.simulator.requests().count("post") <= posts, "{:?}", broken.simulator.requests());
}

#[test]
fn the_service_cannot_make_it() {
    stays_broken("file = 'broken'\noutcome = 'finished_nok'", &["finished_nok", "service"], 1);
}

#[test]
fn the_service_rejects_it() {
    stays_broken("file = 'broken'\noutcome = 'rejected'", &["rejected"], 1);
}

#[test]
fn half_a_json_as_the_answer_to_the_order() {
    stays_broken("endpoint = 'post'\nmalformed_json = true", &["json", "answer", "understand"], 3);
}

#[test]
fn half_a_json_as_the_state_of_the_task() {
    stays_broken("endpoint = 'status'\nmalformed_json = true", &["json", "answer", "understand"], 1);
}

#[test]
fn a_web_page_as_the_state_of_the_task() {
    stays_broken("endpoint = 'status'\nhtml = true", &["html", "json", "web page", "answer"], 1);
}

#[test]
fn a_zip_that_ends_too_early() {
    stays_broken("file = 'broken'\ntruncated = 0.5", &["zip", "truncated", "incomplete", "package"], 2);
}

#[test]
fn a_zip_with_wrong_bytes() {
    stays_broken("file = 'broken'\ncorrupt = true", &["zip", "corrupt", "crc", "checksum", "package"], 2);
}

#[test]
fn a_web_page_instead_of_a_zip() {
    stays_broken("file = 'broken'\nnot_a_zip = true", &["zip", "web page", "html", "link"], 2);
}

#[test]
fn a_link_that_never_works() {
    stays_broken("file = 'broken'\nexpired_link = true", &["link", "404", "expired"], 2);
}

/// A fault that strikes once: the reader waits a little longer and gets the right bytes.
fn heals(fault: &str, posts: u64) {
    let Some(stage) = Stage::shared() else { return };
    let source = Package::new("broken", Pixels::Classes, 300).write(&stage.data());
    let simulator = stage.simulator(&format!("{QUICK}[[fault]]\n{fault}\ntimes = 1\n"));
    let mount = stage.mount(&simulator).start();
    assert_eq!(raster::checksums(&mount.tif("broken")), raster::checksums(&source));
    let requests = simulator.requests();
    assert!((1..=posts).contains(&requests.posts("broken")), "{requests:?}");
}

#[test]
fn one_lost_link_is_ordered_anew() {
    heals("file = 'broken'\nexpired_link = true", 2);
}

#[test]
fn one_web_page_instead_of_a_zip_is_ordered_anew() {
    heals("file = 'broken'\nnot_a_zip = true", 2);
}

#[test]
fn one_broken_connection_is_resumed() {
    heals("endpoint = 'download'\nreset = true", 1);
}

#[test]
fn one_busy_answer_is_repeated() {
    heals("endpoint = 'status'\nstatus = 503\nretry_after = 1", 1);
}

#[test]
fn one_busy_answer_to_the_order_orders_once() {
    heals("endpoint = 'post'\nstatus = 502", 2);
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

#[test]
fn a_hanging_delete_does_not_hold_up_a_cancel() {
    let Some(stage) = Stage::shared() else { return };
    Package::new("broken", Pixels::Classes, 64).write(&stage.data());
    let simulator = stage.simulator("queued = '1h'\ndelete = 'hangs'");
    let mount = stage.mount(&simulator).start();
    let reader = crate::support::process::Reader::start("cat", &[mount.tif("broken")]);
    mount.reaches("broken", &["queued"]);
    let cancel = mount.run(&["cancel", "data/broken"]).success();
    assert!(cancel.elapsed < Duration::from_secs(15), "took {:?}", cancel.elapsed);
    assert!(!reader.finish().status.success(), "whoever waited is told");
    wait::until_true("the product is cold or failed", || mount.state("broken") != "queued");
}
