//! Security modules that may say no where permissions say yes.

use std::path::Path;

use super::finding::{Check, Finding, Fix};
use super::rights::Rights;

/// What was read of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Confinement {
    /// SELinux refuses what its policy does not allow.
    selinux_enforces: bool,
    /// Label of this process, by whichever module: `unconfined`, `docker-default (enforce)`.
    label: Option<String>,
    /// AppArmor confines `fusermount3` (Ubuntu since 25.04).
    helper_is_confined: bool,
}

impl Confinement {
    pub(super) fn read() -> Self {
        let text = |path: &str| {
            let text = std::fs::read_to_string(path).ok()?;
            let text = text.trim_matches(['\0', '\n', ' ']).to_owned();
            (!text.is_empty()).then_some(text)
        };
        let apparmor = text("/sys/module/apparmor/parameters/enabled").as_deref() == Some("Y");
        Self {
            selinux_enforces: text("/sys/fs/selinux/enforce").as_deref() == Some("1"),
            label: text("/proc/self/attr/current").filter(|_| apparmor),
            helper_is_confined: apparmor && Path::new("/etc/apparmor.d/fusermount3").exists(),
        }
    }
}

/// Whether one of them stands in the way.
pub(super) fn confinement(found: &Confinement, rights: Rights) -> Finding {
    let check = Check::Confinement;
    match &found.label {
        Some(label) if label.ends_with("(enforce)") => {
            return Finding::warning(
                check,
                format!("AppArmor confines this program ({label})"),
                Fix::advice(
                    "where a mount is refused: aa-status, dmesg; docker run --security-opt apparmor=unconfined",
                ),
            );
        }
        _ => {}
    }
    if found.helper_is_confined && !rights.may_mount {
        return Finding::warning(
            check,
            "AppArmor lets fusermount3 mount in some places only",
            Fix::advice("mount below your home folder, /mnt or /media, or see /etc/apparmor.d/fusermount3"),
        );
    }
    if found.selinux_enforces {
        return Finding::ok(check, "SELinux enforces its policy (ausearch -m avc shows what it refused)");
    }
    Finding::ok(check, "neither SELinux nor AppArmor stands in the way")
}

#[cfg(test)]
mod tests {
    use super::super::finding::Outcome::{Ok as Fine, Warning};
    use super::super::finding::tests::expect;
    use super::*;

    #[test]
    fn what_stands_in_the_way() {
        let free = Confinement::default();
        expect(&confinement(&free, Rights::USER), Fine, &["neither"]);
        let unconfined = Confinement { label: Some("unconfined".to_owned()), ..free.clone() };
        expect(&confinement(&unconfined, Rights::USER), Fine, &["neither"]);
        let caged = Confinement { label: Some("docker-default (enforce)".to_owned()), ..free.clone() };
        expect(&confinement(&caged, Rights::ROOT), Warning, &["docker-default", "apparmor=unconfined"]);
        let ubuntu = Confinement { helper_is_confined: true, ..free.clone() };
        expect(&confinement(&ubuntu, Rights::USER), Warning, &["fusermount3", "/mnt"]);
        expect(&confinement(&ubuntu, Rights::ROOT), Fine, &[]);
        let fedora = Confinement { selinux_enforces: true, ..free };
        expect(&confinement(&fedora, Rights::USER), Fine, &["SELinux", "ausearch"]);
    }
}
