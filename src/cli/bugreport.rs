//! `clmsfs bugreport`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Arg, ArgMatches, Command};

use super::output::{WIDTH, say, size, wrapped};
use super::{Ending, config_flag, offline_flag, only_mount_flag, settings_looked_at, timeout, timeout_flag};
use crate::bugreport::{Order, Report, ReportError, TAKEN_OUT, outside_of_mounts};
use crate::config::flags;

pub(super) fn command() -> Command {
    Command::new("bugreport")
        .about("Gather what others need to help, without secrets; touches no mount and sends nothing")
        .arg(only_mount_flag())
        .arg(
            Arg::new("output")
                .long("output")
                .value_name("FILE")
                .help("Where to write it [default: clmsfs-report-TIME.tar.gz in this folder]")
                .value_parser(clap::value_parser!(PathBuf)),
        )
        .arg(offline_flag())
        .arg(timeout_flag())
        .arg(config_flag())
        .args(flags::clap_args())
}

pub(super) async fn run(arguments: &ArgMatches) -> Ending {
    let named = arguments.get_one::<PathBuf>("output");
    if let Some(path) = named {
        // before the work, not after it
        let path = outside_of_mounts(path)?;
        if path.exists() {
            return Err(ReportError::Exists(path).into());
        }
    }
    let report = Report::gather(Order {
        configured: settings_looked_at(arguments).map_err(|error| error.to_string()),
        mount: arguments.get_one::<PathBuf>("mount").cloned(),
        offline: arguments.get_flag("offline"),
        limit: timeout(arguments),
    })
    .await;
    let path = outside_of_mounts(&named.cloned().unwrap_or_else(|| report.file_name().into()))?;
    let bytes = report.write(&path)?;
    say(format_args!("{} ({}) holds\n", path.display(), size(bytes)));
    let width = report.pages().iter().map(|page| page.name.len()).max().unwrap_or(0);
    for page in report.pages() {
        say(format_args!("  {:width$}  {}", page.name, page.about));
    }
    say(format_args!("\n{}", wrapped(TAKEN_OUT, WIDTH).join("\n")));
    say(format_args!("Please look through it before you send it:\n\n  tar -xzOf {} | less", path.display()));
    Ok(ExitCode::SUCCESS)
}
