//! What is wrong is told in one line that says what helps, with exit code 2 for usage and settings and 1 for all else; nothing is half
//! mounted, and no process stays.

use std::fs;
use std::io::ErrorKind;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::support::disk::SmallDisk;
use crate::support::packages::Pixels;
use crate::support::process::{Finished, Reader, clmsfs};
use crate::support::{Package, Simulator, Stage};

const QUICK: &str = "queued = '10ms'\nrunning = '10ms'";
const USAGE: i32 = 2;
const FAILED: i32 = 1;

/// Where commands are run that must fail.
struct Ground {
    simulator: Simulator,
    /// A sound mount point.
    point: PathBuf,
    stage: Stage,
}

impl Ground {
    fn new() -> Option<Self> {
        Self::with(&[])
    }

    /// One whose service has these products.
    fn with(products: &[&str]) -> Option<Self> {
        let stage = Stage::shared()?;
        for name in products {
            Package::new(name, Pixels::Classes, 64).write(&stage.data());
        }
        let simulator = stage.simulator(QUICK);
        let point = stage.folder().join("point");
        fs::create_dir(&point).unwrap();
        Some(Self { simulator, point, stage })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.stage.folder().join(name)
    }

    /// A file with that text.
    fn file(&self, name: &str, text: &str) -> String {
        fs::write(self.path(name), text).unwrap();
        self.path(name).display().to_string()
    }

    fn run(&self, words: &[&str]) -> Finished {
        let mut command = clmsfs(self.stage.folder());
        command.args(words);
        Reader::spawn(command).finish()
    }

    /// Fails unless `clmsfs` with these words ends with that code and one line that has these words.
    #[track_caller]
    fn refuses(&self, words: &[&str], code: i32, told: &[&str]) -> String {
        let finished = self.run(words);
        assert_eq!(finished.status.code(), Some(code), "{words:?}: {}", finished.stderr);
        let line = one_line(&finished.stderr);
        for word in told {
            assert!(line.contains(word), "{words:?} does not tell of '{word}': {line}");
        }
        assert!(finished.stdout.is_empty(), "{words:?}: {}", finished.text());
        self.nothing_is_left();
        line.to_owned()
    }

    /// The same for a mount at the sound mount point, which has everything it needs but for these words.
    #[track_caller]
    fn refuses_mount(&self, words: &[&str], code: i32, told: &[&str]) {
        let (key, cache) =
            (self.simulator.key().display().to_string(), self.path("cache").display().to_string());
        let point = self.point.display().to_string();
        let mut all = vec!["mount", &point];
        for (flag, value) in
            [("--credentials", key.as_str()), ("--api-url", self.simulator.api()), ("--cache-dir", &cache)]
        {
            if !words.contains(&flag) {
                all.extend([flag, value]);
            }
        }
        all.extend(words);
        self.refuses(&all, code, told);
    }

    #[track_caller]
    fn nothing_is_left(&self) {
        let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let point = self.point.display().to_string();
        assert!(!table.contains(&format!(" {point} ")), "{point} is mounted");
        assert_eq!(processes_with(&self.point), Vec::<String>::new());
    }
}

#[track_caller]
fn one_line(text: &str) -> &str {
    assert_eq!(text.lines().count(), 1, "one line, and no more:\n{text}");
    let line = text.trim_end();
    assert!(line.starts_with("clmsfs: "), "{line}");
    line
}

/// Command lines of processes that name a path.
fn processes_with(path: &Path) -> Vec<String> {
    let wanted = path.display().to_string();
    let processes = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let lines = processes.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
    lines
        .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
        .filter(|line| line.contains(&wanted))
        .collect()
}

#[test]
fn wrong_usage_is_told_with_the_nearest_name() {
    let Some(ground) = Ground::new() else { return };
    ground.refuses(&["mont", "/m"], USAGE, &["'mont'", "'mount'", "see clmsfs --help"]);
    ground.refuses(&["fetch"], USAGE, &["<ID>", "see clmsfs fetch --help"]);
    ground.refuses(&["cache", "evcit", "x"], USAGE, &["'evict'"]);
    ground.refuses(&["completions", "tcsh"], USAGE, &["bash, zsh, fish"]);
    ground.refuses_mount(&["--cache-siez", "4GB"], USAGE, &["'--cache-size'", "see clmsfs mount --help"]);
    ground.refuses_mount(
        &["--cache-size", "5 apples"],
        USAGE,
        &["--cache-size", "'apples' is not a unit", "GiB"],
    );
    ground.refuses_mount(&["--cache-size", "64Mb"], USAGE, &["--cache-size", "MB"]);
    ground.refuses_mount(&["--block-timeout", "60"], USAGE, &["--block-timeout", "60s"]);
    ground.refuses_mount(&["--on-miss", "maybe"], USAGE, &["--on-miss", "'block'", "'eagain'"]);
    ground.refuses_mount(&["--uid", "ada"], USAGE, &["--uid", "id -u"]);
    ground.refuses_mount(&["-o", "cachesize=4GB"], USAGE, &["-o cachesize=4GB", "'cache_size'"]);
    ground.refuses_mount(&["-o", "rw"], USAGE, &["-o rw", "'ro'"]);
}

