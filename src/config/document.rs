//! `docs/CONFIGURATION.md`, written from the table of options and the shipped rules; and what it shares with clmsfs.toml(5).

use std::fmt::Write;

use super::choices::Profile;
use super::options::OPTIONS;
use super::rules;

/// The text of `docs/CONFIGURATION.md`.
pub fn configuration_markdown() -> String {
    let mut text = String::from(INTRODUCTION);
    let mut group = "";
    for spec in OPTIONS {
        if spec.group != group {
            group = spec.group;
            let _ =
                write!(text, "\n### {group}\n\n| option | default | reload | meaning |\n|---|---|---|---|\n");
        }
        let value = spec.value_name.replace('|', "\\|");
        let live = if spec.live { "yes" } else { "no" };
        let _ =
            writeln!(text, "| `{}` = `{value}` | {} | {live} | {} |", spec.name, spec.default(), spec.help);
    }
    text.push_str(&rules_markdown());
    for (profile, title) in [(Profile::Server, "server"), (Profile::Desktop, "desktop")] {
        let _ = write!(text, "\n### Profile `{title}`\n\n```toml\n");
        for (index, rule) in rules::shipped(profile).iter().enumerate() {
            let gap = if index == 0 { "" } else { "\n" };
            let _ = write!(text, "{gap}{}", rule.to_toml());
        }
        text.push_str("```\n");
    }
    text
}

const INTRODUCTION: &str = "\
# Configuration

<!-- Written from the table in src/config/options.rs; a test compares. To renew it:
     CLMSFS_WRITE_DOCS=1 cargo test --lib config::document -->

Every option has one name. It can be given, the later one winning, in

1. the configuration file of the machine, `/etc/clmsfs/config.toml`: `cache_size = \"4GB\"`
2. that of the user, `~/.config/clmsfs/config.toml` (`$XDG_CONFIG_HOME`), likewise
3. the environment: `CLMSFS_CACHE_SIZE=4GB`
4. the command line: `--cache-size 4GB`, or `-o cache_size=4GB` as in /etc/fstab.

In /etc/fstab the type is `clmsfs` (`mount.clmsfs`, the same program by another name, must lie in /sbin):

```
clmsfs  /srv/clms  clmsfs  _netdev,nofail,x-systemd.automount,allow_other,config=/etc/clmsfs/config.toml  0 0
```

As a service of systemd: `clmsfs@NAME` has the settings of /etc/clmsfs/NAME.toml ([ADMINISTRATION.md](ADMINISTRATION.md)).
With `clmsfs#NAME` in front the settings are those of /etc/clmsfs/NAME.toml. The log goes to the journal.

A file that is named, with `--config`, `-o config=` or `$CLMSFS_CONFIG`, is read in place of the first two. An unknown key is an error
that names its line. `clmsfs config show` prints every value and where it came from; `clmsfs config check` names all errors, each with its
line, and tries the service key and the folders.

`clmsfs reload`, or SIGHUP, makes a running mount read its settings anew (`systemctl reload` under systemd). Options with a `yes` in the column
`reload`, and the rules, take effect at once; changes of the others are named in the log and wait for the next mount. A file with an error
changes nothing. A mount that was started on a terminal unmounts on SIGHUP: its terminal was closed; under nohup(1) it reloads.

Sizes are `64MB`, `4GB`, `2TB` (powers of 1000), `64MiB`, `4GiB`, `2TiB` (powers of 1024) or plain bytes.
Durations are `500ms`, `60s`, `30m`, `2h`. Where `none` is allowed it switches the limit off.

## Options
";

/// A settings file, for the manual.
pub const EXAMPLE: &str = "\
credentials = \"/etc/clmsfs/service-key.json\"   # chmod 600
cache_dir   = \"/data/clmsfs\"
cache_size  = \"500GB\"
on_miss     = \"block\"
allow_other = true

# let rsync fetch, but only as root and only CLC
[[rule]]
process = [\"rsync\"]
uid     = 0
path    = \"clc*\"
action  = \"allow\"
";

/// Keys of a rule, and what they match.
pub const RULE_KEYS: &[(&str, &str)] = &[
    (
        "`process`",
        "name of the process (what `ps -o comm` shows, cut at 15 characters) or of its executable; globs",
    ),
    ("`thread`", "name of the thread; globs"),
    ("`uid`, `gid`", "numeric ids"),
    ("`flags`", "open flags that must all be set: `O_NONBLOCK`, `O_NOATIME`, `O_DIRECT`, `O_NOFOLLOW`"),
    ("`path`", "path below the mount; `*` within a folder, `**` across folders; a folder covers all in it"),
    ("`name`", "nothing; shown as the reason in the log and in `user.clmsfs.error`"),
];

/// Actions of a rule, and what open() of a cold file does then.
pub const ACTIONS: &[(&str, &str)] = &[
    ("block", "orders and waits (with `O_NONBLOCK`: EAGAIN)"),
    ("eagain", "orders and fails at once with EAGAIN"),
    ("eagain-no-order", "fails at once with EAGAIN, orders nothing"),
    ("deny", "fails with EACCES, orders nothing"),
    ("allow", "as if there were no rule: `on_miss` decides"),
];

fn rules_markdown() -> String {
    let mut text = String::from(RULES);
    text.push_str("| key | matches |\n|---|---|\n");
    for (key, meaning) in RULE_KEYS {
        let _ = writeln!(text, "| {key} | {meaning} |");
    }
    text.push_str("\n| `action` | open() of a cold file |\n|---|---|\n");
    for (action, meaning) in ACTIONS {
        let _ = writeln!(text, "| `{action}` | {meaning} |");
    }
    text.push_str("\nEach key takes one value or a list; a rule applies when every key matches.\n");
    text
}

const RULES: &str = "
## Rules

Rules decide who may fetch by opening a cold file; a file that is here opens for everybody. The first rule that matches wins.
Yours come first, in the order of the file, then the shipped ones below. If none matches, `O_NOATIME` is refused, `O_NONBLOCK` gets
EAGAIN, and `on_miss` decides for the rest.

```toml
[[rule]]                        # let rsync fetch, but only as root and only CLC
process = [\"rsync\"]
uid     = 0
path    = \"clc*\"
action  = \"allow\"
```

";

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn the_document_is_what_the_table_says() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/CONFIGURATION.md");
        if std::env::var_os("CLMSFS_WRITE_DOCS").is_some() {
            std::fs::write(&path, configuration_markdown()).unwrap();
        }
        let written = std::fs::read_to_string(&path).unwrap();
        assert!(
            written == configuration_markdown(),
            "docs/CONFIGURATION.md is out of date: CLMSFS_WRITE_DOCS=1 cargo test --lib config::document"
        );
    }

    #[test]
    fn the_examples_of_the_documents_are_files_that_work() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        for example in [RULES.split("```toml\n").nth(1).unwrap().split("```").next().unwrap(), EXAMPLE] {
            std::fs::write(&path, example).unwrap();
            let resolved =
                crate::config::Settings::resolve(&Default::default(), |_| None, Some(&path)).unwrap();
            assert_eq!(resolved.own_rules, 1);
        }
    }

    #[test]
    fn every_action_is_told() {
        let told: Vec<&str> = ACTIONS.iter().map(|(action, _)| *action).collect();
        assert_eq!(told, crate::config::Action::WORDS.map(|(word, _)| word));
    }
}
