//! `clmsfs cache ls|evict|pin|unpin|verify`.

use std::process::ExitCode;

use clap::{Arg, ArgMatches, Command};

use super::cancel::report;
use super::output::{ago, size, table};
use super::{Ending, control, json_flag, mount_flag, products, wants_json};
use crate::control::server::{CacheLine, Ids, Outcome};

pub(super) fn command() -> Command {
    let ids = |required: bool| {
        Arg::new("ids")
            .value_name("ID")
            .num_args(if required { 1.. } else { 0.. })
            .required(required)
            .help("<dataset>/<product>, a path below the mount, or dataset|file")
    };
    let verb = |name: &'static str, about: &'static str| {
        Command::new(name).about(about).arg(mount_flag()).arg(json_flag())
    };
    Command::new("cache")
        .about("Look into the cache, and manage it")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(verb("ls", "List products in the cache, least recently used first"))
        .subcommand(verb("evict", "Delete products from the cache").arg(ids(true)))
        .subcommand(verb("pin", "Never evict these products").arg(ids(true)))
        .subcommand(verb("unpin", "Let these products be evicted again").arg(ids(true)))
        .subcommand(verb("verify", "Prove every chunk of these products, or of all").arg(ids(false)))
}

pub(super) async fn run(arguments: &ArgMatches) -> Ending {
    let (verb, arguments) = arguments.subcommand().expect("clap requires a verb");
    let control = control(arguments)?;
    let json = wants_json(arguments);
    if verb == "ls" {
        let lines: Vec<CacheLine> = control.get("/cache", &[]).await?;
        if json {
            println!("{}", super::output::json(&lines)?);
        } else if lines.is_empty() {
            println!("the cache is empty");
        } else {
            let rows: Vec<_> = lines
                .into_iter()
                .map(|line| {
                    let state = match (line.pinned, line.readers) {
                        (true, 0) => "pinned".to_owned(),
                        (false, 0) => String::new(),
                        (true, readers) => format!("pinned, open {readers}x"),
                        (false, readers) => format!("open {readers}x"),
                    };
                    vec![line.path, size(line.bytes), ago(line.last_use), state]
                })
                .collect();
            table(&["PRODUCT", "SIZE", "LAST USE", ""], &rows, 0);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let ids = Ids { ids: products(arguments, &control), tasks: Vec::new() };
    let outcomes: Vec<Outcome> = control.post(&format!("/cache/{verb}"), &ids).await?;
    report(&outcomes, json)
}
