//! `clmsfs reload` and SIGHUP: a running mount takes its settings anew, all of them or none.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::support::manager::Manager;
use crate::support::packages::Pixels;
use crate::support::process::{CLMSFS, Reader, Service, clmsfs, send, within};
use crate::support::{Mount, Package, Simulator, Stage, wait};

const QUICK: &str = "queued = '20ms'\nrunning = '20ms'";

/// Settings in a file.
struct Config {
    path: PathBuf,
    options: BTreeMap<&'static str, String>,
}

impl Config {
    fn new(stage: &Stage, simulator: &Simulator) -> Self {
        let options = [
            ("credentials", simulator.key().display().to_string()),
            ("api_url", simulator.api().to_owned()),
            ("cache_dir", stage.folder().join("cache").display().to_string()),
            ("cache_size", "4GB".to_owned()),
            ("free_space_floor", "16MB".to_owned()),
            ("poll_min", "50ms".to_owned()),
            ("poll_max", "200ms".to_owned()),
            ("log", "info".to_owned()),
        ];
        let config = Self { path: stage.folder().join("settings.toml"), options: options.into() };
        config.write("");
        config
    }

    /// Writes the options and, below them, `rest`.
    fn write(&self, rest: &str) {
        let lines: Vec<String> =
            self.options.iter().map(|(name, value)| format!("{name} = {value:?}\n")).collect();
        std::fs::write(&self.path, lines.concat() + rest).unwrap();
    }

    /// Sets an option, and writes.
    fn set(&mut self, name: &'static str, value: impl ToString) {
        self.options.insert(name, value.to_string());
        self.write("");
    }

    fn mount(&self, stage: &Stage, simulator: &Simulator) -> Mount {
        stage.mount(simulator).configured(&self.path).start()
    }
}

#[test]
fn rules_and_log_change_at_once_and_a_broken_file_changes_nothing() {
    let Some(stage) = Stage::shared() else { return };
    Package::new("cold", Pixels::Classes, 64).write(&stage.data());
    let simulator = stage.simulator(QUICK);
    let mut config = Config::new(&stage, &simulator);
    let mount = config.mount(&stage, &simulator);
    mount.product("cold");
    assert!(!mount.log().contains("DEBUG"), "{}", mount.log());
    assert!(mount.run(&["reload"]).success().text().starts_with("reloaded: nothing has changed"));

    let cache = mount.cache().to_owned();
    config.options.insert("log", "debug".to_owned());
    config.options.insert("cache_dir", stage.folder().join("elsewhere").display().to_string());
    config.write("[[rule]]\nprocess = 'cat'\naction = 'deny'\n");
    let told = mount.run(&["reload"]).success().text();
    assert!(told.contains("log info → debug (") && told.contains(", rules\n"), "{told}");
    assert!(told.contains("waiting for the next mount: cache_dir "), "{told}");
    let warned =
        format!("these wait for the next mount, and stay as they were: cache_dir {}", cache.display());
    assert!(mount.log().contains(&warned), "{}", mount.log());
    assert!(!stage.folder().join("elsewhere").exists());
    let refused = mount.cat("cold");
    assert!(refused.stderr.contains("Permission denied"), "{}", refused.stderr);
    assert_eq!(simulator.requests().posts("cold"), 0);
    assert!(mount.log().contains("DEBUG"), "what a cold open decides is told at the level debug");
    // what the mount tells of itself is what is in force
    let shown = std::fs::read_to_string(mount.point().join(".clmsfs/config.toml")).unwrap();
    assert!(shown.contains("log = \"debug\"") && shown.contains("action = \"deny\""), "{shown}");
    assert!(shown.contains(&format!("cache_dir = \"{}\"", cache.display())), "{shown}");

    // neither the good line nor the bad ones of a file with errors count
    config.set("log", "info");
    config.write("cash_size = '1GB'\non_miss = 'perhaps'\n");
    let refused = mount.run(&["reload"]);
    assert_eq!(refused.status.code(), Some(1));
    let file = config.path.display();
    let first = config.options.len() + 1;
    for (line, words) in [(first, "did you mean 'cache_size'?"), (first + 1, "neither 'block'")] {
        let told = refused.stderr.lines().find(|told| told.contains(words)).unwrap_or_default();
        assert!(told.contains(&format!("nothing is changed: {file}:{line}:")), "{}", refused.stderr);
        let logged = mount.log().lines().any(|logged| {
            logged.contains("ERROR") && logged.contains(&format!("{file}:{line}:")) && logged.contains(words)
        });
        assert!(logged, "{}", mount.log());
    }
    assert!(mount.cat("cold").stderr.contains("Permission denied"), "the rule is still there");
    let shown = std::fs::read_to_string(mount.point().join(".clmsfs/config.toml")).unwrap();
    assert!(shown.contains("log = \"debug\""), "{shown}");

    config.write("");
    mount.run(&["reload"]).success();
    mount.cat("cold").success();
}

#[test]
fn a_smaller_budget_evicts_at_once_but_nothing_that_is_open() {
    let Some(stage) = Stage::shared() else { return };
    for name in ["first", "second"] {
        Package::new(name, Pixels::Ramps, 2000).write(&stage.data());
    }
    let simulator = stage.simulator(QUICK);
    let mut config = Config::new(&stage, &simulator);
    let mount = config.mount(&stage, &simulator);
    for name in ["first", "second"] {
        mount.cat(name).success();
    }
    let used = mount.json(&["status"])["cache"]["used"].as_u64().unwrap();
    config.set("cache_size", used - 100_000);
    let told = mount.run(&["reload"]).success().text();
    assert!(told.starts_with("reloaded: cache_size 4GB → "), "{told}");
    assert_eq!(mount.state("first"), "cold", "the least recently used");
    assert_eq!(mount.state("second"), "ready");
    let now = mount.json(&["status"]);
    assert_eq!(now["cache"]["limit"].as_u64(), Some(used - 100_000));

    let mut held = File::open(mount.tif("second")).unwrap();
    config.set("cache_size", "1MB");
    let told = mount.run(&["reload"]).success().text();
    assert!(told.contains("the cache is larger than its budget until that can be helped"), "{told}");
    assert_eq!(mount.state("second"), "ready");
    let mut bytes = Vec::new();
    held.read_to_end(&mut bytes).unwrap();
    assert!(bytes.len() > 1_000_000);

    // and a larger one takes in again what did not fit
    drop(held);
    config.set("cache_size", "4GB");
    mount.run(&["reload"]).success();
    mount.cat("first").success();
}

