//! `clmsfs status`.

use std::process::ExitCode;
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Command};

use super::output::{ago, budget, size};
use super::{Ending, control, jobs, json_flag, mount_flag, wants_json};
use crate::control::status::Status;

/// How often `--watch` looks.
const WATCH: Duration = Duration::from_secs(1);

pub(super) fn command() -> Command {
    Command::new("status")
        .about("Show what a mount is doing")
        .arg(mount_flag())
        .arg(json_flag())
        .arg(Arg::new("watch").long("watch").action(ArgAction::SetTrue).help("Show it anew every second"))
}

pub(super) async fn run(arguments: &ArgMatches) -> Ending {
    let control = control(arguments)?;
    let watch = arguments.get_flag("watch");
    loop {
        let status: Status = control.get("/status", &[]).await?;
        if wants_json(arguments) {
            println!("{}", super::output::json(&status)?);
        } else {
            if watch {
                print!("\x1b[2J\x1b[H");
            }
            print(&status);
        }
        if !watch {
            return Ok(ExitCode::SUCCESS);
        }
        tokio::time::sleep(WATCH).await;
    }
}

fn print(status: &Status) {
    let cache = &status.cache;
    println!("mount    {}  (pid {}, since {})", status.mountpoint, status.pid, ago(status.since));
    if let Some(address) = &status.web {
        println!("page     {address}  (the link that opens it: clmsfs web)");
    }
    println!("service  {}", status.api);
    println!("catalog  {} datasets, {} products", status.datasets, status.products);
    println!(
        "cache    {} of {} used by {} products{} in {}",
        size(cache.used),
        budget(cache.limit),
        cache.entries,
        if cache.reserved > 0 { format!(", {} reserved", size(cache.reserved)) } else { String::new() },
        cache.directory
    );
    let totals = &status.totals;
    println!(
        "so far   {} fetched, {} failed, {} downloaded",
        totals.published,
        totals.failed,
        size(totals.downloaded)
    );
    if status.jobs.is_empty() {
        println!("jobs     none");
    } else {
        println!();
        jobs::print(&status.jobs);
    }
}
