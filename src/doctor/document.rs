//! The list of checks in `docs/DOCTOR.md`, written from the checks themselves.

use std::fmt::Write;

use super::finding::Check;

/// The text of `docs/DOCTOR.md`.
pub fn doctor_markdown() -> String {
    let mut text = String::from(INTRODUCTION);
    for check in Check::ALL {
        let _ = writeln!(text, "| `{}` | {} |", check.name(), check.about());
    }
    text.push_str(REPORT);
    text
}

const INTRODUCTION: &str = "\
# clmsfs doctor

<!-- Written from the checks in src/doctor; a test compares. To renew it:
     CLMSFS_WRITE_DOCS=1 cargo test --lib doctor::document -->

`clmsfs doctor` looks at this machine, at the settings, at the service and at the mounts of whoever asks. It changes nothing. What is not
as it should be stands there with what to do about it: a command behind `$`, or words.

```sh
clmsfs doctor                       # the settings that a mount by this user would have
clmsfs doctor --config FILE         # those of a file; as root, /etc/clmsfs/NAME.toml with cache and key of clmsfs@NAME
clmsfs doctor --mount ~/clms        # of the mounts, this one only
clmsfs doctor --offline             # asks no service
clmsfs doctor --timeout 30s         # how long to wait for the service and for each mount (5 s)
clmsfs doctor --json
```

| result | meaning |
|---|---|
| `ok` | as it should be |
| `warning` | it works, but less well or less safely than it could |
| `problem` | something does not work |
| `not checked` | nothing is known; the line says why |

The exit code is 1 when there is a problem, else 0. Every question has a time limit, those to the network and to the mounts are asked at once.
A mount that hangs is asked by a process of its own, so that it can hang nothing else. The settings are those of whoever runs `doctor`: for a
mount by another user, run it as that user.

## What is checked

| check | what is looked at, and what is right |
|---|---|
";

const REPORT: &str = "
In JSON there is one finding for each check, and one of `mounts` for each mount:
`{\"check\": \"key\", \"outcome\": \"problem\", \"says\": \"…\", \"fix\": {\"run\": \"chmod 600 …\"}}`. `outcome` is `ok`, `warning`, `problem` or
`not-checked`; `fix` is `{\"run\": a command}`, `{\"do\": words}` or `null`.

## clmsfs bugreport

`clmsfs bugreport` writes `clmsfs-report-TIME.tar.gz` (or `--output FILE`): what `doctor` finds, the settings, what the running mounts tell about
themselves, the end of their logs, and facts about system and cache. It asks the mounts over their sockets, never through the mount, so a
mount that hangs does not hang it. Before anything is written, keys, tokens, the ids of the service key, user names, the machine's name, e-mail
addresses and the path of the home folder are taken out. Names of datasets and products, numbers of tasks and paths outside of the
home folder stay in. Look through it before you send it: `tar -xzOf FILE | less`.
";

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn the_document_is_what_the_checks_say() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/DOCTOR.md");
        if std::env::var_os("CLMSFS_WRITE_DOCS").is_some() {
            std::fs::write(&path, doctor_markdown()).unwrap();
        }
        let written = std::fs::read_to_string(&path).unwrap();
        assert!(
            written == doctor_markdown(),
            "docs/DOCTOR.md is out of date: CLMSFS_WRITE_DOCS=1 cargo test --lib doctor::document"
        );
    }
}