#[test]
fn a_hang_up_reads_the_key_anew_and_the_service_manager_hears_of_it() {
    let Some(stage) = Stage::shared() else { return };
    for name in ["first", "second"] {
        Package::new(name, Pixels::Classes, 64).write(&stage.data());
    }
    let simulator = stage.simulator(QUICK);
    let mut config = Config::new(&stage, &simulator);
    let key = stage.folder().join("own-key.json");
    std::fs::copy(simulator.key(), &key).unwrap();
    config.set("credentials", key.display());
    let manager = Manager::new(stage.folder());
    // away from the terminal that the tests may run on
    let mount = stage
        .mount(&simulator)
        .configured(&config.path)
        .env("NOTIFY_SOCKET", manager.path())
        .hurry(10)
        .under(&["setsid"])
        .start();
    manager.hears("READY=1");
    mount.cat("first").success();
    assert_eq!(simulator.requests().count("token"), 1);

    // a key that the service does not know, while the token of the former one would be good for an hour
    let good = std::fs::read(&key).unwrap();
    let mut foreign: serde_json::Value = serde_json::from_slice(&good).unwrap();
    foreign["client_id"] = serde_json::json!("0123456789abcdef0123456789abcdef");
    std::fs::write(&key, foreign.to_string()).unwrap();
    mount.signal(libc::SIGHUP);
    let told = manager.hears("RELOADING=1");
    let microseconds = told.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap_or_default();
    assert!(microseconds.parse::<u64>().is_ok_and(|time| time > 0), "{told}");
    manager.hears("READY=1");
    let refused = mount.cat("second");
    assert!(refused.stderr.contains("Permission denied"), "{}", refused.stderr);
    assert!(mount.attribute("second", "error").contains("key"), "{}", mount.attribute("second", "error"));

    // one that is no key is refused by name, and the mount goes on as it was
    std::fs::write(&key, "{}").unwrap();
    let refused = mount.run(&["reload"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        refused.stderr.contains("own-key.json") && refused.stderr.contains("is not a service key"),
        "{}",
        refused.stderr
    );

    std::fs::write(&key, &good).unwrap();
    mount.signal(libc::SIGHUP);
    manager.hears("RELOADING=1");
    manager.hears("READY=1");
    wait::until_true("the product opens with the good key", || mount.cat("second").status.success());
    assert!(mount.log().contains("the settings are reloaded"), "{}", mount.log());
}

/// A mount on a terminal of its own; ended and detached with the test, whatever happened.
struct OnTerminal {
    terminal: Service,
    pid: u32,
    point: PathBuf,
}

impl Drop for OnTerminal {
    fn drop(&mut self) {
        crate::support::mount::detach(&self.point);
        if runs(self.pid) {
            send(self.pid, libc::SIGKILL);
        }
    }
}

/// Whether a process runs, and is no zombie.
fn runs(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

fn is_mounted(point: &Path) -> bool {
    let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    table.contains(&format!(" {} ", point.display()))
}

#[test]
fn a_mount_ends_with_its_terminal() {
    let Some(stage) = Stage::shared() else { return };
    let simulator = stage.simulator(QUICK);
    let config = Config::new(&stage, &simulator);
    let point = stage.folder().join("mount");
    std::fs::create_dir(&point).unwrap();
    let mut command = within(stage.folder(), "script".as_ref());
    let line = format!("exec {CLMSFS} mount {} --config {}", point.display(), config.path.display());
    command.args(["--quiet", "--command", &line, "/dev/null"]);
    let terminal = Service::start("script", command, &stage.folder().join("script.log"));
    let mut mount = OnTerminal { terminal, pid: 0, point: point.clone() };
    wait::until_true("it is mounted", || mount.terminal.line().starts_with("mounted "));
    let mut command = clmsfs(stage.folder());
    command.args(["status", "--json", "--mount"]).arg(&point);
    let status: serde_json::Value =
        serde_json::from_slice(&Reader::spawn(command).finish().success().stdout).unwrap();
    mount.pid = u32::try_from(status["pid"].as_u64().unwrap()).unwrap();
    assert!(runs(mount.pid) && is_mounted(&point));
    // the terminal's window is closed
    mount.terminal.kill();
    wait::until_true("the mount has ended", || !runs(mount.pid) && !is_mounted(&point));
}

#[test]
fn the_catalogue_is_read_anew_when_its_age_is_set_lower() {
    let Some(stage) = Stage::shared() else { return };
    let simulator = stage.simulator(QUICK);
    let mut config = Config::new(&stage, &simulator);
    config.set("catalog_ttl", "24h");
    let mount = config.mount(&stage, &simulator);
    wait::until_true("the first catalogue is there", || simulator.requests().count("search") > 0);
    simulator.reset_when_quiet();
    config.set("catalog_ttl", "10s");
    mount.run(&["reload"]).success();
    // ten seconds after the last one, and not in a day
    wait::until_true("the catalogue is read anew", || simulator.requests().count("search") > 0);
}
