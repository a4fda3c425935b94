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
             clmsfs#lab /lab clmsfs noauto,allow_other,uid=1000,gid=1000 0 0\n\
             clmsfs /test clmsfs noauto,config=/etc/clmsfs/test.toml 0 0",
        )
        .paragraph("The second takes its settings from `/etc/clmsfs/lab.toml`. By hand:")
        .example("mount -t clmsfs clmsfs /mnt -o config=/etc/clmsfs/test.toml\numount /mnt");
    own.section("NOTES").text(
        "The log goes to the journal. `umount`, `findmnt -t fuse.clmsfs,fuse` and `mount -a` work as with any file system.",
    );
    own.see_also(&["clmsfs(1)", "clmsfs.toml(5)", "fstab(5)", "mount(8)", "systemd.automount(5)"]);
    let written = String::from_utf8_lossy(&bytes).into_owned();
    Ok(Page::new("mount.clmsfs", "8", &[written, own.finish()]))
}
