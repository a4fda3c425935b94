//! `clmsfs doctor` says what is wrong and how it is mended, and `clmsfs bugreport` tells others without telling secrets. A mount
//! that hangs or is dead hangs neither of them.

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::support::packages::Pixels;
use crate::support::process::{CLMSFS, Finished, Reader, clmsfs, clmsfs_under, command};
use crate::support::{Mount, Package, Simulator, Stage, wait};

const QUICK: &str = "queued = '20ms'\nrunning = '20ms'\n";

/// The doctor's command line for a mount and its service; a flag that is given later counts.
fn examine(stage: &Stage, mount: &Mount, simulator: &Simulator, flags: &[(&str, &Path)]) -> Command {
    examine_under(stage, &[], mount, simulator, flags)
}

fn examine_under(
    stage: &Stage,
    outer: &[&str],
    mount: &Mount,
    simulator: &Simulator,
    flags: &[(&str, &Path)],
) -> Command {
    let outer: Vec<_> = outer.iter().map(Into::into).collect();
    let mut command = clmsfs_under(stage.folder(), &outer);
    command.arg("doctor").arg("--mount").arg(mount.point());
    let mut all: BTreeMap<&str, &Path> = BTreeMap::from([
        ("--credentials", simulator.key()),
        ("--api-url", Path::new(simulator.api())),
        ("--cache-dir", mount.cache()),
        ("--cache-size", Path::new("4GB")),
        ("--free-space-floor", Path::new("16MB")),
        // only ever used up by what does not answer
        ("--timeout", Path::new("60s")),
    ]);
    all.extend(flags.iter().copied());
    for (flag, value) in all {
        command.arg(flag).arg(value);
    }
    command
}

/// What the doctor finds, by check.
struct Findings(BTreeMap<String, Value>);

impl Findings {
    /// Runs it; the exit code must be that of what is found.
    #[track_caller]
    fn of(mut command: Command) -> Self {
        let finished = Reader::spawn({
            command.arg("--json");
            command
        })
        .finish();
        let report: Value = serde_json::from_slice(&finished.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}\n{}", finished.text(), finished.stderr));
        let findings = report["findings"].as_array().unwrap();
        let findings = Self(
            findings.iter().map(|one| (one["check"].as_str().unwrap().to_owned(), one.clone())).collect(),
        );
        let problems = findings.0.values().filter(|finding| finding["outcome"] == "problem").count();
        assert_eq!(finished.status.code(), Some(i32::from(problems > 0)), "{report:#}");
        findings
    }

    fn outcome(&self, check: &str) -> &str {
        self.0[check]["outcome"].as_str().unwrap()
    }

    /// Checks that came out otherwise than in `other`, and how: `key problem`.
    fn unlike(&self, other: &Self) -> Vec<String> {
        let changed = self.0.keys().filter(|check| self.outcome(check) != other.outcome(check));
        changed.map(|check| format!("{check} {}", self.outcome(check))).collect()
    }

    /// What it says of a check, and what to do.
    fn says(&self, check: &str) -> String {
        let finding = &self.0[check];
        format!("{} {}", finding["says"].as_str().unwrap(), finding["fix"])
    }

    /// The command that mends it.
    #[track_caller]
    fn command(&self, check: &str) -> String {
        self.0[check]["fix"]["run"].as_str().unwrap_or_else(|| panic!("{}", self.0[check])).to_owned()
    }
}

/// Carries out what the doctor advises.
#[track_caller]
fn carry_out(stage: &Stage, advice: &str) {
    let mut shell = command("sh");
    let folder = Path::new(CLMSFS).parent().unwrap().display();
    let path = format!("{folder}:{}", std::env::var("PATH").unwrap());
    shell.args(["-c", advice]).env("PATH", path).env("HOME", stage.folder());
    Reader::spawn(shell).finish().success();
}

