//! The package on a Debian that has never seen it: installed, used, installed again, purged.

use std::fs;

use crate::lab::{self, COLD, MOUNT, UNIT};
use crate::machine::Machine;
use crate::support::wait;

/// Every name of ours, outside of what the test itself has put there.
fn names(machine: &Machine) -> Vec<String> {
    let found = machine.run("find / -xdev -iname '*clms*' -not -path '/root/*' -not -path '/proc/*' -not -path '/var/lib/simulator*' | sort");
    found.success().text().lines().map(str::to_owned).collect()
}

/// The pages that the package brings send their reader to pages that it brings.
fn links_lead_somewhere(machine: &Machine) {
    let folder = "/usr/share/doc/clmsfs";
    let pages = machine.run(&format!("find {folder} -name '*.md'")).success().text();
    assert!(pages.contains("/docs/TROUBLESHOOTING.md"), "{pages}");
    for page in pages.lines() {
        let text = fs::read_to_string(machine.path(page)).unwrap();
        let targets = text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next());
        for target in targets.filter(|target| target.ends_with(".md")) {
            let path = machine.path(page).parent().unwrap().join(target);
            assert!(path.exists(), "{page} leads to {target}");
        }
    }
}

#[test]
fn it_is_installed_used_and_purged_and_names_what_it_leaves() {
    let machine = Machine::bare();
    let pruned = fs::read_to_string(machine.path("/etc/updatedb.conf")).unwrap();
    assert_eq!(names(&machine), [""; 0]);

    // what it depends on comes with it; the machine has no network, its packages were loaded before
    machine.run("apt install --yes --no-install-recommends /root/clmsfs.deb").success();
    assert_eq!(machine.run("readlink -f /sbin/mount.clmsfs").text(), "/usr/bin/clmsfs\n");
    let edited = fs::read_to_string(machine.path("/etc/updatedb.conf")).unwrap();
    assert!(edited.contains(" fuse.clmsfs\""), "{edited}");
    assert_eq!(machine.property(UNIT, "ActiveState"), "inactive", "it waits for its administrator");

    links_lead_somewhere(&machine);

    lab::simulate(&machine);
    lab::configure(&machine);
    lab::start(&machine);
    assert!(machine.as_ada(&format!("ls {MOUNT}/data")).success().text().contains("wanted"));
    machine.as_ada(&format!("cat {COLD}")).success();
    // the index that every Debian with plocate makes by night
    machine.run("updatedb").success();
    assert!(!machine.run("locate wanted").text().contains(MOUNT), "updatedb stays outside");

    // again, as for an upgrade: the mount is not taken from those who read
    let before = lab::main_pid(&machine);
    let again = machine.run("dpkg --install /root/clmsfs.deb").success().text();
    assert!(again.contains(&format!("systemctl restart {UNIT}.service")), "{again}");
    assert_eq!(lab::main_pid(&machine), before);
    assert!(lab::serves(&machine));
    assert_eq!(fs::read_to_string(machine.path("/etc/updatedb.conf")).unwrap(), edited, "once is enough");

    // removed while it serves
    machine.run("systemctl stop simulator && rm /etc/systemd/system/simulator.service").success();
    machine.run(&format!("systemctl enable {UNIT}")).success();
    let told = machine.run("apt purge --yes clmsfs").success().text();
    assert_eq!(machine.mounts(), [""; 0]);
    wait::until_true("no process of it is left", || machine.processes().is_empty());
    assert_eq!(fs::read_to_string(machine.path("/etc/updatedb.conf")).unwrap(), pruned);
    let left = names(&machine);
    println!("left after purge: {left:?}");
    assert_eq!(left, ["/etc/clmsfs", "/etc/clmsfs/clms-key.json"]);
    for stays in ["/etc/clmsfs/clms-key.json stays", "the user clmsfs stays"] {
        assert!(told.contains(stays), "{told}");
    }
    assert_eq!(machine.run("systemctl list-units --all --no-legend 'clmsfs*'").text(), "");
}

#[test]
fn mounts_of_fstab_and_users_end_with_the_package_and_another_cache_is_named() {
    let machine = lab::ready();
    let settings = fs::read_to_string(machine.path("/etc/clmsfs/clms.toml")).unwrap();
    fs::write(machine.path("/etc/clmsfs/clms.toml"), settings + "cache_dir = \"/data/clms\"\n").unwrap();
    machine.run("mkdir -p /data /srv/by-hand && mount -t clmsfs clmsfs#clms /srv/by-hand").success();
    assert_eq!(machine.mounts().len(), 1);
    machine.run("systemctl stop simulator").success();
    let told = machine.run("apt-get remove --yes clmsfs").success().text();
    assert_eq!(machine.mounts(), [""; 0]);
    wait::until_true("its process has ended", || machine.processes().is_empty());
    assert!(told.contains("the cache /data/clms stays"), "{told}");
    assert!(machine.path("/data/clms/VERSION").exists());
}
