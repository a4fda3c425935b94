//! What systemd itself says of the units.

use crate::lab::UNIT;
use crate::machine::Machine;

/// Exposure that the issue allows: mounting needs CAP_SYS_ADMIN, and a mount namespace of its own would hide the mount.
const MOST_EXPOSED: f64 = 4.2;

#[test]
fn systemd_finds_nothing_to_say_about_the_units() {
    let machine = Machine::installed();
    machine.run("cp /usr/share/doc/clmsfs/examples/* /etc/systemd/system/").success();
    // the machine has no man-db, so that it could not look for the manual's pages
    let verified = machine
        .run(&format!("systemd-analyze verify --man=no {UNIT}.service srv-clms.mount srv-clms.automount"));
    assert_eq!((verified.text().as_str(), verified.stderr.as_str()), ("", ""));
    assert!(verified.status.success());

    let judged = machine.run(&format!("systemd-analyze security --no-pager {UNIT}.service")).text();
    let line = judged.lines().find(|line| line.contains("Overall exposure level")).unwrap();
    let level = line.split_whitespace().find_map(|word| word.parse::<f64>().ok()).unwrap();
    println!("{}", line.trim());
    assert!(level <= MOST_EXPOSED, "{judged}");
}
