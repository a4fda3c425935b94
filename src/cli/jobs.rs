//! `clmsfs jobs`.

use std::process::ExitCode;

use clap::{ArgMatches, Command};

use super::output::{ago, describe, printable, table};
use super::{Ending, control, json_flag, mount_flag, wants_json};
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
        print(&jobs);
    }
    Ok(ExitCode::SUCCESS)
}

/// A table of jobs, and below it why each failed one failed.
pub(super) fn print(jobs: &[JobStatus]) {
    let rows: Vec<_> = jobs
        .iter()
        .map(|job| {
            vec![
                job.path.clone(),
                describe(&job.progress),
                job.progress.task.clone().unwrap_or_default(),
                job.waiting.to_string(),
                ago(job.began),
            ]
        })
        .collect();
    table(&["PRODUCT", "STATE", "TASK", "WAITING", "BEGAN"], &rows, 0);
    for job in jobs {
        if let Some(error) = &job.progress.error {
            println!("{}: {}", printable(&job.path), printable(error));
        }
    }
}
