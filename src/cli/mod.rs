//! One file per verb; nothing but arguments, progress bars and text.
//!
//! Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not ready yet.

mod bugreport;
mod cache;
mod cancel;
mod completions;
mod config;
mod demo;
mod doctor;
mod fetch;
mod jobs;
mod log;
mod ls;
mod man;
mod metrics;
mod mount;
mod mount_helper;
mod output;
mod picture;
mod reload;
mod screen;
mod search;
mod simulate;
mod status;
mod umount;
mod usage;
mod web;

use std::path::Path;
use std::process::ExitCode;

use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::config::{
    ConfigErrors, PartialSettings, Resolved, Settings, Span, default_config_files, flags, mount_options,
};
use crate::control::client::Control;

/// Everything a verb may fail with; its text follows "failed to <verb>: ".
type Failure = Box<dyn std::error::Error + Send + Sync>;
/// What a verb ends with.
type Ending = Result<ExitCode, Failure>;

/// Exit code of wrong usage, and of settings that cannot be.
const USAGE: u8 = 2;
/// Exit code of a product that is not there yet.
const NOT_READY: u8 = 3;

/// How long the work of other threads is waited for at the end.
const LAST_WORK: std::time::Duration = std::time::Duration::from_secs(2);

/// A child's verb, and its main function.
type Child = (&'static str, fn() -> ExitCode);

/// The hidden verbs under which the children run that unpack and convert.
const CHILDREN: [Child; 2] = [
    (crate::ingest::CHILD_VERB, crate::ingest::child_main),
    (crate::ingest::FOLLOW_VERB, crate::ingest::follow_main),
];

/// What somebody wants to know who asks for help for the first time.
const FIRST_STEPS: &str = "\
First steps:
  clmsfs demo                 a walk through a simulated service, without an account
  clmsfs mount ~/clms         mounts, and stays in the foreground; then, in another terminal:
  clmsfs search corine 2018   finds products
  clmsfs fetch ID             orders, downloads and converts one; so does opening it";

/// The hidden verb under which a mount is asked whether it answers.
const ASK: &str = crate::doctor::ASK_VERB;

/// The whole command line.
pub fn command() -> Command {
    Command::new("clmsfs")
        .version(env!("CARGO_PKG_VERSION"))
        .about("The Copernicus Land Monitoring Service as a folder")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .max_term_width(100)
        .after_help(FIRST_STEPS)
        .subcommand(mount::command())
        .subcommand(umount::command())
        .subcommand(demo::command())
        .subcommand(simulate::command())
        .subcommand(search::command())
        .subcommand(ls::command())
        .subcommand(fetch::command())
        .subcommand(status::command())
        .subcommand(jobs::command())
        .subcommand(metrics::command())
        .subcommand(cancel::command())
        .subcommand(cache::command())
        .subcommand(web::command())
        .subcommand(config::command())
        .subcommand(reload::command())
        .subcommand(completions::command())
        .subcommand(man::command())
        .subcommand(doctor::command())
        .subcommand(bugreport::command())
}

/// Runs the program with the arguments of the process.
pub fn main() -> ExitCode {
    // before threads and before clap: the child starts with as little as possible
    let first = std::env::args().nth(1);
    if let Some((_, main)) = CHILDREN.iter().find(|(verb, _)| first.as_deref() == Some(verb)) {
        close_what_was_inherited();
        return main();
    }
    if first.as_deref() == Some(ASK) {
        return crate::doctor::ask_main(std::env::args_os().nth(2));
    }
    if mount_helper::is_meant() {
        return mount_helper::main();
    }
    let matches = match command().try_get_matches() {
        Ok(matches) => matches,
        Err(error) => return usage::complain(&error, USAGE),
    };
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
            "metrics" => metrics::run(arguments).await,
            "cancel" => cancel::run(arguments).await,
            "cache" => cache::run(arguments).await,
            "web" => web::run(arguments).await,
            "config" => config::run(arguments),
            "reload" => reload::run(arguments).await,
            "completions" => completions::run(arguments),
            "man" => man::run(arguments),
            "doctor" => doctor::run(arguments).await,
            "bugreport" => bugreport::run(arguments).await,
            other => unreachable!("clap knows no verb '{other}'"),
        }
    });
    // PROJ and GDAL take their tables down when the process exits: a thread that still asks them, for the footprint of a product
    // that has just come, would read freed memory. A read of the mount by a library may block a thread for good, though.
    runtime.shutdown_timeout(LAST_WORK);
    ending.unwrap_or_else(|error| complain(verb, &error))
}

