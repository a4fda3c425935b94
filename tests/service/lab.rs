//! A machine with a simulated service in it, and settings that point there.

use std::fs;

use crate::machine::{Machine, write};
use crate::support::packages::Pixels;
use crate::support::{Package, wait};

/// The instance that the package has settings for.
pub(crate) const UNIT: &str = "clmsfs@clms";
/// Where it mounts.
pub(crate) const MOUNT: &str = "/srv/clmsfs/clms";
/// A product that nobody has fetched yet.
pub(crate) const COLD: &str = "/srv/clmsfs/clms/data/wanted/wanted.tif";

/// The one line that an administrator who uses the real service need not write.
const SETTINGS: &str = "\napi_url = \"http://127.0.0.1:8686/api\"\n";
const SIMULATOR: &str = "[Service]
Type=exec
RuntimeDirectory=simulator
ExecStart=/usr/bin/clmsfs simulate --listen 127.0.0.1:8686 --key-out /run/simulator/key.json --data /var/lib/simulator \\
  --scenario /var/lib/simulator/scenario.toml
";

/// Runs the simulated service in the machine, where clmsfs is installed.
pub(crate) fn simulate(machine: &Machine) {
    let data = machine.path("/var/lib/simulator");
    fs::create_dir_all(&data).unwrap();
    Package::new("wanted", Pixels::Classes, 64).write(&data);
    write(&data.join("scenario.toml"), "queued = '10ms'\nrunning = '10ms'\n");
    write(&machine.path("/etc/systemd/system/simulator.service"), SIMULATOR);
    machine.run("systemctl daemon-reload && systemctl start simulator").success();
    let key = machine.path("/run/simulator/key.json");
    wait::until_true("the simulator is there", || fs::metadata(&key).is_ok_and(|file| file.len() > 0));
}

/// What the administrator does: a line of settings, and the key.
pub(crate) fn configure(machine: &Machine) {
    let file = machine.path("/etc/clmsfs/clms.toml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text + SETTINGS).unwrap();
    machine.run("install -m 600 /run/simulator/key.json /etc/clmsfs/clms-key.json").success();
}

/// A machine with the package, its settings, its key, and the service they lead to.
pub(crate) fn ready() -> Machine {
    let machine = Machine::installed();
    simulate(&machine);
    configure(&machine);
    machine
}

/// The same, started.
pub(crate) fn serving() -> Machine {
    let machine = ready();
    start(&machine);
    machine
}

#[track_caller]
pub(crate) fn start(machine: &Machine) {
    let started = machine.run(&format!("systemctl start {UNIT}"));
    assert!(started.status.success(), "{}\n{}", started.stderr, machine.journal(UNIT));
}

/// Adds lines to the unit, as `systemctl edit` does.
pub(crate) fn edit(machine: &Machine, lines: &str) {
    write(
        &machine.path("/etc/systemd/system/clmsfs@.service.d/override.conf"),
        &format!("[Service]\n{lines}\n"),
    );
    machine.run("systemctl daemon-reload").success();
}

/// What root is told of the only mount.
#[track_caller]
pub(crate) fn status(machine: &Machine) -> serde_json::Value {
    serde_json::from_str(&machine.run("clmsfs status --json").success().text()).unwrap()
}

pub(crate) fn main_pid(machine: &Machine) -> u32 {
    machine.property(UNIT, "MainPID").parse().unwrap()
}

/// Whether the mount answers, as seen from outside; the machine is not asked.
pub(crate) fn serves(machine: &Machine) -> bool {
    fs::read(machine.path(MOUNT).join("README.md")).is_ok_and(|text| !text.is_empty())
}
