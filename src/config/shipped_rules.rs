//! The rules that come with the program, as data.
//!
//! They were measured with a logging FUSE full of cold products on which desktops, indexers, backup tools and GIS
//! programs were let loose (QGIS 3.22 and 3.40, GDAL 3.6/3.10/3.12, terra, zarr 2 and 3). What follows from it:
//!
//! * A scanner that is refused gets EACCES, never EAGAIN: rclone tried 150 opens for 5 files on EAGAIN, 15 on EACCES.
//! * `O_NOATIME` on a cold file was never a GIS program (thunar, nemo, nautilus, pcmanfm, gio, borg).
//! * nemo, dolphin (`kioslave5`) and baloo open even files of size 0: these are why rules are needed at all.
//! * cp, rsync, restic, borg, rclone, rg, `grep -r`, sha256sum open everything they meet; people start cp and
//!   sha256sum by hand for one file, the others walk whole trees at night.
//!
//! The administrator's own rules stand in front of these: `rule = [{ process = "rsync", action = "allow" }]`
//! turns rsync on.

use super::choices::Profile;
use super::rules::{Action, NamePattern, Rule};

/// Names and threads of one shipped rule.
struct Row {
    name: &'static str,
    /// `None` = in every profile.
    profile: Option<Profile>,
    process: &'static [&'static str],
    thread: &'static [&'static str],
    flags: i32,
    action: Action,
}

const ANY: &[&str] = &[];

const ROWS: &[Row] = &[
    Row {
        name: "file managers, indexers, scanners and backup tools",
        profile: None,
        // Each of these was seen opening cold files.
        process: &[
            "tumblerd",
            "gdk-pixbuf-thum",
            "nemo",
            "nautilus",
            "thunar",
            "pcmanfm",
            "dolphin",
            "kioslave5",
            "gio",
            "file",
            "baloo_file_extr",
            "recollindex",
            "rclimg",
            "clamscan",
            "rg",
            "grep",
            "exiftool",
            "restic",
            "borg",
            "rclone",
            "rsync",
            "updatedb*",
            "tar",
        ],
        thread: ANY,
        flags: 0,
        action: Action::Deny,
    },
    Row {
        name: "file managers, indexers and scanners by name",
        profile: None,
        // Known for the same work, not measured. `bwrap` is the sandbox of GNOME's thumbnailers.
        process: &[
            "baloo_file",
            "bwrap",
            "gvfsd*",
            "tracker-miner-f",
            "tracker-extract",
            "localsearch-*",
            "clamd",
            "freshclam",
            "ffmpegthumbnailer",
            "totem-video-thu",
            "kioworker",
            "mlocate",
            "ag",
            "caja",
            "gthumb",
            "Thunar",
            "pcmanfm-qt",
            "konqueror",
            "krusader",
            "doublecmd",
            "evince-thumbnailer",
            "gnome-thumbnail-font",
            "raw-thumbnailer",
        ],
        thread: ANY,
        flags: 0,
        action: Action::Deny,
    },
    Row {
        name: "searches, checks and backups of whole disks by name",
        profile: None,
        // What Debian 12 and Ubuntu 24.04 offer, and what machines of companies have, for reading everything at night: not
        // measured. clamdscan --fdpass opens files itself; updatedb's timer starts it as updatedb.plocate.
        process: &[
            // searches
            "ugrep",
            "ack",
            "rga",
            "zgrep",
            // viruses and changes
            "clamdscan",
            "clamonacc",
            "maldet",
            "rkhunter",
            "chkrootkit",
            "aide",
            "tripwire",
            "samhain",
            "osqueryd",
            "wazuh-*",
            "ossec-*",
            "wdavdaemon",
            "mdatp",
            "falcon-sensor*",
            "ds_agent",
            "savscand",
            // duplicates
            "fdupes",
            "jdupes",
            "rmlint",
            "rdfind",
            "czkawka*",
            "duperemove",
            // backups
            "duplicity",
            "duplicati*",
            "deja-dup*",
            "kopia",
            "bupstash",
            "bup",
            "rdiff-backup",
            "bacula-fd",
            "bareos-fd",
            "dsmc",
            "veeamagent*",
            "urbackupclientb*",
            "borgmatic",
            "vorta",
            "unison*",
            "syncthing",
            "nextcloud",
            "nextcloudcmd",
            "dropbox",
            "bsdtar",
            "dar",
            "cpio",
            "mksquashfs",
        ],
        thread: ANY,
        flags: 0,
        action: Action::Deny,
    },
    Row {
        name: "opened without access time",
        profile: None,
        // In front of the rows that allow: no program of theirs was ever seen to set this flag.
        process: ANY,
        thread: ANY,
        flags: libc::O_NOATIME,
        action: Action::Deny,
    },
    Row {
        name: "QGIS Browser scanning",
        profile: None,
        // The Browser opens files from Qt's pool to look what is in them. Refused, QGIS 3.40 loads a layer that the
        // user really wants on its main thread. The thread's name is generic in Qt, so it counts only with the program.
        process: &["qgis.bin"],
        thread: &["Thread (pooled)"],
        flags: 0,
        action: Action::EagainNoOrder,
    },
    Row {
        name: "graphical programs on a desktop",
        profile: Some(Profile::Desktop),
        // Adding a layer froze QGIS's window until the data was there (measured); the others are named by kind.
        process: &[
            "qgis.bin",
            "qgis",
            "saga_gui",
            "monteverdi",
            "rstudio",
            "gimp*",
            "eog",
            "gwenview",
            "ristretto",
        ],
        thread: ANY,
        flags: 0,
        action: Action::Eagain,
    },
    Row {
        name: "GIS programs, notebooks and shells",
        profile: None,
        // `python*` is everything from notebooks to crawlers: the order budget guards it, not a rule.
        process: &[
            "qgis.bin",
            "qgis_process.bi",
            "gdal*",
            "ogr*",
            "python*",
            "R",
            "Rscript",
            "rsession",
            "java",
            "cp",
            "cat",
            "head",
            "sha256sum",
            "jupyter*",
        ],
        thread: ANY,
        flags: 0,
        action: Action::Allow,
    },
];