#[test]
fn a_wrong_settings_file_is_told_with_its_line() {
    let Some(ground) = Ground::new() else { return };
    let config = ground.file("c.toml", "cache_size = '4GB'\n\ncahce_dir = '/x'\non_miss = 'perhaps'\n");
    let place = format!("{config}:3:1: 'cahce_dir' is not an option; did you mean 'cache_dir'?");
    ground.refuses_mount(&["--config", &config], USAGE, &[&place, "and one more: clmsfs config check"]);
    ground.refuses_mount(&["--config", "/nowhere/c.toml"], USAGE, &["/nowhere/c.toml", "No such file"]);

    // all of it, a line each
    let checked = ground.run(&["config", "check", "--config", &config]);
    assert_eq!(checked.status.code(), Some(FAILED));
    let lines: Vec<&str> = checked.stderr.lines().collect();
    assert_eq!(lines.len(), 2, "{}", checked.stderr);
    assert!(lines[0].contains(&place), "{}", lines[0]);
    assert!(lines[1].contains(&format!("{config}:4: on_miss: 'perhaps' is neither 'block'")), "{}", lines[1]);
    let json = ground.run(&["config", "check", "--json", "--config", &config]);
    assert_eq!(json.status.code(), Some(FAILED));
    let verdict: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(verdict["ok"], false);
    let problems = verdict["problems"].as_array().unwrap();
    let places: Vec<_> = problems.iter().map(|problem| (&problem["line"], &problem["column"])).collect();
    assert_eq!(serde_json::json!(places), serde_json::json!([[3, 1], [4, null]]));

    // what it names is tried, too
    let (key, file) = (ground.path("no-key.json"), ground.file("file", ""));
    let config = ground.file("d.toml", &format!("credentials = {key:?}\ncache_dir = '{file}/cache'\n"));
    let checked = ground.run(&["config", "check", "--config", &config]);
    assert_eq!(checked.status.code(), Some(FAILED));
    let told = &checked.stderr;
    assert!(told.contains(&format!("{config}:1: credentials: ")) && told.contains("no-key.json"), "{told}");
    assert!(told.contains(&format!("{config}:2: cache_dir: ")) && told.contains("not a directory"), "{told}");
    let good = ground.file("e.toml", &format!("credentials = {:?}\n", ground.simulator.key()));
    let checked = ground.run(&["config", "check", "--config", &good]).success();
    assert_eq!(checked.text(), format!("{good}: fine\n"));

    let mut command = clmsfs(ground.stage.folder());
    command.args(["config", "check"]).env("CLMSFS_CACHE_SIZE", "lots").env("CLMSFS_LOG", "loud");
    let checked = Reader::spawn(command).finish();
    assert_eq!(checked.status.code(), Some(FAILED));
    assert!(checked.stderr.contains("$CLMSFS_CACHE_SIZE: 'lots'"), "{}", checked.stderr);
    assert!(checked.stderr.contains("$CLMSFS_LOG: 'loud'"), "{}", checked.stderr);
}

#[test]
fn a_key_that_cannot_be_used_is_told_before_anything_is_mounted() {
    let Some(ground) = Ground::new() else { return };
    ground.refuses_mount(
        &["--credentials", "/nowhere/key.json"],
        FAILED,
        &["/nowhere/key.json", "No such file"],
    );
    let folder = ground.stage.folder().display().to_string();
    ground.refuses_mount(&["--credentials", &folder], FAILED, &["is not a file"]);
    let text = ground.file("text.json", "{\"client_id\": \"x\"}");
    fs::set_permissions(&text, fs::Permissions::from_mode(0o600)).unwrap();
    ground.refuses_mount(&["--credentials", &text], FAILED, &["is not a service key", "land.copernicus.eu"]);
    let open = ground.path("open.json");
    fs::copy(ground.simulator.key(), &open).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o644)).unwrap();
    let open = open.display().to_string();
    ground.refuses_mount(&["--credentials", &open], FAILED, &["mode 644", "run: chmod 600"]);
    // who pastes the key itself does not see it again in messages
    ground.refuses_mount(&["--credentials", "{\"private_key\": 1}"], USAGE, &["chmod 600"]);
}

