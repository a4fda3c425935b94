//! `clmsfs search TEXT`.

use std::process::ExitCode;

use clap::{Arg, ArgMatches, Command};

use super::ls::print_products;
use super::{Ending, control, json_flag, mount_flag, wants_json};
use crate::control::server::ProductLine;

pub(super) fn command() -> Command {
    Command::new("search")
        .about("Find products by the words in their names and their dataset's title")
        .arg(
            Arg::new("text")
                .value_name("TEXT")
                .required(true)
                .num_args(1..)
                .help("Words that must all occur"),
        )
        .arg(mount_flag())
        .arg(json_flag())
}

pub(super) async fn run(arguments: &ArgMatches) -> Ending {
    let text = super::words(arguments, "text").join(" ");
    let lines: Vec<ProductLine> = control(arguments)?.get("/search", &[("text", &text)]).await?;
    if lines.is_empty() && !wants_json(arguments) {
        eprintln!("nothing found for '{text}'");
        return Ok(ExitCode::FAILURE);
    }
    print_products(&lines, wants_json(arguments))?;
    Ok(ExitCode::SUCCESS)
}