/// The shipped rules of a profile, in order.
pub(super) fn rules(profile: Profile) -> Vec<Rule> {
    let patterns = |names: &[&str]| -> Vec<NamePattern> {
        names.iter().map(|name| NamePattern::new(name).expect("a test reads every shipped pattern")).collect()
    };
    ROWS.iter()
        .filter(|row| row.profile.is_none_or(|only| only == profile))
        .map(|row| Rule {
            process: patterns(row.process),
            thread: patterns(row.thread),
            flags: row.flags,
            ..Rule::new(row.name, row.action)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::choices::OnMiss;
    use crate::config::rules::{Answer, COMM_LENGTH, Opener, decide};

    fn answer(profile: Profile, comm: &str, thread: &str, flags: i32) -> Answer {
        let opener = Opener {
            pid: 43,
            tgid: 42,
            comm: comm.to_owned(),
            thread: thread.to_owned(),
            exe: None,
            uid: 1000,
            gid: 1000,
        };
        decide(&rules(profile), &opener, flags, "clc2018/a/a.tif", OnMiss::Block).answer
    }

    /// A name that a pattern of the table stands for.
    fn example(pattern: &str) -> String {
        pattern.replace('*', "x")
    }

    #[test]
    fn every_row_decides_what_it_says_in_both_profiles() {
        for profile in [Profile::Server, Profile::Desktop] {
            for row in ROWS.iter().filter(|row| row.profile.is_none_or(|only| only == profile)) {
                let wanted = match row.action {
                    Action::Deny => Answer::Deny,
                    Action::EagainNoOrder => Answer::EagainNoOrder,
                    Action::Eagain => Answer::Eagain,
                    Action::Block | Action::Allow => Answer::Block,
                };
                for pattern in row.process {
                    let comm = example(pattern);
                    let thread = row.thread.first().map_or_else(|| comm.clone(), |name| (*name).to_owned());
                    let shadowed =
                        profile == Profile::Desktop && row.action == Action::Allow && comm == "qgis.bin";
                    let wanted = if shadowed { Answer::Eagain } else { wanted };
                    assert_eq!(
                        answer(profile, &comm, &thread, row.flags),
                        wanted,
                        "{profile} {comm} ({})",
                        row.name
                    );
                }
            }
        }
    }

    #[test]
    fn every_name_can_be_a_name_of_the_kernel() {
        for row in ROWS {
            for name in row.process.iter().chain(row.thread) {
                // ffmpegthumbnailer and localsearch-… are longer; the pattern knows the cut form.
                let cut: String = example(name).chars().take(COMM_LENGTH).collect();
                assert!(
                    NamePattern::new(name).is_ok_and(|pattern| pattern.matches_comm(&cut)),
                    "{name} as {cut}"
                );
            }
        }
    }

    #[test]
    fn the_qgis_browser_orders_nothing_and_its_main_thread_may() {
        assert_eq!(answer(Profile::Server, "qgis.bin", "Thread (pooled)", 0), Answer::EagainNoOrder);
        assert_eq!(answer(Profile::Desktop, "qgis.bin", "Thread (pooled)", 0), Answer::EagainNoOrder);
        assert_eq!(answer(Profile::Server, "qgis.bin", "qgis.bin", 0), Answer::Block);
        assert_eq!(answer(Profile::Desktop, "qgis.bin", "qgis.bin", 0), Answer::Eagain);
        // The thread's name alone means nothing.
        assert_eq!(answer(Profile::Server, "other-qt", "Thread (pooled)", 0), Answer::Block);
    }

    #[test]
    fn programs_are_known_by_the_names_the_kernel_gives_them() {
        // As /proc/<pid>/comm has them, where they differ from the name of the package.
        for comm in [
            "updatedb",        // from a shell
            "updatedb.plocat", // plocate-updatedb.service and cron, updatedb.plocate
            "updatedb.mlocat",
            "tracker-miner-f", // tracker-miner-fs-3
            "tracker-extract", // tracker-extract-3
            "localsearch-3",
            "localsearch-ext",
            "gdk-pixbuf-thum",
            "ffmpegthumbnail",
            "evince-thumbnai",
            "gnome-thumbnail",
            "baloo_file_extr",
            "kioworker",
            "wazuh-syscheckd",
            "clamdscan",
            "urbackupclientb",
        ] {
            assert_eq!(answer(Profile::Server, comm, comm, 0), Answer::Deny, "{comm}");
            assert_eq!(answer(Profile::Desktop, comm, comm, 0), Answer::Deny, "{comm}");
        }
    }

    #[test]
    fn flags_under_the_shipped_rules() {
        // A script's way to ask: the fetch starts, unless the program is denied.
        assert_eq!(answer(Profile::Server, "python3", "python3", libc::O_NONBLOCK), Answer::Eagain);
        for denied in ["file", "grep", "tar", "thunar"] {
            assert_eq!(answer(Profile::Server, denied, denied, libc::O_NONBLOCK), Answer::Deny, "{denied}");
        }
        // Access time beats the rows that allow.
        assert_eq!(answer(Profile::Server, "python3", "python3", libc::O_NOATIME), Answer::Deny);
        assert_eq!(answer(Profile::Server, "unknown", "unknown", libc::O_NOATIME), Answer::Deny);
    }
}
