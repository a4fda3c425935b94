//! `docs/CONFIGURATION.md`, written from the table of options and the shipped rules.

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
            let _ = write!(text, "\n### {group}\n\n| option | default | meaning |\n|---|---|---|\n");
        }
        let value = spec.value_name.replace('|', "\\|");
        let _ = writeln!(text, "| `{}` = `{value}` | {} | {} |", spec.name, spec.default(), spec.help);
    }
    text.push_str(RULES);
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

1. the configuration file: `cache_size = \"4GB\"`
2. the environment: `CLMSFS_CACHE_SIZE=4GB`
3. the command line: `--cache-size 4GB`, or `-o cache_size=4GB` as in /etc/fstab.

In /etc/fstab the type is `clmsfs` (`mount.clmsfs`, the same program by another name, must lie in /sbin):

```
clmsfs  /srv/clms  clmsfs  _netdev,nofail,x-systemd.automount,allow_other,config=/etc/clmsfs/config.toml  0 0
```

As a service of systemd: `clmsfs@NAME` has the settings of /etc/clmsfs/NAME.toml ([ADMINISTRATION.md](ADMINISTRATION.md)).
With `clmsfs#NAME` in front the settings are those of /etc/clmsfs/NAME.toml. The log goes to the journal.

The file is the one named with `--config`, else the first that exists of `$CLMSFS_CONFIG`,
`~/.config/clmsfs/config.toml` (`$XDG_CONFIG_HOME`) and `/etc/clmsfs/config.toml`. An unknown key is an error that names its line.
`clmsfs config show` prints every value and where it came from; `clmsfs config check` only looks for errors.

Sizes are `64MB`, `4GB`, `2TB` (powers of 1000), `64MiB`, `4GiB`, `2TiB` (powers of 1024) or plain bytes.
Durations are `500ms`, `60s`, `30m`, `2h`. Where `none` is allowed it switches the limit off.

## Options
";

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

| key | matches |
|---|---|
| `process` | name of the process (what `ps -o comm` shows, cut at 15 characters) or of its executable; globs |
| `thread` | name of the thread; globs |
| `uid`, `gid` | numeric ids |
| `flags` | open flags that must all be set: `O_NONBLOCK`, `O_NOATIME`, `O_DIRECT`, `O_NOFOLLOW` |
| `path` | path below the mount; `*` within a folder, `**` across folders; a folder covers all in it |
| `name` | matches nothing; shown as the reason in the log and in `user.clmsfs.error` |

| `action` | open() of a cold file |
|---|---|
| `block` | orders and waits (with `O_NONBLOCK`: EAGAIN) |
| `eagain` | orders and fails at once with EAGAIN |
| `eagain-no-order` | fails at once with EAGAIN, orders nothing |
| `deny` | fails with EACCES, orders nothing |
| `allow` | as if there were no rule: `on_miss` decides |

Each key takes one value or a list; a rule applies when every key matches.
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
    fn the_example_in_the_document_is_a_file_that_works() {
        let example = RULES.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        std::fs::write(&path, example).unwrap();
        let resolved = crate::config::Settings::resolve(&Default::default(), |_| None, Some(&path)).unwrap();
        assert_eq!(resolved.own_rules, 1);
    }
}
