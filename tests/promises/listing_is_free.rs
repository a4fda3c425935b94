//! Looking around costs nothing: no request to the service, no waiting, also without a network.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use crate::support::packages::Pixels;
use crate::support::process::run;
use crate::support::{Package, Stage, xattr};

#[test]
fn find_du_ls_and_getfattr_on_the_whole_tree_ask_the_service_nothing() {
    let Some(stage) = Stage::shared() else { return };
    for number in 0..20 {
        Package::new(&format!("tile{number:02}"), Pixels::Classes, 32).write(&stage.data());
    }
    // Their records say what they are; nobody looks into them.
    for (name, format) in [("towns1", "GDB"), ("towns2", "GPKG"), ("towns3", "Shapefile"), ("towns4", "")] {
        std::fs::copy(stage.data().join("tile00.zip"), stage.data().join(format!("{name}.zip"))).unwrap();
        let record = format!(r#"{{"format": "{format}"}}"#);
        std::fs::write(stage.data().join(format!("{name}.json")), record).unwrap();
    }
    let simulator = stage.simulator("");
    let mount = stage.mount(&simulator).start();
    mount.product("tile19");
    mount.product("towns4");
    simulator.reset_when_quiet();

    let root = mount.point().as_os_str();
    let found = run("find", &[root]).success().text();
    assert!(found.contains("/tile07/tile07.tif") && found.contains("/tile07/tile07.zarr/.zgroup"), "{found}");
    let cold = [
        "towns1/towns1.gdb/a00000010.gdbtablx",
        "towns2/towns2.gpkg",
        "towns3/towns3.dbf",
        "towns4/towns4.tif",
        "towns4/towns4.shp",
    ];
    assert!(cold.iter().all(|name| found.contains(name)), "{found}");
    run("find", &[root, "-size".as_ref(), "+0".as_ref(), "-newer".as_ref(), "/dev/null".as_ref()]).success();
    run("du", &["-a".as_ref(), root]).success();
    run("ls", &["-lR".as_ref(), root]).success();
    let attributes =
        run("getfattr", &["-R".as_ref(), "-d".as_ref(), "-m".as_ref(), "-".as_ref(), root]).success().text();
    assert!(attributes.contains("user.clmsfs.state=\"cold\""), "{attributes}");
    run("stat", &[mount.tif("tile03")]).success();
    run("df", &[root]).success();
    read_json(mount.point());

    let requests = simulator.requests();
    assert_eq!(requests.total(), 0, "{requests:?}");
    assert_eq!(mount.state("tile03"), "cold");
}

#[test]
fn the_whole_tree_is_there_without_a_network() {
    let Some(stage) = Stage::shared() else { return };
    Package::new("known", Pixels::Classes, 32).write(&stage.data());
    let mut simulator = stage.simulator("");
    let mut mount = stage.mount(&simulator).start();
    mount.product("known");
    let before = tree(mount.point());
    simulator.stop();
    assert!(mount.terminate().success());
    mount.start_again();
    assert_eq!(tree(mount.point()), before, "names, inodes, sizes and dates are those of yesterday");
    let list = || run("ls", &["-lR".as_ref(), mount.point().as_os_str()]).success().elapsed;
    let quickest = (0..5).map(|_| list()).min().expect("there were five");
    assert!(quickest < Duration::from_secs(1), "the quickest of five took {quickest:?}");
}

/// Reads every JSON and Markdown file: their content is known without the service.
fn read_json(folder: &Path) {
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if path.is_dir() && !name.ends_with(".zarr") {
            read_json(&path);
        } else if name.ends_with(".json") {
            let text = std::fs::read(&path).unwrap();
            serde_json::from_slice::<serde_json::Value>(&text)
                .unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        }
    }
}

/// Every path with inode, size, date and state, without the live folder.
fn tree(root: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap().map(Result::unwrap) {
            if entry.file_name() == ".clmsfs" {
                continue;
            }
            let metadata = entry.metadata().unwrap();
            let state = xattr::get(&entry.path(), "user.clmsfs.state").unwrap_or_default();
            let place = entry.path().strip_prefix(root).unwrap().display().to_string();
            lines.push(format!("{place} {} {} {} {state}", metadata.ino(), metadata.len(), metadata.mtime()));
            if metadata.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    lines.sort();
    lines
}
