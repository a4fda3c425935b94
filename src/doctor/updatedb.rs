//! The nightly index of all file names, which has no business in a mount.

use super::finding::{Check, Finding, Fix};
use super::rights::Rights;

/// Where it is told what to leave out.
const FILE: &str = "/etc/updatedb.conf";
/// Programs that make the index.
const PROGRAMS: [&str; 3] = ["/usr/bin/updatedb", "/usr/sbin/updatedb.plocate", "/usr/bin/updatedb.mlocate"];

/// Text of its settings; `None` where there is no such program, empty where it has no settings.
pub(super) fn read() -> Option<String> {
    let is_installed = PROGRAMS.iter().any(|path| std::path::Path::new(path).exists());
    is_installed.then(|| std::fs::read_to_string(FILE).unwrap_or_default())
}

/// The words of a `PRUNEFS = "…"` line.
fn pruned(text: &str) -> Option<Vec<&str>> {
    let value = text.lines().rev().find_map(|line| {
        let (name, value) = line.trim().split_once('=')?;
        (name.trim() == "PRUNEFS").then_some(value)
    })?;
    Some(value.trim().trim_matches('"').split_whitespace().collect())
}

/// Whether it stays out of mounts.
pub(super) fn updatedb(text: Option<&str>, rights: Rights) -> Finding {
    let check = Check::Updatedb;
    let Some(text) = text else { return Finding::ok(check, "neither plocate nor mlocate is installed") };
    // the kernel calls what mount(2) made by its type alone, and what fusermount3 made by its subtype, too
    let wanted = if rights.may_mount { &["fuse", "fuse.clmsfs"][..] } else { &["fuse.clmsfs"][..] };
    let words = pruned(text);
    let has = |kind: &&&str| {
        words.as_ref().is_some_and(|words| words.iter().any(|word| word.eq_ignore_ascii_case(kind)))
    };
    let missing: Vec<&str> = wanted.iter().filter(|kind| !has(kind)).copied().collect();
    if missing.is_empty() {
        return Finding::ok(check, format!("{} is in PRUNEFS of {FILE}", wanted.join(" and ")));
    }
    let missing = missing.join(" ");
    let fix = match words {
        Some(_) => format!(r#"sudo sed -i 's/^\( *PRUNEFS *= *"\)/\1{missing} /' {FILE}"#),
        None => format!(r#"echo 'PRUNEFS = "{missing}"' | sudo tee -a {FILE}"#),
    };
    Finding::warning(
        check,
        format!("updatedb goes through all mounts: PRUNEFS in {FILE} lacks {missing}"),
        Fix::run(fix),
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::process::Command;

    use super::super::finding::Outcome::{Ok as Fine, Warning};
    use super::super::finding::tests::expect;
    use super::*;

    const SHIPPED: &str = "PRUNE_BIND_MOUNTS=\"yes\"\n# PRUNENAMES=\".git\"\nPRUNEPATHS=\"/tmp\"\nPRUNEFS=\"NFS afs fuse.sshfs\"\n";

    #[test]
    fn mounts_are_left_out_or_not() {
        expect(&updatedb(None, Rights::ROOT), Fine, &["neither"]);
        expect(&updatedb(Some("PRUNEFS = \"NFS fuse.clmsfs\""), Rights::USER), Fine, &[]);
        expect(
            &updatedb(Some("PRUNEFS = \"NFS fuse.clmsfs\""), Rights::ROOT),
            Warning,
            &["lacks fuse;", "sed"],
        );
        expect(&updatedb(Some("PRUNEFS=\"FUSE fuse.clmsfs\"\n"), Rights::ROOT), Fine, &[]);
        expect(&updatedb(Some(SHIPPED), Rights::USER), Warning, &["lacks fuse.clmsfs", "sed"]);
        expect(&updatedb(Some(""), Rights::USER), Warning, &["tee -a"]);
    }

    /// The command that is told, carried out on a copy.
    #[test]
    fn the_fix_mends_it() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("updatedb.conf");
        for (before, rights) in [(SHIPPED, Rights::ROOT), (SHIPPED, Rights::USER), ("", Rights::ROOT)] {
            std::fs::write(&file, before).unwrap();
            let Some(Fix::Run(command)) = updatedb(Some(before), rights).fix else { panic!("no command") };
            let command = command.replace(FILE, file.to_str().unwrap()).replace("sudo ", "");
            assert!(
                Command::new("sh").args(["-c", &command]).output().unwrap().status.success(),
                "{command}"
            );
            let after = std::fs::read_to_string(&file).unwrap();
            expect(&updatedb(Some(&after), rights), Fine, &[]);
            assert!(before.is_empty() || after.contains("NFS afs fuse.sshfs"), "{after}");
        }
    }
}
