//! A boot without a network: the mount needs none, and does not keep the machine from coming up.

use crate::lab::{self, MOUNT, UNIT};
use crate::machine::Machine;

/// What the service took from its start until others went on, in seconds.
fn took(machine: &Machine) -> f64 {
    let at = |name: &str| machine.property(UNIT, name).parse::<f64>().unwrap() / 1e6;
    at("ActiveEnterTimestampMonotonic") - at("InactiveExitTimestampMonotonic")
}

#[test]
fn a_boot_without_network_shows_the_saved_catalogue_and_what_was_fetched() {
    let mut machine = lab::serving();
    machine.as_ada(&format!("cat {}", lab::COLD)).success();
    machine.run(&format!("systemctl enable {UNIT}")).success();
    machine.reboot();
    // the machine has no network, and the simulator is not enabled
    assert_ne!(machine.property("simulator", "ActiveState"), "active");
    assert_eq!(machine.property(UNIT, "ActiveState"), "active");
    println!("started in {:.2} s", took(&machine));
    assert!(machine.as_ada(&format!("ls {MOUNT}/data")).success().text().contains("wanted"));
    machine.as_ada(&format!("head -c 4 {}", lab::COLD)).success();
}

#[test]
fn the_very_first_boot_without_network_mounts_an_empty_catalogue() {
    let mut machine = Machine::installed();
    machine.run(&format!("systemctl enable {UNIT}")).success();
    machine.reboot();
    assert_eq!(machine.property(UNIT, "ActiveState"), "active");
    let seconds = took(&machine);
    println!("started in {seconds:.2} s");
    // ten for the service's answer; the rest is for a busy machine
    assert!(seconds < 30.0, "{seconds}");
    assert!(machine.as_ada(&format!("ls {MOUNT}")).success().text().contains("README.md"));
}
