//! The conversion in a child process: the test program serves as its own child.

use std::sync::Mutex;

use super::*;
use crate::ingest::child::{ChildProgram, child_main, run_with};

/// Says to the test below what the child shall do.
const ROLE: &str = "CLMSFS_TEST_ROLE";

/// Not a test of its own: with the variable set, this is the child's main function.
#[test]
fn child_process() {
    let Some(role) = std::env::var_os(ROLE) else { return };
    match role.to_str().unwrap() {
        "convert" => {
            let _ = child_main();
        }
        "follow" => {
            let _ = crate::ingest::follow_main();
        }
        "crash" => {
            eprintln!("about to crash");
            std::process::abort();
        }
        "crash while reading" => {
            println!("\n{}", serde_json::json!({"reading": "p/first.nc"}));
            println!("{}", serde_json::json!({"reading": "p/x.nc"}));
            std::process::abort();
        }
        "hang" => loop {
            std::thread::park();
        },
        "watch" => crate::ingest::child::leave_with_parent(&std::sync::mpsc::channel().0),
        "look around" => super::walls::look_around(),
        other => panic!("no such role: {other}"),
    }
    std::process::exit(0);
}

pub(super) fn program(role: &str) -> ChildProgram {
    ChildProgram {
        path: std::env::current_exe().unwrap(),
        arguments: ["ingest::tests::child::child_process", "--exact", "--nocapture", "--test-threads=1"]
            .map(Into::into)
            .to_vec(),
        environment: vec![(ROLE.into(), role.into())],
    }
}

pub(super) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

/// Converts behind the walls; gives the entry's description and the progress.
pub(super) fn convert_in_child(job: IngestJob) -> Result<(EntryMeta, Vec<IngestProgress>), IngestError> {
    let seen = Mutex::new(Vec::new());
    let program = program("convert");
    let run = run_with(&program, job, |progress| seen.lock().unwrap().push(progress));
    let ingested = block_on(run)?;
    Ok((ingested.meta, seen.into_inner().unwrap()))
}

pub(super) fn package(shop: &Workshop) -> (PathBuf, Vec<u8>) {
    let source = shop.path("in/a.tif");
    let tiff =
        Tiff { size: (1500, 1200), nodata: Some(255.0), options: &["COMPRESS=LZW"], ..Tiff::default() };
    let pixels = tiff.write(&source, |_, y, x| (x * y / 1000 % 200) as u8);
    (shop.zip(&[("p/a.tif", &source), ("p/a.txt", &source)]), pixels)
}

#[test]
fn the_child_converts_behind_its_walls() {
    let shop = Workshop::new();
    let (package, pixels) = package(&shop);
    let seen = Mutex::new(Vec::new());
    let job = shop.job(&package);
    let ingested =
        block_on(run_with(&program("convert"), job, |progress| seen.lock().unwrap().push(progress))).unwrap();
    assert_eq!(ingested.entry, shop.entry());
    check_raster(&ingested.entry, &ingested.meta.rasters[0], &pixels);
    assert_eq!(ingested.meta.rasters[0].crs.as_ref().unwrap().epsg, Some(3035));
    let seen = seen.into_inner().unwrap();
    let total = 1500 * 1200 + ingested.meta.originals[0].size;
    let is_room = |progress: &IngestProgress| matches!(progress, IngestProgress::Room { .. });
    assert!(seen.iter().any(is_room), "it asks before it writes");
    let last = seen.iter().rfind(|progress| matches!(progress, IngestProgress::Converting { .. }));
    assert_eq!(last, Some(&IngestProgress::Converting { done: total, total }));
}

#[test]
fn relative_paths_are_the_parents() {
    let job = IngestJob { staging: "no/such/staging".into(), ..Workshop::new().job(Path::new("p.zip")) };
    let error = block_on(run_with(&program("convert"), job, |_| {})).unwrap_err();
    let here = std::env::current_dir().unwrap().join("no/such/staging");
    assert!(error.to_string().contains(here.to_str().unwrap()), "{error}");
}

#[test]
fn errors_come_back_typed() {
    let shop = Workshop::new();
    let package = shop.path("p.zip");
    fs::write(&package, "<html>expired</html>").unwrap();
    let error = block_on(run_with(&program("convert"), shop.job(&package), |_| {})).unwrap_err();
    assert!(matches!(&error, IngestError::NotAPackage { name, .. } if name == "p.zip"), "{error}");
    assert!(error.is_damaged_download());
}

#[test]
fn a_crash_is_an_error_with_its_last_words() {
    let shop = Workshop::new();
    let (package, _) = package(&shop);
    let error = block_on(run_with(&program("crash"), shop.job(&package), |_| {})).unwrap_err();
    let IngestError::Child { reason } = error else { panic!("{error}") };
    assert!(reason.contains("aborted") && reason.contains("about to crash"), "{reason}");
}

#[test]
fn a_crash_names_the_file_that_was_worked_on() {
    let shop = Workshop::new();
    let (package, _) = package(&shop);
    let error = block_on(run_with(&program("crash while reading"), shop.job(&package), |_| {})).unwrap_err();
    assert!(error.to_string().contains("while it worked on 'p/x.nc'"), "{error}");
}

#[test]
fn a_hanging_child_is_ended() {
    let shop = Workshop::new();
    let (package, _) = package(&shop);
    let mut job = shop.job(&package);
    job.limits.seconds = Some(1);
    let error = block_on(run_with(&program("hang"), job, |_| {})).unwrap_err();
    assert_eq!(error, IngestError::Timeout { seconds: 1 });
}

#[test]
fn a_missing_program_is_an_error() {
    let shop = Workshop::new();
    let missing = ChildProgram { path: shop.path("nothing"), ..program("convert") };
    let error = block_on(run_with(&missing, shop.job(Path::new("x")), |_| {})).unwrap_err();
    assert!(matches!(error, IngestError::Child { .. }), "{error}");
}

#[test]
fn limits_reach_the_child() {
    let shop = Workshop::new();
    let (package, _) = package(&shop);
    let mut job = shop.job(&package);
    job.limits.unpacked_bytes = 1000;
    let error = block_on(run_with(&program("convert"), job.clone(), |_| {})).unwrap_err();
    assert!(matches!(error, IngestError::TooLarge { limit: 1000, .. }), "{error}");
    // What a failed run left behind is no obstacle; fewer files than the walls themselves need are not taken literally.
    job.limits = Limits { open_files: 4, ..Limits::default() };
    block_on(run_with(&program("convert"), job, |_| {})).unwrap();
}

#[test]
fn the_child_ends_with_its_parents_pipe() {
    let program = program("watch");
    let mut child = std::process::Command::new(&program.path)
        .args(&program.arguments)
        .envs(program.environment)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    assert_eq!(child.try_wait().unwrap(), None);
    drop(child.stdin.take());
    assert_eq!(child.wait().unwrap().code(), Some(2));
}

#[test]
fn the_child_may_consume_its_package() {
    let shop = Workshop::new();
    let (package, pixels) = package(&shop);
    let job = IngestJob { consume: true, ..shop.job(&package) };
    let ingested = block_on(run_with(&program("convert"), job, |_| {})).unwrap();
    check_raster(&ingested.entry, &ingested.meta.rasters[0], &pixels);
    assert_eq!(fs::metadata(&package).unwrap().len(), 0);
}
