//! clmsfs(1), and a page for each verb: from the command line itself.

use clap::Command;
use clap_mangen::Man;

use super::page::{Page, Writer};

/// Section of the manual for programs.
const SECTION: &str = "1";

/// clmsfs(1).
///
/// # Errors
/// None in practice: it is written to memory.
pub(super) fn main_page() -> std::io::Result<Page> {
    let mut own = Writer::new();
    own.section("EXIT STATUS")
        .term("0", "Done.")
        .term("1", "Failed; one line on standard error says why, and what helps.")
        .term(
            "2",
            "Wrong usage, or settings that cannot be: an unknown verb, an unknown option, a wrong value.",
        )
        .term("3", "Not ready yet: `clmsfs fetch --no-wait` has started what it was asked for.");
    own.section("SIGNALS")
        .text("What a running `clmsfs mount` does on:")
        .term("SIGINT, SIGTERM", "Unmounts; fetches under way go on at the next mount.")
        .term(
            "SIGHUP",
            "Reads its settings anew, as `clmsfs reload` does. A mount that was started on a terminal, and not with nohup(1), \
             unmounts instead: its terminal was closed.",
        );
    own.section("FILES")
        .term("/etc/clmsfs/config.toml", "Settings of this machine; see `clmsfs.toml`(5).")
        .term("~/.config/clmsfs/config.toml", "Settings of the user; they count more.")
        .term("/etc/clmsfs/<NAME>.toml", "Settings of the instance <NAME> (`clmsfs#`<NAME> in fstab).")
        .term(
            "<MOUNTPOINT>/.clmsfs/",
            "What the mount tells about itself: status.json, metrics, config.toml.",
        );
    own.section("ENVIRONMENT")
        .term("CLMSFS_CONFIG", "The one settings file to read, in place of the two.")
        .term("CLMSFS_*", "Every option of `clmsfs.toml`(5) in capitals: `CLMSFS_CACHE_SIZE=4GB`.")
        .term("NO_COLOR", "No colours in the log.");
    own.section("EXAMPLES").example(
        "clmsfs mount ~/clms --credentials ~/service-key.json\nclmsfs search \"corine 2018\"\n\
         clmsfs fetch clc2018/u2018_clc2018_v2020_20u1_raster100m\nclmsfs status",
    );
    own.see_also(&["clmsfs.toml(5)", "mount.clmsfs(8)", "gdalinfo(1)", "fstab(5)"]);
    let command = built();
    Ok(Page::new("clmsfs", SECTION, &[text(command.clone())?, own.finish()]))
}

/// The pages of all verbs and of their verbs.
///
/// # Errors
/// None in practice: they are written to memory.
pub(super) fn verb_pages() -> std::io::Result<Vec<Page>> {
    let mut pages = Vec::new();
    collect(&built(), &mut pages)?;
    Ok(pages)
}

fn collect(command: &Command, pages: &mut Vec<Page>) -> std::io::Result<()> {
    for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        let name = verb.get_display_name().unwrap_or_else(|| verb.get_name()).to_owned();
        let mut own = Writer::new();
        own.see_also(&["clmsfs(1)", "clmsfs.toml(5)"]);
        pages.push(Page::new(&name, SECTION, &[text(verb.clone())?, own.finish()]));
        collect(verb, pages)?;
    }
    Ok(())
}

/// The command line with the full names of its verbs (`clmsfs-cache-pin`).
fn built() -> Command {
    let mut command = super::super::command().disable_help_subcommand(true).subcommand_value_name("VERB");
    command.build();
    command
}

fn text(command: Command) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    let man = Man::new(command).section(SECTION);
    man.render_name_section(&mut bytes)?;
    man.render_synopsis_section(&mut bytes)?;
    man.render_description_section(&mut bytes)?;
    man.render_options_section(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Ok(text + &verbs(&man)?)
}

/// The list of verbs, for those that have some.
fn verbs(man: &Man) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    man.render_subcommands_section(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Ok(if text.contains(".TP") { text.replace("SUBCOMMANDS", "VERBS") } else { String::new() })
}
