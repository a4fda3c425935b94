//! `mount.clmsfs SOURCE MOUNTPOINT [-o OPTIONS]`: what mount(8) calls for lines of fstab (mount(8), "External helpers").
//!
//! The program acts so when it is called by that name. It checks what it was given, starts `clmsfs mount` in the
//! background, and returns once the mount answers, as mount(8) and systemd's mount units expect.

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use clap::{Arg, ArgAction, ArgMatches};

use super::{Failure, mount, output, usage};
use crate::config::mount_options;
use crate::fuse::mountpoint;

/// The name under which it is called.
const NAME: &str = "mount.clmsfs";
/// Exit codes of mount(8): wrong usage, and a mount that failed.
const USAGE: u8 = 1;
const FAILED: u8 = 32;

/// Whether the program was called by the helper's name.
pub(super) fn is_meant() -> bool {
    let called = std::env::args_os().next().unwrap_or_default();
    Path::new(&called).file_name().is_some_and(|name| name == NAME)
}

/// Mounts in the background.
pub(super) fn main() -> ExitCode {
    let matches = match command().try_get_matches() {
        Ok(matches) => matches,
        Err(error) => return usage::complain(&error, USAGE),
    };
    let order = match Order::new(&matches) {
        Ok(order) => order,
        Err(error) => return complain(&error, USAGE),
    };
    if matches.get_flag("fake") {
        return ExitCode::SUCCESS;
    }
    match order.carry_out() {
        Ok(code) => code,
        Err(error) => complain(&error, FAILED),
    }
}

fn complain(error: &Failure, code: u8) -> ExitCode {
    output::complain(format_args!("{error}"));
    ExitCode::from(code)
}

pub(super) fn command() -> clap::Command {
    let flag = |short: char, name: &'static str, help: &'static str| {
        Arg::new(name).short(short).action(ArgAction::SetTrue).help(help)
    };
    clap::Command::new(NAME)
        .version(env!("CARGO_PKG_VERSION"))
        .about("Mount the CLMS catalogue in the background; called by mount(8) for lines of fstab of the type clmsfs")
        .arg(
            Arg::new("source")
                .value_name("SOURCE")
                .required(true)
                .help("clmsfs, or clmsfs#NAME for the settings in /etc/clmsfs/NAME.toml"),
        )
        .arg(
            Arg::new("mountpoint")
                .value_name("MOUNTPOINT")
                .required(true)
                .help("An empty directory")
                .value_parser(clap::value_parser!(PathBuf)),
        )
        .arg(
            Arg::new("options")
                .short('o')
                .value_name("OPT,…")
                .action(ArgAction::Append)
                .help("config=FILE, any setting (cache_size=4GB, allow_other, uid=1000), and what fstab knows"),
        )
        .arg(flag('f', "fake", "Check everything, mount nothing"))
        .arg(flag('s', "sloppy", "Pass over unknown options"))
        .arg(flag('n', "no-mtab", "Nothing: there is no mtab to write"))
        .arg(flag('v', "verbose", "Say what is started"))
        .arg(Arg::new("type").short('t').value_name("TYPE").help("clmsfs; mount(8) gives it"))
}

/// What is to be mounted, checked.
struct Order {
    source: String,
    mountpoint: PathBuf,
    options: Vec<String>,
    config: Option<PathBuf>,
    is_verbose: bool,
}

impl Order {
    fn new(matches: &ArgMatches) -> Result<Self, Failure> {
        let source = matches.get_one::<String>("source").expect("clap requires it").clone();
        let instance = mountpoint::instance(&source).ok_or_else(|| {
            format!("source '{source}' is unknown: write clmsfs, or clmsfs#NAME for an instance")
        })?;
        let given: Vec<&String> = matches.get_many::<String>("options").unwrap_or_default().collect();
        let words = given.iter().flat_map(|text| mount_options::words(text));
        let mut options = Vec::new();
        let mut config = None;
        // mount(8) says 'rw' where fstab says nothing
        for word in words.filter(|word| *word != "rw") {
            match mount_options::parse(word) {
                Ok(parsed) => config = parsed.config.or(config),
                Err(error) if matches.get_flag("sloppy") => {
                    output::complain(format_args!("passed over: {error}"));
                    continue;
                }
                Err(error) => return Err(error.into()),
            }
            options.push(word.to_owned());
        }
        if config.is_none() && !instance.is_empty() {
            let file = PathBuf::from("/etc/clmsfs").join(format!("{instance}.toml"));
            if !file.is_file() {
                return Err(format!("instance '{instance}' has no settings: write {}", file.display()).into());
            }
            config = Some(file);
        }
        let mountpoint = matches.get_one::<PathBuf>("mountpoint").expect("clap requires it").clone();
        Ok(Self { source, mountpoint, options, config, is_verbose: matches.get_flag("verbose") })
    }

