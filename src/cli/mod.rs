//! One file per verb; nothing but arguments, progress bars and text.
//!
//! Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not ready yet.

mod cache;
mod cancel;
mod config;
mod demo;
mod fetch;
mod jobs;
mod log;
mod ls;
mod mount;
mod mount_helper;
mod output;
mod search;
mod simulate;
mod status;
mod umount;

use std::path::Path;
use std::process::ExitCode;

use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::config::{PartialSettings, Resolved, Settings, default_config_file, flags, mount_options};
use crate::control::client::Control;

/// Everything a verb may fail with; its text follows "failed to <verb>: ".
type Failure = Box<dyn std::error::Error + Send + Sync>;
/// What a verb ends with.
type Ending = Result<ExitCode, Failure>;

/// Exit code of wrong usage, as clap has it.
const USAGE: u8 = 2;
/// Exit code of a product that is not there yet.
const NOT_READY: u8 = 3;

/// The hidden verb under which the converting child runs.
const CHILD: &str = crate::ingest::CHILD_VERB;

/// The whole command line.
pub fn command() -> Command {
    Command::new("clmsfs")
        .version(env!("CARGO_PKG_VERSION"))
        .about("The Copernicus Land Monitoring Service as a folder")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .max_term_width(100)
        .subcommand(mount::command())
        .subcommand(umount::command())
        .subcommand(demo::command())
        .subcommand(simulate::command())
        .subcommand(search::command())
        .subcommand(ls::command())
        .subcommand(fetch::command())
        .subcommand(status::command())
        .subcommand(jobs::command())
        .subcommand(cancel::command())
        .subcommand(cache::command())
        .subcommand(config::command())
        .subcommand(Command::new(CHILD).hide(true))
}

/// Runs the program with the arguments of the process.
pub fn main() -> ExitCode {
    // before threads and before clap: the child starts with as little as possible
    if std::env::args().nth(1).as_deref() == Some(CHILD) {
        close_what_was_inherited();
        return crate::ingest::child_main();
    }
    if mount_helper::is_meant() {
        return mount_helper::main();
    }
    let matches = command().get_matches();
    let (verb, arguments) = matches.subcommand().expect("clap requires a verb");
    if !outlives_its_readers(verb) {
        restore_broken_pipe();
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return complain(verb, &error.into()),
    };
    let ending = runtime.block_on(async {
        match verb {
            "mount" => mount::run(arguments).await,
            "umount" => umount::run(arguments).await,
            "demo" => demo::run(arguments).await,
            "simulate" => simulate::run(arguments).await,
            "search" => search::run(arguments).await,
            "ls" => ls::run(arguments).await,
            "fetch" => fetch::run(arguments).await,
            "status" => status::run(arguments).await,
            "jobs" => jobs::run(arguments).await,
            "cancel" => cancel::run(arguments).await,
            "cache" => cache::run(arguments).await,
            "config" => config::run(arguments),
            other => unreachable!("clap knows no verb '{other}'"),
        }
    });
    // a read of the mount by a library may still block a thread: do not wait for it
    runtime.shutdown_background();
    ending.unwrap_or_else(|error| complain(verb, &error))
}

fn complain(verb: &str, error: &Failure) -> ExitCode {
    let doing = match verb {
        "ls" => "list",
        "jobs" => "list jobs",
        "status" => "show the status",
        "cache" => "manage the cache",
        "config" => "read the configuration",
        "demo" => "run the demo",
        verb => verb,
    };
    output::complain(format_args!("failed to {doing}: {error}"));
    ExitCode::FAILURE
}

/// True for the verbs that serve others: a client that hangs up early, or the end of whoever reads their lines,
/// must not end them. They keep SIGPIPE ignored, as Rust programs start, and write with [`output::say`].
fn outlives_its_readers(verb: &str) -> bool {
    matches!(verb, "mount" | "demo" | "simulate")
}

/// Descriptors that whoever started the mount left open without knowing are not for a conversion.
fn close_what_was_inherited() {
    // SAFETY: called first of all: nothing in this process has opened a descriptor that it still wants. Where the kernel
    // does not know the call, they stay open.
    unsafe { libc::syscall(libc::SYS_close_range, 3, u32::MAX, 0) };
}

/// `clmsfs ls | head` ends quietly, as other programs do.
fn restore_broken_pipe() {
    // SAFETY: called before any other thread exists; SIG_DFL is a valid disposition.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
}

/// `--mount MOUNTPOINT`.
fn mount_flag() -> Arg {
    Arg::new("mount")
        .long("mount")
        .value_name("MOUNTPOINT")
        .help("Which running mount is meant [default: the only one]")
        .value_parser(clap::value_parser!(std::path::PathBuf))
}

/// `--json`.
fn json_flag() -> Arg {
    Arg::new("json").long("json").action(ArgAction::SetTrue).help("Print JSON, for programs")
}

/// The mount that `--mount` names, or the only one.
fn control(arguments: &ArgMatches) -> Result<Control, Failure> {
    let mount = arguments.get_one::<std::path::PathBuf>("mount");
    Ok(Control::find(mount.map(std::path::PathBuf::as_path))?)
}

fn wants_json(arguments: &ArgMatches) -> bool {
    arguments.get_flag("json")
}

/// Words given for an argument that takes several.
fn words(arguments: &ArgMatches, name: &str) -> Vec<String> {
    arguments.get_many::<String>(name).unwrap_or_default().cloned().collect()
}

/// `--config FILE`.
fn config_flag() -> Arg {
    Arg::new("config")
        .long("config")
        .value_name("FILE")
        .help("Configuration file")
        .value_parser(clap::value_parser!(std::path::PathBuf))
}

/// Settings from file, environment, `-o` and flags.
fn settings(arguments: &ArgMatches) -> Result<Resolved, Failure> {
    let env = |name: &str| std::env::var(name).ok();
    let mut named = None;
    let mut partial = PartialSettings::default();
    if let Ok(Some(options)) = arguments.try_get_many::<String>("options") {
        for options in options {
            let options = mount_options::parse(options)?;
            partial.overlay(&options.settings);
            named = options.config.or(named);
        }
    }
    let named = arguments.get_one::<std::path::PathBuf>("config").cloned().or(named);
    let file = named.or_else(|| default_config_file(env));
    partial.overlay(&flags::from_matches(arguments)?);
    Ok(Settings::resolve(&partial, env, file.as_deref())?)
}

/// A path as users wrote it, absolute.
fn absolute(path: &Path) -> Result<std::path::PathBuf, Failure> {
    Ok(std::path::absolute(path)?)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_is_sound() {
        super::command().debug_assert();
    }

    #[test]
    fn only_short_lived_verbs_end_with_their_reader() {
        let command = super::command();
        let verbs = command.get_subcommands().map(clap::Command::get_name);
        let stay: Vec<_> = verbs.filter(|verb| super::outlives_its_readers(verb)).collect();
        assert_eq!(stay, ["mount", "demo", "simulate"]);
    }
}
