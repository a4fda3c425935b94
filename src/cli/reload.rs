//! `clmsfs reload`.

use std::process::ExitCode;

use clap::{ArgMatches, Command};

use super::output::{complain, printable};
use super::{Ending, control, json_flag, mount_flag, wants_json};
use crate::control::reload::Report;

pub(super) fn command() -> Command {
    Command::new("reload")
        .about("Make a running mount read its settings anew, and say what has changed")
        .arg(mount_flag())
        .arg(json_flag())
}

pub(super) async fn run(arguments: &ArgMatches) -> Ending {
    let report: Report = control(arguments)?.post("/reload", &()).await?;
    if wants_json(arguments) {
        println!("{}", super::output::json(&report)?);
    } else {
        print(&report);
    }
    Ok(if report.is_in_force() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print(report: &Report) {
    for error in &report.errors {
        complain(format_args!("not reloaded, nothing is changed: {error}"));
    }
    if !report.is_in_force() {
        return;
    }
    println!("reloaded: {}", printable(&report.changes()));
    if let Some(waiting) = report.waits() {
        println!("waiting for the next mount: {}", printable(&waiting));
    }
    for remark in &report.remarks {
        println!("{}", printable(remark));
    }
}
