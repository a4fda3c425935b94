//! The place of a mount may stand in the configuration, so that a service or a script names one file.

use std::path::PathBuf;
use std::process::Command;

use crate::support::process::{CLMSFS, Reader, Service, run, within};
use crate::support::{Simulator, Stage};

/// A place that only the configuration names. Dropped, nothing is mounted there any more.
struct Place {
    home: PathBuf,
    config: PathBuf,
    point: PathBuf,
}

impl Place {
    fn new(stage: &Stage, simulator: &Simulator) -> Self {
        let home = stage.folder().to_owned();
        let (config, point) = (home.join("settings.toml"), home.join("from-config"));
        let text = format!(
            "credentials = {:?}\napi_url = {:?}\ncache_dir = {:?}\nfree_space_floor = \"16MB\"\nmountpoint = {point:?}\n",
            simulator.key(),
            simulator.api(),
            home.join("cache"),
        );
        std::fs::write(&config, text).unwrap();
        Self { home, config, point }
    }

    /// A verb that is told the configuration, and nothing else.
    fn verb(&self, words: &[&str]) -> Command {
        let mut command = within(&self.home, CLMSFS.as_ref());
        command.args(words).arg("--config").arg(&self.config);
        command
    }

    fn mounted(&self) -> Service {
        let service = Service::start("mount", self.verb(&["mount"]), &self.home.join("log"));
        assert_eq!(service.line(), format!("mounted {}", self.point.display()));
        assert!(self.point.join("README.md").is_file());
        service
    }

    /// Its line in the table of mounts.
    fn line(&self) -> Option<String> {
        let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        table.lines().find(|line| line.contains(&format!(" {} ", self.point.display()))).map(str::to_owned)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.line().is_some() {
            let _ = run("umount", &["-l".as_ref(), self.point.as_os_str()]);
        }
    }
}

#[test]
fn one_line_says_what_to_do_when_no_place_is_named() {
    let Some(stage) = Stage::shared() else { return };
    let simulator = stage.simulator("");
    let place = Place::new(&stage, &simulator);
    let text = std::fs::read_to_string(&place.config).unwrap();
    std::fs::write(&place.config, text.replace("mountpoint =", "# mountpoint =")).unwrap();
    let refused = Reader::spawn(place.verb(&["mount"])).finish();
    assert_eq!(refused.status.code(), Some(2), "{}", refused.stderr);
    assert_eq!(refused.stderr.lines().count(), 1, "{}", refused.stderr);
    for way_out in ["clmsfs mount MOUNTPOINT", "mountpoint = "] {
        assert!(refused.stderr.contains(way_out), "{}", refused.stderr);
    }
}

#[test]
fn the_place_that_the_configuration_names_is_made_and_used() {
    let Some(stage) = Stage::shared() else { return };
    let simulator = stage.simulator("");
    let place = Place::new(&stage, &simulator);
    let mut service = place.mounted();
    // the type by which updatedb, findmnt and umount know it, also where root mounts without fusermount3
    let line = place.line().unwrap();
    assert!(line.contains(" - fuse.clmsfs clmsfs "), "{line}");
    service.signal(libc::SIGTERM);
    assert!(service.wait().success());
}

#[test]
fn what_a_killed_mount_left_is_taken_away_and_a_living_one_stays() {
    let Some(stage) = Stage::shared() else { return };
    let simulator = stage.simulator("");
    let place = Place::new(&stage, &simulator);
    let take_away = || {
        let finished = Reader::spawn(place.verb(&["umount", "--dead"])).finish().success();
        assert_eq!(finished.stderr, "");
    };
    let mut service = place.mounted();
    take_away();
    assert!(place.point.join("README.md").is_file(), "the living one stays");
    service.kill();
    assert!(place.line().is_some());
    take_away();
    assert_eq!(place.line(), None);
    take_away();
}