    /// Starts the mount and waits until it answers or has failed; in that case it has said why itself.
    fn carry_out(&self) -> Result<ExitCode, Failure> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(self.arguments()).stdin(Stdio::null()).stdout(Stdio::piped()).current_dir("/");
        if self.is_verbose {
            output::say(format_args!("{command:?}"));
        }
        let mut child = command.spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("it is piped")).read_line(&mut line)?;
        if line.starts_with(mount::MOUNTED) {
            return Ok(ExitCode::SUCCESS);
        }
        child.wait()?;
        Ok(ExitCode::from(FAILED))
    }

    fn arguments(&self) -> Vec<OsString> {
        let mut arguments: Vec<OsString> =
            ["mount", "--background", "--source", &self.source].iter().map(OsString::from).collect();
        if !self.options.is_empty() {
            arguments.extend(["-o".into(), self.options.join(",").into()]);
        }
        if let Some(config) = &self.config {
            let config = std::path::absolute(config).unwrap_or_else(|_| config.clone());
            arguments.extend(["--config".into(), config.into()]);
        }
        // the working directory is left, so that it can be unmounted
        let mountpoint = std::path::absolute(&self.mountpoint).unwrap_or_else(|_| self.mountpoint.clone());
        arguments.extend(["--".into(), mountpoint.into()]);
        arguments
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn order(words: &[&str]) -> Result<Order, String> {
        let matches = command().try_get_matches_from([&[NAME], words].concat()).map_err(|e| e.to_string())?;
        Order::new(&matches).map_err(|error| error.to_string())
    }

    #[test]
    fn what_mount_gives_becomes_a_mount_verb() {
        // as mount(8) 2.38 calls it for "clmsfs /srv/clms clmsfs _netdev,nofail,allow_other,config=/etc/c.toml 0 0"
        let order =
            order(&["clmsfs", "/srv/clms", "-o", "rw,allow_other,config=/etc/c.toml,_netdev"]).unwrap();
        let arguments: Vec<String> =
            order.arguments().into_iter().map(|word| word.into_string().unwrap()).collect();
        assert_eq!(
            arguments.join(" "),
            "mount --background --source clmsfs -o allow_other,config=/etc/c.toml,_netdev --config /etc/c.toml -- /srv/clms"
        );
    }

    #[test]
    fn a_list_in_quotes_stays_one_word() {
        let options = r#"rw,web_hosts="a.example,b.example",log=info"#;
        let order = order(&["clmsfs", "/m", "-o", options]).unwrap();
        assert_eq!(order.options, [r#"web_hosts="a.example,b.example""#, "log=info"]);
        let given = order.arguments().into_iter().skip_while(|word| word != "-o").nth(1).unwrap();
        assert_eq!(given.to_str(), Some(r#"web_hosts="a.example,b.example",log=info"#));
    }

    #[test]
    fn what_is_unknown_is_refused_by_name() {
        let told = |words: &[&str]| order(words).err().unwrap();
        assert!(told(&["clmsfs", "/m", "-o", "cachesize=1GB"]).contains("'cache_size'"));
        assert!(told(&["clmsfs", "/m", "-o", "uid=ada"]).contains("id -u"));
        assert!(told(&["sshfs", "/m"]).contains("'sshfs'"));
        assert!(told(&["clmsfs#../x", "/m"]).contains("unknown"));
        assert!(told(&["clmsfs#nowhere", "/m"]).contains("/etc/clmsfs/nowhere.toml"));
        assert!(
            order(&["clmsfs", "/m", "-s", "-o", "cachesize=1GB,allow_other"]).unwrap().options
                == ["allow_other"]
        );
    }
}