/// A changed environment, and what it changes in the findings.
struct Change<'a> {
    flags: Vec<(&'a str, &'a Path)>,
    scenario: &'a str,
    unlike: &'a [&'a str],
    says: (&'a str, &'a [&'a str]),
}

#[test]
fn each_thing_that_is_wrong_is_told_and_nothing_else() {
    let Some(stage) = Stage::shared() else { return };
    let mut simulator = stage.simulator(QUICK);
    let mount = stage.mount(&simulator).start();
    let well = Findings::of(examine(&stage, &mount, &simulator, &[]));
    let problems: Vec<_> = well.0.values().filter(|finding| finding["outcome"] == "problem").collect();
    assert!(problems.is_empty(), "{problems:#?}");
    for check in ["key", "token", "api", "clock", "gdal", "cache-folder", "mounts", "configuration"] {
        assert_eq!(well.outcome(check), "ok", "{}", well.says(check));
    }

    let file = |name: &str, text: &[u8], mode: u32| {
        let path = stage.folder().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        path
    };
    let folder = |name: &str, mode: u32| {
        let path = stage.folder().join(name);
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        path
    };
    let key = fs::read(simulator.key()).unwrap();
    let open_key = file("open-key.json", &key, 0o644);
    let mut other: Value = serde_json::from_slice(&key).unwrap();
    other["client_id"] = "somebody-else".into();
    let wrong_key = file("wrong-key.json", other.to_string().as_bytes(), 0o600);
    let half_a_key = file("half-a-key.json", &key[..key.len() / 2], 0o600);
    let settings = file("config.toml", b"cash_size = '1GB'\n", 0o600);
    let newer = folder("newer", 0o700);
    fs::write(newer.join("VERSION"), "clmsfs-cache 99\n").unwrap();
    let open_folder = folder("open", 0o755);
    let home = folder("home", 0o700);
    fs::write(home.join("thesis.tex"), "").unwrap();
    let path = Path::new;

    let changes = [
        Change {
            flags: vec![("--credentials", &open_key)],
            scenario: "",
            unlike: &["key problem", "token not-checked"],
            says: ("key", &["mode 644", "chmod 600 /"]),
        },
        Change {
            flags: vec![("--credentials", &wrong_key)],
            scenario: "",
            unlike: &["token problem"],
            says: ("token", &["No associated key found", "API tokens"]),
        },
        Change {
            flags: vec![("--credentials", &half_a_key)],
            scenario: "",
            unlike: &["key problem", "token not-checked"],
            says: ("key", &["not a service key", "download the key again"]),
        },
        Change {
            flags: vec![("--credentials", path("none"))],
            scenario: "",
            unlike: &["key warning", "token not-checked"],
            says: ("key", &["no service key", "--credentials"]),
        },
        // the key's own address still gives tokens, and says what time it is
        Change {
            flags: vec![("--api-url", path("http://127.0.0.1:1/api"))],
            scenario: "",
            unlike: &["api problem"],
            says: ("api", &["127.0.0.1 cannot be reached", "network"]),
        },
        Change {
            flags: vec![],
            scenario: "[[fault]]\nendpoint = 'search'\nhtml = true",
            unlike: &["api problem"],
            says: ("api", &["web page", "api_url"]),
        },
        Change {
            flags: vec![],
            scenario: "clock = '-10m'",
            unlike: &["clock warning"],
            says: ("clock", &["10m ahead of", "timedatectl"]),
        },
        Change {
            flags: vec![],
            scenario: "clock = '2days'",
            unlike: &["clock problem"],
            says: ("clock", &["2days behind"]),
        },
        Change {
            flags: vec![("--cache-dir", &newer)],
            scenario: "",
            unlike: &["cache-folder problem"],
            says: ("cache-folder", &["'clmsfs-cache 99'", "the clmsfs that wrote it"]),
        },
        Change {
            flags: vec![("--cache-dir", &open_folder)],
            scenario: "",
            unlike: &["cache-folder warning"],
            says: ("cache-folder", &["mode 755", "chmod 700 /"]),
        },
        Change {
            flags: vec![("--cache-dir", &home)],
            scenario: "",
            unlike: &["cache-folder problem"],
            says: ("cache-folder", &["not a cache", "thesis.tex"]),
        },
        Change {
            flags: vec![("--free-space-floor", path("900PB"))],
            scenario: "",
            unlike: &["cache-space problem"],
            says: ("cache-space", &["900PB", "make room"]),
        },
        Change {
            flags: vec![("--cache-size", path("900PB"))],
            scenario: "",
            unlike: &["cache-space warning"],
            says: ("cache-space", &["900PB", "lower cache_size"]),
        },
        Change {
            flags: vec![("--download-hosts", path("*"))],
            scenario: "",
            unlike: &["download-hosts warning"],
            says: ("download-hosts", &["any host"]),
        },
    ];
    for change in changes {
        simulator.scenario(&format!("{QUICK}{}", change.scenario));
        let found = Findings::of(examine(&stage, &mount, &simulator, &change.flags));
        let (check, words) = change.says;
        assert_eq!(found.unlike(&well), change.unlike, "{check}: {}", found.says(check));
        for word in words {
            assert!(found.says(check).contains(word), "'{word}' is not in: {}", found.says(check));
        }
    }

    simulator.scenario(QUICK);
    let few = examine_under(&stage, &["prlimit", "--nofile=256:256"], &mount, &simulator, &[]);
    assert_eq!(Findings::of(few).unlike(&well), ["open-files warning"]);
    let unread = Findings::of(examine(&stage, &mount, &simulator, &[("--config", &settings)]));
    assert!(unread.says("configuration").contains("did you mean 'cache_size'?"));
    assert_eq!((unread.outcome("key"), unread.outcome("mounts")), ("not-checked", "ok"));
    // advice that is a command mends what it is about
    let open = [("--credentials", &*open_key)];
    carry_out(&stage, &Findings::of(examine(&stage, &mount, &simulator, &open)).command("key"));
    assert!(Findings::of(examine(&stage, &mount, &simulator, &open)).unlike(&well).is_empty());
    // with the whole service off nothing is known of the clock either
    simulator.stop();
    let down = Findings::of(examine(&stage, &mount, &simulator, &[]));
    assert_eq!(down.unlike(&well), ["api problem", "clock not-checked", "token problem"]);
    let mut offline = examine(&stage, &mount, &simulator, &[]);
    offline.arg("--offline");
    assert_eq!(
        Findings::of(offline).unlike(&well),
        ["api not-checked", "clock not-checked", "token not-checked"]
    );
}

#[test]
fn a_service_that_hangs_is_waited_for_so_long_and_no_longer() {
    let Some(stage) = Stage::shared() else { return };
    let hangs =
        ["search", "token"].map(|endpoint| format!("[[fault]]\nendpoint = '{endpoint}'\nhang = true\n"));
    let simulator = stage.simulator(&hangs.concat());
    let mut doctor = clmsfs(stage.folder());
    doctor.args(["doctor", "--timeout", "1s", "--mount", "/nowhere", "--api-url", simulator.api()]);
    doctor.arg("--credentials").arg(simulator.key());
    let found = Findings::of(doctor);
    for check in ["api", "token"] {
        assert_eq!(found.outcome(check), "problem");
        assert!(found.says(check).contains("no answer within 1 s"), "{}", found.says(check));
    }
    assert!(found.says("mounts").contains("/nowhere is no clmsfs mount"), "{}", found.says("mounts"));
}

/// Stops the process that serves a mount, all of its threads.
fn freeze(mount: &Mount) {
    mount.signal(libc::SIGSTOP);
    wait::until_true("all threads to be stopped", || {
        fs::read_dir(format!("/proc/{}/task", mount.pid())).unwrap().all(|thread| {
            let stat = fs::read_to_string(thread.unwrap().path().join("stat")).unwrap_or_default();
            stat.rsplit_once(") ").is_some_and(|(_, fields)| fields.starts_with('T'))
        })
    });
}

#[test]
fn a_frozen_mount_hangs_neither_doctor_nor_bugreport() {
    let Some(stage) = Stage::shared() else { return };
    let simulator = stage.simulator(QUICK);
    let mount = stage.mount(&simulator).start();
    freeze(&mount);
    let status = Reader::spawn(mount.verb(&["status"]));
    let at_once = [("--timeout", Path::new("1s"))];
    let mut doctor = examine(&stage, &mount, &simulator, &at_once);
    doctor.arg("--offline");
    let found = Findings::of(doctor);
    assert!(found.says("mounts").contains("did not answer for 1 s"), "{}", found.says("mounts"));
    let advice = found.command("mounts");
    assert_eq!(advice, format!("kill -CONT {}", mount.pid()));

    let file = stage.folder().join("report.tar.gz");
    let flags = ["--offline", "--timeout", "1s"];
    report(&stage, &mount, &simulator, &file, &flags).success();
    let pages = pages(&file);
    let silent = &pages["mount-1/silent.txt"];
    assert!(silent.contains("nothing came for 1 s") && silent.contains("T (stopped)"), "{silent}");
    assert!(pages["doctor.json"].contains("kill -CONT") && pages["mounts.txt"].contains("clmsfs"));

    // the other verbs know the mount by its name, too, without asking it
    let status = status.finish();
    assert!(
        status.status.code() == Some(1) && status.stderr.contains("does not answer"),
        "{}",
        status.stderr
    );

    carry_out(&stage, &advice);
    let mended = Findings::of(examine(&stage, &mount, &simulator, &[]));
    assert_eq!(mended.outcome("mounts"), "ok", "{}", mended.says("mounts"));
}

#[test]
fn a_dead_mount_is_told_and_its_command_detaches_it() {
    let Some(stage) = Stage::shared() else { return };
    let simulator = stage.simulator(QUICK);
    let mut mount = stage.mount(&simulator).start();
    mount.kill();
    let found = Findings::of(examine(&stage, &mount, &simulator, &[]));
    assert_eq!(found.outcome("mounts"), "problem");
    assert!(found.says("mounts").contains("is dead"), "{}", found.says("mounts"));
    let is_there =
        || fs::read_to_string("/proc/self/mounts").unwrap().contains(mount.point().to_str().unwrap());
    assert!(is_there());
    carry_out(&stage, &found.command("mounts"));
    assert!(!is_there());
}

#[test]
fn people_get_a_table_and_colours_only_on_a_terminal() {
    let Some(stage) = Stage::shared() else { return };
    let simulator = stage.simulator(QUICK);
    let mount = stage.mount(&simulator).start();
    let open = stage.folder().join("open-key.json");
    fs::copy(simulator.key(), &open).unwrap();
    fs::set_permissions(&open, Permissions::from_mode(0o644)).unwrap();
    let doctor = || examine(&stage, &mount, &simulator, &[("--credentials", &open)]);
    let piped = Reader::spawn(doctor()).finish();
    assert_eq!(piped.status.code(), Some(1), "{}", piped.stderr);
    let text = piped.text();
    assert!(!text.contains('\u{1b}'), "{text}");
    assert!(
        text.contains("problem      key ") && text.contains(&format!("$ chmod 600 {}", open.display())),
        "{text}"
    );
    assert!(text.contains("\n1 problem, "), "{text}");
    // commands and paths are whole, so that they can be copied
    let is_wide = |line: &&str| {
        line.chars().count() > 80
            && !line.contains("$ ")
            && line.split_whitespace().all(|word| word.len() < 50)
    };
    assert_eq!(text.lines().find(is_wide), None, "{text}");

    let shown = |no_color: &str| {
        let mut terminal = command("python3");
        terminal.args(["-c", "import pty, sys; pty.spawn(sys.argv[1:])", CLMSFS]);
        terminal.args(doctor().get_args().skip_while(|argument| *argument != "doctor"));
        terminal.env("HOME", stage.folder()).env("NO_COLOR", no_color);
        Reader::spawn(terminal).finish().text()
    };
    let coloured = shown("");
    assert!(coloured.contains("\u{1b}[31mproblem"), "{coloured:?}");
    let plain = shown("1");
    assert!(plain.contains("problem      key") && !plain.contains('\u{1b}'), "{plain:?}");
}

/// Makes a report about a mount.
#[track_caller]
fn report(stage: &Stage, mount: &Mount, simulator: &Simulator, file: &Path, flags: &[&str]) -> Finished {
    let mut command = clmsfs(stage.folder());
    command.arg("bugreport").arg("--output").arg(file).arg("--mount").arg(mount.point());
    command.args(["--api-url", simulator.api()]).arg("--credentials").arg(simulator.key());
    command.arg("--cache-dir").arg(mount.cache()).env("USER", "ada-of-example").args(flags);
    Reader::spawn(command).finish()
}

/// The whole tar of a report, unpacked.
fn bytes(file: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(File::open(file).unwrap()).read_to_end(&mut bytes).unwrap();
    bytes
}

/// Its files by name, without the folder they are in.
fn pages(file: &Path) -> BTreeMap<String, String> {
    let bytes = bytes(file);
    let mut tar = tar::Archive::new(&*bytes);
    let entries = tar.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let path: PathBuf = entry.path().unwrap().components().skip(1).collect();
        let mut text = String::new();
        entry.read_to_string(&mut text).unwrap();
        (path.display().to_string(), text)
    });
    entries.collect()
}