#[test]
fn a_mount_point_that_is_unfit_is_told_and_a_dead_one_is_healed() {
    let Some(ground) = Ground::new() else { return };
    let mount = |point: &Path, told: &[&str]| {
        let (key, cache) =
            (ground.simulator.key().display().to_string(), ground.path("cache").display().to_string());
        let point = point.display().to_string();
        let api = ground.simulator.api();
        let words = ["mount", &point, "--credentials", &key, "--api-url", api, "--cache-dir", &cache];
        ground.refuses(&words, FAILED, told)
    };
    mount(&ground.path("missing"), &["does not exist", "mkdir -p"]);
    ground.file("file", "");
    mount(&ground.path("file"), &["is not a directory", "name an empty directory"]);
    fs::create_dir(ground.path("full")).unwrap();
    ground.file("full/thesis.odt", "mine");
    mount(&ground.path("full"), &["is not empty", "name an empty directory"]);
    assert!(ground.path("full/thesis.odt").exists());

    let mut running = ground.stage.mount(&ground.simulator).start();
    mount(running.point(), &["is mounted already", "clmsfs umount"]);
    assert!(running.point().join("README.md").exists(), "the first one goes on");
    running.kill();
    // names may still be there: the kernel keeps them
    let dead = fs::read(running.point().join("README.md")).unwrap_err();
    assert_eq!(dead.kind(), ErrorKind::NotConnected);
    running.start_again();
    assert!(running.point().join("README.md").exists());
}

#[test]
fn a_cache_that_is_in_use_or_cannot_be_written_is_told() {
    let Some(ground) = Ground::new() else { return };
    let running = ground.stage.mount(&ground.simulator).start();
    let cache = running.cache().display().to_string();
    let pid = format!("pid {}", running.pid());
    ground.refuses_mount(&["--cache-dir", &cache], FAILED, &[&cache, "is in use", &pid, "--cache-dir"]);
    let below = ground.file("file", "") + "/cache";
    ground.refuses_mount(
        &["--cache-dir", &below],
        FAILED,
        &[&below, "cannot be made", "another --cache-dir"],
    );
    fs::create_dir(ground.path("home")).unwrap();
    ground.file("home/thesis.odt", "mine");
    let home = ground.path("home").display().to_string();
    ground.refuses_mount(&["--cache-dir", &home], FAILED, &["is not a cache", "thesis.odt"]);
    if let Some(disk) = SmallDisk::tmpfs(ground.stage.folder(), 1 << 20) {
        let root = disk.root().display().to_string();
        let remounted = crate::support::process::run("mount", &["-o", "remount,ro", &root]);
        assert!(remounted.status.success(), "{}", remounted.stderr);
        let cache = disk.cache().display().to_string();
        ground.refuses_mount(
            &["--cache-dir", &cache],
            FAILED,
            &[&cache, "Read-only file system", "--cache-dir"],
        );
    }
}

#[test]
fn a_port_that_is_taken_is_told() {
    let Some(ground) = Ground::new() else { return };
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    ground.refuses(&["simulate", "--listen", &address], FAILED, &[&address, "in use", "port 0"]);
    ground.refuses(&["simulate", "--listen", "8080"], USAGE, &["--listen", "127.0.0.1:8080"]);
}

#[test]
fn what_is_unknown_to_a_mount_is_told_by_name() {
    let Some(ground) = Ground::with(&["known"]) else { return };
    let point = ground.point.display().to_string();
    ground.refuses(&["status", "--mount", &point], FAILED, &[&point, "is not a running clmsfs mount"]);
    ground.refuses(&["umount", &point], FAILED, &[&point, "is not a running clmsfs mount"]);
    ground.refuses(&["reload", "--mount", &point], FAILED, &[&point, "is not a running clmsfs mount"]);
    let mount = ground.stage.mount(&ground.simulator).start();
    mount.product("known");
    for (words, told) in [
        (["ls", "no-such-dataset"].as_slice(), ["no dataset 'no-such-dataset'", "clmsfs search"]),
        (&["fetch", "data/no-such"], ["no product 'data/no-such'", "clmsfs search"]),
        (&["cancel", "data/known"], ["data/known", "nothing is being fetched"]),
        (&["cache", "evict", "data/known"], ["data/known", "is not in the cache"]),
        (&["cache", "pin", "data/no-such"], ["no product 'data/no-such'", "clmsfs search"]),
    ] {
        let refused = mount.run(words);
        assert_eq!(refused.status.code(), Some(FAILED), "{words:?}: {}", refused.stderr);
        let line = one_line(&refused.stderr);
        assert!(told.iter().all(|word| line.contains(word)), "{words:?}: {line}");
    }
}
