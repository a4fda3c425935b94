//! `clmsfs jobs`.

use std::process::ExitCode;

use clap::{ArgMatches, Command};

use super::output::terminal_width;
use super::{Ending, control, json_flag, mount_flag, picture, wants_json};
use crate::control::status::JobStatus;

pub(super) fn command() -> Command {
    Command::new("jobs").about("List fetches under way and failed").arg(mount_flag()).arg(json_flag())
}

pub(super) async fn run(arguments: &ArgMatches) -> Ending {
    let jobs: Vec<JobStatus> = control(arguments)?.get("/jobs", &[]).await?;
    if wants_json(arguments) {
        println!("{}", super::output::json(&jobs)?);
    } else if jobs.is_empty() {
        println!("no jobs");
    } else {
        for line in picture::jobs(&jobs, crate::fetch::now(), terminal_width()) {
            println!("{line}");
        }
    }
    Ok(ExitCode::SUCCESS)
}
