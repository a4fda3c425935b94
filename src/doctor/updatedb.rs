//! The nightly index of all file names, which has no business in a mount.

use super::finding::{Check, Finding, Fix};

/// Where it is told what to leave out.
const FILE: &str = "/etc/updatedb.conf";
/// The type of every mount, whoever made it.
const WANTED: &str = "fuse.clmsfs";
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
pub(super) fn updatedb(text: Option<&str>) -> Finding {
    let check = Check::Updatedb;
    let Some(text) = text else { return Finding::ok(check, "neither plocate nor mlocate is installed") };
    let fix = match pruned(text) {
        Some(words) if words.iter().any(|word| word.eq_ignore_ascii_case(WANTED)) => {
            return Finding::ok(check, format!("{WANTED} is in PRUNEFS of {FILE}"));
        }
        Some(_) => format!(r#"sudo sed -i 's/^\( *PRUNEFS *= *"\)/\1{WANTED} /' {FILE}"#),
        None => format!(r#"echo 'PRUNEFS = "{WANTED}"' | sudo tee -a {FILE}"#),
    };
    Finding::warning(
        check,
        format!("updatedb goes through all mounts: PRUNEFS in {FILE} lacks {WANTED}"),
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
        expect(&updatedb(None), Fine, &["neither"]);
        expect(&updatedb(Some("PRUNEFS = \"NFS fuse.clmsfs\"")), Fine, &[]);
        expect(&updatedb(Some("PRUNEFS=\"FUSE.clmsfs\"\n")), Fine, &[]);
        expect(&updatedb(Some("PRUNEFS=\"fuse\"\n")), Warning, &["lacks fuse.clmsfs", "sed"]);
        expect(&updatedb(Some(SHIPPED)), Warning, &["lacks fuse.clmsfs", "sed"]);
        expect(&updatedb(Some("")), Warning, &["tee -a"]);
    }

    /// The command that is told, carried out on a copy.
    #[test]
    fn the_fix_mends_it() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("updatedb.conf");
        for before in [SHIPPED, ""] {
            std::fs::write(&file, before).unwrap();
            let Some(Fix::Run(command)) = updatedb(Some(before)).fix else { panic!("no command") };
            let command = command.replace(FILE, file.to_str().unwrap()).replace("sudo ", "");
            assert!(
                Command::new("sh").args(["-c", &command]).output().unwrap().status.success(),
                "{command}"
            );
            let after = std::fs::read_to_string(&file).unwrap();
            expect(&updatedb(Some(&after)), Fine, &[]);
            assert!(before.is_empty() || after.contains("NFS afs fuse.sshfs"), "{after}");
        }
    }
}