#[test]
fn a_report_holds_what_helps_and_no_secret() {
    let Some(stage) = Stage::shared() else { return };
    Package::new("wanted", Pixels::Classes, 64).write(&stage.data());
    let simulator = stage.simulator(QUICK);
    let log = stage.folder().join("own.log");
    let mount = stage.mount(&simulator).errors_to(log.to_str().unwrap()).flag("--log", "trace").start();
    mount.cat("wanted").success();
    let key: Value = serde_json::from_slice(&fs::read(simulator.key()).unwrap()).unwrap();
    let [id, user, pem] = ["client_id", "user_id", "private_key"].map(|name| key[name].as_str().unwrap());
    // whatever a log may hold some day
    let mut file = File::options().append(true).open(&log).unwrap();
    writeln!(file, "client {id}, user {user}, of ada-of-example <ada@mail.example.org>, key {pem}").unwrap();
    for line in pem.lines() {
        writeln!(file, "a line alone: {line}").unwrap();
    }
    writeln!(file, "Authorization: Bearer eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.e30.x\nthe last line")
        .unwrap();

    let path = stage.folder().join("report.tar.gz");
    let told = report(&stage, &mount, &simulator, &path, &["--timeout", "60s"]).success().text();
    let pages = pages(&path);
    for (name, word) in [
        ("README.txt", "look through it"),
        ("doctor.json", "\"check\": \"token\""),
        ("config.toml", "credentials = \"<redacted>\""),
        ("system.json", "\"gdal\""),
        ("mounts.txt", "~/mount"),
        ("cache.json", "\"entries\": 1"),
        ("mount-1/status.json", "\"published\": 1"),
        ("mount-1/config.toml", "poll_max = \"200ms\""),
        ("mount-1/metrics.txt", "clmsfs_fetches_total 1"),
    ] {
        assert!(pages[name].contains(word), "{name}: {}", pages[name]);
        assert!(told.contains(name), "{told}");
    }
    assert!(told.contains("look through it before you send it") && told.contains("tar -xzOf"), "{told}");
    let log = &pages["mount-1/log.txt"];
    // SAFETY: takes nothing and always succeeds.
    if unsafe { libc::geteuid() } == 0 {
        assert!(log.contains("fetch") && log.contains("the last line\n") && log.contains("<token>"), "{log}");
    }

    let all = String::from_utf8_lossy(&bytes(&path)).into_owned();
    let secrets = mount.secrets();
    assert!(secrets.count() > 10, "{}", secrets.count());
    assert_eq!(secrets.found_in(&all), None);
    let home = stage.folder().to_str().unwrap();
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    for secret in [id, user, home, "ada-of-example", "ada@mail", "PRIVATE KEY"] {
        assert!(!all.contains(secret), "'{secret}' is in the report");
    }
    if host.trim().len() > 5 {
        assert!(!all.contains(host.trim()), "the machine's name is in the report");
    }
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);

    let again = report(&stage, &mount, &simulator, &path, &["--offline"]);
    assert!(again.status.code() == Some(1) && again.stderr.contains("exists already"), "{}", again.stderr);
    let inside = mount.point().join("report.tar.gz");
    let refused = report(&stage, &mount, &simulator, &inside, &["--offline"]);
    assert!(
        refused.status.code() == Some(1) && refused.stderr.contains("lies in the mount"),
        "{}",
        refused.stderr
    );
}
