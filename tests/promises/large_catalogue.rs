//! A large catalogue costs what is looked at, not what there is.

use std::fs;

use crate::support::Stage;
use crate::support::mount::Mount;
use crate::support::process::run;

const DATASETS: usize = 300;
const SCENARIO: &str = "generate = { datasets = 300, products = 20 }";

#[test]
fn only_datasets_that_somebody_looks_into_are_unpacked() {
    let Some(stage) = Stage::shared() else { return };
    let mut simulator = stage.simulator(SCENARIO);
    let mut mount = stage.mount(&simulator).start();
    let dataset = mount.point().join("dataset-00007");
    let (root, inside) = (names(&mount, ""), names(&mount, "dataset-00007"));
    assert_eq!((root.len(), inside.len()), (DATASETS + 3, 20 + 2));
    simulator.stop();
    assert!(mount.terminate().success());

    // from the snapshot, without a service
    mount.start_again();
    assert_eq!(names(&mount, ""), root);
    run("ls", &["-l".as_ref(), mount.point().as_os_str()]).success();
    run("stat", &[&dataset]).success();
    run("df", &[mount.point()]).success();
    fs::read(mount.point().join("catalog.json")).unwrap();
    assert!(!mount.point().join("dataset-99999").exists());
    assert_eq!(unpacked(&mount), 0);

    assert_eq!(names(&mount, "dataset-00007"), inside);
    run("ls", &["-lR".as_ref(), dataset.as_os_str()]).success();
    assert_eq!(unpacked(&mount), 1);
}

fn names(mount: &Mount, directory: &str) -> Vec<String> {
    let entries = fs::read_dir(mount.point().join(directory)).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn unpacked(mount: &Mount) -> usize {
    let metrics = fs::read_to_string(mount.point().join(".clmsfs/metrics")).unwrap();
    let line = metrics.lines().find_map(|line| line.strip_prefix("clmsfs_catalog_datasets_unpacked "));
    line.unwrap_or_else(|| panic!("no such metric in {metrics}")).parse().unwrap()
}
