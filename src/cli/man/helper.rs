//! mount.clmsfs(8): what fstab may say. Options come from the table of options.

use clap_mangen::Man;

use super::page::{Page, Writer};
use crate::cli::mount_helper;
use crate::config::mount_options::PASSED_OVER;
use crate::config::{Kind, OPTIONS};

/// mount.clmsfs(8).
///
/// # Errors
/// None in practice: it is written to memory.
pub(super) fn page() -> std::io::Result<Page> {
    let mut bytes = Vec::new();
    let man = Man::new(mount_helper::command());
    man.render_name_section(&mut bytes)?;
    man.render_synopsis_section(&mut bytes)?;
    man.render_description_section(&mut bytes)?;
    man.render_options_section(&mut bytes)?;
    let mut own = Writer::new();
    own.section("MOUNT OPTIONS").text(
        "Words behind `-o`, or in the fourth column of fstab(5). Options of `clmsfs.toml`(5) are written with `_` or `-`; what is \
         said here counts more than what a file says. A value that has commas stands in quotes: `web_hosts=\"a.example,b.example\"`.",
    );
    own.term("`config=`<FILE>", "The settings file, in place of those of machine and user.");
    for spec in OPTIONS {
        let term = match spec.kind {
            Kind::Switch => format!("`{}`[=<{}>]", spec.name, spec.value_name),
            Kind::Value | Kind::Path => format!("`{}=`<{}>", spec.name, spec.value_name),
        };
        own.term(&term, &format!("{} [default: {}]", spec.help, spec.default()));
    }
    own.paragraph(&format!(
        "These are for mount(8), systemd and desktops, and passed over: {}, and all that begin with x- or X-. `rw` is refused by \
         `clmsfs mount -o`; mount(8) says it unasked, so that this program passes it over. Everything else is refused by name; `-s` \
         passes it over, too.",
        PASSED_OVER.join(", ")
    ));
    own.section("EXIT STATUS")
        .text("As mount(8) wants it:")
        .term("0", "The mount answers.")
        .term("1", "Wrong usage: nothing was tried.")
        .term("32", "The mount failed; one line says why.");
    own.section("EXAMPLES")
        .text("Lines of /etc/fstab. The first mounts when somebody looks, and does not hold up the start of the machine:")
        .example(
            "clmsfs /clms clmsfs _netdev,nofail,x-systemd.automount,allow_other 0 0\n\
             clmsfs#lab /lab clmsfs allow_other,uid=1000,cache_dir=/data/lab 0 0\n\
             clmsfs /test clmsfs config=/etc/test.toml,cache_dir=/data/test 0 0",
        )
        .paragraph(
            "The second takes its settings from `/etc/clmsfs/lab.toml`. Each mount needs a cache of its own, in the line or in its \
             settings; that of a service belongs to the service. By hand:",
        )
        .example("mount -t clmsfs clmsfs /mnt -o cache_dir=/data/test\numount /mnt");
    own.section("NOTES").text(
        "The log goes to the journal. `umount`, `findmnt -t fuse.clmsfs,fuse` and `mount -a` work as with any file system.",
    );
    own.see_also(&["clmsfs(1)", "clmsfs.toml(5)", "fstab(5)", "mount(8)", "systemd.automount(5)"]);
    let written = String::from_utf8_lossy(&bytes).into_owned();
    Ok(Page::new("mount.clmsfs", "8", &[written, own.finish()]))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::config::mount_options;

    /// Two of them with the default cache kept each other from mounting.
    #[test]
    fn the_examples_share_no_cache() {
        let page = page().unwrap();
        let text = page.text().replace("\\-", "-");
        let lines = text.lines().filter(|line| line.ends_with(" 0 0"));
        let caches: Vec<Option<String>> = lines
            .map(|line| {
                let options = mount_options::parse(line.split(' ').nth(3).unwrap()).unwrap();
                let given = options.settings.values().find(|(spec, ..)| spec.name == "cache_dir");
                given.map(|(_, text, _)| text.to_owned())
            })
            .collect();
        assert_eq!(caches.len(), 3);
        assert_eq!(caches.iter().collect::<BTreeSet<_>>().len(), 3, "{caches:?}");
    }
}
