//! `clmsfs mount MOUNTPOINT`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Arg, ArgAction, ArgMatches, Command};
use tokio_util::sync::CancellationToken;

use super::{Ending, absolute, config_flag, log, output, settings};
use crate::config::flags;
use crate::fuse::daemon;

pub(super) fn command() -> Command {
    Command::new("mount")
        .about("Mount the catalogue; stays in the foreground until Ctrl-C or umount")
        .arg(
            Arg::new("mountpoint")
                .value_name("MOUNTPOINT")
                .required(true)
                .help("An empty directory")
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
        .args(flags::clap_args())
}

pub(super) async fn run(arguments: &ArgMatches) -> Ending {
    let resolved = settings(arguments)?;
    log::start(resolved.settings.log.as_str());
    let mountpoint = absolute(arguments.get_one::<PathBuf>("mountpoint").expect("clap requires it"))?;
    daemon::run(resolved, &mountpoint, CancellationToken::new(), announce).await?;
    Ok(ExitCode::SUCCESS)
}

/// Scripts wait for this line.
fn announce(mountpoint: &Path) {
    output::say(format_args!("mounted {}", mountpoint.display()));
}
