//! `clmsfs umount`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Arg, ArgMatches, Command};

use super::{Ending, mount_flag};
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
}

pub(super) async fn run(arguments: &ArgMatches) -> Ending {
    let named = arguments.get_one::<PathBuf>("mountpoint").or_else(|| arguments.get_one::<PathBuf>("mount"));
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
        Err(error) => return Err(error.into()),
    }
    Ok(ExitCode::SUCCESS)
}
