//! Without the service: units of mount and automount, and a line of fstab, through `mount.clmsfs`.

use std::fs;

use crate::lab;
use crate::machine::Machine;
use crate::support::wait;

/// Our mount at `point`; the automount itself is one of systemd's.
fn is_mounted(machine: &Machine, point: &str) -> bool {
    machine.mounts().iter().any(|line| line.contains(&format!(" {point} ")))
}

fn used_is_mounted_and_stops(machine: &Machine, unit: &str, point: &str) {
    machine.run(&format!("systemctl start {unit}.automount")).success();
    assert!(!is_mounted(machine, point), "not before it is used");
    assert!(machine.as_ada(&format!("ls {point}/data")).success().text().contains("wanted"));
    assert!(is_mounted(machine, point));
    machine.as_ada(&format!("cat {point}/data/wanted/wanted.tif")).success();
    machine.run(&format!("findmnt --types fuse.clmsfs {point}")).success();

    machine.run(&format!("systemctl stop {unit}.automount {unit}.mount")).success();
    assert_eq!(machine.mounts(), [""; 0]);
    wait::until_true("its process has ended", || machine.processes().len() == 1);
}

#[test]
fn the_example_mounts_when_somebody_looks() {
    let machine = lab::ready();
    machine
        .run("cp /usr/share/doc/clmsfs/examples/* /etc/systemd/system/ && systemctl daemon-reload")
        .success();
    used_is_mounted_and_stops(&machine, "srv-clms", "/srv/clms");
}

#[test]
fn a_line_of_fstab_mounts_when_somebody_looks() {
    let machine = lab::ready();
    let line = "clmsfs#clms /srv/fstab clmsfs \
        nofail,x-systemd.automount,allow_other,credentials=/etc/clmsfs/clms-key.json,cache_dir=/var/cache/clmsfs/fstab 0 0\n";
    fs::write(machine.path("/etc/fstab"), line).unwrap();
    machine.run("systemctl daemon-reload").success();
    used_is_mounted_and_stops(&machine, "srv-fstab", "/srv/fstab");
}
