//! Programs that walk through everything at night, or while somebody looks at a folder, order nothing and hang nowhere.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clmsfs::config::rules::shipped;
use clmsfs::config::{Action, Profile};

use crate::support::packages::Pixels;
use crate::support::process::{Reader, command, run};
use crate::support::{Mount, Package, Simulator, Stage};

/// Cold products of every kind.
fn cold(stage: &Stage) -> (Simulator, Mount) {
    for number in 0..20 {
        Package::new(&format!("tile{number:02}"), Pixels::Classes, 32).write(&stage.data());
    }
    // Their records say what they are; nobody looks into them.
    for (name, format) in [("towns1", "GDB"), ("towns2", "GPKG"), ("towns3", "Shapefile"), ("towns4", "")] {
        std::fs::copy(stage.data().join("tile00.zip"), stage.data().join(format!("{name}.zip"))).unwrap();
        std::fs::write(stage.data().join(format!("{name}.json")), format!(r#"{{"format": "{format}"}}"#))
            .unwrap();
    }
    let simulator = stage.simulator("queued = '20ms'\nrunning = '20ms'");
    let mount = stage.mount(&simulator).start();
    mount.product("tile19");
    mount.product("towns4");
    simulator.reset_when_quiet();
    (simulator, mount)
}

/// Where a program is installed; where the tests' packages must be, its absence is a failure.
fn installed(program: &str) -> Option<String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Not in the path of users who are not root.
    let sbin = [PathBuf::from("/usr/sbin"), PathBuf::from("/sbin")];
    let mut places = std::env::split_paths(&path).chain(sbin).map(|folder| folder.join(program));
    let found = places.find(|path| path.exists());
    let ci = std::env::var("CI").is_ok_and(|value| value == "true" || value == "1");
    assert!(found.is_some() || !ci, "{program} is not installed: see scripts/system-packages");
    if found.is_none() {
        println!("SKIPPED: {program} is not installed");
    }
    Some(found?.to_str().unwrap().to_owned())
}

#[test]
fn indexers_walkers_thumbnailers_and_backups_order_nothing() {
    let Some(stage) = Stage::shared() else { return };
    let (simulator, mount) = cold(&stage);
    let out = stage.folder().join("out");
    std::fs::create_dir(&out).unwrap();
    let (root, tif) = (mount.point().to_owned(), mount.tif("tile03"));
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let (root, tif) = (text(&root), text(&tif));
    let place = |name: &str| text(&out.join(name));
    let (database, copy, tar) = (place("db"), place("copy"), place("all.tar"));
    let picture = place("picture.png");
    // What it must say shows that it did its work at all: that it walked through the tree, or was refused.
    let programs: &[(&str, &[&str], &str)] = &[
        (
            "updatedb.plocate",
            &["-U", &root, "-o", &database, "-l", "no", "--prunepaths", "", "--prunefs", ""],
            "",
        ),
        ("find", &[&root, "-type", "f", "-exec", "file", "{}", "+"], "tile07.tif"),
        ("find", &[&root, "-type", "f", "-newer", "/dev/null", "-size", "-100k"], "tile07.tif"),
        ("grep", &["-r", "nothing-has-this-word", &root], "tile07.tif: Permission denied"),
        ("rg", &["nothing-has-this-word", &root], "Permission denied"),
        ("fdfind", &["-u", "tif", &root], "tile07.tif"),
        ("tree", &["-a", "-s", "-D", &root], "tile07.tif"),
        ("ls", &["-lR", "--color=always", &root], "tile07.tif"),
        ("du", &["-a", "--apparent-size", &root], "tile07.tif"),
        ("rsync", &["-n", "-a", "-v", &root, &copy], "tile07.tif"),
        ("rsync", &["-n", "-a", "-c", "-v", &root, &copy], "tile07.tif"),
        ("rsync", &["-a", &root, &copy], "tile07.tif\": Permission denied"),
        ("tar", &["-cf", &tar, "-v", &root], "tile07.tif"),
        ("file", &[&tif], "tile03.tif"),
        ("gdk-pixbuf-thumbnailer", &["-s", "64", &tif, &picture], ""),
    ];
    let mut ran = 0;
    for (program, arguments, word) in programs {
        let Some(executable) = installed(program) else { continue };
        ran += 1;
        let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
        let finished = run(&executable, &arguments);
        let said = finished.text() + &finished.stderr;
        assert!(
            said.contains(word),
            "{program} {arguments:?} does not say '{word}': {}\n{said}",
            finished.status
        );
        let requests = simulator.requests();
        assert_eq!(requests.total(), 0, "{program}: {requests:?}");
        println!("{program:24} {:6.0} ms, no request", finished.elapsed.as_secs_f64() * 1000.0);
    }
    assert!(ran >= 6, "find, grep, ls, du, tar and file are everywhere");
    assert!(!Path::new(&picture).exists(), "a picture of nothing");
    if Path::new(&database).exists() {
        let found = run("plocate", &["-d", &database, "tile07.tif"]).success().text();
        assert!(found.contains("/tile07/tile07.tif"), "{found}");
    }
    for product in ["tile03", "tile07", "towns1", "towns4"] {
        assert_eq!(mount.state(product), "cold");
    }
    // The way out is on every product that somebody was refused.
    let reason = mount.attribute("tile07", "error");
    assert!(reason.contains("clmsfs fetch") && reason.contains("(process '"), "{reason}");
}

/// Names of programs that the shipped rules of a profile refuse whatever they do, as a program of that name has it.
fn refused(profile: Profile) -> BTreeSet<String> {
    shipped(profile)
        .iter()
        .filter(|rule| rule.action == Action::Deny && rule.flags == 0 && rule.thread.is_empty())
        .flat_map(|rule| {
            let table: toml::Table = rule.to_toml().replacen("[[rule]]", "[rule]", 1).parse().unwrap();
            let names = table["rule"]["process"].as_array().unwrap().clone();
            names.into_iter().map(|name| name.as_str().unwrap().replace('*', "x"))
        })
        .collect()
}

#[test]
fn every_program_that_the_shipped_rules_name_is_refused() {
    let Some(stage) = Stage::shared() else { return };
    let (simulator, mount) = cold(&stage);
    let tif = mount.tif("tile03");
    let names = refused(Profile::Server);
    assert!(names.len() > 80 && refused(Profile::Desktop).is_superset(&names), "{names:?}");
    let cat = ["/bin/cat", "/usr/bin/cat"].map(Path::new).into_iter().find(|path| path.exists()).unwrap();
    let folder = stage.folder().join("programs");
    std::fs::create_dir(&folder).unwrap();
    for name in &names {
        // The kernel calls a process by the name that was executed; what it is does not matter.
        let program = folder.join(name);
        std::os::unix::fs::symlink(cat, &program).unwrap();
        let mut command = command(&program);
        command.arg(&tif);
        let finished = Reader::spawn(command).finish();
        assert!(
            finished.stderr.contains("Permission denied"),
            "{name}: {} {}",
            finished.status,
            finished.stderr
        );
    }
    let requests = simulator.requests();
    assert_eq!(requests.total(), 0, "{requests:?}");
    println!("{} names refused", names.len());
    // The same program by its own name is not.
    let under = folder.join("not-of-the-list");
    std::os::unix::fs::symlink(cat, &under).unwrap();
    let mut command = command(&under);
    command.arg(&tif);
    Reader::spawn(command).finish().success();
    assert_eq!(simulator.requests().posts("tile03"), 1);
}
