//! `clmsfs mount [MOUNTPOINT]`.

use std::fmt::Arguments;
use std::io::Write;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Arg, ArgAction, ArgMatches, Command};
use tokio_util::sync::CancellationToken;

use super::{Ending, Failure, USAGE, absolute, config_flag, log, output, settings};
use crate::config::{Settings, flags};
use crate::fuse::reload::Reread;
use crate::fuse::{daemon, mountpoint};

pub(super) fn command() -> Command {
    Command::new("mount")
        .about("Mount the catalogue; stays in the foreground until Ctrl-C or umount")
        .arg(
            Arg::new("place")
                .value_name("MOUNTPOINT")
                .help("An empty directory [default: the 'mountpoint' of the configuration]")
                .value_parser(clap::value_parser!(PathBuf)),
        )
        .arg(config_flag())
        .arg(
            Arg::new("options")
                .short('o')
                .value_name("OPT,…")
                .action(ArgAction::Append)
                .help("Options as fstab writes them: allow_other, cache_size=4GB, _netdev …"),
        )
        .arg(
            Arg::new("foreground")
                .long("foreground")
                .short('f')
                .action(ArgAction::SetTrue)
                .help("Stay in the foreground (always so)"),
        )
        .arg(Arg::new("source").long("source").hide(true).default_value(mountpoint::SOURCE))
        .arg(Arg::new("background").long("background").hide(true).action(ArgAction::SetTrue))
        .args(flags::clap_args())
}

pub(super) async fn run(arguments: &ArgMatches) -> Ending {
    let resolved = settings(arguments)?;
    let set_filter = log::start(resolved.settings.log.as_str());
    let again = arguments.clone();
    let reread = Reread { settings: Box::new(move || settings(&again)), log: set_filter };
    let Some(mountpoint) = place(arguments, &resolved.settings)? else {
        return Ok(refuse(format_args!(
            "no place is named: write clmsfs mount MOUNTPOINT, or mountpoint = \"/an/empty/directory\" into the configuration file"
        )));
    };
    let source = arguments.get_one::<String>("source").expect("it has a default");
    let background = arguments.get_flag("background");
    let on_mounted = |mountpoint: &Path| {
        announce(mountpoint);
        if background {
            leave_the_terminal();
        }
    };
    daemon::run(resolved, Some(reread), source, &mountpoint, CancellationToken::new(), on_mounted).await?;
    Ok(ExitCode::SUCCESS)
}

/// Says what is wrong with what was asked for. Trying it again is of no use, which the exit code tells systemd.
fn refuse(reason: Arguments<'_>) -> ExitCode {
    output::complain(format_args!("failed to mount: {reason}"));
    ExitCode::from(USAGE)
}

/// Where to mount: as the command line says, else as the settings do. Only what these name is made where it is missing: a
/// typing error of a person should not leave folders behind.
fn place(arguments: &ArgMatches, settings: &Settings) -> Result<Option<PathBuf>, Failure> {
    if let Some(named) = arguments.get_one::<PathBuf>("place") {
        return Ok(Some(absolute(named)?));
    }
    if let Some(set) = &settings.mountpoint {
        mountpoint::make(set);
    }
    Ok(settings.mountpoint.clone())
}

/// Beginning of the line that says that the mount answers.
pub(super) const MOUNTED: &str = "mounted ";

/// Scripts wait for this line.
fn announce(mountpoint: &Path) {
    output::say(format_args!("{MOUNTED}{}", mountpoint.display()));
}

/// Where systemd's journal takes lines (systemd-journald.service(8)).
const JOURNAL: &str = "/run/systemd/journal/stdout";

/// Leaves the session of whoever mounted, and sends what comes from now on to the journal, or nowhere where there is none. Where systemd has started the process, its
/// standard error is the journal already.
///
/// Not before the mount answers: systemd's automount lets nobody but its own process group near a mount point that waits for
/// its mount (autofs), and a process that has left it would wait for itself.
fn leave_the_terminal() {
    // SAFETY: setsid takes nothing and touches no memory. It fails only where the process leads a group already.
    unsafe { libc::setsid() };
    let nowhere = std::fs::File::options().read(true).write(true).open("/dev/null").map(OwnedFd::from);
    let errors = match (std::env::var_os("JOURNAL_STREAM"), journal()) {
        (Some(_), _) => None,
        (None, Ok(journal)) => {
            log::goes_to_journal();
            Some(journal)
        }
        (None, Err(_)) => nowhere.as_ref().ok().and_then(|nowhere| nowhere.try_clone().ok()),
    };
    for (target, source) in [(libc::STDOUT_FILENO, nowhere.ok()), (libc::STDERR_FILENO, errors)] {
        let Some(source) = source else { continue };
        // SAFETY: both descriptors are open; what is written to 1 or 2 meanwhile goes to the old or the new place.
        if unsafe { libc::dup2(source.as_raw_fd(), target) } < 0 {
            tracing::warn!("the terminal is not left: {}", std::io::Error::last_os_error());
        }
    }
}

/// A stream to the journal: identifier, unit, priority, then four switches, a line each.
fn journal() -> std::io::Result<OwnedFd> {
    let mut stream = UnixStream::connect(JOURNAL)?;
    stream.write_all(b"clmsfs\n\n6\n1\n0\n0\n0\n")?;
    Ok(stream.into())
}
