//! `clmsfs web`.

use std::process::ExitCode;

use clap::{ArgMatches, Command};

use super::{Ending, control, json_flag, mount_flag, wants_json};
use crate::control::server::WebLink;

pub(super) fn command() -> Command {
    Command::new("web")
        .about("Print the link that opens the web page of a mount; whoever has it can do what its buttons do")
        .arg(mount_flag())
        .arg(json_flag())
}

pub(super) async fn run(arguments: &ArgMatches) -> Ending {
    let web: WebLink = control(arguments)?.get("/web", &[]).await?;
    if wants_json(arguments) {
        println!("{}", super::output::json(&web)?);
    } else {
        println!("{}", web.link);
    }
    Ok(ExitCode::SUCCESS)
}
