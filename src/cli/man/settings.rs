//! clmsfs.toml(5): the options of the settings file, from the table of options, and the rules.

use super::page::{Page, Writer};
use crate::config::document::{ACTIONS, EXAMPLE, RULE_KEYS};
use crate::config::{Kind, OPTIONS, OptionSpec};

/// clmsfs.toml(5).
pub(super) fn page() -> Page {
    let mut page = Writer::new();
    page.section("NAME").text("clmsfs.toml - settings of clmsfs(1)");
    page.section("DESCRIPTION")
        .text(
            "A file of TOML: one `option = value` a line, and `[[rule]]` tables. Every option can also be given as a flag \
             (`--cache-size 4GB`), as an option of mount(8) (`-o cache_size=4GB`), and in the environment \
             (`CLMSFS_CACHE_SIZE=4GB`). Where several say something, the later of these counts:",
        )
        .term("1.", "`/etc/clmsfs/config.toml`")
        .term("2.", "`~/.config/clmsfs/config.toml` (`$XDG_CONFIG_HOME/clmsfs/config.toml`)")
        .term("3.", "the environment")
        .term("4.", "`-o`, then the flags")
        .paragraph(
            "A file that is named, by `--config`, by `-o config=` or by `$CLMSFS_CONFIG`, is read in place of the first two.",
        )
        .paragraph(
            "`clmsfs config show` prints every value and where it came from; `clmsfs config check` names all that is wrong, \
             each with its line.",
        )
        .paragraph(
            "Sizes are `64MB`, `4GB`, `2TB` (powers of 1000), `64MiB`, `4GiB`, `2TiB` (powers of 1024) or plain bytes. Durations \
             are `500ms`, `60s`, `30m`, `2h`. Where `none` is allowed it switches the limit off. Paths are absolute.",
        );
    page.section("RELOADING").text(
        "`clmsfs reload`, or SIGHUP, makes a running mount read its settings anew. Options that are marked <live> take effect at \
         once, and so do the rules; changes of the others are named in the log and wait for the next mount. A file with an error \
         changes nothing.",
    );
    page.section("OPTIONS");
    let mut group = "";
    for spec in OPTIONS {
        if spec.group != group {
            group = spec.group;
            page.subsection(group);
        }
        page.term(&line(spec), &format!("{} {}", spec.help, about(spec)));
    }
    page.section("RULES").text(
        "Rules decide who may fetch by opening a cold file; a file that is here opens for everybody. The first rule that matches \
         counts. Those of the file come first, in its order, then the shipped ones of the profile. If none matches, `O_NOATIME` \
         is refused, `O_NONBLOCK` gets EAGAIN, and `on_miss` decides for the rest. Each key takes one value or a list of values; a \
         rule applies when every key that it has matches.",
    );
    for (keys, meaning) in RULE_KEYS {
        page.term(keys, &format!("Matches: {meaning}."));
    }
    page.term("`action`", "What open() of a cold file does:");
    for (action, meaning) in ACTIONS {
        page.term(&format!("`action = \"{action}\"`"), &format!("{meaning}."));
    }
    page.section("EXAMPLE").example(EXAMPLE);
    page.section("FILES")
        .term("/etc/clmsfs/config.toml", "Settings of the machine.")
        .term("/etc/clmsfs/<NAME>.toml", "Settings of the instance <NAME>.")
        .term("~/.config/clmsfs/config.toml", "Settings of the user.");
    page.see_also(&["clmsfs(1)", "mount.clmsfs(8)"]);
    Page::new("clmsfs.toml", "5", &[page.finish()])
}

fn line(spec: &OptionSpec) -> String {
    match spec.kind {
        Kind::Switch => format!("`{}` = true or false", spec.name),
        Kind::Value | Kind::Path => format!("`{}` = <{}>", spec.name, spec.value_name),
    }
}

/// Default, and whether a reload changes it.
fn about(spec: &OptionSpec) -> String {
    let live = if spec.live { " <live>" } else { "" };
    format!("[default: {}]{live}", spec.default())
}
