//! `clmsfs umount`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Command};

use super::{Ending, Failure, config_flag, mount_flag, settings};
use crate::control::client::{Control, ControlError};
use crate::fuse::mountpoint;

/// Longest wait for the mount's process to end.
const PATIENCE: Duration = Duration::from_secs(15);
/// How often to look whether it has ended.
const LOOK: Duration = Duration::from_millis(50);

pub(super) fn command() -> Command {
    Command::new("umount")
        .about("Unmount: waiting readers get an error, fetches go on at the next mount")
        .arg(
            Arg::new("mountpoint")
                .value_name("MOUNTPOINT")
                .help("Which mount [default: the only one]")
                .value_parser(clap::value_parser!(PathBuf)),
        )
        .arg(mount_flag().conflicts_with("mountpoint"))
        .arg(
            config_flag()
                .help("Configuration file whose 'mountpoint' is meant")
                .conflicts_with_all(["mountpoint", "mount"]),
        )
        .arg(
            Arg::new("dead").long("dead").action(ArgAction::SetTrue).help(
                "Only take away what a killed mount left behind; a living one and none at all are fine",
            ),
        )
}

/// The mount that is meant, `None` for the only one.
fn named(arguments: &ArgMatches) -> Result<Option<PathBuf>, Failure> {
    if let Some(config) = arguments.get_one::<PathBuf>("config") {
        let settings = settings(arguments)?.settings;
        let set = settings.mountpoint.ok_or_else(|| format!("{} names no mountpoint", config.display()))?;
        return Ok(Some(set));
    }
    Ok(["mountpoint", "mount"].iter().find_map(|name| arguments.get_one::<PathBuf>(name)).cloned())
}

pub(super) async fn run(arguments: &ArgMatches) -> Ending {
    let named = match named(arguments) {
        // nothing was mounted with settings that cannot be used, and the mount has said why
        Err(_) if arguments.get_flag("dead") => return Ok(ExitCode::SUCCESS),
        named => named?,
    };
    if arguments.get_flag("dead") {
        mountpoint::detach_dead(&named.ok_or("--dead needs a mount point or --config")?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let named = named.as_ref();
    match Control::find(named.map(PathBuf::as_path)) {
        Ok(control) => {
            control.stop().await?;
            let gone = async {
                // a process that has ended may linger as a zombie of its parent, but it is registered no more
                while Control::find(Some(control.mountpoint())).is_ok()
                    || mountpoint::mounts().iter().any(|mount| mount == control.mountpoint())
                {
                    tokio::time::sleep(LOOK).await;
                }
            };
            if tokio::time::timeout(PATIENCE, gone).await.is_err() {
                let message = format!(
                    "{} is still there after {} s: detach it with fusermount3 -uz, or stop process {}",
                    control.mountpoint().display(),
                    PATIENCE.as_secs(),
                    control.pid()
                );
                return Err(message.into());
            }
        }
        // a mount whose process died is still in the way, and answers nothing
        Err(error @ ControlError::Unknown { .. }) => {
            let path = mountpoint::without_asking(named.expect("only a named mount can be unknown"))?;
            if !mountpoint::mounts().contains(&path) {
                return Err(error.into());
            }
            mountpoint::detach(&path)?;
        }
        // nobody serves any more, and a mount that a crash left is in the way all the same
        Err(error @ ControlError::NoMount) => {
            // SAFETY: geteuid takes nothing, always succeeds and touches no memory.
            let left = mountpoint::mounts_of(unsafe { libc::geteuid() });
            match left.as_slice() {
                [] => return Err(error.into()),
                [only] if mountpoint::is_dead(only) => mountpoint::detach_dead(only)?,
                several => {
                    let names: Vec<_> = several.iter().map(|path| path.display().to_string()).collect();
                    let message = format!(
                        "no clmsfs mount of this user is running, but there is {}: name one with clmsfs umount MOUNTPOINT",
                        names.join(", ")
                    );
                    return Err(message.into());
                }
            }
        }
        Err(error) => return Err(error.into()),
    }
    Ok(ExitCode::SUCCESS)
}
