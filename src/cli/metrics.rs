//! `clmsfs metrics`.

use std::process::ExitCode;

use clap::{ArgMatches, Command};

use super::{Ending, control, mount_flag};

pub(super) fn command() -> Command {
    Command::new("metrics").about("Print the metrics of a mount in Prometheus' text format").arg(mount_flag())
}

pub(super) async fn run(arguments: &ArgMatches) -> Ending {
    print!("{}", control(arguments)?.text("/metrics").await?);
    Ok(ExitCode::SUCCESS)
}