fn complain(verb: &str, error: &Failure) -> ExitCode {
    let doing = match verb {
        "ls" => "list",
        "jobs" => "list jobs",
        "metrics" => "show the metrics",
        "status" => "show the status",
        "cache" => "manage the cache",
        "config" => "read the configuration",
        "completions" => "print completions",
        "man" => "write the manual",
        "web" => "give the link of the web page",
        "demo" => "run the demo",
        "bugreport" => "write the report",
        verb => verb,
    };
    output::complain(format_args!("failed to {doing}: {error}"));
    // what was asked for cannot be: trying it again is of no use
    if error.is::<ConfigErrors>() { ExitCode::from(USAGE) } else { ExitCode::FAILURE }
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

/// The products that were given, for every verb that takes some: a path that leads into the mount is told from its root on,
/// wherever one stands and through whatever links one came.
fn products(arguments: &ArgMatches, control: &Control) -> Vec<String> {
    words(arguments, "ids").into_iter().map(|id| from_the_root(id, control.mountpoint())).collect()
}

fn from_the_root(id: String, mountpoint: &Path) -> String {
    // whole already: the mount, which may hang, need not be asked
    if Path::new(&id).starts_with(mountpoint) {
        return id;
    }
    let found = Path::new(&id).canonicalize().ok();
    let below = found.as_deref().and_then(|path| path.strip_prefix(mountpoint).ok()).and_then(Path::to_str);
    // the root itself is what was given
    below.filter(|below| !below.is_empty()).map_or(id.clone(), str::to_owned)
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
        .help("Configuration file, in place of those of machine and user")
        .value_hint(clap::ValueHint::FilePath)
        .value_parser(clap::value_parser!(std::path::PathBuf))
}

/// Settings from files, environment, `-o` and flags.
///
/// # Errors
/// Everything that is wrong with them.
fn settings(arguments: &ArgMatches) -> Result<Resolved, ConfigErrors> {
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
    let files = match named {
        // whole, so that its place is told whole
        Some(file) => vec![std::path::absolute(&file).unwrap_or(file)],
        None => default_config_files(env),
    };
    partial.overlay(&flags::from_matches(arguments)?);
    Settings::gather(&partial, env, &files)
}

/// [`settings`] of what is looked at: root may name those of a service, and then looks at what its unit gives it.
fn settings_looked_at(arguments: &ArgMatches) -> Result<Resolved, ConfigErrors> {
    let resolved = settings(arguments)?;
    // SAFETY: geteuid takes nothing, always succeeds and touches no memory.
    let is_root = unsafe { libc::geteuid() } == 0;
    Ok(if is_root { resolved.of_service(Path::exists) } else { resolved })
}

/// `--offline`.
fn offline_flag() -> Arg {
    Arg::new("offline").long("offline").action(ArgAction::SetTrue).help("Ask no service")
}

/// `--timeout DUR`.
fn timeout_flag() -> Arg {
    Arg::new("timeout")
        .long("timeout")
        .value_name("DUR")
        .default_value("5s")
        .help("How long to wait for the service, and for each mount")
        .value_parser(|text: &str| text.parse::<Span>().map_err(|error| error.to_string()))
}

fn timeout(arguments: &ArgMatches) -> std::time::Duration {
    arguments.get_one::<Span>("timeout").expect("it has a default").duration()
}

/// `--mount MOUNTPOINT` where all running mounts are meant when it is missing.
fn only_mount_flag() -> Arg {
    mount_flag().help("Of the running mounts, this one only [default: all of this user]")
}

/// A path as users wrote it, absolute.
fn absolute(path: &Path) -> Result<std::path::PathBuf, Failure> {
    Ok(std::path::absolute(path)?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::path::Path;

    #[test]
    fn a_path_that_leads_into_the_mount_is_told_from_its_root_on() {
        let dir = tempfile::tempdir().unwrap();
        let mountpoint = dir.path().canonicalize().unwrap().join("mount");
        std::fs::create_dir_all(mountpoint.join("data/p")).unwrap();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&mountpoint, &link).unwrap();
        let told = |id: &Path| super::from_the_root(id.to_str().unwrap().to_owned(), &mountpoint);
        assert_eq!(told(&link.join("data/p")), "data/p");
        assert_eq!(told(&link.join("data/../data/p")), "data/p");
        assert_eq!(told(&link), link.to_str().unwrap());
        for other in ["data/p", "data|p", "/nowhere", "/tmp"].map(Path::new) {
            assert_eq!(told(other), other.to_str().unwrap());
        }
        assert_eq!(
            told(&mountpoint.join("data/cold.tif")),
            mountpoint.join("data/cold.tif").to_str().unwrap()
        );
    }

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
