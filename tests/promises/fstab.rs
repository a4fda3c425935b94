//! `mount.clmsfs`: a line of fstab is a mount.

use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};

use crate::support::packages::Pixels;
use crate::support::process::{CLMSFS, Finished, Reader, run, within};
use crate::support::{Package, Simulator, Stage, wait};

/// A place for a mount by the helper, with its settings in a file. Dropped, it is unmounted, and the daemon ends by that.
struct Place {
    helper: PathBuf,
    point: PathBuf,
    config: PathBuf,
    home: PathBuf,
}

impl Place {
    fn new(stage: &Stage, simulator: &Simulator) -> Self {
        let home = stage.folder().to_owned();
        let place = Self {
            helper: home.join("mount.clmsfs"),
            point: home.join("mount"),
            config: home.join("settings.toml"),
            home,
        };
        symlink(CLMSFS, &place.helper).unwrap();
        std::fs::create_dir(&place.point).unwrap();
        let settings = [
            ("credentials", simulator.key().display().to_string()),
            ("api_url", simulator.api().to_owned()),
            ("cache_dir", place.home.join("cache").display().to_string()),
            ("free_space_floor", "16MB".to_owned()),
            ("poll_min", "50ms".to_owned()),
        ];
        let lines: Vec<String> =
            settings.iter().map(|(name, value)| format!("{name} = {value:?}\n")).collect();
        std::fs::write(&place.config, lines.concat()).unwrap();
        place
    }

    /// As mount(8) calls it.
    fn mount(&self, options: &str) -> Finished {
        let mut command = within(&self.home, self.helper.as_os_str());
        command.args(["clmsfs".as_ref(), self.point.as_os_str(), "-o".as_ref(), options.as_ref()]);
        Reader::spawn(command).finish()
    }

    fn config(&self) -> String {
        format!("config={}", self.config.display())
    }

    fn is_mounted(&self) -> bool {
        let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        table.contains(&format!(" {} ", self.point.display()))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.is_mounted() {
            let _ = run("umount", &["-l".as_ref(), self.point.as_os_str()]);
        }
    }
}

/// Ids of the processes that serve `point`.
fn daemons(point: &Path) -> Vec<String> {
    let text = run("pgrep", &["-f".to_owned(), format!("mount --background.*{}$", point.display())]).text();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn a_line_of_fstab_mounts_in_the_background_and_umount_ends_it() {
    let Some(stage) = Stage::shared() else { return };
    Package::new("wanted", Pixels::Classes, 64).write(&stage.data());
    let simulator = stage.simulator("queued = '10ms'\nrunning = '10ms'");
    let place = Place::new(&stage, &simulator);
    // the words that mount(8) and systemd leave in, and the 'rw' that mount(8) adds
    place
        .mount(&format!("rw,_netdev,nofail,x-systemd.automount,uid=1234,gid=2345,{}", place.config()))
        .success();

    assert!(place.is_mounted());
    let attributes = std::fs::metadata(place.point.join("README.md")).unwrap();
    assert_eq!((attributes.uid(), attributes.gid()), (1234, 2345));
    assert!(!run("cat", &[place.point.join("data/wanted/wanted.tif")]).success().stdout.is_empty());
    assert_eq!(daemons(&place.point).len(), 1, "it has left the helper's session");

    // a second one says what is the matter, and the first goes on
    let again = place.mount(&place.config());
    assert_eq!(again.status.code(), Some(32), "the code of mount(8) for a mount that failed");
    assert!(again.stderr.contains("is mounted already"), "{}", again.stderr);
    assert!(place.is_mounted());

    run("umount", &[&place.point]).success();
    wait::until_true("the daemon ends", || daemons(&place.point).is_empty());
}

#[test]
fn what_is_wrong_is_said_in_a_line_and_nothing_is_mounted() {
    let Some(stage) = Stage::shared() else { return };
    let simulator = stage.simulator("");
    let place = Place::new(&stage, &simulator);
    for (options, code, told) in [
        ("cachesize=4GB".to_owned(), 1, "did you mean 'cache_size'?"),
        ("uid=ada".to_owned(), 1, "id -u"),
        ("config=/nowhere/c.toml".to_owned(), 32, "/nowhere/c.toml"),
        (format!("{},cache_size=lots", place.config()), 1, "-o cache_size"),
    ] {
        let refused = place.mount(&options);
        assert_eq!(refused.status.code(), Some(code), "{options}: {}", refused.stderr);
        assert!(refused.stderr.contains(told), "{options}: {}", refused.stderr);
        assert_eq!(refused.stderr.lines().count(), 1, "{}", refused.stderr);
        assert!(!place.is_mounted());
    }
    std::fs::write(place.point.join("a-file"), "").unwrap();
    let refused = place.mount(&place.config());
    assert!(refused.stderr.contains("is not empty"), "{}", refused.stderr);
    assert_eq!(refused.status.code(), Some(32));
}
